#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "conf/err.h"
#include "fs/name.h"

static struct name
parsed(const char *text)
{
	struct name n = { .queue = -1 };
	int rc = name_parse(text, &n);

	if (rc != MQ_OK)
		fail_msg("%s: %s", text, err_text(rc));
	return n;
}

/* The name is refused, and the note has this in it. */
static void
assert_refused(const char *text, const char *note)
{
	struct name n = { .queue = 77 };
	int rc;

	err_clear();
	rc = name_parse(text, &n);
	if (rc != -EINVAL)
		fail_msg("%s: gave %d", text, rc);
	if (!strstr(err_text(rc), note))
		fail_msg("%s: \"%s\" is not in \"%s\"", text, note, err_text(rc));
	assert_int_equal(n.queue, 77);	/* untouched */
}

static void
assert_point(const char *text, enum name_point_kind kind, int64_t value)
{
	struct name_point p = { .kind = POINT_NONE };
	int rc = name_parse_point(text, &p);

	if (rc != MQ_OK)
		fail_msg("%s: %s", text, err_text(rc));
	assert_int_equal(p.kind, kind);
	assert_int_equal(p.value, value);
}

static void
a_plain_name_is_a_queue_and_nothing_else(void **state)
{
	struct name n = parsed("q17");
	int32_t queue = -1;

	(void)state;
	assert_int_equal(n.queue, 17);
	assert_false(n.all || n.has_range || n.follow || n.whole || n.has_format);
	assert_false(n.read_only || n.append_only);
	assert_true(name_is_plain("q0", &queue));
	assert_int_equal(queue, 0);
	assert_true(name_is_plain("q4095", &queue));
	assert_int_equal(queue, 4095);
	assert_false(name_is_plain("q1:follow", &queue));
	assert_false(name_is_plain("q1@0", &queue));
	assert_false(name_is_plain("all", &queue));
	assert_int_equal(queue, 4095);
}

static void
what_is_no_queue_name_does_not_exist(void **state)
{
	static const char *const names[] = {
		"", "q", "Q0", "q00", "q01", "q4096", "q99999999999999999999", "q-1", "q1x", "q1 ",
		"q1.offset", "alles", "al", "any", "config", "@5", ":follow", "1", "q0\n",
	};
	struct name n;
	int32_t queue;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_equal(name_parse(names[i], &n), -ENOENT);
		assert_false(name_is_plain(names[i], &queue));
	}
}

static void
a_range_goes_from_a_point_to_a_point(void **state)
{
	struct name n = parsed("q3@100..200");

	(void)state;
	assert_true(n.has_range && n.read_only);
	assert_int_equal(n.from.kind, POINT_NUMBER);
	assert_int_equal(n.from.value, 100);
	assert_int_equal(n.to.kind, POINT_NUMBER);
	assert_int_equal(n.to.value, 200);

	n = parsed("all@first..last");
	assert_true(n.all);
	assert_int_equal(n.from.kind, POINT_FIRST);
	assert_int_equal(n.to.kind, POINT_LAST);

	n = parsed("q0@-10..-1h");
	assert_int_equal(n.from.kind, POINT_BEFORE_END);
	assert_int_equal(n.from.value, 10);
	assert_int_equal(n.to.kind, POINT_AGO);
	assert_int_equal(n.to.value, 3600000);
}

static void
a_range_may_leave_out_one_of_its_ends(void **state)
{
	struct name n = parsed("q0@100");

	(void)state;
	assert_int_equal(n.from.value, 100);
	assert_int_equal(n.to.kind, POINT_NONE);

	n = parsed("q0@100..");
	assert_int_equal(n.from.value, 100);
	assert_int_equal(n.to.kind, POINT_NONE);

	n = parsed("q0@..200:follow");
	assert_int_equal(n.from.kind, POINT_NONE);
	assert_int_equal(n.to.value, 200);
	assert_true(n.follow);

	parsed("q0@5..5");
	assert_refused("q0@", "FROM..TO");
	assert_refused("q0@..", "FROM..TO");
	assert_refused("q0@:follow", "FROM..TO");
	assert_refused("q0@6..5", "ends before it begins");
}

