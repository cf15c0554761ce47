#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/manifest.h"
#include "store/storedir.h"

#define MANIFEST "MANIFEST"
#define SUMS "sums"
#define SUM_HEX 64
#define READ_BYTES (1 << 20)

/* --- what is in it --------------------------------------------------------------- */

/* One line to be: paths[i] below the snapshot. */
struct listing {
	char (*paths)[SNAPSHOT_PATH_SIZE];
	size_t n, max;
};

static int
listing_add(struct listing *l, const char *path)
{
	size_t max = l->max ? 2 * l->max : 64;
	void *more;

	if (l->n == l->max) {
		more = realloc(l->paths, max * sizeof(*l->paths));
		if (!more)
			return -ENOMEM;
		l->paths = more;
		l->max = max;
	}
	snprintf(l->paths[l->n++], SNAPSHOT_PATH_SIZE, "%s", path);
	return MQ_OK;
}

/* A segment that the log itself had lost is not in the snapshot either. */
static bool
is_there(struct snapshots *ss, const struct snapshot *s, const char *path)
{
	AUTO_CLOSE int fd = -1;

	return snapshot_open_file(ss, s, path, &fd) != -ENOENT;
}

static int
listing_make(struct snapshots *ss, const struct snapshot *s, struct listing *l)
{
	char path[SNAPSHOT_PATH_SIZE];
	int rc = MQ_OK;

	for (int64_t base = s->begin.byte; rc == MQ_OK && base < s->mark.byte; base += s->segment_bytes) {
		snapshot_segment_path(base, path);
		if (is_there(ss, s, path))
			rc = listing_add(l, path);
	}
	for (const struct snapshot_file *f = snapshot_files; rc == MQ_OK && f->name; f++) {
		snprintf(path, sizeof(path), "%s%s%s", f->dir, *f->dir ? "/" : "", f->name);
		rc = listing_add(l, path);
	}
	return rc;
}

static size_t
listing_length(const struct listing *l)
{
	size_t len = 0;

	for (size_t i = 0; i < l->n; i++)
		len += SUM_HEX + 2 + strlen(l->paths[i]) + 1;
	return len;
}

int
manifest_length(struct snapshots *ss, const struct snapshot *s, size_t *ret_len)
{
	struct listing l = { 0 };
	int rc = listing_make(ss, s, &l);

	if (rc == MQ_OK)
		*ret_len = listing_length(&l);
	free(l.paths);
	return rc;
}

void
manifest_load(struct snapshots *ss, struct snapshot *s)
{
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int fd = -1;
	struct stat st;

	if (snapshot_open_file(ss, s, MANIFEST, &fd) != MQ_OK || fstat(fd, &st) != 0 ||
	    (size_t)st.st_size != s->manifest_len)
		return;
	text = malloc(s->manifest_len + 1);
	if (!text || file_read(fd, text, s->manifest_len, 0, MANIFEST) != MQ_OK)
		return;
	s->manifest = take_ptr(text);
	s->hashed = true;
}

/* --- hashing ---------------------------------------------------------------------- */

struct hash {
	EVP_MD_CTX *ctx;
	unsigned char *buf;
};

static void
hash_end(struct hash *h)
{
	EVP_MD_CTX_free(h->ctx);
	free(h->buf);
}

static int
hash_begin(struct hash *h)
{
	h->ctx = EVP_MD_CTX_new();
	h->buf = malloc(READ_BYTES);
	if (!h->ctx || !h->buf)
		return -ENOMEM;
	if (EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL) != 1)
		return err_note(-EIO, "libcrypto: no SHA-256");
	return MQ_OK;
}

/* Bytes [0, data) of fd and zeros up to `size`. */
static int
hash_bytes(struct hash *h, int fd, int64_t data, int64_t size, const _Atomic bool *stop)
{
	for (int64_t at = 0; at < size;) {
		int64_t end = at < data ? data : size;
		size_t n = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
		int rc = MQ_OK;

		if (*stop)
			return MQ_ECLOSED;
		if (at < data)
			rc = file_read(fd, h->buf, n, at, "snapshot");
		else
			memset(h->buf, 0, n);
		if (rc != MQ_OK)
			return rc == MQ_EEND ? -EIO : rc;
		if (EVP_DigestUpdate(h->ctx, h->buf, n) != 1)
			return err_note(-EIO, "libcrypto: no digest");
		at += (int64_t)n;
	}
	return MQ_OK;
}

