#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

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
}

bool
batch_full(const struct batch *b)
{
	return b->len >= BATCH_FULL_BYTES;
}

static int
make_room(struct batch *b, size_t bytes)
{
	if (b->len + bytes > b->size) {
		size_t size = b->size ? b->size : 64 * 1024;
		unsigned char *buf;

		while (size < b->len + bytes)
			size *= 2;
		buf = realloc(b->buf, size);
		if (!buf)
			return -ENOMEM;
		b->buf = buf;
		b->size = size;
	}
	if (b->n == b->max) {
		size_t max = b->max ? 2 * b->max : 256;
		struct batch_entry *entries = realloc(b->entries, max * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		b->entries = entries;
		b->max = max;
	}
	return MQ_OK;
}

static void
note_properties(struct batch_entry *e, const struct message *m)
{
	size_t len;
	const char *tags;

	e->tags_code = e->delay_ms = 0;
	e->keyed = false;
	if (m->props_len == 0)
		return;
	tags = record_property(m->props, m->props_len, "TAGS", &len);
	if (tags)
		e->tags_code = record_tags_code(tags, len);
	e->delay_ms = record_delay_ms(m->topic, m->topic_len, m->props, m->props_len);
	e->keyed = record_property(m->props, m->props_len, "KEYS", &len) ||
		   record_property(m->props, m->props_len, "UNIQ_KEY", &len);
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

int
batch_add(struct batch *b, const struct message *m)
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
	rc = make_room(b, size);
	if (rc != MQ_OK)
		return rc;
	record_encode(m, b->buf + b->len);
	rc = body_len_of(m, b->buf + b->len, size, &body_len);
	if (rc != MQ_OK)
		return rc;
	e = &b->entries[b->n++];
	e->at = (uint32_t)b->len;
	e->total = (uint32_t)size;
	e->body_len = (uint32_t)body_len;
	note_properties(e, m);
	b->len += size;
	return MQ_OK;
}
