#include "config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "fs/logged.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/session.h"
#include "fs/text.h"

/* Room for more bytes and a NUL behind them.  False: no memory, which t->err remembers. */
static bool
text_reserve(struct text *t, size_t more)
{
	if (t->err == MQ_OK)
		t->err = ARRAY_ROOM(t->buf, t->size, t->len + more + 1);
	return t->err == MQ_OK;
}

void
text_add(struct text *t, const void *bytes, size_t len)
{
	if (!text_reserve(t, len))
		return;
	if (len)
		memcpy(t->buf + t->len, bytes, len);
	t->len += len;
	t->buf[t->len] = '\0';
}

void
text_printf(struct text *t, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (len < 0 || !text_reserve(t, (size_t)len))
		return;
	va_start(ap, fmt);
	vsnprintf(t->buf + t->len, (size_t)len + 1, fmt, ap);
	va_end(ap);
	t->len += (size_t)len;
}

void
text_free(struct text *t)
{
	free(t->buf);
	*t = (struct text){ 0 };
}

/* Put bytes at a place, as pwrite(2) does: a gap is filled with zeros. */
static int
text_put(struct text *t, const char *buf, size_t size, size_t off)
{
	if (off > TEXT_MAX_BYTES || size > TEXT_MAX_BYTES - off)
		return -EFBIG;
	if (off + size > t->len) {
		if (!text_reserve(t, off + size - t->len))
			return -ENOMEM;
		memset(t->buf + t->len, 0, off + size - t->len);
		t->len = off + size;
	}
	memcpy(t->buf + off, buf, size);
	t->buf[t->len] = '\0';
	return MQ_OK;
}

static int
text_render(struct mount *m, const struct node *n, struct text *t)
{
	int rc;

	if (!n->class->render)
		return MQ_OK;
	rc = n->class->render(m, n, t);
	return rc != MQ_OK ? rc : t->err;
}

int
text_length(struct mount *m, const struct node *n, off_t *ret_len)
{
	struct text t = { 0 };
	int rc = text_render(m, n, &t);

	if (rc == MQ_OK)
		*ret_len = (off_t)t.len;
	text_free(&t);
	return rc;
}

int
text_open(struct mount *m, const struct node *n, struct handle *h)
{
	int rc;

	if (handle_writes(h) && !n->class->accept)
		return -EACCES;
	rc = n->class->may_open ? n->class->may_open(m, n, h) : MQ_OK;
	if (rc != MQ_OK)
		return rc;
	h->fopen = FOPEN_DIRECT_IO;
	if (!handle_writes(h) || n->class->accept_when == TEXT_COMMAND)
		h->fopen |= FOPEN_NOFLUSH;
	if (handle_reads(h)) {
		rc = text_render(m, n, &h->text);
		if (rc != MQ_OK)
			return rc;
	}
	/* a whole text that is not truncated at open is edited: it starts as it is */
	if (handle_writes(h) && n->class->accept_when == TEXT_WHOLE && !(h->flags & O_TRUNC)) {
		rc = text_render(m, n, &h->written);
		if (rc != MQ_OK)
			return rc;
	}
	h->dirty = handle_writes(h) && (h->flags & O_TRUNC) && n->class->accept_when == TEXT_WHOLE;
	return MQ_OK;
}

void
text_read(fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	LOCKED(&h->lock);

	reply_slice(req, h->text.buf, h->text.len, size, off);
}

/* If the text is kept in the log: does this broker have enough slaves to change it? */
static int
text_allowed(const struct mount *m, const struct handle *h)
{
	return node_is_logged(&h->node) ? slaves_suffice(m) : MQ_OK;
}

/* What check() says of the lines that are whole by now. */
static int
text_check(struct mount *m, struct handle *h)
{
	const struct node_class *class = h->node.class;
	int rc = text_allowed(m, h);

	if (rc != MQ_OK)
		return rc;
	if (!class->check || !h->written.len || h->written.buf[h->written.len - 1] != '\n')
		return MQ_OK;
	return node_note(&h->node, NULL, class->check(m, &h->node, h->written.buf, h->written.len));
}

static int
text_collect(struct mount *m, struct handle *h, const char *buf, size_t size, off_t off)
{
	size_t at = (h->flags & O_APPEND) ? h->written.len : (size_t)off;
	size_t before = h->written.len;
	int rc;

	rc = text_put(&h->written, buf, size, at);
	if (rc != MQ_OK)
		return rc;
	rc = text_check(m, h);
	if (rc != MQ_OK) {	/* write(2) returns the error, so close(2) must not */
		h->written.len = before;
		h->dirty = false;
		return rc;
	}
	h->dirty = true;
	return MQ_OK;
}

/* --- commands that come again --------------------------------------------------------- */

