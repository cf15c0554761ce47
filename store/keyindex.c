#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/keyindex_priv.h"

/* A slot that has changed since the last flush. */
struct changed_slot {
	int32_t slot;		/* -1: free */
	int32_t newest;
};

/* Entries of one file that are only in memory.  A checkpoint writes the set that it finds without a
 * lock; new entries go to the next set. */
struct set {
	struct index_file *file;
	struct index_header h;		/* of the file, with these entries */
	int32_t first;			/* number of entries[0] */
	struct index_entry *entries;
	size_t n, max;
	struct changed_slot *changed;	/* open hash */
	size_t changed_n, changed_size;	/* size: a power of two */
	struct set *older;
};

/* --- opening ------------------------------------------------------------------------ */

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
	rc = index_load(ix, name, count, rebuild);
	if (rc != MQ_OK) {
		keyindex_close(ix);
		return rc;
	}
	*ret = ix;
	return MQ_OK;
}

void
keyindex_never_sync(struct keyindex *ix)
{
	ix->never_sync = true;
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
		index_file_free(f);
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
	int rc = ARRAY_ROOM(set->entries, set->max, set->n + 1);

	return rc == MQ_OK && 2 * (set->changed_n + 1) > set->changed_size ? changed_grow(set) : rc;
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

static bool
slot_in_memory(const struct keyindex *ix, const struct index_file *f, int32_t slot, int32_t *ret)
{
	MUST_HOLD(&ix->lock);
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
	int rc = file_read(f->fd, raw, sizeof(raw), index_slot_at(slot), f->name);

	return rc == MQ_OK ? index_slot_settled(ix, f, be32_get(raw), count, ret) : rc;
}

/* --- slots that were read ahead ----------------------------------------------------------- */

static struct slot_ahead *
ahead_place(struct keyindex *ix, int32_t slot)
{
	return &ix->ahead[(uint32_t)slot % SLOTS_AHEAD];
}

/* A slot that is found is taken out: its newer value will be in a set. */
static bool
ahead_take(struct keyindex *ix, int32_t slot, int32_t *ret)
{
	struct slot_ahead *a = ahead_place(ix, slot);

	MUST_HOLD(&ix->lock);
	if (a->file != ix->newest || a->slot != slot)
		return false;
	a->file = NULL;
	*ret = a->newest;
	return true;
}

/* Files have come or gone, and a new one may be at the address of an old one: forget all slots. */
static void
ahead_forget(struct keyindex *ix)
{
	MUST_HOLD(&ix->lock);
	memset(ix->ahead, 0, sizeof(ix->ahead));
	ix->written++;
}

/* Must `slot` of the newest file be read from the disk?  Then the file has one more reference. */
static bool
ahead_wants(struct keyindex *ix, int32_t slot, struct slot_ahead *ret, int32_t *ret_count, unsigned *ret_written)
{
	struct slot_ahead *a = ahead_place(ix, slot);
	struct index_file *f;
	int32_t newest;

	LOCKED(&ix->lock);
	f = ix->newest;
	if (!f || (a->file == f && a->slot == slot) || slot_in_memory(ix, f, slot, &newest))
		return false;
	f->refs++;
	*ret = (struct slot_ahead){ .file = f, .slot = slot };
	*ret_count = f->h.count;
	*ret_written = ix->written;
	return true;
}

/* Keep a slot that was read, if the file's has not changed meanwhile, and drop the reference. */
static void
ahead_keep(struct keyindex *ix, const struct slot_ahead *a, bool was_read, unsigned written)
{
	int32_t newest;

	LOCKED(&ix->lock);
	if (was_read && a->file == ix->newest && written == ix->written &&
	    !slot_in_memory(ix, a->file, a->slot, &newest))
		*ahead_place(ix, a->slot) = *a;
	index_file_unref((struct index_file *)(uintptr_t)a->file);
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

	if (!ix->newest || ix->newest->h.count >= ix->max_entries) {
		ahead_forget(ix);
		rc = index_file_create(ix);
	}
	if (rc == MQ_OK && (!ix->sets || ix->sets->file != ix->newest))
		rc = set_add(ix);
	return rc == MQ_OK ? set_reserve(ix->sets) : rc;
}

static int
put_hash(struct keyindex *ix, mq_pos pos, int64_t store_ms, int32_t hash)
{
	int32_t slot = (int32_t)(hash % ix->slots), older;
	struct changed_slot *c;
	struct index_header *h;
	int64_t seconds;
	int rc = make_room(ix);

	if (rc != MQ_OK)
		return rc;
	h = &ix->newest->h;
	if (!slot_in_memory(ix, ix->newest, slot, &older) && !ahead_take(ix, slot, &older))
		rc = slot_on_disk(ix, ix->newest, h->count, slot, &older);
	if (rc != MQ_OK)
		return rc;
	seconds = h->begin_ms <= 0 ? 0 : (store_ms - h->begin_ms) / 1000;
	seconds = seconds < 0 ? 0 : seconds > INT32_MAX ? INT32_MAX : seconds;
	ix->sets->entries[ix->sets->n++] = (struct index_entry){
		.hash = hash, .pos = pos, .seconds = (int32_t)seconds, .older = older,
	};
	c = changed_find(ix->sets, slot);
	ix->sets->changed_n += c->slot == -1;
	*c = (struct changed_slot){ .slot = slot, .newest = h->count };
	if (h->count <= 1) {
		h->begin_ms = store_ms;
		h->begin = pos;
	}
	h->slots_used += older == 0;
	h->count++;
	h->end_ms = store_ms;
	h->end = pos;
	ix->sets->h = *h;
	return MQ_OK;
}

static int
put_key(void *arg, const struct record *rec, const char *key, size_t key_len)
{
	return put_hash(arg, rec->pos, rec->store_ms,
			key_hash(rec->topic, (size_t)rec->topic_len, key, key_len));
}

int
keyindex_put_hash(struct keyindex *ix, mq_pos pos, int64_t store_ms, int32_t hash)
{
	LOCKED(&ix->lock);
	return hash < 0 ? MQ_ECORRUPT : put_hash(ix, pos, store_ms, hash);
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

static int
prepare_key(void *arg, const struct record *rec, const char *key, size_t key_len)
{
	struct keyindex *ix = arg;
	int32_t slot = (int32_t)(key_hash(rec->topic, (size_t)rec->topic_len, key, key_len) % ix->slots), count;
	struct slot_ahead a;
	unsigned written;
	int rc;

	if (!ahead_wants(ix, slot, &a, &count, &written))
		return MQ_OK;
	rc = slot_on_disk(ix, a.file, count, slot, &a.newest);
	ahead_keep(ix, &a, rc == MQ_OK, written);
	if (rc != MQ_OK)
		err_clear();		/* keyindex_put() will say what is wrong */
	return MQ_OK;
}

void
keyindex_prepare(struct keyindex *ix, const struct record *rec)
{
	if (!ix->read_only)
		(void)each_key(rec, prepare_key, ix);
}

int
keyindex_put(struct keyindex *ix, const struct record *rec)
{
	int rc;

	LOCKED(&ix->lock);
	if (ix->read_only || rec->pos.byte <= ix->known.byte)
		return MQ_OK;
	rc = each_key(rec, put_key, ix);
	ix->known = rec->pos;
	return rc;
}

/* --- finding ----------------------------------------------------------------------------- */

struct query {
	int32_t hash;
	int64_t from_ms, to_ms;
	mq_pos *pos;
	size_t max, n;
};

/* An entry that is in no set, or in none any more, is in the file, which is read without the
 * lock: a slow disk holds up no append. */
static int
entry_get(struct keyindex *ix, const struct index_file *f, int32_t number, struct index_entry *e)
{
	lock_take(&ix->lock);
	for (const struct set *set = ix->sets; set; set = set->older)
		if (set->file == f && number >= set->first && (size_t)(number - set->first) < set->n) {
			*e = set->entries[number - set->first];
			lock_drop(&ix->lock);
			return MQ_OK;
		}
	lock_drop(&ix->lock);
	return index_entry_read(ix, f, number, e);
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
find_in(struct keyindex *ix, const struct index_file *f, const struct index_header *h, struct query *q)
{
	int32_t number = 0;
	int rc;

	rc = slot_get(ix, f, h->count, (int32_t)(q->hash % ix->slots), &number);
	while (rc == MQ_OK && number > 0 && q->n < q->max) {
		struct index_entry e;
		int64_t ms;

		rc = entry_get(ix, f, number, &e);
		if (rc != MQ_OK)
			break;
		/* the seconds of the first entry count from the begin of the file before */
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

/* The newest file for f NULL, else the one before f, with its header as it is now.  The
 * reference to f becomes one to that file. */
static struct index_file *
next_file(struct keyindex *ix, struct index_file *f, struct index_header *ret_h)
{
	struct index_file *next;

	LOCKED(&ix->lock);
	next = f ? f->older : ix->newest;
	if (next) {
		next->refs++;
		*ret_h = next->h;
	}
	if (f)
		index_file_unref(f);
	return next;
}

int
keyindex_find(struct keyindex *ix, const char *topic, const char *key, int64_t from_ms, int64_t to_ms,
	      mq_pos *ret_pos, size_t max, size_t *ret_n)
{
	struct query q = { .from_ms = from_ms, .to_ms = to_ms, .pos = ret_pos, .max = max };
	struct index_file *f = NULL;
	struct index_header h;
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
		index_file_unref(f);
	}
	if (rc == MQ_OK)
		*ret_n = q.n;
	return rc;
}

/* --- removed by retention ------------------------------------------------------------------ */

static bool
is_outlived(const struct keyindex *ix, const struct index_file *f, mq_pos begin)
{
	MUST_HOLD(&ix->lock);
	for (const struct set *set = ix->sets; set; set = set->older)
		if (set->file == f)
			return false;
	return f->h.end.byte < begin.byte;
}

void
keyindex_drop_before(struct keyindex *ix, mq_pos begin)
{
	LOCKED(&ix->lock);
	if (ix->read_only || !ix->newest)
		return;
	for (struct index_file **at = &ix->newest->older, *f; (f = *at);)
		if (!is_outlived(ix, f, begin) || !index_file_remove(ix, at))
			at = &f->older;
}

/* --- the log is cut ------------------------------------------------------------- */

/* Free the empty sets that the last freeze has begun. */
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

int
keyindex_cut(struct keyindex *ix, mq_pos at, int (*time_of)(void *arg, mq_pos pos, int64_t *ret_ms), void *arg)
{
	int32_t count = 0;
	int rc;

	LOCKED(&ix->lock);
	if (ix->read_only)
		return MQ_OK;
	ahead_forget(ix);
	drop_empty_sets(ix);
	rc = index_remove_behind(ix, at, &count);
	if (rc == MQ_OK && ix->newest && count < ix->newest->h.count) {
		rc = index_take_back(ix, count);
		/* its entry has only the second */
		if (rc == MQ_OK && time_of(arg, ix->newest->h.end, &ix->newest->h.end_ms) == MQ_OK)
			rc = index_header_write(ix, ix->newest, &ix->newest->h);
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
		index_entry_encode(&set->entries[i], raw + i * ENTRY_BYTES);
	return file_write(set->file->fd, raw, set->n * ENTRY_BYTES, index_entry_at(ix, set->first), set->file->name);
}

static int
write_slots(const struct set *set)
{
	unsigned char raw[SLOT_BYTES];
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < set->changed_size; i++) {
		if (set->changed[i].slot == -1)
			continue;
		be32_put(raw, set->changed[i].newest);
		rc = file_write(set->file->fd, raw, SLOT_BYTES, index_slot_at(set->changed[i].slot), set->file->name);
	}
	return rc;
}

static int
set_write(const struct keyindex *ix, const struct set *set)
{
	int rc = MQ_OK;

	if (set->n == 0)
		return MQ_OK;
	if (set->first <= 1 && !ix->never_sync)		/* the file is new */
		rc = dir_sync(ix->dirfd, "index");
	if (rc == MQ_OK)
		rc = write_entries(ix, set);
	if (rc == MQ_OK)
		rc = index_file_sync(ix, set->file);
	if (rc == MQ_OK)
		rc = write_slots(set);
	return rc == MQ_OK ? index_header_write(ix, set->file, &set->h) : rc;
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
		ret->sets = ix->sets->older;	/* of an earlier flush that has failed */
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
		ix->written++;
		lock_drop(&ix->lock);
		if (set == mark->sets)
			at = NULL;
		set_free(set);
	} while (at);
	return MQ_OK;
}
