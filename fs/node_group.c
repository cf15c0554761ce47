/* groups/ and the files of a group's directories beside queues and offsets. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "fs/command.h"
#include "fs/name.h"
#include "fs/open_queue.h"
#include "store/filter.h"
#include "fs/node.h"
#include "fs/point.h"
#include "fs/session.h"
#include "fs/metrics_text.h"

/* --- groups/ ---------------------------------------------------------------------- */

static int
groups_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct offsets_stats stats;
	int rc = node_attr_dir(m, n, st, ret_timeout);

	offsets_stats(m->offsets, &stats);
	st->st_nlink = (nlink_t)(2 + stats.groups);
	return rc;
}

static int
groups_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct group *g = group_find(m->offsets, name);

	(void)dir;
	return g ? node_make(m, NODE_GROUP, g->id, 0, 0, ret_child) : -ENOENT;
}

static int
groups_list(struct mount *m, const struct node *dir, struct lister *l)
{
	(void)dir;
	for (struct group *g = group_next(m->offsets, ""); g; g = group_next(m->offsets, g->name))
		if (!meta_group_is_system(g->name))
			lister_add(l, g->name, node_ino(NODE_GROUP, g->id, 0, 0));
	return MQ_OK;
}

static int
groups_make_dir(struct mount *m, const struct node *dir, const char *name, mode_t mode,
		const struct fuse_ctx *who, struct node *ret_child)
{
	struct group_conf conf;
	struct group *g;
	int rc;

	if (!record_topic_valid(name, strlen(name)))
		return err_note(-EINVAL, "groups/%s: a name is 1 to 127 of [%%|a-zA-Z0-9_-]", name);
	group_conf_default(&conf, name);
	conf.owner = node_new_owner(m, dir, who, mode);
	rc = group_create(m->offsets, &conf, &g);
	return rc == MQ_OK ? node_make(m, NODE_GROUP, g->id, 0, 0, ret_child) : rc;
}

static int
groups_remove_dir(struct mount *m, const struct node *dir, const char *name)
{
	struct group *g = group_find(m->offsets, name);

	int rc = g ? group_delete(m->offsets, g) : -ENOENT;

	(void)dir;
	if (rc == MQ_OK)
		log_notice("pid %d: group %s was removed", (int)session_caller(), name);
	return rc;
}

const struct node_class node_groups = {
	.attr = groups_attr,
	.lookup = groups_lookup,
	.list = groups_list,
	.make_dir = groups_make_dir,
	.remove_dir = groups_remove_dir,
	.set_attr = node_set_owner,
};

/* --- groups/G/ -------------------------------------------------------------------- */

static struct subscription *
next_subscription(struct mount *m, struct group *g, const struct subscription *after)
{
	return subscription_next(m->offsets, g, after ? after->topic->name : "");
}

/* NULL: the group has no subscription of a topic with this name. */
static struct subscription *
find_subscription(struct mount *m, struct group *g, const char *topic)
{
	struct topic *t = topic_find(m->offsets, topic);

	return t ? subscription_find(m->offsets, g, t) : NULL;
}

static int
group_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	struct subscription *sub = NULL;
	struct group_conf conf;
	int rc;

	group_conf(m->offsets, n->group, &conf);
	stat_set_ms(st, conf.created_ms);
	rc = node_attr_dir(m, n, st, ret_timeout);
	while ((sub = next_subscription(m, n->group, sub)) != NULL)
		st->st_nlink++;
	return rc;
}

static int
group_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct subscription *sub;
	int rc = node_fixed_lookup(m, dir, name, ret_child);

	if (rc != -ENOENT)
		return rc;
	sub = find_subscription(m, dir->group, name);
	return sub ? node_make(m, NODE_SUBSCRIPTION, sub->id, 0, 0, ret_child) : -ENOENT;
}

static int
group_list(struct mount *m, const struct node *dir, struct lister *l)
{
	struct subscription *sub = NULL;

	while ((sub = next_subscription(m, dir->group, sub)) != NULL)
		lister_add(l, sub->topic->name, node_ino(NODE_SUBSCRIPTION, sub->id, 0, 0));
	return node_fixed_list(m, dir, l);
}

