/* slave_commits.c - commits made on a slave, until its master's log has them.
 *
 *      commit_forward ──> place ahead of the log ──┐ gather
 *      commit_reset ──> place, and ────────────────┴─> struct unsettled ──> LMDB, repl/commits.c
 *                                                           │
 *      a record of the log (apply.c) ───────────────────────┴──> settled, or lost
 *
 * unsettled.h has the rule by which a commit and a record are merged.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/log.h"
#include "offsets/registry.h"

/* --- the list -------------------------------------------------------------------------- */

static struct unsettled *
find(struct offsets *o, const struct subscription *sub, int32_t queue_id)
{
	struct unsettled key, *w;

	MUST_HOLD_REGISTRY(o);
	if (o->slave_commits.list.n == 0)
		return NULL;
	key = unsettled_begin(sub->name, queue_id);
	w = sorted_find(&o->slave_commits.list, &key, unsettled_cmp);
	return w && !w->settled ? w : NULL;
}

/* Find it, or make it.  NULL: no memory. */
static struct unsettled *
make(struct offsets *o, const struct unsettled *begun)
{
	struct unsettled *w = sorted_find(&o->slave_commits.list, begun, unsettled_cmp);

	MUST_HOLD_REGISTRY(o);
	if (!w) {
		w = sorted_reserve(&o->slave_commits.list) == MQ_OK ? calloc(1, sizeof(*w)) : NULL;
		if (!w)
			return NULL;
		*w = *begun;
		sorted_insert(&o->slave_commits.list, sorted_place(&o->slave_commits.list, begun, unsettled_cmp), w);
	} else if (w->settled) {
		*w = *begun;
	}
	return w;
}

static void
note(struct offsets *o, struct unsettled *w)
{
	w->last = ++o->slave_commits.last;
	if (w->first == 0)
		w->first = w->last;
	w->again = true;
	o->slave_commits.dirty = true;
}

/* Move the mark `answered` to the number before the oldest commit without an answer. */
static void
tell_answered(struct offsets *o)
{
	int64_t upto = o->slave_commits.last;

	for (size_t i = 0; i < o->slave_commits.list.n; i++) {
		const struct unsettled *w = o->slave_commits.list.items[i];

		if (!w->settled && w->first > 0 && w->first <= upto)
			upto = w->first - 1;
	}
	mark_advance(&o->slave_commits.answered, MQ_POS(upto));
}

static void
settle(struct offsets *o, struct unsettled *w)
{
	MUST_HOLD_REGISTRY(o);
	w->settled = w->dirty = o->slave_commits.dirty = true;
	tell_answered(o);
}

static struct subscription_entry *
subscription_of(struct offsets *o, const struct unsettled *w)
{
	struct subscription_entry *s = registry_find(o, ENTRY_SUBSCRIPTION, w->name);

	return s && !s->pub.gone ? s : NULL;
}

/* --- commits here -------------------------------------------------------------------- */

int
slave_commits_take(struct offsets *o, const struct subscription_entry *s)
{
	MUST_HOLD_REGISTRY(o);
	for (int32_t i = 0; i < s->n_places && !s->pub.gone; i++) {
		const struct unsettled begun = unsettled_begin(s->pub.name, i);
		struct unsettled *w = find(o, &s->pub, i);

		if (!w && s->places[i].at <= s->places[i].logged)
			continue;
		if (!w)
			w = make(o, &begun);
		if (!w)
			return -ENOMEM;
		if (s->places[i].at > w->to) {
			unsettled_forward(w, s->places[i].at, o->applied.n);
			note(o, w);
		}
	}
	return MQ_OK;
}

int
slave_commits_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to)
{
	const struct unsettled begun = unsettled_begin(sub->name, queue_id);
	struct subscription_entry *s = subscription_entry_of(sub);
	struct unsettled *w;

	MUST_HOLD_APPLY(o);
	LOCKED(&o->registry);
	if (registry_grow_places(s, queue_id + 1) != MQ_OK)
		return -ENOMEM;
	w = make(o, &begun);
	if (!w)
		return -ENOMEM;
	unsettled_reset(w, to.n, o->applied.n);
	note(o, w);
	s->places[queue_id].at = to.n;
	mark_advance(&o->slave_commits.news, pos_add(mark_at(&o->slave_commits.news), 1));
	return MQ_OK;
}

