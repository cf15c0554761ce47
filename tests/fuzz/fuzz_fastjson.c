/* A file of RocketMQ's config/: an object or a refusal. */
#include "config.h"

#include "conf/err.h"
#include "offsets/fastjson.h"
#include "tests/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *object;
	int rc = fastjson_load((const char *)data, size, &object);

	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc == MQ_OK)
		json_decref(object);
	return 0;
}
