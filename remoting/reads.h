/* reads.h - pulls and commits of clients, watches of a queue's end, and ends of transactions.
 * (mqremoted watches a queue to be woken when it grows.)
 *
 *      intake ──> list ──> reads thread ──┬─ PULL    pull.h, pieces and completion
 *                                         ├─ COMMIT  offsets/
 *                                         └─ LEFT    its claims of queues
 *                 list ──> words thread ──── END     word.h
 *                 watch list ──> ends thread ── out->ends[], when `dispatched` moves
 *
 * A pull may have to read a consume queue's file, and an END the half from the log, so neither runs
 * in the intake thread.
 */
#ifndef MQFS_REMOTING_READS_H
#define MQFS_REMOTING_READS_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct reads;

int reads_open(const struct remoting_broker *broker, struct ring_server *ring, struct reads **ret);
void reads_close(struct reads *r);	/* accepts NULL; requests in the lists get no answer */

/* Put a PULL, COMMIT, LEFT, END or WATCH, which is copied, into its list; `leave` (taken over) is the client's.  -ENOMEM. */
int reads_put(struct reads *r, const struct ring_request *req, struct leave *leave);

#endif
