/* The first bytes of a part that log shippers have seen: byteindex/T/Q/.part-NUMBER.
 *
 * The file cannot be made again from the log.  Its name begins with a dot, so queues_wipe() and
 * the checks of fsck.mqfs pass over it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/queues.h"

#define PREFIX ".part-"

struct part_path {
	char dir[RECORD_TOPIC_MAX + 16], file[RECORD_TOPIC_MAX + 48];
};

static struct part_path
path_of(const struct queue *q, int64_t part)
{
	struct part_path p;

	snprintf(p.dir, sizeof(p.dir), "%s/%" PRId32, q->topic, q->id);
	snprintf(p.file, sizeof(p.file), "%s/%" PRId32 "/" PREFIX "%" PRId64, q->topic, q->id, part);
	return p;
}

size_t
queue_part_head(struct queue *q, int64_t part, void *buf)
{
	const struct part_path p = path_of(q, part);
	AUTO_CLOSE int fd = openat(q->all->byteindex_fd, p.file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, QUEUE_PART_HEAD_BYTES, 0);

	return n > 0 ? (size_t)n : 0;
}

/* A new part has begun: remove the kept heads of parts that are gone. */
static void
forget_old(struct queue *q, const char *dir)
{
	int64_t first = queue_min(q).n / QUEUE_PART_MESSAGES;
	DIR *d = dir_names(q->all->byteindex_fd, dir);
	const struct dirent *e;

	if (!d)
		return;
	while ((e = readdir(d)))
		if (text_begins(e->d_name, PREFIX) &&
		    strtoll(e->d_name + strlen(PREFIX), NULL, 10) < first)
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
}

void
queue_keep_part_head(struct queue *q, int64_t part, const void *buf, size_t len)
{
	const struct part_path p = path_of(q, part);
	int dirfd = q->all->byteindex_fd;
	AUTO_CLOSE int fd = openat(dirfd, p.file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		mkdirat(dirfd, q->topic, 0750);
		mkdirat(dirfd, p.dir, 0750);
		fd = openat(dirfd, p.file, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
		forget_old(q, p.dir);
	}
	if (fd >= 0)
		(void)file_write(fd, buf, len, 0, p.file);
}
