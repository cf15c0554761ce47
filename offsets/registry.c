#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "offsets/registry.h"

/* --- order -------------------------------------------------------------------- */

static int
topic_cmp(const void *key, const void *item)
{
	return strcmp(key, ((const struct topic *)item)->name);
}

static int
group_cmp(const void *key, const void *item)
{
	return strcmp(key, ((const struct group *)item)->name);
}

static int
attr_cmp(const void *key, const void *item)
{
	return strcmp(key, ((const struct attr_entry *)item)->path);
}

struct pair {
	const char *group, *topic;
};

static int
subscription_cmp(const void *key, const void *item)
{
	const struct pair *pair = key;
	const struct subscription *sub = item;
	int d = strcmp(pair->group, sub->group->name);

	return d ? d : strcmp(pair->topic, sub->topic->name);
}

/* All three begin with their id. */
static int
id_cmp(const void *key, const void *item)
{
	uint32_t a = *(const uint32_t *)key, b = *(const uint32_t *)item;

	return (a > b) - (a < b);
}

_Static_assert(offsetof(struct topic, id) == 0 && offsetof(struct group, id) == 0 &&
	       offsetof(struct subscription, id) == 0, "id_cmp() looks there");

/* --- ids ---------------------------------------------------------------------- */

static uint32_t
id_at(const struct sorted *by_id, size_t i)
{
	return *(const uint32_t *)by_id->items[i];
}

/* How many are not among those that were given from the highest down. */
static size_t
ids_from_below(const struct sorted *by_id)
{
	size_t n = by_id->n;

	while (n > 0 && id_at(by_id, n - 1) == META_ID_MAX - (by_id->n - n))
		n--;
	return n;
}

/* The one after the highest that was given from below; once those are used up, the
 * first gap; 0: none. */
static uint32_t
id_next(const struct sorted *by_id)
{
	size_t n = ids_from_below(by_id);
	uint32_t last = n ? id_at(by_id, n - 1) : 0;

	if (last < META_ID_MAX - (by_id->n - n))
		return last + 1;
	for (size_t i = 0; i < by_id->n; i++)
		if (id_at(by_id, i) != i + 1)
			return (uint32_t)i + 1;
	return 0;
}

static uint32_t
id_for(const struct sorted *by_id, uint32_t wanted)
{
	if (wanted && wanted <= META_ID_MAX && !sorted_find(by_id, &wanted, id_cmp))
		return wanted;
	return id_next(by_id);
}

uint32_t
registry_implied_id(struct offsets *o)
{
	MUST_HOLD_REGISTRY(o);
	return META_ID_MAX - (uint32_t)(o->topics_by_id.n - ids_from_below(&o->topics_by_id));
}

uint32_t
registry_topic_id(struct offsets *o, const char *name)
{
	LOCKED(&o->registry);
	struct topic_entry *t = registry_topic(o, name);

	return t ? t->pub.id : id_next(&o->topics_by_id);
}

uint32_t
registry_group_id(struct offsets *o, const char *name)
{
	LOCKED(&o->registry);
	struct group_entry *g = registry_group(o, name);

	return g ? g->pub.id : id_next(&o->groups_by_id);
}

uint32_t
registry_subscription_id(struct offsets *o, const char *group, const char *topic)
{
	LOCKED(&o->registry);
	struct subscription_entry *s = registry_subscription(o, group, topic);

	return s ? s->pub.id : id_next(&o->subscriptions_by_id);
}

/* --- finding -------------------------------------------------------------------- */

struct topic_entry *
registry_topic(struct offsets *o, const char *name)
{
	MUST_HOLD_REGISTRY(o);
	return sorted_find(&o->topics, name, topic_cmp);
}

struct group_entry *
registry_group(struct offsets *o, const char *name)
{
	MUST_HOLD_REGISTRY(o);
	return sorted_find(&o->groups, name, group_cmp);
}

struct subscription_entry *
registry_subscription(struct offsets *o, const char *group, const char *topic)
{
	struct pair key = { group, topic };

	MUST_HOLD_REGISTRY(o);
	return sorted_find(&o->subscriptions, &key, subscription_cmp);
}

