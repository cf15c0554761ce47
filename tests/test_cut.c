/* The end of a log is cut: the log and all views are as if it had never been. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/offsets.h"
#include "store/cut.h"
#include "tests/broker_kit.h"
#include "tests/fault.h"
#include "tests/packed.h"
#include "tests/tree.h"

#define SEGMENT 65536
#define DIED 42
/* Sanitizers take their time: not every call then. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define STEP 5
#else
#define STEP 1
#endif
#define WHY "store 00ff began epoch 2 there."

int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int
__wrap_unlinkat(int dirfd, const char *name, int flags)
{
	return fault_due("unlinkat") ? -1 : __real_unlinkat(dirfd, name, flags);
}

int __real_mkdirat(int dirfd, const char *name, mode_t mode);
int __wrap_mkdirat(int dirfd, const char *name, mode_t mode);
int
__wrap_mkdirat(int dirfd, const char *name, mode_t mode)
{
	return fault_due("mkdirat") ? -1 : __real_mkdirat(dirfd, name, mode);
}

int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int
__wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	return fault_due("linkat") ? -1 : __real_linkat(from_fd, from, to_fd, to, flags);
}

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int
__wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (!fault_due("mdb_txn_commit"))
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return errno;
}

/* --- its broker ------------------------------------------------------------------------ */

static int made;	/* topics and groups, for their times */

/* Segments and index files so small that every life has several. */
static void
make_small(struct broker *b)
{
	broker_set(b, "mappedFileSizeCommitLog", "65536");
	broker_set(b, "mappedFileSizeConsumeQueue", "2000");
	broker_set(b, "maxIndexNum", "200");
	broker_set(b, "maxHashSlotNum", "50");
	broker_set(b, "maxMessageSize", "16384");
}

static int
setup(void **state)
{
	struct broker *b = malloc(sizeof(*b));

	assert_non_null(b);
	/* hundreds of stores are opened and closed: a disk would be all that is tested */
	if (access("/dev/shm", W_OK) == 0)
		assert_int_equal(setenv("TMPDIR", "/dev/shm", 1), 0);	/* of fsck.mqfs, too */
	broker_begin(b, NULL);
	make_small(b);
	made = 0;
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	fault_none();
	return broker_teardown(state);
}

/* What fsck.mqfs says of the closed store. */
static void
assert_clean(const struct broker *b)
{
	if (sh_status("${top_builddir:-.}/offsets/fsck.mqfs -n %s > %s/fsck 2>&1", b->path, b->dir) == 0)
		return;
	sh_status("cat %s/fsck >&2", b->dir);
	fail_msg("fsck.mqfs has found something");
}

/* --- a life ------------------------------------------------------------------------------- */

static int
below(struct broker *b, int n)
{
	return (int)((unsigned)rand_r(&b->seed) % (unsigned)n);
}

static struct topic *
some_topic(struct broker *b)
{
	struct topic *t = NULL, *next;
	const char *after = "";
	int n = 1;

	for (; (next = topic_next(b->offsets, after)); after = next->name)
		if (below(b, n++) == 0)
			t = next;
	return t;
}

static struct group *
some_group(struct broker *b)
{
	struct group *g = NULL, *next;
	const char *after = "";
	int n = 1;

	for (; (next = group_next(b->offsets, after)); after = next->name)
		if (below(b, n++) == 0)
			g = next;
	return g;
}

static void
make_topic(struct broker *b)
{
	struct topic_conf conf;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "t%d", below(b, 20));
	topic_conf_default(&conf, name, 1 + below(b, 4));
	conf.created_ms = made++;
	rc = topic_create(b->offsets, &conf, &(struct topic *){ NULL });
	assert_true(rc == MQ_OK || rc == -EEXIST);
}

static void
make_group(struct broker *b)
{
	struct group_conf conf;
	char name[32];
	int rc;

	snprintf(name, sizeof(name), "g%d", below(b, 6));
	group_conf_default(&conf, name);
	conf.created_ms = made++;
	rc = group_create(b->offsets, &conf, &(struct group *){ NULL });
	assert_true(rc == MQ_OK || rc == -EEXIST);
}

