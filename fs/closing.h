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

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct closing;
struct mount;

/* When a RELEASE was first missed, by the request that misses it. */
struct closing_since {
	int64_t ms;		/* clock_mono_ms(); or when its close was noted */
	uint64_t taken;		/* workers_taken() */
};

struct closing_since closing_now(const struct closing *c);

int closing_open(struct mount *m, struct closing **ret);
void closing_close(struct closing *c);	/* accepts NULL */

/* A note of an open file with an unfinished line; all zeros to begin with. */
struct closing_note {
	TAILQ_ENTRY(closing_note) entry;
	_Atomic bool noted;
	uint64_t taken;		/* workers_taken() when it was noted last */
};

void closing_begin(struct closing *c, struct closing_note *note);
void closing_end(struct closing *c, struct closing_note *note);

/* Wait until no file is noted from before this request whose RELEASE may still come.  Costs nothing when none is noted;
 * the next waits do not wait for those that were given up. */
void closing_wait(struct closing *c);

/* The same for consumers and locks.  closing_left(): a consumer has left its queue, or a close has released a
 * lock.  closing_wait_left(): a request that finds a queue or a file taken waits for that, a few milliseconds at
 * most, and looks again.  False, at once: no RELEASE may come any more, so it is refused.  All requests that the
 * kernel had sent by then are served, and the time is over for which it may hold one back; only a few requests
 * wait for that time, because those that are refused again and again would keep all workers from others. */
void closing_left(struct closing *c);
bool closing_wait_left(struct closing *c, const struct closing_since *since);

#endif
