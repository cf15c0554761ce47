#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/queue.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "fs/closing.h"
#include "fs/locks.h"
#include "fs/reply.h"

#define DEADLOCK_DEPTH 10	/* the kernel looks as far for local files */

/* A request for a lock that another owner has. */
struct lock_waiter {
	TAILQ_ENTRY(lock_waiter) entry;
	bool waits;				/* it is in the list; the thread that takes it out answers it */
	struct locks *ls;
	fuse_req_t req;
	struct estate_lock want;
	bool interrupted;			/* the signal came before it was in the list */
	int rc;					/* its answer, once it was taken out */
};

TAILQ_HEAD(lock_waiters, lock_waiter);

struct locks {
	struct mount *m;
	struct lock lock;			/* all below */
	struct estate_lock *rows;		/* ESTATE_LOCKS of them: own, or the estate's */
	struct estate_lock *own;
	_Atomic uint32_t *n_rows;		/* used at any time: those before */
	_Atomic uint32_t own_n_rows;
	struct lock_waiters waiters;		/* in the order in which they came */
	bool closing;
};

/* --- rows --------------------------------------------------------------------------- */

static bool
is_same_owner(const struct estate_lock *a, const struct estate_lock *b)
{
	return a->ino == b->ino && a->owner == b->owner && a->whole == b->whole;
}

static bool
overlaps(const struct estate_lock *a, const struct estate_lock *b)
{
	return a->start <= b->end && b->start <= a->end;
}

/* The next row from *at on that is used; NULL: there is none. */
static struct estate_lock *
row_next(struct locks *ls, uint32_t *at)
{
	uint32_t n = atomic_load(ls->n_rows);

	MUST_HOLD(&ls->lock);
	while (*at < n) {
		struct estate_lock *row = &ls->rows[(*at)++];

		if (atomic_load(&row->used))
			return row;
	}
	return NULL;
}

/* A row that keeps `want` from being taken; NULL: it is free. */
static struct estate_lock *
conflict_of(struct locks *ls, const struct estate_lock *want)
{
	struct estate_lock *row;

	MUST_HOLD(&ls->lock);
	if (want->type == F_UNLCK)
		return NULL;
	for (uint32_t at = 0; (row = row_next(ls, &at));)
		if (row->ino == want->ino && row->whole == want->whole && row->owner != want->owner &&
		    overlaps(row, want) && (row->type == F_WRLCK || want->type == F_WRLCK))
			return row;
	return NULL;
}

/* A row that is free; NULL: none is. */
static struct estate_lock *
row_free(struct locks *ls, const struct estate_lock *but)
{
	MUST_HOLD(&ls->lock);
	for (uint32_t at = 0; at < ESTATE_LOCKS; at++)
		if (&ls->rows[at] != but && !atomic_load(&ls->rows[at].used))
			return &ls->rows[at];
	return NULL;
}

/* `what` is held, in `row`, which is free. */
static void
row_use(struct locks *ls, struct estate_lock *row, const struct estate_lock *what)
{
	uint32_t at = (uint32_t)(row - ls->rows);

	MUST_HOLD(&ls->lock);
	*row = *what;
	if (at >= atomic_load(ls->n_rows))
		atomic_store(ls->n_rows, at + 1);
	atomic_store(&row->used, true);
}

/* `row` holds nothing of the range of `want` any more.  -ENOLCK: it had to
 * become two rows, and none is free for the second. */
static int
row_cut(struct locks *ls, struct estate_lock *row, const struct estate_lock *want)
{
	bool left = row->start < want->start, right = row->end > want->end;

	MUST_HOLD(&ls->lock);
	if (left && right) {
		struct estate_lock rest = *row, *other = row_free(ls, NULL);

		if (!other)
			return -ENOLCK;
		rest.start = want->end + 1;
		atomic_store(&rest.used, false);
		row_use(ls, other, &rest);
	}
	if (left)
		row->end = want->start - 1;
	else if (right)
		row->start = want->end + 1;
	else
		atomic_store(&row->used, false);
	return MQ_OK;
}

