/* locks.h - flock(2) and fcntl(2) locks of the mount's files.
 *
 * The kernel would keep them by its inode; a queue may have several inodes (lanes.h),
 * so locks are kept here, by the file's stable inode number.
 *
 *     lock ──> free? ──> held ──> unlock, close(2) or the end of the process ──> released
 *               │ no                                                                 │
 *               └──> refused, or WAITING (holds no worker) <── tried again ──────────┘
 *                        └── signal ──> EINTR
 *
 * The kernel names the owner: the open file for flock(2) and F_OFD_*, the process for the rest
 * of fcntl(2).  FLUSH drops the owner's fcntl locks of that file, RELEASE those taken through
 * that open file.  (Where opens answer FOPEN_NOFLUSH, as of status files, only RELEASE does.)
 *
 * Under a supervisor the held locks are in the estate: a broker's death releases none.  The
 * requests that waited are delivered again.
 *
 * Any thread.
 */
#ifndef MQFS_FS_LOCKS_H
#define MQFS_FS_LOCKS_H

#include "fs/handle.h"

struct locks;

int locks_open(struct mount *m, struct locks **ret);

/* Before the session ends: requests that wait, now or later, are answered EINTR. */
void locks_end(struct locks *ls);
void locks_close(struct locks *ls);	/* both accept NULL */

/* F_GETLK; F_SETLK, with `waits` F_SETLKW; flock(2) with its `op`.  They reply, now or
 * later.  EAGAIN: another owner has the lock; EDEADLK; ENOLCK: the table is full. */
void locks_get(struct locks *ls, fuse_req_t req, const struct handle *h, uint64_t owner, const struct flock *lock);
void locks_set(struct locks *ls, fuse_req_t req, const struct handle *h, uint64_t owner, const struct flock *lock,
	       bool waits);
void locks_flock(struct locks *ls, fuse_req_t req, const struct handle *h, uint64_t owner, int op);

/* close(2) by `owner`: release its fcntl locks of h's file. */
void locks_flush(struct locks *ls, const struct handle *h, uint64_t owner);

/* The last close of the open file `number`. */
void locks_release(struct locks *ls, uint64_t number);

#endif
