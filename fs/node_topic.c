/* topics/ and what a topic's directory holds beside its queues. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "fs/command.h"
#include "fs/name.h"
#include "fs/node.h"

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
may_come(const struct mount *m)
{
	return m->settings->autoCreateTopicEnable && !m->read_only && m->settings->brokerRole != SLAVE;
}

static int
topics_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct topic *t = topic_find(m->offsets, name);

	(void)dir;
	if (t)
		return node_make(m, NODE_TOPIC, t->id, 0, 0, ret_child);
	if (may_come(m) && meta_name_ok(name, strlen(name)))
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

static int
topics_make_dir(struct mount *m, const struct node *dir, const char *name, mode_t mode,
		const struct fuse_ctx *who, struct node *ret_child)
{
	struct topic_conf conf;
	struct topic *t;
	int rc;

	(void)dir;
	if (!meta_name_ok(name, strlen(name)))
		return err_note(-EINVAL, "topics/%s: a name is 1 to 127 of [%%|a-zA-Z0-9_-]", name);
	topic_conf_default(&conf, name, (int32_t)m->settings->defaultTopicQueueNums);
	conf.on_full_drop = m->settings->onFull == ON_FULL_DROP;
	conf.owner = (struct owner){ .uid = who->uid, .gid = who->gid, .mode = mode };
	rc = topic_create(m->offsets, &conf, &t, NULL);
	return rc == MQ_OK ? node_make(m, NODE_TOPIC, t->id, 0, 0, ret_child) : rc;
}

static int
topics_remove_dir(struct mount *m, const struct node *dir, const char *name)
{
	struct topic *t = topic_find(m->offsets, name);

	(void)dir;
	return t ? topic_delete(m->offsets, t, NULL) : -ENOENT;
}

const struct node_class node_topics = {
	.what = "topics",
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
queue_node(struct mount *m, const struct node *dir, int32_t id, struct node *ret_child)
{
	struct queue *q;
	int rc;

	if (id >= topic_queues(m->offsets, dir->topic))
		return -ENOENT;
	rc = topic_queue(m->offsets, dir->topic, id, &q);
	if (rc != MQ_OK)
		return rc;
	return node_make(m, NODE_QUEUE, dir->id, (uint32_t)id, queue_head_moves(q), ret_child);
}

static int
topic_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct name parsed;
	int32_t queue;
	int rc;

	if (strcmp(name, "config") == 0)
		return node_make(m, NODE_TOPIC_CONFIG, dir->id, 0, 0, ret_child);
	if (strcmp(name, "ctl") == 0)
		return node_make(m, NODE_TOPIC_CTL, dir->id, 0, 0, ret_child);
	if (name_is_plain(name, &queue))
		return queue_node(m, dir, queue, ret_child);
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

	lister_add(l, "config", node_ino(NODE_TOPIC_CONFIG, dir->id, 0, 0));
	lister_add(l, "ctl", node_ino(NODE_TOPIC_CTL, dir->id, 0, 0));
	for (int32_t i = 0; i < n; i++) {
		if (queue_node(m, dir, i, &child) != MQ_OK)
			continue;
		snprintf(name, sizeof(name), "q%d", i);
		lister_add(l, name, child.ino);
	}
	return MQ_OK;
}

const struct node_class node_topic = {
	.what = "topic",
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
	int32_t queues;
	int rc;

	topic_conf(m->offsets, n->topic, ret_conf);
	queues = ret_conf->queues;
	rc = topic_conf_parse(text, len, ret_conf);
	if (rc == MQ_OK && ret_conf->queues < queues)
		return err_note(MQ_EBADCONF, "topics/%s/config: queues = %d: there are %d, and they can only grow",
				n->topic->name, ret_conf->queues, queues);
	return rc;
}

static int
topic_config_check(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct topic_conf conf;

	return topic_config_parse(m, n, text, len, &conf);
}

static int
topic_config_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct topic_conf conf;
	int rc;

	rc = topic_config_parse(m, n, text, len, &conf);
	return rc == MQ_OK ? topic_change(m->offsets, n->topic, &conf, NULL) : rc;
}

const struct node_class node_topic_config = {
	.what = "topic config",
	.attr = node_attr_text,
	.set_attr = node_set_owner,
	.render = topic_config_render,
	.check = topic_config_check,
	.accept = topic_config_accept,
	.accept_when = TEXT_WHOLE,
};

/* --- topics/T/ctl --------------------------------------------------------------------- */

static int
topic_command_purge(struct mount *m, const struct node *n, char **words, size_t n_words)
{
	(void)words, (void)n_words;
	return topic_purge(m->offsets, n->topic, NULL);
}

static int
topic_command_trim(struct mount *m, const struct node *n, char **words, size_t n_words)
{
	char *end;
	int64_t min;
	int32_t queue;

	(void)n_words;
	if (!name_is_plain(words[1], &queue) || queue >= topic_queues(m->offsets, n->topic))
		return err_note(-EINVAL, "trim %s: topic %s has no such queue", words[1], n->topic->name);
	errno = 0;
	min = strtoll(words[2], &end, 10);
	if (errno || *end || min < 0)
		return err_note(-EINVAL, "trim %s %s: not a message number", words[1], words[2]);
	return topic_trim(m->offsets, n->topic, queue, MQ_QOFF(min), NULL);
}

static const struct command topic_commands[] = {
	{ "purge", 0, "purge", "drop every message of the topic", topic_command_purge },
	{ "trim", 2, "trim qN OFFSET", "drop the messages of a queue before message OFFSET", topic_command_trim },
	{ 0 },
};

static int
topic_ctl_render(struct mount *m, const struct node *n, struct text *t)
{
	(void)m, (void)n;
	commands_help(topic_commands, t);
	return MQ_OK;
}

static int
topic_ctl_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	return commands_run(topic_commands, m, n, text, len);
}

const struct node_class node_topic_ctl = {
	.what = "topic ctl",
	.attr = node_attr_text,
	.set_attr = node_set_owner,
	.render = topic_ctl_render,
	.accept = topic_ctl_accept,
};
