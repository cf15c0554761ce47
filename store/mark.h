/* mark.h - a position that moves forward, and threads that wait for it.
 *
 * Everything in mqfs that waits, waits on a mark:
 *
 *   mark        advanced by                waited for by
 *   written     commitlog_append           the threads of marks (repl) and of checkpoints (offsets)
 *   flushed     commitlog_flush            nobody; it is compared after a flush, for fsync,
 *                                          O_DSYNC and SYNC_FLUSH appends
 *   dispatched  dispatch (store)           readers at the end of a queue; a hello (repl)
 *   replicated  acks from slaves (repl)    the answers of fsync and appends on a SYNC_MASTER
 *
 * So a wake-up is never a call from a lower folder into a higher one: below
 * says "the mark is at X", above was waiting to hear that.
 *
 * Any thread may call anything here.  A mark's lock is a leaf: nothing is
 * called while it is held.
 */
#ifndef MQFS_STORE_MARK_H
#define MQFS_STORE_MARK_H

#include <pthread.h>
#include <stdatomic.h>

#include "conf/lock.h"
#include "conf/pos.h"

struct mark {
	_Atomic int64_t at;
	_Atomic int64_t wanted;		/* least position that someone waits to see passed */
	_Atomic int waiters;
	struct lock lock;
	struct mark_waiter *waiting;	/* each of them, with what it waits for */
	_Atomic bool closed;
	_Atomic uint64_t nudges;
};

void mark_init(struct mark *m, mq_pos at);
void mark_destroy(struct mark *m);

/* Where it stands.  Never blocks. */
static inline mq_pos
mark_at(const struct mark *m)
{
	return MQ_POS(atomic_load_explicit(&m->at, memory_order_acquire));
}

/* Move forward to `to`; nothing if it is there or beyond. */
void mark_advance(struct mark *m, mq_pos to);

/* Back to `to`, if it is beyond: what it stood for is no more (a log was cut).  Those
 * in mark_wait_news() are woken as by mark_nudge(); all wait on for the position they
 * have named. */
void mark_set_back(struct mark *m, mq_pos to);

/* Wait until the mark has passed `pos` (at > pos), at most `timeout_ms` (-1: for ever).
 *
 * MQ_OK         it has; *ret_at, if not NULL, is where it stood then
 * -ETIMEDOUT    it has not, and the time is up
 * MQ_ECLOSED    mark_close() was called
 */
int mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at);

/* The same for a thread that others may also call to something else: -EAGAIN when
 * mark_nudge() was called since *nudges was last set (start with 0).  Only -EAGAIN
 * sets it, so no nudge is missed by who sees the mark move first. */
int mark_wait_news(struct mark *m, mq_pos pos, uint64_t *nudges, int timeout_ms, mq_pos *ret_at);

/* Wake those in mark_wait_news(), or let their next call return at once. */
void mark_nudge(struct mark *m);

/* All waits, now and later, end with MQ_ECLOSED. */
void mark_close(struct mark *m);

#endif
