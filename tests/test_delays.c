/* Messages that are delivered later: when, where, and once. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "store/delays.h"
#include "tests/broker_kit.h"
#include "tests/clock_kit.h"
#include "tests/tree.h"

/* As a producer does it: level 1 ..., or 0 and a time.  The body is a number. */
static void
put(struct broker *b, const char *topic, int32_t queue_id, int n, int level, int64_t due_ms)
{
	char body[16], props[DELAYED_PROPS_MAX];
	struct message m = {
		.body = body, .body_len = (size_t)snprintf(body, sizeof(body), "%d", n), .topic = topic,
		.topic_len = strlen(topic), .queue_id = queue_id, .props = "TAGS\001red\002KEYS\001k", .props_len = 15,
		.born_ms = 1700000000000, .born = { .addr = { 10, 0, 0, 9 }, .port = 51000 },
		.stored = { .addr = { 10, 0, 0, 1 }, .port = 10911 },
	};
	struct appended at;
	struct batch batch;
	struct queue *q;

	batch_init(&batch);
	assert_int_equal(delays_message(&m, level, due_ms, props), MQ_OK);
	assert_int_equal(delays_queue(b->store, level, &q), MQ_OK);
	assert_int_equal(batch_add(&batch, &m), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(b->store, q, &batch, &at), MQ_OK);
	queue_append_end(q);
	batch_free(&batch);
}

static int64_t
end_of(struct broker *b, const char *topic, int32_t queue_id)
{
	struct queue *q = store_queue(b->store, topic, queue_id);

	return q ? queue_end(q).n : 0;
}

static int64_t
pending(struct broker *b)
{
	struct delays_stats st;

	assert_int_equal(delays_stats(b->store, &st), MQ_OK);
	return st.pending;
}

/* A message is in its queue a moment before delivery has gone on. */
static void
wait_pending(struct broker *b, int64_t n)
{
	for (int i = 0; i < 12000 && pending(b) != n; i++)
		poll(NULL, 0, 5);
	assert_int_equal(pending(b), n);
}

/* Until so many are in the queue; at most a minute, for a machine that is busy. */
static void
wait_for(struct broker *b, const char *topic, int32_t queue_id, int64_t n)
{
	for (int i = 0; i < 12000 && end_of(b, topic, queue_id) < n; i++)
		poll(NULL, 0, 5);
	assert_int_equal(end_of(b, topic, queue_id), n);
}

/* Message n of a queue; returns the number that is its body. */
static int
message(struct broker *b, const char *topic, int32_t queue_id, int64_t n, struct record *ret_rec, unsigned char **buf)
{
	struct queue_entry e;
	size_t got, size = 0;

	*buf = NULL;
	assert_int_equal(queue_entries(store_queue(b->store, topic, queue_id), MQ_QOFF(n), &e, 1, &got), MQ_OK);
	assert_int_equal(store_read(b->store, e.pos, buf, &size, ret_rec), MQ_OK);
	return atoi((const char *)ret_rec->body);
}

static int
number(struct broker *b, const char *topic, int64_t n)
{
	unsigned char *buf;
	struct record rec;
	char text[16] = "";

	(void)message(b, topic, 0, n, &rec, &buf);
	memcpy(text, rec.body, (size_t)rec.body_len);
	free(buf);
	return atoi(text);
}

/* Each of 0 .. n-1 is in queue 0 of t, once. */
static void
each_is_there_once(struct broker *b, int n)
{
	char *seen = calloc((size_t)n, 1);

	assert_int_equal(end_of(b, "t", 0), n);
	for (int i = 0; i < n; i++) {
		int at = number(b, "t", i);

		assert_in_range(at, 0, n - 1);
		assert_int_equal(seen[at]++, 0);
	}
	free(seen);
}

/* --- when and as what ------------------------------------------------------------------------- */

