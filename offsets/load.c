/* load.c - LMDB -> memory, at start.  checkpoint.c has written the rows.
 *
 * If one row does not fit, the caller sets the whole environment aside: the log has all
 * of it, and a registry that lacks some rows could not be told from a whole one.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "offsets/fastjson.h"
#include "offsets/registry.h"

struct load {
	struct offsets *o;
	struct store_checkpoint cp;
	size_t max;
};

static int
load_record(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct load *l = arg;
	struct meta m;
	int rc = meta_decode(value, value_len, &m);

	if (rc == -ENOMEM)
		return rc;
	if (rc != MQ_OK)
		return err_note(MQ_ECORRUPT, "lmdb: row %.*s: %s", (int)key_len, (const char *)key, err_text(rc));
	rc = apply(l->o, &m);
	meta_free(&m);
	return rc;
}

static int
load_offset(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct load *l = arg;
	struct bytes k = bytes_over(key, key_len), v = bytes_over(value, value_len);
	uint32_t sub_id = (uint32_t)bytes_get_i32(&k);
	int32_t queue_id = bytes_get_i32(&k);
	int64_t at = bytes_get_i64(&v), reset = v.left ? bytes_get_i64(&v) : 0;
	struct subscription *sub = subscription_by_id(l->o, sub_id);
	struct subscription_entry *s;

	if (k.err || v.err || k.left || v.left || !sub || queue_id < 0 || queue_id >= QUEUES_MAX || at < 0 ||
	    reset < 0)
		return err_note(MQ_ECORRUPT, "lmdb: a bad row in offsets");
	s = subscription_entry_of(sub);
	if (registry_grow_places(s, queue_id + 1) != MQ_OK)
		return -ENOMEM;
	s->places[queue_id] = (struct place){ .at = at, .logged = at, .reset = reset, .known = true };
	return MQ_OK;
}

static int
load_unsettled(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct load *l = arg;
	struct unsettled w;

	if (!unsettled_from_row(key, key_len, value, value_len, &w))
		return err_note(MQ_ECORRUPT, "lmdb: a bad row in owed");
	LOCKED(&l->o->registry);
	return slave_commits_load(l->o, &w);
}

static int
load_queue(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct load *l = arg;
	struct bytes v = bytes_over(value, value_len);
	const unsigned char *k = key;
	struct queue_row row = { 0 };
	size_t len = key_len - 5;

	if (key_len < 6 || len > RECORD_TOPIC_MAX || k[len] != '/' || value_len != QUEUE_ROW_BYTES)
		return err_note(MQ_ECORRUPT, "lmdb: a bad row in queues");
	memcpy(row.topic, k, len);
	row.queue_id = be32_get(k + len + 1);
	row.span.min.n = bytes_get_i64(&v);
	row.span.end.n = bytes_get_i64(&v);
	row.span.start_bytes = bytes_get_i64(&v);
	row.span.end_bytes = bytes_get_i64(&v);
	row.span.last_store_ms = bytes_get_i64(&v);
	row.span.last_end.byte = bytes_get_i64(&v);
	row.head_moves = (uint32_t)bytes_get_i32(&v);
	if (ARRAY_ROOM(l->cp.rows, l->max, l->cp.n + 1) != MQ_OK)
		return -ENOMEM;
	l->cp.rows[l->cp.n++] = row;
	return MQ_OK;
}

/* A row of meta that must be `len` bytes: MQ_OK, -ENOENT, or what is wrong. */
static int
load_meta(struct tables *t, const char *key, void *buf, size_t len)
{
	size_t got = 0;
	int rc = tables_get(t, key, buf, len, &got);

	return rc == MQ_OK && got != len ? err_note(MQ_ECORRUPT, "lmdb: a bad row \"%s\"", key) : rc;
}

static int
load_epochs(struct offsets *o, struct tables *t)
{
	unsigned char row[EPOCHS_MAX * EPOCH_BYTES];
	size_t len = 0;
	int rc = tables_get(t, "epochs", row, sizeof(row), &len);

	if (rc != MQ_OK)
		return rc == -ENOENT ? MQ_OK : rc;
	if (len % EPOCH_BYTES || len > sizeof(row))
		return err_note(MQ_ECORRUPT, "lmdb: a bad row \"epochs\"");
	for (size_t i = 0; i < len / EPOCH_BYTES; i++) {
		const unsigned char *at = row + i * EPOCH_BYTES;
		struct epoch *e = &o->history.epochs.list[i];

		e->number = be64_get(at);
		e->start = MQ_POS(be64_get(at + 8));
		memcpy(e->id, at + 16, EPOCH_ID_BYTES);
		memcpy(e->by, at + 16 + EPOCH_ID_BYTES, EPOCH_ID_BYTES);
	}
	o->history.epochs.n = len / EPOCH_BYTES;
	return epochs_ok(&o->history.epochs) ? MQ_OK : err_note(MQ_ECORRUPT, "lmdb: a bad row \"epochs\"");
}

static int
load_delays(struct offsets *o, struct tables *t)
{
	char json[4096];
	size_t len = 0;
	int rc = tables_get(t, TABLE_META_DELAYS, json, sizeof(json), &len);

	if (rc != MQ_OK)
		return rc == -ENOENT ? MQ_OK : rc;
	if (len > sizeof(json) || fastjson_load(json, len, &o->told.delays) != MQ_OK)
		return err_note(MQ_ECORRUPT, "lmdb: a bad row \"%s\"", TABLE_META_DELAYS);
	return MQ_OK;
}

