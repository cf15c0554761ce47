/* batch.h - messages, encoded and ready to be appended in one go.
 *
 * They are for one queue (store_append() says which), or each for its own: batch_add_to().
 *
 * Everything that costs time (framing, CRC, copying) happens here, without a
 * lock; store_append() then only sets three fields of each record and writes.
 * One thread at a time uses a batch; it is reused from write to write.
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
	bool waits;		/* to be delivered later, or it has waited: delays.h */
	enum record_due due;
	int64_t tags_code;	/* record_code()'s: DUE_AFTER: without the store time */
	mq_pos pos;		/* where store_append() put it, */
	mq_qoff qoff;		/* and which message of its queue it is */
};

struct batch {
	unsigned char *buf;
	size_t len, size;
	struct batch_entry *entries;
	size_t n, max;
	bool together;		/* all of it lies in one segment, or none of it is stored */
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

/* A run of entries is of one queue: where the one ends that begins at `from`, before `n`. */
size_t batch_run_end(const struct batch *b, size_t from, size_t n);

/* Entries [from, to) are messages first, first + 1, ... of their queue. */
void batch_number(struct batch *b, size_t from, size_t to, mq_qoff first);

/* The entries belong together: a reader of the log takes all records of them or none.
 * -EINVAL: one before the last is of a topic in which such a mark is not believed. */
int batch_join(struct batch *b);

/* Is it time to append?  A batch past this size (1 MiB) only costs cache. */
bool batch_full(const struct batch *b);

#endif
