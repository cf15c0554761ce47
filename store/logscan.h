/* logscan.h - a commit log read from its files alone: by mqdump and fsck.mqfs.
 *
 * What is read is a store, a directory of segments, one segment, or a piece that
 * recovery has saved in lost+found.  Nothing is written, no lock is taken, no view
 * is needed: a store in use can be read too, up to where its log ends when the
 * reader comes there.
 *
 *      record  record  damage  record  blank │ missing │ record  record  torn
 *     └───────────────────────────────────────────────────────────────────────┘
 *      logscan_next() gives one piece after the other, without a gap
 *
 * What a record is, and where the next one begins behind damage, is said by scan.h, as for a
 * mount.  One thread at a time.
 */
#ifndef MQFS_STORE_LOGSCAN_H
#define MQFS_STORE_LOGSCAN_H

#include "store/record.h"

enum log_piece_kind {
	PIECE_RECORD,
	PIECE_BLANK,
	PIECE_DAMAGE,		/* no record begins here; behind it one does */
	PIECE_MISSING,		/* there is no file for this part */
	PIECE_TORN,		/* no record begins here, nor behind it: recovery cuts it */
};

struct log_piece {
	enum log_piece_kind kind;
	mq_pos pos;
	int64_t bytes;
	const char *why;	/* damage, torn: what is wrong with it */
	bool readable;		/* rec is there: a record, or a damaged one that has all its fields */
	struct record rec;	/* valid until the next call */
};

/* One file, in order of their names. */
struct log_file {
	char name[48];
	mq_pos base;
	int64_t bytes;		/* its length */
};

struct logscan;

/* -errno, noted: nothing there, or nothing that could be a log. */
int logscan_open(const char *path, struct logscan **ret);

/* One file of a directory.  With the size of its segment, of which it is all, it is
 * read from the disk and not from memory (direct.h); 0: as any other file. */
int logscan_open_file(int dirfd, const char *name, int64_t segment_bytes, struct logscan **ret);
void logscan_close(struct logscan *ls);		/* accepts NULL */

/* The position in the name of a piece in lost+found, commitlog-POSITION[.N]; -1: it is another name. */
int64_t logscan_lost_base(const char *name);

/* Its files, and the size that segments have (0: one file alone does not say, it
 * may be cut). */
const struct log_file *logscan_files(const struct logscan *ls, size_t *ret_n);
int64_t logscan_segment_bytes(const struct logscan *ls);

mq_pos logscan_begin(const struct logscan *ls);

/* The log was promised to be on the disk only up to `pos` (durable.h): behind that it
 * ends where no record begins, whatever follows.  Unless said: all of it was. */
void logscan_set_promised(struct logscan *ls, mq_pos pos);

/* Go on with the piece that begins at `pos`; in the middle of a record, with the
 * next one; in the middle of damage, with that. */
int logscan_seek(struct logscan *ls, mq_pos pos);

/* MQ_OK with a piece; MQ_EEND where the log ends; -errno when a file cannot be read. */
int logscan_next(struct logscan *ls, struct log_piece *ret);

/* The record at `pos`; MQ_ECORRUPT, MQ_EBLANK: none begins there.  What logscan_next() gives
 * next is as before; rec is valid until then. */
int logscan_record(struct logscan *ls, mq_pos pos, struct record *ret_rec);

/* Where the next piece begins: at the end, the end of the log. */
mq_pos logscan_at(const struct logscan *ls);

#endif
