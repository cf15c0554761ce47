/* store.h - the commit log and all views that live in files.
 *
 *     store_append ──> commit log ──> queues (consumequeue/, byteindex/), key index
 *                          │                 ^
 *                       flusher        store_open replays what the views miss
 *
 * The store knows topics only as names of queues; the floor above (offsets/) knows what a topic or a
 * group is, from records of the log.  The store removes old segments by itself: retention.h.
 *
 * Threads: any, unless a comment names one.  Ownership: a store owns its queues.
 */
#ifndef MQFS_STORE_STORE_H
#define MQFS_STORE_STORE_H

#include "conf/settings.h"
#include "store/batch.h"
#include "store/delays.h"
#include "store/mark.h"
#include "store/queue.h"
#include "store/record.h"

struct store;
struct storedir;

/* --- opening and closing ------------------------------------------------ */

/* One queue as the last checkpoint left it. */
struct queue_row {
	char topic[RECORD_TOPIC_MAX + 1];
	int32_t queue_id;
	struct queue_span span;
	uint32_t head_moves;
};

/* A checkpoint: all views have the log up to `dispatched`, on disk. */
struct store_checkpoint {
	mq_pos dispatched;	/* -1: there is none, rebuild every view */
	mq_pos begin;		/* no queue begins before this position of the log */
	int64_t store_ms;	/* store time of the last record before it */
	int32_t index_count;	/* of the newest key index file: entries that count */
	char index_name[32];	/* its name, "" for none */
	struct delays_state delays;
	struct queue_row *rows;	/* all queues (open) or those that changed (checkpoint) */
	size_t n;
};

void store_checkpoint_free(struct store_checkpoint *cp);

/* What recovery found, for the log line and status/. */
struct store_recovery {
	mq_pos from, to;	/* replayed range */
	int64_t records;
	int64_t cut_bytes;	/* what was cut from the end, kept in lost+found/ */
	int64_t damaged_bytes;	/* passed over: valid records follow them */
	int64_t took_ms;
	bool clean;		/* the last exit was clean */
	bool rebuilt;		/* the views were made anew */
};

/* Open the store in `dir`, which the caller keeps open until store_close(): find the segments, replay the
 * log into the views from the last checkpoint `cp` (borrowed) on, cut a torn end, and start the flusher
 * and retention. */
int store_open(const struct settings *settings, struct storedir *dir, const struct store_checkpoint *cp,
	       struct store **ret_store);

/* Stop the threads, flush, free.  The caller takes the last checkpoint before, and no other thread uses
 * the store any more.  Accepts NULL. */
void store_close(struct store *s);

void store_recovery(const struct store *s, struct store_recovery *ret);

/* --- marks -------------------------------------------------------------- */

struct mark *store_begin_mark(struct store *s);		/* its log's begin; it moves with retention */
struct mark *store_written(struct store *s);
struct mark *store_flushed(struct store *s);
struct mark *store_dispatched(struct store *s);

/* --- appending ---------------------------------------------------------- */

struct appended {
	size_t n;		/* messages stored, from the first of the batch on */
	mq_qoff first;		/* queue offset of the first */
	mq_pos begin;		/* of the first record */
	mq_pos end;		/* end of the last record: what fsync waits for */
	int64_t store_ms;
};

/* Append the messages of `b` to queue q, consecutively, and show them to readers.
 * Needs the queue's append lock (queue_append_begin).
 *
 * MQ_OK        all are stored; *ret says where
 * -ENOSPC      the first ret->n are stored, the rest is not
 * -EIO         a sync or a write of the log has failed; nothing more is accepted
 * -EMSGSIZE    a record longer than a segment can hold
 * -EROFS       mounted read-only
 * or what store_refuse() said
 */
int store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);

/* The same for messages of several queues (batch_add_to()), in the order of the batch; no other message
 * comes in between.  Needs all their append locks (queues_append_begin).  ret->first is the queue
 * offset of the first message; entries have their own. */
int store_append_each(struct store *s, struct batch *b, struct appended *ret);

