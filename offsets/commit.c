/* commit.c - committed offsets.
 *
 * A place has two numbers.  `at` is the offset that consumers see, and moves at once;
 * `logged` follows when a record of it is applied, and only that one goes to LMDB.  Between
 * the two a commit is pending, and lost in a power cut: messages are delivered at least
 * once.  On a slave slave_commits.c sends the commit to the master, which writes the record.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/registry.h"

#define GATHER 64		/* subscriptions logged at a time, */
#define GATHER_OFFSETS 4096	/* and offsets in their records */

/* --- looking ------------------------------------------------------------------------ */

void
commit_span(struct offsets *o, const struct topic *t, int32_t queue_id, mq_qoff *ret_min, mq_qoff *ret_end)
{
	struct queue *q = topic_queue_if_any(o, t, queue_id);
	struct queue_span span = { 0 };

	if (q)
		queue_span(q, &span);
	*ret_min = span.min;
	*ret_end = span.end;
}

static mq_qoff
clamp(mq_qoff at, mq_qoff min, mq_qoff end)
{
	if (at.n < min.n)
		return min;
	return at.n > end.n ? end : at;
}

static bool
queue_exists(struct offsets *o, const struct subscription *sub, int32_t queue_id)
{
	return !sub->gone && queue_id >= 0 && queue_id < topic_queues(o, sub->topic);
}

/* A queue without a place was made after the subscription: it is consumed from its first message on. */
static int
place_read(struct offsets *o, const struct subscription *sub, int32_t queue_id, mq_qoff *ret_at)
{
	LOCKED(&o->registry);
	const struct subscription_entry *s = subscription_entry_of(sub);
	const struct place *p = queue_id < s->n_places ? &s->places[queue_id] : NULL;

	if ((!p || (!p->known && p->at == 0)) && o->damaged)
		return err_note(-EIO, "the record of %s's offset in %s/q%" PRId32 " may be among the damaged",
				sub->group->name, sub->topic->name, queue_id);
	*ret_at = MQ_QOFF(p ? p->at : 0);
	return MQ_OK;
}

bool
committed_ever(struct offsets *o, struct subscription *sub, int32_t queue_id)
{
	LOCKED(&o->registry);
	const struct subscription_entry *s = subscription_entry_of(sub);

	return queue_id >= 0 && queue_id < s->n_places && (s->places[queue_id].known || s->places[queue_id].at > 0);
}

int
committed(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff *ret_at)
{
	mq_qoff at, min, end;
	int rc;

	if (!queue_exists(o, sub, queue_id))
		return -ENOENT;
	rc = place_read(o, sub, queue_id, &at);
	if (rc != MQ_OK)
		return rc;
	commit_span(o, sub->topic, queue_id, &min, &end);
	*ret_at = clamp(at, min, end);
	return MQ_OK;
}

/* --- forward -------------------------------------------------------------------------- */

void
commit_pend(struct offsets *o, struct subscription_entry *s)
{
	MUST_HOLD_REGISTRY(o);
	if (s->pending)
		return;
	s->pending = true;
	s->next_pending = NULL;
	*(o->pending.first ? &o->pending.last->next_pending : &o->pending.first) = s;
	o->pending.last = s;
	o->pending.n++;
}

/* Take the first subscription off the list. */
static struct subscription_entry *
pending_pop(struct offsets *o)
{
	struct subscription_entry *s = o->pending.first;

	MUST_HOLD_REGISTRY(o);
	o->pending.first = s->next_pending;
	s->pending = false;
	o->pending.n--;
	return s;
}

