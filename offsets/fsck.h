/* fsck.h - what the parts of fsck.mqfs share.
 *
 * The log is read once, from its files alone (store/logscan.h).  The code of a mount makes all
 * views anew from it, in a private place, up to where those in the store stand; each check then
 * compares what was made with what is there:
 *
 *     check_tables   lmdb/: rows of topics, groups ...   begins: says where the views stood
 *     check_log      the log itself
 *     check_queues   consumequeue/, byteindex/ and their rows in lmdb/
 *     check_index    index/
 *     check_files    other files
 *
 * Some facts are in the store alone: how far retention has moved a queue's head, the keys of
 * records that were removed.  The views get these before they are made, so they are not compared.
 *
 * Nothing is written in the store while checking.  All of it is one thread.
 */
#ifndef MQFS_OFFSETS_FSCK_H
#define MQFS_OFFSETS_FSCK_H

#include "conf/settings.h"
#include "offsets/offsets.h"
#include "store/logscan.h"
#include "store/rebuild.h"

/* How a finding is repaired. */
enum fix {
	FIX_NONE,		/* nothing is wrong: a note */
	FIX_VIEWS,		/* the views are made anew from the log */
	FIX_TABLES,		/* lmdb/ is set aside, and all is made anew */
	FIX_CUT,		/* the torn end is cut, and kept in lost+found/ */
	FIX_LENGTH,		/* a segment is made as long as the others */
	FIX_NEVER,		/* not at all: the log has lost it */
	FIXES,
};

/* A part of the log in which no record can be read. */
struct bad_range {
	mq_pos from, to;
};

struct fsck {
	struct settings *settings;
	struct storedir *dir;
	struct logscan *log;
	struct logscan *look;	/* the same: single records */

	/* What is known of the log; grows while it is read. */
	mq_pos begin, end;	/* end: behind the last whole record */
	int64_t records;
	int64_t last_store_ms;
	struct bad_range *bad;
	size_t n_bad, max_bad;
	mq_pos *contradicted;	/* records that say that they are what the queues know otherwise */
	size_t n_contradicted, max_contradicted;

	bool has_views;		/* false: a copied snapshot, its first mount makes them */

	/* Where the views stood at the last checkpoint: records before it are in all
	 * of them, those behind are only promised by a clean exit. */
	bool has_mark;
	struct store_checkpoint mark;	/* with the queues' rows */
	struct store *views;		/* made anew up to there */

	/* Each check's own. */
	struct tables_check *tables;
	struct index_check *index;
	int64_t clock_steps;

	int64_t found[FIXES];
	bool again;		/* the check after a repair: FIX_NEVER and FIX_NONE were printed before */
	int rc;			/* MQ_OK, or why the check could not be done */
};

/* One line on stdout: WHERE: WHAT.  Of many alike the first hundred are printed. */
void finding(struct fsck *f, enum fix fix, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* WHERE of a finding: a position in the log.  Valid until the next call. */
const char *log_at(mq_pos pos);

/* It cannot be known (no memory, no permission): the whole check has failed. */
void trouble(struct fsck *f, int rc);

/* Should every view hold the record at pos? */
bool is_promised(const struct fsck *f, mq_pos pos);

/* Does pos lie where the log cannot be read, or behind its end? */
bool is_lost(const struct fsck *f, mq_pos pos);

/* The record at pos says that it is another message than the views know there. */
void note_contradicted(struct fsck *f, mq_pos pos);
bool is_contradicted(const struct fsck *f, mq_pos pos);

/* One check: any of these may be NULL. */
struct check {
	const char *name;
	void (*begin)(struct fsck *f);
	void (*piece)(struct fsck *f, const struct log_piece *p);	/* in order */
	void (*end)(struct fsck *f);
	void (*free)(struct fsck *f);
};

extern const struct check check_tables, check_log, check_queues, check_index, check_files;

/* --- fsck_repair.c ------------------------------------------------------------------ */

/* Put right what was found, in the store at path, whose lock nobody has. */
int fsck_repair(const struct fsck *found, struct settings *settings, const char *path);

#endif
