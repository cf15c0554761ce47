/* offsets.c - opening, starting and closing the registry.
 *
 * Three places know of a topic: the log, memory and LMDB.
 *
 *     log     ──┬───┬───┬───┬───┬───┬───┬───>    MQFS_META records, by number
 *               0   1   2   3   4   5   6
 *     memory    ─────────────────────────>  applied = 7: under the lock `apply`
 *                                           a record is stored and becomes so
 *     LMDB      ─────────────>  applied = 4, and the rows are exactly what
 *                               memory was when it was 4
 *
 * A checkpoint:
 *
 *     1 collect   with `apply`: copy changed rows, note applied (4) and where
 *                 record 3 ends in the log (E).  Pending commits are left out:
 *                 a row holds what the log says (commit.c)
 *     2 views     store_checkpoint(): the queues are on disk up to D.  After 1,
 *                 so a trim among the records before 4 is in the queues' rows
 *     3 flush     store_flush(max(D, E)): no row may be newer than the log is
 *                 durable; else a power cut would leave a topic that never was
 *     4 commit    rows, applied = 4, D and the queues' rows: one transaction
 *
 * and at start:  D says where the store's replay begins, applied where ours
 * does.  Since the log was durable up to E before 4 was committed, a crash at
 * any point finds record 3 in it.  Should the log all the same hold fewer than
 * `applied` records (its tail was cut: a diverged slave, damage), rows speak of
 * what is not there: then all rows are forgotten and the log is replayed from
 * its first record, as when LMDB is lost.  rounds.c sees to it that this comes
 * to the same registry even where retention has removed old records.
 */
#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/deliver.h"
#include "offsets/registry.h"
#include "offsets/transactions.h"
#include "store/file.h"
#include "store/lostfound.h"

/* --- opening ------------------------------------------------------------------------- */

int
offsets_set_aside(struct storedir *dir, const char *why)
{
	const struct lost_tree lost = {
		.dirfd = dir->fd, .name = "lmdb", .as = "lmdb.broken", .store = dir->path, .why = why,
		.look = "mdb_dump -a",
		.rest = "Its tables were rebuilt from the commit log, which has all that they had, but for commits\n"
			"made on a slave of which its master had not heard: nothing else needs to be got back,\n"
			"and the directory may be removed.",
	};
	AUTO_CLOSE int lost_fd = -1;
	int rc = dir_open(dir->fd, "lost+found", 1, &lost_fd);

	return rc == MQ_OK ? lostfound_keep_tree(lost_fd, &lost) : rc;
}

static void
forget(struct offsets *o)
{
	LOCKED(&o->registry);

	registry_clear(o);
	o->applied = MQ_QOFF(0);
	o->applied_end = MQ_POS(0);
	o->round.at = MQ_POS(0);
	o->import = IMPORT_NEVER;
	o->saved.once = false;
	o->seen_queues = -1;
	json_decref(take_ptr(o->told.delays));
}

static int
open_and_load(struct offsets *o, const char *path, struct store_checkpoint *ret_cp)
{
	struct tables *t = NULL;
	int rc = tables_open(path, o->dir->read_only, &t);

	if (rc == MQ_OK)
		rc = load_rows(o, t, ret_cp);
	if (rc != MQ_OK || o->dir->read_only) {
		tables_close(t);
		return rc;
	}
	o->tables = t;
	return MQ_OK;
}

/* Load LMDB's rows.  If they cannot be read the registry is empty, and is made from the log. */
static int
load(struct offsets *o, struct store_checkpoint *ret_cp)
{
	AUTO_FREE char *path = NULL, *why = NULL;
	int rc;

	if (asprintf(&path, "%s/lmdb", o->dir->path) < 0)
		return -ENOMEM;
	rc = open_and_load(o, path, ret_cp);
	if (rc == MQ_OK)
		return MQ_OK;
	if (o->dir->read_only) {
		if (rc == -ENOMEM)
			return rc;
		if (rc != -ENOENT)
			log_warn("%s; everything is rebuilt from the log", err_text(rc));
		forget(o);
		return MQ_OK;
	}
	if (rc != MQ_ECORRUPT)
		return rc;
	forget(o);
	why = strdup(err_text(rc));
	if (!why)
		return -ENOMEM;
	rc = offsets_set_aside(o->dir, why);
	return rc == MQ_OK ? open_and_load(o, path, ret_cp) : rc;
}

