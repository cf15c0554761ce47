/* retention.h - old segments go: by age, or for want of space.
 *
 *   a segment goes when                              and
 *   it was last written fileReservedTime ago         the hour is one of deleteWhen, or the disk is
 *                                                    fuller than diskMaxUsedSpaceRatio
 *   nobody minds: all that readers can still see     the disk is fuller than diskSpaceCleanForciblyRatio,
 *   in it belongs to topics with onFull=drop         cleanFileForciblyEnable; no more than it takes
 *
 * So what a topic with onFull=block (the default) holds is never lost before its
 * time; it keeps the segments behind it, whosever they are, and when the disk is
 * fuller than diskSpaceWarningLevelRatio appends are refused, to all topics.
 * They are accepted again as soon as it is not.
 *
 * "Ago" is by the time that is believed: a clock that has just jumped removes nothing
 * (wallclock.h).
 *
 * The oldest segment first, at most ten a round, never the last, nor one that a
 * replay would need.  A round is made every cleanResourceInterval, and without
 * delay while the disk is too full.  "Full" is used / (used + what users may
 * have), rounded up to whole percents, as RocketMQ has it.
 *
 *     1 heads      every queue's head moves to its first message behind the segments
 *     2 begin      one by one, the log begins behind the segment, and the file goes
 *     3 index      files of the key index that end before the begin go
 *     4 later      when a checkpoint has the new heads on disk, the queues' files
 *                  below them go (store_checkpointed)
 *
 * A crash after 1 has changed nothing; after a part of 2 the log begins later than
 * the checkpoint says, so store_open() does 1 once more, as it does when RocketMQ or
 * a person has removed segments; what 3 and 4 left over goes later.
 */
#ifndef MQFS_STORE_RETENTION_H
#define MQFS_STORE_RETENTION_H

#include "conf/pos.h"

struct store;

/* The thread: arg is the store, until its mark `closing` is closed. */
void *retention_main(void *arg);

/* How full is the disk?  Appends are refused or accepted again accordingly. */
void retention_look_at_disk(struct store *s);

/* One round, now: what is due goes.  What could not go is tried again by the next. */
int retention_round(struct store *s);

/* Step 1, for a log that begins at `begin`. */
int retention_move_heads(struct store *s, mq_pos begin);

#endif
