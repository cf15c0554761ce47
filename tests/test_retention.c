/* What goes, when, and what is left; the clock and the disk are the test's. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "store/retention.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

#define NOW 1763733600		/* 2025-11-21 14:00 UTC */
#define HOUR 3600

/* --- the clock, the disk, and a crash before the Nth file goes ------------------------ */

static int used_percent;
static struct kit *crashing;
static struct store_checkpoint crashed_cp;
static int crash_at, unlinks;
static int unlink_errno;		/* 0: it works */

time_t __real_time(time_t *ret);
time_t __wrap_time(time_t *ret);
time_t
__wrap_time(time_t *ret)
{
	if (ret)
		*ret = NOW;
	return NOW;
}

int __real_fstatvfs(int fd, struct statvfs *v);
int __wrap_fstatvfs(int fd, struct statvfs *v);
int
__wrap_fstatvfs(int fd, struct statvfs *v)
{
	(void)fd;
	*v = (struct statvfs){ .f_frsize = KIT_SEGMENT / 4, .f_blocks = 400 };
	v->f_bfree = v->f_bavail = (fsblkcnt_t)(400 - used_percent * 4);	/* 1 % is a segment */
	return 0;
}

static _Thread_local bool is_the_test;

/* The store's own threads wait until it is closed: each round is the test's, however slow that is. */
int __real_mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at);
int __wrap_mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at);
int
__wrap_mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at)
{
	return __real_mark_wait_past(m, pos, is_the_test ? timeout_ms : -1, ret_at);
}

static void
take_picture(void)
{
	sh("cp -a --sparse=always '%s' '%s/crashed'", crashing->path, crashing->dir);
	crashed_cp = kit_copy_checkpoint(&crashing->cp);
}

int __real_unlinkat(int dirfd, const char *name, int flags);
int __wrap_unlinkat(int dirfd, const char *name, int flags);
int
__wrap_unlinkat(int dirfd, const char *name, int flags)
{
	if (crashing && ++unlinks == crash_at)
		take_picture();
	if (unlink_errno) {
		errno = unlink_errno;
		return -1;
	}
	return __real_unlinkat(dirfd, name, flags);
}

/* --- helpers ------------------------------------------------------------------------------ */

static int
setup(void **state)
{
	struct kit *k;

	is_the_test = true;
	setenv("TZ", "UTC", 1);
	kit_setup(state);
	k = *state;
	used_percent = 50;
	k->set.diskSpaceCleanForciblyRatio = 85;
	k->set.diskSpaceWarningLevelRatio = 90;
	kit_open(k);
	return 0;
}

/* Until the log has n segments; all of it in the last checkpoint. */
static void
fill(struct kit *k, const char *topic, int n)
{
	while (mark_at(store_written(k->s)).byte < (n - 1) * (int64_t)KIT_SEGMENT + 1000) {
		assert_int_equal(kit_append(k, topic, 0, 10, 500, "key"), MQ_OK);
		assert_int_equal(kit_append(k, topic, 1, 3, 100, NULL), MQ_OK);
	}
	assert_int_equal(kit_checkpoint(k), MQ_OK);
}

static void
set_age(struct kit *k, int segment, int hours)
{
	struct timespec when[2] = { { .tv_sec = NOW - hours * HOUR }, { .tv_sec = NOW - hours * HOUR } };
	char path[400];

	snprintf(path, sizeof(path), "%s/commitlog/%020d", k->path, segment * KIT_SEGMENT);
	if (access(path, F_OK) == 0)
		assert_int_equal(utimensat(AT_FDCWD, path, when, 0), 0);
}

static void
set_ages(struct kit *k, int n, int hours)
{
	for (int i = 0; i < n; i++)
		set_age(k, i, hours);
}

static int64_t
first_segment(struct kit *k)
{
	return store_begin(k->s).byte / KIT_SEGMENT;
}

static int64_t
after_a_round(struct kit *k)
{
	assert_int_equal(retention_round(k->s, false), MQ_OK);
	return first_segment(k);
}

/* What lies before the log's begin is gone, of every queue; the rest is there. */
static void
verify_head(struct kit *k)
{
	for (size_t i = 0; i < k->n; i++) {
		const struct kit_message *m = &k->model[i];
		struct queue *q = kit_queue(k, m->topic, m->queue_id);
		bool gone = m->pos.byte < store_begin(k->s).byte;

		assert_int_equal(m->qoff.n < queue_min(q).n, gone);
		assert_int_equal(kit_read(k, m), gone ? MQ_EGONE : MQ_OK);
	}
}