/* When nothing conflicts: the owner holds `want` in that range, and nothing
 * else.  The new row is used before the old ones are cut: if the broker dies in between, the owner holds too
 * much, and its request is delivered again. */
static int
row_set(struct locks *ls, const struct estate_lock *want)
{
	struct estate_lock *taken = NULL, *row;
	int rc = MQ_OK;

	MUST_HOLD(&ls->lock);
	if (want->type != F_UNLCK) {
		taken = row_free(ls, NULL);
		if (!taken || !row_free(ls, taken))	/* cutting an old row may take one more */
			return -ENOLCK;
		row_use(ls, taken, want);
	}
	for (uint32_t at = 0; rc == MQ_OK && (row = row_next(ls, &at));)
		if (row != taken && is_same_owner(row, want) && overlaps(row, want))
			rc = row_cut(ls, row, want);
	return rc;
}

/* --- waiting ------------------------------------------------------------------------- */

static void
waiter_remove(struct locks *ls, struct lock_waiter *w)
{
	MUST_HOLD(&ls->lock);
	TAILQ_REMOVE(&ls->waiters, w, entry);
	w->waits = false;
}

/* libfuse calls this with a lock of the request held, at once if the signal came before the
 * request was parked. */
static void
waiter_interrupted(fuse_req_t req, void *data)
{
	struct lock_waiter *w = data;
	bool mine;

	lock_take(&w->ls->lock);
	mine = w->waits;
	if (mine)
		waiter_remove(w->ls, w);
	else
		w->interrupted = true;
	lock_drop(&w->ls->lock);
	if (!mine)
		return;
	fuse_reply_err(req, EINTR);
	free(w);
}

/* Answer one that is in no list. */
static void
waiter_answer(struct lock_waiter *w, int rc)
{
	fuse_req_interrupt_func(w->req, NULL, NULL);	/* waits for a signal that is just delivered */
	reply_err(w->req, rc);
	free(w);
}

/* Give what is free now to the requests that wait for it, oldest first: they are moved to *ret, and answered
 * when the lock is dropped. */
static void
grant(struct locks *ls, struct lock_waiters *ret)
{
	struct lock_waiter *next;
	bool any;

	MUST_HOLD(&ls->lock);
	do {		/* again: an owner that gets a lock may give up another part of it */
		any = false;
		for (struct lock_waiter *w = TAILQ_FIRST(&ls->waiters); w; w = next) {
			next = TAILQ_NEXT(w, entry);
			if (!ls->closing && conflict_of(ls, &w->want))
				continue;
			waiter_remove(ls, w);
			w->rc = ls->closing ? -EINTR : row_set(ls, &w->want);
			TAILQ_INSERT_TAIL(ret, w, entry);
			any = true;
		}
	} while (any);
}

static void
answer(struct lock_waiters *granted)
{
	struct lock_waiter *w;

	while ((w = TAILQ_FIRST(granted))) {
		TAILQ_REMOVE(granted, w, entry);
		waiter_answer(w, w->rc);
	}
}

/* Does the owner `waiting` wait, perhaps through others, for a lock of `owner`? */
static bool
waits_for(struct locks *ls, uint64_t waiting, uint64_t owner, int depth)
{
	const struct estate_lock *row;
	struct lock_waiter *w;

	MUST_HOLD(&ls->lock);
	TAILQ_FOREACH(w, &ls->waiters, entry) {
		if (w->want.whole || w->want.owner != waiting || !(row = conflict_of(ls, &w->want)))
			continue;
		if (row->owner == owner || (depth > 0 && waits_for(ls, row->owner, owner, depth - 1)))
			return true;
	}
	return false;
}

/* --- requests --------------------------------------------------------------------------- */

