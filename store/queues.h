/* queues.h - all queues of a store: finding them, feeding them, bringing them to disk.
 *
 * What queue.h does not show: this side belongs to the store alone.
 */
#ifndef MQFS_STORE_QUEUES_H
#define MQFS_STORE_QUEUES_H

#include "conf/lock.h"
#include "store/fdcache.h"
#include "store/queue.h"
#include "store/store.h"

#define QOFF_MAX (INT64_MAX / 64)	/* a greater queue offset has no place in the files */
#define QUEUES_TAIL_MAX (4 << 20)	/* entries in memory; no more unless files cannot be written */

struct queues {
	int consumequeue_fd;		/* where RocketMQ's half is; -1 where nothing may be written */
	int byteindex_fd;
	int64_t file_entries;		/* of one file */
	struct fdcache *files;
	struct lock lock;		/* the table */
	struct queue **bucket;
	size_t n_buckets, n;
	struct lock dirty_lock;		/* rank RANK_FLUSH: the list of what changed */
	struct queue *dirty;
	_Atomic int64_t n_dirty;	/* how long that list is */
	_Atomic int64_t tail_entries;	/* in memory, of all queues */
	bool fs_syncs;			/* see file_system_syncs() */
	bool failed;			/* a sync failed: final (the checkpoint's) */
	_Atomic int64_t head_moves;	/* of all queues, since the store was opened */
	_Atomic int64_t outgrown;	/* queues with files that may be below their head */
	struct queue *_Atomic news;	/* watched queues that have got messages, newest first */
};

/* Where the head was before its move number `move`. */
struct queue_head {
	uint32_t move;
	mq_qoff min;
	int64_t start;
};

struct queue {
	struct queues *all;
	struct queue *chain;		/* same bucket */
	struct queue *next_dirty;
	_Atomic int watchers;
	_Atomic bool in_news;
	struct queue *next_news;
	int32_t id;
	uint32_t head_moves;

	struct lock append_lock;	/* queue_append_begin/end */
	mq_qoff numbered;		/* with the log's lock: the next number to be given */
	struct lock lock;		/* all below */
	bool is_dirty;			/* on the dirty list */
	_Atomic bool made_files;	/* since its directories were last synced */
	struct queue_head *heads;	/* the last few, NULL: it never moved */
	mq_qoff first;			/* message first lies at first_pos; not min: not known */
	mq_pos first_pos;
	mq_qoff taken_min;		/* the head as the last checkpoint has it */
	bool outgrown;			/* there may be files below the head */
	_Atomic bool drops;
	bool rewound;			/* since it was last taken from there */
	_Atomic uint32_t cuts;		/* since the store was opened */
	mq_qoff cut_low;		/* the lowest end of them */
	struct queue_span span;
	int64_t put_n, put_bytes;	/* since the store was opened */
	mq_qoff synced;			/* entries below are on disk */
	mq_qoff own_from;		/* messages from here on were written or checked by us */
	mq_qoff checked_from, checked_to; /* and these, below, were checked */
	mq_qoff tail_from;		/* first entry that is only in memory */
	size_t tail_n, tail_max;
	size_t reserved;		/* room in the tail that is spoken for */
	size_t spill_at;		/* could not be written: not before it is so long */
	unsigned char *tail_entries;	/* tail_max * 20, as in the file */
	unsigned char *tail_starts;	/* tail_max * 8, as in the file */
	_Atomic uint32_t writes;	/* odd while the tail is written, without the lock: the end is not
					 * cut then, see queue_tail_settle() */
	mq_qoff files_min;		/* the head as it was then; of who writes */
	struct queue_put *doubted;	/* see queue_put(); NULL: none */

	char topic[];
};

int queues_open(struct queues *qs, int consumequeue_fd, int byteindex_fd, int64_t file_bytes, struct fdcache *files);
void queues_close(struct queues *qs);

struct queue *queues_find(struct queues *qs, const char *topic, size_t topic_len, int32_t id);
int queues_make(struct queues *qs, const char *topic, size_t topic_len, int32_t id, struct queue **ret_q);
int queues_each(struct queues *qs, int (*each)(struct queue *q, void *arg), void *arg);

/* Queues as a checkpoint left them.  MQ_ECORRUPT when the files of one are not there. */
int queues_restore(struct queues *qs, const struct queue_row *rows, size_t n);

/* Could the row be true? */
bool queue_row_valid(const struct queue_row *row);

/* All files are removed, and the log will bring all of it again.  What it may not
 * bring is kept: how far a queue had come, known from RocketMQ's files or from a
 * row (adopt, before), and what was trimmed (trim_as, afterwards). */
int queues_adopt(struct queues *qs, int consumequeue_fd);
int queues_adopt_row(struct queues *qs, const struct queue_row *row);
int queues_wipe(struct queues *qs);
int queues_trim_as(struct queues *qs, const struct queue_row *row);