static void
a_point_is_a_number_a_word_or_a_way_back(void **state)
{
	(void)state;
	assert_point("0", POINT_NUMBER, 0);
	assert_point("9223372036854775807", POINT_NUMBER, INT64_MAX);
	assert_point("2026", POINT_NUMBER, 2026);
	assert_point("first", POINT_FIRST, 0);
	assert_point("last", POINT_LAST, 0);
	assert_point("-0", POINT_BEFORE_END, 0);
	assert_point("-10", POINT_BEFORE_END, 10);
	assert_point("-10ms", POINT_AGO, 10);
	assert_point("-10s", POINT_AGO, 10000);
	assert_point("-10m", POINT_AGO, 600000);
	assert_point("-10h", POINT_AGO, 36000000);
	assert_point("-10d", POINT_AGO, 864000000);
}

static void
a_point_that_cannot_be_is_refused_with_what_is_known(void **state)
{
	static const char *const points[] = {
		"", "-", "+5", "--5", "- 5", "5s", "-5w", "-5 s", "firstly", "lasted", "FIRST", "0x10", "5.",
		"9223372036854775808", "-9223372036854775808", "-106751991168d", "1e3", " 5", "5 ",
	};
	struct name_point p = { .kind = POINT_LAST, .value = 42 };

	(void)state;
	for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		err_clear();
		if (name_parse_point(points[i], &p) != -EINVAL)
			fail_msg("\"%s\" was taken", points[i]);
		assert_non_null(strstr(err_text(-EINVAL), "first, last"));
	}
	assert_int_equal(p.kind, POINT_LAST);
	assert_int_equal(p.value, 42);
}

static void
a_time_with_z_is_universal(void **state)
{
	(void)state;
	assert_point("2026-11-21T10:00:00Z", POINT_TIME, 1795255200000);
	assert_point("2026-11-21T10:00:00.007Z", POINT_TIME, 1795255200007);
	assert_point("2026-11-21T10:00Z", POINT_TIME, 1795255200000);
	assert_point("2026-11-21Z", POINT_TIME, 1795219200000);
	assert_point("2024-02-29T23:59:59.999Z", POINT_TIME, 1709251199999);
	assert_point("1970-01-01Z", POINT_TIME, 0);
	assert_point("9999-12-31T23:59:59Z", POINT_TIME, 253402300799000);
}

static void
a_time_without_z_is_local(void **state)
{
	(void)state;
	assert_point("2026-11-21T10:00:00", POINT_TIME, 1795251600000);	/* UTC+1 */
	assert_point("2026-07-21T10:00", POINT_TIME, 1784620800000);	/* summer: UTC+2 */
	assert_point("2026-11-21", POINT_TIME, 1795215600000);
	assert_point("1970-01-01", POINT_TIME, 0);
}

static void
a_time_that_never_was_is_refused(void **state)
{
	static const char *const times[] = {
		"2026-02-29", "2026-02-31", "2100-02-29", "2026-04-31", "2026-00-10", "2026-13-10",
		"2026-01-00", "1969-12-31", "0000-01-01", "2026-1-1", "2026-11-21T", "2026-11-21T1:00", "2026-11-21T24:00",
		"2026-11-21T10:60", "2026-11-21T10:00:60", "2026-11-21T10:00:0", "2026-11-21T10:00:00.1",
		"2026-11-21T10:00:00.1234", "2026-11-21T10", "2026-11-21 10:00", "2026-11-21T10:00:00z",
		"2026-11-21T10:00:00+01:00", "2026-11-", "20260-11-21",
	};
	struct name_point p;

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		if (name_parse_point(times[i], &p) != -EINVAL)
			fail_msg("\"%s\" was taken", times[i]);
}

