#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "store/filter.h"
#include "store/record.h"
#include "store/sql92.h"

struct tag {
	const char *text;	/* in filter.tags_text */
	size_t len;
	int64_t code;
};

struct filter {
	char *tags_text;
	struct tag *tags;	/* none: any tag will do */
	size_t n_tags, max_tags;
	char **keys;
	size_t n_keys, max_keys;
	struct sql92 *where;
};

static bool
is_given(const char *text)
{
	return text && text[0];
}

/* --- making ------------------------------------------------------------------------ */

static bool
is_blank(char c)
{
	return (unsigned char)c <= ' ';		/* what Java's trim() takes away */
}

static int
add_tag(struct filter *f, const char *text, size_t len)
{
	int rc = ARRAY_ROOM(f->tags, f->max_tags, f->n_tags + 1);

	while (len > 0 && is_blank(text[0]))
		text++, len--;
	while (len > 0 && is_blank(text[len - 1]))
		len--;
	if (rc == MQ_OK && len > 0)
		f->tags[f->n_tags++] = (struct tag){ .text = text, .len = len, .code = record_tags_code(text, len) };
	return rc;
}

static int
take_tags(struct filter *f, const char *tags)
{
	const char *bar;
	int rc = MQ_OK;

	if (strcmp(tags, "*") == 0)
		return MQ_OK;
	f->tags_text = strdup(tags);
	if (!f->tags_text)
		return -ENOMEM;
	for (const char *at = f->tags_text; rc == MQ_OK; at = bar + 2) {
		bar = strstr(at, "||");
		rc = add_tag(f, at, bar ? (size_t)(bar - at) : strlen(at));
		if (!bar)
			break;
	}
	if (rc == MQ_OK && f->n_tags == 0)
		return err_note(-EINVAL, "\"%.64s\" names no tag; known: *, TAG, TAG||TAG", tags);
	return rc;
}

static int
take_keys(struct filter *f, const char *keys)
{
	for (const char *at = keys; *at;) {
		size_t len = strcspn(at, " ");

		if (len > 0) {
			if (ARRAY_ROOM(f->keys, f->max_keys, f->n_keys + 1) != MQ_OK ||
			    !(f->keys[f->n_keys] = strndup(at, len)))
				return -ENOMEM;
			f->n_keys++;
		}
		at += len + (at[len] == ' ');
	}
	return MQ_OK;
}

static int
take_where(struct filter *f, const char *where)
{
	size_t used, len = strlen(where);
	int rc = sql92_parse(where, len, &f->where, &used);

	if (rc == MQ_OK && used < len)
		return err_note(-EINVAL, "\"%.64s\" follows a complete expression", where + used);
	return rc;
}

int
filter_make(const struct filter_spec *spec, struct filter **ret)
{
	struct filter *f = calloc(1, sizeof(*f));
	int rc = f ? MQ_OK : -ENOMEM;

	if (rc == MQ_OK && is_given(spec->tags))
		rc = take_tags(f, spec->tags);
	if (rc == MQ_OK && is_given(spec->keys))
		rc = take_keys(f, spec->keys);
	if (rc == MQ_OK && is_given(spec->where))
		rc = take_where(f, spec->where);
	if (rc != MQ_OK) {
		filter_free(f);
		return rc;
	}
	if (f->n_tags == 0 && f->n_keys == 0 && !f->where) {
		filter_free(f);
		f = NULL;
	}
	*ret = f;
	return MQ_OK;
}

void
filter_free(struct filter *f)
{
	if (!f)
		return;
	for (size_t i = 0; i < f->n_keys; i++)
		free(f->keys[i]);
	free(f->keys);
	free(f->tags);
	free(f->tags_text);
	sql92_free(f->where);
	free(f);
}

/* --- asking -------------------------------------------------------------------------- */

bool
filter_may_want(const struct filter *f, int64_t tags_code)
{
	/* a delayed message's code is its time, and an extension's an address: no hash */
	if (f->n_tags == 0 || tags_code != (int32_t)tags_code)
		return true;
	for (size_t i = 0; i < f->n_tags; i++)
		if (f->tags[i].code == tags_code)
			return true;
	return false;
}

static bool
wants_tag(const struct filter *f, const char *props, size_t props_len)
{
	size_t len;
	const char *tag = record_property(props, props_len, "TAGS", &len);

	for (size_t i = 0; tag && i < f->n_tags; i++)
		if (f->tags[i].len == len && memcmp(f->tags[i].text, tag, len) == 0)
			return true;
	return f->n_tags == 0;
}

/* Is the key one of those in text, which a space separates? */
static bool
is_among(const char *key, const char *text, size_t len)
{
	for (size_t at = 0, n; at < len; at += n + 1) {
		const char *end = memchr(text + at, ' ', len - at);

		n = end ? (size_t)(end - (text + at)) : len - at;
		if (bytes_are(text + at, n, key))
			return true;
	}
	return false;
}

static bool
has_key(const char *key, const char *props, size_t props_len)
{
	size_t len;
	const char *text = record_property(props, props_len, "UNIQ_KEY", &len);

	if (text && bytes_are(text, len, key))
		return true;
	text = record_property(props, props_len, "KEYS", &len);
	return text && is_among(key, text, len);
}

bool
filter_wants(const struct filter *f, const char *props, size_t props_len)
{
	if (!wants_tag(f, props, props_len))
		return false;
	for (size_t i = 0; i < f->n_keys; i++)
		if (!has_key(f->keys[i], props, props_len))
			return false;
	return !f->where || sql92_matches(f->where, props, props_len);
}

const char *
filter_key(const struct filter *f)
{
	return f->n_keys > 0 ? f->keys[0] : NULL;
}
