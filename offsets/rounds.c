/* rounds.c - the whole state logged again (a round).
 *
 * Retention removes old segments, and with them the records that made topics
 * and groups.  LMDB has the state, but the log must be enough: for a slave that
 * starts from the first retained segment, and where LMDB is lost.  So whenever
 * the log has grown by about one segment since the last round, the whole state is
 * logged again: the newest segments always hold one full round, and a replay
 * from any position before it makes the same registry, with the same ids, and the
 * same ends of queues, also of queues whose messages were all removed; and no message that
 * RocketMQ has delivered, of which no record tells, is delivered again.
 *
 * A round is small (100 to 200 bytes for each name in 1 GiB); where segments are
 * small, too, it waits until the log has grown by 64 times the size of the last
 * round.  If retention removes the last round before that (a full disk), the next
 * one is made at once.
 *
 * A slave of a RocketMQ master has topics, groups and offsets that are in no record of
 * the log; when it becomes a master itself, it logs them with a round.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/registry.h"
#include "store/delays.h"

#define ROUND_SHARE 64		/* of the log, rounds are at most this part */

static void
round_add(struct changes *c, const struct registry_entry *e)
{
	struct meta m;

	if (c->rc != MQ_OK)
		return;
	lock_take(&c->o->registry);
	c->rc = entry_meta(e, true, &m);
	lock_drop(&c->o->registry);
	if (c->rc != MQ_OK)
		return;
	m.implied = m.told = false;
	changes_add(c, &m);
}

/* Add m, unless it has no offsets. */
static void
add_offsets(struct changes *c, struct meta *m)
{
	if (m->n_offsets > 0)
		changes_add(c, m);
	else
		meta_free(m);
}

/* The ends of the queues of t. */
static void
round_add_ends(struct changes *c, const struct topic *t)
{
	struct meta m = meta_of(META_ENDS, 0, NULL, t->name);
	int32_t n = topic_queues(c->o, t);

	m.offsets = calloc((size_t)n + 1, sizeof(*m.offsets));
	if (!m.offsets) {
		c->rc = -ENOMEM;
		return;
	}
	for (int32_t id = 0; id < n; id++) {
		struct queue *q = topic_queue_if_any(c->o, t, id);
		struct queue_span span = { 0 };

		if (q)
			queue_span(q, &span);
		if (span.end.n > 0)
			m.offsets[m.n_offsets++] = (struct meta_offset){ .queue_id = id, .at = span.end,
									 .store_ms = span.last_store_ms };
	}
	add_offsets(c, &m);
}

void
changes_add_delays(struct changes *c)
{
	struct meta m = { .op = META_DELAYS, .offsets = calloc(DELAY_LEVELS_MAX, sizeof(*m.offsets)) };
	mq_qoff levels[DELAY_LEVELS_MAX];
	int n = delays_levels(c->o->store, levels);

	if (!m.offsets) {
		c->rc = -ENOMEM;
		return;
	}
	for (int i = 0; i < n; i++)
		if (levels[i].n > 0)
			m.offsets[m.n_offsets++] = (struct meta_offset){ .queue_id = i, .at = levels[i] };
	add_offsets(c, &m);
}

/* Add t, also if it is only known by its queues, since these can lose all their messages.
 * MQFS_META is left out: the records of the round are its messages. */
static void
round_add_topic(struct changes *c, struct topic_entry *t)
{
	if (strcmp(t->pub.name, META_TOPIC) == 0)
		return;
	round_add(c, &t->entry);
	round_add_ends(c, &t->pub);
}

/* Log all entries: with the lock `apply` none is added meanwhile. */
static int
round_log(struct offsets *o, mq_pos *ret_end)
{
	AUTO_FREE struct changes *c = calloc(1, sizeof(*c));
	struct topic_entry *t;
	struct registry_entry *e;

	MUST_HOLD_APPLY(o);
	if (!c)
		return -ENOMEM;
	c->o = o;
	for (size_t i = 0; i < o->history.epochs.n; i++)
		changes_add(c, &(struct meta){ .op = META_EPOCH, .epoch = o->history.epochs.list[i] });
	changes_add_delays(c);
	EACH_ENTRY(o, ENTRY_TOPIC, t)
		round_add_topic(c, t);
	for (int kind = ENTRY_GROUP; kind < ENTRY_KINDS; kind++)
		EACH_ENTRY(o, kind, e)
			if (entry_says_something(e))
				round_add(c, e);
	changes_make(c);
	*ret_end = c->end;
	return c->rc;
}

static int
round_now(struct offsets *o)
{
	mq_pos begin = mark_at(store_written(o->store)), end = begin;
	int rc = round_log(o, &end);

	if (rc == MQ_OK) {
		o->round.at = begin;
		o->round.bytes = end.byte > begin.byte ? end.byte - begin.byte : 0;
	}
	return rc;
}

int
round_if_due(struct offsets *o)
{
	mq_pos written = mark_at(store_written(o->store));
	int64_t every = store_segment_bytes(o->store);
	int rc;

	MUST_HOLD_APPLY(o);
	if (every < o->round.bytes * ROUND_SHARE)
		every = o->round.bytes * ROUND_SHARE;
	if (change_allowed(o) != MQ_OK)
		return MQ_OK;
	if (written.byte - o->round.at.byte < every && store_begin(o->store).byte <= o->round.at.byte)
		return MQ_OK;
	rc = round_now(o);
	if (rc != MQ_OK && !o->round.failing)
		log_warn("the state could not be logged again, it is tried later: %s", err_text(rc));
	o->round.failing = rc != MQ_OK;
	return rc;
}

/* --- what never was in the log ----------------------------------------------------------- */

static bool
knows_what_it_was_told(struct offsets *o)
{
	struct registry_entry *e;

	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		EACH_ENTRY(o, kind, e)
			if (e->told)
				return true;
	return false;
}

int
round_of_told(struct offsets *o)
{
	MUST_HOLD_APPLY(o);
	return knows_what_it_was_told(o) ? round_now(o) : MQ_OK;
}
