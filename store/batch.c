#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "store/batch.h"
#include "store/body.h"

#define BATCH_FULL_BYTES (1u << 20)
#define BATCH_MAX_BYTES (1u << 30)

void
batch_init(struct batch *b)
{
	*b = (struct batch){ 0 };
}

void
batch_free(struct batch *b)
{
	free(b->buf);
	free(b->entries);
	batch_init(b);
}

void
batch_clear(struct batch *b)
{
	b->len = 0;
	b->n = 0;
	b->together = b->one_queue = b->more = false;
}

bool
batch_full(const struct batch *b)
{
	return b->len >= BATCH_FULL_BYTES;
}

/* Bytes of the body of a message, whose record has been encoded, as a reader gets it. */
static int
body_len_of(const struct message *m, const unsigned char *encoded, size_t size, int32_t *ret)
{
	struct record rec;

	*ret = (int32_t)(m->body_len + m->body2_len);
	if (!(m->sysflag & SYSFLAG_COMPRESSED))
		return MQ_OK;
	MUST(record_decode(encoded, size, &rec) == MQ_OK);
	return body_length(&rec, ret);
}

/* Set in e, which has DUE_NOW and 0 elsewhere, what the properties of m say.  In a write all messages have the
 * same ones: they are looked through once. */
static void
read_properties(const struct batch *b, const struct message *m, struct batch_entry *e)
{
	const struct batch_entry *last = b->n > 0 ? &b->entries[b->n - 1] : NULL;
	size_t len;

	if (e->props_len == 0)
		return;
	if (last && last->q == e->q && last->props_len == e->props_len &&
	    memcmp(b->buf + last->at + last->total - e->props_len, m->props, e->props_len) == 0) {
		e->keyed = last->keyed;
		e->tags_code = last->tags_code;
		e->due = last->due;
		return;
	}
	e->keyed = record_property(m->props, m->props_len, "KEYS", &len) ||
		   record_property(m->props, m->props_len, "UNIQ_KEY", &len);
	e->tags_code = record_code(m->topic, m->topic_len, m->props, m->props_len, &e->due);
}

int
batch_add_to(struct batch *b, struct queue *q, const struct message *m)
{
	size_t size = record_size(m);
	struct batch_entry *e;
	int32_t body_len;
	int rc;

	if (!sysflag_is_queued(m->sysflag) || m->queue_id < 0)
		return err_note(-EINVAL, "no message of a queue: sysflag %" PRId32 ", queue %" PRId32, m->sysflag,
				m->queue_id);
	if (m->props_len > 0 && m->props[m->props_len - 1] == '\0')
		return err_note(-EINVAL, "properties that end with a NUL");	/* as torn ones do */
	if (m->topic_len > RECORD_TOPIC_MAX)
		return err_note(-EMSGSIZE, "topic name of %zu bytes: at most %d", m->topic_len, RECORD_TOPIC_MAX);
	if (m->props_len > RECORD_PROPS_MAX)
		return err_note(-EMSGSIZE, "properties of %zu bytes: at most %d", m->props_len, RECORD_PROPS_MAX);
	if (size > BATCH_MAX_BYTES || b->len > BATCH_MAX_BYTES - size)
		return err_note(-EMSGSIZE, "message of %zu bytes", m->body_len + m->body2_len);
	rc = ARRAY_ROOM(b->buf, b->size, b->len + size);
	if (rc == MQ_OK)
		rc = ARRAY_ROOM(b->entries, b->max, b->n + 1);
	if (rc != MQ_OK)
		return rc;
	record_encode(m, b->buf + b->len);
	rc = body_len_of(m, b->buf + b->len, size, &body_len);
	if (rc != MQ_OK)
		return rc;
	e = &b->entries[b->n];
	*e = (struct batch_entry){
		.q = q, .at = (uint32_t)b->len, .total = (uint32_t)size, .body_len = (uint32_t)body_len,
		.props_len = (uint32_t)m->props_len,
	};
	read_properties(b, m, e);
	b->n++;
	e->waits = m->prepared.byte > 0 || e->due != DUE_NOW;
	b->more |= e->keyed || e->waits;
	b->len += size;
	return MQ_OK;
}

int
batch_add(struct batch *b, const struct message *m)
{
	return batch_add_to(b, NULL, m);
}

int
batch_add_all(struct batch *b, const struct batch *from, struct queue *q)
{
	int rc = ARRAY_ROOM(b->buf, b->size, b->len + from->len);

	if (rc == MQ_OK)
		rc = ARRAY_ROOM(b->entries, b->max, b->n + from->n);
	if (rc != MQ_OK)
		return rc;
	memcpy(b->buf + b->len, from->buf, from->len);
	for (size_t i = 0; i < from->n; i++) {
		struct batch_entry *e = &b->entries[b->n++];

		*e = from->entries[i];
		e->q = q;
		e->at += (uint32_t)b->len;
	}
	b->len += from->len;
	b->one_queue = false;
	b->more |= from->more;
	return MQ_OK;
}

size_t
batch_run_end(const struct batch *b, size_t from, size_t n)
{
	size_t to = b->one_queue ? n : from + 1;

	while (to < n && b->entries[to].q == b->entries[from].q)
		to++;
	return to;
}

void
batch_number(struct batch *b, size_t from, size_t to, mq_qoff first)
{
	for (size_t i = from; i < to; i++)
		b->entries[i].qoff = qoff_add(first, (int64_t)(i - from));
}

int
batch_join(struct batch *b)
{
	struct record rec;

	for (size_t i = 0; i + 1 < b->n; i++) {
		unsigned char *at = b->buf + b->entries[i].at;

		be32_put(at + RECORD_SYSFLAG_AT, be32_get(at + RECORD_SYSFLAG_AT) | SYSFLAG_CONTINUED);
		MUST(record_decode(at, b->entries[i].total, &rec) == MQ_OK);
		if (!record_is_continued(&rec))
			return err_note(-EINVAL, "a record of topic %.*s cannot say that the next one belongs to it",
					(int)rec.topic_len, rec.topic);
	}
	b->together = true;
	return MQ_OK;
}
