/* The body of an MQFS_META record, as anybody who may append could have written it:
 * taken or refused; and what is taken means the same after encoding it again. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "offsets/meta.h"
#include "tests/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct meta m, again;
	char *text, *text2;
	size_t len, len2;
	int rc = meta_decode((const char *)data, size, &m);

	MUST(rc == MQ_OK || rc == MQ_ECORRUPT || rc == -ENOTSUP);
	if (rc != MQ_OK)
		return 0;
	text = meta_encode(&m, &len);
	MUST(text && meta_decode(text, len, &again) == MQ_OK);
	text2 = meta_encode(&again, &len2);
	MUST(text2 && len == len2 && memcmp(text, text2, len) == 0);
	free(text);
	free(text2);
	meta_free(&m);
	meta_free(&again);
	return 0;
}
