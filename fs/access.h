/* access.h - offsets/access.h for a process that opens a file. */
#ifndef MQFS_FS_ACCESS_H
#define MQFS_FS_ACCESS_H

#include "fs/handle.h"
#include "offsets/access.h"

/* May the process that opens h do that (ACCESS_* bits) with a queue of t, or with all of
 * them?  MQ_OK, also for root and for files that were open before a restart; -EACCES, with
 * a note that names the file whose mode does not allow it. */
int access_check(struct mount *m, const struct handle *h, struct topic *t, int32_t queue, int want);

#endif