/* A process that may not read the topic must not subscribe to it.  Supplementary groups and access lists are not
 * looked at. */
static bool
may_read_topic(struct mount *m, struct topic *t, const struct fuse_ctx *who)
{
	struct topic_conf conf;
	mode_t bits;

	topic_conf(m->offsets, t, &conf);
	bits = who->uid == conf.owner.uid ? conf.owner.mode >> 6 :
	       who->gid == conf.owner.gid ? conf.owner.mode >> 3 : conf.owner.mode;
	return who->uid == 0 || (bits & 05) == 05;
}

static int
group_make_dir(struct mount *m, const struct node *dir, const char *name, mode_t mode,
	       const struct fuse_ctx *who, struct node *ret_child)
{
	struct topic *t = topic_find(m->offsets, name);
	struct subscription *sub;
	int rc;

	(void)mode;		/* a subscription has the mode of its group */
	if (!t)
		return err_note(-ENOENT, "groups/%s/%s: there is no topic %s", dir->group->name, name, name);
	if (!may_read_topic(m, t, who))
		return err_note(-EACCES, "groups/%s/%s: uid %d may not read topic %s", dir->group->name, name,
				(int)who->uid, name);
	rc = meta_group_check(dir->group->name);
	if (rc == MQ_OK)
		rc = subscription_create(m->offsets, dir->group, t, &sub);
	return rc == MQ_OK ? node_make(m, NODE_SUBSCRIPTION, sub->id, 0, 0, ret_child) : rc;
}

static int
group_remove_dir(struct mount *m, const struct node *dir, const char *name)
{
	struct subscription *sub = find_subscription(m, dir->group, name);
	int rc = sub ? subscription_delete(m->offsets, sub) : -ENOENT;

	if (rc == MQ_OK)
		log_notice("pid %d: subscription %s/%s was removed", (int)session_caller(), dir->group->name, name);
	return rc;
}

const struct node_class node_group = {
	.attr = group_attr,
	.lookup = group_lookup,
	.list = group_list,
	.make_dir = group_make_dir,
	.remove_dir = group_remove_dir,
	.set_attr = node_set_owner,
};

/* --- groups/G/config ---------------------------------------------------------------- */

static int
group_config_render(struct mount *m, const struct node *n, struct text *t)
{
	AUTO_FREE char *print = NULL;
	struct group_conf conf;
	size_t len;

	group_conf(m->offsets, n->group, &conf);
	print = group_conf_print(&conf, &len);
	if (!print)
		return -ENOMEM;
	text_add(t, print, len);
	return MQ_OK;
}

static int
group_config_check(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct group_conf conf;

	group_conf(m->offsets, n->group, &conf);
	return group_conf_parse(text, len, &conf);
}

static int
group_config_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	struct group_conf conf;
	int rc;

	group_conf(m->offsets, n->group, &conf);
	rc = group_conf_parse(text, len, &conf);
	return rc == MQ_OK ? group_change(m->offsets, n->group, &conf) : rc;
}

const struct node_class node_group_config = {
	.set_attr = node_set_owner,
	.render = group_config_render,
	.check = group_config_check,
	.accept = group_config_accept,
	.accept_when = TEXT_WHOLE,
};

/* --- groups/G/ctl --------------------------------------------------------------------- */

/* reset T POINT: every queue of a subscription. */
static int
group_command_reset(struct mount *m, const struct node *n, char **words)
{
	struct subscription *sub = find_subscription(m, n->group, words[1]);
	struct name_point point;
	int rc;

	if (!sub)
		return err_note(-EINVAL, "reset: the group has no subscription of %s", words[1]);
	rc = name_parse_point(words[2], &point);
	for (int32_t i = 0; rc == MQ_OK && i < topic_queues(m->offsets, sub->topic); i++) {
		mq_qoff to;

		rc = point_resolve(m, sub->topic, i, &point, &to);
		if (rc == MQ_OK)
			rc = commit_reset(m->offsets, sub, i, to, NULL);
	}
	return rc;
}

static const struct command group_commands[] = {
	{ "reset", 2, "reset TOPIC POINT",
	  "consume every queue of TOPIC from first, last, a number, -N or a time", group_command_reset },
	{ 0 },
};

