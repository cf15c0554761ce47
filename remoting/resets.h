/* resets.h - offsets that were reset while clients of their groups were there.
 *
 * Such a client goes on for some seconds, committing what it has consumed meanwhile, and then
 * commits the offset that the reset was to, be it lower.  That one commit is the reset once more;
 * any other moves an offset forward only.
 */
#ifndef MQFS_REMOTING_RESETS_H
#define MQFS_REMOTING_RESETS_H

#include "offsets/offsets.h"

#define RESETS_MAX 1024			/* the oldest are forgotten */
#define RESETS_MS 60000

/* Starts as zeros.  One thread. */
struct resets {
	struct reset {
		uint32_t sub_id;
		int32_t queue_id;
		int64_t to;
		int64_t until_ms;	/* 0: this place is free */
	} list[RESETS_MAX];
	size_t next;
};

void resets_add(struct resets *r, const struct subscription *sub, int32_t queue_id, mq_qoff to, int64_t now_ms);

/* Is that commit one of a reset?  Then the reset is removed from the list. */
bool resets_take(struct resets *r, const struct subscription *sub, int32_t queue_id, mq_qoff to, int64_t now_ms);

#endif
