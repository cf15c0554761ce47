#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "offsets/registry.h"

/* --- kinds -------------------------------------------------------------------- */

static int
topic_cmp(const void *name, const void *item)
{
	return strcmp(name, ((const struct topic_entry *)item)->pub.name);
}

static int
group_cmp(const void *name, const void *item)
{
	return strcmp(name, ((const struct group_entry *)item)->pub.name);
}

static int
attr_cmp(const void *path, const void *item)
{
	return strcmp(path, ((const struct attr_entry *)item)->path);
}

static int
subscription_cmp(const void *key, const void *item)
{
	const struct subscription_name *name = key;
	const struct subscription *sub = &((const struct subscription_entry *)item)->pub;
	int d = strcmp(name->group, sub->group->name);

	return d ? d : strcmp(name->topic, sub->topic->name);
}

static void
topic_free(struct entry *e)
{
	free(entry_topic(e)->queues);
}

static void
group_free(struct entry *e)
{
	(void)e;
}

static void
subscription_free(struct entry *e)
{
	free(entry_subscription(e)->expression);
	free(entry_subscription(e)->places);
}

static void
attr_free(struct entry *e)
{
	free(entry_attr(e)->path);
	free(entry_attr(e)->acl);
}

static const struct {
	size_t size;		/* of the entry, */
	size_t pub;		/* and where its struct entry_pub is in it; 0: it has none */
	sorted_cmp *cmp;	/* with a name */
	void (*free)(struct entry *e);	/* what it has */
} kinds[ENTRY_KINDS] = {
	[ENTRY_TOPIC] = { sizeof(struct topic_entry), offsetof(struct topic_entry, pub), topic_cmp, topic_free },
	[ENTRY_GROUP] = { sizeof(struct group_entry), offsetof(struct group_entry, pub), group_cmp, group_free },
	[ENTRY_SUBSCRIPTION] = { sizeof(struct subscription_entry), offsetof(struct subscription_entry, pub),
				 subscription_cmp, subscription_free },
	[ENTRY_ATTR] = { sizeof(struct attr_entry), 0, attr_cmp, attr_free },
};

_Static_assert(offsetof(struct topic, entry_pub) == 0 && offsetof(struct group, entry_pub) == 0 &&
	       offsetof(struct subscription, entry_pub) == 0, "a pointer to a struct entry_pub is one to them");

static int
id_cmp(const void *key, const void *item)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct entry *)item)->pub->id;

	return (a > b) - (a < b);
}

static void
entry_free(struct entry *e)
{
	kinds[e->kind].free(e);
	free(e);
}

/* --- ids ---------------------------------------------------------------------- */

static uint32_t
id_at(const struct sorted *by_id, size_t i)
{
	return ((const struct entry *)by_id->items[i])->pub->id;
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
	const struct sorted *by_id = &o->entries[ENTRY_TOPIC].by_id;

	MUST_HOLD_REGISTRY(o);
	return META_ID_MAX - (uint32_t)(by_id->n - ids_from_below(by_id));
}

uint32_t
registry_id(struct offsets *o, enum entry_kind kind, const void *name)
{
	LOCKED(&o->registry);
	const struct entry *e = registry_find(o, kind, name);

	return e ? e->pub->id : id_next(&o->entries[kind].by_id);
}

/* --- finding -------------------------------------------------------------------- */

struct entry *
registry_find(struct offsets *o, enum entry_kind kind, const void *name)
{
	MUST_HOLD_REGISTRY(o);
	return sorted_find(&o->entries[kind].by_name, name, kinds[kind].cmp);
}

struct entry *
registry_same(struct offsets *o, const struct entry *e)
{
	struct entry *entry = (struct entry *)(uintptr_t)e;
	const struct subscription *sub;

	switch (e->kind) {
	case ENTRY_TOPIC:
		return registry_find(o, e->kind, entry_topic(entry)->pub.name);
	case ENTRY_GROUP:
		return registry_find(o, e->kind, entry_group(entry)->pub.name);
	case ENTRY_SUBSCRIPTION:
		sub = &entry_subscription(entry)->pub;
		return registry_find(o, e->kind, &(struct subscription_name){ sub->group->name, sub->topic->name });
	default:
		return registry_find(o, e->kind, entry_attr(entry)->path);
	}
}

struct topic_entry *
registry_topic(struct offsets *o, const char *name)
{
	return entry_topic(registry_find(o, ENTRY_TOPIC, name));
}

struct group_entry *
registry_group(struct offsets *o, const char *name)
{
	return entry_group(registry_find(o, ENTRY_GROUP, name));
}

