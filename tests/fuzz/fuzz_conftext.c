/* The config file of a topic (first byte t) or a group: what is taken is printed
 * and read back the same. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "offsets/meta.h"
#include "tests/fuzz/target.h"

static void
topic_text(const char *text, size_t size)
{
	struct topic_conf conf, again;
	char *printed, *printed2;
	size_t len, len2;
	int rc;

	topic_conf_default(&conf, "t", 4);
	again = conf;
	rc = topic_conf_parse(text, size, &conf);
	MUST(rc == MQ_OK || rc == MQ_EBADCONF);
	printed = topic_conf_print(&conf, &len);
	MUST(printed && topic_conf_parse(printed, len, &again) == MQ_OK);
	printed2 = topic_conf_print(&again, &len2);
	MUST(printed2 && len == len2 && memcmp(printed, printed2, len) == 0);
	free(printed);
	free(printed2);
}

static void
group_text(const char *text, size_t size)
{
	struct group_conf conf, again;
	char *printed, *printed2;
	size_t len, len2;
	int rc;

	group_conf_default(&conf, "g");
	again = conf;
	rc = group_conf_parse(text, size, &conf);
	MUST(rc == MQ_OK || rc == MQ_EBADCONF);
	printed = group_conf_print(&conf, &len);
	MUST(printed && group_conf_parse(printed, len, &again) == MQ_OK);
	printed2 = group_conf_print(&again, &len2);
	MUST(printed2 && len == len2 && memcmp(printed, printed2, len) == 0);
	free(printed);
	free(printed2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] == 't')
		topic_text((const char *)data + 1, size - 1);
	else
		group_text((const char *)data + 1, size - 1);
	return 0;
}
