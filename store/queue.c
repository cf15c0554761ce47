#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/futex.h"
#include "conf/log.h"
#include "store/body.h"
#include "store/file.h"
#include "store/queue_files.h"
#include "store/queues.h"

#define TAIL_SPILL 4096		/* entries of one queue in memory before they are written */
#define TAIL_SMALL 256		/* memory for as many is kept */
#define TAILS_SPILL (QUEUES_TAIL_MAX / 4)	/* of all queues: beyond it, each tail that grows is written */
#define HEADS_KEPT 8		/* earlier heads, for readers that still have those files open */
#define START_MAX ((int64_t)1 << 60) /* a greater start is damage, and would overflow */

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

void
queue_puts(struct queue *q, int64_t *ret_n, int64_t *ret_bytes)
{
	LOCKED(&q->lock);
	*ret_n = q->put_n;
	*ret_bytes = q->put_bytes;
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

static int
by_address(const void *a, const void *b)
{
	uintptr_t x = (uintptr_t)*(struct queue *const *)a, y = (uintptr_t)*(struct queue *const *)b;

	return (x > y) - (x < y);
}

void
queues_append_begin(struct queue **qs, size_t *n)
{
	size_t kept = 0;

	qsort(qs, *n, sizeof(struct queue *), by_address);
	for (size_t i = 0; i < *n; i++)
		if (kept == 0 || qs[i] != qs[kept - 1])
			qs[kept++] = qs[i];
	*n = kept;
	for (size_t i = 0; i < kept; i++)
		queue_append_begin(qs[i]);
}

void
queues_append_end(struct queue **qs, size_t n)
{
	while (n > 0)
		queue_append_end(qs[--n]);
}

/* --- the tail --------------------------------------------------------------------- */

/* Write n entries from `at` on, which may lie in several files. */
static int
files_write(struct queue *q, int64_t at, unsigned char *entries, unsigned char *starts, size_t n)
{
	size_t done = 0;
	int rc = MQ_OK;

	while (rc == MQ_OK && done < n) {
		int64_t from = at + (int64_t)done, room = q->all->file_entries - from % q->all->file_entries;
		size_t some = n - done < (size_t)room ? n - done : (size_t)room;

		rc = queue_files_io(q, QUEUE_ENTRIES, true, from, entries + done * QUEUE_ENTRY_BYTES, some);
		if (rc == MQ_OK)
			rc = queue_files_io(q, QUEUE_STARTS, true, from, starts + done * QUEUE_START_BYTES, some);
		done += some;
	}
	return rc;
}

/* Drop the first n entries of the tail, which are in the files now. */
static void
tail_drop(struct queue *q, size_t n)
{
	MUST_HOLD(&q->lock);
	q->tail_n -= n;
	q->tail_from = qoff_add(q->tail_from, (int64_t)n);
	atomic_fetch_sub(&q->all->tail_entries, (int64_t)n);
	if (q->tail_n == 0)
		return;
	memmove(q->tail_entries, q->tail_entries + n * QUEUE_ENTRY_BYTES, q->tail_n * QUEUE_ENTRY_BYTES);
	memmove(q->tail_starts, q->tail_starts + n * QUEUE_START_BYTES, q->tail_n * QUEUE_START_BYTES);
}

/* Drop all of the tail, which is not in the files. */
static void
tail_forget(struct queue *q)
{
	MUST_HOLD(&q->lock);
	atomic_fetch_sub(&q->all->tail_entries, (int64_t)q->tail_n);
	q->tail_n = 0;
}

static bool
is_written(const struct queue *q)
{
	return atomic_load(&q->writes) % 2 == 1;
}

/* Wait until no thread writes the tail to the files.  The lock is dropped meanwhile: the queue
 * may get messages then, and loses none. */
void
queue_tail_settle(struct queue *q)
{
	uint32_t seen;

	MUST_HOLD(&q->lock);
	while ((seen = atomic_load(&q->writes)) % 2 == 1) {
		lock_drop(&q->lock);
		futex_wait(&q->writes, false, seen, -1);
		lock_take(&q->lock);
	}
}

/* Appends take this lock with the log's lock held, so nothing may wait for a disk with it.  The tail grows
 * meanwhile, behind these entries; if it needs more memory, it leaves the old one here. */
int
queue_tail_write(struct queue *q, size_t n)
{
	unsigned char *entries = q->tail_entries, *starts = q->tail_starts;
	int64_t from = q->tail_from.n;
	int rc;

	MUST_HOLD(&q->lock);
	MUST(!is_written(q));
	q->files_min = q->span.min;
	q->tail_lent = true;
	atomic_fetch_add(&q->writes, 1);
	lock_drop(&q->lock);
	rc = files_write(q, from, entries, starts, n);
	lock_take(&q->lock);
	atomic_fetch_add(&q->writes, 1);
	futex_wake(&q->writes, false);
	if (!q->tail_lent) {
		free(entries);
		free(starts);
	}
	q->tail_lent = false;
	if (rc == MQ_OK)
		tail_drop(q, n);
	return rc;
}

void
queue_tail_shrink(struct queue *q)
{
	MUST_HOLD(&q->lock);
	if (q->tail_n > 0 || q->reserved > 0 || q->tail_max <= TAIL_SMALL || is_written(q))
		return;
	free(q->tail_entries);
	free(q->tail_starts);
	q->tail_entries = q->tail_starts = NULL;
	atomic_fetch_sub(&q->all->tail_room, (int64_t)q->tail_max);
	q->tail_max = 0;
}

/* Write the tail to the files if it is long, or if the tails of all queues together are, and
 * no other thread does so.  If that fails the tail stays in memory, and the next checkpoint
 * tries again; the store refuses appends beyond QUEUES_TAIL_MAX.  Drops the lock meanwhile. */
static void
tail_spill(struct queue *q)
{
	size_t long_n = atomic_load(&q->all->tail_entries) < TAILS_SPILL ? TAIL_SPILL : 1;

	MUST_HOLD(&q->lock);
	if (q->tail_n < long_n || q->tail_n < q->spill_at || is_written(q))
		return;
	q->spill_at = queue_tail_write(q, q->tail_n) == MQ_OK ? 0 : 2 * q->tail_n;
	if (atomic_load(&q->all->tail_room) > TAILS_SPILL)
		queue_tail_shrink(q);
}

/* Give the tail memory for `max` entries.  While a thread writes the tail, the memory that it has is that
 * thread's. */
static int
tail_grow(struct queue *q, size_t max)
{
	unsigned char *entries = malloc(max * QUEUE_ENTRY_BYTES), *starts = malloc(max * QUEUE_START_BYTES);

	MUST_HOLD(&q->lock);
	if (!entries || !starts) {
		free(entries);
		free(starts);
		return -ENOMEM;
	}
	if (q->tail_n > 0) {
		memcpy(entries, q->tail_entries, q->tail_n * QUEUE_ENTRY_BYTES);
		memcpy(starts, q->tail_starts, q->tail_n * QUEUE_START_BYTES);
	}
	if (!q->tail_lent) {
		free(q->tail_entries);
		free(q->tail_starts);
	}
	q->tail_lent = false;
	q->tail_entries = entries;
	q->tail_starts = starts;
	atomic_fetch_add(&q->all->tail_room, (int64_t)(max - q->tail_max));
	q->tail_max = max;
	return MQ_OK;
}

/* Make room for n more entries in the tail.  The lock is dropped in between. */
static int
tail_reserve(struct queue *q, size_t n)
{
	size_t max = q->tail_max ? q->tail_max : 8, used;

	MUST_HOLD(&q->lock);
	tail_spill(q);
	used = q->tail_n + q->reserved;
	if (used + n <= q->tail_max)
		return MQ_OK;
	while (max < used + n)
		max *= 2;
	return tail_grow(q, max);
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
	tail_spill(q);
}

static void
entry_encode(unsigned char *at, mq_pos pos, int32_t total, int64_t tags_code)
{
	be64_put(at, pos.byte);
	be32_put(at + 8, total);
	be64_put(at + 12, tags_code);
}

void
queue_watch(struct queue *q)
{
	atomic_fetch_add(&q->watchers, 1);
}

void
queue_unwatch(struct queue *q)
{
	atomic_fetch_sub(&q->watchers, 1);
}

/* A watcher counts itself before it looks at the queue's end, which takes the lock: either it
 * sees this message, or its count is seen here. */
static void
tell_news(struct queue *q)
{
	struct queues *qs = q->all;

	MUST_HOLD(&q->lock);
	if (atomic_load_explicit(&q->watchers, memory_order_relaxed) == 0 || atomic_exchange(&q->in_news, true))
		return;
	q->next_news = atomic_load(&qs->news);
	while (!atomic_compare_exchange_weak(&qs->news, &q->next_news, q))
		;
}

struct queue *
queue_next_news(struct queue *q)
{
	struct queue *next = q->next_news;

	atomic_store(&q->in_news, false);
	return next;
}

/* Add one entry at the end, for which there is room. */
static void
tail_add(struct queue *q, mq_pos pos, int32_t total, int64_t tags_code, int64_t body_len)
{
	MUST_HOLD(&q->lock);
	entry_encode(q->tail_entries + q->tail_n * QUEUE_ENTRY_BYTES, pos, total, tags_code);
	be64_put(q->tail_starts + q->tail_n * QUEUE_START_BYTES, q->span.end_bytes);
	q->tail_n++;
	q->span.end.n++;
	q->span.end_bytes += body_len;
	tell_news(q);
}

void
queue_mark_dirty(struct queue *q)
{
	MUST_HOLD(&q->lock);
	if (q->saved.is_dirty)
		return;
	q->saved.is_dirty = true;
	LOCKED(&q->all->dirty_lock);
	q->next_dirty = q->all->dirty;
	q->all->dirty = q;
	atomic_fetch_add(&q->all->n_dirty, 1);
}

/* --- putting messages ------------------------------------------------------------------------ */

static int start_of(struct queue *q, mq_qoff at, int64_t *ret_start);
static int start_find(struct queue *q, mq_qoff at, int64_t *ret_start);

/* Remove the entries from `at` on from RocketMQ's half, which must not show any behind the end.
 * The byte index keeps its entries: only that of `at` is read, by a replay that comes to this point
 * once more and finds the start of message `at` there. */
static void
cut_entries(struct queue *q, mq_qoff at, mq_qoff old_end)
{
	int64_t entries = q->all->file_entries, file = at.n / entries;
	struct fdref *ref;

	MUST_HOLD(&q->lock);
	if (at.n % entries > 0) {
		if (queue_files_get(q, QUEUE_ENTRIES, file, false, &ref) == MQ_OK) {
			if (file_zero(fdref_fd(ref), at.n % entries * QUEUE_ENTRY_BYTES,
				      entries * QUEUE_ENTRY_BYTES) != MQ_OK)
				log_warn("topic %s queue %" PRId32 ": %s", q->topic, q->id, err_text(-EIO));
			fdcache_put(q->all->files, ref);
		}
		file++;
	}
	if (file < q->span.min.n / entries)
		file = q->span.min.n / entries;		/* there are no files before this one */
	for (; file * entries < old_end.n; file++)
		queue_files_remove(q, QUEUE_ENTRIES, file);
}

/* May the file that holds entry `from` have anything but zeros from there on? */
static bool
has_entries_from(struct queue *q, mq_qoff from)
{
	int64_t entries = q->all->file_entries, at = from.n % entries * QUEUE_ENTRY_BYTES, end = entries * QUEUE_ENTRY_BYTES;
	struct fdref *ref;
	int64_t last = at;
	int rc;

	if (from.n % entries == 0 || queue_files_get(q, QUEUE_ENTRIES, from.n / entries, false, &ref) != MQ_OK)
		return false;
	rc = file_last_data(fdref_fd(ref), at, end, &last);
	fdcache_put(q->all->files, ref);
	return rc != MQ_OK || last > at;
}

void
queue_drop_unlogged(struct queue *q)
{
	int64_t entries = q->all->file_entries, file;

	LOCKED(&q->lock);
	if (q->promise.is_last)		/* what is behind it now comes from the log */
		return;
	file = (q->tail_from.n + entries - 1) / entries;
	if (has_entries_from(q, q->tail_from))
		cut_entries(q, q->tail_from, q->tail_from);
	for (; queue_files_there(q, QUEUE_ENTRIES, file, false) || queue_files_there(q, QUEUE_STARTS, file, false); file++) {
		queue_files_remove(q, QUEUE_ENTRIES, file);
		queue_files_remove(q, QUEUE_STARTS, file);
	}
}

/* Forget which messages were checked, and where the first one lies. */
static void
forget_looked_at(struct queue *q)
{
	MUST_HOLD(&q->lock);
	q->checked_from = q->checked_to = MQ_QOFF(0);
	q->first = MQ_QOFF(-1);
}

/* Move the end back to `end`, whose start is `start`. */
static void
end_back(struct queue *q, mq_qoff end, int64_t start)
{
	MUST_HOLD(&q->lock);
	if (end.n < q->tail_from.n) {
		cut_entries(q, end, q->tail_from);
		tail_forget(q);
		q->tail_from = end;
	} else {
		atomic_fetch_sub(&q->all->tail_entries, q->span.end.n - end.n);
		q->tail_n = (size_t)(end.n - q->tail_from.n);
	}
	q->span.end = end;
	q->span.end_bytes = start;
	q->saved.rewound = true;
	if (q->saved.synced.n > end.n)
		q->saved.synced = end;
	if (q->own_from.n > end.n)
		q->own_from = end;
}

/* Forget messages [qoff, end). */
static int
rewind_to(struct queue *q, mq_qoff qoff)
{
	int64_t start = 0;
	int rc = qoff.n > q->span.min.n ? start_of(q, qoff, &start) : MQ_OK;

	MUST_HOLD(&q->lock);
	if (rc != MQ_OK)
		return rc;
	end_back(q, qoff, start);
	forget_looked_at(q);
	if (qoff.n <= q->span.min.n) {
		q->span.min = qoff;
		q->span.start_bytes = start;
		q->head_moves++;
	}
	return MQ_OK;
}

/* Remember the head before it moves, for readers that have the old file open.  Without
 * memory the only harm is that this file looks shorter. */
static void
remember_head(struct queue *q)
{
	MUST_HOLD(&q->lock);
	if (!q->heads)
		q->heads = calloc(HEADS_KEPT, sizeof(*q->heads));
	if (q->heads)
		q->heads[q->head_moves % HEADS_KEPT] =
			(struct queue_head){ .move = q->head_moves, .min = q->span.min, .start = q->span.start_bytes };
}

/* Move the head forward to min, which starts at `start`. */
static void
head_to(struct queue *q, mq_qoff min, int64_t start)
{
	remember_head(q);
	queue_note_outgrown(q, min);
	q->span.min = min;
	q->span.start_bytes = start;
	q->head_moves++;
	atomic_fetch_add(&q->all->head_moves, 1);
}

void
queue_empty_at(struct queue *q, mq_qoff qoff)
{
	MUST_HOLD(&q->lock);
	q->span.min = q->span.end = q->tail_from = q->saved.synced = q->own_from = qoff;
}

/* The queue begins and ends at qoff, behind its end: the messages it had are not shown any more. */
static void
jump_to(struct queue *q, mq_qoff qoff)
{
	head_to(q, qoff, q->span.end_bytes);
	tail_forget(q);
	queue_empty_at(q, qoff);
	q->saved.rewound = true;
	forget_looked_at(q);
}

static int
start_over(struct queue *q, mq_qoff qoff)
{
	MUST_HOLD(&q->lock);
	queue_tail_settle(q);
	log_notice("topic %s queue %" PRId32 ": the log starts over at message %" PRId64 " (was at %" PRId64 ")",
		   q->topic, q->id, qoff.n, q->span.end.n);
	if (qoff.n <= q->span.end.n)
		return rewind_to(q, qoff);
	jump_to(q, qoff);
	return MQ_OK;
}

/* See queue_put() in queues.h.  No more messages can be missing than there was room for in
 * the log. */
static bool
is_believable(const struct queue *q, const struct queue_put *put)
{
	int64_t missing = put->qoff.n - q->span.end.n;

	MUST_HOLD(&q->lock);
	return q->span.last_end.byte == 0 || put->qoff.n == 0 ||
	       (missing >= 0 && missing <= (put->pos.byte - q->span.last_end.byte) / RECORD_MIN_BYTES);
}

/* Bring the end to put->qoff, which is believed. */
static int
align(struct queue *q, const struct queue_put *put)
{
	MUST_HOLD(&q->lock);
	if (q->span.last_end.byte == 0) {	/* the first record ever, or since the queues were made anew */
		queue_empty_at(q, put->qoff);
		return MQ_OK;
	}
	if (put->qoff.n < q->span.end.n)
		return start_over(q, put->qoff);
	while (q->span.end.n < put->qoff.n) {
		int rc = tail_reserve(q, 1);

		if (rc != MQ_OK)
			return rc;
		tail_add(q, MQ_POS(0), QUEUE_HOLE_SIZE, 0, 0);
		atomic_fetch_add(&q->all->tail_entries, 1);
	}
	return MQ_OK;
}

/* Add `put` as the queue's next message. */
static int
put_next(struct queue *q, const struct queue_put *put)
{
	int rc = tail_reserve(q, 1);

	MUST_HOLD(&q->lock);
	if (rc != MQ_OK)
		return rc;
	tail_add(q, put->pos, put->total, put->tags_code, put->body_len);
	q->put_n++;
	q->put_bytes += put->total;
	q->span.last_store_ms = put->store_ms;
	q->span.last_end = pos_add(put->pos, put->total);
	atomic_fetch_add(&q->all->tail_entries, 1);
	queue_mark_dirty(q);
	return MQ_OK;
}

static void
doubt_end(struct queue *q)
{
	MUST_HOLD(&q->lock);
	free(q->doubted);
	q->doubted = NULL;
}

static int
doubt_begin(struct queue *q, const struct queue_put *put)
{
	MUST_HOLD(&q->lock);
	if (!q->doubted)
		q->doubted = malloc(sizeof(*q->doubted));
	if (!q->doubted)
		return -ENOMEM;
	*q->doubted = *put;
	log_warn("topic %s queue %" PRId32 ": the record at %" PRId64 " says that it is message %" PRId64 ", where %"
		 PRId64 " comes next: it is not listed unless the next record goes on from there",
		 q->topic, q->id, put->pos.byte, put->qoff.n, q->span.end.n);
	return MQ_OK;
}

/* Is `put` the message after the doubted record, and not the one after the queue's last?  If it
 * is both, these two have the same number, and the doubted one is right only if the other is the
 * queue's only message, whose number no earlier message confirms. */
static bool
is_confirmed(const struct queue *q, const struct queue_put *put)
{
	MUST_HOLD(&q->lock);
	return put->qoff.n == q->doubted->qoff.n + 1 &&
	       (put->qoff.n != q->span.end.n || q->span.end.n - q->span.min.n == 1);
}

/* If `put` lies behind a doubted record, it decides whether that is listed. */
static int
doubt_settle(struct queue *q, const struct queue_put *put)
{
	int rc;

	MUST_HOLD(&q->lock);
	if (!q->doubted || put->pos.byte <= q->doubted->pos.byte)
		return MQ_OK;
	if (is_confirmed(q, put)) {
		rc = start_over(q, q->doubted->qoff);
		if (rc == MQ_OK)
			rc = put_next(q, q->doubted);
		if (rc != MQ_OK)
			return rc;
	}
	doubt_end(q);
	return MQ_OK;
}

int
queue_put(struct queue *q, const struct queue_put *put)
{
	int rc;

	LOCKED(&q->lock);
	if (put->pos.byte < q->span.last_end.byte)
		return MQ_OK;		/* the queue has it already */
	if (put->qoff.n < 0 || put->qoff.n > QOFF_MAX)
		return err_note(MQ_ECORRUPT, "topic %s queue %" PRId32 ": no message has number %" PRId64, q->topic,
				q->id, put->qoff.n);
	rc = doubt_settle(q, put);
	if (rc == MQ_OK && !is_believable(q, put))
		return doubt_begin(q, put);
	if (rc == MQ_OK && put->qoff.n != q->span.end.n)
		rc = align(q, put);
	return rc == MQ_OK ? put_next(q, put) : rc;
}

void
queue_put_batch(struct queue *q, const struct batch *b, size_t from, size_t to, int64_t store_ms)
{
	LOCKED(&q->lock);
	MUST(b->entries[from].qoff.n == q->span.end.n);
	MUST(q->tail_n + to - from <= q->tail_max);
	doubt_end(q);
	for (size_t i = from; i < to; i++) {
		const struct batch_entry *e = &b->entries[i];

		tail_add(q, e->pos, (int32_t)e->total, e->tags_code + (e->due == DUE_AFTER ? store_ms : 0), e->body_len);
		q->put_bytes += e->total;
	}
	q->put_n += (int64_t)(to - from);
	q->span.last_store_ms = store_ms;
	q->span.last_end = pos_add(b->entries[to - 1].pos, b->entries[to - 1].total);
	atomic_fetch_add(&q->all->tail_entries, (int64_t)(to - from));
	queue_mark_dirty(q);
}

int
queue_old_size(struct queue *q, uint32_t move, int64_t per_message, int64_t *ret_bytes)
{
	const struct queue_head *h;

	LOCKED(&q->lock);
	h = q->heads ? &q->heads[move % HEADS_KEPT] : NULL;
	if (!h || h->move != move || move == q->head_moves)
		return MQ_EGONE;
	*ret_bytes = q->span.end.n < h->min.n	/* its end was cut */
			     ? 0 : q->span.end_bytes - h->start + (q->span.end.n - h->min.n) * per_message;
	return MQ_OK;
}

void
queue_note_outgrown(struct queue *q, mq_qoff min)
{
	int64_t entries = q->all->file_entries;

	MUST_HOLD(&q->lock);
	if (q->saved.outgrown || min.n / entries == q->span.min.n / entries)
		return;
	q->saved.outgrown = true;
	atomic_fetch_add(&q->all->outgrown, 1);
}

void
queue_came_to(struct queue *q, mq_qoff end, int64_t last_store_ms, mq_pos begin)
{
	LOCKED(&q->lock);
	queue_tail_settle(q);
	if (q->span.min.n < q->span.end.n || end.n <= q->span.end.n || end.n > QOFF_MAX ||
	    q->span.last_end.byte > begin.byte)
		return;
	jump_to(q, end);
	q->span.last_end = MQ_POS(0);
	q->span.last_store_ms = last_store_ms;
	queue_mark_dirty(q);
}

int
queue_trim(struct queue *q, mq_qoff min)
{
	struct queue_span span;
	int64_t start;
	int rc;

	queue_span(q, &span);
	if (min.n > span.end.n)
		min = span.end;
	if (min.n <= span.min.n)
		return MQ_OK;
	rc = start_find(q, min, &start);
	if (rc != MQ_OK)
		return rc == MQ_EGONE ? MQ_OK : rc;	/* the head has moved further meanwhile */
	LOCKED(&q->lock);
	if (min.n > q->span.min.n && min.n <= q->span.end.n) {	/* or the end was cut to before min */
		head_to(q, min, start);
		queue_mark_dirty(q);
	}
	return MQ_OK;
}

int
queue_cut(struct queue *q, mq_qoff end, const struct queue_last *last)
{
	uint32_t moves;
	int rc;

	LOCKED(&q->lock);
	queue_tail_settle(q);
	moves = q->head_moves;
	remember_head(q);
	doubt_end(q);
	rc = rewind_to(q, end);
	if (rc != MQ_OK)
		return rc;
	q->span.last_end = last->end;
	q->span.last_store_ms = last->store_ms;
	q->head_moves = moves + 1;
	q->cut_low = q->cuts == 0 || end.n < q->cut_low.n ? end : q->cut_low;
	q->cuts++;
	atomic_fetch_add(&q->all->head_moves, 1);
	queue_mark_dirty(q);
	return MQ_OK;
}

int
queue_look_below(struct queue *q, mq_qoff n, mq_pos *ret_pos)
{
	unsigned char raw[QUEUE_ENTRY_BYTES];
	int rc = MQ_OK;

	LOCKED(&q->lock);
	if (n.n >= q->span.end.n)
		return MQ_EEND;
	if (n.n >= q->tail_from.n)
		memcpy(raw, q->tail_entries + (n.n - q->tail_from.n) * QUEUE_ENTRY_BYTES, sizeof(raw));
	else
		rc = queue_files_io(q, QUEUE_ENTRIES, false, n.n, raw, 1);
	if (rc == MQ_OK)
		*ret_pos = MQ_POS(be64_get(raw));
	return rc;
}

/* Write entries for puts[0 .. n) to the files; `start` is the start of the message behind them. */
static int
puts_write(struct queue *q, const struct queue_put *puts, size_t n, int64_t start)
{
	int rc = MQ_OK;

	MUST_HOLD(&q->lock);
	for (size_t i = n; rc == MQ_OK && i > 0; i--) {
		const struct queue_put *put = &puts[i - 1];
		unsigned char entry[QUEUE_ENTRY_BYTES], raw[QUEUE_START_BYTES];

		start -= put->body_len;
		entry_encode(entry, put->pos, put->total, put->tags_code);
		be64_put(raw, start);
		rc = queue_files_io(q, QUEUE_ENTRIES, true, put->qoff.n, entry, 1);
		if (rc == MQ_OK)
			rc = queue_files_io(q, QUEUE_STARTS, true, put->qoff.n, raw, 1);
	}
	return rc;
}

static int64_t
bodies_of(const struct queue_put *puts, size_t n)
{
	int64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += puts[i].body_len;
	return bytes;
}

int
queue_untrim(struct queue *q, const struct queue_put *puts, size_t n)
{
	mq_qoff first = n ? puts[0].qoff : MQ_QOFF(0), end = qoff_add(first, (int64_t)n), to;
	int64_t start = 0;
	size_t missing;
	int rc;

	LOCKED(&q->lock);
	queue_tail_settle(q);
	q->files_min = q->span.min;
	/* entries before `to` must be written again; those from `to` on are in files and tail */
	to = q->span.min.n < q->tail_from.n ? q->span.min : q->tail_from;
	to = n && first.n > to.n ? first : to;
	missing = end.n < to.n ? n : (size_t)(to.n - first.n);
	rc = end.n < to.n ? MQ_OK : start_of(q, to, &start);
	if (end.n < to.n)
		start = bodies_of(puts, n);
	if (rc == MQ_OK)
		rc = puts_write(q, puts, missing, start);
	if (rc != MQ_OK)
		return rc;
	if (first.n < q->span.min.n) {
		q->span.min = first;
		q->span.start_bytes = start - bodies_of(puts, missing);
	}
	if (end.n < to.n)
		end_back(q, end, start);
	if (q->saved.synced.n > first.n)
		q->saved.synced = first;
	forget_looked_at(q);
	queue_mark_dirty(q);
	return MQ_OK;
}

uint32_t
queue_cuts(const struct queue *q)
{
	return q->cuts;
}

bool
queue_cut_since(struct queue *q, uint32_t cuts, mq_qoff *ret_low)
{
	if (q->cuts == cuts)
		return false;
	LOCKED(&q->lock);
	*ret_low = q->cut_low;
	return true;
}

/* --- reading -------------------------------------------------------------------------- */

void
queue_entry_decode(const unsigned char *entry, const unsigned char *start, struct queue_entry *ret)
{
	ret->pos = MQ_POS(be64_get(entry));
	ret->total = be32_get(entry + 8);
	ret->tags_code = be64_get(entry + 12);
	ret->start = be64_get(start);
}

/* The start of one message (`at` may be the end).  False: it is not in memory. */
static bool
start_known(const struct queue *q, mq_qoff at, int64_t *ret_start)
{
	MUST_HOLD(&q->lock);
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
	int rc = queue_files_io(q, QUEUE_STARTS, false, at.n, raw, 1);
	int64_t start = be64_get(raw);

	if (rc != MQ_OK)
		return rc;
	if (start < 0 || start > START_MAX)
		return damaged(q, at.n);
	*ret_start = start;
	return MQ_OK;
}

/* With the lock held: for rare callers, since it may read a file. */
static int
start_of(struct queue *q, mq_qoff at, int64_t *ret_start)
{
	MUST_HOLD(&q->lock);
	return start_known(q, at, ret_start) ? MQ_OK : start_read(q, at, ret_start);
}

/* Without the lock, so that a slow disk delays no append. */
static int
start_find(struct queue *q, mq_qoff at, int64_t *ret_start)
{
	bool known;
	int rc;

	lock_take(&q->lock);
	known = start_known(q, at, ret_start);
	lock_drop(&q->lock);
	rc = known ? MQ_OK : start_read(q, at, ret_start);
	return rc == -EIO && at.n < queue_min(q).n ? MQ_EGONE : rc;
}

bool
queue_entry_possible(const struct queue_entry *e, int64_t next)
{
	return e->pos.byte >= 0 && e->total > 0 && e->start >= 0 && e->start <= next &&
	       next - e->start <= body_max(e->total);
}

/* Decode entries; an impossible one is an error.  `next` is the start of the message behind
 * the last one. */
static int
entries_decode(struct queue *q, mq_qoff from, const unsigned char *raw, const unsigned char *starts, int64_t next,
	       struct queue_entry *entries, size_t n)
{
	for (size_t i = n; i > 0; i--) {
		struct queue_entry *e = &entries[i - 1];

		queue_entry_decode(raw + (i - 1) * QUEUE_ENTRY_BYTES, starts + (i - 1) * QUEUE_START_BYTES, e);
		if (!queue_entry_possible(e, next))
			return damaged(q, from.n + (int64_t)i - 1);
		e->body_len = next - e->start;
		next = e->start;
	}
	return MQ_OK;
}

#define ENTRIES_AT_ONCE 256

/* Raw entries from one half's file. */
static int
entries_read(struct queue *q, enum queue_half half, mq_qoff from, bool now, unsigned char *raw, size_t n)
{
	return now ? queue_files_read_now(q, half, from.n, raw, n) : queue_files_io(q, half, false, from.n, raw, n);
}

/* Raw entries [from, from + n) that lie in one place, memory or one file; starts NULL: not these. */
static int
entries_fetch(struct queue *q, mq_qoff from, bool now, size_t max, unsigned char *raw, unsigned char *starts,
	      size_t *ret_n)
{
	int64_t room = q->all->file_entries - from.n % q->all->file_entries;
	size_t n, at;
	int rc;

	if (max > ENTRIES_AT_ONCE)
		max = ENTRIES_AT_ONCE;
	if ((int64_t)max > room)
		max = (size_t)room;
	lock_take(&q->lock);
	rc = from.n < q->span.min.n ? MQ_EGONE : from.n >= q->span.end.n ? MQ_EEND : MQ_OK;
	if (rc == MQ_OK && from.n >= q->tail_from.n) {
		at = (size_t)(from.n - q->tail_from.n);
		n = q->tail_n - at < max ? q->tail_n - at : max;
		memcpy(raw, q->tail_entries + at * QUEUE_ENTRY_BYTES, n * QUEUE_ENTRY_BYTES);
		if (starts)
			memcpy(starts, q->tail_starts + at * QUEUE_START_BYTES, n * QUEUE_START_BYTES);
		*ret_n = n;
		lock_drop(&q->lock);
		return MQ_OK;
	}
	n = q->tail_from.n - from.n < (int64_t)max ? (size_t)(q->tail_from.n - from.n) : max;
	lock_drop(&q->lock);
	if (rc != MQ_OK)
		return rc;
	rc = entries_read(q, QUEUE_ENTRIES, from, now, raw, n);
	if (rc == MQ_OK && starts)
		rc = entries_read(q, QUEUE_STARTS, from, now, starts, n);
	if (rc == MQ_OK)
		*ret_n = n;
	else if (rc == -EIO && from.n < queue_min(q).n)
		rc = MQ_EGONE;		/* its file was removed meanwhile */
	return rc;
}

int
queue_entries(struct queue *q, mq_qoff from, struct queue_entry *entries, size_t max, size_t *ret_n)
{
	unsigned char raw[ENTRIES_AT_ONCE * QUEUE_ENTRY_BYTES], starts[ENTRIES_AT_ONCE * QUEUE_START_BYTES];
	int64_t next;
	size_t n;
	int rc;

	rc = entries_fetch(q, from, false, max, raw, starts, &n);
	if (rc == MQ_OK)
		rc = start_find(q, qoff_add(from, (int64_t)n), &next);
	if (rc == MQ_OK)
		rc = entries_decode(q, from, raw, starts, next, entries, n);
	if (rc == MQ_OK)
		*ret_n = n;
	return rc;
}

int
queue_records(struct queue *q, mq_qoff from, bool now, struct queue_entry *entries, size_t max, size_t *ret_n)
{
	static const unsigned char no_start[QUEUE_START_BYTES];
	unsigned char raw[ENTRIES_AT_ONCE * QUEUE_ENTRY_BYTES];
	size_t n;
	int rc = entries_fetch(q, from, now, max, raw, NULL, &n);

	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < n; i++) {
		queue_entry_decode(raw + i * QUEUE_ENTRY_BYTES, no_start, &entries[i]);
		if (entries[i].pos.byte < 0 || entries[i].total <= 0)
			return damaged(q, from.n + (int64_t)i);
	}
	*ret_n = n;
	return MQ_OK;
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
queue_find_pos_in(struct queue *q, int64_t min, int64_t end, mq_pos pos, mq_qoff *ret_qoff)
{
	int64_t low = min, high = end;

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

int
queue_find_pos(struct queue *q, mq_pos pos, mq_qoff *ret_qoff)
{
	return queue_find_pos_in(q, queue_min(q).n, queue_end(q).n, pos, ret_qoff);
}

/* --- checked messages ----------------------------------------------------------------- */

bool
queue_is_checked(struct queue *q, mq_qoff from, mq_qoff to)
{
	LOCKED(&q->lock);
	return from.n >= q->own_from.n || (from.n >= q->checked_from.n && to.n <= q->checked_to.n);
}

/* One range of checked messages is remembered: the one that grows.  When it reaches own_from
 * it becomes part of the messages from there on. */
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

void
queue_doubt(struct queue *q, mq_qoff end)
{
	LOCKED(&q->lock);
	q->checked_from = q->checked_to = MQ_QOFF(0);
	if (q->own_from.n < end.n)
		q->own_from = end;
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

int64_t
queue_bytes_gone(struct queue *q, mq_qoff from, mq_qoff min, int64_t per_message)
{
	int64_t a, b;

	/* 0: nothing was ever written there */
	if (start_find(q, from, &a) != MQ_OK || start_find(q, min, &b) != MQ_OK || b < a || (a == 0 && from.n > 0))
		a = b = 0;
	return b - a + (min.n - from.n) * per_message;
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
