#include "config.h"

#include <string.h>

#include "conf/utf8.h"

size_t
utf8_next(const void *s, size_t left, uint32_t *ret_c)
{
	static const unsigned char by_lead[32] = {	/* the first byte's upper 5 bits */
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 3, 3, 4, 0,
	};
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = s;
	size_t n = by_lead[p[0] >> 3];
	uint32_t c = n < 2 ? p[0] : p[0] & (0x7fu >> n);

	if (n > left)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if (n > 1 && (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)))
		return 0;
	*ret_c = c;
	return n;
}

static bool
is_ascii8(const unsigned char *p)
{
	uint64_t eight;

	memcpy(&eight, p, sizeof(eight));
	return !(eight & 0x8080808080808080u);
}

bool
utf8_valid(const void *text, size_t len)
{
	const unsigned char *p = text;
	uint32_t c;
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		n = len - i >= 8 && is_ascii8(p + i) ? 8 : utf8_next(p + i, len - i, &c);
		if (n == 0)
			return false;
	}
	return true;
}
