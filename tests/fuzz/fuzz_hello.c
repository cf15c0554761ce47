/* What a peer says of itself: taken or refused; and what is taken means the same after
 * saying it again. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/values.h"
#include "repl/hello.h"
#include "tests/fuzz/target.h"

/* As it comes: parsed and packed by mqrepld, and read from that by the mount. */
static int
decode(const char *text, size_t len, struct hello *ret)
{
	AUTO_FREE char *packed = NULL;
	int rc = values_pack(text, len, &packed, &len);

	return rc == MQ_OK ? hello_decode(packed, len, ret) : rc;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello h, again;
	char *text, *text2;
	size_t len, len2;
	int rc = decode((const char *)data, size, &h);

	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc != MQ_OK)
		return 0;
	text = hello_encode(&h, &len);
	MUST(text && decode(text, len, &again) == MQ_OK);
	text2 = hello_encode(&again, &len2);
	MUST(text2 && len == len2 && memcmp(text, text2, len) == 0);
	free(text);
	free(text2);
	hello_free(&h);
	hello_free(&again);
	return 0;
}
