/* workers.h - the threads that take requests from the kernel.
 *
 * One worker per CPU, pinned to it: a request is then served where its caller runs,
 * which is far cheaper than waking another CPU.  A handler does not block; one that has
 * to wait for another request, or for something that takes long, calls workers_wait_begin(),
 * and when all workers wait a substitute thread serves.  A read of the store that is not in
 * the page cache does so by itself.  While short writes wait for slaves, one worker takes
 * all of them, and the others rest.
 */
#ifndef MQFS_FS_WORKERS_H
#define MQFS_FS_WORKERS_H

#include "fs/mount.h"


/* Start them for m->session.  The first worker that sees the session's end writes to ended_fd,
 * an eventfd.  m->workers is set. */
int workers_start(struct mount *m, int ended_fd);

/* The session has ended: wait until all workers have, and free m->workers. */
void workers_end(struct mount *m);

/* This worker begins to wait; and has ended its wait.  In pairs. */
void workers_wait_begin(struct mount *m);
void workers_wait_end(struct mount *m);

/* Of the requests that the kernel had sent when workers_taken() returned `taken` to the thread that serves one of them,
 * may a RELEASE not be served yet?  The kernel sends it before close(2) returns, but the thread that has taken it may
 * get no CPU for a while.  Takes some microseconds. */
uint64_t workers_taken(const struct mount *m);
bool workers_release_is_under_way(const struct mount *m, uint64_t taken);

#endif