/* What the log says about one record of a queue. */
struct queue_put {
	mq_qoff qoff;
	mq_pos pos;
	int32_t total;
	int32_t body_len;
	int64_t tags_code;
	int64_t store_ms;
};

/* Both halves of an entry, except its body_len: that takes the next one's start. */
void queue_entry_decode(const unsigned char *entry, const unsigned char *start, struct queue_entry *ret);

/* Could that be an entry, with `next` the start of the message behind it?  A packed body
 * is longer than its record. */
bool queue_entry_possible(const struct queue_entry *e, int64_t next);

/* queue_find_pos() among messages [min, end). */
int queue_find_pos_in(struct queue *q, int64_t min, int64_t end, mq_pos pos, mq_qoff *ret_qoff);

/* Called with q's lock: its head is about to move to min, and may leave a file
 * behind; see queues_remove_outgrown(). */
void queue_note_outgrown(struct queue *q, mq_qoff min);

/* Called with q's lock: it is to be in the next checkpoint. */
void queue_mark_dirty(struct queue *q);

/* Called with q's lock, which is dropped meanwhile: write the first n entries of its tail to
 * the files, which nobody else does (settle: wait for that). */
int queue_tail_write(struct queue *q, size_t n);
void queue_tail_settle(struct queue *q);

/* Room for n more entries, so that queue_put_batch() cannot fail: until
 * queue_unreserve(), which may write them to the files.  -ENOMEM. */
int queue_reserve(struct queue *q, size_t n);
void queue_unreserve(struct queue *q, size_t n);

/* Enter a record, in log order.  Known ones are skipped.  Its number is the only thing in
 * it that nothing sums up:
 *
 *   the queue's first, since the log was read from its begin   believed
 *   the next one                                               believed
 *   a later one, and the log has room for those between        believed: they are holes
 *   0: a topic that RocketMQ has deleted and made again        believed: the queue starts over
 *   any other                                                  doubted: not listed
 *
 * If the queue's next record goes on from a doubted number, the queue starts over with the
 * doubted record; else that one was damaged, and costs the queue nothing but itself.
 * MQ_ECORRUPT for a number that cannot be (noted): the record stays unlisted. */
int queue_put(struct queue *q, const struct queue_put *put);

/* Entries [from, to) of a batch that has been written: the queue's next messages. */
void queue_put_batch(struct queue *q, const struct batch *b, size_t from, size_t to, int64_t store_ms);

/* Messages from `end` on are no more (end: at least min); `last` is what is left of the
 * last one.  The queue's name is another file from here on; a reader that has the old one
 * open reads what is left of it, see queue_cut_since(). */
struct queue_last {
	mq_pos end;		/* of its record; 0: there is none */
	int64_t store_ms;
};

int queue_cut(struct queue *q, mq_qoff end, const struct queue_last *last);

/* Where message n lies, also one before the head, if its entry is still there: it may be
 * anything, look at the record. */
int queue_look_below(struct queue *q, mq_qoff n, mq_pos *ret_pos);

/* What was trimmed comes back: puts[0 .. n), one behind the other, are all messages of q
 * that there are before some position of the log.  Where its head is behind them, its
 * end goes back there, too. */
int queue_untrim(struct queue *q, const struct queue_put *puts, size_t n);

/* q, of which the log that begins at `begin` has no message, had come to `end` before:
 * it is empty there.  Nothing if it is further on, or there is a message. */
void queue_came_to(struct queue *q, mq_qoff end, int64_t last_store_ms, mq_pos begin);

/* After a crash: the files forget entries of messages that the log has lost.  What was
 * replayed and is in no file yet comes there later. */
void queue_drop_unlogged(struct queue *q);

/* Move the head to `min` (clamped to the end). */
int queue_set_min(struct queue *q, mq_qoff min);

/* Move the head to the first message at or behind position `begin`. */
int queue_drop_before(struct queue *q, mq_pos begin);

/* The heads that the last checkpoint took are on disk: files wholly below them go. */
void queues_remove_outgrown(struct queues *qs);

/* Has any queue changed since the list was last taken? */
bool queues_any_dirty(struct queues *qs);

/* Take the list of queues that changed since the last call, with where they
 * stand now: rows[i] of list[i].  Called with the log's lock. */
struct queues_dirty {
	struct queue **list;
	struct queue_row *rows;
	size_t n;
};

int queues_take_dirty(struct queues *qs, struct queues_dirty *ret);

/* Write what is in memory of them to the files, up to their rows, and sync.
 * On failure all of them are put back on the list; after a failed sync there is
 * no success any more (-EIO). */
int queues_flush(struct queues *qs, struct queues_dirty *d);
void queues_put_back(struct queues_dirty *d);

#endif
