#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/dispatch.h"
#include "store/durable.h"
#include "store/file.h"
#include "store/lostfound.h"
#include "store/retention.h"
#include "store/scrub.h"
#include "store/shape.h"
#include "store/store_priv.h"

#define QUEUES_COMPARED 1000		/* up to so many queues with messages are all compared by each mount */

/* --- opening ----------------------------------------------------------------------- */

static int
open_dirs(struct store *s)
{
	struct storedir *dir = s->dir;
	int rc;

	rc = dir_open(dir->commitlog_fd, ".", 0, &s->commitlog_fd);
	if (rc == MQ_OK)
		rc = dir_open(dir->fd, "index", dir->read_only ? 0 : 1, &s->index_fd);
	if (rc != MQ_OK && dir->read_only && s->commitlog_fd >= 0)
		rc = dir_open(dir->derived_fd, "index", 0, &s->index_fd);
	if (rc == MQ_OK && !dir->read_only)
		rc = dir_open(dir->fd, "lost+found", 0, &s->lostfound_fd);
	return rc;
}

static int
open_index(struct store *s, const struct store_checkpoint *cp, bool rebuild)
{
	const struct settings *set = s->settings;
	struct index_shape shape = { set->maxHashSlotNum, set->maxIndexNum };

	if (shape_of_index(s->index_fd, &shape) && shape.slots != set->maxHashSlotNum)
		log_notice("index files of this store have %" PRId64 " slots and %" PRId64 " entries (maxHashSlotNum says "
			   "%" PRId64 ")", shape.slots, shape.entries, set->maxHashSlotNum);
	return keyindex_open(s->index_fd, shape.slots, shape.entries, cp->index_name, cp->index_count, rebuild,
			     s->dir->read_only, &s->index);
}

/* The files in the store set the size also of a read-only mount's private views. */
static int64_t
queue_file_bytes(const struct store *s)
{
	int64_t set = s->settings->mappedFileSizeConsumeQueue, bytes = shape_of_queues(s->dir->fd);

	if (bytes == 0 || bytes == (set + QUEUE_ENTRY_BYTES - 1) / QUEUE_ENTRY_BYTES * QUEUE_ENTRY_BYTES)
		return set;
	log_notice("consume queue files of this store have %" PRId64 " bytes (mappedFileSizeConsumeQueue says %" PRId64
		   ")", bytes, set);
	return bytes;
}

int
store_open_queues(struct store *s)
{
	int rc = dir_open(s->dir->derived_fd, "consumequeue", 0, &s->consumequeue_fd);

	if (rc == MQ_OK)
		rc = dir_open(s->dir->derived_fd, "byteindex", 0, &s->byteindex_fd);
	if (rc == MQ_OK)
		rc = queues_open(&s->queues, s->consumequeue_fd, s->byteindex_fd, queue_file_bytes(s), s->files);
	return rc;
}

int
store_adopt_rows(struct store *s, const struct store_checkpoint *cp)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < cp->n; i++)
		rc = queues_adopt_row(&s->queues, &cp->rows[i]);
	return rc;
}

static size_t
queues_with_messages(const struct store_checkpoint *cp)
{
	size_t n = 0;

	for (size_t i = 0; i < cp->n; i++)
		n += cp->rows[i].span.end.n > cp->rows[i].span.min.n;
	return n;
}

/* Opening two files for each of 100,000 queues takes seconds, and minutes from a cold disk.  Where there are
 * fewer, or something may have changed the files, or retention is about to read them, all are compared
 * now: then views that are not as they were are made anew by this mount, not by the next one.  Something has
 * changed them where RocketMQ has run, or the log has a record that a clean exit of ours would have in its rows
 * (a slave may leave a part of one). */
static bool
may_compare_later(struct store *s, const struct store_checkpoint *cp)
{
	return queues_with_messages(cp) > QUEUES_COMPARED && s->dir->was_clean && !s->dir->was_rocketmqs &&
	       !s->dir->is_copy && cp->begin.byte >= store_begin(s).byte &&
	       !dispatch_goes_on_at(s, cp->dispatched, MQ_POS(atomic_load(&s->log.allocated)));
}

