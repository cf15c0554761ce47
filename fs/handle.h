/* handle.h - open files.
 *
 * fi->fh of an open file or directory is its handle's number.  The kernel keeps
 * it alive: RELEASE comes after every other request on it was answered.  Whoever
 * uses a handle beyond its answer (a handler after its reply, a parked
 * request) holds a reference; the node class's release runs when the last one
 * is gone.  A forced unmount sends no RELEASE: the table knows all handles,
 * and the end of the session releases what is left.
 *
 *     63          20 19      0       place: in the table, free again after release
 *    ┌──────────────┬─────────┐    serial: never the same again, so a number that is
 *    │ serial (44)  │ place   │    known no more finds nothing
 *    └──────────────┴─────────┘
 *
 * Under a supervisor the numbers of a dead broker go on (handles_inherit()).
 */
#ifndef MQFS_FS_HANDLE_H
#define MQFS_FS_HANDLE_H

#include <fcntl.h>
#include <stdatomic.h>

#include "conf/lock.h"
#include "fs/estate.h"
#include "fs/kernel.h"
#include "fs/node.h"

struct handle {
	struct lock lock;	/* one request at a time changes this open file */
	struct node node;
	int flags;		/* of open(2) */
	_Atomic bool nonblock;	/* O_NONBLOCK, which fcntl(2) may change: as the newest READ says */
	uid_t uid;
	gid_t gid;
	pid_t pid;		/* who opened it */
	fuse_req_t opening;	/* the open that is being served; NULL: it was answered */
	uint32_t fopen;		/* FOPEN_*: what open answers; preset FOPEN_DIRECT_IO */
	int32_t backing_id;	/* with FOPEN_PASSTHROUGH */
	struct text text;	/* of text files: what a reader gets */
	struct text written;	/* of text files: what a writer gave */
	bool dirty;		/* of text files: written was not accepted yet */
	void *own;		/* the node class's */
	bool opened;		/* the class's open has worked: its release is owed */
	bool inherited;		/* opened by a broker before this one, */
	bool closed_before;	/* and closed while that one served */
	int broken;		/* what every request on it answers: it could not be inherited */
	struct estate_file *kept; /* what of it outlives us; NULL: nothing */

	/* handle.c's */
	uint64_t number;
	_Atomic int refs;
	struct handle *next, *prev;
};

int handles_open(struct mount *m, struct handles **ret);
void handles_close(struct mount *m);	/* releases what is left; accepts a mount without */

/* A new handle with one reference, the kernel's once open was answered.  -ENFILE
 * when there are as many as there can be. */
int handle_make(struct mount *m, const struct node *n, int flags, const struct fuse_ctx *who,
		struct handle **ret);
void handle_ref(struct handle *h);

/* The handle of a number; NULL: none has it. */
struct handle *handle_find(struct mount *m, uint64_t number);

/* While it is being opened: h is an open file of n. */
void handle_is_of(struct mount *m, struct handle *h, const struct node *n);

void handle_unref(struct mount *m, struct handle *h);

/* What close(2) does, short of release. */
int handle_flush(struct mount *m, struct handle *h);

/* --- what outlives us -------------------------------------------------------- */

/* h is open: from here on it is inherited if we die, answered or not; and: the
 * kernel knows it now. */
void handle_keep(struct handle *h);
void handle_is_known(struct handle *h);

/* The kernel knows h no more: what is left to do at close is done now or, if we die,
 * by who inherits it. */
void handle_is_released(struct handle *h);

/* What a dead broker opened for this very request and did not come to answer. */
struct handle *handle_of_open(struct mount *m, uint64_t unique);

/* Before anything is served: make the handles of what m->estate holds. */
int handles_inherit(struct mount *m);

/* A directory was removed: whoever inherits what was open below it shall know. */
void handles_note_stale(struct mount *m);

static inline bool
handle_writes(const struct handle *h)
{
	return (h->flags & O_ACCMODE) != O_RDONLY;
}

/* Does a change through h wait for the disk?  `flags` are the request's: O_DSYNC
 * may come with one write alone (RWF_DSYNC). */
static inline bool
handle_is_durable(const struct mount *m, int flags)
{
	return (flags & (O_SYNC | O_DSYNC)) || m->settings->flushDiskType == SYNC_FLUSH;
}

static inline bool
handle_reads(const struct handle *h)
{
	return (h->flags & O_ACCMODE) != O_WRONLY;
}

int64_t handles_count(struct handles *hs);

#endif
