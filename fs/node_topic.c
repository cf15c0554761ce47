/* topics/ and the files of a topic's directory beside its queues. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "fs/command.h"
#include "fs/lanes.h"
#include "fs/notices.h"
#include "fs/name.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/point.h"
#include "fs/session.h"

/* --- topics/ -------------------------------------------------------------------- */

static int
topics_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct offsets_stats stats;
	int rc = node_attr_dir(m, n, st, ret_timeout);

	offsets_stats(m->offsets, &stats);
	st->st_nlink = (nlink_t)(2 + stats.topics);
	return rc;
}

/* Does appending to an unknown topic make it? */
static bool
may_auto_create(const struct mount *m)
{
	return m->settings->autoCreateTopicEnable && !m->read_only && m->settings->brokerRole != SLAVE;
}

static int
topics_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct topic *t;

	(void)dir;
	topic_notice(m->offsets, name);
	t = topic_find(m->offsets, name);
	if (t)
		return node_make(m, NODE_TOPIC, t->id, 0, 0, ret_child);
	if (may_auto_create(m) && record_topic_valid(name, strlen(name)))
		return node_make_named(m, NODE_UNMADE_TOPIC, 0, name, ret_child);
	return -ENOENT;
}

static int
topics_list(struct mount *m, const struct node *dir, struct lister *l)
{
	(void)dir;
	for (struct topic *t = topic_next(m->offsets, ""); t; t = topic_next(m->offsets, t->name))
		lister_add(l, t->name, node_ino(NODE_TOPIC, t->id, 0, 0));
	return MQ_OK;
}

int
node_topic_make(struct mount *m, const struct node *topics, const char *name, mode_t mode, const struct fuse_ctx *who,
		struct topic **ret)
{
	struct topic_conf conf;

	topic_conf_new(m->offsets, &conf, name, (int32_t)m->settings->defaultTopicQueueNums);
	conf.owner = node_new_owner(m, topics, who, mode);
	return topic_create(m->offsets, &conf, ret);
}

static int
topics_make_dir(struct mount *m, const struct node *dir, const char *name, mode_t mode,
		const struct fuse_ctx *who, struct node *ret_child)
{
	struct topic *t;
	int rc;

	if (!record_topic_valid(name, strlen(name)))
		return err_note(-EINVAL, "topics/%s: a name is 1 to 127 of [%%|a-zA-Z0-9_-]", name);
	rc = node_topic_make(m, dir, name, mode, who, &t);
	return rc == MQ_OK ? node_make(m, NODE_TOPIC, t->id, 0, 0, ret_child) : rc;
}

static int
topics_remove_dir(struct mount *m, const struct node *dir, const char *name)
{
	struct topic *t = topic_find(m->offsets, name);

	int rc = t ? topic_delete(m->offsets, t) : -ENOENT;

	(void)dir;
	if (rc == MQ_OK)
		log_notice("pid %d: topic %s was removed", (int)session_caller(), name);
	return rc;
}

const struct node_class node_topics = {
	.attr = topics_attr,
	.lookup = topics_lookup,
	.list = topics_list,
	.make_dir = topics_make_dir,
	.remove_dir = topics_remove_dir,
	.set_attr = node_set_owner,
};

/* --- topics/T/ -------------------------------------------------------------------- */

static int
topic_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct topic_conf conf;

	topic_conf(m->offsets, n->topic, &conf);
	stat_set_ms(st, conf.created_ms);
	return node_attr_dir(m, n, st, ret_timeout);
}

static int
queue_node(struct mount *m, const struct node *dir, int32_t id, bool looked_up, struct node *ret_child)
{
	fuse_ino_t ino;
	struct queue *q;
	int rc;

	rc = topic_queue(m->offsets, dir->topic, id, &q);
	if (rc != MQ_OK)
		return rc;
	ino = node_queue_ino(dir->id, (uint32_t)id, queue_head_moves(q), 0);
	if (looked_up && pending_needs_of_write(m, 0))
		ino = node_queue_ino(dir->id, (uint32_t)id, queue_head_moves(q), lanes_choose(m->lanes, ino));
	return node_get(m, ino, ret_child);
}

static int
topic_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct name parsed;
	const char *rest;
	int32_t queue;
	int rc;

	rc = node_fixed_lookup(m, dir, name, ret_child);
	if (rc != -ENOENT)
		return rc;
	topic_notice(m->offsets, dir->topic->name);
	if (name_is_plain(name, &queue))
		return queue_node(m, dir, queue, true, ret_child);
	if (name_begins_plain(name, &queue, &rest) && strcmp(rest, ".parts") == 0)
		return queue < topic_queues(m->offsets, dir->topic) ?
			       node_make(m, NODE_PARTS, dir->id, (uint32_t)queue, 0, ret_child) : -ENOENT;
	rc = name_parse(name, &parsed);
	if (rc != MQ_OK)
		return rc;
	if (!parsed.all && parsed.queue >= topic_queues(m->offsets, dir->topic))
		return -ENOENT;
	return node_make_named(m, NODE_NAMED, dir->id, name, ret_child);
}

static int
topic_list(struct mount *m, const struct node *dir, struct lister *l)
{
	int32_t n = topic_queues(m->offsets, dir->topic);
	struct node child;
	char name[16];

	if (m->service)			/* else there are none */
		lister_add(l, "producers", node_ino(NODE_TOPIC_PRODUCERS, dir->id, 0, 0));
	for (int32_t i = 0; i < n; i++) {
		if (queue_node(m, dir, i, false, &child) != MQ_OK)
			continue;
		snprintf(name, sizeof(name), "q%d", i);
		lister_add(l, name, child.ino);
	}
	return node_fixed_list(m, dir, l);
}

