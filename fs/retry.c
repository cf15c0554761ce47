#include "config.h"

#include <libdeflate.h>
#include <string.h>

#include "fs/retry.h"

#define WAITED_OK UINT64_C(1)	/* no request has an odd number */

static size_t
blocks_of(size_t len)
{
	return (len + RETRY_BLOCK_BYTES - 1) / RETRY_BLOCK_BYTES;
}

/* Two sums of different kinds: bytes that were never stored must not be taken for these. */
static uint64_t
sum_of(const unsigned char *p, size_t len)
{
	return (uint64_t)libdeflate_crc32(0, p, len) << 32 | libdeflate_adler32(1, p, len);
}

/* Of the block that begins at `at`, which ends with the bytes at the latest. */
static size_t
block_len(size_t at, size_t len)
{
	return len - at < RETRY_BLOCK_BYTES ? len - at : RETRY_BLOCK_BYTES;
}

void
retry_begin(struct retry *r, uint64_t request, const void *buf, size_t len, int64_t off, int64_t end)
{
	retry_forget(r);
	if (blocks_of(len) > RETRY_BLOCKS)
		return;
	for (size_t at = 0; at < len; at += RETRY_BLOCK_BYTES)
		r->sums[at / RETRY_BLOCK_BYTES] = sum_of((const unsigned char *)buf + at, block_len(at, len));
	r->request = request;
	r->part = r->len = len;
	r->off = off;
	r->end = end;
}

void
retry_begin_part(struct retry *r, uint64_t request, size_t part)
{
	r->request = request;
	r->part = part;
}

size_t
retry_match(const struct retry *r, const void *buf, size_t size, int64_t off, bool cut)
{
	size_t match = r->len;

	if (!r->failed || r->off != off)
		return 0;
	if (size < r->len) {
		if (!cut)
			return 0;
		match = size / RETRY_BLOCK_BYTES * RETRY_BLOCK_BYTES;
	}
	for (size_t at = 0; at < match; at += RETRY_BLOCK_BYTES)
		if (sum_of((const unsigned char *)buf + at, block_len(at, match)) != r->sums[at / RETRY_BLOCK_BYTES])
			return 0;
	return match;
}

void
retry_end(struct retry *r, uint64_t request, bool ok)
{
	if (r->len == 0 || r->request != request)
		return;
	if (!ok) {
		r->failed = true;
		return;
	}
	if (r->part == r->len) {
		retry_forget(r);
		return;
	}
	/* a part is whole blocks; the rest is still to come */
	memmove(r->sums, r->sums + r->part / RETRY_BLOCK_BYTES,
		(blocks_of(r->len) - r->part / RETRY_BLOCK_BYTES) * sizeof(r->sums[0]));
	r->len -= r->part;
	if (r->off != RETRY_APPENDED)
		r->off += (int64_t)r->part;
	r->part = 0;
}

void
retry_leave(_Atomic uint64_t *word, uint64_t request, bool ok)
{
	atomic_store(word, request | (ok ? WAITED_OK : 0));
}

void
retry_take_over(struct retry *r, const _Atomic uint64_t *word)
{
	uint64_t waited = atomic_load(word);

	if (r && waited)
		retry_end(r, waited & ~WAITED_OK, (waited & WAITED_OK) != 0);
}

void
retry_confirm(_Atomic uint64_t *word, uint64_t request)
{
	uint64_t failed = request;

	/* unless a later write has waited since */
	atomic_compare_exchange_strong(word, &failed, request | WAITED_OK);
}

uint64_t
retry_failed(const struct retry *r)
{
	return r && r->failed ? r->request : 0;
}

void
retry_forget(struct retry *r)
{
	memset(r, 0, offsetof(struct retry, sums));
}

size_t
retry_bytes(const struct retry *r)
{
	return offsetof(struct retry, sums) + blocks_of(r->len) * sizeof(r->sums[0]);
}