/* The same for messages that belong together (record_is_continued()): all are stored or none is, also
 * after a crash and on every slave.  -EINVAL: see batch_join(). */
int store_append_step(struct store *s, struct batch *b, struct appended *ret);

/* From now on store_append() fails with rc (MQ_OK: it appends), and store_append_raw() fails unless rc
 * is MQ_EROLE; when this returns, neither is running.  A slave's store begins with MQ_EROLE. */
void store_refuse(struct store *s, int rc);

/* Cut the incomplete record at the end of a log that was received, if there is one, as a mount cuts a
 * torn end.  Nothing is appended meanwhile. */
int store_cut_torn(struct store *s, const char *why);

/* Append even where store_refuse() refuses; on success it refuses no more. */
int store_append_first(struct store *s, struct queue *q, struct batch *b, struct appended *ret);

/* On a slave: append bytes of the log as its master sent them, in order, in parts of any length within
 * one segment, and show every record that is complete now to readers.  `bytes` must not change
 * meanwhile, since they are checked after they are written.  MQ_ECORRUPT (noted): pos is not the log's
 * end; other errors as store_append(). */
int store_append_raw(struct store *s, mq_pos pos, const void *bytes, size_t len);

/* The append lock of a queue: nothing else is appended to it between these two. */
void queue_append_begin(struct queue *q);
void queue_append_end(struct queue *q);

/* The same for several queues, each of which may be in qs more than once: qs is sorted, and *n becomes the
 * number of different queues. */
void queues_append_begin(struct queue **qs, size_t *n);
void queues_append_end(struct queue **qs, size_t n);

/* Could a message be stored now?  MQ_OK, or why not. */
int store_may_append(struct store *s);

/* Make the log durable up to `upto`, at least: many callers share one sync.  -EIO: a sync has failed, now
 * or before. */
int store_flush(struct store *s, mq_pos upto);

/* --- queues ------------------------------------------------------------- */

/* The queue, or NULL when no record of it was ever stored. */
struct queue *store_queue(struct store *s, const char *topic, int32_t queue_id);

/* The same, made if it is not there.  -ENOMEM. */
int store_queue_make(struct store *s, const char *topic, int32_t queue_id, struct queue **ret_q);

/* The watched queues (queue_watch()) that have got messages since they were last returned here:
 * the first of a list, to be walked by queue_next_news(); NULL: none has.  One thread calls
 * this, and walks the whole list. */
struct queue *store_news(struct store *s);

/* Every queue, in no order; `each` returns non-zero to stop, which is returned. */
int store_each_queue(struct store *s, int (*each)(struct queue *q, void *arg), void *arg);

/* The queue had messages up to `end`, the last one stored at last_store_ms.  If the log has none of them,
 * the queue is empty and its end is `end` from now on.  -ENOMEM. */
int store_queue_came_to(struct store *s, const char *topic, int32_t queue_id, mq_qoff end, int64_t last_store_ms);

/* --- reading ------------------------------------------------------------ */

/* Read and verify the record at pos into buf (grown with realloc; the caller
 * frees): *ret_rec points into it.  MQ_EGONE below the log's begin, MQ_EEND
 * beyond its end, -EIO when the bytes there are no record. */
int store_read(struct store *s, mq_pos pos, unsigned char **buf, size_t *buf_size, struct record *ret_rec);

/* Raw bytes of the log, within one segment; *ret_n < len at the end of the segment or of the log. */
int store_read_raw(struct store *s, mq_pos pos, void *buf, size_t len, size_t *ret_n);

/* Raw bytes of the log, where they lie in memory. */
struct raw_map {
	const unsigned char *bytes;	/* read within mapped_try() (mapped.h); a cut may change them meanwhile */
	struct fdref *ref;
};

/* Map these bytes, until store_unmap_raw().  False: they are not all in memory and in one segment; read them. */
bool store_map_raw(struct store *s, mq_pos pos, size_t len, struct raw_map *ret);
void store_unmap_raw(struct store *s, const struct raw_map *map);

