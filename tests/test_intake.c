/* What clients send: stored as RocketMQ stores it, and answered when it is where it has to be. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "tests/fault.h"
#include "tests/remoting_kit.h"

static _Atomic int appends, joint_appends;
static _Atomic bool joint_appends_fail;

int __real_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);
int __wrap_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);
int __real_store_append_each(struct store *s, struct batch *b, struct appended *ret);
int __wrap_store_append_each(struct store *s, struct batch *b, struct appended *ret);

int
__wrap_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret)
{
	atomic_fetch_add(&appends, 1);
	return __real_store_append(s, q, b, ret);
}

int
__wrap_store_append_each(struct store *s, struct batch *b, struct appended *ret)
{
	atomic_fetch_add(&joint_appends, 1);
	*ret = (struct appended){ .n = 0 };
	return atomic_load(&joint_appends_fail) ? -ENOMEM : __real_store_append_each(s, b, ret);
}

static void
record_is(struct remote *r, int64_t pos, const char *topic, int32_t queue, const char *body, const char *props)
{
	unsigned char *buf = NULL;
	size_t size = 0;
	struct record rec;

	assert_int_equal(store_read(r->b.store, MQ_POS(pos), &buf, &size, &rec), MQ_OK);
	assert_int_equal(rec.topic_len, strlen(topic));
	assert_memory_equal(rec.topic, topic, strlen(topic));
	assert_int_equal(rec.queue_id, queue);
	assert_int_equal(rec.body_len, strlen(body));
	assert_memory_equal(rec.body, body, strlen(body));
	assert_int_equal(rec.props_len, strlen(props));
	assert_memory_equal(rec.props, props, strlen(props));
	assert_int_equal(rec.born_ms, 1700000000000);
	assert_int_equal(rec.born.addr[3], 9);
	assert_int_equal(rec.born.port, 51000);
	assert_int_equal(rec.stored.addr[3], 1);
	assert_int_equal(rec.stored.port, 10911);
	free(buf);
}

static int64_t
end_of(struct remote *r, const char *topic, int32_t queue)
{
	struct queue *q = store_queue(r->b.store, topic, queue);

	return q ? queue_end(q).n : 0;
}

/* --- stored ------------------------------------------------------------------------------------- */

static void
a_message_is_stored_with_cluster_and_without_wait(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	c = remote_send(r, "T", 2, "TAGS\001a\002WAIT\001true\002KEYS\001k\002", "hello");
	assert_int_equal(c.code, 0);
	assert_int_equal(c.queue_id, 2);
	assert_int_equal(c.offset, 0);
	record_is(r, c.pos, "T", 2, "hello", "TAGS\001a\002KEYS\001k\002CLUSTER\001DefaultCluster");
	c = remote_send(r, "T", 2, "", "again");
	assert_int_equal(c.offset, 1);
	record_is(r, c.pos, "T", 2, "again", "CLUSTER\001DefaultCluster");
}

static void
a_batch_is_consecutive_and_its_items_have_the_properties_of_all(void **state)
{
	struct remote *r = *state;
	unsigned char body[200], *at = body;
	struct queue_entry e[3];
	struct ring_completion c;
	size_t n;

	at = remote_item(at, "", "one");
	at = remote_item(at, "TAGS\001b\002", "two");
	at = remote_item(at, "", "three");
	c = remote_ask(r, &(struct say){ .kind = RING_BATCH, .topic = "T", .group = "p", .queue_id = 1, .items = 3,
					 .text = "WAIT\001true", .body = (char *)body,
					 .body_len = (size_t)(at - body) });
	assert_int_equal(c.code, 0);
	assert_int_equal(c.n, 3);
	assert_int_equal(c.offset, 0);
	assert_int_equal(queue_entries(store_queue(r->b.store, "T", 1), MQ_QOFF(0), e, 3, &n), MQ_OK);
	assert_int_equal(n, 3);
	assert_int_equal(c.pos, e[0].pos.byte);
	record_is(r, e[0].pos.byte, "T", 1, "one", "WAIT\001true\002CLUSTER\001DefaultCluster");
	record_is(r, e[1].pos.byte, "T", 1, "two", "TAGS\001b\002WAIT\001true\002CLUSTER\001DefaultCluster");
	record_is(r, e[2].pos.byte, "T", 1, "three", "WAIT\001true\002CLUSTER\001DefaultCluster");
}

