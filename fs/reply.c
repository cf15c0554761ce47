#include "config.h"

#include <errno.h>
#include <stdatomic.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "fs/reply.h"

/* Errors that explain themselves: nothing is logged unless there is a note. */
static bool
error_is_ordinary(int err)
{
	static const int ordinary[] = {
		ENOENT, EPERM,	EACCES, EAGAIN,	   EINTR,  EEXIST,  ENOTDIR, EISDIR, ENODATA, ENOTTY,
		EBUSY,	ERANGE, ESTALE, ENOTEMPTY, EROFS, ENOTSUP, ENOSYS, ENAMETOOLONG,
	};

	for (size_t i = 0; i < sizeof(ordinary) / sizeof(ordinary[0]); i++)
		if (ordinary[i] == err)
			return true;
	return false;
}

/* Lines of this second.  Two threads may both see that a second begins: then a line more or less is logged. */
static struct {
	_Atomic int64_t second;
	_Atomic int lines;
} logged;

/* May one more line be logged in this second?  *ret_more: how many lines of the second before were not
 * logged. */
static bool
may_log(int *ret_more)
{
	int64_t second = clock_mono_ms() / 1000;
	int before = 0;

	if (atomic_exchange(&logged.second, second) != second)
		before = atomic_exchange(&logged.lines, 0);
	*ret_more = before > REPLY_LINES ? before - REPLY_LINES : 0;
	return atomic_fetch_add(&logged.lines, 1) < REPLY_LINES;
}

static void
log_refusal(fuse_req_t req, int rc)
{
	int more;
	bool may = may_log(&more);

	if (more > 0)
		log_notice("%d more requests were refused: too many to log", more);
	if (may)
		log_notice("pid %d: %s", (int)fuse_req_ctx(req)->pid, err_text(rc));
}

void
reply_err(fuse_req_t req, int rc)
{
	int err = err_to_errno(rc);

	if (err && (err_is_noted(rc) || !error_is_ordinary(err)))
		log_refusal(req, rc);
	err_clear();		/* the note was about this request */
	fuse_reply_err(req, err);
}

int
reply_data(fuse_req_t req, const void *buf, size_t len)
{
	return fuse_reply_buf(req, buf, len);
}

void
reply_slice(fuse_req_t req, const void *buf, size_t len, size_t size, off_t off)
{
	size_t left = off >= 0 && (size_t)off < len ? len - (size_t)off : 0;

	reply_data(req, left ? (const char *)buf + off : NULL, left < size ? left : size);
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
