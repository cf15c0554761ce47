#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/delays.h"
#include "store/dispatch.h"
#include "store/properties.h"
#include "store/store_priv.h"

#define TIMED_KEPT (256u << 10)	/* timed messages in memory: at most twice as many */
#define SCAN_ENTRIES 512

static const struct timed never = { .due_ms = INT64_MAX };

void
delays_open(struct delays *d, const struct delays_state *state)
{
	lock_init(&d->lock, RANK_DELAYS);
	mark_init(&d->news, MQ_POS(0));
	d->state = *state;
}

void
delays_close(struct delays *d)
{
	free(d->heap);
	free(d->given);
	mark_destroy(&d->news);
	lock_destroy(&d->lock);
}

void
delays_state(struct store *s, struct delays_state *ret)
{
	LOCKED(&s->delays.lock);
	*ret = s->delays.state;
}

struct mark *
delays_news(struct store *s)
{
	return &s->delays.news;
}

/* Where messages of a level, or of level 0 (timed ones), wait; NULL: none was ever stored. */
static struct queue *
queue_of(struct store *s, int level)
{
	return level > 0 ? store_queue(s, SCHEDULE_TOPIC, level - 1) : store_queue(s, TIMED_TOPIC, 0);
}

int
delays_queue(struct store *s, int level, struct queue **ret_q)
{
	return level > 0 ? store_queue_make(s, SCHEDULE_TOPIC, level - 1, ret_q)
			 : store_queue_make(s, TIMED_TOPIC, 0, ret_q);
}

/* --- the heap of timed messages ----------------------------------------- */

static int
timed_cmp(const void *a, const void *b)
{
	const struct timed *x = a, *y = b;

	if (x->due_ms != y->due_ms)
		return x->due_ms < y->due_ms ? -1 : 1;
	return (x->pos.byte > y->pos.byte) - (x->pos.byte < y->pos.byte);
}

static bool
timed_before(const struct timed *a, const struct timed *b)
{
	return timed_cmp(a, b) < 0;
}

static bool
is_pending(const struct delays_state *state, const struct timed *t)
{
	const struct timed last = { .due_ms = state->due_ms, .pos = state->pos };

	return t->qoff.n >= state->low.n && timed_before(&last, t);
}

/* Forget the heap: delays_due() will read the queue again. */
static void
unload(struct delays *d)
{
	MUST_HOLD(&d->lock);
	free(d->heap);
	d->heap = NULL;
	d->n = d->max = 0;
	d->loaded = false;
}

static void
heap_push(struct delays *d, struct timed t)
{
	size_t at = d->n++;

	MUST_HOLD(&d->lock);
	for (; at > 0 && timed_before(&t, &d->heap[(at - 1) / 2]); at = (at - 1) / 2)
		d->heap[at] = d->heap[(at - 1) / 2];
	d->heap[at] = t;
}

static void
heap_pop(struct delays *d)
{
	struct timed t = d->heap[--d->n];
	size_t at = 0, child;

	MUST_HOLD(&d->lock);
	while ((child = 2 * at + 1) < d->n) {
		if (child + 1 < d->n && timed_before(&d->heap[child + 1], &d->heap[child]))
			child++;
		if (!timed_before(&d->heap[child], &t))
			break;
		d->heap[at] = d->heap[child];
		at = child;
	}
	d->heap[at] = t;
}

/* A timed message has been stored.  One before `scanned` is found by timed_load(), and one behind
 * the horizon is not needed in the heap yet. */
static void
timed_add(struct delays *d, const struct timed *t)
{
	MUST_HOLD(&d->lock);
	if (d->loaded && t->qoff.n < d->scanned.n)
		return;
	d->timed_pending++;
	d->added++;
	if (!d->loaded || timed_before(&d->horizon, t))
		return;
	if (d->n >= 2 * TIMED_KEPT || ARRAY_ROOM(d->heap, d->max, d->n + 1) != MQ_OK)
		unload(d);
	else
		heap_push(d, *t);
}

