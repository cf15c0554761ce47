/* The list of snapshots; dropping one; opening its files. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/number.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/manifest.h"
#include "store/snapshot_priv.h"

#define DROPPED ".gone"

/* --- the list ------------------------------------------------------------------------- */

void
snapshots_add(struct snapshots *ss, struct snapshot *s)
{
	LOCKED(&ss->lock);
	ss->list[ss->n++] = s;
	ss->changed_ms = clock_wall_ms();
}

int
snapshots_make_room(struct snapshots *ss)
{
	LOCKED(&ss->lock);
	return ARRAY_ROOM(ss->list, ss->max, ss->n + 1);
}

struct snapshot *
snapshot_find(struct snapshots *ss, const char *name)
{
	LOCKED(&ss->lock);
	for (size_t i = 0; i < ss->n; i++)
		if (!ss->list[i]->gone && strcmp(ss->list[i]->name, name) == 0)
			return ss->list[i];
	return NULL;
}

struct snapshot *
snapshot_by_id(struct snapshots *ss, uint32_t id)
{
	LOCKED(&ss->lock);
	for (size_t i = 0; i < ss->n; i++)
		if (ss->list[i]->id == id)
			return ss->list[i];
	return NULL;
}

struct snapshot *
snapshot_at(struct snapshots *ss, size_t i)
{
	LOCKED(&ss->lock);
	for (size_t k = 0; k < ss->n; k++)
		if (!ss->list[k]->gone && i-- == 0)
			return ss->list[k];
	return NULL;
}

int64_t
snapshots_changed_ms(struct snapshots *ss)
{
	LOCKED(&ss->lock);
	return ss->changed_ms;
}

/* --- the file `snapshot` ------------------------------------------------------ */

/* One line of the info file.  False: a value should be a number and is not. */
static bool
info_line(const char *line, int64_t *ids, struct snapshot *s)
{
	const struct {
		const char *key;
		int64_t *at;
	} numbers[] = {
		{ "id = ", ids }, { "begin = ", &s->begin.byte }, { "mark = ", &s->mark.byte },
		{ "segment = ", &s->segment_bytes }, { "time = ", &s->taken_ms },
	};

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		if (text_begins(line, numbers[i].key))
			return text_number(line + strlen(numbers[i].key), 0, INT64_MAX, numbers[i].at);
	return true;
}

static int
info_read(struct snapshots *ss, const char *name, struct snapshot *s)
{
	char text[INFO_BYTES_MAX], *rest = text;
	AUTO_CLOSE int fd = -1;
	int64_t id = 0;
	ssize_t n;
	int rc;

	snprintf(s->name, sizeof(s->name), "%s", name);
	rc = snapshot_open_file(ss, s, INFO_NAME, &fd);
	if (rc != MQ_OK)
		return rc;
	n = pread(fd, text, sizeof(text) - 1, 0);
	if (n < 0)
		return err_note(-errno, "snapshots/%s: %m", name);
	text[n] = '\0';
	for (char *line; (line = strsep(&rest, "\n"));)
		if (!info_line(line, &id, s))
			return err_note(MQ_ECORRUPT, "snapshots/%s/" INFO_NAME ": cannot be understood: %s", name, line);
	if (id < 1 || id > SNAPSHOT_ID_MAX || s->segment_bytes < 1 || s->mark.byte < s->begin.byte ||
	    s->begin.byte % s->segment_bytes)
		return err_note(MQ_ECORRUPT, "snapshots/%s/" INFO_NAME ": impossible values", name);
	s->id = (uint32_t)id;
	return MQ_OK;
}

int
snapshot_measure(struct snapshots *ss, struct snapshot *s)
{
	for (size_t i = 0; snapshot_files[i].name; i++) {
		const struct snapshot_file *f = &snapshot_files[i];
		char path[SNAPSHOT_PATH_SIZE];
		AUTO_CLOSE int fd = -1;
		struct stat st;
		int rc;

		snapshot_file_path(f, path);
		rc = snapshot_open_file(ss, s, path, &fd);
		if (rc == -ENOENT && strcmp(f->name, ABORT_NAME) == 0) {
			s->file_bytes[i] = -1;
			continue;
		}
		if (rc != MQ_OK)
			return rc;
		if (fstat(fd, &st) != 0)
			return err_note(-errno, "snapshots/%s/%s: %m", s->name, path);
		s->file_bytes[i] = st.st_size;
	}
	return manifest_length(ss, s, &s->manifest_len);
}

/* --- the newest -------------------------------------------------------------------------- */

static void
last_is(struct snapshots *ss, const struct snapshot *s)
{
	if (s->id < ss->last_id)
		return;
	ss->last_id = s->id;
	ss->last_ms = s->taken_ms;
	ss->last_mark = s->mark;
}

