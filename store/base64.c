#include "config.h"

#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

#include "conf/err.h"
#include "store/base64.h"

#define BLOCK_BYTES (3 * 256)

void
base64_encode(const void *bytes, size_t len, char *out)
{
	MUST(len <= INT_MAX / 2);
	(void)EVP_EncodeBlock((unsigned char *)out, bytes, (int)len);
}

/* libcrypto takes more than it writes: blanks around it, bits that are left over. */
static bool
is_what_it_encodes_to(const unsigned char *bytes, size_t len, const char *text)
{
	char block[BLOCK_BYTES / 3 * 4 + 1];

	for (size_t at = 0; at < len; at += BLOCK_BYTES) {
		size_t n = len - at < BLOCK_BYTES ? len - at : BLOCK_BYTES;

		base64_encode(bytes + at, n, block);
		if (memcmp(text + at / 3 * 4, block, base64_length(n)) != 0)
			return false;
	}
	return true;
}

int
base64_decode(const char *text, size_t len, unsigned char *out, size_t *ret_len)
{
	size_t n = len / 4 * 3;

	if (len % 4 != 0 || len > INT_MAX)
		return MQ_ECORRUPT;
	if (len > 0 && EVP_DecodeBlock(out, (const unsigned char *)text, (int)len) != (int)n)
		return MQ_ECORRUPT;
	for (size_t pad = 0; pad < 2 && pad < len && text[len - 1 - pad] == '='; pad++)
		n--;
	if (!is_what_it_encodes_to(out, n, text) || base64_length(n) != len)
		return MQ_ECORRUPT;
	*ret_len = n;
	return MQ_OK;
}