static struct queue_span
span_of(struct kit *k, const char *topic, int32_t id)
{
	struct queue_span span;

	queue_span(kit_queue(k, topic, id), &span);
	return span;
}

/* --- by time -------------------------------------------------------------------------------- */

static void
segments_past_their_time_go_in_their_hour(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 5);
	set_ages(k, 5, 72);
	assert_int_equal(after_a_round(k), 0);		/* 04 */
	free(k->set.deleteWhen);
	k->set.deleteWhen = strdup("04;14");
	assert_int_equal(after_a_round(k), 4);
	verify_head(k);
	assert_int_equal(kit_count(k, "commitlog"), 1);
}

static void
segments_past_their_time_go_at_any_hour_above_diskMaxUsedSpaceRatio(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 5);
	set_ages(k, 3, 72);
	used_percent = 75;
	assert_int_equal(after_a_round(k), 0);
	used_percent = 76;
	assert_int_equal(after_a_round(k), 3);
	verify_head(k);
}

static void
no_segment_goes_before_an_older_one(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 5);
	set_ages(k, 4, 72);
	set_age(k, 1, 71);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 1);
	verify_head(k);
}

static void
at_most_ten_go_in_one_round(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 14);
	set_ages(k, 14, 100);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 10);
	verify_head(k);
	assert_int_equal(after_a_round(k), 13);
	verify_head(k);
}

static void
what_a_replay_needs_stays(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 3);
	for (int i = 0; i < 40; i++)
		assert_int_equal(kit_append(k, "orders", 0, 10, 500, NULL), MQ_OK);
	assert_int_equal(store_flush(k->s, mark_at(store_written(k->s))), MQ_OK);
	set_ages(k, 6, 100);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 2);
	kit_crash(k);
	kit_open(k);
	verify_head(k);
}

static void
what_cannot_be_removed_is_tried_again(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 5);
	set_ages(k, 3, 72);
	used_percent = 80;
	unlink_errno = EPERM;
	assert_int_equal(retention_round(k->s, false), -EPERM);
	unlink_errno = 0;
	assert_int_equal(first_segment(k), 0);
	assert_int_equal(kit_count(k, "commitlog"), 5);
	assert_int_equal(after_a_round(k), 3);
	verify_head(k);
	assert_int_equal(queue_head_moves(kit_queue(k, "orders", 0)), 1);
}

/* --- for space ------------------------------------------------------------------------------- */

static void
let_drop(struct kit *k, const char *topic)
{
	for (int i = 0; i < 2; i++)
		queue_set_drops(kit_queue(k, topic, i), true);
}

static void
what_drops_goes_before_its_time_but_no_more_than_it_takes(void **state)
{
	struct kit *k = *state;

	fill(k, "logs", 9);
	let_drop(k, "logs");
	used_percent = 85;
	assert_int_equal(after_a_round(k), 0);
	used_percent = 88;
	assert_int_equal(after_a_round(k), 3);
	verify_head(k);
	used_percent = 89;
	k->set.cleanFileForciblyEnable = false;
	assert_int_equal(after_a_round(k), 3);
}

static void
what_blocks_keeps_its_segment_and_those_behind(void **state)
{
	struct kit *k = *state;

	fill(k, "logs", 3);
	assert_int_equal(kit_append(k, "orders", 0, 1, 100, NULL), MQ_OK);
	fill(k, "logs", 9);
	let_drop(k, "logs");
	used_percent = 89;
	assert_int_equal(after_a_round(k), 2);
	verify_head(k);
	assert_int_equal(queue_trim(kit_queue(k, "orders", 0), MQ_QOFF(1)), MQ_OK);
	assert_int_equal(after_a_round(k), 6);
}

static void
past_their_time_blocking_segments_go(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 4);
	set_ages(k, 2, 72);
	used_percent = 95;
	assert_int_equal(after_a_round(k), 2);
	verify_head(k);
}

/* What such a queue keeps cannot be known, so nothing goes before its time. */
static void
past_their_time_segments_go_though_a_queue_cannot_be_read(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 6);
	kit_close(k);
	sh("rm '%s'/consumequeue/orders/1/00000000000000000000", k->path);
	kit_open(k);
	set_ages(k, 2, 72);
	used_percent = 95;
	assert_int_equal(retention_round(k->s, false), -EIO);
	assert_int_equal(first_segment(k), 2);
}