/* --- reading the queue of timed messages --------------------------------------------------- */

/* The earliest pending messages of the queue: at most 2 * TIMED_KEPT, in no order. */
struct selection {
	struct timed *list;
	size_t n;
	struct timed last;	/* pending messages behind this one are not in the list */
	int64_t pending;	/* number of all pending messages */
	mq_qoff low;		/* the first of them in the queue; its end if there is none */
};

static void
select_add(struct selection *sel, const struct timed *t)
{
	if (sel->pending++ == 0)
		sel->low = t->qoff;
	if (timed_before(&sel->last, t))
		return;
	sel->list[sel->n++] = *t;
	if (sel->n < 2 * TIMED_KEPT)
		return;
	qsort(sel->list, sel->n, sizeof(*sel->list), timed_cmp);
	sel->n = TIMED_KEPT;
	sel->last = sel->list[sel->n - 1];
}

/* Read q, which may be NULL, up to `to`.  sel->list is for free(3), also after a failure. */
static int
select_pending(struct queue *q, const struct delays_state *state, mq_qoff to, struct selection *sel)
{
	struct queue_entry entries[SCAN_ENTRIES];
	mq_qoff at = state->low;
	size_t n;

	*sel = (struct selection){ .last = never, .low = to, .list = malloc(2 * TIMED_KEPT * sizeof(*sel->list)) };
	if (!sel->list)
		return -ENOMEM;
	if (q && at.n < queue_min(q).n)
		at = queue_min(q);
	for (; q && at.n < to.n; at = qoff_add(at, (int64_t)n)) {
		int rc = queue_entries(q, at, entries, SCAN_ENTRIES, &n);

		if (rc != MQ_OK)
			return rc == MQ_EEND ? MQ_OK : rc;
		for (size_t i = 0; i < n && at.n + (int64_t)i < to.n; i++) {
			const struct timed t = {
				.due_ms = entries[i].tags_code, .pos = entries[i].pos, .qoff = qoff_add(at, (int64_t)i),
			};

			if (entries[i].total != QUEUE_HOLE_SIZE && is_pending(state, &t))
				select_add(sel, &t);
		}
	}
	return MQ_OK;
}

/* Read the queue into the heap; timed_add() adds those that are stored meanwhile. */
static int
timed_load(struct store *s)
{
	struct queue *q = queue_of(s, 0);
	struct delays *d = &s->delays;
	struct delays_state state;
	struct selection sel;
	mq_qoff end;
	int rc;

	lock_take(&d->lock);
	unload(d);
	d->scanned = end = q ? queue_end(q) : MQ_QOFF(0);
	d->horizon = never;
	d->added = 0;
	d->loaded = true;
	state = d->state;
	lock_drop(&d->lock);

	rc = select_pending(q, &state, end, &sel);

	LOCKED(&d->lock);
	if (rc == MQ_OK)
		rc = ARRAY_ROOM(d->heap, d->max, d->n + sel.n);
	for (size_t i = 0; rc == MQ_OK && i < sel.n; i++)
		heap_push(d, sel.list[i]);
	free(sel.list);
	if (rc != MQ_OK) {
		unload(d);
		return rc;
	}
	d->horizon = sel.last;
	d->timed_pending = sel.pending + d->added;
	d->counted = true;
	if (d->state.low.n < sel.low.n)
		d->state.low = sel.low;
	return MQ_OK;
}

/* --- what is due --------------------------------------------------------------------------- */

struct due_list {
	struct delay_due *list;
	size_t n, max;
	int64_t now_ms, next_ms;
};

/* The next message of a level to be delivered.  Messages before the queue's first one are gone, and
 * RocketMQ's delayOffset.json may be ahead of the queue. */
