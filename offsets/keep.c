/* keep.c - how long messages are kept, as far as a topic's config decides it.
 *
 * Segments are shared by all topics, and the store removes them (store/retention.h).
 * What a topic's config adds:
 *
 *   onFull=drop|block      set in the store's queues, for its rule about full disks
 *   fileReservedTime=N     readers no longer see messages stored N hours ago; they
 *                          are trimmed once an hour, so that the heads of queues do
 *                          not move all the time.  Their bytes are removed with the
 *                          segments, so a time beyond the broker's own has no effect.
 *
 * Whatever moves a head, a group whose offset is before it is moved to it, and one log
 * line for each queue says how many messages the group has missed.
 */
#include "config.h"

#include <inttypes.h>

#include "conf/log.h"
#include "offsets/registry.h"

#define HOUR_S 3600

/* --- what topics say --------------------------------------------------------------- */

static void
tell_store(struct offsets *o)
{
	for (size_t i = 0; i < o->entries[ENTRY_TOPIC].by_name.n; i++) {
		const struct topic *t = &((struct topic_entry *)o->entries[ENTRY_TOPIC].by_name.items[i])->pub;
		struct topic_conf conf;

		topic_conf(o, t, &conf);
		for (int32_t id = 0; id < conf.queues; id++) {
			struct queue *q = topic_queue_if_any(o, t, id);

			if (q)
				queue_set_drops(q, conf.on_full_drop);
		}
	}
	if (o->meta_queue)	/* rounds.c logs again what goes */
		queue_set_drops(o->meta_queue, true);
}

static void
expire_queue(struct offsets *o, struct queue *q, int64_t before_ms)
{
	mq_qoff at;
	int rc = store_find_time(o->store, q, before_ms, &at);

	if (rc == MQ_OK)
		rc = store_trim(o->store, q, at);
	if (rc != MQ_OK)
		log_warn("topic %s queue %" PRId32 " keeps messages past their time: %s", queue_topic(q), queue_id(q),
			 err_text(rc));
}

static void
expire(struct offsets *o, int64_t now_s)
{
	for (size_t i = 0; i < o->entries[ENTRY_TOPIC].by_name.n; i++) {
		const struct topic *t = &((struct topic_entry *)o->entries[ENTRY_TOPIC].by_name.items[i])->pub;
		struct topic_conf conf;

		topic_conf(o, t, &conf);
		for (int32_t id = 0; id < conf.queues && conf.reserved_hours > 0; id++) {
			struct queue *q = topic_queue_if_any(o, t, id);

			if (q)
				expire_queue(o, q, (now_s - conf.reserved_hours * HOUR_S) * 1000);
		}
	}
}

/* --- who lost some -------------------------------------------------------------------- */

/* The offset of s in a queue; false: no record has set one. */
static bool
place_of(struct offsets *o, const struct subscription_entry *s, int32_t id, int64_t *ret_at)
{
	LOCKED(&o->registry);
	if (s->pub.gone || id >= s->n_places || (!s->places[id].known && s->places[id].at == 0))
		return false;
	*ret_at = s->places[id].at;
	return true;
}

static void
move_behind(struct offsets *o, struct subscription *sub, int32_t id, int64_t at)
{
	struct queue *q = topic_queue_if_any(o, sub->topic, id);
	mq_qoff min = q ? queue_min(q) : MQ_QOFF(0);

	if (min.n <= at || commit_forward(o, sub, id, min) != MQ_OK)
		return;
	o->count.clamped++;
	log_notice("group %s, %s/q%" PRId32 ": messages %" PRId64 " to %" PRId64 " were removed before it had them",
		   sub->group->name, sub->topic->name, id, at, min.n - 1);
}

/* Move groups to the heads of their queues.  On a slave its master does that. */
static void
move_groups(struct offsets *o)
{
	if (change_allowed(o) != MQ_OK)
		return;
	for (size_t i = 0; i < o->entries[ENTRY_SUBSCRIPTION].by_name.n; i++) {
		struct subscription_entry *s = o->entries[ENTRY_SUBSCRIPTION].by_name.items[i];
		int32_t n = topic_queues(o, s->pub.topic);
		int64_t at;

		for (int32_t id = 0; id < n; id++)
			if (place_of(o, s, id, &at))
				move_behind(o, &s->pub, id, at);
	}
}

/* --- when ------------------------------------------------------------------------------ */

void
keep_messages(struct offsets *o)
{
	struct store_stats stats = { 0 };
	int64_t now_s = store_believed_ms(o->store, NULL) / 1000;

	MUST_HOLD_APPLY(o);
	store_stats(o->store, &stats);
	if (o->keep.changed || stats.queues != o->keep.told_queues)
		tell_store(o);
	if (o->keep.changed || now_s / HOUR_S != o->keep.expired_hour)
		expire(o, now_s);
	o->keep.changed = false;
	o->keep.told_queues = stats.queues;
	o->keep.expired_hour = now_s / HOUR_S;
	store_stats(o->store, &stats);
	if (stats.heads_moved != o->keep.seen_heads)
		move_groups(o);
	o->keep.seen_heads = stats.heads_moved;
}
