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
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/keyindex.h"

#define HEADER_BYTES 40
#define SLOT_BYTES 4
#define ENTRY_BYTES 20
#define MS_MAX ((int64_t)1 << 53) /* no time is later */
#define SLOTS_MAX (1 << 30)
#define NAME_LEN 17		/* yyyyMMddHHmmssSSS */

struct header {
	int64_t begin_ms, end_ms;
	mq_pos begin, end;
	int32_t slots_used;
	int32_t count;		/* next entry number */
};

struct entry {
	int32_t hash;
	mq_pos pos;
	int32_t seconds;
	int32_t older;
};

/* One file; the newest is the one that grows. */
struct index_file {
	char name[NAME_LEN + 1];
	int fd;
	struct header h;
	int refs;		/* those who read it */
	bool removed;		/* freed by the last of them */
	struct index_file *older;
};

/* A slot that has changed since the last flush. */
struct changed_slot {
	int32_t slot;		/* -1: free */
	int32_t newest;
};

/* Entries of one file that are only in memory.  A checkpoint freezes the set it
 * finds and writes it without a lock; new entries go to the next one. */
struct set {
	struct index_file *file;
	struct header h;		/* of the file, with these entries */
	int32_t first;			/* number of entries[0] */
	struct entry *entries;
	size_t n, max;
	struct changed_slot *changed;	/* open hash */
	size_t changed_n, changed_size;	/* size: a power of two */
	struct set *older;
};

struct keyindex {
	int dirfd;
	int64_t slots, max_entries;
	bool read_only;
	struct lock lock;
	struct index_file *newest;
	struct set *sets;		/* newest first */
	mq_pos known;			/* records up to here are indexed */
};

/* --- files ------------------------------------------------------------------------ */

static int64_t
slot_at(int64_t slot)
{
	return HEADER_BYTES + slot * SLOT_BYTES;
}

static int64_t
entry_at(const struct keyindex *ix, int64_t number)
{
	return HEADER_BYTES + ix->slots * SLOT_BYTES + number * ENTRY_BYTES;
}

static void
header_encode(const struct header *h, unsigned char *raw)
{
	be64_put(raw, h->begin_ms);
	be64_put(raw + 8, h->end_ms);
	be64_put(raw + 16, h->begin.byte);
	be64_put(raw + 24, h->end.byte);
	be32_put(raw + 32, h->slots_used);
	be32_put(raw + 36, h->count);
}

static void
header_decode(const unsigned char *raw, struct header *h)
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

static void
entry_encode(const struct entry *e, unsigned char *raw)
{
	be32_put(raw, e->hash);
	be64_put(raw + 4, e->pos.byte);
	be32_put(raw + 12, e->seconds);
	be32_put(raw + 16, e->older);
}

static int
entry_read(const struct keyindex *ix, const struct index_file *f, int32_t number, struct entry *e)
{
	unsigned char raw[ENTRY_BYTES];
	int rc = file_read(f->fd, raw, sizeof(raw), entry_at(ix, number), f->name);

	if (rc != MQ_OK)
		return rc;
	e->hash = be32_get(raw);
	e->pos = MQ_POS(be64_get(raw + 4));
	e->seconds = be32_get(raw + 12);
	e->older = be32_get(raw + 16);
	return MQ_OK;
}

static void
file_free(struct index_file *f)
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
	else if (st.st_size != entry_at(ix, ix->max_entries))
		rc = err_note(MQ_ECORRUPT, "index/%s: %" PRId64 " bytes long, not %" PRId64, name,
			      (int64_t)st.st_size, entry_at(ix, ix->max_entries));
	else
		rc = file_read(f->fd, raw, sizeof(raw), 0, name);
	if (rc != MQ_OK) {
		file_free(f);
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
	snprintf(name, NAME_LEN + 1, "%04u%02u%02u%02u%02u%02u%03u", (unsigned)(tm.tm_year + 1900) % 10000,
		 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, (unsigned)(now.tv_nsec / 1000000) % 1000);
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
	const struct header *before = &f->older->h;

	f->h.begin_ms = f->h.end_ms = before->end_ms;
	f->h.begin = f->h.end = before->end;
}

