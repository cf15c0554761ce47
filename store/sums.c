#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/hex.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/sums.h"

#define SUMS "sums"
#define PAGE 4096
#define PIECE_LINE 9		/* 8 digits, newline */
#define TEXT_MAX (128 + SUM_PIECES_MAX * PIECE_LINE)
#define NAME_LEN 20

int64_t
sum_piece_bytes(int64_t bytes)
{
	int64_t piece = (bytes + SUM_PIECES_MAX - 1) / SUM_PIECES_MAX;

	return (piece + PAGE - 1) / PAGE * PAGE;
}

/* --- making one --------------------------------------------------------------- */

int
sum_begin(struct summing *m, int64_t bytes, struct sum *sum)
{
	int64_t piece = sum_piece_bytes(bytes);

	*m = (struct summing){ .ctx = EVP_MD_CTX_new(), .sum = sum };
	*sum = (struct sum){ .bytes = bytes, .n = bytes ? (size_t)((bytes + piece - 1) / piece) : 0 };
	if (!m->ctx)
		return -ENOMEM;
	if (EVP_DigestInit_ex(m->ctx, EVP_sha256(), NULL) != 1)
		return err_note(-EIO, "libcrypto: no SHA-256");
	return MQ_OK;
}

int
sum_add(struct summing *m, const void *bytes, size_t len)
{
	int64_t piece = sum_piece_bytes(m->sum->bytes);
	const char *at = bytes;

	MUST(m->at + (int64_t)len <= m->sum->bytes);
	if (EVP_DigestUpdate(m->ctx, bytes, len) != 1)
		return err_note(-EIO, "libcrypto: no digest");
	while (len > 0) {
		uint32_t *crc = &m->sum->pieces[m->at / piece];
		int64_t left = piece - m->at % piece;
		size_t n = (int64_t)len < left ? len : (size_t)left;

		*crc = libdeflate_crc32(*crc, at, n);
		m->at += (int64_t)n;
		at += n;
		len -= n;
	}
	return MQ_OK;
}

int
sum_ready(struct summing *m)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	MUST(m->at == m->sum->bytes);
	if (EVP_DigestFinal_ex(m->ctx, digest, &len) != 1 || len != SUM_HEX / 2)
		return err_note(-EIO, "libcrypto: no digest");
	hex_print(digest, len, m->sum->hex);
	return MQ_OK;
}

void
sum_end(struct summing *m)
{
	EVP_MD_CTX_free(m->ctx);
	m->ctx = NULL;
}

/* --- reading and writing them --------------------------------------------------- */

static bool
parse_pieces(const char *text, struct sum *sum)
{
	int64_t piece = sum_piece_bytes(sum->bytes);

	sum->n = (size_t)((sum->bytes + piece - 1) / piece);
	for (size_t i = 0; i < sum->n; i++, text += PIECE_LINE)
		if (strspn(text, "0123456789abcdef") != PIECE_LINE - 1 || text[PIECE_LINE - 1] != '\n' ||
		    sscanf(text, "%8" SCNx32, &sum->pieces[i]) != 1)
			return false;
	return *text == '\0';
}

static bool
parse(const char *text, struct sum *ret)
{
	const char *line = strchr(text, '\n');
	struct sum sum = { 0 };

	if (!line ||
	    sscanf(text, "%64[0-9a-f] %" SCNd64 " %" SCNd64, sum.hex, &sum.bytes, &sum.checked_ms) != 3)
		return false;
	if (strlen(sum.hex) != SUM_HEX || sum.bytes < 1 || sum.bytes > INT32_MAX || sum.checked_ms < 0 ||
	    !parse_pieces(line + 1, &sum))
		return false;
	*ret = sum;
	return true;
}

int
sums_read(int store_fd, mq_pos base, struct sum *ret)
{
	AUTO_FREE char *text = calloc(1, TEXT_MAX + 1);
	char path[64];

	if (!text)
		return -ENOMEM;
	snprintf(path, sizeof(path), SUMS "/%020" PRId64, base.byte);
	AUTO_CLOSE int fd = openat(store_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, TEXT_MAX, 0) <= 0 || !parse(text, ret))
		return -ENOENT;
	return MQ_OK;
}

int
sums_write(int store_fd, mq_pos base, const struct sum *sum)
{
	AUTO_FREE char *text = malloc(TEXT_MAX);
	AUTO_CLOSE int dir = -1;
	char name[64], tmp[96];
	int len, rc;

	if (!text)
		return -ENOMEM;
	rc = dir_open(store_fd, SUMS, 1, &dir);
	if (rc != MQ_OK)
		return rc;
	len = snprintf(text, TEXT_MAX, "%s %" PRId64 " %" PRId64 "\n", sum->hex, sum->bytes, sum->checked_ms);
	for (size_t i = 0; i < sum->n; i++)
		len += sprintf(text + len, "%08" PRIx32 "\n", sum->pieces[i]);
	snprintf(name, sizeof(name), "%020" PRId64, base.byte);
	snprintf(tmp, sizeof(tmp), ".%s.%d", name, (int)gettid());
	return file_replace(dir, name, tmp, text, (size_t)len);
}

/* --- forgetting them ----------------------------------------------------------------- */

void
sums_forget(int store_fd, mq_pos begin, mq_pos end)
{
	DIR *dir = dir_names(store_fd, SUMS);
	const struct dirent *e;

	while (dir && (e = readdir(dir))) {
		int64_t base = name_number(e->d_name, NAME_LEN);

		if (base < begin.byte || base >= end.byte)	/* -1: what a crash has left half written */
			unlinkat(dirfd(dir), e->d_name, 0);
	}
	if (dir)
		closedir(dir);
}
