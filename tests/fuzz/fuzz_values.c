/* Values of a daemon that was taken over: taken or refused, in bounded memory; and a JSON text
 * says the same after it was packed and taken. */
#include "config.h"

#include <stdlib.h>

#include "conf/err.h"
#include "net/values.h"
#include "offsets/fastjson.h"
#include "tests/fuzz/target.h"

#define ROOM ((size_t)4 << 20)

static void
try_text(const char *text, size_t len)
{
	json_t *parsed, *taken;
	char *packed;
	size_t packed_len;
	int rc = values_pack(text, len, &packed, &packed_len);

	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc != MQ_OK)
		return;
	MUST(fastjson_load(text, len, &parsed) == MQ_OK);
	if (values_take(packed, packed_len, ROOM, &taken) == MQ_OK) {
		MUST(json_equal(parsed, taken));
		json_decref(taken);
	}
	json_decref(parsed);
	free(packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *taken;
	int rc = values_take(data, size, ROOM, &taken);

	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc == MQ_OK)
		json_decref(taken);
	try_text((const char *)data, size);
	return 0;
}
