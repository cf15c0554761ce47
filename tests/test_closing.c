/* How long a request waits for a RELEASE that it may have overtaken. */
#include "config.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "fs/closing.h"
#include "fs/mount.h"
#include "fs/workers.h"

#define PATIENCE_MS 20000

static struct mount mount;
static struct closing *closing;
static _Atomic uint64_t taken;
static _Atomic bool under_way;
static _Atomic bool held;		/* a wait lasts until this is false */
static _Atomic int waits_held;
static _Atomic int64_t woken_until_ms;	/* until then a wait always ends because others wake it */

uint64_t __wrap_workers_taken(const struct mount *m);
bool __wrap_workers_release_is_under_way(const struct mount *m, uint64_t since);
int __real_lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms);
int __wrap_lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms);

uint64_t
__wrap_workers_taken(const struct mount *m)
{
	(void)m;
	return taken++;
}

bool
__wrap_workers_release_is_under_way(const struct mount *m, uint64_t since)
{
	(void)m, (void)since;
	return under_way;
}

int
__wrap_lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms)
{
	int rc;

	waits_held += held;
	do
		rc = __real_lock_wait(l, cond, timeout_ms);
	while (held);
	return clock_mono_ms() < woken_until_ms ? 0 : rc;
}

static int
set_up(void **state)
{
	(void)state;
	woken_until_ms = 0;
	waits_held = 0;
	taken = 1;
	under_way = false;
	return closing_open(&mount, &closing) == MQ_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	closing_close(closing);
	return 0;
}

/* Another thread, which lasts until the test has what it waits for. */
static _Atomic bool stopped;

static void
stop(pthread_t thread)
{
	stopped = true;
	pthread_join(thread, NULL);
}

static pthread_t
start(void *(*body)(void *), void *arg)
{
	pthread_t thread;

	stopped = false;
	assert_int_equal(pthread_create(&thread, NULL, body, arg), 0);
	return thread;
}

static void
closes_of_other_files_do_not_prolong_a_wait(void **state)
{
	struct closing_note note = { 0 };

	(void)state;
	closing_begin(closing, &note);
	woken_until_ms = clock_mono_ms() + PATIENCE_MS;
	closing_wait(closing);
	assert_true(clock_mono_ms() < woken_until_ms);
	closing_end(closing, &note);
}

/* As a process whose children end one after the other, each with a descriptor of the file. */
static void *
closes_again(void *arg)
{
	int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

	while (!stopped && clock_mono_ms() < end_ms) {
		closing_begin(closing, arg);
		usleep(100);
	}
	return NULL;
}

static void
a_file_that_is_closed_again_and_again_does_not_prolong_it_either(void **state)
{
	struct closing_note note = { 0 };
	int64_t began_ms;
	pthread_t other;

	(void)state;
	closing_begin(closing, &note);
	under_way = true;		/* some RELEASE, all the time */
	other = start(closes_again, &note);
	began_ms = clock_mono_ms();
	closing_wait(closing);
	assert_true(clock_mono_ms() - began_ms < PATIENCE_MS);
	stop(other);
	closing_end(closing, &note);
}

static void *
ends_late(void *arg)
{
	usleep(50000);
	closing_end(closing, arg);
	under_way = false;
	return NULL;
}

static void
the_release_of_a_close_before_is_waited_for_beside_one_that_never_comes(void **state)
{
	struct closing_note never = { 0 }, comes = { 0 };
	pthread_t other;

	(void)state;
	closing_begin(closing, &never);
	closing_begin(closing, &comes);
	under_way = true;
	other = start(ends_late, &comes);
	closing_wait(closing);
	assert_false(comes.noted);
	stop(other);
	closing_end(closing, &never);
}

static void *
waits(void *arg)
{
	(void)arg;
	closing_wait(closing);
	return NULL;
}

static void
who_gives_up_leaves_what_was_closed_since_to_others(void **state)
{
	struct closing_note before = { 0 }, since = { 0 };
	pthread_t first;
	uint64_t at;

	(void)state;
	closing_begin(closing, &before);
	under_way = true;
	at = taken;
	first = start(waits, NULL);
	while (taken == at)
		usleep(100);
	closing_begin(closing, &since);
	under_way = false;
	pthread_join(first, NULL);
	assert_false(before.noted);
	assert_true(since.noted);
	closing_wait(closing);
	assert_false(since.noted);
}

static void *
waits_for_a_queue(void *arg)
{
	const struct closing_since since = closing_now(closing);

	(void)arg;
	assert_true(closing_wait_left(closing, &since));
	return NULL;
}

/* Each of them keeps a worker from others. */
static void
few_requests_wait_for_a_release_that_may_be_held_back(void **state)
{
	pthread_t waiting[2];
	struct closing_since since;

	(void)state;
	held = true;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&waiting[i], NULL, waits_for_a_queue, NULL), 0);
		while (waits_held <= i)
			usleep(100);
	}
	since = closing_now(closing);
	assert_false(closing_wait_left(closing, &since));
	held = false;
	for (int i = 0; i < 2; i++)
		pthread_join(waiting[i], NULL);
	since = closing_now(closing);
	assert_true(closing_wait_left(closing, &since));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(closes_of_other_files_do_not_prolong_a_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_file_that_is_closed_again_and_again_does_not_prolong_it_either, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(the_release_of_a_close_before_is_waited_for_beside_one_that_never_comes,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(few_requests_wait_for_a_release_that_may_be_held_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_gives_up_leaves_what_was_closed_since_to_others, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
