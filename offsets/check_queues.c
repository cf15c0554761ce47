/* check_queues.c - consumequeue/ and byteindex/ against the log.
 *
 * Each record of the log is held against the entry of its message, as it comes by:
 *
 *     log       record of T/q0@17 at 4711, 172 bytes, tag A, body of 13
 *     entry     4711, 172, hash of A           start       of 17, + 13 = start of 18
 *
 * Where the log has a gap, the entries say what it has lost.  What stands behind a
 * message that the log calls by another number than its entry does is a damaged
 * record: the views are right then, and must not be made anew from it.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fsck.h"
#include "offsets/sorted.h"
#include "store/body.h"
#include "store/dispatch.h"
#include "store/file.h"
#include "store/queue.h"

#define BLOCK_ENTRIES 128	/* of one queue, read at a time */
#define SUSPECTS_MAX 20		/* kept for one queue */
#define QOFF_MAX (INT64_MAX / 64)
#define START_MAX ((int64_t)1 << 60)

enum half { ENTRIES, STARTS, HALVES };

static const struct {
	const char *dir;
	int64_t bytes;		/* of one entry */
} halves[HALVES] = {
	[ENTRIES] = { "consumequeue", QUEUE_ENTRY_BYTES },
	[STARTS] = { "byteindex", QUEUE_START_BYTES },
};

/* An entry that is not as the log has it; unless the queue starts over behind it. */
struct suspect {
	int64_t n;
	enum half half;
	char *what;
};

struct checked_queue {
	char topic[RECORD_TOPIC_MAX + 1];
	int32_t id;
	const struct queue_row *row;	/* NULL: none */
	bool seen;			/* the log has a message of it */
	bool gap;			/* and not all it should have */
	mq_qoff first, end;		/* those it has */
	mq_pos last_end;
	mq_qoff promised;		/* the end of those that every view must hold, */
	mq_pos promised_end;		/* and of the last one's record, */
	int64_t promised_ms;		/* when that was stored, */
	int64_t end_bytes;		/* and how long all bodies are */
	bool start_known;		/* end_bytes is true */
	mq_qoff trim;			/* the log says: none before it */

	struct suspect suspects[SUSPECTS_MAX];
	size_t n_suspects;
	int64_t more_suspects;
	int64_t missing_file[HALVES];	/* + 1; 0: none has been told of */

	int64_t block;			/* number of the block that is read, -1: none */
	bool block_ok[HALVES];
	unsigned char *raw[HALVES];
};

struct queues_check {
	int dirfd[HALVES];		/* -1: the directory is missing */
	int64_t file_entries;
	struct sorted list;		/* of struct checked_queue */
	struct checked_queue *last;	/* of the last record */
};

/* --- the table of queues -------------------------------------------------------------- */

struct queue_key {
	const char *topic;
	size_t len;
	int32_t id;
};

static int
queue_cmp(const void *key, const void *item)
{
	const struct queue_key *k = key;
	const struct checked_queue *q = item;
	int d = strncmp(k->topic, q->topic, k->len);

	if (d == 0 && q->topic[k->len])
		d = -1;
	return d ? d : (k->id > q->id) - (k->id < q->id);
}

static struct checked_queue *
queue_find(struct fsck *f, const char *topic, size_t len, int32_t id)
{
	struct queues_check *qs = f->queues;
	struct queue_key key = { topic, len, id };

	if (!qs->last || queue_cmp(&key, qs->last) != 0)
		qs->last = sorted_find(&qs->list, &key, queue_cmp);
	return qs->last;
}

static struct checked_queue *
queue_make(struct fsck *f, const char *topic, size_t len, int32_t id)
{
	struct queues_check *qs = f->queues;
	struct queue_key key = { topic, len, id };
	struct checked_queue *q = queue_find(f, topic, len, id);

	if (q || len > RECORD_TOPIC_MAX)
		return q;
	q = calloc(1, sizeof(*q));
	if (!q || sorted_reserve(&qs->list) != MQ_OK) {
		free(q);
		trouble(f, -ENOMEM);
		return NULL;
	}
	memcpy(q->topic, topic, len);
	q->id = id;
	q->block = -1;
	sorted_insert(&qs->list, sorted_place(&qs->list, &key, queue_cmp), q);
	qs->last = q;
	return q;
}

static void
queue_finding(struct fsck *f, enum fix fix, const struct checked_queue *q, const char *dir, const char *fmt,
	      ...)
	__attribute__((format(printf, 5, 6)));

