/* handle.h - open files.
 *
 * fi->fh of an open file or directory is its handle's number.  The kernel keeps
 * it alive: RELEASE comes after every other request on it was answered.  Code that
 * uses a handle after the answer (a handler after its reply, a parked request)
 * holds a reference; the node class's release runs when the last reference is
 * dropped.  A forced unmount sends no RELEASE: the table has all handles, and the
 * end of the session releases the remaining ones.
 *
 *     63          20 19      0       place: in the table, free again after release
 *    ┌──────────────┬─────────┐    serial: never used twice, so the number of a
 *    │ serial (44)  │ place   │    released handle finds nothing
 *    └──────────────┴─────────┘
 *
 * Under a supervisor the next broker has the same numbers (handles_inherit()).
 */
#ifndef MQFS_FS_HANDLE_H
#define MQFS_FS_HANDLE_H

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/queue.h>

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
	pid_t pid;		/* of the process that opened it, as uid and gid */
	fuse_req_t opening;	/* the open that is being served; NULL: it was answered */
	uint32_t fopen;		/* FOPEN_*: what open answers; preset FOPEN_DIRECT_IO */
	int32_t backing_id;	/* with FOPEN_PASSTHROUGH */
	struct text text;	/* of text files: for readers */
	struct text written;	/* of text files: from a writer */
	bool dirty;		/* of text files: written was not accepted yet */
	struct retry *retry;	/* of command files: the last command that waits, or whose wait has failed; NULL: none */
	_Atomic uint64_t waited; /* of command files: retry_leave() */
	void *own;		/* the node class's */
	bool opened;		/* the class's open has worked: its release must be called */
	bool released;		/* the kernel has sent its RELEASE */
	bool inherited;		/* opened by a broker before this one */
	int broken;		/* every request on it gets this error: it could not be inherited */
	struct estate_file *kept; /* its slot in the estate; NULL: none */

	/* handle.c's */
	uint64_t number;
	_Atomic int refs;
	TAILQ_ENTRY(handle) entry;
};

int handles_open(struct mount *m, struct handles **ret);
void handles_close(struct mount *m);	/* releases all handles; accepts a mount without a table */

/* A new handle with one reference, the kernel's once open was answered.  -ENFILE:
 * the table is full. */
int handle_make(struct mount *m, const struct node *n, int flags, const struct fuse_ctx *who,
		struct handle **ret);
void handle_ref(struct handle *h);

/* The handle of a number; NULL: none has it. */
struct handle *handle_find(struct mount *m, uint64_t number);

/* Let h, which is being opened, be an open file of n. */
void handle_set_node(struct mount *m, struct handle *h, const struct node *n);

void handle_unref(struct mount *m, struct handle *h);

/* Serve RELEASE: drop the kernel's reference.  The reader or writer before may have its answer while the thread that
 * has sent it still holds h: then that thread does the work of the close, and RELEASE is late until then. */
void handle_release(struct mount *m, struct handle *h);
bool handles_releases_late(const struct handles *hs);	/* any; accepts NULL */

/* Serve FLUSH: the close of one descriptor. */
int handle_flush(struct mount *m, struct handle *h);

/* --- the estate --------------------------------------------------------------- */

/* h is open: if this broker dies, the next one inherits it, whether its open was answered or not. */
void handle_keep(struct handle *h);

/* The handle that a dead broker opened for this request without answering it; NULL: none. */
struct handle *handle_of_open(struct mount *m, uint64_t unique);

/* Make a handle for each open file in m->estate.  Called before any request is served. */
int handles_inherit(struct mount *m);

/* A directory was removed: note in the estate which open files below it are stale. */
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
