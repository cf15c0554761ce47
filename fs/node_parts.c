/* topics/T/qN.parts/: a queue in files as of a log rotator, for log shippers; not listed.
 *
 *   00000000000000000000    messages 0 to 65,535                      full
 *   00000000000000065536    messages 65,536 to 131,071                full
 *   00000000000000131072    messages 131,072 to the queue's end       grows
 *
 * A part is named by the number of its first message.  A full one never changes: its inode, its
 * size and its time (the store time of its last message) stay, and the kernel keeps its pages.
 * A part is removed with its last message.  When retention has removed some of its messages, the
 * others keep their places.  In their stead are empty lines (lines), or reads fail with ESTALE (raw,
 * len32).  The first bytes of a part of lines, once read, stay as they were: by these log shippers
 * recognize a file after their restart, and without them would take it for a new one.  The length of
 * removed json is not known: such a part begins with the first message that is left, and the kernel
 * does not cache it.
 *
 * A part whose topic has got another format is another file: its inode number holds the format.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "fs/framing.h"
#include "fs/handle.h"
#include "fs/node_parts.h"
#include "fs/open_queue.h"
#include "fs/reply.h"
#include "fs/scratch.h"
#include "fs/view.h"
#include "store/file.h"

#define NAME_DIGITS 20
#define FORMAT_BITS 2
#define NUMBER_MASK (NODE_PART_MASK >> FORMAT_BITS)	/* what an inode number holds of a part's */

fuse_ino_t
node_part_ino(uint32_t topic, uint32_t queue, int64_t number, enum topic_format format)
{
	return node_ino(NODE_PART, topic, queue,
			((uint32_t)number & NUMBER_MASK) << FORMAT_BITS | (uint32_t)format);
}

void
node_part_name(int64_t number, char name[NODE_PART_NAME_SIZE])
{
	snprintf(name, NODE_PART_NAME_SIZE, "%0*" PRId64, NAME_DIGITS, number * QUEUE_PART_MESSAGES);
}

/* The parts of a queue: numbers [first, end) have messages. */
struct parts {
	struct queue *q;
	struct queue_span span;
	int64_t first, end;
};

static int
parts_find(struct mount *m, const struct node *n, struct parts *ret)
{
	int rc = node_find_queue(m, n, &ret->q);

	if (rc != MQ_OK)
		return rc;
	queue_span(ret->q, &ret->span);
	ret->first = ret->span.min.n / QUEUE_PART_MESSAGES;
	ret->end = (ret->span.end.n + QUEUE_PART_MESSAGES - 1) / QUEUE_PART_MESSAGES;
	return MQ_OK;
}

/* --- topics/T/qN.parts/ ------------------------------------------------------------- */

static int
parts_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct parts parts;
	int rc = parts_find(m, n, &parts);

	if (rc != MQ_OK)
		return rc;
	if (parts.span.last_store_ms)
		stat_set_ms(st, parts.span.last_store_ms);
	rc = node_attr_dir(m, n, st, ret_timeout);
	*ret_timeout = 0;
	return rc;
}

static int
parts_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	int64_t first = name_number(name, NAME_DIGITS), number = first / QUEUE_PART_MESSAGES;
	struct parts parts;
	int rc = parts_find(m, dir, &parts);

	if (rc != MQ_OK)
		return rc;
	if (first < 0 || first % QUEUE_PART_MESSAGES != 0 || number < parts.first || number >= parts.end)
		return -ENOENT;
	return node_get(m, node_part_ino(dir->id, dir->queue, number, open_queue_format(m, dir->topic, &(struct name){ 0 })), ret_child);
}

static int
parts_list(struct mount *m, const struct node *dir, struct lister *l)
{
	enum topic_format format = open_queue_format(m, dir->topic, &(struct name){ 0 });
	char name[NODE_PART_NAME_SIZE];
	struct parts parts;
	int rc = parts_find(m, dir, &parts);

	if (rc != MQ_OK)
		return rc;
	for (int64_t i = parts.first; i < parts.end; i++) {
		node_part_name(i, name);
		lister_add(l, name, node_part_ino(dir->id, dir->queue, i, format));
	}
	return MQ_OK;
}

