/* durable.h - the position up to which the log is known to be on this disk, for the next mount.
 *
 *   STORE/flushed     a position of the log, 20 digits and a newline
 *
 * The file is written after each sync of the log, and synced with each checkpoint.  Every version of
 * it that a crash or a power cut may leave is true, because before the log is cut the file is set
 * back durably.
 *
 * Recovery needs it where no record begins but valid ones follow.  Before the position that is damage
 * of the disk: it stays, and reading it is EIO.  Behind the position a power cut may have lost pages
 * that were not synced, and kept later ones: the log ends there, and the rest is moved to lost+found.
 *
 * Any thread.  If two write at once, the earlier position may stay, which is true, too.
 */
#ifndef MQFS_STORE_DURABLE_H
#define MQFS_STORE_DURABLE_H

#include "conf/pos.h"

struct storedir;

/* Open the file, made if it is not there, in the store's directory. */
int durable_open(int dirfd, int *ret_fd);

/* The position up to which the log that is to be recovered was on this disk: the greater of the file's and
 * `checkpoint`.  INT64_MAX, all of it, after a clean exit, and if there is no file (RocketMQ has none). */
mq_pos durable_promised(const struct storedir *dir, mq_pos checkpoint);

/* The log is on the disk up to `pos`.  If the file cannot be written it keeps an earlier position, which
 * is true, too.  fd -1: does nothing. */
void durable_note(int fd, mq_pos pos);

/* The same, and sync the file.  -errno, noted. */
int durable_sync(int fd, mq_pos pos);

#endif
