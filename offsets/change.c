/* change.c - making a change: first in the log, then in memory; and applying records that
 * were logged by others (the master that a slave follows, this broker before its restart).
 *
 * `apply` is held all the time (registry.h).
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/registry.h"

#define FOLLOW_ENTRIES 128	/* queue entries read at a time */

int
change_allowed(const struct offsets *o)
{
	if (o->dir->read_only)
		return err_note(-EROFS, "the store is mounted read-only");
	if (o->settings->brokerRole == SLAVE)
		return err_note(MQ_EROLE, "this broker is a slave: topics and groups are changed on its master");
	return MQ_OK;
}

/* --- reading: log -> memory ------------------------------------------------------ */

/* Pass over a record that cannot be read; the others are applied. */
static void
record_skip(struct offsets *o, mq_qoff at, const char *why)
{
	log_err("MQFS_META record %" PRId64 " is skipped: %s", at.n, why);
	o->damaged = true;
}

/* Apply a record, or pass over it.  -ENOMEM: it was not applied, the caller may try again. */
static int
record_apply(struct offsets *o, mq_qoff at, const struct record *rec)
{
	struct meta m;
	int rc;

	rc = meta_read(rec, &m);
	if (rc == -ENOMEM)
		return rc;
	if (rc != MQ_OK) {
		log_warn("MQFS_META record %" PRId64 " is %s: %s", at.n,
			 rc == -EPERM ? "not obeyed" : "not understood", err_text(rc));
		return MQ_OK;
	}
	o->applying = at.n;
	rc = apply(o, &m);
	o->applying = -1;
	o->count.applied++;
	meta_free(&m);
	return rc;
}

struct follow {
	unsigned char *buf;
	size_t size;
};

static int
entry_apply(struct offsets *o, struct follow *f, const struct queue_entry *e)
{
	struct record rec;
	int rc;

	if (e->total == QUEUE_HOLE_SIZE) {
		record_skip(o, o->applied, "damage has left a hole there");
	} else {
		rc = store_read(o->store, e->pos, &f->buf, &f->size, &rec);
		if (rc == -ENOMEM)
			return rc;
		if (rc == MQ_OK)
			rc = record_apply(o, o->applied, &rec);
		else
			record_skip(o, o->applied, err_text(rc));
		if (rc == -ENOMEM)
			return rc;
		o->applied_end = pos_add(e->pos, e->total);
	}
	o->applied = qoff_add(o->applied, 1);
	return MQ_OK;
}

/* The next entries of the queue.  MQ_EEND: all is applied. */
static int
follow_some(struct offsets *o, struct follow *f)
{
	struct queue_entry entries[FOLLOW_ENTRIES];
	size_t n;
	int rc = queue_entries(o->meta_queue, o->applied, entries, FOLLOW_ENTRIES, &n);

	if (rc == MQ_EGONE) {
		/* Retention has removed these records.  A round (rounds.c) behind them has all. */
		o->applied = queue_min(o->meta_queue);
		return MQ_OK;
	}
	for (size_t i = 0; rc == MQ_OK && i < n; i++)
		rc = entry_apply(o, f, &entries[i]);
	return rc;
}

