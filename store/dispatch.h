/* dispatch.h - from a record of the log to the views of the store.
 *
 * The table in dispatch.c lists the views.  Every record is entered into each, in log order; a
 * view skips what it has already.  A master enters the batches that it appends:
 * dispatch_batch().  Recovery and slaves read the log: dispatch_log().
 */
#ifndef MQFS_STORE_DISPATCH_H
#define MQFS_STORE_DISPATCH_H

#include "store/batch.h"
#include "store/record.h"
#include "store/scan.h"

struct queue_put;
struct store;

struct dispatched {
	mq_pos end;		/* behind the last record */
	int64_t store_ms;	/* its store time; unchanged if there was no record */
	int64_t records;	/* grows by the number of records */
	bool damaged;		/* bytes that are no record ended it, not a lack of bytes */
};

/* Enter the records of the log from `from` up to where no valid record begins, or to `limit`.
 * `known` (may be NULL): bytes of the log that the caller has in memory, so they are not read
 * again; no other thread may change them meanwhile. */
int dispatch_log(struct store *s, mq_pos from, mq_pos limit, const struct scan_known *known, struct dispatched *ret);

/* No valid record begins at `bad`: *ret_pos is the next place before `limit` where one does.
 * MQ_EEND: there is none, so the log ends at `bad`. */
int dispatch_next(struct store *s, mq_pos bad, mq_pos limit, mq_pos *ret_pos);

/* Is there a whole record at pos, or a blank one? */
bool dispatch_goes_on_at(struct store *s, mq_pos pos, mq_pos limit);

/* Read what the views need for dispatch_batch() from their files, before the log's lock is taken. */
void dispatch_prepare(struct store *s, const struct batch *b);

/* Enter the first n entries of a batch that has been written, for which queue_reserve() has made
 * room.  Needs the log's lock. */
void dispatch_batch(struct store *s, struct batch *b, size_t n, int64_t store_ms);

/* Enter one record.  A record that a view refuses (with an impossible queue offset, say) is logged
 * and skipped, as it would be at every start. */
int dispatch_record(struct store *s, const struct record *rec);

/* What a record's queue is given of it.  -ENOMEM. */
int dispatch_queue_put(const struct record *rec, struct queue_put *ret);

#endif
