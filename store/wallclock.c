#include "config.h"

#include <inttypes.h>
#include <time.h>

#include "conf/clock.h"
#include "conf/log.h"
#include "store/wallclock.h"

#define CLOCK_SET_MS (INT64_C(1577836800) * 1000)	/* 2020 */

static int64_t
wall_ms(void)
{
	return (int64_t)time(NULL) * 1000;
}

void
wallclock_open(struct wallclock *w)
{
	*w = (struct wallclock){ .offset_ms = wall_ms() - clock_read_ms(CLOCK_BOOTTIME) };
	lock_init(&w->lock, RANK_WALLCLOCK);
}

void
wallclock_begin(struct wallclock *w, int64_t last_ms)
{
	LOCKED(&w->lock);
	if (last_ms > 0 && last_ms < wall_ms())
		w->offset_ms = last_ms - clock_read_ms(CLOCK_BOOTTIME);
}

void
wallclock_close(struct wallclock *w)
{
	lock_destroy(&w->lock);
}

/* The wall clock is ahead: since when has it gone on from there? */
static void
go_ahead(struct wallclock *w, int64_t offset_ms, int64_t boot_ms)
{
	int64_t apart = offset_ms - w->ahead_offset_ms;

	if (!w->ahead || apart > WALLCLOCK_STEP_MS || apart < -WALLCLOCK_STEP_MS) {
		w->ahead = true;
		w->ahead_offset_ms = offset_ms;
		w->ahead_since_ms = boot_ms;
		if (offset_ms - w->offset_ms >= WALLCLOCK_HOLD_MS)
			log_notice("the clock is %" PRId64 " s ahead of what was stored last or of what it said before: "
				   "messages expire by the earlier time until it has gone on for %d s",
				   (offset_ms - w->offset_ms) / 1000, (int)(WALLCLOCK_HOLD_MS / 1000));
	} else if (boot_ms - w->ahead_since_ms >= WALLCLOCK_HOLD_MS) {
		w->ahead = false;
		w->offset_ms = offset_ms;
	}
}

int64_t
wallclock_believed_ms(struct wallclock *w, int64_t *ret_ahead_ms)
{
	int64_t boot = clock_read_ms(CLOCK_BOOTTIME), offset = wall_ms() - boot;

	LOCKED(&w->lock);
	if (offset > w->offset_ms + WALLCLOCK_STEP_MS) {
		go_ahead(w, offset, boot);
	} else {
		w->ahead = false;
		w->offset_ms = offset;
	}
	if (ret_ahead_ms)
		*ret_ahead_ms = offset - w->offset_ms;
	return boot + w->offset_ms;
}

int64_t
wallclock_store_ms(int64_t now_ms, int64_t last_ms, bool *ret_back)
{
	bool behind = now_ms < last_ms;

	*ret_back = behind && last_ms - now_ms > WALLCLOCK_STEP_MS && now_ms >= CLOCK_SET_MS;
	return behind && !*ret_back ? last_ms : now_ms;
}