static void
produce(struct broker *b, const char *topic, int32_t queue_id, int n, size_t body_len)
{
	char body[8192], small[8192], props[64];
	struct batch batch;
	struct appended at;
	struct queue *q;

	batch_init(&batch);
	for (int i = 0; i < n; i++) {
		bool packs = below(b, 4) == 0;

		memset(body, 'a' + below(b, 26), body_len);
		snprintf(props, sizeof(props), "KEYS\001k%d\002", below(b, 50));
		assert_int_equal(batch_add(&batch, &(struct message){
			.body = packs ? small : body,
			.body_len = packs ? packed(body, body_len, small, sizeof(small)) : body_len,
			.sysflag = packs ? SYSFLAG_COMPRESSED : 0, .topic = topic, .topic_len = strlen(topic),
			.props = props, .props_len = strlen(props), .queue_id = queue_id }), MQ_OK);
	}
	assert_int_equal(store_queue_make(b->store, topic, queue_id, &q), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(b->store, q, &batch, &at), MQ_OK);
	queue_append_end(q);
	batch_free(&batch);
}

static void
produce_some(struct broker *b)
{
	struct topic *t = some_topic(b);

	if (t)
		produce(b, t->name, below(b, topic_queues(b->offsets, t)), 1 + below(b, 40), (size_t)below(b, 400));
}

static void
subscribe_some(struct broker *b)
{
	struct topic *t = some_topic(b);
	struct group *g = some_group(b);
	struct subscription *sub = NULL;
	int rc;

	if (!t || !g)
		return;
	rc = subscription_create(b->offsets, g, t, &sub);
	assert_true(rc == MQ_OK || rc == -EEXIST);
}

static void
change_some(struct broker *b)
{
	struct topic *t = some_topic(b);
	struct topic_conf conf;

	if (!t)
		return;
	topic_conf(b->offsets, t, &conf);
	conf.queues += below(b, 2);
	conf.owner.mode = (mode_t)below(b, 0777);
	assert_int_equal(topic_change(b->offsets, t, &conf), MQ_OK);
}

/* What cannot be deleted (it holds messages, has subscribers) stays. */
static void
delete_some(struct broker *b)
{
	struct topic *t = some_topic(b);
	struct group *g = some_group(b);
	struct subscription *sub = t && g ? subscription_find(b->offsets, g, t) : NULL;

	if (sub)
		(void)subscription_delete(b->offsets, sub);
	else if (t)
		(void)topic_delete(b->offsets, t);
}

static void
commit_some(struct broker *b)
{
	struct topic *t = some_topic(b);
	struct group *g = some_group(b);
	struct subscription *sub = t && g ? subscription_find(b->offsets, g, t) : NULL;

	if (!sub)
		return;
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(below(b, 100))), MQ_OK);
	assert_int_equal(commit_sync(b->offsets, sub, NULL), MQ_OK);
}

static void
trim_some(struct broker *b)
{
	struct topic *t = some_topic(b);
	struct queue *q = t ? store_queue(b->store, t->name, 0) : NULL;

	if (q && below(b, 3) == 0)
		assert_int_equal(topic_trim(b->offsets, t, 0, MQ_QOFF(below(b, (int)queue_end(q).n + 1))), MQ_OK);
}

static void
own_some(struct broker *b)
{
	struct topic *t = some_topic(b);
	const struct owner owner = { 1, (gid_t)below(b, 5), 0640 };
	char path[RECORD_TOPIC_MAX + 16];

	if (!t)
		return;
	snprintf(path, sizeof(path), "topics/%s/q0", t->name);
	assert_int_equal(path_set_owner(b->offsets, path, &owner), MQ_OK);
}

static void
live(struct broker *b, int steps)
{
	static void (*const doing[])(struct broker *b) = {
		make_topic, make_group, produce_some, produce_some, produce_some, produce_some, subscribe_some,
		change_some, delete_some, commit_some, own_some, trim_some,
	};

	while (steps--) {
		doing[below(b, (int)(sizeof(doing) / sizeof(doing[0])))](b);
		if (below(b, 60) == 0)
			assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	}
}

