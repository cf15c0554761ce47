/* sendback.h - a message that a consumer could not handle comes again, later.
 *
 *     send back ──> SCHEDULE_TOPIC_XXXX ──> %RETRY%G ──> the group's consumers ──> ...
 *          │         level 3 + times          as any other topic of the group
 *          └──────> %DLQ%G                    after retryMaxTimes
 *
 * As RocketMQ's CONSUMER_SEND_MSG_BACK: the record that comes again has the body,
 * properties and hosts of the first, RECONSUMETIMES one more, and RETRY_TOPIC and ORIGIN_MESSAGE_ID
 * that say where it was.  The two topics are made when they are needed, as the
 * group's (topic_create()); the group subscribes to its retry topic by itself.
 */
#ifndef MQFS_OFFSETS_SENDBACK_H
#define MQFS_OFFSETS_SENDBACK_H

#include "offsets/offsets.h"

enum { SEND_BACK_BY_RULE = 0, SEND_BACK_NEVER_AGAIN = -1 };

/* Message `at` of q comes again for g.  level: 1 .. is how long it waits; SEND_BACK_BY_RULE:
 * longer each time; SEND_BACK_NEVER_AGAIN: it goes to %DLQ%G now.  max_times: after so many
 * it goes there, -1: after the group's retryMaxTimes.  It does not commit anything.
 *
 * MQ_OK     it is stored (offsets_logged() is what to wait for), or the group wants no retries
 * MQ_EEND, MQ_EGONE, -EIO   there is no such message
 * -EINVAL   noted: the group's name leaves no room for the topic's, or there is no such level
 * or what store_append() said */
int send_back(struct offsets *o, struct group *g, struct queue *q, mq_qoff at, int level, int max_times);

#endif
