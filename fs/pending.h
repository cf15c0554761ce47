/* pending.h - requests that wait, and hold no thread.
 *
 * A parked request is tried again when what it waits for has moved; it ends
 * by an answer, by a signal to its caller (EINTR), or by the unmount.
 *
 *      park ──> WAITING ──try──> answered
 *                  ^ │ not yet
 *                  └─┘
 *            interrupt ──> EINTR       unmount ──> ENOTCONN/EINTR
 */
#ifndef MQFS_FS_PENDING_H
#define MQFS_FS_PENDING_H

#include "fs/handle.h"

int pending_open(struct mount *m, struct pending **ret);
void pending_close(struct pending *p);	/* answers what is left with EINTR, joins the threads */

/* What a try says. */
enum pending_try {
	PENDING_WAIT,		/* not yet; it has not replied */
	PENDING_DONE,		/* it has replied */
};

/* A read that waits for more in its queue(s).  `attempt` runs on a pending
 * thread with a reference on h, each time the mark `dispatched` has moved:
 * it must first check cheaply whether anything is there for it. */
typedef enum pending_try pending_attempt(struct mount *m, fuse_req_t req, struct handle *h, size_t size,
					 off_t off);

void pending_park_read(struct pending *p, fuse_req_t req, struct handle *h, size_t size, off_t off,
		       pending_attempt *attempt);

/* An append or fsync that waits for the log to be durable up to `end` (flushed,
 * and replicated on a SYNC_MASTER).  `result`: bytes to report for a write, -1 for an
 * fsync (reply_err 0).  ETIMEDOUT after the setting's time. */
void pending_park_durable(struct pending *p, fuse_req_t req, mq_pos end, ssize_t result);

/* Poll: notify ph once when something new was dispatched. */
void pending_park_poll(struct pending *p, struct handle *h, struct fuse_pollhandle *ph);

int64_t pending_count(struct pending *p);

#endif
