/* remount.h - mount -o remount of what is mounted: from rw to ro and back.
 *
 * The kernel does it by itself; the broker is not asked and serves on (a slave follows,
 * retention runs), but nothing can be written through the mount while it is ro.
 */
#ifndef MQFS_FS_REMOUNT_H
#define MQFS_FS_REMOUNT_H

#include "fs/args.h"

/* As args says.  -errno, noted: nothing of mqfs is mounted there; a setting that would
 * have to change (config/KEY is the way); a file is open for writing; a broker that was
 * mounted read-only cannot write. */
int remount(const struct args *args, const struct settings *settings);

#endif
