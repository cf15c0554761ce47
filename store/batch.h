/* batch.h - messages of one queue, encoded and ready to be appended in one go.
 *
 * Everything that costs time (framing, CRC, copying) happens here, without a
 * lock; store_append() then only sets three fields of each record and writes.
 * One thread at a time uses a batch; it is reused from write to write.
 */
#ifndef MQFS_STORE_BATCH_H
#define MQFS_STORE_BATCH_H

#include "store/record.h"

struct batch_entry {
	uint32_t at;		/* of the record in buf */
	uint32_t total;
	uint32_t body_len;
	bool keyed;		/* has KEYS or UNIQ_KEY */
	int64_t tags_code;
	int64_t delay_ms;	/* of a delayed message, else 0 */
	mq_pos pos;		/* where store_append() put it */
};

struct batch {
	unsigned char *buf;
	size_t len, size;
	struct batch_entry *entries;
	size_t n, max;
};

void batch_init(struct batch *b);
void batch_free(struct batch *b);
void batch_clear(struct batch *b);

/* Encode m at the end of b.  -ENOMEM; -EMSGSIZE for a topic or properties too
 * long for the format; -EINVAL for a half of a transaction, which is in no queue,
 * and for properties that end with a NUL.  m's tags are taken from its properties. */
int batch_add(struct batch *b, const struct message *m);

/* Is it time to append?  A batch past this size (1 MiB) only costs cache. */
bool batch_full(const struct batch *b);

#endif
