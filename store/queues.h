/* queues.h - all queues of a store: finding them, adding messages, writing them to disk.
 *
 * The half of queue.h's interface that only the store uses.
 */
#ifndef MQFS_STORE_QUEUES_H
#define MQFS_STORE_QUEUES_H

#include "conf/lock.h"
#include "store/fdcache.h"
#include "store/queue.h"
#include "store/store.h"

#define QOFF_MAX (INT64_MAX / 64)	/* a greater queue offset has no place in the files */
#define QUEUES_TAIL_MAX (4 << 20)	/* entries in memory of all queues; appends are refused beyond it */

struct queues {
	int consumequeue_fd;		/* where RocketMQ's half is; -1 where nothing may be written */
	int byteindex_fd;
	int64_t file_entries;		/* entries of one file */
	struct fdcache *files;
	struct lock lock;		/* for the table: bucket, n_buckets, n */
	struct queue **bucket;
	size_t n_buckets, n;
	struct lock dirty_lock;		/* rank RANK_FLUSH: for the list of changed queues */
	struct queue *dirty;
	_Atomic int64_t n_dirty;	/* length of that list */
	_Atomic int64_t tail_entries;	/* entries of all queues that are in memory */
	_Atomic int64_t tail_room;	/* entries for which they have memory */
	bool fs_syncs;			/* see file_system_syncs() */
	bool failed;			/* a sync failed, and none is tried again; used by checkpoints only */
	_Atomic uint32_t takes;		/* calls of queues_take_dirty() */
	_Atomic uint32_t committed;	/* of these, the last whose rows the floor above has committed */
	_Atomic int64_t head_moves;	/* of all queues, since the store was opened */
	_Atomic int64_t outgrown;	/* number of queues with saved.outgrown */
	_Atomic bool unlike;		/* a queue was found whose files are not as its row, see queues_restore() */
	struct queue *_Atomic news;	/* watched queues that have got messages, newest first */
};

/* Where the head was before its move number `move`. */
struct queue_head {
	uint32_t move;
	mq_qoff min;
	int64_t start;
};

/* What checkpoints know of a queue; by the queue's lock. */
struct queue_saved {
	bool is_dirty;			/* on the list of changed queues */
	bool rewound;			/* the end was moved other than by messages since the row was last taken */
	bool outgrown;			/* there may be files below the head */
	mq_qoff synced;			/* entries below are on disk */
	mq_qoff taken_min;		/* the head as the last checkpoint has it */
	uint32_t taken_by;		/* the call of queues_take_dirty() that has taken the row; 0: it was restored */
};

/* What the files have to say, by the row that a queue was made from.  Its files are compared with it
 * before anything is read from or written to them.  Only the state changes once the store is open. */
struct queue_promise {
	mq_qoff end;
	mq_pos last_end;
	int64_t end_bytes;
	bool is_last;			/* a mount has looked, and the files had no entry at or behind `end` */
	enum queue_files_state {
		FILES_KNOWN,		/* they were compared, or the row has no messages */
		FILES_PROMISED,		/* not yet compared */
		FILES_UNLIKE,		/* they are not as the row: entries before `end` are not read from them */
	} _Atomic state;
};

struct queue {
	struct queues *all;
	struct queue_promise promise;	/* all but its state: set before other threads know the queue */
	struct queue *chain;		/* same bucket */
	struct queue *next_dirty;
	_Atomic int watchers;
	_Atomic bool in_news;		/* in queues.news, or returned by store_news() and not looked at yet */
	struct queue *next_news;
	int32_t id;
	uint32_t head_moves;

