/* Properties, tags, keys and an expression, each but the last ended by a NUL: what is wanted by its
 * record is never passed over by its tagsCode, and properties that are put together again are the same. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "store/filter.h"
#include "store/properties.h"
#include "tests/fuzz/target.h"

static int64_t
tags_code(const char *props, size_t len)
{
	size_t tag_len;
	const char *tag = record_property(props, len, "TAGS", &tag_len);

	return tag ? record_tags_code(tag, tag_len) : 0;
}

static void
put_together_again(const char *props, size_t len)
{
	const char *name, *value;
	size_t name_len, value_len, cursor = 0;
	char *buf = malloc(len + 1);
	struct properties p = { .buf = buf, .size = len + 1 };

	MUST(buf);
	while (record_property_next(props, len, &cursor, &name, &name_len, &value, &value_len)) {
		char *text = strndup(name, name_len);
		const char *found;
		size_t found_len, before = p.len;
		int rc;

		MUST(text);
		rc = properties_add(&p, text, value, value_len);
		MUST(rc == MQ_OK || (rc == -EINVAL && p.len == before));
		if (rc == MQ_OK) {
			found = record_property(p.buf, p.len, text, &found_len);
			MUST(found && found_len > 0);
		}
		free(text);
	}
	MUST(properties_add_missing(&p, props, len) != -ENOMEM && p.len <= p.size);
	free(buf);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 4), *part[4];
	struct filter *f = NULL;
	size_t props_len;
	int rc;

	MUST(text);
	memcpy(text, data, size);
	memset(text + size, 0, 4);
	part[0] = text;
	for (int i = 1; i < 4; i++)
		part[i] = part[i - 1] + strlen(part[i - 1]) < text + size ? part[i - 1] + strlen(part[i - 1]) + 1 : text + size;
	props_len = strlen(part[0]);
	put_together_again(part[0], props_len);
	rc = filter_make(&(struct filter_spec){ .tags = part[1], .keys = part[2], .where = part[3] }, &f);
	MUST(rc == MQ_OK || rc == -EINVAL);
	if (rc == MQ_OK && f && filter_wants(f, part[0], props_len))
		MUST(filter_may_want(f, tags_code(part[0], props_len)));
	filter_free(f);
	free(text);
	return 0;
}
