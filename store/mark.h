/* mark.h - a position that moves forward, and threads that wait for it.
 *
 * Everything in mqfs that waits, waits on a mark:
 *
 *   mark        advanced by                waited for by
 *   written     commitlog_append           mqrepld (a mirror), the thread of checkpoints (offsets)
 *   flushed     commitlog_flush            nobody; it is compared after a flush, for fsync,
 *                                          O_DSYNC and SYNC_FLUSH appends
 *   dispatched  dispatch (store)           readers at the end of a queue; a hello (repl)
 *   replicated  acks from slaves (mqrepld) the answers of fsync and appends on a SYNC_MASTER
 *
 * So a wake-up is never a call from a lower folder into a higher one: below
 * says "the mark is at X", above was waiting to hear that.
 *
 * Another process can take part, through memory that both map:
 *
 *   mirror      it sees where the mark is, and is woken when it has moved
 *   source      it says what moves the mark, and wakes those who wait for that
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

/* Where another process sees the mark. */
struct mark_mirror {
	_Atomic int64_t *at;			/* it can only read this */
	const _Atomic uint32_t *sleeps;		/* its own: odd while it wants to be woken, each time
						 * another number.  NULL: it is not woken */
	int wake_fd;				/* an eventfd, written once for each of them */
};

/* What another process moves the mark by. */
struct mark_source {
	_Atomic uint32_t *news;			/* a word for futex(2): ours and its own */
	_Atomic int64_t *wanted;		/* the least position that is waited for; it can only read this */
	void (*look)(void *arg);		/* advance the mark to where that process says it is; by those
						 * who wait, without a lock */
	void *arg;
};

/* What every append writes and reads is apart from what waiters write, and from the
 * next mark: two CPUs that are busy with these do not take the cache line from each other. */
struct mark {
	struct lock lock;
	struct mark_waiter *waiting;	/* each of them, with what it waits for */
	struct mark_source source;	/* .news NULL: none */
	const struct mark_mirror *_Atomic mirror;	/* changes with the lock */
	uint32_t woken;			/* the mirror's `sleeps` that was woken last; with the lock */
	_Atomic int waiters;
	_Atomic bool closed;
	_Atomic uint64_t nudges;
	char apart[64];
	_Atomic int64_t at;
	_Atomic int64_t wanted;		/* least position that someone waits to see passed */
	char from_next[48];
};

void mark_init(struct mark *m, mq_pos at);
void mark_destroy(struct mark *m);

/* Before anybody waits. */
void mark_set_source(struct mark *m, const struct mark_source *source);

/* From now on, until NULL, which returns when nobody uses the last one any more. */
void mark_set_mirror(struct mark *m, const struct mark_mirror *mirror);

/* Where it stands.  Never blocks. */
static inline mq_pos
mark_at(const struct mark *m)
{
	return MQ_POS(atomic_load_explicit(&m->at, memory_order_acquire));
}

/* Move forward to `to`; nothing if it is there or beyond. */
void mark_advance(struct mark *m, mq_pos to);

/* The same in two steps, for who moves it with a lock held: after mark_move(), and without
 * the lock, mark_tell() wakes who waits for that. */
void mark_move(struct mark *m, mq_pos to);
void mark_tell(struct mark *m);

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
