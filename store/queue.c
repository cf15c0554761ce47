#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/queues.h"

#define TAIL_SPILL 4096		/* entries in memory before they are written */
#define SYNC_SINGLY 32		/* queues whose files are synced one by one */
#define HEADS_KEPT 8		/* earlier heads whose files may still be open */
#define QOFF_MAX (INT64_MAX / 64)	/* it has a place in the files */
#define START_MAX ((int64_t)1 << 60) /* what is more is damage, and would overflow */

const char *
queue_topic(const struct queue *q)
{
	return q->topic;
}

int32_t
queue_id(const struct queue *q)
{
	return q->id;
}

void
queue_span(struct queue *q, struct queue_span *ret_span)
{
	LOCKED(&q->lock);
	*ret_span = q->span;
}

mq_qoff
queue_min(struct queue *q)
{
	LOCKED(&q->lock);
	return q->span.min;
}

mq_qoff
queue_end(struct queue *q)
{
	LOCKED(&q->lock);
	return q->span.end;
}

uint32_t
queue_head_moves(struct queue *q)
{
	LOCKED(&q->lock);
	return q->head_moves;
}

void
queue_append_begin(struct queue *q)
{
	lock_take(&q->append_lock);
}

void
queue_append_end(struct queue *q)
{
	lock_drop(&q->append_lock);
}

/* --- the two files -------------------------------------------------------------- */

enum half { ENTRIES, STARTS };

static const struct {
	const char *dir;
	int64_t bytes;		/* of one entry */
} halves[] = {
	[ENTRIES] = { "consumequeue", QUEUE_ENTRY_BYTES },
	[STARTS] = { "byteindex", QUEUE_START_BYTES },
};

static int
half_dirfd(const struct queues *qs, enum half half)
{
	return half == ENTRIES ? qs->consumequeue_fd : qs->byteindex_fd;
}

static void
half_name(const struct queue *q, enum half half, int64_t file, char *name, size_t size)
{
	snprintf(name, size, "%s/%" PRId32 "/%020" PRId64, q->topic, q->id,
		 file * q->all->file_entries * halves[half].bytes);
}

/* The slots before the queue's first entry say that nothing is there. */
static int
fill_pre_blank(struct queue *q, int fd, int64_t n)
{
	unsigned char blank[QUEUE_ENTRY_BYTES] = { 0 };
	AUTO_FREE unsigned char *all = malloc((size_t)n * QUEUE_ENTRY_BYTES);

	if (!all)
		return -ENOMEM;
	be32_put(blank + 8, QUEUE_HOLE_SIZE);
	for (int64_t i = 0; i < n; i++)
		memcpy(all + i * QUEUE_ENTRY_BYTES, blank, sizeof(blank));
	return file_write(fd, all, (size_t)n * QUEUE_ENTRY_BYTES, 0, q->topic);
}

static int
half_create(struct queue *q, enum half half, const char *name, int64_t file, int *ret_fd)
{
	int dirfd = half_dirfd(q->all, half);
	char dir[RECORD_TOPIC_MAX + 16];
	int64_t before = q->span.min.n - file * q->all->file_entries;
	int rc;

	mkdirat(dirfd, q->topic, 0750);
	snprintf(dir, sizeof(dir), "%s/%" PRId32, q->topic, q->id);
	mkdirat(dirfd, dir, 0750);
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_note(-errno, "%s/%s: %m", halves[half].dir, name);
	if (half == ENTRIES && before > 0 && before < q->all->file_entries) {
		rc = fill_pre_blank(q, fd, before);
		if (rc != MQ_OK)
			return rc;
	}
	/* at last: half_file() knows by its length that a file is whole */
	if (ftruncate(fd, q->all->file_entries * halves[half].bytes) != 0)
		return err_note(-errno, "%s/%s: %m", halves[half].dir, name);
	atomic_store(&q->all->made_files, true);
	*ret_fd = take_fd(&fd);
	return MQ_OK;
}

/* Its maker may have died half-way. */
static bool
is_whole(const struct queue *q, enum half half, int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_size == q->all->file_entries * halves[half].bytes;
}

/* The descriptor of one half's file; made if `make` and it is not there. */
static int
half_file(struct queue *q, enum half half, int64_t file, bool make, struct fdref **ret_ref)
{
	int64_t number = file * 2 + half;
	struct fdref *ref = fdcache_get(q->all->files, q, number);
	char name[RECORD_TOPIC_MAX + 48];
	int fd, rc;

	if (!ref) {
		half_name(q, half, file, name, sizeof(name));
		fd = openat(half_dirfd(q->all, half), name, O_RDWR | O_CLOEXEC);
		if (fd < 0 && (errno != ENOENT || !make))
			return err_note(errno == ENOENT ? -EIO : -errno, "%s/%s: %s", halves[half].dir, name,
					strerror(errno));
		if (make && (fd < 0 || !is_whole(q, half, fd))) {
			if (fd >= 0)
				close(fd);
			rc = half_create(q, half, name, file, &fd);
			if (rc != MQ_OK)
				return rc;
		}
		ref = fdcache_add(q->all->files, q, number, fd);
		if (!ref)
			return -ENOMEM;
	}
	*ret_ref = ref;
	return MQ_OK;
}

