/* heal.h - bad bytes of a sealed segment become good again.
 *
 *   fetched ──> verified ──> bad ones kept ──> written in place ──> synced ──> told
 *   whole        each record,   lost+found      where readers,      a crash before
 *   records      and the sum                    snapshots and       it leaves damage,
 *   only         of all of it                   links see them      found again
 *
 * Nothing is written before all of it is known to be good.  In place, because a
 * snapshot that holds the segment has lost the same bytes, and its MANIFEST has the
 * sum of the good ones.  But where the bytes were bad before the segment ever had a sum
 * (a store of RocketMQ, mounted for the first time), a snapshot that was taken before the
 * scrub came by has the sum of the bad ones, and keeps it: take another one.
 */
#ifndef MQFS_STORE_HEAL_H
#define MQFS_STORE_HEAL_H

#include "store/sealed.h"

#define HEAL_BYTES (8 << 20)	/* room for one answer: a longer record comes in pieces */
#define HEAL_WANTED (1 << 20)	/* where records are shorter, it is about so much */

/* From where good bytes come. */
struct healer {
	const char *from;	/* "the master" */

	/* Is it worth a try, now?  When it is for the first time since something was found
	 * bad, it is tried at once. */
	bool (*ready)(void *arg);

	/* Whole records, as many as are to be had, from `pos` on, where one begins; if that
	 * one has no room in buf, its bytes from `at` on.  `at` is beyond pos only within
	 * such a record.  MQ_OK with *ret_n > 0, else why not (noted).  Any thread but the
	 * link's. */
	int (*fetch)(void *arg, mq_pos pos, mq_pos at, void *buf, size_t size, size_t *ret_n);

	/* The segment at `base` has other bytes than readers may remember. */
	void (*healed)(void *arg, mq_pos base);
	void *arg;
};

/* Write good bytes over all of d.  `was`: the sum that the whole segment must have
 * then, NULL where there is none.  MQ_ECORRUPT: what was fetched is not good. */
int heal_segment(struct store *s, mq_pos base, const struct damage *d, const struct sum *was,
		 const struct healer *from, const struct pace *pace);

/* Our own bytes for somebody else's healing, as fetch() is to have them: whole records
 * that we have verified, about HEAL_WANTED of them; a piece of a long one is verified by the
 * broker that puts it together.  MQ_ECORRUPT: none begins at pos, or not a good one, or `at` is
 * not in it; MQ_EEND, MQ_EGONE, -errno. */
int heal_serve(struct store *s, mq_pos pos, mq_pos at, void *buf, size_t size, size_t *ret_n);

/* Of n bytes that lie at pos: how many are whole records, one behind the other.
 * segment_bytes: blanks must end where segments do. */
size_t heal_whole_records(const void *buf, size_t n, mq_pos pos, int64_t segment_bytes);

#endif
