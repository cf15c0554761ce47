/* Requests and responses: between peers and the mount through mqrepld, and in the
 * mount itself. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/number.h"
#include "net/remoting.h"
#include "net/exchange.h"
#include "repl/requests.h"
#include "tests/repl_kit.h"

#define CODE 31999
#define LARGE (3 << 20)

/* --- the peer's side ------------------------------------------------------------------- */

static void
send_frame(int fd, const struct remoting_frame *f)
{
	char *bytes;
	size_t len;

	assert_int_equal(remoting_encode(f, &bytes, &len), MQ_OK);
	kit_send(fd, bytes, len, len);
	free(bytes);
}

/* For remoting_frame_clear(). */
static void
recv_frame(int fd, struct remoting_frame *ret)
{
	struct remoting_reader r = { .head_len = 0 };
	int rc = MQ_EEND;

	while (rc == MQ_EEND) {
		size_t len;
		void *place = remoting_reader_place(&r, &len);

		assert_non_null(place);
		kit_recv(fd, place, len);
		rc = remoting_reader_take(&r, len, ret);
	}
	assert_int_equal(rc, MQ_OK);
}

static void
send_request(int fd, int32_t opaque)
{
	send_frame(fd, &(struct remoting_frame){ .code = CODE, .opaque = opaque });
}

static void
want_response(int fd, int32_t opaque, int32_t code)
{
	struct remoting_frame f;

	recv_frame(fd, &f);
	assert_int_equal(f.flag, REMOTING_RESPONSE);
	assert_int_equal(f.opaque, opaque);
	assert_int_equal(f.code, code);
	remoting_frame_clear(&f);
}

/* --- the mount's side ---------------------------------------------------------------------- */

/* A field, "NAME=VALUE", as it crosses the link; "": none.  Returns how many bytes. */
static size_t
pair_of(const char *field, char ret[64])
{
	size_t name_len = strcspn(field, "="), value_len = strlen(field) - name_len;

	if (!*field)
		return 0;
	be16_put(ret, (int16_t)name_len);
	memcpy(ret + 2, field, name_len);
	be32_put(ret + 2 + name_len, (int32_t)value_len - 1);
	memcpy(ret + 6 + name_len, field + name_len + 1, value_len - 1);
	return 6 + name_len + value_len - 1;
}

static void
send_bytes(int link, struct link_message *msg, const char *ext, size_t ext_len, const void *body, size_t body_len)
{
	int blob_fd = -1;

	msg->version = LINK_VERSION;
	assert_int_equal(link_blob_make(msg, ext, ext_len, body, body_len, &blob_fd), MQ_OK);
	assert_int_equal(link_send_blob(link, 0, msg, blob_fd), MQ_OK);
	if (blob_fd >= 0)
		close(blob_fd);
}

static void
send_blob(int link, struct link_message *msg, const char *field, const void *body, size_t body_len)
{
	char ext[64];

	send_bytes(link, msg, ext, pair_of(field, ext), body, body_len);
}

static void
answer(struct kit *k, uint64_t id, int32_t code, const char *remark)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_RESPONSE, .id = id, .code = code };

	snprintf(msg.text, sizeof(msg.text), "%s", remark);
	assert_int_equal(link_send(k->link, &msg), MQ_OK);
}

/* Its blob is as it should be; "" for nothing. */
static void
want_blob(struct kit *k, const char *field, const void *body, size_t body_len)
{
	char *bytes, ext[64];
	size_t ext_len = pair_of(field, ext);

	assert_int_equal(k->last.ext_len, ext_len);
	assert_int_equal(k->last.len, ext_len + body_len);
	if (k->last.len == 0)
		return;
	assert_int_equal(link_blob_read(k->blob_fd, &k->last, &bytes), MQ_OK);
	assert_memory_equal(bytes, ext, ext_len);
	assert_memory_equal(bytes + ext_len, body, body_len);
	free(bytes);
}

static char *
large_body(void)
{
	char *body = malloc(LARGE);

	assert_non_null(body);
	for (int i = 0; i < LARGE; i++)
		body[i] = (char)kit_byte(i);
	return body;
}

/* --- peers ask ------------------------------------------------------------------------------- */

