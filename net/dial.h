/* dial.h - a connection to HOST:PORT, whose addresses are tried one after the other.
 *
 *            dial_start              the resolver answers            an address accepts
 *   RESTING ────────────> RESOLVING ──────────────────> CONNECTING ─────────────────────> (done) RESTING
 *                                                            │ all have failed
 *                                                            └──────────────────────────> (done) RESTING
 */
#ifndef MQFS_NET_DIAL_H
#define MQFS_NET_DIAL_H

#include "net/daemon.h"
#include "net/resolve.h"

enum dial_phase {
	DIAL_RESTING,
	DIAL_RESOLVING,
	DIAL_CONNECTING,
};

struct dial {
	struct watch watch;		/* the connection to be */
	struct watch names;		/* the resolver; fd -1: the addresses are always those in `to` */
	struct daemon *d;
	struct resolve_answer to;

	/* rc MQ_OK: fd is the callee's; else noted. */
	void (*done)(struct dial *dial, int rc, int fd);

	enum dial_phase phase;
	int which;			/* index of the address to try next */
	int64_t until_ms;		/* CONNECTING: when the attempt has failed */
};

/* `done` is set.  names_fd is the dial's. */
int dial_open(struct dial *dial, struct daemon *d, int names_fd, const struct resolve_answer *to);
void dial_close(struct dial *dial);

/* Begin, from RESTING: done() will be called, perhaps before this returns. */
void dial_start(struct dial *dial);

/* The address that done() gave was of no use (rc: why): try the next one, and call done()
 * again.  And: stop; done() is not called. */
void dial_next(struct dial *dial, int rc);
void dial_stop(struct dial *dial);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t dial_tick(struct dial *dial);

#endif
