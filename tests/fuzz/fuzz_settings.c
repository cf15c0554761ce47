/* Text of settings, by its first byte as mqfs.conf, as RocketMQ's file, or as -o. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/settings.h"
#include "tests/fuzz/target.h"

static int
set_options(struct settings *s, const char *text, size_t len)
{
	char *opts = malloc(len + 1);
	int rc = -ENOMEM;

	if (opts) {
		memcpy(opts, text, len);
		opts[len] = '\0';
		rc = settings_set_options(s, opts, "-o", NULL, NULL);
	}
	free(opts);
	return rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	struct settings s;
	int rc;

	if (size == 0)
		return 0;
	log_open("fuzz", LOG_TO_STDERR, LOG_EMERG);
	if (settings_init(&s) != MQ_OK)
		return 0;
	switch (data[0]) {
	case 'o':
		rc = set_options(&s, text, size - 1);
		break;
	case 'p':
		rc = settings_load_text(&s, "broker.conf", text, size - 1);
		break;
	default:
		rc = settings_load_text(&s, "mqfs.conf", text, size - 1);
		break;
	}
	MUST(rc == MQ_OK || rc == MQ_EBADCONF);
	settings_check(&s);
	settings_free(&s);
	return 0;
}
