/* sealed.h - a sealed segment: its bytes on the disk, held against its sum.
 *
 * Where its sum is wrong, or its records have never been looked at, they are gone
 * through, and what is not as it should be becomes a range:
 *
 *   no record begins here          up to the next whole one, or to the segment's end
 *   the CRC of a piece is wrong,   all records that reach into it: what has changed is
 *   and all records seem whole     a header, properties, or what lies behind a blank
 *
 * Ranges begin and end where records do.
 */
#ifndef MQFS_STORE_SEALED_H
#define MQFS_STORE_SEALED_H

#include "store/sums.h"

struct store;

/* spend() is told of all bytes that are read, before the next are: a slow reader waits in it.
 * Not MQ_OK: reading ends with that. */
struct pace {
	int (*spend)(void *arg, int64_t bytes);
	void *arg;
};

#define DAMAGE_RANGES_MAX 64

struct damage_range {
	mq_pos pos;
	int64_t bytes;
	const char *why;
};

struct damage {
	struct damage_range ranges[DAMAGE_RANGES_MAX];	/* the last one takes what is too many */
	size_t n;
	bool missing;			/* there is no file: the range is all of it */
};

/* What the segment at `base` hashes to now.  memory_first: what is in memory counts,
 * as it was just written.  -ENOENT: there is no file. */
int sealed_sum(struct store *s, mq_pos base, bool memory_first, const struct pace *pace, struct sum *ret);

/* What is wrong with it.  `was` and `is` are its sums, both NULL where there was
 * none before.  `wide`: all that reaches into a piece whose CRC is wrong. */
int sealed_damage(struct store *s, mq_pos base, const struct sum *was, const struct sum *is, bool wide,
		  const struct pace *pace, struct damage *ret);

/* The messages in a range: how many, and the first few as "T/q0@17..19, ..."  Their
 * readers check them again from here on. */
int64_t sealed_messages(struct store *s, const struct damage_range *range, char *text, size_t size);

/* How many records of a range, which is good again, are not in their queues: those were
 * made while it was bad. */
int64_t sealed_unlisted(struct store *s, const struct damage_range *range);

#endif
