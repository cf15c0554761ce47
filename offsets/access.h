/* access.h - who may do what below topics/ and groups/: the one rule.
 *
 * Owners, modes and access lists of the tree decide, and those of the directories on the
 * way, as the kernel would decide it for a process of that user.  The kernel itself
 * checks the one file that a process opens.  What reaches messages in another way is
 * checked here: a name that shows the messages of other files (topics/T/all, a group's
 * queue, messages/ID), and every client of the network.
 *
 *      to                              needs
 *      read a queue's messages         r of topics/T/qN, x of the directories on the way
 *      append to a queue               w of it, x of ...
 *      consume as a group              rw of groups/G/T/qN, and r of topics/T/qN
 *      make or remove a topic          wx of topics/, as for a directory
 *
 * Root may do all.  Any thread.
 */
#ifndef MQFS_OFFSETS_ACCESS_H
#define MQFS_OFFSETS_ACCESS_H

#include "offsets/acl.h"
#include "offsets/offsets.h"

enum {
	ACCESS_READ = 4,	/* as in a mode */
	ACCESS_WRITE = 2,
	ACCESS_SEARCH = 1,
};

#define ACCESS_EVERY_QUEUE (-1)

/* The user whose rights are asked for, and the broker. */
struct access {
	struct offsets *offsets;
	uid_t uid;		/* owner of what nobody owns: the user that has mounted */
	gid_t gid;
	struct acl_caller who;
};

/* The owner of a node at `path`, which begins below the mount.
 * t, g: whose directory it is below, or NULL.  *ret has the owner of what nobody owns, and is
 * left alone if that is so. */
void access_owner(struct offsets *o, const char *path, const struct topic *t, const struct group *g, bool is_dir,
		  struct owner *ret);

/* May they?  MQ_OK; -EACCES, with a note that names the file or directory which does not
 * allow it.  `want` is some of ACCESS_*. */
int access_root(const struct access *a, const char *dir, unsigned want);	/* "topics" or "groups" */
int access_file(const struct access *a, const char *path, unsigned want);	/* of no topic and no group */
int access_topic(const struct access *a, const struct topic *t, unsigned want);
int access_queue(const struct access *a, const struct topic *t, int32_t queue, unsigned want);
int access_group(const struct access *a, const struct group *g, unsigned want);

/* groups/G/T/NAME; NULL: that directory. */
int access_subscription(const struct access *a, const struct group *g, const struct topic *t, const char *name,
			unsigned want);

#endif
