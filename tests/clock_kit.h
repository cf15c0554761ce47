/* clock_kit.h - the clocks of a test, which a program that is linked with $(CLOCK_LINK) and clock_kit.c sets.
 *
 * CLOCK_MONOTONIC, by which threads wait, goes on as it does.
 */
#ifndef MQFS_TESTS_CLOCK_KIT_H
#define MQFS_TESTS_CLOCK_KIT_H

#include <stdatomic.h>
#include <stdint.h>

extern _Atomic int64_t clock_shift_s;	/* the wall clock was set forward by that */
extern _Atomic int64_t clock_passed_s;	/* that much time has gone by: the wall clock and CLOCK_BOOTTIME show it */

#endif
