/* Who consumes over the network, and which queues are locked by whom. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "remoting/clients.h"
#include "remoting/locks.h"

static int left_calls;
static char expected[] = "g";	/* the group that is left */

static void
count_left(void *arg, struct client_group *g)
{
	assert_non_null(g->members);
	assert_string_equal(g->name, (const char *)arg);
	left_calls++;
}

static bool
join(struct clients *c, const char *group, const char *id, struct server_peer *p)
{
	bool news = false;

	assert_int_equal(clients_join(c, CLIENTS_CONSUMERS, group, id, p, 0, 409, NULL, &news), MQ_OK);
	return news;
}

static int
setup(void **state)
{
	left_calls = 0;
	return clients_open((struct clients **)state);
}

static int
teardown(void **state)
{
	clients_close(*state);
	return 0;
}

static void
a_group_is_there_as_long_as_it_has_members(void **state)
{
	struct clients *c = *state;
	struct server_peer a = { .data = NULL }, b = { .data = NULL };

	assert_null(clients_group(c, CLIENTS_CONSUMERS, "g"));
	assert_true(join(c, "g", "a", &a));
	assert_false(join(c, "g", "a", &a));		/* the next heartbeat */
	assert_true(join(c, "g", "b", &b));
	assert_null(clients_group(c, CLIENTS_PRODUCERS, "g"));
	assert_int_equal(clients_count(c), 2);
	clients_gone(c, &a, count_left, expected);
	assert_int_equal(left_calls, 1);
	assert_int_equal(clients_count(c), 1);
	assert_false(clients_leave(c, CLIENTS_CONSUMERS, "g", "a", &a));
	assert_false(clients_leave(c, CLIENTS_CONSUMERS, "g", "b", &a));	/* another's */
	assert_int_equal(clients_count(c), 1);
	assert_true(clients_leave(c, CLIENTS_CONSUMERS, "g", "b", &b));
	assert_null(clients_group(c, CLIENTS_CONSUMERS, "g"));
	assert_int_equal(clients_count(c), 0);
}

static void
a_client_that_connects_again_is_no_second_member(void **state)
{
	struct clients *c = *state;
	struct server_peer old = { .data = NULL }, now = { .data = NULL };

	assert_true(join(c, "g", "a", &old));
	assert_false(join(c, "g", "a", &now));
	clients_gone(c, &old, count_left, expected);
	assert_ptr_equal(clients_group(c, CLIENTS_CONSUMERS, "g")->members->peer, &now);
	clients_gone(c, &now, count_left, expected);
	assert_null(clients_group(c, CLIENTS_CONSUMERS, "g"));
	assert_int_equal(left_calls, 0);
}

/* Heard from member `id`: its subscriptions, as TOPIC EXPRESSION VERSION each.  True: that is news. */
static bool
hear(struct clients *c, struct server_peer *p, const char *id, const char *topic, const char *expr, int version)
{
	json_t *says = json_pack("{s:[{s:s, s:s, s:i}]}", "subscriptionDataSet", "topic", topic, "subString", expr,
				 "subVersion", version);
	bool news;

	assert_int_equal(clients_join(c, CLIENTS_CONSUMERS, "g", id, p, 0, 1, says, &news), MQ_OK);
	json_decref(says);
	return news;
}

static void
group_says(struct clients *c, const char *topic, const char *expr)
{
	json_t *all = json_object_get(clients_group(c, CLIENTS_CONSUMERS, "g")->data, "subscriptionDataSet");
	json_t *only = json_array_get(all, 0);

	assert_int_equal(json_array_size(all), 1);
	assert_string_equal(json_string_value(json_object_get(only, "topic")), topic);
	assert_string_equal(json_string_value(json_object_get(only, "subString")), expr);
}

static void
the_newest_version_of_a_subscription_counts_whoever_speaks_last(void **state)
{
	struct clients *c = *state;
	struct server_peer p = { .data = NULL };

	assert_true(hear(c, &p, "a", "T", "old", 1));
	assert_true(hear(c, &p, "b", "T", "new", 2));
	assert_false(hear(c, &p, "a", "T", "old", 1));
	group_says(c, "T", "new");
	assert_false(hear(c, &p, "b", "T", "newer", 3));
	group_says(c, "T", "newer");
	clients_gone(c, &p, count_left, expected);
}

