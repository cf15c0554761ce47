/* durable.h - up to where the log is known to be on this disk: for the next mount.
 *
 *   STORE/flushed     a position of the log, 20 digits and a newline
 *
 * The file is written after each sync of the log, and synced with each checkpoint.
 * Whatever version of it a crash or a power cut leaves, the log was on the disk up to
 * there; before the log is cut the file is set back durably.
 *
 * Recovery needs it where no record begins but valid ones follow.  Before the position
 * that is damage of the disk: what follows is kept, and the damage is EIO.  Behind it
 * nothing was promised: a power cut may lose any page that was not synced, and keep
 * later ones, so the log ends there, and the rest goes to lost+found.
 *
 * Any thread; of two that write, the earlier position may stay, which is true, too.
 */
#ifndef MQFS_STORE_DURABLE_H
#define MQFS_STORE_DURABLE_H

#include "conf/pos.h"

struct storedir;

/* Open the file, made if it is not there, in the store's directory. */
int durable_open(int dirfd, int *ret_fd);

/* The position that it says.  -1: it does not say any. */
mq_pos durable_read(int dirfd);

/* Up to where the log that is about to be recovered was promised to be on this disk:
 * what the file says or `checkpoint`, whichever is more.  All of it (INT64_MAX) after a
 * clean exit, and where nobody can tell, as after a crash of RocketMQ. */
mq_pos durable_promised(const struct storedir *dir, mq_pos checkpoint);

/* The log is on the disk up to `pos`.  When that cannot be written the file says an
 * earlier position, which is true, too.  fd -1: nothing is noted. */
void durable_note(int fd, mq_pos pos);

/* The same, to the disk. */
int durable_sync(int fd, mq_pos pos);

#endif
