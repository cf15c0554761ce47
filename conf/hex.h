/* hex.h - bytes as lower-case hex digits, and back. */
#ifndef MQFS_CONF_HEX_H
#define MQFS_CONF_HEX_H

#include <stdbool.h>
#include <stddef.h>

/* Write 2 * len digits and a NUL. */
static inline void
hex_print(const unsigned char *bytes, size_t len, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*ret_text++ = digits[bytes[i] >> 4];
		*ret_text++ = digits[bytes[i] & 15];
	}
	*ret_text = '\0';
}

/* The value of a digit, either case; -1: it is none. */
static inline int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Read exactly 2 * len lower-case digits.  False, and *ret_bytes undefined: text is something else. */
static inline bool
hex_parse(const char *text, size_t text_len, unsigned char *ret_bytes, size_t len)
{
	if (text_len != 2 * len)
		return false;
	for (size_t i = 0; i < len; i++) {
		char a = text[2 * i], b = text[2 * i + 1];
		int high = hex_value(a), low = hex_value(b);

		if (high < 0 || low < 0 || (a >= 'A' && a <= 'F') || (b >= 'A' && b <= 'F'))
			return false;
		ret_bytes[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}

#endif
