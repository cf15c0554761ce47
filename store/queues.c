#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/queue_files.h"
#include "store/queues.h"

#define MATCHING_THREADS 4
#define MATCHING_QUEUES 4096	/* so many queues for each thread */
#define TRUSTED_OF 100		/* where rows are trusted, one of so many queues is compared nevertheless */
#define SYNC_SINGLY 128		/* up to so many queues are synced file by file; their files stay open, see FDS_OURS */

/* --- the table of queues ------------------------------------------------------------------ */

int
queues_open(struct queues *qs, int consumequeue_fd, int byteindex_fd, int64_t file_bytes, struct fdcache *files)
{
	memset(qs, 0, sizeof(*qs));
	qs->consumequeue_fd = consumequeue_fd;
	qs->byteindex_fd = byteindex_fd;
	qs->file_entries = (file_bytes + QUEUE_ENTRY_BYTES - 1) / QUEUE_ENTRY_BYTES;
	qs->files = files;
	qs->fs_syncs = file_system_syncs(consumequeue_fd);
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
	free(q->doubted);
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
		q->first = MQ_QOFF(-1);
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

bool
queue_row_valid(const struct queue_row *row)
{
	const struct queue_span *s = &row->span;

	return record_topic_valid(row->topic, strnlen(row->topic, sizeof(row->topic))) && row->queue_id >= 0 &&
	       s->min.n >= 0 && s->end.n >= s->min.n && s->end.n <= QOFF_MAX && s->start_bytes >= 0 &&
	       s->end_bytes >= s->start_bytes && s->last_end.byte >= 0;
}

static int
restore_row(struct queues *qs, const struct queue_row *row, struct queue **ret_q)
{
	struct queue *q;
	int rc;

	if (!queue_row_valid(row))
		return err_note(MQ_ECORRUPT, "a queue's row of the last checkpoint is damaged");
	rc = queues_make(qs, row->topic, strlen(row->topic), row->queue_id, &q);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&q->lock);
	queue_note_outgrown(q, row->span.min);	/* a crash may have left files below it */
	q->span = row->span;
	q->saved.taken_min = row->span.min;
	q->tail_from = q->saved.synced = q->own_from = row->span.end;
	q->head_moves = row->head_moves;
	q->promise.end = row->span.end;
	q->promise.last_end = row->span.last_end;
	q->promise.end_bytes = row->span.end_bytes;
	atomic_store(&q->promise.state, row->span.end.n > row->span.min.n ? FILES_PROMISED : FILES_KNOWN);
	*ret_q = q;
	return MQ_OK;
}

/* Every step-th queue of a list, from `from` on. */
struct matching {
	struct queue **list;
	size_t n, from, step;
	struct queue *unlike;	/* a queue whose files do not match; NULL: none */
	pthread_t thread;
};

static bool
compare(struct queue *q)
{
	if (!queue_files_match(q, &q->promise.is_last))
		return false;
	atomic_store(&q->promise.state, FILES_KNOWN);
	return true;
}

static void *
matching_main(void *arg)
{
	struct matching *m = arg;

	for (size_t i = m->from; i < m->n && !m->unlike; i += m->step)
		if (!compare(m->list[i]))
			m->unlike = m->list[i];
	return NULL;
}

/* Most of a start's time goes into opening two files for each of many queues, so several
 * threads share that. */
static struct queue *
find_unlike(struct queue **list, size_t n)
{
	struct matching m[MATCHING_THREADS];
	size_t threads = 1 + n / MATCHING_QUEUES, started = 1;
	struct queue *unlike;

	if (threads > MATCHING_THREADS)
		threads = MATCHING_THREADS;
	for (size_t i = 0; i < threads; i++)
		m[i] = (struct matching){ .list = list, .n = n, .from = i, .step = threads };
	while (started < threads &&
	       pthread_create(&m[started].thread, NULL, matching_main, &m[started]) == 0)
		started++;
	matching_main(&m[0]);
	unlike = m[0].unlike;
	for (size_t i = 1; i < threads; i++) {
		if (i < started)
			pthread_join(m[i].thread, NULL);
		else
			matching_main(&m[i]);
		if (m[i].unlike)
			unlike = m[i].unlike;
	}
	return unlike;
}

static int
compare_all(struct queue **list, size_t n)
{
	const struct queue *unlike = find_unlike(list, n);

	if (!unlike)
		return MQ_OK;
	return err_note(MQ_ECORRUPT, "topic %s queue %" PRId32 ": its files are not as the last checkpoint left them",
			unlike->topic, unlike->id);
}

