#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/array.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "store/direct.h"
#include "store/file.h"
#include "store/logscan.h"
#include "store/scan.h"

#define NAME_LEN 20
#define LOST_PREFIX "commitlog-"	/* of files in lost+found */
#define SETTLE_MS 20		/* a record that is being written is whole by then */

static const struct scan_source files_source;

struct logscan {
	int dirfd;
	struct log_file *files;
	size_t n_files, max_files;
	bool lost;		/* the only file is a piece of lost+found */

	struct direct *disk;	/* of the only file, NULL: read through the page cache */
	int fd;			/* of files[open], -1: none is open */
	size_t open;
	struct scan scan;

	mq_pos at;		/* the next piece */
	mq_pos step_end;	/* of the last step that was found whole */
	mq_pos promised;	/* see logscan_set_promised() */
	bool ended;
};

/* --- the files ------------------------------------------------------------------- */

int64_t
logscan_lost_base(const char *name)
{
	size_t prefix = strlen(LOST_PREFIX);
	char digits[NAME_LEN + 1];
	const char *more;

	if (strncmp(name, LOST_PREFIX, prefix) != 0 || strlen(name) < prefix + NAME_LEN)
		return -1;
	snprintf(digits, sizeof(digits), "%s", name + prefix);
	more = name + prefix + NAME_LEN;
	if (*more && (*more != '.' || more[1 + strspn(more + 1, "0123456789")]))
		return -1;
	return name_number(digits, NAME_LEN);
}

static int
add_file(struct logscan *ls, const char *name, int64_t base)
{
	int rc = ARRAY_ROOM(ls->files, ls->max_files, ls->n_files + 1);
	struct log_file *file;
	struct stat st;

	if (rc != MQ_OK)
		return rc;
	if (strlen(name) >= sizeof(file->name))
		return err_note(-ENAMETOOLONG, "%s: %m", name);
	if (fstatat(ls->dirfd, name, &st, 0) != 0)
		return errno == ENOENT ? MQ_OK : err_note(-errno, "%s: %m", name);
	if (!S_ISREG(st.st_mode))
		return MQ_OK;
	file = &ls->files[ls->n_files++];
	*file = (struct log_file){ .base = MQ_POS(base), .bytes = st.st_size };
	snprintf(file->name, sizeof(file->name), "%s", name);
	if (file->bytes > INT64_MAX - base)
		file->bytes = INT64_MAX - base;
	return MQ_OK;
}

static int
by_base(const void *a, const void *b)
{
	int64_t x = ((const struct log_file *)a)->base.byte, y = ((const struct log_file *)b)->base.byte;

	return (x > y) - (x < y);
}

static int
add_name(int dirfd, const char *name, void *arg)
{
	int64_t base = name_number(name, NAME_LEN);

	(void)dirfd;
	return base < 0 ? MQ_OK : add_file(arg, name, base);
}

static int
add_directory(struct logscan *ls)
{
	int rc = dir_each(ls->dirfd, ".", add_name, ls);

	if (ls->n_files > 0)
		qsort(ls->files, ls->n_files, sizeof(*ls->files), by_base);
	return rc;
}

/* A store, or a directory of segments. */
static int
open_directory(struct logscan *ls, const char *path)
{
	int fd;

	ls->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (ls->dirfd < 0)
		return err_note(-errno, "%s: %m", path);
	fd = openat(ls->dirfd, "commitlog", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		close(ls->dirfd);
		ls->dirfd = fd;
		return add_directory(ls);
	}
	if (errno != ENOENT)
		return err_note(-errno, "%s/commitlog: %m", path);
	if (add_directory(ls) != MQ_OK || ls->n_files == 0)
		return err_note(-ENOENT, "%s: neither a store nor a directory of segments", path);
	return MQ_OK;
}

