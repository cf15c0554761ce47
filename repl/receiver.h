/* receiver.h - following a master: the slave's side of a connection.
 *
 *          LINK_FOLLOW          connected        TLS            a frame
 *   RESTING ────────> CONNECTING ───────> SHAKING ───> FOLLOWING ─────────> (bytes to the ring)
 *      ^                   │                 │             │
 *      └───────────────────┴─────────────────┴─────────────┘   the mount is told the reason, and decides
 *
 * The body of a frame is received straight into the ring.  The mount writes it to the log,
 * which moves the mark `written` (board.h), and only then the receiver reports the position to
 * the master: no report is beyond the end of the log.  Before it connects, the receiver waits until
 * the mount has written everything in the ring, so that a connection begins where the log ends.
 *
 * A slave cannot ask for a log from its first byte on: a RocketMQ master sends a slave
 * that reports 0 only its last segment, but takes any other report as it is.  The
 * receiver therefore reports 1 and supplies byte 0 itself: a record begins with its
 * size, big-endian and far below 16 MiB, so that byte is 0.
 *
 * If the mount says so, a connection begins with bytes that this log has already: the first
 * report is that many bytes before the log's end.  The bytes received for them are not
 * written; their CRC-32 must be that of the log's own.  If it differs the master has another
 * log, whatever its hello says, and the connection ends.  If it is equal the receiver reports
 * the log's end, and the master knows that it has sent the bytes that this slave acknowledges.
 */
#ifndef MQFS_REPL_RECEIVER_H
#define MQFS_REPL_RECEIVER_H

#include "net/daemon.h"
#include "net/resolve.h"

struct receiver;

/* Follow the master of d->config.  The resolver on `names_fd` (the receiver's) is asked for
 * its addresses; -1: they are always those in `master`. */
int receiver_open(struct daemon *d, int names_fd, const struct resolve_answer *master, struct receiver **ret);
void receiver_close(struct receiver *r);	/* accepts NULL */

/* Connect, and receive the log from `from` on: where it ends, or is to begin.  `again`: bytes
 * before that, which the log has.  `turn`: the id of the LINK_FOLLOW. */
struct receiver_again {
	uint32_t len, crc;
};

void receiver_follow(struct receiver *r, int64_t from, struct receiver_again again, uint64_t turn);
void receiver_rest(struct receiver *r);

/* d->written has moved: the mount has written bytes of the ring to the log. */
void receiver_applied(struct receiver *r);

/* Does the receiver wait for d->written to move? */
bool receiver_wants_marks(const struct receiver *r);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t receiver_tick(struct receiver *r);

#endif
