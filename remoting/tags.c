#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/tags.h"
#include "store/record.h"

static void
trim(const char **text, size_t *len)
{
	while (*len > 0 && (unsigned char)**text <= ' ') {
		(*text)++;
		(*len)--;
	}
	while (*len > 0 && (unsigned char)(*text)[*len - 1] <= ' ')
		(*len)--;
}

/* Where "||" is, or the end. */
static size_t
next_bars(const char *text, size_t len)
{
	for (size_t i = 0; i + 1 < len; i++)
		if (text[i] == '|' && text[i + 1] == '|')
			return i;
	return len;
}

int
tags_parse(const char *text, size_t len, struct tags *ret)
{
	struct tags t = { 0 };

	if (len == 0 || (len == 1 && *text == '*')) {
		*ret = (struct tags){ .all = true };
		return MQ_OK;
	}
	t.codes = calloc(len, sizeof(*t.codes));	/* more than there can be */
	if (!t.codes)
		return -ENOMEM;
	for (size_t at = 0; at < len;) {
		size_t n = next_bars(text + at, len - at), tag_len = n;
		const char *tag = text + at;

		trim(&tag, &tag_len);
		if (tag_len > 0)
			t.codes[t.n++] = (int32_t)record_tags_code(tag, tag_len);
		at += n + 2;
	}
	if (t.n == 0) {
		tags_free(&t);
		return err_note(-EINVAL, "the subscription has no tag");
	}
	*ret = t;
	return MQ_OK;
}

void
tags_free(struct tags *t)
{
	free(t->codes);
	*t = (struct tags){ 0 };
}

bool
tags_match(const struct tags *t, int64_t tags_code)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->codes[i] == (int32_t)tags_code)
			return true;
	return t->all;
}
