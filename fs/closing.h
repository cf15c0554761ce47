/* closing.h - files that are just being closed with an unfinished line.
 *
 * The unfinished line of an open file becomes a message at its last close.  The kernel
 * sends RELEASE for that, after close(2) has returned; so the next reader could
 * miss the message.  FLUSH comes before close(2) returns, but also when one of
 * several descriptors is closed (a child that ends), so RELEASE need not follow:
 * the file is noted here, and readers wait a moment for its RELEASE.
 * If none comes, it was not the last close, and the next readers do not wait.
 */
#ifndef MQFS_FS_CLOSING_H
#define MQFS_FS_CLOSING_H

#include <stdint.h>

struct closing;
struct mount;

int closing_open(struct mount *m, struct closing **ret);
void closing_close(struct closing *c);	/* accepts NULL */

/* One open file's note; all zeros to begin with. */
struct closing_note {
	uint64_t round;		/* 0: not noted */
};

void closing_begin(struct closing *c, struct closing_note *note);
void closing_end(struct closing *c, struct closing_note *note);

/* Wait until no file is noted, a few milliseconds at most.  Costs nothing when none is. */
void closing_wait(struct closing *c);

/* The same for consumers and locks.  closing_left(): a consumer has left its queue, or a close has released a
 * lock.  closing_wait_left(): a request that finds a queue or a file taken waits for that, a few
 * milliseconds at most, before it is refused. */
void closing_left(struct closing *c);
void closing_wait_left(struct closing *c);

#endif
