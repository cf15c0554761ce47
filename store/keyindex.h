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
 * keyHash is of "topic#key".  New entries stay in memory until a checkpoint,
 * which writes entries, syncs, then slots and header, and syncs: so a slot on
 * disk never leads to an entry that is not there.  After a crash the checkpoint
 * says how many entries count; the log brings the rest again, the same way.
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

/* slots, entries: of a new file (maxHashSlotNum, maxIndexNum).  `name`, `count`:
 * what the last checkpoint said (name "": no file of ours yet); MQ_ECORRUPT if it
 * is not so.  rebuild: what is there does not count, the whole log comes again.
 * read_only: all that is there is used as it is.  dirfd is the caller's. */
int keyindex_open(int dirfd, int64_t slots, int64_t entries, const char *name, int32_t count, bool rebuild,
		  bool read_only, struct keyindex **ret);
void keyindex_close(struct keyindex *ix);

/* Index the keys of a record (UNIQ_KEY, then each of KEYS), in log order;
 * what is known already is skipped. */
int keyindex_put(struct keyindex *ix, const struct record *rec);

/* Read from the files, without holding up anybody, what keyindex_put() of the record will
 * need: that is called with the log's lock, and finds it in memory then. */
void keyindex_prepare(struct keyindex *ix, const struct record *rec);

/* One entry of a record that the log no longer has. */
int keyindex_put_hash(struct keyindex *ix, mq_pos pos, int64_t store_ms, int32_t hash);

/* See store_find_key(). */
int keyindex_find(struct keyindex *ix, const char *topic, const char *key, int64_t from_ms, int64_t to_ms,
		  mq_pos *ret_pos, size_t max, size_t *ret_n);

/* Files whose last entry lies before `begin` go; never the newest, nor one of
 * which something is not on disk yet. */
void keyindex_drop_before(struct keyindex *ix, mq_pos begin);

/* Entries of records at `at` and behind go, durably; what was put is in the files by
 * now (keyindex_flush()), and nothing is put meanwhile.  time_of() says when the record
 * at a position was stored. */
int keyindex_cut(struct keyindex *ix, mq_pos at, int (*time_of)(void *arg, mq_pos pos, int64_t *ret_ms), void *arg);

/* Where the index stands now, for a checkpoint: everything put so far is set
 * aside, and keyindex_flush() brings it to disk without holding up anybody.
 * If that fails, the next freeze and flush do it with the rest. */
struct keyindex_mark {
	char name[32];		/* newest file, "" for none */
	int32_t count;
	struct set *sets;
};

int keyindex_freeze(struct keyindex *ix, struct keyindex_mark *ret);
int keyindex_flush(struct keyindex *ix, const struct keyindex_mark *mark);

#endif