static mq_qoff
level_at(struct delays *d, int level, struct queue *q)
{
	struct queue_span span;

	queue_span(q, &span);
	LOCKED(&d->lock);
	mq_qoff *at = &d->state.level[level - 1];

	if (at->n < span.min.n)
		*at = span.min;
	if (at->n > span.end.n)
		*at = span.end;
	return *at;
}

/* Delivery of a level has come to `next`. */
static void
level_advance(struct delays *d, int level, mq_qoff next)
{
	LOCKED(&d->lock);
	if (d->state.level[level - 1].n < next.n)
		d->state.level[level - 1] = next;
}

/* As in RocketMQ: a message that seems to be due later than one that is stored now can be was
 * stored when the clock was ahead, and is due at once. */
static int64_t
level_due_ms(int level, int64_t tags_code, int64_t now_ms)
{
	return tags_code > now_ms + record_level_ms(level) ? now_ms : tags_code;
}

static int
level_due(struct store *s, int level, struct due_list *dl)
{
	struct queue *q = queue_of(s, level);
	struct queue_entry entries[SCAN_ENTRIES];
	mq_qoff at;
	size_t n = 0;
	int rc;

	if (!q)
		return MQ_OK;
	for (at = level_at(&s->delays, level, q); dl->n < dl->max; at = qoff_add(at, (int64_t)n)) {
		rc = queue_entries(q, at, entries, SCAN_ENTRIES, &n);
		if (rc != MQ_OK)
			return rc == MQ_EEND || rc == MQ_EGONE ? MQ_OK : rc;
		for (size_t i = 0; i < n; i++) {
			int64_t due_ms = level_due_ms(level, entries[i].tags_code, dl->now_ms);

			if (due_ms > dl->now_ms && entries[i].total != QUEUE_HOLE_SIZE) {
				dl->next_ms = due_ms < dl->next_ms ? due_ms : dl->next_ms;
				return MQ_OK;
			}
			if (dl->n == dl->max)
				break;
			dl->list[dl->n++] = (struct delay_due){
				.q = q, .qoff = qoff_add(at, (int64_t)i), .pos = entries[i].pos, .due_ms = due_ms,
				.level = level,
			};
		}
	}
	dl->next_ms = dl->now_ms;
	return MQ_OK;
}

/* Move the first message of the heap to the given ones. */
static void
give_first(struct delays *d)
{
	MUST_HOLD(&d->lock);
	d->given[d->n_given++] = d->heap[0];
	heap_pop(d);
}

/* Is the record at `pos` the next one of those that delays_due() has returned?  They are mostly
 * delivered in that order, so the queue need not be searched for it. */
static bool
given_next(struct delays *d, mq_pos pos, struct timed *ret)
{
	LOCKED(&d->lock);
	if (d->next_given == d->n_given || d->given[d->next_given].pos.byte != pos.byte)
		return false;
	*ret = d->given[d->next_given++];
	return true;
}

/* Take the next message that is due from the heap.  False: none is; *ret_again says whether the
 * heap is incomplete, so that the queue must be read. */
static bool
timed_take(struct delays *d, struct due_list *dl, struct timed *ret, bool *ret_again)
{
	LOCKED(&d->lock);
	*ret_again = !d->loaded;
	while (d->n > 0 && !is_pending(&d->state, &d->heap[0]))
		heap_pop(d);
	if (d->n == 0 || timed_before(&d->horizon, &d->heap[0])) {
		*ret_again = *ret_again || d->horizon.due_ms != INT64_MAX;
		return false;
	}
	if (ARRAY_ROOM(d->given, d->max_given, d->n_given + 1) != MQ_OK)
		return false;
	if (d->n_given > 0 && timed_before(&d->heap[0], &d->given[d->n_given - 1])) {
		dl->next_ms = dl->now_ms;	/* it was stored just now: delays_in_order() fails */
		return false;
	}
	*ret = d->heap[0];
	if (ret->due_ms > dl->now_ms) {
		dl->next_ms = ret->due_ms < dl->next_ms ? ret->due_ms : dl->next_ms;
		return false;
	}
	give_first(d);
	return true;
}

