/* pending.h - requests that wait, and hold no worker thread.
 *
 * Every waiting request is in one line of one table until it is answered:
 *
 *     line       requests                                 what they wait for
 *     READERS    reads with :follow, polls, MANIFEST      messages (the file is ready)
 *     DISK       writes, fsyncs                           the mark `flushed`
 *     SLAVES     writes, fsyncs of a SYNC_MASTER          the mark `replicated`
 *     KEEP       fsyncs of consumers on a slave           their commits are on this disk
 *     MASTER     the same, after that                     the mark slave_commits_answered()
 *
 * Three threads empty the lines; a thread that has nothing to do sleeps:
 *
 *     readers    looks at those READERS whose queues have got messages (store_news())
 *     disk       flushes the log for DISK, and keeps commits for KEEP
 *     answers    answers SLAVES and MASTER when their marks move, and every line whose
 *                requests have waited for too long
 *
 * A request leaves its line once, under the table's lock; the thread that has taken it out
 * answers it.
 */
#ifndef MQFS_FS_PENDING_H
#define MQFS_FS_PENDING_H

#include "fs/handle.h"

int pending_open(struct mount *m, struct pending **ret);
void pending_close(struct pending *p);	/* answers all requests, joins the threads */

/* The role of this broker has changed, or replication was started: check all waiting requests
 * again.  Accepts NULL. */
void pending_role_changed(struct pending *p);

/* How many requests wait. */
int64_t pending_count(struct pending *p);

/* --- reads and polls ----------------------------------------------------------------- */

/* A read that waits for messages.  `ready` tells, cheaply and with the handle's
 * lock, whether the read can be answered; `answer` (without the lock) then
 * replies in any case. */
struct pending_read {
	bool (*ready)(struct mount *m, struct handle *h, off_t off);
	void (*answer)(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off);
	/* The i-th queue whose messages make it ready; NULL: no more.  Without this function
	 * `ready` is called whenever the thread is awake. */
	struct queue *(*queue)(const struct handle *h, size_t i);
};

/* Answer when `kind`, which is static, is ready; EINTR after a signal to the caller, and at
 * the unmount.  The caller must not hold the handle's lock. */
void pending_park_read(struct pending *p, fuse_req_t req, struct handle *h, size_t size, off_t off,
		       const struct pending_read *kind);

/* Notify ph, once, when h is ready at `off`; the table owns ph from here on.  A
 * new one for the same h replaces the old. */
void pending_park_poll(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind,
		       struct fuse_pollhandle *ph);

/* The kernel has closed h: forget its poll. */
void pending_forget_poll(struct pending *p, struct handle *h);

/* --- writes and fsyncs --------------------------------------------------------------- */

/* What a request waits for. */
enum pending_need {
	NEED_DISK = 1,		/* until the log is on this disk */
	NEED_SLAVES = 2,	/* until enough slaves have the log */
};

/* The needs of a write with `flags` (handle_is_durable()), and of an fsync. */
unsigned pending_needs_of_write(const struct mount *m, int flags);
unsigned pending_needs_of_fsync(const struct mount *m);

/* Answer when `needs` are fulfilled for the log up to `end` (now, if they are): `result`
 * bytes were written, or for -1 a plain success.
 *
 * NEED_SLAVES is by the broker's role before the change was made, so a broker that becomes
 * a slave meanwhile answers ETIMEDOUT: slaves send it no acks any more.
 * ETIMEDOUT, too, after syncFlushTimeout (with NEED_SLAVES: slaveTimeout); EIO if the disk
 * fails. */
void pending_park_durable(struct pending *p, fuse_req_t req, mq_pos end, ssize_t result, unsigned needs);

/* The same for a change of n, which is copied: `answer` answers it.  After a failure the
 * kernel is told to ask for n's attributes again, which have changed all the same. */
typedef void pending_answer(struct mount *m, fuse_req_t req, const struct node *n);
void pending_park_change(struct pending *p, fuse_req_t req, mq_pos end, unsigned needs, pending_answer *answer,
			 const struct node *n);

/* The same for a request of h: `ended`, if not NULL, is called just before the answer, by
 * any thread, and must not block. */
struct pending_end {
	struct handle *h;
	uint64_t request;
	void (*ended)(struct handle *h, uint64_t request, int rc);
};
void pending_park_durable_of(struct pending *p, fuse_req_t req, const struct pending_end *who, mq_pos end,
			     ssize_t result, unsigned needs);

/* Has the calling thread parked a request that waits for slaves, and no longer for the disk, since it asked last? */
bool pending_has_parked_for_slaves(void);

/* Answer when the commits of sub are durable: in the log; or, on a slave, on its disk and
 * answered by its master.  EHOSTDOWN, ETIMEDOUT after slaveTimeout: they are on this
 * disk, and are sent to the master when it is reachable.  `who` as above, but not on a slave, where
 * no write of h waits. */
void pending_park_commits(struct pending *p, fuse_req_t req, const struct pending_end *who, struct subscription *sub);

/* Does this broker have enough slaves for a write?  MQ_ENOSLAVE, noted: it is a SYNC_MASTER,
 * and too few are in sync. */
int slaves_suffice(const struct mount *m);

#endif