/* Do the topics of these queues, which have messages, have their directories? */
static int
look_for_topics(const struct queues *qs, struct queue **list, size_t n)
{
	const char *seen = "";

	for (size_t i = 0; i < n; i++) {
		struct queue *q = list[i];

		if (strcmp(q->topic, seen) == 0)
			continue;
		if (faccessat(qs->consumequeue_fd, q->topic, F_OK, 0) != 0 ||
		    faccessat(qs->byteindex_fd, q->topic, F_OK, 0) != 0)
			return err_note(MQ_ECORRUPT, "topic %s: the directories of its queues are missing", q->topic);
		seen = q->topic;
	}
	return MQ_OK;
}

/* Files of all queues that were replaced together, by those of a backup say, show in a few. */
static int
compare_some(struct queue **list, size_t n)
{
	size_t some = n / TRUSTED_OF;

	for (size_t i = 0; i < some; i++)
		list[i] = list[(i + 1) * TRUSTED_OF - 1];
	return compare_all(list, some);
}

int
queues_restore(struct queues *qs, const struct queue_row *rows, size_t n, bool trusted)
{
	AUTO_FREE struct queue **list = calloc(n + 1, sizeof(*list));
	int rc = list ? MQ_OK : -ENOMEM;
	size_t promised = 0;

	for (size_t i = 0; rc == MQ_OK && i < n; i++) {
		rc = restore_row(qs, &rows[i], &list[promised]);
		promised += rc == MQ_OK && atomic_load(&list[promised]->promise.state) == FILES_PROMISED;
	}
	if (rc == MQ_OK && trusted)
		rc = look_for_topics(qs, list, promised);
	if (rc != MQ_OK)
		return rc;
	return trusted ? compare_some(list, promised) : compare_all(list, promised);
}

/* --- to disk -------------------------------------------------------------------------------- */

/* Take the whole list in one step: from now on it is the caller's, and queues that change
 * meanwhile go on a new one. */
static struct queue *
detach_dirty(struct queues *qs)
{
	struct queue *list;

	LOCKED(&qs->dirty_lock);
	list = qs->dirty;
	qs->dirty = NULL;
	atomic_store(&qs->n_dirty, 0);
	return list;
}

static void
attach_dirty(struct queues *qs, struct queue *list)
{
	struct queue **end = &list;
	int64_t n = 0;

	for (; *end; n++)
		end = &(*end)->next_dirty;
	LOCKED(&qs->dirty_lock);
	atomic_fetch_add(&qs->n_dirty, n);
	*end = qs->dirty;
	qs->dirty = list;
}

static void
row_of(const struct queue *q, struct queue_row *row)
{
	MUST_HOLD(&q->lock);
	snprintf(row->topic, sizeof(row->topic), "%s", q->topic);
	row->queue_id = q->id;
	row->span = q->span;
	row->head_moves = q->head_moves;
}

void
queues_committed(struct queues *qs)
{
	atomic_store(&qs->committed, atomic_load(&qs->takes));
}

bool
queue_row_if_new(struct queue *q, struct queue_row *row)
{
	LOCKED(&q->lock);
	if (!q->saved.is_dirty && q->saved.taken_by <= atomic_load(&q->all->committed))
		return false;
	row_of(q, row);
	return true;
}

static void
take_row(struct queue *q, struct queue_row *row)
{
	LOCKED(&q->lock);
	q->saved.is_dirty = q->saved.rewound = false;
	q->saved.taken_by = atomic_load(&q->all->takes);
	row_of(q, row);
	q->saved.taken_min = q->span.min;
}

int
queues_take_dirty(struct queues *qs, struct queues_dirty *ret)
{
	struct queue *list = detach_dirty(qs);
	struct queues_dirty d = { 0 };

	for (struct queue *q = list; q; q = q->next_dirty)
		d.n++;
	d.list = calloc(d.n + 1, sizeof(*d.list));
	d.rows = calloc(d.n + 1, sizeof(*d.rows));
	if (!d.list || !d.rows) {
		attach_dirty(qs, list);
		free(d.list);
		free(d.rows);
		return -ENOMEM;
	}
	atomic_fetch_add(&qs->takes, 1);
	for (size_t i = 0; i < d.n; i++, list = list->next_dirty)
		d.list[i] = list;
	for (size_t i = 0; i < d.n; i++)	/* from here on each may be in a new list */
		take_row(d.list[i], &d.rows[i]);
	*ret = d;
	return MQ_OK;
}

/* Write all entries of q below `end` to the files. */
static int
flush_queue(struct queue *q, mq_qoff end)
{
	int rc = MQ_OK;

	LOCKED(&q->lock);
	queue_tail_settle(q);
	if (end.n > q->span.end.n)
		end = q->span.end;	/* the queue has started over since */
	if (end.n > q->tail_from.n)
		rc = queue_tail_write(q, (size_t)(end.n - q->tail_from.n));
	queue_tail_shrink(q);
	return rc;
}

static int
sync_half_begin(struct queue *q, enum queue_half half, int64_t file)
{
	struct fdref *ref;
	int rc = queue_files_get(q, half, file, false, &ref);

	if (rc != MQ_OK)
		return rc;
	file_sync_begin(fdref_fd(ref));
	fdcache_put(q->all->files, ref);
	return MQ_OK;
}

