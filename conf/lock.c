#include "config.h"

#include <time.h>

#include "conf/err.h"
#include "conf/lock.h"

#ifdef MQFS_LOCK_ORDER
/* What this thread holds, innermost last. */
static _Thread_local struct {
	const struct lock *lock[16];
	int n;
} held;

/* The place of l among those held, -1: it is not. */
static int
order_find(const struct lock *l)
{
	int i = held.n - 1;

	while (i >= 0 && held.lock[i] != l)
		i--;
	return i;
}

static void
order_take(const struct lock *l)
{
	/* of those, several may be held: queues_append_begin() has an order of its own */
	enum lock_rank least = l->rank == RANK_QUEUE_APPEND ? l->rank + 1 : l->rank;

	if (held.n > 0 && held.lock[held.n - 1]->rank >= least)
		err_panic("lock order: rank %d taken while %d is held", (int)l->rank,
			  (int)held.lock[held.n - 1]->rank);
	MUST(held.n < 16);
	held.lock[held.n++] = l;
}

static void
order_drop(const struct lock *l)
{
	int i = order_find(l);

	if (i < 0)
		err_panic("lock order: rank %d dropped but not held", (int)l->rank);
	for (; i < held.n - 1; i++)
		held.lock[i] = held.lock[i + 1];
	held.n--;
}

/* A wait lets go of the innermost lock only, and takes it again as such. */
static void
order_wait(const struct lock *l)
{
	if (held.n == 0 || held.lock[held.n - 1] != l)
		err_panic("lock order: wait with rank %d, which is not the innermost held", (int)l->rank);
}

void
lock_must_be_held(const struct lock *l, const char *file, int line)
{
	if (order_find(l) < 0)
		err_panic("%s:%d: lock order: rank %d must be held", file, line, (int)l->rank);
}
#else
#define order_take(l) ((void)0)
#define order_wait(l) ((void)0)
#define order_drop(l) ((void)0)
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
	order_take(l);
	MUST(pthread_mutex_lock(&l->mutex) == 0);
}

void
lock_drop(struct lock *l)
{
	order_drop(l);
	MUST(pthread_mutex_unlock(&l->mutex) == 0);
}

int
lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms)
{
	struct timespec until;

	order_wait(l);
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