static void
ask_and_answer(struct kit *k, int port, enum remoting_dialect dialect)
{
	struct remoting_frame f = { .dialect = dialect, .code = CODE, .opaque = -5, .body_len = LARGE };
	char *body = large_body();
	int fd = kit_connect(port);

	f.body = body;
	f.ext = json_pack("{s:s}", "topic", "T");
	send_frame(fd, &f);
	json_decref(f.ext);
	kit_hear(k, LINK_REQUEST);
	assert_int_equal(k->last.code, CODE);
	assert_memory_equal(k->last.text, "127.0.0.1:", 10);
	want_blob(k, "topic=T", body, LARGE);

	k->last.kind = LINK_RESPONSE;
	k->last.code = 17;
	snprintf(k->last.text, sizeof(k->last.text), "no topic T");
	send_blob(k->link, &k->last, "a=b", body, LARGE);
	recv_frame(fd, &f);
	assert_int_equal(f.dialect, dialect);
	assert_int_equal(f.code, 17);
	assert_int_equal(f.opaque, -5);
	assert_int_equal(f.flag, REMOTING_RESPONSE);
	assert_string_equal(f.remark, "no topic T");
	assert_string_equal(json_string_value(json_object_get(f.ext, "a")), "b");
	assert_int_equal(f.body_len, LARGE);
	assert_memory_equal(f.body, body, LARGE);
	remoting_frame_clear(&f);
	free(body);
	close(fd);
}

static void
a_request_reaches_the_mount_and_its_answer_the_peer(void **state)
{
	struct kit *k = *state;

	kit_start(k);
	ask_and_answer(k, k->remoting_port, REMOTING_JSON);
	ask_and_answer(k, k->vip_port, REMOTING_BINARY);
}

static void
answers_find_who_asked_in_any_order(void **state)
{
	struct kit *k = *state;
	int one, other;
	uint64_t ids[3];

	kit_start(k);
	one = kit_connect(k->remoting_port);
	other = kit_connect(k->remoting_port);
	for (int i = 0; i < 3; i++) {
		send_request(i == 1 ? other : one, i);
		kit_hear(k, LINK_REQUEST);
		ids[i] = k->last.id;
	}
	for (int i = 2; i >= 0; i--)
		answer(k, ids[i], 100 + i, "");
	want_response(other, 1, 101);
	want_response(one, 2, 102);
	want_response(one, 0, 100);
	close(one);
	close(other);
}

static void
a_one_way_request_is_not_answered(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_start(k);
	fd = kit_connect(k->remoting_port);
	send_frame(fd, &(struct remoting_frame){ .code = CODE, .opaque = 1, .flag = REMOTING_ONE_WAY });
	kit_hear(k, LINK_REQUEST);
	answer(k, k->last.id, 0, "");
	send_request(fd, 2);
	kit_hear(k, LINK_REQUEST);
	answer(k, k->last.id, 0, "");
	want_response(fd, 2, 0);
	close(fd);
}

/* Who asks request i, so that 48 are of 6 connections, and 16 are first ones. */
static int
asker(int i)
{
	return i < 48 ? i / 8 : i - 42;
}

/* As many requests as the mount takes, their ids. */
static void
fill_the_mount(struct kit *k, int fds[22], uint64_t ids[LINK_REQUESTS_MAX])
{
	for (int i = 0; i < 22; i++)
		fds[i] = kit_connect(k->remoting_port);
	for (int i = 0; i < LINK_REQUESTS_MAX; i++) {
		send_request(fds[asker(i)], i);
		kit_hear(k, LINK_REQUEST);
		ids[i] = k->last.id;
	}
}

static void
more_than_the_mount_can_hold_is_not_heard_for_now(void **state)
{
	struct kit *k = *state;
	uint64_t ids[LINK_REQUESTS_MAX];
	int fds[22];

	kit_start(k);
	fill_the_mount(k, fds, ids);
	send_request(fds[0], 1000);
	send_request(fds[21], 1001);
	for (int i = 0; i < LINK_REQUESTS_MAX; i++)
		answer(k, ids[i], 0, "");
	for (int i = 0; i < LINK_REQUESTS_MAX; i++)
		want_response(fds[asker(i)], i, 0);
	for (int i = 0; i < 2; i++) {
		kit_hear(k, LINK_REQUEST);
		answer(k, k->last.id, 7, "");
	}
	want_response(fds[0], 1000, 7);
	want_response(fds[21], 1001, 7);
	for (int i = 0; i < 22; i++)
		close(fds[i]);
}

