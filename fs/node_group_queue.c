/* groups/G/T/qN, any and all, with or without options: what a group has still to consume. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "fs/closing.h"
#include "fs/name.h"
#include "fs/open_queue.h"
#include "store/backlog.h"

int
group_name_parse(const char *text, struct name *ret_name)
{
	bool any = text_begins(text, "any");
	char as_queue[256];
	struct name name;
	int rc;

	/* any:OPTIONS is parsed as if it were q0's */
	snprintf(as_queue, sizeof(as_queue), "%s%s", any ? "q0" : "", any ? text + 3 : text);
	rc = name_parse(as_queue, &name);
	if (rc != MQ_OK)
		return rc;
	if (name.has_range || name.append_only)
		return err_note(-EINVAL, "a group's queue begins at its committed offset, and is only read");
	if (name_filters(&name))
		return err_note(-EINVAL, "what a group consumes is chosen by the subscription file");
	name.any = any;
	*ret_name = name;
	return MQ_OK;
}

/* The bytes that a reader would get.  0 if the subscription filters: their length is not known. */
static int
bytes_left(struct mount *m, const struct node *n, const struct name *name, int64_t *ret_bytes)
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
	rc = open_queue_group_view(m, n, name->all ? 0 : name->queue, name->all ? topic_queues(m->offsets, n->topic) : 1,
				   open_queue_format(m, n->topic, name), NULL, &v);
	if (rc != MQ_OK)
		return rc;
	rc = view_size(v, ret_bytes);
	view_close(v);
	return rc;
}

static int
group_queue_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct name name;
	int64_t size = 0;
	int rc;

	(void)ret_timeout;
	closing_wait(m->closing);
	rc = open_queue_name(n, &name);
	if (rc == MQ_OK && !name.any)
		rc = bytes_left(m, n, &name, &size);
	if (rc != MQ_OK && rc != MQ_EGONE && rc != -EIO)
		return rc;
	open_queue_stat(m, n, &name, size, st);
	return MQ_OK;
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
	bool slow = false;
	int rc;

	if (strcmp(name, SUGGEST) != 0)
		return -ENODATA;
	rc = open_queue_name(n, &options);
	if (rc == MQ_OK && (options.any || options.all))
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

const struct node_class node_group_queue = {
	.attr = group_queue_attr,
	.set_attr = node_set_owner,
	.get_xattr = group_queue_get_xattr,
	.list_xattr = group_queue_list_xattr,
	.open = open_queue_group,
	.resume = open_queue_resume,
	.read = open_queue_read,
	.write = open_queue_write,
	.fsync = open_queue_fsync,
	.release = open_queue_release,
	.poll = open_queue_poll,
};
