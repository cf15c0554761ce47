/* store.h - the commit log and all views that live in files.
 *
 *     store_append ──> commit log ──> queues (consumequeue/, byteindex/), key index
 *                          │                 ^
 *                       flusher        store_open replays what the views miss
 *
 * The store knows topics only as names on queues; what a topic or a group is,
 * the floor above knows (offsets/), from records in the log like any other.
 *
 * Old segments go by themselves: retention.h.
 *
 * Threads: any, unless said otherwise.  Ownership: a store owns its queues.
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

/* What a checkpoint says: all views hold the log up to `dispatched`, on disk. */
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

/* Open the store in `dir`, which the caller keeps open until store_close():
 * loads the segments, brings every view up to the end of the log, cuts a torn
 * end.  `cp` is where the views stood (borrowed).  Starts the flusher and retention. */
int store_open(const struct settings *settings, struct storedir *dir, const struct store_checkpoint *cp,
	       struct store **ret_store);

/* Flush, stop threads, free.  Take a last checkpoint before it; a thread that waits on a
 * mark is woken (MQ_ECLOSED), but must be gone by then.  Accepts NULL. */
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
 * The queue's append lock must be held (queue_append_begin).
 *
 * MQ_OK        all are stored; *ret says where
 * -ENOSPC      the first ret->n are stored, the rest is not
 * -EIO         a sync or a write of the log has failed; nothing more is accepted
 * -EMSGSIZE    a record longer than a segment can hold
 * -EROFS       mounted read-only
 * or what store_refuse() said
 */
int store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);

/* The same for messages of several queues (batch_add_to()), in the order of the batch, under
 * one hold of the log's lock.  All their append locks must be held (queues_append_begin).
 * `first` is the queue offset of the first message; entries have their own. */
int store_append_each(struct store *s, struct batch *b, struct appended *ret);

/* The same for messages that belong together (record_is_continued() says how the log has
 * it): all are stored or none is, here after a crash, and on every slave.  -EINVAL: their
 * order or their topics do not allow that (batch_join()). */
int store_append_step(struct store *s, struct batch *b, struct appended *ret);

/* From now on store_append() answers rc (MQ_OK: it appends), and store_append_raw()
 * does unless rc is MQ_EROLE; when this returns, neither is running.  A slave's store
 * refuses with MQ_EROLE from the start. */
void store_refuse(struct store *s, int rc);

/* Of a log that is received: cut the record at its end that came in part, if there is
 * one, as damage at the end is cut at a mount.  Nothing is appended meanwhile. */
int store_cut_torn(struct store *s, const char *why);

/* Append even where store_refuse() refuses; on success it refuses no more. */
int store_append_first(struct store *s, struct queue *q, struct batch *b, struct appended *ret);

/* On a slave: bytes of the log as its master sent them, in order, cut anywhere;
 * within one segment.  Every record that is complete now is shown to readers.  The
 * bytes are written and then checked where they are: nobody may change them meanwhile.
 * MQ_ECORRUPT (noted) when they do not follow on the log's end; else as above. */
int store_append_raw(struct store *s, mq_pos pos, const void *bytes, size_t len);

/* Hold a queue's end still: a caller that appends more than one batch that must be
 * consecutive, or that looks at the end before it appends (pwrite), does so between these
 * two. */
void queue_append_begin(struct queue *q);
void queue_append_end(struct queue *q);

/* The same of several, which may be named more than once: qs is sorted, and *n is how many
 * different ones there are. */
void queues_append_begin(struct queue **qs, size_t *n);
void queues_append_end(struct queue **qs, size_t n);

/* Could one more message of `bytes` be stored now?  MQ_OK, or why not. */
int store_may_append(struct store *s, size_t bytes);

/* Make the log durable up to `upto`, at least: many callers share one sync.
 * -EIO once a sync has failed, for ever. */
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

/* That queue had come to `end` when its last message, stored at last_store_ms, was still
 * there: if the log has nothing of it, it is empty at `end` from here on.  -ENOMEM. */
int store_queue_came_to(struct store *s, const char *topic, int32_t queue_id, mq_qoff end, int64_t last_store_ms);

/* --- reading ------------------------------------------------------------ */

