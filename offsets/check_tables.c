/* check_tables.c - lmdb/: can it be read, and does it say what the log says?
 *
 *     lmdb/ ──> load.c  ──> registry ──┐
 *     log   ──> apply.c ──> registry ──┴──> the same entries?
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/scope.h"
#include "offsets/fsck.h"
#include "offsets/registry.h"

struct tables_check {
	struct offsets *rows;	/* as LMDB has it; NULL: it cannot be read */
	bool absent;
	struct offsets *log;	/* as the log has it when rows->applied records have been applied */
	uint32_t implied;
	int64_t meta_records;
	mq_qoff meta_end;
	bool gap;		/* records of MQFS_META are missing */
	bool later;		/* the first of them were removed with old segments */
};

/* --- LMDB ------------------------------------------------------------------------------ */

static int
read_tables(struct fsck *f, struct offsets *o)
{
	AUTO_FREE char *path = NULL;
	struct tables *t = NULL;
	int rc;

	if (asprintf(&path, "%s/lmdb", f->dir->path) < 0)
		return -ENOMEM;
	rc = tables_open(path, true, &t);
	if (rc == MQ_OK)
		rc = load_rows(o, t, &f->mark);
	tables_close(t);
	return rc;
}

static void
begin(struct fsck *f)
{
	struct tables_check *t = f->tables = calloc(1, sizeof(*t));
	int rc;

	if (t) {
		t->rows = registry_new(f->settings, f->dir);
		t->log = registry_new(f->settings, f->dir);
	}
	if (!t || !t->rows || !t->log) {
		trouble(f, -ENOMEM);
		return;
	}
	rc = read_tables(f, t->rows);
	f->has_mark = rc == MQ_OK && t->rows->saved.once;
	if (rc == MQ_OK)
		return;
	t->absent = rc == -ENOENT;
	if (rc == -ENOMEM)
		trouble(f, rc);
	else if (!t->absent)
		finding(f, FIX_TABLES, "lmdb", "it cannot be read: %s", err_text(rc));
	offsets_close(take_ptr(t->rows));
}

/* --- what the log says -------------------------------------------------------------------- */

/* A topic without a record, known by its queues alone, can have subscribers.  Its id counts down
 * from the highest, since those in records count up. */
static int
imply_topic(struct tables_check *t, const struct meta *m)
{
	struct meta topic = { .op = META_TOPIC_SET, .implied = true };

	if ((m->op != META_SUBSCRIBE && m->op != META_UNSUBSCRIBE) || registry_find(t->log, ENTRY_TOPIC, m->topic))
		return MQ_OK;
	topic.id = META_ID_MAX - t->implied++;
	topic_conf_default(&topic.topic_conf, m->topic, 1);
	return apply(t->log, &topic);
}

/* Trims and ends are what the queues' rows say, and belong to the views; the other rows are as
 * they were when so many records had been applied. */
static bool
is_in_rows(const struct fsck *f, const struct record *rec, const struct meta *m)
{
	const struct tables_check *t = f->tables;

	if (m->op == META_TRIM || m->op == META_ENDS)
		return is_promised(f, rec->pos);
	return !t->rows || rec->qoff.n < t->rows->applied.n;
}

static void
apply_record(struct fsck *f, const struct record *rec)
{
	struct tables_check *t = f->tables;
	struct meta m;
	int rc = meta_read(rec, &m);

	if (rc == -ENOTSUP)
		finding(f, FIX_NONE, log_at(rec->pos), "metadata of a newer version: %s", err_text(rc));
	else if (rc == MQ_ECORRUPT)
		finding(f, FIX_NEVER, log_at(rec->pos), "metadata that cannot be understood: %s", err_text(rc));
	else if (rc != MQ_OK && rc != -EPERM)
		trouble(f, rc);
	if (rc != MQ_OK)
		return;
	if (is_in_rows(f, rec, &m))
		rc = imply_topic(t, &m) == MQ_OK ? apply(t->log, &m) : -ENOMEM;
	if (rc != MQ_OK)
		trouble(f, rc);
	meta_free(&m);
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	struct tables_check *t = f->tables;

	if (p->kind != PIECE_RECORD || !record_is_of(&p->rec, META_TOPIC) || p->rec.queue_id != 0)
		return;
	if (t->meta_records == 0)
		t->later = p->rec.qoff.n > 0;
	else if (p->rec.qoff.n != t->meta_end.n)
		t->gap = true;
	t->meta_records++;
	t->meta_end = qoff_add(p->rec.qoff, 1);
	t->log->store = f->views;
	apply_record(f, &p->rec);
}

/* --- the same? ----------------------------------------------------------------------------- */

/* Must a record of the log have made e?  Not a topic that is known by its queues alone, nor a file
 * whose owner and ACL were removed again. */
