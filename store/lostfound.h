/* lostfound.h - pieces that had to be removed from a store, each with a note.
 *
 *   STORE/lost+found/
 *     commitlog-POSITION[.N]   bytes of the log that lay there: mqdump prints them
 *     lmdb.broken-N/           tables that could not be read
 *     NAME.txt                 the note: what the piece is, its positions, why and when it was
 *                              removed, how many messages it has, and the commands that show
 *                              them and that store them again (indented by four blanks, to be
 *                              run in the root of the mount)
 *
 * A piece is on the disk when a function returns MQ_OK, and a log line names it.  Any thread, one at
 * a time.
 */
#ifndef MQFS_STORE_LOSTFOUND_H
#define MQFS_STORE_LOSTFOUND_H

#include <stdbool.h>

#include "conf/pos.h"

struct direct;

#define LOSTFOUND_NAME_SIZE 64

/* Bytes of the log before they are cut or written over. */
struct lost_bytes {
	int fd;			/* bytes [from, to) of this file are kept */
	struct direct *disk;	/* not NULL: read them with this, from the disk and not from memory */
	int64_t from, to;
	mq_pos pos;		/* of the first: where it lay in the log */
	const char *why;	/* one line, a sentence */
};

/* Keep them in a new file.  If a file has the same bytes of the same position already, which a cut that
 * was killed has kept, that one is enough. */
int lostfound_keep_bytes(int lostfound_fd, const struct lost_bytes *lost);

/* A whole segment, which is moved from its directory. */
struct lost_segment {
	int dirfd;
	const char *name;	/* there */
	mq_pos base;
	int64_t bytes;		/* the zeros behind these are cut off, unless a snapshot links the file */
	const char *why;
	bool uncounted;		/* do not read it to count messages */
};

int lostfound_keep_segment(int lostfound_fd, const struct lost_segment *lost);

/* Make the missing notes of pieces, whose process was killed before it could. */
int lostfound_complete(int lostfound_fd, const char *why);

/* A directory of the store becomes lost+found/AS-N. */
struct lost_tree {
	int dirfd;
	const char *name;	/* what it was called there */
	const char *as;
	const char *store;	/* its path: the mount does not show directories */
	const char *why;
	const char *look;	/* a command that prints such a directory */
	const char *rest;	/* a sentence: what happens to its content */
};

int lostfound_keep_tree(int lostfound_fd, const struct lost_tree *lost);

/* How many pieces there are, and the bytes of those that are files. */
struct lostfound_stats {
	int64_t pieces, bytes;
};

void lostfound_stats(int lostfound_fd, struct lostfound_stats *ret);

#endif