static void
last_read(struct snapshots *ss)
{
	AUTO_CLOSE int fd = openat(ss->fd, LAST, O_RDONLY | O_CLOEXEC);
	long long ms, mark;
	char text[80] = "";
	struct snapshot s;

	if (fd >= 0 && pread(fd, text, sizeof(text) - 1, 0) > 0 &&
	    sscanf(text, "%" SCNu32 " %lld %lld", &s.id, &ms, &mark) == 3 && s.id <= SNAPSHOT_ID_MAX) {
		s.taken_ms = ms;
		s.mark = MQ_POS(mark);
		last_is(ss, &s);
	}
	for (size_t i = 0; i < ss->n; i++)
		last_is(ss, ss->list[i]);
}

/* --- opening -------------------------------------------------------------------------------- */

static int
by_id(const void *a, const void *b)
{
	const struct snapshot *const *sa = a, *const *sb = b;

	return ((*sa)->id > (*sb)->id) - ((*sa)->id < (*sb)->id);
}

static int
load_one(struct snapshots *ss, const char *name)
{
	AUTO_FREE struct snapshot *s = calloc(1, sizeof(*s));
	int rc = s ? snapshots_make_room(ss) : -ENOMEM;

	if (rc != MQ_OK || !record_topic_valid(name, strlen(name)))
		return rc;
	s->mark = MQ_POS(-1);
	rc = info_read(ss, name, s);
	if (rc == MQ_OK)
		rc = snapshot_measure(ss, s);
	if (rc == -ENOMEM)
		return rc;
	if (rc != MQ_OK) {
		log_warn("snapshot %s is not shown: %s", name, err_text(rc));
		return MQ_OK;
	}
	manifest_load(ss, s);
	ss->list[ss->n++] = take_ptr(s);
	return MQ_OK;
}

/* Load a snapshot, or remove a draft that a crash has left. */
static int
load_or_remove(int fd, const char *name, void *arg)
{
	struct snapshots *ss = arg;

	if (!ss->dir->read_only && name_ends_with(name, IN_MAKING)) {
		log_notice("snapshot %.*s was not finished: removed", (int)(strlen(name) - strlen(IN_MAKING)), name);
		return dir_remove(fd, name);
	}
	return load_one(ss, name);
}

static int
open_dir(struct snapshots *ss)
{
	ss->fd = openat(ss->dir->fd, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ss->fd >= 0)
		return MQ_OK;
	if (errno != ENOENT)
		return err_note(-errno, "snapshots: %m");
	return ss->dir->read_only ? MQ_OK : dir_open(ss->dir->fd, "snapshots", 1, &ss->fd);
}

int
snapshots_open(struct storedir *dir, struct snapshots **ret)
{
	struct snapshots *ss = calloc(1, sizeof(*ss));
	int rc;

	if (!ss)
		return -ENOMEM;
	ss->dir = dir;
	ss->fd = -1;
	lock_init(&ss->lock, RANK_SNAPSHOTS);
	rc = open_dir(ss);
	if (rc == MQ_OK && ss->fd >= 0)
		rc = dir_each(ss->fd, ".", load_or_remove, ss);
	if (rc != MQ_OK) {
		snapshots_close(ss);
		return rc;
	}
	if (ss->n)
		qsort(ss->list, ss->n, sizeof(struct snapshot *), by_id);
	if (ss->fd >= 0)
		last_read(ss);
	*ret = ss;
	return MQ_OK;
}

void
snapshots_close(struct snapshots *ss)
{
	if (!ss)
		return;
	for (size_t i = 0; i < ss->n; i++) {
		free(ss->list[i]->manifest);
		free(ss->list[i]);
	}
	free(ss->list);
	if (ss->fd >= 0)
		close(ss->fd);
	lock_destroy(&ss->lock);
	free(ss);
}

/* --- dropping one ---------------------------------------------------------------------------------- */

int
snapshot_drop(struct snapshots *ss, const char *name)
{
	struct snapshot *s;
	char gone[32];
	int rc;

	if (ss->dir->read_only)
		return -EROFS;
	s = snapshot_find(ss, name);
	if (!s)
		return -ENOENT;
	snprintf(gone, sizeof(gone), "%" PRIu32 DROPPED, s->id);
	if (renameat(ss->fd, name, ss->fd, gone) != 0)
		return err_note(-errno, "snapshots/%s: rename: %m", name);
	rc = dir_sync(ss->fd, "snapshots");
	LOCKED(&ss->lock);
	s->gone = true;
	ss->changed_ms = clock_wall_ms();
	return rc;
}

static int
sweep_gone(int fd, const char *name, void *arg)
{
	int rc = name_ends_with(name, DROPPED) ? dir_remove(fd, name) : MQ_OK;

	(void)arg;
	if (rc != MQ_OK)
		log_warn("snapshots/%s: %s; it is tried again", name, err_text(rc));
	return MQ_OK;
}

void
snapshots_sweep(struct snapshots *ss)
{
	if (!ss->dir->read_only && ss->fd >= 0)
		(void)dir_each(ss->fd, ".", sweep_gone, NULL);
}
