/* scan.h - where records are in the log: one rule for all who read it.
 *
 *     open log (dispatch.c: recovery, slaves) ──┐
 *     files alone (logscan.c: fsck, mqdump)   ──┴──> scan: a record, or what is wrong; the next one
 *
 * Every record is checked for its length, magic, place, body's CRC and topic, and that it lies
 * in its segment as the format has it: a blank fills the segment, a message leaves room for
 * one.  The CRC says nothing of what comes behind the body: a record whose end never reached
 * the disk has zeros there.
 *
 * One thread at a time.
 */
#ifndef MQFS_STORE_SCAN_H
#define MQFS_STORE_SCAN_H

#include "store/record.h"

/* Where bytes come from. */
struct scan_source {
	/* How many bytes there are from pos on, in its segment; 0: none. */
	int64_t (*has)(void *arg, mq_pos pos);

	/* Up to len of them.  -EIO, or *ret_n 0: they cannot be read; MQ_EGONE, -errno. */
	int (*read)(void *arg, mq_pos pos, void *buf, size_t len, size_t *ret_n);

	/* The next stretch from pos on, in one segment, that may hold anything but zeros. */
	bool (*next_data)(void *arg, mq_pos pos, mq_pos *ret_begin, mq_pos *ret_end);

	/* Before it is asked for data from pos on: zeros of blocks that were never written
	 * must not look like data because they were read. */
	int (*forget_zeros)(void *arg, mq_pos pos);

	/* Does a blank record of that length fill its segment, of which the size is not known? */
	bool (*fills)(void *arg, mq_pos pos, int32_t total);
};

/* Bytes of the log's end that are in memory. */
struct scan_known {
	mq_pos pos;
	const unsigned char *bytes;
	size_t len;
};

/* Zero but for the first members at the beginning; scan_free() at the end. */
struct scan {
	const struct scan_source *source;
	void *arg;
	int64_t segment_bytes;			/* 0: not known */
	const struct scan_known *known;		/* NULL: nothing */

	const char *why;	/* the last record was none: what is wrong with it */
	unsigned char *buf;	/* holds bytes [base, base + len) of the log */
	size_t size, len;
	mq_pos base;
};

void scan_free(struct scan *sc);

/* What was read is asked for again. */
void scan_forget(struct scan *sc);

/* The record at pos.  *ret_rec is valid until the next call.
 *
 * MQ_OK         it is whole
 * MQ_EBLANK     it is blank; ret_rec->total is its length
 * MQ_EEND       there are not so many bytes; sc->why
 * MQ_ECORRUPT   it is none; sc->why.  *ret_readable (may be NULL): it has all its fields
 * MQ_EGONE, -errno
 */
int scan_record(struct scan *sc, mq_pos pos, struct record *ret_rec, bool *ret_readable);

/* rec, which has just been read, is the first record of a step (record_is_continued()): is
 * the whole step there?  MQ_OK with where it ends, and rec read again; MQ_EEND, MQ_ECORRUPT. */
int scan_step(struct scan *sc, struct record *rec, mq_pos *ret_end);

/* No whole record begins at `bad`: where does the next one?  MQ_EEND: there is none. */
int scan_next(struct scan *sc, mq_pos bad, mq_pos *ret_pos);

#endif