static void
what_many_send_at_once_is_stored_once_each_in_its_order(void **state)
{
	struct remote *r = *state;
	enum { N = 20000 };
	static int64_t last[4];
	struct intake_stats stats;
	int sent = 0, got = 0;

	for (int q = 0; q < 4; q++)
		last[q] = -1;
	while (got < N) {
		char body[20];

		for (int i = 0; i < 500 && sent < N; i++, sent++) {
			snprintf(body, sizeof(body), "%d", sent);
			if (!remote_submit(r, &(struct say){ .kind = RING_SEND, .topic = "T", .group = "p", .body = body,
							     .queue_id = sent % 4 }, (uint64_t)sent))
				break;
		}
		remote_wake(r);
		do {
			struct ring_completion c = remote_answer(r);

			assert_int_equal(c.code, 0);
			assert_int_equal(c.queue_id, c.tag % 4);
			assert_int_equal(c.offset, c.tag / 4);
			assert_int_equal(c.offset, last[c.queue_id] + 1);
			last[c.queue_id] = c.offset;
			snprintf(body, sizeof(body), "%d", (int)c.tag);
			record_is(r, c.pos, "T", c.queue_id, body, "CLUSTER\001DefaultCluster");
			got++;
		} while (remote_has_answer(r));
	}
	intake_stats(r->intake, &stats);
	assert_int_equal(stats.messages, N);
	assert_in_range(stats.turns, 1, N);
	for (int q = 0; q < 4; q++)
		assert_int_equal(end_of(r, "T", q), N / 4);
}

/* The turn of the intake thread is over. */
static void
wait_for_sleep(struct remote *r)
{
	while (!atomic_load(&r->client.out->sleeps))
		usleep(1000);
}

/* Send messages 0 to 7 to four queues, in one turn of the intake thread; it may begin one before all are
 * submitted: then again.  Returns which try it was, from 0. */
static int
send_eight_in_a_turn(struct remote *r)
{
	struct intake_stats before, after;
	char body[2] = "0";

	for (int tries = 0; tries < 1000; tries++) {
		atomic_store(&appends, 0);
		atomic_store(&joint_appends, 0);
		wait_for_sleep(r);
		intake_stats(r->intake, &before);
		for (uint64_t i = 0; i < 8; i++) {
			body[0] = (char)('0' + i);
			assert_true(remote_submit(r, &(struct say){ .kind = RING_SEND, .topic = "T", .group = "p",
								    .text = i == 7 ? "KEYS\001k" : "", .body = body,
								    .queue_id = (int32_t)i % 4 }, i));
		}
		remote_wake(r);
		for (int i = 0; i < 8; i++) {
			struct ring_completion c = remote_answer(r);

			assert_int_equal(c.code, 0);
			assert_int_equal(c.queue_id, c.tag % 4);
			assert_int_equal(c.offset, (uint64_t)tries * 2 + c.tag / 4);
			body[0] = (char)('0' + c.tag);
			record_is(r, c.pos, "T", c.queue_id, body,
				  c.tag == 7 ? "KEYS\001k\002CLUSTER\001DefaultCluster" : "CLUSTER\001DefaultCluster");
		}
		wait_for_sleep(r);
		intake_stats(r->intake, &after);
		assert_int_equal(after.messages, before.messages + 8);
		if (after.turns == before.turns + 1)
			return tries;
	}
	fail_msg("the intake thread takes no eight messages in one turn");
	return 0;
}

static void
messages_of_a_turn_for_several_queues_are_appended_in_one_go(void **state)
{
	struct remote *r = *state;
	mq_pos found[8];
	size_t n;

	(void)send_eight_in_a_turn(r);
	assert_int_equal(atomic_load(&appends), 0);
	assert_int_equal(atomic_load(&joint_appends), 1);
	assert_int_equal(store_find_key(r->b.store, "T", "k", 0, INT64_MAX, found, 8, &n), MQ_OK);
	assert_in_range(n, 1, 8);
	record_is(r, found[0].byte, "T", 3, "7", "KEYS\001k\002CLUSTER\001DefaultCluster");
}

