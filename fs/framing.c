#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "fs/framing.h"
#include "store/record_json.h"

#define HELD_KEEP (64 * 1024)	/* an idle open file keeps no more */
#define LEN32_BYTES 4

void
splitter_init(struct splitter *s, enum topic_format format, bool whole, size_t max_body)
{
	*s = (struct splitter){ .format = format, .whole = whole, .max_body = max_body };
}

void
splitter_free(struct splitter *s)
{
	free(s->held);
	s->held = NULL;
	s->held_len = s->held_size = 0;
}

bool
splitter_holds(const struct splitter *s)
{
	return s->held_len > 0;
}

/* --- what is held ----------------------------------------------------------- */

static int
hold(struct splitter *s, const unsigned char *p, size_t len)
{
	int rc = len ? ARRAY_ROOM(s->held, s->held_size, s->held_len + len) : MQ_OK;

	if (rc != MQ_OK || len == 0)
		return rc;
	memcpy(s->held + s->held_len, p, len);
	s->held_len += len;
	return MQ_OK;
}

int
splitter_hold(struct splitter *s, const void *bytes, size_t len)
{
	size_t before = s->held_len;
	int rc;

	s->held_len = 0;
	rc = hold(s, bytes, len);
	if (rc != MQ_OK)
		s->held_len = before;
	return rc;
}

/* All that is left waits: MQ_EEND. */
static int
hold_rest(struct splitter *s, const unsigned char *p, size_t left, size_t *at)
{
	int rc = hold(s, p, left);

	if (rc != MQ_OK)
		return rc;
	*at += left;
	return MQ_EEND;
}

/* The message that begins with what is held and ends with len bytes at p. */
static struct piece
release(struct splitter *s, const unsigned char *p, size_t len)
{
	struct piece piece = { .a = s->held, .a_len = s->held_len, .b = p, .b_len = len };

	s->held_len = 0;	/* the bytes stay until the next call */
	return piece;
}

/* --- messages that are too long ----------------------------------------------- */

static int
too_long(const struct splitter *s)
{
	return err_note(-EMSGSIZE, "a message is over maxMessageSize (%zu bytes)", s->max_body);
}

/* Refuse the write `left` bytes at p, whose first line is too long. */
static int
refuse_line(struct splitter *s, const unsigned char *p, size_t left, size_t at)
{
	if (at > 0)		/* it will come again, as the first of a write */
		return too_long(s);
	s->held_len = 0;
	s->step = !s->whole && memchr(p, '\n', left) ? SPLITTER_AFTER_REFUSED : SPLITTER_IN_REFUSED;
	s->refused_len = left;
	s->refused_crc = record_crc(p, left);
	return too_long(s);
}

/* A write that comes after a refusal: MQ_OK if it is to be taken. */
static int
refused_next(struct splitter *s, const unsigned char *p, size_t len)
{
	if (len >= s->refused_len && record_crc(p, s->refused_len) == s->refused_crc)
		return refuse_line(s, p, len, 0);
	if (s->step == SPLITTER_AFTER_REFUSED) {
		s->step = SPLITTER_IN_STEP;
		return MQ_OK;
	}
	if (!s->whole && memchr(p, '\n', len))
		s->step = SPLITTER_IN_STEP;
	return too_long(s);
}

/* --- splitting ------------------------------------------------------------------ */

static int
next_line(struct splitter *s, const unsigned char *p, size_t left, size_t *at, struct piece *ret)
{
	size_t max = s->format == FORMAT_JSON ? framing_json_line_max(s->max_body) : s->max_body;
	const unsigned char *nl = left ? memchr(p, '\n', left) : NULL;
	size_t len = nl ? (size_t)(nl - p) : left;

	if (s->held_len + len > max)
		return refuse_line(s, p, left, *at);
	if (!nl)
		return hold_rest(s, p, left, at);
	*ret = release(s, p, len);
	*at += len + 1;
	return MQ_OK;
}

static int
next_raw(struct splitter *s, const unsigned char *p, size_t left, size_t *at, struct piece *ret)
{
	if (left == 0)
		return MQ_EEND;
	if (left > s->max_body)
		return too_long(s);
	*ret = (struct piece){ .b = p, .b_len = left };
	*at += left;
	return MQ_OK;
}