/* CRC-32 of the log's bytes [from, to), which are in one segment.  Errors as store_read_raw(); MQ_EEND:
 * the log ends before `to`. */
int store_crc_raw(struct store *s, mq_pos from, mq_pos to, uint32_t *ret);

/* Store time of message n of q.  -EIO: its record cannot be read; MQ_EGONE: it was removed. */
int store_time_of(struct store *s, struct queue *q, mq_qoff n, int64_t *ret_ms);

/* The first message of q stored at or after ms (its end if there is none).  Messages that
 * were stored when the clock was ahead of now count as stored with the one before them. */
int store_find_time(struct store *s, struct queue *q, int64_t ms, mq_qoff *ret_qoff);

/* The time by which messages expire: wallclock.h. */
int64_t store_believed_ms(struct store *s);

/* The log has the positions [begin, written), in segments of that size.  The descriptor of its directory
 * stays the store's. */
mq_pos store_begin(struct store *s);
int64_t store_segment_bytes(const struct store *s);
int64_t store_queue_file_entries(const struct store *s);	/* of consume queue files */
int store_commitlog_fd(const struct store *s);

/* Remove segments that are older than fileReservedTime now, whatever deleteWhen says. */
int store_expire(struct store *s);

/* --- key index ---------------------------------------------------------- */

/* Positions of records with that key (or UNIQ_KEY) of topic, newest first.
 * Hash collisions are not filtered: look at the record. */
int store_find_key(struct store *s, const char *topic, const char *key, int64_t from_ms, int64_t to_ms,
		   mq_pos *ret_pos, size_t max, size_t *ret_n);

/* --- checkpoint ---------------------------------------------------------- */

/* Write every view to disk; the floor above commits *ret together with its own rows.  Appends go on
 * meanwhile.  After a failure the next call tries again with all of it, unless a sync has failed:
 * that is final (-EIO), and the next mount replays from the last checkpoint. */
int store_checkpoint(struct store *s, struct store_checkpoint *ret);

/* What a checkpoint of this moment would say, without writing the views to disk: for a snapshot, which
 * has no views.  Each queue's row that differs from what the floor above has committed is passed to `each`,
 * in no order, with the log's lock held, so that all rows are of ret->dispatched: `each` takes no lock and
 * does not wait.  An error of `each` is returned.
 * ret->rows and ret->index_name are empty.  From the begin of the call to store_moment_over() retention
 * begins to remove no segments (retention.h).  One thread at a time. */
int store_moment(struct store *s, int (*each)(void *arg, const struct queue_row *row), void *arg,
		 struct store_checkpoint *ret);
void store_moment_over(struct store *s);	/* also if there was none, or it failed */

/* The floor above has committed the last checkpoint: what a replay does not need any more may be removed
 * from now on. */
void store_checkpointed(struct store *s, mq_pos dispatched);

/* How many queues have changed since the last checkpoint was taken. */
int64_t store_changed_queues(const struct store *s);

/* --- what status/ shows --------------------------------------------------- */

struct store_stats {
	int64_t begin, written, flushed, dispatched;
	int64_t appended_messages, appended_bytes;
	int64_t segments, queues;
	int64_t flushes;
	int64_t failed;		/* 1: a sync failed, no more appends */
	int64_t disk_full;	/* 1: appends are refused until space returns */
	int64_t disk_used_percent;
	int64_t heads_moved;	/* how often heads of queues have moved */
	int64_t retention_ms;	/* time of retention's last round, 0 before the first */
	int64_t retention_rounds;
	int64_t removed_segments, removed_bytes;
	int64_t cuts, cut_bytes;	/* cuts of the log while mounted: cut.h */
	int64_t clock_backs;	/* how often store times went back with the clock: wallclock.h */
	int64_t clock_ahead_ms;	/* how far the clock is ahead of the time by which messages expire */
};

/* The bytes before this position have not changed since the store was opened. */
mq_pos store_steady(struct store *s);

void store_stats(struct store *s, struct store_stats *ret);

#endif