/* --- the clock was ahead ----------------------------------------------------------------------- */

/* If delivery has come to a time that is ahead of the clock now, messages that are stored since have that
 * time in their entries, in the order in which they came (delays_tags_code()).  Each is due at its own
 * time, after those before it. */
static bool
stands_at_mark(struct delays *d, const struct due_list *dl, struct timed *ret, int64_t *ret_ahead_ms)
{
	LOCKED(&d->lock);
	*ret_ahead_ms = d->state.due_ms - dl->now_ms;
	if (d->n == 0 || *ret_ahead_ms <= 0 || d->heap[0].due_ms != d->state.due_ms)
		return false;
	*ret = d->heap[0];
	return true;
}

/* The time at which the message at pos is due by itself.  One that cannot be read is due now: its
 * delivery reports that. */
static int64_t
own_due_ms(struct store *s, mq_pos pos)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct record rec;
	size_t size = 0;

	if (store_read(s, pos, &buf, &size, &rec) != MQ_OK)
		return 0;
	return record_property_number(rec.props, (size_t)rec.props_len, PROP_TIMER);
}

static void
log_ahead(struct delays *d, int64_t ahead_ms)
{
	if (!d->logged_ahead && ahead_ms > WALLCLOCK_STEP_MS)
		log_warn("messages were delivered at their times when the clock was %" PRId64 " s ahead: until then, "
			 "those that are stored now are delivered in the order in which they come, none before its "
			 "time", ahead_ms / 1000);
	d->logged_ahead = ahead_ms > WALLCLOCK_STEP_MS;
}

/* Take the first of these messages if it is due. */
static bool
take_at_mark(struct store *s, struct due_list *dl, struct timed *ret)
{
	struct delays *d = &s->delays;
	int64_t ahead_ms, due_ms;

	if (!stands_at_mark(d, dl, ret, &ahead_ms))
		return false;
	due_ms = own_due_ms(s, ret->pos);
	log_ahead(d, ahead_ms);
	if (due_ms > dl->now_ms) {
		dl->next_ms = due_ms < dl->next_ms ? due_ms : dl->next_ms;
		return false;
	}
	LOCKED(&d->lock);
	if (d->n == 0 || d->heap[0].pos.byte != ret->pos.byte || ARRAY_ROOM(d->given, d->max_given, d->n_given + 1) != MQ_OK)
		return false;
	give_first(d);
	return true;
}

static int
timed_due(struct store *s, struct due_list *dl)
{
	struct queue *q = queue_of(s, 0);
	struct timed t;
	bool again;

	while (q && dl->n < dl->max) {
		if (timed_take(&s->delays, dl, &t, &again) || (!again && take_at_mark(s, dl, &t))) {
			dl->list[dl->n++] =
				(struct delay_due){ .q = q, .qoff = t.qoff, .pos = t.pos, .due_ms = t.due_ms };
			continue;
		}
		if (!again)
			return MQ_OK;
		if (dl->n > 0)		/* these are delivered first, so that they are not read again */
			break;
		int rc = timed_load(s);

		if (rc != MQ_OK)
			return rc;
	}
	if (q)
		dl->next_ms = dl->now_ms;
	return MQ_OK;
}

int
delays_due(struct store *s, int64_t now_ms, struct delay_due *list, size_t max, size_t *ret_n, int64_t *ret_next_ms)
{
	/* each level has its part of the list, so that a million messages of one do not delay the others */
	struct due_list dl = { .list = list, .max = max / 2, .now_ms = now_ms, .next_ms = INT64_MAX };
	int levels = record_levels(), rc;

	lock_take(&s->delays.lock);
	s->delays.n_given = s->delays.next_given = 0;
	lock_drop(&s->delays.lock);
	rc = timed_due(s, &dl);
	for (int level = 1; rc == MQ_OK && level <= levels; level++) {
		dl.max = dl.n + (max - dl.n) / (size_t)(levels - level + 1);
		rc = level_due(s, level, &dl);
	}
	if (rc != MQ_OK) {
		delays_again(s);
		return rc;
	}
	*ret_n = dl.n;
	*ret_next_ms = dl.next_ms;
	return MQ_OK;
}