static void
the_colons_of_a_time_do_not_part_options(void **state)
{
	struct name n = parsed("q0@2026-11-21T10:00Z..2026-11-21T10:00:30.500Z:follow,format=json");

	(void)state;
	assert_int_equal(n.from.value, 1795255200000);
	assert_int_equal(n.to.value, 1795255230500);
	assert_true(n.follow);
	assert_int_equal(n.format, FORMAT_JSON);

	n = parsed("q0@2026-11-21T10:00:follow");
	assert_int_equal(n.from.value, 1795251600000);
	assert_true(n.follow);

	n = parsed("q0@2026-11-21T10:00:00..");
	assert_int_equal(n.from.value, 1795251600000);
	assert_int_equal(n.to.kind, POINT_NONE);
}

static void
options_are_parted_by_commas_or_colons(void **state)
{
	struct name n = parsed("q0:follow,format=raw");

	(void)state;
	assert_true(n.follow && n.read_only && n.has_format && !n.append_only);
	assert_int_equal(n.format, FORMAT_RAW);
	n = parsed("all:format=len32:whole");
	assert_true(n.all && n.whole && n.append_only && !n.read_only);
	assert_int_equal(n.format, FORMAT_LEN32);
	n = parsed("q0:format=lines");
	assert_true(n.has_format && !n.read_only && !n.append_only);
}

static void
a_wrong_option_is_named_with_what_is_known(void **state)
{
	(void)state;
	assert_refused("q0:fromat=json", "unknown option \"fromat\"; known: at=TIME, delay=DURATION|levelN, follow, format=");
	assert_refused("q0:", "known: at=TIME");
	assert_refused("q0:follow,", "known: at=TIME");
	assert_refused("q0:,follow", "known: at=TIME");
	assert_refused("q0::follow", "known: at=TIME");
	assert_refused("q0:Follow", "unknown option \"Follow\"");
	assert_refused("q0:follow=yes", "follow takes no value");
	assert_refused("q0:follow=", "follow takes no value");
	assert_refused("q0:format", "format needs a value");
	assert_refused("q0:format=", "lines, raw, len32, json");
	assert_refused("q0:format=xml", "format=xml: known are lines");
	assert_refused("q0:format=jsonx", "format=jsonx");
	assert_refused("q0:follow,follow", "follow is given twice");
	assert_refused("q0:format=raw:format=raw", "format is given twice");
	assert_refused("q0@5,follow", "@5,follow");
	assert_refused("q0@2026-02-31", "@2026-02-31");
}

static void
no_name_is_for_reading_and_appending(void **state)
{
	(void)state;
	assert_refused("q0:follow,whole", "follow is for reading, whole is for appending");
	assert_refused("q0@5:whole", "@ is for reading, whole is for appending");
}

static void
a_name_has_255_bytes_at_most(void **state)
{
	char name[NAME_BYTES_MAX + 2];
	struct name n;

	(void)state;
	memset(name, '0', sizeof(name));
	memcpy(name, "q0@", 3);
	name[NAME_BYTES_MAX + 1] = '\0';
	assert_int_equal(name_parse(name, &n), -ENAMETOOLONG);
	name[NAME_BYTES_MAX] = '\0';
	assert_int_equal(name_parse(name, &n), MQ_OK);
	assert_int_equal(n.from.value, 0);
}

static void
properties_of_what_is_appended_are_in_the_name(void **state)
{
	struct name n = parsed("q3:tag=A,key=k1,key=k2,prop.color=red:prop.a=b=c");

	(void)state;
	assert_string_equal(n.tags, "A");
	assert_string_equal(n.keys, "k1 k2");
	assert_string_equal(n.props, "color\1red\2a\1b=c");
	assert_true(n.append_only);
	n = parsed("q3:tag=A,key=k");
	assert_false(n.append_only || n.read_only);
	assert_true(name_filters(&n));
	n = parsed("q3:prop.x=y");
	assert_false(name_filters(&n));
}

static void
what_a_name_cannot_hold_is_escaped(void **state)
{
	struct name n = parsed("all:tag=a%2Cb%3a%25%2F,prop.x%3Dy=%C3%A9%0A");

	(void)state;
	assert_string_equal(n.tags, "a,b:%/");
	assert_string_equal(n.props, "x=y\1\xc3\xa9\n");
	assert_refused("q0:tag=%", "%2C");
	assert_refused("q0:tag=a%2", "%2C");
	assert_refused("q0:tag=a%2,key=C", "%2C");
	assert_refused("q0:tag=%zz", "%2C");
	assert_refused("q0:tag=a%00", "%00");
	assert_refused("q0:prop.a%01=b", "%00");
	assert_refused("q0:prop.a=b%02", "%00");
	assert_refused("q0:key=%FF", "UTF-8");
}