static struct estate_lock
lock_of(const struct handle *h, uint64_t owner, const struct flock *lock)
{
	return (struct estate_lock){
		.type = lock->l_type,
		.pid = lock->l_pid,
		.ino = node_st_ino(h->node.ino),
		.owner = owner,
		.handle = h->number,
		.start = lock->l_start,
		.end = lock->l_len > 0 ? lock->l_start + lock->l_len - 1 : INT64_MAX,
	};
}

void
locks_get(struct locks *ls, fuse_req_t req, const struct handle *h, uint64_t owner, const struct flock *lock)
{
	const struct estate_lock want = lock_of(h, owner, lock);
	struct flock found = { .l_type = F_UNLCK };
	const struct estate_lock *row;

	lock_take(&ls->lock);
	row = conflict_of(ls, &want);
	if (row)
		found = (struct flock){
			.l_type = (short)row->type,
			.l_whence = SEEK_SET,
			.l_start = row->start,
			.l_len = row->end == INT64_MAX ? 0 : row->end - row->start + 1,
			.l_pid = row->pid,
		};
	lock_drop(&ls->lock);
	fuse_reply_lock(req, &found);
}

/* Take `want`, or link w; *ret_waits says which. */
static int
take_or_wait(struct locks *ls, const struct estate_lock *want, struct lock_waiter *w, bool *ret_waits)
{
	const struct estate_lock *row = conflict_of(ls, want);

	MUST_HOLD(&ls->lock);
	*ret_waits = false;
	if (!row)
		return row_set(ls, want);
	if (want->whole)	/* flock(2) that converts a lock releases it first */
		(void)row_set(ls, &(struct estate_lock){ .type = F_UNLCK, .whole = true, .ino = want->ino,
							 .owner = want->owner, .end = INT64_MAX });
	if (!w)
		return -EAGAIN;
	if (w->interrupted || ls->closing)
		return -EINTR;
	if (!want->whole && waits_for(ls, row->owner, want->owner, DEADLOCK_DEPTH))
		return -EDEADLK;
	TAILQ_INSERT_TAIL(&ls->waiters, w, entry);
	w->waits = *ret_waits = true;
	return MQ_OK;
}

/* When was the file closed that holds what `want` wants?  0: none is, or it was not. */
static int64_t
holder_closed_ms(struct locks *ls, const struct estate_lock *want)
{
	const struct estate_lock *row;

	LOCKED(&ls->lock);
	row = conflict_of(ls, want);
	return row ? row->closed_ms : 0;
}

/* The lock of a process that has just ended may still be held: `flock -n` must not fail by it.  A close after this
 * request does not prolong the wait: a holder whose children end one after the other has many. */
static void
wait_for_closed(struct locks *ls, const struct estate_lock *want)
{
	struct closing_since since = closing_now(ls->m->closing);

	since.ms = holder_closed_ms(ls, want);
	while (holder_closed_ms(ls, want) > 0 && closing_wait_left(ls->m->closing, &since))
		;
}

static void
set(struct locks *ls, fuse_req_t req, const struct estate_lock *want, bool may_wait)
{
	struct lock_waiter *w = NULL;
	struct lock_waiters granted = TAILQ_HEAD_INITIALIZER(granted);
	bool waits;
	int rc;

	if (may_wait && want->type != F_UNLCK) {
		w = calloc(1, sizeof(*w));
		if (!w) {
			reply_err(req, -ENOMEM);
			return;
		}
		*w = (struct lock_waiter){ .ls = ls, .req = req, .want = *want };
		fuse_req_interrupt_func(req, waiter_interrupted, w);
	}
	if (!w)
		wait_for_closed(ls, want);
	lock_take(&ls->lock);
	rc = take_or_wait(ls, want, w, &waits);
	grant(ls, &granted);		/* the request may have released something */
	lock_drop(&ls->lock);
	if (!waits && w)
		waiter_answer(w, rc);
	else if (!waits)
		reply_err(req, rc);
	answer(&granted);
}

