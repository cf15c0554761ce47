/* epochs.h - the history of a log: who wrote which part of it, and whether two logs are one.
 *
 * A master that begins to write starts an epoch: a record (op `epoch` of MQFS_META,
 * meta.h) with a number, 16 random bytes and the store that began it.  What lies
 * between its start and the next one's was written by one master in one go:
 *
 *     A    1 ├────────────────────────┤ old master, came back
 *     B    1 ├───────────────┬ 2 ├─────────────> promoted here, master now
 *                            └ common
 *
 * so two logs are the same up to where the last epoch that both know ends in either
 * of them, and differ from there on.  The bytes before a log's first epoch (RocketMQ
 * wrote them) belong to no epoch.  Numbers rise by one from an epoch to the next; in a list
 * with a gap some were dropped, so an epoch before a gap is known to its start only.
 *
 * Pure: nothing here takes a lock or does I/O.
 */
#ifndef MQFS_OFFSETS_EPOCHS_H
#define MQFS_OFFSETS_EPOCHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"

#define EPOCH_ID_BYTES 16
#define EPOCH_ID_TEXT (2 * EPOCH_ID_BYTES + 1)	/* as hex, with its NUL */
#define EPOCH_NUMBER_MAX INT32_MAX
#define EPOCHS_MAX 512		/* kept of a history: its first one, and the newest */

struct epoch {
	int64_t number;		/* 1 .. EPOCH_NUMBER_MAX */
	mq_pos start;		/* of the first byte written in it: its own record, or a blank before it */
	unsigned char id[EPOCH_ID_BYTES];
	unsigned char by[EPOCH_ID_BYTES];	/* the store that began it: offsets_identity() */
};

/* A history, or what is kept of one: numbers and starts rise. */
struct epochs {
	struct epoch *list;
	size_t n;
};

/* Do numbers and starts rise, and are they at most EPOCHS_MAX?  For a history of another broker. */
bool epochs_ok(const struct epochs *e);

enum epochs_verdict {
	EPOCHS_FOLLOW,		/* our log is a prefix of theirs: go on at our end */
	EPOCHS_EMPTY,		/* we have nothing: all of theirs, from their begin */
	EPOCHS_DIVERGED,	/* ours must be cut at *ret_at, then compared again */
	EPOCHS_TOO_OLD,		/* a prefix, but they have removed what comes next: anew from their begin */
	EPOCHS_STALE_MASTER,	/* we know of a master after them: not to be followed */
	EPOCHS_STRANGER,	/* nothing says that it is the same log: not to be followed */
};

/* May our log follow theirs, and from where?  [begin, end) is what is there of each,
 * `self` our offsets_identity().  *ret_at is where following goes on (FOLLOW: our end,
 * EMPTY and TOO_OLD: their begin, DIVERGED: the end of what is common); it is not set
 * where it must not.
 *
 * DIVERGED loses only what we began ourselves, or what a newer epoch of theirs has
 * overruled.  Not below our begin: where nothing is common, nothing is left.
 * STALE_MASTER: their last epoch is older than one that another store began and we
 * know, or is as old and another one.
 * STRANGER: both have epochs and none in common; or one of us has none, and our log
 * reaches further than what they have of before their first epoch. */
enum epochs_verdict epochs_compare(const struct epochs *ours, mq_pos our_begin, mq_pos our_end,
				   const struct epochs *theirs, mq_pos their_begin, mq_pos their_end,
				   const unsigned char self[EPOCH_ID_BYTES], mq_pos *ret_at);

/* Of two logs that are EPOCHS_DIVERGED: is it the other that has lost its end?
 *
 *     ours      1A ├──────────────────┤      what its master's disk has lost is here
 *     theirs    1A ├──────────┬ 2A ├───>     its master came back, and went on
 */
bool epochs_lost_their_end(const struct epochs *ours, const struct epochs *theirs);

/* For a log line and status/: "follows", "diverged" ... */
const char *epochs_verdict_name(enum epochs_verdict v);

/* 16 bytes as 32 hex digits, and back (lower case only; false: it is none). */
void epoch_id_print(const unsigned char id[EPOCH_ID_BYTES], char ret_text[EPOCH_ID_TEXT]);
bool epoch_id_parse(const char *text, unsigned char ret_id[EPOCH_ID_BYTES]);

/* Add one; the list has room for EPOCHS_MAX.  An epoch that it has already is not added again.
 * False: it is not of this history, since it does not follow the last one.  A full list drops
 * its second. */
bool epochs_add(struct epochs *e, const struct epoch *one);

/* Drop the epochs that start at `end` or behind it: the log ends there. */
void epochs_cut(struct epochs *e, mq_pos end);

#endif