/* Who has gone has left its requests with the mount. */
static void
who_finds_no_place_for_its_first_request_is_told_to_come_again(void **state)
{
	struct kit *k = *state;
	uint64_t ids[LINK_REQUESTS_MAX];
	int fds[22], late;

	kit_start(k);
	fill_the_mount(k, fds, ids);
	for (int i = 0; i < 22; i++)
		close(fds[i]);
	late = kit_connect(k->remoting_port);
	send_request(late, 1000);
	want_response(late, 1000, ANSWER_SYSTEM_BUSY);
	for (int i = 0; i < LINK_REQUESTS_MAX; i++)
		answer(k, ids[i], 0, "");
	send_request(late, 1001);
	kit_hear(k, LINK_REQUEST);
	answer(k, k->last.id, 7, "");
	want_response(late, 1001, 7);
	close(late);
}

/* --- who asks without end --------------------------------------------------------------------- */

#define CROWD 60			/* of two hosts */

static int
one_of_a_crowd(struct kit *k, int i)
{
	return kit_connect_from(2 + i % 2, k->remoting_port);
}

static size_t
waiting_bytes(const int fds[CROWD])
{
	size_t bytes = 0;
	int n;

	for (int i = 0; i < CROWD; i++)
		if (ioctl(fds[i], FIONREAD, &n) == 0)
			bytes += (size_t)n;
	return bytes;
}

/* As many requests as the sockets take, at once. */
static void
pipeline(int fd, const char *frame, size_t len)
{
	while (send(fd, frame, len, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)len)
		;
}

/* Each turn of the loop is bounded in requests: before the slave had its bytes, each of a crowd
 * had a few of thousands answered. */
static void
who_pipelines_small_requests_does_not_hold_up_a_slave(void **state)
{
	const struct remoting_frame f = { .code = CODE, .flag = 0 };
	struct kit *k = *state;
	int fds[CROWD], slave;
	size_t len;
	char *frame;

	assert_int_equal(remoting_encode(&f, &frame, &len), MQ_OK);
	kit_log(k, 0, 500);
	kit_start(k);
	slave = kit_slave(k);
	kit_send_report(slave, 500);
	kit_peer(k, 1, LINK_PEER_TRANSFER, "");
	for (int i = 0; i < CROWD; i++) {
		fds[i] = one_of_a_crowd(k, i);
		send_request(fds[i], 1);
		kit_hear(k, LINK_REQUEST);
		answer(k, k->last.id, 0, "");
		want_response(fds[i], 1, 0);
	}
	kill(k->pid, SIGSTOP);
	for (int i = 0; i < CROWD; i++)
		pipeline(fds[i], frame, len);
	kit_log(k, 0, 700);
	kit_marks(k);
	kill(k->pid, SIGCONT);
	kit_recv_log(slave, 500, 700);
	kill(k->pid, SIGSTOP);
	if (waiting_bytes(fds) > CROWD * 64 * len)
		fail_msg("the crowd had %zu bytes of answers before the slave had its own", waiting_bytes(fds));
	kill(k->pid, SIGCONT);
	for (int i = 0; i < CROWD; i++)
		close(fds[i]);
	close(slave);
	free(frame);
}

static int
descriptors(pid_t pid)
{
	char path[48];
	int n = 0;

	for (int i = 0; i < 512; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, i);
		n += faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
	}
	return n;
}

static void
answers_that_nobody_takes_hold_no_descriptor(void **state)
{
	enum { EACH = 8, BODY = 100000 };
	struct kit *k = *state;
	char *body = large_body();
	int fds[CROWD], slave;

	kit_log(k, 0, 500);
	kit_start(k);
	for (int i = 0; i < CROWD; i++)
		fds[i] = one_of_a_crowd(k, i);
	for (int i = 0; i < CROWD * EACH; i++) {
		send_request(fds[i / EACH], i);
		kit_hear(k, LINK_REQUEST);
		k->last.kind = LINK_RESPONSE;
		send_blob(k->link, &k->last, "", body, BODY);
	}
	slave = kit_slave(k);
	kit_send_report(slave, 1);
	kit_recv_log(slave, 1, 500);
	assert_in_range(descriptors(k->pid), CROWD, CROWD + 20);
	for (int i = 0; i < CROWD * EACH; i++) {	/* and all get theirs when they like */
		struct remoting_frame f;

		recv_frame(fds[i / EACH], &f);
		assert_int_equal(f.opaque, i);
		assert_int_equal(f.body_len, BODY);
		remoting_frame_clear(&f);
	}
	for (int i = 0; i < CROWD; i++)
		close(fds[i]);
	close(slave);
	free(body);
}

