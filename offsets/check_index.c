/* check_index.c - index/, against a key index that was made anew from the log.
 *
 * Files and entries have the same numbers in both if the new one has, in between, the entries
 * of records that the log has no more (retention) or has lost (damage): before each record
 * those are taken over from the old one.  Then both are the same, byte by byte; only names
 * differ, which are times.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fsck.h"
#include "store/file.h"
#include "store/keyindex_priv.h"
#include "store/shape.h"

#define BLOCK_BYTES (64 * 1024 / ENTRY_BYTES * ENTRY_BYTES)

struct index_check {
	int dirfd;		/* -1: there is none */
	struct keyindex *old;	/* as it lies on the disk; NULL: it is not compared */
	struct index_file **files;	/* of it, oldest first */
	size_t n_files;

	size_t file;		/* the next entry of `old` */
	int32_t number;
};

/* --- entries of the old one ------------------------------------------------------------- */

/* Entries that count: the last checkpoint may have known fewer of the newest file. */
static int32_t
count_of(const struct fsck *f, const struct index_file *file)
{
	bool is_last = f->has_mark && strcmp(file->name, f->mark.index_name) == 0;

	return is_last && f->mark.index_count < file->h.count ? f->mark.index_count : file->h.count;
}

/* The next entry, and its file; NULL: there is none. */
static const struct index_file *
peek(const struct fsck *f, struct index_check *ix, struct index_entry *e)
{
	for (; ix->file < ix->n_files; ix->file++, ix->number = 1) {
		const struct index_file *file = ix->files[ix->file];

		if (ix->number < count_of(f, file) && index_entry_read(ix->old, file, ix->number, e) == MQ_OK)
			return file;
	}
	return NULL;
}

/* When its record was stored: entries have seconds only. */
static int64_t
time_of(const struct index_file *file, int32_t number, const struct index_entry *e)
{
	if (number == 1)
		return file->h.begin_ms;
	return number == file->h.count - 1 ? file->h.end_ms : file->h.begin_ms + 1000LL * e->seconds;
}

/* Copy entries of the old index whose records the log has not, up to those of the record at pos. */
static void
take_over(struct fsck *f, struct index_check *ix, mq_pos pos)
{
	const struct index_file *file;
	struct index_entry e;
	int rc = MQ_OK;

	while (rc == MQ_OK && (file = peek(f, ix, &e)) && e.pos.byte < pos.byte) {
		if (is_lost(f, e.pos))
			rc = keyindex_put_hash(rebuild_index(f->views), e.pos, time_of(file, ix->number, &e), e.hash);
		ix->number++;
	}
	if (rc != MQ_OK && rc != MQ_ECORRUPT)
		trouble(f, rc);
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	struct index_check *ix = f->index;
	struct index_entry e;

	if (!ix->old || p->kind != PIECE_RECORD || !is_promised(f, p->pos) || p->rec.props_len == 0)
		return;
	take_over(f, ix, p->pos);
	while (peek(f, ix, &e) && e.pos.byte == p->pos.byte)
		ix->number++;
}

/* --- both side by side --------------------------------------------------------------------- */

/* Behind what the last checkpoint counts, a crash may have left more. */
static bool
is_later(const struct fsck *f, const struct index_file *old, const unsigned char *part, size_t bytes)
{
	return !f->dir->was_clean && bytes == SLOT_BYTES && be32_get(part) >= count_of(f, old);
}

/* Compare bytes [from, to) of both files: parts of `bytes` bytes each, the first of which is number `first`. */
static void
compare_parts(struct fsck *f, const struct index_file *old, const struct index_file *new, int64_t from, int64_t to,
	      const char *what, int64_t first, size_t bytes)
{
	AUTO_FREE unsigned char *a = malloc(BLOCK_BYTES), *b = malloc(BLOCK_BYTES);
	char where[64];
	size_t n;

	if (!a || !b) {
		trouble(f, -ENOMEM);
		return;
	}
	snprintf(where, sizeof(where), "index/%s", old->name);
	for (int64_t at = from; at < to; at += (int64_t)n) {
		n = to - at < BLOCK_BYTES ? (size_t)(to - at) : BLOCK_BYTES;
		if (file_read(old->fd, a, n, at, where) != MQ_OK || file_read(new->fd, b, n, at, where) != MQ_OK) {
			finding(f, FIX_VIEWS, where, "cannot be read at %" PRId64, at);
			return;
		}
		if (memcmp(a, b, n) == 0)
			continue;
		for (size_t i = 0; i < n; i += bytes)
			if (memcmp(a + i, b + i, bytes) != 0 && !is_later(f, old, a + i, bytes))
				finding(f, FIX_VIEWS, where, "%s %" PRId64 " is not what the log says", what,
					first + (at - from + (int64_t)i) / (int64_t)bytes);
	}
}

/* Entries [1, count).  The first one's seconds count from the file before, which is gone with
 * the beginning of the log. */
static void
compare_entries(struct fsck *f, const struct index_file *old, const struct index_file *new, int32_t count)
{
	const struct keyindex *ix = f->index->old;
	int64_t first = index_entry_at(ix, 1);

	if (old == f->index->files[0] && f->begin.byte > 0 && count > 1) {
		compare_parts(f, old, new, first, first + ENTRY_SECONDS_AT, "entry", 1, ENTRY_SECONDS_AT);
		compare_parts(f, old, new, first + ENTRY_OLDER_AT, first + ENTRY_BYTES, "entry", 1,
			      ENTRY_BYTES - ENTRY_OLDER_AT);
		compare_parts(f, old, new, index_entry_at(ix, 2), index_entry_at(ix, count), "entry", 2, ENTRY_BYTES);
		return;
	}
	compare_parts(f, old, new, first, index_entry_at(ix, count), "entry", 1, ENTRY_BYTES);
}

