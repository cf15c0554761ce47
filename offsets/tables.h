/* tables.h - the LMDB environment lmdb/: eight tables, written in whole checkpoints.
 *
 *   table          key                            value
 *   topics         name                           the `topic` record (meta.h), or
 *                                                 `topic-delete` of a gone one, with id
 *   groups         name                           the same with `group`
 *   subscriptions  group "/" topic                `subscribe` without offsets, or `unsubscribe`
 *   offsets        u32 subscription id,           i64 committed queue offset,
 *                  u32 queue id                   i64 records of MQFS_META up to its last reset
 *                                                 (0: none; missing in rows of older versions)
 *   attrs          path                           the `attr` record
 *   queues         topic "/" u32 queue id         queue row, 52 bytes, below
 *   meta           "format"                       u32 1
 *                  "identity"                     16 random bytes: this store, not another
 *                  "applied"                      i64 MQFS_META offset up to which rows are
 *                  "import"                       u8: an import has begun (0), ended (1)
 *                  "epochs"                       the log's history, 48 bytes each: i64 number, i64
 *                                                 start, 16 bytes id, 16 bytes by
 *                  "round"                        i64 where the last whole state in the log begins
 *                  "rounds"                       u8: what it has (ROUND_FORM); missing: 0
 *                  "role"                         u8: it was a master's (0), a slave's (1)
 *                  "begin"                        i64 position at which the log begins for the queue rows
 *                  "mark"                         the checkpoint's mark, 52 bytes, below
 *                  "delays"                       delayOffset.json's table, of RocketMQ, compact
 *                  "config"                       what is in STORE/config: handover.c
 *                  "delivery"                     i64 due, i64 position of the last timed message that
 *                                                 is delivered, i64 number of the first that may not
 *                                                 be, i64 next message of each of 64 levels (delays.h)
 *                  "sum"                          u64 transaction, u64 sum over the rows of all
 *                                                 tables but this one, see below
 *   owed           group "/" topic "/"            a commit of this slave that its master's log does
 *                  u32 queue id                   not show yet (unsettled.h), 40 bytes, below
 *
 *   queue row:  i64 min, i64 end, i64 start_bytes, i64 end_bytes, i64 last_store_ms,
 *               i64 last_end, u32 head_moves
 *   owed:       i64 to, i64 seen, i64 reset, i64 sent, i64 sent_seen
 *   mark:       i64 dispatched, i64 store_ms, i32 index_count, char[32] index_name
 *
 * All integers are big-endian, so LMDB's order is ours.  Ids that come next are
 * not stored: a row is never removed, so they follow from the highest.
 *
 * The sum is that of a hash of each row (table, key and value), so a checkpoint need not
 * read the rows that it does not change.  tables_open() reads all rows: if their hashes have
 * another sum, a row was changed or is missing.  The sum is valid if the transaction that
 * wrote it was the last one; an older program writes none.
 *
 * The pages are checked before LMDB reads them (pages.c).  LMDB's durable default settings are
 * used: a transaction that has returned is on the disk.  The map grows by itself.  One
 * thread at a time; internal to this floor.
 */
#ifndef MQFS_OFFSETS_TABLES_H
#define MQFS_OFFSETS_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum table {
	TABLE_TOPICS,
	TABLE_GROUPS,
	TABLE_SUBSCRIPTIONS,
	TABLE_OFFSETS,
	TABLE_ATTRS,
	TABLE_QUEUES,
	TABLE_META,
	TABLE_UNSETTLED,
	TABLES,
};

#define QUEUE_ROW_BYTES 52
#define MARK_BYTES 52
#define EPOCH_BYTES 48
#define TABLE_META_DELAYS "delays"	/* key of a row that export.c reads, too */
#define TABLE_META_DELIVERY "delivery"
#define DELIVERY_BYTES (24 + 8 * 64)
#define UNSETTLED_ROW_BYTES 40

/* Rows on their way into the tables: one checkpoint.  Sticky: after the first
 * failure (-ENOMEM) nothing is added, and tables_write() reports it. */
struct rows {
	unsigned char *buf;
	size_t len, size;
	int err;
};

void rows_put(struct rows *r, enum table table, const void *key, size_t key_len, const void *value,
	      size_t value_len);
void rows_delete(struct rows *r, enum table table, const void *key, size_t key_len);
void rows_empty(struct rows *r, enum table table); /* delete all rows of the table */
void rows_append(struct rows *r, const struct rows *more);
void rows_clear(struct rows *r);	/* keeps its memory */
void rows_free(struct rows *r);

struct tables;

/* Open the environment in the directory `path` (made if missing).  Read-only:
 * nothing is written, not even a lock, so the caller keeps writers away.
 *
 * MQ_ECORRUPT   it is no environment of ours, or damaged (a page or a row): the caller is to
 *               set it aside
 * -ENOENT       read-only, and there is none
 */
int tables_open(const char *path, bool read_only, struct tables **ret_t);
void tables_close(struct tables *t);	/* accepts NULL */

/* Write all of r in one transaction, durable when this returns MQ_OK; else none of it. */
int tables_write(struct tables *t, const struct rows *r);

/* Every row of a table in order of keys; `each` returns an error to stop. */
typedef int tables_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len);
int tables_each(struct tables *t, enum table table, tables_row *each, void *arg);

/* One row of the table meta: at most `size` bytes of it into buf, and its length.  -ENOENT: there is none. */
int tables_get(struct tables *t, const char *key, void *buf, size_t size, size_t *ret_len);

/* Write the environment as it is now into the empty file fd; not synced. */
int tables_copy(struct tables *t, int fd);

/* Open the environment of a copy in the directory `path`, of which no other thread knows, and write
 * r into it.  Nothing is synced, and no lock file is made. */
int tables_amend(const char *path, const struct rows *r, struct tables **ret_t);

int64_t tables_map_bytes(const struct tables *t);

#endif