/* One file of ls->dirfd, called as a segment or as a piece of one. */
static int
open_named(struct logscan *ls, const char *name)
{
	int64_t base = name_number(name, NAME_LEN);

	ls->lost = base < 0;
	if (ls->lost)
		base = logscan_lost_base(name);
	if (base < 0)
		return err_note(-EINVAL, "%s: neither a store nor a segment: its name is no position", name);
	return add_file(ls, name, base);
}

static int
open_file(struct logscan *ls, const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	AUTO_FREE char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");

	if (!dir)
		return -ENOMEM;
	ls->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ls->dirfd < 0 ? err_note(-errno, "%s: %m", dir) : open_named(ls, name);
}

/* Could all segments have that size?  They must begin at multiples of it and not overlap. */
static bool
could_be_common(const struct logscan *ls, int64_t bytes)
{
	for (size_t i = 0; i < ls->n_files; i++) {
		int64_t base = ls->files[i].base.byte;

		if (bytes <= 0 || base % bytes != 0 || (i > 0 && base - ls->files[i - 1].base.byte < bytes))
			return false;
	}
	return true;
}

/* The size of all segments: that of one that ends where the next begins, else the largest possible one.
 * A single file and the last one may be cut short, as in a mount and in a snapshot. */
static int64_t
common_size(const struct logscan *ls)
{
	const struct log_file *f = ls->files;
	int64_t bytes = 0;

	for (size_t i = 0; i + 1 < ls->n_files; i++)
		if (f[i].bytes == f[i + 1].base.byte - f[i].base.byte)
			return f[i].bytes;
	for (size_t i = 0; ls->n_files > 1 && i < ls->n_files; i++)
		if (f[i].bytes > bytes && could_be_common(ls, f[i].bytes))
			bytes = f[i].bytes;
	return bytes;
}

static struct logscan *
scan_new(void)
{
	struct logscan *ls = calloc(1, sizeof(*ls));

	if (!ls)
		return NULL;
	ls->dirfd = ls->fd = -1;
	ls->scan = (struct scan){ .source = &files_source, .arg = ls };
	ls->promised = MQ_POS(INT64_MAX);
	return ls;
}

int
logscan_open(const char *path, struct logscan **ret)
{
	struct logscan *ls = scan_new();
	struct stat st;
	int rc;

	if (!ls)
		return -ENOMEM;
	if (stat(path, &st) != 0)
		rc = err_note(-errno, "%s: %m", path);
	else
		rc = S_ISDIR(st.st_mode) ? open_directory(ls, path) : open_file(ls, path);
	if (rc != MQ_OK) {
		logscan_close(ls);
		return rc;
	}
	ls->scan.segment_bytes = common_size(ls);
	ls->at = logscan_begin(ls);
	*ret = ls;
	return MQ_OK;
}

int
logscan_open_file(int dirfd, const char *name, int64_t segment_bytes, struct logscan **ret)
{
	struct logscan *ls = scan_new();
	int rc;

	if (!ls)
		return -ENOMEM;
	ls->dirfd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	rc = ls->dirfd < 0 ? err_note(-errno, "%s: %m", name) : open_named(ls, name);
	if (rc == MQ_OK && segment_bytes)
		rc = direct_open(dirfd, name, false, &ls->disk);
	if (rc != MQ_OK) {
		logscan_close(ls);
		return rc;
	}
	ls->scan.segment_bytes = segment_bytes;
	ls->at = logscan_begin(ls);
	*ret = ls;
	return MQ_OK;
}

void
logscan_close(struct logscan *ls)
{
	if (!ls)
		return;
	direct_close(ls->disk);
	if (ls->fd >= 0)
		close(ls->fd);
	if (ls->dirfd >= 0)
		close(ls->dirfd);
	free(ls->files);
	scan_free(&ls->scan);
	free(ls);
}

const struct log_file *
logscan_files(const struct logscan *ls, size_t *ret_n)
{
	*ret_n = ls->n_files;
	return ls->files;
}

