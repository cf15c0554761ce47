#include "config.h"

#include <stdint.h>

#include "conf/err.h"
#include "store/base64.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* 1 to 3 bytes as 4 characters. */
static void
encode_group(const unsigned char *p, size_t n, char *out)
{
	uint32_t bits = (uint32_t)p[0] << 16;

	if (n > 1)
		bits |= (uint32_t)p[1] << 8;
	if (n > 2)
		bits |= p[2];
	out[0] = alphabet[bits >> 18];
	out[1] = alphabet[bits >> 12 & 63];
	out[2] = n > 1 ? alphabet[bits >> 6 & 63] : '=';
	out[3] = n > 2 ? alphabet[bits & 63] : '=';
}

void
base64_encode(const void *bytes, size_t len, char *out)
{
	const unsigned char *p = bytes;

	for (; len >= 3; len -= 3, p += 3, out += 4)
		encode_group(p, 3, out);
	if (len > 0)
		encode_group(p, len, out);
}

static uint32_t
digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0' + 52);
	return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* n characters (2 to 4) as n - 1 bytes; the bits that are left must be 0. */
static int
decode_group(const char *text, size_t n, unsigned char *out)
{
	uint32_t bits = 0;

	for (size_t i = 0; i < 4; i++) {
		uint32_t v = i < n ? digit_value(text[i]) : 0;

		if (v > 63)
			return MQ_ECORRUPT;
		bits = bits << 6 | v;
	}
	for (size_t i = 0; i < n - 1; i++, bits = bits << 8 & 0xffffff)
		out[i] = (unsigned char)(bits >> 16);
	return bits ? MQ_ECORRUPT : MQ_OK;
}

int
base64_decode(const char *text, size_t len, unsigned char *out, size_t *ret_len)
{
	size_t n = 0, pad = 0;

	if (len % 4 != 0)
		return MQ_ECORRUPT;
	while (pad < 2 && pad < len && text[len - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < len; i += 4) {
		size_t digits = i + 4 == len ? 4 - pad : 4;

		if (decode_group(text + i, digits, out + n) != MQ_OK)
			return MQ_ECORRUPT;
		n += digits - 1;
	}
	*ret_len = n;
	return MQ_OK;
}
