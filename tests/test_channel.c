/* A connection that carries remoting frames, over a pair of sockets. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
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
#include "tests/tree.h"

#define SEGMENT 1000
#define LARGE (100 << 10)		/* more than is read ahead */

struct fixture {
	struct daemon d;
	struct channel ch;
	int peer;			/* -1: closed */
	char dir[128];			/* with segments of the log */
};

static int receives, sends;

ssize_t __real_readv(int fd, const struct iovec *iov, int n);
ssize_t __wrap_readv(int fd, const struct iovec *iov, int n);

ssize_t
__wrap_readv(int fd, const struct iovec *iov, int n)
{
	receives++;
	return __real_readv(fd, iov, n);
}

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);

ssize_t
__wrap_send(int fd, const void *bytes, size_t len, int flags)
{
	sends++;
	return __real_send(fd, bytes, len, flags);
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
	(void)setsockopt(fd[0], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	x->d.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	x->d.now_ms = 1;
	x->d.config.segment_bytes = SEGMENT;
	tree_make(x->dir, sizeof(x->dir), NULL, "channel");
	x->d.commitlog_fd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x->ch = (struct channel){ .watch.ready = on_event, .d = &x->d, .allowed = REMOTING_FRAME_MAX, .plain = true };
	x->peer = fd[1];
	assert_int_equal(channel_open(&x->ch, fd[0], "peer"), MQ_OK);
	receives = sends = 0;
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
	x->d.now_ms += SEGMENTS_KEPT_MS;
	(void)segments_tick(&x->d);
	close(x->d.commitlog_fd);
	tree_remove(x->dir);
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

	assert_int_equal(channel_receive(&x->ch, &f), MQ_OK);
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

	assert_int_equal(channel_receive(&x->ch, &f), rc);
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

/* The peer receives `n` frames with opaques from 0 on. */
static void
peer_hears(struct fixture *x, int n)
{
	struct remoting_reader r = { .len = 0 };
	struct remoting_frame f;

	for (int i = 0; i < n;) {
		size_t len;
		void *place = remoting_reader_place(&r, &len);
		ssize_t got = recv(x->peer, place, len, 0);

		assert_true(got > 0);
		if (remoting_reader_take(&r, (size_t)got, &f) != MQ_OK)
			continue;
		assert_int_equal(f.opaque, i++);
		remoting_frame_clear(&f);
	}
}

static void
frames_that_were_posted_in_a_turn_are_sent_in_one_call(void **state)
{
	struct fixture *x = *state;
	const int n = 150;

	for (int i = 0; i < n; i++) {
		const struct remoting_frame f = {
			.dialect = REMOTING_BINARY, .opaque = i, .body = "0123456789", .body_len = (size_t)i % 10,
		};

		assert_int_equal(channel_post(&x->ch, &f), MQ_OK);
	}
	assert_int_equal(sends, 0);
	assert_int_equal(x->ch.waiting, 1);
	(void)channel_tick(&x->ch);
	assert_int_equal(x->ch.waiting_bytes, 0);
	assert_int_equal(sends, 1);
	peer_hears(x, n);
}

static void
frames_that_were_posted_stay_in_order_with_those_that_are_too_large_to_join_them(void **state)
{
	struct fixture *x = *state;
	char *large = calloc(1, LARGE);

	assert_non_null(large);
	for (int i = 0; i < 30; i++) {
		const struct remoting_frame f = {
			.dialect = REMOTING_BINARY, .opaque = i, .body = large, .body_len = i % 10 == 9 ? LARGE : 3000,
		};

		assert_int_equal(channel_post(&x->ch, &f), MQ_OK);
	}
	(void)channel_tick(&x->ch);
	peer_hears(x, 30);
	free(large);
}

/* --- bytes of the log ------------------------------------------------------------------------------- */

/* A segment full of that letter, instead of the one of that name. */
static void
make_segment(struct fixture *x, int64_t base, char letter)
{
	char name[32], bytes[SEGMENT];
	int fd;

	snprintf(name, sizeof(name), "%020d", (int)base);
	memset(bytes, letter, sizeof(bytes));
	(void)unlinkat(x->d.commitlog_fd, name, 0);
	fd = openat(x->d.commitlog_fd, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

/* A frame whose body is those bytes of the log. */
static void
peer_gets(struct fixture *x, int64_t pos, char letter)
{
	const struct log_piece piece = { .pos = pos, .bytes = 10 };
	const struct remoting_frame f = { .dialect = REMOTING_BINARY, .flag = REMOTING_RESPONSE };
	char got[200];
	ssize_t n;

	assert_int_equal(channel_send_log(&x->ch, &f, &piece, 1), MQ_OK);
	assert_int_equal(x->ch.rc, MQ_OK);
	n = recv(x->peer, got, sizeof(got), 0);
	assert_true(n > 10);
	for (ssize_t i = n - 10; i < n; i++)
		assert_int_equal(got[i], letter);
}

static void
bytes_of_the_log_come_from_their_segment(void **state)
{
	struct fixture *x = *state;
	const int n = SEGMENTS_KEPT + 2;

	for (int i = 0; i < n; i++)
		make_segment(x, i * SEGMENT, (char)('a' + i));
	for (int i = 0; i < 3 * n; i++)
		peer_gets(x, i % n * SEGMENT + 7, (char)('a' + i % n));
}

static void
a_segment_that_was_made_anew_is_read_anew(void **state)
{
	struct fixture *x = *state;

	make_segment(x, 0, 'a');
	peer_gets(x, 0, 'a');
	make_segment(x, 0, 'b');
	peer_gets(x, 0, 'b');
}

static void
a_segment_that_was_removed_does_not_stay_open(void **state)
{
	struct fixture *x = *state;
	int fd;

	make_segment(x, 0, 'a');
	assert_int_equal(segments_find(&x->d, 0, &fd), MQ_OK);
	assert_int_equal(segments_tick(&x->d), x->d.now_ms + SEGMENTS_KEPT_MS);
	assert_true(fcntl(fd, F_GETFD) >= 0);
	x->d.now_ms += SEGMENTS_KEPT_MS;
	assert_int_equal(segments_tick(&x->d), 0);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
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
		cmocka_unit_test_setup_teardown(frames_that_were_posted_in_a_turn_are_sent_in_one_call, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			frames_that_were_posted_stay_in_order_with_those_that_are_too_large_to_join_them, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bytes_of_the_log_come_from_their_segment, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_segment_that_was_made_anew_is_read_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_segment_that_was_removed_does_not_stay_open, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