/* Read or write n entries of one half from entry `at` on; they lie in one file. */
static int
half_io(struct queue *q, enum half half, bool write, int64_t at, void *buf, size_t n)
{
	int64_t bytes = halves[half].bytes;
	struct fdref *ref;
	int rc;

	rc = half_file(q, half, at / q->all->file_entries, write, &ref);
	if (rc != MQ_OK)
		return rc;
	at = at % q->all->file_entries * bytes;
	if (write)
		rc = file_write(fdref_fd(ref), buf, n * (size_t)bytes, at, halves[half].dir);
	else
		rc = file_read(fdref_fd(ref), buf, n * (size_t)bytes, at, halves[half].dir);
	fdcache_put(q->all->files, ref);
	return rc == MQ_EEND ? -EIO : rc;
}

/* --- the tail --------------------------------------------------------------------- */

/* Write the first n entries of the tail to the files.  Called with the lock. */
static int
tail_write(struct queue *q, size_t n)
{
	size_t done = 0;

	while (done < n) {
		int64_t at = q->tail_from.n + (int64_t)done;
		int64_t room = q->all->file_entries - at % q->all->file_entries;
		size_t some = n - done < (size_t)room ? n - done : (size_t)room;
		int rc = half_io(q, ENTRIES, true, at, q->tail_entries + done * QUEUE_ENTRY_BYTES, some);

		if (rc == MQ_OK)
			rc = half_io(q, STARTS, true, at, q->tail_starts + done * QUEUE_START_BYTES, some);
		if (rc != MQ_OK)
			return rc;
		done += some;
	}
	q->tail_n -= n;
	q->tail_from = qoff_add(q->tail_from, (int64_t)n);
	atomic_fetch_sub(&q->all->tail_entries, (int64_t)n);
	if (q->tail_n == 0) {
		if (q->tail_max > 256 && q->reserved == 0) {
			free(q->tail_entries);
			free(q->tail_starts);
			q->tail_entries = q->tail_starts = NULL;
			q->tail_max = 0;
		}
		return MQ_OK;
	}
	memmove(q->tail_entries, q->tail_entries + n * QUEUE_ENTRY_BYTES, q->tail_n * QUEUE_ENTRY_BYTES);
	memmove(q->tail_starts, q->tail_starts + n * QUEUE_START_BYTES, q->tail_n * QUEUE_START_BYTES);
	return MQ_OK;
}

/* Called with the lock. */
static int
tail_reserve(struct queue *q, size_t n)
{
	size_t max = q->tail_max ? q->tail_max : 8, used;
	unsigned char *entries, *starts;

	/* A tail that cannot be written stays in memory, and the next
	 * checkpoint tries again; what is too much is refused above. */
	if (q->tail_n >= TAIL_SPILL && q->tail_n >= q->spill_at)
		q->spill_at = tail_write(q, q->tail_n) == MQ_OK ? 0 : 2 * q->tail_n;
	used = q->tail_n + q->reserved;
	if (used + n <= q->tail_max)
		return MQ_OK;
	while (max < used + n)
		max *= 2;
	entries = realloc(q->tail_entries, max * QUEUE_ENTRY_BYTES);
	if (!entries)
		return -ENOMEM;
	q->tail_entries = entries;
	starts = realloc(q->tail_starts, max * QUEUE_START_BYTES);
	if (!starts)
		return -ENOMEM;
	q->tail_starts = starts;
	q->tail_max = max;
	return MQ_OK;
}

int
queue_reserve(struct queue *q, size_t n)
{
	int rc;

	LOCKED(&q->lock);
	rc = tail_reserve(q, n);
	if (rc == MQ_OK)
		q->reserved += n;
	return rc;
}

void
queue_unreserve(struct queue *q, size_t n)
{
	LOCKED(&q->lock);
	q->reserved -= n;
}

static void
entry_encode(unsigned char *at, mq_pos pos, int32_t total, int64_t tags_code)
{
	be64_put(at, pos.byte);
	be32_put(at + 8, total);
	be64_put(at + 12, tags_code);
}

/* One entry at the end; there is room.  Called with the lock. */
static void
tail_add(struct queue *q, mq_pos pos, int32_t total, int64_t tags_code, int64_t body_len)
{
	entry_encode(q->tail_entries + q->tail_n * QUEUE_ENTRY_BYTES, pos, total, tags_code);
	be64_put(q->tail_starts + q->tail_n * QUEUE_START_BYTES, q->span.end_bytes);
	q->tail_n++;
	q->span.end.n++;
	q->span.end_bytes += body_len;
}

/* Called with the lock. */
static void
mark_dirty(struct queue *q)
{
	if (q->is_dirty)
		return;
	q->is_dirty = true;
	LOCKED(&q->all->dirty_lock);
	q->next_dirty = q->all->dirty;
	q->all->dirty = q;
}

/* --- feeding ------------------------------------------------------------------------ */

static int start_of(struct queue *q, mq_qoff at, int64_t *ret_start);

/* RocketMQ's half must not show what lies behind the end.  Ours may: it is read
 * below the end only, and a replay that comes to this point once more reads there
 * where [0, at) ended.  Called with the lock. */
static void
cut_entries(struct queue *q, mq_qoff at, mq_qoff old_end)
{
	int64_t entries = q->all->file_entries, file = at.n / entries;
	char name[RECORD_TOPIC_MAX + 48];
	struct fdref *ref;

	if (at.n % entries > 0) {
		if (half_file(q, ENTRIES, file, false, &ref) == MQ_OK) {
			if (file_zero(fdref_fd(ref), at.n % entries * QUEUE_ENTRY_BYTES,
				      entries * QUEUE_ENTRY_BYTES) != MQ_OK)
				log_warn("topic %s queue %" PRId32 ": %s", q->topic, q->id, err_text(-EIO));
			fdcache_put(q->all->files, ref);
		}
		file++;
	}
	if (file < q->span.min.n / entries)
		file = q->span.min.n / entries;		/* none before */
	for (; file * entries < old_end.n; file++) {
		half_name(q, ENTRIES, file, name, sizeof(name));
		fdcache_forget(q->all->files, q, file * 2 + ENTRIES);
		unlinkat(q->all->consumequeue_fd, name, 0);
	}
}

