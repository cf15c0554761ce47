/* check_index.c - index/ against the log.
 *
 * Entries lie in the order of the log, so both are read side by side: the next key
 * of the next record must be the next entry, its hash and time must be right, and it
 * must lead to the newest entry before it with the same slot.  What the slots of a
 * file should be follows from its entries alone, and is compared when it ends.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fsck.h"
#include "store/file.h"
#include "store/keyindex.h"
#include "store/shape.h"

#define HEADER_BYTES 40
#define SLOT_BYTES 4
#define ENTRY_BYTES 20
#define NAME_LEN 17
#define BLOCK_ENTRIES 4096

struct entry {
	int32_t hash;
	mq_pos pos;
	int32_t seconds;
	int32_t older;
};

struct header {
	int64_t begin_ms, end_ms;
	mq_pos begin, end;
	int32_t slots_used, count;
};

struct index_check {
	char **names;		/* files that count, oldest first */
	size_t n_names;
	bool none_expected;	/* nothing was ever indexed here */
	size_t next_file;

	/* the file that is read */
	char where[64];
	int fd;			/* -1: none */
	int64_t slots, max_entries;
	struct header h;
	int32_t count;		/* entries that count */
	int32_t number;		/* of the next */
	int32_t *newest;	/* of each slot */
	int32_t used;
	int64_t before_ms;	/* end of the file before */
	int64_t last_ms;	/* of the record of the last entry; -1: not known */
	mq_pos last_pos;
	unsigned char block[BLOCK_ENTRIES * ENTRY_BYTES];
	int32_t block_from, block_n;
};

/* --- files --------------------------------------------------------------------------- */

static int
is_name(const struct dirent *e)
{
	return strspn(e->d_name, "0123456789") == NAME_LEN && !e->d_name[NAME_LEN];
}

/* How many slots and entries a file of that length has. */
static bool
guess_shape(struct fsck *f, struct index_check *ix, int64_t bytes)
{
	struct index_shape shape = { f->settings->maxHashSlotNum, f->settings->maxIndexNum };

	if (!index_shape_guess(bytes, &shape))
		return false;
	/* what is made anew has the same shape */
	f->settings->maxHashSlotNum = ix->slots = shape.slots;
	f->settings->maxIndexNum = ix->max_entries = shape.entries;
	return true;
}

static void
header_read(struct index_check *ix, const unsigned char *raw)
{
	ix->h = (struct header){
		.begin_ms = be64_get(raw),
		.end_ms = be64_get(raw + 8),
		.begin = MQ_POS(be64_get(raw + 16)),
		.end = MQ_POS(be64_get(raw + 24)),
		.slots_used = be32_get(raw + 32),
		.count = be32_get(raw + 36),
	};
	if (ix->h.count <= 0)
		ix->h.count = 1;
}

/* How many entries the last checkpoint counts in this file. */
static void
count_entries(struct fsck *f, struct index_check *ix, const char *name)
{
	bool is_last = f->has_mark && strcmp(name, f->mark.index_name) == 0;

	ix->count = ix->h.count;
	if (ix->h.count > ix->max_entries)
		finding(f, FIX_VIEWS, ix->where, "%" PRId32 " entries, there is room for %" PRId64, ix->h.count,
			ix->max_entries);
	else if (is_last && (f->mark.index_count > ix->h.count ||
			     (f->dir->was_clean && f->mark.index_count != ix->h.count)))
		finding(f, FIX_VIEWS, ix->where, "%" PRId32 " entries, the last checkpoint counts %" PRId32,
			ix->h.count, f->mark.index_count);
	if (is_last && f->mark.index_count < ix->count)
		ix->count = f->mark.index_count;
	if (ix->count > ix->max_entries)
		ix->count = (int32_t)ix->max_entries;
}

static bool
file_open(struct fsck *f, struct index_check *ix, const char *name)
{
	unsigned char raw[HEADER_BYTES];
	struct stat st;

	snprintf(ix->where, sizeof(ix->where), "index/%s", name);
	AUTO_CLOSE int dirfd = openat(f->dir->fd, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSE int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 || !guess_shape(f, ix, st.st_size) ||
	    file_read(fd, raw, sizeof(raw), 0, name) != MQ_OK) {
		finding(f, FIX_VIEWS, ix->where, "cannot be read, or its length cannot be");
		return false;
	}
	ix->newest = calloc((size_t)ix->slots, sizeof(*ix->newest));
	if (!ix->newest) {
		trouble(f, -ENOMEM);
		return false;
	}
	header_read(ix, raw);
	count_entries(f, ix, name);
	ix->number = 1;
	ix->used = ix->block_n = 0;
	ix->last_ms = -1;
	ix->last_pos = MQ_POS(-1);
	ix->fd = take_fd(&fd);
	return true;
}

/* --- the end of a file ------------------------------------------------------------------- */

