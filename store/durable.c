#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/durable.h"
#include "store/file.h"
#include "store/storedir.h"

#define NAME "flushed"
#define DIGITS 20
#define BYTES (DIGITS + 1)

int
durable_open(int dirfd, int *ret_fd)
{
	AUTO_CLOSE int fd = openat(dirfd, NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	int rc;

	if (fd < 0)
		return err_note(-errno, NAME ": %m");
	rc = dir_sync(dirfd, NAME);
	if (rc == MQ_OK)
		*ret_fd = take_fd(&fd);
	return rc;
}

/* The position in the file; -1: there is none. */
static mq_pos
durable_read(int dirfd)
{
	AUTO_CLOSE int fd = openat(dirfd, NAME, O_RDONLY | O_CLOEXEC);
	char text[BYTES + 1] = "";

	if (fd < 0 || pread(fd, text, BYTES, 0) != BYTES || text[DIGITS] != '\n')
		return MQ_POS(-1);
	text[DIGITS] = '\0';
	return MQ_POS(name_number(text, DIGITS));
}

mq_pos
durable_promised(const struct storedir *dir, mq_pos checkpoint)
{
	mq_pos durable = durable_read(dir->fd);

	if (durable.byte < checkpoint.byte)
		durable = checkpoint;
	return dir->was_clean || durable.byte < 0 ? MQ_POS(INT64_MAX) : durable;
}

static int
write_pos(int fd, mq_pos pos)
{
	char text[BYTES + 1];

	snprintf(text, sizeof(text), "%020" PRId64 "\n", pos.byte);
	return file_write(fd, text, BYTES, 0, NAME);
}

void
durable_note(int fd, mq_pos pos)
{
	if (fd >= 0 && write_pos(fd, pos) != MQ_OK)
		err_clear();
}

int
durable_sync(int fd, mq_pos pos)
{
	int rc;

	if (fd < 0)
		return MQ_OK;
	rc = write_pos(fd, pos);
	return rc == MQ_OK ? file_sync(fd, NAME) : rc;
}