/* The views as the checkpoint left them.  MQ_ECORRUPT if they are not. */
static int
open_views(struct store *s, const struct store_checkpoint *cp)
{
	int rc = queues_restore(&s->queues, cp->rows, cp->n, may_compare_later(s, cp));

	return rc == MQ_OK ? open_index(s, cp, false) : rc;
}

static int
had_messages(struct queue *q, void *arg)
{
	(void)arg;
	return queue_end(q).n > 0;
}

/* There are queues but no segment: the log lies elsewhere, is not mounted, or is lost. */
static int
refuse_lost_log(struct store *s)
{
	if (atomic_load(&s->log.allocated) > 0 || !store_each_queue(s, had_messages, NULL))
		return MQ_OK;
	return err_note(MQ_ECORRUPT, "the store %s has consume queues, but no commit log: commitlog has no segments. "
			"If the log lies elsewhere, storePathCommitLog must say where; if it is lost, "
			"remove consumequeue to begin anew", s->dir->path);
}

static int
refuse_batch_queue(int dirfd, const char *name, void *arg)
{
	(void)dirfd;
	(void)arg;
	return err_note(MQ_ECORRUPT, "topic %s has queues of RocketMQ 5's type BatchCQ (batchconsumequeue), which are not "
			"served", name);
}

/* RocketMQ 5 has another kind of consume queue for topics whose records may hold several messages
 * each; it does not start where such a topic has an ordinary one, too. */
static int
refuse_batch_queues(const struct store *s)
{
	return dir_each(s->dir->fd, "batchconsumequeue", refuse_batch_queue, NULL);
}

/* Forget the views, since all of the log will be replayed; but keep the ends of queues, which only
 * the views know where all messages of a queue are removed. */
static int
begin_views(struct store *s, const struct store_checkpoint *cp)
{
	AUTO_CLOSE int old_fd = -1;
	int rc = MQ_OK;

	if (dir_open(s->dir->fd, "consumequeue", 0, &old_fd) == MQ_OK)
		rc = queues_adopt(&s->queues, old_fd);
	if (rc == MQ_OK)
		rc = store_adopt_rows(s, cp);
	if (rc == MQ_OK)
		rc = refuse_lost_log(s);
	if (rc == MQ_OK)
		rc = queues_wipe(&s->queues);
	if (rc == MQ_OK)
		rc = open_index(s, cp, true);
	s->delays.state = (struct delays_state){ 0 };
	s->recovery.rebuilt = true;
	return rc;
}

static int
open_parts(struct store *s, const struct store_checkpoint *cp)
{
	const struct settings *set = s->settings;
	int rc;

	rc = refuse_batch_queues(s);
	if (rc == MQ_OK)
		rc = open_dirs(s);
	if (rc == MQ_OK)
		rc = fdcache_open(FDS_OURS, &s->files);
	if (rc == MQ_OK)
		rc = commitlog_open(&s->log, s->commitlog_fd, set->mappedFileSizeCommitLog, s->dir->read_only, s->files);
	if (rc == MQ_OK && !s->dir->read_only)
		rc = durable_open(s->dir->fd, &s->durable_fd);
	if (rc != MQ_OK)
		return rc;
	s->log.durable_fd = s->durable_fd;
	rc = store_open_queues(s);
	if (rc != MQ_OK)
		return rc;
	/* a read-only mount may not complete the views it finds: it has its own */
	if (cp->dispatched.byte < 0 || s->dir->read_only || s->dir->views_stale || s->dir->views_foreign)
		return begin_views(s, cp);
	rc = open_views(s, cp);
	if (rc != MQ_ECORRUPT)
		return rc;
	log_notice("the views are made anew: %s", err_text(rc));
	return begin_views(s, cp);
}

static void
log_lost(struct store *s)
{
	struct lostfound_stats lost;

	lostfound_stats(s->lostfound_fd, &lost);
	if (lost.pieces > 0)
		log_notice("pieces in lost+found: %" PRId64 ", %" PRId64 " bytes; a note beside each says how to get back "
			   "what is in it", lost.pieces, lost.bytes);
}

/* --- views that are stale ------------------------------------------------------------------ */

int
store_views_are_stale(struct store *s)
{
	LOCKED(&s->checkpoint_lock);
	return storedir_views_are_stale(s->dir);
}