static void
a_disk_too_full_refuses_appends_until_it_is_not(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 2);
	used_percent = 91;
	retention_look_at_disk(k->s);
	assert_int_equal(kit_append(k, "orders", 0, 1, 100, NULL), -ENOSPC);
	kit_verify(k);
	used_percent = 90;
	retention_look_at_disk(k->s);
	assert_int_equal(kit_append(k, "orders", 0, 1, 100, NULL), MQ_OK);
	kit_verify(k);
}

/* --- heads ------------------------------------------------------------------------------------ */

static void
heads_are_the_same_after_a_remount(void **state)
{
	struct kit *k = *state;
	struct queue_span before, after;
	uint32_t moves;

	fill(k, "orders", 6);
	set_ages(k, 3, 72);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 3);
	before = span_of(k, "orders", 0);
	moves = queue_head_moves(kit_queue(k, "orders", 0));
	assert_int_equal(moves, 1);
	kit_close(k);
	kit_open(k);
	after = span_of(k, "orders", 0);
	assert_memory_equal(&before, &after, sizeof(before));
	assert_int_equal(queue_head_moves(kit_queue(k, "orders", 0)), moves);
	verify_head(k);
	kit_crash(k);
	sh("rm -rf '%s'/byteindex", k->path);
	kit_open(k);
	verify_head(k);
	assert_int_equal(queue_head_moves(kit_queue(k, "orders", 0)), moves);
}

static void
a_queue_that_is_gone_altogether_goes_on_counting(void **state)
{
	struct kit *k = *state;
	int64_t end;

	assert_int_equal(kit_append(k, "early", 0, 5, 100, NULL), MQ_OK);
	end = queue_end(kit_queue(k, "early", 0)).n;
	fill(k, "orders", 4);
	set_ages(k, 2, 72);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 2);
	assert_int_equal(queue_min(kit_queue(k, "early", 0)).n, end);
	kit_close(k);
	kit_open(k);
	assert_int_equal(queue_min(kit_queue(k, "early", 0)).n, end);
	assert_int_equal(kit_append(k, "early", 0, 1, 100, NULL), MQ_OK);
	assert_int_equal(k->model[k->n - 1].qoff.n, end);
	verify_head(k);
}

static void
files_wholly_below_the_head_go_with_the_checkpoint(void **state)
{
	struct kit *k = *state;
	size_t files;

	fill(k, "orders", 8);
	files = kit_count(k, "consumequeue/orders/0");
	set_ages(k, 7, 72);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 7);
	assert_int_equal(kit_count(k, "consumequeue/orders/0"), files);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	assert_true(kit_count(k, "consumequeue/orders/0") <= 2);
	assert_true(kit_count(k, "byteindex/orders/0") >= files);	/* as far back as the part begins */
	verify_head(k);
	fill(k, "orders", 10);
	kit_close(k);
	kit_open(k);
	verify_head(k);
}

static void
the_key_index_forgets_files_that_end_before_the_log(void **state)
{
	struct kit *k = *state;
	mq_pos pos[64];
	size_t files, n;

	fill(k, "orders", 8);
	files = kit_count(k, "index");
	set_ages(k, 4, 72);
	used_percent = 80;
	assert_int_equal(after_a_round(k), 4);
	assert_true(kit_count(k, "index") < files && kit_count(k, "index") > 1);
	assert_int_equal(store_find_key(k->s, "orders", "key3", 0, INT64_MAX, pos, 64, &n), MQ_OK);
	assert_true(n > 0);
	set_ages(k, 8, 72);
	assert_int_equal(after_a_round(k), 7);
	assert_true(kit_count(k, "index") >= 1);
	kit_close(k);
	kit_open(k);
	assert_int_equal(store_find_key(k->s, "orders", "key3", 0, INT64_MAX, pos, 64, &n), MQ_OK);
}

static void
segments_removed_by_hand_move_the_heads_at_the_next_mount(void **state)
{
	struct kit *k = *state;
	struct store_recovery r;

	fill(k, "orders", 6);
	kit_close(k);
	sh("rm '%s'/commitlog/%020d '%s'/commitlog/%020d", k->path, 0, k->path, KIT_SEGMENT);
	kit_open(k);
	assert_int_equal(first_segment(k), 2);
	store_recovery(k->s, &r);
	assert_false(r.rebuilt);
	verify_head(k);
	assert_int_equal(queue_head_moves(kit_queue(k, "orders", 0)), 1);
	kit_close(k);
	kit_open(k);
	assert_int_equal(queue_head_moves(kit_queue(k, "orders", 0)), 1);
}