/* --- what can be seen ------------------------------------------------------------------------ */

static void
dump_queue(struct broker *b, struct queue *q, FILE *out)
{
	struct queue_span span;
	struct queue_entry e;
	uint32_t sum = 0;
	size_t n;

	queue_span(q, &span);
	for (int64_t i = span.min.n; i < span.end.n; i++) {
		assert_int_equal(queue_entries(q, MQ_QOFF(i), &e, 1, &n), MQ_OK);
		sum = sum * 31 + (uint32_t)e.pos.byte + (uint32_t)(e.start - span.start_bytes) * 7 +
		      (uint32_t)e.body_len;
	}
	fprintf(out, "  q%d %" PRId64 "..%" PRId64 " %" PRId64 " bytes, last %" PRId64 " ends %" PRId64 " sum %u\n",
		(int)queue_id(q), span.min.n, span.end.n, span.end_bytes - span.start_bytes, span.last_store_ms,
		span.last_end.byte, sum);
	(void)b;
}

static void
dump_topics(struct broker *b, FILE *out)
{
	struct topic_conf conf;
	struct topic *t;

	for (const char *after = ""; (t = topic_next(b->offsets, after)); after = t->name) {
		topic_conf(b->offsets, t, &conf);
		fprintf(out, "topic %s id %u queues %d mode %o made %" PRId64 "\n", t->name, t->id, conf.queues,
			conf.owner.mode, conf.created_ms);
		for (int32_t i = 0; i < conf.queues; i++) {
			struct queue *q = store_queue(b->store, t->name, i);

			if (q && queue_end(q).n > 0)
				dump_queue(b, q, out);
		}
	}
}

static void
dump_groups(struct broker *b, bool with_places, FILE *out)
{
	struct subscription *sub;
	struct group *g;

	for (const char *after = ""; (g = group_next(b->offsets, after)); after = g->name) {
		fprintf(out, "group %s id %u\n", g->name, g->id);
		for (const char *at = ""; (sub = subscription_next(b->offsets, g, at)); at = sub->topic->name) {
			fprintf(out, "  on %s id %u:", sub->topic->name, sub->id);
			for (int32_t i = 0; with_places && i < topic_queues(b->offsets, sub->topic); i++) {
				mq_qoff place = MQ_QOFF(-1);

				assert_int_equal(committed(b->offsets, sub, i, &place), MQ_OK);
				fprintf(out, " %" PRId64, place.n);
			}
			fprintf(out, "\n");
		}
	}
}

static void
dump_keys(struct broker *b, FILE *out)
{
	mq_pos found[200];
	struct topic *t;
	size_t n;

	for (const char *after = ""; (t = topic_next(b->offsets, after)); after = t->name)
		for (int k = 0; k < 50; k += 7) {
			char key[16];

			snprintf(key, sizeof(key), "k%d", k);
			assert_int_equal(store_find_key(b->store, t->name, key, 0, INT64_MAX, found, 200, &n), MQ_OK);
			fprintf(out, "key %s/%s:", t->name, key);
			for (size_t i = 0; i < n; i++)
				fprintf(out, " %" PRId64, found[i].byte);
			fprintf(out, "\n");
		}
}

static void
dump_epochs(struct broker *b, FILE *out)
{
	struct epoch list[8];
	size_t n = offsets_epochs(b->offsets, list, 8);

	for (size_t i = 0; i < n; i++)
		fprintf(out, "epoch %" PRId64 " at %" PRId64 "\n", list[i].number, list[i].start.byte);
}

/* Everything a user could see, as text. */
static char *
dump(struct broker *b, bool with_places)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	fprintf(out, "log %" PRId64 "..%" PRId64 ", dispatched %" PRId64 "\n", store_begin(b->store).byte,
		broker_written(b).byte, mark_at(store_dispatched(b->store)).byte);
	dump_epochs(b, out);
	dump_topics(b, out);
	dump_groups(b, with_places, out);
	dump_keys(b, out);
	fclose(out);
	return text;
}