struct attr_entry *
registry_attr(struct offsets *o, const char *path)
{
	MUST_HOLD_REGISTRY(o);
	return sorted_find(&o->attrs, path, attr_cmp);
}

struct topic *
topic_find(struct offsets *o, const char *name)
{
	LOCKED(&o->registry);
	struct topic_entry *t = registry_topic(o, name);

	return t && !t->pub.gone ? &t->pub : NULL;
}

struct topic *
topic_by_id(struct offsets *o, uint32_t id)
{
	LOCKED(&o->registry);

	return sorted_find(&o->topics_by_id, &id, id_cmp);
}

struct group *
group_find(struct offsets *o, const char *name)
{
	LOCKED(&o->registry);
	struct group_entry *g = registry_group(o, name);

	return g && !g->pub.gone ? &g->pub : NULL;
}

struct group *
group_by_id(struct offsets *o, uint32_t id)
{
	LOCKED(&o->registry);

	return sorted_find(&o->groups_by_id, &id, id_cmp);
}

struct subscription *
subscription_find(struct offsets *o, struct group *g, struct topic *t)
{
	LOCKED(&o->registry);
	struct subscription_entry *s = registry_subscription(o, g->name, t->name);

	return s && !s->pub.gone ? &s->pub : NULL;
}

struct subscription *
subscription_by_id(struct offsets *o, uint32_t id)
{
	LOCKED(&o->registry);

	return sorted_find(&o->subscriptions_by_id, &id, id_cmp);
}

/* --- walking -------------------------------------------------------------------- */

/* The first place behind key. */
static size_t
place_after(const struct sorted *s, const void *key, sorted_cmp *cmp)
{
	size_t at = sorted_place(s, key, cmp);

	return at < s->n && cmp(key, s->items[at]) == 0 ? at + 1 : at;
}

struct topic *
topic_next(struct offsets *o, const char *after)
{
	LOCKED(&o->registry);

	for (size_t i = place_after(&o->topics, after, topic_cmp); i < o->topics.n; i++) {
		struct topic *t = o->topics.items[i];

		if (!t->gone && !meta_topic_is_system(t->name))
			return t;
	}
	return NULL;
}

struct group *
group_next(struct offsets *o, const char *after)
{
	LOCKED(&o->registry);

	for (size_t i = place_after(&o->groups, after, group_cmp); i < o->groups.n; i++) {
		struct group *g = o->groups.items[i];

		if (!g->gone)
			return g;
	}
	return NULL;
}

struct subscription *
subscription_next(struct offsets *o, struct group *g, const char *after_topic)
{
	LOCKED(&o->registry);
	struct pair key = { g->name, after_topic };

	for (size_t i = place_after(&o->subscriptions, &key, subscription_cmp); i < o->subscriptions.n; i++) {
		struct subscription *sub = o->subscriptions.items[i];

		if (sub->group != g)
			return NULL;
		if (!sub->gone)
			return sub;
	}
	return NULL;
}

/* --- making --------------------------------------------------------------------- */

/* Insert a new item by name and by id, both of which have room. */
static void
insert_both(struct sorted *by_name, const void *key, sorted_cmp *cmp, struct sorted *by_id, uint32_t id,
	    void *item)
{
	sorted_insert(by_name, sorted_place(by_name, key, cmp), item);
	sorted_insert(by_id, sorted_place(by_id, &id, id_cmp), item);
}

static void *
entry_alloc(size_t size, struct sorted *by_name, struct sorted *by_id, uint32_t id)
{
	if (!id || sorted_reserve(by_name) != MQ_OK || sorted_reserve(by_id) != MQ_OK)
		return NULL;
	return calloc(1, size);
}

struct topic_entry *
registry_make_topic(struct offsets *o, const char *name, uint32_t id)
{
	struct topic_entry *t = registry_topic(o, name);

	if (t)
		return t;
	id = id_for(&o->topics_by_id, id);
	t = entry_alloc(sizeof(*t), &o->topics, &o->topics_by_id, id);
	if (!t)
		return NULL;
	t->pub.id = id;
	snprintf(t->pub.name, sizeof(t->pub.name), "%s", name);
	t->pub.gone = true;
	t->entry.kind = ENTRY_TOPIC;
	insert_both(&o->topics, name, topic_cmp, &o->topics_by_id, id, t);
	return t;
}

