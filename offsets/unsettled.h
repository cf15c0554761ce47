/* unsettled.h - commits made on a slave that the log of its master does not show yet, and
 * how they are merged with what that log says.  slave_commits.c has the list of them.
 * Internal to this floor.
 *
 * Consumers on a slave commit here: their offset moves at once, is kept in LMDB, and is
 * sent to the master.  The master's decision comes back in the log.  Only then is the
 * commit settled, whatever the master has answered: a master may crash before its answer
 * is durable, and then its successor is asked again.
 *
 * An offset on a slave is in one of three states; L is the offset that the log says:
 *
 *     settled                                at = L
 *     unsettled forward: to                  at = to, more than L
 *     unsettled reset: reset, then to        at = to, whatever L is
 *
 * A record of the log with offset v, number k among the records of MQFS_META, changes that:
 *
 *     record      settled           unsettled forward           unsettled reset
 *     forward v   L = v, at = v     L = v; settled if v >= to   L = v
 *     reset v     L = v, at = v     L = v; lost: at = v         L = v; if v is the reset that was
 *                                                               sent, `to` is unsettled forward;
 *                                                               else lost: at = v
 *
 * but a record with k < seen only sets L: `seen` is how many records of MQFS_META were
 * known here when the commit was made, and a restart may read some of them again.  So if a
 * commit here and a reset in the log did not know of each other, the reset counts as the
 * newer one; and nothing but a reset moves an offset back.
 *
 * The slave sends `seen` with each commit, and the master ignores a commit that its last
 * reset of that offset has overtaken (commit_from_slave()).  So a reset that is sent twice,
 * because its answer was lost, counts once.  Therefore a reset that may have arrived
 * (`sent`) is sent again unchanged until the log shows what became of it, and a newer one
 * waits behind it.
 */
#ifndef MQFS_OFFSETS_UNSETTLED_H
#define MQFS_OFFSETS_UNSETTLED_H

#include <stdbool.h>
#include <stdint.h>

#include "offsets/tables.h"
#include "store/record.h"

#define UNSETTLED_NONE (-1)

struct unsettled {
	char name[2 * RECORD_TOPIC_MAX + 2];	/* of the subscription: GROUP/TOPIC */
	int32_t queue_id;

	int64_t to;		/* the offset that consumers see here */
	int64_t seen;		/* records known when `reset` was made; without one, when `to` was */
	int64_t reset;		/* a reset before `to`, or UNSETTLED_NONE */
	int64_t sent;		/* the reset that was sent and may have arrived, which is `reset` or an
				 * older one, or UNSETTLED_NONE */
	int64_t sent_seen;

	/* slave_commits.c's: */
	bool settled;		/* the log has decided: the next checkpoint deletes its row */
	bool dirty;		/* its row is to be written */
	bool again;		/* it is to be sent to the master */
	bool confirmed;		/* the master has answered `sent`; its log must show it before it is settled */
	int64_t first, last;	/* the oldest and newest commit not answered, by number; 0: all are */
	int64_t answered_ms;	/* when the master answered last: clock_mono_ms(); 0: it has not */
};

/* A struct without a commit yet. */
struct unsettled unsettled_begin(const char *name, int32_t queue_id);

/* The order of the rows, and of struct sorted. */
int unsettled_cmp(const void *key, const void *item);	/* both struct unsettled */

/* A commit made here, when `applied` records were known. */
void unsettled_forward(struct unsettled *w, int64_t to, int64_t applied);
void unsettled_reset(struct unsettled *w, int64_t to, int64_t applied);

/* Is there a reset before `to`? */
static inline bool
unsettled_is_reset(const struct unsettled *w)
{
	return w->reset != UNSETTLED_NONE || w->sent != UNSETTLED_NONE;
}

/* What becomes of a commit when record k of the log sets or resets the offset to v: */
enum merged {
	MERGED_STAYS,		/* it stays unsettled; the offset is w->to */
	MERGED_SETTLED,		/* the log has it */
	MERGED_LOST,		/* a newer reset has replaced it */
};

enum merged unsettled_merge(struct unsettled *w, int64_t k, int64_t v, bool reset);

/* The log was cut, and the queue ends at `end` now. */
void unsettled_cut(struct unsettled *w, int64_t end, int64_t applied);

/* The message that is sent to the master next. */
struct unsettled_step {
	int64_t to, seen;
	bool reset;
};

struct unsettled_step unsettled_step(struct unsettled *w);

/* Write and delete its row, and read one.  False: it is no valid row. */
void unsettled_put(struct rows *r, const struct unsettled *w);
void unsettled_delete(struct rows *r, const struct unsettled *w);
bool unsettled_from_row(const void *key, size_t key_len, const void *value, size_t value_len, struct unsettled *ret_w);

#endif
