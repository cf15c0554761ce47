/* peering.h - the hello of this broker, and whether one of two brokers can follow the other.
 *
 * The epochs of two logs tell where the logs begin to differ (offsets/epochs.h).  Epochs
 * assume that a log only grows within an epoch, which is not true of a store that was
 * restored from an old copy; so the last bytes of the slave's log are compared with the
 * master's, too.
 *
 * The log of a slave is what it has received so far.  Where it ends is no evidence
 * against bytes that another slave has after that position.
 */
#ifndef MQFS_REPL_PEERING_H
#define MQFS_REPL_PEERING_H

#include "repl/hello.h"
#include "repl/requests.h"

/* The hello of this broker at this moment: its log and the log's history.  For
 * hello_free().  It may wait for the views. */
int peering_hello(struct replication *r, struct hello *ret);

/* May `slave` follow `master`, and from where?  MQ_OK: *ret is as of epochs_compare(): FOLLOW,
 * EMPTY, DIVERGED or TOO_OLD.  Any other rc: it may not; the note is from the slave's view. */
int peering_judge(const struct hello *slave, const struct hello *master, enum epochs_verdict *ret, mq_pos *ret_at);

/* Serve REQUEST_HELLO: a row of requests.c. */
int peering_serve(struct replication *r, const struct request *req, struct answer *ret);

#endif