static void
a_delayed_message_in_such_a_turn_waits_in_the_queue_of_its_level(void **state)
{
	struct remote *r = *state;
	const struct say say = { .kind = RING_SEND, .topic = "T", .group = "p", .text = "DELAY\0011", .body = "late" };
	int tries = 0;

	do {			/* level 1 is a second */
		wait_for_sleep(r);
		atomic_store(&joint_appends, 0);
		assert_true(remote_submit(r, &(struct say){ .kind = RING_SEND, .topic = "T", .group = "p", .body = "now",
							    .queue_id = 1 }, 1));
		assert_true(remote_submit(r, &say, 2));
		remote_wake(r);
		for (int i = 0; i < 2; i++)
			assert_int_equal(remote_answer(r).code, 0);
		tries++;
	} while (atomic_load(&joint_appends) == 0 && tries < 1000);
	assert_int_equal(atomic_load(&joint_appends), 1);
	assert_int_equal(end_of(r, "SCHEDULE_TOPIC_XXXX", 0), tries);
	for (int i = 0; i < 6000 && end_of(r, "T", 0) < tries; i++)
		usleep(10000);
	assert_int_equal(end_of(r, "T", 0), tries);
}

static void
if_several_queues_cannot_be_appended_to_in_one_go_each_is_by_itself(void **state)
{
	struct remote *r = *state;
	int tries;

	atomic_store(&joint_appends_fail, true);
	tries = send_eight_in_a_turn(r);
	atomic_store(&joint_appends_fail, false);
	assert_int_equal(atomic_load(&joint_appends), 1);
	assert_int_equal(atomic_load(&appends), 4);
	for (int q = 0; q < 4; q++)
		assert_int_equal(end_of(r, "T", q), 2 * (tries + 1));
}

static void
a_delayed_message_waits_in_the_queue_of_its_level(void **state)
{
	struct remote *r = *state;
	struct ring_completion c = remote_send(r, "T", 2, "DELAY\00117", "x");

	assert_int_equal(c.code, 0);
	assert_int_equal(c.queue_id, 2);
	assert_int_equal(c.offset, 0);
	record_is(r, c.pos, "SCHEDULE_TOPIC_XXXX", 16, "x",
		  "CLUSTER\001DefaultCluster\002DELAY\00117\002REAL_TOPIC\001T\002REAL_QID\0012");
	assert_int_equal(end_of(r, "T", 2), 0);
	assert_int_equal(remote_send(r, "T", 1, "DELAY\00199", "x").code, 0);
	assert_int_equal(end_of(r, "SCHEDULE_TOPIC_XXXX", 17), 1);
	assert_int_equal(remote_send(r, "T", 1, "DELAY\0010", "x").code, 0);
	assert_int_equal(end_of(r, "T", 1), 1);
}

static void
no_queue_is_any_queue(void **state)
{
	struct remote *r = *state;
	struct ring_completion c = remote_send(r, "T", -1, "", "x");

	assert_int_equal(c.code, 0);
	assert_in_range(c.queue_id, 0, 3);
	assert_int_equal(end_of(r, "T", c.queue_id), 1);
}

static void
a_topic_is_made_after_its_template(void **state)
{
	struct remote *r = *state;
	struct ring_completion c = remote_send(r, "New", 0, "", "x");

	assert_int_equal(c.code, 17);
	broker_set(&r->b, "autoCreateTopicEnable", "true");
	c = remote_send(r, "New", 3, "", "x");
	assert_int_equal(c.code, 0);
	assert_int_equal(topic_queues(r->b.offsets, topic_find(r->b.offsets, "New")), 4);
	c = remote_send(r, "New", 4, "", "x");
	assert_int_equal(c.code, 1);
	c = remote_ask(r, &(struct say){ .kind = RING_SEND, .topic = "Other", .template = "T", .group = "p" });
	assert_int_equal(c.code, 17);		/* T may not be inherited from */
	c = remote_send(r, "%RETRY%g", 0, "", "x");
	assert_int_equal(c.code, 0);
}

static bool
drops_when_full(struct remote *r, const char *topic)
{
	struct topic_conf conf;

	topic_conf(r->b.offsets, topic_find(r->b.offsets, topic), &conf);
	return conf.on_full_drop;
}

static void
topics_that_clients_make_are_as_onFull_says(void **state)
{
	struct remote *r = *state;

	broker_set(&r->b, "autoCreateTopicEnable", "true");
	assert_int_equal(remote_send(r, "Kept", 0, "", "x").code, 0);
	assert_false(drops_when_full(r, "Kept"));
	broker_set(&r->b, "onFull", "drop");
	assert_int_equal(remote_send(r, "Dropped", 0, "", "x").code, 0);
	assert_true(drops_when_full(r, "Dropped"));
	assert_int_equal(remote_send(r, "%RETRY%g", 0, "", "x").code, 0);
	assert_true(drops_when_full(r, "%RETRY%g"));
	assert_false(drops_when_full(r, "Kept"));
}

