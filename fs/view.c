#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "fs/framing.h"
#include "fs/scratch.h"
#include "fs/view.h"

#define BATCH_ENTRIES 128	/* of each source, read ahead */
#define RUN_BYTES (256 * 1024)	/* of the log, read at once */
#define RUN_GAP 4096		/* other queues' bytes read rather than skipped */
#define OPEN_END INT64_MAX
#define STEPS_AHEAD 4		/* messages walked over before searching */
#define MARK_EVERY 64		/* messages between remembered places (json) */

struct source {
	struct queue *q;
	mq_qoff from, to;
	mq_qoff next;
	struct queue_entry entries[BATCH_ENTRIES];
	size_t at, n;		/* of entries: entries[at] is message `next` */
};

/* A place that was measured: message and byte. */
struct place {
	int64_t message;
	int64_t byte;
};

struct view {
	struct mount *m;
	enum topic_format format;
	int per_message;	/* -1: depends on the message */
	int64_t byte;		/* where the cursor's message begins */
	struct place *places;	/* json, one source: every MARK_EVERY messages */
	size_t n_places, max_places;
	size_t n;
	struct source src[];
};

/* --- opening --------------------------------------------------------------------- */

/* The message of q that a point names. */
static int
resolve(struct mount *m, struct queue *q, const struct name_point *p, int64_t dflt, int64_t *ret)
{
	struct queue_span span;
	mq_qoff at;
	int rc;

	queue_span(q, &span);
	switch (p->kind) {
	case POINT_NONE:
		*ret = dflt;
		return MQ_OK;
	case POINT_NUMBER:
		*ret = p->value;
		return MQ_OK;
	case POINT_BEFORE_END:
		*ret = span.end.n - span.min.n > p->value ? span.end.n - p->value : span.min.n;
		return MQ_OK;
	case POINT_FIRST:
		*ret = span.min.n;
		return MQ_OK;
	case POINT_LAST:
		*ret = span.end.n;
		return MQ_OK;
	case POINT_TIME:
	case POINT_AGO:
		rc = store_find_time(m->store, q, p->kind == POINT_TIME ? p->value : clock_wall_ms() - p->value, &at);
		if (rc == MQ_OK)
			*ret = at.n;
		return rc;
	}
	return -EINVAL;
}

static int
source_open(struct mount *m, struct queue *q, const struct name_point *from, const struct name_point *to,
	    struct source *src)
{
	struct queue_span span;
	int64_t first, last;
	int rc;

	queue_span(q, &span);
	rc = resolve(m, q, from, span.min.n, &first);
	if (rc == MQ_OK)
		rc = resolve(m, q, to, OPEN_END, &last);
	if (rc != MQ_OK)
		return rc;
	if (first < span.min.n)
		return MQ_EGONE;
	src->q = q;
	src->from = src->next = MQ_QOFF(first);
	src->to = MQ_QOFF(last < first ? first : last);
	return MQ_OK;
}

static struct view *
view_make(struct mount *m, size_t n, enum topic_format format)
{
	struct view *v = calloc(1, sizeof(*v) + n * sizeof(v->src[0]));

	if (!v)
		return NULL;
	v->m = m;
	v->n = n;
	v->format = format;
	v->per_message = framing_per_message(format);
	return v;
}

static int last_of_all(struct view *v, int64_t count);

int
view_open(struct mount *m, const struct view_spec *spec, struct view **ret)
{
	static const struct name_point none = { .kind = POINT_NONE };
	bool last_few = spec->all && spec->from.kind == POINT_BEFORE_END;
	int32_t n = spec->all ? topic_queues(m->offsets, spec->topic) : 1;
	struct view *v = view_make(m, (size_t)n, spec->format);
	int rc = v ? MQ_OK : -ENOMEM;

	for (int32_t i = 0; rc == MQ_OK && i < n; i++) {
		struct queue *q;

		rc = topic_queue(m->offsets, spec->topic, spec->all ? i : spec->queue, &q);
		if (rc == MQ_OK)
			rc = source_open(m, q, last_few ? &none : &spec->from, &spec->to, &v->src[i]);
	}
	if (rc == MQ_OK && last_few)
		rc = last_of_all(v, spec->from.value);
	if (rc != MQ_OK) {
		view_close(v);
		return rc;
	}
	*ret = v;
	return MQ_OK;
}

