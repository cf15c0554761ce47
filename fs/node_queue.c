/* topics/T/qN, and every name with options below topics/T. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/err.h"
#include "fs/closing.h"
#include "fs/framing.h"
#include "fs/name.h"
#include "fs/open_queue.h"

#define FINISHED_ATTR_SECONDS 3600.0

/* Was the log never cut since the mount, so that what the kernel has cached of finished ranges is still true? */
static bool
never_cut(struct mount *m)
{
	return store_steady(m->store).byte == INT64_MAX;
}

/* --- attributes ------------------------------------------------------------------------ */

/* The size of a file that was opened before the queue's head was trimmed: it still begins at its old byte 0. */
static void
show_old_size(struct mount *m, const struct node *n, enum topic_format format, int64_t *size)
{
	struct queue *q;

	if (n->kind == NODE_QUEUE && framing_per_message(format) >= 0 &&
	    node_find_queue(m, n, &q) == MQ_OK &&
	    node_head_moves(n, q) != queue_head_moves(q))
		(void)queue_old_size(q, node_head_moves(n, q), framing_per_message(format), size);
}

static int
queue_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct view_spec spec = { .topic = n->topic };
	struct name name;
	struct view *v;
	int64_t size = 0;
	int rc;

	closing_wait(m->closing);
	rc = open_queue_name(n, &name);
	if (rc != MQ_OK)
		return rc;
	spec.all = name.all;
	spec.queue = name.queue;
	spec.from = name.from;
	spec.to = name.to;
	spec.format = open_queue_format(m, n->topic, &name);
	if (!name_filters(&name))	/* a filtered file has size 0, as files of /proc: its length is not known */
		rc = view_open(m, &spec, &v);
	if (rc == MQ_OK && !name_filters(&name)) {
		rc = view_size(v, &size);
		if (rc == MQ_OK && never_cut(m) && name.to.kind == POINT_NUMBER && view_is_finished(v))
			*ret_timeout = FINISHED_ATTR_SECONDS;
		view_close(v);
	}
	if (rc != MQ_OK && rc != MQ_EGONE && rc != -EIO)
		return rc;
	show_old_size(m, n, spec.format, &size);
	open_queue_stat(m, n, &name, size, st);
	return MQ_OK;
}

/* --- xattrs ------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	bool end;
} xattrs[] = {
	{ "user.mqfs.min_offset", false },
	{ "user.mqfs.max_offset", true },
};

static int
queue_get_xattr(struct mount *m, const struct node *n, const char *name, struct text *t)
{
	for (size_t i = 0; i < sizeof(xattrs) / sizeof(xattrs[0]); i++) {
		struct queue_span span;
		struct name parsed;
		struct queue *q;
		int rc;

		if (strcmp(name, xattrs[i].name) != 0)
			continue;
		rc = open_queue_name(n, &parsed);
		if (rc == MQ_OK && parsed.all)
			return -ENODATA;
		if (rc == MQ_OK)
			rc = topic_queue(m->offsets, n->topic, parsed.queue, &q);
		if (rc != MQ_OK)
			return rc;
		queue_span(q, &span);
		text_printf(t, "%" PRId64, xattrs[i].end ? span.end.n : span.min.n);
		return MQ_OK;
	}
	return -ENODATA;
}

static int
queue_list_xattr(struct mount *m, const struct node *n, struct text *t)
{
	(void)m;
	(void)n;
	for (size_t i = 0; i < sizeof(xattrs) / sizeof(xattrs[0]); i++)
		text_add(t, xattrs[i].name, strlen(xattrs[i].name) + 1);
	return MQ_OK;
}

/* --- opening ------------------------------------------------------------------------------- */

/* A closed range whose end is reached never changes, so the kernel may cache it.  The kernel reads no further than
 * the size it was told; if damage makes the size unknown, each read must come to the broker. */
static void
keep_if_finished(struct mount *m, const struct name *name, struct handle *h)
{
	struct open_queue *oq = h->own;
	int64_t size;

	if (oq->appends || name_filters(name) || !never_cut(m) ||
	    name->from.kind != POINT_NUMBER || name->to.kind != POINT_NUMBER ||
	    !view_is_finished(oq->view) || view_size(oq->view, &size) != MQ_OK)
		return;
	h->fopen &= ~(uint32_t)FOPEN_DIRECT_IO;
	h->fopen |= FOPEN_KEEP_CACHE;
}

/* The kernel caches names for a while.  If the head has moved since the look-up, ESTALE makes the kernel look the
 * name up again, and open the new inode.  It does so only once per open, so an open that only appends, which may
 * use the old inode as well, does not ask for it. */
static int
check_head(struct mount *m, const struct node *n, const struct handle *h)
{
	struct queue *q;
	int rc;

	if (n->kind != NODE_QUEUE || (!handle_reads(h) && (h->flags & O_APPEND)))
		return MQ_OK;
	rc = node_find_queue(m, n, &q);
	if (rc == MQ_OK && node_head_moves(n, q) != queue_head_moves(q))
		return -ESTALE;
	return rc;
}

static int
queue_open(struct mount *m, const struct node *n, struct handle *h)
{
	struct name name;
	int rc;

	rc = check_head(m, n, h);
	if (rc == MQ_OK)
		rc = open_queue_name(n, &name);
	if (rc == MQ_OK)
		rc = open_queue_topic(m, n, &name, h);
	if (rc == MQ_OK)
		keep_if_finished(m, &name, h);
	return rc;
}

const struct node_class node_queue = {
	.attr = queue_attr,
	.set_attr = node_set_owner,
	.get_xattr = queue_get_xattr,
	.list_xattr = queue_list_xattr,
	.open = queue_open,
	.resume = open_queue_resume,
	.read = open_queue_read,
	.write = open_queue_write,
	.fsync = open_queue_fsync,
	.flush = open_queue_flush,
	.release = open_queue_release,
	.poll = open_queue_poll,
};
