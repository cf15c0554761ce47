/* waits.h - answers of stored messages that wait for a disk or for slaves.
 *
 *      SYNC_FLUSH    until `flushed` has passed the message; after syncFlushTimeout, or when
 *                    the disk fails, the answer is FLUSH_DISK_TIMEOUT (10)
 *      SYNC_MASTER   until `replicated` has; after slaveTimeout, or when this broker becomes a
 *                    slave, it is FLUSH_SLAVE_TIMEOUT (12)
 *
 * If both fail the answer is that of the slaves.  A message without enough slaves in sync
 * when it is stored does not wait for them: SLAVE_NOT_AVAILABLE (11).  All of these
 * messages are in the log, unless a slave cut them off since, as its master's log does not have them.
 *
 * Answers wait in a list in the order of the log, so each pass over it costs only the answers
 * that are given, and one sync of the log completes all messages before it.  Two threads: one
 * syncs the log, one waits for slaves and timeouts.  The intake thread never waits.
 */
#ifndef MQFS_REMOTING_WAITS_H
#define MQFS_REMOTING_WAITS_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct waits;

/* `broker` and `ring` must exist until waits_close(), which drops waiting answers without
 * sending them. */
int waits_open(const struct remoting_broker *broker, struct ring_server *ring, struct waits **ret);
void waits_close(struct waits *w);	/* accepts NULL */

/* Give `answer` when disk and slaves, as the settings say, have the log up to `end`, where the
 * stored messages end.  Called in the order of the log, by one thread. */
void waits_add(struct waits *w, const struct ring_completion *answer, mq_pos end);

#endif