/* The log has used qoff again: forget [qoff, end).  Called with the lock. */
static int
rewind_to(struct queue *q, mq_qoff qoff)
{
	int64_t start = 0;
	int rc;

	if (qoff.n > q->span.min.n) {
		rc = start_of(q, qoff, &start);
		if (rc != MQ_OK)
			return rc;
	}
	log_notice("topic %s queue %" PRId32 ": the log starts over at message %" PRId64 " (was at %" PRId64 ")",
		   q->topic, q->id, qoff.n, q->span.end.n);
	q->rewound = true;
	if (qoff.n < q->tail_from.n) {
		cut_entries(q, qoff, q->tail_from);
		atomic_fetch_sub(&q->all->tail_entries, (int64_t)q->tail_n);
		q->tail_n = 0;
		q->tail_from = qoff;
	} else {
		atomic_fetch_sub(&q->all->tail_entries, q->span.end.n - qoff.n);
		q->tail_n = (size_t)(qoff.n - q->tail_from.n);
	}
	q->span.end = qoff;
	q->span.end_bytes = start;
	if (q->synced.n > qoff.n)
		q->synced = qoff;
	if (q->own_from.n > qoff.n)
		q->own_from = qoff;
	q->checked_from = q->checked_to = MQ_QOFF(0);
	if (qoff.n <= q->span.min.n) {
		q->span.min = qoff;
		q->span.start_bytes = start;
		q->head_moves++;
	}
	return MQ_OK;
}

/* Bring the end to put->qoff, whatever it takes.  No more messages can be missing
 * than there was room for in the log.  Called with the lock. */
static int
align(struct queue *q, const struct queue_put *put)
{
	if (q->span.last_end.byte == 0) {	/* the first ever, or since all was made anew */
		q->span.min = q->span.end = q->tail_from = q->synced = q->own_from = put->qoff;
		return MQ_OK;
	}
	if (put->qoff.n < q->span.end.n)
		return rewind_to(q, put->qoff);
	if (put->qoff.n - q->span.end.n > (put->pos.byte - q->span.last_end.byte) / RECORD_MIN_BYTES)
		return err_note(MQ_ECORRUPT, "topic %s queue %" PRId32 ": message %" PRId64 " behind message %" PRId64,
				q->topic, q->id, put->qoff.n, q->span.end.n);
	while (q->span.end.n < put->qoff.n) {
		int rc = tail_reserve(q, 1);

		if (rc != MQ_OK)
			return rc;
		tail_add(q, MQ_POS(0), QUEUE_HOLE_SIZE, 0, 0);
		atomic_fetch_add(&q->all->tail_entries, 1);
	}
	return MQ_OK;
}

int
queue_put(struct queue *q, const struct queue_put *put)
{
	int rc = MQ_OK;

	LOCKED(&q->lock);
	if (put->pos.byte < q->span.last_end.byte)
		return MQ_OK;		/* known */
	if (put->qoff.n < 0 || put->qoff.n > QOFF_MAX)
		return err_note(MQ_ECORRUPT, "topic %s queue %" PRId32 ": no message has number %" PRId64, q->topic,
				q->id, put->qoff.n);
	if (put->qoff.n != q->span.end.n)
		rc = align(q, put);
	if (rc == MQ_OK)
		rc = tail_reserve(q, 1);
	if (rc != MQ_OK)
		return rc;
	tail_add(q, put->pos, put->total, put->tags_code, put->body_len);
	q->span.last_store_ms = put->store_ms;
	q->span.last_end = pos_add(put->pos, put->total);
	atomic_fetch_add(&q->all->tail_entries, 1);
	mark_dirty(q);
	return MQ_OK;
}

void
queue_put_batch(struct queue *q, const struct batch *b, size_t n, mq_qoff first, int64_t store_ms)
{
	LOCKED(&q->lock);
	MUST(first.n == q->span.end.n);
	MUST(q->tail_n + n <= q->tail_max);
	for (size_t i = 0; i < n; i++) {
		const struct batch_entry *e = &b->entries[i];

		tail_add(q, e->pos, (int32_t)e->total, e->delay_ms ? store_ms + e->delay_ms : e->tags_code,
			 e->body_len);
	}
	q->span.last_store_ms = store_ms;
	q->span.last_end = pos_add(b->entries[n - 1].pos, b->entries[n - 1].total);
	atomic_fetch_add(&q->all->tail_entries, (int64_t)n);
	mark_dirty(q);
}

/* Where the head is before it moves, for who has the old file open.  Without
 * memory that file looks shorter, no more.  Called with the lock. */
static void
remember_head(struct queue *q)
{
	if (!q->heads)
		q->heads = calloc(HEADS_KEPT, sizeof(*q->heads));
	if (q->heads)
		q->heads[q->head_moves % HEADS_KEPT] =
			(struct queue_head){ .move = q->head_moves, .min = q->span.min, .start = q->span.start_bytes };
}