int
view_open_from(struct mount *m, struct queue *q, mq_qoff from, enum topic_format format, struct view **ret)
{
	struct view *v = view_make(m, 1, format);

	if (!v)
		return -ENOMEM;
	v->src[0].q = q;
	v->src[0].from = v->src[0].next = from;
	v->src[0].to = MQ_QOFF(OPEN_END);
	*ret = v;
	return MQ_OK;
}

void
view_close(struct view *v)
{
	if (v)
		free(v->places);
	free(v);
}

/* --- the next message ---------------------------------------------------------------- */

static mq_qoff
source_end(const struct source *s)
{
	mq_qoff end = queue_end(s->q);

	return end.n < s->to.n ? end : s->to;
}

/* The entry of the source's next message.  MQ_EEND when there is none (yet). */
static int
source_peek(struct source *s, const struct queue_entry **ret)
{
	mq_qoff end;
	size_t n, want;
	int rc;

	if (s->at == s->n) {
		end = source_end(s);
		if (s->next.n >= end.n)
			return MQ_EEND;
		want = end.n - s->next.n < BATCH_ENTRIES ? (size_t)(end.n - s->next.n) : BATCH_ENTRIES;
		rc = queue_entries(s->q, s->next, s->entries, want, &n);
		if (rc != MQ_OK)
			return rc;
		s->at = 0;
		s->n = n;
	}
	*ret = &s->entries[s->at];
	return MQ_OK;
}

static void
source_step(struct source *s)
{
	s->at++;
	s->next.n++;
}

static void
source_seek(struct source *s, mq_qoff to)
{
	s->next = to;
	s->at = s->n = 0;
}

/* The source whose next message comes first in the log. */
static int
view_peek(struct view *v, struct source **ret_src, const struct queue_entry **ret_entry)
{
	const struct queue_entry *e, *best = NULL;

	for (size_t i = 0; i < v->n; i++) {
		int rc = source_peek(&v->src[i], &e);

		if (rc == MQ_EEND)
			continue;
		if (rc != MQ_OK)
			return rc;
		if (!best || e->pos.byte < best->pos.byte) {
			best = e;
			*ret_src = &v->src[i];
		}
	}
	if (!best)
		return MQ_EEND;
	*ret_entry = best;
	return MQ_OK;
}

/* --- one stretch of the log ------------------------------------------------------------- */

/* Messages that follow one another in the log, to be read at once. */
struct run {
	struct queue_entry entries[BATCH_ENTRIES];
	struct source *src[BATCH_ENTRIES];
	mq_qoff number[BATCH_ENTRIES];
	size_t n;
	int64_t bytes;		/* rendered, as far as known (json: bodies) */
	const unsigned char *log; /* what was read of it */
	bool checked;		/* all of it, before */
};

static int64_t
run_span(const struct run *run)
{
	const struct queue_entry *last = &run->entries[run->n - 1];

	return last->pos.byte + last->total - run->entries[0].pos.byte;
}

static bool
run_takes(const struct view *v, const struct run *run, const struct queue_entry *e)
{
	const struct queue_entry *last = &run->entries[run->n - 1];
	int64_t gap = e->pos.byte - (last->pos.byte + last->total);

	(void)v;
	return e->total != QUEUE_HOLE_SIZE && last->total != QUEUE_HOLE_SIZE && gap >= 0 && gap <= RUN_GAP &&
	       e->pos.byte + e->total - run->entries[0].pos.byte <= RUN_BYTES;
}

/* Collect messages from the cursor on, as many as `want` bytes take; the
 * cursor's sources step over them.  MQ_EEND if there is none. */
static int
run_collect(struct view *v, size_t want, struct run *run)
{
	const struct queue_entry *e;
	struct source *s;
	int rc;

	run->n = 0;
	run->bytes = 0;
	while (run->n < BATCH_ENTRIES && run->bytes < (int64_t)want) {
		rc = view_peek(v, &s, &e);
		if (rc != MQ_OK)
			return run->n ? MQ_OK : rc;
		if (run->n && !run_takes(v, run, e))
			break;
		run->entries[run->n] = *e;
		run->src[run->n] = s;
		run->number[run->n] = s->next;
		run->n++;
		run->bytes += e->body_len + (v->per_message > 0 ? v->per_message : 0);
		source_step(s);
	}
	return MQ_OK;
}

