/* checkpoint.c - memory -> LMDB, every second or so.  load.c is the way back.
 *
 * offsets.c draws why the steps are in this order.  A step that has succeeded
 * is not repeated: the collected rows and the store's part are kept until a
 * transaction has written them.
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/log.h"
#include "offsets/registry.h"

#define LOG_BYTES_MAX ((int64_t)64 << 20) /* of log between two checkpoints */
#define QUEUES_AT_ONCE 32		/* that are synced in one flushIntervalConsumeQueue */
#define TICK_MS 1000		/* settings may change: look at least so often */

/* --- a checkpoint ------------------------------------------------------------------- */

static bool
nothing_new(struct offsets *o)
{
	LOCKED(&o->registry);

	return o->saved.once && o->saved.as_slave == (o->settings->brokerRole == SLAVE) && !o->views_rebuilt &&
	       !o->stamp && !o->next.collected && !o->next.have_views && !o->dirty && !o->history.changed &&
	       !o->slave_commits.dirty && !o->told.delays_dirty &&
	       o->applied.n == o->saved.applied.n && store_changed_queues(o->store) == 0 &&
	       mark_at(store_dispatched(o->store)).byte == o->saved.mark;
}

static int
collect_if_needed(struct offsets *o, bool *ret_skip)
{
	int rc;

	LOCKED(&o->lmdb);
	LOCKED(&o->apply);
	*ret_skip = nothing_new(o);
	if (*ret_skip || o->next.collected)
		return MQ_OK;
	rows_clear(&o->next.rows);
	o->next.as_slave = o->settings->brokerRole == SLAVE;
	rc = collect_changed(o, &o->next.rows, true);
	if (rc != MQ_OK)
		return rc;
	o->next.collected = true;
	o->next.applied = o->applied;
	o->next.end = o->applied_end;
	return MQ_OK;
}

static int
write_all(struct offsets *o)
{
	int64_t upto = o->next.end.byte;
	int rc;

	if (o->next.views.dispatched.byte > upto)
		upto = o->next.views.dispatched.byte;
	rc = store_flush(o->store, MQ_POS(upto));
	if (rc != MQ_OK)
		return rc;
	if (memcmp(&o->saved.delays, &o->next.views.delays, sizeof(o->saved.delays)) != 0)
		o->handover.changed = true;
	o->saved.delays = o->next.views.delays;
	LOCKED(&o->lmdb);
	size_t collected = o->next.rows.len;
	collect_views(&o->next.rows, &o->next.views);
	rc = tables_write(o->tables, &o->next.rows);
	o->next.collected = rc != MQ_OK;
	if (rc != MQ_OK) {		/* all of it the next time */
		o->next.rows.len = collected;
		o->next.rows.err = MQ_OK;
	}
	return rc;
}

static int
checkpoint_steps(struct offsets *o)
{
	bool skip;
	int rc = collect_if_needed(o, &skip);

	if (rc != MQ_OK || skip)
		return rc;
	if (!o->next.have_views) {
		rc = store_checkpoint(o->store, &o->next.views);
		if (rc != MQ_OK)
			return rc;
		o->next.have_views = true;
	}
	rc = write_all(o);
	if (rc != MQ_OK)
		return rc;
	store_checkpointed(o->store, o->next.views.dispatched);
	lock_take(&o->apply);
	o->saved.once = true;
	o->views_rebuilt = false;
	o->saved.applied = o->next.applied;
	o->saved.as_slave = o->next.as_slave;
	o->saved.mark = o->next.views.dispatched.byte;
	o->next.have_views = false;
	lock_drop(&o->apply);
	store_checkpoint_free(&o->next.views);
	if (o->stamp && storedir_is_own(o->dir) == MQ_OK)
		o->stamp = false;
	o->count.checkpoints++;
	return MQ_OK;
}

int
checkpoint_now(struct offsets *o)
{
	bool resumed = o->next.collected || o->next.have_views;
	int rc;

	MUST_HOLD(&o->turn);
	rc = checkpoint_steps(o);
	if (rc == MQ_OK && resumed)	/* what was collected then is not all there is now */
		rc = checkpoint_steps(o);
	if (rc != MQ_OK)
		o->count.failures++;
	if (rc != MQ_OK && !o->next.failing)
		log_err("checkpoint: %s; it is tried again", err_text(rc));
	if (rc == MQ_OK && o->next.failing)
		log_notice("checkpoint: works again");
	o->next.failing = rc != MQ_OK;
	return rc;
}

int
offsets_checkpoint(struct offsets *o)
{
	if (!o->tables)
		return MQ_OK;
	LOCKED(&o->turn);
	return checkpoint_now(o);
}

/* Write only unsettled commits, at once.  The row of a settled one is deleted by a whole
 * checkpoint, since that also has the record that settled it. */
static int
write_slave_commits(struct offsets *o)
{
	struct rows rows = { 0 };
	int rc;

	LOCKED(&o->lmdb);
	lock_take(&o->registry);
	slave_commits_collect(o, &rows, false, true);
	lock_drop(&o->registry);
	rc = rows.len > 0 || rows.err != MQ_OK ? tables_write(o->tables, &rows) : MQ_OK;
	lock_take(&o->registry);
	slave_commits_collected(o, rc == MQ_OK);
	lock_drop(&o->registry);
	rows_free(&rows);
	return rc;
}

