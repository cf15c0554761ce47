/* appender.h - from bytes that a producer writes to messages in the log.
 *
 *   write(2) ──> splitter ──> batch (records, no lock) ──> store_append
 *                   │
 *                   └ what is left over waits in the open file for the rest
 *
 * One thread at a time uses an appender (the open file's lock).
 */
#ifndef MQFS_FS_APPENDER_H
#define MQFS_FS_APPENDER_H

#include "fs/estate.h"
#include "fs/framing.h"
#include "fs/mount.h"
#include "fs/name.h"

/* A write that a dead broker has begun: what of it is stored. */
struct begun {
	uint64_t unique;	/* 0: none */
	int32_t queue;
	size_t at;		/* up to here for sure, */
	int64_t skip;		/* and so many messages after that */
};

struct appender {
	struct topic *topic;
	bool all;		/* round-robin over every queue */
	int32_t queue;
	struct splitter splitter;
	char *props;		/* what every message gets, its UNIQ_KEY last; NULL: nothing */
	size_t given_len;	/* of it, before the UNIQ_KEY */
	size_t props_len;
	bool later;		/* what it appends is delivered later: */
	int level;		/* as this level says; 0: */
	int64_t delay_ms;	/* so much later; 0: */
	int64_t deliver_at_ms;	/* then */
	mq_pos end;		/* of the last message stored through it; 0: none yet */
	uint64_t request;	/* the write that comes next; set by the caller, and: */
	bool waits;		/* for a disk or a slave when it is stored */
	struct retry *retry;	/* the last write that waits or has waited in vain; NULL: there was none */
	_Atomic uint64_t waited;	/* as in estate.h, if nothing outlives us */
	struct estate_file *kept; /* what outlives us; NULL: nothing */
	struct begun begun;
};

void appender_init(struct appender *a, struct topic *t, bool all, int32_t queue, enum topic_format format, bool whole,
		   size_t max_body);
void appender_free(struct appender *a);

/* Every message is delivered when this name says, and shall have the properties that it gives, and as RocketMQ's clients do it
 * a UNIQ_KEY of its own (a message without properties gets none).  A json line's own properties
 * win.  -EINVAL, noted: its tag or keys cannot be a message's, or its time
 * is none (no such level, more than a year ahead).  -ENOMEM. */
int appender_give(struct mount *m, struct appender *a, const struct name *name);

/* a, just made, goes on where the one that kept `f` was when its broker died.  -EIO,
 * noted: bytes that were taken are lost. */
int appender_resume(struct mount *m, struct appender *a, struct estate_file *f);

/* The wait of that write is over; `ok`: it is where it had to be.  Any thread; before the
 * write is answered. */
void appender_waited(struct appender *a, uint64_t request, bool ok);

/* The last write, if its wait has failed, else 0; and: an fsync after it was ok (any thread). */
uint64_t appender_failed(struct appender *a);
void appender_synced(struct appender *a, uint64_t request);

/* Store the messages that buf completes, unless it is a write again whose wait has failed (retry.h).  MQ_OK: *ret_n bytes were taken, fewer
 * than size if what follows failed (the next write then says why); an error:
 * nothing was.  *ret_end is what a durable write waits for (0: nothing stored). */
int appender_write(struct mount *m, struct appender *a, const char *buf, size_t size, size_t *ret_n,
		   mq_pos *ret_end);

/* pwrite(2) without O_APPEND at byte `off`: appends at the end, is content with
 * the same bytes below it; -EEXIST for other bytes, -EINVAL beyond the end. */
int appender_write_at(struct mount *m, struct appender *a, const char *buf, size_t size, int64_t off, size_t *ret_n,
		      mq_pos *ret_end);

/* What appender_finish() would say of what is left over, while somebody listens:
 * -EINVAL, -EMSGSIZE, or why this mount cannot append now. */
int appender_check(struct mount *m, const struct appender *a);

/* Make a message of what is left over.  MQ_OK also when nothing is.  `accepted`: a broker that
 * died has answered its close; then it does not matter that the slaves of a SYNC_MASTER are not
 * there yet. */
int appender_finish(struct mount *m, struct appender *a, bool accepted);

#endif