int
queue_old_size(struct queue *q, uint32_t move, int64_t per_message, int64_t *ret_bytes)
{
	const struct queue_head *h;

	LOCKED(&q->lock);
	h = q->heads ? &q->heads[move % HEADS_KEPT] : NULL;
	if (!h || h->move != move || move == q->head_moves)
		return MQ_EGONE;
	*ret_bytes = q->span.end_bytes - h->start + (q->span.end.n - h->min.n) * per_message;
	return MQ_OK;
}

int
queue_set_min(struct queue *q, mq_qoff min)
{
	int64_t start;
	int rc;

	LOCKED(&q->lock);
	if (min.n > q->span.end.n)
		min = q->span.end;
	if (min.n <= q->span.min.n)
		return MQ_OK;
	rc = start_of(q, min, &start);
	if (rc != MQ_OK)
		return rc;
	remember_head(q);
	q->span.min = min;
	q->span.start_bytes = start;
	q->head_moves++;
	mark_dirty(q);
	return MQ_OK;
}

/* --- reading -------------------------------------------------------------------------- */

static void
entry_decode(const unsigned char *entry, const unsigned char *start, struct queue_entry *ret)
{
	ret->pos = MQ_POS(be64_get(entry));
	ret->total = be32_get(entry + 8);
	ret->tags_code = be64_get(entry + 12);
	ret->start = be64_get(start);
}

/* The start of one message (the end allowed), if it is in memory.  Called with
 * the lock. */
static bool
start_known(const struct queue *q, mq_qoff at, int64_t *ret_start)
{
	if (at.n == q->span.end.n)
		*ret_start = q->span.end_bytes;
	else if (at.n == q->span.min.n)
		*ret_start = q->span.start_bytes;
	else if (at.n >= q->tail_from.n && at.n < q->span.end.n)
		*ret_start = be64_get(q->tail_starts + (at.n - q->tail_from.n) * QUEUE_START_BYTES);
	else
		return false;
	return true;
}

static int
damaged(const struct queue *q, int64_t n)
{
	return err_note(-EIO, "topic %s queue %" PRId32 ": the entry of message %" PRId64 " is damaged", q->topic, q->id,
			n);
}

static int
start_read(struct queue *q, mq_qoff at, int64_t *ret_start)
{
	unsigned char raw[QUEUE_START_BYTES] = { 0 };
	int rc = half_io(q, STARTS, false, at.n, raw, 1);
	int64_t start = be64_get(raw);

	if (rc != MQ_OK)
		return rc;
	if (start < 0 || start > START_MAX)
		return damaged(q, at.n);
	*ret_start = start;
	return MQ_OK;
}

/* Called with the lock; on the rare paths that may read a file under it. */
static int
start_of(struct queue *q, mq_qoff at, int64_t *ret_start)
{
	return start_known(q, at, ret_start) ? MQ_OK : start_read(q, at, ret_start);
}

/* Called without the lock: a slow disk holds up no append. */
static int
start_find(struct queue *q, mq_qoff at, int64_t *ret_start)
{
	bool known;

	lock_take(&q->lock);
	known = start_known(q, at, ret_start);
	lock_drop(&q->lock);
	return known ? MQ_OK : start_read(q, at, ret_start);
}

/* Decode what was read, and believe it only if it could be true.  `next` is
 * the start of the message behind the last one. */
static int
entries_decode(struct queue *q, mq_qoff from, const unsigned char *raw, const unsigned char *starts, int64_t next,
	       struct queue_entry *entries, size_t n)
{
	for (size_t i = n; i > 0; i--) {
		struct queue_entry *e = &entries[i - 1];

		entry_decode(raw + (i - 1) * QUEUE_ENTRY_BYTES, starts + (i - 1) * QUEUE_START_BYTES, e);
		if (e->pos.byte < 0 || e->total <= 0 || e->start < 0 || e->start > next || next - e->start > e->total)
			return damaged(q, from.n + (int64_t)i - 1);
		e->body_len = next - e->start;
		next = e->start;
	}
	return MQ_OK;
}

#define ENTRIES_AT_ONCE 256

/* Raw entries [from, from + n) that lie in one place, memory or one file. */
static int
entries_fetch(struct queue *q, mq_qoff from, size_t max, unsigned char *raw, unsigned char *starts, size_t *ret_n)
{
	size_t n, at;
	int rc;

	lock_take(&q->lock);
	rc = from.n < q->span.min.n ? MQ_EGONE : from.n >= q->span.end.n ? MQ_EEND : MQ_OK;
	if (rc == MQ_OK && from.n >= q->tail_from.n) {
		at = (size_t)(from.n - q->tail_from.n);
		n = q->tail_n - at < max ? q->tail_n - at : max;
		memcpy(raw, q->tail_entries + at * QUEUE_ENTRY_BYTES, n * QUEUE_ENTRY_BYTES);
		memcpy(starts, q->tail_starts + at * QUEUE_START_BYTES, n * QUEUE_START_BYTES);
		*ret_n = n;
		lock_drop(&q->lock);
		return MQ_OK;
	}
	n = q->tail_from.n - from.n < (int64_t)max ? (size_t)(q->tail_from.n - from.n) : max;
	lock_drop(&q->lock);
	if (rc != MQ_OK)
		return rc;
	rc = half_io(q, ENTRIES, false, from.n, raw, n);
	if (rc == MQ_OK)
		rc = half_io(q, STARTS, false, from.n, starts, n);
	if (rc == MQ_OK)
		*ret_n = n;
	return rc;
}

