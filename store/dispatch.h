/* dispatch.h - from a record of the log to the views of the store.
 *
 * The table in dispatch.c lists the views; each is fed every record, in log
 * order, and knows by itself what it has seen.  A master feeds them from its
 * appends, with what it knows already: dispatch_batch().  Everybody else (recovery,
 * a slave) reads the log: dispatch_log().
 */
#ifndef MQFS_STORE_DISPATCH_H
#define MQFS_STORE_DISPATCH_H

#include "store/batch.h"
#include "store/record.h"
#include "store/scan.h"

struct queue_put;
struct store;

/* Read the log from `from` up to where no valid record begins, or to `limit`,
 * feeding every record.  ret->end is behind the last one, ret->store_ms its
 * store time (untouched without one), ret->records grows by their number. */
struct dispatched {
	mq_pos end;
	int64_t store_ms;
	int64_t records;
	bool damaged;		/* it ended at bytes that are no record, not for want of bytes */
};

int dispatch_log(struct store *s, mq_pos from, mq_pos limit, struct dispatched *ret);

/* The same for a caller that has just written the log's end and still has the bytes: they are
 * not read again.  Nobody else may change them meanwhile. */
int dispatch_appended(struct store *s, mq_pos from, const struct scan_known *known, struct dispatched *ret);

/* No valid record begins at `bad`: is this the end of the log, or damage in its
 * middle?  *ret_pos is the next place before `limit` where one does; MQ_EEND if
 * there is none. */
int dispatch_next(struct store *s, mq_pos bad, mq_pos limit, mq_pos *ret_pos);

/* Before the log's lock is taken for that: read what views need from their files. */
void dispatch_prepare(struct store *s, const struct batch *b);

/* Feed the first n entries of a batch that has been written to every view; there is room
 * for them in the tails of their queues.  With the log's lock. */
void dispatch_batch(struct store *s, struct batch *b, size_t n, int64_t store_ms);

/* Feed one record to every view.  A record that a view cannot take (a queue offset that
 * cannot be) is logged and skipped, as it would be at every start. */
int dispatch_record(struct store *s, const struct record *rec);

/* What its queue has of it.  -ENOMEM. */
int dispatch_queue_put(const struct record *rec, struct queue_put *ret);

/* The tagsCode of a record's entry: its tag's, or when a delayed message is due. */
int64_t dispatch_tags_code(const struct record *rec);

#endif
