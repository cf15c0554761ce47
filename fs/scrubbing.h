/* scrubbing.h - the mount's part of the scrub of its store (store/scrub.h). */
#ifndef MQFS_FS_SCRUBBING_H
#define MQFS_FS_SCRUBBING_H

#include "fs/mount.h"
#include "fs/text.h"

/* Start the scrub of a mounted store; on a slave it asks the master for bytes that the
 * disk has lost, and notifies the kernel when they are restored.  And end it: before the
 * session ends, and before replication. */
int scrubbing_begin(struct mount *m);
void scrubbing_end(struct mount *m);

/* The text of status/scrub: progress, and bad places. */
int scrubbing_render(struct mount *m, struct text *t);

#endif
