/* consumer.c - who consumes a group's queue: one process, or clients over the network. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/param.h>

#include "offsets/registry.h"

int
consumer_claim(struct offsets *o, struct subscription *sub, int32_t queue_id, int32_t who)
{
	struct subscription_entry *s = subscription_entry_of(sub);
	bool by_clients = who == CONSUMER_CLIENTS;
	int32_t *holder;

	if (sub->gone || queue_id < 0 || queue_id >= topic_queues(o, sub->topic))
		return -ENOENT;
	LOCKED(&o->registry);
	if (registry_grow_places(s, queue_id + 1) != MQ_OK)
		return -ENOMEM;
	holder = &s->places[queue_id].holder;
	if (*holder == CONSUMER_CLIENTS && !by_clients)
		return err_note(-EBUSY, "groups/%s/q%" PRId32 " is being consumed over the network: groups/%s/clients "
				"says by whom", sub->name, queue_id, sub->group->name);
	if (consumer_is_file(*holder))
		return err_note(-EBUSY, "groups/%s/q%" PRId32 " is being consumed by process %" PRId32 "%s", sub->name,
				queue_id, *holder, by_clients ? " of the broker's host" : "");
	*holder = by_clients || who > 0 ? who : -1;
	return MQ_OK;
}

void
consumer_release_clients(struct offsets *o, const struct group *g)
{
	struct subscription_entry *s;

	lock_take(&o->registry);
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s)
		for (int32_t i = 0; i < s->n_places && (!g || s->pub.group == g); i++)
			if (s->places[i].holder == CONSUMER_CLIENTS)
				s->places[i].holder = 0;
	lock_drop(&o->registry);
	mark_nudge(store_dispatched(o->store));		/* a consumer that waits for a free queue looks again */
}

/* Of the queues that no process holds, the one with the most messages to consume, if these are
 * more than `least`; -1: there is none.  The answer may be outdated: consumer_claim() decides. */
static int32_t
busiest_free(struct offsets *o, struct subscription *sub, int64_t least)
{
	const struct subscription_entry *s = subscription_entry_of(sub);
	int32_t best = -1, n = topic_queues(o, sub->topic);
	int64_t most = least;

	for (int32_t i = 0; i < n; i++) {
		mq_qoff min, end;

		commit_span(o, sub->topic, i, &min, &end);
		LOCKED(&o->registry);
		if (i < s->n_places && s->places[i].holder)
			continue;
		int64_t at = i < s->n_places ? MAX(s->places[i].at, min.n) : min.n;
		int64_t waiting = MAX(end.n - at, 0);

		if (waiting > most) {
			most = waiting;
			best = i;
		}
	}
	return best;
}

static int
claim_busiest(struct offsets *o, struct subscription *sub, int64_t least, int32_t pid, int32_t *ret_queue_id)
{
	int32_t queue_id;
	int rc;

	do {
		queue_id = busiest_free(o, sub, least);
		rc = queue_id < 0 ? -EAGAIN : consumer_claim(o, sub, queue_id, pid);
	} while (rc == -EBUSY);
	if (rc == MQ_OK)
		*ret_queue_id = queue_id;
	return rc;
}

int
consumer_claim_any(struct offsets *o, struct subscription *sub, int32_t pid, int32_t *ret_queue_id)
{
	int rc = claim_busiest(o, sub, -1, pid, ret_queue_id);

	return rc == -EAGAIN ? err_note(-EBUSY, "groups/%s: every queue is being consumed", sub->name) : rc;
}

int
consumer_claim_waiting(struct offsets *o, struct subscription *sub, int32_t pid, int32_t *ret_queue_id)
{
	return claim_busiest(o, sub, 0, pid, ret_queue_id);
}

int
consumer_claim_all(struct offsets *o, struct subscription *sub, int32_t n, int32_t pid)
{
	int32_t held = 0;
	int rc = MQ_OK;

	while (rc == MQ_OK && held < n) {
		rc = consumer_claim(o, sub, held, pid);
		held += rc == MQ_OK;
	}
	while (rc != MQ_OK && held > 0)
		consumer_release(o, sub, --held);
	return rc;
}

bool
consumer_is_wanted(struct offsets *o, struct subscription *sub)
{
	return busiest_free(o, sub, 0) >= 0;
}

int32_t
consumer_of(struct offsets *o, const struct subscription *sub, int32_t queue_id)
{
	const struct subscription_entry *s = subscription_entry_of(sub);

	LOCKED(&o->registry);
	return queue_id >= 0 && queue_id < s->n_places ? s->places[queue_id].holder : 0;
}

void
consumer_release(struct offsets *o, struct subscription *sub, int32_t queue_id)
{
	struct subscription_entry *s = subscription_entry_of(sub);

	lock_take(&o->registry);
	if (queue_id >= 0 && queue_id < s->n_places)
		s->places[queue_id].holder = 0;
	lock_drop(&o->registry);
	mark_nudge(store_dispatched(o->store));
}