/* --- what the log says ------------------------------------------------------------------ */

bool
slave_commits_merge(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
		    bool reset, int64_t *ret_at)
{
	struct unsettled *w = find(o, &s->pub, queue_id);

	MUST_HOLD_REGISTRY(o);
	if (!w)
		return false;
	unsettled_forward(w, s->places[queue_id].at, o->applied.n);	/* commits that were not gathered yet */
	if (unsettled_merge(w, o->applying, v, reset) != MERGED_STAYS) {
		settle(o, w);
		return false;
	}
	o->slave_commits.dirty = true;
	*ret_at = w->to;
	return true;
}

void
slave_commits_drop(struct offsets *o, const struct subscription_entry *s)
{
	MUST_HOLD_REGISTRY(o);
	for (size_t i = 0; i < o->slave_commits.list.n; i++) {
		struct unsettled *w = o->slave_commits.list.items[i];

		if (w->settled || strcmp(w->name, s->pub.name) != 0)
			continue;
		if (o->applying >= w->seen)
			settle(o, w);
		else if (w->queue_id < s->n_places)
			s->places[w->queue_id].at = w->to;
	}
}

bool
slave_commits_merge_told(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
			 int64_t asked_ms)
{
	struct unsettled *w = find(o, &s->pub, queue_id);

	MUST_HOLD_REGISTRY(o);
	if (!w)
		return false;
	if (unsettled_is_reset(w) || w->answered_ms >= asked_ms || v < w->to)
		return true;
	settle(o, w);
	return false;
}

/* --- to the master ------------------------------------------------------------------------ */

struct mark *
slave_commits_news(struct offsets *o)
{
	return &o->slave_commits.news;
}

struct mark *
slave_commits_answered(struct offsets *o)
{
	return &o->slave_commits.answered;
}

static int
gather(struct offsets *o)
{
	return o->settings->brokerRole == SLAVE ? commit_gather_in_steps(o) : MQ_OK;
}

static void
fill(struct offsets *o, struct unsettled *w, struct slave_commit *ret)
{
	struct unsettled_step step = unsettled_step(w);
	const char *slash = strchr(w->name, '/');

	*ret = (struct slave_commit){ .queue_id = w->queue_id, .to = MQ_QOFF(step.to), .seen = step.seen,
				      .reset = step.reset };
	snprintf(ret->group, sizeof(ret->group), "%.*s", (int)(slash - w->name), w->name);
	snprintf(ret->topic, sizeof(ret->topic), "%s", slash + 1);
	if (!step.reset || (w->reset == w->sent && w->to == w->sent))
		ret->upto = w->last;
	w->again = false;
	o->slave_commits.dirty = o->slave_commits.dirty || w->dirty;
}

size_t
slave_commits_due(struct offsets *o, struct slave_commit *list, size_t max)
{
	size_t n = 0;

	if (gather(o) != MQ_OK)
		return 0;
	LOCKED(&o->registry);
	for (size_t i = 0; i < o->slave_commits.list.n && n < max; i++) {
		struct unsettled *w = o->slave_commits.list.items[i];

		if (w->again && !w->settled && !w->confirmed)
			fill(o, w, &list[n++]);
	}
	return n;
}

/* A RocketMQ master does not log commits: its answer settles the reset. */
static void
reset_is_made(struct offsets *o, struct unsettled *w)
{
	struct subscription_entry *s = subscription_of(o, w);

	if (s && w->queue_id < s->n_places) {
		s->places[w->queue_id].logged = w->sent;
		s->places[w->queue_id].known = s->places[w->queue_id].dirty = true;
		registry_dirty(o, &s->entry);
	}
	if (w->reset == w->sent)
		w->reset = UNSETTLED_NONE;
	w->sent = UNSETTLED_NONE;
	w->again = w->again || w->reset != UNSETTLED_NONE || (s && w->to > s->places[w->queue_id].logged);
	w->dirty = o->slave_commits.dirty = true;
}

