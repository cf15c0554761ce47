/* keyindex.h - messages by key: RocketMQ's index files, a view of the log.
 *
 * index/yyyyMMddHHmmssSSS, big-endian:
 *
 *      0  i64 beginTimestamp   8  i64 endTimestamp   16 i64 beginPhyOffset
 *     24  i64 endPhyOffset    32  i32 slots in use   36 i32 next entry number (from 1)
 *     40  i32 slot[maxHashSlotNum]      newest entry number of the slot, 0: none
 *      .  entry[maxIndexNum] of 20      i32 keyHash, i64 phyOffset,
 *                                       i32 seconds since beginTimestamp, i32 older entry
 *
 * keyHash is of "topic#key".  New entries stay in memory until a checkpoint, which writes and syncs
 * the entries first, then slots and header: so a slot on disk never leads to a missing entry.  After
 * a crash the checkpoint says how many entries count, and the replay of the log enters the rest.
 *
 * Any thread.
 */
#ifndef MQFS_STORE_KEYINDEX_H
#define MQFS_STORE_KEYINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"
#include "store/record.h"

struct keyindex;

/* slots, entries: of a new file (maxHashSlotNum, maxIndexNum).  `name`, `count`: of the last checkpoint
 * (name "": there was no file); MQ_ECORRUPT: the files are different.  rebuild: remove the files,
 * since the whole log will be replayed.  read_only: use the files as they are.  dirfd is the
 * caller's. */
int keyindex_open(int dirfd, int64_t slots, int64_t entries, const char *name, int32_t count, bool rebuild,
		  bool read_only, struct keyindex **ret);
void keyindex_close(struct keyindex *ix);

/* No file of it will be read after this process has ended: keyindex_flush() writes, but syncs nothing. */
void keyindex_never_sync(struct keyindex *ix);

/* Enter the keys of a record (UNIQ_KEY, then each of KEYS), in log order; records that are in the index
 * already are skipped. */
int keyindex_put(struct keyindex *ix, const struct record *rec);

/* Read from the files what keyindex_put() of the record will need, so that it need not read them while
 * it has the log's lock. */
void keyindex_prepare(struct keyindex *ix, const struct record *rec);

/* One entry of a record that the log no longer has. */
int keyindex_put_hash(struct keyindex *ix, mq_pos pos, int64_t store_ms, int32_t hash);

/* See store_find_key(). */
int keyindex_find(struct keyindex *ix, const char *topic, const char *key, int64_t from_ms, int64_t to_ms,
		  mq_pos *ret_pos, size_t max, size_t *ret_n);

/* Remove the files whose last entry lies before `begin`; never the newest, nor one with entries that
 * are only in memory. */
void keyindex_drop_before(struct keyindex *ix, mq_pos begin);

/* Remove the entries of records at `at` and behind, durably.  keyindex_flush() was called before, and
 * nothing is put meanwhile.  time_of() gives the store time of the record at a position. */
int keyindex_cut(struct keyindex *ix, mq_pos at, int (*time_of)(void *arg, mq_pos pos, int64_t *ret_ms), void *arg);

/* For a checkpoint: keyindex_freeze() marks the entries that were put so far, and keyindex_flush() writes
 * them to disk while others are put.  If that fails, the next freeze and flush include them. */
struct keyindex_mark {
	char name[32];		/* newest file, "" for none */
	int32_t count;
	struct set *sets;
};

int keyindex_freeze(struct keyindex *ix, struct keyindex_mark *ret);
int keyindex_flush(struct keyindex *ix, const struct keyindex_mark *mark);

#endif