/* Read and verify the record at pos into buf (grown with realloc; the caller
 * frees): *ret_rec points into it.  MQ_EGONE below the log's begin, MQ_EEND
 * beyond its end, -EIO when the bytes there are no record. */
int store_read(struct store *s, mq_pos pos, unsigned char **buf, size_t *buf_size, struct record *ret_rec);

/* Raw bytes of the log, within one segment; *ret_n < len at its end or at `written`. */
int store_read_raw(struct store *s, mq_pos pos, void *buf, size_t len, size_t *ret_n);

/* CRC-32 of the log's bytes [from, to), which are of one segment.  As store_read_raw();
 * MQ_EEND: it does not go that far. */
int store_crc_raw(struct store *s, mq_pos from, mq_pos to, uint32_t *ret);

/* Store time of message n of q.  -EIO if its record cannot be read; MQ_EGONE if it is
 * too old. */
int store_time_of(struct store *s, struct queue *q, mq_qoff n, int64_t *ret_ms);

/* The first message of q stored at or after ms (its end if there is none).  Messages that
 * were stored when the clock was ahead of now count as stored with the one before them. */
int store_find_time(struct store *s, struct queue *q, int64_t ms, mq_qoff *ret_qoff);

/* The time by which messages may expire, and how far the clock is ahead of it (NULL: not
 * asked): wallclock.h. */
int64_t store_believed_ms(struct store *s, int64_t *ret_ahead_ms);

/* The log as it is: [begin, written), in segments of that size; and its
 * directory, for callers that read it by themselves (the store's, not to be closed). */
mq_pos store_begin(struct store *s);
int64_t store_segment_bytes(const struct store *s);
int64_t store_queue_file_entries(const struct store *s);	/* of consume queue files */
int store_commitlog_fd(const struct store *s);

/* Segments that are older than fileReservedTime go now, whatever deleteWhen says. */
int store_expire(struct store *s);

/* --- key index ---------------------------------------------------------- */

/* Positions of records with that key (or UNIQ_KEY) of topic, newest first.
 * Hash collisions are not filtered: look at the record. */
int store_find_key(struct store *s, const char *topic, const char *key, int64_t from_ms, int64_t to_ms,
		   mq_pos *ret_pos, size_t max, size_t *ret_n);

/* --- checkpoint ---------------------------------------------------------- */

/* Bring every view to disk and say up to where: what the floor above then
 * commits together with its own rows.  Appends go on meanwhile.
 * On failure the next call tries again with all of it, unless a sync has failed:
 * that is final (-EIO), and the next mount replays from the last checkpoint. */
int store_checkpoint(struct store *s, struct store_checkpoint *ret);

/* What a checkpoint of this moment would say, without the views on the disk: for a snapshot, which
 * has no views.  The row of each queue is given to `each`, in no order, and before `dispatched`
 * is read, so no row is newer; ret->rows and ret->index_name are empty.  An error of `each`
 * is returned. */
int store_moment(struct store *s, int (*each)(void *arg, const struct queue_row *row), void *arg,
		 struct store_checkpoint *ret);

/* The floor above has committed the checkpoint that store_checkpoint() gave last:
 * what no replay needs any more may go from here on. */
void store_checkpointed(struct store *s, mq_pos dispatched);

/* How many queues have changed since the last checkpoint was taken. */
int64_t store_changed_queues(const struct store *s);

/* --- what status/ shows --------------------------------------------------- */

struct store_stats {
	int64_t begin, written, flushed, dispatched;
	int64_t appended_messages, appended_bytes;
	int64_t segments, queues;
	int64_t flushes;
	bool failed;		/* a sync failed: no more appends */
	bool disk_full;		/* appends are refused until space returns */
	int disk_used_percent;
	int64_t heads_moved;	/* queues' heads, how often altogether */
	int64_t retention_ms;	/* time of retention's last round, 0 before the first */
	int64_t retention_rounds;
	int64_t removed_segments, removed_bytes;
	int64_t cuts, cut_bytes;	/* of its end, while mounted: cut.h */
	int64_t clock_backs;	/* how often store times went back with the clock: wallclock.h */
	int64_t clock_ahead_ms;	/* the clock is so far ahead of the time by which messages expire */
};

/* What lies before this position has been the same since the store was opened. */
mq_pos store_steady(struct store *s);

void store_stats(struct store *s, struct store_stats *ret);

#endif
