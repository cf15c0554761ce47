/* logged.h - requests that change topics, groups and their files by a record in the log:
 * mkdir, rmdir, chmod, chown, access lists, and writes to their text files.
 *
 *      logged_begin ──> the change ──> logged_reply_* ──> answered, at once or later
 *
 * They are writes like any other.  A SYNC_MASTER without enough slaves refuses them and
 * stores nothing; with slaves they are answered when enough slaves have the record,
 * with SYNC_FLUSH when it is on the disk (ETIMEDOUT: it is stored, the wait timed out).
 * Waiting holds no thread (pending.h).
 */
#ifndef MQFS_FS_LOGGED_H
#define MQFS_FS_LOGGED_H

#include "fs/node.h"

struct pending_end;

/* All zeros: nothing is logged, and the answer waits for nothing. */
struct logged {
	bool logs;
	mq_pos before;		/* where the log ended before the change */
	unsigned needs;		/* NEED_* of pending.h, by the role and settings before the change */
	bool again;		/* it may have been made before (by a broker that died, too): wait though nothing changes now */
};

/* Is the text of this file kept in the log?  (Not that of config/KEY, nor of ctl at the top.) */
bool node_is_logged(const struct node *n);

/* Before the change.  MQ_ENOSLAVE, noted: nothing may be stored. */
int logged_begin(struct mount *m, struct logged *ret);

/* The same, where the code that makes the change checks for slaves itself. */
struct logged logged_now(const struct mount *m);

/* After the change: the answers of mkdir, of setattr, of write, and a plain success. */
void logged_reply_entry(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *child);
void logged_reply_attr(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *n);
void logged_reply_written(struct mount *m, fuse_req_t req, const struct logged *l, const struct pending_end *who,
			  size_t n);		/* who: see pending.h */
void logged_reply_ok(struct mount *m, fuse_req_t req, const struct logged *l, const struct node *n);

#endif