/* How many bytes repeat the commands whose wait has failed: these are not run again.  Others may follow
 * them in the same write if a line ends there.  0, too, if a cut of the log has undone them. */
static size_t
known_again(const struct mount *m, const struct handle *h, const char *buf, size_t size)
{
	size_t known;

	if (!h->retry || h->retry->end > store_steady(m->store).byte)
		return 0;
	known = retry_match(h->retry, buf, size, RETRY_APPENDED, false);
	return known == size || (known > 0 && buf[known - 1] == '\n') ? known : 0;
}

/* Run commands that are kept in the log, unless they repeat those whose wait has failed (retry.h):
 * "+5" is no offset, and a message that is sent back comes once. */
static int
run_logged(struct mount *m, struct handle *h, const char *buf, size_t size, struct logged *l)
{
	size_t known;
	int rc = MQ_OK;

	MUST_HOLD(&h->lock);
	if (l->needs && !h->retry) {
		h->retry = calloc(1, sizeof(*h->retry));
		if (!h->retry)
			return -ENOMEM;
	}
	retry_take_over(h->retry, &h->waited);
	known = known_again(m, h, buf, size);
	if (known < size)
		rc = h->node.class->accept(m, &h->node, buf + known, size - known);
	if (rc == MQ_OK && h->retry)
		retry_begin(h->retry, session_request(), buf, size, RETRY_APPENDED, offsets_logged(m->offsets).byte);
	l->again |= known > 0;
	return rc;
}

static void
command_waited(struct handle *h, uint64_t request, int rc)
{
	retry_leave(&h->waited, request, rc == MQ_OK);
}

static void
command_synced(struct handle *h, uint64_t request, int rc)
{
	if (rc == MQ_OK)
		retry_confirm(&h->waited, request);
}

struct pending_end
text_fsync_end(struct handle *h)
{
	struct pending_end who = { .h = h };

	LOCKED(&h->lock);
	retry_take_over(h->retry, &h->waited);
	who.request = retry_failed(h->retry);
	who.ended = who.request ? command_synced : NULL;
	return who;
}

void
text_fsync(struct mount *m, fuse_req_t req, struct handle *h)
{
	const struct pending_end who = text_fsync_end(h);

	pending_park_durable_of(m->pending, req, &who, mark_at(store_written(m->store)), -1, pending_needs_of_fsync(m));
}

/* --- writing ------------------------------------------------------------------------------ */

void
text_write(struct mount *m, fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off, int flags)
{
	bool at_once = h->node.class->accept_when == TEXT_COMMAND, logs = at_once && node_is_logged(&h->node);
	struct logged l;
	const struct pending_end who = { .h = h, .request = session_request(), .ended = command_waited };
	int rc = logs ? logged_begin(m, &l) : MQ_OK;

	if (rc == MQ_OK && logs)
		l.needs |= pending_needs_of_write(m, flags);
	lock_take(&h->lock);
	if (rc == MQ_OK && logs)
		rc = run_logged(m, h, buf, size, &l);
	else if (rc == MQ_OK && at_once)
		rc = h->node.class->accept(m, &h->node, buf, size);
	else if (rc == MQ_OK)
		rc = text_collect(m, h, buf, size, off);
	lock_drop(&h->lock);
	if (rc != MQ_OK) {
		reply_err(req, node_note(&h->node, NULL, rc));
	} else if (logs) {
		logged_reply_written(m, req, &l, &who, size);
	} else {
		fuse_reply_write(req, size);
	}
}

int
text_truncate(struct handle *h, off_t size)
{
	LOCKED(&h->lock);

	if (size < 0 || size > TEXT_MAX_BYTES)
		return -EFBIG;
	if (h->node.class->accept_when == TEXT_COMMAND)
		return MQ_OK;
	if ((size_t)size > h->written.len)
		return text_put(&h->written, "", 0, (size_t)size);
	h->written.len = (size_t)size;
	h->dirty = true;
	return MQ_OK;
}

/* An empty text without a write (`: > config`) changes nothing. */
int
text_flush(struct mount *m, struct handle *h)
{
	int rc;

	LOCKED(&h->lock);
	if (!h->dirty || !h->written.len)
		return MQ_OK;
	h->dirty = false;
	rc = text_allowed(m, h);
	return rc == MQ_OK ? h->node.class->accept(m, &h->node, h->written.buf, h->written.len) : rc;
}

void
text_close(struct mount *m, fuse_req_t req, struct handle *h)
{
	struct logged l = logged_now(m);
	int rc = text_flush(m, h);

	if (rc != MQ_OK || !node_is_logged(&h->node)) {
		reply_err(req, rc);
		return;
	}
	l.needs |= pending_needs_of_write(m, h->flags);
	logged_reply_ok(m, req, &l, &h->node);
}