const struct node_class node_topic = {
	.attr = topic_attr,
	.lookup = topic_lookup,
	.list = topic_list,
	.set_attr = node_set_owner,
};

/* --- topics/T/config ---------------------------------------------------------------- */

static int
topic_config_render(struct mount *m, const struct node *n, struct text *t)
{
	AUTO_FREE char *print = NULL;
	struct topic_conf conf;
	size_t len;

	topic_conf(m->offsets, n->topic, &conf);
	print = topic_conf_print(&conf, &len);
	if (!print)
		return -ENOMEM;
	text_add(t, print, len);
	return MQ_OK;
}

static int
topic_config_parse(struct mount *m, const struct node *n, const char *text, size_t len,
		   struct topic_conf *ret_conf)
{
	topic_conf(m->offsets, n->topic, ret_conf);
	return topic_conf_parse(text, len, ret_conf);
}

static int
topic_config_check(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct topic_conf conf;
	int rc;

	rc = topic_config_parse(m, n, text, len, &conf);
	return rc == MQ_OK ? topic_may_change(m->offsets, n->topic, &conf) : rc;
}

static int
topic_config_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct topic_conf conf;
	int rc;

	rc = topic_config_parse(m, n, text, len, &conf);
	return rc == MQ_OK ? topic_change(m->offsets, n->topic, &conf) : rc;
}

const struct node_class node_topic_config = {
	.set_attr = node_set_owner,
	.render = topic_config_render,
	.check = topic_config_check,
	.accept = topic_config_accept,
	.accept_when = TEXT_WHOLE,
};

/* --- topics/T/ctl --------------------------------------------------------------------- */

/* How many messages of a topic are retained. */
static int64_t
topic_messages(struct mount *m, struct topic *t)
{
	int64_t n = 0;

	for (int32_t i = 0; i < topic_queues(m->offsets, t); i++) {
		struct queue *q;

		if (topic_queue(m->offsets, t, i, &q) == MQ_OK)
			n += queue_end(q).n - queue_min(q).n;
	}
	return n;
}

static int
topic_command_purge(struct mount *m, const struct node *n, char **words)
{
	int64_t before = topic_messages(m, n->topic);
	int rc = topic_purge(m->offsets, n->topic);

	(void)words;
	if (rc == MQ_OK)
		log_notice("pid %d: topics/%s: purge: %" PRId64 " messages dropped", (int)session_caller(),
			   n->topic->name, before);
	notices_look(m->notices);
	return rc;
}

/* The message at which a queue is to begin.  A number behind its end is refused as a mistake: it would drop all
 * messages, for which `last` is the word. */
static int
trim_point(struct mount *m, const struct node *n, int32_t queue, const char *word, mq_qoff *ret_min)
{
	struct name_point point;
	struct queue_span span;
	struct queue *q;
	int rc;

	rc = name_parse_point(word, &point);
	if (rc == MQ_OK)
		rc = topic_queue(m->offsets, n->topic, queue, &q);
	if (rc == MQ_OK)
		rc = point_resolve(m, n->topic, queue, &point, ret_min);
	if (rc != MQ_OK)
		return rc;
	queue_span(q, &span);
	if (span.min.n == span.end.n)
		*ret_min = span.end;
	if (ret_min->n > span.end.n)
		return err_note(-EINVAL, "trim q%" PRId32 " %s: it ends at %" PRId64 "; nothing is dropped "
				"(`last` drops all)", queue, word, span.end.n);
	return MQ_OK;
}

static int
trim_queue(struct mount *m, const struct node *n, int32_t queue, const char *word)
{
	mq_qoff before, min;
	struct queue *q;
	int rc;

	rc = trim_point(m, n, queue, word, &min);
	if (rc == MQ_OK)
		rc = topic_queue(m->offsets, n->topic, queue, &q);
	if (rc != MQ_OK)
		return rc;
	before = queue_min(q);
	rc = topic_trim(m->offsets, n->topic, queue, min);
	if (rc == MQ_OK && queue_min(q).n > before.n)
		log_notice("pid %d: topics/%s: trim q%" PRId32 " %s: %" PRId64 " messages dropped; it begins at %" PRId64,
			   (int)session_caller(), n->topic->name, queue, word, queue_min(q).n - before.n,
			   queue_min(q).n);
	notices_look(m->notices);
	return rc;
}

/* Every queue is looked at before the first one is trimmed. */
static int
topic_command_trim(struct mount *m, const struct node *n, char **words)
{
	int32_t first = 0, queues = topic_queues(m->offsets, n->topic);
	mq_qoff min;
	int rc = MQ_OK;

	if (strcmp(words[1], "all") != 0) {
		if (!name_is_plain(words[1], &first) || first >= queues)
			return err_note(-EINVAL, "trim %s: there is no such queue", words[1]);
		queues = first + 1;
	}
	for (int32_t i = first; i < queues && rc == MQ_OK; i++)
		rc = trim_point(m, n, i, words[2], &min);
	for (int32_t i = first; i < queues && rc == MQ_OK; i++)
		rc = trim_queue(m, n, i, words[2]);
	return rc;
}

static const struct command topic_commands[] = {
	{ "purge", 0, "purge", "drop every message of the topic", topic_command_purge },
	{ "trim", 2, "trim qN|all POINT",
	  "drop what lies before POINT: a message number, first, last, -N or a time", topic_command_trim },
	{ 0 },
};

const struct node_class node_topic_ctl = {
	.set_attr = node_set_owner,
	.commands = topic_commands,
	.render = ctl_render,
	.accept = ctl_accept,
};
