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
 * Delivered, it is a record of its own topic with the same body, properties and hosts, and
 * PREPAREDTRANSACTIONOFFSET is the position of the record that has waited (RocketMQ has 0
 * there).  So one record says what is delivered and how far delivery has come: both are in
 * the log or neither is, here and on every slave, and this view is made of nothing else.
 *
 *   levels   a number for each: the next message of its queue
 *   timed    in order of (due, position): all up to the last delivered one, (W), are.
 *            A message that is stored when its time is before W stands at W's time; so it
 *            is behind W.  It is due at once; or where the clock was ahead, and says less than W
 *            now, at its own time, when those that stand before it are delivered.  One that is stored between delays_due() and the delivery of what
 *            that gave may be before some of it: then that is given back, see
 *            delays_in_order().  A record of MQFS_DELAY that has a PREPAREDTRANSACTIONOFFSET was
 *            moved to the end of the log (retention would have taken it): all timed
 *            messages before the one that it names are delivered or moved (`low`)
 *
 * The earliest of the timed messages, a bounded number, are in memory; the consume queue
 * has all of them, and is read again when those are delivered.
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

/* What delays_due() gave has not been delivered: it is given again. */
void delays_again(struct store *s);

/* Has no timed message been stored since that is due before one of those that delays_due() gave
 * and that are not delivered yet?  Else to deliver them would say of that one that it is
 * delivered, too: -EAGAIN, and they are given again.  Called with the append lock of the queue
 * of timed messages, which is held until they are in the log. */
int delays_in_order(struct store *s);

/* d can never be delivered: delivery goes on behind it. */
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

/* How far each of the n levels has come, as RocketMQ's delayOffset.json has it; and the
 * same told by RocketMQ: its progress is taken where it is further on. */
int delays_levels(struct store *s, mq_qoff level[DELAY_LEVELS_MAX]);
void delays_level_is_at(struct store *s, int level, mq_qoff next);

/* A message, as it is stored so that it is delivered later: its topic, queue and properties
 * are replaced.  level 1 ..., or 0 and due_ms.  `props` is memory of DELAYED_PROPS_MAX
 * bytes, which m borrows.  -EMSGSIZE: no room for more properties. */
#define DELAYED_PROPS_MAX (RECORD_PROPS_MAX + 1)
int delays_message(struct message *m, int level, int64_t due_ms, char *props);

/* The queue in which messages of that kind wait. */
int delays_queue(struct store *s, int level, struct queue **ret_q);

/* What a waiting message is delivered as: everything borrowed from rec, but for `topic`, which
 * is copied.  -EINVAL, noted: it does not say where it belongs. */
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
	struct timed *heap;	/* the earliest first; all of them up to `horizon` */
	size_t n, max;
	bool loaded;
	mq_qoff scanned;	/* messages before it were read from the queue */
	struct timed horizon;
	struct timed *given;	/* what delays_due() gave last, in that order: */
	size_t n_given, max_given;
	size_t next_given;	/* those from here on are not delivered yet */
	int64_t timed_pending;	/* once counted: */
	bool counted;		/* the queue was read to its end since the store was opened or cut */
	int64_t added;		/* of them, since the queue was last begun to be read */
	int64_t delivered;
	bool said_ahead;	/* that state.due_ms is ahead of the clock: of the thread that delivers */
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