static void
who_lets_most_answers_wait_makes_room_for_others(void **state)
{
	enum { HOARDED = 8, BODY = 12 << 20 };
	struct kit *k = *state;
	struct link_message asked[HOARDED];
	char *body = calloc(1, BODY);
	int hoarder, other;

	assert_non_null(body);
	kit_start(k);
	hoarder = kit_connect(k->remoting_port);
	other = kit_connect(k->remoting_port);
	for (int i = 0; i < HOARDED; i++) {
		send_request(hoarder, i);
		kit_hear(k, LINK_REQUEST);
		asked[i] = k->last;
		asked[i].kind = LINK_RESPONSE;
	}
	for (int i = 0; i < HOARDED; i++)
		send_blob(k->link, &asked[i], "", body, BODY);
	send_request(other, 1);
	kit_hear(k, LINK_REQUEST);
	answer(k, k->last.id, 7, "");
	want_response(other, 1, 7);
	kit_recv_end(hoarder);
	close(other);
	free(body);
}

static void
who_has_gone_gets_no_answer(void **state)
{
	struct kit *k = *state;
	char *body = large_body();
	int fd;

	kit_start(k);
	fd = kit_connect(k->remoting_port);
	send_request(fd, 1);
	kit_hear(k, LINK_REQUEST);
	close(fd);
	k->last.kind = LINK_RESPONSE;
	send_blob(k->link, &k->last, "", body, LARGE);
	ask_and_answer(k, k->remoting_port, REMOTING_JSON);
	free(body);
}

static void
an_answer_that_no_frame_can_hold_is_an_error_for_who_asked(void **state)
{
	struct kit *k = *state;
	char *body = calloc(1, REMOTING_FRAME_MAX);
	int fd;

	assert_non_null(body);
	kit_start(k);
	fd = kit_connect(k->remoting_port);
	send_request(fd, 1);
	kit_hear(k, LINK_REQUEST);
	k->last.kind = LINK_RESPONSE;
	send_blob(k->link, &k->last, "", body, REMOTING_FRAME_MAX);
	want_response(fd, 1, ANSWER_SYSTEM_ERROR);
	close(fd);
	free(body);
}

static void
want_end(struct kit *k)
{
	int status;

	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	k->pid = 0;
	close(k->link);
}

static void
an_answer_that_nobody_wanted_ends_it(void **state)
{
	struct kit *k = *state;

	kit_start(k);
	answer(k, 5, 0, "");
	want_end(k);
}

/* --- the mount asks ----------------------------------------------------------------------------- */

static void
be_remoting_master(struct kit *k)
{
	kit_be_master(k);
	memcpy(k->config.master_remoting, k->config.master, sizeof(k->config.master));
	snprintf(k->config.master, sizeof(k->config.master), "127.0.0.1:1");
	kit_start(k);
}

