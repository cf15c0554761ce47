#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "conf/err.h"
#include "conf/log.h"
#include "store/body.h"
#include "store/dispatch.h"
#include "store/store_priv.h"

/* --- the views ------------------------------------------------------------------ */

int
dispatch_queue_put(const struct record *rec, struct queue_put *ret)
{
	enum record_due due;
	int64_t code = record_code(rec->topic, (size_t)rec->topic_len, rec->props, (size_t)rec->props_len, &due);
	int32_t body_len;
	int rc = body_length(rec, &body_len);

	if (rc != MQ_OK)
		return rc;
	if (due == DUE_AFTER)		/* unsigned: the store time may be any number */
		code = (int64_t)((uint64_t)rec->store_ms + (uint64_t)code);
	*ret = (struct queue_put){
		.qoff = rec->qoff,
		.pos = rec->pos,
		.total = rec->total,
		.body_len = body_len,
		.tags_code = code,
		.store_ms = rec->store_ms,
	};
	return MQ_OK;
}

static int
put_in_queue(struct store *s, const struct record *rec)
{
	struct queue_put put;
	struct queue *q;
	int rc;

	if (!sysflag_is_queued(rec->sysflag))
		return MQ_OK;
	rc = queues_make(&s->queues, rec->topic, (size_t)rec->topic_len, rec->queue_id, &q);
	if (rc == MQ_OK)
		rc = dispatch_queue_put(rec, &put);
	if (rc == MQ_OK && record_is_of(rec, TIMED_TOPIC))
		put.tags_code = delays_tags_code(s, put.tags_code);
	return rc == MQ_OK ? queue_put(q, &put) : rc;
}

static void
batch_in_queues(struct store *s, struct batch *b, size_t n, int64_t store_ms)
{
	for (size_t i = 0; b->more && i < n; i++)
		if (b->entries[i].due == DUE_AT)
			b->entries[i].tags_code = delays_tags_code(s, b->entries[i].tags_code);
	for (size_t from = 0, to; from < n; from = to) {
		to = batch_run_end(b, from, n);
		queue_put_batch(b->entries[from].q, b, from, to, store_ms);
	}
}

/* MQ_OK also when the index fails, because the record is stored and its queue has it; a log line
 * says from where on keys are missing. */
static int
put_in_index(struct store *s, const struct record *rec)
{
	int rc;

	if (rec->props_len == 0 || !s->settings->messageIndexEnable)
		return MQ_OK;
	rc = keyindex_put(s->index, rec);
	if ((rc != MQ_OK) != s->index_failing)
		log_warn("messages from %" PRId64 " on can%s be found by their keys: %s", rec->pos.byte,
			 rc == MQ_OK ? "" : "not", rc == MQ_OK ? "the index works again" : err_text(rc));
	s->index_failing = rc != MQ_OK;
	return MQ_OK;
}

/* The record of entry i. */
static struct record
record_of(const struct batch *b, size_t i)
{
	struct record rec;

	MUST(record_decode(b->buf + b->entries[i].at, b->entries[i].total, &rec) == MQ_OK);
	return rec;
}

void
dispatch_prepare(struct store *s, const struct batch *b)
{
	for (size_t i = 0; b->more && s->settings->messageIndexEnable && i < b->n; i++) {
		if (!b->entries[i].keyed)
			continue;
		const struct record rec = record_of(b, i);

		keyindex_prepare(s->index, &rec);
	}
}

/* Each record is entered into these views, in this order. */
static const struct {
	const char *name;
	int (*put)(struct store *s, const struct record *rec);
} views[] = {
	{ "consume queues", put_in_queue },
	{ "key index", put_in_index },
	{ "messages to be delivered later", delays_put },
};

/* The same for a batch, whose entries say which views have anything to do. */
void
dispatch_batch(struct store *s, struct batch *b, size_t n, int64_t store_ms)
{
	MUST_HOLD(&s->log.lock);
	batch_in_queues(s, b, n, store_ms);
	for (size_t i = 0; b->more && i < n; i++) {
		const struct batch_entry *e = &b->entries[i];
		struct record rec;

		if (!e->keyed && !e->waits)
			continue;
		rec = record_of(b, i);
		if (e->keyed)
			(void)put_in_index(s, &rec);
		if (e->waits)
			(void)delays_put(s, &rec);
	}
}

