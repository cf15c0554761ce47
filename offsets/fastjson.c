#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fastjson.h"

struct quoter {
	const char *text;
	size_t len, at;
	char *out;		/* a bare key and its colon become two bytes longer */
	size_t out_len;
	uint64_t objects;	/* a bit for each level: 1 object, 0 array */
	int depth;
};

static void
copy(struct quoter *q, size_t n)
{
	memcpy(q->out + q->out_len, q->text + q->at, n);
	q->out_len += n;
	q->at += n;
}

static void
copy_string(struct quoter *q)
{
	size_t end = q->at + 1;

	while (end < q->len && q->text[end] != '"')
		end += q->text[end] == '\\' && end + 1 < q->len ? 2 : 1;
	copy(q, (end < q->len ? end + 1 : q->len) - q->at);
}

static void
copy_space(struct quoter *q)
{
	size_t end = q->at;

	while (end < q->len && isspace((unsigned char)q->text[end]))
		end++;
	copy(q, end - q->at);
}

/* Behind a '{', or a ',' of an object: a key that begins without a quote gets them. */
static void
copy_key(struct quoter *q)
{
	size_t end, colon;

	copy_space(q);
	end = q->at;
	while (end < q->len && (isalnum((unsigned char)q->text[end]) || strchr("-_", q->text[end])) &&
	       q->text[end])
		end++;
	colon = end;
	while (colon < q->len && isspace((unsigned char)q->text[colon]))
		colon++;
	if (end == q->at || colon == q->len || q->text[colon] != ':')
		return;
	q->out[q->out_len++] = '"';
	copy(q, end - q->at);
	q->out[q->out_len++] = '"';
}

static bool
in_object(const struct quoter *q)
{
	return q->depth > 0 && (q->objects >> (q->depth - 1) & 1);
}

/* MQ_ECORRUPT: nested too deep. */
static int
open_level(struct quoter *q, bool object)
{
	uint64_t bit = (uint64_t)1 << q->depth;

	if (q->depth == FASTJSON_DEPTH_MAX - 1)
		return err_note(MQ_ECORRUPT, "nested deeper than %d", FASTJSON_DEPTH_MAX);
	q->objects = object ? q->objects | bit : q->objects & ~bit;
	q->depth++;
	return MQ_OK;
}

static int
quote_next(struct quoter *q)
{
	char c = q->text[q->at];
	int rc = MQ_OK;

	if (c == '"') {
		copy_string(q);
		return MQ_OK;
	}
	if (c == '{' || c == '[')
		rc = open_level(q, c == '{');
	else if ((c == '}' || c == ']') && q->depth > 0)
		q->depth--;
	if (rc != MQ_OK)
		return rc;
	copy(q, 1);
	if ((c == '{' || c == ',') && in_object(q))
		copy_key(q);
	return MQ_OK;
}

int
fastjson_load(const char *text, size_t len, json_t **ret_object)
{
	AUTO_FREE char *out = NULL;
	struct quoter q = { .text = text, .len = len };
	json_error_t error;
	json_t *object;
	int rc = MQ_OK;

	/* At least "x:" stands for what becomes two bytes longer. */
	out = malloc(2 * len + 1);
	if (!out)
		return -ENOMEM;
	q.out = out;
	while (rc == MQ_OK && q.at < q.len)
		rc = quote_next(&q);
	if (rc != MQ_OK)
		return rc;
	object = json_loadb(out, q.out_len, 0, &error);
	if (!object)
		return err_note(MQ_ECORRUPT, "line %d: %s", error.line, error.text);
	if (!json_is_object(object)) {
		json_decref(object);
		return err_note(MQ_ECORRUPT, "not an object");
	}
	*ret_object = object;
	return MQ_OK;
}

/* --- printing ------------------------------------------------------------------ */

static bool
is_number(const char *key)
{
	return *key && key[strspn(key, "0123456789")] == '\0';
}

static bool
has_number_keys(const json_t *object)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, key, value)
		if (!is_number(key) || !json_is_integer(value))
			return false;
	return true;
}

/* Keys are names of ours: none has what would need to be escaped. */
static bool
print_object(FILE *out, const json_t *object)
{
	const char *quote = has_number_keys(object) ? "" : "\"", *comma = "", *key;
	json_t *value;

	fputc('{', out);
	json_object_foreach((json_t *)(uintptr_t)object, key, value) {
		fprintf(out, "%s%s%s%s:", comma, quote, key, quote);
		if (json_is_object(value) ? !print_object(out, value) :
					    json_dumpf(value, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
			return false;
		comma = ",";
	}
	return fputc('}', out) != EOF;
}

char *
fastjson_print(const json_t *json, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	bool printed;

	if (!out)
		return NULL;
	printed = print_object(out, json);
	if (fclose(out) != 0 || !printed) {
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}
