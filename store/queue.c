#include "config.h"

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
#define GAP_MAX 1000000		/* more missing messages than this is no gap but nonsense */

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
	if (fd < 0 || ftruncate(fd, q->all->file_entries * halves[half].bytes) != 0)
		return err_note(-errno, "%s/%s: %m", halves[half].dir, name);
	if (half == ENTRIES && before > 0 && before < q->all->file_entries) {
		rc = fill_pre_blank(q, fd, before);
		if (rc != MQ_OK)
			return rc;
	}
	atomic_store(&q->all->made_files, true);
	*ret_fd = take_fd(&fd);
	return MQ_OK;
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
		if (fd < 0 && errno == EROFS)
			fd = openat(half_dirfd(q->all, half), name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 && (errno != ENOENT || !make))
			return err_note(errno == ENOENT ? -EIO : -errno, "%s/%s: %s", halves[half].dir, name,
					strerror(errno));
		if (fd < 0) {
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
		if (q->tail_max > 256) {
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
	size_t max = q->tail_max ? q->tail_max : 8;
	unsigned char *entries, *starts;

	/* A tail that cannot be written stays in memory, and the next
	 * checkpoint tries again; what is too much is refused above. */
	if (q->tail_n >= TAIL_SPILL && q->all->byteindex_fd >= 0)
		(void)tail_write(q, q->tail_n);
	if (q->tail_n + n <= q->tail_max)
		return MQ_OK;
	while (max < q->tail_n + n)
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
	LOCKED(&q->lock);
	return tail_reserve(q, n);
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
	if (qoff.n < q->tail_from.n) {
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

/* Bring the end to put->qoff, whatever it takes.  Called with the lock. */
static int
align(struct queue *q, const struct queue_put *put)
{
	if (q->span.last_end.byte == 0 && q->span.end.n == 0) {	/* the first ever */
		q->span.min = q->span.end = q->tail_from = put->qoff;
		return MQ_OK;
	}
	if (put->qoff.n < q->span.end.n)
		return rewind_to(q, put->qoff);
	if (put->qoff.n - q->span.end.n > GAP_MAX)
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
	if (put->qoff.n < 0)
		return err_note(MQ_ECORRUPT, "topic %s queue %" PRId32 ": negative queue offset", q->topic, q->id);
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
queue_put_batch(struct queue *q, const struct batch *b, size_t n, mq_qoff first, const mq_pos *pos, int64_t store_ms)
{
	LOCKED(&q->lock);
	MUST(first.n == q->span.end.n);
	MUST(q->tail_n + n <= q->tail_max);
	for (size_t i = 0; i < n; i++) {
		const struct batch_entry *e = &b->entries[i];

		tail_add(q, pos[i], (int32_t)e->total, e->tags_code, e->body_len);
	}
	q->span.last_store_ms = store_ms;
	q->span.last_end = pos_add(pos[n - 1], b->entries[n - 1].total);
	atomic_fetch_add(&q->all->tail_entries, (int64_t)n);
	mark_dirty(q);
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
	else if (at.n >= q->tail_from.n)
		*ret_start = be64_get(q->tail_starts + (at.n - q->tail_from.n) * QUEUE_START_BYTES);
	else
		return false;
	return true;
}

static int
start_read(struct queue *q, mq_qoff at, int64_t *ret_start)
{
	unsigned char raw[QUEUE_START_BYTES];
	int rc = half_io(q, STARTS, false, at.n, raw, 1);

	if (rc == MQ_OK)
		*ret_start = be64_get(raw);
	return rc;
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
		e->body_len = next - e->start;
		next = e->start;
		if (e->pos.byte < 0 || e->total <= 0 || e->start < 0 || e->body_len < 0 || e->body_len > e->total)
			return err_note(-EIO, "topic %s queue %" PRId32 ": the entry of message %" PRId64
					" is damaged", q->topic, q->id, from.n + (int64_t)i - 1);
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

int
queue_find_pos(struct queue *q, mq_pos pos, mq_qoff *ret_qoff)
{
	int64_t low = queue_min(q).n, high = queue_end(q).n;

	while (low < high) {
		int64_t mid = low + (high - low) / 2;
		struct queue_entry e;
		size_t n;
		int rc = queue_entries(q, MQ_QOFF(mid), &e, 1, &n);

		if (rc != MQ_OK)
			return rc;
		if (e.pos.byte >= pos.byte)
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

int
queues_restore(struct queues *qs, const struct queue_row *row)
{
	struct queue *q;
	int rc;

	rc = queues_make(qs, row->topic, strlen(row->topic), row->queue_id, &q);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&q->lock);
	q->span = row->span;
	q->tail_from = q->synced = q->own_from = row->span.end;
	q->head_moves = row->head_moves;
	return MQ_OK;
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
		q->is_dirty = false;
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
	fdcache_put(q->all->files, ref);
	return rc;
}

/* The files of q that hold what was written since the last sync. */
static int
sync_queue(struct queue *q, mq_qoff end)
{
	int64_t entries = q->all->file_entries;
	int rc = MQ_OK;

	for (int64_t file = q->synced.n / entries; rc == MQ_OK && file * entries < end.n; file++) {
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
	bool one_by_one = d->n <= SYNC_SINGLY && !atomic_exchange(&qs->made_files, false);
	int rc = MQ_OK;

	if (one_by_one) {
		for (size_t i = 0; rc == MQ_OK && i < d->n; i++)
			rc = sync_queue(d->list[i], d->rows[i].span.end);
		return rc;
	}
	if (syncfs(qs->consumequeue_fd) == 0 && syncfs(qs->byteindex_fd) == 0)
		return MQ_OK;
	atomic_store(&qs->made_files, true);
	return err_note(-errno, "consumequeue: sync: %m");
}

/* After the sync: what was below the row's end is on disk, unless the queue
 * has started over meanwhile. */
static void
note_synced(const struct queues_dirty *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct queue *q = d->list[i];

		LOCKED(&q->lock);
		if (q->span.end.n >= d->rows[i].span.end.n)
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
