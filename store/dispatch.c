#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/dispatch.h"
#include "store/store_priv.h"

#define SCHEDULE_TOPIC "SCHEDULE_TOPIC_XXXX"
#define READ_BYTES (1u << 20)

/* --- the views ------------------------------------------------------------------ */

/* 1s 5s 10s 30s 1m ... 2h, as messageDelayLevel has them by default. */
static const int32_t delay_s[] = { 1,	5,   10,  30,  60,  120, 180,  240,  300,
				   360, 420, 480, 540, 600, 1200, 1800, 3600, 7200 };

/* A delayed message's tagsCode is when it is due. */
static int64_t
due_ms(const struct record *rec, const char *level, size_t len)
{
	size_t n_levels = sizeof(delay_s) / sizeof(delay_s[0]);
	long v = 0;

	for (size_t i = 0; i < len && i < 9 && level[i] >= '0' && level[i] <= '9'; i++)
		v = 10 * v + (level[i] - '0');
	if (v <= 0)
		return 0;
	if ((size_t)v > n_levels)
		v = (long)n_levels;
	return rec->store_ms + 1000LL * delay_s[v - 1];
}

static int64_t
tags_code(const struct record *rec)
{
	size_t len;
	const char *value;

	if (rec->props_len == 0)
		return 0;
	if ((size_t)rec->topic_len == strlen(SCHEDULE_TOPIC) &&
	    memcmp(rec->topic, SCHEDULE_TOPIC, strlen(SCHEDULE_TOPIC)) == 0) {
		value = record_property(rec->props, (size_t)rec->props_len, "DELAY", &len);
		if (value && due_ms(rec, value, len) > 0)
			return due_ms(rec, value, len);
	}
	value = record_property(rec->props, (size_t)rec->props_len, "TAGS", &len);
	return value ? record_tags_code(value, len) : 0;
}

static int
put_in_queue(struct store *s, const struct record *rec)
{
	int32_t kind = rec->sysflag & SYSFLAG_TRANSACTION;
	struct queue *q;
	int rc;

	if (kind == SYSFLAG_PREPARED || kind == SYSFLAG_ROLLBACK || rec->topic_len == 0)
		return MQ_OK;
	rc = queues_make(&s->queues, rec->topic, (size_t)rec->topic_len, rec->queue_id, &q);
	if (rc != MQ_OK)
		return rc;
	return queue_put(q, &(struct queue_put){
		.qoff = rec->qoff,
		.pos = rec->pos,
		.total = rec->total,
		.body_len = rec->body_len,
		.tags_code = tags_code(rec),
		.store_ms = rec->store_ms,
	});
}

static int
put_in_index(struct store *s, const struct record *rec)
{
	if (rec->props_len == 0 || !s->settings->messageIndexEnable)
		return MQ_OK;
	return keyindex_put(s->index, rec);
}

static const struct {
	const char *name;
	int (*put)(struct store *s, const struct record *rec);
} views[] = {
	{ "consume queues", put_in_queue },
	{ "key index", put_in_index },
};

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

/* A window of the log: it holds [base, base + len). */
struct window {
	unsigned char *buf;
	size_t size, len;
	mq_pos base;
};

/* Have at least `want` bytes at pos, if the log has them before `limit`. */
static int
window_fill(struct store *s, struct window *w, mq_pos pos, mq_pos limit, size_t want)
{
	if (want > w->size) {
		unsigned char *buf = realloc(w->buf, want);

		if (!buf)
			return -ENOMEM;
		w->buf = buf;
		w->size = want;
	}
	w->base = pos;
	w->len = 0;
	return commitlog_read(&s->log, pos, limit, w->buf, w->size, &w->len);
}

/* The record at pos: what record_verify() says, with as much read as it takes. */
static int
window_record(struct store *s, struct window *w, mq_pos pos, mq_pos limit, struct record *rec)
{
	size_t at = (size_t)(pos.byte - w->base.byte);
	int rc;

	if (pos.byte >= w->base.byte && at < w->len) {
		rc = record_verify(w->buf + at, w->len - at, pos, rec);
		if (rc != MQ_EEND)
			return rc;
	}
	rc = window_fill(s, w, pos, limit, READ_BYTES);
	if (rc != MQ_OK)
		return rc;
	rc = record_verify(w->buf, w->len, pos, rec);
	/* a length that cannot be is not worth the memory */
	if (rc == MQ_EEND && rec->total > (int32_t)w->len && rec->total <= s->log.segment_bytes &&
	    w->len == w->size) {
		rc = window_fill(s, w, pos, limit, (size_t)rec->total);
		if (rc == MQ_OK)
			rc = record_verify(w->buf, w->len, pos, rec);
	}
	return rc;
}

static bool
is_end(int rc)
{
	return rc == MQ_EEND || rc == MQ_ECORRUPT;
}

int
dispatch_log(struct store *s, mq_pos from, mq_pos limit, struct dispatched *ret)
{
	struct window w = { .base = MQ_POS(-1) };
	struct dispatched d = { .end = from, .store_ms = ret->store_ms };
	struct record rec;
	int rc = MQ_OK;

	while (d.end.byte < limit.byte) {
		rc = window_record(s, &w, d.end, limit, &rec);
		if (rc == MQ_EBLANK) {
			d.end = pos_add(commitlog_segment_of(&s->log, d.end), s->log.segment_bytes);
			continue;
		}
		if (rc == MQ_OK)
			rc = dispatch_record(s, &rec);
		if (rc != MQ_OK)
			break;
		d.end = pos_add(d.end, rec.total);
		d.store_ms = rec.store_ms;
		d.records++;
	}
	free(w.buf);
	if (rc != MQ_OK && rc != MQ_EBLANK && !is_end(rc))
		return rc;
	*ret = d;
	return MQ_OK;
}
