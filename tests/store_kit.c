#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/log.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

int
kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	log_open("test", LOG_TO_STDERR, getenv("MQFS_TEST_LOG") ? LOG_DEBUG : LOG_EMERG);
	tree_make(k->dir, sizeof(k->dir), NULL, "store");
	snprintf(k->path, sizeof(k->path), "%s/store", k->dir);
	assert_int_equal(settings_init(&k->set), MQ_OK);
	k->set.mappedFileSizeCommitLog = KIT_SEGMENT;
	k->set.mappedFileSizeConsumeQueue = KIT_QUEUE_ENTRIES * QUEUE_ENTRY_BYTES;
	k->set.maxHashSlotNum = KIT_SLOTS;
	k->set.maxIndexNum = KIT_INDEX_ENTRIES;
	k->set.flushIntervalCommitLog = 3600000;	/* the flusher sleeps: tests flush */
	k->set.cleanResourceInterval = 3600000;		/* retention too */
	k->set.deleteCommitLogFilesInterval = 0;
	k->set.diskSpaceWarningLevelRatio = k->set.diskSpaceCleanForciblyRatio = 100;
	k->cp.dispatched = MQ_POS(-1);
	*state = k;
	return 0;
}

int
kit_teardown(void **state)
{
	struct kit *k = *state;

	if (k->s) {
		store_close(k->s);
		storedir_close(&k->sd);
	}
	store_checkpoint_free(&k->cp);
	settings_free(&k->set);
	tree_remove(k->dir);
	free(k->model);
	free(k);
	return 0;
}

int
kit_try_open(struct kit *k, bool read_only)
{
	int rc = storedir_open(k->path, "", read_only, 0, &k->sd);

	if (rc != MQ_OK)
		return rc;
	rc = store_open(&k->set, &k->sd, &k->cp, &k->s);
	if (rc == MQ_OK)
		rc = storedir_begin(&k->sd);
	if (rc == MQ_OK)
		return MQ_OK;
	store_close(k->s);
	k->s = NULL;
	storedir_close(&k->sd);
	return rc;
}

void
kit_open(struct kit *k)
{
	int rc = kit_try_open(k, false);

	if (rc != MQ_OK)
		fail_msg("store does not open: %s", err_text(rc));
}

void
kit_close(struct kit *k)
{
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	store_close(k->s);
	k->s = NULL;
	assert_int_equal(storedir_end(&k->sd), MQ_OK);
	storedir_close(&k->sd);
}

void
kit_crash(struct kit *k)
{
	char copy[200];

	snprintf(copy, sizeof(copy), "%s/crashed", k->dir);
	sh("cp -a --sparse=always '%s' '%s'", k->path, copy);
	if (k->s) {
		store_close(k->s);
		k->s = NULL;
		storedir_close(&k->sd);
	}
	sh("rm -rf '%s'", k->path);
	assert_int_equal(rename(copy, k->path), 0);
}

/* --- checkpoints, as the floor above keeps them ------------------------------------ */

static void
merge_row(struct store_checkpoint *cp, const struct queue_row *row)
{
	for (size_t i = 0; i < cp->n; i++)
		if (cp->rows[i].queue_id == row->queue_id && strcmp(cp->rows[i].topic, row->topic) == 0) {
			cp->rows[i] = *row;
			return;
		}
	cp->rows = realloc(cp->rows, (cp->n + 1) * sizeof(*cp->rows));
	cp->rows[cp->n++] = *row;
}

int
kit_checkpoint(struct kit *k)
{
	struct store_checkpoint cp;
	int rc = store_checkpoint(k->s, &cp);

	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < cp.n; i++)
		merge_row(&k->cp, &cp.rows[i]);
	k->cp.dispatched = cp.dispatched;
	k->cp.begin = cp.begin;
	k->cp.delays = cp.delays;
	k->cp.store_ms = cp.store_ms;
	k->cp.index_count = cp.index_count;
	memcpy(k->cp.index_name, cp.index_name, sizeof(cp.index_name));
	store_checkpoint_free(&cp);
	store_checkpointed(k->s, k->cp.dispatched);
	return MQ_OK;
}

void
kit_forget_checkpoint(struct kit *k)
{
	store_checkpoint_free(&k->cp);
	k->cp = (struct store_checkpoint){ .dispatched = MQ_POS(-1) };
}

struct store_checkpoint
kit_copy_checkpoint(const struct store_checkpoint *cp)
{
	struct store_checkpoint copy = *cp;

	copy.rows = calloc(cp->n + 1, sizeof(*copy.rows));
	if (cp->n > 0)
		memcpy(copy.rows, cp->rows, cp->n * sizeof(*copy.rows));
	return copy;
}

/* --- messages ------------------------------------------------------------------------ */

void
kit_body(uint32_t seed, size_t len, unsigned char *buf)
{
	for (size_t i = 0; i < len; i++) {
		seed = seed * 1664525u + 1013904223u;
		buf[i] = (unsigned char)('a' + (seed >> 24) % 26);
	}
}

static struct kit_message *
model_add(struct kit *k)
{
	if (k->n == k->max) {
		k->max = k->max ? 2 * k->max : 256;
		k->model = realloc(k->model, k->max * sizeof(*k->model));
	}
	return &k->model[k->n++];
}

static size_t
properties(const char *key, uint32_t seed, char *props, size_t size, char *ret_key)
{
	ret_key[0] = '\0';
	if (!key)
		return 0;
	snprintf(ret_key, 24, "%s%" PRIu32, key, seed % 7);
	return (size_t)snprintf(props, size, "TAGS\001tag%" PRIu32 "\002KEYS\001%s\002UNIQ_KEY\001u%" PRIu32, seed % 3,
				ret_key, seed);
}

