/* stored.h - open files whose bytes are those of a file of the store.
 *
 * A finished file never changes any more: the kernel may read it by itself, or keep
 * it in its cache.  Reads of other files are requests to the broker.
 */
#ifndef MQFS_FS_STORED_H
#define MQFS_FS_STORED_H

#include "fs/handle.h"

/* Serve fd, which is taken over even on failure, through h: sets h->fopen,
 * h->backing_id and h->own. */
int stored_open(struct mount *m, int fd, bool finished, struct handle *h);
void stored_release(struct mount *m, struct handle *h);

/* Answer with up to `size` bytes of the stored file from off on. */
void stored_read_whole(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);

/* The same, of a file that may be longer or shorter: it ends at `size_bytes`; of
 * these the first data_bytes are the stored file's, and zeros come behind them. */
void stored_read(fuse_req_t req, struct handle *h, size_t size, off_t off, int64_t data_bytes,
		 int64_t size_bytes);

#endif
