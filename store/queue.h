/* queue.h - one queue of one topic: a view of the commit log.
 *
 * For each message a queue keeps 28 bytes, in two files that roll together:
 *
 *   consumequeue/T/Q/<20 digits>   RocketMQ's entry, 20 bytes, big-endian:
 *         0  i64  phyOffset of the record
 *         8  i32  TOTALSIZE of the record
 *        12  i64  tagsCode
 *   byteindex/T/Q/<20 digits>      ours, 8 bytes, big-endian:
 *         0  i64  bytes of all bodies before this message ("start")
 *
 * File names are the byte offset of the first entry as if the files were one.
 * The newest entries are in memory (the tail) until a checkpoint writes them to the
 * files, or there are too many of them; a reader does not see the difference.
 *
 * Offsets: min <= message numbers < end.  Messages below min were removed by retention
 * or a trim.  A number in between whose record is missing (a hole that damage left)
 * has a phyOffset of 0 and a TOTALSIZE of 0x7fffffff.
 *
 * Any thread may call anything here.  Queues live as long as the store.
 */
#ifndef MQFS_STORE_QUEUE_H
#define MQFS_STORE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"

struct queue;

#define QUEUE_ENTRY_BYTES 20
#define QUEUE_START_BYTES 8
#define QUEUE_FILE_DIGITS 20	/* of a file's name */
#define QUEUE_HOLE_SIZE 0x7fffffff

/* Messages of one part, as log shippers see a queue (fs/node_parts.c): the same on every
 * broker, for ever.  The byte index goes back to the begin of the part that min is in. */
#define QUEUE_PART_MESSAGES INT64_C(65536)

/* A decoded entry of both files. */
struct queue_entry {
	mq_pos pos;
	int32_t total;		/* QUEUE_HOLE_SIZE: no record */
	int64_t tags_code;
	int64_t start;		/* body bytes of the messages before it */
	int64_t body_len;
};

/* Head and end of a queue at one moment. */
struct queue_span {
	mq_qoff min, end;
	int64_t start_bytes;	/* start of message min */
	int64_t end_bytes;	/* start of message end */
	int64_t last_store_ms;	/* store time of the last message, 0 if none ever */
	mq_pos last_end;	/* end of the last message's record */
};

const char *queue_topic(const struct queue *q);
int32_t queue_id(const struct queue *q);
void queue_span(struct queue *q, struct queue_span *ret_span);
mq_qoff queue_min(struct queue *q);
mq_qoff queue_end(struct queue *q);

/* The number of messages that were added since the store was opened, and the bytes of their records. */
void queue_puts(struct queue *q, int64_t *ret_n, int64_t *ret_bytes);

/* While a queue is watched, store_news() lists it when it has got messages.  Call these in
 * pairs, from any thread; look at the queue's end after queue_watch(). */
void queue_watch(struct queue *q);
void queue_unwatch(struct queue *q);

/* The queue after q in the list that store_news() has returned.  The next message of q puts
 * it on a new list, so look at q's end after this call. */
struct queue *queue_next_news(struct queue *q);

/* How often the head has moved: inode generations contain this number. */
uint32_t queue_head_moves(struct queue *q);

/* The size of the file that a reader opened when the head had moved `move` times, which still begins
 * there.  MQ_EGONE: the head has moved too often since, or not at all. */
int queue_old_size(struct queue *q, uint32_t move, int64_t per_message, int64_t *ret_bytes);

/* How often the end was cut since the store was opened (see cut.h).  Was it cut since that number was
 * `cuts`?  Then messages from *ret_low on may have been replaced. */
uint32_t queue_cuts(const struct queue *q);
bool queue_cut_since(struct queue *q, uint32_t cuts, mq_qoff *ret_low);

/* Entries from `from` on: at most max, less at the end of a file.
 * MQ_OK with *ret_n >= 1; MQ_EEND at or beyond the end; MQ_EGONE below min;
 * -EIO if they cannot be read. */
int queue_entries(struct queue *q, mq_qoff from, struct queue_entry *entries, size_t max, size_t *ret_n);

/* The same of the records alone: pos, total and tags_code.  `now`: -EAGAIN instead of waiting for
 * the disk. */
int queue_records(struct queue *q, mq_qoff from, bool now, struct queue_entry *entries, size_t max, size_t *ret_n);

/* The message that holds byte `byte` of the queue seen with `per_message`
 * bytes of framing beside each body, byte 0 being the first byte of message
 * `from`: its number and its first byte.  MQ_EEND at `to`'s first byte and beyond. */
int queue_find_byte(struct queue *q, mq_qoff from, mq_qoff to, int64_t byte, int64_t per_message,
		    mq_qoff *ret_qoff, int64_t *ret_first_byte);

/* The first message at or behind position pos of the log (the end if none). */
int queue_find_pos(struct queue *q, mq_pos pos, mq_qoff *ret_qoff);

/* Where message min lies.  MQ_EEND when the queue is empty. */
int queue_first_pos(struct queue *q, mq_pos *ret_pos);

/* Move the head to message `min` (at most the end): readers do not see those before it any more. */
int queue_trim(struct queue *q, mq_qoff min);

/* May retention remove the queue's messages before their time if the disk is full?  False until set. */
void queue_set_drops(struct queue *q, bool drops);
bool queue_drops(const struct queue *q);

/* Were the records of [from, to) checked?  Either this process wrote them, or a reader that has checked
 * them has called queue_note_checked(). */
bool queue_is_checked(struct queue *q, mq_qoff from, mq_qoff to);
void queue_note_checked(struct queue *q, mq_qoff from, mq_qoff to);

/* A record before `end` may have changed: readers check all records before `end` again. */
void queue_doubt(struct queue *q, mq_qoff end);

/* The bytes of the removed messages [from, min) of a part, with per_message bytes of framing each; `from`
 * is the part's first message.  If the byte index does not go back so far (it was made anew, or this
 * broker never had the messages), their bodies count as empty. */
int64_t queue_bytes_gone(struct queue *q, mq_qoff from, mq_qoff min, int64_t per_message);

/* The first bytes of a part (by its number), as they were read.  A log shipper tells files apart
 * by them, so they are kept when their messages are removed; a failure to keep them is no error.
 * queue_part_head() fills buf, of QUEUE_PART_HEAD_BYTES, and returns how many there are. */
#define QUEUE_PART_HEAD_BYTES 4096
size_t queue_part_head(struct queue *q, int64_t part, void *buf);
void queue_keep_part_head(struct queue *q, int64_t part, const void *buf, size_t len);

/* The byte at which message `at` starts, counted as in queue_find_byte() from message `from`. */
int queue_byte_of(struct queue *q, mq_qoff from, mq_qoff at, int64_t per_message, int64_t *ret_byte);

#endif
