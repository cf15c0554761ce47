/* moved.h - a puller's offset was outside its queue, and was corrected: an event for operators.
 *
 * The event is a message in queue 0 of OFFSET_MOVED_EVENT, as RocketMQ's broker writes it: tag and
 * key are the group, the body is JSON of consumerGroup, messageQueue, offsetRequest and offsetNew.
 * Any client that may pull can cause events, so there are at most MOVED_PER_SECOND.
 */
#ifndef MQFS_REMOTING_MOVED_H
#define MQFS_REMOTING_MOVED_H

#include "remoting/broker.h"
#include "remoting/pull.h"

#define MOVED_PER_SECOND 16

/* Of one thread. */
struct moved {
	int64_t second;
	int n;			/* in that second */
};

/* Store the event that the pull is answered with `next` instead.  If it cannot be stored, a log
 * line says so. */
void moved_note(struct moved *m, const struct remoting_broker *b, const struct pull *p, int64_t next);

#endif
