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
	int fd;
	bool cached;		/* this file system reads through the page cache only */
	unsigned char *buf;	/* window: bytes [base, base + len) */
	int64_t base;
	size_t len;
};

int
direct_open(int dirfd, const char *name, struct direct **ret)
{
	struct direct *d = calloc(1, sizeof(*d));
	void *buf = NULL;
	int rc;

	if (!d)
		return -ENOMEM;
	d->fd = openat(dirfd, name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (d->fd < 0 && errno == EINVAL) {
		d->cached = true;
		d->fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	}
	rc = d->fd < 0 ? err_note(-errno, "%s: %m", name) : -posix_memalign(&buf, ALIGN, DIRECT_BYTES);
	d->buf = buf;
	if (rc != MQ_OK) {
		direct_close(d);
		return rc;
	}
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
	free(d->buf);
	free(d);
}

/* Is any of it in memory?  The map is looked at, never read. */
static bool
is_cached(const struct direct *d, int64_t at)
{
	unsigned char in_memory[PAGES] = { 0 };
	void *map = mmap(NULL, DIRECT_BYTES, PROT_READ, MAP_SHARED, d->fd, at);
	bool any = true;

	if (map == MAP_FAILED)
		return true;
	if (mincore(map, DIRECT_BYTES, in_memory) == 0)
		any = memchr(in_memory, 1, sizeof(in_memory));
	munmap(map, DIRECT_BYTES);
	return any;
}

static ssize_t
read_and_drop(struct direct *d, int64_t at)
{
	bool keep = is_cached(d, at);
	ssize_t n = pread(d->fd, d->buf, DIRECT_BYTES, at);

	if (!keep)
		(void)posix_fadvise(d->fd, at, DIRECT_BYTES, POSIX_FADV_DONTNEED);
	return n;
}

/* The window from `at` on, which is aligned.  A bad sector fails all that is read
 * with it: then in small pieces, up to there. */
static int
fill(struct direct *d, int64_t at)
{
	ssize_t n = d->cached ? read_and_drop(d, at) : pread(d->fd, d->buf, DIRECT_BYTES, at);

	d->base = at;
	d->len = 0;
	if (n < 0 && errno == EINVAL && !d->cached) {	/* it could be opened so, but not read */
		d->cached = true;
		n = fcntl(d->fd, F_SETFL, 0) < 0 ? -1 : read_and_drop(d, at);
	}
	while (n < 0 && errno == EIO && d->len < DIRECT_BYTES) {
		ssize_t more = pread(d->fd, d->buf + d->len, ALIGN, at + (int64_t)d->len);

		if (more <= 0)
			break;
		d->len += (size_t)more;
	}
	if (n < 0)
		return d->len > 0 ? MQ_OK : -errno;
	d->len = (size_t)n;
	return MQ_OK;
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