	struct lock append_lock;	/* queue_append_begin/end */
	mq_qoff numbered;		/* the next number to be given; guarded by the log's lock */
	struct lock lock;		/* for all below */
	struct queue_saved saved;
	_Atomic bool made_files;	/* since its directories were last synced */
	struct queue_head *heads;	/* the last few heads, NULL: the head never moved */
	mq_qoff first;			/* if this is min, that message lies at first_pos; else that is not known */
	mq_pos first_pos;
	_Atomic bool drops;		/* see queue_set_drops() */
	_Atomic uint32_t cuts;		/* number of queue_cut() since the store was opened */
	mq_qoff cut_low;		/* the lowest end that one of them has set */
	struct queue_span span;
	int64_t put_n, put_bytes;	/* see queue_puts() */
	mq_qoff own_from;		/* messages from here on were written or checked by this process */
	mq_qoff checked_from, checked_to; /* messages below own_from that were checked */
	mq_qoff tail_from;		/* first entry that is only in memory */
	size_t tail_n, tail_max;
	size_t reserved;		/* room in the tail that queue_reserve() has given away */
	size_t spill_at;		/* the last write failed: the next one is tried when the tail is this long */
	unsigned char *tail_entries;	/* tail_max * 20, as in the file */
	unsigned char *tail_starts;	/* tail_max * 8, as in the file */
	bool tail_lent;			/* a thread writes these two to the files, and frees them if they are replaced */
	_Atomic uint32_t writes;	/* odd while a thread writes the tail without the lock: the end is not
					 * cut then, see queue_tail_settle() */
	mq_qoff files_min;		/* the head when that write began; used by the writing thread only */
	struct queue_put *doubted;	/* see queue_put(); NULL: none */

	char topic[];
};

int queues_open(struct queues *qs, int consumequeue_fd, int byteindex_fd, int64_t file_bytes, struct fdcache *files);
void queues_close(struct queues *qs);

struct queue *queues_find(struct queues *qs, const char *topic, size_t topic_len, int32_t id);
int queues_make(struct queues *qs, const char *topic, size_t topic_len, int32_t id, struct queue **ret_q);
int queues_each(struct queues *qs, int (*each)(struct queue *q, void *arg), void *arg);

/* Make the queues as a checkpoint left them.  MQ_ECORRUPT when a row is damaged, or the files
 * of a queue do not hold the last message that its row has.
 *
 * `trusted`: nothing has written to the files since the checkpoint, as far as anybody knows.  Then only
 * the directories of topics are looked for, and the files of one queue in a hundred are compared; those of
 * all others are at their first use.  If they are not as the row, qs->unlike is set, a line is logged, and
 * reading messages from before the checkpoint fails with -EIO; new messages are stored and read. */
int queues_restore(struct queues *qs, const struct queue_row *rows, size_t n, bool trusted);

/* Are the row's values possible? */
bool queue_row_valid(const struct queue_row *row);

/* To make the queues anew, queues_wipe() removes all files, and the whole log is read again.  What the log
 * may not have any more is set by the others: the ends of queues, from RocketMQ's files or from a row
 * (adopt, before the log is read), and their heads (trim_as, afterwards). */
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

/* Decode both halves of an entry.  body_len is not set: it needs the start of the next entry. */
void queue_entry_decode(const unsigned char *entry, const unsigned char *start, struct queue_entry *ret);

/* Are the values of e possible, if the message behind it starts at `next`?  (A body can be longer than
 * its record, where it is packed.) */
bool queue_entry_possible(const struct queue_entry *e, int64_t next);

/* queue_find_pos() among messages [min, end). */
int queue_find_pos_in(struct queue *q, int64_t min, int64_t end, mq_pos pos, mq_qoff *ret_qoff);

/* Make the queue, which has no messages, begin and end at qoff.  Needs q->lock, as the next five do. */
void queue_empty_at(struct queue *q, mq_qoff qoff);

/* The head is about to move to min, so there may be a file wholly below it; see
 * queues_remove_outgrown(). */
void queue_note_outgrown(struct queue *q, mq_qoff min);

/* The queue is to be in the next checkpoint. */
void queue_mark_dirty(struct queue *q);

/* Write the first n entries of the tail to the files; no other thread may be doing that, and
 * queue_tail_settle() waits until none does.  Both drop the lock meanwhile. */