static void
check_slots(struct fsck *f, struct index_check *ix)
{
	enum { AT_ONCE = 16384 };
	AUTO_FREE unsigned char *raw = malloc(AT_ONCE * SLOT_BYTES);

	for (int64_t from = 0; raw && from < ix->slots; from += AT_ONCE) {
		int64_t n = ix->slots - from < AT_ONCE ? ix->slots - from : AT_ONCE;

		if (file_read(ix->fd, raw, (size_t)n * SLOT_BYTES, HEADER_BYTES + from * SLOT_BYTES,
			      ix->where) != MQ_OK)
			return;
		for (int64_t i = 0; i < n; i++) {
			int32_t has = be32_get(raw + i * SLOT_BYTES), want = ix->newest[from + i];

			/* behind what the checkpoint counts, a crash may have left more */
			if (has != want && (f->dir->was_clean || (has < ix->count && has >= 0)))
				finding(f, FIX_VIEWS, ix->where,
					"slot %" PRId64 " leads to entry %" PRId32 ", not %" PRId32,
					from + i, has, want);
		}
	}
}

static void
check_header(struct fsck *f, struct index_check *ix)
{
	struct header *h = &ix->h;

	if (ix->count != h->count || ix->count <= 1)
		return;			/* it says what came behind, or nothing */
	if (h->slots_used != ix->used)
		finding(f, FIX_VIEWS, ix->where, "it says that %" PRId32 " slots are used, %" PRId32 " are",
			h->slots_used, ix->used);
	if (h->end.byte != ix->last_pos.byte)
		finding(f, FIX_VIEWS, ix->where,
			"it says that it ends with the record at %" PRId64 ", it does at %" PRId64,
			h->end.byte, ix->last_pos.byte);
	if (ix->last_ms >= 0 && h->end_ms != ix->last_ms)
		finding(f, FIX_VIEWS, ix->where,
			"it says that it ends at %" PRId64 " ms, it does at %" PRId64, h->end_ms,
			ix->last_ms);
}

static void
file_close(struct fsck *f, struct index_check *ix)
{
	if (ix->fd < 0)
		return;
	check_slots(f, ix);
	check_header(f, ix);
	ix->before_ms = ix->h.end_ms;
	close(ix->fd);
	ix->fd = -1;
	free(take_ptr(ix->newest));
}

/* --- entries -------------------------------------------------------------------------------- */

/* The next entry, in this file or the next one; false: there is none. */
static bool
entry_peek(struct fsck *f, struct index_check *ix, struct entry *e)
{
	const unsigned char *raw;

	while (ix->fd < 0 || ix->number >= ix->count) {
		file_close(f, ix);
		if (ix->next_file == ix->n_names)
			return false;
		(void)file_open(f, ix, ix->names[ix->next_file++]);
	}
	if (ix->block_n == 0 || ix->number >= ix->block_from + ix->block_n) {
		ix->block_from = ix->number;
		ix->block_n = ix->count - ix->number < BLOCK_ENTRIES ? ix->count - ix->number : BLOCK_ENTRIES;
		if (file_read(ix->fd, ix->block, (size_t)ix->block_n * ENTRY_BYTES,
			      HEADER_BYTES + ix->slots * SLOT_BYTES +
			      (int64_t)ix->number * ENTRY_BYTES, ix->where) != MQ_OK)
			memset(ix->block, 0, sizeof(ix->block));
	}
	raw = ix->block + (size_t)(ix->number - ix->block_from) * ENTRY_BYTES;
	e->hash = be32_get(raw);
	e->pos = MQ_POS(be64_get(raw + 4));
	e->seconds = be32_get(raw + 12);
	e->older = be32_get(raw + 16);
	return true;
}

/* The entry has been looked at; it is the newest of its slot now. */
static void
entry_pass(struct fsck *f, struct index_check *ix, const struct entry *e, int64_t ms)
{
	int32_t *newest = e->hash >= 0 ? &ix->newest[e->hash % ix->slots] : NULL;

	if (!newest || e->older != *newest)
		finding(f, FIX_VIEWS, ix->where, "entry %" PRId32 " leads to entry %" PRId32 ", not %" PRId32,
			ix->number, e->older, newest ? *newest : 0);
	if (newest) {
		ix->used += *newest == 0;
		*newest = ix->number;
	}
	if (ix->number == 1 && e->pos.byte != ix->h.begin.byte)
		finding(f, FIX_VIEWS, ix->where,
			"it says that it begins with the record at %" PRId64 ", it does at %" PRId64,
			ix->h.begin.byte, e->pos.byte);
	ix->last_pos = e->pos;
	ix->last_ms = ms;
	ix->number++;
}

static int64_t
seconds_of(const struct index_check *ix, int64_t ms)
{
	int64_t base = ix->number == 1 ? ix->before_ms : ix->h.begin_ms;
	int64_t s = base <= 0 || ms <= base ? 0 : (ms - base) / 1000;

	return s > INT32_MAX ? INT32_MAX : s;
}

