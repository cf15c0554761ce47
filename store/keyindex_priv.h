/* keyindex_priv.h - what the parts of the key index share.
 *
 *   keyindex.c        entries in memory: putting, finding, bringing to disk
 *   keyindex_files.c  the files, each by itself: found, made, taken back, removed
 *
 * All of it needs the index's lock, except index_load(), which is called before other threads know
 * the index, and index_entry_read().
 */
#ifndef MQFS_STORE_KEYINDEX_PRIV_H
#define MQFS_STORE_KEYINDEX_PRIV_H

#include "conf/lock.h"
#include "store/keyindex.h"

#define HEADER_BYTES 40
#define SLOT_BYTES 4
#define ENTRY_BYTES 20
#define ENTRY_SECONDS_AT 12
#define ENTRY_OLDER_AT 16
#define NAME_LEN 17		/* yyyyMMddHHmmssSSS */

struct index_header {
	int64_t begin_ms, end_ms;
	mq_pos begin, end;
	int32_t slots_used;
	int32_t count;		/* next entry number */
};

struct index_entry {
	int32_t hash;
	mq_pos pos;
	int32_t seconds;
	int32_t older;
};

/* One file; the newest is the one that grows. */
struct index_file {
	char name[NAME_LEN + 1];
	int fd;
	struct index_header h;
	int refs;		/* threads that read it */
	bool removed;		/* the last of them frees it */
	struct index_file *older;
};

/* A slot as it is in a file, which is in no set: see keyindex_prepare(). */
struct slot_ahead {
	const struct index_file *file;	/* NULL: none */
	int32_t slot, newest;
};

#define SLOTS_AHEAD 1024		/* a power of two; the place of a slot is modulo that */

struct keyindex {
	int dirfd;
	int64_t slots, max_entries;
	bool read_only;
	bool never_sync;
	struct lock lock;
	struct index_file *newest;
	struct set *sets;		/* newest first */
	mq_pos known;			/* records up to here are indexed */
	struct slot_ahead ahead[SLOTS_AHEAD];
	unsigned written;		/* how often slots in files have changed */
};

/* Where they lie in a file: the slot; the entry with that number, from 1 on. */
static inline int64_t
index_slot_at(int64_t slot)
{
	return HEADER_BYTES + slot * SLOT_BYTES;
}

static inline int64_t
index_entry_at(const struct keyindex *ix, int64_t number)
{
	return HEADER_BYTES + ix->slots * SLOT_BYTES + number * ENTRY_BYTES;
}

/* Bytes of the format.  Entries in a file never change. */
void index_entry_encode(const struct index_entry *e, unsigned char *raw);
int index_entry_read(const struct keyindex *ix, const struct index_file *f, int32_t number, struct index_entry *e);

/* A slot's newest entry below `count`, following entries made after the checkpoint. */
int index_slot_settled(const struct keyindex *ix, const struct index_file *f, int32_t newest, int32_t count,
		       int32_t *ret);

/* Find the files, up to `name`, and take the newest back to `count` entries: what the last
 * checkpoint said; see keyindex_open(). */
int index_load(struct keyindex *ix, const char *name, int32_t count, bool rebuild);

/* A new one becomes the newest. */
int index_file_create(struct keyindex *ix);

/* Take the newest file back to `count` entries: a crash came between the index's own sync and the
 * checkpoint, or the log was cut.  The file is synced, since a slot could lead to an entry that is
 * written later.  The last entry has its time in seconds only: a caller that knows the
 * milliseconds sets h.end_ms and writes the header once more. */
int index_take_back(struct keyindex *ix, int32_t count);

/* Sync the file, unless the index is never synced. */
int index_file_sync(const struct keyindex *ix, const struct index_file *f);

/* Write h, and sync the file. */
int index_header_write(const struct keyindex *ix, struct index_file *f, const struct index_header *h);

/* One reader less; freed with the last one if it was removed. */
void index_file_unref(struct index_file *f);
void index_file_free(struct index_file *f);

/* Remove the file that *at leads to.  False: it stays, which was logged. */
bool index_file_remove(struct keyindex *ix, struct index_file **at);

/* Files of which nothing is left before `at` go; *ret: entries that are left of the newest. */
int index_remove_behind(struct keyindex *ix, mq_pos at, int32_t *ret);

#endif