static void
a_message_waits_and_arrives_as_it_was_sent(void **state)
{
	static const char props[] = "TAGS\001red\002KEYS\001k\002DELAY\0011\002REAL_TOPIC\001t\002REAL_QID\0013";
	struct broker *b = *state;
	unsigned char *buf;
	struct record rec;
	struct queue_entry e;
	int64_t sent;
	size_t n;

	broker_open(b);
	broker_topic(b, "t", 4);
	sent = clock_wall_ms();
	put(b, "t", 3, 7, 1, 0);
	assert_int_equal(end_of(b, "t", 3), 0);
	assert_int_equal(pending(b), 1);
	assert_int_equal(queue_entries(store_queue(b->store, SCHEDULE_TOPIC, 0), MQ_QOFF(0), &e, 1, &n), MQ_OK);
	assert_in_range(e.tags_code, sent + 1000, clock_wall_ms() + 1000);
	wait_for(b, "t", 3, 1);
	assert_true(clock_wall_ms() >= e.tags_code);
	(void)message(b, "t", 3, 0, &rec, &buf);
	assert_int_equal(rec.body_len, 1);
	assert_memory_equal(rec.body, "7", 1);
	assert_int_equal(rec.props_len, sizeof(props) - 1);
	assert_memory_equal(rec.props, props, sizeof(props) - 1);
	assert_int_equal(rec.prepared.byte, e.pos.byte);
	assert_int_equal(rec.born_ms, 1700000000000);
	assert_int_equal(rec.born.port, 51000);
	assert_int_equal(rec.stored.port, 10911);
	free(buf);
	assert_int_equal(queue_entries(store_queue(b->store, "t", 3), MQ_QOFF(0), &e, 1, &n), MQ_OK);
	assert_int_equal(e.tags_code, record_tags_code("red", 3));
	wait_pending(b, 0);
	broker_close(b);
	sh("grep -q '\"1\": 1' '%s/config/delayOffset.json'", b->path);
}

/* As they may be in a store of RocketMQ's, which does not ask for what topic a message waits. */
static void
a_message_for_a_topic_of_the_system_holds_no_other_up(void **state)
{
	static const char *const none[] = { "MQFS_META", "mqfs_meta", "MQFS_other", "RMQ_SYS_TRANS_HALF_TOPIC" };
	struct broker *b = *state;
	int64_t meta;

	broker_open(b);
	broker_topic(b, "t", 1);
	meta = end_of(b, META_TOPIC, 0);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		put(b, none[i], 0, 1, 1, 0);
	put(b, "BenchmarkTest", 0, 2, 1, 0);
	put(b, "t", 0, 3, 1, 0);
	wait_for(b, "t", 0, 1);
	assert_int_equal(number(b, "t", 0), 3);
	assert_int_equal(end_of(b, "BenchmarkTest", 0), 1);
	wait_pending(b, 0);
	assert_int_equal(end_of(b, META_TOPIC, 0), meta + 1);		/* the topic BenchmarkTest */
	for (size_t i = 1; i < sizeof(none) / sizeof(none[0]); i++)
		assert_int_equal(end_of(b, none[i], 0), 0);
	broker_close(b);
}

static void
timed_messages_arrive_in_order_of_time(void **state)
{
	struct broker *b = *state;
	int64_t now;

	broker_open(b);
	broker_topic(b, "t", 1);
	now = clock_wall_ms();
	for (int i = 0; i < 50; i++)
		put(b, "t", 0, i, 0, now + 300 + (i * 37) % 50);
	put(b, "t", 0, 99, 0, now + 86400000);
	wait_for(b, "t", 0, 50);
	for (int i = 0; i < 50; i++)
		assert_int_equal((number(b, "t", i) * 37) % 50, i);
	wait_pending(b, 1);
	put(b, "t", 0, 50, 0, now - 5000);	/* whose time is before that of one delivered */
	wait_for(b, "t", 0, 51);
	assert_int_equal(number(b, "t", 50), 50);
	wait_pending(b, 1);
	broker_kill(b);
	b->forgets_views = true;
	broker_open(b);
	assert_int_equal(pending(b), 1);
	assert_int_equal(end_of(b, "t", 0), 51);
}

