#include "config.h"

#include <errno.h>
#include <libdeflate.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/body.h"

#define FIRST_BYTES ((size_t)64 << 10)

/* --- ways to unpack: into size bytes at buf ----------------------------------------------
 *
 * MQ_OK with *ret_len; MQ_EEND: they are too few; MQ_ECORRUPT: it cannot be unpacked;
 * -ENOMEM. */

static int
unpack_zlib(const struct record *rec, unsigned char *buf, size_t size, size_t *ret_len)
{
	struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
	enum libdeflate_result result;

	if (!d)
		return -ENOMEM;
	result = libdeflate_zlib_decompress(d, rec->body, (size_t)rec->body_len, buf, size, ret_len);
	libdeflate_free_decompressor(d);
	return result == LIBDEFLATE_SUCCESS		? MQ_OK :
	       result == LIBDEFLATE_INSUFFICIENT_SPACE ? MQ_EEND :
							 MQ_ECORRUPT;
}

/* One frame after the other, until all of the body was read. */
static int
unpack_lz4(const struct record *rec, unsigned char *buf, size_t size, size_t *ret_len)
{
	static const LZ4F_decompressOptions_t in_place = { .stableDst = 1 };
	const unsigned char *from = rec->body, *end = from + rec->body_len;
	LZ4F_dctx *d;
	size_t to = 0, hint = 1;

	if (LZ4F_isError(LZ4F_createDecompressionContext(&d, LZ4F_VERSION)))
		return -ENOMEM;
	while (from < end) {
		size_t read = (size_t)(end - from), written = size - to;

		hint = LZ4F_decompress(d, buf + to, &written, from, &read, &in_place);
		if (LZ4F_isError(hint) || (read == 0 && written == 0))
			break;
		from += read;
		to += written;
	}
	LZ4F_freeDecompressionContext(d);
	*ret_len = to;
	if (!LZ4F_isError(hint) && hint != 0 && to == size)
		return MQ_EEND;
	return hint == 0 && from == end ? MQ_OK : MQ_ECORRUPT;
}

static int
unpack_zstd(const struct record *rec, unsigned char *buf, size_t size, size_t *ret_len)
{
	*ret_len = ZSTD_decompress(buf, size, rec->body, (size_t)rec->body_len);
	switch (ZSTD_getErrorCode(*ret_len)) {
	case ZSTD_error_no_error:
		return MQ_OK;
	case ZSTD_error_dstSize_tooSmall:
		return MQ_EEND;
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	default:
		return MQ_ECORRUPT;
	}
}

/* By the place of its bits in SYSFLAG. */
static int (*const unpackers[])(const struct record *rec, unsigned char *buf, size_t size, size_t *ret_len) = {
	unpack_zlib, unpack_lz4, unpack_zstd, unpack_zlib,
};

static const char *const unpacker_names[] = { "zlib", "lz4", "zstd", "zlib" };

static bool
is_packed(const struct record *rec)
{
	size_t how = (size_t)(rec->sysflag & SYSFLAG_COMPRESSION) >> SYSFLAG_COMPRESSION_SHIFT;

	return rec->sysflag & SYSFLAG_COMPRESSED && how < sizeof(unpackers) / sizeof(unpackers[0]);
}

/* --- a body ------------------------------------------------------------------------------- */

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

/* No format is sure to say how long it becomes: try with more. */
static int
unpack(const struct record *rec, unsigned char **buf, size_t *size, size_t *ret_len)
{
	size_t how = (size_t)(rec->sysflag & SYSFLAG_COMPRESSION) >> SYSFLAG_COMPRESSION_SHIFT;
	int rc = *size < FIRST_BYTES ? grow(buf, size, FIRST_BYTES) : MQ_OK;

	while (rc == MQ_OK) {
		rc = unpackers[how](rec, *buf, *size, ret_len);
		if (rc != MQ_EEND)
			return rc;
		if (*size >= BODY_UNPACKED_MAX)
			return MQ_ECORRUPT;
		rc = grow(buf, size, *size < BODY_UNPACKED_MAX / 4 ? 4 * *size : BODY_UNPACKED_MAX);
	}
	return rc;
}

int
body_unpack(struct record *rec, unsigned char **buf, size_t *size)
{
	size_t len;
	int rc;

	if (!is_packed(rec))
		return MQ_OK;
	rc = unpack(rec, buf, size, &len);
	if (rc == MQ_ECORRUPT || (rc == MQ_OK && len > BODY_UNPACKED_MAX))
		return MQ_OK;
	if (rc != MQ_OK)
		return rc;
	rec->packed = unpacker_names[(rec->sysflag & SYSFLAG_COMPRESSION) >> SYSFLAG_COMPRESSION_SHIFT];
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

	if (!is_packed(rec)) {
		*ret_len = rec->body_len;
		return MQ_OK;
	}
	sent = *rec;
	rc = body_unpack(&sent, &buf, &size);
	if (rc == MQ_OK)
		*ret_len = sent.body_len;
	return rc;
}