struct subscription_entry *
registry_subscription(struct offsets *o, const char *group, const char *topic)
{
	return entry_subscription(registry_find(o, ENTRY_SUBSCRIPTION, &(struct subscription_name){ group, topic }));
}

struct attr_entry *
registry_attr(struct offsets *o, const char *path)
{
	return entry_attr(registry_find(o, ENTRY_ATTR, path));
}

/* The public part of one that is not gone, or NULL. */
static void *
find_living(struct offsets *o, enum entry_kind kind, const void *name)
{
	LOCKED(&o->registry);
	const struct entry *e = registry_find(o, kind, name);

	return e && !e->pub->gone ? e->pub : NULL;
}

/* The public part of any. */
static void *
find_id(struct offsets *o, enum entry_kind kind, uint32_t id)
{
	LOCKED(&o->registry);
	const struct entry *e = sorted_find(&o->entries[kind].by_id, &id, id_cmp);

	return e ? e->pub : NULL;
}

/* The public part of the first behind that name which is not gone. */
static void *
next_living(struct offsets *o, enum entry_kind kind, const void *name)
{
	LOCKED(&o->registry);
	const struct sorted *s = &o->entries[kind].by_name;
	size_t i = sorted_place(s, name, kinds[kind].cmp);

	for (; i < s->n; i++) {
		const struct entry *e = s->items[i];

		if (!e->pub->gone && kinds[kind].cmp(name, e) != 0)
			return e->pub;
	}
	return NULL;
}

struct topic *
topic_find(struct offsets *o, const char *name)
{
	return find_living(o, ENTRY_TOPIC, name);
}

struct topic *
topic_by_id(struct offsets *o, uint32_t id)
{
	return find_id(o, ENTRY_TOPIC, id);
}

struct topic *
topic_next(struct offsets *o, const char *after)
{
	struct topic *t = next_living(o, ENTRY_TOPIC, after);

	while (t && meta_topic_is_system(t->name))
		t = next_living(o, ENTRY_TOPIC, t->name);
	return t;
}

struct group *
group_find(struct offsets *o, const char *name)
{
	return find_living(o, ENTRY_GROUP, name);
}

struct group *
group_by_id(struct offsets *o, uint32_t id)
{
	return find_id(o, ENTRY_GROUP, id);
}

struct group *
group_next(struct offsets *o, const char *after)
{
	return next_living(o, ENTRY_GROUP, after);
}

struct subscription *
subscription_find(struct offsets *o, struct group *g, struct topic *t)
{
	return find_living(o, ENTRY_SUBSCRIPTION, &(struct subscription_name){ g->name, t->name });
}

struct subscription *
subscription_by_id(struct offsets *o, uint32_t id)
{
	return find_id(o, ENTRY_SUBSCRIPTION, id);
}

struct subscription *
subscription_next(struct offsets *o, struct group *g, const char *after_topic)
{
	struct subscription_name name = { g->name, after_topic };
	struct subscription *sub = next_living(o, ENTRY_SUBSCRIPTION, &name);

	return sub && sub->group == g ? sub : NULL;
}

/* --- making --------------------------------------------------------------------- */

/* One with an id, if its kind has ids, that entry_insert() cannot fail to insert. */
static struct entry *
entry_alloc(struct offsets *o, enum entry_kind kind, uint32_t id)
{
	struct entries *all = &o->entries[kind];
	struct entry *e;

	id = kinds[kind].pub ? id_for(&all->by_id, id) : 1;
	if (!id || sorted_reserve(&all->by_name) != MQ_OK || sorted_reserve(&all->by_id) != MQ_OK)
		return NULL;
	e = calloc(1, kinds[kind].size);
	if (!e)
		return NULL;
	e->kind = kind;
	if (kinds[kind].pub) {
		e->pub = (struct entry_pub *)(void *)((char *)e + kinds[kind].pub);
		e->pub->id = id;
		e->pub->gone = true;
	}
	return e;
}

static void
entry_insert(struct offsets *o, struct entry *e, const void *name)
{
	struct entries *all = &o->entries[e->kind];

	sorted_insert(&all->by_name, sorted_place(&all->by_name, name, kinds[e->kind].cmp), e);
	if (e->pub)
		sorted_insert(&all->by_id, sorted_place(&all->by_id, &e->pub->id, id_cmp), e);
}

struct topic_entry *
registry_make_topic(struct offsets *o, const char *name, uint32_t id)
{
	struct topic_entry *t = registry_topic(o, name);

	if (t)
		return t;
	t = entry_topic(entry_alloc(o, ENTRY_TOPIC, id));
	if (!t)
		return NULL;
	snprintf(t->pub.name, sizeof(t->pub.name), "%s", name);
	entry_insert(o, &t->entry, name);
	return t;
}

