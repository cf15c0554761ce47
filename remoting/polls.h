/* polls.h - pulls that found nothing and wait: for a message of their queue, or for their time.
 *
 *      HELD ── the queue's end is behind its offset ──> ready ──> asked again
 *        ├──── its time is over ───────────────────────^
 *        └──── its connection ends ──> freed
 *
 * A pull that waits holds no slot of the rings.  The mount writes the ends of watched queues to
 * shared memory, so checking all of them costs one load each; times are in a heap.
 */
#ifndef MQFS_REMOTING_POLLS_H
#define MQFS_REMOTING_POLLS_H

#include <sys/queue.h>

#include "net/server.h"
#include "remoting/asks.h"
#include "remoting/ring_client.h"

struct polls;

/* A pull that can be submitted again: its request, and its connection. */
struct held {
	struct server_peer *peer;	/* NULL: the connection has ended */
	int32_t opaque;
	enum remoting_dialect dialect;
	int64_t until_ms;
	struct ask ask;			/* its texts are in `texts` */
	LIST_ENTRY(held) of_watch;
	size_t heap_at;
	char texts[];
};

struct held *held_make(struct server_peer *p, const struct remoting_frame *f, const struct ask *a, int64_t until_ms);

/* ready(arg, h): h is not held any more, and the callee's. */
int polls_open(struct ring_client *ring, void (*ready)(void *arg, struct held *h), void *arg, struct polls **ret);
void polls_close(struct polls *p);	/* accepts NULL; frees what is held */

/* Hold the pull.  False: there is no room, and it stays the caller's. */
bool polls_hold(struct polls *p, struct held *h);

/* The mount has answered a WATCH. */
void polls_watched(struct polls *p, const struct ring_completion *c);

/* Call ready() for each pull whose queue has grown, or whose time is over. */
void polls_look(struct polls *p, int64_t now_ms);

/* When the time of the next pull is over; 0: none is held. */
int64_t polls_next_ms(const struct polls *p);

/* Free the pulls of that connection. */
void polls_gone(struct polls *p, const struct server_peer *peer);

size_t polls_count(const struct polls *p);

#endif
