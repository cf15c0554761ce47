/* logscan.h - a commit log read from its files alone: by mqdump and fsck.mqfs.
 *
 * It reads a store, a directory of segments, one segment, or a piece in lost+found.  It writes
 * nothing, takes no lock and needs no view, so the store may be in use.
 *
 *      record  record  damage  record  blank │ missing │ record  record  torn
 *     └───────────────────────────────────────────────────────────────────────┘
 *      logscan_next() gives one piece after the other, without a gap
 *
 * scan.h decides what a record is, and where the next one begins behind damage, as for a mount.
 * One thread at a time.
 */
#ifndef MQFS_STORE_LOGSCAN_H
#define MQFS_STORE_LOGSCAN_H

#include "store/record.h"

enum log_piece_kind {
	PIECE_RECORD,
	PIECE_BLANK,
	PIECE_DAMAGE,		/* no record begins here, but one does behind it */
	PIECE_MISSING,		/* no file has this part */
	PIECE_TORN,		/* no record begins here or behind it: recovery cuts it */
};

struct log_piece {
	enum log_piece_kind kind;
	mq_pos pos;
	int64_t bytes;
	const char *why;	/* damage, torn: what is wrong with it */
	bool readable;		/* rec is set: a record, or a damaged one that has all its fields */
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

/* One file of a directory.  If segment_bytes is not 0 the file is a whole segment of that size, and
 * is read from the disk and not from the page cache (direct.h). */
int logscan_open_file(int dirfd, const char *name, int64_t segment_bytes, struct logscan **ret);
void logscan_close(struct logscan *ls);		/* accepts NULL */

/* The position in the name of a piece in lost+found, commitlog-POSITION[.N]; -1: it is another name. */
int64_t logscan_lost_base(const char *name);

/* The files, and the size of segments (0: not known, since one file alone may be cut short). */
const struct log_file *logscan_files(const struct logscan *ls, size_t *ret_n);
int64_t logscan_segment_bytes(const struct logscan *ls);

mq_pos logscan_begin(const struct logscan *ls);

/* The log is known to have been on the disk only up to `pos` (durable.h): behind that it ends where no
 * record begins, whatever follows.  Without this call all of it was. */
void logscan_set_promised(struct logscan *ls, mq_pos pos);

/* The next piece is the one that begins at `pos`; if pos is within a record the one behind it, if it is
 * within damage that damage. */
int logscan_seek(struct logscan *ls, mq_pos pos);

/* MQ_OK with a piece; MQ_EEND where the log ends; -errno when a file cannot be read. */
int logscan_next(struct logscan *ls, struct log_piece *ret);

/* The record at `pos`, valid until the next call; MQ_ECORRUPT, MQ_EBLANK: none begins there.  The next
 * piece stays the same. */
int logscan_record(struct logscan *ls, mq_pos pos, struct record *ret_rec);

/* Where the next piece begins: at the end, the end of the log. */
mq_pos logscan_at(const struct logscan *ls);

#endif
