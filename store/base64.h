/* base64.h - bytes as text: RFC 4648's alphabet with "+" and "/", padded, no line breaks. */
#ifndef MQFS_STORE_BASE64_H
#define MQFS_STORE_BASE64_H

#include <stddef.h>

/* Characters that len bytes take. */
static inline size_t
base64_length(size_t len)
{
	return (len + 2) / 3 * 4;
}

/* Write base64_length(len) characters and a NUL at out.  Blocks of a multiple of 3 bytes can
 * be encoded one after another. */
void base64_encode(const void *bytes, size_t len, char *out);

/* Decode len characters to out, which has room for len / 4 * 3 bytes.
 * MQ_OK, or MQ_ECORRUPT for anything that base64_encode() would not write. */
int base64_decode(const char *text, size_t len, unsigned char *out, size_t *ret_len);

#endif
