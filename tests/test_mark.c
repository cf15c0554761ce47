#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/futex.h"
#include "store/mark.h"

static int64_t
clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

struct waiter {
	struct mark *m;
	pthread_t thread;
	int64_t past;
	int timeout_ms, rc;
	mq_pos at;
	long slept;		/* times that it went to sleep */
};

static void *
waiter_main(void *arg)
{
	struct waiter *w = arg;
	struct rusage before, after;

	getrusage(RUSAGE_THREAD, &before);
	w->rc = mark_wait_past(w->m, MQ_POS(w->past), w->timeout_ms, &w->at);
	getrusage(RUSAGE_THREAD, &after);
	w->slept = after.ru_nvcsw - before.ru_nvcsw;
	return NULL;
}

static void
wait_for_waiters(struct mark *m, int n)
{
	while (atomic_load(&m->waiters) < n)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
}

static void
a_mark_only_moves_forward(void **state)
{
	struct mark m;

	(void)state;
	mark_init(&m, MQ_POS(10));
	mark_advance(&m, MQ_POS(5));
	assert_int_equal(mark_at(&m).byte, 10);
	mark_advance(&m, MQ_POS(20));
	assert_int_equal(mark_at(&m).byte, 20);
	mark_destroy(&m);
}

static void
a_wait_for_what_has_passed_returns_at_once(void **state)
{
	struct mark m;
	mq_pos at;

	(void)state;
	mark_init(&m, MQ_POS(10));
	assert_int_equal(mark_wait_past(&m, MQ_POS(9), 0, &at), MQ_OK);
	assert_int_equal(at.byte, 10);
	assert_int_equal(mark_wait_past(&m, MQ_POS(10), 0, &at), -ETIMEDOUT);
	mark_close(&m);
	assert_int_equal(mark_wait_past(&m, MQ_POS(9), -1, NULL), MQ_OK);
	assert_int_equal(mark_wait_past(&m, MQ_POS(10), -1, NULL), MQ_ECLOSED);
	mark_destroy(&m);
}

static void
every_waiter_wakes_when_its_position_has_passed(void **state)
{
	enum { N = 8 };
	struct waiter w[N];
	struct mark m;

	(void)state;
	mark_init(&m, MQ_POS(0));
	for (int i = 0; i < N; i++) {
		w[i] = (struct waiter){ .m = &m, .past = i, .timeout_ms = 10000 };
		pthread_create(&w[i].thread, NULL, waiter_main, &w[i]);
	}
	wait_for_waiters(&m, N);
	for (int i = 1; i <= N; i++)
		mark_advance(&m, MQ_POS(i));
	for (int i = 0; i < N; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].rc, MQ_OK);
		assert_true(w[i].at.byte > i);
	}
	mark_destroy(&m);
}

static void
who_waits_for_what_is_far_ahead_sleeps_on(void **state)
{
	enum { STEPS = 1000 };
	struct waiter far, near;
	struct mark m;

	(void)state;
	mark_init(&m, MQ_POS(0));
	far = (struct waiter){ .m = &m, .past = STEPS, .timeout_ms = -1 };
	pthread_create(&far.thread, NULL, waiter_main, &far);
	for (int i = 1; i <= STEPS; i++) {
		near = (struct waiter){ .m = &m, .past = i - 1, .timeout_ms = -1 };
		pthread_create(&near.thread, NULL, waiter_main, &near);
		wait_for_waiters(&m, 2);
		mark_advance(&m, MQ_POS(i));
		pthread_join(near.thread, NULL);
		assert_int_equal(near.rc, MQ_OK);
	}
	mark_advance(&m, MQ_POS(STEPS + 1));
	pthread_join(far.thread, NULL);
	assert_int_equal(far.rc, MQ_OK);
	assert_true(far.slept < STEPS / 10);
	mark_destroy(&m);
}

static void
a_mark_that_moves_a_little_starts_no_new_timeout(void **state)
{
	struct waiter w;
	struct mark m;
	int64_t begin = clock_ms();

	(void)state;
	mark_init(&m, MQ_POS(0));
	w = (struct waiter){ .m = &m, .past = 1000000000, .timeout_ms = 50 };
	pthread_create(&w.thread, NULL, waiter_main, &w);
	wait_for_waiters(&m, 1);
	for (int64_t i = 1; atomic_load(&m.waiters) > 0 && clock_ms() - begin < 60000; i++)
		mark_advance(&m, MQ_POS(i));
	pthread_join(w.thread, NULL);
	assert_int_equal(w.rc, -ETIMEDOUT);
	assert_in_range(clock_ms() - begin, 50, 50000);
	mark_destroy(&m);
}

static void
a_nudge_is_not_lost_on_who_saw_the_mark_move(void **state)
{
	uint64_t nudges = 0;
	struct mark m;

	(void)state;
	mark_init(&m, MQ_POS(10));
	mark_nudge(&m);
	assert_int_equal(mark_wait_news(&m, MQ_POS(9), &nudges, -1, NULL), MQ_OK);
	assert_int_equal(mark_wait_news(&m, MQ_POS(10), &nudges, -1, NULL), -EAGAIN);
	assert_int_equal(mark_wait_news(&m, MQ_POS(10), &nudges, 0, NULL), -ETIMEDOUT);
	mark_destroy(&m);
}

