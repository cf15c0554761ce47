/* remount.h - mount -o remount: from rw to ro and back; noexec, nosuid and their like.
 *
 * The kernel does it by itself; the broker is not asked and continues (a slave follows,
 * retention runs), but nothing can be written through the mount while it is ro.
 */
#ifndef MQFS_FS_REMOUNT_H
#define MQFS_FS_REMOUNT_H

#include "fs/args.h"

/* Remount as args says.  -errno, noted: no mqfs is mounted there; a setting would have to
 * change (config/KEY is the way to change it); a file is open for writing; the broker was
 * mounted read-only and cannot write. */
int remount(const struct args *args, const struct settings *settings);

#endif
