/* Putting a view's cursor on the message that holds a byte. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/array.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "fs/framing.h"
#include "fs/scratch.h"
#include "fs/view_priv.h"

#define STEPS_AHEAD 4		/* messages walked over before searching */
#define MARK_EVERY 64		/* messages between remembered places (json) */

/* --- finding a byte ------------------------------------------------------------------------ */

/* Bytes and messages of all sources before a position of the log, and the next message of each source
 * there. */
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

/* Find the last position of the log with at most `limit` bytes (or messages) of the sources before it, and
 * set *b to what lies before it. */
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

int
seek_last(struct view *v, int64_t count)
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

/* --- lengths that are found by rendering (json, filters) --------------------------------------------------------- */

void
seek_remember(struct view *v, int64_t message)
{
	if (v->n != 1 || (message - v->src[0].from.n) % MARK_EVERY != 0)
		return;
	if (v->n_places > 0 && v->places[v->n_places - 1].message >= message)
		return;
	if (ARRAY_ROOM(v->places, v->max_places, v->n_places + 1) != MQ_OK)
		return;		/* later searches are slower */
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

int
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

			rc = run_record(v, &run, i, &rec);
			if (rc != MQ_OK)
				break;
			if (!view_shows(v, &rec))
				continue;
			seek_remember(v, run.number[i].n);
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
		if (view_time_is_up(v))
			return MQ_ELATER;
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* --- both ------------------------------------------------------------------------------------------ */

int
seek_byte(struct view *v, int64_t byte)
{
	const struct queue_entry *e;
	struct source *s;

	if (v->per_message < 0)
		return seek_measuring(v, byte);
	for (int i = 0; byte >= v->byte && i < STEPS_AHEAD; i++) {
		int rc = source_first(v, &s, &e);

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
