/* reads.h - pulls and commits of clients, watches of a queue's end, and ends of transactions.
 * (mqremoted watches a queue to be woken when it grows.)
 *
 *      intake ──┬─ PULL of what is in memory: pull.h, pieces and completion
 *               └─> list ─> reads thread ─┬─ PULL    the same, of what is not
 *                                         ├─ COMMIT  offsets/
 *                                         └─ LEFT    its claims of queues
 *                 list ──> ends of transactions: a thread of their own, offsets/transactions.h
 *                 watch list ──> ends thread ── out->ends[], when `dispatched` moves
 *
 * The intake thread never waits for a disk: a pull that has to is the reads thread's, and an END,
 * which reads the half from the log, is the other thread's.  While the reads thread has something
 * to do, all pulls are its own, so that a pull never overtakes the COMMIT or LEFT before it.
 */
#ifndef MQFS_REMOTING_READS_H
#define MQFS_REMOTING_READS_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct reads;

int reads_open(const struct remoting_broker *broker, struct ring_server *ring, struct reads **ret);
void reads_close(struct reads *r);	/* accepts NULL; requests in the lists get no answer */

/* Answer the PULL in this thread, the one that calls reads_put().  False: it is to be put into the list. */
bool reads_answer_now(struct reads *r, const struct ring_request *req, const struct permit *permit);

/* Put a PULL, COMMIT, LEFT, END or WATCH, which is copied, into its list; `permit` (taken over) is the
 * client's.  -ENOMEM. */
int reads_put(struct reads *r, const struct ring_request *req, struct permit *permit);

#endif
