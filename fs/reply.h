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

/* Answer with bytes.  -ENOENT: the caller was interrupted meanwhile. */
int reply_data(fuse_req_t req, const void *buf, size_t len);

/* Answer a read of a file that is in memory: at most `size` bytes of buf from off on. */
void reply_slice(fuse_req_t req, const void *buf, size_t len, size_t size, off_t off);

/* Answer getattr or setattr with the attributes of n. */
void reply_node_attr(struct mount *m, fuse_req_t req, const struct node *n);

/* Answer a successful open, with h->fopen and h->backing_id.  -ENOENT: the caller was interrupted meanwhile. */
int reply_open(fuse_req_t req, struct handle *h);

#endif
