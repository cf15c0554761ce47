/* keeper.h - the thread that removes files of dropped snapshots and makes MANIFESTs of new ones.
 *
 *     mkdir, rmdir ── answered
 *          └── keeper_look ──> the thread      removes the files of dropped snapshots, makes
 *                                              the MANIFESTs (SHA-256): as long as it takes
 */
#ifndef MQFS_FS_KEEPER_H
#define MQFS_FS_KEEPER_H

#include "fs/mount.h"

struct keeper;

int keeper_open(struct mount *m, struct keeper **ret);
void keeper_close(struct keeper *k);	/* accepts NULL */

/* Wake the thread: a snapshot was taken or dropped. */
void keeper_look(struct keeper *k);

#endif
