/* lostfound.h - what had to be taken out of a store, each piece with a note.
 *
 *   STORE/lost+found/
 *     commitlog-POSITION[.N]   bytes of the log that lay there: mqdump prints them
 *     lmdb.broken-N/           tables that could not be read
 *     NAME.txt                 beside each of them: what it is, from where to where,
 *                              why, when, how many messages are in it, and the
 *                              commands that show them and that get them back.
 *                              Commands are indented by four blanks, for the root of
 *                              the mount
 *
 * Everything is on the disk when it is said to be kept.  A line of the log says so,
 * and names the piece.  Any thread, one at a time.
 */
#ifndef MQFS_STORE_LOSTFOUND_H
#define MQFS_STORE_LOSTFOUND_H

#include <stdbool.h>

#include "conf/pos.h"

struct direct;

#define LOSTFOUND_NAME_SIZE 64

/* Bytes of the log before they are cut or written over. */
struct lost_bytes {
	int fd;			/* its bytes [from, to) */
	struct direct *disk;	/* if not NULL the same, from the disk and not from memory */
	int64_t from, to;
	mq_pos pos;		/* of the first: where it lay in the log */
	const char *why;	/* one line, a sentence */
};

/* Keep them, in a new file: the same place may be cut more than once.  The same bytes of
 * the same place are kept once: a cut that goes on after a crash keeps them again first. */
int lostfound_keep_bytes(int lostfound_fd, const struct lost_bytes *lost);

/* A whole segment, which leaves its directory. */
struct lost_segment {
	int dirfd;
	const char *name;	/* there */
	mq_pos base;
	int64_t bytes;		/* behind these are zeros, which go unless a snapshot has them, too */
	const char *why;
	bool uncounted;		/* one of very many: its note is made without reading it */
};

int lostfound_keep_segment(int lostfound_fd, const struct lost_segment *lost);

/* Pieces of the log whose keeper died before their note: they get one. */
int lostfound_complete(int lostfound_fd, const char *why);

/* A directory of the store becomes lost+found/AS-N. */
struct lost_tree {
	int dirfd;
	const char *name;	/* what it was called there */
	const char *as;
	const char *store;	/* its path: the mount does not show directories */
	const char *why;
	const char *look;	/* a command that prints such a directory */
	const char *rest;	/* what became of what was in it */
};

int lostfound_keep_tree(int lostfound_fd, const struct lost_tree *lost);

/* How many pieces there are, and the bytes of those that are files. */
struct lostfound_stats {
	int64_t pieces, bytes;
};

void lostfound_stats(int lostfound_fd, struct lostfound_stats *ret);

#endif
