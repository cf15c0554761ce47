/* What a RocketMQ master, or who says to be one, tells of its topics, groups, offsets and
 * delays: taken or refused; and what is there then can be told and taken again.  The
 * first byte says which of the four it is. */
#include "config.h"

#include <stdlib.h>

#include "conf/err.h"
#include "conf/log.h"
#include "offsets/fastjson.h"
#include "offsets/registry.h"
#include "tests/fuzz/target.h"

static struct offsets *
slave_alone(struct settings *settings)
{
	struct offsets *o;

	MUST(settings_init(settings) == MQ_OK);
	settings->brokerRole = SLAVE;
	o = registry_new(settings, NULL);
	MUST(o);
	return o;
}

static int
take(struct offsets *o, enum config_file file, const char *text, size_t len, int64_t asked_ms)
{
	json_t *object;
	int rc = fastjson_load(text, len, &object);

	if (rc != MQ_OK)
		return rc;
	rc = offsets_take(o, file, object, asked_ms);
	json_decref(object);
	return rc;
}

static void
prepare(struct offsets *o)
{
	static const char topics[] = "{\"topicConfigTable\":{\"T\":{\"readQueueNums\":3,\"writeQueueNums\":3}}}";
	static const char offsets[] = "{\"offsetTable\":{\"T@G\":{0:5}}}";

	MUST(take(o, CONFIG_TOPICS, topics, sizeof(topics) - 1, 1) == MQ_OK);
	MUST(take(o, CONFIG_OFFSETS, offsets, sizeof(offsets) - 1, 1) == MQ_OK);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum config_file file = (enum config_file)(size ? data[0] % CONFIG_FILES : 0);
	struct settings settings;
	struct offsets *o;
	char *text = NULL;
	size_t len = 0;
	int rc;

	log_open("fuzz", LOG_TO_STDERR, LOG_EMERG);
	o = slave_alone(&settings);
	prepare(o);
	rc = take(o, file, (const char *)data + (size ? 1 : 0), size ? size - 1 : 0, 2);
	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	for (int i = 0; i < CONFIG_FILES; i++) {
		MUST(offsets_export(o, (enum config_file)i, &text, &len) == MQ_OK);
		MUST(take(o, (enum config_file)i, text, len, 3) == MQ_OK);
		free(text);
	}
	offsets_close(o);
	settings_free(&settings);
	return 0;
}