/* Step back over what was collected but not used. */
static void
run_give_back(struct run *run, size_t from)
{
	for (size_t i = run->n; i > from; i--) {
		struct source *s = run->src[i - 1];

		if (s->at > 0)
			s->at--, s->next.n--;
		else
			source_seek(s, run->number[i - 1]);
	}
	run->n = from;
}

static int
read_log(struct view *v, mq_pos pos, void *buf, size_t len)
{
	size_t done = 0, n;

	while (done < len) {
		int rc = store_read_raw(v->m->store, pos_add(pos, (int64_t)done), (char *)buf + done, len - done, &n);

		if (rc != MQ_OK)
			return rc == MQ_EEND ? -EIO : rc;
		done += n;
	}
	return MQ_OK;
}

static bool
run_is_checked(const struct view *v, const struct run *run)
{
	if (v->n == 1)
		return queue_is_checked(run->src[0]->q, run->number[0], qoff_add(run->number[run->n - 1], 1));
	for (size_t i = 0; i < run->n; i++)
		if (!queue_is_checked(run->src[i]->q, run->number[i], qoff_add(run->number[i], 1)))
			return false;
	return true;
}

static int
run_read(struct view *v, struct run *run, struct scratch *scratch)
{
	int64_t span = run_span(run);
	int rc;

	if (run->entries[0].total == QUEUE_HOLE_SIZE)
		return MQ_OK;		/* run_record() says so */
	rc = scratch_grow(&scratch->run, &scratch->run_size, (size_t)(span > RUN_BYTES ? span : RUN_BYTES));
	if (rc == MQ_OK)
		rc = read_log(v, run->entries[0].pos, scratch->run, (size_t)span);
	run->log = scratch->run;
	run->checked = rc == MQ_OK && run_is_checked(v, run);
	return rc;
}

/* The body of a record that was checked before, by the few fields that tell
 * that it is still the one; false: look closer. */
static bool
known_body(const unsigned char *at, const struct queue_entry *e, mq_qoff n, struct record *rec)
{
	if (be32_get(at) != e->total || be32_get(at + 4) != RECORD_MAGIC ||
	    be64_get(at + RECORD_QUEUEOFFSET_AT) != n.n || be64_get(at + RECORD_PHYSICALOFFSET_AT) != e->pos.byte ||
	    (be32_get(at + 36) & (SYSFLAG_BORNHOST_V6 | SYSFLAG_STOREHOST_V6)) ||
	    be32_get(at + RECORD_BODY_AT - 4) != e->body_len || e->body_len + RECORD_MIN_BYTES > e->total)
		return false;
	rec->body = at + RECORD_BODY_AT;
	rec->body_len = (int32_t)e->body_len;
	return true;
}

static int
damaged(const struct run *run, size_t i, const char *what)
{
	return err_note(-EIO, "topic %s queue %d: message %lld %s", queue_topic(run->src[i]->q),
			(int)queue_id(run->src[i]->q), (long long)run->number[i].n, what);
}

/* The record of entry i, checked unless it was before.  Only the body is set
 * where the format needs no more. */
static int
run_record(const struct view *v, const struct run *run, size_t i, struct record *rec)
{
	const struct queue_entry *e = &run->entries[i];
	mq_qoff n = run->number[i];
	const unsigned char *at;
	int rc;

	if (e->total == QUEUE_HOLE_SIZE)
		return damaged(run, i, "is missing");
	at = run->log + (e->pos.byte - run->entries[0].pos.byte);
	if (run->checked && v->per_message >= 0 && known_body(at, e, n, rec))
		return MQ_OK;
	rc = record_verify(at, (size_t)e->total, e->pos, rec);
	if (rc != MQ_OK || rec->total != e->total || rec->body_len != e->body_len || rec->qoff.n != n.n)
		return damaged(run, i, "is damaged");
	if (!run->checked)
		queue_note_checked(run->src[i]->q, n, qoff_add(n, 1));
	return MQ_OK;
}

