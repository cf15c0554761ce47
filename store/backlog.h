/* backlog.h - is what a reader reads next still in memory?
 *
 * RocketMQ's rule: what lies more than accessMessageInMemoryMaxRatio percent of the machine's
 * memory behind the end of the log is on the disk alone. */
#ifndef MQFS_STORE_BACKLOG_H
#define MQFS_STORE_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/pos.h"

/* How many bytes of a log are in memory. */
int64_t backlog_memory(int64_t percent);

/* `end` is the log's. */
static inline bool
backlog_is_on_disk(mq_pos pos, mq_pos end, int64_t memory)
{
	return end.byte - pos.byte > memory;
}

#endif
