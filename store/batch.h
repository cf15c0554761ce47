/* batch.h - messages, encoded and ready to be appended in one go.
 *
 * They are for one queue, that of store_append(), or each for its own: batch_add_to().  Framing, CRC
 * and copying are done here, without a lock; store_append() only sets three fields of each record
 * and writes.  One thread at a time uses a batch.
 */
#ifndef MQFS_STORE_BATCH_H
#define MQFS_STORE_BATCH_H

#include "store/record.h"

struct queue;

struct batch_entry {
	struct queue *q;	/* NULL: that of store_append() */
	uint32_t at;		/* of the record in buf */
	uint32_t total;
	uint32_t body_len;
	bool keyed;		/* has KEYS or UNIQ_KEY */
	bool waits;		/* to be delivered later, or delivers such a message: delays.h */
	enum record_due due;
	uint32_t props_len;
	int64_t tags_code;	/* record_code()'s: DUE_AFTER: without the store time */
	mq_pos pos;		/* where store_append() put it, */
	mq_qoff qoff;		/* and which message of its queue it is */
};

struct batch {
	unsigned char *buf;
	size_t len, size;
	struct batch_entry *entries;
	size_t n, max;
	bool together;		/* all of it is stored in one segment, or none of it */
	bool one_queue;		/* all entries are for one queue; false: that is not known */
	bool more;		/* an entry is keyed, or waits */
};

void batch_init(struct batch *b);
void batch_free(struct batch *b);
void batch_clear(struct batch *b);

/* Encode m at the end of b.  -ENOMEM; -EMSGSIZE for a topic or properties too
 * long for the format; -EINVAL for a half of a transaction, which is in no queue,
 * and for properties that end with a NUL.  m's tags are taken from its properties. */
int batch_add(struct batch *b, const struct message *m);

/* The same for the queue q, which is that of m's topic and queue id. */
int batch_add_to(struct batch *b, struct queue *q, const struct message *m);

/* Copy all entries of `from`, which are for the queue q, to the end of b.  -ENOMEM. */
int batch_add_all(struct batch *b, const struct batch *from, struct queue *q);

/* The end of the run of entries of one queue that begins at `from`; at most `n`. */
size_t batch_run_end(const struct batch *b, size_t from, size_t n);

/* Entries [from, to) are messages first, first + 1, ... of their queue. */
void batch_number(struct batch *b, size_t from, size_t to, mq_qoff first);

/* The entries belong together: a reader of the log takes all of their records or none.  -EINVAL, noted:
 * one before the last is of a topic in which record_is_continued() is never true. */
int batch_join(struct batch *b);

/* Is the batch so long (1 MiB) that it should be appended now? */
bool batch_full(const struct batch *b);

#endif
