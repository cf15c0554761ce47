/* halves.h - which half messages are open: no op record says that they have ended.
 *
 *     RMQ_SYS_TRANS_HALF_TOPIC     half 7    half 8    half 9 ...
 *     RMQ_SYS_TRANS_OP_HALF_TOPIC  "8"                              half 8 has ended
 *                                  ^ op_low: ops before it are of halves before `low`
 *                   low: the first open half
 *
 * A table in memory has a number for each half from `low` on: 8 bytes, so what it takes grows
 * with the time for which the oldest transaction is open.  A check moves open halves to the
 * queue's end (transactions.h), so that time is about two transactionCheckIntervals.
 *
 * It is a view of the two queues, made when it is first asked for and kept by whoever ends
 * halves; on a slave it follows the queues.  `low` and `op_low` are the offsets that the group CID_RMQ_SYS_TRANS has committed,
 * as in RocketMQ: they only say where to begin to read.
 *
 * A half that was put back has the position of the first record of its transaction in
 * PREPAREDTRANSACTIONOFFSET, its root: so a producer that speaks of an older copy is understood.
 *
 * Internal to this floor.  The caller holds the lock of transactions.
 */
#ifndef MQFS_OFFSETS_HALVES_H
#define MQFS_OFFSETS_HALVES_H

#include "conf/pos.h"
#include "store/queue.h"

struct offsets;
struct topic;

struct halves {
	struct queue *queue;	/* of halves; NULL: there never was one */
	int64_t *slots;		/* slots[first + i] is half low + i: the root of an open one, */
	size_t first, n, max;	/* 0: it is its own; below 0: enum half_state */
	int64_t low, op_low;
	int64_t open;
	int64_t seen, op_seen;	/* ops before op_seen are of halves before `seen` */
	int64_t ops_read;	/* ops before it are in the table */
	uint32_t cuts;		/* of both queues, when it was made */
	bool made;
};

enum half_state { HALF_ENDED = -1, HALF_COMMITTED = -2, HALF_ROLLED_BACK = -3 };

/* The table as the queues say it; with_roots: it is to find copies, not only to count.
 * -ENOMEM, -EIO. */
int halves_load(struct offsets *o, bool with_roots, struct halves *ret);
void halves_free(struct halves *h);	/* accepts zeros */

/* For whoever ends no halves by itself: the table, with all that others have stored by now. */
int halves_follow(struct offsets *o, struct halves *h);	/* accepts zeros */

/* Halves that were stored meanwhile are open.  -ENOMEM. */
int halves_extend(struct offsets *o, struct halves *h);

/* What is known of half `at`; HALF_ENDED where it is before `low` or is none.  >= 0: open. */
int64_t halves_state(const struct halves *h, int64_t at);

/* The open half with that root; -1: there is none. */
int64_t halves_copy(const struct halves *h, mq_pos root);

/* It has ended, as `how`. */
void halves_end(struct halves *h, int64_t at, enum half_state how);

/* Half `at`, which has just been stored, has that root. */
int halves_renewed(struct offsets *o, struct halves *h, int64_t at, mq_pos root);

/* The group's offsets are low and op_low from here on, in the log before this returns. */
int halves_commit(struct offsets *o, struct halves *h);

/* A topic of the broker's own: it is there, for the group or for whoever looks into it. */
int halves_topic(struct offsets *o, const char *name, struct topic **ret);

#endif