int64_t
logscan_segment_bytes(const struct logscan *ls)
{
	return ls->scan.segment_bytes;
}

mq_pos
logscan_begin(const struct logscan *ls)
{
	return ls->n_files > 0 ? ls->files[0].base : MQ_POS(0);
}

void
logscan_set_promised(struct logscan *ls, mq_pos pos)
{
	ls->promised = pos;
}

mq_pos
logscan_at(const struct logscan *ls)
{
	return ls->at;
}

/* --- reading ------------------------------------------------------------------------ */

/* The end of a file; at most the begin of the next one. */
static mq_pos
file_end(const struct logscan *ls, size_t i)
{
	mq_pos end = pos_add(ls->files[i].base, ls->files[i].bytes);

	if (i + 1 < ls->n_files && ls->files[i + 1].base.byte < end.byte)
		return ls->files[i + 1].base;
	return end;
}

/* The first file that ends behind pos: it holds pos, or pos is in no file.  n_files
 * if there is none. */
static size_t
file_from(const struct logscan *ls, mq_pos pos)
{
	size_t i = 0;

	while (i < ls->n_files && file_end(ls, i).byte <= pos.byte)
		i++;
	return i;
}

static bool
is_in_file(const struct logscan *ls, size_t i, mq_pos pos)
{
	return i < ls->n_files && pos.byte >= ls->files[i].base.byte && pos.byte < file_end(ls, i).byte;
}

static int
file_use(struct logscan *ls, size_t i)
{
	if (ls->fd >= 0 && ls->open == i)
		return MQ_OK;
	if (ls->fd >= 0)
		close(ls->fd);
	ls->open = i;
	ls->fd = openat(ls->dirfd, ls->files[i].name, O_RDONLY | O_CLOEXEC);
	return ls->fd < 0 ? err_note(-errno, "%s: %m", ls->files[i].name) : MQ_OK;
}

/* Read up to len bytes at pos from file i.  *ret_n is 0 if they cannot be read, or the file is shorter
 * now. */
static int
read_some(struct logscan *ls, size_t i, mq_pos pos, void *buf, size_t len, size_t *ret_n)
{
	int64_t left = file_end(ls, i).byte - pos.byte;
	int64_t at = pos.byte - ls->files[i].base.byte;
	ssize_t n;
	int rc = file_use(ls, i);

	if (rc != MQ_OK)
		return rc;
	if ((int64_t)len > left)
		len = (size_t)left;
	do
		n = ls->disk ? direct_read(ls->disk, buf, len, at) : pread(ls->fd, buf, len, at);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EIO)
		return err_note(-errno, "%s: read at %" PRId64 ": %m", ls->files[i].name, at);
	*ret_n = n > 0 ? (size_t)n : 0;
	return MQ_OK;
}

static int64_t
files_have(void *arg, mq_pos pos)
{
	const struct logscan *ls = arg;
	size_t i = file_from(ls, pos);

	return is_in_file(ls, i, pos) ? file_end(ls, i).byte - pos.byte : 0;
}

static int
files_read(void *arg, mq_pos pos, void *buf, size_t len, size_t *ret_n)
{
	struct logscan *ls = arg;

	return read_some(ls, file_from(ls, pos), pos, buf, len, ret_n);
}

static bool
files_next_data(void *arg, mq_pos pos, mq_pos *ret_begin, mq_pos *ret_end)
{
	struct logscan *ls = arg;

	for (size_t i = file_from(ls, pos); i < ls->n_files; i++) {
		int64_t base = ls->files[i].base.byte, at = pos.byte > base ? pos.byte - base : 0, begin, end;

		if (file_use(ls, i) == MQ_OK &&
		    file_next_data(ls->fd, at, file_end(ls, i).byte - base, &begin, &end)) {
			*ret_begin = MQ_POS(base + begin);
			*ret_end = MQ_POS(base + end);
			return true;
		}
	}
	return false;
}