int
commit_forward(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to)
{
	struct subscription_entry *s = subscription_entry_of(sub);
	mq_qoff min, end;

	if (!queue_exists(o, sub, queue_id))
		return -ENOENT;
	commit_span(o, sub->topic, queue_id, &min, &end);
	to = clamp(to, MQ_QOFF(0), end);
	LOCKED(&o->registry);
	if (registry_grow_places(s, queue_id + 1) != MQ_OK)
		return -ENOMEM;
	if (to.n > s->places[queue_id].at) {
		s->places[queue_id].at = to.n;
		commit_pend(o, s);
		if (o->settings->brokerRole == SLAVE)
			mark_advance(&o->slave_commits.news, pos_add(mark_at(&o->slave_commits.news), 1));
	}
	return MQ_OK;
}

/* A record of the places of s whose offset is ahead of the log (`reset`: behind it).  If there are none,
 * or s is gone, it has no offsets. */
static int
places_meta(const struct subscription_entry *s, bool reset, struct meta *ret_m)
{
	struct meta m = meta_of(META_COMMIT, 0, s->pub.group->name, s->pub.topic->name);

	m.reset = reset;
	m.offsets = calloc((size_t)s->n_places + 1, sizeof(*m.offsets));
	if (!m.offsets)
		return -ENOMEM;
	for (int32_t i = 0; i < s->n_places && !s->pub.gone; i++) {
		const struct place *p = &s->places[i];

		if (reset ? p->at < p->logged : p->at > p->logged)
			m.offsets[m.n_offsets++] = (struct meta_offset){ .queue_id = i, .at = MQ_QOFF(p->at) };
	}
	*ret_m = m;
	return MQ_OK;
}

/* Log such a record. */
static int
log_places(struct offsets *o, const struct subscription_entry *s, bool reset, mq_pos *ret_end)
{
	struct meta m = { 0 };
	int rc;

	lock_take(&o->registry);
	rc = places_meta(s, reset, &m);
	lock_drop(&o->registry);
	if (rc == MQ_OK && m.n_offsets > 0)
		rc = change_all(o, &m, 1, ret_end);
	meta_free(&m);
	return rc;
}

struct gathering {
	struct meta records[GATHER];
	size_t n;
	struct subscription_entry *taken[GATHER];
	size_t n_taken;
};

/* Take up to GATHER subscriptions, and at most `max`, out of `pending`, with the
 * records for them. */
static int
gathering_take(struct offsets *o, struct gathering *g, size_t max)
{
	size_t offsets = 0;

	LOCKED(&o->registry);
	g->n = g->n_taken = 0;
	while (o->pending.first && g->n_taken < max && g->n_taken < GATHER && offsets < GATHER_OFFSETS) {
		if (places_meta(o->pending.first, false, &g->records[g->n]) != MQ_OK)
			return -ENOMEM;
		offsets += g->records[g->n].n_offsets;
		if (g->records[g->n].n_offsets)
			g->n++;
		else
			meta_free(&g->records[g->n]);
		g->taken[g->n_taken++] = pending_pop(o);
	}
	return MQ_OK;
}

/* The records could not be logged: their subscriptions are the first of the next gathering. */
static void
gathering_give_back(struct offsets *o, struct gathering *g)
{
	LOCKED(&o->registry);

	while (g->n_taken > 0) {
		struct subscription_entry *s = g->taken[--g->n_taken];

		if (s->pending)
			continue;
		s->pending = true;
		s->next_pending = o->pending.first;
		if (!o->pending.first)
			o->pending.last = s;
		o->pending.first = s;
		o->pending.n++;
	}
}

static size_t
pending_count(struct offsets *o)
{
	LOCKED(&o->registry);

	return o->pending.n;
}

/* Log some of the first `max`.  *ret_n: how many subscriptions these were. */
static int
gather_some(struct offsets *o, size_t max, size_t *ret_n)
{
	AUTO_FREE struct gathering *g = malloc(sizeof(*g));
	int rc;

	if (!g)
		return -ENOMEM;
	rc = gathering_take(o, g, max);
	*ret_n = g->n_taken;
	if (rc == MQ_OK)
		rc = change_all(o, g->records, g->n, NULL);
	if (rc != MQ_OK)
		gathering_give_back(o, g);
	for (size_t i = 0; i < g->n; i++)
		meta_free(&g->records[i]);
	return rc;
}

