/* checkpoint.c - memory -> LMDB, every second or so.  load.c is the way back.
 *
 * offsets.c draws why the steps are in this order.  A step that has succeeded
 * is not repeated: the collected rows and the store's part are kept until a
 * transaction has written them.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/export.h"
#include "offsets/registry.h"
#include "store/snapshot.h"

#define LOG_BYTES_MAX ((int64_t)64 << 20) /* of log between two checkpoints */
#define QUEUES_AT_ONCE 32		/* that are synced in one flushIntervalConsumeQueue */
#define TICK_MS 1000		/* settings may change: look at least so often */

/* --- rows ------------------------------------------------------------------------ */

static void
put_meta(struct rows *r, const char *key, const void *value, size_t len)
{
	rows_put(r, TABLE_META, key, strlen(key), value, len);
}

static void
put_i64(struct rows *r, const char *key, int64_t v)
{
	unsigned char be[8];

	be64_put(be, v);
	put_meta(r, key, be, sizeof(be));
}

static void
put_epochs(struct rows *r, const struct epochs *e)
{
	AUTO_FREE unsigned char *row = malloc(e->n * EPOCH_BYTES + 1);

	if (!row) {
		r->err = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < e->n; i++) {
		unsigned char *at = row + i * EPOCH_BYTES;

		be64_put(at, e->list[i].number);
		be64_put(at + 8, e->list[i].start.byte);
		memcpy(at + 16, e->list[i].id, EPOCH_ID_BYTES);
		memcpy(at + 16 + EPOCH_ID_BYTES, e->list[i].by, EPOCH_ID_BYTES);
	}
	put_meta(r, "epochs", row, e->n * EPOCH_BYTES);
}

static void
offset_key(unsigned char key[8], uint32_t sub_id, int32_t queue_id)
{
	be32_put(key, (int32_t)sub_id);
	be32_put(key + 4, queue_id);
}

static void
collect_places(struct rows *r, struct subscription_entry *s)
{
	for (int32_t i = 0; i < s->n_places; i++) {
		struct place *p = &s->places[i];
		unsigned char key[8], value[16];

		if (!p->dirty)
			continue;
		p->dirty = false;
		offset_key(key, s->pub.id, i);
		be64_put(value, p->logged);
		be64_put(value + 8, p->reset);
		if (p->known)
			rows_put(r, TABLE_OFFSETS, key, sizeof(key), value, sizeof(value));
		else
			rows_delete(r, TABLE_OFFSETS, key, sizeof(key));
	}
}

static void
collect_entry(struct rows *r, struct registry_entry *e)
{
	static const enum table tables[ENTRY_KINDS] = { TABLE_TOPICS, TABLE_GROUPS, TABLE_SUBSCRIPTIONS, TABLE_ATTRS };
	AUTO_FREE char *json = NULL;
	struct meta m;
	size_t len = 0;

	if (!entry_says_something(e)) {
		rows_delete(r, tables[e->kind], e->name, strlen(e->name));
		return;
	}
	if (e->kind == ENTRY_SUBSCRIPTION)
		collect_places(r, (void *)e);
	if (entry_meta(e, false, &m) != MQ_OK) {
		r->err = -ENOMEM;
		return;
	}
	json = meta_encode(&m, &len);
	meta_free(&m);
	if (json)
		rows_put(r, tables[e->kind], e->name, strlen(e->name), json, len);
	else
		r->err = -ENOMEM;
}

static void
collect_delays(struct offsets *o)
{
	AUTO_FREE char *json = NULL;

	if (!o->told.delays_dirty)
		return;
	json = json_dumps(o->told.delays, JSON_COMPACT);
	if (json)
		put_meta(&o->next.rows, TABLE_META_DELAYS, json, strlen(json));
	else
		o->next.rows.err = -ENOMEM;
	o->told.delays_dirty = o->next.rows.err != MQ_OK;
}