static int
file_create(struct keyindex *ix)
{
	char name[NAME_LEN + 1];
	int rc = MQ_OK;

	next_name(ix, name);
	AUTO_CLOSE int fd = openat(ix->dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_note(-errno, "index/%s: create: %m", name);
	if (ftruncate(fd, entry_at(ix, ix->max_entries)) != 0)
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

/* A slot's newest entry below `count`, following entries made after the checkpoint. */
static int
settled(const struct keyindex *ix, const struct index_file *f, int32_t newest, int32_t count, int32_t *ret)
{
	struct entry e;

	while (newest >= count) {
		int rc;

		if (newest >= ix->max_entries) {
			newest = 0;
			break;
		}
		rc = entry_read(ix, f, newest, &e);
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
	struct entry last;
	int rc;

	f->h.count = count;
	if (count <= 1) {
		f->h = (struct header){ .count = 1, .end = MQ_POS(-1) };
		if (f->older)
			begin_after(f);
		return MQ_OK;
	}
	rc = entry_read(ix, f, count - 1, &last);
	if (rc != MQ_OK)
		return rc;
	f->h.end = last.pos;
	f->h.end_ms = f->h.begin_ms + (count == 2 ? 0 : last.seconds * 1000LL);
	return MQ_OK;
}

/* Take the newest file back to `count` entries: a crash came between the
 * index's own sync and the checkpoint that would have told of it.  It is synced
 * before anything else is written, or a slot could lead to what comes next. */
static int
take_back(struct keyindex *ix, int32_t count)
{
	struct index_file *f = ix->newest;
	size_t bytes = (size_t)ix->slots * SLOT_BYTES;
	AUTO_FREE unsigned char *slots = malloc(bytes);
	unsigned char raw[HEADER_BYTES];
	int rc;

	if (!slots)
		return -ENOMEM;
	rc = file_read(f->fd, slots, bytes, slot_at(0), f->name);
	if (rc == MQ_OK)
		rc = header_back(ix, f, count);
	f->h.slots_used = 0;
	for (int64_t i = 0; rc == MQ_OK && i < ix->slots; i++) {
		int32_t newest = be32_get(slots + i * SLOT_BYTES);

		rc = settled(ix, f, newest, count, &newest);
		be32_put(slots + i * SLOT_BYTES, newest);
		f->h.slots_used += newest != 0;
	}
	if (rc != MQ_OK)
		return rc;
	header_encode(&f->h, raw);
	rc = file_write(f->fd, slots, bytes, slot_at(0), f->name);
	if (rc == MQ_OK)
		rc = file_write(f->fd, raw, sizeof(raw), 0, f->name);
	return rc == MQ_OK ? file_sync(f->fd, f->name) : rc;
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
		rc = take_back(ix, count);
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

static int
load(struct keyindex *ix, const char *name, int32_t count, bool rebuild)
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

int
keyindex_open(int dirfd, int64_t slots, int64_t entries, const char *name, int32_t count, bool rebuild,
	      bool read_only, struct keyindex **ret)
{
	struct keyindex *ix = calloc(1, sizeof(*ix));
	int rc;

	if (!ix)
		return -ENOMEM;
	ix->dirfd = dirfd;
	ix->slots = slots;
	ix->max_entries = entries;
	ix->read_only = read_only;
	ix->known = MQ_POS(-1);
	lock_init(&ix->lock, RANK_INDEX);
	rc = load(ix, name, count, rebuild);
	if (rc != MQ_OK) {
		keyindex_close(ix);
		return rc;
	}
	*ret = ix;
	return MQ_OK;
}

static void
set_free(struct set *set)
{
	free(set->entries);
	free(set->changed);
	free(set);
}

void
keyindex_close(struct keyindex *ix)
{
	struct index_file *older;
	struct set *older_set;

	if (!ix)
		return;
	for (struct set *set = ix->sets; set; set = older_set) {
		older_set = set->older;
		set_free(set);
	}
	for (struct index_file *f = ix->newest; f; f = older) {
		older = f->older;
		file_free(f);
	}
	lock_destroy(&ix->lock);
	free(ix);
}

/* --- sets in memory ------------------------------------------------------------------- */

static struct changed_slot *
changed_find(const struct set *set, int32_t slot)
{
	size_t i = (uint32_t)slot * 2654435761u & (set->changed_size - 1);

	while (set->changed[i].slot != slot && set->changed[i].slot != -1)
		i = (i + 1) & (set->changed_size - 1);
	return &set->changed[i];
}

static int
changed_grow(struct set *set)
{
	struct changed_slot *old = set->changed, *changed;
	size_t old_size = set->changed_size, size = old_size ? 2 * old_size : 256;

	changed = malloc(size * sizeof(*changed));
	if (!changed)
		return -ENOMEM;
	for (size_t i = 0; i < size; i++)
		changed[i].slot = -1;
	set->changed = changed;
	set->changed_size = size;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].slot != -1)
			*changed_find(set, old[i].slot) = old[i];
	free(old);
	return MQ_OK;
}

/* Room for one more entry. */
static int
set_reserve(struct set *set)
{
	if (set->n == set->max) {
		size_t max = set->max ? 2 * set->max : 128;
		struct entry *entries = realloc(set->entries, max * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		set->entries = entries;
		set->max = max;
	}
	if (2 * (set->changed_n + 1) > set->changed_size)
		return changed_grow(set);
	return MQ_OK;
}

/* A new set on top, for the newest file. */
static int
set_add(struct keyindex *ix)
{
	struct set *set = calloc(1, sizeof(*set));

	if (!set)
		return -ENOMEM;
	set->file = ix->newest;
	set->first = ix->newest->h.count;
	set->h = ix->newest->h;
	set->older = ix->sets;
	ix->sets = set;
	return MQ_OK;
}

/* Called with the lock. */
static bool
slot_in_memory(const struct keyindex *ix, const struct index_file *f, int32_t slot, int32_t *ret)
{
	for (const struct set *set = ix->sets; set; set = set->older) {
		const struct changed_slot *c;

		if (set->file != f || !set->changed_size)
			continue;
		c = changed_find(set, slot);
		if (c->slot == slot) {
			*ret = c->newest;
			return true;
		}
	}
	return false;
}

static int
slot_on_disk(const struct keyindex *ix, const struct index_file *f, int32_t count, int32_t slot, int32_t *ret)
{
	unsigned char raw[SLOT_BYTES];
	int rc = file_read(f->fd, raw, sizeof(raw), slot_at(slot), f->name);

	return rc == MQ_OK ? settled(ix, f, be32_get(raw), count, ret) : rc;
}

/* --- putting ---------------------------------------------------------------------------- */

static int32_t
key_hash(const char *topic, size_t topic_len, const char *key, size_t key_len)
{
	int32_t h = java_hash(topic, topic_len, 0);

	h = java_hash("#", 1, h);
	h = java_hash(key, key_len, h);
	if (h == INT32_MIN)
		return 0;
	return h < 0 ? -h : h;
}

/* A file and a set that can take one more entry. */
static int
make_room(struct keyindex *ix)
{
	int rc = MQ_OK;

	if (!ix->newest || ix->newest->h.count >= ix->max_entries)
		rc = file_create(ix);
	if (rc == MQ_OK && (!ix->sets || ix->sets->file != ix->newest))
		rc = set_add(ix);
	return rc == MQ_OK ? set_reserve(ix->sets) : rc;
}

static int
put_key(void *arg, const struct record *rec, const char *key, size_t key_len)
{
	struct keyindex *ix = arg;
	struct changed_slot *c;
	struct header *h;
	int32_t hash, slot, older;
	int64_t seconds;
	int rc;

	rc = make_room(ix);
	if (rc != MQ_OK)
		return rc;
	h = &ix->newest->h;
	hash = key_hash(rec->topic, (size_t)rec->topic_len, key, key_len);
	slot = (int32_t)(hash % ix->slots);
	rc = slot_in_memory(ix, ix->newest, slot, &older) ? MQ_OK
							   : slot_on_disk(ix, ix->newest, h->count, slot, &older);
	if (rc != MQ_OK)
		return rc;
	seconds = h->begin_ms <= 0 ? 0 : (rec->store_ms - h->begin_ms) / 1000;
	seconds = seconds < 0 ? 0 : seconds > INT32_MAX ? INT32_MAX : seconds;
	ix->sets->entries[ix->sets->n++] = (struct entry){
		.hash = hash, .pos = rec->pos, .seconds = (int32_t)seconds, .older = older,
	};
	c = changed_find(ix->sets, slot);
	ix->sets->changed_n += c->slot == -1;
	*c = (struct changed_slot){ .slot = slot, .newest = h->count };
	if (h->count <= 1) {
		h->begin_ms = rec->store_ms;
		h->begin = rec->pos;
	}
	h->slots_used += older == 0;
	h->count++;
	h->end_ms = rec->store_ms;
	h->end = rec->pos;
	ix->sets->h = *h;
	return MQ_OK;
}

/* Each key of rec, until each() fails: UNIQ_KEY, then each word of KEYS. */
static int
each_key(const struct record *rec, int (*each)(void *arg, const struct record *rec, const char *key, size_t len),
	 void *arg)
{
	size_t len;
	const char *key;
	int rc = MQ_OK;

	if ((rec->sysflag & SYSFLAG_TRANSACTION) == SYSFLAG_ROLLBACK)
		return MQ_OK;
	key = record_property(rec->props, (size_t)rec->props_len, "UNIQ_KEY", &len);
	if (key)
		rc = each(arg, rec, key, len);
	key = record_property(rec->props, (size_t)rec->props_len, "KEYS", &len);
	while (rc == MQ_OK && key && len > 0) {
		const char *space = memchr(key, ' ', len);
		size_t n = space ? (size_t)(space - key) : len;

		if (n > 0)
			rc = each(arg, rec, key, n);
		len -= space ? n + 1 : n;
		key += space ? n + 1 : n;
	}
	return rc;
}

int
keyindex_put(struct keyindex *ix, const struct record *rec)
{
	int rc;

	if ((rec->sysflag & SYSFLAG_TRANSACTION) == SYSFLAG_ROLLBACK || ix->read_only)
		return MQ_OK;
	LOCKED(&ix->lock);
	if (rec->pos.byte <= ix->known.byte)
		return MQ_OK;
	rc = each_key(rec, put_key, ix);
	ix->known = rec->pos;
	return rc;
}

struct hash_each {
	void (*each)(void *arg, const struct record *rec, int32_t hash);
	void *arg;
};

static int
tell_hash(void *arg, const struct record *rec, const char *key, size_t len)
{
	const struct hash_each *h = arg;

	h->each(h->arg, rec, key_hash(rec->topic, (size_t)rec->topic_len, key, len));
	return MQ_OK;
}

void
keyindex_each_hash(const struct record *rec, void (*each)(void *arg, const struct record *rec, int32_t hash), void *arg)
{
	struct hash_each h = { each, arg };

	(void)each_key(rec, tell_hash, &h);
}

/* --- finding ----------------------------------------------------------------------------- */

struct query {
	int32_t hash;
	int64_t from_ms, to_ms;
	mq_pos *pos;
	size_t max, n;
};

/* What is in no set (any more) is in the file: so a slow disk is read without
 * the lock, and holds up no append. */
static int
entry_get(struct keyindex *ix, const struct index_file *f, int32_t number, struct entry *e)
{
	lock_take(&ix->lock);
	for (const struct set *set = ix->sets; set; set = set->older)
		if (set->file == f && number >= set->first && (size_t)(number - set->first) < set->n) {
			*e = set->entries[number - set->first];
			lock_drop(&ix->lock);
			return MQ_OK;
		}
	lock_drop(&ix->lock);
	return entry_read(ix, f, number, e);
}

static int
slot_get(struct keyindex *ix, const struct index_file *f, int32_t count, int32_t slot, int32_t *ret)
{
	bool known;

	lock_take(&ix->lock);
	known = slot_in_memory(ix, f, slot, ret);
	lock_drop(&ix->lock);
	return known ? MQ_OK : slot_on_disk(ix, f, count, slot, ret);
}

static int
find_in(struct keyindex *ix, const struct index_file *f, const struct header *h, struct query *q)
{
	int32_t number = 0;
	int rc;

	rc = slot_get(ix, f, h->count, (int32_t)(q->hash % ix->slots), &number);
	while (rc == MQ_OK && number > 0 && q->n < q->max) {
		struct entry e;
		int64_t ms;

		rc = entry_get(ix, f, number, &e);
		if (rc != MQ_OK)
			break;
		/* the first entry's seconds count from the file before */
		ms = h->begin_ms + (number == 1 ? 0 : e.seconds * 1000LL);
		if (ms + 999 < q->from_ms)
			break;
		if (e.hash == q->hash && ms <= q->to_ms)
			q->pos[q->n++] = e.pos;
		if (e.older >= number)
			break;		/* damaged: a chain only leads back */
		number = e.older;
	}
	return rc;
}

/* Called with the lock. */
static void
file_unref(struct index_file *f)
{
	if (--f->refs == 0 && f->removed)
		file_free(f);
}

/* The newest file for f NULL, else the one before it, with its header now.  The
 * reference to f goes over to it. */
static struct index_file *
next_file(struct keyindex *ix, struct index_file *f, struct header *ret_h)
{
	struct index_file *next;

	LOCKED(&ix->lock);
	next = f ? f->older : ix->newest;
	if (next) {
		next->refs++;
		*ret_h = next->h;
	}
	if (f)
		file_unref(f);
	return next;
}

int
keyindex_find(struct keyindex *ix, const char *topic, const char *key, int64_t from_ms, int64_t to_ms,
	      mq_pos *ret_pos, size_t max, size_t *ret_n)
{
	struct query q = { .from_ms = from_ms, .to_ms = to_ms, .pos = ret_pos, .max = max };
	struct index_file *f = NULL;
	struct header h;
	int rc = MQ_OK;

	q.hash = key_hash(topic, strlen(topic), key, strlen(key));
	while (rc == MQ_OK && q.n < max && (f = next_file(ix, f, &h))) {
		if (h.count <= 1 || h.begin_ms > to_ms || h.end_ms < from_ms)
			continue;
		rc = find_in(ix, f, &h, &q);
		if (h.begin_ms < from_ms)
			break;
	}
	if (f) {
		LOCKED(&ix->lock);
		file_unref(f);
	}
	if (rc == MQ_OK)
		*ret_n = q.n;
	return rc;
}

/* --- what retention takes ------------------------------------------------------------------ */

/* Called with the lock. */
static bool
is_outlived(const struct keyindex *ix, const struct index_file *f, mq_pos begin)
{
	for (const struct set *set = ix->sets; set; set = set->older)
		if (set->file == f)
			return false;
	return f->h.end.byte < begin.byte;
}

/* Who reads it now reads it to its end, and stops there: those before it go, too.
 * False: it stays.  Called with the lock. */
static bool
remove_file(struct keyindex *ix, struct index_file **at)
{
	struct index_file *f = *at;

	if (unlinkat(ix->dirfd, f->name, 0) != 0 && errno != ENOENT) {
		log_warn("index/%s: remove: %s", f->name, strerror(errno));
		return false;
	}
	*at = f->older;
	f->older = NULL;
	f->removed = true;
	f->refs++;
	file_unref(f);
	return true;
}

void
keyindex_drop_before(struct keyindex *ix, mq_pos begin)
{
	LOCKED(&ix->lock);
	if (ix->read_only || !ix->newest)
		return;
	for (struct index_file **at = &ix->newest->older, *f; (f = *at);)
		if (!is_outlived(ix, f, begin) || !remove_file(ix, at))
			at = &f->older;
}

/* --- what is cut from the log ------------------------------------------------------------- */

/* The number of the first entry of f at `at` or behind; its count if there is none. */
static int
first_behind(const struct keyindex *ix, const struct index_file *f, mq_pos at, int32_t *ret)
{
	int32_t low = 1, high = f->h.count;
	struct entry e;

	while (low < high) {
		int32_t middle = low + (high - low) / 2;
		int rc = entry_read(ix, f, middle, &e);

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

/* What the last freeze has begun anew. */
static void
drop_empty_sets(struct keyindex *ix)
{
	while (ix->sets) {
		struct set *set = ix->sets;

		MUST(set->n == 0);
		ix->sets = set->older;
		set_free(set);
	}
}

/* Files of which nothing is left go; *ret: what is left of the newest. */
static int
remove_behind(struct keyindex *ix, mq_pos at, int32_t *ret)
{
	while (ix->newest) {
		int rc = first_behind(ix, ix->newest, at, ret);

		if (rc != MQ_OK || *ret > 1)
			return rc;
		if (!remove_file(ix, &ix->newest))
			return -EIO;
	}
	return MQ_OK;
}

static int
header_write(struct index_file *f)
{
	unsigned char raw[HEADER_BYTES];
	int rc;

	header_encode(&f->h, raw);
	rc = file_write(f->fd, raw, sizeof(raw), 0, f->name);
	return rc == MQ_OK ? file_sync(f->fd, f->name) : rc;
}

int
keyindex_cut(struct keyindex *ix, mq_pos at, int (*time_of)(void *arg, mq_pos pos, int64_t *ret_ms), void *arg)
{
	int32_t count = 0;
	int rc;

	LOCKED(&ix->lock);
	if (ix->read_only)
		return MQ_OK;
	drop_empty_sets(ix);
	rc = remove_behind(ix, at, &count);
	if (rc == MQ_OK && ix->newest && count < ix->newest->h.count) {
		rc = take_back(ix, count);
		/* its entry has only the second */
		if (rc == MQ_OK && time_of(arg, ix->newest->h.end, &ix->newest->h.end_ms) == MQ_OK)
			rc = header_write(ix->newest);
	}
	if (rc == MQ_OK)
		ix->known = ix->newest ? ix->newest->h.end : MQ_POS(-1);
	return rc == MQ_OK ? dir_sync(ix->dirfd, "index") : rc;
}

/* --- flushing ----------------------------------------------------------------------------- */

static int
write_entries(const struct keyindex *ix, const struct set *set)
{
	AUTO_FREE unsigned char *raw = malloc(set->n * ENTRY_BYTES);

	if (!raw)
		return -ENOMEM;
	for (size_t i = 0; i < set->n; i++)
		entry_encode(&set->entries[i], raw + i * ENTRY_BYTES);
	return file_write(set->file->fd, raw, set->n * ENTRY_BYTES, entry_at(ix, set->first), set->file->name);
}

static int
write_slots(const struct set *set)
{
	unsigned char raw[HEADER_BYTES];
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < set->changed_size; i++) {
		if (set->changed[i].slot == -1)
			continue;
		be32_put(raw, set->changed[i].newest);
		rc = file_write(set->file->fd, raw, SLOT_BYTES, slot_at(set->changed[i].slot), set->file->name);
	}
	if (rc == MQ_OK) {
		header_encode(&set->h, raw);
		rc = file_write(set->file->fd, raw, HEADER_BYTES, 0, set->file->name);
	}
	return rc;
}

static int
set_write(const struct keyindex *ix, const struct set *set)
{
	int rc = MQ_OK;

	if (set->n == 0)
		return MQ_OK;
	if (set->first <= 1)		/* the file is new */
		rc = dir_sync(ix->dirfd, "index");
	if (rc == MQ_OK)
		rc = write_entries(ix, set);
	if (rc == MQ_OK)
		rc = file_sync(set->file->fd, set->file->name);
	if (rc == MQ_OK)
		rc = write_slots(set);
	if (rc == MQ_OK)
		rc = file_sync(set->file->fd, set->file->name);
	return rc;
}

int
keyindex_freeze(struct keyindex *ix, struct keyindex_mark *ret)
{
	int rc = MQ_OK;

	LOCKED(&ix->lock);
	*ret = (struct keyindex_mark){ 0 };
	if (!ix->newest)
		return MQ_OK;
	snprintf(ret->name, sizeof(ret->name), "%s", ix->newest->name);
	ret->count = ix->newest->h.count;
	ret->sets = ix->sets;
	if (ix->sets && ix->sets->n > 0)
		rc = set_add(ix);
	else if (ix->sets)
		ret->sets = ix->sets->older;	/* what an earlier flush left */
	return rc;
}

/* The oldest frozen set that is still there. */
static struct set **
oldest_frozen(struct keyindex *ix, const struct keyindex_mark *mark)
{
	struct set **at = &ix->sets;

	while (*at && *at != mark->sets)
		at = &(*at)->older;
	while (*at && (*at)->older)
		at = &(*at)->older;
	return at;
}

int
keyindex_flush(struct keyindex *ix, const struct keyindex_mark *mark)
{
	struct set **at, *set;
	int rc;

	if (!mark->sets)
		return MQ_OK;
	do {
		lock_take(&ix->lock);
		set = *oldest_frozen(ix, mark);
		lock_drop(&ix->lock);
		rc = set_write(ix, set);
		if (rc != MQ_OK)
			return rc;
		lock_take(&ix->lock);
		at = oldest_frozen(ix, mark);
		set = *at;
		*at = NULL;
		lock_drop(&ix->lock);
		if (set == mark->sets)
			at = NULL;
		set_free(set);
	} while (at);
	return MQ_OK;
}
