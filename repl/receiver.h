/* receiver.h - following a master: the slave's side of a connection.
 *
 *            time to            connected        TLS            a frame
 *   RESTING ────────> CONNECTING ───────> SHAKING ───> FOLLOWING ─────────> (bytes to the ring)
 *      ^                   │                 │             │
 *      └───────────────────┴─────────────────┴─────────────┘   why not: the mount knows; later each time
 *
 * The body of a frame is received straight into the ring; the mount writes it
 * to the log and says so, and that is what the master is told.  Nothing is
 * reported that is not in the log.  Before the next connection everything the
 * mount was given must have been applied: so it begins where the log ends.
 *
 * An empty slave wants its master's log from the first byte.  A RocketMQ master
 * gives one that reports 0 only its last segment, but takes any other report as
 * it is.  So an empty slave reports 1, and supplies byte 0 by itself: a record
 * begins with its size, big-endian and far below 16 MiB, so that byte is 0.
 * A master whose log does not begin at 0 answers with heartbeats only; then the
 * slave reports 0 and takes the last segment.  (Where a master can say where its
 * log begins, that is what follow() should ask for.)
 */
#ifndef MQFS_REPL_RECEIVER_H
#define MQFS_REPL_RECEIVER_H

#include "repl/daemon.h"
#include "repl/resolve.h"

struct receiver;

/* Follow the master of d->config, which goes by the name `host`.  `names_fd` (the
 * receiver's) answers for its addresses; -1: they are `master` for good. */
int receiver_open(struct daemon *d, const char *host, int names_fd, const struct resolve_answer *master,
		  struct receiver **ret);
void receiver_close(struct receiver *r);	/* accepts NULL */

/* The mount has applied what the ring held before ring_at.  MQ_ECORRUPT: that cannot be. */
int receiver_applied(struct receiver *r, uint64_t ring_at);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t receiver_tick(struct receiver *r);

#endif
