/* transactions.h - half messages: stored, and delivered when their producer commits them.
 *
 *     SEND of TRAN_MSG ──> half ──┬─ commit ────> op + the message, in its topic
 *                                 ├─ rollback ──> op
 *                                 ├─ check ─────> op + the half again, at its queue's end;
 *                                 │               and the producer is asked
 *                                 └─ too often ─> op + the message in TRANS_CHECK_MAX_TIME_TOPIC
 *                                                          resumed ──> half
 *
 * Records as RocketMQ has them.  A half is a record of RMQ_SYS_TRANS_HALF_TOPIC, queue 0, with the
 * properties REAL_TOPIC and REAL_QID; an op is one of RMQ_SYS_TRANS_OP_HALF_TOPIC, tag d, its
 * body the half's number in its queue, in digits.  A committed message has the properties of
 * its half, and the half's position in PREPAREDTRANSACTIONOFFSET.
 *
 * Where RocketMQ stores the message and then its op, and for a half that it puts back no op at
 * all, both are one step of the log here (store_append_step()).  So each half ends once: neither a
 * crash between two records nor a promotion loses or doubles a message, and a producer may
 * answer twice, or for an older copy of its half: halves.h.
 *
 * Threads: any.  A call may read from the disk.
 */
#ifndef MQFS_OFFSETS_TRANSACTIONS_H
#define MQFS_OFFSETS_TRANSACTIONS_H

#include "offsets/offsets.h"

struct transactions;

/* A message, as it is stored while its producer has not decided: its topic, queue, flags and
 * properties are replaced.  `props` is memory of RECORD_PROPS_MAX bytes, which m borrows.
 * -EMSGSIZE, noted: there is no room for what checks add to its properties. */
int half_message(struct message *m, char *props);

/* The queue in which halves wait. */
int half_queue(struct offsets *o, struct queue **ret_q);

/* --- the producer's word ------------------------------------------------------------------- */

enum transaction_end { TRANSACTION_COMMIT = 0x8, TRANSACTION_ROLLBACK = 0xc };	/* as in SYSFLAG */

/* The answer of a producer: how its half ends. */
struct transaction_word {
	const char *group;	/* the producer's; PGROUP of the half */
	mq_pos pos;		/* of the half's record */
	int64_t number;		/* of the half in its queue */
	enum transaction_end end;
};

/* MQ_OK      the end is in the log, from now on or since an earlier call
 * -ENOENT    noted: there is no half at pos
 * -EINVAL    noted: the half is of another group or has another number
 * -EALREADY  noted: the half has ended otherwise, or long ago
 * or an error of store_append() */
int transaction_end(struct offsets *o, const struct transaction_word *w);

/* --- checks -------------------------------------------------------------------------------- */

/* A half whose producer is to be asked, as it is stored now. */
struct transaction_asked {
	const char *group;
	struct record rec;	/* of the half */
	mq_pos pos;		/* its new place: what the producer answers with, */
	int64_t number;
	const char *topic;	/* and the message's own */
	int32_t queue_id;
};

struct transaction_checks {
	/* Ask; called without a lock, for each. */
	void (*ask)(void *arg, const struct transaction_asked *a);
	/* The round is to end now. */
	bool (*stopped)(void *arg);
	void *arg;
};

/* A round: every half that is open and older than transactionTimeOut, or than its
 * CHECK_IMMUNITY_TIME_IN_SECONDS, goes to the end of its queue and its producer is asked; what was checked
 * transactionCheckMax times, or is older than fileReservedTime, goes to
 * TRANS_CHECK_MAX_TIME_TOPIC.  MQ_EROLE on a slave. */
int transactions_check(struct offsets *o, const struct transaction_checks *c);

/* Make the message at pos, which was moved to TRANS_CHECK_MAX_TIME_TOPIC, a half again: its
 * producers are asked as for a new one.
 *
 * MQ_OK      the half is in the log
 * -ENOENT    noted: there is no such message at pos
 * -EALREADY  noted: it is a half already
 * or an error of store_append() */
int transaction_resume(struct offsets *o, mq_pos pos);

struct transactions_stats {
	int64_t open;
	int64_t checked, given_up;	/* since the mount */
};

int transactions_stats(struct offsets *o, struct transactions_stats *ret);

/* --- the registry's own ---------------------------------------------------------------------- */

int transactions_open(struct transactions **ret);
void transactions_close(struct transactions *t);	/* accepts NULL */

#endif
