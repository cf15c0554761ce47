/* Which worker takes a request, and which one rests: on two CPUs, with requests that this test sends. */
#include "config.h"

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "fs/kernel.h"
#include "fs/pending.h"
#include "fs/workers.h"

#define PATIENCE_MS 30000
#define OP_READ 15
#define REQUESTS 128

/* --- a kernel that sends what the test says --------------------------------------------- */

enum what {
	ANSWERED,
	PARKED,
	HELD,				/* until release() */
	WAITS,				/* the same within workers_wait_begin() */
	FOLLOWED,			/* until the next request is begun */
};

struct request {
	struct kernel_in_header head;
	enum what what;
};

static struct mount mount;
static int kernel_fd, session_fd, ended_fd;
static _Atomic bool exited, released;
static uint64_t sent;
static _Atomic uint64_t begun;
static _Atomic(void *) served_by[REQUESTS];	/* by number of the request: what names the thread; NULL: not served */
static _Thread_local bool has_parked;
static _Thread_local char me;

int __wrap_fuse_session_fd(struct fuse_session *se);
int __wrap_fuse_session_exited(struct fuse_session *se);
void __wrap_fuse_session_exit(struct fuse_session *se);
int __wrap_fuse_session_receive_buf(struct fuse_session *se, struct fuse_buf *buf);
void __wrap_fuse_session_process_buf(struct fuse_session *se, const struct fuse_buf *buf);
bool __wrap_pending_has_parked_for_slaves(void);
int __real_lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms);
int __wrap_lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms);

int
__wrap_fuse_session_fd(struct fuse_session *se)
{
	(void)se;
	return session_fd;
}

int
__wrap_fuse_session_exited(struct fuse_session *se)
{
	(void)se;
	return exited;
}

void
__wrap_fuse_session_exit(struct fuse_session *se)
{
	(void)se;
	exited = true;
}

int
__wrap_fuse_session_receive_buf(struct fuse_session *se, struct fuse_buf *buf)
{
	ssize_t n;

	(void)se;
	if (!buf->mem)
		buf->mem = malloc(sizeof(struct request));
	n = recv(session_fd, buf->mem, sizeof(struct request), 0);
	if (n < 0)
		return -errno;
	buf->size = (size_t)n;
	return (int)n;
}

static void
hold(const struct request *r)
{
	while (r->what == FOLLOWED ? begun <= r->head.unique + 1 : !released)
		usleep(100);
}

void
__wrap_fuse_session_process_buf(struct fuse_session *se, const struct fuse_buf *buf)
{
	struct request r;

	(void)se;
	memcpy(&r, buf->mem, sizeof(r));
	begun++;
	served_by[r.head.unique] = &me;
	if (r.what == WAITS)
		workers_wait_begin(&mount);
	if (r.what == HELD || r.what == WAITS || r.what == FOLLOWED)
		hold(&r);
	if (r.what == WAITS)
		workers_wait_end(&mount);
	has_parked = r.what == PARKED;
}

bool
__wrap_pending_has_parked_for_slaves(void)
{
	bool has = has_parked;

	has_parked = false;
	return has;
}

/* A rest does not end by itself. */
int
__wrap_lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms)
{
	(void)timeout_ms;
	return __real_lock_wait(l, cond, -1);
}

/* --- the test's side --------------------------------------------------------------------- */

static uint64_t
send_request(uint32_t opcode, enum what what)
{
	struct request r = { .head = { .len = sizeof(r), .opcode = opcode, .unique = sent++ }, .what = what };

	assert_true(r.head.unique < REQUESTS);
	assert_int_equal(send(kernel_fd, &r, sizeof(r), 0), sizeof(r));
	return r.head.unique;
}

/* Which thread serves it? */
static void *
server_of(uint64_t number)
{
	int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

	while (!served_by[number] && clock_mono_ms() < end_ms)
		usleep(100);
	assert_non_null(served_by[number]);
	return served_by[number];
}

static void *
serve_one_of(uint32_t opcode, enum what what)
{
	return server_of(send_request(opcode, what));
}

static void
nothing(int sig)
{
	(void)sig;
}

