/* What a peer says of itself: taken or refused; and what is taken means the same after
 * saying it again. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "repl/hello.h"
#include "tests/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hello h, again;
	char *text, *text2;
	size_t len, len2;
	int rc = hello_decode((const char *)data, size, &h);

	MUST(rc == MQ_OK || rc == MQ_ECORRUPT);
	if (rc != MQ_OK)
		return 0;
	text = hello_encode(&h, &len);
	MUST(text && hello_decode(text, len, &again) == MQ_OK);
	text2 = hello_encode(&again, &len2);
	MUST(text2 && len == len2 && memcmp(text, text2, len) == 0);
	free(text);
	free(text2);
	hello_free(&h);
	hello_free(&again);
	return 0;
}
