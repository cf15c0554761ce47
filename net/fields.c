#include "config.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "net/fields.h"

/* --- out ------------------------------------------------------------------------------- */

size_t
fields_bytes(json_t *ext)
{
	size_t bytes = 0;
	const char *name;
	json_t *value;

	json_object_foreach(ext, name, value) {
		if (strlen(name) > INT16_MAX)
			return SIZE_MAX;
		bytes += 2 + strlen(name) + 4 + json_string_length(value);
	}
	return bytes;
}

char *
fields_put(char *at, json_t *ext)
{
	const char *name;
	json_t *value;

	json_object_foreach(ext, name, value) {
		be16_put(at, (int16_t)strlen(name));
		at = bytes_put(at + 2, name, strlen(name));
		be32_put(at, (int32_t)json_string_length(value));
		at = bytes_put(at + 4, json_string_value(value), json_string_length(value));
	}
	return at;
}

size_t
fields_list_bytes(const struct fields *f)
{
	size_t bytes = 0;

	for (size_t i = 0; i < f->n; i++)
		bytes += 2 + strlen(f->list[i].name) + 4 + strlen(f->list[i].value);
	return bytes;
}

char *
fields_list_put(char *at, const struct fields *f)
{
	for (size_t i = 0; i < f->n; i++) {
		size_t name_len = strlen(f->list[i].name), len = strlen(f->list[i].value);

		be16_put(at, (int16_t)name_len);
		at = bytes_put(at + 2, f->list[i].name, name_len);
		be32_put(at, (int32_t)len);
		at = bytes_put(at + 4, f->list[i].value, len);
	}
	return at;
}

json_t *
fields_object(const struct fields *f)
{
	json_t *ext = json_object();

	for (size_t i = 0; ext && i < f->n; i++)
		json_object_set_new(ext, f->list[i].name, json_string(f->list[i].value));
	return ext;
}

/* --- in -------------------------------------------------------------------------------- */

json_t *
fields_take_text(struct bytes *b, size_t len)
{
	const char *at = bytes_take(b, len);
	json_t *text = at && !memchr(at, '\0', len) ? json_stringn(at, len) : NULL;

	if (!text)
		b->err = MQ_ECORRUPT;
	return text;
}

static void
take_pair(struct bytes *b, json_t *ext)
{
	json_auto_t *name = fields_take_text(b, (size_t)bytes_get_i16(b));
	json_auto_t *value = fields_take_text(b, (size_t)bytes_get_i32(b));

	if (name && value && json_object_set(ext, json_string_value(name), value) != 0)
		b->err = -ENOMEM;
}

bool
fields_take(struct bytes *b, size_t len, json_t **ret)
{
	struct bytes pairs = bytes_over(bytes_take(b, len), len);
	json_t *ext = b->err == MQ_OK && len > 0 ? json_object() : NULL;

	while (b->err == MQ_OK && pairs.left > 0) {
		take_pair(&pairs, ext);
		b->err = pairs.err;
	}
	if (b->err != MQ_OK) {
		json_decref(ext);
		return false;
	}
	*ret = ext;
	return true;
}

/* --- cut in their place ------------------------------------------------------------------ */

const char *
fields_get(const struct fields *f, const char *name)
{
	for (size_t i = f->n; i > 0; i--)
		if (f->list[i - 1].name[0] == name[0] && strcmp(f->list[i - 1].name, name) == 0)
			return f->list[i - 1].value;
	return NULL;
}

/* A text without NUL, all of it ASCII. */
static bool
is_plain(const char *at, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;

	for (; len >= 8; at += 8, len -= 8) {
		uint64_t v;

		memcpy(&v, at, sizeof(v));
		if ((v | (v - ones)) & highs)
			return false;
	}
	for (; len > 0; at++, len--)
		if ((signed char)*at <= 0)
			return false;
	return true;
}

/* The next text, where it is: its length is in front of it. */
static char *
next_plain(struct bytes *b, size_t len)
{
	const char *at = bytes_take(b, len);

	if (!at || !is_plain(at, len))
		b->err = MQ_ECORRUPT;
	return (char *)(uintptr_t)at;
}

/* End the text with a NUL.  Most have one behind them, the first byte of the next length; others go one byte
 * to the left, where their own length was. */
static const char *
end_text(char *at, size_t len, const char *end)
{
	char *to = at - 1;

	if (at + len < end && at[len] == '\0')
		return at;
	memmove(to, at, len);
	to[len] = '\0';
	return to;
}

bool
fields_cut(char *at, size_t len, struct fields *ret)
{
	struct {
		char *name, *value;
		size_t name_len, value_len;
	} cut[FIELDS_MAX];
	struct bytes b = bytes_over(at, len);
	size_t n = 0;

	for (; b.left > 0 && n < FIELDS_MAX && b.err == MQ_OK; n++) {
		cut[n].name_len = (size_t)bytes_get_i16(&b);
		cut[n].name = next_plain(&b, cut[n].name_len);
		cut[n].value_len = (size_t)bytes_get_i32(&b);
		cut[n].value = next_plain(&b, cut[n].value_len);
	}
	if (b.err != MQ_OK || b.left > 0)
		return false;
	for (size_t i = 0; i < n; i++)
		ret->list[i] = (struct field){ end_text(cut[i].name, cut[i].name_len, at + len),
					       end_text(cut[i].value, cut[i].value_len, at + len) };
	ret->n = n;
	return true;
}
