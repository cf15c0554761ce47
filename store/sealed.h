/* sealed.h - a sealed segment: its bytes on the disk, compared with its sum.
 *
 * If the sum is wrong, or the records were never checked, all records are read, and damage is
 * listed as ranges, which begin and end where records do:
 *
 *   no record begins here              up to the next whole record, or to the segment's end
 *   the CRC of a piece is wrong, but   all records that reach into the piece: a header, properties,
 *   every record seems whole           or bytes behind a blank have changed
 */
#ifndef MQFS_STORE_SEALED_H
#define MQFS_STORE_SEALED_H

#include "store/sums.h"

struct store;

/* spend() is called after each read with the number of bytes; it waits to limit the rate.  Another
 * result than MQ_OK ends the reading, and is returned. */
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
	struct damage_range ranges[DAMAGE_RANGES_MAX];	/* the last one grows if there are more */
	size_t n;
	bool missing;			/* there is no file; one range has all of the segment */
};

/* The sum of the segment at `base` now.  memory_first: bytes in the page cache are taken from there,
 * since they were just written.  -ENOENT: there is no file. */
int sealed_sum(struct store *s, mq_pos base, bool memory_first, const struct pace *pace, struct sum *ret);

/* Find the damage.  `was` and `is` are the segment's sums before and now; both NULL if there was none
 * before.  `wide`: list all records that reach into a piece with a wrong CRC, although other damage
 * explains it. */
int sealed_damage(struct store *s, mq_pos base, const struct sum *was, const struct sum *is, bool wide,
		  const struct pace *pace, struct damage *ret);

/* The number of messages in a range, and the first few as "T/q0@17..19, ..."  From now on readers
 * check these messages again. */
int64_t sealed_messages(struct store *s, const struct damage_range *range, char *text, size_t size);

/* How many records of a range that was healed are not in their queues, which were made while the
 * range was bad. */
int64_t sealed_unlisted(struct store *s, const struct damage_range *range);

#endif
