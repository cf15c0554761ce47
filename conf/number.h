/* number.h - the whole number that a text is. */
#ifndef MQFS_CONF_NUMBER_H
#define MQFS_CONF_NUMBER_H

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* Digits, as Java reads them, perhaps behind a sign.  False: there is no number from min to max. */
static inline bool
text_number(const char *text, int64_t min, int64_t max, int64_t *ret)
{
	char *end;
	long long number;

	if (isspace((unsigned char)*text))
		return false;
	errno = 0;
	number = strtoll(text, &end, 10);
	if (end == text || *end || errno != 0 || number < min || number > max)
		return false;
	*ret = number;
	return true;
}

#endif
