/* handle.h - open files.
 *
 * The kernel knows a handle by a number (fi->fh).  The table keeps all of
 * them: a forced unmount sends no release, so the end of the session walks it.
 * Whoever uses a handle beyond its handler (a parked request) holds a
 * reference; the node class's release runs when the kernel has closed the
 * file and the last reference is gone.
 */
#ifndef MQFS_FS_HANDLE_H
#define MQFS_FS_HANDLE_H

#include "conf/lock.h"
#include "fs/node.h"

struct handle {
	struct lock lock;	/* one request at a time changes this open file */
	struct node node;
	int flags;		/* of open(2) */
	uid_t uid;
	pid_t pid;		/* who opened it */
	struct text text;	/* of text files: what a reader gets */
	struct text written;	/* of text files: what a writer gave */
	void *own;		/* the node class's */

	/* handle.c's */
	uint64_t number;
	int refs;
};

int handles_open(struct handles **ret);
void handles_close(struct mount *m, struct handles *hs);	/* releases what is left */

/* A new handle with one reference, not yet known to the kernel. */
int handle_make(struct mount *m, const struct node *n, int flags, const struct fuse_ctx *who,
		struct handle **ret);
struct handle *handle_get(struct mount *m, uint64_t number);	/* takes a reference; NULL: no such */
void handle_ref(struct mount *m, struct handle *h);
void handle_unref(struct mount *m, struct handle *h);

int64_t handles_count(struct handles *hs);

#endif
