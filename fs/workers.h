/* workers.h - the threads that take requests from the kernel.
 *
 * One worker per CPU, pinned to it: a request is then served where its caller runs,
 * which is far cheaper than waking another CPU.  A handler does not block; where it
 * must after all, for something that another request brings or that takes long, it
 * says so, and a stand-in serves when all workers do that.
 */
#ifndef MQFS_FS_WORKERS_H
#define MQFS_FS_WORKERS_H

#include "fs/mount.h"

struct workers;

/* Start them for m->session.  ended_fd, an eventfd, is written to by the first that sees
 * the session's end.  m->workers is set. */
int workers_start(struct mount *m, int ended_fd);

/* The session's end; all of them have ended when this returns.  Frees m->workers. */
void workers_end(struct mount *m);

/* This worker waits, from now on; and no longer.  In pairs. */
void workers_wait_begin(struct mount *m);
void workers_wait_end(struct mount *m);

#endif
