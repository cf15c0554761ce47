#include "config.h"

#include <errno.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "store/mark.h"

/* A thread that waits, on its stack: each has a condition of its own, so that who
 * waits for something far ahead sleeps on while others are woken. */
struct mark_waiter {
	struct mark_waiter *next;
	int64_t pos;
	pthread_cond_t moved;
};

void
mark_init(struct mark *m, mq_pos at)
{
	atomic_init(&m->at, at.byte);
	atomic_init(&m->wanted, INT64_MAX);
	atomic_init(&m->waiters, 0);
	atomic_init(&m->closed, false);
	atomic_init(&m->nudges, 0);
	m->waiting = NULL;
	lock_init(&m->lock, RANK_MARK);
}

void
mark_destroy(struct mark *m)
{
	lock_destroy(&m->lock);
}

/* Called with the lock: those who wait for less than `at`; who is left says what is wanted. */
static void
wake_below(struct mark *m, int64_t at)
{
	int64_t wanted = INT64_MAX;

	for (struct mark_waiter *w = m->waiting; w; w = w->next)
		if (w->pos < at)
			pthread_cond_signal(&w->moved);
		else if (w->pos < wanted)
			wanted = w->pos;
	atomic_store(&m->wanted, wanted);
}

/* A waiter says what it waits for before it looks at `at`, and `at` moves before
 * that is looked at here: one of the two sees the other.  An append that nobody
 * waits for yet costs no more than this look. */
static void
wake(struct mark *m, int64_t at)
{
	if (at <= atomic_load(&m->wanted))
		return;
	LOCKED(&m->lock);
	wake_below(m, at);
}

/* Called with the lock: whatever they wait for. */
static void
wake_all(struct mark *m)
{
	for (struct mark_waiter *w = m->waiting; w; w = w->next)
		pthread_cond_signal(&w->moved);
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

/* Called with the lock, w among the waiters. */
static int
wait_past(struct mark *m, struct mark_waiter *w, const uint64_t *nudges, int timeout_ms)
{
	int64_t until = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;

	for (want(m, MQ_POS(w->pos)); atomic_load(&m->at) <= w->pos; want(m, MQ_POS(w->pos))) {
		if (atomic_load(&m->closed))
			return MQ_ECLOSED;
		if (nudges && atomic_load(&m->nudges) != *nudges)
			return -EAGAIN;
		if (timeout_ms == 0)
			return -ETIMEDOUT;
		lock_wait(&m->lock, &w->moved, timeout_ms);
		if (timeout_ms > 0) {		/* a mark that moves a little starts no new wait */
			int64_t left = until - clock_mono_ms();

			timeout_ms = left > 0 ? (int)left : 0;
		}
	}
	return MQ_OK;
}

/* Called with the lock. */
static void
link_waiter(struct mark *m, struct mark_waiter *w)
{
	cond_init(&w->moved);
	w->next = m->waiting;
	m->waiting = w;
	atomic_fetch_add(&m->waiters, 1);
}

/* Called with the lock. */
static void
unlink_waiter(struct mark *m, struct mark_waiter *w)
{
	struct mark_waiter **at;

	for (at = &m->waiting; *at != w; at = &(*at)->next)
		;
	*at = w->next;
	atomic_fetch_sub(&m->waiters, 1);
	pthread_cond_destroy(&w->moved);
}

int
mark_wait_news(struct mark *m, mq_pos pos, uint64_t *nudges, int timeout_ms, mq_pos *ret_at)
{
	struct mark_waiter w = { .pos = pos.byte };
	int rc;

	LOCKED(&m->lock);
	link_waiter(m, &w);
	rc = wait_past(m, &w, nudges, timeout_ms);
	unlink_waiter(m, &w);
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
	wake_all(m);
}

void
mark_set_back(struct mark *m, mq_pos to)
{
	LOCKED(&m->lock);
	if (atomic_load(&m->at) <= to.byte)
		return;
	atomic_store(&m->at, to.byte);
	atomic_fetch_add(&m->nudges, 1);
	wake_all(m);
}

void
mark_close(struct mark *m)
{
	LOCKED(&m->lock);
	atomic_store(&m->closed, true);
	wake_all(m);
}
