/* check_queues.c - consumequeue/, byteindex/ and the queues' rows in lmdb/, against queues that
 * were made anew from the log.
 *
 * Entries are compared one by one.  Where they differ, the record that the entry on the disk
 * leads to says what is wrong:
 *
 *   there is none, the log has lost it       the message is lost
 *   it is this very message                  nothing is wrong with the entry: a damaged record
 *                                            behind it has led the rebuilt queue astray
 *   it says that it is another message       the record is damaged: the views are right, and
 *                                            must not be made anew from it
 *   there is none, and nothing is damaged    the entry is wrong: the views can be made anew
 *
 * Where the log has lost messages, nobody knows how long their bodies were: byteindex is
 * believed for the first message behind them.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/number.h"
#include "conf/scope.h"
#include "offsets/fsck.h"
#include "store/file.h"
#include "store/queues.h"

#define LEVEL_MAX_MS (INT64_C(366) * 86400 * 1000)
#define BLOCK_ENTRIES 256	/* of one queue, compared at a time */
#define OUTSIDE_MAX 128		/* entries beside those of the log that are looked at */
#define START_MAX ((int64_t)1 << 60)

enum half { ENTRIES, STARTS, HALVES };

static const struct {
	const char *dir;
	int64_t bytes;		/* of one entry */
} halves[HALVES] = {
	[ENTRIES] = { "consumequeue", QUEUE_ENTRY_BYTES },
	[STARTS] = { "byteindex", QUEUE_START_BYTES },
};

/* One queue: as it was made anew, and as it lies on the disk. */
struct pair {
	struct fsck *f;
	struct queue *q;
	const char *topic;
	int32_t id;
	struct queue_span log;		/* what was made anew */
	const struct queue_row *row;	/* NULL: none */
	int64_t file_entries;

	bool differs;			/* messages are lost, or records contradict the views */
	struct {
		int64_t from, n;	/* messages that the log has lost, up to here; n 0: none */
		mq_pos at;		/* of one of them; -1: not known */
	} lost;
	int64_t shift;			/* of starts on the disk to those made anew */
	bool shift_known;
};

/* Entries as they are on the disk. */
struct on_disk {
	bool there[HALVES];		/* there is such a file */
	unsigned char raw[HALVES][BLOCK_ENTRIES * QUEUE_ENTRY_BYTES];
};

static void __attribute__((format(printf, 4, 5)))
queue_finding(const struct pair *p, enum fix fix, const char *dir, const char *fmt, ...)
{
	char where[RECORD_TOPIC_MAX + 64], what[300];
	va_list ap;

	snprintf(where, sizeof(where), dir ? "%s/%s/%" PRId32 : "%s%s/q%" PRId32, dir ? dir : "", p->topic, p->id);
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	finding(p->f, fix, where, "%s", what);
}

static int
row_cmp(const void *a, const void *b)
{
	const struct queue_row *x = a, *y = b;
	int d = strcmp(x->topic, y->topic);

	return d ? d : (x->queue_id > y->queue_id) - (x->queue_id < y->queue_id);
}

static void
pair_of(struct fsck *f, const char *topic, int32_t id, struct pair *ret)
{
	struct queue_row key = { .queue_id = id };
	struct pair p = {
		.f = f, .topic = topic, .id = id, .q = store_queue(f->views, topic, id),
		.file_entries = store_queue_file_entries(f->views),
	};

	snprintf(key.topic, sizeof(key.topic), "%s", topic);
	p.row = f->mark.n ? bsearch(&key, f->mark.rows, f->mark.n, sizeof(key), row_cmp) : NULL;
	if (p.row && !queue_row_valid(p.row))
		p.row = NULL;
	if (p.q)
		queue_span(p.q, &p.log);
	*ret = p;
}

/* --- entries on the disk ---------------------------------------------------------------- */

