#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "store/sql92.h"

/* "a=1;b=x" as the properties of a record; "-": none. */
static size_t
encode_props(char *text)
{
	size_t len = strlen(text);

	if (strcmp(text, "-") == 0)
		return 0;
	for (size_t i = 0, in_value = 0; i < len; i++) {
		if (text[i] == '=' && !in_value) {
			text[i] = 0x01;
			in_value = 1;
		} else if (text[i] == ';') {
			text[i] = 0x02;
			in_value = 0;
		}
	}
	return len;
}

static const char *
outcome(const char *expression, char *props)
{
	struct sql92 *sql;
	int rc = sql92_parse(expression, strlen(expression), &sql, NULL);
	bool yes;

	if (rc != MQ_OK) {
		assert_int_equal(rc, -EINVAL);
		return "refused";
	}
	yes = sql92_matches(sql, props, encode_props(props));
	sql92_free(sql);
	return yes ? "yes" : "no";
}

/* Each case of the file: is it as wanted, or (print) what is it? */
static int
walk_cases(const char *path, bool print, int *ret_wrong)
{
	char line[2048];
	int n = 0;
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	for (*ret_wrong = 0; fgets(line, sizeof(line), f);) {
		char *wanted = strtok(line, "\t"), *props = strtok(NULL, "\t"), *expression = strtok(NULL, "\n");
		const char *got;

		if (line[0] == '#')
			continue;
		assert_non_null(expression);
		got = outcome(expression, props);
		n++;
		if (print) {
			puts(got);
		} else if (strcmp(got, wanted) != 0) {
			print_error("%s: wanted %s, got %s\n", expression, wanted, got);
			(*ret_wrong)++;
		}
	}
	fclose(f);
	return n;
}

static void
every_case_is_as_rocketmq_has_it(void **state)
{
	const char *top = getenv("top_srcdir");
	char path[4096];
	int wrong;

	(void)state;
	snprintf(path, sizeof(path), "%s/tests/sql92_cases.txt", top ? top : ".");
	assert_true(walk_cases(path, false, &wrong) > 100);
	assert_int_equal(wrong, 0);
}

static void
what_follows_an_expression_is_told(void **state)
{
	struct sql92 *sql;
	size_t used;

	(void)state;
	assert_int_equal(sql92_parse("a = 1 b", 7, &sql, &used), MQ_OK);
	assert_int_equal(used, 6);
	sql92_free(sql);
	assert_int_equal(sql92_parse("a = 1 /* x */ ", 14, &sql, &used), MQ_OK);
	assert_int_equal(used, 14);
	sql92_free(sql);
}

static void
an_error_names_its_place(void **state)
{
	struct sql92 *sql;

	(void)state;
	assert_int_equal(sql92_parse("a = 1 AND > 2", 13, &sql, NULL), -EINVAL);
	assert_non_null(strstr(err_text(-EINVAL), "byte 11"));
}

/* `head`, then `unit` n times, then `tail`. */
static int
parse_repeated(const char *head, const char *unit, size_t n, const char *tail)
{
	size_t size = strlen(head) + n * strlen(unit) + strlen(tail) + 1;
	AUTO_FREE char *text = malloc(size);
	struct sql92 *sql;
	char *p = text;
	int rc;

	assert_non_null(text);
	p = stpcpy(p, head);
	while (n-- > 0)
		p = stpcpy(p, unit);
	stpcpy(p, tail);
	rc = sql92_parse(text, size - 1, &sql, NULL);
	if (rc == MQ_OK) {
		assert_false(sql92_matches(sql, "", 0));
		sql92_free(sql);
	}
	return rc;
}

static void
neither_depth_nor_length_take_the_stack(void **state)
{
	(void)state;
	assert_int_equal(parse_repeated("", "(", 100, "a"), -EINVAL);
	assert_int_equal(parse_repeated("", "NOT ", 150, "a"), MQ_OK);
	assert_int_equal(parse_repeated("", "NOT ", 100000 / 8, "a"), -EINVAL);
	assert_int_equal(parse_repeated("", "(", 10000, ""), -EINVAL);
	assert_int_equal(parse_repeated("a = 1", " OR a = 1", 1500, ""), MQ_OK);
	assert_int_equal(parse_repeated("a = 1", " OR a = 1", 5000, ""), -EINVAL);
	assert_int_equal(parse_repeated("a IN ('x'", ", 'x'", 5000, ")"), MQ_OK);
	assert_int_equal(parse_repeated("a = '", "x", SQL92_TEXT_MAX, "'"), -EINVAL);
}

/* With a file of cases: what each of them is, a line each (interop/t_sql92.sh). */
int
main(int argc, char **argv)
{
	int wrong;
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_case_is_as_rocketmq_has_it),
		cmocka_unit_test(what_follows_an_expression_is_told),
		cmocka_unit_test(an_error_names_its_place),
		cmocka_unit_test(neither_depth_nor_length_take_the_stack),
	};

	if (argc > 1)
		return walk_cases(argv[1], true, &wrong) == 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
