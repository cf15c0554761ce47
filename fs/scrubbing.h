/* scrubbing.h - what the mount has to do with the scrub of its store (store/scrub.h). */
#ifndef MQFS_FS_SCRUBBING_H
#define MQFS_FS_SCRUBBING_H

#include "fs/mount.h"
#include "fs/text.h"

/* status/scrub: how far it is, and what is bad. */
int scrubbing_render(struct mount *m, struct text *t);

#endif
