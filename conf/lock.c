#include "config.h"

#include <errno.h>
#include <time.h>

#include "conf/err.h"
#include "conf/lock.h"

#ifdef MQFS_LOCK_ORDER
/* What this thread holds, innermost last. */
static _Thread_local struct {
	enum lock_rank rank[16];
	int n;
} held;

static void
order_take(enum lock_rank rank)
{
	/* of those, several may be held: queues_append_begin() has an order of its own */
	enum lock_rank least = rank == RANK_QUEUE_APPEND ? rank + 1 : rank;

	if (held.n > 0 && held.rank[held.n - 1] >= least)
		err_panic("lock order: rank %d taken while %d is held", (int)rank,
			  (int)held.rank[held.n - 1]);
	MUST(held.n < 16);
	held.rank[held.n++] = rank;
}

static void
order_drop(enum lock_rank rank)
{
	for (int i = held.n - 1; i >= 0; i--) {
		if (held.rank[i] != rank)
			continue;
		for (; i < held.n - 1; i++)
			held.rank[i] = held.rank[i + 1];
		held.n--;
		return;
	}
	err_panic("lock order: rank %d dropped but not held", (int)rank);
}

/* A wait lets go of the innermost lock only, and takes it again as such. */
static void
order_wait(enum lock_rank rank)
{
	if (held.n == 0 || held.rank[held.n - 1] != rank)
		err_panic("lock order: wait with rank %d, which is not the innermost held", (int)rank);
}
#else
#define order_take(rank) ((void)0)
#define order_wait(rank) ((void)0)
#define order_drop(rank) ((void)0)
#endif

void
lock_init(struct lock *l, enum lock_rank rank)
{
	MUST(pthread_mutex_init(&l->mutex, NULL) == 0);
	l->rank = rank;
}

void
lock_destroy(struct lock *l)
{
	pthread_mutex_destroy(&l->mutex);
}

void
lock_take(struct lock *l)
{
	order_take(l->rank);
	MUST(pthread_mutex_lock(&l->mutex) == 0);
}

void
lock_drop(struct lock *l)
{
	order_drop(l->rank);
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
}

int
lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms)
{
	struct timespec until;

	order_wait(l->rank);
	if (timeout_ms < 0)
		return pthread_cond_wait(cond, &l->mutex);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += timeout_ms / 1000;
	until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	return pthread_cond_timedwait(cond, &l->mutex, &until);
}

void
cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	MUST(pthread_condattr_init(&attr) == 0);
	MUST(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	MUST(pthread_cond_init(cond, &attr) == 0);
	pthread_condattr_destroy(&attr);
}
