/* pos.h - the two kinds of position, as types that do not mix.
 *
 * mq_pos    a byte position in the commit log ("physical offset")
 * mq_qoff   a message number in one queue ("queue offset")
 *
 * Both are signed 64-bit on disk and on the wire (RocketMQ's i64).
 */
#ifndef MQFS_CONF_POS_H
#define MQFS_CONF_POS_H

#include <stdint.h>

typedef struct {
	int64_t byte;
} mq_pos;

typedef struct {
	int64_t n;
} mq_qoff;

#define MQ_POS(b) ((mq_pos){ .byte = (b) })
#define MQ_QOFF(i) ((mq_qoff){ .n = (i) })

static inline mq_pos
pos_add(mq_pos p, int64_t bytes)
{
	return MQ_POS(p.byte + bytes);
}

/* For qsort(3). */
static inline int
pos_compare(const void *a, const void *b)
{
	const mq_pos *x = a, *y = b;

	return (x->byte > y->byte) - (x->byte < y->byte);
}

static inline mq_qoff
qoff_add(mq_qoff q, int64_t messages)
{
	return MQ_QOFF(q.n + messages);
}

#endif