/* What a store says that has this log and nothing else. */
static char *
dump_from_scratch(struct broker *b)
{
	struct broker other;
	char *text;

	broker_begin(&other, b->dir);
	make_small(&other);
	other.settings.brokerRole = SLAVE;
	sh("mkdir '%s' && cp -r '%s/commitlog' '%s'", other.path, b->path, other.path);
	broker_open(&other);
	text = dump(&other, false);
	broker_close(&other);
	broker_end(&other);
	return text;
}

static void
assert_same(struct broker *b, const char *got, const char *want)
{
	const char *const names[] = { "got", "want" }, *const texts[] = { got, want };

	if (strcmp(got, want) == 0)
		return;
	for (int i = 0; i < 2; i++) {
		char path[160];
		FILE *out;

		snprintf(path, sizeof(path), "%s/%s", b->dir, names[i]);
		out = fopen(path, "w");
		assert_non_null(out);
		fputs(texts[i], out);
		fclose(out);
	}
	sh_status("diff -u %s/want %s/got >&2", b->dir, b->dir);
	fail_msg("it differs");
}

static void
become_slave(struct broker *b)
{
	offsets_demote(b->offsets);
	b->settings.brokerRole = SLAVE;
	store_refuse(b->store, MQ_EROLE);
}

/* --- the log as it was ----------------------------------------------------------------------- */

struct tail {
	unsigned char *bytes;
	mq_pos from, to;
};

static struct tail
tail_read(struct broker *b, mq_pos from)
{
	struct tail t = { .from = from, .to = broker_written(b) };
	size_t n;

	t.bytes = malloc((size_t)(t.to.byte - from.byte) + 1);
	assert_non_null(t.bytes);
	for (mq_pos at = from; at.byte < t.to.byte; at = pos_add(at, (int64_t)n))
		assert_int_equal(store_read_raw(b->store, at, t.bytes + (at.byte - from.byte),
						(size_t)(t.to.byte - at.byte), &n), MQ_OK);
	return t;
}

/* As a master sends them. */
static void
tail_append(struct broker *b, const struct tail *t)
{
	for (mq_pos at = t->from; at.byte < t->to.byte;) {
		int64_t n = SEGMENT - at.byte % SEGMENT;

		n = n < 10000 ? n : 10000;
		n = n < t->to.byte - at.byte ? n : t->to.byte - at.byte;
		assert_int_equal(store_append_raw(b->store, at, t->bytes + (at.byte - t->from.byte), (size_t)n), MQ_OK);
		at = pos_add(at, n);
	}
}

static unsigned char *
slurp(const char *path, size_t *ret_len)
{
	FILE *in = fopen(path, "r");
	unsigned char *bytes = calloc(1, SEGMENT + 1);

	assert_non_null(in);
	assert_non_null(bytes);
	*ret_len = fread(bytes, 1, SEGMENT + 1, in);
	fclose(in);
	return bytes;
}

/* All of it is in lost+found, a file for each segment. */
static void
assert_kept(struct broker *b, const struct tail *t)
{
	for (mq_pos at = t->from; at.byte < t->to.byte; at = MQ_POS(at.byte - at.byte % SEGMENT + SEGMENT)) {
		int64_t left = SEGMENT - at.byte % SEGMENT, behind = t->to.byte - at.byte, n = left < behind ? left : behind;
		AUTO_FREE unsigned char *kept = NULL;
		char path[256];
		size_t len;

		snprintf(path, sizeof(path), "%s/lost+found/commitlog-%020" PRId64, b->path, at.byte);
		kept = slurp(path, &len);
		assert_true((int64_t)len <= left);
		assert_memory_equal(kept, t->bytes + (at.byte - t->from.byte), (int64_t)len < n ? len : (size_t)n);
		for (int64_t i = (int64_t)len; i < n; i++)	/* behind a blank there are zeros */
			assert_int_equal(t->bytes[at.byte - t->from.byte + i], 0);
		sh("grep -q 'store 00ff' '%s.txt'", path);
		if (len > 8)
			sh("${top_builddir:-.}/store/mqdump '%s' > %s/out", path, b->dir);
	}
}