void
delays_again(struct store *s)
{
	LOCKED(&s->delays.lock);
	unload(&s->delays);
}

int
delays_in_order(struct store *s)
{
	struct delays *d = &s->delays;
	size_t left;

	LOCKED(&d->lock);
	left = d->n_given - d->next_given;
	if (left == 0 || (d->loaded && (d->n == 0 || timed_before(&d->given[d->n_given - 1], &d->heap[0]))))
		return MQ_OK;
	/* those that are not delivered go back to the heap */
	if (!d->loaded || ARRAY_ROOM(d->heap, d->max, d->n + left) != MQ_OK)
		unload(d);
	for (size_t i = d->next_given; d->loaded && i < d->n_given; i++)
		heap_push(d, d->given[i]);
	d->n_given = d->next_given;
	return -EAGAIN;
}

/* --- what has been delivered ------------------------------------------------------------------------ */

static void
timed_delivered(struct delays *d, const struct timed *t)
{
	const struct timed last = { .due_ms = d->state.due_ms, .pos = d->state.pos };

	MUST_HOLD(&d->lock);
	if (!timed_before(&last, t))
		return;
	d->state.due_ms = t->due_ms;
	d->state.pos = t->pos;
	if (d->timed_pending > 0)
		d->timed_pending--;
}

void
delays_skip(struct store *s, const struct delay_due *due)
{
	struct delays *d = &s->delays;

	if (due->level > 0) {
		level_advance(d, due->level, qoff_add(due->qoff, 1));
		return;
	}
	LOCKED(&d->lock);
	timed_delivered(d, &(struct timed){ .due_ms = due->due_ms, .pos = due->pos });
}

int
delays_oldest(struct store *s, int64_t before_ms, struct delay_due *ret)
{
	struct queue *q = queue_of(s, 0);
	struct delays_state state;
	struct queue_entry e;
	size_t n;

	delays_state(s, &state);
	for (mq_qoff at = state.low; q; at = qoff_add(at, 1)) {
		int64_t ms = 0;
		int rc;

		if (at.n < queue_min(q).n)
			at = queue_min(q);
		rc = queue_entries(q, at, &e, 1, &n);
		if (rc != MQ_OK)
			return rc;
		const struct timed t = { .due_ms = e.tags_code, .pos = e.pos, .qoff = at };

		if (e.total == QUEUE_HOLE_SIZE || !is_pending(&state, &t))
			continue;
		rc = store_time_of(s, q, at, &ms);
		if (rc != MQ_OK || ms >= before_ms)
			return rc == MQ_OK ? MQ_EEND : rc;
		*ret = (struct delay_due){ .q = q, .qoff = at, .pos = e.pos, .due_ms = e.tags_code };
		return MQ_OK;
	}
	return MQ_EEND;
}

/* Is the record at `pos` message `at` of q? */
static bool
is_entry(struct queue *q, mq_qoff at, mq_pos pos, int64_t *ret_tags_code)
{
	struct queue_entry e;
	size_t n;

	if (queue_entries(q, at, &e, 1, &n) != MQ_OK || e.pos.byte != pos.byte)
		return false;
	*ret_tags_code = e.tags_code;
	return true;
}

/* Find the entry of q for the record at `pos`.  False: there is none any more; *ret_qoff is the
 * first one behind it. */
static bool
entry_of(struct queue *q, mq_pos pos, mq_qoff *ret_qoff, int64_t *ret_tags_code)
{
	*ret_qoff = MQ_QOFF(0);
	return q && queue_find_pos(q, pos, ret_qoff) == MQ_OK && is_entry(q, *ret_qoff, pos, ret_tags_code);
}