static void
queue_finding(struct fsck *f, enum fix fix, const struct checked_queue *q, const char *dir, const char *fmt,
	      ...)
{
	char where[RECORD_TOPIC_MAX + 64], what[300];
	va_list ap;

	snprintf(where, sizeof(where), dir ? "%s/%s/%" PRId32 : "%s%s/q%" PRId32, dir ? dir : "", q->topic,
		 q->id);
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	finding(f, fix, where, "%s", what);
}

/* --- reading entries -------------------------------------------------------------------- */

static void
file_name(const struct fsck *f, const struct checked_queue *q, enum half half, int64_t n, char *name,
	  size_t size)
{
	int64_t entries = f->queues->file_entries;

	snprintf(name, size, "%s/%" PRId32 "/%020" PRId64, q->topic, q->id,
		 n / entries * entries * halves[half].bytes);
}

/* Entries [n, n + BLOCK_ENTRIES) of one half, as far as their file has them; the
 * rest is zero.  False: there is no such file. */
static bool
block_read(struct fsck *f, struct checked_queue *q, enum half half, int64_t n)
{
	int64_t bytes = halves[half].bytes, entries = f->queues->file_entries;
	size_t len = (size_t)(BLOCK_ENTRIES * bytes);
	char name[RECORD_TOPIC_MAX + 48];
	AUTO_CLOSE int fd = -1;
	ssize_t got;

	if (!q->raw[half])
		q->raw[half] = malloc(len);
	if (!q->raw[half]) {
		trouble(f, -ENOMEM);
		return false;
	}
	memset(q->raw[half], 0, len);
	file_name(f, q, half, n, name, sizeof(name));
	fd = f->queues->dirfd[half] < 0 ? -1 : openat(f->queues->dirfd[half], name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	if (n % entries + BLOCK_ENTRIES > entries)	/* they lie in the next file */
		len = (size_t)((entries - n % entries) * bytes);
	got = pread(fd, q->raw[half], len, n % entries * bytes);
	return got >= 0;
}

/* The entry of message n.  Blocks begin at multiples of their size within a file. */
static bool
entry_at(struct fsck *f, struct checked_queue *q, int64_t n, struct queue_entry *ret)
{
	int64_t entries = f->queues->file_entries, in_file = n % entries;
	int64_t block = n - in_file % BLOCK_ENTRIES;
	size_t i = (size_t)(n - block);

	if (q->block != block)
		for (int half = 0; half < HALVES; half++)
			q->block_ok[half] = block_read(f, q, (enum half)half, block);
	q->block = block;
	if (!q->block_ok[ENTRIES] && !q->block_ok[STARTS])
		return false;
	ret->pos = MQ_POS(be64_get(q->raw[ENTRIES] + i * QUEUE_ENTRY_BYTES));
	ret->total = be32_get(q->raw[ENTRIES] + i * QUEUE_ENTRY_BYTES + 8);
	ret->tags_code = be64_get(q->raw[ENTRIES] + i * QUEUE_ENTRY_BYTES + 12);
	ret->start = be64_get(q->raw[STARTS] + i * QUEUE_START_BYTES);
	return true;
}

/* --- suspects ------------------------------------------------------------------------------ */

static void
suspect(struct checked_queue *q, enum half half, int64_t n, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void
suspect(struct checked_queue *q, enum half half, int64_t n, const char *fmt, ...)
{
	struct suspect *s = &q->suspects[q->n_suspects];
	va_list ap;

	if (q->n_suspects == SUSPECTS_MAX) {
		q->more_suspects++;
		return;
	}
	va_start(ap, fmt);
	if (vasprintf(&s->what, fmt, ap) < 0)
		s->what = NULL;
	va_end(ap);
	s->n = n;
	s->half = half;
	q->n_suspects++;
}

/* The queue starts over: what was said of messages from n on does not matter. */
static void
suspects_drop(struct checked_queue *q, int64_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < q->n_suspects; i++)
		if (q->suspects[i].n < n)
			q->suspects[kept++] = q->suspects[i];
		else
			free(q->suspects[i].what);
	q->n_suspects = kept;
	q->more_suspects = 0;
}

static void
suspects_tell(struct fsck *f, struct checked_queue *q)
{
	for (size_t i = 0; i < q->n_suspects; i++)
		queue_finding(f, FIX_VIEWS, q, halves[q->suspects[i].half].dir, "entry %" PRId64 ": %s",
			      q->suspects[i].n, q->suspects[i].what ? q->suspects[i].what : "wrong");
	if (q->more_suspects > 0)
		queue_finding(f, FIX_VIEWS, q, "consumequeue", "%" PRId64 " more entries are wrong",
			      q->more_suspects);
}

/* --- gaps ------------------------------------------------------------------------------------ */

/* Messages [from, to) are not in the log.  What do their entries say? */
static void
tell_gap(struct fsck *f, struct checked_queue *q, int64_t from, int64_t to)
{
	int64_t n = to - from > BLOCK_ENTRIES ? from + BLOCK_ENTRIES : to;
	struct queue_entry e;
	mq_pos at = MQ_POS(-1);

	q->gap = true;
	for (int64_t i = from; i < n; i++) {
		if (!entry_at(f, q, i, &e) || e.total == QUEUE_HOLE_SIZE || e.total <= 0)
			continue;
		if (!is_lost(f, e.pos) && is_promised(f, e.pos))
			suspect(q, ENTRIES, i,
				"no record of the log is this message, and none is damaged at %" PRId64,
				e.pos.byte);
		else if (at.byte < 0)
			at = e.pos;
	}
	if (to - from == 1 && at.byte >= 0)
		queue_finding(f, FIX_NEVER, q, NULL,
			      "message %" PRId64 " is lost, it was at %" PRId64 " of the log", from,
			      at.byte);
	else if (at.byte >= 0)
		queue_finding(f, FIX_NEVER, q, NULL, "messages %" PRId64 " to %" PRId64
			      " are lost, the first was at %" PRId64 " of the log", from, to - 1, at.byte);
	else
		queue_finding(f, FIX_NEVER, q, NULL, "messages %" PRId64 " to %" PRId64 " are not in the log",
			      from, to - 1);
}

/* Do the views know the record at pos as message n? */
static bool
is_known_as(struct fsck *f, struct checked_queue *q, int64_t n, mq_pos pos)
{
	struct queue_entry e;

	return is_promised(f, pos) && n >= 0 && n <= QOFF_MAX && entry_at(f, q, n, &e) &&
	       e.pos.byte == pos.byte;
}

/* The views know the record at rec's place by another number than it says. */
static bool
is_contradicted(struct fsck *f, struct checked_queue *q, const struct record *rec)
{
	if (!f->has_views || !is_promised(f, rec->pos) || is_known_as(f, q, rec->qoff.n, rec->pos))
		return false;
	return rec->qoff.n < q->end.n || is_known_as(f, q, q->end.n, rec->pos);
}

/* rec is not the next message of q.  False: it is none of this queue's, or says a
 * number that cannot be; it counts for nothing then. */
static bool
look_at_jump(struct fsck *f, struct checked_queue *q, const struct record *rec)
{
	bool could_be = rec->qoff.n >= 0 && rec->qoff.n <= QOFF_MAX &&
			(rec->qoff.n - q->end.n <= (rec->pos.byte - q->last_end.byte) / RECORD_MIN_BYTES ||
			 is_known_as(f, q, rec->qoff.n, rec->pos));
	char where[64];

	if (!could_be || is_contradicted(f, q, rec)) {
		snprintf(where, sizeof(where), "log at %" PRId64, rec->pos.byte);
		finding(f, FIX_NEVER, where, "it says that it is %s/q%" PRId32 "@%" PRId64 ", where %" PRId64
			" comes next: damaged", q->topic, q->id, rec->qoff.n, q->end.n);
		q->gap = true;
		return false;
	}
	if (rec->qoff.n > q->end.n) {
		tell_gap(f, q, q->end.n, rec->qoff.n);
	} else {
		queue_finding(f, FIX_NONE, q, NULL, "starts over at message %" PRId64 " (was at %" PRId64 ")",
			      rec->qoff.n, q->end.n);
		suspects_drop(q, rec->qoff.n);
		if (q->first.n > rec->qoff.n)
			q->first = rec->qoff;
	}
	q->start_known = false;
	return true;
}

/* --- one record --------------------------------------------------------------------------------- */

static void
check_start(struct checked_queue *q, const struct record *rec, int64_t start)
{
	if (q->start_known && start != q->end_bytes)
		suspect(q, STARTS, rec->qoff.n,
			"begins at byte %" PRId64 ", but the bodies before it take %" PRId64, start,
			q->end_bytes);
	if (start >= 0 && start <= START_MAX)
		q->end_bytes = start;
	else if (!q->start_known)
		suspect(q, STARTS, rec->qoff.n, "cannot begin at byte %" PRId64, start);
	q->start_known = true;
}

static void
missing_file(struct fsck *f, struct checked_queue *q, enum half half, int64_t n)
{
	int64_t file = n / f->queues->file_entries + 1;

	if (q->missing_file[half] != file)
		suspect(q, half, n, "its file is missing");
	q->missing_file[half] = file;
}

static void
check_entry(struct fsck *f, struct checked_queue *q, const struct record *rec)
{
	int64_t code = dispatch_tags_code(rec);
	struct queue_entry e = { 0 };

	(void)entry_at(f, q, rec->qoff.n, &e);
	if (!q->block_ok[ENTRIES])
		missing_file(f, q, ENTRIES, rec->qoff.n);
	else if (e.pos.byte != rec->pos.byte || e.total != rec->total)
		suspect(q, ENTRIES, rec->qoff.n,
			"says %" PRId64 " bytes at %" PRId64 ", the record has %" PRId32
			" at %" PRId64, (int64_t)e.total, e.pos.byte, rec->total, rec->pos.byte);
	else if (e.tags_code != code && !(record_is_of(rec, TIMED_TOPIC) && e.tags_code > code))
		suspect(q, ENTRIES, rec->qoff.n, "its tagsCode is %" PRId64 ", that of the record %" PRId64,
			e.tags_code, code);
	if (q->block_ok[STARTS])
		check_start(q, rec, e.start);
	else if (f->queues->dirfd[STARTS] >= 0)
		missing_file(f, q, STARTS, rec->qoff.n);
}

/* The first message of q in the log. */
static void
begin_with(struct checked_queue *q, const struct record *rec)
{
	q->first = q->end = rec->qoff;
	if (!q->row || q->row->span.min.n != rec->qoff.n)
		return;
	q->end_bytes = q->row->span.start_bytes;
	q->start_known = true;
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	const struct record *rec = &p->rec;
	struct checked_queue *q;
	int32_t body_len;

	if (p->kind != PIECE_RECORD || !sysflag_is_queued(rec->sysflag))
		return;
	q = queue_make(f, rec->topic, (size_t)rec->topic_len, rec->queue_id);
	if (!q)
		return;
	if (!q->seen && rec->qoff.n >= 0 && rec->qoff.n <= QOFF_MAX)
		begin_with(q, rec);
	if (rec->qoff.n != q->end.n && !look_at_jump(f, q, rec))
		return;
	q->seen = true;
	q->end = qoff_add(rec->qoff, 1);
	q->last_end = pos_add(rec->pos, rec->total);
	if (!is_promised(f, rec->pos))
		return;
	q->promised = q->end;
	q->promised_end = q->last_end;
	q->promised_ms = rec->store_ms;
	if (f->has_views && (!q->row || rec->qoff.n >= q->row->span.min.n))
		check_entry(f, q, rec);
	if (body_length(rec, &body_len) == MQ_OK)
		q->end_bytes += body_len;
	else
		q->start_known = false;
}

/* --- a queue's files ------------------------------------------------------------------------------ */

typedef void each_name(struct fsck *f, int dirfd, const char *name, void *arg);

static void
for_names(struct fsck *f, int dirfd, const char *name, each_name *each, void *arg)
{
	int fd = dirfd < 0 ? -1 : openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.')
			each(f, fd, e->d_name, arg);
	closedir(dir);
}

static bool
is_file_name(const char *name)
{
	return strspn(name, "0123456789") == 20 && !name[20];
}

/* Is anything of fd but zeros in [from, to)? */
static bool
has_data(int fd, int64_t from, int64_t to)
{
	unsigned char buf[16 * 1024];
	int64_t end;

	while (file_next_data(fd, from, to, &from, &end)) {
		size_t n = end - from < (int64_t)sizeof(buf) ? (size_t)(end - from) : sizeof(buf);
		ssize_t got = pread(fd, buf, n, from);

		for (ssize_t i = 0; i < got; i++)
			if (buf[i])
				return true;
		from += (int64_t)n;
	}
	return false;
}

struct files_of {
	char topic[RECORD_TOPIC_MAX + 1];
	int32_t id;
	enum half half;
	struct checked_queue *q;	/* NULL: neither the log nor a row knows it */
};

/* One file: its length, its name, and nothing behind the queue's end. */
static void
look_at_file(struct fsck *f, int dirfd, const char *name, void *arg)
{
	struct files_of *of = arg;
	int64_t bytes = halves[of->half].bytes, size = f->queues->file_entries * bytes, base, used;
	char where[2 * RECORD_TOPIC_MAX];
	struct stat st;

	snprintf(where, sizeof(where), "%s/%s/%" PRId32 "/%.40s", halves[of->half].dir, of->topic, of->id,
		 name);
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !is_file_name(name)) {
		finding(f, FIX_NONE, where, "is left over, or not ours");
		return;
	}
	base = strtoll(name, NULL, 10);
	if (st.st_size != size)
		finding(f, FIX_VIEWS, where, "%" PRId64 " bytes long, not %" PRId64, (int64_t)st.st_size, size);
	else if (base % size != 0)
		finding(f, FIX_VIEWS, where, "its name is no multiple of its size");
	else if (of->half == ENTRIES && f->dir->was_clean) {
		used = of->q ? of->q->end.n * bytes - base : 0;
		if (of->q && of->q->row && of->q->row->span.end.n > of->q->end.n)
			used = of->q->row->span.end.n * bytes - base;
		if (has_data(fd, used < 0 ? 0 : used, size))
			finding(f, FIX_VIEWS, where, "not zero behind the end of the queue");
	}
}