static void
closing_wakes_everybody(void **state)
{
	struct waiter w[3];
	struct mark m;

	(void)state;
	mark_init(&m, MQ_POS(0));
	for (int i = 0; i < 3; i++) {
		w[i] = (struct waiter){ .m = &m, .past = i, .timeout_ms = -1 };
		pthread_create(&w[i].thread, NULL, waiter_main, &w[i]);
	}
	wait_for_waiters(&m, 3);
	mark_close(&m);
	for (int i = 0; i < 3; i++) {
		pthread_join(w[i].thread, NULL);
		assert_int_equal(w[i].rc, MQ_ECLOSED);
	}
	mark_destroy(&m);
}

/* As a process that sleeps in epoll, and is not woken twice for one sleep. */
static void
a_mirror_shows_the_mark_and_wakes_its_owner_once(void **state)
{
	_Atomic int64_t at = 0;
	_Atomic uint32_t sleeps = 0;
	const struct mark_mirror mirror = { &at, &sleeps, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	struct mark m;
	uint64_t n;

	(void)state;
	mark_init(&m, MQ_POS(10));
	mark_set_mirror(&m, &mirror);
	assert_int_equal(at, 10);
	mark_advance(&m, MQ_POS(20));
	assert_int_equal(at, 20);
	assert_int_equal(read(mirror.wake_fd, &n, sizeof(n)), -1);
	for (int i = 0; i < 3; i++) {
		atomic_fetch_add(&sleeps, 1);
		mark_advance(&m, pos_add(mark_at(&m), 1));
		mark_advance(&m, pos_add(mark_at(&m), 1));
		assert_int_equal(at, mark_at(&m).byte);
		assert_int_equal(read(mirror.wake_fd, &n, sizeof(n)), sizeof(n));
		assert_int_equal(n, 1);
		atomic_fetch_add(&sleeps, 1);
	}
	mark_set_back(&m, MQ_POS(5));
	assert_int_equal(at, 5);
	mark_set_mirror(&m, NULL);
	mark_advance(&m, MQ_POS(30));
	assert_int_equal(at, 5);
	close(mirror.wake_fd);
	mark_destroy(&m);
}

/* What another process shares with a mark that it moves. */
struct other {
	_Atomic uint32_t news;
	_Atomic int64_t wanted, at;
	struct mark m;
};

static void
look_at_other(void *arg)
{
	struct other *o = arg;

	mark_advance(&o->m, MQ_POS(atomic_load(&o->at)));
}

static void *
other_main(void *arg)
{
	struct other *o = arg;

	for (int64_t at = 1; at <= 1000; at++) {
		atomic_store(&o->at, at);
		if (at > atomic_load(&o->wanted)) {
			atomic_fetch_add(&o->news, 1);
			futex_wake(&o->news, true);
		}
		if (at % 100 == 0)
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	}
	return NULL;
}

static void
a_source_moves_the_mark_for_those_who_wait(void **state)
{
	struct other o = { .news = 0 };
	const struct mark_source source = { &o.news, &o.wanted, look_at_other, &o };
	uint64_t nudges = 0;
	pthread_t thread;
	mq_pos at = MQ_POS(0);

	(void)state;
	mark_init(&o.m, MQ_POS(0));
	mark_set_source(&o.m, &source);
	pthread_create(&thread, NULL, other_main, &o);
	while (at.byte < 1000)
		assert_int_equal(mark_wait_past(&o.m, at, 10000, &at), MQ_OK);
	pthread_join(thread, NULL);
	assert_int_equal(mark_wait_past(&o.m, at, 1, NULL), -ETIMEDOUT);
	mark_nudge(&o.m);
	assert_int_equal(mark_wait_news(&o.m, at, &nudges, 10000, NULL), -EAGAIN);
	mark_destroy(&o.m);
}

/* The other process takes who sleeps on `news` to a word that nobody wakes.  Returns how many. */
static long
take_sleepers(struct other *o, _Atomic uint32_t *elsewhere)
{
	return syscall(SYS_futex, &o->news, FUTEX_REQUEUE, 0, (void *)1L, elsewhere, 0);
}

static void
a_source_that_takes_sleepers_away_keeps_nobody_for_ever(void **state)
{
	struct other o = { .news = 0 };
	const struct mark_source source = { &o.news, &o.wanted, look_at_other, &o };
	struct waiter w = { .m = &o.m, .past = 5, .timeout_ms = -1 };
	_Atomic uint32_t elsewhere = 0;
	struct timespec until;

	(void)state;
	mark_init(&o.m, MQ_POS(0));
	mark_set_source(&o.m, &source);
	pthread_create(&w.thread, NULL, waiter_main, &w);
	while (take_sleepers(&o, &elsewhere) == 0)
		nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL);
	mark_close(&o.m);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 60;
	assert_int_equal(pthread_timedjoin_np(w.thread, NULL, &until), 0);
	assert_int_equal(w.rc, MQ_ECLOSED);
	mark_destroy(&o.m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mark_only_moves_forward),
		cmocka_unit_test(a_wait_for_what_has_passed_returns_at_once),
		cmocka_unit_test(every_waiter_wakes_when_its_position_has_passed),
		cmocka_unit_test(who_waits_for_what_is_far_ahead_sleeps_on),
		cmocka_unit_test(a_mark_that_moves_a_little_starts_no_new_timeout),
		cmocka_unit_test(a_nudge_is_not_lost_on_who_saw_the_mark_move),
		cmocka_unit_test(closing_wakes_everybody),
		cmocka_unit_test(a_mirror_shows_the_mark_and_wakes_its_owner_once),
		cmocka_unit_test(a_source_moves_the_mark_for_those_who_wait),
		cmocka_unit_test(a_source_that_takes_sleepers_away_keeps_nobody_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