int
queue_entries(struct queue *q, mq_qoff from, struct queue_entry *entries, size_t max, size_t *ret_n)
{
	unsigned char raw[ENTRIES_AT_ONCE * QUEUE_ENTRY_BYTES], starts[ENTRIES_AT_ONCE * QUEUE_START_BYTES];
	int64_t room = q->all->file_entries - from.n % q->all->file_entries, next;
	size_t n;
	int rc;

	if (max > ENTRIES_AT_ONCE)
		max = ENTRIES_AT_ONCE;
	if ((int64_t)max > room)
		max = (size_t)room;
	rc = entries_fetch(q, from, max, raw, starts, &n);
	if (rc == MQ_OK)
		rc = start_find(q, qoff_add(from, (int64_t)n), &next);
	if (rc == MQ_OK)
		rc = entries_decode(q, from, raw, starts, next, entries, n);
	if (rc == MQ_OK)
		*ret_n = n;
	return rc;
}

/* Where message n lies; a hole lies where the message before it does. */
static int
pos_of(struct queue *q, int64_t n, int64_t min, mq_pos *ret_pos)
{
	mq_pos pos = MQ_POS(0);
	struct queue_entry e = { .total = QUEUE_HOLE_SIZE };
	size_t got;

	for (; n >= min && e.total == QUEUE_HOLE_SIZE; n--) {
		int rc = queue_entries(q, MQ_QOFF(n), &e, 1, &got);

		if (rc != MQ_OK)
			return rc;
		pos = e.pos;
	}
	*ret_pos = pos;
	return MQ_OK;
}

int
queue_find_pos(struct queue *q, mq_pos pos, mq_qoff *ret_qoff)
{
	int64_t min = queue_min(q).n, low = min, high = queue_end(q).n;

	while (low < high) {
		int64_t mid = low + (high - low) / 2;
		mq_pos at;
		int rc = pos_of(q, mid, min, &at);

		if (rc != MQ_OK)
			return rc;
		if (at.byte >= pos.byte)
			high = mid;
		else
			low = mid + 1;
	}
	*ret_qoff = MQ_QOFF(low);
	return MQ_OK;
}

/* --- what was checked ----------------------------------------------------------------- */

bool
queue_is_checked(struct queue *q, mq_qoff from, mq_qoff to)
{
	LOCKED(&q->lock);
	return from.n >= q->own_from.n || (from.n >= q->checked_from.n && to.n <= q->checked_to.n);
}

/* One stretch is remembered: the one that grows.  When it reaches what we wrote
 * ourselves it becomes part of that. */
void
queue_note_checked(struct queue *q, mq_qoff from, mq_qoff to)
{
	LOCKED(&q->lock);
	if (from.n > q->checked_to.n || from.n < q->checked_from.n)
		q->checked_from = from, q->checked_to = to;
	else if (to.n > q->checked_to.n)
		q->checked_to = to;
	if (q->checked_to.n >= q->own_from.n && q->checked_from.n < q->own_from.n)
		q->own_from = q->checked_from;
}

/* --- bytes and messages ---------------------------------------------------------------- */

int
queue_byte_of(struct queue *q, mq_qoff from, mq_qoff at, int64_t per_message, int64_t *ret_byte)
{
	struct queue_span span;
	int64_t a, b;
	int rc;

	queue_span(q, &span);
	if (from.n < span.min.n)
		return MQ_EGONE;
	if (at.n < from.n || at.n > span.end.n)
		return MQ_EEND;
	rc = start_find(q, from, &a);
	if (rc == MQ_OK)
		rc = start_find(q, at, &b);
	if (rc == MQ_OK && b < a)
		rc = damaged(q, at.n);
	if (rc == MQ_OK)
		*ret_byte = b - a + (at.n - from.n) * per_message;
	return rc;
}

int
queue_find_byte(struct queue *q, mq_qoff from, mq_qoff to, int64_t byte, int64_t per_message, mq_qoff *ret_qoff,
		int64_t *ret_first_byte)
{
	int64_t low = from.n, high = queue_end(q).n, start, at, low_byte = 0;
	int rc;

	if (to.n < high)
		high = to.n;
	rc = queue_byte_of(q, from, MQ_QOFF(high), per_message, &at);
	if (rc == MQ_OK)
		rc = start_find(q, from, &start);
	if (rc != MQ_OK)
		return rc;
	if (byte >= at)
		return MQ_EEND;
	/* the last message that begins at or before `byte` */
	while (high - low > 1) {
		int64_t mid = low + (high - low) / 2;

		rc = start_find(q, MQ_QOFF(mid), &at);
		if (rc != MQ_OK)
			return rc;
		at += (mid - from.n) * per_message - start;
		if (at <= byte) {
			low = mid;
			low_byte = at;
		} else {
			high = mid;
		}
	}
	*ret_qoff = MQ_QOFF(low);
	*ret_first_byte = low_byte;
	return MQ_OK;
}

/* --- the table of queues ------------------------------------------------------------------ */

int
queues_open(struct queues *qs, int consumequeue_fd, int byteindex_fd, int64_t file_bytes, struct fdcache *files)
{
	memset(qs, 0, sizeof(*qs));
	qs->consumequeue_fd = consumequeue_fd;
	qs->byteindex_fd = byteindex_fd;
	qs->file_entries = (file_bytes + QUEUE_ENTRY_BYTES - 1) / QUEUE_ENTRY_BYTES;
	qs->files = files;
	qs->n_buckets = 1024;
	qs->bucket = calloc(qs->n_buckets, sizeof(*qs->bucket));
	if (!qs->bucket)
		return -ENOMEM;
	lock_init(&qs->lock, RANK_QUEUES);
	lock_init(&qs->dirty_lock, RANK_FLUSH);
	return MQ_OK;
}