const struct node_class node_group_ctl = {
	.set_attr = node_set_owner,
	.commands = group_commands,
	.render = ctl_render,
	.accept = ctl_accept,
};

/* --- groups/G/lag --------------------------------------------------------------------- */

static int
group_summary_render(struct mount *m, const struct node *n, struct text *t)
{
	return metrics_render_lag(m, n->group, t);
}

const struct node_class node_group_summary = {
	.set_attr = node_set_owner,
	.render = group_summary_render,
};

/* --- groups/G/T/ ----------------------------------------------------------------------- */

/* The files of each queue. */
static const struct {
	const char *suffix;
	enum node_kind kind;
} queue_files[] = {
	{ "", NODE_GROUP_QUEUE },
	{ ".offset", NODE_GROUP_OFFSET },
	{ ".lag", NODE_GROUP_LAG },
	{ ".retry", NODE_GROUP_RETRY },
};

#define N_QUEUE_FILES (sizeof(queue_files) / sizeof(queue_files[0]))

static int
queue_file_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	const char *suffix;
	int32_t queue;

	if (!name_begins_plain(name, &queue, &suffix) || queue >= topic_queues(m->offsets, dir->topic))
		return -ENOENT;
	for (size_t i = 0; i < N_QUEUE_FILES; i++)
		if (strcmp(suffix, queue_files[i].suffix) == 0)
			return node_make(m, queue_files[i].kind, dir->id, (uint32_t)queue, 0, ret_child);
	return -ENOENT;
}

/* qN:OPTIONS, any:OPTIONS and all:OPTIONS */
static int
group_name_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	struct name parsed;
	int rc;

	rc = group_name_parse(name, &parsed);
	if (rc != MQ_OK)
		return rc;
	if (!parsed.any && !parsed.all && parsed.queue >= topic_queues(m->offsets, dir->topic))
		return -ENOENT;
	return node_make_named(m, NODE_GROUP_NAMED, dir->id, name, ret_child);
}

static int
subscription_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	int rc = node_fixed_lookup(m, dir, name, ret_child);

	if (rc != -ENOENT)
		return rc;
	if (strchr(name, ':') || strchr(name, '@'))
		return group_name_lookup(m, dir, name, ret_child);
	return queue_file_lookup(m, dir, name, ret_child);
}

static int
subscription_list(struct mount *m, const struct node *dir, struct lister *l)
{
	int32_t n = topic_queues(m->offsets, dir->topic);
	char name[24];

	for (int32_t q = 0; q < n; q++) {
		for (size_t i = 0; i < N_QUEUE_FILES; i++) {
			snprintf(name, sizeof(name), "q%d%s", q, queue_files[i].suffix);
			lister_add(l, name, node_ino(queue_files[i].kind, dir->id, (uint32_t)q, 0));
		}
	}
	return node_fixed_list(m, dir, l);
}

const struct node_class node_subscription = {
	.lookup = subscription_lookup,
	.list = subscription_list,
	.set_attr = node_set_owner,
};

/* --- groups/G/T/subscription -------------------------------------------------------------- */

static int
expression_render(struct mount *m, const struct node *n, struct text *t)
{
	AUTO_FREE char *expr = subscription_expression(m->offsets, n->sub);

	if (!expr)
		return -ENOMEM;
	text_printf(t, "%s\n", expr);
	return MQ_OK;
}

static int
expression_accept(struct mount *m, const struct node *n, const char *text, size_t len)
{
	AUTO_FREE char *expr = text_line(text, len);
	struct filter *filter = NULL;
	int rc;

	if (!expr)
		return -ENOMEM;
	if (strchr(expr, '\n'))
		return err_note(-EINVAL, "one line is wanted");
	rc = filter_make(&(struct filter_spec){ .tags = expr }, &filter);
	filter_free(filter);
	return rc == MQ_OK ? subscription_set_expression(m->offsets, n->sub, expr) : rc;
}

const struct node_class node_group_expression = {
	.set_attr = node_set_owner,
	.render = expression_render,
	.accept = expression_accept,
};
