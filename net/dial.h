/* dial.h - a connection to HOST:PORT, whose addresses are tried one after the other.
 *
 *            dial_start              the resolver answers            one of them answers
 *   RESTING ────────────> RESOLVING ──────────────────> CONNECTING ─────────────────────> (done) RESTING
 *                                                            │ none does
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
	struct watch names;		/* the resolver; fd -1: the addresses are these for good */
	struct daemon *d;
	struct resolve_answer to;

	/* rc MQ_OK: fd is the callee's; else noted. */
	void (*done)(struct dial *dial, int rc, int fd);

	enum dial_phase phase;
	int which;			/* of the addresses is the next to try */
	int64_t until_ms;		/* CONNECTING: that long */
};

/* `done` is set.  names_fd is the dial's. */
int dial_open(struct dial *dial, struct daemon *d, int names_fd, const struct resolve_answer *to);
void dial_close(struct dial *dial);

/* done() will be called, perhaps at once.  It must be RESTING. */
void dial_start(struct dial *dial);

/* It was not the one (rc: why), or it is not wanted any more. */
void dial_next(struct dial *dial, int rc);	/* the next of the addresses; done() is called */
void dial_stop(struct dial *dial);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t dial_tick(struct dial *dial);

#endif
