/* Any text as a queue name: it is taken or refused, and a refusal says why. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "fs/name.h"
#include "tests/fuzz/target.h"

static void
check_point(const struct name_point *p)
{
	MUST(p->kind >= POINT_NONE && p->kind <= POINT_AGO);
	MUST(p->value >= 0);
}

static void
check_name(const char *text)
{
	struct name n;
	int32_t queue;
	int rc;

	err_clear();
	rc = name_parse(text, &n);
	MUST(rc == MQ_OK || rc == -EINVAL || rc == -ENOENT || rc == -ENAMETOOLONG);
	if (rc == -EINVAL)
		MUST(strcmp(err_text(rc), strerror(EINVAL)) != 0);
	if (rc == MQ_OK) {
		MUST(n.queue >= 0 && n.queue < QUEUES_MAX);
		MUST(!(n.read_only && n.append_only));
		check_point(&n.from);
		check_point(&n.to);
	}
	if (name_is_plain(text, &queue))
		MUST(rc == MQ_OK && n.queue == queue && !n.all && !n.has_range);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct name_point point;

	MUST(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_name(text);
	if (name_parse_point(text, &point) == MQ_OK)
		check_point(&point);
	free(text);
	return 0;
}
