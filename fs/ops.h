/* ops.h - requests of the kernel, handed to the class of the node they name. */
#ifndef MQFS_FS_OPS_H
#define MQFS_FS_OPS_H

#include "fs/mount.h"

extern const struct fuse_lowlevel_ops mqfs_ops;

#endif
