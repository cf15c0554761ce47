/* pending_priv.h - what the parts of the table of waiting requests share.
 *
 *   pending.c           the table: its lines, its threads' begin and end
 *   pending_reads.c     line READERS
 *   pending_durable.c   lines DISK and SLAVES, and the answers of all but READERS
 *   pending_commits.c   lines KEEP and MASTER
 */
#ifndef MQFS_FS_PENDING_PRIV_H
#define MQFS_FS_PENDING_PRIV_H

#include <sys/queue.h>

#include "conf/thread.h"
#include "fs/pending.h"

enum pending_line {
	LINE_READERS,
	LINE_DISK,
	LINE_SLAVES,
	LINE_KEEP,
	LINE_MASTER,
	LINES,
};

/* A request that waits: the first member of struct durable and struct waiter.  A line is a ring
 * in the order of `pos`. */
struct parked {
	struct parked *next, *prev;
	int64_t pos;		/* what it waits for: a position of the log, the number of a slave's commit; or 0 */
	bool linked;
};

/* A write, an fsync or a change: in every line but READERS. */
struct durable {
	struct parked parked;
	fuse_req_t req;
	struct pending_end who;		/* its handle with a reference; .ended NULL: it is not called */
	struct subscription *sub;	/* whose commits are to be kept */
	ssize_t result;
	pending_answer *answer;		/* of a change; NULL: the answer is `result` */
	struct node node;		/* for `answer` */
	unsigned needs;			/* NEED_* */
	int64_t deadline_ms;
};

#define PENDING_THREADS 3
#define WATCH_BUCKETS 1024

struct waiter;
LIST_HEAD(watches, watch);

struct pending {
	struct mount *m;
	struct lock lock;		/* all below */
	struct parked lines[LINES];	/* the heads of the rings */
	int64_t n;			/* requests in all lines */
	bool closing;
	struct watches watches[WATCH_BUCKETS];	/* of READERS, by queue */
	struct waiter *fresh;		/* of READERS, not checked yet; with a reference on each */
	pthread_cond_t for_disk;	/* DISK or KEEP has got a request, or closing */
	bool answers_sleeps;		/* the thread sleeps without a deadline: it must be woken for a new one */

	struct thread threads[PENDING_THREADS];
};

/* With the lock: put w into a line, take it out; a line's first request (NULL: the line is empty). */
void pending_link(struct pending *p, enum pending_line line, struct parked *w);
void pending_unlink(struct pending *p, struct parked *w);
struct parked *pending_first(struct pending *p, enum pending_line line);

/* Wake the threads that wait on marks. */
void pending_wake_readers(struct pending *p);
void pending_wake_answers(struct pending *p);

/* Thread bodies. */
void *pending_readers_main(void *arg);
void *pending_disk_main(void *arg);
void *pending_answers_main(void *arg);

/* At the end: answer all remaining requests with EINTR. */
void pending_reads_end(struct pending *p);
void pending_durables_end(struct pending *p);

/* With the lock: put d into that line, and wake the line's thread. */
void durable_wait_in(struct pending *p, enum pending_line line, struct durable *d);

/* Answer d, which is in no line, and free it. */
void durable_answer(struct pending *p, struct durable *d, int rc);

/* KEEP's first request, taken out of the line: keep its commits, then let it wait in MASTER. */
void pending_keep_commits(struct pending *p, struct durable *d);

#endif
