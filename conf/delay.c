#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/delay.h"

#define DAY_MS INT64_C(86400000)
#define DELAY_MS_MAX (3650 * DAY_MS)

static int64_t
unit_ms(char unit)
{
	switch (unit) {
	case 's':
		return 1000;
	case 'm':
		return 60000;
	case 'h':
		return 3600000;
	case 'd':
		return DAY_MS;
	default:
		return 0;
	}
}

int
delay_levels_parse(const char *text, int64_t ret_ms[DELAY_LEVELS_MAX])
{
	int n = 0;

	for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
		int64_t unit;
		char *end;
		long number;

		if (n == DELAY_LEVELS_MAX || !isdigit((unsigned char)*text))
			return 0;
		errno = 0;
		number = strtol(text, &end, 10);
		unit = unit_ms(*end);
		if (errno || !unit || number > DELAY_MS_MAX / unit || (end[1] && end[1] != ' '))
			return 0;
		ret_ms[n++] = number * unit;
		text = end + 1;
	}
	return n;
}