static void
a_topic_that_comes_or_goes_is_news(void **state)
{
	struct clients *c = *state;
	struct server_peer p = { .data = NULL };

	assert_true(hear(c, &p, "a", "T", "*", 1));
	assert_false(hear(c, &p, "a", "T", "*", 1));
	assert_true(hear(c, &p, "a", "U", "*", 1));
	group_says(c, "U", "*");
	clients_gone(c, &p, count_left, expected);
}

static void
a_connection_is_in_so_many_groups_at_most(void **state)
{
	struct clients *c = *state;
	struct server_peer p = { .data = NULL };
	char name[CLIENTS_NAME_MAX + 2];
	bool news;

	for (int i = 0; i < CLIENTS_GROUPS_MAX; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		join(c, name, "a", &p);
	}
	assert_int_equal(clients_join(c, CLIENTS_CONSUMERS, "more", "a", &p, 0, 1, NULL, &news), -EMFILE);
	assert_null(clients_group(c, CLIENTS_CONSUMERS, "more"));
	assert_false(join(c, "g7", "a", &p));
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(clients_join(c, CLIENTS_CONSUMERS, name, "a", &p, 0, 1, NULL, &news), -EINVAL);
	assert_int_equal(clients_join(c, CLIENTS_CONSUMERS, "", "a", &p, 0, 1, NULL, &news), -EINVAL);
	clients_gone(c, &p, count_left, expected);
	assert_int_equal(clients_count(c), 0);
}

/* The member `id` of the group says one topic with an expression of so many bytes. */
static int
say_much(struct clients *c, struct server_peer *p, const char *group, const char *id, size_t bytes)
{
	char *text = calloc(1, bytes + 1);
	json_t *says;
	bool news;
	int rc;

	assert_non_null(text);
	memset(text, 'x', bytes);
	says = json_pack("{s:[{s:s, s:s}]}", "subscriptionDataSet", "topic", "T", "subString", text);
	rc = clients_join(c, CLIENTS_CONSUMERS, group, id, p, 0, 1, says, &news);
	json_decref(says);
	free(text);
	return rc;
}

static void
a_connection_says_so_much_of_its_groups_at_most(void **state)
{
	struct clients *c = *state;
	struct server_peer p = { .data = NULL }, q = { .data = NULL };

	assert_int_equal(say_much(c, &p, "one", "a", CLIENTS_DATA_MAX / 2), MQ_OK);
	assert_int_equal(say_much(c, &p, "two", "a", CLIENTS_DATA_MAX / 2), -EMFILE);
	assert_null(clients_group(c, CLIENTS_CONSUMERS, "two"));
	assert_int_equal(say_much(c, &p, "one", "a", CLIENTS_DATA_MAX / 2 + 1), MQ_OK);	/* instead of what it said */
	assert_int_equal(say_much(c, &q, "two", "b", CLIENTS_DATA_MAX / 2), MQ_OK);
	assert_int_equal(say_much(c, &q, "one", "b", CLIENTS_DATA_MAX / 2), -EMFILE);
	assert_int_equal(say_much(c, &p, "two", "b", 1), MQ_OK);	/* b has connected again */
	clients_gone(c, &q, count_left, expected);
	clients_gone(c, &p, count_left, expected);
	assert_int_equal(clients_count(c), 0);
}

