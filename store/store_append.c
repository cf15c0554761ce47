/* What goes into the log: messages of this broker, and bytes of a master's. */
#include "config.h"

#include <errno.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "store/dispatch.h"
#include "store/scrub.h"
#include "store/store_priv.h"

/* Could anything be stored now, if appends are not refused? */
static int
may_store(struct store *s)
{
	if (s->dir->read_only)
		return -EROFS;
	if (atomic_load(&s->log.failed))
		return commitlog_has_failed(&s->log);
	if (atomic_load(&s->disk_full))
		return err_note(-ENOSPC, "the disk is over diskSpaceWarningLevelRatio");
	if (atomic_load(&s->queues.tail_entries) > QUEUES_TAIL_MAX)
		return err_note(-ENOSPC, "the views cannot be written to disk");
	return MQ_OK;
}

int
store_may_append(struct store *s)
{
	int rc = may_store(s);

	return rc == MQ_OK ? atomic_load(&s->refuses) : rc;
}

void
store_refuse(struct store *s, int rc)
{
	LOCKED(&s->log.lock);
	atomic_store(&s->refuses, rc);
}

int
store_cut_torn(struct store *s, const char *why)
{
	mq_pos end = mark_at(&s->dispatched);
	int rc;

	if (mark_at(&s->log.written).byte <= end.byte)
		return MQ_OK;
	LOCKED(&s->sealed_lock);
	rc = commitlog_keep(&s->log, end, s->lostfound_fd, why);
	if (rc == MQ_OK)
		rc = commitlog_cut(&s->log, end, s->log.store_ms, s->lostfound_fd, why);
	scrub_log_was_cut(s, end);
	return rc;
}

/* Give each entry the next number of its queue. */
static void
number(struct store *s, struct batch *b)
{
	size_t from, to;

	MUST_HOLD(&s->log.lock);
	for (from = 0; from < b->n; from = to) {
		to = batch_run_end(b, from, b->n);
		b->entries[from].q->numbered = queue_end(b->entries[from].q);
	}
	for (from = 0; from < b->n; from = to) {
		struct queue *q = b->entries[from].q;

		to = batch_run_end(b, from, b->n);
		batch_number(b, from, to, q->numbered);
		q->numbered = qoff_add(q->numbered, (int64_t)(to - from));
	}
}

/* Wake the threads that wait for the log to grow.  That takes longer than an append, so it is done
 * without the log's lock. */
static void
tell_grown(struct store *s)
{
	mark_tell(&s->log.written);
	mark_tell(&s->dispatched);
}

/* There is room in the tails of the queues for all of b. */
static int
append_locked(struct store *s, struct batch *b, bool first, struct appended *ret)
{
	struct appended a = { 0 };
	int rc;

	LOCKED(&s->log.lock);
	rc = first ? MQ_OK : atomic_load(&s->refuses);
	if (rc != MQ_OK)
		return rc;
	number(s, b);
	rc = commitlog_append(&s->log, b, clock_wall_ms(), &a.n);
	if (a.n > 0) {
		const struct batch_entry *last = &b->entries[a.n - 1];

		a.first = b->entries[0].qoff;
		a.begin = b->entries[0].pos;
		a.end = pos_add(last->pos, last->total);
		a.store_ms = s->log.store_ms;
		dispatch_batch(s, b, a.n, a.store_ms);
		atomic_fetch_add(&s->appended_messages, (int64_t)a.n);
		atomic_fetch_add(&s->appended_bytes, a.end.byte - a.begin.byte);
	}
	if (first && rc == MQ_OK)
		atomic_store(&s->refuses, MQ_OK);
	mark_move(&s->dispatched, s->log.end);
	*ret = a;
	return rc;
}

/* `first`: see store_append_first(). */
static int
append(struct store *s, struct batch *b, bool first, struct appended *ret)
{
	int rc = first ? may_store(s) : store_may_append(s);
	size_t reserved = 0, to;

	*ret = (struct appended){ 0 };
	while (rc == MQ_OK && reserved < b->n) {
		to = batch_run_end(b, reserved, b->n);
		rc = queue_reserve(b->entries[reserved].q, to - reserved);
		if (rc == MQ_OK)
			reserved = to;
	}
	if (rc == MQ_OK && b->n > 0) {
		dispatch_prepare(s, b);
		rc = append_locked(s, b, first, ret);
		tell_grown(s);
	}
	for (size_t from = 0; from < reserved; from = to) {
		to = batch_run_end(b, from, reserved);
		queue_unreserve(b->entries[from].q, to - from);
	}
	return rc;
}

/* All of b is for q. */
static void
aim(struct batch *b, struct queue *q)
{
	for (size_t i = 0; i < b->n; i++)
		b->entries[i].q = q;
	b->one_queue = true;
}

int
store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret)
{
	aim(b, q);
	return append(s, b, false, ret);
}

int
store_append_each(struct store *s, struct batch *b, struct appended *ret)
{
	return append(s, b, false, ret);
}

int
store_append_step(struct store *s, struct batch *b, struct appended *ret)
{
	int rc = batch_join(b);

	*ret = (struct appended){ 0 };
	return rc == MQ_OK ? append(s, b, false, ret) : rc;
}

int
store_append_first(struct store *s, struct queue *q, struct batch *b, struct appended *ret)
{
	aim(b, q);
	return append(s, b, true, ret);
}

/* Enter the records behind `dispatched` that are whole by now into the views; `added` are the log's
 * last bytes. */
static int
dispatch_new(struct store *s, const struct scan_known *added)
{
	struct dispatched d = { .end = mark_at(&s->dispatched), .store_ms = s->log.store_ms };
	int rc;

	MUST_HOLD(&s->log.lock);
	rc = dispatch_log(s, d.end, s->log.end, added, &d);
	while (rc == MQ_OK && d.damaged) {
		mq_pos next;

		/* the master's log has this damage, too: skip it once a record follows */
		rc = dispatch_next(s, d.end, s->log.end, &next);
		if (rc == MQ_EEND)
			d.damaged = false;
		else if (rc == MQ_OK)
			rc = dispatch_log(s, next, s->log.end, NULL, &d);
		rc = rc == MQ_EEND ? MQ_OK : rc;
	}
	if (rc != MQ_OK)
		return rc;
	s->log.store_ms = d.store_ms;
	mark_move(&s->dispatched, d.end);
	atomic_fetch_add(&s->appended_messages, d.records);
	return MQ_OK;
}

static int
append_raw_locked(struct store *s, mq_pos pos, const void *bytes, size_t len)
{
	int rc;

	LOCKED(&s->log.lock);
	if (atomic_load(&s->refuses) != MQ_EROLE)
		return err_note(-EROFS, "the log is written here, it is no master's copy");
	rc = commitlog_append_raw(&s->log, pos, bytes, len);
	mark_move(&s->dispatched, store_begin(s));	/* an empty log may begin at `pos` now */
	if (rc != MQ_OK)
		return rc;
	mark_tell(&s->log.written);	/* now, because a SYNC_MASTER waits for it, and not for the views */
	atomic_fetch_add(&s->appended_bytes, (int64_t)len);
	return dispatch_new(s, &(struct scan_known){ .pos = pos, .bytes = bytes, .len = len });
}

int
store_append_raw(struct store *s, mq_pos pos, const void *bytes, size_t len)
{
	int rc = may_store(s);

	if (rc != MQ_OK)
		return rc;
	rc = append_raw_locked(s, pos, bytes, len);
	tell_grown(s);
	return rc;
}
