/* mark.h - a position that moves forward, and threads that wait for it.
 *
 * A thread that waits for the log to come further waits on a mark:
 *
 *   mark        advanced by                waited for by
 *   written     commitlog_append           mqrepld (a mirror), the checkpoint thread (offsets)
 *   flushed     commitlog_flush            nobody: after a flush it is compared with what fsync,
 *                                          O_DSYNC and SYNC_FLUSH appends need
 *   dispatched  dispatch (store)           readers at a queue's end (fs), held pulls (remoting),
 *                                          a hello (repl)
 *   replicated  acks from slaves (mqrepld) fsync and appends on a SYNC_MASTER (fs, remoting)
 *
 * So a wake-up is never a call from a lower folder into a higher one: the lower
 * folder moves the mark, and the higher one sleeps until it has moved.
 *
 * Another process can take part, through memory that both map:
 *
 *   mirror      that process sees where the mark is, and is woken when it has moved
 *   source      that process decides how far the mark moves, and wakes the waiters here
 *
 * Any thread may call anything here.  A mark's lock is a leaf: nothing is
 * called while it is held.
 */
#ifndef MQFS_STORE_MARK_H
#define MQFS_STORE_MARK_H

#include <stdatomic.h>
#include <sys/queue.h>

#include "conf/lock.h"
#include "conf/pos.h"

/* Where another process sees the mark. */
struct mark_mirror {
	_Atomic int64_t *at;			/* that process can only read this */
	const _Atomic uint32_t *sleeps;		/* written by that process: odd while it sleeps, and
						 * another number each time.  NULL: it is not woken */
	int wake_fd;				/* an eventfd, written once for each odd number */
};

/* What another process moves the mark by. */
struct mark_source {
	_Atomic uint32_t *news;			/* the word that waiters sleep on, shared for futex(2) */
	_Atomic int64_t *wanted;		/* the least position waited for; that process can only read it */
	void (*look)(void *arg);		/* advance the mark to where that process says it is; called by
						 * each waiter, without a lock */
	void *arg;
};

/* The fields that every append uses are in another cache line than those that waiters write,
 * and than the next mark: so busy CPUs do not take the line from each other. */
struct mark {
	struct lock lock;
	LIST_HEAD(, mark_waiter) waiting;	/* the threads that wait, each with its position */
	struct mark_source source;	/* .news NULL: none */
	const struct mark_mirror *_Atomic mirror;	/* written with the lock held */
	uint32_t woken;			/* the value of the mirror's `sleeps` at the last wake-up; by the lock */
	_Atomic int waiters;
	_Atomic bool closed;
	_Atomic uint64_t nudges;
	char apart[64];
	_Atomic int64_t at;
	_Atomic int64_t wanted;		/* the least position of all waiters, INT64_MAX: no waiter */
	char from_next[48];
};

void mark_init(struct mark *m, mq_pos at);
void mark_destroy(struct mark *m);

/* Call it before any thread waits. */
void mark_set_source(struct mark *m, const struct mark_source *source);

/* Show the mark in `mirror`, which is borrowed until the next call; NULL: in none.  When
 * the call returns, no thread uses the mirror before it any more. */
void mark_set_mirror(struct mark *m, const struct mark_mirror *mirror);

/* Where the mark stands.  Never blocks. */
static inline mq_pos
mark_at(const struct mark *m)
{
	return MQ_POS(atomic_load_explicit(&m->at, memory_order_acquire));
}

/* Move the mark forward to `to`; does nothing if it is there or beyond. */
void mark_advance(struct mark *m, mq_pos to);

/* The same in two steps, for a caller that moves the mark with a lock held: mark_move()
 * with the lock, then mark_tell() without it, which wakes the waiters. */
void mark_move(struct mark *m, mq_pos to);
void mark_tell(struct mark *m);

/* Move the mark back to `to`, if it is beyond (a log was cut).  mark_wait_news() returns
 * as after mark_nudge(); mark_wait_past() waits until the position it was given has been
 * passed again. */
void mark_set_back(struct mark *m, mq_pos to);

/* Wait until the mark has passed `pos` (at > pos), at most `timeout_ms` (-1: for ever).
 *
 * MQ_OK         the mark has; *ret_at, if not NULL, is where it stands
 * -ETIMEDOUT    the mark has not, and the time is up
 * MQ_ECLOSED    mark_close() was called
 */
int mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at);

/* The same for a thread that has other work, too: -EAGAIN when the mark has not passed
 * `pos`, and mark_nudge() was called since *nudges was last set (start with 0).  Only
 * -EAGAIN sets *nudges, so a nudge that comes while the mark moves is seen by the next call. */
int mark_wait_news(struct mark *m, mq_pos pos, uint64_t *nudges, int timeout_ms, mq_pos *ret_at);

/* Each thread in mark_wait_news() returns; one that is not in it returns from its next call. */
void mark_nudge(struct mark *m);

/* All waits, now and later, end with MQ_ECLOSED, unless the mark has passed their position. */
void mark_close(struct mark *m);

#endif
