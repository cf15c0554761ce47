/* halves.h - which half messages are open: those without an op record that ends them.
 *
 *     RMQ_SYS_TRANS_HALF_TOPIC     half 7    half 8    half 9 ...
 *     RMQ_SYS_TRANS_OP_HALF_TOPIC  "8"                              half 8 has ended
 *                                  ^ op_low: ops before it are of halves before `low`
 *                   low: the first open half
 *
 * A table in memory has 8 bytes for each half from `low` on, so it grows with the time for
 * which the oldest transaction is open.  A check moves open halves to the queue's end
 * (transactions.h), so that time is about two transactionCheckIntervals.
 *
 * The table is a view of the two queues.  It is made at its first use; on a master the calls
 * that end halves keep it, on a slave it follows the queues.  `low` and `op_low` are the offsets
 * that the group CID_RMQ_SYS_TRANS has committed, as in RocketMQ: reading begins there.
 *
 * A half that was put back has the position of the first record of its transaction (its root)
 * in PREPAREDTRANSACTIONOFFSET: so a producer may answer for an older copy.
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

/* For a broker that ends no halves itself: bring the table to what its master has stored by now.
 * Accepts zeros. */
int halves_follow(struct offsets *o, struct halves *h);

/* Add the halves that were stored meanwhile, which are open.  -ENOMEM. */
int halves_extend(struct offsets *o, struct halves *h);

/* The state of half `at`; HALF_ENDED if it is before `low` or there is none.  >= 0: open. */
int64_t halves_state(const struct halves *h, int64_t at);

/* The open half with that root; -1: there is none. */
int64_t halves_copy(const struct halves *h, mq_pos root);

/* Half `at` has ended, as `how`. */
void halves_end(struct halves *h, int64_t at, enum half_state how);

/* Half `at`, which has just been stored, has that root. */
int halves_renewed(struct offsets *o, struct halves *h, int64_t at, mq_pos root);

/* The number that digits say; -1: the text is something else. */
int64_t halves_number(const char *text, size_t len);

/* Commit low and op_low as the group's offsets; they are in the log when this returns. */
int halves_commit(struct offsets *o, struct halves *h);

/* Find or make one of the broker's own topics. */
int halves_topic(struct offsets *o, const char *name, struct topic **ret);

#endif
