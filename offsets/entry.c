/* entry.c - an entry of the registry as the record that says what it is now: what
 * its row in LMDB holds, and what a round logs. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "offsets/registry.h"

bool
entry_says_something(const void *entry)
{
	const struct registry_entry *e = entry;
	const struct attr_entry *a = entry;

	return e->kind != ENTRY_ATTR || a->has_owner || a->acl;
}

static int
topic_meta(const void *entry, bool with_offsets, struct meta *m)
{
	const struct topic_entry *t = entry;

	(void)with_offsets;
	m->implied = t->implied;
	m->topic_conf = t->conf;
	return MQ_OK;
}

static int
group_meta(const void *entry, bool with_offsets, struct meta *m)
{
	const struct group_entry *g = entry;

	(void)with_offsets;
	m->group_conf = g->conf;
	return MQ_OK;
}

static int
subscription_meta(const void *entry, bool with_offsets, struct meta *m)
{
	const struct subscription_entry *s = entry;

	m->expression = strdup(s->expression ? s->expression : "*");
	m->offsets = with_offsets ? calloc((size_t)s->n_places + 1, sizeof(*m->offsets)) : NULL;
	if (!m->expression || (with_offsets && !m->offsets))
		return -ENOMEM;
	for (int32_t i = 0; with_offsets && i < s->n_places; i++)
		if (s->places[i].known)
			m->offsets[m->n_offsets++] = (struct meta_offset){ .queue_id = i, .at = MQ_QOFF(s->places[i].logged) };
	return MQ_OK;
}

static int
attr_meta(const void *entry, bool with_offsets, struct meta *m)
{
	const struct attr_entry *a = entry;

	(void)with_offsets;
	m->has_owner = a->has_owner;
	m->owner = a->owner;
	m->path = strdup(a->entry.name);
	m->acl = a->acl ? malloc(a->acl_len) : NULL;
	if (!m->path || (a->acl && !m->acl))
		return -ENOMEM;
	if (a->acl)
		memcpy(m->acl, a->acl, a->acl_len);
	m->acl_len = a->acl_len;
	return MQ_OK;
}

static const struct {
	enum meta_op set, delete;
	int (*meta)(const void *entry, bool with_offsets, struct meta *m);
} kinds[ENTRY_KINDS] = {
	[ENTRY_TOPIC] = { META_TOPIC_SET, META_TOPIC_DELETE, topic_meta },
	[ENTRY_GROUP] = { META_GROUP_SET, META_GROUP_DELETE, group_meta },
	[ENTRY_SUBSCRIPTION] = { META_SUBSCRIBE, META_UNSUBSCRIBE, subscription_meta },
	[ENTRY_ATTR] = { META_ATTR, META_ATTR, attr_meta },
};

int
entry_meta(const struct registry_entry *e, bool with_offsets, struct meta *ret_m)
{
	const struct subscription *sub = e->kind == ENTRY_SUBSCRIPTION ? (const void *)e : NULL;
	struct meta m = meta_of(e->gone ? kinds[e->kind].delete : kinds[e->kind].set, e->id,
				sub ? sub->group->name : e->kind == ENTRY_GROUP ? e->name : NULL,
				sub ? sub->topic->name : e->kind == ENTRY_TOPIC ? e->name : NULL);
	int rc = kinds[e->kind].meta(e, with_offsets, &m);

	m.told = e->told;
	if (rc == MQ_OK)
		*ret_m = m;
	else
		meta_free(&m);
	return rc;
}
