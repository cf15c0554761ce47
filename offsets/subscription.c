#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "offsets/registry.h"

/* Where a new subscription begins in each queue: at its end, or its first message. */
static int
starts(struct offsets *o, struct group *g, struct topic *t, struct meta_offset **ret_starts, size_t *ret_n)
{
	int32_t n = topic_queues(o, t);
	struct meta_offset *starts = calloc((size_t)n, sizeof(*starts));
	struct group_conf conf;

	if (!starts)
		return -ENOMEM;
	group_conf(o, g, &conf);
	for (int32_t i = 0; i < n; i++) {
		struct queue *q = topic_queue_if_any(o, t, i);

		starts[i].queue_id = i;
		if (q)
			starts[i].at = conf.from_first ? queue_min(q) : queue_end(q);
	}
	*ret_starts = starts;
	*ret_n = (size_t)n;
	return MQ_OK;
}

/* Log a record of t if it has none, being known by its queues alone: a replay of the whole log must
 * find a topic before the subscriptions of it. */
static int
topic_make_explicit(struct offsets *o, struct topic *t)
{
	struct meta m = { .op = META_TOPIC_SET, .id = t->id };

	lock_take(&o->registry);
	bool implied = topic_entry_of(t)->implied;

	m.topic_conf = topic_entry_of(t)->conf;
	lock_drop(&o->registry);
	return implied ? change_one(o, &m) : MQ_OK;
}

/* places: it begins where the group's consumeFromWhere says; else nothing is said of any queue. */
static int
create(struct offsets *o, struct group *g, struct topic *t, bool places, struct subscription **ret_sub)
{
	AUTO_FREE struct meta_offset *offsets = NULL;
	char all[] = "*";
	struct meta m = meta_of(META_SUBSCRIBE, 0, g->name, t->name);
	int rc;

	LOCKED(&o->apply);
	if (g->gone || t->gone)
		return -ENOENT;
	if (subscription_find(o, g, t))
		return -EEXIST;
	rc = topic_make_explicit(o, t);
	if (rc == MQ_OK && places)
		rc = starts(o, g, t, &offsets, &m.n_offsets);
	if (rc != MQ_OK)
		return rc;
	m.expression = all;
	m.offsets = offsets;
	m.id = registry_id(o, ENTRY_SUBSCRIPTION, subscription_name(g->name, t->name).text);
	rc = change_one(o, &m);
	if (rc == MQ_OK && ret_sub)
		*ret_sub = subscription_find(o, g, t);
	return rc;
}

int
subscription_create(struct offsets *o, struct group *g, struct topic *t, struct subscription **ret_sub)
{
	return create(o, g, t, true, ret_sub);
}

int
subscription_of_consumer(struct offsets *o, struct group *g, struct topic *t, struct subscription **ret_sub)
{
	int rc = -EEXIST;

	*ret_sub = subscription_find(o, g, t);
	if (!*ret_sub)
		rc = create(o, g, t, false, ret_sub);
	if (rc != -EEXIST)
		return rc;
	if (!*ret_sub)			/* somebody was faster */
		*ret_sub = subscription_find(o, g, t);
	return *ret_sub ? MQ_OK : -ESTALE;
}

struct meta
unsubscribe_meta(const struct subscription *sub)
{
	return meta_of(META_UNSUBSCRIBE, sub->id, sub->group->name, sub->topic->name);
}

int
subscription_delete(struct offsets *o, struct subscription *sub)
{
	struct meta m = unsubscribe_meta(sub);
	int rc = meta_group_check(sub->group->name);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (sub->gone)
		return -ENOENT;
	return change_one(o, &m);
}

char *
subscription_expression(struct offsets *o, struct subscription *sub)
{
	LOCKED(&o->registry);
	const char *expression = subscription_entry_of(sub)->expression;

	return strdup(expression ? expression : "*");
}

int
subscription_set_expression(struct offsets *o, struct subscription *sub, const char *expr)
{
	struct meta m = meta_of(META_SUBSCRIBE, sub->id, sub->group->name, sub->topic->name);
	AUTO_FREE char *copy = NULL;
	int rc = meta_group_check(sub->group->name);

	if (rc != MQ_OK)
		return rc;
	if (!meta_expression_ok(expr, strlen(expr)))
		return err_note(-EINVAL, "an expression is `*` or tags joined by `||`, up to %d bytes of "
				"UTF-8", META_EXPRESSION_MAX);
	copy = strdup(expr);
	if (!copy)
		return -ENOMEM;
	m.expression = copy;
	LOCKED(&o->apply);
	if (sub->gone)
		return -ENOENT;
	return change_one(o, &m);
}
