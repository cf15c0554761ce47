/* mountpoint.h - the directory that a broker is mounted on, and what a dead one has left there. */
#ifndef MQFS_FS_MOUNTPOINT_H
#define MQFS_FS_MOUNTPOINT_H

#include <stdbool.h>
#include <stdint.h>

/* A directory that can be mounted on: a dead mount on it is taken away first.
 * -errno with a note. */
int mountpoint_check(const char *path);

/* Take a mount away, even if it is dead or busy.  -EBUSY with a note. */
int mountpoint_detach(const char *path);

/* The mount that path is in: another number when something was mounted on it or
 * unmounted.  0: the mount on it is dead, so it is there.  Asks no broker. */
uint64_t mountpoint_id(const char *path);

#endif
