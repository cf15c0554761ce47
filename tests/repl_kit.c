#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "net/start.h"
#include "repl/ha.h"
#include "tests/repl_kit.h"
#include "tests/tree.h"

/* --- the log --------------------------------------------------------------------- */

unsigned char
kit_byte(int64_t pos)
{
	uint64_t x = (uint64_t)pos * 0x9e3779b97f4a7c15u;

	return pos == 0 ? 0 : (unsigned char)(x >> 56 ^ x >> 24);
}

static void
write_segment(struct kit *k, int64_t base, int64_t end)
{
	static unsigned char bytes[KIT_SEGMENT];
	char name[24];
	int fd;

	snprintf(name, sizeof(name), "%020" PRId64, base);
	fd = openat(k->dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	for (int64_t i = 0; i < KIT_SEGMENT; i++)
		bytes[i] = base + i < end ? kit_byte(base + i) : 0xee;
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	close(fd);
}

void
kit_log(struct kit *k, int64_t begin, int64_t written)
{
	for (int64_t base = begin - begin % KIT_SEGMENT; base < written; base += KIT_SEGMENT)
		if (base + KIT_SEGMENT > k->written || begin < k->begin)
			write_segment(k, base, written);
	k->begin = begin;
	k->written = written;
}

/* --- mqrepld ------------------------------------------------------------------------ */

void
kit_marks(struct kit *k)
{
	const uint64_t one = 1;

	atomic_store(&k->board.marks->begin, k->begin);
	atomic_store(&k->board.marks->written, k->written);
	if (atomic_load(&k->board.acks->sleeps) % 2 == 1)
		assert_int_equal(write(k->board.wake_fd, &one, sizeof(one)), sizeof(one));
}

static const struct start_what mqrepld = { "mqrepld", "MQREPLD", "repl/mqrepld", "mqrepld" };

void
kit_begin(struct kit *k)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_CONFIG, .config = k->config };
	int rc;

	assert_int_equal(k->pid, 0);
	kit_marks(k);
	assert_int_equal(start_daemon(&mqrepld, NULL, k->dirfd, &k->pid, &k->link, &k->ring), MQ_OK);
	k->ring_at = 0;
	assert_int_equal(link_send(k->link, &msg), MQ_OK);
	rc = board_give(&k->board, k->link);
	if (rc != -EPIPE)		/* it may have ended already, for what the configuration says */
		assert_int_equal(rc, MQ_OK);
}

void
kit_start(struct kit *k)
{
	kit_begin(k);
	kit_hear(k, LINK_READY);
	k->port = k->last.port;
	k->remoting_port = k->last.remoting_port;
	k->vip_port = k->last.vip_port;
}

void
kit_stop(struct kit *k)
{
	int status;

	if (k->pid == 0)
		return;
	kill(k->pid, SIGKILL);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) != 0)
		print_message("mqrepld ended by itself: %d\n", WEXITSTATUS(status));
	close(k->link);
	munmap(k->ring, LINK_RING_BYTES);
	k->pid = 0;
}

static void
apply(struct kit *k, const struct link_message *msg)
{
	const unsigned char *ring = k->ring;
	int64_t end = msg->pos + msg->len;

	assert_int_equal(msg->ring_at, k->ring_at);
	assert_true(msg->len > 0);
	if (k->written == 0)
		k->begin = k->written = msg->pos;
	assert_int_equal(msg->pos, k->written);
	assert_int_equal(msg->pos / KIT_SEGMENT, (end - 1) / KIT_SEGMENT);
	for (uint32_t i = 0; i < msg->len; i++)
		if (ring[(msg->ring_at + i) % LINK_RING_BYTES] != kit_byte(msg->pos + i))
			fail_msg("a wrong byte for position %" PRId64, msg->pos + i);
	k->ring_at += msg->len;
	k->written = end;
	kit_marks(k);
}

static void
forget_blob(struct kit *k)
{
	if (k->blob_fd >= 0)
		close(k->blob_fd);
	k->blob_fd = -1;
}