static void
look_at_queue(struct fsck *f, int dirfd, const char *name, void *arg)
{
	struct files_of *of = arg;
	char *end;
	long id = strtol(name, &end, 10);

	if (*end || id < 0 || id > INT32_MAX)
		return;
	of->id = (int32_t)id;
	of->q = queue_find(f, of->topic, strlen(of->topic), of->id);
	for_names(f, dirfd, name, look_at_file, of);
}

static void
look_at_topic(struct fsck *f, int dirfd, const char *name, void *arg)
{
	struct files_of *of = arg;

	if (!record_topic_valid(name, strlen(name)))
		return;
	snprintf(of->topic, sizeof(of->topic), "%s", name);
	for_names(f, dirfd, name, look_at_queue, of);
}

/* --- how long the files are -------------------------------------------------------------------------- */

#define SIZES_MAX 16

struct sizes {
	int64_t entries[SIZES_MAX], count[SIZES_MAX];
	size_t n;
	enum half half;
};

static void
count_file(struct fsck *f, int dirfd, const char *name, void *arg)
{
	struct sizes *s = arg;
	struct stat st;
	size_t i = 0;

	(void)f;
	if (!is_file_name(name) || fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
	    st.st_size == 0 || st.st_size % halves[s->half].bytes != 0)
		return;
	while (i < s->n && s->entries[i] != st.st_size / halves[s->half].bytes)
		i++;
	if (i == SIZES_MAX)
		return;
	s->n += i == s->n;
	s->entries[i] = st.st_size / halves[s->half].bytes;
	s->count[i]++;
}