static void
a_message_that_was_retried_too_often_is_a_dead_letter(void **state)
{
	struct remote *r = *state;
	struct say say = { .kind = RING_SEND, .topic = "%RETRY%g", .group = "p", .body = "x", .reconsume_times = 2,
			   .max_reconsume_times = 3 };

	broker_group(&r->b, "g");
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(end_of(r, "%RETRY%g", 0), 1);
	say.reconsume_times = 3;
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(end_of(r, "%RETRY%g", 0), 1);
	assert_int_equal(end_of(r, "%DLQ%g", 0), 1);
	say.max_reconsume_times = -1;		/* what the group says: 16 */
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(end_of(r, "%RETRY%g", 0), 2);
	say.reconsume_times = 16;
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(end_of(r, "%DLQ%g", 0), 2);
}

/* --- refused ------------------------------------------------------------------------------------- */

static void
every_refusal_has_its_code_and_stores_nothing(void **state)
{
	static char longest[65537];
	static const struct {
		int code;
		struct say say;
	} rows[] = {
		{ 17, { .topic = "none" } },
		{ 1, { .topic = "T", .queue_id = 4 } },
		{ 13, { .topic = "T", .body_len = 65537 } },
		{ 13, { .topic = "T", .sysflag = 4 } },
		{ 16, { .topic = "SCHEDULE_TOPIC_XXXX" } },
		{ 16, { .topic = "OFFSET_MOVED_EVENT" } },
		{ 16, { .topic = "MQFS_META" } },
		{ 16, { .topic = "closed" } },
		{ 16, { .topic = "T", .text = "TRAN_MSG\001true" } },
	};
	struct remote *r = *state;
	struct topic_conf conf;
	struct topic *closed = broker_topic(&r->b, "closed", 1);
	mq_pos before;

	broker_set(&r->b, "rejectTransactionMessage", "true");
	topic_conf(r->b.offsets, closed, &conf);
	conf.perm = PERM_READ;
	assert_int_equal(topic_change(r->b.offsets, closed, &conf), MQ_OK);
	before = broker_written(&r->b);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct say say = rows[i].say;
		struct ring_completion c;

		say.kind = RING_SEND;
		say.group = "p";
		say.body = longest;
		c = remote_ask(r, &say);
		if (c.code != rows[i].code)
			fail_msg("row %zu: code %d, %s", i, c.code, c.remark);
		assert_true(*c.remark);
	}
	assert_int_equal(broker_written(&r->b).byte, before.byte);
}

static void
properties_that_outgrow_a_record_are_refused(void **state)
{
	struct remote *r = *state;
	char props[RECORD_PROPS_MAX + 1];
	struct ring_completion c;

	memset(props, 'x', RECORD_PROPS_MAX);
	props[RECORD_PROPS_MAX] = '\0';
	props[1] = '\001';
	c = remote_send(r, "T", 0, props, "x");
	assert_int_equal(c.code, 13);		/* with CLUSTER they are too long */
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 0);
}

static void
an_item_that_is_refused_takes_its_batch_and_nothing_else(void **state)
{
	struct remote *r = *state;
	unsigned char *body = malloc(40000), *at = body;
	char props[RECORD_PROPS_MAX + 1];

	assert_non_null(body);
	memset(props, 'x', RECORD_PROPS_MAX);
	props[RECORD_PROPS_MAX] = '\0';
	props[1] = '\001';
	at = remote_item(at, "", "one");
	at = remote_item(at, props, "two");
	assert_true(remote_submit(r, &(struct say){ .kind = RING_SEND, .topic = "T", .group = "p", .body = "a" }, 1));
	assert_true(remote_submit(r, &(struct say){ .kind = RING_BATCH, .topic = "T", .group = "p", .items = 2,
						    .body = (char *)body, .body_len = (size_t)(at - body) }, 2));
	assert_true(remote_submit(r, &(struct say){ .kind = RING_SEND, .topic = "T", .group = "p", .body = "b" }, 3));
	remote_wake(r);
	for (int i = 0; i < 3; i++) {
		struct ring_completion c = remote_answer(r);

		assert_int_equal(c.code, c.tag == 2 ? 13 : 0);
		if (c.tag == 3)
			record_is(r, c.pos, "T", 0, "b", "CLUSTER\001DefaultCluster");
	}
	assert_int_equal(end_of(r, "T", 0), 2);
	free(body);
}