static void
an_expression_holds_commas_and_colons_within_parentheses_and_quotes(void **state)
{
	struct name n = parsed("q0:where=a IN ('x,y','(:') AND (b = 1),follow");

	(void)state;
	assert_string_equal(n.where, "a IN ('x,y','(:') AND (b = 1)");
	assert_true(n.follow && n.read_only);
	n = parsed("q0@5..7:where=a='it''s%2C',format=raw");
	assert_string_equal(n.where, "a='it''s,'");
	assert_int_equal(n.format, FORMAT_RAW);
}

static void
values_that_cannot_be_are_refused(void **state)
{
	(void)state;
	assert_refused("q0:tag=", "tag needs a value");
	assert_refused("q0:tag", "tag needs a value");
	assert_refused("q0:tag=A,tag=B", "given twice");
	assert_refused("q0:tag=||", "names no tag");
	assert_refused("q0:key=a%20b", "space");
	assert_refused("q0:prop.=x", "unknown option");
	assert_refused("q0:prop.a=", "needs a value");
	assert_refused("q0:prop.a=1,prop.a=2", "given twice");
	assert_refused("q0:prop.UNIQ_KEY=1", "RocketMQ");
	assert_refused("q0:prop.DELAY=3", "RocketMQ");
	assert_refused("q0:where=a >", "");
	assert_refused("q0:where=a=1 b", "follows");
	assert_refused("q0:where=a=1,prop.x=y", "no name is for both");
}

/* However the bytes of a name are used, there is room for what they say. */
static void
the_longest_names_fit(void **state)
{
	char text[NAME_BYTES_MAX + 1] = "q0:key=", props[NAME_BYTES_MAX + 1] = "q0:prop.";
	struct name n;

	(void)state;
	memset(text + 7, 'k', NAME_BYTES_MAX - 7);
	n = parsed(text);
	assert_int_equal(strlen(n.keys), NAME_BYTES_MAX - 7);
	memset(props + 8, 'n', NAME_BYTES_MAX - 8);
	props[NAME_BYTES_MAX - 2] = '=';
	n = parsed(props);
	assert_int_equal(strlen(n.props), NAME_BYTES_MAX - 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_plain_name_is_a_queue_and_nothing_else),
		cmocka_unit_test(what_is_no_queue_name_does_not_exist),
		cmocka_unit_test(a_range_goes_from_a_point_to_a_point),
		cmocka_unit_test(a_range_may_leave_out_one_of_its_ends),
		cmocka_unit_test(a_point_is_a_number_a_word_or_a_way_back),
		cmocka_unit_test(a_point_that_cannot_be_is_refused_with_what_is_known),
		cmocka_unit_test(a_time_with_z_is_universal),
		cmocka_unit_test(a_time_without_z_is_local),
		cmocka_unit_test(a_time_that_never_was_is_refused),
		cmocka_unit_test(the_colons_of_a_time_do_not_part_options),
		cmocka_unit_test(options_are_parted_by_commas_or_colons),
		cmocka_unit_test(a_wrong_option_is_named_with_what_is_known),
		cmocka_unit_test(no_name_is_for_reading_and_appending),
		cmocka_unit_test(a_name_has_255_bytes_at_most),
		cmocka_unit_test(properties_of_what_is_appended_are_in_the_name),
		cmocka_unit_test(what_a_name_cannot_hold_is_escaped),
		cmocka_unit_test(an_expression_holds_commas_and_colons_within_parentheses_and_quotes),
		cmocka_unit_test(values_that_cannot_be_are_refused),
		cmocka_unit_test(the_longest_names_fit),
	};

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return cmocka_run_group_tests_name("name", tests, NULL, NULL);
}
