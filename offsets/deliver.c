#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "offsets/deliver.h"
#include "offsets/registry.h"
#include "store/delays.h"

#define ROUND_MESSAGES 4096
#define CLOCK_MS 200		/* a clock that jumps is noticed within */
#define RETRY_MS 100
#define MOVE_EVERY_MS 60000

/* The thread's own. */
struct deliver {
	struct offsets *o;
	struct delay_due due[ROUND_MESSAGES];
	struct batch batch;
	struct topic *topics[ROUND_MESSAGES];	/* of the entries of the batch */
	struct queue *queues[ROUND_MESSAGES + 1];	/* and that of timed messages */
	unsigned char *buf;
	size_t size;
	int64_t moved_ms;
	size_t round;		/* of how many messages the next round is */
	int demotions;		/* when the list was made */
	int failed;		/* what the last round failed with, MQ_OK: it did not */
};

/* --- one batch ----------------------------------------------------------------------- */

static bool
is_leaving(const struct deliver *dv)
{
	for (size_t i = 0; i < dv->batch.n; i++)
		if (dv->topics[i] && !topic_takes(dv->topics[i]))
			return true;
	return false;
}

/* The caller holds the append locks of all queues of the batch. */
static int
may_go_out(struct deliver *dv)
{
	if (is_leaving(dv))
		return -ESTALE;
	return dv->demotions != atomic_load(&dv->o->delivery.demotions) ? MQ_EROLE : delays_in_order(dv->o->store);
}

/* Append what is collected.  -ESTALE: a topic was removed meanwhile.  -EAGAIN: a message was stored
 * that is due before one of these. */
static int
batch_out(struct deliver *dv)
{
	struct appended a = { 0 };
	size_t n = dv->batch.n;
	int rc;

	if (n == 0)
		return MQ_OK;
	for (size_t i = 0; i < n; i++)
		dv->queues[i] = dv->batch.entries[i].q;
	dv->queues[n] = store_queue(dv->o->store, TIMED_TOPIC, 0);
	n += dv->queues[n] != NULL;
	queues_append_begin(dv->queues, &n);
	rc = may_go_out(dv);
	if (rc == MQ_OK)
		rc = store_append_each(dv->o->store, &dv->batch, &a);
	queues_append_end(dv->queues, n);
	batch_clear(&dv->batch);
	return rc;
}

static int
batch_in(struct deliver *dv, struct topic *t, struct queue *q, const struct message *m)
{
	int rc = MQ_OK;

	if (batch_full(&dv->batch) || dv->batch.n == ROUND_MESSAGES)
		rc = batch_out(dv);
	if (rc == MQ_OK)
		rc = batch_add_to(&dv->batch, q, m);
	if (rc == MQ_OK)
		dv->topics[dv->batch.n - 1] = t;
	return rc;
}

/* --- one message ---------------------------------------------------------------------- */

/* A system topic that takes messages of users is made, too: a broker without it has taken the store over.
 * Who might read the topic that was removed is not known any more: this one is for the broker's user. */
static int
make_topic(struct offsets *o, const char *name, int32_t queue_id, struct topic **ret_t)
{
	struct topic_conf conf;
	int32_t queues = (int32_t)o->settings->defaultTopicQueueNums;
	int rc;

	topic_conf_default(&conf, name, queue_id < queues || queue_id >= QUEUES_MAX ? queues : queue_id + 1);
	conf.owner.mode = 0700;
	rc = topic_create_own(o, &conf, ret_t);
	if (rc == MQ_OK)
		log_notice("topic %s is not there and is made, readable by its owner alone: a message is delivered to it "
			   "that had waited", name);
	else if (rc == -EEXIST)
		*ret_t = topic_find(o, name);
	return *ret_t ? MQ_OK : rc;
}

int
deliver_target(struct offsets *o, struct message *m, struct topic **ret_t, struct queue **ret_q)
{
	struct topic *t = topic_find(o, m->topic);
	int rc;

	if (meta_topic_is_brokers(m->topic))
		return err_note(-EINVAL, "topic %s takes no messages of users", m->topic);
	rc = t ? MQ_OK : make_topic(o, m->topic, m->queue_id, &t);
	if (rc != MQ_OK)
		return rc;
	m->queue_id %= topic_queues(o, t);
	*ret_t = t;
	return topic_queue(o, t, m->queue_id, ret_q);
}

/* Leave a message undelivered: messages before it are delivered, and delivery goes on behind it. */
static int
pass_over(struct deliver *dv, const struct delay_due *due, const char *why)
{
	int rc;

	log_err("message %" PRId64 " of %s queue %" PRId32 " cannot be delivered: %s", due->qoff.n, queue_topic(due->q),
		queue_id(due->q), why);
	rc = batch_out(dv);
	if (rc == MQ_OK)
		delays_skip(dv->o->store, due);
	return rc;
}

static int
deliver_one(struct deliver *dv, const struct delay_due *due)
{
	struct offsets *o = dv->o;
	char topic[RECORD_TOPIC_MAX + 1];
	struct record rec;
	struct message m;
	struct topic *t = NULL;
	struct queue *q;
	int rc = store_read(o->store, due->pos, &dv->buf, &dv->size, &rec);

	if (rc == -ENOMEM)
		return rc;
	if (rc == MQ_OK)
		rc = delays_deliver(&rec, &m, topic);
	if (rc != MQ_OK)
		return pass_over(dv, due, err_text(rc));
	rc = deliver_target(o, &m, &t, &q);
	if (rc == -EINVAL)
		return pass_over(dv, due, err_text(rc));
	return rc == MQ_OK ? batch_in(dv, t, q, &m) : rc;
}

