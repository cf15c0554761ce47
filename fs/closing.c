#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "fs/closing.h"
#include "fs/handle.h"
#include "fs/workers.h"

#define WAIT_MS 10
#define COMES_MS 50		/* the kernel holds a RELEASE back while many are under way: not longer than this */
#define HELD_BACK_MAX 2		/* so many requests wait for one that is held back */
#define COMES_LATE_MS 2000	/* nor a worker that has taken it, on the busiest machine */

struct closing {
	struct mount *m;
	struct lock lock;
	pthread_cond_t none;
	TAILQ_HEAD(, closing_note) notes;	/* the oldest first */
	_Atomic int n_notes;
	_Atomic int waiting;		/* in closing_wait_left() */
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
	TAILQ_INIT(&c->notes);
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

static void
forget(struct closing *c, struct closing_note *note)
{
	MUST_HOLD(&c->lock);
	if (!atomic_load(&note->noted))
		return;
	TAILQ_REMOVE(&c->notes, note, entry);
	atomic_store(&note->noted, false);	/* then its owner may free it */
	atomic_fetch_sub(&c->n_notes, 1);
}

void
closing_begin(struct closing *c, struct closing_note *note)
{
	LOCKED(&c->lock);
	forget(c, note);	/* of an earlier close of a descriptor */
	atomic_store(&note->noted, true);
	note->taken = workers_taken(c->m);
	TAILQ_INSERT_TAIL(&c->notes, note, entry);
	atomic_fetch_add(&c->n_notes, 1);
}

void
closing_end(struct closing *c, struct closing_note *note)
{
	if (!atomic_load(&note->noted))		/* each write asks */
		return;
	LOCKED(&c->lock);
	forget(c, note);
	pthread_cond_broadcast(&c->none);
}

struct closing_since
closing_now(const struct closing *c)
{
	return (struct closing_since){ .ms = clock_mono_ms(), .taken = workers_taken(c->m) };
}

static bool
comes_late(const struct closing *c, const struct closing_since *since)
{
	return clock_mono_ms() - since->ms < COMES_LATE_MS &&
	       (workers_release_is_under_way(c->m, since->taken) || handles_releases_late(c->m->handles));
}

/* NULL: no file is noted since before then. */
static struct closing_note *
noted_before(const struct closing *c, const struct closing_since *since)
{
	struct closing_note *oldest = TAILQ_FIRST(&c->notes);

	MUST_HOLD(&c->lock);
	return oldest && oldest->taken <= since->taken ? oldest : NULL;
}

/* True: none is noted any more.  Other closes wake it, and do not prolong it. */
static bool
wait_once(struct closing *c, const struct closing_since *since)
{
	int64_t until_ms = clock_mono_ms() + WAIT_MS, left_ms;

	LOCKED(&c->lock);
	while (noted_before(c, since)) {
		left_ms = until_ms - clock_mono_ms();
		if (left_ms <= 0 || lock_wait(&c->lock, &c->none, (int)left_ms) == ETIMEDOUT)
			return false;
	}
	return true;
}

static void
give_up(struct closing *c, const struct closing_since *since)
{
	struct closing_note *note;

	LOCKED(&c->lock);
	while ((note = noted_before(c, since)))
		forget(c, note);
	pthread_cond_broadcast(&c->none);
}

static void
wait_for_none(struct closing *c)
{
	struct closing_since since = closing_now(c);

	while (!wait_once(c, &since))
		if (!comes_late(c, &since))
			give_up(c, &since);
}

void
closing_wait(struct closing *c)
{
	if (atomic_load(&c->n_notes) == 0)
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

bool
closing_wait_left(struct closing *c, const struct closing_since *since)
{
	bool few = atomic_fetch_add(&c->waiting, 1) < HELD_BACK_MAX;
	bool waits = (few && clock_mono_ms() - since->ms < COMES_MS) || comes_late(c, since);

	if (waits) {
		workers_wait_begin(c->m);
		lock_take(&c->lock);
		lock_wait(&c->lock, &c->none, WAIT_MS);
		lock_drop(&c->lock);
		workers_wait_end(c->m);
	}
	atomic_fetch_sub(&c->waiting, 1);
	return waits;
}