static bool
hear_one(struct kit *k, int wait_ms, struct link_message *msg)
{
	struct pollfd p = { .fd = k->link, .events = POLLIN };

	if (poll(&p, 1, wait_ms) <= 0)
		return false;
	forget_blob(k);
	assert_int_equal(link_receive(k->link, 0, msg, &k->blob_fd), MQ_OK);
	if (msg->kind == LINK_APPEND && !k->busy)
		apply(k, msg);
	return true;
}

bool
kit_hear_for(struct kit *k, enum link_kind wanted, int wait_ms)
{
	int64_t until = clock_mono_ms() + wait_ms, now;
	struct link_message msg;

	while ((now = clock_mono_ms()) < until)
		if (hear_one(k, (int)(until - now), &msg) && msg.kind == wanted) {
			k->last = msg;
			return true;
		}
	return false;
}

void
kit_hear(struct kit *k, enum link_kind wanted)
{
	if (!kit_hear_for(k, wanted, KIT_WAIT_MS))
		fail_msg("no message of kind %d came", (int)wanted);
}

void
kit_hear_say(struct kit *k, const char *text)
{
	do
		kit_hear(k, LINK_SAY);
	while (!strstr(k->last.text, text));
}

void
kit_peer(struct kit *k, int32_t number, enum link_peer_state state, const char *text)
{
	int64_t until = clock_mono_ms() + KIT_WAIT_MS;

	do {
		if (clock_mono_ms() >= until)
			fail_msg("peer %d never was in state %d with '%s', last '%s'", number, (int)state, text,
				 k->last.text);
		kit_hear(k, LINK_PEER);
	} while (k->last.peer != number || k->last.state != (int32_t)state || !strstr(k->last.text, text));
}

void
kit_applied_to(struct kit *k, int64_t written)
{
	while (k->written < written)
		kit_hear(k, LINK_APPEND);
	assert_int_equal(k->written, written);
}

/* --- peers ---------------------------------------------------------------------------- */

static struct sockaddr_in
loopback(int port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

static void
never_wait_for_ever(int fd)
{
	const struct timeval wait = { .tv_sec = KIT_WAIT_MS / 1000 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)), 0);
}

