/* rebuild.h - the views of a store made anew in a private place: by fsck.mqfs, which compares
 * them with those of the store.
 *
 *     log ──> caller ──> rebuild_record() ──> queues, key index, deliveries: in TMPDIR
 *
 * The caller reads the log and gives each record to the views, which are those that a mount
 * makes.  The log of the returned store is not open: only its queues may be looked at.  One thread.
 */
#ifndef MQFS_STORE_REBUILD_H
#define MQFS_STORE_REBUILD_H

#include "store/keyindex.h"
#include "store/store.h"

/* `dir` is open read-only; the log begins at `begin`.  Queues of which it has no message end
 * where cp says; files have the sizes of those in the store.  store_close() it. */
int rebuild_open(const struct settings *settings, struct storedir *dir, const struct store_checkpoint *cp,
		 mq_pos begin, struct store **ret_store);

/* The next record of the log.  -ENOSPC, -ENOMEM, -EIO. */
int rebuild_record(struct store *s, const struct record *rec);

/* There are no more records: write the key index to its files, in dir->derived_fd/index. */
int rebuild_end(struct store *s);

/* The key index: the caller enters keys of records that the log no longer has, before the record behind
 * them. */
struct keyindex *rebuild_index(struct store *s);

#endif
