/* Lists of addresses that may connect. */
#include "config.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <cmocka.h>

#include "conf/allow.h"

static bool
has(const char *list, const char *address)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct allow allow;

	assert_true(allow_parse(list, &allow));
	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return allow_has(&allow, (const struct sockaddr *)&in);
	assert_int_equal(inet_pton(AF_INET6, address, &in6.sin6_addr), 1);
	return allow_has(&allow, (const struct sockaddr *)&in6);
}

static void
an_empty_list_lets_everyone_in(void **state)
{
	static const char *const empty[] = { "", " ", " ,, \t" };

	(void)state;
	for (size_t i = 0; i < sizeof(empty) / sizeof(empty[0]); i++) {
		assert_true(has(empty[i], "192.0.2.1"));
		assert_true(has(empty[i], "2001:db8::1"));
	}
}

static void
an_address_lets_itself_in(void **state)
{
	(void)state;
	assert_true(has("192.0.2.1", "192.0.2.1"));
	assert_false(has("192.0.2.1", "192.0.2.2"));
	assert_false(has("192.0.2.1", "2001:db8::1"));
	assert_true(has("::1", "0:0:0:0:0:0:0:1"));
	assert_false(has("::1", "::2"));
	assert_false(has("::1", "0.0.0.1"));
}

static void
a_prefix_lets_in_what_begins_like_it(void **state)
{
	(void)state;
	assert_true(has("10.0.0.0/8", "10.255.255.255"));
	assert_false(has("10.0.0.0/8", "11.0.0.0"));
	assert_true(has("192.0.2.128/25", "192.0.2.200"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_true(has("192.0.2.4/31", "192.0.2.5"));
	assert_false(has("192.0.2.4/31", "192.0.2.6"));
	assert_true(has("192.0.2.4/32", "192.0.2.4"));
	assert_false(has("192.0.2.4/32", "192.0.2.5"));
	assert_true(has("fd00::/8", "fdff::1"));
	assert_false(has("fd00::/8", "fe00::1"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
}

static void
words_stand_with_spaces_or_commas(void **state)
{
	const char *list = " 10.0.0.0/8,fd00::/8 , 192.0.2.1\t::1 ";

	(void)state;
	assert_true(has(list, "10.1.2.3"));
	assert_true(has(list, "fd00::1"));
	assert_true(has(list, "192.0.2.1"));
	assert_true(has(list, "::1"));
	assert_false(has(list, "192.0.2.3"));
}

static void
ipv4_is_the_same_on_a_socket_for_both(void **state)
{
	(void)state;
	assert_true(has("10.0.0.0/8", "::ffff:10.1.2.3"));
	assert_false(has("10.0.0.0/8", "::10.1.2.3"));
	assert_true(has("::ffff:10.0.0.0/104", "10.1.2.3"));
}

static void
all_of_one_family_is_not_all_of_the_other(void **state)
{
	(void)state;
	assert_true(has("0.0.0.0/0", "192.0.2.1"));
	assert_true(has("0.0.0.0/0", "::ffff:192.0.2.1"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
	assert_false(has("::/0", "192.0.2.1"));
	assert_false(has("::/0", "::ffff:192.0.2.1"));
	assert_true(has("::/0 0.0.0.0/0", "192.0.2.1"));
}

static void
who_has_no_address_is_on_no_list(void **state)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct allow allow;

	(void)state;
	assert_true(allow_parse("0.0.0.0/0 ::/0", &allow));
	assert_false(allow_has(&allow, (const struct sockaddr *)&un));
}

static void
nonsense_is_refused(void **state)
{
	static const char *const nonsense[] = {
		"localhost", "10", "10.0.0", "10.0.0.0.0", "256.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1",
		"10.0.0.0/ 8", "10.0.0.0/8/8", "10.0.0.0/8x", "10.0.0.0/0008", "/8", "::/129", "::1/", ":::",
		"fe80::1%lo", "10.0.0.1:80", "[::1]", "10.0.0.0/8;::1", "10.0.0.7/8", "::1/64", "0.0.0.1/0",
		"10.0.0.0/8 !10.1.0.0/16",
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
	};
	struct allow allow = { .n = 7 };

	(void)state;
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++)
		if (allow_parse(nonsense[i], &allow))
			fail_msg("'%s' was taken", nonsense[i]);
	assert_int_equal(allow.n, 7);
}

static void
a_list_has_an_end(void **state)
{
	char text[ALLOW_MAX * 24] = "";
	struct allow allow;

	(void)state;
	for (int i = 0; i < ALLOW_MAX; i++)
		snprintf(text + strlen(text), 24, "10.0.0.%d ", i);
	assert_true(allow_parse(text, &allow));
	assert_int_equal(allow.n, ALLOW_MAX);
	strcat(text, "10.0.1.0");
	assert_false(allow_parse(text, &allow));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_list_lets_everyone_in),
		cmocka_unit_test(an_address_lets_itself_in),
		cmocka_unit_test(a_prefix_lets_in_what_begins_like_it),
		cmocka_unit_test(words_stand_with_spaces_or_commas),
		cmocka_unit_test(ipv4_is_the_same_on_a_socket_for_both),
		cmocka_unit_test(all_of_one_family_is_not_all_of_the_other),
		cmocka_unit_test(who_has_no_address_is_on_no_list),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_list_has_an_end),
	};

	return cmocka_run_group_tests_name("allow", tests, NULL, NULL);
}
