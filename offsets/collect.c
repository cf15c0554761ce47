/* collect.c - memory -> rows of LMDB: what has changed since the last checkpoint, or is about
 * to be written by it.  tables.h has the rows' formats, load.c is the way back.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/scope.h"
#include "offsets/registry.h"

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
collect_places(struct rows *r, struct subscription_entry *s, bool take)
{
	for (int32_t i = 0; i < s->n_places; i++) {
		struct place *p = &s->places[i];
		unsigned char key[8], value[16];

		if (!p->dirty)
			continue;
		p->dirty = !take;
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
collect_entry(struct rows *r, struct registry_entry *e, bool take)
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
		collect_places(r, (void *)e, take);
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
collect_delays(struct offsets *o, struct rows *r)
{
	AUTO_FREE char *json = NULL;

	if (!o->told.delays_dirty)
		return;
	json = json_dumps(o->told.delays, JSON_COMPACT);
	if (json)
		put_meta(r, TABLE_META_DELAYS, json, strlen(json));
	else
		r->err = -ENOMEM;
}

/* What every checkpoint says of memory as a whole. */
static void
collect_state(struct offsets *o, struct rows *r)
{
	unsigned char import = o->import == IMPORT_DONE, role = o->settings->brokerRole == SLAVE;

	put_meta(r, "format", "\0\0\0\1", 4);
	put_meta(r, "identity", o->identity, sizeof(o->identity));
	put_i64(r, "applied", o->applied.n);
	put_i64(r, "round", o->round.at.byte);
	put_meta(r, "rounds", &(unsigned char){ ROUND_FORM }, 1);
	put_meta(r, "role", &role, 1);
	if (o->history.changed)
		put_epochs(r, &o->history.epochs);
	if (o->import != IMPORT_NEVER)
		put_meta(r, "import", &import, 1);
}

/* All rows were collected: nothing is changed any more. */
static void
all_collected(struct offsets *o)
{
	if (o->dirty || o->told.delays_dirty)
		o->handover.changed = true;
	while (registry_pop_dirty(o))
		;
	slave_commits_collected(o, true);
	o->told.delays_dirty = o->history.changed = o->rebuilt = false;
}

int
collect_changed(struct offsets *o, struct rows *r, bool take)
{
	MUST_HOLD_APPLY(o);
	LOCKED(&o->registry);
	for (int t = TABLE_TOPICS; o->rebuilt && t <= TABLE_ATTRS; t++)
		rows_empty(r, (enum table)t);
	if (o->rebuilt)
		rows_empty(r, TABLE_UNSETTLED);
	for (struct registry_entry *e = o->dirty; e; e = e->next)
		collect_entry(r, e, take);
	collect_state(o, r);
	collect_delays(o, r);
	slave_commits_collect(o, r, true, take);
	if (take && r->err == MQ_OK)
		all_collected(o);
	else if (take)
		registry_dirty_all(o);
	return r->err;
}

void
collect_queue(struct rows *r, const struct queue_row *row)
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

void
collect_views(struct rows *r, const struct store_checkpoint *cp)
{
	for (size_t i = 0; i < cp->n; i++)
		collect_queue(r, &cp->rows[i]);
	put_mark(r, cp);
	put_delivery(r, &cp->delays);
}