/* On which level the message that rec delivers has waited; 0: it was a timed one; -1: rec delivers
 * no message that has waited. */
static int
waited_as(const struct record *rec)
{
	size_t len, props_len = (size_t)rec->props_len;

	if (rec->prepared.byte <= 0 || record_is_of(rec, SCHEDULE_TOPIC) || record_is_of(rec, TIMED_TOPIC) ||
	    record_is_of(rec, TRANS_HALF_TOPIC) ||
	    !record_property(rec->props, props_len, "REAL_TOPIC", &len))
		return -1;
	if (record_property(rec->props, props_len, PROP_TIMER, &len))
		return 0;
	return record_level(rec->props, props_len) > 0 ? record_level(rec->props, props_len) : -1;
}

static void
put_delivered(struct store *s, const struct record *rec, int level)
{
	struct queue *q = level > 0 ? queue_of(s, level) : NULL;
	struct delays *d = &s->delays;
	struct timed given;
	int64_t tags_code;
	mq_qoff qoff;
	bool there;

	if (level > 0) {
		lock_take(&d->lock);
		qoff = d->state.level[level - 1];
		lock_drop(&d->lock);
		there = (q && is_entry(q, qoff, rec->prepared, &tags_code)) || entry_of(q, rec->prepared, &qoff, &tags_code);
		level_advance(d, level, there ? qoff_add(qoff, 1) : qoff);
	} else if (given_next(d, rec->prepared, &given)) {
		LOCKED(&d->lock);
		timed_delivered(d, &given);
	} else if (entry_of(queue_of(s, 0), rec->prepared, &qoff, &tags_code)) {
		LOCKED(&d->lock);
		timed_delivered(d, &(struct timed){ .due_ms = tags_code, .pos = rec->prepared });
	}
	LOCKED(&d->lock);
	d->delivered++;
}

/* rec is of MQFS_DELAY; its queue has an entry for it by now. */
static void
put_timed(struct store *s, const struct record *rec)
{
	struct timed t = { .pos = rec->pos, .qoff = rec->qoff };
	struct delays *d = &s->delays;
	int64_t unused;
	mq_qoff moved;

	if (!is_entry(queue_of(s, 0), rec->qoff, rec->pos, &t.due_ms) &&
	    !entry_of(queue_of(s, 0), rec->pos, &t.qoff, &t.due_ms))
		return;
	if (rec->prepared.byte > 0 && entry_of(queue_of(s, 0), rec->prepared, &moved, &unused)) {
		LOCKED(&d->lock);
		if (d->state.low.n <= moved.n) {
			d->state.low = qoff_add(moved, 1);
			d->timed_pending--;
		}
	}
	LOCKED(&d->lock);
	timed_add(d, &t);
}

int
delays_put(struct store *s, const struct record *rec)
{
	int level;

	if ((level = waited_as(rec)) >= 0)
		put_delivered(s, rec, level);
	else if (record_is_of(rec, TIMED_TOPIC))
		put_timed(s, rec);
	else if (!record_is_of(rec, SCHEDULE_TOPIC))
		return MQ_OK;
	if (level < 0)
		mark_advance(&s->delays.news, rec->pos);
	return MQ_OK;
}

int64_t
delays_tags_code(struct store *s, int64_t due_ms)
{
	LOCKED(&s->delays.lock);
	return due_ms > s->delays.state.due_ms ? due_ms : s->delays.state.due_ms;
}

/* --- the log is cut ---------------------------------------------------------------------------- */