struct group_entry *
registry_make_group(struct offsets *o, const char *name, uint32_t id)
{
	struct group_entry *g = registry_group(o, name);

	if (g)
		return g;
	id = id_for(&o->groups_by_id, id);
	g = entry_alloc(sizeof(*g), &o->groups, &o->groups_by_id, id);
	if (!g)
		return NULL;
	g->pub.id = id;
	snprintf(g->pub.name, sizeof(g->pub.name), "%s", name);
	g->pub.gone = true;
	g->entry.kind = ENTRY_GROUP;
	insert_both(&o->groups, name, group_cmp, &o->groups_by_id, id, g);
	return g;
}

struct subscription_entry *
registry_make_subscription(struct offsets *o, struct group_entry *g, struct topic_entry *t, uint32_t id)
{
	struct pair key = { g->pub.name, t->pub.name };
	struct subscription_entry *s = registry_subscription(o, key.group, key.topic);

	if (s)
		return s;
	id = id_for(&o->subscriptions_by_id, id);
	s = entry_alloc(sizeof(*s), &o->subscriptions, &o->subscriptions_by_id, id);
	if (!s)
		return NULL;
	s->pub.id = id;
	s->pub.group = &g->pub;
	s->pub.topic = &t->pub;
	s->pub.gone = true;
	s->entry.kind = ENTRY_SUBSCRIPTION;
	insert_both(&o->subscriptions, &key, subscription_cmp, &o->subscriptions_by_id, id, s);
	return s;
}

struct attr_entry *
registry_make_attr(struct offsets *o, const char *path)
{
	struct attr_entry *a = registry_attr(o, path);

	if (a)
		return a;
	if (sorted_reserve(&o->attrs) != MQ_OK)
		return NULL;
	a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->entry.kind = ENTRY_ATTR;
	a->path = strdup(path);
	if (!a->path) {
		free(a);
		return NULL;
	}
	sorted_insert(&o->attrs, sorted_place(&o->attrs, path, attr_cmp), a);
	return a;
}

void
registry_renumber_topic(struct offsets *o, struct topic_entry *t, uint32_t id)
{
	struct sorted *by_id = &o->topics_by_id;
	size_t at = sorted_place(by_id, &t->pub.id, id_cmp);

	MUST_HOLD_REGISTRY(o);
	if (id == 0 || id > META_ID_MAX || sorted_find(by_id, &id, id_cmp))
		return;
	memmove(&by_id->items[at], &by_id->items[at + 1], (by_id->n - at - 1) * sizeof(*by_id->items));
	by_id->n--;
	t->pub.id = id;
	sorted_insert(by_id, sorted_place(by_id, &id, id_cmp), t);
}

int
registry_grow_queues(struct topic_entry *t, int32_t n)
{
	struct queue **queues;

	if (n > t->n_queues) {
		queues = realloc(t->queues, (size_t)n * sizeof(*queues));
		if (!queues)
			return -ENOMEM;
		memset(queues + t->n_queues, 0, (size_t)(n - t->n_queues) * sizeof(*queues));
		t->queues = queues;
		t->n_queues = n;
	}
	return MQ_OK;
}

int
registry_grow_places(struct subscription_entry *s, int32_t n)
{
	struct place *places;

	if (n > s->n_places) {
		places = realloc(s->places, (size_t)n * sizeof(*places));
		if (!places)
			return -ENOMEM;
		memset(places + s->n_places, 0, (size_t)(n - s->n_places) * sizeof(*places));
		s->places = places;
		s->n_places = n;
	}
	return MQ_OK;
}

void
registry_dirty(struct offsets *o, struct entry *e)
{
	MUST_HOLD_REGISTRY(o);
	if (e->dirty)
		return;
	e->dirty = true;
	e->next_dirty = o->dirty;
	o->dirty = e;
}

