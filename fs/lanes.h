/* lanes.h - several inodes for one queue, so that its appenders do not wait for each other.
 *
 * The kernel has one write(2) at a time under way for each of its inodes, and a write that
 * waits (SYNC_FLUSH, SYNC_MASTER) would delay every other writer of its queue: there would
 * never be several writes that one flush, or one ack of a slave, could complete together.  So
 * where writes wait, a queue has lanes: several inode numbers of the kernel for one file,
 * whose st_ino is that of lane 0.
 *
 *     look-up of topics/T/qN ──> the first lane through which no open file appends
 *
 * While one producer at a time has a queue open, only lane 0 is used.
 *
 * A look-up is not an open yet: its lane is reserved for that thread for a moment, so that
 * producers that come at the same time get lanes of their own.  If two producers share a lane
 * all the same, their writes come one after the other, with no other effect.
 *
 * Any thread.
 */
#ifndef MQFS_FS_LANES_H
#define MQFS_FS_LANES_H

#include "fs/node.h"

struct lanes;

int lanes_open(struct lanes **ret);
void lanes_close(struct lanes *ls);	/* accepts NULL */

/* The lane to look queue `ino` (that of lane 0) up as. */
unsigned lanes_choose(struct lanes *ls, fuse_ino_t ino);

/* An open file begins or ends to append through `ino`, a lane of some queue.  Both accept ls == NULL. */
void lanes_begin(struct lanes *ls, fuse_ino_t ino);
void lanes_end(struct lanes *ls, fuse_ino_t ino);

/* How many lanes were ever in use. */
unsigned lanes_used(const struct lanes *ls);

#endif
