/* A connection that carries remoting frames, over a pair of sockets. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "net/channel.h"

#define LARGE (100 << 10)		/* more than is read ahead */

struct fixture {
	struct daemon d;
	struct channel ch;
	int peer;			/* -1: closed */
};

static int receives;

ssize_t __real_readv(int fd, const struct iovec *iov, int n);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);

ssize_t
__wrap_readv(int fd, const struct iovec *iov, int n)
{
	receives++;
	return __real_readv(fd, iov, n);
}

static void
on_event(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
}

static int
set_up(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	int fd[2], bytes = 4 << 20;

	assert_non_null(x);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	x->d.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	x->d.now_ms = 1;
	x->ch = (struct channel){ .watch.ready = on_event, .d = &x->d, .allowed = REMOTING_FRAME_MAX, .plain = true };
	x->peer = fd[1];
	assert_int_equal(channel_open(&x->ch, fd[0], "peer"), MQ_OK);
	receives = 0;
	*state = x;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *x = *state;

	channel_close(&x->ch);
	if (x->peer >= 0)
		close(x->peer);
	close(x->d.epoll_fd);
	free(x);
	return 0;
}

/* The peer sends a frame with that opaque, and a body of len bytes. */
static void
peer_sends(struct fixture *x, int opaque, size_t len)
{
	char *body = malloc(len + 1), *bytes;
	const struct remoting_frame f = {
		.dialect = REMOTING_BINARY, .code = 10, .opaque = opaque, .body = body, .body_len = len,
	};
	size_t n;

	assert_non_null(body);
	memset(body, 'a' + opaque % 26, len);
	assert_int_equal(remoting_encode(&f, &bytes, &n), MQ_OK);
	assert_int_equal(send(x->peer, bytes, n, 0), (ssize_t)n);
	free(bytes);
	free(body);
}

static void
hears(struct fixture *x, int opaque, size_t len)
{
	struct remoting_frame f;

	assert_int_equal(channel_hear(&x->ch, &f), MQ_OK);
	assert_int_equal(f.opaque, opaque);
	assert_int_equal(f.body_len, len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(f.body[i], 'a' + opaque % 26);
	remoting_frame_clear(&f);
}

static void
hears_no_more(struct fixture *x, int rc)
{
	struct remoting_frame f;

	assert_int_equal(channel_hear(&x->ch, &f), rc);
}

static void
frames_that_came_together_are_received_in_one_call(void **state)
{
	struct fixture *x = *state;

	x->ch.turn_frames_max = 64;
	for (int i = 0; i < 10; i++)
		peer_sends(x, i, 1000);
	for (int i = 0; i < 10; i++)
		hears(x, i, 1000);
	hears_no_more(x, -EAGAIN);
	assert_int_equal(receives, 1);
}

static void
frames_beyond_a_turn_are_heard_in_the_next_without_an_event(void **state)
{
	struct fixture *x = *state;

	x->ch.turn_frames_max = 2;
	for (int i = 0; i < 3; i++)
		peer_sends(x, i, 10);
	hears(x, 0, 10);
	hears(x, 1, 10);
	hears_no_more(x, -EAGAIN);
	assert_true(channel_pending(&x->ch));
	assert_int_equal(channel_tick(&x->ch), x->d.now_ms);
	hears(x, 2, 10);
	hears_no_more(x, -EAGAIN);
	assert_false(channel_pending(&x->ch));
	assert_true(channel_tick(&x->ch) > x->d.now_ms);
	assert_null(x->ch.ahead);	/* an idle connection holds no memory for it */
}

static void
what_comes_after_a_turn_that_emptied_the_socket_is_heard_in_the_next(void **state)
{
	struct fixture *x = *state;

	peer_sends(x, 1, 10);
	hears(x, 1, 10);
	peer_sends(x, 2, 10);
	hears_no_more(x, -EAGAIN);
	(void)channel_tick(&x->ch);
	hears(x, 2, 10);
}

static void
frames_larger_than_what_is_read_ahead_stay_whole(void **state)
{
	struct fixture *x = *state;
	const size_t lens[] = { 10, LARGE, 0, LARGE, 7 };
	const int n = sizeof(lens) / sizeof(lens[0]);

	for (int i = 0; i < n; i++)
		peer_sends(x, i, lens[i]);
	for (int i = 0; i < n; i++) {
		hears(x, i, lens[i]);
		(void)channel_tick(&x->ch);
	}
	hears_no_more(x, -EAGAIN);
}

static void
a_frame_larger_than_allowed_waits_with_what_follows_it(void **state)
{
	struct fixture *x = *state;

	x->ch.allowed = 100;
	peer_sends(x, 1, 1000);
	peer_sends(x, 2, 10);
	hears_no_more(x, -EDQUOT);
	(void)channel_tick(&x->ch);
	hears_no_more(x, -EDQUOT);
	x->ch.allowed = 2000;
	hears(x, 1, 1000);
	hears(x, 2, 10);
}

static void
frames_before_the_end_of_the_connection_are_heard(void **state)
{
	struct fixture *x = *state;

	peer_sends(x, 1, 10);
	peer_sends(x, 2, 10);
	close(x->peer);
	x->peer = -1;
	hears(x, 1, 10);
	hears(x, 2, 10);
	(void)channel_tick(&x->ch);
	hears_no_more(x, -ECONNRESET);
	assert_int_equal(x->ch.rc, -ECONNRESET);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames_that_came_together_are_received_in_one_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_beyond_a_turn_are_heard_in_the_next_without_an_event, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(what_comes_after_a_turn_that_emptied_the_socket_is_heard_in_the_next,
						set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_larger_than_what_is_read_ahead_stay_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_frame_larger_than_allowed_waits_with_what_follows_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_before_the_end_of_the_connection_are_heard, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