/* --- finding a byte ------------------------------------------------------------------------ */

/* Of all sources: bytes and messages that lie before `pos` in the log, and
 * where each source then stands. */
struct below {
	int64_t bytes, messages;
	mq_qoff *next;
};

static int
count_below(struct view *v, mq_pos pos, struct below *b)
{
	b->bytes = b->messages = 0;
	for (size_t i = 0; i < v->n; i++) {
		struct source *s = &v->src[i];
		mq_qoff end = source_end(s), at;
		int64_t bytes;
		int rc;

		rc = queue_find_pos(s->q, pos, &at);
		if (rc != MQ_OK)
			return rc;
		at.n = at.n > end.n ? end.n : at.n;
		at.n = at.n < s->from.n ? s->from.n : at.n;
		if (s->from.n <= end.n) {
			rc = queue_byte_of(s->q, s->from, at, v->per_message, &bytes);
			if (rc != MQ_OK)
				return rc;
			b->bytes += bytes;
			b->messages += at.n - s->from.n;
		}
		b->next[i] = at;
	}
	return MQ_OK;
}

/* The last position of the log before which lie no more than `limit` bytes
 * (or messages); b is as it is there. */
static int
find_below(struct view *v, int64_t limit, bool messages, struct below *b)
{
	int64_t low = 0, high = mark_at(store_written(v->m->store)).byte + 1;
	int rc;

	while (high - low > 1) {
		int64_t mid = low + (high - low) / 2;

		rc = count_below(v, MQ_POS(mid), b);
		if (rc != MQ_OK)
			return rc;
		if ((messages ? b->messages : b->bytes) <= limit)
			low = mid;
		else
			high = mid;
	}
	return count_below(v, MQ_POS(low), b);
}

static int
seek_all(struct view *v, int64_t byte)
{
	AUTO_FREE mq_qoff *next = calloc(v->n + 1, sizeof(*next));
	struct below b = { .next = next };
	int rc;

	if (!next)
		return -ENOMEM;
	rc = find_below(v, byte, false, &b);
	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < v->n; i++)
		source_seek(&v->src[i], next[i]);
	v->byte = b.bytes;
	return MQ_OK;
}

/* Begin `count` messages before the end of all sources together. */
static int
last_of_all(struct view *v, int64_t count)
{
	AUTO_FREE mq_qoff *next = calloc(v->n + 1, sizeof(*next));
	struct below b = { .next = next };
	int64_t total = 0;
	int rc;

	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i < v->n; i++)
		total += source_end(&v->src[i]).n - v->src[i].from.n;
	rc = find_below(v, total > count ? total - count : 0, true, &b);
	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < v->n; i++) {
		v->src[i].from = next[i];
		source_seek(&v->src[i], next[i]);
	}
	return MQ_OK;
}

static int
seek_one(struct view *v, int64_t byte)
{
	struct source *s = &v->src[0];
	mq_qoff end = source_end(s), at;
	int64_t first;
	int rc;

	if (s->from.n > end.n) {
		source_seek(s, s->from);
		v->byte = 0;
		return MQ_OK;
	}
	rc = queue_find_byte(s->q, s->from, end, byte, v->per_message, &at, &first);
	if (rc == MQ_EEND) {
		at = end;
		rc = queue_byte_of(s->q, s->from, end, v->per_message, &first);
	}
	if (rc != MQ_OK)
		return rc;
	source_seek(s, at);
	v->byte = first;
	return MQ_OK;
}

/* --- json: lengths are found by looking --------------------------------------------------------- */

static void
remember(struct view *v, int64_t message)
{
	struct place *places;

	if (v->n != 1 || (message - v->src[0].from.n) % MARK_EVERY != 0)
		return;
	if (v->n_places > 0 && v->places[v->n_places - 1].message >= message)
		return;
	if (v->n_places == v->max_places) {
		size_t max = v->max_places ? 2 * v->max_places : 64;

		places = realloc(v->places, max * sizeof(*places));
		if (!places)
			return;		/* only slower */
		v->places = places;
		v->max_places = max;
	}
	v->places[v->n_places++] = (struct place){ .message = message, .byte = v->byte };
}

