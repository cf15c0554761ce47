/* scan.h - where records are in the log: one rule for every reader.
 *
 *     open log (dispatch.c: recovery, slaves) ──┐
 *     files alone (logscan.c: fsck, mqdump)   ──┴──> scan: a record, or what is wrong; the next one
 *
 * Every record is checked: length, magic number, position, CRC of the body, topic, and its place in
 * the segment (a blank fills the segment, a message leaves room for a blank).  The CRC does not cover
 * the bytes behind the body: a record whose end never reached the disk has zeros there.
 *
 * One thread at a time.
 */
#ifndef MQFS_STORE_SCAN_H
#define MQFS_STORE_SCAN_H

#include "store/record.h"

/* Where bytes come from. */
struct scan_source {
	/* How many bytes there are from pos on in its segment; 0: none. */
	int64_t (*has)(void *arg, mq_pos pos);

	/* Read up to len of them.  -EIO, or *ret_n 0: they cannot be read; MQ_EGONE, -errno. */
	int (*read)(void *arg, mq_pos pos, void *buf, size_t len, size_t *ret_n);

	/* The next range from pos on, in one segment, that may hold bytes other than zero. */
	bool (*next_data)(void *arg, mq_pos pos, mq_pos *ret_begin, mq_pos *ret_end);

	/* Called before next_data(): blocks that were never written must not look like data because
	 * their zeros were read into memory. */
	int (*forget_zeros)(void *arg, mq_pos pos);

	/* Does a blank record of that length fill its segment?  Called if the size is not known. */
	bool (*fills)(void *arg, mq_pos pos, int32_t total);
};

/* Bytes of the log's end that are in memory. */
struct scan_known {
	mq_pos pos;
	const unsigned char *bytes;
	size_t len;
};

/* Set the members of the first block and zero the others; scan_free() at the end. */
struct scan {
	const struct scan_source *source;
	void *arg;
	int64_t segment_bytes;			/* 0: not known */
	const struct scan_known *known;		/* NULL: nothing */

	const char *why;	/* what is wrong with the last record that was read */
	unsigned char *buf;	/* holds bytes [base, base + len) of the log */
	size_t size, len;
	mq_pos base;
};

void scan_free(struct scan *sc);

/* Forget the bytes that were read. */
void scan_forget(struct scan *sc);

/* The record at pos.  *ret_rec is valid until the next call.
 *
 * MQ_OK         it is whole
 * MQ_EBLANK     it is blank; ret_rec->total is its length
 * MQ_EEND       there are too few bytes; sc->why
 * MQ_ECORRUPT   there is no valid record; sc->why.  *ret_readable (may be NULL): it has all its fields
 * MQ_EGONE, -errno
 */
int scan_record(struct scan *sc, mq_pos pos, struct record *ret_rec, bool *ret_readable);

/* rec, which has just been read, is the first record of a step (record_is_continued()).  Is the
 * whole step there?  MQ_OK: *ret_end is its end, and rec was read again; MQ_EEND, MQ_ECORRUPT: no. */
int scan_step(struct scan *sc, struct record *rec, mq_pos *ret_end);

/* No valid record begins at `bad`: find the next one.  MQ_EEND: there is none. */
int scan_next(struct scan *sc, mq_pos bad, mq_pos *ret_pos);

#endif
