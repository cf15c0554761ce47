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
expire_queue(struct offsets *o, struct queue *q, int64_t before_ms)
{
	mq_qoff at;
	int rc = store_find_time(o->store, q, before_ms, &at);

	if (rc == MQ_OK)
		rc = queue_trim(q, at);
	if (rc != MQ_OK)
		log_warn("topic %s queue %" PRId32 " keeps messages past their time: %s", queue_topic(q), queue_id(q),
			 err_text(rc));
}

/* For each queue: set in the store whether it drops (`set`); trim messages past their time (`expire`). */
static void
keep_topics(struct offsets *o, bool set, bool expire, int64_t now_s)
{
	struct topic_entry *t;

	EACH_ENTRY(o, ENTRY_TOPIC, t) {
		struct topic_conf conf;

		topic_conf(o, &t->pub, &conf);
		for (int32_t id = 0; id < conf.queues; id++) {
			struct queue *q = topic_queue_if_any(o, &t->pub, id);

			if (q && set)
				queue_set_drops(q, conf.on_full_drop);
			if (q && expire && conf.reserved_hours > 0)
				expire_queue(o, q, (now_s - conf.reserved_hours * HOUR_S) * 1000);
		}
	}
	if (set && o->meta_queue)	/* rounds.c logs its records again before they are removed */
		queue_set_drops(o->meta_queue, true);
}

/* --- groups whose next messages were removed -------------------------------------------------------------------- */

/* The offset of s in a queue.  False: no record has set one. */
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
	struct subscription_entry *s;

	if (change_allowed(o) != MQ_OK)
		return;
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s) {
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
	int64_t now_s = store_believed_ms(o->store) / 1000;
	bool set, expire;

	MUST_HOLD_APPLY(o);
	store_stats(o->store, &stats);
	set = o->keep.changed || stats.queues != o->keep.told_queues;
	expire = o->keep.changed || now_s / HOUR_S != o->keep.expired_hour;
	if (set || expire)
		keep_topics(o, set, expire, now_s);
	o->keep.changed = false;
	o->keep.told_queues = stats.queues;
	o->keep.expired_hour = now_s / HOUR_S;
	store_stats(o->store, &stats);
	if (stats.heads_moved != o->keep.seen_heads)
		move_groups(o);
	o->keep.seen_heads = stats.heads_moved;
}
