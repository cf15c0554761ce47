/* owed.h - commits made on a slave, which it owes its master; and how they are merged
 * with what the master's log says.  Internal to this floor; commit.c is its user.
 *
 * A slave's consumers commit here: where they stand moves at once, is kept in LMDB,
 * and is sent to the master.  What the master makes of it comes back by the log;
 * only then is it owed no more, whatever the master has answered: a master may die
 * with what it answered, and is asked again by whoever comes after it.
 *
 * A place of a slave, L what the log says, is one of
 *
 *     settled                                at = L
 *     owed forward: to                       at = to, more than L
 *     owed a reset: reset, then to           at = to, whatever L is
 *
 * and a record of the log, number k among those of MQFS_META, that says v moves it so:
 *
 *     record      settled           owed forward                owed a reset
 *     forward v   L = v, at = v     L = v; settled if v >= to   L = v
 *     reset v     L = v, at = v     L = v; lost: at = v         L = v; is v what we sent, then to
 *                                                               is owed forward; else lost: at = v
 *
 * but where k < seen it only sets L: `seen` is how many records of MQFS_META were known
 * here when it was committed, and a restart may read some of them again.  So of two that
 * did not know of each other the reset in the log is taken for the newer one, and nothing
 * but a reset moves a place back.
 *
 * The master is told `seen` with each commit, and ignores one that its last reset of
 * that place has overtaken (commit_from_slave()).  So a reset that is sent twice, since
 * its answer was lost, counts once; therefore one that may have arrived (`sent`) goes
 * out unchanged until the log shows what became of it, and a newer one waits behind it.
 */
#ifndef MQFS_OFFSETS_OWED_H
#define MQFS_OFFSETS_OWED_H

#include <stdbool.h>
#include <stdint.h>

#include "offsets/tables.h"
#include "store/record.h"

#define OWED_NONE (-1)

struct owed {
	char group[RECORD_TOPIC_MAX + 1], topic[RECORD_TOPIC_MAX + 1];
	int32_t queue_id;

	int64_t to;		/* where consumers stand here */
	int64_t seen;		/* records known when `reset` was made; without one, when `to` was */
	int64_t reset;		/* a reset before `to`, or OWED_NONE */
	int64_t sent;		/* the reset that may have arrived, or OWED_NONE; `reset`, or an older one */
	int64_t sent_seen;

	/* debts.c's: */
	bool settled;		/* by the log: its row goes with the next checkpoint */
	bool dirty;		/* its row is to be written */
	bool again;		/* the master is to be told */
	bool heard;		/* it has been told of `sent`: now its log has to say so */
	int64_t first, last;	/* the oldest and newest commit not answered, by number; 0: all are */
	int64_t answered_ms;	/* when the master answered last: clock_mono_ms(); 0: it has not */
};

/* A new one, of nothing yet. */
struct owed owed_begin(const char *group, const char *topic, int32_t queue_id);

/* The order of owed rows, and of struct sorted. */
int owed_cmp(const void *key, const void *item);	/* both struct owed */

/* A commit made here, when `applied` records were known. */
void owed_forward(struct owed *w, int64_t to, int64_t applied);
void owed_reset(struct owed *w, int64_t to, int64_t applied);

/* Is it more than that `to` is not in the log? */
static inline bool
owed_is_reset(const struct owed *w)
{
	return w->reset != OWED_NONE || w->sent != OWED_NONE;
}

/* Record k of the log says v.  What is left: */
enum owed_left {
	OWED_STAYS,		/* it is owed still; consumers stand at w->to */
	OWED_SETTLED,		/* the log has it */
	OWED_LOST,		/* a newer reset has overtaken it */
};

enum owed_left owed_hear(struct owed *w, int64_t k, int64_t v, bool reset);

/* The log, and the queue, were cut: they end there. */
void owed_cut(struct owed *w, int64_t end, int64_t applied);

/* What the master is to be told next. */
struct owed_step {
	int64_t to, seen;
	bool reset;
};

struct owed_step owed_step(struct owed *w);

/* Its row, and back: false, no such can be. */
void owed_put(struct rows *r, const struct owed *w);
void owed_delete(struct rows *r, const struct owed *w);
bool owed_from_row(const void *key, size_t key_len, const void *value, size_t value_len, struct owed *ret_w);

#endif