static void
a_batch_that_lies_about_its_items_ends_the_ring(void **state)
{
	struct remote *r = *state;
	unsigned char body[100], *at = body;

	at = remote_item(at, "", "one");
	at = remote_item(at, "", "two");
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 0);
	assert_true(remote_submit(r, &(struct say){ .kind = RING_BATCH, .topic = "T", .group = "p", .items = 3,
						    .body = (char *)body, .body_len = (size_t)(at - body) }, 2));
	remote_wake(r);
	for (int i = 0; i < 6000 && !atomic_load(&r->lied); i++)
		usleep(10000);
	assert_true(atomic_load(&r->lied));
	assert_int_equal(end_of(r, "T", 0), 1);
	assert_false(remote_has_answer(r));
}

static void
a_slave_and_a_full_disk_say_so_at_once(void **state)
{
	struct remote *r = *state;

	store_refuse(r->b.store, -ENOSPC);
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 14);
	store_refuse(r->b.store, MQ_OK);
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 0);
	broker_set(&r->b, "brokerRole", "SLAVE");
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 14);
	broker_set(&r->b, "brokerRole", "ASYNC_MASTER");
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 0);
	assert_int_equal(end_of(r, "T", 0), 2);
}

/* --- waiting -------------------------------------------------------------------------------------- */

static void
sync_flush_answers_when_it_is_on_the_disk(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	broker_set(&r->b, "flushDiskType", "SYNC_FLUSH");
	for (int i = 0; i < 20; i++) {
		c = remote_send(r, "T", 0, "", "x");
		assert_int_equal(c.code, 0);
		assert_true(mark_at(store_flushed(r->b.store)).byte > c.pos);
	}
}

static void
a_disk_that_fails_is_flush_disk_timeout_and_then_no_service(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	broker_set(&r->b, "flushDiskType", "SYNC_FLUSH");
	assert_int_equal(remote_send(r, "T", 0, "", "x").code, 0);
	fault_set((struct fault){ .call = "fdatasync", .at = 1, .number = EIO, .for_ever = true });
	c = remote_send(r, "T", 0, "", "y");
	fault_none();
	assert_int_equal(c.code, 10);
	assert_int_equal(c.offset, 1);		/* it is stored */
	record_is(r, c.pos, "T", 0, "y", "CLUSTER\001DefaultCluster");
	assert_int_equal(remote_send(r, "T", 0, "", "z").code, 14);
}

static void
sync_master_answers_when_slaves_have_it(void **state)
{
	struct remote *r = *state;
	struct say say = { .kind = RING_SEND, .topic = "T", .group = "p", .body = "x" };
	struct ring_completion c;

	broker_set(&r->b, "brokerRole", "SYNC_MASTER");
	assert_int_equal(remote_ask(r, &say).code, 11);		/* there is none */
	r->in_sync = true;
	broker_set(&r->b, "slaveTimeout", "60000");
	for (uint64_t i = 1; i <= 3; i++)
		assert_true(remote_submit(r, &say, i));
	say.text = "WAIT\001false";
	assert_true(remote_submit(r, &say, 9));
	remote_wake(r);
	c = remote_answer(r);
	assert_int_equal(c.tag, 9);				/* does not wait */
	assert_int_equal(c.code, 0);
	assert_false(remote_has_answer(r));
	mark_advance(&r->replicated, MQ_POS(c.pos));
	for (uint64_t i = 1; i <= 3; i++) {
		c = remote_answer(r);
		assert_int_equal(c.tag, i);
		assert_int_equal(c.code, 0);
		assert_int_equal(c.offset, i);
	}
}

static void
slaves_that_do_not_answer_in_time_are_flush_slave_timeout(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	broker_set(&r->b, "brokerRole", "SYNC_MASTER");
	broker_set(&r->b, "flushDiskType", "SYNC_FLUSH");
	broker_set(&r->b, "slaveTimeout", "50");
	r->in_sync = true;
	c = remote_send(r, "T", 0, "", "x");
	assert_int_equal(c.code, 12);
	record_is(r, c.pos, "T", 0, "x", "CLUSTER\001DefaultCluster");
	assert_int_equal(remote_send(r, "T", 0, "", "y").code, 12);
	assert_int_equal(end_of(r, "T", 0), 2);
}

