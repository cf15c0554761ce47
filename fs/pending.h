/* pending.h - requests that wait, and hold no thread.
 *
 *      park ──> WAITING ── its file is ready ──> TAKEN ──> answered
 *                  │
 *                  ├── signal to its caller ──> answered EINTR
 *                  └── unmount ──> answered EINTR
 *
 * One thread looks at waiting reads and polls whenever the mark `dispatched`
 * moves; one flushes the log for the writes and fsyncs that wait for the disk; one
 * answers those that wait for slaves, when the mark `replicated` moves.
 */
#ifndef MQFS_FS_PENDING_H
#define MQFS_FS_PENDING_H

#include "fs/handle.h"

int pending_open(struct mount *m, struct pending **ret);
void pending_close(struct pending *p);	/* answers what is left, joins the threads */

/* A read that waits for more.  `ready` is asked, cheaply and with the handle's
 * lock, whether there is something to answer; `answer` (without the lock) then
 * replies, whatever it finds. */
struct pending_read {
	bool (*ready)(struct mount *m, struct handle *h, off_t off);
	void (*answer)(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);
};

/* `kind` is static.  Called without the handle's lock. */
void pending_park_read(struct pending *p, fuse_req_t req, struct handle *h, size_t size, off_t off,
		       const struct pending_read *kind);

/* Notify ph, once, when h is ready at `off`; it becomes the pending list's.  A
 * new one for the same h replaces the old. */
void pending_park_poll(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind,
		       struct fuse_pollhandle *ph);

/* The kernel has closed h: forget its poll. */
void pending_forget_poll(struct pending *p, struct handle *h);

/* Answer when the log up to `end` is where it has to be (replies at once if it is): on
 * this disk, if `disk` says so (SYNC_FLUSH, O_DSYNC, fsync); and on a SYNC_MASTER in the
 * logs of enough slaves.  `result` bytes written, or for -1 a plain success.  `sync`: it
 * was a SYNC_MASTER when they were written, or when that is asked; if it has become a
 * slave since, nobody tells us any more what the others have.  ETIMEDOUT then, and after
 * syncFlushTimeout (or slaveTimeout); EIO if the disk that is waited for fails. */
void pending_park_durable(struct pending *p, fuse_req_t req, mq_pos end, ssize_t result, bool disk,
			  bool sync);

/* The same for a change of n, which is copied: `answer` answers it.  After a failure the
 * kernel is told to ask for n's attributes again, which have changed all the same. */
typedef void pending_answer(struct mount *m, fuse_req_t req, const struct node *n);
void pending_park_change(struct pending *p, fuse_req_t req, mq_pos end, bool disk, bool sync,
			 pending_answer *answer, const struct node *n);

/* The same for a request of h, which is told of it: `ended`, if not NULL, is called just before
 * the answer, by any thread, and holds nobody up. */
struct pending_end {
	struct handle *h;
	uint64_t request;
	void (*ended)(struct handle *h, uint64_t request, int rc);
};
void pending_park_durable_of(struct pending *p, fuse_req_t req, const struct pending_end *who, mq_pos end,
			     ssize_t result, bool disk, bool sync);

/* Answer when the commits of sub are durable: in the log; or, on a slave, on its disk and
 * answered by its master.  EHOSTDOWN, ETIMEDOUT after slaveTimeout: they are on this
 * disk, and the master hears of them when it is there. */
void pending_park_commits(struct pending *p, fuse_req_t req, struct subscription *sub);

bool is_sync_master(const struct mount *m);

/* May this broker take a write, as far as its slaves are concerned?  MQ_ENOSLAVE, noted: it
 * is a SYNC_MASTER, and there are too few. */
int slaves_suffice(const struct mount *m);

int64_t pending_count(struct pending *p);

#endif
