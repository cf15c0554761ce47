/* What is counted of messages put and got, and the rates that RocketMQ's tools see. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "remoting/stats.h"
#include "tests/remoting_kit.h"

#define HOUR_MS 3600000

struct counted {
	struct remote *r;
	struct stats *stats;
	int64_t now_ms;			/* far ahead: the thread's own clock samples nothing */
};

static int
setup(void **state)
{
	struct counted *c = calloc(1, sizeof(*c));
	void *r;

	assert_non_null(c);
	remote_setup(&r);
	c->r = r;
	assert_int_equal(stats_open(c->r->broker.settings, c->r->b.store, &c->stats), MQ_OK);
	c->now_ms = clock_mono_ms() + 100 * HOUR_MS;
	stats_tick(c->stats, c->now_ms, clock_wall_ms());
	*state = c;
	return 0;
}

static int
teardown(void **state)
{
	struct counted *c = *state;
	void *r = c->r;

	stats_close(c->stats);
	remote_teardown(&r);
	free(c);
	return 0;
}

static void
pass(struct counted *c, int64_t ms)
{
	c->now_ms += ms;
	stats_tick(c->stats, c->now_ms, clock_wall_ms());
}

static struct stats_view
look(struct counted *c, const char *name, const char *key)
{
	struct stats_view v;

	assert_true(stats_view(c->stats, name, key, &v));
	return v;
}

static void
nothing_is_there_before_the_first_message(void **state)
{
	struct counted *c = *state;
	struct stats_view v;

	assert_false(stats_view(c->stats, "TOPIC_PUT_NUMS", "T", &v));
	assert_false(stats_view(c->stats, "GROUP_GET_NUMS", "T@G", &v));
	assert_false(stats_view(c->stats, "NO_SUCH_NAME", "T", &v));
	assert_int_equal(remote_send(c->r, "T", 0, "", "hello").code, 0);
	v = look(c, "TOPIC_PUT_NUMS", "T");
	assert_int_equal(v.value, 1);
	assert_int_equal(v.spans[STATS_MINUTE].sum, 0);		/* no sample yet */
}

static void
messages_and_their_bytes_are_counted_in_all_queues(void **state)
{
	struct counted *c = *state;
	struct stats_view v;

	for (int i = 0; i < 6; i++)
		assert_int_equal(remote_send(c->r, "T", i % 4, "", "hello").code, 0);
	pass(c, 10000);
	v = look(c, "TOPIC_PUT_NUMS", "T");
	assert_int_equal(v.spans[STATS_MINUTE].sum, 6);
	assert_float_equal(v.spans[STATS_MINUTE].per_second, 0.6, 1e-9);
	assert_float_equal(v.spans[STATS_MINUTE].per_time, 1, 1e-9);
	v = look(c, "TOPIC_PUT_SIZE", "T");
	assert_true(v.spans[STATS_MINUTE].sum > 6 * 91);
	assert_float_equal(v.spans[STATS_MINUTE].per_time, (double)v.value / 6, 1e-9);
	v = look(c, "BROKER_PUT_NUMS", c->r->broker.settings->brokerClusterName);
	assert_int_equal(v.value, 6);
}

/* Seven samples are a minute: what came before the first of them is not in it. */
static void
a_minute_moves_on(void **state)
{
	struct counted *c = *state;
	struct stats_view v;

	for (int i = 0; i < 5; i++)
		stats_got(c->stats, "T", "G", 1, 1, 100, 0);
	pass(c, 10000);
	for (int i = 0; i < 5; i++)
		pass(c, 10000);
	v = look(c, "GROUP_GET_NUMS", "T@G");
	assert_int_equal(v.spans[STATS_MINUTE].sum, 5);
	assert_float_equal(v.spans[STATS_MINUTE].per_second, 5.0 / 60, 1e-9);
	assert_float_equal(stats_consume_tps(c->stats, "T", "G"), 5.0 / 60, 1e-9);
	pass(c, 10000);
	v = look(c, "GROUP_GET_NUMS", "T@G");
	assert_int_equal(v.spans[STATS_MINUTE].sum, 0);
	assert_int_equal(v.value, 5);
}

static void
hours_and_days_have_samples_of_their_own(void **state)
{
	struct counted *c = *state;
	struct stats_view v;

	stats_got(c->stats, "T", "G", 1, 30, 3000, 7);
	pass(c, HOUR_MS);
	v = look(c, "GROUP_GET_SIZE", "T@G");
	assert_int_equal(v.spans[STATS_HOUR].sum, 3000);
	assert_float_equal(v.spans[STATS_HOUR].per_second, 5, 1e-9);
	assert_int_equal(v.spans[STATS_DAY].sum, 3000);
	assert_float_equal(v.spans[STATS_DAY].per_second, 3000.0 / 3600, 1e-9);
	v = look(c, "GROUP_GET_LATENCY", "T@G");
	assert_float_equal(v.spans[STATS_DAY].per_time, 7, 1e-9);
}

/* Yesterday is what was counted between two midnights. */
static void
days_begin_at_midnight(void **state)
{
	struct counted *c = *state;
	struct stats_broker b;
	const int64_t day_ms = 36 * HOUR_MS;

	for (int i = 0; i < 2; i++)
		assert_int_equal(remote_send(c->r, "T", 0, "", "hello").code, 0);
	stats_got(c->stats, "T", "G", 1, 1, 100, 0);
	stats_tick(c->stats, c->now_ms + day_ms, clock_wall_ms() + day_ms);
	stats_got(c->stats, "T", "G", 1, 1, 100, 0);
	stats_broker(c->stats, &b);
	assert_int_equal(b.put_today, 2);
	assert_int_equal(b.put_yesterday, 0);
	assert_int_equal(b.got_n, 2);
	assert_int_equal(b.got_today, 1);
}

static void
slow_puts_are_told_by_how_slow_they_are(void **state)
{
	struct counted *c = *state;
	struct stats_broker b;

	stats_put_took(c->stats, 90, 0);
	stats_put_took(c->stats, 9, 50);
	stats_put_took(c->stats, 1, 20000);
	stats_broker(c->stats, &b);
	assert_int_equal(b.took[0], 90);
	assert_int_equal(b.took[2], 9);
	assert_int_equal(b.took[STATS_TOOK - 1], 1);
	assert_int_equal(b.put_most_ms, 20000);
	pass(c, 60000);
	pass(c, 60000);
	stats_broker(c->stats, &b);
	assert_int_equal(b.took[0], 0);
	assert_int_equal(b.put_most_ms, 20000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_there_before_the_first_message, setup, teardown),
		cmocka_unit_test_setup_teardown(messages_and_their_bytes_are_counted_in_all_queues, setup, teardown),
		cmocka_unit_test_setup_teardown(a_minute_moves_on, setup, teardown),
		cmocka_unit_test_setup_teardown(hours_and_days_have_samples_of_their_own, setup, teardown),
		cmocka_unit_test_setup_teardown(days_begin_at_midnight, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_puts_are_told_by_how_slow_they_are, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