static int
set_up(void **state)
{
	struct sigaction interrupt = { .sa_handler = nothing };
	cpu_set_t all, two;
	int fds[2], n = 0;

	(void)state;
	CPU_ZERO(&two);
	if (sched_getaffinity(0, sizeof(all), &all) < 0)
		return -1;
	for (size_t cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &all)) {
			CPU_SET(cpu, &two);
			n++;
		}
	if (n < 2)
		exit(77);
	sched_setaffinity(0, sizeof(two), &two);
	sigaction(SIGUSR1, &interrupt, NULL);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0)
		return -1;
	kernel_fd = fds[0];
	session_fd = fds[1];
	ended_fd = eventfd(0, 0);
	exited = released = false;
	sent = 0;
	begun = 0;
	memset(served_by, 0, sizeof(served_by));
	mount = (struct mount){ .session = NULL };
	return workers_start(&mount, ended_fd) == MQ_OK ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	released = true;
	workers_end(&mount);
	close(kernel_fd);
	close(session_fd);
	close(ended_fd);
	return 0;
}

/* One worker is at rest; the other one, which is returned, would be if it were not.  It has taken two writes in
 * succession. */
static void *
one_rests(void)
{
	void *before, *now = NULL;

	do {
		before = now;
		now = serve_one_of(KERNEL_OP_WRITE, PARKED);
	} while (now != before);
	return now;
}

static void
one_worker_takes_the_writes_that_wait(void **state)
{
	void *other = one_rests();

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_ptr_equal(serve_one_of(KERNEL_OP_WRITE, PARKED), other);
}

static void
a_request_that_may_take_long_ends_a_rest(void **state)
{
	void *other = one_rests();

	(void)state;
	assert_ptr_equal(serve_one_of(OP_READ, HELD), other);
	assert_ptr_not_equal(serve_one_of(OP_READ, ANSWERED), other);
}

static void
a_write_that_waits_for_the_disk_ends_a_rest(void **state)
{
	void *other = one_rests();

	(void)state;
	assert_ptr_equal(serve_one_of(KERNEL_OP_WRITE, WAITS), other);
	assert_ptr_not_equal(serve_one_of(KERNEL_OP_WRITE, ANSWERED), other);
}

static void
more_than_one_workers_work_ends_a_rest(void **state)
{
	void *other = one_rests();
	uint64_t followed;

	(void)state;
	assert_ptr_equal(serve_one_of(KERNEL_OP_WRITE, HELD), other);
	for (int i = 0; i < 50; i++)
		send_request(KERNEL_OP_WRITE, ANSWERED);
	followed = send_request(KERNEL_OP_WRITE, FOLLOWED);
	send_request(KERNEL_OP_WRITE, ANSWERED);
	released = true;
	assert_ptr_not_equal(server_of(followed), server_of(followed + 1));
}

static void
no_worker_rests_while_the_other_one_serves_a_long_request(void **state)
{
	void *busy = serve_one_of(OP_READ, HELD), *other;

	(void)state;
	other = serve_one_of(KERNEL_OP_WRITE, PARKED);
	assert_ptr_not_equal(other, busy);
	for (int i = 0; i < 5; i++)
		assert_ptr_equal(serve_one_of(KERNEL_OP_WRITE, PARKED), other);
}

static bool
is_under_way(void)
{
	return workers_release_is_under_way(&mount, workers_taken(&mount));
}

static bool
ends_under_way(void)
{
	int64_t end_ms = clock_mono_ms() + PATIENCE_MS;

	while (is_under_way() && clock_mono_ms() < end_ms)
		usleep(100);
	return !is_under_way();
}

static void
a_release_is_under_way_until_it_is_served(void **state)
{
	(void)state;
	assert_true(ends_under_way());		/* the workers sleep, once they have started */
	serve_one_of(OP_READ, HELD);
	assert_true(ends_under_way());
	serve_one_of(KERNEL_OP_RELEASE, HELD);
	for (int i = 0; i < 50; i++) {
		assert_true(is_under_way());
		usleep(100);
	}
	released = true;
	assert_true(ends_under_way());
}

static void
a_release_that_was_sent_later_is_not_waited_for(void **state)
{
	uint64_t taken = workers_taken(&mount);

	(void)state;
	serve_one_of(KERNEL_OP_RELEASE, HELD);
	serve_one_of(KERNEL_OP_RELEASE, HELD);
	released = true;
	assert_true(ends_under_way());
	released = false;
	serve_one_of(KERNEL_OP_RELEASE, HELD);		/* both workers have taken it later */
	assert_true(is_under_way());
	assert_false(workers_release_is_under_way(&mount, taken));
	released = true;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_worker_takes_the_writes_that_wait, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_request_that_may_take_long_ends_a_rest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_write_that_waits_for_the_disk_ends_a_rest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(more_than_one_workers_work_ends_a_rest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(no_worker_rests_while_the_other_one_serves_a_long_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_release_is_under_way_until_it_is_served, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_release_that_was_sent_later_is_not_waited_for, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
