/* delays.h - messages that are delivered later: which are due, and how far delivery has come.
 *
 * A message that is to be delivered later waits as a record of another topic, with its own
 * topic and queue in the properties REAL_TOPIC and REAL_QID:
 *
 *   SCHEDULE_TOPIC_XXXX  RocketMQ's; queue = level - 1, property DELAY = level; due at the store
 *                        time + what messageDelayLevel says of the level, its entry's tagsCode.
 *                        Each of its queues is in order of time by itself
 *   MQFS_DELAY           ours, for any time; queue 0, property TIMER_DELIVER_MS = when it is
 *                        due, its entry's tagsCode.  RocketMQ keeps it as any other topic
 *
 * A delivered message is a record of its own topic with the same body, properties and hosts, and
 * PREPAREDTRANSACTIONOFFSET is the position of the record that has waited (RocketMQ has 0 there).
 * So one record says what is delivered and how far delivery has come, on a master and on its
 * slaves, and this view is made from the log alone:
 *
 *   levels   for each level, the next message of its queue
 *   timed    (due, position) of the last delivered message, W: all messages up to it in that
 *            order are delivered.  A message that is stored when its time is before W gets W's
 *            time in its entry, so it is behind W.  It is due at once; or, if the clock was ahead
 *            and is before W now, at its own time, after those before it.  One that is stored
 *            between delays_due() and the delivery may be before some messages of the list: see
 *            delays_in_order().
 *   low      a record of MQFS_DELAY with a PREPAREDTRANSACTIONOFFSET is a copy that was put at the
 *            end of the log, because retention would have removed the original: all timed
 *            messages before that one are delivered or moved
 *
 * The earliest timed messages, a bounded number, are in memory (a heap).  The consume queue has all
 * of them, and is read again when the heap is empty.
 *
 * Threads: any.
 */
#ifndef MQFS_STORE_DELAYS_H
#define MQFS_STORE_DELAYS_H

#include "conf/delay.h"
#include "conf/lock.h"
#include "store/batch.h"
#include "store/mark.h"
#include "store/record.h"

struct store;
struct queue;

/* How far delivery has come at a position of the log: part of a checkpoint. */
struct delays_state {
	mq_qoff level[DELAY_LEVELS_MAX];	/* [0] is level 1 */
	int64_t due_ms;				/* W */
	mq_pos pos;
	mq_qoff low;
};

struct delay_due {
	struct queue *q;	/* where it waits */
	mq_qoff qoff;
	mq_pos pos;
	int64_t due_ms;
	int level;		/* 0: timed */
};

/* At most `max` messages that are due at now_ms, in the order in which they are to be
 * delivered; *ret_next_ms is when the next one will be (INT64_MAX: none is pending), or
 * now_ms if there may be more now.  Only one thread at a time delivers.
 * -ENOMEM, or a queue that cannot be read. */
int delays_due(struct store *s, int64_t now_ms, struct delay_due *list, size_t max, size_t *ret_n,
	       int64_t *ret_next_ms);

/* The list of delays_due() was not delivered: the next call returns its messages again. */
void delays_again(struct store *s);

/* -EAGAIN: a timed message has been stored that is due before one in the list of delays_due() that
 * is not delivered yet.  To deliver that one would mark the new one as delivered, too, so the next
 * delays_due() returns both.  Call it with the append lock of the queue of timed messages, and hold
 * that until the messages are in the log. */
int delays_in_order(struct store *s);

/* Skip d, which can never be delivered. */
void delays_skip(struct store *s, const struct delay_due *d);

/* The first timed message that waits and was stored before `before_ms`, to be moved to the
 * end of the log.  MQ_EEND: there is none. */
int delays_oldest(struct store *s, int64_t before_ms, struct delay_due *ret);

/* Moves when a message is stored that is to be delivered later. */
struct mark *delays_news(struct store *s);

struct delays_stats {
	int64_t pending;
	int64_t next_due_ms;	/* INT64_MAX: nothing is pending */
	int64_t delivered;	/* since the store was opened */
};

int delays_stats(struct store *s, struct delays_stats *ret);

/* The next message of each level, as in RocketMQ's delayOffset.json; returns the number of levels.
 * RocketMQ's own progress is taken where it is ahead. */
int delays_levels(struct store *s, mq_qoff level[DELAY_LEVELS_MAX]);
void delays_level_is_at(struct store *s, int level, mq_qoff next);

/* A message, as it is stored so that it is delivered later: its topic, queue and properties
 * are replaced.  level 1 ..., or 0 and due_ms.  `props` is memory of DELAYED_PROPS_MAX
 * bytes, which m borrows.  -EMSGSIZE: no room for more properties. */
#define DELAYED_PROPS_MAX (RECORD_PROPS_MAX + 1)
int delays_message(struct message *m, int level, int64_t due_ms, char *props);

/* The queue in which messages of that kind wait. */
int delays_queue(struct store *s, int level, struct queue **ret_q);

/* The message that delivers rec: all of it is borrowed from rec, except `topic`, which is copied.
 * -EINVAL, noted: rec has no valid topic or queue to deliver to. */
int delays_deliver(const struct record *rec, struct message *ret_m, char topic[RECORD_TOPIC_MAX + 1]);

/* --- the store's own --------------------------------------------------------------- */

struct timed {
	int64_t due_ms;
	mq_pos pos;
	mq_qoff qoff;
};

struct delays {
	struct lock lock;
	struct delays_state state;
	struct timed *heap;	/* the earliest first */
	size_t n, max;
	bool loaded;		/* the heap has all pending messages up to `horizon` */
	mq_qoff scanned;	/* messages before it are read from the queue by timed_load() */
	struct timed horizon;
	struct timed *given;	/* the timed messages that delays_due() returned last */
	size_t n_given, max_given;
	size_t next_given;	/* those from here on are not delivered yet */
	int64_t timed_pending;	/* number of pending messages, if counted */
	bool counted;		/* the queue was read to its end since the store was opened or cut */
	int64_t added;		/* messages stored since timed_load() last began */
	int64_t delivered;
	bool logged_ahead;	/* a log line says that state.due_ms is ahead of the clock; used by the delivering thread */
	struct mark news;
};

void delays_open(struct delays *d, const struct delays_state *state);
void delays_close(struct delays *d);
void delays_state(struct store *s, struct delays_state *ret);

/* Enter a record into the view, after the consume queues.  Needs the log's lock. */
int delays_put(struct store *s, const struct record *rec);

/* The tagsCode of an entry of MQFS_DELAY that is stored now. */
int64_t delays_tags_code(struct store *s, int64_t due_ms);

/* The log is about to end at `at`: what was delivered behind it is pending again. */
int delays_cut(struct store *s, mq_pos at, mq_pos end);

#endif
