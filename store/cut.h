/* cut.h - records at the end of the log are removed, because another master has continued the log
 * from an earlier position (or from a later one: then the whole log is removed).
 *
 *     1  STORE/cut says what is to be done                         store_cut_note
 *     2  of the segment with the position, the bytes behind it
 *        are copied to lost+found                                  store_cut_keep
 *     3  queues and key index end there, in memory and in files    store_cut_views
 *     4  a checkpoint has this in the tables                       (the floor above)
 *     5  whole segments behind it are moved to lost+found, and
 *        the log ends there                                        store_cut_log
 *     6  STORE/cut is removed                                      store_cut_done
 *
 * A crash leaves the log as it was (1 to 4), or views that end where the log is to end (5): the
 * next mount reads STORE/cut and finishes the cut.  Meanwhile there are no appends and no other
 * checkpoints; readers go on.
 *
 *     at = POSITION
 *     begin = POSITION     of a log that is to begin anew there, else -1
 *     kept = 0 | 1         step 2 is done
 *     why = A SENTENCE
 */
#ifndef MQFS_STORE_CUT_H
#define MQFS_STORE_CUT_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/pos.h"

struct queue;
struct store;
struct storedir;

#define CUT_WHY_BYTES 400

struct store_cut {
	mq_pos at;
	mq_pos begin;		/* -1: the log goes on at `at` */
	bool kept;
	char why[CUT_WHY_BYTES];
};

/* Write STORE/cut, or replace it, durably. */
int store_cut_note(struct storedir *dir, const struct store_cut *cut);

/* Read STORE/cut.  -ENOENT: no cut is unfinished; -EINVAL, noted: the file is damaged. */
int store_cut_noted(const struct storedir *dir, struct store_cut *ret);

/* Can the log be cut at `at`?  A record or a blank must begin there, or the log end there; -EINVAL,
 * noted. */
int store_cut_check(struct store *s, mq_pos at);

int store_cut_keep(struct store *s, struct store_cut *cut);

/* `trimmed`: queues of which a record behind the cut has moved the head. */
int store_cut_views(struct store *s, const struct store_cut *cut, struct queue *const *trimmed, size_t n_trimmed);
int store_cut_log(struct store *s, const struct store_cut *cut);
int store_cut_done(struct storedir *dir);

#endif