/* The first pending commits, at most `max`, become unsettled commits. */
static int
unsettle_some(struct offsets *o, size_t max, size_t *ret_n)
{
	LOCKED(&o->registry);

	for (*ret_n = 0; o->pending.first && *ret_n < max && *ret_n < GATHER; (*ret_n)++) {
		if (slave_commits_take(o, o->pending.first) != MQ_OK)
			return -ENOMEM;
		pending_pop(o);
	}
	return MQ_OK;
}

/* The next step of a gathering, of at most `max` subscriptions; *ret_n: how many it was. */
static int
gather_step(struct offsets *o, bool unsettle, size_t max, size_t *ret_n)
{
	MUST_HOLD_APPLY(o);
	return unsettle ? unsettle_some(o, max, ret_n) : gather_some(o, max, ret_n);
}

static int
gather_all(struct offsets *o, bool unsettle)
{
	size_t left = pending_count(o), n = 1;
	int rc = MQ_OK;

	for (; rc == MQ_OK && left > 0 && n > 0; left -= n)
		rc = gather_step(o, unsettle, left, &n);
	return rc;
}

int
commit_unsettle(struct offsets *o)
{
	return gather_all(o, true);
}

int
commit_gather(struct offsets *o)
{
	return gather_all(o, change_allowed(o) == MQ_EROLE);
}

int
commit_gather_in_steps(struct offsets *o)
{
	size_t left = pending_count(o), n = 1;
	int rc = MQ_OK;

	for (; rc == MQ_OK && left > 0 && n > 0; left -= n) {
		LOCKED(&o->apply);
		rc = gather_step(o, change_allowed(o) == MQ_EROLE, left, &n);
	}
	return rc;
}

int
commit_sync(struct offsets *o, struct subscription *sub, mq_pos *ret_end)
{
	mq_pos end;
	int rc;

	LOCKED(&o->apply);
	if (change_allowed(o) == MQ_EROLE)
		return MQ_EROLE;
	end = o->applied_end;
	/* sub stays on the list, without a pending commit for the next gathering */
	rc = log_places(o, subscription_entry_of(sub), false, &end);
	if (rc == MQ_OK && ret_end)
		*ret_end = end;
	return rc;
}

/* --- either way ------------------------------------------------------------------------ */

int
commit_log_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to)
{
	struct meta_offset offset = { .queue_id = queue_id, .at = to };
	struct meta m = meta_of(META_COMMIT, 0, sub->group->name, sub->topic->name);

	m.offsets = &offset;
	m.n_offsets = 1;
	m.reset = true;
	return change_one(o, &m);
}

static mq_qoff
clamp_counted(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to)
{
	mq_qoff min, end, at;

	commit_span(o, sub->topic, queue_id, &min, &end);
	at = clamp(to, min, end);
	if (at.n != to.n) {
		o->count.clamped++;
		log_notice("offset %" PRId64 " for group %s, %s/q%" PRId32 ": it becomes %" PRId64
			   ", the queue holds %" PRId64 " to %" PRId64, to.n, sub->group->name,
			   sub->topic->name, queue_id, at.n, min.n, end.n);
	}
	return at;
}

static int
reset_to(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to)
{
	if (change_allowed(o) == MQ_EROLE)
		return slave_commits_reset(o, sub, queue_id, to);
	return commit_log_reset(o, sub, queue_id, to);
}

int
commit_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to, mq_qoff *ret_at)
{
	int rc = meta_group_check(sub->group->name);
	mq_qoff at;

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (!queue_exists(o, sub, queue_id))
		return -ENOENT;
	at = clamp_counted(o, sub, queue_id, to);
	rc = reset_to(o, sub, queue_id, at);
	if (rc == MQ_OK && ret_at)
		*ret_at = at;
	return rc;
}

