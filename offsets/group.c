#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "offsets/registry.h"

void
group_conf(struct offsets *o, const struct group *g, struct group_conf *ret_conf)
{
	LOCKED(&o->registry);

	*ret_conf = group_entry_of(g)->conf;
}

/* What is sent back for the group to come goes to a topic of that name, if there is one. */
static int
check_topic(struct offsets *o, const struct group_conf *conf, const char *prefix)
{
	char name[sizeof(DLQ_PREFIX) + sizeof(RETRY_PREFIX) + RECORD_TOPIC_MAX];
	struct topic_conf tc;
	struct topic *t;

	snprintf(name, sizeof(name), "%s%s", prefix, conf->name);
	t = topic_find(o, name);
	if (!t)
		return MQ_OK;
	topic_conf(o, t, &tc);
	if (tc.owner.uid == conf->owner.uid || tc.owner.uid == geteuid())
		return MQ_OK;
	return err_note(-EPERM, "group %s: topic %s is of another group that had this name, and belongs to uid %d",
			conf->name, name, (int)tc.owner.uid);
}

int
group_create(struct offsets *o, const struct group_conf *conf, struct group **ret_g, mq_pos *ret_end)
{
	struct meta m = { .op = META_GROUP_SET, .group_conf = *conf };
	int rc;

	if (!record_topic_valid(conf->name, strnlen(conf->name, sizeof(conf->name))))
		return err_note(-EINVAL, "a group's name is 1 to %d of [%%|a-zA-Z0-9_-]", RECORD_TOPIC_MAX);
	rc = meta_group_check(conf->name);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (group_find(o, conf->name))
		return -EEXIST;
	rc = check_topic(o, conf, RETRY_PREFIX);
	if (rc == MQ_OK)
		rc = check_topic(o, conf, DLQ_PREFIX);
	if (rc != MQ_OK)
		return rc;
	m.id = registry_id(o, ENTRY_GROUP, conf->name);
	rc = change_one(o, &m, ret_end);
	if (rc == MQ_OK && ret_g)
		*ret_g = group_find(o, conf->name);
	return rc;
}

int
group_change(struct offsets *o, struct group *g, const struct group_conf *conf, mq_pos *ret_end)
{
	struct meta m = { .op = META_GROUP_SET, .id = g->id, .group_conf = *conf };
	int rc = meta_group_check(g->name);

	if (rc != MQ_OK)
		return rc;
	snprintf(m.group_conf.name, sizeof(m.group_conf.name), "%s", g->name);
	LOCKED(&o->apply);
	if (g->gone)
		return -ENOENT;
	return change_one(o, &m, ret_end);
}

static int32_t
group_subscriptions(struct offsets *o, const struct group *g)
{
	LOCKED(&o->registry);

	return group_entry_of(g)->subscriptions;
}

int
group_delete(struct offsets *o, struct group *g, mq_pos *ret_end)
{
	struct meta m = meta_of(META_GROUP_DELETE, g->id, g->name, NULL);
	int rc = meta_group_check(g->name);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (g->gone)
		return -ENOENT;
	if (group_subscriptions(o, g) > 0)
		return err_note(-ENOTEMPTY, "group %s has subscriptions (rmdir groups/%s/TOPIC)", g->name, g->name);
	return change_one(o, &m, ret_end);
}
