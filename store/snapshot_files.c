/* The files of one snapshot. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/snapshot_priv.h"

const struct snapshot_file snapshot_files[SNAPSHOT_FILES + 1] = {
	{ "config", "consumerOffset.json" },
	{ "config", "delayOffset.json" },
	{ "config", "subscriptionGroup.json" },
	{ "config", "topics.json" },
	{ "lmdb", "data.mdb" },
	{ "", ABORT_NAME },	/* missing in snapshots of older versions */
	{ "", INFO_NAME },
	{ NULL, NULL },
};

void
snapshot_file_path(const struct snapshot_file *f, char path[SNAPSHOT_PATH_SIZE])
{
	snprintf(path, SNAPSHOT_PATH_SIZE, "%s%s%s", f->dir, *f->dir ? "/" : "", f->name);
}

void
snapshot_segment_path(int64_t base, char path[SNAPSHOT_PATH_SIZE])
{
	snprintf(path, SNAPSHOT_PATH_SIZE, "commitlog/%020" PRId64, base);
}

int64_t
snapshot_segment_data(const struct snapshot *s, int64_t base)
{
	int64_t data = s->mark.byte - base;

	return data < 0 ? 0 : data < s->segment_bytes ? data : s->segment_bytes;
}

int
snapshot_open_file(struct snapshots *ss, const struct snapshot *s, const char *path, int *ret_fd)
{
	char whole[RECORD_TOPIC_MAX + SNAPSHOT_PATH_SIZE];
	AUTO_CLOSE int fd = -1;

	snprintf(whole, sizeof(whole), "%s/%s", s->name, path);
	fd = openat(ss->fd, whole, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return err_note(-errno, "snapshots/%s: %m", whole);
	if (s->gone)		/* asked last: the file may be of a newer snapshot with the same name */
		return -ENOENT;
	*ret_fd = take_fd(&fd);
	return MQ_OK;
}