static int
identity_make(struct offsets *o)
{
	if (getrandom(o->identity, sizeof(o->identity), 0) != (ssize_t)sizeof(o->identity))
		return err_note(-EIO, "getrandom: no random bytes");
	return MQ_OK;
}

/* A restored snapshot is a broker of its own, also as a slave: the identity says which broker
 * began an epoch.  That two logs are one is said by their epochs. */
static int
identity_renew(struct offsets *o)
{
	if (!o->dir->is_copy || o->dir->read_only)
		return MQ_OK;
	o->stamp = true;
	log_notice("this is a copy of a snapshot: it gets an identity of its own");
	return identity_make(o);
}

int
offsets_open(const struct settings *settings, struct storedir *dir, struct offsets **ret_o,
	     struct store_checkpoint *ret_cp)
{
	struct store_checkpoint cp = { .dispatched = MQ_POS(-1) };
	struct offsets *o = registry_new(settings, dir);
	int rc;

	if (!o)
		return -ENOMEM;
	rc = transactions_open(&o->transactions);
	if (rc == MQ_OK)
		rc = identity_make(o);
	if (rc == MQ_OK)
		rc = load(o, &cp);
	if (rc == MQ_OK)
		rc = identity_renew(o);
	if (rc != MQ_OK) {
		offsets_close(o);
		return rc;
	}
	o->alone = false;
	*ret_o = o;
	*ret_cp = cp;
	return MQ_OK;
}

/* --- starting -------------------------------------------------------------------------- */

/* The host our records are said to be stored on. */
static struct host
own_host(const struct settings *settings)
{
	struct host host = { .addr = { 127, 0, 0, 1 }, .port = (int32_t)settings->listenPort };
	const char *ip = settings->brokerIP1;

	if (ip && inet_pton(AF_INET6, ip, host.addr) == 1)
		host.v6 = true;
	else if (ip)
		inet_pton(AF_INET, ip, host.addr);
	return host;
}

/* Memory up to the log.  *ret_cut: it was made anew, since the log was cut. */
static int
catch_up(struct offsets *o, bool *ret_cut)
{
	bool behind, cut;
	int64_t end;
	int rc;

	o->meta_queue = store_queue(o->store, META_TOPIC, 0);
	end = o->meta_queue ? queue_end(o->meta_queue).n : 0;
	behind = o->applied.n > end;
	cut = behind || o->dir->views_stale;	/* stale: memory may lack some records */
	if (behind)
		log_warn("LMDB is ahead of the log (%" PRId64 " records of %s, %" PRId64
			 " are there): everything is rebuilt from the log", o->applied.n, META_TOPIC, end);
	if (cut) {
		rc = o->settings->brokerRole == SLAVE ? slave_commits_before_cut(o) : MQ_OK;
		if (rc != MQ_OK)
			return rc;
		forget(o);
		o->rebuilt = true;
	}
	rc = change_follow_all(o);
	if (rc == MQ_OK && cut)
		slave_commits_after_cut(o);
	*ret_cut = cut;
	return rc;
}

static int
log_all(struct offsets *o)
{
	int rc = round_of_told(o);

	if (rc == MQ_OK)
		rc = slave_commits_log(o);
	return rc == MQ_OK ? commit_log_clamped(o) : rc;
}

