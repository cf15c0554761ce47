/* fsck.h - what the parts of fsck.mqfs share.
 *
 * The log is read once, from its files alone (store/logscan.h), and every check is
 * shown every piece of it, as the views of dispatch.c are; a check then compares
 * what it has seen with what lies on the disk:
 *
 *     check_tables   lmdb/: rows, and where the views stood (begins: others need that)
 *     check_log      the log itself
 *     check_queues   consumequeue/ and byteindex/
 *     check_index    index/
 *     check_files    what else lies about
 *
 * Nothing is written while checking.  All of it is one thread.
 */
#ifndef MQFS_OFFSETS_FSCK_H
#define MQFS_OFFSETS_FSCK_H

#include "conf/settings.h"
#include "offsets/offsets.h"
#include "store/logscan.h"

/* What would put it right. */
enum fix {
	FIX_NONE,		/* nothing is wrong: a note */
	FIX_VIEWS,		/* the views are made anew from the log */
	FIX_TABLES,		/* lmdb/ is set aside, and all is made anew */
	FIX_CUT,		/* the torn end is cut, and kept in lost+found/ */
	FIX_LENGTH,		/* a segment is made as long as the others */
	FIX_NEVER,		/* the log has lost it */
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

	/* What is known of the log; grows while it is read. */
	mq_pos begin, end;	/* end: behind the last whole record */
	int64_t records;
	int64_t last_store_ms;
	struct bad_range *bad;
	size_t n_bad;

	bool has_views;		/* false: a copied snapshot, its first mount makes them */

	/* Where the views stood at the last checkpoint: records before it are in all
	 * of them, those behind are only promised by a clean exit. */
	bool has_mark;
	struct store_checkpoint mark;	/* with the queues' rows */

	/* Each check's own. */
	struct tables_check *tables;
	struct queues_check *queues;
	struct index_check *index;
	int64_t clock_steps;

	int64_t found[FIXES];
	bool again;		/* after a repair: what is lost has been told */
	int rc;			/* MQ_OK, or why the check could not be done */
};

/* One line on stdout: WHERE: WHAT.  Of many alike the first hundred are printed. */
void finding(struct fsck *f, enum fix fix, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* It cannot be known (no memory, no permission): the whole check has failed. */
void trouble(struct fsck *f, int rc);

/* Should every view hold the record at pos? */
bool is_promised(const struct fsck *f, mq_pos pos);

/* Does pos lie where the log cannot be read, or behind its end? */
bool is_lost(const struct fsck *f, mq_pos pos);

/* One check: any of these may be NULL. */
struct check {
	const char *name;
	void (*begin)(struct fsck *f);
	void (*piece)(struct fsck *f, const struct log_piece *p);	/* in order */
	void (*end)(struct fsck *f);
	void (*free)(struct fsck *f);
};

extern const struct check check_tables, check_log, check_queues, check_index, check_files;

/* --- what checks tell each other -------------------------------------------------- */

/* A trim of a queue that a record of the log speaks of (check_tables has read it). */
void queues_note_trim(struct fsck *f, const char *topic, int32_t id, mq_qoff min);

/* --- fsck_repair.c ------------------------------------------------------------------ */

/* Put right what was found, in the store at path, whose lock nobody has. */
int fsck_repair(const struct fsck *found, struct settings *settings, const char *path);

#endif