/* The first entry's count from the file before, which retention may have removed. */
static bool
seconds_known(const struct fsck *f, const struct index_check *ix)
{
	return ix->number > 1 || ix->next_file > 1 || f->begin.byte == 0;
}

static void
check_entry(struct fsck *f, struct index_check *ix, const struct entry *e, const struct record *rec,
	    int32_t hash)
{
	if (e->hash != hash)
		finding(f, FIX_VIEWS, ix->where,
			"entry %" PRId32 " has another hash than its key, of the record at %" PRId64,
			ix->number, rec->pos.byte);
	if (seconds_known(f, ix) && e->seconds != seconds_of(ix, rec->store_ms))
		finding(f, FIX_VIEWS, ix->where,
			"entry %" PRId32 " says %" PRId32 " s, the record at %" PRId64 " %" PRId64,
			ix->number, e->seconds, rec->pos.byte, seconds_of(ix, rec->store_ms));
	if (ix->number == 1 && rec->store_ms != ix->h.begin_ms)
		finding(f, FIX_VIEWS, ix->where,
			"it says that it begins at %" PRId64 " ms, it does at %" PRId64,
			ix->h.begin_ms, rec->store_ms);
}

/* Entries of records that the log has no more, or cannot read. */
static void
skip_to(struct fsck *f, struct index_check *ix, mq_pos pos)
{
	struct entry e;

	while (entry_peek(f, ix, &e) && e.pos.byte < pos.byte) {
		if (e.pos.byte >= f->begin.byte && !is_lost(f, e.pos))
			finding(f, FIX_VIEWS, ix->where,
				"entry %" PRId32 " is of no record with such a key, at %" PRId64,
				ix->number, e.pos.byte);
		entry_pass(f, ix, &e, -1);
	}
}

static void
check_key(void *arg, const struct record *rec, int32_t hash)
{
	struct fsck *f = arg;
	struct index_check *ix = f->index;
	struct entry e;
	char where[64];

	skip_to(f, ix, rec->pos);
	if (entry_peek(f, ix, &e) && e.pos.byte == rec->pos.byte) {
		check_entry(f, ix, &e, rec, hash);
		entry_pass(f, ix, &e, rec->store_ms);
		return;
	}
	snprintf(where, sizeof(where), "log at %" PRId64, rec->pos.byte);
	if (!ix->none_expected)
		finding(f, FIX_VIEWS, where, "a key of it is not in the key index");
}

/* --- the check ---------------------------------------------------------------------------------- */

static void
begin(struct fsck *f)
{
	struct index_check *ix = f->index = calloc(1, sizeof(*ix));
	AUTO_CLOSE int dirfd = openat(f->dir->fd, "index", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent **list = NULL;
	int n = dirfd < 0 ? 0 : scandirat(dirfd, ".", &list, is_name, alphasort);

	if (!ix || n < 0) {
		trouble(f, -ENOMEM);
		return;
	}
	ix->fd = -1;
	ix->names = calloc((size_t)n + 1, sizeof(*ix->names));
	for (int i = 0; i < n; i++) {
		bool counts = !f->has_mark || strcmp(list[i]->d_name, f->mark.index_name) <= 0;

		if (counts && ix->names)
			ix->names[ix->n_names++] = strdup(list[i]->d_name);
		else if (f->dir->was_clean && ix->names)
			finding(f, FIX_VIEWS, "index", "%s is newer than the last checkpoint", list[i]->d_name);
		free(list[i]);
	}
	free(list);
	for (size_t i = 0; i < ix->n_names; i++)
		if (!ix->names[i])
			trouble(f, -ENOMEM);
	if (f->has_views && f->has_mark && f->mark.index_name[0] &&
	    (ix->n_names == 0 || strcmp(ix->names[ix->n_names - 1], f->mark.index_name) != 0))
		finding(f, FIX_VIEWS, "index", "%.31s is missing", f->mark.index_name);
	/* messageIndexEnable=false */
	ix->none_expected = ix->n_names == 0 && (!f->has_mark || !f->mark.index_name[0]);
}

static void
piece(struct fsck *f, const struct log_piece *p)
{
	if (p->kind == PIECE_RECORD && f->has_views && is_promised(f, p->pos))
		keyindex_each_hash(&p->rec, check_key, f);
}

static void
end(struct fsck *f)
{
	skip_to(f, f->index, MQ_POS(INT64_MAX));
	file_close(f, f->index);
}

static void
check_free(struct fsck *f)
{
	struct index_check *ix = f->index;

	if (!ix)
		return;
	for (size_t i = 0; i < ix->n_names; i++)
		free(ix->names[i]);
	free(ix->names);
	free(ix->newest);
	if (ix->fd >= 0)
		close(ix->fd);
	free(ix);
	f->index = NULL;
}

const struct check check_index = { "key index", begin, piece, end, check_free };
