/* Commits of a slave, and what the log of its master makes of them (offsets/unsettled.h). */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "offsets/unsettled.h"

#define KNOWN 10			/* records the slave knew when it committed */

static struct unsettled
forward_to(int64_t to)
{
	struct unsettled w = unsettled_begin("g/t", 0);

	unsettled_forward(&w, to, KNOWN);
	return w;
}

static struct unsettled
reset_to(int64_t to)
{
	struct unsettled w = unsettled_begin("g/t", 0);

	unsettled_reset(&w, to, KNOWN);
	return w;
}

static void
a_commit_is_unsettled_until_the_log_has_it(void **state)
{
	struct unsettled w = forward_to(20);

	(void)state;
	assert_int_equal(unsettled_merge(&w, KNOWN, 15, false), MERGED_STAYS);
	assert_int_equal(w.to, 20);
	assert_int_equal(unsettled_merge(&w, KNOWN + 1, 20, false), MERGED_SETTLED);
}

static void
a_commit_only_moves_forward(void **state)
{
	struct unsettled w = forward_to(20);

	(void)state;
	unsettled_forward(&w, 12, KNOWN + 3);
	assert_int_equal(w.to, 20);
	assert_int_equal(w.seen, KNOWN);
	unsettled_forward(&w, 30, KNOWN + 3);
	assert_int_equal(w.to, 30);
	assert_int_equal(w.seen, KNOWN + 3);
}

static void
a_reset_that_it_did_not_know_of_overtakes_a_commit(void **state)
{
	struct unsettled w = forward_to(20);

	(void)state;
	assert_int_equal(unsettled_merge(&w, KNOWN, 5, true), MERGED_LOST);
}

static void
records_that_were_known_say_nothing(void **state)
{
	struct unsettled forward = forward_to(20), reset = reset_to(5);

	(void)state;
	assert_int_equal(unsettled_merge(&forward, KNOWN - 1, 5, true), MERGED_STAYS);
	assert_int_equal(unsettled_merge(&forward, KNOWN - 1, 90, false), MERGED_STAYS);
	assert_int_equal(unsettled_merge(&reset, KNOWN - 1, 7, true), MERGED_STAYS);
}

static void
a_reset_goes_first_and_the_rest_after_the_log_has_it(void **state)
{
	struct unsettled w = reset_to(5);
	struct unsettled_step step;

	(void)state;
	unsettled_forward(&w, 8, KNOWN + 1);
	step = unsettled_step(&w);
	assert_true(step.reset && step.to == 5 && step.seen == KNOWN);
	assert_int_equal(unsettled_merge(&w, KNOWN, 99, false), MERGED_STAYS);
	assert_int_equal(unsettled_merge(&w, KNOWN + 4, 5, true), MERGED_STAYS);
	step = unsettled_step(&w);
	assert_true(!step.reset && step.to == 8 && step.seen == KNOWN + 5);
	assert_int_equal(unsettled_merge(&w, KNOWN + 6, 8, false), MERGED_SETTLED);
}

static void
a_newer_reset_waits_for_the_one_that_was_sent(void **state)
{
	struct unsettled w = reset_to(5);
	struct unsettled_step step;

	(void)state;
	(void)unsettled_step(&w);
	unsettled_reset(&w, 40, KNOWN);
	step = unsettled_step(&w);			/* the same once more, as if nothing had been */
	assert_true(step.reset && step.to == 5 && step.seen == KNOWN);
	assert_int_equal(unsettled_merge(&w, KNOWN + 1, 5, true), MERGED_STAYS);
	assert_int_equal(w.to, 40);
	step = unsettled_step(&w);
	assert_true(step.reset && step.to == 40 && step.seen == KNOWN + 2);
	assert_int_equal(unsettled_merge(&w, KNOWN + 2, 40, true), MERGED_SETTLED);
}

static void
of_two_resets_the_one_in_the_log_counts(void **state)
{
	struct unsettled w = reset_to(5);

	(void)state;
	assert_int_equal(unsettled_merge(&w, KNOWN, 70, true), MERGED_LOST);
}

static void
a_reset_that_was_kept_may_have_been_sent(void **state)
{
	struct unsettled w = reset_to(5), loaded;
	struct rows rows = { 0 };
	unsigned char key[8] = "g/t/\0\0\0", value[UNSETTLED_ROW_BYTES];

	(void)state;
	unsettled_put(&rows, &w);
	assert_int_equal(rows.err, MQ_OK);
	memcpy(value, rows.buf + rows.len - sizeof(value), sizeof(value));
	assert_memory_equal(rows.buf + rows.len - sizeof(value) - sizeof(key), key, sizeof(key));
	assert_true(unsettled_from_row(key, sizeof(key), value, sizeof(value), &loaded));
	assert_int_equal(loaded.sent, 5);
	assert_int_equal(loaded.sent_seen, KNOWN);
	assert_true(loaded.again);
	assert_false(unsettled_from_row(key, sizeof(key) - 1, value, sizeof(value), &loaded));
	assert_false(unsettled_from_row(key, sizeof(key), value, sizeof(value) - 1, &loaded));
	memset(value, 0xfe, 8);
	assert_false(unsettled_from_row(key, sizeof(key), value, sizeof(value), &loaded));
	rows_free(&rows);
}

static void
of_what_was_cut_nothing_has_been_consumed(void **state)
{
	struct unsettled w = reset_to(50);

	(void)state;
	unsettled_forward(&w, 80, KNOWN + 5);
	unsettled_cut(&w, 60, 7);
	assert_int_equal(w.to, 60);
	assert_int_equal(w.reset, 50);
	assert_int_equal(w.seen, 7);
	unsettled_cut(&w, 10, 7);
	assert_int_equal(w.reset, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_commit_is_unsettled_until_the_log_has_it),
		cmocka_unit_test(a_commit_only_moves_forward),
		cmocka_unit_test(a_reset_that_it_did_not_know_of_overtakes_a_commit),
		cmocka_unit_test(records_that_were_known_say_nothing),
		cmocka_unit_test(a_reset_goes_first_and_the_rest_after_the_log_has_it),
		cmocka_unit_test(a_newer_reset_waits_for_the_one_that_was_sent),
		cmocka_unit_test(of_two_resets_the_one_in_the_log_counts),
		cmocka_unit_test(a_reset_that_was_kept_may_have_been_sent),
		cmocka_unit_test(of_what_was_cut_nothing_has_been_consumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