static int
accept_call(struct kit *k)
{
	const struct timeval wait = { .tv_sec = KIT_WAIT_MS / 1000 };
	int fd = accept4(k->listen, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	return fd;
}

static void
call(struct kit *k, uint64_t id, const char *ext, const char *body, int timeout_ms)
{
	struct link_message msg = { .kind = LINK_REQUEST, .id = id, .code = CODE, .timeout_ms = timeout_ms };

	send_blob(k->link, &msg, ext, body, strlen(body));
}

static void
want_outcome(struct kit *k, uint64_t id, int32_t code)
{
	kit_hear(k, LINK_RESPONSE);
	assert_int_equal(k->last.id, id);
	assert_int_equal(k->last.code, code);
}

/* The master's answer to what has just come over fd. */
static void
answer_call(int fd, int32_t code)
{
	char remark[] = "a remark";
	struct remoting_frame f;

	recv_frame(fd, &f);
	assert_int_equal(f.code, CODE);
	assert_int_equal(f.flag, 0);
	f.flag = REMOTING_RESPONSE;
	f.code = code;
	f.remark = remark;
	send_frame(fd, &f);
	f.remark = NULL;
	remoting_frame_clear(&f);
}

static void
the_mount_asks_the_master(void **state)
{
	struct kit *k = *state;
	int fd;

	be_remoting_master(k);
	call(k, 1, "topic=T", "a body", 5000);
	fd = accept_call(k);
	send_frame(fd, &(struct remoting_frame){ .flag = REMOTING_RESPONSE, .opaque = 99 });	/* to nobody */
	answer_call(fd, 17);
	want_outcome(k, 1, 17);
	assert_string_equal(k->last.text, "a remark");
	want_blob(k, "topic=T", "a body", 6);
	call(k, 2, "", "", 5000);			/* the same connection */
	answer_call(fd, 0);
	want_outcome(k, 2, 0);
	want_blob(k, "", "", 0);
	close(fd);
}

static void
a_call_without_an_answer_says_why(void **state)
{
	struct kit *k = *state;
	int fd;

	be_remoting_master(k);
	call(k, 1, "", "", 200);
	fd = accept_call(k);
	want_outcome(k, 1, -ETIMEDOUT);
	call(k, 2, "", "", 5000);
	close(fd);
	want_outcome(k, 2, -ECONNRESET);
	call(k, 3, "", "", 5000);
	fd = accept_call(k);
	kit_send(fd, "HTTP/1.1 400 no", 15, 15);
	want_outcome(k, 3, -EPROTO);
	kit_recv_end(fd);
	close(k->listen);
	k->listen = -1;
	call(k, 4, "", "", 5000);
	want_outcome(k, 4, -ECONNREFUSED);
}

static void
more_calls_than_there_are_places_are_refused(void **state)
{
	struct kit *k = *state;

	be_remoting_master(k);
	for (uint64_t id = 1; id <= LINK_REQUESTS_MAX; id++)
		call(k, id, "", "", 300);
	call(k, 1000, "", "", 300);
	want_outcome(k, 1000, -EBUSY);
	for (int i = 0; i < LINK_REQUESTS_MAX; i++) {
		kit_hear(k, LINK_RESPONSE);
		assert_int_equal(k->last.code, -ETIMEDOUT);
	}
}

static void
a_master_has_nobody_to_ask(void **state)
{
	struct kit *k = *state;

	kit_start(k);
	call(k, 1, "a=b", "a body", 5000);
	want_outcome(k, 1, -ENOTCONN);
}

/* --- in the mount ----------------------------------------------------------------------------------- */

struct mount {
	struct exchange *x;
	int link, far;			/* both ends */
	int code;			/* what a call came to, */
	char why[200];			/* and its text, if it failed */
	struct answer answer;
};

/* mqrepld runs. */
static void
attach(struct mount *m)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	m->link = pair[0];
	m->far = pair[1];
	exchange_attach(m->x, m->link);
}

static void
detach(struct mount *m)
{
	exchange_detach(m->x);
	close(m->link);
	close(m->far);
}

static void
serve_request(void *arg, const struct request *req, struct answer *ret)
{
	requests_serve(arg, req, ret);
}

static int
mount_setup(void **state)
{
	struct mount *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	assert_int_equal(exchange_open(&(struct exchange_for){ "mqrepld", serve_request, NULL, NULL }, &m->x), MQ_OK);
	attach(m);
	*state = m;
	return 0;
}

static int
mount_teardown(void **state)
{
	struct mount *m = *state;

	exchange_close(m->x);
	close(m->link);
	close(m->far);
	answer_clear(&m->answer);
	free(m);
	return 0;
}

/* What mqrepld sends, as the link thread hears it. */
static int
hear(struct mount *m, struct link_message *msg, const char *ext, const char *body)
{
	struct link_message got;
	int blob_fd;

	send_blob(m->far, msg, ext, body, strlen(body));
	assert_int_equal(link_receive(m->link, 0, &got, &blob_fd), MQ_OK);
	return exchange_on_message(m->x, &got, blob_fd);
}

static void
want_answer(struct mount *m, uint64_t id, int code, const char *remark)
{
	struct link_message msg;

	assert_int_equal(link_receive(m->far, 0, &msg, NULL), MQ_OK);
	assert_int_equal(msg.kind, LINK_RESPONSE);
	assert_int_equal(msg.id, id);
	assert_int_equal(msg.code, code);
	assert_string_equal(msg.text, remark);
}

