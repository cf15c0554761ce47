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

/* Later is said in one way, and by who appends; what goes into a record is as it must be there. */
static void
check_options(const struct name *n)
{
	MUST(n->delay_level >= 0 && n->delay_level <= DELAY_LEVELS_MAX);
	MUST(n->delay_ms >= 0 && n->deliver_at_ms >= 0);
	MUST((n->delay_level > 0) + (n->delay_ms > 0) + (n->deliver_at_ms > 0) <= 1);
	MUST(memchr(n->tags, 0, sizeof(n->tags)) && memchr(n->keys, 0, sizeof(n->keys)));
	MUST(memchr(n->where, 0, sizeof(n->where)) && memchr(n->props, 0, sizeof(n->props)));
	MUST(!n->where[0] || n->read_only);
	MUST(!n->props[0] || n->append_only);
	MUST(!strpbrk(n->tags, "\001\002") && !strpbrk(n->keys, "\001\002"));
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
		check_options(&n);
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
