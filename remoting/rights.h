/* rights.h - the rights of a client in the tree: those of its Unix user (offsets/access.h), by
 * owners, modes and access lists.  The mount checks them before it acts on a request, and does
 * not rely on mqremoted for that.
 *
 * Without access control every client is remotingUser; with it, an account may name another
 * user.  NULL for the user: it may do all.  Functions that return false have
 * noted which file or directory does not allow it (err_text(-EACCES)).  Any thread.
 */
#ifndef MQFS_REMOTING_RIGHTS_H
#define MQFS_REMOTING_RIGHTS_H

#include <stdbool.h>

#include "conf/user.h"
#include "offsets/access.h"

enum rights_want {
	RIGHTS_READ = ACCESS_READ,
	RIGHTS_WRITE = ACCESS_WRITE,
};

/* Messages of one queue: read them, append to it. */
bool rights_queue(const struct user *r, struct offsets *o, const struct topic *t, int32_t queue,
		  enum rights_want want);

/* Change the topic itself: its configuration. */
bool rights_topic(const struct user *r, struct offsets *o, const struct topic *t);

/* Change the group itself: its configuration, and what it subscribes to. */
bool rights_group(const struct user *r, struct offsets *o, const struct group *g);

/* Commit offsets of a queue.  NULL for g: the group would have to be made for it, as would a
 * missing subscription. */
bool rights_consume(const struct user *r, struct offsets *o, struct group *g, struct topic *t, int32_t queue);

/* The committed offset of a group in a queue: the file qN.offset. */
bool rights_offset(const struct user *r, struct offsets *o, const struct group *g, const struct topic *t,
		   int32_t queue, enum rights_want want);

/* Write another file of the mount: "config/KEY", "ctl". */
bool rights_file(const struct user *r, struct offsets *o, const char *path);

/* Make and remove names in "topics" or "groups". */
bool rights_make(const struct user *r, struct offsets *o, const char *dir);

/* The owner of a topic or group that this client makes. */
struct owner rights_owner(const struct user *r);

/* Make the group for this client, unless it is there already.  *ret_g may be NULL after MQ_OK: another thread
 * has removed it.  -EACCES: the client may not; or as group_create(). */
int rights_make_group(const struct user *r, struct offsets *o, const char *name, struct group **ret_g);

#endif
