/* Reads and polls that wait for messages: the table's line READERS. */
#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "fs/pending_priv.h"
#include "fs/reply.h"

#define LOOK_PAUSE_NS 200000		/* between two looks at readers that found nothing */
#define LOOK_AT_ALL_MS 100		/* for events that are no messages of a queue (its topic was removed) */

/* A queue that a waiter watches; NULL: it is checked with the messages of any queue. */
struct watch {
	LIST_ENTRY(watch) entry;	/* of its bucket */
	struct queue *q;
	struct waiter *w;
};

/* A read or a poll that waits.  The thread that unlinks it ends it; its memory lasts
 * until the last look at it is over. */
struct waiter {
	struct parked parked;
	struct pending *p;
	const struct pending_read *kind;
	struct handle *h;		/* with a reference */
	fuse_req_t req;			/* a read's, or NULL */
	struct fuse_pollhandle *ph;	/* a poll's, or NULL */
	size_t size;
	off_t off;
	_Atomic int refs;
	bool interrupted;		/* the signal came before it was linked */
	struct waiter *next_fresh;
	size_t n_watches;
	struct watch watches[];
};

static struct watches *
bucket_of(struct pending *p, const struct queue *q)
{
	return &p->watches[(uintptr_t)q / sizeof(max_align_t) % WATCH_BUCKETS];
}

static void
waiter_link(struct pending *p, struct waiter *w)
{
	MUST_HOLD(&p->lock);
	pending_link(p, LINE_READERS, &w->parked);
	for (size_t i = 0; i < w->n_watches; i++) {
		struct watch *watch = &w->watches[i];

		LIST_INSERT_HEAD(bucket_of(p, watch->q), watch, entry);
		if (watch->q)
			queue_watch(watch->q);
	}
	atomic_fetch_add(&w->refs, 1);		/* messages may have come before it watched */
	w->next_fresh = p->fresh;
	p->fresh = w;
}

static void
waiter_unlink(struct pending *p, struct waiter *w)
{
	MUST_HOLD(&p->lock);
	pending_unlink(p, &w->parked);
	for (size_t i = 0; i < w->n_watches; i++) {
		struct watch *watch = &w->watches[i];

		LIST_REMOVE(watch, entry);
		if (watch->q)
			queue_unwatch(watch->q);
	}
}

static bool
waiter_take(struct pending *p, struct waiter *w)
{
	LOCKED(&p->lock);
	if (!w->parked.linked)
		return false;
	waiter_unlink(p, w);
	return true;
}

static void
waiter_unref(struct waiter *w)
{
	if (atomic_fetch_sub(&w->refs, 1) > 1)
		return;
	handle_unref(w->p->m, w->h);
	free(w);
}

/* libfuse calls this with a lock of the request held, at once if the signal
 * came before the request was parked. */
static void
waiter_interrupted(fuse_req_t req, void *data)
{
	struct waiter *w = data;
	bool mine;

	lock_take(&w->p->lock);
	mine = w->parked.linked;
	if (mine)
		waiter_unlink(w->p, w);
	else
		w->interrupted = true;
	lock_drop(&w->p->lock);
	if (!mine)
		return;
	fuse_reply_err(req, EINTR);
	waiter_unref(w);
}

/* End a waiter that was unlinked. */
static void
waiter_end(struct waiter *w, int err)
{
	if (w->ph) {
		if (!err)
			fuse_lowlevel_notify_poll(w->ph);
		fuse_pollhandle_destroy(w->ph);
	} else {
		/* waits for a signal that is being delivered just now */
		fuse_req_interrupt_func(w->req, NULL, NULL);
		if (err)
			fuse_reply_err(w->req, err);
		else
			w->kind->answer(w->p->m, w->req, w->h, w->size, w->off);
	}
	waiter_unref(w);
}

static bool
waiter_ready(struct waiter *w)
{
	LOCKED(&w->h->lock);
	return w->kind->ready(w->p->m, w->h, w->off);
}

/* Waiters to look at, with a reference on each: they are asked without the table's lock. */
struct look {
	struct waiter **list;
	size_t n, max;
};

/* Takes over the caller's reference.  Without memory this one waits for a look at all. */
static void
look_add(struct look *l, struct waiter *w)
{
	if (ARRAY_ROOM(l->list, l->max, l->n + 1) == MQ_OK)
		l->list[l->n++] = w;
	else
		waiter_unref(w);
}

static void
look_add_linked(struct look *l, struct waiter *w)
{
	atomic_fetch_add(&w->refs, 1);
	look_add(l, w);
}

static void
look_add_watchers(struct pending *p, struct look *l, const struct queue *q)
{
	struct watch *watch;

	MUST_HOLD(&p->lock);
	LIST_FOREACH(watch, bucket_of(p, q), entry)
		if (watch->q == q)
			look_add_linked(l, watch->w);
}

static void
look_add_fresh(struct pending *p, struct look *l)
{
	struct waiter *w = p->fresh, *next;

	MUST_HOLD(&p->lock);
	p->fresh = NULL;
	for (; w; w = next) {
		next = w->next_fresh;
		look_add(l, w);
	}
}

/* Collect the waiters that may be ready; or all. */
static void
look_collect(struct pending *p, struct look *l, bool all)
{
	struct parked *head = &p->lines[LINE_READERS];
	struct queue *next;

	l->n = 0;
	LOCKED(&p->lock);
	look_add_fresh(p, l);
	for (struct queue *q = store_news(p->m->store); q; q = next) {
		next = queue_next_news(q);
		if (!all)
			look_add_watchers(p, l, q);
	}
	if (!all)
		look_add_watchers(p, l, NULL);
	for (struct parked *w = head->next; all && w != head; w = w->next)
		look_add_linked(l, (struct waiter *)w);
}

