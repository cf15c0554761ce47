#include "config.h"

#include <time.h>

#include "tests/clock_kit.h"

_Atomic int64_t clock_shift_s, clock_passed_s;

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
time_t __wrap_time(time_t *ret);

int
__wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
	int rc = __real_clock_gettime(id, ts);

	if (id == CLOCK_REALTIME)
		ts->tv_sec += clock_shift_s + clock_passed_s;
	if (id == CLOCK_BOOTTIME)
		ts->tv_sec += clock_passed_s;
	return rc;
}

time_t
__wrap_time(time_t *ret)
{
	struct timespec now;

	__wrap_clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