/* --- cuts ------------------------------------------------------------------------------------ */

static void
cut_and_follow_again(struct broker *b, int before, int behind)
{
	AUTO_FREE char *there = NULL, *whole = NULL, *got = NULL, *scratch = NULL, *again = NULL;
	struct tail tail;
	mq_pos at;

	broker_open(b);
	live(b, before);
	at = broker_written(b);
	there = dump(b, false);
	live(b, behind);
	become_slave(b);
	tail = tail_read(b, at);
	whole = dump(b, false);

	assert_int_equal(offsets_cut(b->offsets, at, WHY), MQ_OK);
	got = dump(b, false);
	assert_same(b, got, there);
	scratch = dump_from_scratch(b);
	assert_same(b, got, scratch);
	assert_kept(b, &tail);

	tail_append(b, &tail);
	assert_int_equal(offsets_follow(b->offsets), MQ_OK);
	again = dump(b, false);
	assert_same(b, again, whole);
	broker_close(b);
	assert_clean(b);
	free(tail.bytes);
}

static void
a_cut_log_is_as_if_its_end_had_never_been(void **state)
{
	struct broker *b = *state;

	for (unsigned seed = 1; seed <= 12; seed++) {
		b->seed = seed;
		b->settings.brokerRole = ASYNC_MASTER;
		cut_and_follow_again(b, 40 + (int)seed * 20, (int)(seed % 4) * 60 + 5);
		sh("rm -rf %s", b->path);
	}
}

static void
a_cut_store_is_the_same_after_a_restart(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = NULL, *got = NULL;
	mq_pos at;

	b->seed = 5;
	broker_open(b);
	live(b, 150);
	at = broker_written(b);
	live(b, 100);
	become_slave(b);
	assert_int_equal(offsets_cut(b->offsets, at, WHY), MQ_OK);
	want = dump(b, false);
	broker_close(b);
	assert_clean(b);
	broker_open(b);
	got = dump(b, false);
	assert_same(b, got, want);
	broker_close(b);
	assert_clean(b);
}

/* --- in the middle of it ------------------------------------------------------------------------ */

/* A slave's store, closed, whose log is to be cut at *ret_at; `wants`: what it says before
 * and after. */
static void
prepare(struct broker *b, unsigned seed, mq_pos *ret_at, char *wants[2])
{
	b->seed = seed;
	broker_open(b);
	live(b, 120);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	*ret_at = broker_written(b);
	wants[1] = dump(b, false);
	live(b, 60);
	become_slave(b);
	wants[0] = dump(b, false);
	broker_close(b);
	sh("mv %s %s/before", b->path, b->dir);
}

/* Cut it, or let it begin anew at `begin` (NULL: no), in a process that ends at its n-th
 * call.  False: it came to its end before. */