/* Answer every request that is ready.  Returns how many were. */
static size_t
look_answer(struct pending *p, const struct look *l)
{
	size_t answered = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (waiter_ready(l->list[i]) && waiter_take(p, l->list[i])) {
			waiter_end(l->list[i], 0);
			answered++;
		}
		waiter_unref(l->list[i]);
	}
	return answered;
}

/* False: closing. */
static bool
readers_wait(struct pending *p, bool *ret_idle)
{
	LOCKED(&p->lock);
	*ret_idle = !pending_first(p, LINE_READERS) && !p->fresh;
	return !p->closing;
}

void *
pending_readers_main(void *arg)
{
	struct pending *p = arg;
	struct mark *dispatched = store_dispatched(p->m->store);
	const struct timespec pause = { .tv_nsec = LOOK_PAUSE_NS };
	struct look look = { 0 };
	mq_pos at = mark_at(dispatched);
	uint64_t nudges = 0;
	int64_t all_ms = 0;		/* the next look at all, if the log has moved since the last */
	bool idle, moved = false;

	while (readers_wait(p, &idle)) {
		mq_pos before = at;
		int64_t now_ms;
		bool all;

		/* while the line is empty, appends do not wake this thread: pending_wake_readers() does */
		mark_wait_news(dispatched, idle ? MQ_POS(INT64_MAX) : at, &nudges,
			       moved && !idle ? LOOK_AT_ALL_MS : -1, NULL);
		at = mark_at(dispatched);
		moved |= at.byte != before.byte;
		now_ms = clock_mono_ms();
		all = at.byte < before.byte || (moved && now_ms >= all_ms);	/* a log that was cut */
		if (all) {
			all_ms = now_ms + LOOK_AT_ALL_MS;
			moved = false;
		}
		look_collect(p, &look, all);
		if (look_answer(p, &look) == 0 && !idle)
			nanosleep(&pause, NULL);
	}
	free(look.list);
	return NULL;
}

static struct waiter *
waiter_make(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind)
{
	struct waiter *w;
	size_t n = 0;

	while (kind->queue && kind->queue(h, n))
		n++;
	w = calloc(1, sizeof(*w) + (n ? n : 1) * sizeof(w->watches[0]));
	if (!w)
		return NULL;
	w->n_watches = n ? n : 1;
	for (size_t i = 0; i < w->n_watches; i++)
		w->watches[i] = (struct watch){ .q = n ? kind->queue(h, i) : NULL, .w = w };
	w->p = p;
	w->h = h;
	w->off = off;
	w->kind = kind;
	w->refs = 1;
	handle_ref(h);
	return w;
}

void
pending_park_read(struct pending *p, fuse_req_t req, struct handle *h, size_t size, off_t off,
		  const struct pending_read *kind)
{
	struct waiter *w = waiter_make(p, h, off, kind);
	bool parked;

	if (!w) {
		reply_err(req, -ENOMEM);
		return;
	}
	w->req = req;
	w->size = size;
	fuse_req_interrupt_func(req, waiter_interrupted, w);
	lock_take(&p->lock);
	parked = !w->interrupted && !p->closing;
	if (parked)
		waiter_link(p, w);
	lock_drop(&p->lock);
	if (!parked)
		waiter_end(w, EINTR);
	pending_wake_readers(p);	/* messages may have come before it was linked */
}

/* --- polls ------------------------------------------------------------------------- */

/* Unlink the poll of h; NULL: it has none.  There is never more than one. */
static struct waiter *
poll_unlink(struct pending *p, const struct handle *h)
{
	struct parked *head = &p->lines[LINE_READERS];

	MUST_HOLD(&p->lock);
	for (struct parked *at = head->next; at != head; at = at->next) {
		struct waiter *w = (struct waiter *)at;

		if (w->ph && w->h == h) {
			waiter_unlink(p, w);
			return w;
		}
	}
	return NULL;
}

void
pending_forget_poll(struct pending *p, struct handle *h)
{
	struct waiter *w;

	lock_take(&p->lock);
	w = poll_unlink(p, h);
	lock_drop(&p->lock);
	if (w)
		waiter_end(w, EINTR);
}

void
pending_park_poll(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind,
		  struct fuse_pollhandle *ph)
{
	struct waiter *w = waiter_make(p, h, off, kind), *before;
	bool parked;

	if (!w) {
		fuse_pollhandle_destroy(ph);
		return;
	}
	w->ph = ph;
	/* in one step: threads may poll one file at the same time, and a second waiter would
	 * never be unlinked, and keep the file from being released */
	lock_take(&p->lock);
	before = poll_unlink(p, h);
	parked = !p->closing;
	if (parked)
		waiter_link(p, w);
	lock_drop(&p->lock);
	if (before)
		waiter_end(before, EINTR);
	if (!parked)
		waiter_end(w, EINTR);
	pending_wake_readers(p);
}

/* --- the end ------------------------------------------------------------------------- */

void
pending_reads_end(struct pending *p)
{
	struct look fresh = { 0 };
	struct parked *first;

	do {
		lock_take(&p->lock);
		first = pending_first(p, LINE_READERS);
		if (first)
			waiter_unlink(p, (struct waiter *)first);
		lock_drop(&p->lock);
		if (first)
			waiter_end((struct waiter *)first, EINTR);
	} while (first);
	lock_take(&p->lock);
	look_add_fresh(p, &fresh);
	lock_drop(&p->lock);
	for (size_t i = 0; i < fresh.n; i++)
		waiter_unref(fresh.list[i]);
	free(fresh.list);
}
