/* retention.h - old segments are removed: by age, or because the disk is full.
 *
 *   a segment is removed when                        and
 *   it was last written fileReservedTime ago         the hour is one of deleteWhen, or the disk is
 *                                                    fuller than diskMaxUsedSpaceRatio
 *   all messages in it that readers can still        the disk is fuller than diskSpaceCleanForciblyRatio,
 *   see belong to topics with onFull=drop            and cleanFileForciblyEnable is set; no more
 *                                                    segments than needed
 *
 * So a message of a topic with onFull=block (the default) is never removed before its
 * time; it also keeps the segments behind its own, whatever topics they hold.  While the
 * disk is fuller than diskSpaceWarningLevelRatio, appends to all topics are refused.
 *
 * Age is measured by the time that wallclock.h believes: a clock that has just jumped
 * removes nothing.
 *
 * The oldest segment is removed first, at most ten in a round, never the last, nor one
 * that a replay would need.  A round is made every cleanResourceInterval, and without
 * delay while the disk is too full.  How full it is: used / (used + available to users),
 * rounded up to whole percents, as RocketMQ computes it.
 *
 *     1 heads      every queue's head moves to its first message behind the segments
 *     2 begin      for each segment, the log's begin moves behind it, and its file is removed
 *     3 index      files of the key index that end before the begin are removed
 *     4 later      when a checkpoint has the new heads on disk, the queues' files
 *                  below them are removed (store_checkpointed)
 *
 * While a snapshot is being made (store_moment()) no round goes from 1 to 2; one that is in 2
 * goes on.  So no queue in the snapshot's tables begins before the segments that it links, and the
 * segment in which its log ends is there to be linked.
 *
 * A crash after 1 has changed nothing on disk; after a part of 2 the log begins later than
 * the checkpoint says, so store_open() does 1 once more, as it does when RocketMQ or
 * a person has removed segments.  Files that 3 and 4 have left are removed later.
 */
#ifndef MQFS_STORE_RETENTION_H
#define MQFS_STORE_RETENTION_H

#include <stdbool.h>

#include "conf/pos.h"

struct store;

/* The thread: arg is the store, until its mark `closing` is closed. */
void *retention_main(void *arg);

/* Measure how full the disk is, and refuse appends, or accept them again. */
void retention_look_at_disk(struct store *s);

/* Make one round now; `asked`: remove expired segments whatever the hour is.  A segment that could not
 * be removed is tried again by the next round. */
int retention_round(struct store *s, bool asked);

/* Step 1, for a log that begins at `begin`. */
int retention_move_heads(struct store *s, mq_pos begin);

#endif
