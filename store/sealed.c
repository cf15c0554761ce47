#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/commitlog_priv.h"
#include "store/direct.h"
#include "store/logscan.h"
#include "store/sealed.h"
#include "store/store_priv.h"

#define QUEUES_TOLD 4
#define SECTOR 4096

/* --- its sum ------------------------------------------------------------------- */

/* Bytes that cannot be read count as zeros, which makes the sum wrong. */
static int
sum_bytes(struct direct *d, struct summing *m, const struct pace *pace)
{
	AUTO_FREE unsigned char *buf = malloc(DIRECT_BYTES);
	int rc = buf ? MQ_OK : -ENOMEM;

	while (rc == MQ_OK && m->at < m->sum->bytes) {
		int64_t left = m->sum->bytes - m->at;
		size_t len = left < DIRECT_BYTES ? (size_t)left : DIRECT_BYTES;
		ssize_t n = direct_read(d, buf, len, m->at);

		if (n < 0 && errno != EIO)
			return err_note(-errno, "commitlog: %m");
		if (n <= 0) {
			n = len < SECTOR ? (ssize_t)len : SECTOR;
			memset(buf, 0, (size_t)n);
		}
		rc = sum_add(m, buf, (size_t)n);
		if (rc == MQ_OK)
			rc = pace->spend(pace->arg, n);
	}
	return rc;
}

int
sealed_sum(struct store *s, mq_pos base, bool memory_first, const struct pace *pace, struct sum *ret)
{
	struct direct *d = NULL;
	struct summing m = { 0 };
	char name[SEGMENT_NAME_SIZE];
	int rc;

	segment_name(base, name);
	rc = direct_open(s->commitlog_fd, name, memory_first, &d);
	if (rc == MQ_OK)
		rc = sum_begin(&m, s->log.segment_bytes, ret);
	if (rc == MQ_OK)
		rc = sum_bytes(d, &m, pace);
	if (rc == MQ_OK)
		rc = sum_ready(&m);
	sum_end(&m);
	direct_close(d);
	return rc;
}

/* --- its damage ------------------------------------------------------------------ */

/* What one walk through the records looks for. */
struct walk {
	mq_pos base;
	int64_t piece_bytes;
	bool bad[SUM_PIECES_MAX];	/* pieces whose records are all suspect */
	struct damage *damage;
};

static void
add(struct damage *d, mq_pos pos, int64_t bytes, const char *why)
{
	struct damage_range *last = d->n ? &d->ranges[d->n - 1] : NULL;

	if (last && (last->pos.byte + last->bytes == pos.byte || d->n == DAMAGE_RANGES_MAX))
		last->bytes = pos.byte + bytes - last->pos.byte;
	else
		d->ranges[d->n++] = (struct damage_range){ .pos = pos, .bytes = bytes, .why = why };
}

/* Does [pos, pos + bytes) reach into a bad piece?  If `clear`, these pieces are not bad any more. */
static bool
reaches_bad(struct walk *w, mq_pos pos, int64_t bytes, bool clear)
{
	int64_t first = (pos.byte - w->base.byte) / w->piece_bytes;
	int64_t last = (pos.byte + bytes - 1 - w->base.byte) / w->piece_bytes;
	bool any = false;

	for (int64_t i = first; i <= last && i < SUM_PIECES_MAX; i++) {
		any |= w->bad[i];
		w->bad[i] &= !clear;
	}
	return any;
}

static void
look_at(struct walk *w, const struct log_piece *p)
{
	if (p->kind != PIECE_RECORD && p->kind != PIECE_BLANK)
		add(w->damage, p->pos, p->bytes, p->why);
	else if (reaches_bad(w, p->pos, p->bytes, false))
		add(w->damage, p->pos, p->bytes, "it has changed since the segment was sealed");
}

/* Read all records.  A sealed segment is full, so bytes at its end without a record are damage. */
static int
walk(struct store *s, struct walk *w, const struct pace *pace)
{
	mq_pos end = pos_add(w->base, s->log.segment_bytes);
	struct log_piece p = { .why = "there are zeros" };
	char name[SEGMENT_NAME_SIZE];
	struct logscan *ls = NULL;
	int rc;

	w->damage->n = 0;
	segment_name(w->base, name);
	rc = logscan_open_file(s->commitlog_fd, name, s->log.segment_bytes, &ls);
	while (rc == MQ_OK && (rc = logscan_next(ls, &p)) == MQ_OK && p.kind != PIECE_TORN) {
		look_at(w, &p);
		rc = pace->spend(pace->arg, p.bytes);
	}
	if ((rc == MQ_OK || rc == MQ_EEND) && end.byte - logscan_at(ls).byte >= RECORD_BLANK_BYTES)
		add(w->damage, logscan_at(ls), end.byte - logscan_at(ls).byte,
		    p.kind == PIECE_TORN ? p.why : "there are zeros");
	logscan_close(ls);
	return rc == MQ_EEND ? MQ_OK : rc;
}

