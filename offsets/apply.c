/* apply.c - one record -> memory.  Replay, changes and LMDB's rows all use apply(), so a
 * record means the same for each of them.
 *
 * Every function first allocates the memory it needs and then changes the registry, so
 * -ENOMEM leaves all as it was.  A record has a state and not a step, so applying it
 * twice is the same as once.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/registry.h"
#include "store/delays.h"
#include "offsets/rocketmq.h"

/* RocketMQ's slaves fetch a table again when its version has changed. */
static void
version_next(struct offsets *o, enum config_file table)
{
	o->versions[table].counter++;
	o->versions[table].ms = clock_wall_ms();
}

/* --- files' own owners and ACLs ------------------------------------------------ */

static void
attr_clear(struct offsets *o, struct attr_entry *a)
{
	a->has_owner = false;
	free(take_ptr(a->acl));
	a->acl_len = 0;
	registry_dirty(o, &a->entry);
}

/* Owners and ACLs of e's directory and all below it are removed with it. */
static void
attrs_drop(struct offsets *o, const struct registry_entry *e)
{
	char dir[2 * RECORD_TOPIC_MAX + 16];
	size_t len = (size_t)snprintf(dir, sizeof(dir), "%s/%s", e->kind == ENTRY_TOPIC ? "topics" : "groups", e->name);
	struct attr_entry *a;

	EACH_ENTRY(o, ENTRY_ATTR, a)
		if (strncmp(a->entry.name, dir, len) == 0 && (a->entry.name[len] == '/' || a->entry.name[len] == '\0'))
			attr_clear(o, a);
}

static int
apply_attr(struct offsets *o, const struct meta *m)
{
	LOCKED(&o->registry);
	struct attr_entry *a = registry_make(o, ENTRY_ATTR, m->path, 0);
	unsigned char *acl = NULL;

	if (!a)
		return -ENOMEM;
	if (m->acl && m->acl_len) {
		acl = malloc(m->acl_len);
		if (!acl)
			return -ENOMEM;
		memcpy(acl, m->acl, m->acl_len);
	}
	if (m->acl) {
		free(a->acl);
		a->acl = acl;
		a->acl_len = m->acl_len;
	}
	if (m->has_owner) {
		a->has_owner = true;
		a->owner = m->owner;
	}
	registry_dirty(o, &a->entry);
	return MQ_OK;
}

/* --- topics ---------------------------------------------------------------------- */

/* How many queues t has when a record has n: a queue that has held a message is never removed. */
static int32_t
queues_kept(struct offsets *o, const struct topic *t, int32_t n)
{
	int32_t kept = topic_queues(o, t);

	if (n < kept && o->store)
		kept = topic_queues_used(o, t);
	return n > kept ? n : kept;
}

static int
apply_topic(struct offsets *o, const struct meta *m)
{
	const struct topic_conf *conf = &m->topic_conf;
	const struct topic *known = topic_find(o, conf->name);
	int32_t queues = known ? queues_kept(o, known, conf->queues) : conf->queues;

	LOCKED(&o->registry);
	struct topic_entry *t = registry_make(o, ENTRY_TOPIC, conf->name, m->id);

	if (!t || registry_grow_queues(t, conf->queues) != MQ_OK)
		return -ENOMEM;
	t->conf = *conf;
	t->conf.queues = queues;
	if (t->implied && !m->implied)
		registry_renumber_topic(o, t, m->id);
	t->implied = m->implied;
	t->entry.told = m->told;
	o->keep.changed = true;
	if (rocketmq_knows_topic(conf->name))
		version_next(o, CONFIG_TOPICS);
	registry_set_gone(o, &t->entry, false);
	return MQ_OK;
}

/* Remove the messages before m->at.  The state of that is in the store's queue. */
static int
apply_trim(struct offsets *o, const struct meta *m)
{
	struct queue *q = o->store ? store_queue(o->store, m->topic, m->queue_id) : NULL;
	int rc = q ? queue_trim(q, m->at) : MQ_OK;

	if (rc == -ENOMEM)
		return rc;
	if (rc != MQ_OK)
		log_err("trim of %s/%" PRId32 ": %s", m->topic, m->queue_id, err_text(rc));
	LOCKED(&o->registry);
	registry_changed(o);
	return MQ_OK;
}

