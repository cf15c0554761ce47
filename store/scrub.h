/* scrub.h - sealed segments get a sum, and are compared with it from time to time.
 *
 *     sealed ──> summed ──> checked each scrubInterval ──┬─> fine
 *                (memory)   (the disk, not memory)       └─> bad: logged, and healed with bytes
 *                                                            from memory or from the healer
 *
 * One thread does this, at the lowest priority for CPU and disk; it reads at most scrubRate bytes a
 * second (0: none).  The time of a segment's last good check is kept with its sum (sums.h), so
 * the next mount goes on from there.
 *
 * Any thread may call anything here.
 */
#ifndef MQFS_STORE_SCRUB_H
#define MQFS_STORE_SCRUB_H

#include "store/heal.h"

struct store;

/* Not for a read-only store.  scrub_stop() is called before the store is closed or the healer
 * is freed, and does nothing if the scrub was not started. */
int scrub_start(struct store *s);
void scrub_stop(struct store *s);

/* The healer, which is borrowed: another source of good bytes than memory. */
void scrub_set_healer(struct store *s, const struct healer *healer);

/* Check everything now.  -EINVAL, noted, where scrubRate is 0; -EROFS. */
int scrub_now(struct store *s);

/* The log was cut at `end`: segments from there on have other bytes. */
void scrub_log_was_cut(struct store *s, mq_pos end);

struct scrub_stats {
	int64_t sealed;			/* sealed segments */
	int64_t due;			/* segments to be checked now */
	int64_t checking;		/* position of the segment that is being read, -1: none */
	int64_t at;			/* bytes of it that were read */
	int64_t oldest_ms;		/* all segments were checked since then; 0: some never were */
	int64_t passes, pass_ms;	/* passes that ended since the mount, and when the last one did */
	int64_t read_bytes;
	int64_t bad_ranges, bad_bytes, bad_messages;
	int64_t healed_ranges, healed_bytes;
	bool running;			/* scrubRate is not 0 */
};

void scrub_stats(struct store *s, struct scrub_stats *ret);

struct scrub_bad {
	mq_pos pos;
	int64_t bytes, messages;
	char why[64];
	char names[160];		/* of the first messages, "T/q0@17" */
	char trouble[160];		/* why it could not be healed, "" before it was tried */
};

/* The bad ranges that are known now, at most max; returns how many. */
size_t scrub_bad(struct store *s, struct scrub_bad *list, size_t max);

#endif