static void
queue_files_removed_with_them_are_not_missed(void **state)
{
	struct kit *k = *state;

	fill(k, "orders", 8);
	kit_close(k);
	for (int i = 0; i < 6; i++)
		sh("rm '%s'/commitlog/%020d", k->path, i * KIT_SEGMENT);
	sh("rm '%s'/consumequeue/orders/0/%020d", k->path, 0);
	sh("rm '%s'/consumequeue/orders/0/%020d", k->path, KIT_QUEUE_ENTRIES * QUEUE_ENTRY_BYTES);
	kit_open(k);
	assert_int_equal(first_segment(k), 6);
	verify_head(k);
}

/* --- crashes ------------------------------------------------------------------------------------ */

/* Retention has begun, a checkpoint follows; the machine stops before the file
 * number `at` goes.  False: so many do not go. */
static bool
crash_before(struct kit *k, int at)
{
	crashing = k;
	crash_at = at;
	unlinks = 0;
	assert_int_equal(retention_round(k->s, false), MQ_OK);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	crashing = NULL;
	if (unlinks < at)
		return false;
	store_close(k->s);
	k->s = NULL;
	storedir_close(&k->sd);
	sh("rm -rf '%s' && mv '%s/crashed' '%s'", k->path, k->dir, k->path);
	store_checkpoint_free(&k->cp);
	k->cp = crashed_cp;
	return true;
}

static void
a_crash_between_any_two_steps_loses_nothing_and_leaves_nothing(void **state)
{
	struct kit *k = *state;
	bool crashed = true;

	fill(k, "orders", 7);
	kit_close(k);
	sh("cp -a '%s' '%s/first'", k->path, k->dir);
	struct store_checkpoint first = kit_copy_checkpoint(&k->cp);
	for (int at = 1; crashed; at++) {
		kit_open(k);
		set_ages(k, 5, 72);
		used_percent = 80;
		crashed = crash_before(k, at);
		if (crashed) {
			kit_open(k);
			verify_head(k);
			set_ages(k, 5, 72);
			assert_int_equal(after_a_round(k), 5);
			verify_head(k);
			assert_int_equal(kit_checkpoint(k), MQ_OK);
			assert_true(kit_count(k, "consumequeue/orders/0") <= 4);
			assert_int_equal(kit_count(k, "commitlog"), 2);
			kit_close(k);
			kit_open(k);
		} else {
			assert_true(at > 5);
		}
		verify_head(k);
		store_close(k->s);
		k->s = NULL;
		storedir_close(&k->sd);
		sh("rm -rf '%s' && cp -a '%s/first' '%s'", k->path, k->dir, k->path);
		store_checkpoint_free(&k->cp);
		k->cp = kit_copy_checkpoint(&first);
	}
	store_checkpoint_free(&first);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		TEST(segments_past_their_time_go_in_their_hour),
		TEST(segments_past_their_time_go_at_any_hour_above_diskMaxUsedSpaceRatio),
		TEST(no_segment_goes_before_an_older_one),
		TEST(at_most_ten_go_in_one_round),
		TEST(what_a_replay_needs_stays),
		TEST(what_cannot_be_removed_is_tried_again),
		TEST(what_drops_goes_before_its_time_but_no_more_than_it_takes),
		TEST(what_blocks_keeps_its_segment_and_those_behind),
		TEST(past_their_time_blocking_segments_go),
		TEST(past_their_time_segments_go_though_a_queue_cannot_be_read),
		TEST(a_disk_too_full_refuses_appends_until_it_is_not),
		TEST(heads_are_the_same_after_a_remount),
		TEST(a_queue_that_is_gone_altogether_goes_on_counting),
		TEST(files_wholly_below_the_head_go_with_the_checkpoint),
		TEST(the_key_index_forgets_files_that_end_before_the_log),
		TEST(segments_removed_by_hand_move_the_heads_at_the_next_mount),
		TEST(queue_files_removed_with_them_are_not_missed),
		TEST(a_crash_between_any_two_steps_loses_nothing_and_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
