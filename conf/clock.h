/* clock.h - the two clocks. */
#ifndef MQFS_CONF_CLOCK_H
#define MQFS_CONF_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline int64_t
clock_read_ms(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Since the epoch: what messages carry; it may jump. */
static inline int64_t
clock_wall_ms(void)
{
	return clock_read_ms(CLOCK_REALTIME);
}

/* For waiting: it only goes forward, from anywhere. */
static inline int64_t
clock_mono_ms(void)
{
	return clock_read_ms(CLOCK_MONOTONIC);
}

/* The same, for what takes less than a millisecond. */
static inline int64_t
clock_mono_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#endif