int
kit_append(struct kit *k, const char *topic, int32_t queue_id, size_t n, size_t body_len, const char *key)
{
	unsigned char *body = malloc(body_len + 1);
	struct queue *q;
	struct appended a;
	struct batch b;
	uint32_t seed = k->seed;
	char props[128], text[24];
	int rc;

	assert_int_equal(store_queue_make(k->s, topic, queue_id, &q), MQ_OK);
	batch_init(&b);
	for (size_t i = 0; i < n; i++) {
		kit_body(++seed, body_len, body);
		struct message m = {
			.body = body, .body_len = body_len, .topic = topic, .topic_len = strlen(topic),
			.props = props, .props_len = properties(key, seed, props, sizeof(props), text),
			.queue_id = queue_id, .born_ms = 1700000000000,
			.born = { .addr = { 10, 0, 0, 9 }, .port = 51000 },
			.stored = { .addr = { 10, 0, 0, 1 }, .port = 10911 },
		};
		assert_int_equal(batch_add(&b, &m), MQ_OK);
	}
	queue_append_begin(q);
	rc = store_append(k->s, q, &b, &a);
	queue_append_end(q);
	for (size_t i = 0; i < a.n; i++) {
		struct kit_message *m = model_add(k);

		*m = (struct kit_message){
			.queue_id = queue_id, .qoff = qoff_add(a.first, (int64_t)i), .pos = b.entries[i].pos,
			.seed = k->seed + 1 + (uint32_t)i, .body_len = body_len, .store_ms = a.store_ms,
		};
		snprintf(m->topic, sizeof(m->topic), "%s", topic);
		properties(key, m->seed, props, sizeof(props), m->key);
	}
	k->seed = seed;
	batch_free(&b);
	free(body);
	return rc;
}

struct queue *
kit_queue(struct kit *k, const char *topic, int32_t queue_id)
{
	struct queue *q = store_queue(k->s, topic, queue_id);

	assert_non_null(q);
	return q;
}

struct queue *
kit_queue_made(struct kit *k, const char *topic, int32_t queue_id)
{
	struct queue *q;

	assert_int_equal(store_queue_make(k->s, topic, queue_id, &q), MQ_OK);
	return q;
}

int
kit_read(struct kit *k, const struct kit_message *m)
{
	struct queue *q = store_queue(k->s, m->topic, m->queue_id);
	unsigned char *buf = NULL, *want = malloc(m->body_len + 1);
	struct queue_entry e;
	struct record rec;
	size_t size = 0, n;
	int rc;

	rc = q ? queue_entries(q, m->qoff, &e, 1, &n) : MQ_EEND;
	if (rc == MQ_OK && e.total == QUEUE_HOLE_SIZE)
		rc = -EIO;
	if (rc == MQ_OK)
		rc = store_read(k->s, e.pos, &buf, &size, &rec);
	if (rc == MQ_OK) {
		assert_int_equal(e.pos.byte, m->pos.byte);
		assert_int_equal(e.body_len, m->body_len);
		assert_int_equal(rec.qoff.n, m->qoff.n);
		assert_int_equal(rec.body_len, m->body_len);
		kit_body(m->seed, m->body_len, want);
		assert_memory_equal(rec.body, want, m->body_len);
	}
	free(buf);
	free(want);
	return rc;
}

void
kit_verify(struct kit *k)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < k->n; i++) {
		struct kit_message *m = &k->model[i];
		int rc = kit_read(k, m);
		struct queue_span span;
		bool last = true;

		if (rc != MQ_OK)
			fail_msg("%s/%d message %" PRId64 ": %s", m->topic, m->queue_id, m->qoff.n, err_text(rc));
		for (size_t j = i + 1; j < k->n; j++)
			last = last && (strcmp(m->topic, k->model[j].topic) != 0 || m->queue_id != k->model[j].queue_id);
		if (!last)
			continue;
		queue_span(kit_queue(k, m->topic, m->queue_id), &span);
		assert_int_equal(span.end.n, m->qoff.n + 1);
		bytes += span.end_bytes - span.start_bytes;
	}
	for (size_t i = 0; i < k->n; i++)
		bytes -= (int64_t)k->model[i].body_len;
	assert_int_equal(bytes, 0);
}

/* --- files ----------------------------------------------------------------------------- */

void
kit_segment_of(mq_pos pos, char *name, size_t size)
{
	snprintf(name, size, "commitlog/%020" PRId64, pos.byte - pos.byte % KIT_SEGMENT);
}

static int
open_file(struct kit *k, const char *name, int flags)
{
	char path[400];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", k->path, name);
	fd = open(path, flags);
	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	return fd;
}

unsigned char *
kit_slurp(struct kit *k, const char *name, size_t *ret_len)
{
	int fd = open_file(k, name, O_RDONLY);
	unsigned char *buf;
	struct stat st;

	fstat(fd, &st);
	buf = malloc((size_t)st.st_size + 1);
	assert_int_equal(read(fd, buf, (size_t)st.st_size), st.st_size);
	close(fd);
	*ret_len = (size_t)st.st_size;
	return buf;
}

void
kit_poke(struct kit *k, const char *name, int64_t at, const void *bytes, size_t len)
{
	int fd = open_file(k, name, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, len, at), len);
	close(fd);
}

bool
kit_exists(struct kit *k, const char *name)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/%s", k->path, name);
	return access(path, F_OK) == 0;
}

size_t
kit_count(struct kit *k, const char *name)
{
	char path[400];
	struct dirent *e;
	size_t n = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/%s", k->path, name);
	dir = opendir(path);
	assert_non_null(dir);
	while ((e = readdir(dir)))
		n += e->d_name[0] != '.';
	closedir(dir);
	return n;
}
