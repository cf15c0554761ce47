/* Reads and polls that wait for messages: the table's line READERS. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "conf/err.h"
#include "fs/pending_priv.h"
#include "fs/reply.h"

#define LOOK_PAUSE_NS 200000		/* between two looks at readers that found nothing */

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
	bool interrupted;		/* before it was linked */
};

static bool
waiter_take(struct pending *p, struct waiter *w)
{
	LOCKED(&p->lock);
	if (!w->parked.linked)
		return false;
	pending_unlink(p, &w->parked);
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
		pending_unlink(w->p, &w->parked);
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

/* The waiting requests, with a reference on each: they are asked without the table's lock. */
static struct waiter **
waiters_list(struct pending *p, size_t *ret_n)
{
	struct parked *head = &p->lines[LINE_READERS];
	struct waiter **list;
	size_t n = 0, max = 0;

	LOCKED(&p->lock);
	for (struct parked *w = head->next; w != head; w = w->next)
		max++;
	list = max ? malloc(max * sizeof(struct waiter *)) : NULL;
	for (struct parked *w = head->next; list && w != head; w = w->next) {
		list[n] = (struct waiter *)w;
		atomic_fetch_add(&list[n++]->refs, 1);
	}
	*ret_n = n;
	return list;
}

/* Answer every request that is ready.  Returns how many were. */
static size_t
look_at_waiters(struct pending *p)
{
	size_t n, answered = 0;
	struct waiter **list = waiters_list(p, &n);

	for (size_t i = 0; i < n; i++) {
		if (waiter_ready(list[i]) && waiter_take(p, list[i])) {
			waiter_end(list[i], 0);
			answered++;
		}
		waiter_unref(list[i]);
	}
	free(list);
	return answered;
}

void *
pending_readers_main(void *arg)
{
	struct pending *p = arg;
	struct mark *dispatched = store_dispatched(p->m->store);
	const struct timespec pause = { .tv_nsec = LOOK_PAUSE_NS };
	mq_pos at = mark_at(dispatched);
	uint64_t nudges = 0;

	for (;;) {
		bool idle, closing;

		lock_take(&p->lock);
		closing = p->closing;
		idle = !pending_first(p, LINE_READERS);
		lock_drop(&p->lock);
		if (closing)
			return NULL;
		/* while the line is empty, appends do not wake this thread: pending_wake_readers() does */
		mark_wait_news(dispatched, idle ? MQ_POS(INT64_MAX) : at, &nudges, -1, NULL);
		at = mark_at(dispatched);
		if (look_at_waiters(p) == 0 && !idle)
			nanosleep(&pause, NULL);
	}
}

static struct waiter *
waiter_make(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
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
		pending_link(p, LINE_READERS, &w->parked);
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
			pending_unlink(p, at);
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
	/* in one step: threads may poll one file at the same time, and a waiter that is left
	 * behind keeps the file from being released */
	lock_take(&p->lock);
	before = poll_unlink(p, h);
	parked = !p->closing;
	if (parked)
		pending_link(p, LINE_READERS, &w->parked);
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
	for (;;) {
		struct parked *first;

		lock_take(&p->lock);
		first = pending_first(p, LINE_READERS);
		if (first)
			pending_unlink(p, first);
		lock_drop(&p->lock);
		if (!first)
			return;
		waiter_end((struct waiter *)first, EINTR);
	}
}
