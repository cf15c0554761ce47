/* mqtop's tables, text that fits, and views. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "contrib/mqtop/fit.h"
#include "contrib/mqtop/view.h"

#define TOPICS "TOPIC  QUEUES  MESSAGES  BYTES  RETAINED  RETAINED-BYTES  OLDEST  NEWEST\n"

/* --- rows --------------------------------------------------------------------------------------- */

static void
lines_that_are_not_as_the_heading_are_left_out(void **state)
{
	struct rows r = { 0 };

	(void)state;
	rows_parse(&r, "A   B\none 1\ntwo\nthree 3 4\n\n  four\t4  \nfive 5");
	assert_int_equal(rows_count(&r), 3);
	assert_string_equal(rows_cell(&r, 0, 0), "one");
	assert_string_equal(rows_cell(&r, 1, 0), "four");
	assert_string_equal(rows_cell(&r, 1, 1), "4");
	assert_string_equal(rows_cell(&r, 2, 1), "5");
	assert_int_equal(rows_column(&r, "B"), 1);
	assert_int_equal(rows_column(&r, "C"), -1);
	rows_parse(&r, "");
	assert_int_equal(rows_count(&r), 0);
	assert_int_equal(rows_column(&r, "A"), -1);
	rows_free(&r);
}

static void
any_text_is_a_table(void **state)
{
	static const char letters[] = "a \t\n\r\x80 b\n";
	struct rows r = { 0 };
	char text[200];
	uint32_t seed = 1;

	(void)state;
	for (int turn = 0; turn < 20000; turn++) {
		size_t len = (size_t)turn % (sizeof(text) - 1);

		for (size_t i = 0; i < len; i++) {
			seed = seed * 1664525 + 1013904223;
			text[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
		}
		text[len] = '\0';
		rows_parse(&r, text);
		for (size_t row = 0; row < rows_count(&r); row++)
			for (size_t c = 0; c < r.columns; c++)
				assert_int_not_equal(*rows_cell(&r, row, c), '\0');
	}
	rows_free(&r);
}

/* --- text that fits --------------------------------------------------------------------------------- */

static void
text_takes_as_many_columns_as_there_are(void **state)
{
	char buf[FIT_BYTES(20)];

	(void)state;
	assert_int_equal(fit("bröker", 4, 0, buf), 5);
	assert_string_equal(buf, "brök");
	fit("日本", 3, 1, buf);			/* a wide character is not cut in half */
	assert_string_equal(buf, "日 ");
	fit("a\xff\x01z", 20, 0, buf);
	assert_string_equal(buf, "a??z");
	assert_int_equal(fit_width("日本ö\xff"), 6);
	fit("", 3, 1, buf);
	assert_string_equal(buf, "   ");
}

static void
numbers_are_short(void **state)
{
	static const struct {
		double n;
		int of_bytes;
		const char *text;
	} cases[] = {
		{ 0, 0, "0" }, { 99999, 0, "99999" }, { 100000, 0, "100K" }, { 12345678, 0, "12.3M" }, { NAN, 0, "-" },
		{ -123456, 0, "-123K" }, { 1023, 1, "1023" }, { 1024, 1, "1.0K" }, { 1e18, 1, "888P" },
	};
	char buf[32];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fit_number(cases[i].n, cases[i].of_bytes, buf, sizeof(buf));
		assert_string_equal(buf, cases[i].text);
	}
	fit_seconds(59.94, buf, sizeof(buf));
	assert_string_equal(buf, "59.9s");
	fit_seconds(3 * 86400 + 7200, buf, sizeof(buf));
	assert_string_equal(buf, "3d02");
}

/* --- views --------------------------------------------------------------------------------------------- */

static struct sample *
topics(int64_t taken_ms, const char *lines)
{
	struct sample *s = calloc(1, sizeof(*s));
	char text[1024];

	assert_non_null(s);
	s->taken_ms = taken_ms;
	snprintf(text, sizeof(text), "%s%s", TOPICS, lines);
	rows_parse(&s->rows[SOURCE_TOPICS], text);
	return s;
}

/* The first words of all lines, in order, with a blank behind each. */
static void
assert_order(const struct arranged *a, const char *wanted)
{
	char got[256] = "";

	for (size_t i = 0; i < a->n; i++) {
		char *line = arranged_line(a, i);

		strncat(got, line, strcspn(line, " "));
		strcat(got, " ");
		free(line);
	}
	assert_string_equal(got, wanted);
}

static void
rows_are_sorted_by_what_has_come_since(void **state)
{
	struct sample *before = topics(1000, "a 1 10 0 0 0 - -\nb 1 10 0 0 0 - -\nd 1 50 0 0 0 - -\n");
	struct sample *now = topics(3000, "a 1 12 0 0 0 - -\nb 1 110 0 0 0 - -\nc 1 9 0 0 0 - -\nd 1 50 0 0 0 - -\n");
	struct look look = { .view = &views[VIEW_TOPICS], .sort = 1, .filter = "" };
	struct arranged a;
	char *line;

	(void)state;
	assert_true(arrange(&look, now, before, 0, &a));
	assert_order(&a, "b a d c ");		/* c is new: it has no rate */
	line = arranged_line(&a, 0);
	assert_non_null(strstr(line, " 50 "));
	free(line);
	arranged_free(&a);

	look.reverse = true;
	look.filter = "D";
	assert_true(arrange(&look, now, before, 0, &a));
	assert_order(&a, "d ");
	arranged_free(&a);
	look = (struct look){ .view = &views[VIEW_TOPICS], .sort = 0, .filter = "" };
	assert_true(arrange(&look, now, NULL, 0, &a));
	assert_order(&a, "a b c d ");
	arranged_free(&a);
	sample_free(before);
	sample_free(now);
}

static void
no_line_is_wider_than_the_screen(void **state)
{
	struct sample *now = topics(1, "a-very-long-name-of-a-topic-that-does-not-fit-anywhere 8 1234567 1 1 1 - -\nö 1 1 1 1 1 - -\n");

	(void)state;
	for (int width = 1; width < 200; width++) {
		struct look look = { .view = &views[VIEW_TOPICS], .sort = 1, .filter = "" };
		struct arranged a;

		assert_true(arrange(&look, now, NULL, width, &a));
		for (size_t i = 0; i <= a.n; i++) {
			char *line = i < a.n ? arranged_line(&a, i) : arranged_heading(&a);

			assert_in_range(fit_width(line), 1, width);
			free(line);
		}
		arranged_free(&a);
	}
	sample_free(now);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_that_are_not_as_the_heading_are_left_out),
		cmocka_unit_test(any_text_is_a_table),
		cmocka_unit_test(text_takes_as_many_columns_as_there_are),
		cmocka_unit_test(numbers_are_short),
		cmocka_unit_test(rows_are_sorted_by_what_has_come_since),
		cmocka_unit_test(no_line_is_wider_than_the_screen),
	};

	if (!setlocale(LC_ALL, "C.UTF-8"))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
