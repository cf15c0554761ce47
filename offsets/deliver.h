/* deliver.h - messages whose time has come, to their topics.
 *
 *     SCHEDULE_TOPIC_XXXX, MQFS_DELAY ──> what is due (store/delays.h) ──> the message's own topic
 *
 * A thread of the mount delivers while this broker is a master: at the time, in batches of
 * bounded size, several queues in one append.  What has been delivered is told by the
 * delivered records, so a crash, or another master, goes on exactly there.
 *
 * If its topic was removed, that is made again, since the message was accepted.  A message that
 * cannot be delivered (its record is damaged, or names no topic) is passed over, with a line in
 * the log.  Timed messages that have waited for half of fileReservedTime are moved to
 * the end of the log, so that retention does not take them.
 */
#ifndef MQFS_OFFSETS_DELIVER_H
#define MQFS_OFFSETS_DELIVER_H

struct message;
struct offsets;
struct queue;
struct topic;

/* Find the topic and queue of m, a message that was accepted before: a topic that was removed is made
 * again, and a queue number that it no longer has becomes another one.  -EINVAL, noted: it is no
 * topic of users. */
int deliver_target(struct offsets *o, struct message *m, struct topic **ret_t, struct queue **ret_q);

int deliver_start(struct offsets *o);
void deliver_stop(struct offsets *o);	/* accepts one that was not started */

#endif