/* n entries from `from` on, which are of one file; as far as it has them, the rest is zero. */
static void
read_entries(const struct pair *p, int64_t from, size_t n, struct on_disk *d)
{
	char name[RECORD_TOPIC_MAX + 64];

	memset(d->raw, 0, sizeof(d->raw));
	for (int half = 0; half < HALVES; half++) {
		int64_t bytes = halves[half].bytes, in_file = from % p->file_entries;

		snprintf(name, sizeof(name), "%s/%s/%" PRId32 "/%020" PRId64, halves[half].dir, p->topic, p->id,
			 (from - in_file) * bytes);
		AUTO_CLOSE int fd = openat(p->f->dir->fd, name, O_RDONLY | O_CLOEXEC);
		d->there[half] = fd >= 0 && pread(fd, d->raw[half], n * (size_t)bytes, in_file * bytes) >= 0;
	}
}

static struct queue_entry
entry_of(const struct on_disk *d, size_t i)
{
	struct queue_entry e;

	queue_entry_decode(d->raw[ENTRIES] + i * QUEUE_ENTRY_BYTES, d->raw[STARTS] + i * QUEUE_START_BYTES, &e);
	return e;
}

/* --- messages that the log has lost -------------------------------------------------------- */

static void
lost_end(struct pair *p)
{
	int64_t from = p->lost.from, to = from + p->lost.n - 1;

	if (p->lost.n == 0)
		return;
	if (from == to && p->lost.at.byte >= 0)
		queue_finding(p, FIX_NEVER, NULL, "message %" PRId64 " is lost, it was at %" PRId64 " of the log", from,
			      p->lost.at.byte);
	else if (p->lost.at.byte >= 0)
		queue_finding(p, FIX_NEVER, NULL, "messages %" PRId64 " to %" PRId64
			      " are lost, the first was at %" PRId64 " of the log", from, to, p->lost.at.byte);
	else
		queue_finding(p, FIX_NEVER, NULL, "messages %" PRId64 " to %" PRId64 " are not in the log", from, to);
	p->lost.n = 0;
}

/* `at` -1: its entry does not say. */
static void
lost_add(struct pair *p, int64_t n, mq_pos at)
{
	p->differs = true;
	p->shift_known = false;
	if (p->lost.n == 0) {
		p->lost.from = n;
		p->lost.at = MQ_POS(-1);
	}
	if (p->lost.at.byte < 0)
		p->lost.at = at;
	p->lost.n = n + 1 - p->lost.from;
}

/* --- where they differ ---------------------------------------------------------------------- */

static void
contradiction(struct pair *p, int64_t n, const struct record *rec)
{
	p->differs = true;
	p->shift_known = false;
	finding(p->f, FIX_NEVER, log_at(rec->pos), "it says that it is %.*s/q%" PRId32 "@%" PRId64
		", the queues have it as %s/q%" PRId32 "@%" PRId64 ": damaged", (int)rec->topic_len, rec->topic,
		rec->queue_id, rec->qoff.n, p->topic, p->id, n);
	note_contradicted(p->f, rec->pos);
}

/* Entry e of message n, which the log has not, or elsewhere.  True: e is wrong.  A record that says
 * that it is another message is damaged where the log has no message n but this; else e is wrong. */
static bool
is_wrong(struct pair *p, int64_t n, bool log_has_it, const struct queue_entry *e)
{
	struct fsck *f = p->f;
	struct record rec;

	if (is_lost(f, e->pos)) {
		lost_add(p, n, e->pos);
		return false;
	}
	if (logscan_record(f->look, e->pos, &rec) != MQ_OK || rec.total != e->total)
		return true;
	if (record_is_of(&rec, p->topic) && rec.queue_id == p->id && rec.qoff.n == n && sysflag_is_queued(rec.sysflag))
		p->differs = true;
	else if (log_has_it)
		return true;
	else
		contradiction(p, n, &rec);
	p->shift_known = false;
	return false;
}

/* The log has no message n. */
static void
compare_with_none(struct pair *p, int64_t n, const struct queue_entry *e)
{
	bool is_empty = e->total <= 0 || e->total == QUEUE_HOLE_SIZE;

	/* compare_row() tells of what went with the log's first segments */
	if (n < p->log.min.n && p->log.last_end.byte != 0 && (is_empty || e->pos.byte < p->f->begin.byte))
		return;
	if (is_empty)
		lost_add(p, n, MQ_POS(-1));
	if (is_empty || !is_wrong(p, n, false, e))
		return;
	queue_finding(p, FIX_VIEWS, "consumequeue", "entry %" PRId64
		      ": no record of the log is this message, and none is damaged at %" PRId64, n, e->pos.byte);
	lost_add(p, n, MQ_POS(-1));
}