int
sealed_damage(struct store *s, mq_pos base, const struct sum *was, const struct sum *is, bool wide,
	      const struct pace *pace, struct damage *ret)
{
	struct walk w = { .base = base, .piece_bytes = sum_piece_bytes(s->log.segment_bytes), .damage = ret };
	bool any = false;
	int rc;

	*ret = (struct damage){ 0 };
	rc = walk(s, &w, pace);
	if (rc != MQ_OK || !was)
		return rc;
	for (size_t i = 0; i < was->n; i++)
		w.bad[i] = was->pieces[i] != is->pieces[i];
	for (size_t i = 0; i < ret->n && !wide; i++)
		(void)reaches_bad(&w, ret->ranges[i].pos, ret->ranges[i].bytes, true);
	for (size_t i = 0; i < was->n; i++)
		any |= w.bad[i];
	return any ? walk(s, &w, pace) : MQ_OK;
}

/* --- its messages ------------------------------------------------------------------ */

struct affected {
	mq_pos from, to;
	int64_t messages, queues;
	char *text;
	size_t size, len;
};

static int
look_in_queue(struct queue *q, void *arg)
{
	struct affected *a = arg;
	mq_qoff first, end;
	size_t left = a->size - a->len;
	int n = 0;

	if (queue_find_pos(q, a->from, &first) != MQ_OK || queue_find_pos(q, a->to, &end) != MQ_OK ||
	    end.n <= first.n)
		return MQ_OK;
	queue_doubt(q, end);
	a->messages += end.n - first.n;
	if (a->queues++ < QUEUES_TOLD)
		n = snprintf(a->text + a->len, left, "%s%s/q%" PRId32 "@%" PRId64, a->len ? ", " : "",
			     queue_topic(q), queue_id(q), first.n);
	if (n > 0 && (size_t)n < left && end.n - first.n > 1)
		n += snprintf(a->text + a->len + n, left - (size_t)n, "..%" PRId64, end.n);
	a->len += (size_t)n < left ? (size_t)n : left - 1;
	return MQ_OK;
}

int64_t
sealed_messages(struct store *s, const struct damage_range *range, char *text, size_t size)
{
	struct affected a = {
		.from = range->pos, .to = pos_add(range->pos, range->bytes), .text = text, .size = size,
	};

	*text = '\0';
	(void)store_each_queue(s, look_in_queue, &a);
	if (a.queues > QUEUES_TOLD && a.len < size)
		snprintf(text + a.len, size - a.len, " and of %" PRId64 " more queues", a.queues - QUEUES_TOLD);
	return a.messages;
}

/* Is the record in its queue?  True also if it need not be: it is below the queue's first message, or
 * not a message for consumers. */
static bool
is_listed(struct store *s, const struct record *rec)
{
	struct queue *q = queues_find(&s->queues, rec->topic, (size_t)rec->topic_len, rec->queue_id);
	struct queue_entry e;
	size_t n;
	int rc;

	if (!sysflag_is_queued(rec->sysflag))
		return true;
	rc = q ? queue_entries(q, rec->qoff, &e, 1, &n) : MQ_EEND;
	return rc == MQ_EGONE || (rc == MQ_OK && e.pos.byte == rec->pos.byte);
}

int64_t
sealed_unlisted(struct store *s, const struct damage_range *range)
{
	mq_pos end = pos_add(range->pos, range->bytes);
	AUTO_FREE unsigned char *buf = NULL;
	struct record rec;
	size_t size = 0;
	int64_t n = 0;

	for (mq_pos at = range->pos; at.byte < end.byte; at = pos_add(at, rec.total)) {
		if (store_read(s, at, &buf, &size, &rec) != MQ_OK)
			break;			/* the blank */
		n += !is_listed(s, &rec);
	}
	err_clear();
	return n;
}