static void
count_queue(struct fsck *f, int dirfd, const char *name, void *arg)
{
	for_names(f, dirfd, name, count_file, arg);
}

static void
count_topic(struct fsck *f, int dirfd, const char *name, void *arg)
{
	for_names(f, dirfd, name, count_queue, arg);
}

/* The size that most files have; if in doubt, the setting's, else the larger. */
static int64_t
guess_entries(struct fsck *f)
{
	int64_t set = (f->settings->mappedFileSizeConsumeQueue + QUEUE_ENTRY_BYTES - 1) / QUEUE_ENTRY_BYTES;
	struct sizes s = { .n = 0 };
	size_t best = 0;

	for (int half = 0; half < HALVES; half++) {
		s.half = (enum half)half;
		for_names(f, f->queues->dirfd[half], ".", count_topic, &s);
	}
	for (size_t i = 1; i < s.n; i++)
		if (s.count[i] > s.count[best] ||
		    (s.count[i] == s.count[best] && s.entries[best] != set &&
		     (s.entries[i] == set || s.entries[i] > s.entries[best])))
			best = i;
	return s.n > 0 ? s.entries[best] : set;
}

/* --- the check ----------------------------------------------------------------------------------------- */

static bool
row_could_be(const struct queue_row *row)
{
	const struct queue_span *s = &row->span;

	return record_topic_valid(row->topic, strnlen(row->topic, sizeof(row->topic))) && row->queue_id >= 0 &&
	       s->min.n >= 0 && s->end.n >= s->min.n && s->end.n <= QOFF_MAX && s->start_bytes >= 0 &&
	       s->end_bytes >= s->start_bytes && s->last_end.byte >= 0;
}