/* The pages of a file that is read from the disk stay in memory, since the scrub heals from them. */
static int
files_forget_zeros(void *arg, mq_pos pos)
{
	struct logscan *ls = arg;
	int rc = MQ_OK;

	for (size_t i = file_from(ls, pos); rc == MQ_OK && !ls->disk && i < ls->n_files; i++) {
		rc = file_use(ls, i);
		if (rc == MQ_OK)
			file_drop_clean(ls->fd, pos.byte > ls->files[i].base.byte ? pos.byte - ls->files[i].base.byte : 0);
	}
	return rc;
}

/* For one file alone: a blank must reach the file's end, or may be of any length in a piece of
 * lost+found. */
static bool
files_fill(void *arg, mq_pos pos, int32_t total)
{
	const struct logscan *ls = arg;
	int64_t least = ls->lost ? RECORD_BLANK_BYTES : files_have(arg, pos);

	return total >= least && total <= INT64_MAX - pos.byte;
}

static const struct scan_source files_source = {
	.has = files_have, .read = files_read, .next_data = files_next_data,
	.forget_zeros = files_forget_zeros, .fills = files_fill,
};

/* MQ_OK, MQ_EBLANK, or MQ_ECORRUPT with ls->scan.why: also where the files end before it does, and
 * where it is part of a step that is not there. */
static int
record_at(struct logscan *ls, mq_pos pos, struct record *rec, bool *ret_readable)
{
	int rc = scan_record(&ls->scan, pos, rec, ret_readable);

	if (rc == MQ_OK && !ls->lost && pos.byte >= ls->step_end.byte && record_is_continued(rec))
		rc = scan_step(&ls->scan, rec, &ls->step_end);
	return rc == MQ_EEND ? MQ_ECORRUPT : rc;
}

static bool
is_whole(int rc)
{
	return rc == MQ_OK || rc == MQ_EBLANK;
}

/* Behind the last byte from pos on that is not zero; pos if all are. */
static int
last_data(struct logscan *ls, mq_pos pos, mq_pos *ret_last)
{
	mq_pos last = pos, begin = pos, end;
	unsigned char block[16 * 1024];
	int rc = files_forget_zeros(ls, pos);

	while (rc == MQ_OK && files_next_data(ls, begin, &begin, &end)) {
		size_t n = end.byte - begin.byte < (int64_t)sizeof(block) ? (size_t)(end.byte - begin.byte) : sizeof(block);
		size_t got = 0;

		rc = files_read(ls, begin, block, n, &got);
		while (rc == MQ_OK && got > 0 && !block[got - 1])
			got--;
		if (rc == MQ_OK && got > 0)
			last = pos_add(begin, (int64_t)got);
		begin = pos_add(begin, (int64_t)n);
	}
	if (rc == MQ_OK)
		*ret_last = last;
	return rc;
}

/* --- pieces ------------------------------------------------------------------------- */

/* No record begins at ls->at or behind it: the bytes that are not zero are a torn end. */
static int
piece_torn(struct logscan *ls, struct log_piece *p)
{
	mq_pos last;
	int rc = last_data(ls, ls->at, &last);

	if (rc != MQ_OK)
		return rc;
	ls->ended = true;
	if (last.byte == ls->at.byte)
		return MQ_EEND;
	p->kind = PIECE_TORN;
	p->bytes = last.byte - ls->at.byte;
	return MQ_OK;
}

/* No record begins at ls->at: damage up to the next one, or to the end of its file. */
static int
piece_damage(struct logscan *ls, struct log_piece *p)
{
	mq_pos next = ls->at, end = file_end(ls, file_from(ls, ls->at));
	struct record rec;
	int rc = ls->at.byte < ls->promised.byte ? scan_next(&ls->scan, ls->at, &next) : MQ_EEND;

	if (rc == MQ_EEND || (rc == MQ_OK && next.byte > ls->promised.byte))
		rc = piece_torn(ls, p);
	else if (rc == MQ_OK)
		p->bytes = (next.byte < end.byte ? next.byte : end.byte) - ls->at.byte;
	/* the search has read other bytes into the buffer */
	if (rc == MQ_OK && p->readable) {
		rc = record_at(ls, ls->at, &rec, &p->readable);
		p->rec = rec;
	}
	return is_whole(rc) || rc == MQ_ECORRUPT ? MQ_OK : rc;
}

