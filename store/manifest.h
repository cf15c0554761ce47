/* manifest.h - SHA-256 of every file of a snapshot, as sha256sum(1) reads it:
 *
 *     64 hex digits, two blanks, path, newline      sorted by path
 *
 * Hashing takes a second for each GiB, so it follows the taking.  A sealed segment
 * has its sum already (sums.h), or has it from here on: only the last one is hashed
 * each time.
 */
#ifndef MQFS_STORE_MANIFEST_H
#define MQFS_STORE_MANIFEST_H

#include "store/snapshot.h"

/* How long it will be: its lines have fixed lengths. */
int manifest_length(struct snapshots *ss, const struct snapshot *s, size_t *ret_len);

/* The one that an earlier mount has written, if it is all there. */
void manifest_load(struct snapshots *ss, struct snapshot *s);

/* Make it, write it, publish it (s->hashed).  MQ_ECLOSED when *stop became true;
 * -ENOENT when the snapshot was dropped meanwhile. */
int manifest_make(struct snapshots *ss, struct snapshot *s, const _Atomic bool *stop);

#endif
