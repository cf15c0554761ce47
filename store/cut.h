/* cut.h - the end of the log goes, because it is not the log any more: another master
 * has gone on from an earlier position (or from a later one: then all of it goes).
 *
 *     1  STORE/cut says what is to be done                         store_cut_note
 *     2  of the segment with the position, what is behind it is
 *        copied to lost+found                                      store_cut_keep
 *     3  queues and key index go back to it, in memory and files   store_cut_views
 *     4  a checkpoint: the tables say so, too                      (the floor above)
 *     5  whole segments behind it are renamed to lost+found, the
 *        log ends there                                            store_cut_log
 *     6  STORE/cut goes                                            store_cut_done
 *
 * A crash at any point leaves the log as it was (1 to 4), or views that end where the
 * log is to end (5): the next mount opens the store as ever, knows from STORE/cut, and
 * does what is left.  Nobody appends meanwhile, nor makes a checkpoint; readers go on.
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

/* What is to be done, durably.  Replaces what was noted before. */
int store_cut_note(struct storedir *dir, const struct store_cut *cut);

/* What was begun and not finished.  -ENOENT: nothing; -EINVAL, noted: not to be read. */
int store_cut_noted(const struct storedir *dir, struct store_cut *ret);

/* Does a record, or a blank, begin at `at`, or does the log end there?  -EINVAL, noted:
 * neither, or outside of it. */
int store_cut_check(struct store *s, mq_pos at);

int store_cut_keep(struct store *s, struct store_cut *cut);

/* `trimmed`: queues of which a record behind the cut has taken messages from readers. */
int store_cut_views(struct store *s, const struct store_cut *cut, struct queue *const *trimmed, size_t n_trimmed);
int store_cut_log(struct store *s, const struct store_cut *cut);
int store_cut_done(struct storedir *dir);

#endif