static int
load_delivery(struct tables *t, struct delays_state *ret)
{
	unsigned char row[DELIVERY_BYTES];
	int rc = load_meta(t, TABLE_META_DELIVERY, row, sizeof(row));

	if (rc != MQ_OK)		/* an older program's */
		return rc == -ENOENT ? MQ_OK : rc;
	ret->due_ms = be64_get(row);
	ret->pos = MQ_POS(be64_get(row + 8));
	ret->low = MQ_QOFF(be64_get(row + 16));
	for (size_t i = 0; i < DELAY_LEVELS_MAX; i++)
		ret->level[i] = MQ_QOFF(be64_get(row + 24 + 8 * i));
	return MQ_OK;
}

/* Rows of meta that are a number. */
enum number { APPLIED, ROUND, ROUNDS, IMPORT, ROLE, BEGIN, NUMBERS };

#define MISSING INT64_MIN

static int
load_numbers(struct tables *t, int64_t ret[NUMBERS])
{
	static const struct {
		const char *key;
		size_t bytes;
	} rows[NUMBERS] = {
		[APPLIED] = { "applied", 8 }, [ROUND] = { "round", 8 }, [ROUNDS] = { "rounds", 1 },
		[IMPORT] = { "import", 1 }, [ROLE] = { "role", 1 }, [BEGIN] = { "begin", 8 },
	};
	int rc = MQ_OK;

	for (int i = 0; rc == MQ_OK && i < NUMBERS; i++) {
		unsigned char be[8] = { 0 };

		rc = load_meta(t, rows[i].key, be + sizeof(be) - rows[i].bytes, rows[i].bytes);
		ret[i] = rc == MQ_OK ? be64_get(be) : MISSING;
		if (rc == -ENOENT)
			rc = MQ_OK;
	}
	return rc;
}

/* The last checkpoint: its mark, and the other rows of meta. */
static int
load_checkpoint(struct load *l, struct tables *t)
{
	struct offsets *o = l->o;
	unsigned char mark[MARK_BYTES] = { 0 };
	int64_t n[NUMBERS];
	int rc = load_meta(t, "identity", o->identity, sizeof(o->identity));

	if (rc == MQ_OK || rc == -ENOENT)
		rc = load_meta(t, "mark", mark, sizeof(mark));
	if (rc == -ENOENT)
		return MQ_OK;		/* no checkpoint yet */
	if (rc == MQ_OK)
		rc = load_numbers(t, n);
	if (rc == MQ_OK && (n[APPLIED] == MISSING || n[ROUND] == MISSING))
		rc = err_note(MQ_ECORRUPT, "lmdb: a mark without its rows");
	if (rc == MQ_OK)
		rc = load_delays(o, t);
	if (rc == MQ_OK)
		rc = handover_load(o, t);
	if (rc == MQ_OK)
		rc = load_epochs(o, t);
	if (rc == MQ_OK)
		rc = load_delivery(t, &l->cp.delays);
	if (rc != MQ_OK)
		return rc;
	l->cp.dispatched = MQ_POS(be64_get(mark));
	l->cp.store_ms = be64_get(mark + 8);
	l->cp.index_count = be32_get(mark + 16);
	memcpy(l->cp.index_name, mark + 20, sizeof(l->cp.index_name) - 1);
	l->cp.begin = MQ_POS(n[BEGIN] == MISSING ? 0 : n[BEGIN]);
	o->applied = MQ_QOFF(n[APPLIED]);
	o->round.at = MQ_POS(n[ROUNDS] >= ROUND_FORM ? n[ROUND] : -1);
	o->import = n[IMPORT] == MISSING ? IMPORT_NEVER : n[IMPORT] ? IMPORT_DONE : IMPORT_BEGUN;
	o->saved = (struct saved_checkpoint){
		.once = true, .applied = o->applied, .mark = l->cp.dispatched.byte, .as_slave = n[ROLE] > 0,
		.delays = l->cp.delays,
	};
	if (o->dir->is_copy) {	/* a snapshot's files and rows are of one moment */
		o->handover.known = true;
		o->handover.applied = o->applied.n;
	}
	return MQ_OK;
}

int
load_rows(struct offsets *o, struct tables *t, struct store_checkpoint *ret_cp)
{
	static const struct {
		enum table table;
		tables_row *row;
	} steps[] = {
		{ TABLE_TOPICS, load_record }, { TABLE_GROUPS, load_record },
		{ TABLE_SUBSCRIPTIONS, load_record }, { TABLE_OFFSETS, load_offset },
		{ TABLE_ATTRS, load_record }, { TABLE_QUEUES, load_queue },
		{ TABLE_UNSETTLED, load_unsettled },
	};
	struct load l = { .o = o, .cp = { .dispatched = MQ_POS(-1) } };
	int rc = load_checkpoint(&l, t);

	for (size_t i = 0; rc == MQ_OK && i < sizeof(steps) / sizeof(steps[0]); i++)
		if (ret_cp || steps[i].table != TABLE_QUEUES)
			rc = tables_each(t, steps[i].table, steps[i].row, &l);
	if (rc != MQ_OK) {
		free(l.cp.rows);
		return rc;
	}
	while (registry_pop_dirty(o))	/* rows that were just read need not be written */
		;
	o->history.changed = false;
	if (ret_cp)
		*ret_cp = l.cp;
	return MQ_OK;
}
