/* Taking a snapshot: NAME.new is filled, synced, and becomes NAME. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/commitlog_priv.h"
#include "store/file.h"
#include "store/snapshot_priv.h"
#include "store/store_priv.h"

/* --- id and time, which differ from those of every other snapshot -------------------------------------- */

static uint32_t
id_next(struct snapshots *ss)
{
	uint32_t id = ss->last_id;

	do
		id = id == SNAPSHOT_ID_MAX ? 1 : id + 1;
	while (snapshot_by_id(ss, id));
	return id;
}

/* rsync(1) tells files apart by their size and the second of their mtime: no two
 * snapshots have the same. */
static int64_t
time_next(const struct snapshots *ss)
{
	int64_t now = clock_wall_ms(), next = (ss->last_ms / 1000 + 1) * 1000;

	return ss->last_ms && now < next ? next : now;
}

/* The last segment of the newest snapshot is shown there with the time of that snapshot.
 * Once it is sealed it is shown with its own time; if that is in the same second, rsync(1)
 * takes the two for the same file.  So its time is set later, before a reader can see it. */
static int
tell_apart(struct snapshots *ss, struct store *s, const char *name, int64_t base, mq_pos mark)
{
	int64_t bytes = s->log.segment_bytes;
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = ss->last_ms / 1000 + 1 } };
	struct stat st;

	if (base != ss->last_mark.byte - ss->last_mark.byte % bytes || base + bytes > mark.byte)
		return MQ_OK;
	if (fstatat(s->commitlog_fd, name, &st, 0) != 0 || st.st_mtim.tv_sec > ss->last_ms / 1000)
		return MQ_OK;
	AUTO_CLOSE int fd = openat(s->commitlog_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || futimens(fd, times) != 0 || fsync(fd) != 0)
		return err_note(-errno, "commitlog/%s: %m", name);
	return MQ_OK;
}

/* --- beginning and giving up -------------------------------------------------------------- */

static void
draft_name(const struct draft *d, char name[RECORD_TOPIC_MAX + 8])
{
	snprintf(name, RECORD_TOPIC_MAX + 8, "%s" IN_MAKING, d->snapshot.name);
}

int
snapshot_lmdb_path(const struct snapshots *ss, const struct draft *d, char **ret)
{
	char name[RECORD_TOPIC_MAX + 8];

	draft_name(d, name);
	return asprintf(ret, "%s/snapshots/%s/lmdb", ss->dir->path, name) < 0 ? -ENOMEM : MQ_OK;
}

static void
draft_close(struct draft *d)
{
	int *const fds[] = { &d->dir_fd, &d->commitlog_fd, &d->lmdb_fd, &d->config_fd };

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		scope_close_fd(fds[i]);
		*fds[i] = -1;
	}
}

void
snapshot_abandon(struct snapshots *ss, struct draft *d)
{
	char name[RECORD_TOPIC_MAX + 8];
	int rc;

	draft_close(d);
	draft_name(d, name);
	rc = dir_remove(ss->fd, name);
	if (rc != MQ_OK)
		log_warn("what was begun of a snapshot stays until the next mount: %s", err_text(rc));
}

static int
make_dir(int dirfd, const char *name, int *ret_fd)
{
	if (mkdirat(dirfd, name, 0750) != 0)
		return err_note(-errno, "snapshots: %s: make directory: %m", name);
	return dir_open(dirfd, name, 0, ret_fd);
}

static int
draft_make(struct snapshots *ss, struct draft *d)
{
	char name[RECORD_TOPIC_MAX + 8];
	int rc;

	draft_name(d, name);
	rc = dir_remove(ss->fd, name);	/* a draft that could not be removed the last time */
	if (rc == MQ_OK)
		rc = make_dir(ss->fd, name, &d->dir_fd);
	if (rc == MQ_OK)
		rc = make_dir(d->dir_fd, "commitlog", &d->commitlog_fd);
	if (rc == MQ_OK)
		rc = make_dir(d->dir_fd, "lmdb", &d->lmdb_fd);
	if (rc == MQ_OK)
		rc = make_dir(d->dir_fd, "config", &d->config_fd);
	return rc;
}

int
snapshot_begin(struct snapshots *ss, const char *name, struct draft *ret_d)
{
	struct draft d = { .dir_fd = -1, .commitlog_fd = -1, .lmdb_fd = -1, .config_fd = -1 };
	int rc;

	if (!record_topic_valid(name, strlen(name)))
		return err_note(-EINVAL, "a snapshot cannot be called '%s': 1 to %d of [%%|a-zA-Z0-9_-]", name,
				RECORD_TOPIC_MAX);
	if (ss->dir->read_only || ss->fd < 0)
		return -EROFS;
	if (snapshot_find(ss, name))
		return -EEXIST;
	snprintf(d.snapshot.name, sizeof(d.snapshot.name), "%s", name);
	d.snapshot.id = id_next(ss);
	d.snapshot.taken_ms = time_next(ss);
	rc = draft_make(ss, &d);
	if (rc != MQ_OK) {
		snapshot_abandon(ss, &d);
		return rc;
	}
	*ret_d = d;
	return MQ_OK;
}

/* --- the log ---------------------------------------------------------------------------- */

