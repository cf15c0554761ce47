/* intake.h - what clients send becomes records of the log.
 *
 *      ring ──> intake thread ──┬─ SEND, BATCH: a batch for each queue ──> store_append ──> waits.h
 *                               └─ PULL, COMMIT, WATCH, END ──> reads.h
 *
 * The thread takes all that has come, of all connections, and appends it with one step for
 * each queue.  It never waits for a disk or for slaves.  Bytes of one client that are not
 * right cost nobody else anything: they are answered with RocketMQ's code.
 *
 * What RocketMQ's broker does with a message on its way (reference, SEND_MESSAGE):
 *
 *      topic        unknown: made after `template` if that may be inherited from, or as a
 *                   retry topic; else 17
 *      queue        below 0: any; not the topic's: 1
 *      %RETRY%g     consumed as often as it may be: goes to %DLQ%g
 *      properties   without WAIT, and with CLUSTER; in a batch: the item's, then those of all
 *      DELAY        a level: waits in a queue of SCHEDULE_TOPIC_XXXX (store/delays.h); the
 *                   answer has the queue that was asked for, and the offset there
 *      TRAN_MSG     true: is a half, and waits for its producer's word (offsets/transactions.h); the
 *                   answer has the queue that was asked for, and the half's number and id
 *      WAIT=false   does not wait for a disk or for slaves
 */
#ifndef MQFS_REMOTING_INTAKE_H
#define MQFS_REMOTING_INTAKE_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct intake;

/* `broker` and `ring` stay the caller's until intake_close().  lied() is called, once, by the
 * intake thread, when mqremoted has submitted what it cannot have: err_text(MQ_ECORRUPT) says
 * what.  Nothing is taken after that. */
int intake_open(const struct remoting_broker *broker, struct ring_server *ring, void (*lied)(void *arg), void *arg,
		struct intake **ret);

/* What has been taken is stored; what waits has no answer. */
void intake_close(struct intake *in);	/* accepts NULL */

struct intake_stats {
	int64_t messages, bytes;	/* stored */
	int64_t turns;			/* so often was something appended */
};

void intake_stats(const struct intake *in, struct intake_stats *ret);

#endif
