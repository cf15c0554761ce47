/* sender.h - one slave of ours: the master's side of a connection.
 *
 *              TLS           first report                its position is in our log
 *   (SHAKING) ────> WAITING ──────────────> where from? ─────────────────────────────> TRANSFER
 *       │                                        │ it is not: heartbeats, the mount knows why
 *       └──> refused: a line in the log          └──────────> (stays WAITING)
 *
 * Bytes of the log go from the page cache to the socket (sendfile), in frames
 * within one segment.  What is appended while a slave is busy with the last ones goes to it
 * together: when it has acknowledged them, where somebody waits for that (a SYNC_MASTER), and
 * after a moment in any case.  A slave that reports what it was not sent, or nothing
 * for housekeeping_ms, is closed.
 */
#ifndef MQFS_REPL_SENDER_H
#define MQFS_REPL_SENDER_H

#include "net/daemon.h"
#include "repl/board.h"

struct sender;

/* A slave has connected; fd (non-blocking) is the sender's, also on failure.  The mount knows
 * its acks by `number` and `connection`, which no other connection has. */
int sender_open(struct daemon *d, const struct board_seat *board, int fd, int32_t number, uint64_t connection,
		const char *address, struct sender **ret);
void sender_close(struct sender *s);		/* accepts NULL; tells the mount */

/* The connection has ended; sender_close() is what remains to be done. */
bool sender_is_gone(const struct sender *s);

/* Since when the connection has not been a working slave; 0: it is one, or it is closed.  A working
 * slave has acknowledged something that it was sent, and goes on doing so while there is more.
 * Reports alone do not count: any peer can send them. */
int64_t sender_idle_since(const struct sender *s);
bool sender_is_connected(const struct sender *s);
bool sender_has_reported(const struct sender *s);
const char *sender_address(const struct sender *s);

/* Close the connection, because another one needs its place. */
void sender_evict(struct sender *s);

/* The log has grown. */
void sender_marks(struct sender *s);

/* Is there something to be done at once when the log grows? */
bool sender_wants_marks(const struct sender *s);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t sender_tick(struct sender *s);

#endif