static int
last_write(struct snapshots *ss, const struct snapshot *s)
{
	AUTO_CLOSE int fd = openat(ss->fd, LAST, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	char text[80];
	int rc;

	if (fd < 0)
		return err_note(-errno, "snapshots/%s: %m", LAST);
	snprintf(text, sizeof(text), "%08" PRIu32 " %019" PRId64 " %019" PRId64 "\n", s->id, s->taken_ms,
		 s->mark.byte);
	rc = file_write(fd, text, strlen(text), 0, LAST);
	if (rc == MQ_OK)
		rc = file_sync(fd, LAST);
	if (rc != MQ_OK)
		return rc;
	ss->last_id = s->id;
	ss->last_ms = s->taken_ms;
	ss->last_mark = s->mark;
	return MQ_OK;
}

/* The last segment is linked first: retention, which goes on meanwhile, removes the first ones,
 * so the segments that the snapshot lacks lie before its begin.  A segment that is missing in
 * the middle of the log is damage that the snapshot shares. */
int
snapshot_link(struct snapshots *ss, struct draft *d, struct store *s, mq_pos mark)
{
	int64_t bytes = s->log.segment_bytes;
	mq_pos base = commitlog_segment_of(&s->log, pos_add(mark, bytes - 1));
	struct snapshot *shot = &d->snapshot;
	int rc = MQ_OK;

	shot->mark = mark;
	shot->begin = commitlog_segment_of(&s->log, mark);
	shot->segment_bytes = bytes;
	while (rc == MQ_OK && base.byte > store_begin(s).byte) {
		char name[SEGMENT_NAME_SIZE];

		base = pos_add(base, -bytes);
		segment_name(base, name);
		if (linkat(s->commitlog_fd, name, d->commitlog_fd, name, 0) != 0) {
			if (errno == ENOENT)
				continue;
			if (errno == EXDEV)
				return err_note(-EXDEV, "snapshots/%s: a snapshot is hard links to segments, and the "
						"commit log lies on another file system than the store", shot->name);
			return err_note(-errno, "snapshots/%s/commitlog/%s: link: %m", shot->name, name);
		}
		shot->begin = base;
		rc = tell_apart(ss, s, name, base.byte, mark);
	}
	return rc == MQ_OK ? last_write(ss, shot) : rc;
}

/* --- keeping --------------------------------------------------------------------------------- */

static int
draft_write(const struct draft *d, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(d->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	if (fd < 0)
		return err_note(-errno, "snapshots/%s: %m", d->snapshot.name);
	return file_write(fd, text, strlen(text), 0, name);
}

static int
info_write(const struct draft *d)
{
	const struct snapshot *s = &d->snapshot;
	char text[INFO_BYTES_MAX];

	snprintf(text, sizeof(text),
		 "name = %s\nid = %" PRIu32 "\nbegin = %" PRId64 "\nmark = %" PRId64 "\n"
		 "segment = %" PRId64 "\ntime = %" PRId64 "\n",
		 s->name, s->id, s->begin.byte, s->mark.byte, s->segment_bytes, s->taken_ms);
	return draft_write(d, INFO_NAME, text);
}

static int
draft_open(const struct draft *d, const struct snapshot_file *f, int *ret_fd)
{
	int dir = strcmp(f->dir, "lmdb") == 0 ? d->lmdb_fd : *f->dir ? d->config_fd : d->dir_fd;

	*ret_fd = openat(dir, f->name, O_RDONLY | O_CLOEXEC);
	return *ret_fd < 0 ? err_note(-errno, "snapshots/%s/%s: %m", d->snapshot.name, f->name) : MQ_OK;
}

/* Sync the draft: files first, since then the directories cost next to nothing. */
static int
draft_sync(const struct draft *d)
{
	const int dirs[] = { d->commitlog_fd, d->lmdb_fd, d->config_fd, d->dir_fd };
	int rc = MQ_OK;

	for (const struct snapshot_file *f = snapshot_files; rc == MQ_OK && f->name; f++) {
		AUTO_CLOSE int fd = -1;

		rc = draft_open(d, f, &fd);
		if (rc == MQ_OK)
			file_sync_begin(fd);
	}
	for (const struct snapshot_file *f = snapshot_files; rc == MQ_OK && f->name; f++) {
		AUTO_CLOSE int fd = -1;

		rc = draft_open(d, f, &fd);
		if (rc == MQ_OK)
			rc = file_sync(fd, f->name);
	}
	for (size_t i = 0; rc == MQ_OK && i < sizeof(dirs) / sizeof(dirs[0]); i++)
		rc = dir_sync(dirs[i], d->snapshot.name);
	return rc;
}

/* Give the draft its name; s, which describes it, gets the lengths of its files. */
static int
draft_rename(struct snapshots *ss, const struct draft *d, struct snapshot *s)
{
	char name[RECORD_TOPIC_MAX + 8];
	int rc;

	draft_name(d, name);
	if (renameat(ss->fd, name, ss->fd, d->snapshot.name) != 0)
		return err_note(-errno, "snapshots/%s: rename: %m", d->snapshot.name);
	rc = snapshot_measure(ss, s);
	if (rc == MQ_OK)
		rc = dir_sync(ss->fd, "snapshots");
	if (rc != MQ_OK)
		renameat(ss->fd, d->snapshot.name, ss->fd, name);
	return rc;
}

int
snapshot_keep(struct snapshots *ss, struct draft *d, struct snapshot **ret)
{
	struct snapshot *s = malloc(sizeof(*s));
	int rc = s ? info_write(d) : -ENOMEM;

	if (rc == MQ_OK)
		rc = draft_write(d, ABORT_NAME, "snapshot\n");
	if (rc == MQ_OK)
		rc = draft_sync(d);
	if (rc == MQ_OK)
		rc = snapshots_make_room(ss);
	if (rc == MQ_OK)
		memcpy(s, &d->snapshot, sizeof(*s));
	if (rc == MQ_OK)
		rc = draft_rename(ss, d, s);
	if (rc != MQ_OK) {
		free(s);
		snapshot_abandon(ss, d);
		return rc;
	}
	draft_close(d);
	snapshots_add(ss, s);
	log_info("snapshot %s: the log up to %" PRId64, s->name, s->mark.byte);
	*ret = s;
	return MQ_OK;
}
