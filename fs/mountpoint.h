/* mountpoint.h - the directory that a broker is mounted on, and dead mounts on it. */
#ifndef MQFS_FS_MOUNTPOINT_H
#define MQFS_FS_MOUNTPOINT_H

#include <stdint.h>

/* Check that path is a directory to mount on; a dead mount on it is unmounted first.
 * -errno with a note. */
int mountpoint_check(const char *path);

/* Unmount path, even if the mount is dead or busy.  -EBUSY with a note. */
int mountpoint_detach(const char *path);

/* The number of the mount that path is in; it changes when something is mounted on path or
 * unmounted.  0: a dead mount is on it.  Sends no request to a broker. */
uint64_t mountpoint_id(const char *path);

#endif