static void
undo(struct store *s, const struct record *rec)
{
	struct delays_state *state = &s->delays.state;
	int level = waited_as(rec);
	int64_t tags_code;
	mq_qoff qoff;

	if (level < 0 && !(record_is_of(rec, TIMED_TOPIC) && rec->prepared.byte > 0))
		return;
	if (!entry_of(queue_of(s, level), rec->prepared, &qoff, &tags_code))
		return;
	LOCKED(&s->delays.lock);
	if (level > 0 && qoff.n < state->level[level - 1].n)
		state->level[level - 1] = qoff;
	if (level <= 0 && qoff.n < state->low.n)
		state->low = qoff;
	if (level == 0 && tags_code <= state->due_ms) {
		state->due_ms = tags_code;
		state->pos = MQ_POS(rec->prepared.byte - 1);
	}
}

/* The log ends at `at` now: no level, nor `low`, is beyond the messages that remain of its queue. */
static int
undo_ends(struct store *s, mq_pos at)
{
	struct delays_state *state = &s->delays.state;
	int rc = MQ_OK;

	for (int level = 0; rc == MQ_OK && level <= record_levels(); level++) {
		struct queue *q = queue_of(s, level);
		mq_qoff *next = level > 0 ? &state->level[level - 1] : &state->low, end;

		rc = q ? queue_find_pos(q, at, &end) : MQ_OK;
		LOCKED(&s->delays.lock);
		if (q && rc == MQ_OK && next->n > end.n)
			*next = end;
	}
	return rc;
}

int
delays_cut(struct store *s, mq_pos at, mq_pos end)
{
	AUTO_FREE unsigned char *buf = NULL;
	size_t size = 0;

	for (mq_pos pos = at; pos.byte < end.byte;) {
		struct record rec;
		int rc = store_read(s, pos, &buf, &size, &rec);

		if (rc == -ENOMEM)
			return rc;
		if (rc == MQ_OK) {
			undo(s, &rec);
			pos = pos_add(pos, rec.total);
		} else if (dispatch_next(s, pos, end, &pos) != MQ_OK) {
			break;		/* a blank or damage, and no record behind it */
		}
	}
	delays_again(s);
	lock_take(&s->delays.lock);
	s->delays.counted = false;
	lock_drop(&s->delays.lock);
	return undo_ends(s, at);
}

/* --- status, RocketMQ ------------------------------------------------------------------------------- */

static void
level_stats(struct store *s, int level, struct delays_stats *st)
{
	struct queue *q = queue_of(s, level);
	struct queue_entry e;
	mq_qoff at;
	size_t n;

	if (!q)
		return;
	at = level_at(&s->delays, level, q);
	st->pending += queue_end(q).n - at.n;
	if (queue_entries(q, at, &e, 1, &n) == MQ_OK && e.tags_code < st->next_due_ms)
		st->next_due_ms = e.tags_code;
}

/* On a slave, which delivers nothing, the heap is not loaded: the queue is read. */
static int
timed_stats(struct store *s, struct delays_stats *st)
{
	struct queue *q = queue_of(s, 0);
	struct delays *d = &s->delays;
	struct delays_state state;
	struct selection sel;
	bool counted;
	int rc;

	lock_take(&d->lock);
	counted = d->counted;
	if (counted) {
		st->pending += d->timed_pending;
		if (d->n > 0 && d->heap[0].due_ms < st->next_due_ms)
			st->next_due_ms = d->heap[0].due_ms;
	}
	st->delivered = d->delivered;
	state = d->state;
	lock_drop(&d->lock);
	if (counted || !q)
		return MQ_OK;
	rc = select_pending(q, &state, queue_end(q), &sel);
	for (size_t i = 0; rc == MQ_OK && i < sel.n; i++)
		if (sel.list[i].due_ms < st->next_due_ms)
			st->next_due_ms = sel.list[i].due_ms;
	st->pending += sel.pending;
	free(sel.list);
	return rc;
}

int
delays_stats(struct store *s, struct delays_stats *ret)
{
	struct delays_stats st = { .next_due_ms = INT64_MAX };

	for (int level = 1; level <= record_levels(); level++)
		level_stats(s, level, &st);
	int rc = timed_stats(s, &st);

	if (rc == MQ_OK)
		*ret = st;
	return rc;
}

