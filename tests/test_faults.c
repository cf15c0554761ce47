/* One system call after the other fails, once or from then on, with one errno
 * after the other: nothing that was stored may be lost or changed, and what was
 * refused may not appear. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#include <cmocka.h>

#include "conf/err.h"
#include "tests/fault.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

/* Appends, checkpoints and flushes, over several segments.  Was every answer
 * clear?  What ended with EIO may have been stored all the same. */
static bool
work(struct kit *k)
{
	bool clear = true;

	if (kit_try_open(k, false) != MQ_OK)
		return true;
	for (int i = 0; i < 12; i++) {
		int rc = kit_append(k, "orders", i % 2, 20, 500, i % 3 ? NULL : "key");

		clear = clear && rc != -EIO;
		if (i % 4 == 3)
			(void)kit_checkpoint(k);
		if (i % 4 == 1)
			(void)store_flush(k->s, mark_at(store_written(k->s)));
	}
	return clear;
}

static void
abandon(struct kit *k)
{
	if (!k->s)
		return;
	store_close(k->s);
	k->s = NULL;
	storedir_close(&k->sd);
}

static void
verify_but_for_the_unsure(struct kit *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (kit_read(k, &k->model[i]) != MQ_OK)
			fail_msg("message %zu: %s", i, err_text(-EIO));
	for (int i = 0; i < 2; i++) {
		struct queue *q = store_queue(k->s, "orders", i);
		int64_t known = 0;

		for (size_t j = 0; j < k->n; j++)
			if (k->model[j].queue_id == i)
				known = k->model[j].qoff.n + 1;
		if (q)
			assert_in_range(queue_end(q).n, known, known + 20);
	}
}

static void
try(struct kit *k, struct fault f)
{
	bool clear;

	k->n = 0;
	kit_forget_checkpoint(k);
	fault_set(f);
	clear = work(k);
	abandon(k);
	fault_none();
	kit_open(k);
	if (clear)
		kit_verify(k);
	else
		verify_but_for_the_unsure(k);
	abandon(k);
	sh("rm -rf '%s'", k->path);
}

static void
sweep(struct kit *k, int number, bool for_ever)
{
	int calls;

	fault_none();
	work(k);
	calls = fault_calls();
	assert_in_range(calls, 100, 1000);
	abandon(k);
	sh("rm -rf '%s'", k->path);
	for (int at = 1; at <= calls; at += at < 50 ? 1 : 4)
		try(k, (struct fault){ .at = at, .number = number, .for_ever = for_ever });
}

static void
no_call_that_fails_once_for_space_costs_a_message(void **state)
{
	sweep(*state, ENOSPC, false);
}

static void
no_disk_that_stays_full_costs_a_message(void **state)
{
	sweep(*state, ENOSPC, true);
}

static void
no_call_that_fails_once_costs_a_message(void **state)
{
	sweep(*state, EIO, false);
}

static void
no_disk_that_stays_broken_costs_a_message(void **state)
{
	sweep(*state, EIO, true);
}

static void
no_lack_of_descriptors_costs_a_message(void **state)
{
	sweep(*state, EMFILE, false);
}

/* A sync that failed is final, but a file that could not be opened for it is not. */
static void
a_checkpoint_without_descriptors_is_made_up_for_by_the_next(void **state)
{
	struct kit *k = *state;
	int calls = 1;

	for (int at = 0; at <= calls; at++) {
		kit_open(k);
		assert_int_equal(kit_append(k, "orders", 0, 20, 500, "key"), MQ_OK);
		fault_set((struct fault){ .call = "openat", .at = at, .number = EMFILE });
		(void)kit_checkpoint(k);
		if (at == 0)
			calls = fault_calls();
		fault_none();
		assert_int_equal(kit_checkpoint(k), MQ_OK);
		kit_verify(k);
		abandon(k);
		k->n = 0;
		kit_forget_checkpoint(k);
		sh("rm -rf '%s'", k->path);
	}
	assert_in_range(calls, 6, 1000);	/* at least the directories of both halves */
}

/* Recovery passes over damage: what cannot be read only once is none. */
static void
no_read_that_fails_once_is_taken_for_damage(void **state)
{
	struct kit *k = *state;
	struct store_recovery r;
	int reads;

	kit_open(k);
	for (int i = 0; i < 6; i++)
		assert_int_equal(kit_append(k, "orders", 0, 20, 500, "key"), MQ_OK);
	kit_crash(k);
	fault_set((struct fault){ .call = "pread" });
	kit_open(k);
	reads = fault_calls();
	assert_in_range(reads, 2, 1000);
	for (int at = 1; at <= reads; at++) {
		kit_crash(k);
		fault_set((struct fault){ .call = "pread", .at = at, .number = EIO });
		kit_open(k);
		fault_none();
		store_recovery(k->s, &r);
		assert_int_equal(r.damaged_bytes + r.cut_bytes, 0);
		kit_verify(k);
	}
	abandon(k);
}

/* Not once for each queue. */
static void
views_are_made_anew_with_one_reading_of_the_log_however_sparse_its_queues(void **state)
{
	enum { QUEUES = 150 };
	struct kit *k = *state;
	int reads[2];

	kit_open(k);
	for (int i = 0; i < 2 * QUEUES; i++)
		assert_int_equal(kit_append(k, "sparse", i % QUEUES, 1, 1000, NULL), MQ_OK);
	kit_close(k);
	for (int i = 0; i < 2; i++) {
		if (i == 1) {		/* without the first of most of them */
			sh("rm '%s/commitlog/00000000000000000000' '%s/commitlog/00000000000000065536'", k->path, k->path);
			kit_forget_checkpoint(k);
		}
		sh("rm -rf '%s/byteindex'", k->path);
		fault_set((struct fault){ .call = "pread" });
		kit_open(k);
		reads[i] = fault_calls();
		kit_close(k);
	}
	assert_true(reads[1] <= reads[0] + 10);
}

/* What is made there is gone when the process ends. */
static void
a_private_place_for_views_is_never_synced(void **state)
{
	struct kit *k = *state;
	struct storedir dir;

	kit_open(k);
	kit_close(k);
	fault_set((struct fault){ .call = "fsync", .at = 1, .number = EIO, .for_ever = true });
	assert_int_equal(storedir_open(k->path, "", true, 0, &dir), MQ_OK);
	fault_none();
	storedir_close(&dir);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		T(no_call_that_fails_once_for_space_costs_a_message),
		T(no_disk_that_stays_full_costs_a_message),
		T(no_call_that_fails_once_costs_a_message),
		T(no_disk_that_stays_broken_costs_a_message),
		T(no_lack_of_descriptors_costs_a_message),
		T(a_checkpoint_without_descriptors_is_made_up_for_by_the_next),
		T(no_read_that_fails_once_is_taken_for_damage),
		T(a_private_place_for_views_is_never_synced),
		T(views_are_made_anew_with_one_reading_of_the_log_however_sparse_its_queues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
