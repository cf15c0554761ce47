#include "config.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "store/fdcache.h"

static int
some_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* One by which its number can be told. */
static int
fd_of(int64_t number)
{
	int fd = memfd_create("number", MFD_CLOEXEC);

	assert_true(fd >= 0 && ftruncate(fd, number) == 0);
	return fd;
}

static int64_t
number_of(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? st.st_size : -1;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int
fresh(void **state)
{
	struct fdcache *c;

	assert_int_equal(fdcache_open(3, &c), MQ_OK);
	*state = c;
	return 0;
}

static int
done(void **state)
{
	fdcache_close(*state);
	return 0;
}

static void
a_descriptor_is_found_by_owner_and_number(void **state)
{
	struct fdcache *c = *state;
	int a, fd = some_fd();
	struct fdref *r = fdcache_add(c, &a, 7, fd);

	assert_int_equal(fdref_fd(r), fd);
	assert_ptr_equal(fdcache_get(c, &a, 7), r);
	assert_null(fdcache_get(c, &a, 8));
	assert_null(fdcache_get(c, c, 7));
	fdcache_put(c, r);
	fdcache_put(c, r);
	fdcache_put(c, NULL);
}

static void
a_mapping_lives_as_long_as_its_descriptor(void **state)
{
	struct fdcache *c = *state;
	size_t len = 4 * (size_t)sysconf(_SC_PAGESIZE);
	struct fdref *r = fdcache_add(c, c, 1, fd_of((int64_t)len));
	const unsigned char *map = fdref_map(r, len);
	unsigned char cached[4];

	assert_non_null(map);
	assert_ptr_equal(fdref_map(r, len), map);
	fdcache_forget(c, c, 1);
	assert_int_equal(map[len - 1], 0);
	fdcache_put(c, r);
	assert_int_equal(mincore((void *)(uintptr_t)map, len, cached), -1);	/* no longer mapped */
	r = fdcache_add(c, c, 2, some_fd());
	assert_null(fdref_map(r, len));		/* /dev/null cannot be */
	fdcache_put(c, r);
}

static void
the_least_recently_used_is_closed_when_there_are_too_many(void **state)
{
	struct fdcache *c = *state;
	int fd[4];

	for (int i = 0; i < 3; i++)
		fdcache_put(c, fdcache_add(c, c, i, fd[i] = some_fd()));
	fdcache_put(c, fdcache_get(c, c, 0));
	fdcache_put(c, fdcache_add(c, c, 3, fd[3] = some_fd()));
	assert_false(is_open(fd[1]));
	assert_true(is_open(fd[0]) && is_open(fd[2]) && is_open(fd[3]));
	assert_null(fdcache_get(c, c, 1));
}

static void
what_is_in_use_stays_open(void **state)
{
	struct fdcache *c = *state;
	struct fdref *r[6];

	for (int i = 0; i < 6; i++)
		r[i] = fdcache_add(c, c, i, some_fd());
	for (int i = 0; i < 6; i++)
		assert_true(is_open(fdref_fd(r[i])));
	for (int i = 0; i < 6; i++)
		fdcache_put(c, r[i]);
}

static void
the_faster_of_two_wins_and_the_other_descriptor_is_closed(void **state)
{
	struct fdcache *c = *state;
	int fd = some_fd(), other = some_fd();
	struct fdref *r = fdcache_add(c, c, 1, fd);

	assert_ptr_equal(fdcache_add(c, c, 1, other), r);
	assert_false(is_open(other));
	fdcache_put(c, r);
	fdcache_put(c, r);
}

static void
a_forgotten_one_is_closed_by_its_last_user(void **state)
{
	struct fdcache *c = *state;
	int fd = some_fd(), again;
	struct fdref *r = fdcache_add(c, c, 1, fd), *n;

	fdcache_forget(c, c, 1);
	fdcache_forget(c, c, 1);
	assert_true(is_open(fd));
	assert_null(fdcache_get(c, c, 1));
	n = fdcache_add(c, c, 1, again = some_fd());
	fdcache_put(c, r);
	assert_false(is_open(fd));
	assert_true(is_open(again));
	fdcache_put(c, n);
}

static void
a_kept_one_is_open_until_it_is_let_go_or_forgotten(void **state)
{
	struct fdcache *c = *state;
	int fd[2];

	for (int i = 0; i < 2; i++)
		fdcache_keep(c, fdcache_add(c, c, i, fd[i] = some_fd()));
	fdcache_keep(c, fdcache_get(c, c, 0));		/* once is enough */
	for (int i = 2; i < 9; i++)
		fdcache_put(c, fdcache_add(c, c, i, some_fd()));
	assert_true(is_open(fd[0]) && is_open(fd[1]));
	fdcache_let_go(c, c, 0);
	fdcache_let_go(c, c, 0);
	fdcache_forget(c, c, 1);
	for (int i = 9; i < 12; i++)
		fdcache_put(c, fdcache_add(c, c, i, some_fd()));
	assert_null(fdcache_get(c, c, 0));
	assert_null(fdcache_get(c, c, 1));
}

static void
that_one_was_closed_before_it_was_synced_is_told_once(void **state)
{
	struct fdcache *c = *state;
	struct fdref *r[2];

	for (int i = 0; i < 2; i++) {
		r[i] = fdcache_add(c, c, i, some_fd());
		fdref_writes(r[i]);
	}
	fdref_syncs(r[0]);
	fdcache_put(c, r[0]);
	for (int i = 2; i < 9; i++)
		fdcache_put(c, fdcache_add(c, c, i, some_fd()));
	assert_false(fdcache_closed_unsynced(c));
	fdcache_put(c, r[1]);
	for (int i = 9; i < 12; i++)
		fdcache_put(c, fdcache_add(c, c, i, some_fd()));
	assert_true(fdcache_closed_unsynced(c));
	assert_false(fdcache_closed_unsynced(c));
}

static void *
user_main(void *arg)
{
	struct fdcache *c = arg;
	unsigned seed = (unsigned)(uintptr_t)&c;

	for (int i = 0; i < 20000; i++) {
		int64_t number = rand_r(&seed) % 7;
		struct fdref *r = fdcache_get(c, c, number);

		if (!r)
			r = fdcache_add(c, c, number, fd_of(number));
		if (number_of(fdref_fd(r)) != number)
			abort();
		if (i % 50 == 0)
			fdcache_forget(c, c, number);
		if (i % 30 == 0)
			fdcache_keep(c, r);
		else
			fdcache_put(c, r);
		if (i % 70 == 0)
			fdcache_let_go(c, c, number);
	}
	return NULL;
}

/* A cache of 3 for 7 numbers: descriptors are closed and given new names all the time. */
static void
each_of_many_threads_gets_the_file_that_it_asks_for(void **state)
{
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, user_main, *state), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(t[i], NULL);
	for (int i = 0; i < 7; i++)
		fdcache_let_go(*state, *state, i);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(a_descriptor_is_found_by_owner_and_number),
		T(a_mapping_lives_as_long_as_its_descriptor),
		T(the_least_recently_used_is_closed_when_there_are_too_many),
		T(what_is_in_use_stays_open),
		T(the_faster_of_two_wins_and_the_other_descriptor_is_closed),
		T(a_forgotten_one_is_closed_by_its_last_user),
		T(a_kept_one_is_open_until_it_is_let_go_or_forgotten),
		T(that_one_was_closed_before_it_was_synced_is_told_once),
		T(each_of_many_threads_gets_the_file_that_it_asks_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
