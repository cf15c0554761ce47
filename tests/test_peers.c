/* peers.c: whose reports count. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "repl/peers.h"

/* The only thing of a store that is asked here. */
static struct mark written;

struct mark *
store_written(struct store *s)
{
	(void)s;
	return &written;
}

static char nothing[] = "", private_net[] = "10.0.0.0/8", link_local[] = "fe80::1", authority[] = "ca.pem";
static struct settings settings;
static struct peers peers;

static int
setup(void **state)
{
	(void)state;
	settings = (struct settings){ .inSyncReplicas = 2, .haSlaveFallbehindMax = 1000,
					.haAllow = nothing, .tlsCa = nothing };
	mark_init(&written, MQ_POS(5000));
	memset(&peers, 0, sizeof(peers));
	peers_init(&peers, &settings, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	peers_destroy(&peers);
	mark_destroy(&written);
	return 0;
}

static void
hear(int number, const char *address, int64_t first, int64_t ack)
{
	struct link_message msg = { .peer = number, .state = LINK_PEER_TRANSFER, .pos = first, .ack = ack };

	snprintf(msg.text, sizeof(msg.text), "%s", address);
	peers_on_message(&peers, &msg);
}

static void
say_hello(const char *address, bool good)
{
	struct hello h = { .program = "mqfs" };

	peers_hello(&peers, address, &h, good, good ? "" : "of another log");
}

static int64_t
replicated(void)
{
	return mark_at(&peers.replicated).byte;
}

static void
acks_of_a_stranger_count_for_nothing(void **state)
{
	(void)state;
	hear(1, "10.0.0.9:5000", 1, 1);
	hear(1, "10.0.0.9:5000", 1, 5000);	/* be it sent all of the log */
	assert_int_equal(replicated(), 0);
	assert_false(peers_in_sync(&peers));
}

static void
a_slave_that_the_list_names_need_not_say_hello(void **state)
{
	(void)state;
	settings.haAllow = private_net;
	hear(1, "10.0.0.9:5000", 1, 5000);
	assert_int_equal(replicated(), 5000);
	assert_true(peers_in_sync(&peers));
}

static void
a_slave_with_a_certificate_need_not_say_hello(void **state)
{
	(void)state;
	settings.tlsCa = authority;
	hear(1, "10.0.0.9:5000", 1, 5000);
	assert_int_equal(replicated(), 5000);
}

static void
what_a_slave_was_not_sent_is_no_ack(void **state)
{
	(void)state;
	settings.haAllow = private_net;
	say_hello("10.0.0.9:41234", true);
	hear(1, "10.0.0.9:5000", 5000, 5000);	/* of the host of a good slave, and all the same */
	assert_int_equal(replicated(), 0);
	hear(2, "10.0.0.9:5001", 4000, 4500);	/* that much it has from us, and what is before it */
	assert_int_equal(replicated(), 4500);
}

static void
acks_count_of_hosts_that_said_hello(void **state)
{
	(void)state;
	say_hello("10.0.0.9:41234", true);
	hear(1, "10.0.0.9:5000", 4000, 4500);
	assert_int_equal(replicated(), 4500);
	hear(2, "10.0.0.90:5000", 4000, 5000);	/* not the same host */
	assert_int_equal(replicated(), 4500);
}

static void
acks_do_not_count_of_a_host_with_another_log(void **state)
{
	(void)state;
	settings.haAllow = link_local;
	say_hello("[fe80::1]:41234", true);
	say_hello("[fe80::1]:41235", false);
	hear(1, "[fe80::1]:5000", 4000, 4500);
	assert_int_equal(replicated(), 0);
	say_hello("[fe80::1]:41236", true);
	hear(1, "[fe80::1]:5000", 4000, 4500);
	assert_int_equal(replicated(), 4500);
}

static void
no_ack_counts_beyond_our_end(void **state)
{
	(void)state;
	say_hello("10.0.0.9:1", true);
	hear(1, "10.0.0.9:5000", 0, 6000);
	assert_int_equal(replicated(), 0);
}

static void
as_many_as_are_wanted_must_have_it(void **state)
{
	(void)state;
	settings.inSyncReplicas = 3;
	say_hello("10.0.0.9:1", true);
	hear(1, "10.0.0.9:5000", 0, 4800);
	assert_int_equal(replicated(), 0);
	assert_false(peers_in_sync(&peers));
	hear(2, "10.0.0.9:5001", 0, 4600);
	assert_int_equal(replicated(), 4600);
	assert_true(peers_in_sync(&peers));
	hear(2, "10.0.0.9:5001", 0, 4900);
	assert_int_equal(replicated(), 4800);
}

static void
who_is_far_behind_is_not_in_sync(void **state)
{
	(void)state;
	say_hello("10.0.0.9:1", true);
	hear(1, "10.0.0.9:5000", 0, 3999);
	assert_false(peers_in_sync(&peers));
	assert_int_equal(replicated(), 0);
	hear(1, "10.0.0.9:5000", 0, 4000);
	assert_true(peers_in_sync(&peers));
}

static void
a_cut_takes_acks_back(void **state)
{
	(void)state;
	say_hello("10.0.0.9:1", true);
	hear(1, "10.0.0.9:5000", 0, 5000);
	assert_int_equal(replicated(), 5000);
	peers_cut(&peers, MQ_POS(4200));
	assert_int_equal(replicated(), 4200);
}

static void
more_than_there_is_room_for_are_forgotten_oldest_first(void **state)
{
	char address[32];

	(void)state;
	for (int i = 0; i <= PEERS_KNOWN_MAX; i++) {
		snprintf(address, sizeof(address), "10.0.1.%d:1", i);
		say_hello(address, true);
		peers.known[0].hello_ms = 1;	/* whoever is there was the first */
	}
	assert_int_equal(peers.n_known, PEERS_KNOWN_MAX);
	hear(1, address, 4000, 4500);
	assert_int_equal(replicated(), 4500);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(acks_of_a_stranger_count_for_nothing),
		TEST(a_slave_that_the_list_names_need_not_say_hello),
		TEST(a_slave_with_a_certificate_need_not_say_hello),
		TEST(what_a_slave_was_not_sent_is_no_ack),
		TEST(acks_count_of_hosts_that_said_hello),
		TEST(acks_do_not_count_of_a_host_with_another_log),
		TEST(no_ack_counts_beyond_our_end),
		TEST(as_many_as_are_wanted_must_have_it),
		TEST(who_is_far_behind_is_not_in_sync),
		TEST(a_cut_takes_acks_back),
		TEST(more_than_there_is_room_for_are_forgotten_oldest_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
