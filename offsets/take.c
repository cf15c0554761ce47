/* take.c - the tables of a RocketMQ master (topics, groups, offsets, delays) on its slave:
 * they go into memory and LMDB directly, since the log has no records of them.
 *
 * An answer is checked as a whole before any of it is applied.  Entries that come from
 * here are marked (`told`): if a later table has them no more they are removed, and they
 * are logged when this slave becomes the master.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/log.h"
#include "offsets/registry.h"
#include "offsets/rocketmq.h"

#define ROOM ((int64_t)1 << 22)	/* queues and places that one answer may ask memory for */

struct take {
	struct offsets *o;
	json_t *table;
	int64_t asked_ms;
	int64_t room;
	int64_t skipped;
};

static void
skip(struct take *t, const char *what, const char *name, const char *why)
{
	if (t->skipped++ == 0)
		log_warn("the master's %s %.200s is left out: %s", what, name, why);
}

/* --- topics -------------------------------------------------------------------------- */

static int
take_topic(struct take *t, const char *name, json_t *object)
{
	struct meta m = { .op = META_TOPIC_SET, .told = true };
	int rc;

	if (meta_topic_is_system(name))
		return MQ_OK;
	rc = rocketmq_topic_read(t->o, name, object, &m.topic_conf);
	if (rc == MQ_OK && m.topic_conf.queues > t->room)
		rc = err_note(-EINVAL, "there are too many queues before it");
	if (rc != MQ_OK) {
		skip(t, "topic", name, err_text(rc));
		return MQ_OK;
	}
	t->room -= m.topic_conf.queues;
	return apply(t->o, &m);
}

/* --- groups -------------------------------------------------------------------------- */

static int
take_group(struct take *t, const char *name, json_t *object)
{
	struct meta m = { .op = META_GROUP_SET, .told = true };
	int rc = rocketmq_group_read(t->o, name, object, &m.group_conf);

	if (rc != MQ_OK) {
		skip(t, "group", name, err_text(rc));
		return MQ_OK;
	}
	return apply(t->o, &m);
}

/* --- topics and groups that the table no longer has ---------------------------------------- */

