/* Properties, a NUL, and an expression: taken or refused; what is taken matches or not. */
#include "config.h"

#include <errno.h>
#include <string.h>

#include "conf/err.h"
#include "store/sql92.h"
#include "tests/fuzz/target.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *props = (const char *)data, *text = memchr(data, 0, size);
	size_t props_len, len, used = 0;
	struct sql92 *sql;
	int rc;

	if (!text)
		return 0;
	props_len = (size_t)(text++ - props);
	len = size - props_len - 1;
	rc = sql92_parse(text, len, &sql, &used);
	MUST(rc == MQ_OK || rc == -EINVAL);
	if (rc != MQ_OK)
		return 0;
	MUST(used <= len);
	(void)sql92_matches(sql, props, props_len);
	sql92_free(sql);
	return 0;
}
