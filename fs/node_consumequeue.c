/* consumequeue/T/Q/N: RocketMQ's consume queue files, read-only.
 *
 * They are made from the queue itself, so entries that are only in memory are there,
 * too; entries that were never written are zeros, as in RocketMQ's own files, and
 * entries that retention has removed are blank (position 0, size 0x7fffffff).
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/scope.h"
#include "fs/handle.h"
#include "fs/reply.h"
#include "store/file.h"

/* Entries of one file. */
static int64_t
file_entries(struct mount *m)
{
	return store_queue_file_entries(m->store);
}

/* --- the directories ---------------------------------------------------------------- */

static int
consumequeue_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct topic *t = topic_find(m->offsets, name);

	(void)dir;
	return t ? node_make(m, NODE_CQ_TOPIC, t->id, 0, 0, ret_child) : -ENOENT;
}

static int
consumequeue_list(struct mount *m, const struct node *dir, struct lister *l)
{
	(void)dir;
	for (struct topic *t = topic_next(m->offsets, ""); t; t = topic_next(m->offsets, t->name))
		lister_add(l, t->name, node_ino(NODE_CQ_TOPIC, t->id, 0, 0));
	return MQ_OK;
}

const struct node_class node_consumequeue = {
	.lookup = consumequeue_lookup,
	.list = consumequeue_list,
	.set_attr = node_set_owner,
};

static int
cq_topic_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	int64_t queue = name_number(name, strlen(name));

	if (queue < 0 || queue >= topic_queues(m->offsets, dir->topic) || (name[0] == '0' && name[1]))
		return -ENOENT;
	return node_make(m, NODE_CQ_QUEUE, dir->id, (uint32_t)queue, 0, ret_child);
}

static int
cq_topic_list(struct mount *m, const struct node *dir, struct lister *l)
{
	int32_t n = topic_queues(m->offsets, dir->topic);
	char name[16];

	for (int32_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d", i);
		lister_add(l, name, node_ino(NODE_CQ_QUEUE, dir->id, (uint32_t)i, 0));
	}
	return MQ_OK;
}

const struct node_class node_cq_topic = {
	.lookup = cq_topic_lookup,
	.list = cq_topic_list,
};

/* Numbers of the first and the last file: *ret_last < *ret_first for none. */
static int
file_range(struct mount *m, const struct node *n, int64_t *ret_first, int64_t *ret_last)
{
	struct queue_span span;
	struct queue *q;
	int rc;

	rc = node_find_queue(m, n, &q);
	if (rc != MQ_OK)
		return rc;
	queue_span(q, &span);
	*ret_first = span.min.n / file_entries(m);
	*ret_last = span.end.n > span.min.n ? (span.end.n - 1) / file_entries(m) : *ret_first - 1;
	return MQ_OK;
}

static int
cq_queue_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	int64_t first, last, at = name_number(name, 20), bytes = file_entries(m) * QUEUE_ENTRY_BYTES;
	int rc;

	if (at < 0 || at % bytes)
		return -ENOENT;
	rc = file_range(m, dir, &first, &last);
	if (rc != MQ_OK)
		return rc;
	if (at / bytes < first || at / bytes > last)
		return -ENOENT;
	return node_make(m, NODE_CQ_FILE, dir->id, dir->queue, (uint32_t)(at / bytes), ret_child);
}

static int
cq_queue_list(struct mount *m, const struct node *dir, struct lister *l)
{
	int64_t first, last;
	char name[32];
	int rc;

	rc = file_range(m, dir, &first, &last);
	for (int64_t i = first; rc == MQ_OK && i <= last; i++) {
		snprintf(name, sizeof(name), "%020" PRId64, i * file_entries(m) * QUEUE_ENTRY_BYTES);
		lister_add(l, name, node_ino(NODE_CQ_FILE, dir->id, dir->queue, (uint32_t)i));
	}
	return rc;
}

const struct node_class node_cq_queue = {
	.lookup = cq_queue_lookup,
	.list = cq_queue_list,
};

/* --- the files ------------------------------------------------------------------------ */

static int
cq_file_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct queue_span span;
	struct queue *q;
	int rc;

	(void)ret_timeout;
	rc = node_find_queue(m, n, &q);
	if (rc != MQ_OK)
		return rc;
	queue_span(q, &span);
	if (span.last_store_ms)
		stat_set_ms(st, span.last_store_ms);
	st->st_mode = S_IFREG;
	node_show_owner(m, n, st);
	st->st_size = file_entries(m) * QUEUE_ENTRY_BYTES;
	return MQ_OK;
}

static void
entry_put(unsigned char *at, mq_pos pos, int32_t total, int64_t tags_code)
{
	be64_put(at, pos.byte);
	be32_put(at + 8, total);
	be64_put(at + 12, tags_code);
}

#define CHUNK 512

/* Entries [from, from + n) at out. */
static int
entries_render(struct queue *q, int64_t from, int64_t n, unsigned char *out)
{
	struct queue_entry entries[CHUNK];
	int64_t min = queue_min(q).n;

	for (; n > 0 && from < min; from++, n--, out += QUEUE_ENTRY_BYTES)
		entry_put(out, MQ_POS(0), QUEUE_HOLE_SIZE, 0);
	while (n > 0) {
		size_t got;
		int rc = queue_entries(q, MQ_QOFF(from), entries, n < CHUNK ? (size_t)n : CHUNK, &got);

		if (rc == MQ_EEND)
			break;
		if (rc != MQ_OK)
			return rc;
		for (size_t i = 0; i < got; i++, out += QUEUE_ENTRY_BYTES)
			entry_put(out, entries[i].pos, entries[i].total, entries[i].tags_code);
		from += (int64_t)got;
		n -= (int64_t)got;
	}
	memset(out, 0, (size_t)n * QUEUE_ENTRY_BYTES);
	return MQ_OK;
}

static void
cq_file_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	int64_t file_bytes = file_entries(m) * QUEUE_ENTRY_BYTES;
	AUTO_FREE unsigned char *out = NULL;
	struct queue *q;
	int64_t first, last;
	int rc;

	if (off >= file_bytes) {
		reply_data(req, NULL, 0);
		return;
	}
	if ((int64_t)size > file_bytes - off)
		size = (size_t)(file_bytes - off);
	first = off / QUEUE_ENTRY_BYTES;
	last = (off + (int64_t)size + QUEUE_ENTRY_BYTES - 1) / QUEUE_ENTRY_BYTES;
	out = malloc((size_t)(last - first) * QUEUE_ENTRY_BYTES + 1);
	rc = out ? node_find_queue(m, &h->node, &q) : -ENOMEM;
	if (rc == MQ_OK)
		rc = entries_render(q, h->node.part * file_entries(m) + first, last - first, out);
	if (rc != MQ_OK)
		reply_err(req, rc);
	else
		reply_data(req, out + (off - first * QUEUE_ENTRY_BYTES), size);
}

const struct node_class node_cq_file = {
	.attr = cq_file_attr,
	.read = cq_file_read,
};
