/* keeper.h - the threads that take, drop and sum up snapshots.
 *
 *     mkdir, rmdir ──> taker ──> answered            milliseconds, one after another
 *                        │
 *                        └ news ──> sweeper          files of dropped ones, SHA-256:
 *                                                    as long as it takes
 *
 * A worker that waited for the disk in mkdir could hold up a writer on its CPU, so
 * it hands the request over.
 */
#ifndef MQFS_FS_KEEPER_H
#define MQFS_FS_KEEPER_H

#include "fs/mount.h"

struct keeper;

int keeper_open(struct mount *m, struct keeper **ret);
void keeper_close(struct keeper *k);	/* answers what is left; accepts NULL */

/* These reply, sooner or later. */
void keeper_take(struct keeper *k, fuse_req_t req, const char *name);
void keeper_drop(struct keeper *k, fuse_req_t req, const char *name);

#endif
