/* access.h - rights that the kernel's check of one file cannot know of.
 *
 * The kernel checks the owner, mode and access list of the file that is opened.  A name
 * that reads or writes the messages of other files (topics/T/all, a group's queue,
 * messages/ID) must not give more than those files do, nor than the directories on their
 * path: every queue that an open file reads or writes must allow it.
 */
#ifndef MQFS_FS_ACCESS_H
#define MQFS_FS_ACCESS_H

#include "fs/handle.h"

enum {
	ACCESS_READ = 4,	/* as in a mode */
	ACCESS_WRITE = 2,
};

#define ACCESS_EVERY_QUEUE (-1)

/* May the process that opens h do that (ACCESS_* bits) with a queue of t, or with every
 * one?  MQ_OK, also for root and for what was open before a restart; -EACCES, with a note
 * that names the file which does not allow it. */
int access_check(struct mount *m, const struct handle *h, struct topic *t, int32_t queue, int want);

#endif
