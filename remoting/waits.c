#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/thread.h"
#include "net/request.h"
#include "remoting/waits.h"

#define NEVER INT64_MAX

struct wait {
	struct ring_completion answer;
	mq_pos end;
	int64_t disk_by, slaves_by;	/* clock_mono_ms(); 0: does not wait for it */
};

struct waits {
	const struct remoting_broker *broker;
	struct ring_server *ring;
	struct lock lock;
	pthread_cond_t flush_news;
	struct wait *list;		/* RING_SLOTS of them: no more are under way */
	uint64_t first, end;		/* counts; place is modulo RING_SLOTS */
	bool disk_failed;
	bool closing;
	mq_pos timer_pos;		/* what the timer thread waits for */
	int64_t timer_by;
	struct mark none;		/* in the place of `replicated`, if there is none */
	struct thread flusher, timer;
};

static struct mark *
replicated(struct waits *w)
{
	struct mark *m = w->broker->replicated ? w->broker->replicated(w->broker->arg) : NULL;

	return m ? m : &w->none;
}

/* Wake the timer thread, which may still wait for the mark that was there before. */
static void
nudge(struct waits *w)
{
	mark_nudge(&w->none);
	mark_nudge(replicated(w));
}

static struct wait *
wait_at(struct waits *w, uint64_t n)
{
	return &w->list[n % RING_SLOTS];
}

/* --- results ------------------------------------------------------------------------------ */

enum over { OVER_NOT, OVER_WELL, OVER_BADLY };

static enum over
is_over(int64_t by_ms, mq_pos end, mq_pos mark, bool failed, int64_t now)
{
	if (by_ms == 0 || mark.byte >= end.byte)
		return OVER_WELL;
	return failed || now >= by_ms ? OVER_BADLY : OVER_NOT;
}

static void
refuse(struct wait *e, int code, const char *why)
{
	e->answer.code = code;
	snprintf(e->answer.remark, sizeof(e->answer.remark), "%s", why);
}

/* A log that was cut does not come to the end of what it has lost. */
static enum over
disk_is_over(struct waits *w, const struct wait *e, int64_t now)
{
	bool cut = e->end.byte > mark_at(store_written(w->broker->store)).byte;

	return is_over(e->disk_by, e->end, mark_at(store_flushed(w->broker->store)), w->disk_failed || cut, now);
}

/* Slaves of a broker that is a slave now acknowledge its master's log, in which the message may not be. */
static enum over
slaves_are_over(struct waits *w, const struct wait *e, int64_t now)
{
	if (e->slaves_by && w->broker->settings->brokerRole == SLAVE)
		return OVER_BADLY;
	return is_over(e->slaves_by, e->end, mark_at(replicated(w)), false, now);
}

/* Complete the answer if it is ready. */
static bool
settle_one(struct waits *w, struct wait *e, int64_t now)
{
	enum over disk = disk_is_over(w, e, now), slaves = slaves_are_over(w, e, now);

	if (disk == OVER_NOT || slaves == OVER_NOT)
		return false;
	if (slaves == OVER_BADLY)
		refuse(e, ANSWER_FLUSH_SLAVE_TIMEOUT, "stored; slaves have not said in time that they have it");
	else if (disk == OVER_BADLY && e->answer.code == ANSWER_SUCCESS)
		refuse(e, ANSWER_FLUSH_DISK_TIMEOUT, "stored; the disk has not taken it in time");
	ring_server_complete(w->ring, &e->answer);
	return true;
}

/* Complete the answers that are ready, in the order of the log. */
static void
settle(struct waits *w)
{
	MUST_HOLD(&w->lock);
	int64_t now = clock_mono_ms();
	uint64_t before = w->first;

	while (w->first < w->end && settle_one(w, wait_at(w, w->first), now))
		w->first++;
	if (w->first != before)
		ring_server_wake_client(w->ring);
}

/* --- what the timer thread waits for ------------------------------------------------------------- */

/* What the first in the list waits for.  The marks move while this looks at them: if it has
 * become ready since settle(), the position is one that is passed already. */
static void
wanted_of_timer(struct waits *w, mq_pos *ret_pos, int64_t *ret_by)
{
	const struct wait *e = wait_at(w, w->first);
	int64_t now = clock_mono_ms();
	bool disk, slaves;

	MUST_HOLD(&w->lock);
	*ret_pos = MQ_POS(INT64_MAX - 1);
	*ret_by = NEVER;
	if (w->first == w->end)
		return;
	disk = disk_is_over(w, e, now) == OVER_NOT;
	slaves = slaves_are_over(w, e, now) == OVER_NOT;
	if (slaves || !disk)
		*ret_pos = MQ_POS(slaves ? e->end.byte - 1 : -1);	/* past it: at its end */
	if (disk)
		*ret_by = e->disk_by;
	if (slaves && e->slaves_by < *ret_by)
		*ret_by = e->slaves_by;
}