/* Back to the last remembered place at or before `byte`. */
static void
rewind_places(struct view *v, int64_t byte)
{
	struct place best = { .message = v->src[0].from.n, .byte = 0 };
	size_t low = 0, high = v->n_places;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v->places[mid].byte <= byte) {
			best = v->places[mid];
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	for (size_t i = 0; i < v->n; i++)
		source_seek(&v->src[i], v->src[i].from);
	if (v->n == 1)
		source_seek(&v->src[0], MQ_QOFF(best.message));
	v->byte = v->n == 1 ? best.byte : 0;
}

/* Go to the message that holds `byte`, measuring what lies between. */
static int
seek_measuring(struct view *v, int64_t byte)
{
	struct scratch *scratch = scratch_get();
	struct record rec;
	struct run run;
	int rc;

	if (!scratch)
		return -ENOMEM;
	if (byte < v->byte || (v->n == 1 && v->n_places > 0 && v->places[v->n_places - 1].byte <= byte &&
			       v->places[v->n_places - 1].byte > v->byte))
		rewind_places(v, byte);
	while ((rc = run_collect(v, RUN_BYTES, &run)) == MQ_OK) {
		rc = run_read(v, &run, scratch);
		for (size_t i = 0; rc == MQ_OK && i < run.n; i++) {
			int64_t len;

			remember(v, run.number[i].n);
			rc = run_record(v, &run, i, &rec);
			if (rc != MQ_OK)
				break;
			len = (int64_t)framing_length(v->format, &rec);
			if (v->byte + len > byte) {
				run_give_back(&run, i);
				return MQ_OK;
			}
			v->byte += len;
		}
		if (rc != MQ_OK) {
			rewind_places(v, 0);
			return rc;
		}
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* --- reading --------------------------------------------------------------------------------------- */

/* Put the cursor on the message that holds `byte`, or behind the last one. */
static int
view_seek(struct view *v, int64_t byte)
{
	const struct queue_entry *e;
	struct source *s;

	if (v->per_message < 0)
		return seek_measuring(v, byte);
	for (int i = 0; byte >= v->byte && i < STEPS_AHEAD; i++) {
		int rc = view_peek(v, &s, &e);

		if (rc == MQ_EEND && byte == v->byte)
			return MQ_OK;
		if (rc != MQ_OK)
			break;
		if (byte < v->byte + e->body_len + v->per_message)
			return MQ_OK;
		v->byte += e->body_len + v->per_message;
		source_step(s);
	}
	return v->n == 1 ? seek_one(v, byte) : seek_all(v, byte);
}

/* Part of one long message that was checked before: only that part is read. */
static int
read_part(struct view *v, const struct run *run, size_t skip, unsigned char *out, size_t size, size_t *ret_n)
{
	const struct queue_entry *e = &run->entries[0];
	unsigned char head[RECORD_BODY_AT + 24];
	size_t hosts_v6, body_at, n = 0, len = (size_t)e->body_len;
	int rc;

	rc = read_log(v, e->pos, head, sizeof(head));
	if (rc != MQ_OK)
		return rc;
	hosts_v6 = (head[39] & SYSFLAG_BORNHOST_V6 ? 1u : 0u) + (head[39] & SYSFLAG_STOREHOST_V6 ? 1u : 0u);
	body_at = RECORD_BODY_AT + 12 * hosts_v6;
	if (skip < len) {
		n = len - skip < size ? len - skip : size;
		rc = read_log(v, pos_add(e->pos, (int64_t)(body_at + skip)), out, n);
		if (rc != MQ_OK)
			return rc;
	}
	if (n < size && skip + n == len)
		out[n++] = '\n';
	*ret_n = n;
	return MQ_OK;
}

static bool
is_long_line(const struct view *v, const struct run *run)
{
	return v->format == FORMAT_LINES && run->n == 1 && run->entries[0].total > RUN_BYTES &&
	       run->entries[0].total != QUEUE_HOLE_SIZE &&
	       queue_is_checked(run->src[0]->q, run->number[0], qoff_add(run->number[0], 1));
}

/* Render the run's messages from `skip` bytes into the first on; the cursor
 * ends on the message that did not fit whole. */
static int
run_render(struct view *v, struct run *run, size_t skip, unsigned char *out, size_t size, size_t *ret_n)
{
	struct record rec;
	size_t done = 0;
	int rc = MQ_OK;

	for (size_t i = 0; i < run->n; i++) {
		size_t len, n;

		if (done == size) {
			run_give_back(run, i);
			break;
		}
		rc = run_record(v, run, i, &rec);
		if (rc != MQ_OK) {
			run_give_back(run, i);
			break;
		}
		if (v->per_message < 0)
			remember(v, run->number[i].n);
		len = v->per_message < 0 ? framing_length(v->format, &rec)
					 : (size_t)(rec.body_len + v->per_message);
		n = framing_render(v->format, &rec, skip, out + done, size - done);
		done += n;
		if (skip + n < len) {
			run_give_back(run, i);
			break;
		}
		skip = 0;
		v->byte += (int64_t)len;
	}
	*ret_n = done;
	return rc;
}

static int
read_run(struct view *v, int64_t byte, unsigned char *out, size_t size, size_t *ret_n)
{
	struct scratch *scratch = scratch_get();
	size_t skip = (size_t)(byte - v->byte);
	struct run run;
	int rc;

	if (!scratch)
		return -ENOMEM;
	rc = run_collect(v, skip + size, &run);
	if (rc != MQ_OK)
		return rc;
	if (is_long_line(v, &run)) {
		rc = read_part(v, &run, skip, out, size, ret_n);
		if (rc != MQ_OK || skip + *ret_n < (size_t)run.entries[0].body_len + 1)
			run_give_back(&run, 0);
		else
			v->byte += run.entries[0].body_len + 1;
		return rc;
	}
	rc = run_read(v, &run, scratch);
	if (rc != MQ_OK) {
		run_give_back(&run, 0);
		return rc;
	}
	return run_render(v, &run, skip, out, size, ret_n);
}

int
view_read(struct view *v, int64_t byte, void *buf, size_t size, size_t *ret_n)
{
	size_t done = 0;
	int rc;

	rc = view_seek(v, byte);
	if (rc == MQ_OK && v->byte > byte)
		rc = -EIO;
	while (rc == MQ_OK && done < size) {
		size_t n = 0;

		rc = read_run(v, byte + (int64_t)done, (unsigned char *)buf + done, size - done, &n);
		done += n;
	}
	if (rc != MQ_OK && rc != MQ_EEND && done == 0)
		return rc;
	*ret_n = done;
	return MQ_OK;
}

bool
view_is_ready(struct view *v, int64_t byte)
{
	bool open = false;
	int64_t size;

	for (size_t i = 0; i < v->n; i++) {
		struct source *s = &v->src[i];

		if (source_end(s).n > s->next.n)
			return v->byte == byte || view_size(v, &size) != MQ_OK || size > byte;
		open |= source_end(s).n < s->to.n;
	}
	return !open;
}

int
view_size(struct view *v, int64_t *ret_bytes)
{
	int64_t total = 0;

	if (v->per_message < 0) {
		int rc = seek_measuring(v, INT64_MAX);

		if (rc == MQ_OK)
			*ret_bytes = v->byte;
		return rc;
	}
	for (size_t i = 0; i < v->n; i++) {
		struct source *s = &v->src[i];
		mq_qoff end = source_end(s);
		int64_t bytes;
		int rc;

		if (s->from.n > end.n)
			continue;
		rc = queue_byte_of(s->q, s->from, end, v->per_message, &bytes);
		if (rc != MQ_OK)
			return rc;
		total += bytes;
	}
	*ret_bytes = total;
	return MQ_OK;
}

bool
view_is_finished(struct view *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (source_end(&v->src[i]).n < v->src[i].to.n)
			return false;
	return true;
}

int
view_message_at(struct view *v, int64_t byte, mq_qoff *ret_qoff)
{
	int rc = view_seek(v, byte);

	if (rc == MQ_OK)
		*ret_qoff = v->src[0].next;
	return rc;
}
