/* intake.h - the thread of the mount that takes clients' submissions and stores their messages.
 *
 *      ring ──> intake thread ──┬─ SEND, BATCH: a batch for each queue ──> store_append ──> waits.h
 *                               ├─ PULL of what is in memory: answered
 *                               └─ PULL, COMMIT, WATCH, END ──> reads.h
 *
 * The thread takes all submissions that have come, of all connections, and appends them in one
 * step for each queue.  It never waits for a disk or for slaves.  An invalid message has no effect
 * on those of other clients: it is answered with RocketMQ's code.
 *
 * The rules of RocketMQ's broker for a message (reference, SEND_MESSAGE):
 *
 *      topic        unknown: made with `template`, if that may be inherited from, or as a
 *                   retry topic; else 17
 *      queue        below 0: any; one that the topic does not have: 1
 *      %RETRY%g     consumed as often as allowed: goes to %DLQ%g
 *      properties   without WAIT, and with CLUSTER; in a batch: the item's, then those of all
 *      DELAY        a level: waits in a queue of SCHEDULE_TOPIC_XXXX (store/delays.h); the
 *                   answer has the queue that was asked for, and the offset there
 *      TRAN_MSG     true: is a half, and waits for END_TRANSACTION (offsets/transactions.h); the
 *                   answer has the queue that was asked for, and the half's number and id
 *      WAIT=false   does not wait for a disk or for slaves
 */
#ifndef MQFS_REMOTING_INTAKE_H
#define MQFS_REMOTING_INTAKE_H

#include "remoting/broker.h"
#include "remoting/ring_server.h"

struct intake;

/* `broker` and `ring` must exist until intake_close().  invalid() is called, once, by the intake
 * thread, when mqremoted has made an invalid submission: err_text(MQ_ECORRUPT) says which.
 * Nothing is taken after that. */
int intake_open(const struct remoting_broker *broker, struct ring_server *ring, void (*invalid)(void *arg), void *arg,
		struct intake **ret);

/* Submissions that were taken are stored; those that wait (waits.h) get no answer. */
void intake_close(struct intake *in);	/* accepts NULL */

struct intake_stats {
	int64_t messages;		/* stored */
	int64_t turns;			/* turns in which something was appended */
};

void intake_stats(const struct intake *in, struct intake_stats *ret);

#endif