static void
what_is_not_served_is_answered_as_rocketmq_does(void **state)
{
	struct mount *m = *state;
	struct link_message msg = { .kind = LINK_REQUEST, .id = 3, .code = CODE };

	assert_int_equal(hear(m, &msg, "a=b", "a body"), MQ_OK);
	want_answer(m, 3, ANSWER_REQUEST_CODE_NOT_SUPPORTED, " request type 31999 not supported");
	msg.id = 4;
	msg.code = -1;
	assert_int_equal(hear(m, &msg, "", ""), MQ_OK);
	want_answer(m, 4, ANSWER_REQUEST_CODE_NOT_SUPPORTED, " request type -1 not supported");
}

static void
ext_fields_that_are_none_are_an_error_for_who_asked(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} wrong[] = {
		{ "\0", 1 }, { "\0\1", 2 }, { "\0\1a", 3 }, { "\0\1a\0\0\0\2b", 8 }, { "\0\1a\0\0\0\1b\0", 9 },
		{ "\xff\xff", 2 }, { "\0\1a\xff\xff\xff\xff", 7 }, { "\0\1\0\0\0\0\1b", 8 },
		{ "\0\1a\0\0\0\1\0", 8 }, { "\0\1a\0\0\0\1\xff", 8 }, { "{\"a\":\"b\"}", 9 },
	};
	struct mount *m = *state;

	for (uint64_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct link_message msg = { .kind = LINK_REQUEST, .id = i + 1, .code = CODE }, got;
		int blob_fd;

		send_bytes(m->far, &msg, wrong[i].bytes, wrong[i].len, "", 0);
		assert_int_equal(link_receive(m->link, 0, &got, &blob_fd), MQ_OK);
		assert_int_equal(exchange_on_message(m->x, &got, blob_fd), MQ_OK);
		want_answer(m, i + 1, ANSWER_SYSTEM_ERROR, "link: ext fields that are no pairs of texts");
	}
}

static void *
call_main(void *arg)
{
	struct mount *m = arg;

	m->code = exchange_call(m->x, CODE, NULL, "body", 4, 200, &m->answer);
	snprintf(m->why, sizeof(m->why), "%s", err_text(m->code));
	return NULL;
}

/* A call is under way; its request has come to the other end. */
static pthread_t
begin_call(struct mount *m, struct link_message *ret)
{
	pthread_t thread;
	int blob_fd;

	assert_int_equal(pthread_create(&thread, NULL, call_main, m), 0);
	assert_int_equal(link_receive(m->far, 0, ret, &blob_fd), MQ_OK);
	assert_int_equal(ret->kind, LINK_REQUEST);
	assert_int_equal(ret->len, 4);
	close(blob_fd);
	return thread;
}

static void
a_call_returns_its_answer(void **state)
{
	struct mount *m = *state;
	struct link_message msg;
	pthread_t thread = begin_call(m, &msg);

	msg.kind = LINK_RESPONSE;
	msg.id += 7;
	assert_int_equal(hear(m, &msg, "", ""), MQ_OK);		/* to another call, long given up */
	msg.id -= 7;
	msg.code = 17;
	snprintf(msg.text, sizeof(msg.text), "no such topic");
	assert_int_equal(hear(m, &msg, "a=b", "what it is"), MQ_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m->code, MQ_OK);
	assert_int_equal(m->answer.code, 17);
	assert_string_equal(m->answer.remark, "no such topic");
	assert_string_equal(ext_get(m->answer.ext, "a"), "b");
	assert_null(ext_get(m->answer.ext, "b"));
	assert_int_equal(m->answer.body_len, 10);
	assert_string_equal(m->answer.body, "what it is");
}

