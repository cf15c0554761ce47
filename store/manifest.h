/* manifest.h - SHA-256 of every file of a snapshot, as sha256sum(1) reads it:
 *
 *     64 hex digits, two blanks, path, newline      sorted by path
 *
 * Hashing takes a second for each GiB, so it is done after the snapshot is taken.  Sums of sealed
 * segments are kept (sums.h): only the last segment is hashed each time.
 */
#ifndef MQFS_STORE_MANIFEST_H
#define MQFS_STORE_MANIFEST_H

#include "store/snapshot.h"

/* The length it will have: that of a line depends only on the path. */
int manifest_length(struct snapshots *ss, const struct snapshot *s, size_t *ret_len);

/* Load the manifest that an earlier mount has written, if it is complete. */
void manifest_load(struct snapshots *ss, struct snapshot *s);

/* Make and write it, and set s->hashed.  MQ_ECLOSED: *stop became true; -ENOENT: the snapshot was
 * dropped meanwhile. */
int manifest_make(struct snapshots *ss, struct snapshot *s, const _Atomic bool *stop);

#endif