static void
is_taken(struct offsets *o, struct unsettled *w, const struct slave_commit *d, bool logs)
{
	w->answered_ms = clock_mono_ms();
	if (w->first > 0 && d->upto >= w->first)
		w->first = d->upto < w->last ? d->upto + 1 : 0;
	if (d->reset && w->sent == d->to.n) {
		if (logs)
			w->confirmed = true;
		else
			reset_is_made(o, w);
	}
	tell_answered(o);
}

void
slave_commits_answer(struct offsets *o, const struct slave_commit *d, enum slave_commit_answer answer)
{
	struct unsettled key = unsettled_begin(subscription_name(d->group, d->topic).text, d->queue_id), *w;

	LOCKED(&o->registry);
	w = sorted_find(&o->slave_commits.list, &key, unsettled_cmp);
	if (!w || w->settled)
		return;
	switch (answer) {
	case SLAVE_COMMIT_UNANSWERED:
		w->again = true;
		break;
	case SLAVE_COMMIT_REFUSED:
		settle(o, w);
		break;
	case SLAVE_COMMIT_TAKEN:
	case SLAVE_COMMIT_TAKEN_UNLOGGED:
		is_taken(o, w, d, answer == SLAVE_COMMIT_TAKEN);
		break;
	}
}

void
slave_commits_all_due(struct offsets *o)
{
	LOCKED(&o->registry);

	for (size_t i = 0; i < o->slave_commits.list.n; i++) {
		struct unsettled *w = o->slave_commits.list.items[i];

		w->again = true;
		w->confirmed = false;
	}
}

/* Number of the newest commit of sub that is not answered; 0: all are. */
static int64_t
newest_of(struct offsets *o, const struct subscription *sub)
{
	int64_t newest = 0;

	LOCKED(&o->registry);
	for (size_t i = 0; i < o->slave_commits.list.n; i++) {
		const struct unsettled *w = o->slave_commits.list.items[i];

		if (!w->settled && w->first > 0 && w->last > newest && strcmp(w->name, sub->name) == 0)
			newest = w->last;
	}
	return newest;
}

int
slave_commits_keep(struct offsets *o, const struct subscription *sub, int64_t *ret_number)
{
	int rc = gather(o);

	if (rc == MQ_OK)
		rc = checkpoint_slave_commits(o);
	if (rc == MQ_OK)
		*ret_number = newest_of(o, sub);
	return rc;
}

/* --- rows ------------------------------------------------------------------------------- */

void
slave_commits_collect(struct offsets *o, struct rows *r, bool settled_too, bool take)
{
	MUST_HOLD_REGISTRY(o);
	for (size_t i = 0; i < o->slave_commits.list.n; i++) {
		struct unsettled *w = o->slave_commits.list.items[i];

		if (w->dirty && !w->settled)
			unsettled_put(r, w);
		else if (w->settled && settled_too)
			unsettled_delete(r, w);
		if (take)
			w->dirty = w->dirty && w->settled && !settled_too;
	}
}

void
slave_commits_collected(struct offsets *o, bool ok)
{
	size_t kept = 0;

	MUST_HOLD_REGISTRY(o);
	o->slave_commits.dirty = false;
	for (size_t i = 0; i < o->slave_commits.list.n; i++) {
		struct unsettled *w = o->slave_commits.list.items[i];

		if (ok && w->settled && !w->dirty) {
			free(w);
			continue;
		}
		w->dirty = w->dirty || !ok;
		o->slave_commits.dirty = o->slave_commits.dirty || w->dirty;
		o->slave_commits.list.items[kept++] = w;
	}
	o->slave_commits.list.n = kept;
}

int
slave_commits_load(struct offsets *o, const struct unsettled *row)
{
	struct subscription_entry *s = subscription_of(o, row);
	struct unsettled *w = make(o, row);

	MUST_HOLD_REGISTRY(o);
	if (!w || (s && registry_grow_places(s, row->queue_id + 1) != MQ_OK))
		return -ENOMEM;
	if (s)
		s->places[row->queue_id].at = w->to;	/* also where the log's offset is greater, from a record that was known */
	return MQ_OK;
}

