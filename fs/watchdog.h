/* watchdog.h - the supervisor checks whether its broker still serves.
 *
 * A broker hangs if for as long as the setting `watchdog` says
 *
 *   no worker takes a request, though some wait in the kernel's queue;   (poll(2) of the
 *   or a worker is in the handler of the same request, outside of         connection)
 *   workers_wait_begin();                                                (estate.h: beats)
 *   or the whole process is stopped by a signal.                         (/proc)
 *
 * A broker is only slow while one of its threads waits for a disk (state D): the watchdog
 * does nothing then, because the next broker would wait for the disk, too.  Nor does it
 * while a debugger has stopped the broker.
 *
 * The broker is checked WATCHDOG_LOOKS times in that time, and consecutive failed checks
 * count, not the clock: so a pause of the whole machine is not taken for a hang.
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
	int waiting;			/* ... that found requests waiting, and none taken */
	int stopped;			/* ... that found the process stopped */
	const char *why;		/* the reason, if it hangs */
};

/* How long to wait before the next look, for poll(2); -1 where limit_s is 0: never look. */
int watchdog_pause_ms(int64_t limit_s);

/* For how many whole limits in a row the broker was found to hang; 0: it does not. */
int watchdog_look(struct watchdog *w, pid_t broker, int session_fd, const struct estate_beat *beats);

#endif
