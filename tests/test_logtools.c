/* What mqdump and fsck.mqfs stand on: ranges, lines of text. */
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
#include "store/range.h"
#include "store/record_text.h"

static void
ranges_are_what_people_write(void **state)
{
	static const struct {
		const char *text;
		int64_t from, to;
	} good[] = {
		{ "0", 0, INT64_MAX },
		{ "17", 17, INT64_MAX },
		{ "00000000000000065536", 65536, INT64_MAX },
		{ "17..", 17, INT64_MAX },
		{ "..17", 0, 17 },
		{ "..", 0, INT64_MAX },
		{ "5..5", 5, 5 },
		{ "5..9223372036854775807", 5, INT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct range r;

		assert_int_equal(range_parse(good[i].text, &r), MQ_OK);
		assert_int_equal(r.from.byte, good[i].from);
		assert_int_equal(r.to.byte, good[i].to);
	}
}

static void
anything_else_is_no_range(void **state)
{
	static const char *const bad[] = {
		"", ".", "...", "x", "5x", "x5", "-1", "+1", " 1", "1 ", "1.5", "1...5", "1..x", "1..-5", "5..4",
		"1..2..3", "0x10", "9223372036854775808", "1..99999999999999999999", "1..+5", "1.. 5",
	};
	struct range r = { MQ_POS(7), MQ_POS(8) };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(range_parse(bad[i], &r), -EINVAL);
	assert_int_equal(r.from.byte, 7);
	assert_int_equal(r.to.byte, 8);
}

/* Whatever bytes come: taken or refused, and what is taken is in order. */
static void
random_texts_are_taken_or_refused(void **state)
{
	static const char alphabet[] = "0123456789..-+x \xff";
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 100000; i++) {
		char text[24];
		struct range r;
		size_t len = (size_t)(rand_r(&seed) % (int)sizeof(text));

		for (size_t j = 0; j < len; j++)
			text[j] = alphabet[rand_r(&seed) % (int)(sizeof(alphabet) - 1)];
		text[len] = '\0';
		if (range_parse(text, &r) == MQ_OK)
			assert_true(r.from.byte >= 0 && r.from.byte <= r.to.byte);
	}
}

static char *
printed(const char *body, size_t body_len, const char *props, int32_t sysflag, size_t width)
{
	struct record rec = {
		.total = 172, .queue_id = 2, .qoff = MQ_QOFF(7), .pos = MQ_POS(1024), .sysflag = sysflag,
		.store_ms = 1700000000123, .body = body, .body_len = (int32_t)body_len, .topic = "orders",
		.topic_len = 6, .props = props, .props_len = (int16_t)strlen(props),
	};
	char *text;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(out);
	record_print(out, &rec, width);
	fclose(out);
	return text;
}

#define HEAD "1024 +172  2023-11-14T22:13:20.123Z  orders/q2@7"

static void
a_record_is_one_line(void **state)
{
	static const struct {
		const char *body;
		size_t len;
		const char *props;
		int32_t sysflag;
		size_t width;
		const char *text;
	} rows[] = {
		{ "hello", 5, "", 0, 0, HEAD "  hello" },
		{ "", 0, "", 0, 0, HEAD "  " },
		{ "hello", 5, "TAGS\001A\002KEYS\001k1 k2", 0, 0, HEAD "  TAGS=A \"KEYS=k1 k2\"  hello" },
		{ "a\nb\t\\\033[0m\0", 10, "", 0, 0, HEAD "  a\\nb\\t\\\\\\x1b[0m\\x00" },
		{ "hello rocket", 12, "", 0, 5, HEAD "  hello... (12 bytes)" },
		{ "zw\303\266lf", 6, "", 0, 3, HEAD "  zw... (6 bytes)" },
		{ "\377\376\375", 3, "", 0, 0, HEAD "  base64://79" },
		{ "hello", 5, "", SYSFLAG_COMPRESSED, 0, HEAD " compressed  base64:aGVsbG8=" },
		{ "hello", 5, "P\001\377x", SYSFLAG_PREPARED, 0, HEAD " prepared  P=?x  hello" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *text = printed(rows[i].body, rows[i].len, rows[i].props, rows[i].sysflag, rows[i].width);

		assert_string_equal(text, rows[i].text);
		free(text);
	}
}

static void
any_time_can_be_told(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1700000000123, "2023-11-14T22:13:20.123Z" },
		{ -5, "-5ms" },
		{ INT64_MAX, "292278994-08-17T07:12:55.807Z" },
	};
	char text[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		time_text(rows[i].ms, text, sizeof(text));
		assert_string_equal(text, rows[i].text);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_are_what_people_write),
		cmocka_unit_test(anything_else_is_no_range),
		cmocka_unit_test(random_texts_are_taken_or_refused),
		cmocka_unit_test(a_record_is_one_line),
		cmocka_unit_test(any_time_can_be_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
