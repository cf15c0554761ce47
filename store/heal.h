/* heal.h - bad bytes of a sealed segment are replaced by good ones.
 *
 *   fetched ──> verified ──> bad ones kept ──> written in place ──> synced ──> healed()
 *   whole        each record,   lost+found      readers, snapshots   a crash before
 *   records      and the sum                    and links see them   it leaves damage,
 *   only         of the segment                                      found again
 *
 * Nothing is written before all of it is verified.  It is written in place, because a
 * snapshot that links the segment has lost the same bytes, and its MANIFEST has the
 * sum of the good ones.  But if the bytes were bad before the segment had a sum (in a store of
 * RocketMQ, mounted for the first time), a snapshot that was taken before the scrub checked the
 * segment has the sum of the bad bytes, and keeps it: take another snapshot.
 */
#ifndef MQFS_STORE_HEAL_H
#define MQFS_STORE_HEAL_H

#include "store/sealed.h"

#define HEAL_BYTES (8 << 20)	/* room for one answer: a longer record comes in pieces */
#define HEAL_WANTED (1 << 20)	/* where records are shorter, it is about so much */

/* From where good bytes come. */
struct healer {
	const char *from;	/* "the master" */

	/* Could fetch() succeed now?  Once it says so, segments that were not tried yet are
	 * healed at once. */
	bool (*ready)(void *arg);

	/* Whole records, as many as there are, from `pos` on, where one begins; if that record
	 * has no room in buf, its bytes from `at` on.  `at` is behind pos only within such a
	 * record.  MQ_OK with *ret_n > 0, else why not (noted).  Any thread but the link's. */
	int (*fetch)(void *arg, mq_pos pos, mq_pos at, void *buf, size_t size, size_t *ret_n);

	/* The segment at `base` has other bytes now than readers may have cached. */
	void (*healed)(void *arg, mq_pos base);
	void *arg;
};

/* Write good bytes over all of d.  `was`: the sum that the whole segment must have
 * then, NULL where there is none.  MQ_ECORRUPT: what was fetched is not good. */
int heal_segment(struct store *s, mq_pos base, const struct damage *d, const struct sum *was,
		 const struct healer *from, const struct pace *pace);

/* The fetch() of a store (struct store): verified whole records, about HEAL_WANTED bytes of them.
 * A piece of a long one is verified by the broker that puts it together.  MQ_ECORRUPT: no valid
 * record begins at pos, or `at` is not in it; MQ_EEND, MQ_EGONE, -errno. */
int heal_serve(void *store, mq_pos pos, mq_pos at, void *buf, size_t size, size_t *ret_n);

/* Of n bytes that lie at pos: how many are whole records, one behind the other.
 * segment_bytes: blanks must end where segments do. */
size_t heal_whole_records(const void *buf, size_t n, mq_pos pos, int64_t segment_bytes);

#endif