int64_t
slave_commits_count(struct offsets *o)
{
	int64_t n = 0;

	LOCKED(&o->registry);
	for (size_t i = 0; i < o->slave_commits.list.n; i++)
		n += !((const struct unsettled *)o->slave_commits.list.items[i])->settled;
	return n;
}

void
slave_commits_free(struct offsets *o)
{
	for (size_t i = 0; i < o->slave_commits.list.n; i++)
		free(o->slave_commits.list.items[i]);
	sorted_free(&o->slave_commits.list);
}

/* --- another past, another role -------------------------------------------------------- */

int
slave_commits_before_cut(struct offsets *o)
{
	struct subscription_entry *s;

	MUST_HOLD_APPLY(o);
	LOCKED(&o->registry);
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s) {
		for (int32_t q = 0; q < s->n_places && !s->pub.gone; q++) {
			const struct unsettled begun = unsettled_begin(s->pub.name, q);
			struct unsettled *w = s->places[q].at > 0 ? make(o, &begun) : NULL;

			if (s->places[q].at > 0 && !w)
				return -ENOMEM;
			if (w)
				unsettled_forward(w, s->places[q].at, o->applied.n);
		}
	}
	return MQ_OK;
}

/* The queue of w may end earlier now: no consumer can be behind its end. */
static void
cut_one(struct offsets *o, struct unsettled *w)
{
	mq_qoff min, end = MQ_QOFF(0);
	struct place *p;

	lock_take(&o->registry);
	struct subscription_entry *s = subscription_of(o, w);

	lock_drop(&o->registry);
	if (s)
		commit_span(o, s->pub.topic, w->queue_id, &min, &end);
	LOCKED(&o->registry);
	unsettled_cut(w, end.n, o->applied.n);
	w->again = o->slave_commits.dirty = true;
	if (!s || registry_grow_places(s, w->queue_id + 1) != MQ_OK) {
		settle(o, w);
		return;
	}
	p = &s->places[w->queue_id];
	if (!unsettled_is_reset(w) && w->to <= p->logged)
		settle(o, w);
	else
		p->at = w->to;
	if (w->settled && p->at < p->logged)
		p->at = p->logged;
}

void
slave_commits_after_cut(struct offsets *o)
{
	MUST_HOLD_APPLY(o);
	for (size_t i = 0; i < o->slave_commits.list.n; i++)
		if (!((struct unsettled *)o->slave_commits.list.items[i])->settled)
			cut_one(o, o->slave_commits.list.items[i]);
}

/* Log the reset of w, if there is one.  If the offset is still ahead of the log then, the next
 * commit_gather() logs that. */
static int
log_one(struct offsets *o, struct unsettled *w)
{
	struct subscription_entry *s;
	int64_t to = w->to, reset = w->reset != UNSETTLED_NONE ? w->reset : w->sent;
	int rc = MQ_OK;

	lock_take(&o->registry);
	s = subscription_of(o, w);
	lock_drop(&o->registry);
	if (s && reset != UNSETTLED_NONE)
		rc = commit_log_reset(o, &s->pub, w->queue_id, MQ_QOFF(reset));
	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->registry);
	if (s && registry_grow_places(s, w->queue_id + 1) != MQ_OK)
		return -ENOMEM;
	if (s && s->places[w->queue_id].at < to)
		s->places[w->queue_id].at = to;
	if (s)
		commit_pend(o, s);
	settle(o, w);
	return MQ_OK;
}

int
slave_commits_log(struct offsets *o)
{
	/* newer commits of the same offsets are logged with them */
	int rc = o->slave_commits.list.n ? commit_unsettle(o) : MQ_OK;
	int64_t n = 0;

	MUST_HOLD_APPLY(o);
	for (size_t i = 0; rc == MQ_OK && i < o->slave_commits.list.n; i++) {
		struct unsettled *w = o->slave_commits.list.items[i];

		if (w->settled)
			continue;
		rc = log_one(o, w);
		n++;
	}
	if (n > 0 && rc == MQ_OK)
		log_notice("%" PRId64 " commits made here as a slave are logged now", n);
	return rc == MQ_OK ? commit_gather(o) : rc;
}