static void
what_a_member_said_that_has_gone_is_counted_to_another(void **state)
{
	struct clients *c = *state;
	struct server_peer p = { .data = NULL }, q = { .data = NULL };

	join(c, "one", "b", &q);
	join(c, "two", "b", &q);
	assert_int_equal(say_much(c, &p, "one", "a", CLIENTS_DATA_MAX * 2 / 3), MQ_OK);
	assert_true(clients_leave(c, CLIENTS_CONSUMERS, "one", "a", &p));
	assert_non_null(clients_group(c, CLIENTS_CONSUMERS, "one")->data);
	assert_int_equal(say_much(c, &p, "two", "a", CLIENTS_DATA_MAX * 2 / 3), MQ_OK);
	assert_true(clients_leave(c, CLIENTS_CONSUMERS, "two", "a", &p));
	assert_null(clients_group(c, CLIENTS_CONSUMERS, "two")->data);
	assert_int_equal(say_much(c, &q, "two", "b", 1), MQ_OK);
	assert_non_null(clients_group(c, CLIENTS_CONSUMERS, "two")->data);
	clients_gone(c, &q, count_left, expected);
}

static void
many_small_values_are_as_much_as_a_long_text(void **state)
{
	struct clients *c = *state;
	struct server_peer p = { .data = NULL };
	json_t *list = json_array(), *says = json_pack("{s:o}", "subscriptionDataSet", list);
	bool news;

	for (size_t i = 0; i < CLIENTS_DATA_MAX / 64; i++)	/* three bytes each in the heartbeat */
		json_array_append_new(list, json_object());
	assert_int_equal(clients_join(c, CLIENTS_CONSUMERS, "g", "a", &p, 0, 1, says, &news), -EMFILE);
	json_decref(says);
	assert_int_equal(clients_count(c), 0);
}

static void
a_lock_is_its_clients_until_its_time_is_over(void **state)
{
	struct locks *l;

	(void)state;
	assert_int_equal(locks_open(&l), MQ_OK);
	assert_true(locks_take(l, "g", "t", 0, "a", 1000));
	assert_false(locks_take(l, "g", "t", 0, "b", 1000 + LOCKS_MS - 1));
	assert_true(locks_take(l, "g", "t", 0, "a", 2000));	/* renewed */
	assert_false(locks_take(l, "g", "t", 0, "b", 1000 + LOCKS_MS));
	assert_true(locks_take(l, "g", "t", 0, "b", 2000 + LOCKS_MS));
	assert_false(locks_take(l, "g", "t", 0, "a", 2000 + LOCKS_MS));
	locks_drop(l, "g", "t", 0, "a");		/* is not a's */
	assert_false(locks_take(l, "g", "t", 0, "a", 2000 + LOCKS_MS));
	locks_drop(l, "g", "t", 0, "b");
	assert_true(locks_take(l, "g", "t", 0, "a", 2000 + LOCKS_MS));
	assert_true(locks_take(l, "h", "t", 0, "b", 2000 + LOCKS_MS));	/* of another group */
	locks_close(l);
}

static void
locks_are_bounded_and_those_that_are_over_make_room(void **state)
{
	struct locks *l;

	(void)state;
	assert_int_equal(locks_open(&l), MQ_OK);
	for (int i = 0; i < LOCKS_MAX; i++)
		assert_true(locks_take(l, "g", "t", i, "a", 0));
	assert_false(locks_take(l, "g", "t", LOCKS_MAX, "a", 0));
	assert_true(locks_take(l, "g", "t", 7, "a", 0));
	assert_true(locks_take(l, "g", "t", LOCKS_MAX, "a", LOCKS_MS));
	locks_close(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_group_is_there_as_long_as_it_has_members, setup, teardown),
		cmocka_unit_test_setup_teardown(a_client_that_connects_again_is_no_second_member, setup, teardown),
		cmocka_unit_test_setup_teardown(the_newest_version_of_a_subscription_counts_whoever_speaks_last, setup, teardown),
		cmocka_unit_test_setup_teardown(a_topic_that_comes_or_goes_is_news, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_is_in_so_many_groups_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(a_connection_says_so_much_of_its_groups_at_most, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_member_said_that_has_gone_is_counted_to_another, setup, teardown),
		cmocka_unit_test_setup_teardown(many_small_values_are_as_much_as_a_long_text, setup, teardown),
		cmocka_unit_test(a_lock_is_its_clients_until_its_time_is_over),
		cmocka_unit_test(locks_are_bounded_and_those_that_are_over_make_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
