#include "config.h"

#include <errno.h>
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
#include "store/sums.h"

#define MANIFEST "MANIFEST"
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
		if (strcmp(f->name, ABORT_NAME) != 0 || is_there(ss, s, path))
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

/* Bytes [0, data) of fd and zeros up to sum->bytes. */
static int
add_bytes(struct summing *m, int fd, int64_t data, const _Atomic bool *stop)
{
	AUTO_FREE unsigned char *buf = malloc(READ_BYTES);
	int64_t size = m->sum->bytes;

	if (!buf)
		return -ENOMEM;
	for (int64_t at = 0; at < size;) {
		int64_t end = at < data ? data : size;
		size_t n = end - at < READ_BYTES ? (size_t)(end - at) : READ_BYTES;
		int rc = MQ_OK;

		if (*stop)
			return MQ_ECLOSED;
		if (at < data)
			rc = file_read(fd, buf, n, at, "snapshot");
		else
			memset(buf, 0, n);
		if (rc == MQ_OK)
			rc = sum_add(m, buf, n);
		if (rc != MQ_OK)
			return rc == MQ_EEND ? -EIO : rc;
		at += (int64_t)n;
	}
	return MQ_OK;
}

static int
sum_file(int fd, int64_t data, int64_t size, const _Atomic bool *stop, struct sum *sum)
{
	struct summing m;
	int rc = sum_begin(&m, size, sum);

	if (rc == MQ_OK)
		rc = add_bytes(&m, fd, data, stop);
	if (rc == MQ_OK)
		rc = sum_ready(&m);
	sum_end(&m);
	return rc;
}

/* --- the manifest ---------------------------------------------------------------------- */

/* What a sealed one should be, even if the disk has lost some of it since: then the
 * MANIFEST tells whoever copies it. */
static int
sum_segment(struct snapshots *ss, const struct snapshot *s, int fd, const char *path, const _Atomic bool *stop,
	    struct sum *sum)
{
	mq_pos base = MQ_POS(strtoll(path + strlen("commitlog/"), NULL, 10));
	int64_t data = snapshot_segment_data(s, base.byte);
	int store_fd = snapshots_dir_fd(ss), rc;

	if (data < s->segment_bytes)
		return sum_file(fd, data, s->segment_bytes, stop, sum);
	if (sums_read(store_fd, base, sum) == MQ_OK && sum->bytes == data)
		return MQ_OK;
	rc = sum_file(fd, data, data, stop, sum);
	if (rc == MQ_OK && !snapshots_read_only(ss))
		(void)sums_write(store_fd, base, sum);	/* it saves work: else it is made again */
	return rc;
}

static int
sum_path(struct snapshots *ss, const struct snapshot *s, const char *path, const _Atomic bool *stop,
	 struct sum *sum)
{
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int rc = snapshot_open_file(ss, s, path, &fd);

	if (rc != MQ_OK)
		return rc;
	if (strncmp(path, "commitlog/", strlen("commitlog/")) == 0)
		return sum_segment(ss, s, fd, path, stop, sum);
	if (fstat(fd, &st) != 0)
		return err_note(-errno, "%s: %m", path);
	return sum_file(fd, st.st_size, st.st_size, stop, sum);
}

static int
lines_make(struct snapshots *ss, const struct snapshot *s, const struct listing *l, const _Atomic bool *stop,
	   char *text)
{
	struct sum sum;

	for (size_t i = 0; i < l->n; i++) {
		int rc = sum_path(ss, s, l->paths[i], stop, &sum);

		if (rc != MQ_OK)
			return rc;
		text += sprintf(text, "%s  %s\n", sum.hex, l->paths[i]);
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
