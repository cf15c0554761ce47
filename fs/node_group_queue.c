/* groups/G/T/qN, any and all, with or without options: what a group has still to consume. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/closing.h"
#include "fs/name.h"
#include "fs/open_queue.h"
#include "store/backlog.h"

int
group_name_parse(const char *text, struct name *ret_name, bool *ret_any)
{
	bool any = strncmp(text, "any", 3) == 0;
	char as_queue[256];
	struct name name;
	int rc;

	/* any:OPTIONS is parsed as if it were q0's */
	snprintf(as_queue, sizeof(as_queue), "%s%s", any ? "q0" : "", any ? text + 3 : text);
	rc = name_parse(as_queue, &name);
	if (rc != MQ_OK)
		return rc;
	if (name.has_range || name.append_only)
		return err_note(-EINVAL, "%s: a group's queue begins at its committed offset, and is only read", text);
	if (name_filters(&name))
		return err_note(-EINVAL, "%s: what a group consumes is chosen by the subscription file", text);
	*ret_name = name;
	*ret_any = any;
	return MQ_OK;
}

static int
name_of(const struct node *n, struct name *ret, bool *ret_any)
{
	*ret = (struct name){ .queue = (int32_t)n->queue, .all = n->kind == NODE_GROUP_ALL };
	*ret_any = n->kind == NODE_GROUP_ANY;
	return n->kind == NODE_GROUP_NAMED ? group_name_parse(n->name, ret, ret_any) : MQ_OK;
}

/* 0 also where the subscription chooses: such a queue is a stream. */
static int
bytes_left(struct mount *m, const struct node *n, const struct name *name, enum topic_format format,
	   int64_t *ret_bytes)
{
	AUTO_FREE char *tags = subscription_expression(m->offsets, n->sub);
	struct view *v;
	int rc;

	if (!tags)
		return -ENOMEM;
	if (strcmp(tags, "*") != 0) {
		*ret_bytes = 0;
		return MQ_OK;
	}
	rc = open_queue_group_view(m, n, name, format, NULL, &v);
	if (rc != MQ_OK)
		return rc;
	rc = view_size(v, ret_bytes);
	view_close(v);
	return rc;
}

/* Store time of the newest message; 0: none. */
static int64_t
newest(struct mount *m, const struct node *n, const struct name *name)
{
	int32_t first = name->all ? 0 : name->queue;
	int32_t last = name->all ? topic_queues(m->offsets, n->topic) - 1 : name->queue;
	struct queue_span span;
	struct queue *q;
	int64_t ms = 0;

	for (int32_t i = first; i <= last; i++) {
		if (topic_queue(m->offsets, n->topic, i, &q) != MQ_OK)
			continue;
		queue_span(q, &span);
		ms = span.last_store_ms > ms ? span.last_store_ms : ms;
	}
	return ms;
}

static int
group_queue_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct topic_conf conf;
	struct name name;
	int64_t size = 0, ms;
	bool any;
	int rc;

	(void)ret_timeout;
	closing_wait(m->closing);
	topic_conf(m->offsets, n->topic, &conf);
	rc = name_of(n, &name, &any);
	if (rc == MQ_OK && !any)
		rc = bytes_left(m, n, &name, name.has_format ? name.format : conf.format, &size);
	if (rc != MQ_OK && rc != MQ_EGONE && rc != -EIO)
		return rc;
	ms = newest(m, n, &name);
	st->st_mode = S_IFREG;
	st->st_size = size;
	st->st_blocks = (size + 511) / 512;
	stat_set_ms(st, ms ? ms : conf.created_ms);
	node_show_owner(m, n, st);
	return MQ_OK;
}

static int
group_queue_open(struct mount *m, const struct node *n, struct handle *h)
{
	struct name name;
	bool any;
	int rc;

	rc = name_of(n, &name, &any);
	if (rc == MQ_OK)
		rc = open_queue_group(m, n, any, &name, h);
	return rc;
}

/* --- xattrs ------------------------------------------------------------------------------ */

#define SUGGEST "user.mqfs.suggest_broker_id"
/* Is what the group reads next so far back in the log that memory no longer has it? */
static int
is_slow(struct mount *m, const struct node *n, int32_t queue, bool *ret_slow)
{
	int64_t memory = backlog_memory(m->settings->accessMessageInMemoryMaxRatio);
	struct queue_entry entry;
	struct queue *q;
	size_t got = 0;
	mq_qoff at;
	int rc;

	rc = topic_queue(m->offsets, n->topic, queue, &q);
	if (rc == MQ_OK)
		rc = committed(m->offsets, n->sub, queue, &at);
	if (rc == MQ_OK)
		rc = queue_entries(q, at, &entry, 1, &got);
	if (rc != MQ_OK && rc != MQ_EEND)
		return rc;
	*ret_slow = rc == MQ_OK && backlog_is_on_disk(entry.pos, mark_at(store_written(m->store)), memory);
	return MQ_OK;
}

static int
group_queue_get_xattr(struct mount *m, const struct node *n, const char *name, struct text *t)
{
	struct group_conf conf;
	struct name options;
	bool any, slow = false;
	int rc;

	if (strcmp(name, SUGGEST) != 0)
		return -ENODATA;
	rc = name_of(n, &options, &any);
	if (rc == MQ_OK && (any || options.all))
		return -ENODATA;
	if (rc == MQ_OK && m->settings->slaveReadEnable)
		rc = is_slow(m, n, options.queue, &slow);
	if (rc != MQ_OK)
		return rc;
	group_conf(m->offsets, n->group, &conf);
	if (!m->settings->slaveReadEnable)
		conf.broker_id = 0;		/* the master */
	text_printf(t, "%" PRId32, slow ? conf.slow_broker_id : conf.broker_id);
	return MQ_OK;
}

static int
group_queue_list_xattr(struct mount *m, const struct node *n, struct text *t)
{
	(void)m;
	if (n->kind != NODE_GROUP_ANY && n->kind != NODE_GROUP_ALL)
		text_add(t, SUGGEST, sizeof(SUGGEST));
	return MQ_OK;
}

static int
group_queue_resume(struct mount *m, const struct node *n, struct handle *h)
{
	struct name name;
	bool any;
	int rc = name_of(n, &name, &any);

	return rc == MQ_OK ? open_queue_resume(m, n, &name, h) : rc;
}

#define GROUP_QUEUE_CLASS                                                                     \
	.attr = group_queue_attr, .set_attr = node_set_owner, .open = group_queue_open,       \
	.get_xattr = group_queue_get_xattr, .list_xattr = group_queue_list_xattr,             \
	.resume = group_queue_resume, .read = open_queue_read, .write = open_queue_write,     \
	.fsync = open_queue_fsync,                                                            \
	.release = open_queue_release, .poll = open_queue_poll

const struct node_class node_group_queue = { .what = "a group's queue", GROUP_QUEUE_CLASS };
const struct node_class node_group_any = { .what = "any of a group's queues", GROUP_QUEUE_CLASS };
const struct node_class node_group_all = { .what = "all of a group's queues", GROUP_QUEUE_CLASS };
const struct node_class node_group_named = { .what = "a group's queue with options", GROUP_QUEUE_CLASS };
