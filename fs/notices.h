/* notices.h - notices to the kernel that inodes were removed, for watchers (inotify) of queues and their parts.
 *
 * When retention or a trim drops a queue's first messages, its name gets a new inode.
 * No process causes that by a system call, so the kernel would tell watchers of the old inode
 * nothing: a thread of this file notifies the kernel that the old inode was removed.  Watchers
 * get that as of any removed file (DELETE_SELF): when no process has it open any more.
 *
 * The notice has no effect where the kernel has already put the new inode in the old one's
 * place: a look-up of the name does that, if it comes before the notice (200 ms; at once after
 * a command to ctl).  Log shippers that must not miss it look at names, too.
 *
 * Such a notice waits for the kernel's lock of the inode, which may be held for a request that
 * waits for the broker: so it must not be sent by a worker thread, nor while a lock is held.
 */
#ifndef MQFS_FS_NOTICES_H
#define MQFS_FS_NOTICES_H

#include "fs/mount.h"

struct notices;

int notices_open(struct mount *m, struct notices **ret);

/* Look for moved heads now.  Accepts NULL. */
void notices_look(struct notices *ns);

/* Called before the session is unmounted, when no worker serves any more.  Accepts NULL. */
void notices_close(struct notices *ns);

#endif
