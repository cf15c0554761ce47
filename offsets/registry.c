#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "offsets/registry.h"

/* --- entries ------------------------------------------------------------------ */

static int
name_cmp(const void *name, const void *item)
{
	return strcmp(name, ((const struct registry_entry *)item)->name);
}

static int
id_cmp(const void *key, const void *item)
{
	uint32_t a = *(const uint32_t *)key, b = ((const struct registry_entry *)item)->id;

	return (a > b) - (a < b);
}

static void
topic_free(void *entry)
{
	struct topic_entry *t = entry;

	free(t->queues);
}

static void
subscription_free(void *entry)
{
	struct subscription_entry *s = entry;

	free(s->expression);
	free(s->places);
}

static void
attr_free(void *entry)
{
	struct attr_entry *a = entry;

	free(a->acl);
}

static const struct {
	size_t size;
	void (*free)(void *entry);	/* what it points to; NULL: nothing */
} kinds[ENTRY_KINDS] = {
	[ENTRY_TOPIC] = { sizeof(struct topic_entry), topic_free },
	[ENTRY_GROUP] = { sizeof(struct group_entry), NULL },
	[ENTRY_SUBSCRIPTION] = { sizeof(struct subscription_entry), subscription_free },
	[ENTRY_ATTR] = { sizeof(struct attr_entry), attr_free },
};

static void
entry_free(struct registry_entry *e)
{
	if (kinds[e->kind].free)
		kinds[e->kind].free(e);
	free(e);
}

/* --- ids ---------------------------------------------------------------------- */

static uint32_t
id_at(const struct sorted *by_id, size_t i)
{
	return ((const struct registry_entry *)by_id->items[i])->id;
}

/* The number of ids that count up; behind them in the table are those that count down from META_ID_MAX. */
static size_t
ids_from_below(const struct sorted *by_id)
{
	size_t n = by_id->n;

	while (n > 0 && id_at(by_id, n - 1) == META_ID_MAX - (by_id->n - n))
		n--;
	return n;
}

/* The one after the highest id that counts up; if there is none left, the first that is free; 0: none. */
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
registry_id(struct offsets *o, enum entry_kind kind, const char *name)
{
	LOCKED(&o->registry);
	const struct registry_entry *e = registry_find(o, kind, name);

	return e ? e->id : id_next(&o->entries[kind].by_id);
}

/* --- finding -------------------------------------------------------------------- */

struct subscription_name
subscription_name(const char *group, const char *topic)
{
	struct subscription_name name;

	snprintf(name.text, sizeof(name.text), "%s/%s", group, topic);
	return name;
}

void *
registry_find(struct offsets *o, enum entry_kind kind, const char *name)
{
	MUST_HOLD_REGISTRY(o);
	return sorted_find(&o->entries[kind].by_name, name, name_cmp);
}

/* One that is not gone, or NULL. */
static void *
find_living(struct offsets *o, enum entry_kind kind, const char *name)
{
	LOCKED(&o->registry);
	struct registry_entry *e = registry_find(o, kind, name);

	return e && !e->gone ? e : NULL;
}

static void *
find_id(struct offsets *o, enum entry_kind kind, uint32_t id)
{
	LOCKED(&o->registry);
	return sorted_find(&o->entries[kind].by_id, &id, id_cmp);
}