static void
queue_free(struct queue *q)
{
	lock_destroy(&q->lock);
	lock_destroy(&q->append_lock);
	free(q->tail_entries);
	free(q->tail_starts);
	free(q->heads);
	free(q);
}

void
queues_close(struct queues *qs)
{
	struct queue *next;

	if (!qs->bucket)
		return;
	for (size_t i = 0; i < qs->n_buckets; i++)
		for (struct queue *q = qs->bucket[i]; q; q = next) {
			next = q->chain;
			queue_free(q);
		}
	free(qs->bucket);
	qs->bucket = NULL;
	lock_destroy(&qs->dirty_lock);
	lock_destroy(&qs->lock);
}

static size_t
bucket_of(const struct queues *qs, const char *topic, size_t len, int32_t id)
{
	return (uint32_t)java_hash(topic, len, id) % qs->n_buckets;
}

static struct queue *
find(struct queues *qs, const char *topic, size_t len, int32_t id)
{
	struct queue *q = qs->bucket[bucket_of(qs, topic, len, id)];

	while (q && (q->id != id || strncmp(q->topic, topic, len) != 0 || q->topic[len]))
		q = q->chain;
	return q;
}

struct queue *
queues_find(struct queues *qs, const char *topic, size_t len, int32_t id)
{
	LOCKED(&qs->lock);
	return find(qs, topic, len, id);
}

static void
grow(struct queues *qs)
{
	size_t old_n = qs->n_buckets;
	struct queue **old = qs->bucket, *next;
	struct queue **bucket = calloc(4 * old_n, sizeof(*bucket));

	if (!bucket)
		return;			/* longer chains, no harm */
	qs->bucket = bucket;
	qs->n_buckets = 4 * old_n;
	for (size_t i = 0; i < old_n; i++)
		for (struct queue *q = old[i]; q; q = next) {
			size_t to = bucket_of(qs, q->topic, strlen(q->topic), q->id);

			next = q->chain;
			q->chain = bucket[to];
			bucket[to] = q;
		}
	free(old);
}

int
queues_make(struct queues *qs, const char *topic, size_t len, int32_t id, struct queue **ret_q)
{
	struct queue *q;
	size_t at;

	LOCKED(&qs->lock);
	q = find(qs, topic, len, id);
	if (!q) {
		q = calloc(1, sizeof(*q) + len + 1);
		if (!q)
			return -ENOMEM;
		q->all = qs;
		q->id = id;
		memcpy(q->topic, topic, len);
		lock_init(&q->append_lock, RANK_QUEUE_APPEND);
		lock_init(&q->lock, RANK_QUEUE);
		if (qs->n > qs->n_buckets)
			grow(qs);
		at = bucket_of(qs, topic, len, id);
		q->chain = qs->bucket[at];
		qs->bucket[at] = q;
		qs->n++;
	}
	*ret_q = q;
	return MQ_OK;
}

int
queues_each(struct queues *qs, int (*each)(struct queue *q, void *arg), void *arg)
{
	AUTO_FREE struct queue **list = NULL;
	size_t n = 0;
	int rc = MQ_OK;

	lock_take(&qs->lock);
	list = calloc(qs->n + 1, sizeof(*list));
	for (size_t i = 0; list && i < qs->n_buckets; i++)
		for (struct queue *q = qs->bucket[i]; q; q = q->chain)
			list[n++] = q;
	lock_drop(&qs->lock);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; rc == MQ_OK && i < n; i++)
		rc = each(list[i], arg);
	return rc;
}

static bool
file_has_size(struct queue *q, enum half half, int64_t file)
{
	char name[RECORD_TOPIC_MAX + 48];
	struct stat st;

	half_name(q, half, file, name, sizeof(name));
	return fstatat(half_dirfd(q->all, half), name, &st, 0) == 0 &&
	       st.st_size == q->all->file_entries * halves[half].bytes;
}

/* Do the files hold the last message, as the row has it?  They are looked at no
 * further: a start must not take longer for a larger store. */
static bool
files_match(struct queue *q)
{
	unsigned char raw[QUEUE_ENTRY_BYTES], start[QUEUE_START_BYTES];
	int64_t last = q->span.end.n - 1, file = last / q->all->file_entries;
	struct queue_entry e;

	if (q->span.end.n == q->span.min.n)
		return true;
	if (!file_has_size(q, ENTRIES, file) || !file_has_size(q, STARTS, file))
		return false;
	if (half_io(q, ENTRIES, false, last, raw, 1) != MQ_OK || half_io(q, STARTS, false, last, start, 1) != MQ_OK)
		return false;
	entry_decode(raw, start, &e);
	return e.pos.byte == q->span.last_end.byte - e.total && e.start >= 0 && e.start <= q->span.end_bytes &&
	       q->span.end_bytes - e.start < e.total;
}

static bool
row_could_be(const struct queue_row *row)
{
	const struct queue_span *s = &row->span;

	return record_topic_valid(row->topic, strnlen(row->topic, sizeof(row->topic))) && row->queue_id >= 0 &&
	       s->min.n >= 0 && s->end.n >= s->min.n && s->end.n <= QOFF_MAX && s->start_bytes >= 0 &&
	       s->end_bytes >= s->start_bytes && s->last_end.byte >= 0;
}

