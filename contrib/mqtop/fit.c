#include "config.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <wctype.h>

#include "contrib/mqtop/fit.h"

/* The next character of text: how many bytes, and how many columns; 0 columns: it cannot be shown. */
static size_t
next_character(const char *text, mbstate_t *state, int *ret_width)
{
	wchar_t c;
	size_t n = mbrtowc(&c, text, MB_CUR_MAX, state);

	if (n == (size_t)-1 || n == (size_t)-2) {
		memset(state, 0, sizeof(*state));
		*ret_width = 0;
		return 1;
	}
	*ret_width = iswprint((wint_t)c) ? wcwidth(c) : 0;
	if (*ret_width < 0)
		*ret_width = 0;
	return n;
}

size_t
fit(const char *text, int width, int fill, char *buf)
{
	const char *begin = text;
	mbstate_t state = { 0 };
	int used = 0, columns;

	while (*text && used < width) {
		size_t n = next_character(text, &state, &columns);

		if (columns > width - used)
			break;
		if (columns > 0)
			memcpy(buf, text, n);
		else
			*buf = '?';
		buf += columns > 0 ? n : 1;
		used += columns > 0 ? columns : 1;
		text += n;
	}
	while (fill && used++ < width)
		*buf++ = ' ';
	*buf = '\0';
	return (size_t)(text - begin);
}

int
fit_width(const char *text)
{
	mbstate_t state = { 0 };
	int used = 0, columns;

	while (*text) {
		text += next_character(text, &state, &columns);
		used += columns > 0 ? columns : 1;
	}
	return used;
}

void
fit_number(double n, int of_bytes, char *buf, size_t size)
{
	double base = of_bytes ? 1024 : 1000;
	const char *suffix = "";
	static const char suffixes[][2] = { "K", "M", "G", "T", "P", "E" };

	if (isnan(n)) {
		snprintf(buf, size, "-");
		return;
	}
	for (size_t i = 0; fabs(n) >= (of_bytes || *suffix ? base : 100000) && i < sizeof(suffixes) / sizeof(*suffixes); i++) {
		n /= base;
		suffix = suffixes[i];
	}
	snprintf(buf, size, *suffix && fabs(n) < 99.95 ? "%.1f%s" : "%.0f%s", n, suffix);
}

void
fit_seconds(double s, char *buf, size_t size)
{
	long whole = s > 0 ? (long)s : 0;

	if (isnan(s))
		snprintf(buf, size, "-");
	else if (whole < 60)
		snprintf(buf, size, "%.1fs", s > 0 ? s : 0);
	else if (whole < 3600)
		snprintf(buf, size, "%ldm%02ld", whole / 60, whole % 60);
	else if (whole < 86400)
		snprintf(buf, size, "%ldh%02ld", whole / 3600, whole % 3600 / 60);
	else
		snprintf(buf, size, "%ldd%02ld", whole / 86400, whole % 86400 / 3600);
}