/* The first behind that name which is not gone. */
static void *
next_living(struct offsets *o, enum entry_kind kind, const char *name)
{
	LOCKED(&o->registry);
	const struct sorted *s = &o->entries[kind].by_name;

	for (size_t i = sorted_place(s, name, name_cmp); i < s->n; i++) {
		struct registry_entry *e = s->items[i];

		if (!e->gone && strcmp(e->name, name) != 0)
			return e;
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
	return find_living(o, ENTRY_SUBSCRIPTION, subscription_name(g->name, t->name).text);
}

struct subscription *
subscription_by_id(struct offsets *o, uint32_t id)
{
	return find_id(o, ENTRY_SUBSCRIPTION, id);
}

struct subscription *
subscription_next(struct offsets *o, struct group *g, const char *after_topic)
{
	struct subscription *sub = next_living(o, ENTRY_SUBSCRIPTION, subscription_name(g->name, after_topic).text);

	return sub && sub->group == g ? sub : NULL;
}

/* --- making --------------------------------------------------------------------- */

void *
registry_make(struct offsets *o, enum entry_kind kind, const char *name, uint32_t id)
{
	struct entries *all = &o->entries[kind];
	struct registry_entry *e = registry_find(o, kind, name);
	size_t name_bytes = strlen(name) + 1;
	char *copy;

	if (e)
		return e;
	id = id_for(&all->by_id, id);
	if (!id || sorted_reserve(&all->by_name) != MQ_OK || sorted_reserve(&all->by_id) != MQ_OK)
		return NULL;
	e = calloc(1, kinds[kind].size + name_bytes);
	if (!e)
		return NULL;
	copy = (char *)e + kinds[kind].size;
	memcpy(copy, name, name_bytes);
	e->name = copy;
	e->id = id;
	e->gone = true;
	e->kind = kind;
	sorted_insert(&all->by_name, sorted_place(&all->by_name, name, name_cmp), e);
	sorted_insert(&all->by_id, sorted_place(&all->by_id, &id, id_cmp), e);
	return e;
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

/* Make an array of *n items one of `want`; new items are zero. */
static int
grow(void *array, int32_t *n, int32_t want, size_t bytes)
{
	char *items;

	if (want <= *n)
		return MQ_OK;
	memcpy(&items, array, sizeof(items));
	items = realloc(items, (size_t)want * bytes);
	if (!items)
		return -ENOMEM;
	memset(items + (size_t)*n * bytes, 0, (size_t)(want - *n) * bytes);
	memcpy(array, &items, sizeof(items));
	*n = want;
	return MQ_OK;
}

int
registry_grow_queues(struct topic_entry *t, int32_t n)
{
	return grow(&t->queues, &t->n_queues, n, sizeof(*t->queues));
}

int
registry_grow_places(struct subscription_entry *s, int32_t n)
{
	return grow(&s->places, &s->n_places, n, sizeof(*s->places));
}

void
registry_changed(struct offsets *o)
{
	MUST_HOLD_REGISTRY(o);
	uint64_t version = atomic_fetch_add(&o->rights_version, 1) + 1;

	if (o->rights_shown)
		atomic_store(o->rights_shown, version);
}

void
registry_dirty(struct offsets *o, struct registry_entry *e)
{
	MUST_HOLD_REGISTRY(o);
	if (e->kind != ENTRY_SUBSCRIPTION)
		registry_changed(o);
	if (e->dirty)
		return;
	e->dirty = true;
	e->next = o->dirty;
	o->dirty = e;
}

bool
registry_set_gone(struct offsets *o, struct registry_entry *e, bool gone)
{
	registry_dirty(o, e);
	if (e->gone == gone)
		return false;
	e->gone = gone;
	registry_changed(o);
	if (e->kind != ENTRY_TOPIC || !meta_topic_is_system(e->name))
		o->entries[e->kind].living += gone ? -1 : 1;
	if (!gone)
		e->life++;
	return true;
}

void
registry_dirty_all(struct offsets *o)
{
	struct subscription_entry *s;
	struct registry_entry *e;

	MUST_HOLD_REGISTRY(o);
	slave_commits_collected(o, false);
	o->history.changed = true;
	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		EACH_ENTRY(o, kind, e)
			registry_dirty(o, e);
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s)
		for (int32_t q = 0; q < s->n_places; q++)
			s->places[q].dirty = true;
}

struct registry_entry *
registry_pop_dirty(struct offsets *o)
{
	struct registry_entry *e = o->dirty;

	MUST_HOLD_REGISTRY(o);
	if (e) {
		o->dirty = e->next;
		e->dirty = false;
	}
	return e;
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
	o->versions[CONFIG_TOPICS].ms = o->versions[CONFIG_GROUPS].ms = clock_wall_ms();
	o->history.epochs.list = o->history.list;
	lock_init(&o->shot, RANK_SHOT);
	lock_init(&o->turn, RANK_TURN);
	lock_init(&o->lmdb, RANK_LMDB);
	lock_init(&o->apply, RANK_APPLY);
	lock_init(&o->registry, RANK_REGISTRY);
	mark_init(&o->slave_commits.news, MQ_POS(0));
	mark_init(&o->slave_commits.answered, MQ_POS(0));
	batch_init(&o->batch);
	return o;
}

void
registry_retire(struct offsets *o, struct registry_entry *e)
{
	MUST_HOLD_REGISTRY(o);
	e->next = o->retired;
	o->retired = e;
}

void
registry_clear(struct offsets *o)
{
	struct registry_entry *e;

	while ((e = o->retired)) {
		o->retired = e->next;
		entry_free(e);
	}
	for (int kind = 0; kind < ENTRY_KINDS; kind++) {
		struct entries *all = &o->entries[kind];

		EACH_ENTRY(o, kind, e)
			entry_free(e);
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