int queue_tail_write(struct queue *q, size_t n);
void queue_tail_settle(struct queue *q);

/* An empty tail keeps its memory for the messages to come, until this gives it back. */
void queue_tail_shrink(struct queue *q);

/* Make room for n more entries, so that queue_put_batch() cannot fail, until
 * queue_unreserve(), which may write the tail to the files.  -ENOMEM. */
int queue_reserve(struct queue *q, size_t n);
void queue_unreserve(struct queue *q, size_t n);

/* Enter a record, in log order; one that the queue has already is skipped.  The queue offset
 * is the only field of a record that no checksum covers:
 *
 *   the first record of the queue in a log read from its begin believed
 *   the next number                                            believed
 *   a later one, and the log has room for those between        believed: they are holes
 *   0: a topic that RocketMQ has deleted and made again        believed: the queue starts over
 *   any other                                                  doubted: not listed
 *
 * If the queue's next record goes on from a doubted number, the queue starts over with the
 * doubted record; else the doubted record was damaged, and only that one is not listed.
 * MQ_ECORRUPT for a number that no message can have (noted): the record is not listed. */
int queue_put(struct queue *q, const struct queue_put *put);

/* Enter entries [from, to) of a batch that has been written as the queue's next messages. */
void queue_put_batch(struct queue *q, const struct batch *b, size_t from, size_t to, int64_t store_ms);

/* Forget the messages from `end` on (end: at least min); `last` describes the last message
 * that remains.  The queue's name gets a new inode; a reader that has the old one open reads
 * the messages that remain, see queue_cut_since(). */
struct queue_last {
	mq_pos end;		/* of its record; 0: no message remains */
	int64_t store_ms;
};

int queue_cut(struct queue *q, mq_qoff end, const struct queue_last *last);

/* The position of message n, which may be before the head: its entry may have any value then, so the
 * caller checks the record.  MQ_EEND at or behind the end; -EIO: there is no entry any more. */
int queue_look_below(struct queue *q, mq_qoff n, mq_pos *ret_pos);

/* Undo a trim: puts[0 .. n), with consecutive numbers, are all messages of q before some
 * position of the log, and the head moves back to the first of them.  If the head was behind
 * the last of them, the queue's end moves back to there. */
int queue_untrim(struct queue *q, const struct queue_put *puts, size_t n);

/* The queue had come to `end` before, and the log, which begins at `begin`, has no message of
 * it: the queue becomes empty, with min and end there.  Does nothing if its end is there or
 * further on, or it has a message. */
void queue_came_to(struct queue *q, mq_qoff end, int64_t last_store_ms, mq_pos begin);

/* After a crash: remove the entries of messages that the log has lost from the files.  An entry
 * that was replayed and is only in memory is written later. */
void queue_drop_unlogged(struct queue *q);

/* Move the head to the first message at or behind position `begin`. */
int queue_drop_before(struct queue *q, mq_pos begin);

/* The heads that the last checkpoint took are on disk: remove the files wholly below them. */
void queues_remove_outgrown(struct queues *qs);

/* The rows of the last queues_take_dirty() are committed. */
void queues_committed(struct queues *qs);

/* The row of q at this moment; it does not count as taken by a checkpoint.  False, and no row: the
 * checkpoint that was committed last has the same. */
bool queue_row_if_new(struct queue *q, struct queue_row *row);

/* Take the list of queues that changed since the last call, with their rows as they are now: rows[i] is
 * of list[i].  Call it with the log's lock, so that all rows are of one moment; free both arrays. */
struct queues_dirty {
	struct queue **list;
	struct queue_row *rows;
	size_t n;
};

int queues_take_dirty(struct queues *qs, struct queues_dirty *ret);

/* Write the tails of these queues to the files, up to the ends that their rows have, and
 * sync.  On failure all of them are put back on the list; after a failed sync every further
 * call fails (-EIO). */
int queues_flush(struct queues *qs, struct queues_dirty *d);
void queues_put_back(struct queues_dirty *d);

#endif
