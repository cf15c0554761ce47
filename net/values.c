#include "config.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "net/values.h"
#include "offsets/fastjson.h"

#define VALUE_ROOM 64			/* about what jansson takes for a value, */
#define TABLE_ROOM 320			/* and for a table, */
#define PAIR_ROOM 96			/* and for a pair of it */

enum value_kind {
	VALUE_NULL,
	VALUE_FALSE,
	VALUE_TRUE,
	VALUE_INTEGER,
	VALUE_REAL,
	VALUE_TEXT,
	VALUE_LIST,
	VALUE_TABLE,
};

/* --- packing ----------------------------------------------------------------------------- */

/* Bytes of v; or, if `at` is not NULL, they are put there. */
static size_t pack(const json_t *v, unsigned char *at);

static size_t
pack_text(const char *text, size_t len, unsigned char *at)
{
	if (at) {
		be32_put(at, (int32_t)len);
		memcpy(at + 4, text, len);
	}
	return 4 + len;
}

/* An i64, or the bits of a double. */
static size_t
pack_number(const void *number, unsigned char *at)
{
	int64_t bits;

	memcpy(&bits, number, sizeof(bits));
	if (at)
		be64_put(at, bits);
	return 8;
}

static size_t
pack_list(const json_t *list, unsigned char *at)
{
	size_t n = json_array_size(list), len = 4;

	if (at)
		be32_put(at, (int32_t)n);
	for (size_t i = 0; i < n; i++)
		len += pack(json_array_get(list, i), at ? at + len : NULL);
	return len;
}

static size_t
pack_table(json_t *table, unsigned char *at)
{
	size_t len = 4;
	const char *name;
	json_t *value;

	if (at)
		be32_put(at, (int32_t)json_object_size(table));
	json_object_foreach(table, name, value) {
		len += pack_text(name, strlen(name), at ? at + len : NULL);
		len += pack(value, at ? at + len : NULL);
	}
	return len;
}

static size_t
pack(const json_t *v, unsigned char *at)
{
	static const unsigned char kinds[] = {
		[JSON_NULL] = VALUE_NULL, [JSON_FALSE] = VALUE_FALSE, [JSON_TRUE] = VALUE_TRUE,
		[JSON_INTEGER] = VALUE_INTEGER, [JSON_REAL] = VALUE_REAL, [JSON_STRING] = VALUE_TEXT,
		[JSON_ARRAY] = VALUE_LIST, [JSON_OBJECT] = VALUE_TABLE,
	};

	if (at)
		*at++ = kinds[json_typeof(v)];
	switch (json_typeof(v)) {
	case JSON_INTEGER:
		return 1 + pack_number(&(int64_t){ json_integer_value(v) }, at);
	case JSON_REAL:
		return 1 + pack_number(&(double){ json_real_value(v) }, at);
	case JSON_STRING:
		return 1 + pack_text(json_string_value(v), json_string_length(v), at);
	case JSON_ARRAY:
		return 1 + pack_list(v, at);
	case JSON_OBJECT:
		return 1 + pack_table((json_t *)(uintptr_t)v, at);
	default:
		return 1;
	}
}

int
values_pack(const char *text, size_t len, char **ret, size_t *ret_len)
{
	json_auto_t *object = NULL;
	char *packed;
	int rc = fastjson_load(text, len, &object);

	if (rc != MQ_OK)
		return rc;
	*ret_len = pack(object, NULL);
	packed = malloc(*ret_len);
	if (packed)
		pack(object, (unsigned char *)packed);
	*ret = packed;
	return packed ? MQ_OK : -ENOMEM;
}

/* --- taking ------------------------------------------------------------------------------- */

struct taking {
	struct bytes b;			/* its `err` is that of the whole */
	size_t room;
	int depth;
};

/* NULL, and b.err is set: that is none. */
static json_t *take_value(struct taking *t);

static bool
has_room(struct taking *t, size_t bytes)
{
	if (t->b.err == MQ_OK && bytes > t->room)
		t->b.err = MQ_ECORRUPT;
	t->room -= t->b.err == MQ_OK ? bytes : 0;
	return t->b.err == MQ_OK;
}

/* How many values or pairs follow.  There are no more than there are bytes. */
static size_t
take_count(struct taking *t)
{
	int32_t n = bytes_get_i32(&t->b);

	if (n < 0 || (size_t)n > t->b.left)
		t->b.err = MQ_ECORRUPT;
	return t->b.err == MQ_OK ? (size_t)n : 0;
}

static json_t *
take_text(struct taking *t)
{
	size_t len = take_count(t);
	const char *at = has_room(t, VALUE_ROOM + len) ? bytes_take(&t->b, len) : NULL;
	json_t *text = at && !memchr(at, '\0', len) ? json_stringn(at, len) : NULL;

	if (!text)
		t->b.err = MQ_ECORRUPT;
	return text;
}

static json_t *
take_real(struct taking *t)
{
	int64_t bits = bytes_get_i64(&t->b);
	double real;

	memcpy(&real, &bits, sizeof(real));
	if (!isfinite(real))
		t->b.err = MQ_ECORRUPT;
	return t->b.err == MQ_OK ? json_real(real) : NULL;
}

static json_t *
take_list(struct taking *t)
{
	json_t *list = json_array();

	for (size_t n = take_count(t); list && n > 0 && t->b.err == MQ_OK; n--)
		if (json_array_append_new(list, take_value(t)) != 0)
			t->b.err = MQ_ECORRUPT;
	return list;
}

static void
take_pair(struct taking *t, json_t *table)
{
	json_auto_t *name = has_room(t, PAIR_ROOM) ? take_text(t) : NULL;
	json_auto_t *value = name ? take_value(t) : NULL;

	if (!value || json_object_get(table, json_string_value(name)) ||
	    json_object_set(table, json_string_value(name), value) != 0)
		t->b.err = MQ_ECORRUPT;
}

static json_t *
take_table(struct taking *t)
{
	json_t *table = has_room(t, TABLE_ROOM) ? json_object() : NULL;

	for (size_t n = take_count(t); table && n > 0 && t->b.err == MQ_OK; n--)
		take_pair(t, table);
	return table;
}

static json_t *
take_by_kind(struct taking *t, int kind)
{
	switch (kind) {
	case VALUE_NULL:
		return json_null();
	case VALUE_FALSE:
		return json_false();
	case VALUE_TRUE:
		return json_true();
	case VALUE_INTEGER:
		return json_integer(bytes_get_i64(&t->b));
	case VALUE_REAL:
		return take_real(t);
	case VALUE_TEXT:
		return take_text(t);
	case VALUE_LIST:
		return take_list(t);
	case VALUE_TABLE:
		return take_table(t);
	default:
		return NULL;
	}
}

static json_t *
take_value(struct taking *t)
{
	int kind = bytes_get_i8(&t->b);
	json_t *value = NULL;

	if (t->depth < VALUES_DEPTH_MAX && has_room(t, VALUE_ROOM)) {
		t->depth++;
		value = take_by_kind(t, kind);
		t->depth--;
	}
	if (value && t->b.err == MQ_OK)
		return value;
	json_decref(value);
	t->b.err = MQ_ECORRUPT;
	return NULL;
}

int
values_take(const void *packed, size_t len, size_t room, json_t **ret)
{
	struct taking t = { bytes_over(packed, len), room, 0 };
	json_t *value = take_value(&t);

	if (value && t.b.left == 0 && json_is_object(value)) {
		*ret = value;
		return MQ_OK;
	}
	json_decref(value);
	return err_note(MQ_ECORRUPT, "%zu bytes that are no values, or too many", len);
}
