#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "store/direct.h"
#include "store/file.h"
#include "store/logscan.h"

#define NAME_LEN 20
#define LOST_PREFIX "commitlog-"	/* of files in lost+found */
#define READ_BYTES (1u << 20)
#define SCAN_BYTES (64u << 10)
#define SETTLE_MS 20		/* a record that is being written is whole by then */

struct logscan {
	int dirfd;
	struct log_file *files;
	size_t n_files;
	int64_t segment_bytes;	/* 0: not known */
	bool lost;		/* the only file is a piece of lost+found */

	struct direct *disk;	/* of the only file, NULL: read through the page cache */
	int fd;			/* of files[open], -1: none is open */
	size_t open;
	unsigned char *buf;	/* window: bytes [base, base + len) of the log */
	size_t size, len;
	mq_pos base;

	mq_pos at;		/* the next piece */
	mq_pos promised;	/* see logscan_set_promised() */
	const char *why;	/* of the last check() that failed */
	bool ended;
};

/* --- the files ------------------------------------------------------------------- */

/* The position that a file's name says, or -1. */
static int64_t
base_of_name(const char *name, bool lost)
{
	int64_t base;

	if (lost && strncmp(name, LOST_PREFIX, strlen(LOST_PREFIX)) == 0)
		name += strlen(LOST_PREFIX);
	else if (lost)
		return -1;
	if (strspn(name, "0123456789") != NAME_LEN)
		return -1;
	if (name[NAME_LEN] && !(lost && name[NAME_LEN] == '.' && name[NAME_LEN + 1 +
				strspn(name + NAME_LEN + 1, "0123456789")] == '\0'))
		return -1;
	errno = 0;
	base = strtoll(name, NULL, 10);
	return errno ? -1 : base;
}

static int
add_file(struct logscan *ls, const char *name, int64_t base)
{
	struct log_file *files = realloc(ls->files, (ls->n_files + 1) * sizeof(*files));
	struct stat st;

	if (!files)
		return -ENOMEM;
	ls->files = files;
	if (strlen(name) >= sizeof(files->name))
		return err_note(-ENAMETOOLONG, "%s: %m", name);
	if (fstatat(ls->dirfd, name, &st, 0) != 0)
		return errno == ENOENT ? MQ_OK : err_note(-errno, "%s: %m", name);
	if (!S_ISREG(st.st_mode))
		return MQ_OK;
	files = &ls->files[ls->n_files++];
	*files = (struct log_file){ .base = MQ_POS(base), .bytes = st.st_size };
	snprintf(files->name, sizeof(files->name), "%s", name);
	if (files->bytes > INT64_MAX - base)
		files->bytes = INT64_MAX - base;
	return MQ_OK;
}

static int
by_base(const void *a, const void *b)
{
	int64_t x = ((const struct log_file *)a)->base.byte, y = ((const struct log_file *)b)->base.byte;

	return (x > y) - (x < y);
}

static int
add_directory(struct logscan *ls, const char *path)
{
	int fd = openat(ls->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = MQ_OK;
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	if (!dir) {
		rc = err_note(-errno, "%s: %m", path);
		if (fd >= 0)
			close(fd);
		return rc;
	}
	while (rc == MQ_OK && (e = readdir(dir))) {
		int64_t base = base_of_name(e->d_name, false);

		if (base >= 0)
			rc = add_file(ls, e->d_name, base);
	}
	closedir(dir);
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
		return add_directory(ls, path);
	}
	if (errno != ENOENT)
		return err_note(-errno, "%s/commitlog: %m", path);
	if (add_directory(ls, path) != MQ_OK || ls->n_files == 0)
		return err_note(-ENOENT, "%s: neither a store nor a directory of segments", path);
	return MQ_OK;
}

