/* pull.h - the records with which a client's pull is answered.
 *
 * RocketMQ's rules (reference, PULL_MESSAGE), in this order:
 *
 *      the broker  brokerPermission does not allow reads: 16
 *      the group   unknown: made, if groups are made automatically; else 26; may not consume: 16
 *      the topic   unknown: 17; may not be read: 16; has no such queue: 1
 *      the model   BROADCASTING, which consumeBroadcastEnable of the group does not allow: 16
 *      the queue   consumed by a file of the mount: 2, which clients try again
 *      the filter  tags joined by `||`, "" or `*` for all; SQL92 where enablePropertyFilter
 *                  allows it, else 1; one that cannot be parsed: 23
 *
 *      offset               status                   next     code
 *      of an empty queue    NO_MESSAGE_IN_QUEUE      0 *      19 for offset 0, else 21
 *      below the first      OFFSET_TOO_SMALL         min *    21
 *      the end              OFFSET_OVERFLOW_ONE      offset   19
 *      beyond it            OFFSET_OVERFLOW_BADLY    max *    21
 *      within               FOUND                    behind the last entry read  0
 *                           NO_MATCHED_MESSAGE       〃                          20
 *                           MESSAGE_WAS_REMOVING     〃                          20
 *
 *      * a slave answers with the offset that was asked for, and 20 instead of 21, unless
 *        offsetCheckInSlave
 *
 * At most 800 entries are read (20 times max_messages, if that is more bytes), and the answer
 * has at most as many messages and bytes as the limits for memory and for the disk allow, but
 * always the first message.  A record is selected by its entry: the record itself is read only
 * for SQL92.
 */
#ifndef MQFS_REMOTING_PULL_H
#define MQFS_REMOTING_PULL_H

#include "remoting/broker.h"
#include "remoting/ring.h"

struct pull {
	const char *group, *topic;
	int32_t queue_id;
	int64_t offset;
	int32_t max_messages;
	bool commits;
	int64_t commit_offset;
	const char *filter;
	bool sql;
	bool member;			/* see RING_FLAG_MEMBER */
	bool broadcast;			/* see RING_FLAG_BROADCAST */
	bool now;			/* on a thread that may not wait */
	struct ring_ahead *ahead;	/* look ahead, with `now`; NULL: do not */
};

/* Fill *c, whose kind, slot and tag are set; pieces: RING_PIECES of them, of which those of p->ahead follow
 * the answer's.  Any thread.
 *
 * MQ_OK    it is filled
 * -EAGAIN  with p->now: the answer needs the disk, or something that only a thread that may wait
 *          does (SQL92, making a group, noting that an offset was wrong).  *c is to be set anew */
int pull_answer(const struct remoting_broker *b, const struct pull *p, struct ring_piece *pieces,
		 struct ring_completion *c);

/* Commit: the group has consumed that queue up to `to`.  A group without a subscription of the
 * topic gets one, which begins with the first message of every other queue. */
int pull_commit(const struct remoting_broker *b, const char *group, const char *topic, int32_t queue_id, mq_qoff to);

#endif