/* Move a place from `expected` (clamped) to `to`, in memory. */
static int
place_swap(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff expected, mq_qoff to,
	   int64_t *ret_before)
{
	struct subscription_entry *s = subscription_entry_of(sub);
	mq_qoff min, end;

	commit_span(o, sub->topic, queue_id, &min, &end);
	LOCKED(&o->registry);
	if (registry_grow_places(s, queue_id + 1) != MQ_OK)
		return -ENOMEM;
	if (clamp(MQ_QOFF(s->places[queue_id].at), min, end).n != expected.n)
		return -ESTALE;
	*ret_before = s->places[queue_id].at;
	s->places[queue_id].at = to.n;
	return MQ_OK;
}

int
commit_compare(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff expected, mq_qoff to)
{
	int rc = meta_group_check(sub->group->name);
	int64_t before = 0, unused;
	mq_qoff at;

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (!queue_exists(o, sub, queue_id))
		return -ENOENT;
	rc = place_read(o, sub, queue_id, &at);
	if (rc == MQ_OK && o->dir->read_only)
		rc = -EROFS;
	if (rc != MQ_OK)
		return rc;
	at = clamp_counted(o, sub, queue_id, to);
	rc = place_swap(o, sub, queue_id, expected, at, &before);
	if (rc != MQ_OK)
		return rc;
	rc = reset_to(o, sub, queue_id, at);
	if (rc != MQ_OK)		/* it stays if a consumer has committed meanwhile */
		place_swap(o, sub, queue_id, at, MQ_QOFF(before), &unused);
	return rc;
}

/* --- beyond the end ------------------------------------------------------------------------ */

static void
place_clamp(struct offsets *o, struct subscription_entry *s, int32_t queue_id, mq_qoff end)
{
	struct place *p = &s->places[queue_id];

	MUST_HOLD_REGISTRY(o);
	if (s->pub.gone || p->at <= end.n)
		return;
	log_notice("group %s, %s/q%" PRId32 ": its offset was %" PRId64 ", and the queue ends at %" PRId64 ": it goes on "
		   "there", s->pub.group->name, s->pub.topic->name, queue_id, p->at, end.n);
	p->at = end.n;
	o->count.clamped++;
	o->clamped = true;
}

void
commit_clamp(struct offsets *o)
{
	struct subscription_entry *s;

	MUST_HOLD_APPLY(o);
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s) {
		for (int32_t q = 0; q < s->n_places; q++) {
			mq_qoff min, end;

			commit_span(o, s->pub.topic, q, &min, &end);
			LOCKED(&o->registry);
			place_clamp(o, s, q, end);
		}
	}
}

int
commit_log_clamped(struct offsets *o)
{
	struct subscription_entry *s;
	int rc = MQ_OK;

	MUST_HOLD_APPLY(o);
	if (!o->clamped)
		return MQ_OK;
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s)
		if (rc == MQ_OK)
			rc = log_places(o, s, true, NULL);
	o->clamped = rc != MQ_OK;
	return rc;
}

/* --- from a slave ------------------------------------------------------------------------ */

/* Is there a reset that was not known to a commit made when `seen` records were known? */
static bool
place_is_overtaken(struct offsets *o, const struct subscription *sub, int32_t queue_id, int64_t seen)
{
	const struct subscription_entry *s = subscription_entry_of(sub);

	LOCKED(&o->registry);
	return queue_id < s->n_places && s->places[queue_id].reset > seen;
}

int
commit_from_slave(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to, int64_t seen,
		  bool reset)
{
	LOCKED(&o->apply);
	if (!queue_exists(o, sub, queue_id))
		return -ENOENT;
	if (place_is_overtaken(o, sub, queue_id, seen))
		return MQ_OK;
	if (reset)
		return reset_to(o, sub, queue_id, clamp_counted(o, sub, queue_id, to));
	return commit_forward(o, sub, queue_id, to);
}