static bool
change_and_die(struct broker *b, mq_pos at, const mq_pos *begin, int n)
{
	int rc, status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		if (broker_try(b, false) != MQ_OK)
			_exit(1);
		fault_set((struct fault){ .changes = true, .at = n, .dies = DIED });
		rc = begin ? offsets_reset(b->offsets, *begin, NULL, WHY) : offsets_cut(b->offsets, at, WHY);
		_exit(rc == MQ_OK ? 0 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_true(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == DIED);
	return WEXITSTATUS(status) == DIED;
}

static bool
cut_and_die(struct broker *b, mq_pos at, int n)
{
	return change_and_die(b, at, NULL, n);
}

static bool
is_begun(const struct broker *b)
{
	return sh_status("test -e %s/cut", b->path) == 0;
}

static void
wherever_it_dies_the_next_mount_finishes_it(void **state)
{
	struct broker *b = *state;
	char *wants[2];
	bool died = true;
	mq_pos at;
	int n, finished = 0;

	prepare(b, 3, &at, wants);
	for (n = 1; died; n++) {
		AUTO_FREE char *got = NULL;
		bool cut;

		sh("rm -rf %s && cp -r %s/before %s", b->path, b->dir, b->path);
		died = cut_and_die(b, at, n);
		cut = is_begun(b) || !died;
		finished += is_begun(b);
		if (is_begun(b) && n % 4 == 1) {	/* fsck.mqfs is a mount to it, too */
			assert_int_equal(sh_status("${top_builddir:-.}/offsets/fsck.mqfs -y %s > %s/fsck 2>&1",
						   b->path, b->dir), 1);
			assert_false(is_begun(b));
		}
		broker_open(b);
		cut = cut || broker_written(b).byte == at.byte;	/* it died when all was done */
		got = dump(b, false);
		assert_same(b, got, wants[cut]);
		assert_false(is_begun(b));
		broker_close(b);
		assert_clean(b);
	}
	assert_true(n > 20 && finished > 10);
	free(wants[0]);
	free(wants[1]);
}

static void
it_may_die_while_it_is_finished(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *got = NULL;
	char *wants[2];
	mq_pos at;
	int n;

	prepare(b, 4, &at, wants);
	sh("cp -r %s/before %s", b->dir, b->path);
	for (n = 1; cut_and_die(b, at, n) && !is_begun(b); n++)
		sh("rm -rf %s && cp -r %s/before %s", b->path, b->dir, b->path);
	for (n = 5; is_begun(b); n += 7) {
		pid_t child = fork();

		if (child == 0) {
			fault_set((struct fault){ .at = n, .dies = DIED });
			_exit(broker_try(b, false) == MQ_OK ? 0 : 1);
		}
		assert_int_equal(waitpid(child, &(int){ 0 }, 0), child);
	}
	broker_open(b);
	got = dump(b, false);
	assert_same(b, got, wants[1]);
	broker_close(b);
	assert_clean(b);
	free(wants[0]);
	free(wants[1]);
}

static void
a_call_that_fails_leaves_a_cut_that_goes_on(void **state)
{
	struct broker *b = *state;
	char *wants[2];
	mq_pos at;
	int rc = -1;

	prepare(b, 5, &at, wants);
	for (int n = 1; rc != MQ_OK; n += 3 * STEP) {
		AUTO_FREE char *got = NULL;

		sh("rm -rf %s && cp -r %s/before %s", b->path, b->dir, b->path);
		broker_open(b);
		fault_set((struct fault){ .at = n, .number = EIO });
		rc = offsets_cut(b->offsets, at, WHY);
		fault_none();
		broker_drop(b);
		broker_open(b);
		assert_int_equal(offsets_cut(b->offsets, at, WHY), MQ_OK);
		got = dump(b, false);
		assert_same(b, got, wants[1]);
		broker_close(b);
		assert_clean(b);
	}
	free(wants[0]);
	free(wants[1]);
}

/* --- what is shared ---------------------------------------------------------------------------- */

static void
what_a_snapshot_holds_is_not_touched(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *there = NULL, *got = NULL;
	mq_pos at;

	b->seed = 6;
	broker_open(b);
	live(b, 200);
	at = broker_written(b);
	there = dump(b, false);
	live(b, 100);
	sh("mkdir %s/held && ln %s/commitlog/* %s/held && cp -r %s/held %s/sums", b->dir, b->path, b->dir, b->dir,
	   b->dir);
	become_slave(b);
	assert_int_equal(offsets_cut(b->offsets, at, WHY), MQ_OK);
	sh("diff -r %s/held %s/sums", b->dir, b->dir);
	got = dump(b, false);
	assert_same(b, got, there);
	broker_close(b);
	sh("diff -r %s/held %s/sums", b->dir, b->dir);
	assert_clean(b);
}

/* --- where it may be cut ------------------------------------------------------------------------- */

static void
only_where_a_record_begins_can_it_be_cut(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = NULL, *got = NULL;
	struct queue_entry e;
	size_t n;

	b->seed = 7;
	broker_open(b);
	live(b, 50);
	become_slave(b);
	assert_int_equal(queue_entries(store_queue(b->store, META_TOPIC, 0), MQ_QOFF(2), &e, 1, &n), MQ_OK);
	want = dump(b, false);
	assert_int_equal(offsets_cut(b->offsets, pos_add(e.pos, 1), WHY), -EINVAL);
	assert_int_equal(offsets_cut(b->offsets, pos_add(broker_written(b), 1), WHY), -EINVAL);
	assert_int_equal(offsets_cut(b->offsets, MQ_POS(-5), WHY), -EINVAL);
	assert_int_equal(offsets_cut(b->offsets, broker_written(b), WHY), MQ_OK);
	got = dump(b, false);
	assert_same(b, got, want);
	assert_int_equal(offsets_cut(b->offsets, e.pos, WHY), MQ_OK);
	assert_int_equal(broker_written(b).byte, e.pos.byte);
	broker_close(b);
	assert_clean(b);
}

static void
all_of_it_can_be_cut(void **state)
{
	struct broker *b = *state;
	struct tail tail;

	b->seed = 8;
	broker_open(b);
	live(b, 150);
	become_slave(b);
	tail = tail_read(b, MQ_POS(0));
	assert_int_equal(offsets_cut(b->offsets, MQ_POS(0), WHY), MQ_OK);
	assert_int_equal(broker_written(b).byte, 0);
	assert_kept(b, &tail);
	assert_null(topic_next(b->offsets, ""));
	broker_close(b);
	assert_clean(b);
	broker_open(b);
	tail_append(b, &tail);
	broker_close(b);
	assert_clean(b);
	free(tail.bytes);
}

static void
a_log_that_is_too_old_begins_anew(void **state)
{
	struct broker *b = *state;
	struct epoch list[] = { { .number = 1, .start = MQ_POS(0) }, { .number = 2, .start = MQ_POS(SEGMENT) },
				{ .number = 3, .start = MQ_POS(10 * SEGMENT) } };
	struct epochs theirs = { .list = list, .n = 3 };
	struct epoch got[EPOCHS_MAX];
	struct tail tail, behind;

	b->seed = 9;
	broker_open(b);
	live(b, 400);
	become_slave(b);
	tail = tail_read(b, MQ_POS(0));
	assert_true(tail.to.byte > 4 * SEGMENT);
	behind = (struct tail){ .bytes = tail.bytes + 2 * SEGMENT, .from = MQ_POS(2 * SEGMENT), .to = tail.to };

	assert_int_equal(offsets_reset(b->offsets, MQ_POS(100), &theirs, WHY), -EINVAL);
	assert_int_equal(offsets_reset(b->offsets, behind.from, &theirs, WHY), MQ_OK);
	assert_int_equal(store_begin(b->store).byte, behind.from.byte);
	assert_int_equal(broker_written(b).byte, behind.from.byte);
	assert_int_equal(offsets_epochs(b->offsets, got, EPOCHS_MAX), 2);
	assert_kept(b, &tail);
	broker_close(b);			/* it still begins there */
	assert_clean(b);
	broker_open(b);
	assert_int_equal(broker_written(b).byte, behind.from.byte);
	assert_int_equal(offsets_epochs(b->offsets, got, EPOCHS_MAX), 2);
	tail_append(b, &behind);
	broker_close(b);
	assert_clean(b);
	free(tail.bytes);
}

static void
wherever_beginning_anew_dies_the_old_log_is_there(void **state)
{
	struct broker *b = *state;
	bool died = true;
	struct tail tail;
	mq_pos begin;
	int anew = 0;

	b->seed = 11;
	broker_open(b);
	live(b, 300);
	become_slave(b);
	tail = tail_read(b, MQ_POS(0));
	begin = MQ_POS(tail.to.byte - tail.to.byte % SEGMENT + 3 * SEGMENT);
	broker_close(b);
	sh("mv %s %s/before", b->path, b->dir);
	for (int n = 1; died; n++) {
		sh("rm -rf %s && cp -r %s/before %s", b->path, b->dir, b->path);
		died = change_and_die(b, begin, &begin, n);
		broker_open(b);
		assert_false(is_begun(b));
		if (broker_written(b).byte == begin.byte) {
			anew++;
			assert_kept(b, &tail);
		} else {
			struct tail now = tail_read(b, MQ_POS(0));

			assert_int_equal(now.to.byte, tail.to.byte);
			assert_memory_equal(now.bytes, tail.bytes, (size_t)tail.to.byte);
			free(now.bytes);
		}
		broker_close(b);
		assert_clean(b);
	}
	assert_true(anew > 5);
	free(tail.bytes);
}

static void
promote(struct broker *b)
{
	store_refuse(b->store, -EROFS);
	assert_int_equal(store_cut_torn(b->store, WHY), MQ_OK);
	assert_int_equal(offsets_promote(b->offsets), MQ_OK);
	b->settings.brokerRole = ASYNC_MASTER;
	offsets_promoted(b->offsets);
}

static void
a_record_that_came_in_part_is_cut_before_the_first_of_our_own(void **state)
{
	struct broker *b = *state;
	struct tail tail, part;
	struct epoch last;
	mq_pos at;

	b->seed = 10;
	broker_open(b);
	live(b, 60);
	at = broker_written(b);
	produce(b, "t", 0, 1, 500);
	become_slave(b);
	tail = tail_read(b, at);
	assert_int_equal(offsets_cut(b->offsets, at, WHY), MQ_OK);
	part = (struct tail){ .bytes = tail.bytes, .from = at, .to = pos_add(at, 300) };
	tail_append(b, &part);
	assert_int_equal(broker_written(b).byte, at.byte + 300);
	assert_int_equal(mark_at(store_dispatched(b->store)).byte, at.byte);

	store_refuse(b->store, -EROFS);
	assert_int_equal(store_append_raw(b->store, broker_written(b), "x", 1), -EROFS);
	promote(b);
	assert_int_equal(offsets_epochs(b->offsets, &last, 1), 1);
	assert_int_equal(last.start.byte, at.byte);
	sh("cd %s/lost+found && cmp -n 300 commitlog-%020" PRId64 " commitlog-%020" PRId64 ".2",
	   b->path, at.byte, at.byte);
	live(b, 30);
	broker_close(b);
	assert_clean(b);
	free(tail.bytes);
}

/* The link is cut there, of all places. */
static void
a_slave_whose_log_ends_with_a_segment_is_promoted_into_the_next_one(void **state)
{
	struct broker *b = *state;
	struct tail tail, again;
	struct epoch last;

	b->seed = 11;
	broker_open(b);
	do
		live(b, 20);
	while (broker_written(b).byte <= 2 * SEGMENT);
	tail = tail_read(b, MQ_POS(0));
	broker_close(b);
	sh("rm -rf %s", b->path);

	tail.to = MQ_POS(2 * SEGMENT);
	b->settings.brokerRole = SLAVE;
	broker_open(b);
	tail_append(b, &tail);
	promote(b);
	assert_int_equal(offsets_epochs(b->offsets, &last, 1), 1);
	assert_int_equal(last.start.byte, 2 * SEGMENT);
	live(b, 60);
	again = tail_read(b, MQ_POS(0));
	assert_memory_equal(again.bytes, tail.bytes, 2 * SEGMENT);
	broker_close(b);
	assert_clean(b);
	free(tail.bytes);
	free(again.bytes);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_cut_log_is_as_if_its_end_had_never_been),
		T(a_cut_store_is_the_same_after_a_restart),
		T(wherever_it_dies_the_next_mount_finishes_it),
		T(it_may_die_while_it_is_finished),
		T(a_call_that_fails_leaves_a_cut_that_goes_on),
		T(what_a_snapshot_holds_is_not_touched),
		T(only_where_a_record_begins_can_it_be_cut),
		T(all_of_it_can_be_cut),
		T(a_log_that_is_too_old_begins_anew),
		T(wherever_beginning_anew_dies_the_old_log_is_there),
		T(a_record_that_came_in_part_is_cut_before_the_first_of_our_own),
		T(a_slave_whose_log_ends_with_a_segment_is_promoted_into_the_next_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
