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

#define ROUND_CHUNK 64
#define ROUND_SHARE 64		/* of the log, rounds are at most this part */

struct round {
	struct offsets *o;
	struct meta records[ROUND_CHUNK];
	size_t n;
	mq_pos end;
	int rc;			/* sticky */
};

static void
round_flush(struct round *r)
{
	if (r->rc == MQ_OK && r->n)
		r->rc = change_all(r->o, r->records, r->n, &r->end);
	for (size_t i = 0; i < r->n; i++)
		meta_free(&r->records[i]);
	r->n = 0;
}

static void
round_add(struct round *r, struct registry_entry *e)
{
	if (r->rc != MQ_OK)
		return;
	lock_take(&r->o->registry);
	r->rc = entry_meta(e, true, &r->records[r->n]);
	lock_drop(&r->o->registry);
	r->records[r->n].implied = r->records[r->n].told = false;
	if (r->rc == MQ_OK && ++r->n == ROUND_CHUNK)
		round_flush(r);
}

static void
round_add_epochs(struct round *r)
{
	for (size_t i = 0; i < r->o->history.epochs.n && r->rc == MQ_OK; i++) {
		r->records[r->n] = (struct meta){ .op = META_EPOCH, .epoch = r->o->history.epochs.list[i] };
		if (++r->n == ROUND_CHUNK)
			round_flush(r);
	}
}

/* The ends of the queues of t. */
static int
ends_meta(struct offsets *o, const struct topic *t, struct meta *ret_m)
{
	struct meta m = meta_of(META_ENDS, NULL, t->name);
	int32_t n = topic_queues(o, t);

	m.offsets = calloc((size_t)n + 1, sizeof(*m.offsets));
	if (!m.offsets)
		return -ENOMEM;
	for (int32_t id = 0; id < n; id++) {
		struct queue *q = topic_queue_if_any(o, t, id);
		struct queue_span span = { 0 };

		if (q)
			queue_span(q, &span);
		if (span.end.n > 0)
			m.offsets[m.n_offsets++] = (struct meta_offset){ .queue_id = id, .at = span.end,
									 .store_ms = span.last_store_ms };
	}
	*ret_m = m;
	return MQ_OK;
}

static void
round_add_ends(struct round *r, const struct topic *t)
{
	if (r->rc == MQ_OK)
		r->rc = ends_meta(r->o, t, &r->records[r->n]);
	if (r->rc != MQ_OK)
		return;
	if (r->records[r->n].n_offsets == 0)
		meta_free(&r->records[r->n]);
	else if (++r->n == ROUND_CHUNK)
		round_flush(r);
}

int
delays_meta(struct offsets *o, struct meta *ret_m)
{
	struct meta m = { .op = META_DELAYS, .offsets = calloc(DELAY_LEVELS_MAX, sizeof(*m.offsets)) };
	mq_qoff levels[DELAY_LEVELS_MAX];
	int n = delays_levels(o->store, levels);

	if (!m.offsets)
		return -ENOMEM;
	for (int i = 0; i < n; i++)
		if (levels[i].n > 0)
			m.offsets[m.n_offsets++] = (struct meta_offset){ .queue_id = i, .at = levels[i] };
	*ret_m = m;
	return MQ_OK;
}

static void
round_add_delays(struct round *r)
{
	if (r->rc == MQ_OK)
		r->rc = delays_meta(r->o, &r->records[r->n]);
	if (r->rc != MQ_OK)
		return;
	if (r->records[r->n].n_offsets == 0)
		meta_free(&r->records[r->n]);
	else if (++r->n == ROUND_CHUNK)
		round_flush(r);
}

/* Add t, also if it is only known by its queues, since these can lose all their messages.
 * MQFS_META is left out: the records of the round are its messages. */
static void
round_add_topic(struct round *r, struct topic_entry *t)
{
	if (strcmp(t->pub.name, META_TOPIC) == 0)
		return;
	round_add(r, &t->entry);
	round_add_ends(r, &t->pub);
}

/* `apply` is held, so no entry is added to the registry meanwhile. */
static int
round_log(struct offsets *o, mq_pos *ret_end)
{
	AUTO_FREE struct round *r = calloc(1, sizeof(*r));
	struct topic_entry *t;
	struct registry_entry *e;

	if (!r)
		return -ENOMEM;
	r->o = o;
	round_add_epochs(r);
	round_add_delays(r);
	EACH_ENTRY(o, ENTRY_TOPIC, t)
		round_add_topic(r, t);
	for (int kind = ENTRY_GROUP; kind < ENTRY_KINDS; kind++)
		EACH_ENTRY(o, kind, e)
			if (entry_says_something(e))
				round_add(r, e);
	round_flush(r);
	*ret_end = r->end;
	return r->rc;
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
