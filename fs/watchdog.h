/* watchdog.h - does a broker still serve, seen from its supervisor?
 *
 * Hung is a broker of which for as long as the setting `watchdog` says
 *
 *   no worker takes a request, though some wait in the kernel's queue;   (poll(2) of the
 *   or one is in the handler of the same request, where it may not        connection)
 *   wait (workers_wait_begin);                                           (estate.h: beats)
 *   or everything is stopped by a signal.                                (/proc)
 *
 * Slow is another thing: one of its threads waits for a disk (state D), and it is
 * left alone for as long as that is seen, because the next broker would wait there,
 * too.  So is one that a debugger has stopped.
 *
 * It is looked at WATCHDOG_LOOKS times in that time, and what counts are looks in a row,
 * not the clock: if the whole machine stood still, nobody is to blame.
 */
#ifndef MQFS_FS_WATCHDOG_H
#define MQFS_FS_WATCHDOG_H

#include <stdint.h>
#include <sys/types.h>

#include "fs/estate.h"

#define WATCHDOG_LOOKS 8

struct watchdog {
	uint64_t beats[ESTATE_BEATS];	/* at the last look */
	int serving[ESTATE_BEATS];	/* looks in a row that found that worker in the same request */
	int waiting;			/* ... that nobody took one of those that wait */
	int stopped;
	const char *why;		/* it hangs */
};

/* How long to wait before the next look, for poll(2); -1 where limit_s is 0: never look. */
int watchdog_pause_ms(int64_t limit_s);

/* How often in a row, counted in whole limits, it was found hung: 0 is well. */
int watchdog_look(struct watchdog *w, pid_t broker, int session_fd, const struct estate_beat *beats);

#endif
