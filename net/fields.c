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

static char *
put_text(char *at, const char *text, size_t len)
{
	if (len > 0)
		memcpy(at, text, len);
	return at + len;
}

char *
fields_put(char *at, json_t *ext)
{
	const char *name;
	json_t *value;

	json_object_foreach(ext, name, value) {
		be16_put(at, (int16_t)strlen(name));
		at = put_text(at + 2, name, strlen(name));
		be32_put(at, (int32_t)json_string_length(value));
		at = put_text(at + 4, json_string_value(value), json_string_length(value));
	}
	return at;
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
	json_t *name = fields_take_text(b, (size_t)bytes_get_i16(b));
	json_t *value = fields_take_text(b, (size_t)bytes_get_i32(b));

	if (name && value && json_object_set(ext, json_string_value(name), value) != 0)
		b->err = -ENOMEM;
	json_decref(name);
	json_decref(value);
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