int
queues_restore(struct queues *qs, const struct queue_row *row)
{
	struct queue *q;
	int rc;

	if (!row_could_be(row))
		return err_note(MQ_ECORRUPT, "a queue's row of the last checkpoint is damaged");
	rc = queues_make(qs, row->topic, strlen(row->topic), row->queue_id, &q);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&q->lock);
	q->span = row->span;
	q->tail_from = q->synced = q->own_from = row->span.end;
	q->head_moves = row->head_moves;
	if (!files_match(q))
		return err_note(MQ_ECORRUPT, "topic %s queue %" PRId32 ": its files are not as the last checkpoint "
				"left them", q->topic, q->id);
	return MQ_OK;
}

/* --- starting anew ---------------------------------------------------------------------------- */

/* Files that will be removed and made again must not be written through an old
 * descriptor: queues_restore() has opened those of the last message. */
static void
forget_last_files(struct queue *q)
{
	int64_t file = (q->span.end.n - 1) / q->all->file_entries;

	for (int half = ENTRIES; half <= STARTS; half++)
		fdcache_forget(q->all->files, q, file * 2 + half);
}

/* An empty queue that had come to `end`. */
static int
adopt(struct queues *qs, const char *topic, int32_t id, mq_qoff end)
{
	struct queue *q;
	int rc = queues_make(qs, topic, strlen(topic), id, &q);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&q->lock);
	forget_last_files(q);
	if (end.n < q->span.end.n)
		end = q->span.end;
	q->span = (struct queue_span){ .min = end, .end = end };
	q->tail_from = q->synced = q->own_from = end;
	mark_dirty(q);
	return MQ_OK;
}

int
queues_adopt_row(struct queues *qs, const struct queue_row *row)
{
	if (!row_could_be(row))
		return MQ_OK;
	return adopt(qs, row->topic, row->queue_id, row->span.end);
}

int
queues_trim_as(struct queues *qs, const struct queue_row *row)
{
	struct queue *q;

	if (!row_could_be(row))
		return MQ_OK;
	q = queues_find(qs, row->topic, strlen(row->topic), row->queue_id);
	return q ? queue_set_min(q, row->span.min) : MQ_OK;
}

/* Call each(dirfd, name, arg) for every name in the directory `name` below dirfd. */
static int
each_name(int dirfd, const char *name, int (*each)(int dirfd, const char *name, void *arg), void *arg)
{
	int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rc = MQ_OK;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir) {
		rc = errno == ENOTDIR || errno == ENOENT ? MQ_OK : err_note(-errno, "%s: %m", name);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (rc == MQ_OK && (e = readdir(dir)))
		if (e->d_name[0] != '.')
			rc = each(fd, e->d_name, arg);
	closedir(dir);
	return rc;
}

/* Walks consumequeue/TOPIC/QUEUE/FILE. */
struct walk {
	struct queues *qs;
	char topic[RECORD_TOPIC_MAX + 1];
	int64_t newest;		/* file, as its name says */
};

static int
look_for_newest(int dirfd, const char *name, void *arg)
{
	struct walk *w = arg;
	int64_t at;

	(void)dirfd;
	if (strspn(name, "0123456789") != 20 || name[20])
		return MQ_OK;
	errno = 0;
	at = strtoll(name, NULL, 10);
	if (errno == 0 && at % QUEUE_ENTRY_BYTES == 0 && at > w->newest)
		w->newest = at;
	return MQ_OK;
}

/* How many entries of a file are in use. */
static int
count_entries(int fd, int64_t *ret_n)
{
	unsigned char raw[256 * QUEUE_ENTRY_BYTES];
	int64_t n = 0;
	ssize_t got;

	while ((got = pread(fd, raw, sizeof(raw), n * QUEUE_ENTRY_BYTES)) >= QUEUE_ENTRY_BYTES)
		for (ssize_t at = 0; at + QUEUE_ENTRY_BYTES <= got; at += QUEUE_ENTRY_BYTES, n++)
			if (be64_get(raw + at) < 0 || be32_get(raw + at + 8) <= 0) {
				*ret_n = n;
				return MQ_OK;
			}
	*ret_n = n;
	return got < 0 ? err_note(-errno, "consumequeue: read: %m") : MQ_OK;
}

static int
adopt_queue(int dirfd, const char *name, void *arg)
{
	struct walk *w = arg;
	char file[64], *end;
	long id = strtol(name, &end, 10);
	int64_t n;
	int rc;

	if (*end || id < 0 || id > INT32_MAX)
		return MQ_OK;
	w->newest = -1;
	rc = each_name(dirfd, name, look_for_newest, w);
	if (rc != MQ_OK || w->newest < 0)
		return rc;
	snprintf(file, sizeof(file), "%ld/%020" PRId64, id, w->newest);
	AUTO_CLOSE int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_note(-errno, "consumequeue/%s/%s: %m", w->topic, file);
	rc = count_entries(fd, &n);
	return rc == MQ_OK ? adopt(w->qs, w->topic, (int32_t)id, MQ_QOFF(w->newest / QUEUE_ENTRY_BYTES + n)) : rc;
}

static int
adopt_topic(int dirfd, const char *name, void *arg)
{
	struct walk *w = arg;

	if (!record_topic_valid(name, strlen(name)))
		return MQ_OK;
	snprintf(w->topic, sizeof(w->topic), "%s", name);
	return each_name(dirfd, name, adopt_queue, w);
}

int
queues_adopt(struct queues *qs, int consumequeue_fd)
{
	struct walk w = { .qs = qs };

	return each_name(consumequeue_fd, ".", adopt_topic, &w);
}

