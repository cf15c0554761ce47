/* receiver.h - following a master: the slave's side of a connection.
 *
 *            told to            connected        TLS            a frame
 *   RESTING ────────> CONNECTING ───────> SHAKING ───> FOLLOWING ─────────> (bytes to the ring)
 *      ^                   │                 │             │
 *      └───────────────────┴─────────────────┴─────────────┘   why: the mount knows, and decides
 *
 * The body of a frame is received straight into the ring; the mount writes it
 * to the log and says so, and that is what the master is told.  Nothing is
 * reported that is not in the log.  Before a connection everything the mount was
 * given must have been applied: so it begins where the log ends.
 *
 * Who wants a log from its first byte on cannot say so: a RocketMQ master gives one
 * that reports 0 only its last segment, but takes any other report as it is.
 * So 1 is reported, and byte 0 is supplied: a record begins with its size,
 * big-endian and far below 16 MiB, so that byte is 0.
 *
 * A connection begins with bytes that this log has already, if the mount wants it: the
 * report is that many bytes less than the log's end.  What comes for them is not
 * written; its CRC-32 must be that of the log's own.  Other bytes: the master has another log, whatever it
 * says of it, and the connection ends.  The same: the log's end is reported, and the
 * master knows that it has sent what is acknowledged.
 */
#ifndef MQFS_REPL_RECEIVER_H
#define MQFS_REPL_RECEIVER_H

#include "net/daemon.h"
#include "net/resolve.h"

struct receiver;

/* Follow the master of d->config.  `names_fd` (the receiver's) answers for its
 * addresses; -1: they are `master` for good. */
int receiver_open(struct daemon *d, int names_fd, const struct resolve_answer *master, struct receiver **ret);
void receiver_close(struct receiver *r);	/* accepts NULL */

/* Connect, and go on at `from`: where the log ends, or is to begin.  `again`: bytes
 * before it, which the log has.  `turn` is what the mount calls this connection. */
struct receiver_again {
	uint32_t len, crc;
};

void receiver_follow(struct receiver *r, int64_t from, struct receiver_again again, uint64_t turn);
void receiver_rest(struct receiver *r);

/* The mount has applied what the ring held before ring_at.  MQ_ECORRUPT: that cannot be. */
int receiver_applied(struct receiver *r, uint64_t ring_at);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t receiver_tick(struct receiver *r);

#endif