void
registry_dirty_all(struct offsets *o)
{
	MUST_HOLD_REGISTRY(o);
	debts_collected(o, false);
	o->epochs_changed = true;
	for (size_t i = 0; i < o->topics.n; i++)
		registry_dirty(o, &topic_entry_of(o->topics.items[i])->entry);
	for (size_t i = 0; i < o->groups.n; i++)
		registry_dirty(o, &group_entry_of(o->groups.items[i])->entry);
	for (size_t i = 0; i < o->attrs.n; i++)
		registry_dirty(o, &((struct attr_entry *)o->attrs.items[i])->entry);
	for (size_t i = 0; i < o->subscriptions.n; i++) {
		struct subscription_entry *s = o->subscriptions.items[i];

		for (int32_t q = 0; q < s->n_places; q++)
			s->places[q].dirty = true;
		registry_dirty(o, &s->entry);
	}
}

void
registry_all_clean(struct offsets *o)
{
	MUST_HOLD_REGISTRY(o);
	while (o->dirty) {
		struct entry *e = o->dirty;

		o->dirty = e->next_dirty;
		e->dirty = false;
	}
	o->epochs_changed = false;
}

/* --- all of it --------------------------------------------------------------------- */

struct offsets *
registry_new(const struct settings *settings, struct storedir *dir)
{
	struct offsets *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->settings = settings;
	o->dir = dir;
	o->alone = true;
	o->seen_queues = -1;
	o->applying = -1;
	o->handover.changed = true;
	o->topics_version.ms = o->groups_version.ms = clock_wall_ms();
	o->epochs.list = o->epoch_list;
	lock_init(&o->turn, RANK_TURN);
	lock_init(&o->apply, RANK_APPLY);
	lock_init(&o->registry, RANK_REGISTRY);
	mark_init(&o->owed_news, MQ_POS(0));
	mark_init(&o->answered, MQ_POS(0));
	batch_init(&o->batch);
	return o;
}

void
registry_bury(struct offsets *o, struct entry *e)
{
	MUST_HOLD_REGISTRY(o);
	e->next_dirty = o->buried;
	o->buried = e;
}

static void
topic_free(struct topic_entry *t)
{
	free(t->queues);
	free(t);
}

static void
subscription_free(struct subscription_entry *s)
{
	free(s->expression);
	free(s->places);
	free(s);
}

static void
attr_free(struct attr_entry *a)
{
	free(a->path);
	free(a->acl);
	free(a);
}

static void
entry_free(struct entry *e)
{
	switch (e->kind) {
	case ENTRY_TOPIC:
		topic_free(entry_topic(e));
		break;
	case ENTRY_GROUP:
		free(entry_group(e));
		break;
	case ENTRY_SUBSCRIPTION:
		subscription_free(entry_subscription(e));
		break;
	default:
		attr_free(entry_attr(e));
	}
}

void
registry_clear(struct offsets *o)
{
	for (struct entry *e = o->buried, *next; e; e = next) {
		next = e->next_dirty;
		entry_free(e);
	}
	o->buried = NULL;
	for (size_t i = 0; i < o->topics.n; i++)
		topic_free(o->topics.items[i]);
	for (size_t i = 0; i < o->groups.n; i++)
		free(o->groups.items[i]);
	for (size_t i = 0; i < o->subscriptions.n; i++)
		subscription_free(o->subscriptions.items[i]);
	for (size_t i = 0; i < o->attrs.n; i++)
		attr_free(o->attrs.items[i]);
	sorted_free(&o->topics);
	sorted_free(&o->topics_by_id);
	sorted_free(&o->groups);
	sorted_free(&o->groups_by_id);
	sorted_free(&o->subscriptions);
	sorted_free(&o->subscriptions_by_id);
	sorted_free(&o->attrs);
	o->epochs.n = 0;
	o->epochs_changed = true;
	o->dirty = NULL;
	o->pending = o->pending_last = NULL;
	o->n_pending = 0;
	o->n_topics = o->n_groups = o->n_subscriptions = 0;
}
