/* A clock that is wrong, and is set right: the clock is the test's. */
#include "config.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "store/retention.h"
#include "tests/clock_kit.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

#define HOUR 3600
#define DAY (24 * HOUR)
#define YEAR (365 * (int64_t)DAY)

static int
fresh(void **state)
{
	clock_shift_s = clock_passed_s = 0;
	return kit_setup(state);
}

static int64_t
stored_ms(const struct kit *k, size_t i)
{
	return k->model[i].store_ms;
}

static void
append(struct kit *k, size_t n)
{
	assert_int_equal(kit_append(k, "t", 0, n, 100, NULL), MQ_OK);
}

static int64_t
find(struct kit *k, int64_t ms)
{
	mq_qoff at;

	assert_int_equal(store_find_time(k->s, kit_queue(k, "t", 0), ms, &at), MQ_OK);
	return at.n;
}

static struct store_stats
stats(struct kit *k)
{
	struct store_stats st;

	store_stats(k->s, &st);
	return st;
}

/* --- storing ------------------------------------------------------------------------------ */

static void
a_message_stored_when_the_clock_was_years_ahead_pins_no_later_one(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	for (int i = 0; i < 2; i++) {
		append(k, 5);
		clock_shift_s = 6 * YEAR;
		append(k, 5);
		clock_shift_s = 0;
		clock_passed_s += HOUR;
		if (i == 1) {
			kit_close(k);
			kit_open(k);
		}
		append(k, 5);
		assert_in_range(stored_ms(k, k->n - 1), clock_wall_ms() - 60000, clock_wall_ms());
		assert_int_equal(stats(k).clock_backs, 1);
		assert_true(stored_ms(k, k->n - 6) > stored_ms(k, k->n - 1));
		clock_passed_s += HOUR;
		kit_close(k);
		kit_open(k);
	}
	kit_verify(k);
}

static void
small_steps_back_leave_store_times_in_order(void **state)
{
	struct kit *k = *state;
	int64_t before;

	kit_open(k);
	append(k, 5);
	before = stored_ms(k, 4);
	clock_shift_s = -30;
	append(k, 5);
	assert_int_equal(stored_ms(k, 9), before);
	clock_shift_s = -60 * YEAR;		/* it was never set */
	append(k, 5);
	assert_int_equal(stored_ms(k, 14), before);
	assert_int_equal(stats(k).clock_backs, 0);
}

static void
times_are_found_before_and_behind_messages_of_a_wrong_clock(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	append(k, 100);
	clock_passed_s = 2 * HOUR;
	clock_shift_s = 6 * YEAR;
	append(k, 3000);
	clock_shift_s = 0;
	clock_passed_s = 4 * HOUR;
	append(k, 700);
	assert_int_equal(find(k, 0), 0);
	assert_int_equal(find(k, stored_ms(k, 0)), 0);
	assert_int_equal(find(k, clock_wall_ms() - HOUR * 1000), 3100);
	assert_int_equal(find(k, clock_wall_ms() + 1), 3800);
	assert_int_equal(find(k, clock_wall_ms() + YEAR * 1000), 3800);
}

/* --- deleting ------------------------------------------------------------------------------ */

static void
fill_segments(struct kit *k, int n)
{
	k->set.fileReservedTime = 48;
	free(k->set.deleteWhen);
	k->set.deleteWhen = strdup("0;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23");
	kit_open(k);
	while (mark_at(store_written(k->s)).byte < n * (int64_t)KIT_SEGMENT + 1000)
		assert_int_equal(kit_append(k, "t", 0, 10, 500, NULL), MQ_OK);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
}

static int64_t
segments_gone(struct kit *k)
{
	assert_int_equal(retention_round(k->s, false), MQ_OK);
	return store_begin(k->s).byte / KIT_SEGMENT;
}

static void
set_written(struct kit *k, int segment, int64_t s)
{
	struct timespec times[2] = { { .tv_sec = s }, { .tv_sec = s } };
	char path[400];

	snprintf(path, sizeof(path), "%s/commitlog/%020d", k->path, segment * KIT_SEGMENT);
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void
a_clock_that_has_just_jumped_removes_nothing_for_an_hour(void **state)
{
	struct kit *k = *state;

	fill_segments(k, 3);
	clock_shift_s = 3 * DAY;
	assert_int_equal(segments_gone(k), 0);
	assert_in_range(stats(k).clock_ahead_ms, 3 * DAY * 1000LL - 5000, 3 * DAY * 1000LL + 5000);
	clock_passed_s = HOUR / 2;
	clock_shift_s = 0;			/* it was set right */
	assert_int_equal(segments_gone(k), 0);
	assert_int_equal(stats(k).clock_ahead_ms, 0);
	clock_shift_s = 3 * DAY;
	assert_int_equal(segments_gone(k), 0);
	clock_passed_s += HOUR / 2;
	assert_int_equal(segments_gone(k), 0);
	clock_passed_s += HOUR;		/* it goes on from there: it may be right */
	assert_int_equal(segments_gone(k), 3);
	assert_int_equal(stats(k).clock_ahead_ms, 0);
}

static void
time_that_has_gone_by_removes_what_is_due_at_once(void **state)
{
	struct kit *k = *state;

	fill_segments(k, 3);
	clock_passed_s = 2 * DAY - HOUR;
	assert_int_equal(segments_gone(k), 0);
	clock_passed_s = 2 * DAY + HOUR;
	assert_int_equal(segments_gone(k), 3);
}

static void
a_clock_that_was_ahead_at_the_mount_removes_nothing_for_an_hour(void **state)
{
	struct kit *k = *state;

	fill_segments(k, 3);
	kit_close(k);
	clock_shift_s = 3 * DAY;
	kit_open(k);
	assert_int_equal(segments_gone(k), 0);
	clock_passed_s = HOUR / 2;
	assert_int_equal(segments_gone(k), 0);
	clock_passed_s = HOUR + 60;
	assert_int_equal(segments_gone(k), 3);
}

static void
a_segment_written_by_a_clock_that_was_ahead_goes_with_those_behind_it(void **state)
{
	struct kit *k = *state;

	fill_segments(k, 4);
	set_written(k, 0, time(NULL) + 6 * YEAR);
	set_written(k, 1, time(NULL) - 50 * HOUR);
	set_written(k, 2, time(NULL) + 6 * YEAR);
	assert_int_equal(segments_gone(k), 2);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, kit_teardown)
	const struct CMUnitTest tests[] = {
		T(a_message_stored_when_the_clock_was_years_ahead_pins_no_later_one),
		T(small_steps_back_leave_store_times_in_order),
		T(times_are_found_before_and_behind_messages_of_a_wrong_clock),
		T(a_clock_that_has_just_jumped_removes_nothing_for_an_hour),
		T(time_that_has_gone_by_removes_what_is_due_at_once),
		T(a_clock_that_was_ahead_at_the_mount_removes_nothing_for_an_hour),
		T(a_segment_written_by_a_clock_that_was_ahead_goes_with_those_behind_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
