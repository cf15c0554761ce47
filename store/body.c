#include "config.h"

#include <errno.h>
#include <libdeflate.h>
#include <stdlib.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/body.h"

#define FIRST_BYTES ((size_t)64 << 10)

static bool
is_zlib(const struct record *rec)
{
	int32_t how = rec->sysflag & SYSFLAG_COMPRESSION;

	return rec->sysflag & SYSFLAG_COMPRESSED && (how == 0 || how == SYSFLAG_COMPRESSION_ZLIB);
}

/* Its content is lost. */
static int
grow(unsigned char **buf, size_t *size, size_t want)
{
	unsigned char *grown = malloc(want);

	if (!grown)
		return -ENOMEM;
	free(*buf);
	*buf = grown;
	*size = want;
	return MQ_OK;
}

/* zlib's format does not say how long it becomes: try with more. */
static int
unpack(struct libdeflate_decompressor *d, const struct record *rec, unsigned char **buf, size_t *size,
       size_t *ret_len)
{
	enum libdeflate_result result = LIBDEFLATE_INSUFFICIENT_SPACE;
	int rc = *size < FIRST_BYTES ? grow(buf, size, FIRST_BYTES) : MQ_OK;

	while (rc == MQ_OK) {
		result = libdeflate_zlib_decompress(d, rec->body, (size_t)rec->body_len, *buf, *size, ret_len);
		if (result != LIBDEFLATE_INSUFFICIENT_SPACE || *size >= BODY_UNPACKED_MAX)
			return result == LIBDEFLATE_SUCCESS ? MQ_OK : MQ_ECORRUPT;
		rc = grow(buf, size, *size < BODY_UNPACKED_MAX / 4 ? 4 * *size : BODY_UNPACKED_MAX);
	}
	return rc;
}

int
body_unpack(struct record *rec, unsigned char **buf, size_t *size)
{
	struct libdeflate_decompressor *d;
	size_t len;
	int rc;

	if (!is_zlib(rec))
		return MQ_OK;
	d = libdeflate_alloc_decompressor();
	if (!d)
		return -ENOMEM;
	rc = unpack(d, rec, buf, size, &len);
	libdeflate_free_decompressor(d);
	if (rc == MQ_ECORRUPT)
		return MQ_OK;
	if (rc != MQ_OK)
		return rc;
	rec->body = *buf;
	rec->body_len = (int32_t)len;
	rec->sysflag &= ~(SYSFLAG_COMPRESSED | SYSFLAG_COMPRESSION);
	return MQ_OK;
}

int
body_length(const struct record *rec, int32_t *ret_len)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct record sent;
	size_t size = 0;
	int rc;

	if (!is_zlib(rec)) {
		*ret_len = rec->body_len;
		return MQ_OK;
	}
	sent = *rec;
	rc = body_unpack(&sent, &buf, &size);
	if (rc == MQ_OK)
		*ret_len = sent.body_len;
	return rc;
}
