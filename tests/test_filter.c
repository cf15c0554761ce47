#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "store/filter.h"
#include "store/properties.h"

static struct filter *
made(const char *tags, const char *keys, const char *where)
{
	const struct filter_spec spec = { .tags = tags, .keys = keys, .where = where };
	struct filter *f = NULL;
	int rc = filter_make(&spec, &f);

	if (rc != MQ_OK)
		fail_msg("%s", err_text(rc));
	return f;
}

static bool
wants(const char *tags, const char *keys, const char *where, const char *props)
{
	struct filter *f = made(tags, keys, where);
	bool yes = filter_wants(f, props, strlen(props));

	filter_free(f);
	return yes;
}

static void
assert_refused(const char *tags, const char *where, const char *note)
{
	const struct filter_spec spec = { .tags = tags, .where = where };
	struct filter *f = NULL;

	err_clear();
	assert_int_equal(filter_make(&spec, &f), -EINVAL);
	assert_null(f);
	if (!strstr(err_text(-EINVAL), note))
		fail_msg("\"%s\" is not in \"%s\"", note, err_text(-EINVAL));
}

static void
every_message_is_wanted_where_nothing_is_asked_for(void **state)
{
	(void)state;
	assert_null(made(NULL, NULL, NULL));
	assert_null(made("", "", ""));
	assert_null(made("*", NULL, NULL));
}

static void
tags_are_split_as_rocketmq_splits_them(void **state)
{
	(void)state;
	assert_true(wants("A", NULL, NULL, "TAGS\1A"));
	assert_true(wants(" A || B ", NULL, NULL, "k\1v\2TAGS\1B"));
	assert_true(wants("||A||", NULL, NULL, "TAGS\1A"));
	assert_true(wants("A||*", NULL, NULL, "TAGS\1*"));
	assert_false(wants("A||*", NULL, NULL, "TAGS\1C"));
	assert_true(wants("A|B", NULL, NULL, "TAGS\1A|B"));
	assert_false(wants("A", NULL, NULL, "TAGS\1AA"));
	assert_false(wants("A", NULL, NULL, "TAG\1A"));
	assert_false(wants("A", NULL, NULL, ""));
}

static void
the_tag_itself_is_checked_and_not_only_its_hash(void **state)
{
	struct filter *f = made("Aa", NULL, NULL);

	(void)state;
	assert_int_equal(record_tags_code("Aa", 2), record_tags_code("BB", 2));
	assert_true(filter_may_want(f, record_tags_code("BB", 2)));
	assert_false(filter_wants(f, "TAGS\1BB", 7));
	assert_false(filter_may_want(f, record_tags_code("Ab", 2)));
	assert_false(filter_may_want(f, 0));
	filter_free(f);
}

/* A due time or the address of an extension, in the place of a hash. */
static void
what_is_no_hash_says_nothing_of_the_tag(void **state)
{
	struct filter *f = made("A", NULL, NULL);

	(void)state;
	assert_true(filter_may_want(f, INT64_C(1796004286151)));
	assert_true(filter_may_want(f, INT64_MIN + 17));
	filter_free(f);
}

static void
a_message_has_each_of_the_keys(void **state)
{
	(void)state;
	assert_true(wants(NULL, "k2", NULL, "KEYS\1k1 k2 k3"));
	assert_true(wants(NULL, "k1 k3", NULL, "KEYS\1k1 k2 k3"));
	assert_true(wants(NULL, "k1 U", NULL, "UNIQ_KEY\1U\2KEYS\1k1"));
	assert_false(wants(NULL, "k1 k4", NULL, "KEYS\1k1 k2 k3"));
	assert_false(wants(NULL, "k", NULL, "KEYS\1k1  k2"));
	assert_false(wants(NULL, "k1", NULL, ""));
}

static void
all_that_is_given_must_hold(void **state)
{
	(void)state;
	assert_true(wants("A", "k", "n > 1", "TAGS\1A\2KEYS\1k\2n\1" "2"));
	assert_false(wants("B", "k", "n > 1", "TAGS\1A\2KEYS\1k\2n\1" "2"));
	assert_false(wants("A", "j", "n > 1", "TAGS\1A\2KEYS\1k\2n\1" "2"));
	assert_false(wants("A", "k", "n > 2", "TAGS\1A\2KEYS\1k\2n\1" "2"));
}

