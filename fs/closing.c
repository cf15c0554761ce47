#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "fs/closing.h"
#include "fs/workers.h"

#define WAIT_MS 10

struct closing {
	struct mount *m;
	struct lock lock;
	pthread_cond_t none;
	_Atomic int noted;
	uint64_t round;		/* a wait that timed out begins the next one: notes of earlier rounds do not count */
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

static void
wait_for_none(struct closing *c)
{
	uint64_t round;

	LOCKED(&c->lock);
	round = c->round;
	while (atomic_load(&c->noted) > 0 && c->round == round)
		if (lock_wait(&c->lock, &c->none, WAIT_MS) == ETIMEDOUT && c->round == round) {
			c->round++;
			atomic_store(&c->noted, 0);
			pthread_cond_broadcast(&c->none);
		}
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