int
kit_connect_from(int host, int port)
{
	struct sockaddr_in addr = loopback(port), from = loopback(0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	never_wait_for_ever(fd);
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + (in_addr_t)host);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

int
kit_connect(int port)
{
	return kit_connect_from(1, port);
}

int
kit_slave(struct kit *k)
{
	return kit_connect(k->port);
}

static int
listen_at(struct kit *k, int port)
{
	struct sockaddr_in addr = loopback(port);
	socklen_t len = sizeof(addr);
	int on = 1;

	k->listen = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(k->listen >= 0);
	assert_int_equal(setsockopt(k->listen, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	assert_int_equal(bind(k->listen, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(k->listen, 8), 0);
	assert_int_equal(getsockname(k->listen, (struct sockaddr *)&addr, &len), 0);
	never_wait_for_ever(k->listen);
	return ntohs(addr.sin_port);
}

void
kit_be_master(struct kit *k)
{
	k->config.slave = 1;
	snprintf(k->config.master, sizeof(k->config.master), "127.0.0.1:%d", listen_at(k, 0));
}

void
kit_be_master_again(struct kit *k)
{
	listen_at(k, atoi(strchr(k->config.master, ':') + 1));
}

void
kit_follow(struct kit *k)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_FOLLOW, .pos = k->written, .id = ++k->turn,
				    .len = k->again };

	for (int64_t at = k->written - k->again; at < k->written; at++) {
		unsigned char byte = kit_byte(at);

		msg.crc = libdeflate_crc32(msg.crc, &byte, 1);
	}

	assert_int_equal(link_send(k->link, &msg), MQ_OK);
}

int
kit_accept(struct kit *k)
{
	int fd;

	kit_follow(k);
	fd = accept4(k->listen, NULL, NULL, SOCK_CLOEXEC);

	assert_true(fd >= 0);
	never_wait_for_ever(fd);
	return fd;
}

void
kit_send(int fd, const void *bytes, size_t len, size_t cut)
{
	const char *at = bytes;

	while (len > 0) {
		ssize_t n = send(fd, at, len < cut ? len : cut, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += n;
		len -= (size_t)n;
	}
}

void
kit_send_report(int fd, int64_t pos)
{
	unsigned char report[HA_REPORT_BYTES];

	ha_put_report(report, pos);
	kit_send(fd, report, sizeof(report), sizeof(report));
}

void
kit_send_frame(int fd, int64_t pos, int32_t len, size_t cut)
{
	unsigned char *frame = malloc(HA_HEADER_BYTES + (size_t)len);

	assert_non_null(frame);
	ha_put_header(frame, pos, len);
	for (int32_t i = 0; i < len; i++)
		frame[HA_HEADER_BYTES + i] = kit_byte(pos + i);
	kit_send(fd, frame, HA_HEADER_BYTES + (size_t)len, cut);
	free(frame);
}

void
kit_recv(int fd, void *buf, size_t len)
{
	char *at = buf;

	while (len > 0) {
		ssize_t n = recv(fd, at, len, 0);

		if (n <= 0)
			fail_msg("%zu bytes did not come: %s", len, n == 0 ? "closed" : strerror(errno));
		at += n;
		len -= (size_t)n;
	}
}

int64_t
kit_recv_report(int fd)
{
	struct ha_reports reports = { .part_len = 0 };
	unsigned char buf[HA_REPORT_BYTES];
	int64_t pos;

	kit_recv(fd, buf, sizeof(buf));
	assert_int_equal(ha_reports_take(&reports, buf, sizeof(buf), &pos), MQ_OK);
	return pos;
}

void
kit_recv_header(int fd, int64_t *ret_pos, int32_t *ret_len)
{
	struct ha_frames frames = { .head_len = 0 };

	kit_recv(fd, frames.head, HA_HEADER_BYTES);
	assert_int_equal(ha_frames_head(&frames, HA_HEADER_BYTES), MQ_OK);
	*ret_pos = frames.pos;
	*ret_len = frames.left;
}

int
kit_recv_log(int fd, int64_t from, int64_t to)
{
	static unsigned char body[HA_BODY_MAX];
	int frames = 0;

	while (from < to) {
		int64_t pos;
		int32_t len;

		kit_recv_header(fd, &pos, &len);
		assert_int_equal(pos, from);
		if (len == 0)
			continue;
		assert_int_equal(pos / KIT_SEGMENT, (pos + len - 1) / KIT_SEGMENT);
		kit_recv(fd, body, (size_t)len);
		for (int32_t i = 0; i < len; i++)
			if (body[i] != kit_byte(pos + i))
				fail_msg("a wrong byte at position %" PRId64, pos + i);
		from += len;
		frames++;
	}
	assert_int_equal(from, to);
	return frames;
}

void
kit_recv_end(int fd)
{
	char buf[4096];
	ssize_t n;

	do
		n = recv(fd, buf, sizeof(buf), 0);
	while (n > 0);
	assert_true(n == 0 || errno == ECONNRESET);
	close(fd);
}

/* --- begin and end ---------------------------------------------------------------------- */

int
kit_setup(void **state)
{
	struct kit *k = calloc(1, sizeof(*k));

	assert_non_null(k);
	tree_make(k->dir, sizeof(k->dir), NULL, "repl");
	assert_int_equal(chmod(k->dir, 0750), 0);	/* as the store has it */
	k->dirfd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(k->dirfd >= 0);
	k->listen = k->blob_fd = -1;
	assert_int_equal(board_open(&k->board), MQ_OK);
	atomic_store(&k->board.marks->wanted, INT64_MAX);
	k->config = (struct link_config){
		.listen = "127.0.0.1",
		.segment_bytes = KIT_SEGMENT,
		.heartbeat_ms = 5000,
		.housekeeping_ms = 20000,
		.batch_bytes = 1000,
	};
	*state = k;
	return 0;
}

int
kit_teardown(void **state)
{
	struct kit *k = *state;

	kit_stop(k);
	board_close(&k->board);
	forget_blob(k);
	if (k->listen >= 0)
		close(k->listen);
	close(k->dirfd);
	tree_remove(k->dir);
	free(k);
	return 0;
}
