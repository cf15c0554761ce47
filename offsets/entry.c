/* entry.c - an entry of the registry as the record that says what it is now: what
 * its row in LMDB holds, and what a round logs. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "offsets/registry.h"

bool
entry_says_something(struct entry *e)
{
	return e->kind != ENTRY_ATTR || entry_attr(e)->has_owner || entry_attr(e)->acl;
}

static int
topic_meta(struct entry *e, bool with_offsets, struct meta *m)
{
	const struct topic_entry *t = entry_topic(e);

	(void)with_offsets;
	m->op = t->pub.gone ? META_TOPIC_DELETE : META_TOPIC_SET;
	m->id = t->pub.id;
	m->implied = t->implied;
	m->topic_conf = t->conf;
	memcpy(m->topic, t->pub.name, sizeof(m->topic));
	return MQ_OK;
}

static int
group_meta(struct entry *e, bool with_offsets, struct meta *m)
{
	const struct group_entry *g = entry_group(e);

	(void)with_offsets;
	m->op = g->pub.gone ? META_GROUP_DELETE : META_GROUP_SET;
	m->id = g->pub.id;
	m->group_conf = g->conf;
	memcpy(m->group, g->pub.name, sizeof(m->group));
	return MQ_OK;
}

static int
places_meta(const struct subscription_entry *s, struct meta *m)
{
	m->offsets = calloc((size_t)s->n_places + 1, sizeof(*m->offsets));
	if (!m->offsets)
		return -ENOMEM;
	for (int32_t i = 0; i < s->n_places; i++)
		if (s->places[i].known)
			m->offsets[m->n_offsets++] = (struct meta_offset){ .queue_id = i, .at = MQ_QOFF(s->places[i].logged) };
	return MQ_OK;
}

static int
subscription_meta(struct entry *e, bool with_offsets, struct meta *m)
{
	const struct subscription_entry *s = entry_subscription(e);

	m->op = s->pub.gone ? META_UNSUBSCRIBE : META_SUBSCRIBE;
	m->id = s->pub.id;
	memcpy(m->group, s->pub.group->name, sizeof(m->group));
	memcpy(m->topic, s->pub.topic->name, sizeof(m->topic));
	m->expression = strdup(s->expression ? s->expression : "*");
	if (!m->expression)
		return -ENOMEM;
	return with_offsets ? places_meta(s, m) : MQ_OK;
}

static int
attr_meta(struct entry *e, bool with_offsets, struct meta *m)
{
	const struct attr_entry *a = entry_attr(e);

	(void)with_offsets;
	m->op = META_ATTR;
	m->has_owner = a->has_owner;
	m->owner = a->owner;
	m->path = strdup(a->path);
	m->acl = a->acl ? malloc(a->acl_len) : NULL;
	if (!m->path || (a->acl && !m->acl))
		return -ENOMEM;
	if (a->acl)
		memcpy(m->acl, a->acl, a->acl_len);
	m->acl_len = a->acl_len;
	return MQ_OK;
}

int
entry_meta(struct entry *e, bool with_offsets, struct meta *ret_m)
{
	static int (*const by_kind[ENTRY_KINDS])(struct entry *e, bool with_offsets, struct meta *m) = {
		[ENTRY_TOPIC] = topic_meta,
		[ENTRY_GROUP] = group_meta,
		[ENTRY_SUBSCRIPTION] = subscription_meta,
		[ENTRY_ATTR] = attr_meta,
	};
	struct meta m = { 0 };
	int rc = by_kind[e->kind](e, with_offsets, &m);

	m.told = e->told;
	if (rc == MQ_OK)
		*ret_m = m;
	else
		meta_free(&m);
	return rc;
}