/* If a queue's files were found to be unlike its row, let the next mount know. */
static int
note_unlike(struct store *s)
{
	int rc;

	MUST_HOLD(&s->checkpoint_lock);
	if (!atomic_exchange(&s->queues.unlike, false))
		return MQ_OK;
	rc = storedir_views_are_stale(s->dir);
	if (rc != MQ_OK)
		atomic_store(&s->queues.unlike, true);
	return rc;
}

static void
note_unlike_now(struct store *s)
{
	int rc;

	if (!atomic_load(&s->queues.unlike))
		return;
	LOCKED(&s->checkpoint_lock);
	rc = note_unlike(s);
	if (rc != MQ_OK)
		log_err("the next mount is not told to make the views anew: %s", err_text(rc));
}

/* --- the flusher ----------------------------------------------------------------------- */

static void *
flusher_main(void *arg)
{
	struct store *s = arg;
	int rc = MQ_OK, last = MQ_OK;

	while (mark_wait_past(&s->closing, MQ_POS(0), (int)s->settings->flushIntervalCommitLog, NULL) == -ETIMEDOUT) {
		(void)commitlog_flush(&s->log, mark_at(&s->log.written));
		rc = commitlog_make_spare(&s->log);
		if (rc != last && rc != MQ_OK)
			log_warn("no segment in reserve: %s", err_text(rc));
		last = rc;
		note_unlike_now(s);
	}
	return NULL;
}

static int
start_threads(struct store *s)
{
	int rc = s->dir->read_only ? MQ_OK : thread_start(&s->flusher, "flusher", flusher_main, s);

	return s->flusher.runs ? thread_start(&s->retention, "retention", retention_main, s) : rc;
}

struct store *
store_new(const struct settings *settings, struct storedir *dir, const struct delays_state *delays)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->settings = settings;
	s->dir = dir;
	s->commitlog_fd = s->consumequeue_fd = s->byteindex_fd = s->index_fd = s->lostfound_fd = s->durable_fd = -1;
	mark_init(&s->dispatched, MQ_POS(0));
	mark_init(&s->closing, MQ_POS(0));
	lock_init(&s->checkpoint_lock, RANK_CHECKPOINT);
	lock_init(&s->sealed_lock, RANK_SEALED);
	wallclock_open(&s->clock);
	delays_open(&s->delays, delays);
	lock_init(&s->turn_lock, RANK_CHECKPOINT);
	cond_init(&s->turn_over);
	atomic_init(&s->steady, INT64_MAX);
	atomic_init(&s->refuses, settings->brokerRole == SLAVE ? MQ_EROLE : MQ_OK);
	record_delays_are(settings->messageDelayLevel);
	return s;
}

int
store_open(const struct settings *settings, struct storedir *dir, const struct store_checkpoint *cp,
	   struct store **ret_store)
{
	struct store *s = store_new(settings, dir, &cp->delays);
	int rc;

	if (!s)
		return -ENOMEM;
	rc = open_parts(s, cp);
	if (rc == MQ_OK)
		rc = store_recover(s, cp);
	if (rc != MQ_OK)
		goto fail;
	if (!dir->read_only)	/* sums of segments that are removed, or not sealed any more */
		sums_forget(dir->fd, store_begin(s), commitlog_segment_of(&s->log, mark_at(&s->log.written)));
	wallclock_begin(&s->clock, s->log.store_ms);
	log_lost(s);
	retention_look_at_disk(s);
	rc = start_threads(s);
	if (rc != MQ_OK)
		goto fail;
	*ret_store = s;
	return MQ_OK;

fail:
	store_close(s);
	return rc;
}