static int
sync_half(struct queue *q, enum queue_half half, int64_t file)
{
	struct fdref *ref;
	int rc = queue_files_get(q, half, file, false, &ref);

	if (rc != MQ_OK)
		return rc;
	fdref_syncs(ref);
	rc = file_sync(fdref_fd(ref), queue_files_dir(half));
	if (rc != MQ_OK)
		q->all->failed = true;
	fdcache_put(q->all->files, ref);
	return rc;
}

/* Call `call` for each file of q with entries that were written since the last sync. */
static int
each_unsynced(struct queue *q, mq_qoff end, int (*call)(struct queue *q, enum queue_half half, int64_t file))
{
	int64_t entries = q->all->file_entries, file;
	int rc = MQ_OK;

	lock_take(&q->lock);
	if (end.n > q->span.end.n)
		end = q->span.end;
	if (q->saved.synced.n >= end.n)	/* only the head has moved, or the queue has no files at all */
		end = MQ_QOFF(0);
	file = q->saved.synced.n / entries;
	lock_drop(&q->lock);
	for (; rc == MQ_OK && file * entries < end.n; file++) {
		rc = call(q, QUEUE_ENTRIES, file);
		if (rc == MQ_OK)
			rc = call(q, QUEUE_STARTS, file);
	}
	return rc;
}

static int
sync_dir(struct queues *qs, int dirfd, const char *name)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return err_note(-errno, "%s: %m", name);
	rc = dir_sync(fd, name);
	if (rc != MQ_OK)
		qs->failed = true;
	return rc;
}

/* Sync the directories of a queue that has new files, the innermost first. */
static int
sync_dirs(struct queue *q)
{
	const int halves[] = { q->all->consumequeue_fd, q->all->byteindex_fd };
	char name[RECORD_TOPIC_MAX + 16];
	int rc = MQ_OK;

	if (!atomic_exchange(&q->made_files, false))
		return MQ_OK;
	snprintf(name, sizeof(name), "%s/%" PRId32, q->topic, q->id);
	for (size_t i = 0; rc == MQ_OK && i < sizeof(halves) / sizeof(halves[0]); i++) {
		rc = sync_dir(q->all, halves[i], name);
		if (rc == MQ_OK)
			rc = sync_dir(q->all, halves[i], q->topic);
		if (rc == MQ_OK)
			rc = sync_dir(q->all, halves[i], ".");
	}
	if (rc != MQ_OK)
		atomic_store(&q->made_files, true);	/* one that could not be opened is synced by the next checkpoint */
	return rc;
}

static int
sync_singly(const struct queues_dirty *d)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < d->n; i++)
		rc = each_unsynced(d->list[i], d->rows[i].span.end, sync_half_begin);
	for (size_t i = 0; rc == MQ_OK && i < d->n; i++)
		rc = each_unsynced(d->list[i], d->rows[i].span.end, sync_half);
	for (size_t i = 0; rc == MQ_OK && i < d->n; i++)
		rc = sync_dirs(d->list[i]);
	return rc;
}

/* Sync the files of a few queues one by one, and those of many with one syncfs(2), which also
 * writes what other programs have written there and may take seconds.  syncfs(2) is needed
 * where a written file has been closed since: it still reports an error of that one.  Where it
 * cannot be trusted (file_system_syncs()) all files are synced one by one. */
static int
sync_queues(struct queues *qs, const struct queues_dirty *d)
{
	bool all = qs->fs_syncs && d->n > SYNC_SINGLY;
	int rc = all ? MQ_OK : sync_singly(d);

	if (fdcache_closed_unsynced(qs->files))
		all = qs->fs_syncs;
	if (rc != MQ_OK || !all)
		return rc;
	if (syncfs(qs->consumequeue_fd) == 0 && syncfs(qs->byteindex_fd) == 0)
		return MQ_OK;
	qs->failed = true;
	return err_note(-errno, "consumequeue: sync: %m");
}

/* After the sync: the entries below the row's end are on disk, unless the queue's end was moved
 * back or forward meanwhile. */
static void
note_synced(const struct queues_dirty *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct queue *q = d->list[i];

		LOCKED(&q->lock);
		if (!q->saved.rewound)
			q->saved.synced = d->rows[i].span.end;
	}
}

void
queues_put_back(struct queues_dirty *d)
{
	for (size_t i = 0; i < d->n; i++) {
		LOCKED(&d->list[i]->lock);
		queue_mark_dirty(d->list[i]);
	}
}

int
queues_flush(struct queues *qs, struct queues_dirty *d)
{
	int rc = MQ_OK;

	/* After a failed sync the files on the disk may be anything; the next mount
	 * replays from the last checkpoint that has succeeded. */
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