/* End the subscriptions of a topic, or a group. */
static int
end_subscriptions(struct offsets *o, const struct registry_entry *of)
{
	const struct subscription_entry *s;

	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s) {
		struct meta m = unsubscribe_meta(&s->pub);
		int rc;

		if (s->pub.gone || (&s->pub.topic->entry != of && &s->pub.group->entry != of))
			continue;
		m.told = true;
		rc = apply(o, &m);
		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

static int
end_missing(struct take *t, enum entry_kind kind)
{
	const struct registry_entry *e;

	EACH_ENTRY(t->o, kind, e) {
		struct meta m = kind == ENTRY_TOPIC ? meta_of(META_TOPIC_DELETE, 0, NULL, e->name)
						    : meta_of(META_GROUP_DELETE, 0, e->name, NULL);
		int rc;

		if (e->gone || !e->told || json_object_get(t->table, e->name))
			continue;
		m.told = true;
		rc = end_subscriptions(t->o, e);
		if (rc == MQ_OK)
			rc = apply(t->o, &m);
		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

/* --- offsets --------------------------------------------------------------------------- */

/* Queues that the topic does not have are left out. */
static void
offsets_limit(struct meta *m, int32_t queues)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_offsets; i++)
		if (m->offsets[i].queue_id < queues)
			m->offsets[n++] = m->offsets[i];
	m->n_offsets = n;
}

static int
merge(struct take *t, struct subscription_entry *s, const struct meta *m)
{
	LOCKED(&t->o->registry);

	for (size_t i = 0; i < m->n_offsets; i++) {
		int32_t queue_id = m->offsets[i].queue_id;
		int64_t to = m->offsets[i].at.n;
		struct place *p;

		if (registry_grow_places(s, queue_id + 1) != MQ_OK)
			return -ENOMEM;
		p = &s->places[queue_id];
		if (slave_commits_merge_told(t->o, s, queue_id, to, t->asked_ms) || (p->known && to <= p->logged))
			continue;
		p->logged = to;
		p->at = p->at < to ? to : p->at;
		p->known = p->dirty = true;
		registry_dirty(t->o, &s->entry);
	}
	return MQ_OK;
}

/* Make a subscription with the offsets in m.  If the group is not in the master's table of
 * groups it is made, too, with RocketMQ's defaults. */
static int
subscribe(struct take *t, struct meta *m)
{
	int rc = MQ_OK;

	if (!group_find(t->o, m->group))
		rc = take_group(t, m->group, NULL);
	m->op = META_SUBSCRIBE;
	m->told = true;
	m->expression = strdup("*");
	if (!m->expression)
		return -ENOMEM;
	return rc == MQ_OK ? apply(t->o, m) : rc;
}

static int
take_offsets_of(struct take *t, struct meta *m)
{
	struct topic *topic = topic_find(t->o, m->topic);
	struct group *g = group_find(t->o, m->group);
	struct subscription *sub;
	int32_t queues;

	if (!topic)
		return MQ_OK;		/* RocketMQ keeps offsets of topics that were removed */
	queues = topic_queues(t->o, topic);
	if (queues > t->room) {
		skip(t, "offsets of group", m->group, "there are too many before them");
		return MQ_OK;
	}
	t->room -= queues;
	offsets_limit(m, queues);
	sub = g ? subscription_find(t->o, g, topic) : NULL;
	return sub ? merge(t, subscription_entry_of(sub), m) : subscribe(t, m);
}

static int
take_offsets(struct take *t, const char *key, json_t *table)
{
	struct meta m = { 0 };
	int rc = rocketmq_offsets_read(key, table, &m);

	if (rc == MQ_OK)
		rc = take_offsets_of(t, &m);
	else if (rc != -ENOMEM)
		rc = MQ_OK;		/* not logged: the same key comes with every answer */
	meta_free(&m);
	return rc;
}

/* --- an answer ------------------------------------------------------------------------- */

/* Is all of object a valid table of that kind? */
static int
check(enum config_file file, const json_t *object, json_t **ret_table)
{
	json_t *table = json_object_get(object, rocketmq_files[file].member), *value;
	const char *key;

	if (!json_is_object(table))
		return err_note(MQ_ECORRUPT, "no good \"%s\"", rocketmq_files[file].member);
	if (file == CONFIG_DELAYS && json_object_size(table) > DELAY_LEVELS_MAX)
		return err_note(MQ_ECORRUPT, "more than %d levels of delay", DELAY_LEVELS_MAX);
	json_object_foreach(table, key, value)
		if (file == CONFIG_DELAYS ? !rocketmq_delay_ok(key, value) : !json_is_object(value))
			return err_note(MQ_ECORRUPT, "\"%s\" has no good \"%.100s\"",
					rocketmq_files[file].member, key);
	*ret_table = table;
	return MQ_OK;
}

static struct data_version
version_of(const json_t *object)
{
	const json_t *v = json_object_get(object, "dataVersion");

	return (struct data_version){
		.counter = json_integer_value(json_object_get(v, "counter")),
		.ms = json_integer_value(json_object_get(v, "timestamp")),
	};
}

static int
take_table(struct take *t, enum config_file file, const json_t *object)
{
	static int (*const take[])(struct take *t, const char *name, json_t *value) = {
		[CONFIG_TOPICS] = take_topic,
		[CONFIG_GROUPS] = take_group,
		[CONFIG_OFFSETS] = take_offsets,
	};
	struct data_version *known = &t->o->told.versions[file], told = version_of(object);
	bool has_version = file != CONFIG_OFFSETS;
	const char *key;
	json_t *value;
	int rc = MQ_OK;

	if (has_version && told.ms > 0 && told.ms == known->ms && told.counter == known->counter)
		return MQ_OK;
	json_object_foreach(t->table, key, value) {
		rc = take[file](t, key, value);
		if (rc != MQ_OK)
			return rc;
	}
	if (has_version)
		rc = end_missing(t, file == CONFIG_TOPICS ? ENTRY_TOPIC : ENTRY_GROUP);
	if (rc == MQ_OK && has_version)
		*known = told;
	return rc;
}

static int
take_delays(struct take *t)
{
	const char *level;
	json_t *at;

	LOCKED(&t->o->registry);
	if (t->o->told.delays && json_equal(t->o->told.delays, t->table))
		return MQ_OK;
	json_decref(t->o->told.delays);
	t->o->told.delays = json_incref(t->table);
	t->o->told.delays_dirty = true;
	if (!t->o->store)		/* a registry alone */
		return MQ_OK;
	json_object_foreach(t->table, level, at)
		delays_level_is_at(t->o->store, atoi(level), MQ_QOFF(json_integer_value(at)));
	return MQ_OK;
}

int
offsets_take(struct offsets *o, enum config_file file, const json_t *object, int64_t asked_ms)
{
	struct take t = { .o = o, .asked_ms = asked_ms, .room = ROOM };
	int rc = check(file, object, &t.table);

	if (rc == MQ_OK) {
		LOCKED(&o->apply);
		if (o->settings->brokerRole != SLAVE)
			rc = MQ_EROLE;
		else if (file == CONFIG_DELAYS)
			rc = take_delays(&t);
		else
			rc = take_table(&t, file, object);
	}
	if (t.skipped > 1)
		log_warn("%" PRId64 " more like this are left out", t.skipped - 1);
	return rc;
}
