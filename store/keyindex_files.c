#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/keyindex_priv.h"

#define MS_MAX ((int64_t)1 << 53) /* no time is later */
#define SLOTS_MAX (1 << 30)

/* --- their content -------------------------------------------------------------------- */

int
index_file_sync(const struct keyindex *ix, const struct index_file *f)
{
	return ix->never_sync ? MQ_OK : file_sync(f->fd, f->name);
}

int
index_header_write(const struct keyindex *ix, struct index_file *f, const struct index_header *h)
{
	unsigned char raw[HEADER_BYTES];
	int rc;

	be64_put(raw, h->begin_ms);
	be64_put(raw + 8, h->end_ms);
	be64_put(raw + 16, h->begin.byte);
	be64_put(raw + 24, h->end.byte);
	be32_put(raw + 32, h->slots_used);
	be32_put(raw + 36, h->count);
	rc = file_write(f->fd, raw, sizeof(raw), 0, f->name);
	return rc == MQ_OK ? index_file_sync(ix, f) : rc;
}

static void
header_decode(const unsigned char *raw, struct index_header *h)
{
	h->begin_ms = be64_get(raw);
	h->end_ms = be64_get(raw + 8);
	h->begin = MQ_POS(be64_get(raw + 16));
	h->end = MQ_POS(be64_get(raw + 24));
	h->slots_used = be32_get(raw + 32);
	h->count = be32_get(raw + 36);
	if (h->count <= 0)
		h->count = 1;
	if (h->begin_ms < 0 || h->begin_ms > MS_MAX)
		h->begin_ms = 0;
	if (h->slots_used < 0 || h->slots_used > SLOTS_MAX)
		h->slots_used = 0;
}

void
index_entry_encode(const struct index_entry *e, unsigned char *raw)
{
	be32_put(raw, e->hash);
	be64_put(raw + 4, e->pos.byte);
	be32_put(raw + 12, e->seconds);
	be32_put(raw + 16, e->older);
}

int
index_entry_read(const struct keyindex *ix, const struct index_file *f, int32_t number, struct index_entry *e)
{
	unsigned char raw[ENTRY_BYTES];
	int rc = file_read(f->fd, raw, sizeof(raw), index_entry_at(ix, number), f->name);

	if (rc != MQ_OK)
		return rc;
	e->hash = be32_get(raw);
	e->pos = MQ_POS(be64_get(raw + 4));
	e->seconds = be32_get(raw + 12);
	e->older = be32_get(raw + 16);
	return MQ_OK;
}

