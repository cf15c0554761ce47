/* handover.c - STORE/config/ *.json, by which mqfs and a RocketMQ broker that run on one
 * store by turns hand over topics, groups and offsets.
 *
 *     mqfs       writes the files at its end, and while it serves after every
 *                flushConsumerOffsetInterval in which a table has changed (export.c)
 *     RocketMQ   reads them at its start, and writes its own
 *     mqfs       takes the files that RocketMQ has written, at the next mount (import.c)
 *
 * A file with the member "mqfs" was written by mqfs.  Any other file was written by RocketMQ,
 * and is taken once: LMDB keeps its sum.  LMDB also keeps how many records of MQFS_META there
 * were when mqfs wrote its files: if the log has more (mqfs was killed), RocketMQ has begun
 * with older offsets than the log has, and its offsets only move those forward.
 *
 *     row "config" of the table meta:  i64 applied, then u32 for each file
 */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/export.h"
#include "offsets/registry.h"
#include "store/file.h"

#define ROW "config"
#define ROW_BYTES (8 + 4 * CONFIG_FILES)
#define SHARE 20	/* at most 1/SHARE of the time goes into writing files */

int
handover_load(struct offsets *o, struct tables *t)
{
	unsigned char row[ROW_BYTES];
	size_t len = 0;
	int rc = tables_get(t, ROW, row, sizeof(row), &len);

	if (rc != MQ_OK)
		return rc == -ENOENT ? MQ_OK : rc;
	if (len != sizeof(row))
		return err_note(MQ_ECORRUPT, "lmdb: a bad row \"%s\"", ROW);
	o->handover.known = true;
	o->handover.applied = be64_get(row);
	for (size_t i = 0; i < CONFIG_FILES; i++)
		o->handover.taken[i] = (uint32_t)be32_get(row + 8 + 4 * i);
	return MQ_OK;
}

static int
keep(struct offsets *o)
{
	const struct handover *h = &o->handover;
	unsigned char row[ROW_BYTES];
	struct rows rows = { 0 };
	int rc;

	be64_put(row, h->applied);
	for (size_t i = 0; i < CONFIG_FILES; i++)
		be32_put(row + 8 + 4 * i, (int32_t)h->taken[i]);
	rows_put(&rows, TABLE_META, ROW, strlen(ROW), row, sizeof(row));
	lock_take(&o->lmdb);
	rc = tables_write(o->tables, &rows);
	lock_drop(&o->lmdb);
	rows_free(&rows);
	return rc;
}

static int
write_files(struct offsets *o)
{
	struct handover *h = &o->handover;
	AUTO_CLOSE int dirfd = -1;
	int64_t applied = o->saved.applied.n;
	int rc = dir_open(o->dir->fd, "config", 1, &dirfd);

	if (rc == MQ_OK)
		rc = export_config(o, o->tables, dirfd, clock_wall_ms(), &h->last);
	if (rc != MQ_OK)
		return rc;
	h->known = true;
	h->applied = applied;
	return keep(o);
}

void
handover_write(struct offsets *o)
{
	struct handover *h = &o->handover;
	int64_t began = clock_mono_ms();
	int rc;

	lock_take(&o->turn);
	h->changed = false;
	rc = write_files(o);
	lock_drop(&o->turn);
	if (rc != MQ_OK) {
		h->changed = true;
		if (!h->failing)
			log_err("config/*.json, for RocketMQ: %s; it is tried again", err_text(rc));
	}
	h->failing = rc != MQ_OK;
	h->at_ms = clock_mono_ms();
	h->took_ms = h->at_ms - began;
}

void
handover_write_if_due(struct offsets *o)
{
	const struct handover *h = &o->handover;
	int64_t interval = o->settings->flushConsumerOffsetInterval;

	if (interval < SHARE * h->took_ms)
		interval = SHARE * h->took_ms;
	if (h->changed && clock_mono_ms() - h->at_ms >= interval)
		handover_write(o);
}
