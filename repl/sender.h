/* sender.h - a connection of a slave, on its master: it is sent the log.
 *
 *              TLS           first report                its position is in our log
 *   (SHAKING) ────> WAITING ──────────────> where from? ─────────────────────────────> TRANSFER
 *       │                                        │ it is not: heartbeats, the mount is told why
 *       └──> refused: a line in the log          └──────────> (stays WAITING)
 *
 * Bytes of the log go from the page cache to the socket (sendfile), in frames within one
 * segment.  Bytes appended while the last round is on its way are sent together, as the next
 * round: on a SYNC_MASTER when the slave has acknowledged the last one, and after a moment in
 * any case.  The sender closes a connection whose slave reports a position beyond what it was
 * sent, or reports nothing for housekeeping_ms.
 */
#ifndef MQFS_REPL_SENDER_H
#define MQFS_REPL_SENDER_H

#include "net/daemon.h"
#include "repl/board.h"

struct sender;

/* A slave has connected; fd (non-blocking) is the sender's, also on failure.  `number` and
 * `connection`, which no other connection has, name its acks on the board. */
int sender_open(struct daemon *d, const struct board_seat *board, int fd, int32_t number, uint64_t connection,
		const char *address, struct sender **ret);
void sender_close(struct sender *s);		/* accepts NULL; tells the mount */

/* Has the connection ended?  Then the caller calls sender_close(). */
bool sender_is_gone(const struct sender *s);

/* Since when the connection has not been a working slave's; 0: it is one's, or it is closed.  A working
 * slave has acknowledged bytes that it was sent, and continues to do so while there are more.
 * Reports alone do not count: any peer can send them. */
int64_t sender_idle_since(const struct sender *s);
bool sender_is_connected(const struct sender *s);
bool sender_has_reported(const struct sender *s);
const char *sender_address(const struct sender *s);

/* Close the connection, because another one needs its place. */
void sender_evict(struct sender *s);

/* The log has grown. */
void sender_marks(struct sender *s);

/* Must sender_marks() be called as soon as the log grows? */
bool sender_wants_marks(const struct sender *s);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t sender_tick(struct sender *s);

#endif