static int
next_len32(struct splitter *s, const unsigned char *p, size_t left, size_t *at, struct piece *ret)
{
	unsigned char head[LEN32_BYTES];
	size_t head_held = s->held_len < LEN32_BYTES ? s->held_len : LEN32_BYTES;
	size_t head_new = LEN32_BYTES - head_held;
	size_t missing;
	int32_t body_len;

	if (left < head_new)
		return hold_rest(s, p, left, at);
	if (head_held)
		memcpy(head, s->held, head_held);
	memcpy(head + head_held, p, head_new);
	body_len = be32_get(head);
	if (body_len < 0)
		return err_note(-EINVAL, "len32: a length of %d", body_len);
	if ((size_t)body_len > s->max_body)
		return too_long(s);
	missing = LEN32_BYTES + (size_t)body_len - s->held_len;
	if (left < missing)
		return hold_rest(s, p, left, at);
	*ret = release(s, p + head_new, missing - head_new);
	*at += missing;
	if (head_held) {
		ret->a += head_held;
		ret->a_len -= head_held;
	}
	return MQ_OK;
}

static int
next_whole(struct splitter *s, const unsigned char *p, size_t left, size_t *at)
{
	size_t max = s->format == FORMAT_JSON ? framing_json_line_max(s->max_body) : s->max_body;

	if (s->held_len + left > max)
		return refuse_line(s, p, left, *at);
	return hold_rest(s, p, left, at);
}

int
splitter_next(struct splitter *s, const void *buf, size_t len, size_t *at, struct piece *ret)
{
	const unsigned char *p = (const unsigned char *)buf + *at;
	size_t left = len - *at;

	if (s->held_size > HELD_KEEP && s->held_len == 0)
		splitter_free(s);
	if (s->step != SPLITTER_IN_STEP && left > 0) {
		int rc = refused_next(s, p, left);

		if (rc != MQ_OK)
			return rc;
	}
	if (s->whole)
		return next_whole(s, p, left, at);
	switch (s->format) {
	case FORMAT_RAW:
		return next_raw(s, p, left, at, ret);
	case FORMAT_LEN32:
		return next_len32(s, p, left, at, ret);
	case FORMAT_LINES:
	case FORMAT_JSON:
		break;
	}
	return next_line(s, p, left, at, ret);
}

int
splitter_finish(struct splitter *s, struct piece *ret)
{
	size_t torn = s->held_len;

	if (torn == 0)
		return MQ_EEND;
	if (!s->whole && s->format == FORMAT_LEN32) {
		s->held_len = 0;
		return err_note(-EINVAL, "len32: the last message was cut off after %zu bytes", torn);
	}
	*ret = release(s, NULL, 0);
	return MQ_OK;
}

/* --- rendering -------------------------------------------------------------------- */

int
framing_per_message(enum topic_format f)
{
	switch (f) {
	case FORMAT_LINES:
		return 1;
	case FORMAT_RAW:
		return 0;
	case FORMAT_LEN32:
		return LEN32_BYTES;
	case FORMAT_JSON:
		break;
	}
	return -1;
}

size_t
framing_length(enum topic_format f, const struct record *rec)
{
	if (f == FORMAT_JSON)
		return record_json_length(rec);
	return (size_t)rec->body_len + (size_t)framing_per_message(f);
}

/* Copy what [*skip, *skip + left) has of these len bytes; both move on. */
static size_t
slice(const void *from, size_t len, size_t *skip, unsigned char *out, size_t left)
{
	size_t n;

	if (*skip >= len) {
		*skip -= len;
		return 0;
	}
	n = len - *skip < left ? len - *skip : left;
	if (n > 0)
		memcpy(out, (const unsigned char *)from + *skip, n);
	*skip = 0;
	return n;
}

size_t
framing_render(enum topic_format f, const struct record *rec, size_t skip, void *out, size_t max)
{
	unsigned char head[LEN32_BYTES];
	unsigned char *to = out;
	size_t n = 0;

	if (f == FORMAT_JSON)
		return record_json_render(rec, skip, out, max);
	if (f == FORMAT_LEN32) {
		be32_put(head, rec->body_len);
		n += slice(head, sizeof(head), &skip, to, max);
	}
	n += slice(rec->body, (size_t)rec->body_len, &skip, to + n, max - n);
	if (f == FORMAT_LINES)
		n += slice("\n", 1, &skip, to + n, max - n);
	return n;
}
