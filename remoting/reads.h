/* reads.h - what clients ask of queues: pulls, commits, to be woken at a queue's end, and to end
 * their transactions.
 *
 *      intake ──> list ──> reads thread ──┬─ PULL    pull.h, pieces and completion
 *                                         ├─ COMMIT  offsets/
 *                                         └─ LEFT    its claims of queues
 *                 list ──> words thread ──── END     word.h
 *                 watch list ──> ends thread ── out->ends[], when `dispatched` moves
 *
 * A pull may have to read a consume queue's file, and a word the half from the log, so neither runs in
 * the intake thread.
 */
#ifndef MQFS_REMOTING_READS_H
#define MQFS_REMOTING_READS_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct reads;

int reads_open(const struct remoting_broker *broker, struct ring_server *ring, struct reads **ret);
void reads_close(struct reads *r);	/* accepts NULL; what is in the lists has no answer */

/* A PULL, COMMIT, LEFT or WATCH, which is copied, of a client that was let in like that (taken over).  -ENOMEM. */
int reads_put(struct reads *r, const struct ring_request *req, struct leave *leave);

#endif