static void
what_cannot_be_understood_is_refused(void **state)
{
	(void)state;
	assert_refused("||", NULL, "names no tag");
	assert_refused(" ", NULL, "names no tag");
	assert_refused(NULL, "a = ", "");
	assert_refused(NULL, "a = 1 b = 2", "follows a complete expression");
}

/* --- properties ------------------------------------------------------------------- */

static void
properties_are_added_or_nothing_is(void **state)
{
	char buf[16];
	struct properties p = { .buf = buf, .size = sizeof(buf) };

	(void)state;
	assert_int_equal(properties_add(&p, "a", "1", 1), MQ_OK);
	assert_int_equal(properties_add(&p, "b", "two", 3), MQ_OK);
	assert_int_equal(properties_add(&p, "", "x", 1), -EINVAL);
	assert_int_equal(properties_add(&p, "c", "", 0), -EINVAL);
	assert_int_equal(properties_add(&p, "c", "x\2y", 3), -EINVAL);
	assert_int_equal(properties_add(&p, "c\1", "x", 1), -EINVAL);
	assert_int_equal(properties_add(&p, "c", "12345", 5), -EMSGSIZE);
	assert_int_equal(properties_add(&p, "c", "1234", 4), MQ_OK);
	assert_int_equal(p.len, 16);
	assert_memory_equal(buf, "a\1" "1\2b\1two\2c\1" "1234", 16);
}

static void
only_missing_properties_are_added(void **state)
{
	char buf[64];
	struct properties p = { .buf = buf, .size = sizeof(buf) };

	(void)state;
	assert_int_equal(properties_add(&p, "b", "mine", 4), MQ_OK);
	assert_int_equal(properties_add_missing(&p, "a\1x\2b\1y", 7), MQ_OK);
	assert_int_equal(p.len, 10);
	assert_memory_equal(buf, "b\1mine\2a\1x", 10);
}

/* More than 65,536 in a millisecond, which is where the counter of RocketMQ's clients repeats. */
static void
no_two_unique_keys_are_the_same(void **state)
{
	static char keys[200000][32];
	const struct host host = { .addr = { 10, 1, 2, 3 } };
	char buf[UNIQ_KEY_MAX];
	size_t len;

	(void)state;
	for (size_t i = 0; i < 200000; i++) {
		uniq_key_make(&host, buf, &len);
		assert_int_equal(len, 32);
		memcpy(keys[i], buf, 32);
		assert_memory_equal(buf, "0A010203", 8);
		if (i > 0 && memcmp(keys[i], keys[i - 1], 32) <= 0)
			fail_msg("%.32s comes after %.32s", keys[i], keys[i - 1]);
	}
}

static void
a_unique_key_of_an_ipv6_host_is_longer(void **state)
{
	const struct host host = { .addr = { 0x20, 1, [15] = 1 }, .v6 = true };
	char buf[UNIQ_KEY_MAX];
	size_t len;

	(void)state;
	uniq_key_make(&host, buf, &len);
	assert_int_equal(len, 56);
	assert_memory_equal(buf, "20010000000000000000000000000001", 32);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_is_wanted_where_nothing_is_asked_for),
		cmocka_unit_test(tags_are_split_as_rocketmq_splits_them),
		cmocka_unit_test(the_tag_itself_is_checked_and_not_only_its_hash),
		cmocka_unit_test(what_is_no_hash_says_nothing_of_the_tag),
		cmocka_unit_test(a_message_has_each_of_the_keys),
		cmocka_unit_test(all_that_is_given_must_hold),
		cmocka_unit_test(what_cannot_be_understood_is_refused),
		cmocka_unit_test(properties_are_added_or_nothing_is),
		cmocka_unit_test(only_missing_properties_are_added),
		cmocka_unit_test(no_two_unique_keys_are_the_same),
		cmocka_unit_test(a_unique_key_of_an_ipv6_host_is_longer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