const struct node_class node_parts = {
	.attr = parts_attr,
	.lookup = parts_lookup,
	.list = parts_list,
};

/* --- one of them ----------------------------------------------------------------------- */

struct part {
	struct queue *q;
	enum topic_format format;
	mq_qoff first, end;	/* its messages, [first, end) */
	int64_t gone;		/* bytes at its begin whose messages are removed */
	bool full;
	struct view *view;	/* of what is left of it */
	size_t head_len;	/* the first bytes, as far as they were ever read */
	unsigned char head[QUEUE_PART_HEAD_BYTES];
};

static void
part_end(struct part *p)
{
	view_close(p->view);
	p->view = NULL;
}

/* The part that n stands for: n has the low bits of its number.  -ESTALE: there is none. */
static int
part_find(struct mount *m, const struct node *n, struct part *ret)
{
	struct parts parts;
	int64_t number;
	int rc = parts_find(m, n, &parts);

	if (rc != MQ_OK)
		return rc;
	number = parts.first + (((int64_t)(n->part >> FORMAT_BITS) - parts.first) & NUMBER_MASK);
	if (number >= parts.end)
		return -ESTALE;
	ret->q = parts.q;
	ret->format = (enum topic_format)(n->part & ((1u << FORMAT_BITS) - 1));
	ret->first = MQ_QOFF(number * QUEUE_PART_MESSAGES);
	ret->end = qoff_add(ret->first, QUEUE_PART_MESSAGES);
	ret->full = parts.span.end.n >= ret->end.n;
	return MQ_OK;
}

static int
part_begin_at(struct mount *m, const struct node *n, mq_qoff min, struct part *p)
{
	int per_message = framing_per_message(p->format);
	struct view_spec spec = {
		.topic = n->topic,
		.queue = (int32_t)n->queue,
		.from = { .kind = POINT_NUMBER, .value = p->first.n > min.n ? p->first.n : min.n },
		.to = { .kind = POINT_NUMBER, .value = p->end.n },
		.format = p->format,
	};

	p->gone = min.n > p->first.n && per_message >= 0 ? queue_bytes_gone(p->q, p->first, min, per_message) : 0;
	return view_open(m, &spec, &p->view);
}

#define TRIES 3		/* retention may remove the first messages between two steps */

static int
part_begin(struct mount *m, const struct node *n, struct part *p)
{
	int rc = MQ_EGONE;

	for (int i = 0; rc == MQ_EGONE && i < TRIES; i++) {
		rc = part_find(m, n, p);
		if (rc == MQ_OK)
			rc = part_begin_at(m, n, queue_min(p->q), p);
	}
	return rc;
}

#define AUTO_PART __attribute__((cleanup(part_end)))

/* May the kernel cache it: do its bytes never change? */
static bool
part_is_fixed(struct mount *m, const struct part *p)
{
	return p->full && framing_per_message(p->format) >= 0 && store_steady(m->store).byte == INT64_MAX;
}

/* The store time of the last message that is in it now. */
static void
show_time(struct mount *m, const struct node *n, const struct part *p, struct stat *st)
{
	struct topic_conf conf;
	struct queue_span span;
	int64_t ms;

	queue_span(p->q, &span);
	if (span.end.n <= p->end.n && span.last_store_ms)
		ms = span.last_store_ms;
	else if (store_time_of(m->store, p->q, qoff_add(p->end, -1), &ms) != MQ_OK) {
		topic_conf(m->offsets, n->topic, &conf);
		ms = conf.created_ms;
	}
	stat_set_ms(st, ms);
}

static int
part_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	AUTO_PART struct part p = { .view = NULL };
	int64_t size = 0;
	int rc = part_begin(m, n, &p);

	if (rc == MQ_OK)
		rc = view_size(p.view, &size);
	if (rc != MQ_OK && rc != -EIO)
		return rc == MQ_EGONE ? -ESTALE : rc;
	st->st_mode = S_IFREG;
	st->st_size = p.gone + size;
	st->st_blksize = 128 * 1024;
	show_time(m, n, &p, st);
	node_show_owner(m, n, st);
	*ret_timeout = part_is_fixed(m, &p) ? 1.0 : 0;
	return MQ_OK;
}