void
locks_set(struct locks *ls, fuse_req_t req, const struct handle *h, uint64_t owner, const struct flock *lock,
	  bool waits)
{
	const struct estate_lock want = lock_of(h, owner, lock);

	set(ls, req, &want, waits);
}

void
locks_flock(struct locks *ls, fuse_req_t req, const struct handle *h, uint64_t owner, int op)
{
	const struct estate_lock want = {
		.whole = true,
		.type = op & LOCK_UN ? F_UNLCK : op & LOCK_EX ? F_WRLCK : F_RDLCK,
		.pid = h->pid,
		.ino = node_st_ino(h->node.ino),
		.owner = owner,
		.handle = h->number,
		.end = INT64_MAX,
	};

	set(ls, req, &want, !(op & LOCK_NB));
}

/* Drop the rows for which `is_gone` is true, and grant what is free then. */
static void
drop(struct locks *ls, bool (*is_gone)(const struct estate_lock *row, const struct estate_lock *key),
     const struct estate_lock *key)
{
	struct lock_waiters granted = TAILQ_HEAD_INITIALIZER(granted);
	struct estate_lock *row;
	bool any = false;

	if (atomic_load(ls->n_rows) == 0)
		return;
	lock_take(&ls->lock);
	for (uint32_t at = 0; (row = row_next(ls, &at));)
		if (is_gone(row, key)) {
			atomic_store(&row->used, false);
			any = true;
		}
	if (any)
		grant(ls, &granted);
	lock_drop(&ls->lock);
	answer(&granted);
}

static bool
is_of_process(const struct estate_lock *row, const struct estate_lock *key)
{
	return is_same_owner(row, key);
}

static bool
is_of_handle(const struct estate_lock *row, const struct estate_lock *key)
{
	return row->handle == key->handle;
}

/* Note that a descriptor of the open file was closed: its locks may be released soon. */
static void
note_closed(struct locks *ls, uint64_t handle)
{
	struct estate_lock *row;

	LOCKED(&ls->lock);
	for (uint32_t at = 0; (row = row_next(ls, &at));)
		if (row->handle == handle)
			row->closed_ms = clock_mono_ms();
}

void
locks_flush(struct locks *ls, const struct handle *h, uint64_t owner)
{
	if (atomic_load(ls->n_rows) > 0)
		note_closed(ls, h->number);
	drop(ls, is_of_process, &(struct estate_lock){ .ino = node_st_ino(h->node.ino), .owner = owner });
}

void
locks_release(struct locks *ls, uint64_t number)
{
	drop(ls, is_of_handle, &(struct estate_lock){ .handle = number });
	if (atomic_load(ls->n_rows) > 0)
		closing_left(ls->m->closing);
}

/* --- begin and end ------------------------------------------------------------------------ */

int
locks_open(struct mount *m, struct locks **ret)
{
	struct locks *ls = calloc(1, sizeof(*ls));

	if (!ls)
		return -ENOMEM;
	ls->m = m;
	TAILQ_INIT(&ls->waiters);
	lock_init(&ls->lock, RANK_TABLE);
	if (m->estate) {
		ls->rows = m->estate->locks;
		ls->n_rows = &m->estate->n_locks;
	} else {
		ls->rows = ls->own = calloc(ESTATE_LOCKS, sizeof(*ls->own));
		ls->n_rows = &ls->own_n_rows;
	}
	if (!ls->rows) {
		locks_close(ls);
		return -ENOMEM;
	}
	*ret = ls;
	return MQ_OK;
}

void
locks_end(struct locks *ls)
{
	struct lock_waiters left = TAILQ_HEAD_INITIALIZER(left);

	if (!ls)
		return;
	lock_take(&ls->lock);
	ls->closing = true;
	grant(ls, &left);
	lock_drop(&ls->lock);
	answer(&left);
}

void
locks_close(struct locks *ls)
{
	if (!ls)
		return;
	lock_destroy(&ls->lock);
	free(ls->own);
	free(ls);
}
