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

/* The group's retry topic and its dead letters, as they are: 0 to 2 of them. */
static size_t
topics_of(struct offsets *o, const char *group, struct meta topics[2])
{
	static const char *const prefixes[] = { RETRY_PREFIX, DLQ_PREFIX };
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		char name[sizeof(RETRY_PREFIX) + RECORD_TOPIC_MAX];
		struct topic *t;

		snprintf(name, sizeof(name), "%s%s", prefixes[i], group);
		t = topic_find(o, name);
		if (!t)
			continue;
		topics[n] = (struct meta){ .op = META_TOPIC_SET, .id = t->id };
		topic_conf(o, t, &topics[n++].topic_conf);
	}
	return n;
}

/* Messages that are sent back for the new group go to topics that an earlier group of that name may have left. */
static int
check_topics(struct offsets *o, const struct group_conf *conf)
{
	struct meta topics[2];
	size_t n = topics_of(o, conf->name, topics);

	for (size_t i = 0; i < n; i++) {
		const struct topic_conf *tc = &topics[i].topic_conf;

		if (tc->owner.uid != conf->owner.uid && tc->owner.uid != geteuid())
			return err_note(-EPERM, "group %s: topic %s is of another group that had this name, and belongs "
					"to uid %d", conf->name, tc->name, (int)tc->owner.uid);
	}
	return MQ_OK;
}

int
group_create(struct offsets *o, const struct group_conf *conf, struct group **ret_g)
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
	rc = check_topics(o, conf);
	if (rc != MQ_OK)
		return rc;
	m.id = registry_id(o, ENTRY_GROUP, conf->name);
	rc = change_one(o, &m);
	if (rc == MQ_OK && ret_g)
		*ret_g = group_find(o, conf->name);
	return rc;
}

int
group_change(struct offsets *o, struct group *g, const struct group_conf *conf)
{
	struct meta m[3], *last = m;
	struct group_conf before;
	int rc = meta_group_check(g->name);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (g->gone)
		return -ENOENT;
	group_conf(o, g, &before);
	if (before.owner.uid != conf->owner.uid || before.owner.gid != conf->owner.gid ||
	    before.owner.mode != conf->owner.mode)
		last += topics_of(o, g->name, m);
	for (struct meta *topic = m; topic < last; topic++)
		topic->topic_conf.owner = topic_owner_by_group(&conf->owner);
	*last = (struct meta){ .op = META_GROUP_SET, .id = g->id, .group_conf = *conf };
	snprintf(last->group_conf.name, sizeof(last->group_conf.name), "%s", g->name);
	return change_all(o, m, (size_t)(last - m) + 1, NULL);
}

static int32_t
group_subscriptions(struct offsets *o, const struct group *g)
{
	LOCKED(&o->registry);

	return group_entry_of(g)->subscriptions;
}

int
group_delete(struct offsets *o, struct group *g)
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
	return change_one(o, &m);
}