void
store_close(struct store *s)
{
	if (!s)
		return;
	int *const fds[] = {
		&s->commitlog_fd, &s->consumequeue_fd, &s->byteindex_fd, &s->index_fd, &s->lostfound_fd, &s->durable_fd,
	};

	scrub_stop(s);
	mark_close(&s->closing);
	mark_close(&s->dispatched);
	mark_close(&s->delays.news);
	if (s->log.segment_bytes) {
		mark_close(&s->log.written);
		mark_close(&s->log.flushed);
	}
	thread_join(&s->flusher);
	thread_join(&s->retention);
	if (s->log.segment_bytes)
		(void)commitlog_flush(&s->log, mark_at(&s->log.written));
	note_unlike_now(s);
	keyindex_close(s->index);
	queues_close(&s->queues);
	commitlog_close(&s->log);
	fdcache_close(s->files);
	lock_destroy(&s->sealed_lock);
	wallclock_close(&s->clock);
	delays_close(&s->delays);
	lock_destroy(&s->checkpoint_lock);
	pthread_cond_destroy(&s->turn_over);
	lock_destroy(&s->turn_lock);
	mark_destroy(&s->closing);
	mark_destroy(&s->dispatched);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		scope_close_fd(fds[i]);
	free(s);
}

void
store_turn_begin(struct store *s)
{
	LOCKED(&s->turn_lock);
	while (s->turn_taken)
		lock_wait(&s->turn_lock, &s->turn_over, -1);
	s->turn_taken = true;
}

void
store_turn_end(struct store *s)
{
	LOCKED(&s->turn_lock);
	s->turn_taken = false;
	pthread_cond_signal(&s->turn_over);
}

void
store_recovery(const struct store *s, struct store_recovery *ret)
{
	*ret = s->recovery;
}

struct mark *
store_begin_mark(struct store *s)
{
	return &s->log.begin;
}

struct mark *
store_written(struct store *s)
{
	return &s->log.written;
}

struct mark *
store_flushed(struct store *s)
{
	return &s->log.flushed;
}

struct mark *
store_dispatched(struct store *s)
{
	return &s->dispatched;
}

mq_pos
store_steady(struct store *s)
{
	return MQ_POS(atomic_load(&s->steady));
}

mq_pos
store_begin(struct store *s)
{
	return mark_at(&s->log.begin);
}

int64_t
store_segment_bytes(const struct store *s)
{
	return s->log.segment_bytes;
}

int64_t
store_queue_file_entries(const struct store *s)
{
	return s->queues.file_entries;
}

int
store_commitlog_fd(const struct store *s)
{
	return s->commitlog_fd;
}

int
store_flush(struct store *s, mq_pos upto)
{
	return commitlog_flush(&s->log, upto);
}

/* --- queues ---------------------------------------------------------------------------------- */

struct queue *
store_queue(struct store *s, const char *topic, int32_t id)
{
	return queues_find(&s->queues, topic, strlen(topic), id);
}

int
store_queue_make(struct store *s, const char *topic, int32_t id, struct queue **ret_q)
{
	return queues_make(&s->queues, topic, strlen(topic), id, ret_q);
}

struct queue *
store_news(struct store *s)
{
	return atomic_exchange(&s->queues.news, NULL);
}

int
store_each_queue(struct store *s, int (*each)(struct queue *q, void *arg), void *arg)
{
	return queues_each(&s->queues, each, arg);
}

int
store_queue_came_to(struct store *s, const char *topic, int32_t queue_id, mq_qoff end, int64_t last_store_ms)
{
	struct queue *q;
	int rc = store_queue_make(s, topic, queue_id, &q);

	if (rc == MQ_OK)
		queue_came_to(q, end, last_store_ms, store_begin(s));
	return rc;
}

/* --- checkpoint ------------------------------------------------------------------------------- */

void
store_checkpoint_free(struct store_checkpoint *cp)
{
	free(cp->rows);
	*cp = (struct store_checkpoint){ .dispatched = MQ_POS(-1) };
}