/* Collect the rows that have changed since the last time, and the position they belong to. */
static int
collect(struct offsets *o)
{
	unsigned char import = o->import == IMPORT_DONE, role = o->settings->brokerRole == SLAVE;

	LOCKED(&o->registry);
	rows_clear(&o->next.rows);
	for (int t = TABLE_TOPICS; o->rebuilt && t <= TABLE_ATTRS; t++)
		rows_empty(&o->next.rows, (enum table)t);
	if (o->rebuilt)
		rows_empty(&o->next.rows, TABLE_UNSETTLED);
	if (o->dirty || o->told.delays_dirty)
		o->handover.changed = true;
	while (o->dirty) {
		struct registry_entry *e = o->dirty;

		o->dirty = e->next;
		e->dirty = false;
		collect_entry(&o->next.rows, e);
	}
	put_meta(&o->next.rows, "format", "\0\0\0\1", 4);
	put_meta(&o->next.rows, "identity", o->identity, sizeof(o->identity));
	put_i64(&o->next.rows, "applied", o->applied.n);
	put_i64(&o->next.rows, "round", o->round.at.byte);
	put_meta(&o->next.rows, "rounds", &(unsigned char){ ROUND_FORM }, 1);
	put_meta(&o->next.rows, "role", &role, 1);
	if (o->history.changed)
		put_epochs(&o->next.rows, &o->history.epochs);
	if (o->import != IMPORT_NEVER)
		put_meta(&o->next.rows, "import", &import, 1);
	collect_delays(o);
	slave_commits_collect(o, &o->next.rows, true);
	slave_commits_collected(o, o->next.rows.err == MQ_OK);
	if (o->next.rows.err != MQ_OK) {
		registry_dirty_all(o);
		return o->next.rows.err;
	}
	o->history.changed = false;
	o->next.as_slave = role;
	o->next.collected = true;
	o->rebuilt = false;
	o->next.applied = o->applied;
	o->next.end = o->applied_end;
	return MQ_OK;
}

static void
put_queue(struct rows *r, const struct queue_row *row)
{
	unsigned char key[RECORD_TOPIC_MAX + 8], value[QUEUE_ROW_BYTES];
	size_t len = strlen(row->topic);
	const int64_t numbers[] = {
		row->span.min.n, row->span.end.n, row->span.start_bytes, row->span.end_bytes,
		row->span.last_store_ms, row->span.last_end.byte,
	};

	memcpy(key, row->topic, len);
	key[len] = '/';
	be32_put(key + len + 1, row->queue_id);
	if (row->span.end.n == 0) {	/* all of it was cut */
		rows_delete(r, TABLE_QUEUES, key, len + 5);
		return;
	}
	for (size_t i = 0; i < 6; i++)
		be64_put(value + 8 * i, numbers[i]);
	be32_put(value + 48, (int32_t)row->head_moves);
	rows_put(r, TABLE_QUEUES, key, len + 5, value, sizeof(value));
}

static void
put_mark(struct rows *r, const struct store_checkpoint *cp)
{
	unsigned char mark[MARK_BYTES];

	be64_put(mark, cp->dispatched.byte);
	be64_put(mark + 8, cp->store_ms);
	be32_put(mark + 16, cp->index_count);
	memset(mark + 20, 0, sizeof(cp->index_name));
	memcpy(mark + 20, cp->index_name, strnlen(cp->index_name, sizeof(cp->index_name) - 1));
	put_meta(r, "mark", mark, sizeof(mark));
	put_i64(r, "begin", cp->begin.byte);
}

static void
put_delivery(struct rows *r, const struct delays_state *d)
{
	unsigned char row[DELIVERY_BYTES];

	be64_put(row, d->due_ms);
	be64_put(row + 8, d->pos.byte);
	be64_put(row + 16, d->low.n);
	for (size_t i = 0; i < DELAY_LEVELS_MAX; i++)
		be64_put(row + 24 + 8 * i, d->level[i].n);
	put_meta(r, TABLE_META_DELIVERY, row, sizeof(row));
}

/* --- a checkpoint ------------------------------------------------------------------- */

static bool
nothing_new(struct offsets *o)
{
	LOCKED(&o->registry);

	return o->saved.once && o->saved.as_slave == (o->settings->brokerRole == SLAVE) && !o->views_rebuilt &&
	       !o->stamp && !o->next.collected && !o->next.have_views && !o->dirty && !o->history.changed &&
	       !o->slave_commits.dirty && !o->told.delays_dirty &&
	       o->applied.n == o->saved.applied.n && !store_has_changed(o->store) &&
	       mark_at(store_dispatched(o->store)).byte == o->saved.mark;
}

