/* wallclock.h - how far the wall clock is believed.
 *
 * The wall clock may be set to any time, and messages carry it.  Two rules keep a wrong
 * clock from doing harm that lasts:
 *
 *   storing    store times do not go back with small steps of the clock (a minute): they
 *              stand still.  When the clock is further behind the last store time, that
 *              one was wrong: store times go on from the clock.  A clock that says a time
 *              before 2020 was never set, and is not believed at all.
 *
 *   deleting   the believed time goes on as the machine runs (CLOCK_BOOTTIME).  The wall
 *              clock sets it back at once, but forward by more than a minute only when it
 *              has been ahead for an hour: a clock that has just jumped expires nothing.
 *              At a mount the believed time begins at the last store time.
 *
 * Any thread.
 */
#ifndef MQFS_STORE_WALLCLOCK_H
#define MQFS_STORE_WALLCLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/lock.h"

#define WALLCLOCK_STEP_MS (60 * INT64_C(1000))
#define WALLCLOCK_HOLD_MS (3600 * INT64_C(1000))

struct wallclock {
	struct lock lock;
	int64_t offset_ms;	/* believed time - time since boot */
	int64_t ahead_offset_ms, ahead_since_ms; /* the clock that is not believed yet */
	bool ahead;
};

void wallclock_open(struct wallclock *w);

/* Recovery has found the last store time: 0, there is none. */
void wallclock_begin(struct wallclock *w, int64_t last_ms);
void wallclock_close(struct wallclock *w);

/* The time by which messages may be deleted.  *ret_ahead_ms: how far the wall clock is
 * ahead of it (NULL: not asked). */
int64_t wallclock_believed_ms(struct wallclock *w, int64_t *ret_ahead_ms);

/* The store time of what is stored now, after what was stored at last_ms.  *ret_back:
 * store times go back with the clock. */
int64_t wallclock_store_ms(int64_t now_ms, int64_t last_ms, bool *ret_back);

#endif