int
store_checkpoint(struct store *s, struct store_checkpoint *ret)
{
	struct store_checkpoint cp = { 0 };
	struct queues_dirty dirty = { 0 };
	struct keyindex_mark index = { 0 };
	int rc;

	LOCKED(&s->checkpoint_lock);
	cp.begin = store_begin(s);	/* retention moves the heads before the begin */
	lock_take(&s->log.lock);
	cp.dispatched = mark_at(&s->dispatched);
	cp.store_ms = s->log.store_ms;
	delays_state(s, &cp.delays);
	rc = queues_take_dirty(&s->queues, &dirty);
	if (rc == MQ_OK)
		rc = keyindex_freeze(s->index, &index);
	lock_drop(&s->log.lock);

	if (rc == MQ_OK)
		rc = commitlog_flush(&s->log, cp.dispatched);
	if (rc == MQ_OK)
		rc = durable_sync(s->durable_fd, mark_at(&s->log.flushed));
	if (rc == MQ_OK)
		rc = keyindex_flush(s->index, &index);
	if (rc == MQ_OK)
		rc = queues_flush(&s->queues, &dirty);
	else
		queues_put_back(&dirty);
	if (rc == MQ_OK && (rc = note_unlike(s)) != MQ_OK)	/* these rows would not show it any more */
		queues_put_back(&dirty);
	free(dirty.list);
	if (rc != MQ_OK) {
		free(dirty.rows);
		return rc;
	}
	cp.rows = dirty.rows;
	cp.n = dirty.n;
	cp.index_count = index.count;
	memcpy(cp.index_name, index.name, sizeof(cp.index_name));
	(void)storedir_write_checkpoint(s->dir, cp.store_ms, cp.store_ms, 0);
	*ret = cp;
	return MQ_OK;
}

struct each_row {
	int (*each)(void *arg, const struct queue_row *row);
	void *arg;
};

static int
tell_row(struct queue *q, void *arg)
{
	const struct each_row *e = arg;
	struct queue_row row;

	return queue_row_if_new(q, &row) ? e->each(e->arg, &row) : MQ_OK;
}

int
store_moment(struct store *s, int (*each)(void *arg, const struct queue_row *row), void *arg,
	     struct store_checkpoint *ret)
{
	struct store_checkpoint cp = { .begin = store_begin(s) };	/* before the rows, as in a checkpoint */
	struct each_row e = { each, arg };
	int rc;

	atomic_store(&s->moment, true);	/* before the rows, too, see retention.c */
	LOCKED(&s->log.lock);
	rc = store_each_queue(s, tell_row, &e);
	if (rc != MQ_OK)
		return rc;
	cp.dispatched = mark_at(&s->dispatched);
	cp.store_ms = s->log.store_ms;
	delays_state(s, &cp.delays);
	*ret = cp;
	return MQ_OK;
}

void
store_moment_over(struct store *s)
{
	atomic_store(&s->moment, false);
}

void
store_checkpointed(struct store *s, mq_pos dispatched)
{
	int rc;

	LOCKED(&s->checkpoint_lock);
	atomic_store(&s->checkpointed, dispatched.byte);
	queues_committed(&s->queues);
	queues_remove_outgrown(&s->queues);
	rc = storedir_views_are_fresh(s->dir);
	if (rc != MQ_OK)
		log_warn("the next mount makes the views anew once more: %s", err_text(rc));
}

int64_t
store_changed_queues(const struct store *s)
{
	return atomic_load(&s->queues.n_dirty);
}

/* --- stats -------------------------------------------------------------------------------------- */

void
store_stats(struct store *s, struct store_stats *ret)
{
	struct store_stats st = {
		.begin = mark_at(&s->log.begin).byte,
		.written = mark_at(&s->log.written).byte,
		.flushed = mark_at(&s->log.flushed).byte,
		.dispatched = mark_at(&s->dispatched).byte,
		.appended_messages = atomic_load(&s->appended_messages),
		.appended_bytes = atomic_load(&s->appended_bytes),
		.flushes = atomic_load(&s->log.flushes),
		.failed = atomic_load(&s->log.failed),
		.disk_full = atomic_load(&s->disk_full),
		.disk_used_percent = atomic_load(&s->disk_used_percent),
		.heads_moved = atomic_load(&s->queues.head_moves),
		.retention_ms = atomic_load(&s->retention_ms),
		.retention_rounds = atomic_load(&s->retention_rounds),
		.removed_segments = atomic_load(&s->removed_segments),
		.removed_bytes = atomic_load(&s->removed_bytes),
		.cuts = atomic_load(&s->cuts),
		.cut_bytes = atomic_load(&s->cut_bytes),
		.clock_backs = atomic_load(&s->log.clock_backs),
	};

	wallclock_believed_ms(&s->clock, &st.clock_ahead_ms);

	st.segments = (atomic_load(&s->log.allocated) - st.begin) / s->log.segment_bytes;
	lock_take(&s->queues.lock);
	st.queues = (int64_t)s->queues.n;
	lock_drop(&s->queues.lock);
	*ret = st;
}