int
checkpoint_slave_commits(struct offsets *o)
{
	int rc = MQ_OK;

	if (!o->tables)
		return -EROFS;
	LOCKED(&o->turn);
	if (o->next.collected)		/* these rows are older, and must be written first */
		rc = checkpoint_now(o);
	if (rc == MQ_OK)
		rc = write_slave_commits(o);
	return rc;
}

int
checkpoint_identity(struct offsets *o)
{
	struct rows rows = { 0 };
	int rc;

	MUST_HOLD(&o->lmdb);
	rows_put(&rows, TABLE_META, "identity", strlen("identity"), o->identity, sizeof(o->identity));
	rc = tables_write(o->tables, &rows);
	rows_free(&rows);
	return rc;
}

/* --- commits ------------------------------------------------------------------------ */

static void
note_gathering(int rc)
{
	if (rc != MQ_OK)
		log_warn("commits stay in memory for now: %s", err_text(rc));
}

/* Log what could not be logged when this broker became the master. */
static int
log_what_is_left(struct offsets *o)
{
	int rc = MQ_OK;

	LOCKED(&o->apply);
	if (change_allowed(o) != MQ_OK)
		return MQ_OK;
	if (slave_commits_count(o) > 0)
		rc = slave_commits_log(o);
	return rc == MQ_OK ? commit_log_clamped(o) : rc;
}

static void
gather(struct offsets *o)
{
	int rc = log_what_is_left(o);

	note_gathering(rc == MQ_OK ? commit_gather_in_steps(o) : rc);
}

/* --- the thread ---------------------------------------------------------------------- */

int
offsets_follow(struct offsets *o)
{
	if (o->settings->brokerRole != SLAVE)
		return MQ_OK;
	LOCKED(&o->apply);
	return change_follow_all(o);
}

int
offsets_promote(struct offsets *o)
{
	int rc;

	LOCKED(&o->lmdb);		/* for the epoch */
	LOCKED(&o->apply);
	rc = change_follow_all(o);
	if (rc != MQ_OK)
		return rc;
	commit_clamp(o);		/* nothing is appended yet */
	return epoch_begin(o);
}

void
offsets_promoted(struct offsets *o)
{
	int rc;

	LOCKED(&o->apply);
	o->round.at = MQ_POS(-1);	/* due, until it has worked */
	round_if_due(o);
	rc = slave_commits_log(o);
	note_gathering(rc == MQ_OK ? commit_log_clamped(o) : rc);
}

void
offsets_demote(struct offsets *o)
{
	atomic_fetch_add(&o->delivery.demotions, 1);
	gather(o);
}

static void
catch_up(struct offsets *o)
{
	LOCKED(&o->lmdb);		/* for the epoch */
	LOCKED(&o->apply);
	int rc = change_follow_all(o);

	if (rc != MQ_OK)
		log_err("following MQFS_META: %s", err_text(rc));
	if (o->epoch_is_due && change_allowed(o) == MQ_OK)
		epoch_begin_if_due(o);
	round_if_due(o);
	keep_messages(o);
}

/* From one checkpoint to the next, or more.  Thousands of queues would keep the disk busy with syncs
 * and nothing else, and the log has what their views have not. */
static int64_t
interval_ms(const struct offsets *o)
{
	int64_t every = o->settings->flushIntervalConsumeQueue;
	int64_t most = o->settings->flushConsumeQueueThoroughInterval;
	int64_t wanted = every * (1 + store_changed_queues(o->store) / QUEUES_AT_ONCE);

	most = most > every ? most : every;
	return wanted < most ? wanted : most;
}

void *
checkpoint_main(void *arg)
{
	struct offsets *o = arg;
	int64_t gathered = clock_mono_ms(), followed = gathered, saved = gathered;
	bool failed = false;		/* then more log is no reason to try again at once */

	while (!o->writer.stop) {
		mq_pos mark = MQ_POS(failed ? INT64_MAX : o->saved.mark + LOG_BYTES_MAX);
		int64_t now, interval = o->settings->flushIntervalConsumeQueue;
		int64_t gather_every = o->settings->flushConsumerOffsetInterval;
		int64_t wait = followed + interval < gathered + gather_every ? followed + interval
									     : gathered + gather_every;

		wait -= clock_mono_ms();
		wait = wait < 1 ? 1 : wait > TICK_MS ? TICK_MS : wait;
		int woken = mark_wait_news(store_written(o->store), mark, &o->writer.nudges, (int)wait, NULL);

		if (woken == MQ_ECLOSED || o->writer.stop)
			break;
		now = clock_mono_ms();
		if (now - gathered >= gather_every) {
			gather(o);
			gathered = now;
		}
		if (woken != MQ_OK && now - followed < interval)
			continue;
		catch_up(o);
		followed = now;
		if (woken == MQ_OK || failed || now - saved >= interval_ms(o)) {
			failed = offsets_checkpoint(o) != MQ_OK;
			if (!failed)
				handover_write_if_due(o);
			saved = clock_mono_ms();
		}
	}
	return NULL;
}
