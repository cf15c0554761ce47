#include "config.h"

#include <errno.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "store/mark.h"

void
mark_init(struct mark *m, mq_pos at)
{
	atomic_init(&m->at, at.byte);
	atomic_init(&m->wanted, INT64_MAX);
	atomic_init(&m->waiters, 0);
	atomic_init(&m->closed, false);
	atomic_init(&m->nudges, 0);
	lock_init(&m->lock, RANK_MARK);
	cond_init(&m->moved);
}

void
mark_destroy(struct mark *m)
{
	pthread_cond_destroy(&m->moved);
	lock_destroy(&m->lock);
}

/* A waiter says what it waits for before it looks at `at`, and `at` moves before
 * that is looked at here: one of the two sees the other.  Who waits for something
 * far ahead is left alone: an append costs no wake-up then. */
static void
wake(struct mark *m, int64_t at)
{
	if (at <= atomic_load(&m->wanted))
		return;
	LOCKED(&m->lock);
	atomic_store(&m->wanted, INT64_MAX);	/* whoever waits on says it again */
	pthread_cond_broadcast(&m->moved);
}

/* Called with the lock. */
static void
want(struct mark *m, mq_pos pos)
{
	if (pos.byte < atomic_load(&m->wanted))
		atomic_store(&m->wanted, pos.byte);
}

void
mark_advance(struct mark *m, mq_pos to)
{
	int64_t at = atomic_load(&m->at);

	while (at < to.byte)
		if (atomic_compare_exchange_weak(&m->at, &at, to.byte)) {
			wake(m, to.byte);
			return;
		}
}

/* Called with the lock. */
static int
wait_past(struct mark *m, mq_pos pos, const uint64_t *nudges, int timeout_ms)
{
	int64_t until = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;

	for (want(m, pos); atomic_load(&m->at) <= pos.byte; want(m, pos)) {
		if (atomic_load(&m->closed))
			return MQ_ECLOSED;
		if (nudges && atomic_load(&m->nudges) != *nudges)
			return -EAGAIN;
		if (timeout_ms == 0)
			return -ETIMEDOUT;
		lock_wait(&m->lock, &m->moved, timeout_ms);
		if (timeout_ms > 0) {		/* a mark that moves a little starts no new wait */
			int64_t left = until - clock_mono_ms();

			timeout_ms = left > 0 ? (int)left : 0;
		}
	}
	return MQ_OK;
}

int
mark_wait_news(struct mark *m, mq_pos pos, uint64_t *nudges, int timeout_ms, mq_pos *ret_at)
{
	int rc;

	LOCKED(&m->lock);
	atomic_fetch_add(&m->waiters, 1);
	rc = wait_past(m, pos, nudges, timeout_ms);
	atomic_fetch_sub(&m->waiters, 1);
	if (rc == -EAGAIN)
		*nudges = atomic_load(&m->nudges);
	if (rc == MQ_OK && ret_at)
		*ret_at = mark_at(m);
	return rc;
}

int
mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at)
{
	return mark_wait_news(m, pos, NULL, timeout_ms, ret_at);
}

void
mark_nudge(struct mark *m)
{
	LOCKED(&m->lock);
	atomic_fetch_add(&m->nudges, 1);
	pthread_cond_broadcast(&m->moved);
}

void
mark_set_back(struct mark *m, mq_pos to)
{
	LOCKED(&m->lock);
	if (atomic_load(&m->at) <= to.byte)
		return;
	atomic_store(&m->at, to.byte);
	atomic_fetch_add(&m->nudges, 1);
	pthread_cond_broadcast(&m->moved);
}

void
mark_close(struct mark *m)
{
	LOCKED(&m->lock);
	atomic_store(&m->closed, true);
	pthread_cond_broadcast(&m->moved);
}