/* When a waiting message is due: of a delay level, by the messageDelayLevel of its time, which
 * the store does not tell (levels are whole seconds); of any other time, not before those
 * that were delivered already. */
static bool
is_due_otherwise(const struct pair *p, int64_t due_ms, int64_t made_ms)
{
	int64_t apart = due_ms - made_ms;

	if (strcmp(p->topic, SCHEDULE_TOPIC) == 0)
		return apart % 1000 == 0 && llabs(apart) <= LEVEL_MAX_MS;
	return strcmp(p->topic, TIMED_TOPIC) == 0 && apart > 0;
}

/* Message n, which the log has as `made` says. */
static void
compare_with(struct pair *p, int64_t n, const struct queue_entry *made, const struct queue_entry *e)
{
	bool differs = e->pos.byte != made->pos.byte || e->total != made->total;

	if (differs && (e->total <= 0 || e->pos.byte == made->pos.byte || is_lost(p->f, e->pos) ||
			is_wrong(p, n, true, e)))
		queue_finding(p, FIX_VIEWS, "consumequeue", "entry %" PRId64 ": says %" PRId32 " bytes at %" PRId64
			      ", the record has %" PRId32 " at %" PRId64, n, e->total, e->pos.byte, made->total,
			      made->pos.byte);
	else if (!differs && e->tags_code != made->tags_code && !is_due_otherwise(p, e->tags_code, made->tags_code))
		queue_finding(p, FIX_VIEWS, "consumequeue", "entry %" PRId64 ": its tagsCode is %" PRId64
			      ", that of the record %" PRId64, n, e->tags_code, made->tags_code);
}

/* Compare where the body of message n begins: `made` was counted from 0, the entry on the disk from `shift`. */
static void
compare_starts(struct pair *p, int64_t n, int64_t made, int64_t start)
{
	if (start < 0 || start > START_MAX || (p->shift_known && start != made + p->shift))
		queue_finding(p, FIX_VIEWS, "byteindex", "entry %" PRId64 ": begins at byte %" PRId64
			      ", but the bodies before it take %" PRId64, n, start, made + p->shift);
	else
		p->shift = start - made;
	p->shift_known = true;
}

/* --- one queue -------------------------------------------------------------------------------- */

/* How many entries of [from, to) can be compared at once: they are of one file. */
static size_t
at_once(const struct pair *p, int64_t from, int64_t to)
{
	int64_t n = p->file_entries - from % p->file_entries;

	if (n > to - from)
		n = to - from;
	return n > BLOCK_ENTRIES ? BLOCK_ENTRIES : (size_t)n;
}

/* Entries [from, to) of which the log has none; only the first or, if they end where the log
 * begins, the last of them are looked at. */
static void
compare_outside(struct pair *p, int64_t from, int64_t to)
{
	int64_t end = MIN(to, from + OUTSIDE_MAX);
	struct on_disk d;
	size_t n;

	if (to == p->log.min.n && p->log.last_end.byte != 0) {
		from = MAX(from, to - OUTSIDE_MAX);
		end = to;
	}
	for (; from < end; from += (int64_t)n) {
		n = at_once(p, from, end);
		read_entries(p, from, n, &d);
		for (size_t i = 0; i < n; i++) {
			struct queue_entry e = entry_of(&d, i);

			compare_with_none(p, from + (int64_t)i, &e);
		}
	}
	if (p->lost.n > 0)
		p->lost.n += to - end;
}