static void
compare_files(struct fsck *f, const struct index_file *old, const struct index_file *new)
{
	int32_t count = count_of(f, old), made = new ? new->h.count : 1;
	char where[64];

	snprintf(where, sizeof(where), "index/%s", old->name);
	if (count != made)
		finding(f, FIX_VIEWS, where, "%" PRId32 " entries, the log has %" PRId32, count - 1, made - 1);
	if (!new || count <= 1)
		return;
	if (count == old->h.count)
		compare_parts(f, old, new, 0, HEADER_BYTES, "header", 0, HEADER_BYTES);
	compare_parts(f, old, new, HEADER_BYTES, index_entry_at(f->index->old, 0), "slot", 0, SLOT_BYTES);
	compare_entries(f, old, new, count < made ? count : made);
}

static void
end(struct fsck *f)
{
	struct index_check *ix = f->index;
	const struct index_file *file;
	size_t made = 0;
	int rc;

	if (!ix->old)
		return;
	take_over(f, ix, MQ_POS(INT64_MAX));
	rc = rebuild_end(f->views);
	if (rc != MQ_OK) {
		trouble(f, rc);
		return;
	}
	for (file = rebuild_index(f->views)->newest; file; file = file->older)
		made++;
	if (made > ix->n_files)
		finding(f, FIX_VIEWS, "index", "%zu files, the log needs %zu", ix->n_files, made);
	for (size_t i = made; i < ix->n_files; i++)
		compare_files(f, ix->files[i], NULL);
	for (file = rebuild_index(f->views)->newest; file; file = file->older)
		if (--made < ix->n_files)
			compare_files(f, ix->files[made], file);
}

/* --- opening it ----------------------------------------------------------------------------- */

/* Files that count, oldest first. */
static int
list_files(struct fsck *f, struct index_check *ix)
{
	const char *last = f->mark.index_name;
	size_t n = 0;

	for (struct index_file *file = ix->old->newest; file; file = file->older)
		n++;
	ix->files = calloc(n + 1, sizeof(*ix->files));
	if (!ix->files)
		return -ENOMEM;
	for (struct index_file *file = ix->old->newest; file; file = file->older)
		ix->files[--n] = file;
	for (struct index_file *file = ix->old->newest; file; file = file->older) {
		if (f->has_mark && strcmp(file->name, last) > 0 && f->dir->was_clean)
			finding(f, FIX_VIEWS, "index", "%s is newer than the last checkpoint", file->name);
		ix->n_files += !f->has_mark || strcmp(file->name, last) <= 0;
	}
	return MQ_OK;
}

static int
look_at_name(int dirfd, const char *name, void *arg)
{
	struct fsck *f = arg;
	const struct index_file *file = f->index->old->newest;
	char where[64];

	(void)dirfd;
	while (file && strcmp(file->name, name) != 0)
		file = file->older;
	if (file || name_number(name, NAME_LEN) < 0)
		return MQ_OK;
	snprintf(where, sizeof(where), "index/%s", name);
	finding(f, FIX_VIEWS, where, "cannot be read, or its length cannot be");
	return MQ_EEND;
}

/* Does the index have all files that the last checkpoint knew? */
static bool
is_whole(struct fsck *f, const struct index_check *ix)
{
	const struct index_file *last = ix->n_files ? ix->files[ix->n_files - 1] : NULL;

	if (dir_each(ix->dirfd, ".", look_at_name, f) != MQ_OK)
		return false;
	if (!f->has_mark || !f->mark.index_name[0])
		return ix->n_files > 0;	/* else messageIndexEnable=false */
	if (!last || strcmp(last->name, f->mark.index_name) != 0) {
		finding(f, FIX_VIEWS, "index", "%.31s is missing", f->mark.index_name);
		return false;
	}
	if (f->mark.index_count > last->h.count || (f->dir->was_clean && f->mark.index_count != last->h.count))
		finding(f, FIX_VIEWS, "index", "%.31s has %" PRId32 " entries, the last checkpoint counts %" PRId32,
			last->name, last->h.count, f->mark.index_count);
	return true;
}

static void
close_old(struct index_check *ix)
{
	keyindex_close(ix->old);
	ix->old = NULL;
}

static void
begin(struct fsck *f)
{
	struct index_check *ix = f->index = calloc(1, sizeof(*ix));
	struct index_shape shape = { f->settings->maxHashSlotNum, f->settings->maxIndexNum };
	int rc = ix ? MQ_OK : -ENOMEM;

	if (ix)
		ix->dirfd = openat(f->dir->fd, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rc == MQ_OK && f->has_views && ix->dirfd < 0 && f->mark.index_name[0])
		finding(f, FIX_VIEWS, "index", "%.31s is missing", f->mark.index_name);
	if (rc == MQ_OK && f->has_views && ix->dirfd >= 0) {
		ix->number = 1;
		(void)shape_of_index(ix->dirfd, &shape);
		rc = keyindex_open(ix->dirfd, shape.slots, shape.entries, "", 0, false, true, &ix->old);
		if (rc == MQ_OK)
			rc = list_files(f, ix);
		if (rc == MQ_OK && !is_whole(f, ix))
			close_old(ix);
	}
	if (rc != MQ_OK)
		trouble(f, rc);
}

static void
check_free(struct fsck *f)
{
	struct index_check *ix = f->index;

	if (!ix)
		return;
	close_old(ix);
	if (ix->dirfd >= 0)
		close(ix->dirfd);
	free(ix->files);
	free(ix);
	f->index = NULL;
}

const struct check check_index = { "index", begin, piece, end, check_free };
