#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/err.h"
#include "store/direct.h"

#define ALIGN 4096		/* no disk has longer sectors */
#define PAGES (DIRECT_BYTES / ALIGN)

struct direct {
	int fd;			/* O_DIRECT; -1: this file system cannot */
	int cached_fd;		/* through the page cache */
	bool memory_first;
	unsigned char *buf;	/* window: bytes [base, base + len) */
	int64_t base;
	size_t len;
};

int
direct_open(int dirfd, const char *name, bool memory_first, struct direct **ret)
{
	struct direct *d = calloc(1, sizeof(*d));
	void *buf = NULL;
	int rc;

	if (!d)
		return -ENOMEM;
	d->memory_first = memory_first;
	d->cached_fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	rc = d->cached_fd < 0 ? err_note(-errno, "%s: %m", name) : -posix_memalign(&buf, ALIGN, DIRECT_BYTES);
	d->buf = buf;
	d->fd = rc == MQ_OK ? openat(dirfd, name, O_RDONLY | O_DIRECT | O_CLOEXEC) : -1;
	if (rc != MQ_OK) {
		direct_close(d);
		return rc;
	}
	(void)posix_fadvise(d->cached_fd, 0, 0, POSIX_FADV_RANDOM);	/* nothing more than asked for */
	*ret = d;
	return MQ_OK;
}

void
direct_close(struct direct *d)
{
	if (!d)
		return;
	if (d->fd >= 0)
		close(d->fd);
	if (d->cached_fd >= 0)
		close(d->cached_fd);
	free(d->buf);
	free(d);
}

/* How many of the window's pages are in memory?  The map is looked at, never read. */
static size_t
pages_cached(const struct direct *d, int64_t at)
{
	unsigned char in_memory[PAGES] = { 0 };
	void *map = mmap(NULL, DIRECT_BYTES, PROT_READ, MAP_SHARED, d->cached_fd, at);
	size_t n = 0;

	if (map == MAP_FAILED)
		return 0;
	if (mincore(map, DIRECT_BYTES, in_memory) == 0)
		for (size_t i = 0; i < PAGES; i++)
			n += in_memory[i] & 1;
	munmap(map, DIRECT_BYTES);
	return n;
}

static ssize_t
read_window(struct direct *d, int64_t at)
{
	size_t cached = d->fd < 0 || d->memory_first ? pages_cached(d, at) : 0;
	ssize_t n;

	if (d->fd >= 0 && !(d->memory_first && cached == PAGES)) {
		n = pread(d->fd, d->buf, DIRECT_BYTES, at);
		if (n >= 0 || errno != EINVAL)
			return n;
		close(d->fd);			/* it could be opened so, but not read */
		d->fd = -1;
	}
	n = pread(d->cached_fd, d->buf, DIRECT_BYTES, at);
	if (cached == 0)
		(void)posix_fadvise(d->cached_fd, at, DIRECT_BYTES, POSIX_FADV_DONTNEED);
	return n;
}

/* The window from `at` on, which is aligned.  A bad sector fails all that is read
 * with it: then in small pieces, up to there. */
static int
fill(struct direct *d, int64_t at)
{
	int fd = d->fd >= 0 ? d->fd : d->cached_fd;
	ssize_t n = read_window(d, at);

	d->base = at;
	d->len = n < 0 ? 0 : (size_t)n;
	while (n < 0 && errno == EIO && d->len < DIRECT_BYTES) {
		ssize_t more = pread(fd, d->buf + d->len, ALIGN, at + (int64_t)d->len);

		if (more <= 0)
			break;
		d->len += (size_t)more;
	}
	return n >= 0 || d->len > 0 ? MQ_OK : -errno;
}

ssize_t
direct_read(struct direct *d, void *buf, size_t len, int64_t at)
{
	size_t done = 0;

	while (done < len) {
		int64_t from = at + (int64_t)done;
		size_t n;

		if (from < d->base || from >= d->base + (int64_t)d->len) {
			int rc = fill(d, from & ~(int64_t)(ALIGN - 1));

			if (rc != MQ_OK && done == 0) {
				errno = -rc;
				return -1;
			}
			if (rc != MQ_OK || from >= d->base + (int64_t)d->len)
				break;
		}
		n = (size_t)(d->base + (int64_t)d->len - from);
		n = n > len - done ? len - done : n;
		memcpy((char *)buf + done, d->buf + (from - d->base), n);
		done += n;
	}
	return (ssize_t)done;
}