/* What its slaves acknowledge from then on is another master's log, in which the message may not be. */
static void
a_message_that_waits_when_its_master_becomes_a_slave_is_not_acknowledged(void **state)
{
	struct remote *r = *state;
	struct say say = { .kind = RING_SEND, .topic = "T", .group = "p", .body = "x" };
	struct ring_completion c;

	broker_set(&r->b, "brokerRole", "SYNC_MASTER");
	broker_set(&r->b, "slaveTimeout", "60000");
	r->in_sync = true;
	assert_true(remote_submit(r, &say, 1));
	say.text = "WAIT\001false";
	assert_true(remote_submit(r, &say, 2));
	remote_wake(r);
	assert_int_equal(remote_answer(r).tag, 2);
	broker_set(&r->b, "brokerRole", "SLAVE");
	mark_advance(&r->replicated, MQ_POS(1 << 20));
	c = remote_answer(r);
	assert_int_equal(c.tag, 1);
	assert_int_equal(c.code, 12);
}

/* A pull of what is in memory is answered at once, and more pulls may come while it is. */
static void
a_message_before_many_pulls_does_not_wait_for_all_of_them(void **state)
{
	struct remote *r = *state;
	const struct say send = { .kind = RING_SEND, .topic = "T", .group = "p", .body = "x" };
	const struct say pull = { .kind = RING_PULL, .topic = "T", .group = "g", .queue_id = 1, .max_messages = 32 };
	enum { PULLS = 2000 };
	uint64_t before = 0;

	broker_group(&r->b, "g");
	assert_int_equal(remote_send(r, "T", 1, "", "first").code, 0);
	assert_true(remote_submit(r, &send, PULLS));
	for (uint64_t i = 0; i < PULLS; i++)
		assert_true(remote_submit(r, &pull, i));
	remote_wake(r);
	for (; remote_answer(r).tag != PULLS; before++)
		assert_in_range(before, 0, PULLS / 10);
}

static void
what_was_answered_survives_a_crash(void **state)
{
	struct remote *r = *state;
	int64_t pos[50];

	broker_set(&r->b, "flushDiskType", "SYNC_FLUSH");
	for (int i = 0; i < 50; i++) {
		struct ring_completion c = remote_send(r, "T", i % 4, "", "x");

		assert_int_equal(c.code, 0);
		pos[i] = c.pos;
	}
	remote_close(r);
	broker_kill(&r->b);
	broker_open(&r->b);
	remote_open(r);
	for (int i = 0; i < 50; i++)
		record_is(r, pos[i], "T", i % 4, "x", "CLUSTER\001DefaultCluster");
	assert_int_equal(remote_send(r, "T", 0, "", "x").offset, 13);
}

int
main(void)
{
#define REMOTE(f) cmocka_unit_test_setup_teardown(f, remote_setup, remote_teardown)
	const struct CMUnitTest tests[] = {
		REMOTE(a_message_is_stored_with_cluster_and_without_wait),
		REMOTE(a_batch_is_consecutive_and_its_items_have_the_properties_of_all),
		REMOTE(what_many_send_at_once_is_stored_once_each_in_its_order),
		REMOTE(messages_of_a_turn_for_several_queues_are_appended_in_one_go),
		REMOTE(a_delayed_message_in_such_a_turn_waits_in_the_queue_of_its_level),
		REMOTE(if_several_queues_cannot_be_appended_to_in_one_go_each_is_by_itself),
		REMOTE(a_delayed_message_waits_in_the_queue_of_its_level),
		REMOTE(no_queue_is_any_queue),
		REMOTE(a_topic_is_made_after_its_template),
		REMOTE(topics_that_clients_make_are_as_onFull_says),
		REMOTE(a_message_that_was_retried_too_often_is_a_dead_letter),
		REMOTE(every_refusal_has_its_code_and_stores_nothing),
		REMOTE(properties_that_outgrow_a_record_are_refused),
		REMOTE(an_item_that_is_refused_takes_its_batch_and_nothing_else),
		REMOTE(a_batch_that_lies_about_its_items_ends_the_ring),
		REMOTE(a_slave_and_a_full_disk_say_so_at_once),
		REMOTE(sync_flush_answers_when_it_is_on_the_disk),
		REMOTE(a_disk_that_fails_is_flush_disk_timeout_and_then_no_service),
		REMOTE(sync_master_answers_when_slaves_have_it),
		REMOTE(slaves_that_do_not_answer_in_time_are_flush_slave_timeout),
		REMOTE(a_message_that_waits_when_its_master_becomes_a_slave_is_not_acknowledged),
		REMOTE(a_message_before_many_pulls_does_not_wait_for_all_of_them),
		REMOTE(what_was_answered_survives_a_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
