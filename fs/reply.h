/* reply.h - the edge: codes of err.h become errno here and nowhere else. */
#ifndef MQFS_FS_REPLY_H
#define MQFS_FS_REPLY_H

#include "fs/handle.h"
#include "fs/mount.h"

/* Answer with rc's errno (0 for MQ_OK).  A note made for rc while this request was served
 * becomes a line of status/log with the caller's pid, and so does every errno that does not
 * explain itself.  A caller that fails in a loop does not fill the log: at most REPLY_LINES
 * a second are logged, and then the number of the others. */
#define REPLY_LINES 100
void reply_err(fuse_req_t req, int rc);

/* The others answer and return whether the answer was delivered: MQ_OK, or -ENOENT when
 * the caller was interrupted meanwhile. */
int reply_written(fuse_req_t req, size_t n);
int reply_data(fuse_req_t req, const void *buf, size_t len);

/* At most `size` bytes of buf from off on: a read of a file that is in memory. */
int reply_slice(fuse_req_t req, const void *buf, size_t len, size_t size, off_t off);

/* Answer getattr or setattr with the attributes of n. */
void reply_node_attr(struct mount *m, fuse_req_t req, const struct node *n);

/* Answer a successful open, with h->fopen and h->backing_id. */
int reply_open(fuse_req_t req, struct handle *h);

#endif
