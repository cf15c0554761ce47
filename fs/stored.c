#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "fs/stored.h"

struct stored {
	int fd;
	int32_t backing_id;
};

int
stored_open(struct mount *m, int fd, bool finished, struct handle *h)
{
	struct stored *f = calloc(1, sizeof(*f));

	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	f->fd = fd;
	h->fopen = FOPEN_DIRECT_IO | FOPEN_NOFLUSH;
	if (finished && passthrough_open(m, h->node.ino, fd, &f->backing_id) == MQ_OK) {
		h->fopen = FOPEN_PASSTHROUGH | FOPEN_NOFLUSH;
		h->backing_id = f->backing_id;
	} else if (finished && !m->passthrough) {	/* the kernel does not mix the two */
		h->fopen = FOPEN_KEEP_CACHE | FOPEN_NOFLUSH;
	}
	h->own = f;
	return MQ_OK;
}

void
stored_release(struct mount *m, struct handle *h)
{
	struct stored *f = h->own;

	passthrough_close(m, f->backing_id);
	close(f->fd);
	free(f);
}

/* Less than asked only where the stored file is shorter than it should be. */
static int
fill(const struct stored *f, char *buf, size_t size, off_t off, int64_t data_bytes, size_t *ret_n)
{
	size_t from_file = 0;
	ssize_t n = 0;

	if (off < data_bytes)
		from_file = (int64_t)size < data_bytes - off ? size : (size_t)(data_bytes - off);
	if (from_file)
		n = pread(f->fd, buf, from_file, off);
	if (n < 0)
		return -errno;
	*ret_n = (size_t)n;
	if ((size_t)n < from_file)
		return MQ_OK;
	memset(buf + n, 0, size - (size_t)n);
	*ret_n = size;
	return MQ_OK;
}

void
stored_read_whole(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	(void)m;
	stored_read(req, h, size, off, INT64_MAX, INT64_MAX);
}

void
stored_read(fuse_req_t req, struct handle *h, size_t size, off_t off, int64_t data_bytes,
	    int64_t size_bytes)
{
	int64_t left = off < size_bytes ? size_bytes - off : 0;
	char path[NODE_PATH_SIZE];
	AUTO_FREE char *buf = NULL;
	size_t n = 0;
	int rc;

	if ((int64_t)size > left)
		size = (size_t)left;
	buf = malloc(size + 1);
	rc = buf ? fill(h->own, buf, size, off, data_bytes, &n) : -ENOMEM;
	if (rc == MQ_OK) {
		reply_data(req, buf, n);
		return;
	}
	node_path(&h->node, path);
	reply_err(req, err_note(rc, "%s: read at %jd: %s", path, (intmax_t)off, strerror(-rc)));
}
