#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "fs/closing.h"
#include "fs/workers.h"

#define WAIT_MS 10
#define COMES_MS 50		/* the kernel holds a RELEASE back while many are under way: not longer than this */
#define COMES_LATE_MS 2000	/* nor a worker that has taken it, on the busiest machine */

struct closing {
	struct mount *m;
	struct lock lock;
	pthread_cond_t none;
	_Atomic int noted;
	uint64_t round;		/* a wait in vain begins the next one: notes of earlier rounds do not count */
};

int
closing_open(struct mount *m, struct closing **ret)
{
	struct closing *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->m = m;
	lock_init(&c->lock, RANK_MARK);
	cond_init(&c->none);
	c->round = 1;
	*ret = c;
	return MQ_OK;
}

void
closing_close(struct closing *c)
{
	if (!c)
		return;
	pthread_cond_destroy(&c->none);
	lock_destroy(&c->lock);
	free(c);
}

void
closing_begin(struct closing *c, struct closing_note *note)
{
	LOCKED(&c->lock);
	if (note->round == c->round)
		return;
	note->round = c->round;
	atomic_fetch_add(&c->noted, 1);
}

void
closing_end(struct closing *c, struct closing_note *note)
{
	if (note->round == 0)
		return;
	LOCKED(&c->lock);
	if (note->round == c->round && atomic_fetch_sub(&c->noted, 1) == 1)
		pthread_cond_broadcast(&c->none);
	note->round = 0;
}

static bool
comes_late(const struct closing *c, int64_t since_ms)
{
	return clock_mono_ms() - since_ms < COMES_LATE_MS && workers_release_is_under_way(c->m);
}

bool
closing_may_come(const struct closing *c, int64_t since_ms)
{
	return clock_mono_ms() - since_ms < COMES_MS || comes_late(c, since_ms);
}

/* True: no file of that round is noted. */
static bool
wait_once(struct closing *c, uint64_t *round)
{
	LOCKED(&c->lock);
	if (*round == 0)
		*round = c->round;
	while (atomic_load(&c->noted) > 0 && c->round == *round)
		if (lock_wait(&c->lock, &c->none, WAIT_MS) == ETIMEDOUT)
			return false;
	return true;
}

static void
give_up(struct closing *c, uint64_t round)
{
	LOCKED(&c->lock);
	if (c->round != round)
		return;
	c->round++;
	atomic_store(&c->noted, 0);
	pthread_cond_broadcast(&c->none);
}

static void
wait_for_none(struct closing *c)
{
	int64_t since_ms = clock_mono_ms();
	uint64_t round = 0;

	while (!wait_once(c, &round))
		if (!comes_late(c, since_ms))
			give_up(c, round);
}

void
closing_wait(struct closing *c)
{
	if (atomic_load(&c->noted) == 0)
		return;
	workers_wait_begin(c->m);
	wait_for_none(c);
	workers_wait_end(c->m);
}

void
closing_left(struct closing *c)
{
	LOCKED(&c->lock);
	pthread_cond_broadcast(&c->none);
}

void
closing_wait_left(struct closing *c)
{
	workers_wait_begin(c->m);
	lock_take(&c->lock);
	lock_wait(&c->lock, &c->none, WAIT_MS);
	lock_drop(&c->lock);
	workers_wait_end(c->m);
}
