/* ring_client.h - mqremoted's side of the rings (ring.h).
 *
 *      at = ring_client_place(len)                 a place for the bytes, and a slot for the answer
 *      ring_client_submit()                        for each request of a turn
 *      ring_client_wake()                          once for all of them
 *      ring_client_reap() ...                      frees the slot
 *
 * mqremoted has one thread.  It trusts the mount.
 */
#ifndef MQFS_REMOTING_RING_CLIENT_H
#define MQFS_REMOTING_RING_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "remoting/ring.h"

struct ring_client {
	struct ring_in *in;
	const struct ring_out *out;
	int wake_mount, wake_us;
	uint64_t submitted, reaped;
	uint64_t told;			/* `submitted`, when the mount was last woken */
	uint64_t moved;			/* out->moved, when ends[] was last looked at */
	uint64_t data_next;		/* behind the last bytes that were placed */
	uint64_t data_base;		/* where they began when the ring was last empty */
	uint32_t lingers_in, futile;	/* see ring_client_linger() */
	uint16_t *free_slots;		/* n_free of them, the last is used next */
	uint32_t n_free;
};

/* The descriptors are the client's from here on, also on failure. */
int ring_client_open(struct ring_client *r, struct ring_fds *fds);
void ring_client_close(struct ring_client *r);	/* accepts zeros */

/* A place for the len bytes (at most RING_DATA_BYTES / 2) of the next submission; its slot and data_at
 * are set.  NULL: there is none before the mount has taken more, or all slots are in use. */
unsigned char *ring_client_place(struct ring_client *r, size_t len, struct ring_submission *next);

/* Submit.  The mount sees it after ring_client_wake() at the latest; that does nothing if there
 * was no submission since its last call. */
void ring_client_submit(struct ring_client *r, const struct ring_submission *s);
void ring_client_wake(struct ring_client *r);

/* The next answer; its slot is free again.  -EAGAIN: there is none.  The pieces of a pull
 * stay where they are until the slot is used again, so they are to be copied before that. */
int ring_client_reap(struct ring_client *r, struct ring_completion *ret);

/* Stay on the CPU for a moment (RING_LINGER_US at most), if an answer is due that may come meanwhile:
 * going to sleep and being woken costs both sides more.  Answers that wait for a disk or for slaves
 * take longer, and on a busy machine the mount may have no CPU: after n times in vain it does nothing
 * for the next 2^(n - 1) calls, RING_LINGER_REST at most.  Called after ring_client_wake(). */
#define RING_LINGER_US 25
#define RING_LINGER_REST 256u
void ring_client_linger(struct ring_client *r);

/* Called before waiting on wake_us, and after.  False: there is an answer already, do not wait.  A
 * caller that waits by level and not by edge resets wake_us with shared_reset(). */
bool ring_client_sleep(struct ring_client *r);
void ring_client_awake(struct ring_client *r);

/* Has any end moved since the last call? */
bool ring_client_ends_moved(struct ring_client *r);

static inline int64_t
ring_client_end(const struct ring_client *r, uint32_t watch)
{
	return atomic_load_explicit(&r->out->ends[watch], memory_order_acquire);
}

#endif