static int
wipe_file(int dirfd, const char *name, void *arg)
{
	(void)arg;
	if (unlinkat(dirfd, name, 0) != 0 && errno != EISDIR && errno != ENOENT)
		return err_note(-errno, "%s: remove: %m", name);
	return MQ_OK;
}

static int
wipe_queue(int dirfd, const char *name, void *arg)
{
	return each_name(dirfd, name, wipe_file, arg);
}

static int
wipe_topic(int dirfd, const char *name, void *arg)
{
	return each_name(dirfd, name, wipe_queue, arg);
}

int
queues_wipe(struct queues *qs)
{
	int rc = each_name(qs->consumequeue_fd, ".", wipe_topic, NULL);

	return rc == MQ_OK ? each_name(qs->byteindex_fd, ".", wipe_topic, NULL) : rc;
}

/* --- to disk -------------------------------------------------------------------------------- */

int
queues_take_dirty(struct queues *qs, struct queues_dirty *ret)
{
	struct queues_dirty d = { 0 };
	size_t max = 0;

	lock_take(&qs->dirty_lock);
	for (struct queue *q = qs->dirty; q; q = q->next_dirty)
		max++;
	lock_drop(&qs->dirty_lock);
	d.list = calloc(max + 1, sizeof(*d.list));
	d.rows = calloc(max + 1, sizeof(*d.rows));
	if (!d.list || !d.rows) {
		free(d.list);
		free(d.rows);
		return -ENOMEM;
	}
	lock_take(&qs->dirty_lock);
	for (; qs->dirty && d.n < max; d.n++) {
		d.list[d.n] = qs->dirty;
		qs->dirty = qs->dirty->next_dirty;
	}
	lock_drop(&qs->dirty_lock);
	for (size_t i = 0; i < d.n; i++) {
		struct queue *q = d.list[i];
		struct queue_row *row = &d.rows[i];

		LOCKED(&q->lock);
		q->is_dirty = q->rewound = false;
		snprintf(row->topic, sizeof(row->topic), "%s", q->topic);
		row->queue_id = q->id;
		row->span = q->span;
		row->head_moves = q->head_moves;
	}
	*ret = d;
	return MQ_OK;
}

/* All entries of q below `end` go to the files. */
static int
flush_queue(struct queue *q, mq_qoff end)
{
	LOCKED(&q->lock);
	if (end.n <= q->tail_from.n)
		return MQ_OK;
	if (end.n > q->span.end.n)
		end = q->span.end;	/* it has started over since */
	return tail_write(q, (size_t)(end.n - q->tail_from.n));
}

static int
sync_half(struct queue *q, enum half half, int64_t file)
{
	struct fdref *ref;
	int rc = half_file(q, half, file, false, &ref);

	if (rc != MQ_OK)
		return rc;
	rc = file_sync(fdref_fd(ref), halves[half].dir);
	if (rc != MQ_OK)
		q->all->failed = true;
	fdcache_put(q->all->files, ref);
	return rc;
}

/* The files of q that hold what was written since the last sync. */
static int
sync_queue(struct queue *q, mq_qoff end)
{
	int64_t entries = q->all->file_entries, file;
	int rc = MQ_OK;

	lock_take(&q->lock);
	file = q->synced.n / entries;
	if (end.n > q->span.end.n)
		end = q->span.end;
	lock_drop(&q->lock);
	for (; rc == MQ_OK && file * entries < end.n; file++) {
		rc = sync_half(q, ENTRIES, file);
		if (rc == MQ_OK)
			rc = sync_half(q, STARTS, file);
	}
	return rc;
}

/* A few files one by one; many, or new ones whose directories must be synced
 * too, with one call for the whole file system. */
static int
sync_queues(struct queues *qs, const struct queues_dirty *d)
{
	bool made_files = atomic_exchange(&qs->made_files, false);
	int rc = MQ_OK;

	if (d->n <= SYNC_SINGLY && !made_files) {
		for (size_t i = 0; rc == MQ_OK && i < d->n; i++)
			rc = sync_queue(d->list[i], d->rows[i].span.end);
		return rc;
	}
	if (syncfs(qs->consumequeue_fd) == 0 && syncfs(qs->byteindex_fd) == 0)
		return MQ_OK;
	qs->failed = true;
	return err_note(-errno, "consumequeue: sync: %m");
}

/* After the sync: what was below the row's end is on disk, unless the queue has
 * started over meanwhile. */
static void
note_synced(const struct queues_dirty *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct queue *q = d->list[i];

		LOCKED(&q->lock);
		if (!q->rewound)
			q->synced = d->rows[i].span.end;
	}
}

void
queues_put_back(struct queues_dirty *d)
{
	for (size_t i = 0; i < d->n; i++) {
		LOCKED(&d->list[i]->lock);
		mark_dirty(d->list[i]);
	}
}

int
queues_flush(struct queues *qs, struct queues_dirty *d)
{
	int rc = MQ_OK;

	/* After a failed sync nobody knows what is on disk; the next mount replays
	 * from the last checkpoint that did succeed. */
	if (qs->failed)
		rc = err_note(-EIO, "a sync of the queues' files has failed before");
	for (size_t i = 0; rc == MQ_OK && i < d->n; i++)
		rc = flush_queue(d->list[i], d->rows[i].span.end);
	if (rc == MQ_OK && d->n > 0)
		rc = sync_queues(qs, d);
	if (rc == MQ_OK)
		note_synced(d);
	else
		queues_put_back(d);
	return rc;
}