/* Entries [from, to), all of which were made anew. */
static void
compare_inside(struct pair *p, int64_t from, int64_t to)
{
	struct queue_entry made[BLOCK_ENTRIES];
	struct on_disk d;
	size_t n;

	for (; from < to; from += (int64_t)n) {
		int rc = queue_entries(p->q, MQ_QOFF(from), made, at_once(p, from, to), &n);

		if (rc != MQ_OK) {
			trouble(p->f, rc);
			return;
		}
		read_entries(p, from, n, &d);
		for (int half = 0; half < HALVES; half++)
			if (!d.there[half] && p->f->has_views && (half == ENTRIES || p->f->has_mark))
				queue_finding(p, FIX_VIEWS, halves[half].dir, "entry %" PRId64 ": its file is missing", from);
		for (size_t i = 0; i < n; i++) {
			struct queue_entry e = entry_of(&d, i);

			if (made[i].total == QUEUE_HOLE_SIZE) {
				compare_with_none(p, from + (int64_t)i, &e);
				continue;
			}
			lost_end(p);
			if (d.there[ENTRIES])
				compare_with(p, from + (int64_t)i, &made[i], &e);
			if (d.there[STARTS])
				compare_starts(p, from + (int64_t)i, made[i].start, e.start);
		}
	}
}

/* Compare the row of a queue with the log. */
static void
compare_row(struct pair *p)
{
	const struct queue_span *row = &p->row->span, *log = &p->log;

	if (log->last_end.byte == 0)
		return;			/* the log has no message of it */
	if (!p->differs && (row->end.n != log->end.n || row->last_end.byte != log->last_end.byte ||
			    row->last_store_ms != log->last_store_ms))
		queue_finding(p, FIX_VIEWS, NULL, "its row in lmdb ends with message %" PRId64 ", the log with %" PRId64,
			      row->end.n - 1, log->end.n - 1);
	else if (p->shift_known && row->end.n == log->end.n && row->end_bytes != log->end_bytes + p->shift)
		queue_finding(p, FIX_VIEWS, "byteindex", "the bodies take %" PRId64 " bytes, its row in lmdb says %" PRId64,
			      log->end_bytes + p->shift, row->end_bytes);
	if (!p->f->dir->was_clean || p->differs)
		return;
	if (row->min.n > log->min.n)
		queue_finding(p, FIX_TABLES, NULL, "its row in lmdb begins with message %" PRId64 ", the log with %" PRId64,
			      row->min.n, log->min.n);
	else if (row->min.n < log->min.n)
		queue_finding(p, FIX_TABLES, NULL, "its row in lmdb begins with message %" PRId64
			      ", but those before %" PRId64 " are gone", row->min.n, log->min.n);
}

/* Are all its entries of records that contradict the views?  Then the store has no such queue. */
static bool
is_all_contradicted(const struct pair *p)
{
	struct queue_entry e;
	int64_t at = p->log.min.n;
	size_t n;

	while (at < p->log.end.n && queue_entries(p->q, MQ_QOFF(at), &e, 1, &n) == MQ_OK &&
	       (e.total == QUEUE_HOLE_SIZE || is_contradicted(p->f, e.pos)))
		at++;
	return at == p->log.end.n;
}

static void
compare_queue(struct pair *p)
{
	const struct queue_span *log = &p->log, *row = p->row ? &p->row->span : log;
	int64_t first = MAX(row->min.n, log->min.n);

	p->shift_known = p->row && row->min.n == first && first <= log->end.n;
	p->shift = row->start_bytes - log->start_bytes;
	compare_outside(p, row->min.n, MIN(log->min.n, row->end.n));
	compare_inside(p, first, MIN(row->end.n, log->end.n));
	compare_outside(p, MAX(log->end.n, row->min.n), row->end.n);
	lost_end(p);
	if (p->row)
		compare_row(p);
}

/* --- a queue's files ------------------------------------------------------------------------------ */

/* Is anything of fd but zeros in [from, to)? */
static bool
has_data(int fd, int64_t from, int64_t to)
{
	int64_t last = from;

	return file_last_data(fd, from, to, &last) != MQ_OK || last > from;
}

struct files_of {
	struct fsck *f;
	const struct pair *p;
	enum half half;
};

