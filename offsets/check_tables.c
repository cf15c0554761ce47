/* check_tables.c - lmdb/: can it be read, and does it say what the log says?
 *
 * LMDB believes its pages: a damaged one may lead it anywhere.  So a child reads
 * them, by the code of the mount (load.c), and tells through a pipe what it has
 * found; a child that does not come to its end has met damage.
 *
 *      child:  lmdb/ ──> registry ──> mark, rows of queues, entries ──> pipe
 *      parent: log   ──> registry ──────────────────────────> entries <══╛ the same?
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "conf/scope.h"
#include "offsets/fsck.h"
#include "offsets/registry.h"

#define CHILD_CPU_S 60		/* pages that lead in a circle come to an end, too */

enum state { TABLES_ABSENT, TABLES_BROKEN, TABLES_READ };

struct head {
	mq_qoff applied;
	enum import_state import;
	bool saved;
	mq_pos dispatched;
	mq_pos round;		/* from here on the log has all that is known */
	int64_t store_ms;
	int32_t index_count;
	char index_name[32];
};

/* "topics/orders" '\0' JSON: what is known of one name. */
struct items {
	char **items;
	size_t n, max;
};

struct tables_check {
	enum state state;
	char *why;
	struct head head;
	size_t max_rows;
	struct items rows;	/* as LMDB has them */

	struct offsets *log;	/* as the log has them */
	uint32_t implied;
	int64_t meta_records;
	mq_qoff meta_end;
	bool gap;		/* records of MQFS_META are missing */
	bool later;		/* the first of them are gone, as old segments go */
};

/* --- entries ---------------------------------------------------------------------- */

static int
items_add(struct items *e, char *item)
{
	if (e->n == e->max) {
		size_t max = e->max ? 2 * e->max : 64;
		char **items = realloc(e->items, max * sizeof(*items));

		if (!items) {
			free(item);
			return -ENOMEM;
		}
		e->items = items;
		e->max = max;
	}
	e->items[e->n++] = item;
	return MQ_OK;
}

static void
items_free(struct items *e)
{
	for (size_t i = 0; i < e->n; i++)
		free(e->items[i]);
	free(e->items);
	*e = (struct items){ 0 };
}

