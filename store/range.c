#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "store/range.h"

/* One position, up to `end`; an empty text leaves *pos as it is. */
static bool
pos_parse(const char *text, const char *end, mq_pos *pos)
{
	char *last;
	long long byte;

	if (text == end)
		return true;
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	byte = strtoll(text, &last, 10);
	*pos = MQ_POS(byte);
	return last == end && errno == 0;
}

int
range_parse(const char *text, struct range *ret)
{
	const char *end = text + strlen(text), *dots = strstr(text, "..");
	struct range r = RANGE_ALL;

	if (text == end || !pos_parse(text, dots ? dots : end, &r.from) ||
	    (dots && !pos_parse(dots + 2, end, &r.to)))
		return err_note(-EINVAL,
				"%.64s: not a range; FROM, FROM..TO, FROM.. or ..TO, positions of the log", text);
	if (r.to.byte < r.from.byte)
		return err_note(-EINVAL, "%.64s: the range ends before it begins", text);
	*ret = r;
	return MQ_OK;
}