int
dispatch_record(struct store *s, const struct record *rec)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		int rc = views[i].put(s, rec);

		if (rc == MQ_ECORRUPT)
			log_warn("record at %" PRId64 " is not listed in the %s: %s", rec->pos.byte, views[i].name,
				 err_text(rc));
		else if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

/* --- reading the log ----------------------------------------------------------------- */

/* The open log up to a limit, as scan.h reads it. */
struct part {
	struct store *s;
	mq_pos limit;
};

static int64_t
part_has(void *arg, mq_pos pos)
{
	const struct part *part = arg;
	int64_t left = part->s->log.segment_bytes - pos.byte % part->s->log.segment_bytes;

	return left < part->limit.byte - pos.byte ? left : part->limit.byte - pos.byte;
}

static int
part_read(void *arg, mq_pos pos, void *buf, size_t len, size_t *ret_n)
{
	const struct part *part = arg;

	return commitlog_read(&part->s->log, pos, part->limit, buf, len, ret_n);
}

static bool
part_next_data(void *arg, mq_pos pos, mq_pos *ret_begin, mq_pos *ret_end)
{
	const struct part *part = arg;

	return commitlog_next_data(&part->s->log, pos, part->limit, ret_begin, ret_end);
}

static int
part_forget_zeros(void *arg, mq_pos pos)
{
	const struct part *part = arg;

	return commitlog_drop_cache(&part->s->log, pos) == MQ_OK ? MQ_OK : -EIO;
}

static const struct scan_source part_source = {
	.has = part_has, .read = part_read, .next_data = part_next_data, .forget_zeros = part_forget_zeros,
};

static bool
is_end(int rc)
{
	return rc == MQ_EEND || rc == MQ_ECORRUPT;
}

int
dispatch_log(struct store *s, mq_pos from, mq_pos limit, const struct scan_known *known, struct dispatched *ret)
{
	struct part part = { s, limit };
	struct scan sc = {
		.source = &part_source, .arg = &part, .segment_bytes = s->log.segment_bytes, .known = known,
	};
	struct dispatched d = { .end = from, .store_ms = ret->store_ms, .records = ret->records };
	mq_pos step_end = MQ_POS(-1);
	struct record rec;
	int rc = MQ_OK;

	while (d.end.byte < limit.byte) {
		rc = scan_record(&sc, d.end, &rec, NULL);
		if (rc == MQ_EBLANK && rec.total <= limit.byte - d.end.byte) {
			d.end = pos_add(d.end, rec.total);
			continue;
		}
		if (rc == MQ_OK && d.end.byte >= step_end.byte && record_is_continued(&rec))
			rc = scan_step(&sc, &rec, &step_end);
		if (rc == MQ_OK)
			rc = dispatch_record(s, &rec);
		if (rc != MQ_OK)
			break;
		d.end = pos_add(d.end, rec.total);
		d.store_ms = rec.store_ms;
		d.records++;
	}
	scan_free(&sc);
	d.damaged = rc == MQ_ECORRUPT;
	if (rc != MQ_OK && rc != MQ_EBLANK && !is_end(rc))
		return rc;
	*ret = d;
	return MQ_OK;
}

int
dispatch_next(struct store *s, mq_pos bad, mq_pos limit, mq_pos *ret_pos)
{
	struct part part = { s, limit };
	struct scan sc = { .source = &part_source, .arg = &part, .segment_bytes = s->log.segment_bytes };
	int rc = scan_next(&sc, bad, ret_pos);

	scan_free(&sc);
	return rc;
}

bool
dispatch_goes_on_at(struct store *s, mq_pos pos, mq_pos limit)
{
	struct part part = { s, limit };
	struct scan sc = { .source = &part_source, .arg = &part, .segment_bytes = s->log.segment_bytes };
	struct record rec;
	int rc = scan_record(&sc, pos, &rec, NULL);

	scan_free(&sc);
	return rc == MQ_OK || rc == MQ_EBLANK;
}
