/* text.h - small files whose content is text made at open.
 *
 * A reader gets the text as it was at its open, with its exact length.  A writer is
 * answered at once: for a command with its result, for a whole text with what check()
 * of its class returns for the complete lines; an error that is found only at close
 * also becomes a line of status/log, because shells ignore the result of close.
 */
#ifndef MQFS_FS_TEXT_H
#define MQFS_FS_TEXT_H

#include "fs/handle.h"

#define TEXT_MAX_BYTES (1024 * 1024)	/* of what may be written to one file */

int text_open(struct mount *m, const struct node *n, struct handle *h);
void text_read(fuse_req_t req, struct handle *h, size_t size, off_t off);
void text_write(struct mount *m, fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
		int flags);

/* Answer fsync(2) of a file that is kept in the log; and: what to do when such an fsync ends (pending.h), where
 * the node's class answers it. */
void text_fsync(struct mount *m, fuse_req_t req, struct handle *h);
struct pending_end text_fsync_end(struct handle *h);
int text_truncate(struct handle *h, off_t size);	/* ftruncate(2) of an open text */
int text_flush(struct mount *m, struct handle *h);

/* The same, and answer the request: a change waits as the settings ask (logged.h). */
void text_close(struct mount *m, fuse_req_t req, struct handle *h);

/* The length render() would give now. */
int text_length(struct mount *m, const struct node *n, off_t *ret_len);

#endif