/* A time at which messages were delivered keeps none back when the clock is set right. */
static void
a_clock_that_was_ahead_delays_no_later_message(void **state)
{
	enum { DAY = 86400 };
	struct broker *b = *state;
	int64_t now = clock_wall_ms();

	broker_open(b);
	broker_topic(b, "t", 1);
	put(b, "t", 0, 0, 0, now + 3 * DAY * INT64_C(1000));
	clock_shift_s = 4 * DAY;
	wait_for(b, "t", 0, 1);
	wait_pending(b, 0);
	clock_shift_s = 0;
	put(b, "t", 0, 1, 0, now - 1000);
	put(b, "t", 0, 2, 0, clock_wall_ms() + 300);
	wait_for(b, "t", 0, 3);
	assert_int_equal(number(b, "t", 1), 1);
	assert_int_equal(number(b, "t", 2), 2);
	put(b, "t", 0, 3, 0, clock_wall_ms() + DAY * INT64_C(1000));
	put(b, "t", 0, 4, 0, clock_wall_ms() + 5 * DAY * INT64_C(1000));
	wait_pending(b, 2);
	broker_kill(b);
	b->forgets_views = true;
	broker_open(b);
	wait_pending(b, 2);
	assert_int_equal(end_of(b, "t", 0), 3);		/* neither again nor before its time */
	clock_shift_s = DAY;
	wait_for(b, "t", 0, 4);
	assert_int_equal(number(b, "t", 3), 3);
	clock_shift_s = 0;
	wait_pending(b, 1);
	broker_close(b);
}

/* While others are being delivered, messages come that were due before them. */
static void
a_message_that_comes_late_is_not_passed_over(void **state)
{
	enum { N = 20000 };
	struct broker *b = *state;

	broker_open(b);
	broker_topic(b, "t", 1);
	srand(5);
	for (int i = 0; i < N; i++)
		put(b, "t", 0, i, 0, clock_wall_ms() - 20 + rand() % 40);
	wait_for(b, "t", 0, N);
	wait_pending(b, 0);
	each_is_there_once(b, N);
	broker_close(b);
	broker_open(b);
	assert_int_equal(pending(b), 0);
	each_is_there_once(b, N);
	broker_close(b);
}

static void
a_topic_that_was_removed_is_made_again(void **state)
{
	struct broker *b = *state;

	broker_open(b);
	put(b, "gone", 2, 1, 0, clock_wall_ms() + 50);
	wait_for(b, "gone", 2, 1);
	assert_non_null(topic_find(b->offsets, "gone"));
}

/* --- once ------------------------------------------------------------------------------------------ */

#define MANY 3000

static void
put_many(struct broker *b, int n)
{
	int64_t now = clock_wall_ms();

	broker_topic(b, "t", 1);
	for (int i = 0; i < n; i++)
		put(b, "t", 0, i, i % 3 ? 0 : 1, now + 950 + i % 97);
}

static void
die_while_delivering(struct broker *b, int n)
{
	if (n == 0)
		put_many(b, MANY);
	for (int i = 0; i < 12000 && end_of(b, "t", 0) <= n; i++)
		poll(NULL, 0, 1);
}

static void
a_crash_at_any_time_delivers_nothing_twice(void **state)
{
	static const int at[] = { 0, 10, 500, 1500, 2500 };
	struct broker *b = *state;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		broker_crash_after(b, die_while_delivering, at[i]);
		b->forgets_views = i % 2;
	}
	broker_open(b);
	wait_for(b, "t", 0, MANY);
	wait_pending(b, 0);
	each_is_there_once(b, MANY);
	broker_close(b);
	b->forgets_views = true;
	broker_open(b);
	poll(NULL, 0, 50);
	assert_int_equal(pending(b), 0);
	each_is_there_once(b, MANY);
}