static int
collect_if_needed(struct offsets *o, bool *ret_skip)
{
	LOCKED(&o->apply);

	*ret_skip = nothing_new(o);
	return *ret_skip || o->next.collected ? MQ_OK : collect(o);
}

static int
write_all(struct offsets *o)
{
	size_t collected = o->next.rows.len;
	int64_t upto = o->next.end.byte;
	int rc;

	if (o->next.views.dispatched.byte > upto)
		upto = o->next.views.dispatched.byte;
	rc = store_flush(o->store, MQ_POS(upto));
	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < o->next.views.n; i++)
		put_queue(&o->next.rows, &o->next.views.rows[i]);
	put_mark(&o->next.rows, &o->next.views);
	put_delivery(&o->next.rows, &o->next.views.delays);
	if (memcmp(&o->saved.delays, &o->next.views.delays, sizeof(o->saved.delays)) != 0)
		o->handover.changed = true;
	o->saved.delays = o->next.views.delays;
	rc = tables_write(o->tables, &o->next.rows);
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
	o->next.collected = o->next.have_views = false;
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
	int rc;

	MUST_HOLD(&o->turn);
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

	lock_take(&o->registry);
	slave_commits_collect(o, &rows, false);
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

	put_meta(&rows, "identity", o->identity, sizeof(o->identity));
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
		rc = slave_commits_log(o, NULL);
	return rc == MQ_OK ? commit_log_clamped(o) : rc;
}

static void
gather(struct offsets *o)
{
	int rc = log_what_is_left(o);

	note_gathering(rc == MQ_OK ? commit_gather_in_steps(o) : rc);
}

/* --- a snapshot ----------------------------------------------------------------------- */

static int
copy_tables(struct offsets *o, struct draft *d)
{
	AUTO_CLOSE int fd = openat(d->lmdb_fd, "data.mdb", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	int rc;

	if (fd < 0)
		return err_note(-errno, "lmdb/data.mdb: %m");
	rc = tables_copy(o->tables, fd);
	return rc == MQ_OK ? export_config(o, d->config_fd, d->snapshot.taken_ms, NULL) : rc;
}

/* Make a checkpoint, and copy its tables and link its log into the draft.  `turn` is held, so
 * no other checkpoint is made meanwhile. */
static int
fill_draft(struct offsets *o, struct snapshots *ss, struct draft *d)
{
	int rc = commit_gather_in_steps(o);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->turn);
	rc = checkpoint_now(o);
	if (rc == MQ_OK)
		rc = snapshot_link(ss, d, o->store, MQ_POS(o->saved.mark));
	if (rc == MQ_OK)
		rc = copy_tables(o, d);
	return rc;
}

int
offsets_snapshot(struct offsets *o, struct snapshots *ss, const char *name, struct snapshot **ret)
{
	struct draft d;
	int rc;

	if (!o->tables)
		return -EROFS;
	rc = snapshot_begin(ss, name, &d);
	if (rc != MQ_OK)
		return rc;
	rc = fill_draft(o, ss, &d);
	if (rc == MQ_OK)
		return snapshot_keep(ss, &d, ret);
	snapshot_abandon(ss, &d);
	return rc;
}

/* --- the thread ---------------------------------------------------------------------- */

/* Apply records, and add queues, that were not made by this broker's calls: a master's, or
 * made by hand. */
static int
follow(struct offsets *o)
{
	struct store_stats stats = { 0 };
	int rc = change_follow(o);

	store_stats(o->store, &stats);
	if (rc == MQ_OK && stats.queues != o->seen_queues) {
		rc = change_find_queues(o);
		if (rc == MQ_OK)
			o->seen_queues = stats.queues;
	}
	return rc;
}

int
offsets_follow(struct offsets *o)
{
	if (o->settings->brokerRole != SLAVE)
		return MQ_OK;
	LOCKED(&o->apply);
	return follow(o);
}

int
offsets_promote(struct offsets *o)
{
	int rc;

	LOCKED(&o->apply);
	rc = follow(o);
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
	rc = slave_commits_log(o, NULL);
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
	LOCKED(&o->apply);
	int rc = follow(o);

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