/* Set the ends of queues, of which the log may have no message any more.  As with a trim, the
 * state is in the store's queue. */
static int
apply_ends(struct offsets *o, const struct meta *m)
{
	int rc = MQ_OK;

	for (size_t i = 0; o->store && rc == MQ_OK && i < m->n_offsets; i++)
		rc = store_queue_came_to(o->store, m->topic, m->offsets[i].queue_id, m->offsets[i].at,
					 m->offsets[i].store_ms);
	return rc;
}

/* The state is in the store's view of delayed messages. */
static int
apply_delays(struct offsets *o, const struct meta *m)
{
	for (size_t i = 0; o->store && i < m->n_offsets; i++)
		delays_level_is_at(o->store, m->offsets[i].queue_id + 1, m->offsets[i].at);
	return MQ_OK;
}

/* --- groups ---------------------------------------------------------------------- */

static int
apply_group(struct offsets *o, const struct meta *m)
{
	LOCKED(&o->registry);
	struct group_entry *g = registry_make(o, ENTRY_GROUP, m->group_conf.name, m->id);

	if (!g)
		return -ENOMEM;
	g->conf = m->group_conf;
	g->entry.told = m->told;
	version_next(o, CONFIG_GROUPS);
	registry_set_gone(o, &g->entry, false);
	return MQ_OK;
}

/* --- topics and groups that are removed ------------------------------------------- */

static int
apply_delete(struct offsets *o, const struct meta *m)
{
	bool is_topic = m->op == META_TOPIC_DELETE;

	LOCKED(&o->registry);
	struct registry_entry *e = is_topic ? registry_make(o, ENTRY_TOPIC, m->topic, m->id)
					    : registry_make(o, ENTRY_GROUP, m->group, m->id);

	if (!e)
		return -ENOMEM;
	registry_set_gone(o, e, true);
	e->told = m->told;
	version_next(o, is_topic ? CONFIG_TOPICS : CONFIG_GROUPS);
	attrs_drop(o, e);
	return MQ_OK;
}

/* --- subscriptions and offsets ------------------------------------------------------ */

static int32_t
places_needed(const struct meta *m)
{
	int32_t n = 0;

	for (size_t i = 0; i < m->n_offsets; i++)
		if (m->offsets[i].queue_id >= n)
			n = m->offsets[i].queue_id + 1;
	return n;
}

/* The offsets of a record.  Only a reset moves one back, and what was committed here
 * on a slave is merged with the record (unsettled.h). */
static void
places_set(struct offsets *o, struct subscription_entry *s, const struct meta *m, bool reset)
{
	for (size_t i = 0; i < m->n_offsets; i++) {
		int32_t queue_id = m->offsets[i].queue_id;
		struct place *p = &s->places[queue_id];
		int64_t to = m->offsets[i].at.n;

		if (p->known && !reset && to <= p->logged)
			continue;
		p->logged = to;
		if (!slave_commits_merge(o, s, queue_id, to, reset, &p->at) && (reset || p->at < to))
			p->at = to;
		if (reset)
			p->reset = o->applying + 1;
		p->known = true;
		p->dirty = true;
	}
}

/* A subscription that is made again has no offsets from before. */
static void
places_forget(struct offsets *o, struct subscription_entry *s)
{
	for (int32_t i = 0; i < s->n_places; i++) {
		struct place *p = &s->places[i];

		p->dirty = p->dirty || p->known;
		p->known = false;
		p->at = p->logged = 0;
	}
	slave_commits_drop(o, s);
}

static bool
subscription_set_gone(struct offsets *o, struct subscription_entry *s, bool gone)
{
	int32_t by = gone ? -1 : 1;

	if (!registry_set_gone(o, &s->entry, gone))
		return false;
	topic_entry_of(s->pub.topic)->subscriptions += by;
	group_entry_of(s->pub.group)->subscriptions += by;
	return true;
}