/* Read the record at ls->at again, since it may have been written just now. */
static int
look_again(struct logscan *ls, struct log_piece *p, int wait_ms)
{
	if (wait_ms > 0)
		poll(NULL, 0, wait_ms);
	scan_forget(&ls->scan);
	return record_at(ls, ls->at, &p->rec, &p->readable);
}

static int
piece_in_file(struct logscan *ls, struct log_piece *p)
{
	int rc = record_at(ls, ls->at, &p->rec, &p->readable);

	if (rc == MQ_ECORRUPT)
		rc = look_again(ls, p, 0);
	if (rc == MQ_ECORRUPT) {
		p->kind = PIECE_DAMAGE;
		p->why = ls->scan.why;
		rc = piece_damage(ls, p);
		if (rc != MQ_OK || p->kind != PIECE_TORN)
			return rc;
		rc = look_again(ls, p, SETTLE_MS);
		if (!is_whole(rc))
			return rc == MQ_ECORRUPT ? MQ_OK : rc;
		ls->ended = false;
	}
	if (!is_whole(rc))
		return rc;
	p->kind = rc == MQ_OK ? PIECE_RECORD : PIECE_BLANK;
	p->bytes = p->rec.total;
	return MQ_OK;
}

int
logscan_next(struct logscan *ls, struct log_piece *ret)
{
	struct log_piece p = { .pos = ls->at };
	size_t i = file_from(ls, ls->at);
	int rc = MQ_OK;

	if (ls->ended || i == ls->n_files)
		return MQ_EEND;
	if (is_in_file(ls, i, ls->at)) {
		rc = piece_in_file(ls, &p);
	} else {
		p.kind = PIECE_MISSING;
		p.bytes = ls->files[i].base.byte - ls->at.byte;
	}
	if (rc != MQ_OK)
		return rc;
	if (p.kind != PIECE_TORN)
		ls->at = pos_add(ls->at, p.bytes);
	*ret = p;
	return MQ_OK;
}

int
logscan_record(struct logscan *ls, mq_pos pos, struct record *ret_rec)
{
	int rc = scan_record(&ls->scan, pos, ret_rec, NULL);

	return rc == MQ_EEND ? MQ_ECORRUPT : rc;
}

int
logscan_seek(struct logscan *ls, mq_pos pos)
{
	size_t i = file_from(ls, pos);
	struct log_piece p = { .kind = PIECE_RECORD };
	struct record rec;
	bool readable;
	int rc = MQ_OK;

	ls->ended = false;
	ls->at = pos;
	ls->step_end = MQ_POS(0);
	if (i == ls->n_files || is_whole(record_at(ls, pos, &rec, &readable)))
		return MQ_OK;
	/* no record begins at pos: look for the piece from the beginning of its file */
	ls->at = ls->files[i].base;
	while (rc == MQ_OK && ls->at.byte < pos.byte && !ls->ended) {
		mq_pos before = ls->at;

		rc = logscan_next(ls, &p);
		if (rc == MQ_OK && p.kind != PIECE_RECORD && p.kind != PIECE_BLANK && ls->at.byte > pos.byte) {
			ls->at = before;
			break;
		}
	}
	if (rc == MQ_OK && ls->ended && p.kind == PIECE_TORN && p.pos.byte + p.bytes > pos.byte)
		ls->ended = false;	/* the torn end is returned once more */
	return rc == MQ_EEND ? MQ_OK : rc;
}
