/* reply.h - the edge: codes of err.h become errno here and nowhere else. */
#ifndef MQFS_FS_REPLY_H
#define MQFS_FS_REPLY_H

#include "fs/mount.h"

/* Answer with rc's errno (0 for MQ_OK).  What a user cannot know from the errno
 * alone (EINVAL, EIO, ...) becomes a line of status/log, from err_text(rc). */
void reply_err(fuse_req_t req, int rc);

/* Answer a write.  MQ_OK, or the error of a reply that found nobody. */
int reply_written(fuse_req_t req, size_t n);

int reply_data(fuse_req_t req, const void *buf, size_t len);

#endif