static bool
is_logged(struct registry_entry *e)
{
	if (e->told)
		return false;
	if (e->kind == ENTRY_TOPIC)
		return !topic_entry_of(e)->implied;
	return entry_says_something(e);
}

/* NULL: -ENOMEM. */
static char *
entry_text(struct registry_entry *e)
{
	size_t len = 0;
	struct meta m;
	char *json;

	if (entry_meta(e, true, &m) != MQ_OK)
		return NULL;
	m.topic_conf.queues = 0;	/* more of them may be known by their files */
	json = meta_encode(&m, &len);
	meta_free(&m);
	return json;
}

static void
entry_finding(struct fsck *f, struct registry_entry *e, const char *what)
{
	static const char *const tables[ENTRY_KINDS] = { "topics", "groups", "subscriptions", "attrs" };
	char where[600];

	snprintf(where, sizeof(where), "lmdb %s/%s", tables[e->kind], e->name);
	finding(f, FIX_TABLES, where, "%s", what);
}

static void
compare_entry(struct fsck *f, struct registry_entry *log)
{
	struct registry_entry *row = registry_find(f->tables->rows, log->kind, log->name);
	AUTO_FREE char *by_log = NULL, *by_row = NULL;

	if (!is_logged(log))
		return;
	if (!row || !is_logged(row)) {
		entry_finding(f, log, "there is no row of what the log says");
		return;
	}
	by_log = entry_text(log);
	by_row = entry_text(row);
	if (!by_log || !by_row)
		trouble(f, -ENOMEM);
	else if (strcmp(by_log, by_row) != 0)
		entry_finding(f, row, "the row differs from what the log says");
}

static void
compare_row(struct fsck *f, struct registry_entry *row)
{
	struct registry_entry *log = registry_find(f->tables->log, row->kind, row->name);

	if (is_logged(row) && (!log || !is_logged(log)))
		entry_finding(f, row, "a row of what the log does not say");
}

static void
each_entry(struct fsck *f, struct offsets *o, void (*each)(struct fsck *f, struct registry_entry *e))
{
	struct registry_entry *e;

	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		EACH_ENTRY(o, kind, e)
			each(f, e);
}

/* Does the log have a record for each row?  If its begin was removed, a round (rounds.c) has
 * logged the whole state again. */
static bool
is_complete(const struct fsck *f)
{
	const struct tables_check *t = f->tables;

	if (t->meta_records == 0)
		return f->begin.byte == 0;
	return !t->gap && (!t->later || (t->rows->round.at.byte > 0 && t->rows->round.at.byte >= f->begin.byte));
}

/* A slave that is mounted on a RocketMQ slave's store imports without a record, since only its
 * master writes the log. */
static bool
has_imported_as_slave(const struct tables_check *t)
{
	return t->rows->saved.as_slave && t->log->import == IMPORT_NEVER;
}

/* After a clean exit LMDB stands at the end of the log. */
static void
look_at_head(struct fsck *f)
{
	struct tables_check *t = f->tables;
	int64_t applied = t->rows->applied.n;

	if (applied > t->meta_end.n || (applied < t->meta_end.n && f->dir->was_clean))
		finding(f, FIX_TABLES, "lmdb", "it knows %" PRId64 " records of %s, the log has %" PRId64, applied,
			META_TOPIC, t->meta_end.n);
	if (!f->dir->was_clean)
		return;
	if (f->records > 0 && f->mark.store_ms != f->last_store_ms && f->mark.dispatched.byte == f->end.byte)
		finding(f, FIX_VIEWS, "lmdb mark", "stored at %" PRId64 " ms, the last record was at %" PRId64,
			f->mark.store_ms, f->last_store_ms);
	if (!t->later && t->rows->import != t->log->import && !has_imported_as_slave(t))
		finding(f, FIX_TABLES, "lmdb import", "not what the log says");
}

static void
end(struct fsck *f)
{
	struct tables_check *t = f->tables;

	if (t->absent && t->meta_records > 0)
		finding(f, FIX_VIEWS, "lmdb", "there is none");
	if (!t->rows)
		return;
	if (is_complete(f)) {
		look_at_head(f);
		each_entry(f, t->log, compare_entry);
		each_entry(f, t->rows, compare_row);
	} else if (f->n_bad == 0) {
		finding(f, FIX_NONE, "lmdb", "rows are not compared: the log has not all records of %s",
			META_TOPIC);
	}
}

static void
check_free(struct fsck *f)
{
	if (!f->tables)
		return;
	offsets_close(f->tables->rows);
	offsets_close(f->tables->log);
	free(take_ptr(f->tables));
}

const struct check check_tables = { "tables", begin, piece, end, check_free };
