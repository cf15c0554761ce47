#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/body.h"
#include "store/dispatch.h"
#include "store/store_priv.h"

#define READ_BYTES (1u << 20)
#define READ_LITTLE_BYTES 4096u	/* when so much cannot be read at once, or is known */
#define SCAN_BYTES (64u << 10)

/* --- the views ------------------------------------------------------------------ */

int64_t
dispatch_tags_code(const struct record *rec)
{
	size_t topic_len = (size_t)rec->topic_len, props_len = (size_t)rec->props_len, len;
	int64_t delay_ms = record_delay_ms(rec->topic, topic_len, rec->props, props_len);
	int64_t timed_ms = record_timed_ms(rec->topic, topic_len, rec->props, props_len);
	const char *tags;

	if (delay_ms > 0)
		return (int64_t)((uint64_t)rec->store_ms + (uint64_t)delay_ms);	/* of any record */
	if (timed_ms > 0)
		return timed_ms;
	tags = record_property(rec->props, props_len, "TAGS", &len);
	return tags ? record_tags_code(tags, len) : 0;
}

int
dispatch_queue_put(const struct record *rec, struct queue_put *ret)
{
	int32_t body_len;
	int rc = body_length(rec, &body_len);

	if (rc != MQ_OK)
		return rc;
	*ret = (struct queue_put){
		.qoff = rec->qoff,
		.pos = rec->pos,
		.total = rec->total,
		.body_len = body_len,
		.tags_code = dispatch_tags_code(rec),
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
	for (size_t i = 0; i < n; i++)
		if (b->entries[i].timed)
			b->entries[i].tags_code = delays_tags_code(s, b->entries[i].tags_code);
	for (size_t from = 0, to; from < n; from = to) {
		to = batch_run_end(b, from, n);
		queue_put_batch(b->entries[from].q, b, from, to, store_ms);
	}
}

/* MQ_OK also when that fails: the record is stored, and its queue has it; a log line says
 * from where on keys are missing. */
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

/* Is it one with keys?  *ret is its record then. */
static bool
is_keyed(const struct store *s, const struct batch *b, size_t i, struct record *ret)
{
	if (!b->entries[i].keyed || !s->settings->messageIndexEnable)
		return false;
	MUST(record_decode(b->buf + b->entries[i].at, b->entries[i].total, ret) == MQ_OK);
	return true;
}

static void
batch_in_index(struct store *s, struct batch *b, size_t n, int64_t store_ms)
{
	struct record rec;

	(void)store_ms;
	for (size_t i = 0; i < n; i++)
		if (is_keyed(s, b, i, &rec))
			(void)put_in_index(s, &rec);
}

void
dispatch_prepare(struct store *s, const struct batch *b)
{
	struct record rec;

	for (size_t i = 0; i < b->n; i++)
		if (is_keyed(s, b, i, &rec))
			keyindex_prepare(s->index, &rec);
}

/* What a record of the log is to each view, and what a batch is that we have written
 * ourselves: the same, of which more is known. */
static const struct {
	const char *name;
	int (*put)(struct store *s, const struct record *rec);
	void (*put_batch)(struct store *s, struct batch *b, size_t n, int64_t store_ms);
} views[] = {
	{ "consume queues", put_in_queue, batch_in_queues },
	{ "key index", put_in_index, batch_in_index },
	{ "messages to be delivered later", delays_put, delays_put_batch },
};

void
dispatch_batch(struct store *s, struct batch *b, size_t n, int64_t store_ms)
{
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++)
		views[i].put_batch(s, b, n, store_ms);
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

/* A window of the log: it holds [base, base + len).  What is known is not read. */
struct window {
	unsigned char *buf;
	size_t size, len;
	mq_pos base;
	const struct dispatch_bytes *known;	/* the log's end; NULL: nothing */
};

/* Up to `len` bytes at pos, as far as the log has them before `limit`. */
static int
window_fill(struct store *s, struct window *w, mq_pos pos, mq_pos limit, size_t len)
{
	if (len > w->size) {
		unsigned char *buf = realloc(w->buf, len);

		if (!buf)
			return -ENOMEM;
		w->buf = buf;
		w->size = len;
	}
	w->base = pos;
	w->len = 0;
	return commitlog_read(&s->log, pos, limit, w->buf, len, &w->len);
}

/* The record at pos: what record_verify() says, with as much read as it takes. */
static int
window_verify(struct store *s, struct window *w, mq_pos pos, mq_pos limit, struct record *rec)
{
	size_t at = (size_t)(pos.byte - w->base.byte), len = w->known ? READ_LITTLE_BYTES : READ_BYTES;
	int rc;

	if (w->known && pos.byte >= w->known->pos.byte) {
		at = (size_t)(pos.byte - w->known->pos.byte);
		return record_verify(w->known->bytes + at, w->known->len - at, pos, rec);
	}
	if (pos.byte >= w->base.byte && at < w->len) {
		rc = record_verify(w->buf + at, w->len - at, pos, rec);
		if (rc != MQ_EEND)
			return rc;
	}
	rc = window_fill(s, w, pos, limit, len);
	if (rc == -EIO) {
		len = READ_LITTLE_BYTES;
		rc = window_fill(s, w, pos, limit, len);
	}
	if (rc != MQ_OK)
		return rc;
	rc = record_verify(w->buf, w->len, pos, rec);
	/* a length that cannot be is not worth the memory */
	if (rc == MQ_EEND && w->len == len && rec->total > (int32_t)len && rec->total <= s->log.segment_bytes &&
	    rec->total <= limit.byte - pos.byte) {
		rc = window_fill(s, w, pos, limit, (size_t)rec->total);
		if (rc == MQ_OK)
			rc = record_verify(w->buf, w->len, pos, rec);
	}
	return rc;
}

/* The body's CRC says nothing of what comes behind the body: a record whose end
 * never reached the disk has zeros there. */
static bool
has_its_end(const struct record *rec)
{
	return record_topic_valid(rec->topic, (size_t)rec->topic_len) &&
	       (rec->props_len == 0 || rec->props[rec->props_len - 1] != '\0');
}

/* The same, and the record must lie in its segment as the format has it: a blank
 * fills the segment, and a message leaves room for one.  Bytes that cannot be
 * read are no record either. */
static int
window_record(struct store *s, struct window *w, mq_pos pos, mq_pos limit, struct record *rec)
{
	int64_t left = s->log.segment_bytes - pos.byte % s->log.segment_bytes;
	int rc = window_verify(s, w, pos, limit, rec);

	if (rc == MQ_EBLANK && rec->total != left)
		return MQ_ECORRUPT;
	if (rc == MQ_OK && (rec->total + RECORD_BLANK_BYTES > left || !has_its_end(rec)))
		return MQ_ECORRUPT;
	return rc == -EIO ? MQ_ECORRUPT : rc;
}

static bool
is_end(int rc)
{
	return rc == MQ_EEND || rc == MQ_ECORRUPT;
}

/* rec, which has been read, is the first record of a step (record_is_continued()): is the
 * whole step there?  *ret_end is where it ends, and rec is read again. */
static int
window_step(struct store *s, struct window *w, mq_pos limit, struct record *rec, mq_pos *ret_end)
{
	mq_pos begin = rec->pos, at = begin;
	int rc = MQ_OK;

	while (rc == MQ_OK && record_is_continued(rec)) {
		at = pos_add(at, rec->total);
		rc = window_record(s, w, at, limit, rec);
	}
	if (rc != MQ_OK)
		return rc == MQ_EBLANK ? MQ_ECORRUPT : rc;
	*ret_end = pos_add(at, rec->total);
	return window_record(s, w, begin, limit, rec);
}

static int
dispatch(struct store *s, mq_pos from, mq_pos limit, const struct dispatch_bytes *known, struct dispatched *ret)
{
	struct window w = { .base = MQ_POS(-1), .known = known };
	struct dispatched d = { .end = from, .store_ms = ret->store_ms, .records = ret->records };
	mq_pos step_end = MQ_POS(-1);
	struct record rec;
	int rc = MQ_OK;

	while (d.end.byte < limit.byte) {
		rc = window_record(s, &w, d.end, limit, &rec);
		if (rc == MQ_EBLANK && rec.total <= limit.byte - d.end.byte) {
			d.end = pos_add(d.end, rec.total);
			continue;
		}
		if (rc == MQ_OK && d.end.byte >= step_end.byte && record_is_continued(&rec))
			rc = window_step(s, &w, limit, &rec, &step_end);
		if (rc == MQ_OK)
			rc = dispatch_record(s, &rec);
		if (rc != MQ_OK)
			break;
		d.end = pos_add(d.end, rec.total);
		d.store_ms = rec.store_ms;
		d.records++;
	}
	free(w.buf);
	d.damaged = rc == MQ_ECORRUPT;
	if (rc != MQ_OK && rc != MQ_EBLANK && !is_end(rc))
		return rc;
	*ret = d;
	return MQ_OK;
}

int
dispatch_log(struct store *s, mq_pos from, mq_pos limit, struct dispatched *ret)
{
	return dispatch(s, from, limit, NULL, ret);
}

int
dispatch_appended(struct store *s, mq_pos from, const struct dispatch_bytes *known, struct dispatched *ret)
{
	return dispatch(s, from, pos_add(known->pos, (int64_t)known->len), known, ret);
}

/* --- behind damage ------------------------------------------------------------------- */

/* The first whole record that begins in [pos, pos + n), whose bytes are in buf. */
static int
scan_block(struct store *s, struct window *w, mq_pos pos, const unsigned char *buf, size_t n, mq_pos limit,
	   mq_pos *ret_pos)
{
	static const unsigned char magic[] = { 0xda, 0xa3, 0x20 };	/* of V1 and V2 */
	const unsigned char *at = buf + 4;
	struct record rec;

	while ((at = memmem(at, n - (size_t)(at - buf), magic, sizeof(magic)))) {
		mq_pos candidate = pos_add(pos, at - 4 - buf);
		int rc = window_record(s, w, candidate, limit, &rec);

		if (rc == MQ_OK)
			*ret_pos = candidate;
		if (rc == MQ_OK || rc == -ENOMEM)
			return rc;
		at++;
	}
	return MQ_EEND;
}

static int
scan(struct store *s, struct window *w, mq_pos pos, mq_pos limit, mq_pos *ret_pos)
{
	AUTO_FREE unsigned char *buf = malloc(SCAN_BYTES);
	mq_pos end;
	int rc = MQ_EEND;

	if (!buf)
		return -ENOMEM;
	if (commitlog_drop_cache(&s->log, pos) != MQ_OK)
		return -EIO;
	while (rc == MQ_EEND && commitlog_next_data(&s->log, pos, limit, &pos, &end)) {
		size_t n = end.byte - pos.byte < SCAN_BYTES ? (size_t)(end.byte - pos.byte) : SCAN_BYTES;

		rc = commitlog_read(&s->log, pos, limit, buf, n, &n);
		if (rc == MQ_OK)
			rc = n < RECORD_MIN_BYTES ? MQ_EEND : scan_block(s, w, pos, buf, n, limit, ret_pos);
		else if (rc == -EIO)
			rc = MQ_EEND;		/* nor can this be read: behind it */
		/* blocks overlap, so that no record's head is cut in two */
		pos = pos_add(pos, n == SCAN_BYTES ? (int64_t)n - RECORD_MIN_BYTES : (int64_t)n);
	}
	return rc;
}

/* Where the record at `bad` would end, if one may believe its length. */
static int
behind(struct store *s, mq_pos bad, mq_pos limit, mq_pos *ret_next)
{
	int64_t left = s->log.segment_bytes - bad.byte % s->log.segment_bytes;
	unsigned char head[4];
	int32_t total;
	size_t n;
	int rc = commitlog_read(&s->log, bad, limit, head, sizeof(head), &n);

	if (rc != MQ_OK || n < sizeof(head))
		return MQ_EEND;
	total = be32_get(head);
	if (total < RECORD_BLANK_BYTES || total > left || bad.byte + total >= limit.byte)
		return MQ_EEND;
	*ret_next = pos_add(bad, total);
	return MQ_OK;
}

int
dispatch_next(struct store *s, mq_pos bad, mq_pos limit, mq_pos *ret_pos)
{
	struct window w = { .base = MQ_POS(-1) };
	struct record rec;
	mq_pos next;
	int rc;

	/* a damaged body leaves the length believable, and what lies in a body
	 * must not be taken for a record */
	rc = behind(s, bad, limit, &next);
	if (rc == MQ_OK)
		rc = window_record(s, &w, next, limit, &rec);
	if (rc == MQ_OK || rc == MQ_EBLANK) {
		*ret_pos = next;
		rc = MQ_OK;
	} else {
		rc = scan(s, &w, pos_add(bad, 1), limit, ret_pos);
	}
	free(w.buf);
	return rc;
}
