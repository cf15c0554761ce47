/* moment.c - the tables of a snapshot.
 *
 * A snapshot has no views, so it needs no checkpoint, which would wait until the files of
 * all changed queues are on the disk.  Its tables are a copy of LMDB, as the last checkpoint left
 * it, into which those rows are written that are newer in memory: what the next
 * checkpoint has collected (`next`), what has changed since, and each queue that has.  While
 * `apply` is held no record of ours is appended: so memory is what the log says up to the
 * snapshot's mark, which is read before `apply` is dropped.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>

#include "conf/scope.h"
#include "offsets/export.h"
#include "offsets/registry.h"
#include "store/snapshot.h"

static int
copy_lmdb(struct offsets *o, struct draft *d)
{
	AUTO_CLOSE int fd = openat(d->lmdb_fd, "data.mdb", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);

	return fd < 0 ? err_note(-errno, "lmdb/data.mdb: %m") : tables_copy(o->tables, fd);
}

static int
add_queue(void *arg, const struct queue_row *row)
{
	struct rows *r = arg;

	collect_queue(r, row);
	return r->err;
}

/* The log up to *ret_mark and the rows are of one moment. */
static int
collect_moment(struct offsets *o, struct rows *r, mq_pos *ret_mark)
{
	struct store_checkpoint views = { 0 };
	int rc;

	LOCKED(&o->apply);
	rc = collect_changed(o, r, false);
	if (rc == MQ_OK)	/* after the change that trims a queue, see offsets.c */
		rc = store_moment(o->store, add_queue, r, &views);
	if (rc != MQ_OK)
		return rc;
	collect_views(r, &views);
	*ret_mark = views.dispatched;
	return r->err;
}

static int
copy_and_collect(struct offsets *o, struct draft *d, struct rows *r, mq_pos *ret_mark)
{
	int rc;

	LOCKED(&o->lmdb);
	rc = copy_lmdb(o, d);
	if (rc != MQ_OK)
		return rc;
	if (o->next.collected)
		rows_append(r, &o->next.rows);
	return collect_moment(o, r, ret_mark);
}

static int
write_tables(struct offsets *o, struct snapshots *ss, struct draft *d, const struct rows *r)
{
	AUTO_FREE char *path = NULL;
	struct tables *t;
	int rc = snapshot_lmdb_path(ss, d, &path);

	if (rc == MQ_OK)
		rc = tables_amend(path, r, &t);
	if (rc != MQ_OK)
		return rc;
	rc = export_config(o, t, d->config_fd, d->snapshot.taken_ms, NULL);
	tables_close(t);
	return rc;
}

static int
fill_draft(struct offsets *o, struct snapshots *ss, struct draft *d)
{
	struct rows rows = { 0 };
	mq_pos mark;
	int rc = commit_gather_in_steps(o);

	if (rc != MQ_OK)
		return rc;
	rc = copy_and_collect(o, d, &rows, &mark);
	if (rc == MQ_OK)
		rc = store_flush(o->store, mark);
	if (rc == MQ_OK)
		rc = write_tables(o, ss, d, &rows);
	if (rc == MQ_OK)
		rc = snapshot_link(ss, d, o->store, mark);
	store_moment_over(o->store);
	rows_free(&rows);
	return rc;
}

int
offsets_snapshot(struct offsets *o, struct snapshots *ss, const char *name, struct snapshot **ret)
{
	struct draft d;
	int rc;

	if (!o->tables)
		return -EROFS;
	LOCKED(&o->shot);
	rc = snapshot_begin(ss, name, &d);
	if (rc != MQ_OK)
		return rc;
	rc = fill_draft(o, ss, &d);
	if (rc == MQ_OK)
		return snapshot_keep(ss, &d, ret);
	snapshot_abandon(ss, &d);
	return rc;
}