struct group_entry *
registry_make_group(struct offsets *o, const char *name, uint32_t id)
{
	struct group_entry *g = registry_group(o, name);

	if (g)
		return g;
	g = entry_group(entry_alloc(o, ENTRY_GROUP, id));
	if (!g)
		return NULL;
	snprintf(g->pub.name, sizeof(g->pub.name), "%s", name);
	entry_insert(o, &g->entry, name);
	return g;
}

struct subscription_entry *
registry_make_subscription(struct offsets *o, struct group_entry *g, struct topic_entry *t, uint32_t id)
{
	struct subscription_name name = { g->pub.name, t->pub.name };
	struct subscription_entry *s = registry_subscription(o, name.group, name.topic);

	if (s)
		return s;
	s = entry_subscription(entry_alloc(o, ENTRY_SUBSCRIPTION, id));
	if (!s)
		return NULL;
	s->pub.group = &g->pub;
	s->pub.topic = &t->pub;
	entry_insert(o, &s->entry, &name);
	return s;
}

struct attr_entry *
registry_make_attr(struct offsets *o, const char *path)
{
	struct attr_entry *a = registry_attr(o, path);

	if (a)
		return a;
	a = entry_attr(entry_alloc(o, ENTRY_ATTR, 0));
	if (!a)
		return NULL;
	a->path = strdup(path);
	if (!a->path) {
		free(a);
		return NULL;
	}
	entry_insert(o, &a->entry, path);
	return a;
}

bool
registry_set_gone(struct offsets *o, struct entry *e, bool gone)
{
	MUST_HOLD_REGISTRY(o);
	if (e->pub->gone == gone)
		return false;
	e->pub->gone = gone;
	atomic_fetch_add(&o->rights_version, 1);
	if (e->kind != ENTRY_TOPIC || !meta_topic_is_system(entry_topic(e)->pub.name))
		o->entries[e->kind].living += gone ? -1 : 1;
	if (!gone)
		e->pub->life++;
	return true;
}

void
registry_renumber_topic(struct offsets *o, struct topic_entry *t, uint32_t id)
{
	struct sorted *by_id = &o->entries[ENTRY_TOPIC].by_id;
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
	if (e->kind != ENTRY_SUBSCRIPTION)
		atomic_fetch_add(&o->rights_version, 1);
	if (e->dirty)
		return;
	e->dirty = true;
	e->next = o->dirty;
	o->dirty = e;
}

void
registry_dirty_all(struct offsets *o)
{
	MUST_HOLD_REGISTRY(o);
	slave_commits_collected(o, false);
	o->history.changed = true;
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		for (size_t i = 0; i < o->entries[kind].by_name.n; i++)
			registry_dirty(o, o->entries[kind].by_name.items[i]);
	for (size_t i = 0; i < o->entries[ENTRY_SUBSCRIPTION].by_name.n; i++) {
		struct subscription_entry *s = o->entries[ENTRY_SUBSCRIPTION].by_name.items[i];

		for (int32_t q = 0; q < s->n_places; q++)
			s->places[q].dirty = true;
	}
}

void
registry_all_clean(struct offsets *o)
{
	MUST_HOLD_REGISTRY(o);
	while (o->dirty) {
		struct entry *e = o->dirty;

		o->dirty = e->next;
		e->dirty = false;
	}
	o->history.changed = false;
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
	o->versions.topics.ms = o->versions.groups.ms = clock_wall_ms();
	o->history.epochs.list = o->history.list;
	lock_init(&o->turn, RANK_TURN);
	lock_init(&o->apply, RANK_APPLY);
	lock_init(&o->registry, RANK_REGISTRY);
	mark_init(&o->slave_commits.news, MQ_POS(0));
	mark_init(&o->slave_commits.answered, MQ_POS(0));
	batch_init(&o->batch);
	return o;
}

void
registry_retire(struct offsets *o, struct entry *e)
{
	MUST_HOLD_REGISTRY(o);
	e->next = o->retired;
	o->retired = e;
}

void
registry_clear(struct offsets *o)
{
	for (struct entry *e = o->retired, *next; e; e = next) {
		next = e->next;
		entry_free(e);
	}
	o->retired = NULL;
	for (int kind = 0; kind < ENTRY_KINDS; kind++) {
		struct entries *all = &o->entries[kind];

		for (size_t i = 0; i < all->by_name.n; i++)
			entry_free(all->by_name.items[i]);
		sorted_free(&all->by_name);
		sorted_free(&all->by_id);
		all->living = 0;
	}
	o->history.epochs.n = 0;
	o->history.changed = true;
	o->dirty = NULL;
	o->pending.first = o->pending.last = NULL;
	o->pending.n = 0;
}