static void
a_slave_delivers_nothing_before_it_is_the_master(void **state)
{
	struct broker *b = *state;

	broker_open(b);
	put_many(b, 200);
	broker_close(b);
	broker_set(b, "brokerRole", "SLAVE");
	broker_set(b, "master", "127.0.0.1:1");
	broker_open(b);
	poll(NULL, 0, 1300);
	int64_t before = end_of(b, "t", 0);

	assert_int_equal(pending(b) + before, 200);
	poll(NULL, 0, 300);
	assert_int_equal(end_of(b, "t", 0), before);
	store_refuse(b->store, -EROFS);
	assert_int_equal(offsets_promote(b->offsets), MQ_OK);
	broker_set(b, "brokerRole", "ASYNC_MASTER");
	offsets_promoted(b->offsets);
	wait_for(b, "t", 0, 200);
	each_is_there_once(b, 200);
}

static void
what_a_cut_takes_back_is_delivered_again(void **state)
{
	struct broker *b = *state;
	unsigned char *buf;
	struct record rec;
	mq_pos at;

	broker_open(b);
	put_many(b, 60);
	wait_for(b, "t", 0, 60);
	(void)message(b, "t", 0, 25, &rec, &buf);
	at = rec.pos;
	free(buf);
	broker_close(b);
	broker_set(b, "brokerRole", "SLAVE");
	broker_set(b, "master", "127.0.0.1:1");
	broker_open(b);
	assert_int_equal(offsets_cut(b->offsets, at, "the test wants it."), MQ_OK);
	assert_int_equal(end_of(b, "t", 0), 25);
	assert_int_equal(pending(b), 35);
	store_refuse(b->store, -EROFS);
	assert_int_equal(offsets_promote(b->offsets), MQ_OK);
	broker_set(b, "brokerRole", "ASYNC_MASTER");
	offsets_promoted(b->offsets);
	wait_for(b, "t", 0, 60);
	each_is_there_once(b, 60);
}

static void
a_message_that_has_waited_for_long_is_moved_to_the_end_of_the_log(void **state)
{
	struct broker *b = *state;
	int64_t due;

	broker_open(b);
	broker_topic(b, "t", 1);
	due = clock_wall_ms() + 3000;
	for (int i = 0; i < 20; i++)
		put(b, "t", 0, i, 0, due + i);
	broker_close(b);
	poll(NULL, 0, 5);
	b->settings.fileReservedTime = 0;	/* everything has waited for long */
	broker_open(b);
	for (int i = 0; i < 12000 && end_of(b, TIMED_TOPIC, 0) < 40; i++)
		poll(NULL, 0, 5);
	assert_int_equal(end_of(b, TIMED_TOPIC, 0), 40);
	b->settings.fileReservedTime = 72;
	broker_kill(b);
	b->forgets_views = true;
	broker_open(b);
	assert_true(pending(b) + end_of(b, "t", 0) == 20);
	wait_for(b, "t", 0, 20);
	each_is_there_once(b, 20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(number(b, "t", i), i);
}

#define T(f) cmocka_unit_test_setup_teardown(f, broker_setup, broker_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		T(a_message_waits_and_arrives_as_it_was_sent),
		T(a_message_for_a_topic_of_the_system_holds_no_other_up),
		T(timed_messages_arrive_in_order_of_time),
		T(a_clock_that_was_ahead_delays_no_later_message),
		T(a_message_that_comes_late_is_not_passed_over),
		T(a_topic_that_was_removed_is_made_again),
		T(a_crash_at_any_time_delivers_nothing_twice),
		T(a_slave_delivers_nothing_before_it_is_the_master),
		T(what_a_cut_takes_back_is_delivered_again),
		T(a_message_that_has_waited_for_long_is_moved_to_the_end_of_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
