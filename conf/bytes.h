/* bytes.h - big-endian cursors over memory, that remember their first failure.
 *
 * After an overrun every further get returns 0 or NULL; ask .err once at the
 * end.
 */
#ifndef MQFS_CONF_BYTES_H
#define MQFS_CONF_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "conf/err.h"

/* Are the len bytes at `text` the string `what`? */
static inline bool
bytes_are(const void *text, size_t len, const char *what)
{
	return len == strlen(what) && memcmp(text, what, len) == 0;
}

/* Does the text begin with that prefix? */
static inline bool
text_begins(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

static inline void
be32_put(void *at, int32_t v)
{
	uint32_t be = htobe32((uint32_t)v);

	memcpy(at, &be, sizeof(be));
}

static inline void
be64_put(void *at, int64_t v)
{
	uint64_t be = htobe64((uint64_t)v);

	memcpy(at, &be, sizeof(be));
}

static inline void
be16_put(void *at, int16_t v)
{
	uint16_t be = htobe16((uint16_t)v);

	memcpy(at, &be, sizeof(be));
}

static inline int16_t
be16_get(const void *at)
{
	uint16_t be;

	memcpy(&be, at, sizeof(be));
	return (int16_t)be16toh(be);
}

static inline int32_t
be32_get(const void *at)
{
	uint32_t be;

	memcpy(&be, at, sizeof(be));
	return (int32_t)be32toh(be);
}

static inline int64_t
be64_get(const void *at)
{
	uint64_t be;

	memcpy(&be, at, sizeof(be));
	return (int64_t)be64toh(be);
}

/* FNV-1a of a text, for hash tables; seed: what else is in the key. */
static inline uint32_t
bytes_hash(uint32_t seed, const char *text)
{
	uint32_t h = 2166136261u ^ seed;

	for (; *text; text++)
		h = (h ^ (unsigned char)*text) * 16777619u;
	return h;
}

/* FNV-1a of 64 bits, of bytes behind those whose hash h is; BYTES_HASH64 for the first ones.  It is on the disk,
 * and in inode numbers. */
#define BYTES_HASH64 UINT64_C(0xcbf29ce484222325)

static inline uint64_t
bytes_hash64(uint64_t h, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* Copy len bytes (from may be NULL for 0); returns where they end. */
static inline char *
bytes_put(char *at, const char *from, size_t len)
{
	if (len > 0)
		memcpy(at, from, len);
	return at + len;
}

struct bytes {
	const unsigned char *at;
	size_t left;
	int err;		/* MQ_OK, or MQ_ECORRUPT after the first overrun */
};

static inline struct bytes
bytes_over(const void *buf, size_t len)
{
	return (struct bytes){ .at = buf, .left = len, .err = MQ_OK };
}

/* The next len bytes, or NULL (and .err) when there are not so many. */
static inline const void *
bytes_take(struct bytes *b, size_t len)
{
	const unsigned char *p = b->at;

	if (b->err != MQ_OK || len > b->left) {
		b->err = MQ_ECORRUPT;
		return NULL;
	}
	b->at += len;
	b->left -= len;
	return p;
}

static inline int8_t
bytes_get_i8(struct bytes *b)
{
	const int8_t *p = bytes_take(b, 1);

	return p ? *p : (int8_t)0;
}

static inline int16_t
bytes_get_i16(struct bytes *b)
{
	const void *p = bytes_take(b, 2);

	return p ? be16_get(p) : (int16_t)0;
}

static inline int32_t
bytes_get_i32(struct bytes *b)
{
	const void *p = bytes_take(b, 4);

	return p ? be32_get(p) : 0;
}

static inline int64_t
bytes_get_i64(struct bytes *b)
{
	const void *p = bytes_take(b, 8);

	return p ? be64_get(p) : 0;
}

#endif