int
delays_levels(struct store *s, mq_qoff level[DELAY_LEVELS_MAX])
{
	LOCKED(&s->delays.lock);
	memcpy(level, s->delays.state.level, sizeof(s->delays.state.level));
	return record_levels();
}

void
delays_level_is_at(struct store *s, int level, mq_qoff next)
{
	if (level >= 1 && level <= DELAY_LEVELS_MAX && next.n >= 0)
		level_advance(&s->delays, level, next);
}

/* --- messages --------------------------------------------------------------------------------------- */

/* Is it a property that says how a message waits? */
static bool
says_how(const char *name, size_t len)
{
	static const char *const names[] = { "REAL_TOPIC", "REAL_QID", "DELAY", PROP_TIMER };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_are(name, len, names[i]))
			return true;
	return false;
}

int
delays_message(struct message *m, int level, int64_t due_ms, char *props)
{
	struct properties p = { .buf = props, .size = RECORD_PROPS_MAX };
	const char *name, *value;
	size_t cursor = 0, name_len, value_len;
	char number[24], qid[16];

	while (record_property_next(m->props, m->props_len, &cursor, &name, &name_len, &value, &value_len))
		if (!says_how(name, name_len))
			properties_put(&p, name, name_len, value, value_len);
	snprintf(number, sizeof(number), "%" PRId64, level > 0 ? (int64_t)level : due_ms);
	name = level > 0 ? "DELAY" : PROP_TIMER;
	properties_put(&p, name, strlen(name), number, strlen(number));
	properties_put(&p, "REAL_TOPIC", strlen("REAL_TOPIC"), m->topic, m->topic_len);
	snprintf(qid, sizeof(qid), "%" PRId32, m->queue_id);
	properties_put(&p, "REAL_QID", strlen("REAL_QID"), qid, strlen(qid));
	if (p.full)
		return err_note(-EMSGSIZE, "properties of a delayed message: at most %d bytes", RECORD_PROPS_MAX);
	m->props = props;
	m->props_len = p.len;
	m->topic = level > 0 ? SCHEDULE_TOPIC : TIMED_TOPIC;
	m->topic_len = strlen(m->topic);
	m->queue_id = level > 0 ? level - 1 : 0;
	return MQ_OK;
}

int
delays_deliver(const struct record *rec, struct message *ret_m, char topic[RECORD_TOPIC_MAX + 1])
{
	size_t props_len = (size_t)rec->props_len, topic_len, qid_len;
	const char *real = record_property(rec->props, props_len, "REAL_TOPIC", &topic_len);
	const char *qid = record_property(rec->props, props_len, "REAL_QID", &qid_len);
	int64_t queue_id = 0;

	if (!real || !record_topic_valid(real, topic_len))
		return err_note(-EINVAL, "the record at %" PRId64 " does not say of which topic it is", rec->pos.byte);
	for (size_t i = 0; qid && i < qid_len; i++) {
		if (qid[i] < '0' || qid[i] > '9' || queue_id > INT32_MAX / 10)
			return err_note(-EINVAL, "the record at %" PRId64 " does not say of which queue it is",
					rec->pos.byte);
		queue_id = 10 * queue_id + (qid[i] - '0');
	}
	if (queue_id > INT32_MAX)
		queue_id = 0;
	memcpy(topic, real, topic_len);
	topic[topic_len] = '\0';
	*ret_m = (struct message){
		.body = rec->body,
		.body_len = (size_t)rec->body_len,
		.topic = topic,
		.topic_len = topic_len,
		.props = rec->props,
		.props_len = props_len,
		.queue_id = (int32_t)queue_id,
		.flag = rec->flag,
		.sysflag = rec->sysflag & ~SYSFLAG_CONTINUED,
		.reconsume_times = rec->reconsume_times,
		.prepared = rec->pos,
		.born_ms = rec->born_ms,
		.born = rec->born,
		.stored = rec->stored,
	};
	return MQ_OK;
}
