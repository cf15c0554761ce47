/* dir.h - reading a directory: a list made when reading begins.
 *
 * The list is made at the first read and at each rewind, so a cookie is an index
 * into it, and files that appear or vanish meanwhile do not disturb the reader.
 */
#ifndef MQFS_FS_DIR_H
#define MQFS_FS_DIR_H

#include "fs/handle.h"

void dir_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off, bool plus);
void dir_release(struct handle *h);

/* Answer a lookup or a mkdir with child. */
void dir_reply(struct mount *m, fuse_req_t req, const struct node *child);

#endif