int
change_follow(struct offsets *o)
{
	struct follow f = { 0 };
	int rc = MQ_OK;

	MUST_HOLD_APPLY(o);
	if (!o->meta_queue)
		o->meta_queue = store_queue(o->store, META_TOPIC, 0);
	if (!o->meta_queue)
		return MQ_OK;
	while (rc == MQ_OK && o->applied.n < queue_end(o->meta_queue).n)
		rc = follow_some(o, &f);
	free(f.buf);
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* --- writing: change -> log -> memory ----------------------------------------------- */

/* Can the body be decoded again?  A record that a replay would refuse must not be logged. */
static int
readable(const char *body, size_t len)
{
	struct meta m;
	int rc = meta_decode(body, len, &m);

	if (rc == MQ_ECORRUPT)
		return err_note(-EINVAL, "%s", err_text(rc));
	if (rc == MQ_OK)
		meta_free(&m);
	return rc;
}

static int
batch_meta(struct offsets *o, const struct meta *m)
{
	AUTO_FREE char *body = NULL;
	size_t len = 0;
	int rc;

	body = meta_encode(m, &len);
	if (!body)
		return -ENOMEM;
	rc = readable(body, len);
	if (rc != MQ_OK)
		return rc;
	return batch_add(&o->batch, &(struct message){
		.body = body,
		.body_len = len,
		.topic = META_TOPIC,
		.topic_len = strlen(META_TOPIC),
		.props = "",
		.born_ms = clock_wall_ms(),
		.born = o->host,
		.stored = o->host,
	});
}

/* Apply the changes of m that are in the log now. */
static int
apply_stored(struct offsets *o, const struct meta *m, const struct appended *at)
{
	if (at->first.n != o->applied.n)	/* there are records before them that were not made here */
		return change_follow(o);
	for (size_t i = 0; i < at->n; i++) {
		struct meta stored = m[i];
		int rc;

		meta_lies_at(&stored, o->batch.entries[i].pos);
		o->applying = o->applied.n;
		rc = apply(o, &stored);
		o->applying = -1;
		if (rc != MQ_OK)		/* change_follow() will find it in the log */
			return rc;
		o->applied = qoff_add(o->applied, 1);
		o->count.applied++;
	}
	o->applied_end = at->end;
	return MQ_OK;
}

void
change_note_logged(struct offsets *o, mq_pos end)
{
	int64_t before = atomic_load(&o->logged);

	while (before < end.byte && !atomic_compare_exchange_weak(&o->logged, &before, end.byte))
		;
}

typedef int store_appends(struct store *s, struct queue *q, struct batch *b, struct appended *ret);

/* As many as make a good batch. */
static int
change_some(struct offsets *o, store_appends *append, const struct meta *m, size_t n, size_t *ret_done,
	    mq_pos *ret_end)
{
	struct appended at = { 0 };
	size_t taken = 0;
	int rc = MQ_OK, applied = MQ_OK;

	batch_clear(&o->batch);
	while (taken < n && !batch_full(&o->batch) && rc == MQ_OK)
		rc = batch_meta(o, &m[taken++]);
	if (rc != MQ_OK)
		return rc;
	queue_append_begin(o->meta_queue);
	rc = append(o->store, o->meta_queue, &o->batch, &at);
	queue_append_end(o->meta_queue);
	if (at.n) {
		applied = apply_stored(o, m, &at);
		change_note_logged(o, at.end);
		if (ret_end)
			*ret_end = at.end;
		*ret_done = at.n;
	}
	return rc != MQ_OK ? rc : applied;
}

static int
change_prepare(struct offsets *o)
{
	int rc = o->meta_queue ? MQ_OK : store_queue_make(o->store, META_TOPIC, 0, &o->meta_queue);

	return rc == MQ_OK ? change_follow(o) : rc;
}

int
change_all(struct offsets *o, const struct meta *m, size_t n, mq_pos *ret_end)
{
	int rc = change_allowed(o);

	MUST_HOLD_APPLY(o);
	if (rc == MQ_OK)
		rc = change_prepare(o);
	while (rc == MQ_OK && n > 0) {
		size_t done = 0;

		rc = change_some(o, store_append, m, n, &done, ret_end);
		m += done;
		n -= done;
	}
	return rc;
}

void
changes_make(struct changes *c)
{
	if (c->rc == MQ_OK && !c->in_memory && c->n > 0)
		c->rc = change_all(c->o, c->list, c->n, &c->end);
	for (size_t i = 0; i < c->n; i++) {
		c->list[i].told = c->in_memory;
		if (c->rc == MQ_OK && c->in_memory)
			c->rc = apply(c->o, &c->list[i]);
		meta_free(&c->list[i]);
	}
	c->n = 0;
}

void
changes_add(struct changes *c, struct meta *m)
{
	c->list[c->n++] = *m;
	if (c->n == sizeof(c->list) / sizeof(c->list[0]))
		changes_make(c);
}

int
change_first(struct offsets *o, const struct meta *m, mq_pos *ret_end)
{
	size_t done = 0;
	int rc = change_prepare(o);

	MUST_HOLD_APPLY(o);
	return rc == MQ_OK ? change_some(o, store_append_first, m, 1, &done, ret_end) : rc;
}

int
change_one(struct offsets *o, const struct meta *m)
{
	return change_all(o, m, 1, NULL);
}

/* --- topics that are only there as queues ------------------------------------------- */

struct found {
	char topic[RECORD_TOPIC_MAX + 1];
	int32_t queues;
};

struct found_list {
	struct found *items;
	size_t n, max;
};

static int
found_add(struct queue *q, void *arg)
{
	struct found_list *list = arg;

	if (queue_min(q).n == queue_end(q).n || queue_id(q) >= QUEUES_MAX)
		return 0;		/* RocketMQ's numbers may be greater */
	if (ARRAY_ROOM(list->items, list->max, list->n + 1) != MQ_OK)
		return -ENOMEM;
	list->items[list->n].queues = queue_id(q) + 1;
	snprintf(list->items[list->n++].topic, sizeof(list->items[0].topic), "%s", queue_topic(q));
	return 0;
}

/* Order by name, the highest queue first: the first entry of a topic has all that is needed. */
static int
found_cmp(const void *a, const void *b)
{
	const struct found *x = a, *y = b;
	int d = strcmp(x->topic, y->topic);

	return d ? d : (x->queues < y->queues) - (x->queues > y->queues);
}

static int
found_apply(struct offsets *o, const struct found *found)
{
	struct meta m = { .op = META_TOPIC_SET, .implied = true };
	size_t len = strlen(found->topic);

	if (!record_topic_valid(found->topic, len)) {
		log_warn("a topic of the store is not shown, its name is not allowed: %s", found->topic);
		return MQ_OK;
	}
	lock_take(&o->registry);
	struct topic_entry *t = registry_find(o, ENTRY_TOPIC, found->topic);
	bool skip = t && (t->pub.gone || t->conf.queues >= found->queues);

	m.id = registry_implied_id(o);
	topic_conf_new(o, &m.topic_conf, found->topic, found->queues);
	if (t) {
		m.topic_conf = t->conf;
		m.topic_conf.queues = found->queues;
		m.implied = t->implied;
	}
	lock_drop(&o->registry);
	if (meta_topic_is_system(found->topic)) {	/* it may hold messages of private topics */
		m.topic_conf.perm = PERM_READ;
		m.topic_conf.owner.mode = 0700;
	}
	return skip ? MQ_OK : apply(o, &m);
}

static int
find_queues(struct offsets *o)
{
	struct found_list list = { 0 };
	int rc = store_each_queue(o->store, found_add, &list);

	MUST_HOLD_APPLY(o);
	/* records that speak of them come before their messages: none is missed now */
	if (rc == MQ_OK)
		rc = change_follow(o);
	if (list.n)
		qsort(list.items, list.n, sizeof(list.items[0]), found_cmp);
	for (size_t i = 0; rc == MQ_OK && i < list.n; i++)
		if (i == 0 || strcmp(list.items[i].topic, list.items[i - 1].topic) != 0)
			rc = found_apply(o, &list.items[i]);
	free(list.items);
	return rc;
}

int
change_follow_all(struct offsets *o)
{
	struct store_stats stats = { 0 };
	int rc = change_follow(o);

	store_stats(o->store, &stats);
	if (rc == MQ_OK && stats.queues != o->seen_queues) {
		rc = find_queues(o);
		if (rc == MQ_OK)
			o->seen_queues = stats.queues;
	}
	return rc;
}