/* One file: its length, its name, and nothing behind the queue's end. */
static int
look_at_file(int dirfd, const char *name, void *arg)
{
	const struct files_of *of = arg;
	const struct pair *p = of->p;
	int64_t bytes = halves[of->half].bytes, size = p->file_entries * bytes, base = name_number(name, QUEUE_FILE_DIGITS);
	int64_t end = MAX(p->log.end.n, p->row ? p->row->span.end.n : 0);
	char where[2 * RECORD_TOPIC_MAX];
	struct stat st;

	snprintf(where, sizeof(where), "%s/%s/%" PRId32 "/%.40s", halves[of->half].dir, p->topic, p->id, name);
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || base < 0)
		finding(of->f, FIX_NONE, where, "is left over, or not ours");
	else if (st.st_size != size)
		finding(of->f, FIX_VIEWS, where, "%" PRId64 " bytes long, not %" PRId64, (int64_t)st.st_size, size);
	else if (base % size != 0)
		finding(of->f, FIX_VIEWS, where, "its name is no multiple of its size");
	else if (of->half == ENTRIES && of->f->dir->was_clean &&
		 has_data(fd, MIN(MAX(end * bytes - base, 0), size), size))
		finding(of->f, FIX_VIEWS, where, "not zero behind the end of the queue");
	return MQ_OK;
}

struct topic_of {
	struct files_of of;
	const char *topic;
};

static int
look_at_queue(int dirfd, const char *name, void *arg)
{
	struct topic_of *t = arg;
	struct fsck *f = t->of.f;
	struct pair p;
	int64_t id;

	if (!text_number(name, 0, INT32_MAX, &id))
		return MQ_OK;
	pair_of(f, t->topic, (int32_t)id, &p);
	t->of.p = &p;
	return dir_each(dirfd, name, look_at_file, &t->of);
}

static int
look_at_topic(int dirfd, const char *name, void *arg)
{
	struct topic_of t = { .of = *(struct files_of *)arg, .topic = name };

	return record_topic_valid(name, strlen(name)) ? dir_each(dirfd, name, look_at_queue, &t) : MQ_OK;
}

/* --- the check ----------------------------------------------------------------------------------------- */

static void
begin(struct fsck *f)
{
	int rc;

	for (size_t i = 0; i < f->mark.n; i++)
		if (!queue_row_valid(&f->mark.rows[i]))
			finding(f, FIX_TABLES, "lmdb queues", "the row of %.127s/q%" PRId32 " cannot be",
				f->mark.rows[i].topic, f->mark.rows[i].queue_id);
	if (f->mark.n)
		qsort(f->mark.rows, f->mark.n, sizeof(*f->mark.rows), row_cmp);
	rc = rebuild_open(f->settings, f->dir, &f->mark, f->begin, &f->views);
	if (rc != MQ_OK)
		trouble(f, rc);
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	int rc = p->kind == PIECE_RECORD && is_promised(f, p->pos) ? rebuild_record(f->views, &p->rec) : MQ_OK;

	if (rc != MQ_OK)
		trouble(f, rc);
}

/* A queue that the log has, and the table `queues` perhaps not. */
static int
compare_unless_row(struct queue *q, void *arg)
{
	struct fsck *f = arg;
	struct pair p;

	pair_of(f, queue_topic(q), queue_id(q), &p);
	if (p.row || p.log.last_end.byte == 0)
		return MQ_OK;
	if (f->has_mark && !is_all_contradicted(&p))
		queue_finding(&p, FIX_VIEWS, NULL, "it has no row in lmdb");
	else if (f->has_views && !f->has_mark)
		compare_queue(&p);
	return MQ_OK;
}

static void
end(struct fsck *f)
{
	struct files_of of = { .f = f };

	for (size_t i = 0; i < f->mark.n; i++) {
		struct pair p;

		pair_of(f, f->mark.rows[i].topic, f->mark.rows[i].queue_id, &p);
		if (p.row)
			compare_queue(&p);
	}
	(void)store_each_queue(f->views, compare_unless_row, f);
	for (int half = 0; half < HALVES; half++) {
		AUTO_CLOSE int fd = -1;

		of.half = (enum half)half;
		if (dir_open(f->dir->fd, halves[half].dir, 0, &fd) == MQ_OK)
			(void)dir_each(fd, ".", look_at_topic, &of);
		else if (f->has_views && (half == ENTRIES || f->has_mark) && f->records > 0)
			finding(f, FIX_VIEWS, halves[half].dir, "there is none");
	}
}

static void
check_free(struct fsck *f)
{
	store_close(f->views);
	f->views = NULL;
}

const struct check check_queues = { "queues", begin, piece, end, check_free };