/* Called after a change of the list: wake the timer thread if it waits for too late a position or time. */
static void
retime(struct waits *w)
{
	mq_pos pos;
	int64_t by;

	wanted_of_timer(w, &pos, &by);
	if (pos.byte < w->timer_pos.byte || by < w->timer_by)
		nudge(w);
}

/* --- adding ------------------------------------------------------------------------------------ */

void
waits_add(struct waits *w, const struct ring_completion *answer, mq_pos end)
{
	const struct settings *s = w->broker->settings;
	struct wait e = { .answer = *answer, .end = end };
	int64_t now = clock_mono_ms();

	if (s->flushDiskType == SYNC_FLUSH)
		e.disk_by = now + s->syncFlushTimeout;
	if (s->brokerRole == SYNC_MASTER) {
		if (w->broker->in_sync && w->broker->in_sync(w->broker->arg))
			e.slaves_by = now + s->slaveTimeout;
		else
			refuse(&e, ANSWER_SLAVE_NOT_AVAILABLE, "stored; there are not enough slaves in sync");
	}
	if (e.disk_by == 0 && e.slaves_by == 0) {
		ring_server_complete(w->ring, &e.answer);
		return;
	}
	LOCKED(&w->lock);
	MUST(w->end - w->first < RING_SLOTS);
	*wait_at(w, w->end++) = e;
	if (e.disk_by)
		pthread_cond_signal(&w->flush_news);
	retime(w);
}

/* --- the disk ----------------------------------------------------------------------------------- */

/* Up to where the log must be synced; 0: no answer waits for that. */
static mq_pos
wanted_of_disk(struct waits *w)
{
	MUST_HOLD(&w->lock);
	mq_pos flushed = mark_at(store_flushed(w->broker->store));

	if (w->disk_failed)
		return MQ_POS(0);
	for (uint64_t n = w->end; n > w->first; n--) {
		const struct wait *e = wait_at(w, n - 1);

		if (e->end.byte <= flushed.byte)
			break;
		if (e->disk_by)
			return e->end;
	}
	return MQ_POS(0);
}

/* Other threads flush the log, too: answers that this made ready are completed before this thread sleeps. */
static void *
flusher_main(void *arg)
{
	struct waits *w = arg;

	LOCKED(&w->lock);
	while (!w->closing) {
		mq_pos upto = wanted_of_disk(w);

		if (upto.byte > 0) {
			int rc;

			lock_drop(&w->lock);
			rc = store_flush(w->broker->store, upto);
			lock_take(&w->lock);
			w->disk_failed = rc != MQ_OK;	/* which is final */
		}
		settle(w);
		retime(w);
		if (upto.byte == 0 && !w->closing)
			lock_wait(&w->lock, &w->flush_news, -1);
	}
	return NULL;
}

/* --- slaves, and time ---------------------------------------------------------------------------- */

static int
timeout_until(int64_t by_ms)
{
	int64_t left = by_ms - clock_mono_ms();

	if (by_ms == NEVER)
		return -1;
	return left < 1 ? 1 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static void *
timer_main(void *arg)
{
	struct waits *w = arg;
	uint64_t nudges = 0;

	LOCKED(&w->lock);
	while (!w->closing) {
		mq_pos pos;
		int64_t by;

		wanted_of_timer(w, &pos, &by);
		w->timer_pos = pos;
		w->timer_by = by;
		lock_drop(&w->lock);
		(void)mark_wait_news(replicated(w), pos, &nudges, timeout_until(by), NULL);
		lock_take(&w->lock);
		settle(w);
	}
	return NULL;
}

/* --- opening and closing -------------------------------------------------------------------------- */

int
waits_open(const struct remoting_broker *broker, struct ring_server *ring, struct waits **ret)
{
	struct waits *w = calloc(1, sizeof(*w));
	int rc;

	if (!w)
		return -ENOMEM;
	w->broker = broker;
	w->ring = ring;
	lock_init(&w->lock, RANK_INTAKE);
	cond_init(&w->flush_news);
	mark_init(&w->none, MQ_POS(0));
	w->list = calloc(RING_SLOTS, sizeof(*w->list));
	rc = w->list ? thread_start(&w->flusher, "net-flusher", flusher_main, w) : -ENOMEM;
	if (rc == MQ_OK)
		rc = thread_start(&w->timer, "net-timer", timer_main, w);
	if (rc == MQ_OK)
		*ret = w;
	else
		waits_close(w);
	return rc;
}

void
waits_close(struct waits *w)
{
	if (!w)
		return;
	lock_take(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->flush_news);
	lock_drop(&w->lock);
	nudge(w);
	thread_join(&w->flusher);
	thread_join(&w->timer);
	mark_destroy(&w->none);
	pthread_cond_destroy(&w->flush_news);
	lock_destroy(&w->lock);
	free(w->list);
	free(w);
}