void
index_file_free(struct index_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

/* Open one file and put it on top of the list. */
static int
file_open(struct keyindex *ix, const char *name)
{
	unsigned char raw[HEADER_BYTES];
	struct index_file *f = calloc(1, sizeof(*f));
	struct stat st;
	int rc = MQ_OK;

	if (!f)
		return -ENOMEM;
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->fd = openat(ix->dirfd, name, (ix->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
	if (f->fd < 0 || fstat(f->fd, &st) != 0)
		rc = err_note(-errno, "index/%s: %m", name);
	else if (st.st_size != index_entry_at(ix, ix->max_entries))
		rc = err_note(MQ_ECORRUPT, "index/%s: %" PRId64 " bytes long, not %" PRId64, name,
			      (int64_t)st.st_size, index_entry_at(ix, ix->max_entries));
	else
		rc = file_read(f->fd, raw, sizeof(raw), 0, name);
	if (rc != MQ_OK) {
		index_file_free(f);
		return rc;
	}
	header_decode(raw, &f->h);
	if (f->h.count > ix->max_entries)
		f->h.count = (int32_t)ix->max_entries;
	f->older = ix->newest;
	ix->newest = f;
	return MQ_OK;
}

static void
name_now(char name[NAME_LEN + 1])
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(name, NAME_LEN + 1, "%Y%m%d%H%M%S", &tm);
	snprintf(name + NAME_LEN - 3, 4, "%03u", (unsigned)(now.tv_nsec / 1000000) % 1000);
}

/* A name behind every other, also when the clock went back. */
static void
next_name(const struct keyindex *ix, char name[NAME_LEN + 1])
{
	name_now(name);
	if (ix->newest && strcmp(name, ix->newest->name) <= 0)
		snprintf(name, NAME_LEN + 1, "%017llu", strtoull(ix->newest->name, NULL, 10) + 1);
}

/* Until its first entry a file has the times and places of the one before it
 * (which is where that entry's seconds count from). */
static void
begin_after(struct index_file *f)
{
	const struct index_header *before = &f->older->h;

	f->h.begin_ms = f->h.end_ms = before->end_ms;
	f->h.begin = f->h.end = before->end;
}

int
index_file_create(struct keyindex *ix)
{
	char name[NAME_LEN + 1];
	int rc = MQ_OK;

	MUST_HOLD(&ix->lock);
	next_name(ix, name);
	AUTO_CLOSE int fd = openat(ix->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_note(-errno, "index/%s: create: %m", name);
	if (ftruncate(fd, index_entry_at(ix, ix->max_entries)) != 0)
		rc = err_note(-errno, "index/%s: create: %m", name);
	if (rc == MQ_OK)
		rc = file_open(ix, name);
	if (rc != MQ_OK)
		unlinkat(ix->dirfd, name, 0);
	else if (ix->newest->older)
		begin_after(ix->newest);
	return rc;
}

/* --- opening ------------------------------------------------------------------------ */

static int
is_name(const struct dirent *e)
{
	return strspn(e->d_name, "0123456789") == NAME_LEN && !e->d_name[NAME_LEN];
}

int
index_slot_settled(const struct keyindex *ix, const struct index_file *f, int32_t newest, int32_t count, int32_t *ret)
{
	struct index_entry e;

	while (newest >= count) {
		int rc;

		if (newest >= ix->max_entries) {
			newest = 0;
			break;
		}
		rc = index_entry_read(ix, f, newest, &e);
		if (rc != MQ_OK)
			return rc;
		newest = e.older < newest ? e.older : 0;
	}
	*ret = newest < 0 ? 0 : newest;
	return MQ_OK;
}

/* The header as it was with `count` entries. */
static int
header_back(const struct keyindex *ix, struct index_file *f, int32_t count)
{
	struct index_entry last;
	int rc;

	f->h.count = count;
	if (count <= 1) {
		f->h = (struct index_header){ .count = 1, .end = MQ_POS(-1) };
		if (f->older)
			begin_after(f);
		return MQ_OK;
	}
	rc = index_entry_read(ix, f, count - 1, &last);
	if (rc != MQ_OK)
		return rc;
	f->h.end = last.pos;
	f->h.end_ms = f->h.begin_ms + (count == 2 ? 0 : last.seconds * 1000LL);
	return MQ_OK;
}

int
index_take_back(struct keyindex *ix, int32_t count)
{
	struct index_file *f = ix->newest;
	size_t bytes = (size_t)ix->slots * SLOT_BYTES;
	AUTO_FREE unsigned char *slots = malloc(bytes);
	int rc;

	if (!slots)
		return -ENOMEM;
	rc = file_read(f->fd, slots, bytes, index_slot_at(0), f->name);
	if (rc == MQ_OK)
		rc = header_back(ix, f, count);
	f->h.slots_used = 0;
	for (int64_t i = 0; rc == MQ_OK && i < ix->slots; i++) {
		int32_t newest = be32_get(slots + i * SLOT_BYTES);

		rc = index_slot_settled(ix, f, newest, count, &newest);
		be32_put(slots + i * SLOT_BYTES, newest);
		f->h.slots_used += newest != 0;
	}
	if (rc != MQ_OK)
		return rc;
	rc = file_write(f->fd, slots, bytes, index_slot_at(0), f->name);
	return rc == MQ_OK ? index_header_write(ix, f, &f->h) : rc;
}

/* The newest file, as the checkpoint left it. */
static int
go_on_with(struct keyindex *ix, const char *name, int32_t count)
{
	int rc = MQ_OK;

	if (*name && (!ix->newest || strcmp(ix->newest->name, name) != 0))
		return err_note(MQ_ECORRUPT, "index/%s is missing", name);
	if (!ix->newest)
		return MQ_OK;
	if (count > ix->newest->h.count || count < 1)
		return err_note(MQ_ECORRUPT, "index/%s has %" PRId32 " entries, not %" PRId32, name,
				ix->newest->h.count, count);
	if (count < ix->newest->h.count)
		rc = index_take_back(ix, count);
	ix->known = ix->newest->h.end;
	return rc;
}

/* One name of the directory: files made after the checkpoint do not count. */
static int
load_file(struct keyindex *ix, const char *name, bool counts)
{
	int rc;

	if (!counts) {
		if (unlinkat(ix->dirfd, name, 0) != 0)
			return err_note(-errno, "index/%s: remove: %m", name);
		return MQ_OK;
	}
	rc = file_open(ix, name);
	if (rc == MQ_ECORRUPT && ix->read_only) {
		log_warn("%s: not used", err_text(rc));
		return MQ_OK;
	}
	return rc;
}

int
index_load(struct keyindex *ix, const char *name, int32_t count, bool rebuild)
{
	struct dirent **list;
	int rc = MQ_OK, n;

	n = scandirat(ix->dirfd, ".", &list, is_name, alphasort);
	if (n < 0)
		return err_note(-errno, "index: %m");
	for (int i = 0; i < n; i++) {
		const char *file = list[i]->d_name;

		if (rc == MQ_OK)
			rc = load_file(ix, file, ix->read_only || (!rebuild && strcmp(file, name) <= 0));
		free(list[i]);
	}
	free(list);
	if (rc != MQ_OK || rebuild || ix->read_only)
		return rc;
	return go_on_with(ix, name, count);
}

/* --- removing ------------------------------------------------------------------------- */

void
index_file_unref(struct index_file *f)
{
	if (--f->refs == 0 && f->removed)
		index_file_free(f);
}

/* A search that reads the file ends with it, since older files are removed before it. */
bool
index_file_remove(struct keyindex *ix, struct index_file **at)
{
	struct index_file *f = *at;

	MUST_HOLD(&ix->lock);
	if (unlinkat(ix->dirfd, f->name, 0) != 0 && errno != ENOENT) {
		log_warn("index/%s: remove: %s", f->name, strerror(errno));
		return false;
	}
	*at = f->older;
	f->older = NULL;
	f->removed = true;
	f->refs++;
	index_file_unref(f);
	return true;
}

/* The number of the first entry of f at `at` or behind; its count if there is none. */
static int
first_behind(const struct keyindex *ix, const struct index_file *f, mq_pos at, int32_t *ret)
{
	int32_t low = 1, high = f->h.count;
	struct index_entry e;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;
		int rc = index_entry_read(ix, f, middle, &e);

		if (rc != MQ_OK)
			return rc;
		if (e.pos.byte < at.byte)
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return MQ_OK;
}

int
index_remove_behind(struct keyindex *ix, mq_pos at, int32_t *ret)
{
	while (ix->newest) {
		int rc = first_behind(ix, ix->newest, at, ret);

		if (rc != MQ_OK || *ret > 1)
			return rc;
		if (!index_file_remove(ix, &ix->newest))
			return -EIO;
	}
	return MQ_OK;
}
