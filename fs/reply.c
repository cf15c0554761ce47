#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/err.h"
#include "conf/log.h"
#include "fs/reply.h"

/* Errors that a user meets on ordinary days, or whose name says it all. */
static bool
error_speaks_for_itself(int err)
{
	static const int plain[] = {
		ENOENT, EPERM, EACCES, EAGAIN, EINTR, EEXIST, ENOTDIR, EISDIR, ENODATA, ENOTTY, EBUSY,
		EROFS, ENOTEMPTY, ESTALE, ERANGE, ENOTSUP, ENOSYS, EMSGSIZE, ETIMEDOUT, EREMOTE,
	};

	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		if (plain[i] == err)
			return true;
	return false;
}

void
reply_err(fuse_req_t req, int rc)
{
	int err = err_to_errno(rc);

	if (err && !error_speaks_for_itself(err))
		log_notice("pid %d: %s", (int)fuse_req_ctx(req)->pid, err_text(rc));
	fuse_reply_err(req, err);
}

int
reply_written(fuse_req_t req, size_t n)
{
	return fuse_reply_write(req, n);
}

int
reply_data(fuse_req_t req, const void *buf, size_t len)
{
	return fuse_reply_buf(req, buf, len);
}

int
reply_slice(fuse_req_t req, const void *buf, size_t len, size_t size, off_t off)
{
	size_t left;

	if (off < 0 || (size_t)off >= len)
		return reply_data(req, NULL, 0);
	left = len - (size_t)off;
	return reply_data(req, (const char *)buf + off, left < size ? left : size);
}

void
reply_node_attr(struct mount *m, fuse_req_t req, const struct node *n)
{
	struct stat st;
	double timeout;
	int rc;

	rc = node_attr(m, n, &st, &timeout);
	if (rc != MQ_OK)
		reply_err(req, rc);
	else
		fuse_reply_attr(req, &st, timeout);
}

int
reply_open(fuse_req_t req, struct handle *h)
{
	struct kernel_open_out out = {
		.fh = h->number,
		.open_flags = h->fopen,
		.backing_id = h->backing_id,
	};

	return reply_data(req, &out, sizeof(out));
}
