/* closing.h - files that are just being closed.
 *
 * The kernel sends RELEASE at the last close(2) of an open file, but does not wait until it is served.  So what a
 * close has to bring about (the unfinished line becomes a message, locks and consumers let go) might not be done when
 * the next request comes, and that request waits for it.  FLUSH comes before close(2) returns, but also when one of
 * several descriptors is closed (a child that ends), so RELEASE need not follow.  Of the requests before it no RELEASE
 * is missing once the workers have served all of them; then it was not the last close.
 */
#ifndef MQFS_FS_CLOSING_H
#define MQFS_FS_CLOSING_H

#include <stdbool.h>
#include <stdint.h>

struct closing;
struct mount;

/* A close was noted, or its RELEASE first missed, at since_ms (clock_mono_ms()): may the RELEASE still come? */
bool closing_may_come(const struct closing *c, int64_t since_ms);

int closing_open(struct mount *m, struct closing **ret);
void closing_close(struct closing *c);	/* accepts NULL */

/* A note of an open file with an unfinished line; all zeros to begin with. */
struct closing_note {
	uint64_t round;		/* 0: not noted */
};

void closing_begin(struct closing *c, struct closing_note *note);
void closing_end(struct closing *c, struct closing_note *note);

/* Wait until no file is noted whose RELEASE may still come.  Costs nothing when none is noted; the next waits do not
 * wait for those that were given up. */
void closing_wait(struct closing *c);

/* The same for consumers and locks.  closing_left(): a consumer has left its queue, or a close has released a
 * lock.  closing_wait_left(): a request that finds a queue or a file taken waits for that, a few milliseconds at
 * most, and looks again before it is refused. */
void closing_left(struct closing *c);
void closing_wait_left(struct closing *c);

#endif
