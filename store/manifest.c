#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/manifest.h"
#include "store/snapshot_priv.h"
#include "store/sums.h"

#define MANIFEST "MANIFEST"
#define READ_BYTES (1 << 20)

/* --- what is in it --------------------------------------------------------------- */

/* A segment that the log itself had lost is not in the snapshot either. */
static bool
is_there(struct snapshots *ss, const struct snapshot *s, const char *path)
{
	AUTO_CLOSE int fd = -1;

	return snapshot_open_file(ss, s, path, &fd) != -ENOENT;
}

/* Call each() for the path of every file that has a line, in order, until it fails. */
static int
each_path(struct snapshots *ss, const struct snapshot *s, int (*each)(void *arg, const char *path), void *arg)
{
	char path[SNAPSHOT_PATH_SIZE];
	int rc = MQ_OK;

	for (int64_t base = s->begin.byte; rc == MQ_OK && base < s->mark.byte; base += s->segment_bytes) {
		snapshot_segment_path(base, path);
		if (is_there(ss, s, path))
			rc = each(arg, path);
	}
	for (const struct snapshot_file *f = snapshot_files; rc == MQ_OK && f->name; f++) {
		snapshot_file_path(f, path);
		if (strcmp(f->name, ABORT_NAME) != 0 || is_there(ss, s, path))
			rc = each(arg, path);
	}
	return rc;
}

static size_t
line_length(const char *path)
{
	return SUM_HEX + 2 + strlen(path) + 1;
}

static int
add_length(void *arg, const char *path)
{
	*(size_t *)arg += line_length(path);
	return MQ_OK;
}

int
manifest_length(struct snapshots *ss, const struct snapshot *s, size_t *ret_len)
{
	*ret_len = 0;
	return each_path(ss, s, add_length, ret_len);
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

/* The sum of a sealed segment is the kept one, even if the disk has lost some of it since: the MANIFEST
 * shows that to a user who copies the snapshot. */
static int
sum_segment(struct snapshots *ss, const struct snapshot *s, int fd, const char *path, const _Atomic bool *stop,
	    struct sum *sum)
{
	mq_pos base = MQ_POS(strtoll(path + strlen("commitlog/"), NULL, 10));
	int64_t data = snapshot_segment_data(s, base.byte);
	int store_fd = ss->dir->fd, rc;

	if (data < s->segment_bytes)
		return sum_file(fd, data, s->segment_bytes, stop, sum);
	if (sums_read(store_fd, base, sum) == MQ_OK && sum->bytes == data)
		return MQ_OK;
	rc = sum_file(fd, data, data, stop, sum);
	if (rc == MQ_OK && !ss->dir->read_only)
		(void)sums_write(store_fd, base, sum);	/* without it the sum is made again */
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
	if (text_begins(path, "commitlog/"))
		return sum_segment(ss, s, fd, path, stop, sum);
	if (fstat(fd, &st) != 0)
		return err_note(-errno, "%s: %m", path);
	return sum_file(fd, st.st_size, st.st_size, stop, sum);
}

static int
manifest_write(struct snapshots *ss, const struct snapshot *s, const char *text)
{
	AUTO_CLOSE int dir = openat(ss->fd, s->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_note(-errno, "snapshots/%s: %m", s->name);
	return s->gone ? -ENOENT : file_replace(dir, MANIFEST, MANIFEST ".tmp", text, s->manifest_len);
}

struct making {
	struct snapshots *ss;
	const struct snapshot *s;
	const _Atomic bool *stop;
	char *text;
	size_t len;
};

static int
files_are_missing(const struct snapshot *s)
{
	return s->gone ? -ENOENT : err_note(-EIO, "snapshot %s: files are missing", s->name);
}

static int
add_line(void *arg, const char *path)
{
	struct making *m = arg;
	struct sum sum;
	int rc = MQ_OK;

	if (m->len + line_length(path) > m->s->manifest_len)
		return files_are_missing(m->s);
	rc = sum_path(m->ss, m->s, path, m->stop, &sum);
	if (rc == MQ_OK)
		m->len += (size_t)sprintf(m->text + m->len, "%s  %s\n", sum.hex, path);
	return rc;
}

int
manifest_make(struct snapshots *ss, struct snapshot *s, const _Atomic bool *stop)
{
	AUTO_FREE char *text = malloc(s->manifest_len + 1);
	struct making m = { .ss = ss, .s = s, .stop = stop, .text = text };
	size_t len;
	int rc = text ? manifest_length(ss, s, &len) : -ENOMEM;

	if (rc == MQ_OK)		/* hashing takes long */
		rc = len == s->manifest_len ? each_path(ss, s, add_line, &m) : files_are_missing(s);
	if (rc == MQ_OK && m.len != s->manifest_len)
		rc = files_are_missing(s);
	if (rc != MQ_OK)
		return rc;
	if (!ss->dir->read_only)
		rc = manifest_write(ss, s, text);
	if (rc != MQ_OK && !s->gone)
		log_warn("it is made again at the next mount: %s", err_text(rc));
	s->manifest = take_ptr(text);
	s->hashed = true;
	return MQ_OK;
}