static int
hash_hex(struct hash *h, char hex[SUM_HEX + 1])
{
	unsigned char sum[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	if (EVP_DigestFinal_ex(h->ctx, sum, &len) != 1 || len != SUM_HEX / 2)
		return err_note(-EIO, "libcrypto: no digest");
	for (unsigned i = 0; i < len; i++)
		snprintf(hex + 2 * i, 3, "%02x", sum[i]);
	return MQ_OK;
}

static int
hash_file(int fd, int64_t data, int64_t size, const _Atomic bool *stop, char hex[SUM_HEX + 1])
{
	struct hash h = { 0 };
	int rc = hash_begin(&h);

	if (rc == MQ_OK)
		rc = hash_bytes(&h, fd, data, size, stop);
	if (rc == MQ_OK)
		rc = hash_hex(&h, hex);
	hash_end(&h);
	return rc;
}

/* --- sums of sealed segments ---------------------------------------------------------- */

static long long
mtime_ns(const struct stat *st)
{
	return (long long)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool
sum_known(struct snapshots *ss, const char *name, const struct stat *seg, char hex[SUM_HEX + 1])
{
	char path[SNAPSHOT_PATH_SIZE], text[160] = "", found[SUM_HEX + 1];
	long long bytes, ns;

	snprintf(path, sizeof(path), SUMS "/%s", name);
	AUTO_CLOSE int fd = openat(snapshots_dir_fd(ss), path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || pread(fd, text, sizeof(text) - 1, 0) <= 0 || !strchr(text, '\n'))
		return false;
	if (sscanf(text, "%64[0-9a-f] %lld %lld", found, &bytes, &ns) != 3 || strlen(found) != SUM_HEX)
		return false;
	if (bytes != (long long)seg->st_size || ns != mtime_ns(seg))
		return false;
	memcpy(hex, found, sizeof(found));
	return true;
}

/* It only saves work: if it cannot be kept it is made again. */
static void
sum_keep(struct snapshots *ss, const char *name, const struct stat *seg, const char *hex)
{
	char path[SNAPSHOT_PATH_SIZE], text[160];
	AUTO_CLOSE int fd = -1;

	if (snapshots_read_only(ss) || dir_make(snapshots_dir_fd(ss), SUMS) != MQ_OK)
		return;
	snprintf(path, sizeof(path), SUMS "/%s", name);
	fd = openat(snapshots_dir_fd(ss), path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return;
	snprintf(text, sizeof(text), "%s %lld %lld\n", hex, (long long)seg->st_size, mtime_ns(seg));
	(void)file_write(fd, text, strlen(text), 0, SUMS);
}

void
manifest_forget_sums(struct snapshots *ss)
{
	struct dirent **entries;
	int n = snapshots_read_only(ss) ? -1 : scandirat(snapshots_dir_fd(ss), SUMS, &entries, NULL, NULL);

	for (int i = 0; i < n; i++) {
		char path[300];

		snprintf(path, sizeof(path), "commitlog/%s", entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && faccessat(snapshots_dir_fd(ss), path, F_OK, 0) != 0) {
			snprintf(path, sizeof(path), SUMS "/%s", entries[i]->d_name);
			unlinkat(snapshots_dir_fd(ss), path, 0);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

/* --- the manifest ---------------------------------------------------------------------- */

static int
hash_segment(struct snapshots *ss, const struct snapshot *s, int fd, const char *path, const _Atomic bool *stop,
	     char hex[SUM_HEX + 1])
{
	const char *name = path + strlen("commitlog/");
	int64_t data = snapshot_segment_data(s, strtoll(name, NULL, 10));
	struct stat before, after;
	int rc;

	if (fstat(fd, &before) != 0)
		return err_note(-errno, "%s: %m", path);
	if (data < s->segment_bytes)
		return hash_file(fd, data, s->segment_bytes, stop, hex);
	if (sum_known(ss, name, &before, hex))
		return MQ_OK;
	rc = hash_file(fd, data, data, stop, hex);
	if (rc == MQ_OK && fstat(fd, &after) == 0 && mtime_ns(&before) == mtime_ns(&after))
		sum_keep(ss, name, &before, hex);
	return rc;
}

static int
hash_path(struct snapshots *ss, const struct snapshot *s, const char *path, const _Atomic bool *stop,
	  char hex[SUM_HEX + 1])
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int rc = snapshot_open_file(ss, s, path, &fd);

	if (rc != MQ_OK)
		return rc;
	if (strncmp(path, "commitlog/", strlen("commitlog/")) == 0)
		return hash_segment(ss, s, fd, path, stop, hex);
	if (fstat(fd, &st) != 0)
		return err_note(-errno, "%s: %m", path);
	return hash_file(fd, st.st_size, st.st_size, stop, hex);
}

static int
lines_make(struct snapshots *ss, const struct snapshot *s, const struct listing *l, const _Atomic bool *stop,
	   char *text)
{
	char hex[SUM_HEX + 1];

	for (size_t i = 0; i < l->n; i++) {
		int rc = hash_path(ss, s, l->paths[i], stop, hex);

		if (rc != MQ_OK)
			return rc;
		text += sprintf(text, "%s  %s\n", hex, l->paths[i]);
	}
	return MQ_OK;
}

int
manifest_make(struct snapshots *ss, struct snapshot *s, const _Atomic bool *stop)
{
	AUTO_FREE char *text = NULL;
	struct listing l = { 0 };
	int rc = listing_make(ss, s, &l);

	if (rc == MQ_OK && listing_length(&l) != s->manifest_len)
		rc = s->gone ? -ENOENT : err_note(-EIO, "snapshot %s: files are missing", s->name);
	if (rc == MQ_OK && !(text = malloc(s->manifest_len + 1)))
		rc = -ENOMEM;
	if (rc == MQ_OK)
		rc = lines_make(ss, s, &l, stop, text);
	free(l.paths);
	if (rc != MQ_OK)
		return rc;
	if (!snapshots_read_only(ss))
		rc = snapshot_write_file(ss, s, MANIFEST, text, s->manifest_len);
	if (rc != MQ_OK && !s->gone)
		log_warn("it is made again at the next mount: %s", err_text(rc));
	s->manifest = take_ptr(text);
	s->hashed = true;
	return MQ_OK;
}
