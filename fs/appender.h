/* appender.h - the bytes that a producer writes become messages in the log.
 *
 *   write(2) ──> splitter ──> batch (records, no lock) ──> store_append
 *                   │
 *                   └ an unfinished message stays in the open file until the rest is written
 *
 * One thread at a time uses an appender (the open file's lock).
 */
#ifndef MQFS_FS_APPENDER_H
#define MQFS_FS_APPENDER_H

#include "fs/estate.h"
#include "fs/framing.h"
#include "fs/mount.h"
#include "fs/name.h"

/* The write in which a broker died, and the part of it that is stored. */
struct begun {
	uint64_t unique;	/* 0: none */
	int32_t queue;
	size_t at;		/* the bytes before this, */
	int64_t skip;		/* and so many messages after them */
};

struct appender {
	struct topic *topic;
	bool all;		/* round-robin over every queue */
	int32_t queue;
	struct splitter splitter;
	char *props;		/* properties of every message, its UNIQ_KEY last; NULL: none */
	size_t given_len;	/* of it, before the UNIQ_KEY */
	size_t props_len;
	bool later;		/* its messages are delivered later: */
	int level;		/* as this level says; 0: */
	int64_t delay_ms;	/* so much later; 0: */
	int64_t deliver_at_ms;	/* then */
	uint64_t request;	/* the write that comes next; set by the caller, and: */
	bool waits;		/* for a disk or a slave when it is stored */
	struct retry *retry;	/* the last write that waits, or whose wait has failed; NULL: there was none */
	_Atomic uint64_t waited;	/* as in estate.h, when `kept` is NULL */
	struct estate_file *kept; /* its part of the estate; NULL: there is no estate */
	struct begun begun;
};

void appender_init(struct appender *a, struct topic *t, bool all, int32_t queue, enum topic_format format, bool whole,
		   size_t max_body);
void appender_free(struct appender *a);

/* From now on every message has the delivery time and the properties of this name, and a UNIQ_KEY
 * as RocketMQ's clients set it (a message without properties gets none).  A json line's own
 * properties win.  -EINVAL, noted: a tag or key that no message can have, or an invalid time
 * (no such level, more than a year ahead).  -ENOMEM. */
int appender_give(struct mount *m, struct appender *a, const struct name *name);

/* Let a, just initialized, continue where the appender that kept `f` was when its broker died.
 * -EIO, noted: bytes that were accepted are lost. */
int appender_resume(struct mount *m, struct appender *a, struct estate_file *f);

/* The wait of that write is over; `ok`: disk and slaves have it.  Any thread; before the
 * write is answered. */
void appender_waited(struct appender *a, uint64_t request, bool ok);

/* The last write, if its wait has failed, else 0; and: a later fsync has succeeded (any thread). */
uint64_t appender_failed(struct appender *a);
void appender_synced(struct appender *a, uint64_t request);

/* Does this mount accept appends?  -EROFS: it is read-only.  MQ_EROLE: it is a slave.  Both noted. */
int appender_may_write(const struct mount *m);

/* Store the messages that buf completes, unless it repeats a write whose wait has failed (retry.h).  `off` is
 * RETRY_APPENDED, or the byte of a pwrite(2) without O_APPEND: at the end it appends; below it, the bytes that are
 * there are accepted.
 *
 * MQ_OK: *ret_n bytes were accepted, fewer than size if a later message failed (the next write then
 * tells why); an error: none.  *ret_end: a durable write waits for it (0: nothing stored).
 * -EEXIST: other bytes are at `off`; -EINVAL: it is beyond the end, or messages can only be appended here. */
int appender_write(struct mount *m, struct appender *a, const char *buf, size_t size, int64_t off, size_t *ret_n,
		   mq_pos *ret_end);

/* The error that appender_finish() would return for the unfinished message, while the writer
 * can still be told: -EINVAL, -EMSGSIZE, or the reason why this mount cannot append now.  Also
 * -EMSGSIZE if the last write was refused because its message is too long: where the kernel has cut
 * that write(2), its caller was told of a short count only. */
int appender_check(struct mount *m, const struct appender *a);

/* Make a message of the unfinished bytes.  MQ_OK also when there are none.  `accepted`: a close(2) has succeeded since
 * they were written; the message is then stored also while a SYNC_MASTER has too few slaves. */
int appender_finish(struct mount *m, struct appender *a, bool accepted);

#endif