static const char *
entry_value(const char *item)
{
	return item + strlen(item) + 1;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int
format_item(const struct meta *m, enum entry_kind kind, char **ret_item, size_t *ret_len)
{
	static const char *const tables[ENTRY_KINDS] = { "topics", "groups", "subscriptions", "attrs" };
	const char *name = kind == ENTRY_TOPIC ? m->topic : kind == ENTRY_ATTR ? m->path : m->group;
	size_t json_len = 0;
	AUTO_FREE char *json = meta_encode(m, &json_len);
	int len;

	if (!json)
		return -ENOMEM;
	len = asprintf(ret_item, "%s/%s%s%s%c%.*s", tables[kind], name, kind == ENTRY_SUBSCRIPTION ? "/" : "",
		       kind == ENTRY_SUBSCRIPTION ? m->topic : "", '\0', (int)json_len, json);
	if (len < 0)
		return -ENOMEM;
	*ret_len = (size_t)len + 1;
	return MQ_OK;
}

/* Is it something that only a record can have said?  Topics that have only queues
 * are not, nor are files whose owner was taken away again. */
static bool
is_said(struct entry *e)
{
	if (e->told)
		return false;
	if (e->kind == ENTRY_TOPIC)
		return !entry_topic(e)->implied;
	return entry_says_something(e);
}

typedef int item_each(void *arg, char *item, size_t len);

static int
tell_entry(struct entry *e, item_each *each, void *arg)
{
	struct meta m;
	char *item;
	size_t len;
	int rc;

	if (!is_said(e))
		return MQ_OK;
	rc = entry_meta(e, true, &m);
	if (rc != MQ_OK)
		return rc;
	m.topic_conf.queues = 0;	/* more of them may be known by their files */
	rc = format_item(&m, e->kind, &item, &len);
	meta_free(&m);
	return rc == MQ_OK ? each(arg, item, len) : rc;
}

/* Each entry of a registry; `each` gets the item to keep. */
static int
tell_registry(struct offsets *o, item_each *each, void *arg)
{
	int rc = MQ_OK;

	for (int kind = 0; kind < ENTRY_KINDS; kind++)
		for (size_t i = 0; rc == MQ_OK && i < o->entries[kind].by_name.n; i++)
			rc = tell_entry(o->entries[kind].by_name.items[i], each, arg);
	return rc;
}

static int
keep_item(void *arg, char *item, size_t len)
{
	(void)len;
	return items_add(arg, item);
}

/* --- the child: lmdb/ -> pipe ---------------------------------------------------------- */

/* One message: kind, length, bytes. */
struct told {
	char kind;
	uint32_t len;
};

enum told_kind {
	TOLD_HEAD = 'h',
	TOLD_ROW = 'r',
	TOLD_ENTRY = 'e',
	TOLD_ABSENT = 'a',
	TOLD_BROKEN = 'b',
	TOLD_END = '.',
};

static void
tell(FILE *out, enum told_kind kind, const void *bytes, size_t len)
{
	struct told told = { .kind = (char)kind, .len = (uint32_t)len };

	fwrite(&told, sizeof(told), 1, out);
	fwrite(bytes, 1, len, out);
}

static int
tell_item(void *arg, char *item, size_t len)
{
	tell(arg, TOLD_ENTRY, item, len);
	free(item);
	return MQ_OK;
}

static int
tell_rows(struct offsets *o, struct tables *t, FILE *out)
{
	struct store_checkpoint cp;
	int rc = load_rows(o, t, &cp);
	struct head head;

	if (rc != MQ_OK)
		return rc;
	memset(&head, 0, sizeof(head));
	head.applied = o->applied;
	head.import = o->import;
	head.saved = o->saved_once;
	head.dispatched = cp.dispatched;
	head.round = o->round_at;
	head.store_ms = cp.store_ms;
	head.index_count = cp.index_count;
	memcpy(head.index_name, cp.index_name, sizeof(head.index_name));
	tell(out, TOLD_HEAD, &head, sizeof(head));
	for (size_t i = 0; i < cp.n; i++)
		tell(out, TOLD_ROW, &cp.rows[i], sizeof(cp.rows[i]));
	store_checkpoint_free(&cp);
	return tell_registry(o, tell_item, out);
}

static _Noreturn void
child_main(struct fsck *f, int fd)
{
	struct rlimit cpu = { .rlim_cur = CHILD_CPU_S, .rlim_max = CHILD_CPU_S };
	struct offsets *o = registry_new(f->settings, f->dir);
	FILE *out = fdopen(fd, "w");
	char path[4096];
	struct tables *t;
	int rc;

	setrlimit(RLIMIT_CPU, &cpu);
	setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
	(void)!freopen("/dev/null", "w", stderr);	/* whatever it says when it falls */
	if (!o || !out)
		_exit(1);
	snprintf(path, sizeof(path), "%s/lmdb", f->dir->path);
	rc = tables_open(path, true, &t);
	if (rc == MQ_OK)
		rc = tell_rows(o, t, out);
	if (rc == -ENOENT)
		tell(out, TOLD_ABSENT, "", 0);
	else if (rc != MQ_OK)
		tell(out, TOLD_BROKEN, err_text(rc), strlen(err_text(rc)) + 1);
	tell(out, TOLD_END, "", 0);
	_exit(fclose(out) == 0 ? 0 : 1);
}

/* --- the parent ------------------------------------------------------------------------- */

static int
hear_row(struct fsck *f, const void *bytes)
{
	struct tables_check *t = f->tables;

	if (f->mark.n == t->max_rows) {
		size_t max = t->max_rows ? 2 * t->max_rows : 64;
		struct queue_row *rows = realloc(f->mark.rows, max * sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		f->mark.rows = rows;
		t->max_rows = max;
	}
	memcpy(&f->mark.rows[f->mark.n++], bytes, sizeof(*f->mark.rows));
	return MQ_OK;
}

static int
hear(struct fsck *f, const struct told *told, char *bytes)
{
	struct tables_check *t = f->tables;
	int rc = MQ_OK;

	switch ((enum told_kind)told->kind) {
	case TOLD_HEAD:
		memcpy(&t->head, bytes, sizeof(t->head));
		t->state = TABLES_READ;
		break;
	case TOLD_ROW:
		rc = hear_row(f, bytes);
		break;
	case TOLD_ENTRY:
		return items_add(&t->rows, bytes);
	case TOLD_ABSENT:
		t->state = TABLES_ABSENT;
		break;
	case TOLD_BROKEN:
		t->state = TABLES_BROKEN;
		free(t->why);
		t->why = take_ptr(bytes);
		break;
	case TOLD_END:
		break;
	}
	free(bytes);
	return rc;
}

/* MQ_OK when the child has told all. */
static int
hear_all(struct fsck *f, FILE *in)
{
	struct told told = { 0 };
	int rc = MQ_OK;

	while (rc == MQ_OK && told.kind != TOLD_END && fread(&told, sizeof(told), 1, in) == 1) {
		char *bytes = malloc((size_t)told.len + 1);

		if (!bytes)
			return -ENOMEM;
		if (fread(bytes, 1, told.len, in) != told.len) {
			free(bytes);
			break;
		}
		bytes[told.len] = '\0';
		rc = hear(f, &told, bytes);
	}
	return rc != MQ_OK ? rc : told.kind == TOLD_END ? MQ_OK : MQ_ECORRUPT;
}

static int
ask_child(struct fsck *f)
{
	int fds[2], status = 0, rc;
	pid_t pid;
	FILE *in;

	fflush(NULL);
	if (pipe(fds) != 0)
		return err_note(-errno, "pipe: %m");
	pid = fork();
	if (pid < 0)
		return err_note(-errno, "fork: %m");
	if (pid == 0) {
		close(fds[0]);
		child_main(f, fds[1]);
	}
	close(fds[1]);
	in = fdopen(fds[0], "r");
	rc = in ? hear_all(f, in) : -ENOMEM;
	if (in)
		fclose(in);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == MQ_OK && status != 0)
		rc = MQ_ECORRUPT;
	return rc;
}

static void
begin(struct fsck *f)
{
	struct tables_check *t = f->tables = calloc(1, sizeof(*t));
	int rc = t ? ask_child(f) : -ENOMEM;

	if (rc == MQ_ECORRUPT) {
		t->state = TABLES_BROKEN;
		f->mark.n = 0;
	} else if (rc != MQ_OK) {
		trouble(f, rc);
	}
	if (t)
		t->log = registry_new(f->settings, f->dir);
	if (!t || !t->log) {
		trouble(f, -ENOMEM);
		return;
	}
	f->has_mark = t->state == TABLES_READ && t->head.saved;
	f->mark.dispatched = t->head.dispatched;
	f->mark.store_ms = t->head.store_ms;
	f->mark.index_count = t->head.index_count;
	memcpy(f->mark.index_name, t->head.index_name, sizeof(f->mark.index_name));
}

/* --- what the log says -------------------------------------------------------------------- */

/* A topic that only its queues tell of can have subscribers.  Its id is out of
 * the way of those that records give. */
static int
imply_topic(struct tables_check *t, const struct meta *m)
{
	struct meta topic = { .op = META_TOPIC_SET, .implied = true };

	if ((m->op != META_SUBSCRIBE && m->op != META_UNSUBSCRIBE) || registry_topic(t->log, m->topic))
		return MQ_OK;
	topic.id = META_ID_MAX - t->implied++;
	topic_conf_default(&topic.topic_conf, m->topic, 1);
	return apply(t->log, &topic);
}

static void
apply_record(struct fsck *f, const struct record *rec)
{
	struct tables_check *t = f->tables;
	char where[64];
	struct meta m;
	int rc = meta_read(rec, &m);

	snprintf(where, sizeof(where), "log at %" PRId64, rec->pos.byte);
	if (rc == -ENOTSUP)
		finding(f, FIX_NONE, where, "metadata of a newer version: %s", err_text(rc));
	else if (rc == MQ_ECORRUPT)
		finding(f, FIX_NEVER, where, "metadata that cannot be understood: %s", err_text(rc));
	if (rc == -ENOTSUP || rc == MQ_ECORRUPT || rc == -EPERM)
		return;
	if (rc == MQ_OK && m.op == META_TRIM)
		queues_note_trim(f, m.topic, m.queue_id, m.at);
	/* rows are as they were when so many records had been applied */
	if (rc == MQ_OK && (t->state != TABLES_READ || rec->qoff.n < t->head.applied.n))
		rc = imply_topic(t, &m) == MQ_OK ? apply(t->log, &m) : -ENOMEM;
	if (rc != MQ_OK)
		trouble(f, rc);
	else
		meta_free(&m);
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	struct tables_check *t = f->tables;
	size_t len = strlen(META_TOPIC);

	if (p->kind != PIECE_RECORD || (size_t)p->rec.topic_len != len ||
	    memcmp(p->rec.topic, META_TOPIC, len) != 0 || p->rec.queue_id != 0)
		return;
	if (t->meta_records == 0)
		t->later = p->rec.qoff.n > 0;
	else if (p->rec.qoff.n != t->meta_end.n)
		t->gap = true;
	t->meta_records++;
	t->meta_end = qoff_add(p->rec.qoff, 1);
	apply_record(f, &p->rec);
}

/* --- the same? ----------------------------------------------------------------------------- */

static void
compare_entries(struct fsck *f, const struct items *log, const struct items *rows)
{
	size_t i = 0, j = 0;
	char where[600];

	while (i < log->n || j < rows->n) {
		int d = i == log->n ? 1 : j == rows->n ? -1 : strcmp(log->items[i], rows->items[j]);

		snprintf(where, sizeof(where), "lmdb %s", d <= 0 ? log->items[i] : rows->items[j]);
		if (d < 0)
			finding(f, FIX_TABLES, where, "there is no row of what the log says");
		else if (d > 0)
			finding(f, FIX_TABLES, where, "a row of what the log does not say");
		else if (strcmp(entry_value(log->items[i]), entry_value(rows->items[j])) != 0)
			finding(f, FIX_TABLES, where, "the row differs from what the log says");
		i += d <= 0;
		j += d >= 0;
	}
}

static void
compare(struct fsck *f)
{
	struct tables_check *t = f->tables;
	struct items log = { 0 };
	int rc = tell_registry(t->log, keep_item, &log);

	if (rc != MQ_OK) {
		trouble(f, rc);
	} else {
		if (log.n)
			qsort(log.items, log.n, sizeof(*log.items), by_name);
		if (t->rows.n)
			qsort(t->rows.items, t->rows.n, sizeof(*t->rows.items), by_name);
		compare_entries(f, &log, &t->rows);
	}
	items_free(&log);
}

/* Does the log say all that the rows do?  Where its beginning is gone, a round
 * (rounds.c) has said all once more. */
static bool
is_complete(const struct fsck *f)
{
	const struct tables_check *t = f->tables;

	if (t->meta_records == 0)
		return f->begin.byte == 0;
	return !t->gap && (!t->later || (t->head.round.byte > 0 && t->head.round.byte >= f->begin.byte));
}

/* What a clean exit has left is the end of the log. */
static void
look_at_head(struct fsck *f)
{
	struct tables_check *t = f->tables;

	if (t->head.applied.n > t->meta_end.n && is_complete(f))
		finding(f, FIX_TABLES, "lmdb", "it knows %" PRId64 " records of %s, the log has %" PRId64,
			t->head.applied.n, META_TOPIC, t->meta_end.n);
	if (!f->dir->was_clean || !is_complete(f))
		return;
	if (t->head.applied.n < t->meta_end.n)
		finding(f, FIX_TABLES, "lmdb", "it knows %" PRId64 " records of %s, of %" PRId64 " in the log",
			t->head.applied.n, META_TOPIC, t->meta_end.n);
	if (f->records > 0 && f->mark.store_ms != f->last_store_ms && f->mark.dispatched.byte == f->end.byte)
		finding(f, FIX_VIEWS, "lmdb mark", "stored at %" PRId64 " ms, the last record was at %" PRId64,
			f->mark.store_ms, f->last_store_ms);
	if (!t->later && t->head.import != t->log->import)
		finding(f, FIX_TABLES, "lmdb import", "not what the log says");
}

static void
end(struct fsck *f)
{
	struct tables_check *t = f->tables;

	switch (t->state) {
	case TABLES_ABSENT:
		if (t->meta_records > 0)
			finding(f, FIX_VIEWS, "lmdb", "there is none");
		break;
	case TABLES_BROKEN:
		finding(f, FIX_TABLES, "lmdb", "it cannot be read: %s", t->why ? t->why : "a damaged page");
		break;
	case TABLES_READ:
		look_at_head(f);
		if (is_complete(f))
			compare(f);
		else if (f->n_bad == 0)
			finding(f, FIX_NONE, "lmdb", "rows are not compared: the log has not all records of %s",
				META_TOPIC);
		break;
	}
}

static void
check_free(struct fsck *f)
{
	if (!f->tables)
		return;
	items_free(&f->tables->rows);
	offsets_close(f->tables->log);
	free(f->tables->why);
	free(f->tables);
	f->tables = NULL;
}

const struct check check_tables = { "tables", begin, piece, end, check_free };