static void
begin(struct fsck *f)
{
	struct queues_check *qs = f->queues = calloc(1, sizeof(*qs));

	if (!qs) {
		trouble(f, -ENOMEM);
		return;
	}
	for (int half = 0; half < HALVES; half++)
		qs->dirfd[half] = openat(f->dir->fd, halves[half].dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	qs->file_entries = guess_entries(f);
	/* what is made anew has the same size */
	f->settings->mappedFileSizeConsumeQueue = qs->file_entries * QUEUE_ENTRY_BYTES;
	for (size_t i = 0; i < f->mark.n; i++) {
		const struct queue_row *row = &f->mark.rows[i];
		struct checked_queue *q;

		if (!row_could_be(row)) {
			finding(f, FIX_TABLES, "lmdb queues", "the row of %.127s/q%" PRId32 " cannot be",
				row->topic, row->queue_id);
			continue;
		}
		q = queue_make(f, row->topic, strlen(row->topic), row->queue_id);
		if (q)
			q->row = row;
	}
}

void
queues_note_trim(struct fsck *f, const char *topic, int32_t id, mq_qoff min)
{
	struct checked_queue *q = queue_find(f, topic, strlen(topic), id);

	if (q && min.n > q->trim.n)
		q->trim = min.n < q->end.n ? min : q->end;
}

/* What its row says that the log does not. */
static void
look_at_row(struct fsck *f, struct checked_queue *q)
{
	const struct queue_span *s = &q->row->span;
	int64_t min = q->trim.n > q->first.n ? q->trim.n : q->first.n;

	if (s->end.n > q->promised.n) {
		if (q->seen || s->end.n > s->min.n)
			tell_gap(f, q, q->seen && q->promised.n > s->min.n ? q->promised.n : s->min.n,
				 s->end.n);
		return;
	}
	if (!q->seen)
		return;
	if (s->end.n < q->promised.n || s->last_end.byte != q->promised_end.byte ||
	    s->last_store_ms != q->promised_ms)
		queue_finding(f, FIX_VIEWS, q, NULL,
			      "its row in lmdb ends with message %" PRId64 ", the log with %" PRId64,
			      s->end.n - 1, q->promised.n - 1);
	else if (q->start_known && s->end_bytes != q->end_bytes)
		queue_finding(f, FIX_VIEWS, q, "byteindex",
			      "the bodies take %" PRId64 " bytes, its row in lmdb says %" PRId64,
			      q->end_bytes, s->end_bytes);
	if (!f->dir->was_clean || q->gap)
		return;
	if (s->min.n > min)
		queue_finding(f, FIX_TABLES, q, NULL,
			      "its row in lmdb begins with message %" PRId64 ", the log with %" PRId64,
			      s->min.n, min);
	else if (s->min.n < min)
		queue_finding(f, FIX_TABLES, q, NULL, "its row in lmdb begins with message %" PRId64
			      ", but those before %" PRId64 " are gone", s->min.n, min);
}

static void
end(struct fsck *f)
{
	struct queues_check *qs = f->queues;
	struct files_of of = { .id = 0 };

	for (size_t i = 0; i < qs->list.n; i++) {
		struct checked_queue *q = qs->list.items[i];

		if (q->row)
			look_at_row(f, q);
		else if (f->has_mark && q->promised.n > 0)
			queue_finding(f, FIX_VIEWS, q, NULL, "it has no row in lmdb");
		suspects_tell(f, q);
	}
	for (int half = 0; half < HALVES; half++) {
		of.half = (enum half)half;
		for_names(f, qs->dirfd[half], ".", look_at_topic, &of);
		if (f->has_views && qs->dirfd[half] < 0 && qs->list.n > 0 && (half == ENTRIES || f->has_mark))
			finding(f, FIX_VIEWS, halves[half].dir, "there is none");
	}
}

static void
check_free(struct fsck *f)
{
	struct queues_check *qs = f->queues;

	if (!qs)
		return;
	for (size_t i = 0; i < qs->list.n; i++) {
		struct checked_queue *q = qs->list.items[i];

		suspects_drop(q, INT64_MIN);
		free(q->raw[ENTRIES]);
		free(q->raw[STARTS]);
		free(q);
	}
	sorted_free(&qs->list);
	for (int half = 0; half < HALVES; half++)
		if (qs->dirfd[half] >= 0)
			close(qs->dirfd[half]);
	free(qs);
	f->queues = NULL;
}

const struct check check_queues = { "queues", begin, piece, end, check_free };