/* One file of ls->dirfd, called as a segment or as a piece of one. */
static int
open_named(struct logscan *ls, const char *name)
{
	int64_t base = base_of_name(name, false);

	ls->lost = base < 0;
	if (ls->lost)
		base = base_of_name(name, true);
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

/* Could all segments have that size?  They begin at multiples of it, and none
 * begins within another. */
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

/* The size that all have: of one that ends where the next begins, else the largest
 * that can be.  One alone, and the last of all, may be cut (a mount shows it so, and
 * a snapshot has it so). */
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
	ls->segment_bytes = common_size(ls);
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
	ls->segment_bytes = segment_bytes;
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
	free(ls->buf);
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
	return ls->segment_bytes;
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

/* Behind the last byte of a file that counts: where the next one begins, it ends. */
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

/* Up to len bytes at pos of file i.  What cannot be read, or was cut off since, is
 * as good as nothing. */
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

/* Have at least `want` bytes at pos in the window, as far as file i has them. */
static int
window_fill(struct logscan *ls, size_t i, mq_pos pos, size_t want)
{
	size_t len = want > READ_BYTES ? want : READ_BYTES;

	if (len > ls->size) {
		unsigned char *buf = realloc(ls->buf, len);

		if (!buf)
			return -ENOMEM;
		ls->buf = buf;
		ls->size = len;
	}
	ls->base = pos;
	ls->len = 0;
	return read_some(ls, i, pos, ls->buf, len, &ls->len);
}

/* Bytes at pos that the window holds. */
static size_t
window_has(const struct logscan *ls, mq_pos pos)
{
	int64_t at = pos.byte - ls->base.byte;

	return at < 0 || at >= (int64_t)ls->len ? 0 : ls->len - (size_t)at;
}

static const unsigned char *
window_at(const struct logscan *ls, mq_pos pos)
{
	return ls->buf + (pos.byte - ls->base.byte);
}

/* --- one record --------------------------------------------------------------------- */

/* Bytes from pos to the end of its segment. */
static int64_t
left_in_segment(const struct logscan *ls, mq_pos pos)
{
	return ls->segment_bytes ? ls->segment_bytes - pos.byte % ls->segment_bytes : INT64_MAX;
}

static int
wrong(struct logscan *ls, const char *why)
{
	ls->why = why;
	return MQ_ECORRUPT;
}

/* Why record_decode() did not like it. */
static int
wrong_bytes(struct logscan *ls, const unsigned char *buf, size_t len)
{
	static const unsigned char zeros[8];
	int32_t magic;

	if (len < sizeof(zeros))
		return wrong(ls, "it is shorter than any record");
	if (memcmp(buf, zeros, sizeof(zeros)) == 0)
		return wrong(ls, "there are zeros");
	magic = be32_get(buf + 4);
	if (magic != RECORD_MAGIC && magic != RECORD_MAGIC_V2 && magic != RECORD_MAGIC_BLANK)
		return wrong(ls, "it has no magic number");
	if (be32_get(buf) < RECORD_MIN_BYTES)
		return wrong(ls, "its length cannot be");
	return wrong(ls, "its fields do not fit its length");
}

/* It has all its fields; are they true? */
static int
wrong_fields(struct logscan *ls, mq_pos pos, const struct record *rec)
{
	if (rec->pos.byte != pos.byte)
		return wrong(ls, "it says that it lies elsewhere");
	if (record_crc(rec->body, (size_t)rec->body_len) != rec->body_crc)
		return wrong(ls, "its body does not match its CRC");
	if (!record_topic_valid(rec->topic, (size_t)rec->topic_len))
		return wrong(ls, "its topic cannot be");
	if (rec->props_len > 0 && rec->props[rec->props_len - 1] == '\0')
		return wrong(ls, "its properties end with zeros");
	if (rec->total > left_in_segment(ls, pos) - RECORD_BLANK_BYTES)
		return wrong(ls, "it runs beyond the end of its segment");
	return MQ_OK;
}

/* Does a blank record of `total` bytes end where its segment does?  Where that is
 * not known, it is not before the file's end; but a piece may go on behind it. */
static bool
fills_segment(const struct logscan *ls, mq_pos pos, int32_t total)
{
	if (ls->segment_bytes)
		return total == left_in_segment(ls, pos);
	if (ls->lost)
		return total >= RECORD_BLANK_BYTES && total <= INT64_MAX - pos.byte;
	return total >= file_end(ls, file_from(ls, pos)).byte - pos.byte && total <= INT64_MAX - pos.byte;
}

/* What begins at pos, of which the window has all that file i has: MQ_OK,
 * MQ_EBLANK, or MQ_ECORRUPT with ls->why.  *ret_readable: rec is set. */
static int
check(struct logscan *ls, mq_pos pos, struct record *rec, bool *ret_readable)
{
	size_t len = window_has(ls, pos);
	int rc = len ? record_decode(window_at(ls, pos), len, rec) : MQ_ECORRUPT;

	*ret_readable = rc == MQ_OK;
	if (rc == MQ_OK)
		return wrong_fields(ls, pos, rec);
	if (rc == MQ_EBLANK && !fills_segment(ls, pos, rec->total))
		return wrong(ls, "it is a blank record that does not end where its segment does");
	if (rc == MQ_EBLANK)
		return rc;
	if (rc == MQ_EEND && rec->total > 0)
		return wrong(ls, "it ends before its length says");
	return wrong_bytes(ls, len ? window_at(ls, pos) : NULL, len);
}

/* The same, with as much read as it takes. */
static int
record_at(struct logscan *ls, mq_pos pos, struct record *rec, bool *ret_readable)
{
	size_t i = file_from(ls, pos), has = window_has(ls, pos);
	int rc = MQ_OK;

	*ret_readable = false;
	if (!is_in_file(ls, i, pos))
		return wrong(ls, "there is no file");
	if (has < RECORD_MIN_BYTES)
		rc = window_fill(ls, i, pos, READ_BYTES);
	if (rc == MQ_OK && record_decode(window_at(ls, pos), window_has(ls, pos), rec) == MQ_EEND &&
	    rec->total > 0 && rec->total <= file_end(ls, i).byte - pos.byte)
		rc = window_fill(ls, i, pos, (size_t)rec->total);
	return rc == MQ_OK ? check(ls, pos, rec, ret_readable) : rc;
}

/* --- behind damage ------------------------------------------------------------------ */

static bool
is_whole(int rc)
{
	return rc == MQ_OK || rc == MQ_EBLANK;
}

/* The first record that begins among n bytes, which lie at pos. */
static int
search_block(struct logscan *ls, mq_pos pos, const unsigned char *block, size_t n, mq_pos *ret_pos)
{
	static const unsigned char magic[] = { 0xda, 0xa3, 0x20 };	/* of V1 and V2 */
	const unsigned char *at = block + 4;
	struct record rec;
	bool readable;

	while ((at = memmem(at, n - (size_t)(at - block), magic, sizeof(magic)))) {
		mq_pos candidate = pos_add(pos, at - 4 - block);
		int rc = record_at(ls, candidate, &rec, &readable);

		if (rc == MQ_OK)
			*ret_pos = candidate;
		if (rc != MQ_ECORRUPT && rc != MQ_EBLANK)
			return rc;
		at++;
	}
	return MQ_EEND;
}

/* What was never written must not look like data because somebody has read it: see
 * file_drop_cache().  A file that is read from the disk keeps its pages: the scrub heals
 * from them. */
static void
forget_zeros(const struct logscan *ls, int64_t from)
{
	if (!ls->disk)
		file_drop_clean(ls->fd, from);
}

/* The first record in [pos, end) of file i. */
static int
search_file(struct logscan *ls, size_t i, mq_pos pos, mq_pos *ret_pos)
{
	AUTO_FREE unsigned char *block = malloc(SCAN_BYTES);
	int64_t base = ls->files[i].base.byte, at = pos.byte - base;
	int64_t end = file_end(ls, i).byte - base, data_end;
	int rc = file_use(ls, i);
	size_t n;

	if (!block)
		return -ENOMEM;
	if (rc != MQ_OK)
		return rc;
	forget_zeros(ls, at);
	while (file_next_data(ls->fd, at, end, &at, &data_end)) {
		n = data_end - at < SCAN_BYTES ? (size_t)(data_end - at) : SCAN_BYTES;
		rc = read_some(ls, i, MQ_POS(base + at), block, n, &n);
		if (rc == MQ_OK && n >= RECORD_MIN_BYTES)
			rc = search_block(ls, MQ_POS(base + at), block, n, ret_pos);
		else if (rc == MQ_OK)
			rc = MQ_EEND;
		if (rc != MQ_EEND)
			return rc;
		/* blocks overlap, so that no record's head is cut in two */
		at += n == SCAN_BYTES ? (int64_t)n - RECORD_MIN_BYTES : n > 0 ? (int64_t)n : (int64_t)SCAN_BYTES;
	}
	return MQ_EEND;
}

/* Where the record at `bad` would end, if one may believe its length and
 * something whole begins there: what lies in its body is no record. */
static bool
next_by_length(struct logscan *ls, mq_pos bad, mq_pos *ret_pos)
{
	size_t i = file_from(ls, bad);
	struct record rec;
	bool readable;
	int32_t total;

	if (window_has(ls, bad) < 4)
		return false;
	total = be32_get(window_at(ls, bad));
	if (total < RECORD_BLANK_BYTES || total > left_in_segment(ls, bad) ||
	    total >= file_end(ls, i).byte - bad.byte)
		return false;
	*ret_pos = pos_add(bad, total);
	return is_whole(record_at(ls, *ret_pos, &rec, &readable));
}

/* The next whole record behind `bad`, in its file or in a later one. */
static int
search(struct logscan *ls, mq_pos bad, mq_pos *ret_pos)
{
	int rc = MQ_EEND;

	if (next_by_length(ls, bad, ret_pos))
		return MQ_OK;
	bad = pos_add(bad, 1);
	for (size_t i = file_from(ls, bad); rc == MQ_EEND && i < ls->n_files; i++)
		rc = search_file(ls, i, bad.byte > ls->files[i].base.byte ? bad : ls->files[i].base, ret_pos);
	return rc;
}

/* Behind the last byte from pos on that is not zero; pos if all are. */
static int
last_data(struct logscan *ls, mq_pos pos, mq_pos *ret_last)
{
	unsigned char block[16 * 1024];
	mq_pos last = pos;

	for (size_t i = file_from(ls, pos); i < ls->n_files; i++) {
		int64_t base = ls->files[i].base.byte, end = file_end(ls, i).byte - base, data_end;
		int64_t at = pos.byte > base ? pos.byte - base : 0;
		int rc = file_use(ls, i);

		if (rc == MQ_OK)
			forget_zeros(ls, at);
		while (rc == MQ_OK && file_next_data(ls->fd, at, end, &at, &data_end)) {
			size_t n = data_end - at < (int64_t)sizeof(block) ? (size_t)(data_end - at) : sizeof(block);
			size_t got;

			rc = read_some(ls, i, MQ_POS(base + at), block, n, &got);
			for (size_t j = rc == MQ_OK ? got : 0; j > 0; j--)
				if (block[j - 1]) {
					last = MQ_POS(base + at + (int64_t)j);
					break;
				}
			at += (int64_t)n;
		}
		if (rc != MQ_OK)
			return rc;
	}
	*ret_last = last;
	return MQ_OK;
}

/* --- pieces ------------------------------------------------------------------------- */

/* No record begins at ls->at, nor anywhere behind: what there is, is torn. */
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
	int rc = ls->at.byte < ls->promised.byte ? search(ls, ls->at, &next) : MQ_EEND;

	if (rc == MQ_EEND || (rc == MQ_OK && next.byte > ls->promised.byte))
		rc = piece_torn(ls, p);
	else if (rc == MQ_OK)
		p->bytes = (next.byte < end.byte ? next.byte : end.byte) - ls->at.byte;
	/* the search has moved the window */
	if (rc == MQ_OK && p->readable) {
		rc = record_at(ls, ls->at, &rec, &p->readable);
		p->rec = rec;
	}
	return is_whole(rc) || rc == MQ_ECORRUPT ? MQ_OK : rc;
}

/* What begins at ls->at, read anew: it may have been written just now. */
static int
look_again(struct logscan *ls, struct log_piece *p, int wait_ms)
{
	if (wait_ms > 0)
		poll(NULL, 0, wait_ms);
	ls->len = 0;
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
		p->why = ls->why;
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
	bool readable;

	return record_at(ls, pos, ret_rec, &readable);
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
	if (i == ls->n_files || is_whole(record_at(ls, pos, &rec, &readable)))
		return MQ_OK;
	/* in the middle of something: from the beginning of its file */
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
		ls->ended = false;	/* it is said once more */
	return rc == MQ_EEND ? MQ_OK : rc;
}