static int
part_open(struct mount *m, const struct node *n, struct handle *h)
{
	struct part *p;
	int rc = open_queue_may_read(m, n->topic);

	if (rc != MQ_OK)
		return rc;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	rc = part_begin(m, n, p);
	if (rc == MQ_OK && p->format == FORMAT_LINES)
		p->head_len = queue_part_head(p->q, p->first.n / QUEUE_PART_MESSAGES, p->head);
	if (rc != MQ_OK) {
		free(p);
		return rc == MQ_EGONE ? -ESTALE : rc;
	}
	h->fopen = FOPEN_NOFLUSH | (part_is_fixed(m, p) ? FOPEN_KEEP_CACHE : FOPEN_DIRECT_IO);
	h->own = p;
	return MQ_OK;
}

/* The bytes of removed messages from `off` on: the remembered first bytes, and empty lines. */
static int
fill_gone(const struct part *p, off_t off, unsigned char *buf, size_t size)
{
	size_t n = 0;

	if (p->format != FORMAT_LINES)
		return MQ_EGONE;
	if (off < (off_t)p->head_len) {
		n = p->head_len - (size_t)off < size ? p->head_len - (size_t)off : size;
		memcpy(buf, p->head + off, n);
	}
	memset(buf + n, '\n', size - n);
	return MQ_OK;
}

/* Remember the first bytes of a part of lines when they are read. */
static void
note_head(struct part *p, off_t off, const unsigned char *buf, size_t n)
{
	size_t at = (size_t)off;

	if (p->format != FORMAT_LINES || off > (off_t)p->head_len || at >= sizeof(p->head))
		return;
	if (n > sizeof(p->head) - at)
		n = sizeof(p->head) - at;
	if (at + n <= p->head_len && memcmp(p->head + at, buf, n) == 0)
		return;
	memcpy(p->head + at, buf, n);
	p->head_len = at + n > p->head_len ? at + n : p->head_len;
	queue_keep_part_head(p->q, p->first.n / QUEUE_PART_MESSAGES, p->head, p->head_len);
}

/* Read as much as there is of [off, off + size): fewer bytes are followed by the part's end. */
static int
part_fill(const struct part *p, off_t off, unsigned char *buf, size_t size, size_t *ret_n)
{
	size_t n = 0, got = 0;
	int rc = p->view ? MQ_OK : MQ_EGONE;

	if (rc == MQ_OK && off < p->gone) {
		n = (int64_t)size < p->gone - off ? size : (size_t)(p->gone - off);
		rc = fill_gone(p, off, buf, n);
	}
	if (rc == MQ_OK)
		rc = view_read_whole(p->view, off + (int64_t)n - p->gone, buf + n, size - n, &got);
	*ret_n = n + got;
	return rc;
}

static int
part_read_locked(struct mount *m, struct handle *h, off_t off, unsigned char *buf, size_t size, size_t *ret_n)
{
	struct part *p = h->own;
	int rc = node_is_stale(&h->node) ? -ESTALE : part_fill(p, off, buf, size, ret_n);

	MUST_HOLD(&h->lock);
	if (rc == MQ_EGONE) {	/* retention removed messages since the open: the others keep their places */
		part_end(p);
		rc = part_begin(m, &h->node, p);
		if (rc == MQ_OK)
			rc = part_fill(p, off, buf, size, ret_n);
	}
	if (rc == MQ_OK && p->gone == 0 && !m->read_only)
		note_head(p, off, buf, *ret_n);
	return rc;
}

static void
part_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct scratch *scratch = scratch_get();
	size_t n = 0;
	int rc = scratch ? scratch_grow(&scratch->out, &scratch->out_size, size) : -ENOMEM;

	if (rc == MQ_OK) {
		LOCKED(&h->lock);
		rc = part_read_locked(m, h, off, scratch->out, size, &n);
	}
	if (rc != MQ_OK)
		reply_err(req, rc == MQ_EGONE ? -ESTALE : rc);
	else
		reply_data(req, scratch->out, n);
}

static void
part_release(struct mount *m, struct handle *h)
{
	struct part *p = h->own;

	(void)m;
	part_end(p);
	free(p);
}

const struct node_class node_part = {
	.attr = part_attr,
	.open = part_open,
	.read = part_read,
	.release = part_release,
};