static void
a_call_ends_when_it_is_refused_or_the_link_ends_or_the_mount_does(void **state)
{
	struct mount *m = *state;
	struct link_message msg;
	pthread_t thread = begin_call(m, &msg);

	msg.kind = LINK_RESPONSE;
	msg.code = -ECONNREFUSED;
	assert_int_equal(hear(m, &msg, "", "not wanted"), MQ_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m->code, -ECONNREFUSED);

	thread = begin_call(m, &msg);
	msg.kind = LINK_RESPONSE;
	msg.code = MQ_ECORRUPT;
	assert_int_equal(hear(m, &msg, "", ""), MQ_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m->code, MQ_ECORRUPT);
	assert_string_equal(m->why, "corrupt data");

	thread = begin_call(m, &msg);
	detach(m);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m->code, -ECONNRESET);
	call_main(m);
	assert_int_equal(m->code, -ENOTCONN);

	attach(m);
	thread = begin_call(m, &msg);
	exchange_stop(m->x);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m->code, MQ_ECLOSED);
	call_main(m);
	assert_int_equal(m->code, MQ_ECLOSED);
}

static void *
detach_main(void *arg)
{
	struct mount *m = arg;

	exchange_detach(m->x);
	return NULL;
}

/* Whoever sends to a mqrepld that does not hear any more is told when it ends. */
static void
a_link_that_is_full_does_not_outlive_its_run(void **state)
{
	struct mount *m = *state;
	const struct link_message msg = { .version = LINK_VERSION, .kind = LINK_PING };
	pthread_t thread;
	int rc = MQ_OK;

	assert_int_equal(exchange_tell(m->x, 7, &msg), -ENOTCONN);	/* of another run */
	for (int i = 0; i < 10; i++)
		assert_int_equal(exchange_tell(m->x, 1, &msg), MQ_OK);
	assert_int_equal(pthread_create(&thread, NULL, detach_main, m), 0);
	while (rc == MQ_OK)
		rc = exchange_tell(m->x, 1, &msg);
	assert_true(rc == -ENOTCONN || rc == -EPIPE);
	assert_int_equal(pthread_join(thread, NULL), 0);
	close(m->link);
	close(m->far);
	attach(m);
	assert_int_equal(exchange_tell(m->x, 1, &msg), -ENOTCONN);
	assert_int_equal(exchange_tell(m->x, 2, &msg), MQ_OK);
}

static void
a_call_that_mqrepld_forgets_ends_all_the_same(void **state)
{
	struct mount *m = *state;

	call_main(m);
	assert_int_equal(m->code, -ETIMEDOUT);
}

static void
a_number_is_what_java_takes_for_one(void **state)
{
	static const char *const good[] = { "17", "+17", "017" }, *const bad[] = { "", "+", " 17", "\t17", "17 ", "0x11", "1e1" };
	int64_t n = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++, n = 0) {
		assert_true(text_number(good[i], 0, 20, &n));
		assert_int_equal(n, 17);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(text_number(bad[i], 0, 20, &n));
	assert_int_equal(n, 0);
}

int
main(void)
{
#define KIT(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)
#define MOUNT(test) cmocka_unit_test_setup_teardown(test, mount_setup, mount_teardown)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_number_is_what_java_takes_for_one),
		KIT(a_request_reaches_the_mount_and_its_answer_the_peer),
		KIT(answers_find_who_asked_in_any_order),
		KIT(a_one_way_request_is_not_answered),
		KIT(more_than_the_mount_can_hold_is_not_heard_for_now),
		KIT(who_finds_no_place_for_its_first_request_is_told_to_come_again),
		KIT(who_pipelines_small_requests_does_not_hold_up_a_slave),
		KIT(answers_that_nobody_takes_hold_no_descriptor),
		KIT(who_lets_most_answers_wait_makes_room_for_others),
		KIT(who_has_gone_gets_no_answer),
		KIT(an_answer_that_no_frame_can_hold_is_an_error_for_who_asked),
		KIT(an_answer_that_nobody_wanted_ends_it),
		KIT(the_mount_asks_the_master),
		KIT(a_call_without_an_answer_says_why),
		KIT(more_calls_than_there_are_places_are_refused),
		KIT(a_master_has_nobody_to_ask),
		MOUNT(what_is_not_served_is_answered_as_rocketmq_does),
		MOUNT(ext_fields_that_are_none_are_an_error_for_who_asked),
		MOUNT(a_call_returns_its_answer),
		MOUNT(a_call_ends_when_it_is_refused_or_the_link_ends_or_the_mount_does),
		MOUNT(a_link_that_is_full_does_not_outlive_its_run),
		MOUNT(a_call_that_mqrepld_forgets_ends_all_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