int
offsets_start(struct offsets *o, struct store *s)
{
	struct store_recovery recovery;
	bool cut = false;
	int rc;

	o->store = s;
	store_recovery(s, &recovery);
	o->views_rebuilt = recovery.rebuilt;
	o->host = own_host(o->settings);
	lock_take(&o->apply);
	rc = catch_up(o, &cut);
	o->handover.overtaken = o->applied.n > o->handover.applied;
	lock_drop(&o->apply);
	if (rc == MQ_OK)
		rc = cut_finish(o);
	if (rc != MQ_OK)
		return rc;
	lock_take(&o->lmdb);		/* for the epoch */
	lock_take(&o->apply);
	if (change_allowed(o) == MQ_OK)
		rc = epoch_begin_if_due(o);
	if (rc == MQ_OK)
		rc = import_rocketmq(o);
	if (rc == MQ_OK && change_allowed(o) == MQ_OK) {
		commit_clamp(o);
		rc = log_all(o);
	}
	lock_drop(&o->apply);
	lock_drop(&o->lmdb);
	if (rc == MQ_OK && cut)		/* before the log has grown to where LMDB's rows seem to fit */
		rc = offsets_checkpoint(o);
	if (rc != MQ_OK || o->dir->read_only)
		return rc;
	return thread_start(&o->writer.thread, "checkpoint", checkpoint_main, o);
}

int
offsets_deliver(struct offsets *o)
{
	return o->dir->read_only ? MQ_OK : deliver_start(o);
}

/* --- closing --------------------------------------------------------------------------- */

static void
thread_end(struct offsets *o)
{
	o->writer.stop = true;
	mark_nudge(store_written(o->store));
	thread_join(&o->writer.thread);
}

static int
last_checkpoint(struct offsets *o)
{
	int rc = offsets_follow(o);

	if (rc != MQ_OK)
		log_err("following MQFS_META: %s", err_text(rc));
	lock_take(&o->apply);
	rc = commit_gather(o);
	lock_drop(&o->apply);
	if (rc != MQ_OK)
		log_err("the last commits are lost: %s", err_text(rc));
	if (rc != MQ_OK) {
		offsets_checkpoint(o);
		return rc;
	}
	rc = offsets_checkpoint(o);
	if (rc == MQ_OK)
		handover_write(o);
	return rc;
}

int
offsets_close(struct offsets *o)
{
	int rc = MQ_OK;

	if (!o)
		return MQ_OK;
	deliver_stop(o);
	if (o->writer.thread.runs) {
		thread_end(o);
		rc = last_checkpoint(o);
	}
	transactions_close(o->transactions);
	tables_close(o->tables);
	if (o->next.have_views)
		store_checkpoint_free(&o->next.views);
	rows_free(&o->next.rows);
	registry_clear(o);
	slave_commits_free(o);
	json_decref(o->told.delays);
	batch_free(&o->batch);
	mark_destroy(&o->slave_commits.news);
	mark_destroy(&o->slave_commits.answered);
	lock_destroy(&o->registry);
	lock_destroy(&o->apply);
	lock_destroy(&o->shot);
	lock_destroy(&o->turn);
	lock_destroy(&o->lmdb);
	free(o);
	return rc;
}

mq_pos
offsets_logged(const struct offsets *o)
{
	return MQ_POS(o->logged);
}

const unsigned char *
offsets_identity(const struct offsets *o)
{
	return o->identity;
}

void
offsets_stats(struct offsets *o, struct offsets_stats *ret)
{
	struct epoch last = { 0 };

	(void)offsets_epochs(o, &last, 1);
	*ret = (struct offsets_stats){
		.topics = o->entries[ENTRY_TOPIC].living,
		.groups = o->entries[ENTRY_GROUP].living,
		.subscriptions = o->entries[ENTRY_SUBSCRIPTION].living,
		.applied = o->count.applied,
		.checkpoints = o->count.checkpoints,
		.checkpoint_failures = o->count.failures,
		.checkpoint_at = o->saved.mark,
		.offsets_clamped = o->count.clamped,
		.unsettled = slave_commits_count(o),
		.map_bytes = o->tables ? tables_map_bytes(o->tables) : 0,
		.epoch = last.number,
	};
}
