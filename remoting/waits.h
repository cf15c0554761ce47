/* waits.h - messages that are stored, and whose answer waits for a disk or for slaves.
 *
 *      SYNC_FLUSH    until `flushed` has passed the message; after syncFlushTimeout, or when
 *                    the disk fails, the answer is FLUSH_DISK_TIMEOUT (10)
 *      SYNC_MASTER   until `replicated` has; after slaveTimeout it is FLUSH_SLAVE_TIMEOUT (12)
 *
 * If both fail the answer is that of the slaves.  A message without enough slaves in sync
 * when it is stored does not wait for them: SLAVE_NOT_AVAILABLE (11).  All of these
 * messages are in the log.
 *
 * Answers wait in a list in the order of the log, so each look at it costs what is answered,
 * and one sync of the log answers all that came before it.  Two threads: one syncs the log,
 * one waits for slaves and for times to be up.  Whoever stores messages never waits.
 */
#ifndef MQFS_REMOTING_WAITS_H
#define MQFS_REMOTING_WAITS_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct waits;

/* `broker` and `ring` stay the caller's until waits_close(), which leaves what waits
 * without an answer. */
int waits_open(const struct remoting_broker *broker, struct ring_server *ring, struct waits **ret);
void waits_close(struct waits *w);	/* accepts NULL */

/* The messages that end at `end` of the log are stored.  `answer` is given when they are
 * where they have to be.  In the order of the log: one thread. */
void waits_add(struct waits *w, const struct ring_completion *answer, mq_pos end);

#endif
