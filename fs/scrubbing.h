/* scrubbing.h - what the mount has to do with the scrub of its store (store/scrub.h). */
#ifndef MQFS_FS_SCRUBBING_H
#define MQFS_FS_SCRUBBING_H

#include "fs/mount.h"
#include "fs/text.h"

/* Start the scrub of a store that is mounted; on a slave it asks the master for bytes
 * that the disk has lost, and the kernel is told when they are there again.  It ends
 * before the session does, and before replication. */
int scrubbing_begin(struct mount *m);
void scrubbing_end(struct mount *m);

/* status/scrub: how far it is, and what is bad. */
int scrubbing_render(struct mount *m, struct text *t);

#endif