/* --- a round ------------------------------------------------------------------------------ */

/* Messages that are stored while a round is collected may be due before it: then it is tried with
 * fewer of them, which takes less time. */
static int
round_failed(struct deliver *dv, int rc)
{
	batch_clear(&dv->batch);
	if (rc == -EAGAIN)
		dv->round = dv->round / 8 > 2 ? dv->round / 8 : 2;
	else
		delays_again(dv->o->store);
	return rc;
}

/* Deliver all messages that are due now.  *ret_wait_ms: after which time there may be more. */
static int
deliver_due(struct deliver *dv, int64_t *ret_wait_ms)
{
	int64_t now = clock_wall_ms(), next;
	size_t n = 0;
	int rc;

	dv->demotions = atomic_load(&dv->o->delivery.demotions);
	rc = delays_due(dv->o->store, now, dv->due, dv->round, &n, &next);
	for (size_t i = 0; rc == MQ_OK && i < n; i++)
		rc = deliver_one(dv, &dv->due[i]);
	if (rc == MQ_OK)
		rc = batch_out(dv);
	if (rc != MQ_OK)
		return round_failed(dv, rc);
	dv->round = 2 * dv->round < ROUND_MESSAGES ? 2 * dv->round : ROUND_MESSAGES;
	now = clock_wall_ms();
	*ret_wait_ms = next <= now ? 0 : next - now < CLOCK_MS ? next - now : CLOCK_MS;
	return MQ_OK;
}

/* Move timed messages that have waited for long to the end of the log. */
static int
move_old(struct deliver *dv)
{
	int64_t now = clock_wall_ms(), half_ms = dv->o->settings->fileReservedTime * 3600000 / 2;
	struct delay_due due;
	struct record rec;
	int rc = MQ_OK;

	if (now - dv->moved_ms < MOVE_EVERY_MS && now >= dv->moved_ms)
		return MQ_OK;
	dv->demotions = atomic_load(&dv->o->delivery.demotions);
	while (rc == MQ_OK && delays_oldest(dv->o->store, now - half_ms, &due) == MQ_OK) {
		rc = store_read(dv->o->store, due.pos, &dv->buf, &dv->size, &rec);
		if (rc != MQ_OK)
			break;
		rc = batch_in(dv, NULL, due.q, &(struct message){
			.body = rec.body, .body_len = (size_t)rec.body_len,
			.topic = TIMED_TOPIC, .topic_len = strlen(TIMED_TOPIC),
			.props = rec.props, .props_len = (size_t)rec.props_len,
			.flag = rec.flag, .sysflag = rec.sysflag, .reconsume_times = rec.reconsume_times,
			.prepared = due.pos, .born_ms = rec.born_ms, .born = rec.born, .stored = rec.stored,
		});
		if (rc == MQ_OK)
			rc = batch_out(dv);
	}
	batch_clear(&dv->batch);
	if (rc == MQ_OK)
		dv->moved_ms = now;
	return rc;
}

static void
say_if_changed(struct deliver *dv, int rc)
{
	if (rc == dv->failed)
		return;
	if (rc != MQ_OK)
		log_warn("messages that are due wait: %s", err_text(rc));
	else
		log_notice("messages that are due are delivered again");
	dv->failed = rc;
}

static bool
is_master(const struct offsets *o)
{
	return o->settings->brokerRole != SLAVE;
}

static void *
deliver_main(void *arg)
{
	struct deliver *dv = arg;
	struct offsets *o = dv->o;
	struct mark *news = delays_news(o->store);
	bool was_master = true;
	int64_t wait_ms = 0;
	mq_pos seen;
	int rc;

	do {
		seen = mark_at(news);
		if (is_master(o)) {
			if (!was_master)
				delays_again(o->store);
			rc = deliver_due(dv, &wait_ms);
			if (rc == MQ_OK)
				rc = move_old(dv);
			if (rc != MQ_EROLE)
				say_if_changed(dv, rc == -ESTALE || rc == -EAGAIN ? MQ_OK : rc);
			if (rc != MQ_OK)
				wait_ms = rc == -EAGAIN ? 0 : RETRY_MS, seen = MQ_POS(INT64_MAX);
		} else {
			wait_ms = CLOCK_MS;
			seen = MQ_POS(INT64_MAX);
		}
		was_master = is_master(o);
	} while (!atomic_load(&o->delivery.stop) && mark_wait_past(news, seen, (int)wait_ms, NULL) != MQ_ECLOSED);
	batch_free(&dv->batch);
	free(dv->buf);
	free(dv);
	return NULL;
}

int
deliver_start(struct offsets *o)
{
	struct deliver *dv = calloc(1, sizeof(*dv));
	int rc;

	if (!dv)
		return -ENOMEM;
	dv->o = o;
	dv->round = ROUND_MESSAGES;
	batch_init(&dv->batch);
	rc = thread_start(&o->delivery.thread, "delays", deliver_main, dv);
	if (rc != MQ_OK)
		free(dv);
	return rc;
}

void
deliver_stop(struct offsets *o)
{
	if (!o->delivery.thread.runs)
		return;
	atomic_store(&o->delivery.stop, true);
	mark_close(delays_news(o->store));
	thread_join(&o->delivery.thread);
}