static struct subscription_entry *
subscription_make(struct offsets *o, const struct meta *m, int *ret_rc)
{
	struct topic_entry *t = registry_find(o, ENTRY_TOPIC, m->topic);
	struct group_entry *g = registry_find(o, ENTRY_GROUP, m->group);
	struct subscription_entry *s;

	if (!t || !g) {
		log_warn("a record subscribes group %s to topic %s: no such %s", m->group, m->topic,
			 t ? "group" : "topic");
		*ret_rc = MQ_OK;
		return NULL;
	}
	s = registry_make(o, ENTRY_SUBSCRIPTION, subscription_name(m->group, m->topic).text, m->id);
	if (s && (s->pub.group != &g->pub || s->pub.topic != &t->pub)) {	/* both are read without a lock */
		s->pub.group = &g->pub;
		s->pub.topic = &t->pub;
	}
	*ret_rc = s && registry_grow_places(s, places_needed(m)) == MQ_OK ? MQ_OK : -ENOMEM;
	return *ret_rc == MQ_OK ? s : NULL;
}

static int
apply_subscribe(struct offsets *o, const struct meta *m)
{
	LOCKED(&o->registry);
	char *expression = strdup(m->expression);
	struct subscription_entry *s;
	bool anew;
	int rc;

	if (!expression)
		return -ENOMEM;
	s = subscription_make(o, m, &rc);
	if (!s) {
		free(expression);
		return rc;
	}
	free(s->expression);
	s->expression = expression;
	s->entry.told = m->told;
	anew = subscription_set_gone(o, s, false);
	if (anew)
		places_forget(o, s);
	places_set(o, s, m, anew);
	return MQ_OK;
}

static int
apply_unsubscribe(struct offsets *o, const struct meta *m)
{
	LOCKED(&o->registry);
	int rc;
	struct subscription_entry *s = subscription_make(o, m, &rc);

	if (!s)
		return rc;
	subscription_set_gone(o, s, true);
	places_forget(o, s);
	s->entry.told = m->told;
	attrs_drop(o, &s->entry);
	return MQ_OK;
}

static int
apply_commit(struct offsets *o, const struct meta *m)
{
	LOCKED(&o->registry);
	struct subscription_entry *s = registry_find(o, ENTRY_SUBSCRIPTION, subscription_name(m->group, m->topic).text);

	if (!s || s->pub.gone) {
		log_debug("a commit for group %s on topic %s, which is not subscribed", m->group, m->topic);
		return MQ_OK;
	}
	if (registry_grow_places(s, places_needed(m)) != MQ_OK)
		return -ENOMEM;
	places_set(o, s, m, m->reset);
	registry_dirty(o, &s->entry);
	return MQ_OK;
}

static int
apply_import(struct offsets *o, const struct meta *m)
{
	o->import = m->done ? IMPORT_DONE : IMPORT_BEGUN;
	return MQ_OK;
}

/* --- epochs ------------------------------------------------------------------------- */

static int
apply_epoch(struct offsets *o, const struct meta *m)
{
	LOCKED(&o->registry);

	if (epochs_add(&o->history.epochs, &m->epoch))
		o->history.changed = true;
	else
		log_warn("epoch %" PRId64 " at %" PRId64 " is not one of this log's history: passed over",
			 m->epoch.number, m->epoch.start.byte);
	return MQ_OK;
}

/* --- all --------------------------------------------------------------------------- */

int
apply(struct offsets *o, const struct meta *m)
{
	static int (*const by_op[])(struct offsets *o, const struct meta *m) = {
		[META_TOPIC_SET] = apply_topic,
		[META_TOPIC_DELETE] = apply_delete,
		[META_GROUP_SET] = apply_group,
		[META_GROUP_DELETE] = apply_delete,
		[META_SUBSCRIBE] = apply_subscribe,
		[META_UNSUBSCRIBE] = apply_unsubscribe,
		[META_COMMIT] = apply_commit,
		[META_TRIM] = apply_trim,
		[META_ATTR] = apply_attr,
		[META_IMPORT] = apply_import,
		[META_EPOCH] = apply_epoch,
		[META_ENDS] = apply_ends,
		[META_DELAYS] = apply_delays,
	};

	MUST_HOLD_APPLY(o);
	return by_op[m->op](o, m);
}
