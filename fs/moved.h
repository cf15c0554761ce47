/* moved.h - tells watchers (inotify) that a queue's name means another file, and that a part has gone.
 *
 * When retention or a trim drops a queue's first messages, its name gets a new inode.
 * Nobody asks the kernel for that, so whoever watches the old one would hear nothing: a
 * thread of its own tells the kernel that the old inode was removed.  Watchers hear of it
 * as of any removed file (DELETE_SELF): when nobody has it open any more.
 *
 * It cannot be told where the kernel has already put the new inode in the old one's place:
 * whoever looks the name up before the notice comes (200 ms; at once after a command to
 * ctl) makes it be so.  Log shippers that must not miss it look at names, too.
 *
 * Such a notice waits for the inode's lock, which a request may have that waits for us:
 * no worker thread and no lock of ours may be in it.
 */
#ifndef MQFS_FS_MOVED_H
#define MQFS_FS_MOVED_H

#include "fs/mount.h"

struct moved;

int moved_open(struct mount *m, struct moved **ret);

/* A head has moved just now.  Accepts NULL. */
void moved_look(struct moved *mv);

/* Before the session is unmounted, when no worker serves any more.  Accepts NULL. */
void moved_close(struct moved *mv);

#endif
