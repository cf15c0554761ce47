/* mqrepld as its peers and the mount see it. */
#include "config.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/futex.h"
#include "conf/slice.h"
#include "net/listener.h"
#include "repl/ha.h"
#include "repl/serve.h"
#include "tests/repl_kit.h"
#include "tests/vectors.h"

/* --- the master's side --------------------------------------------------------------- */

static void
recv_heartbeat(int fd, int64_t pos)
{
	int64_t at;
	int32_t len;

	kit_recv_header(fd, &at, &len);
	assert_int_equal(at, pos);
	assert_int_equal(len, 0);
}

/* The exchange of the reference, byte for byte. */
static void
the_master_speaks_as_rocketmq_does(void **state)
{
	static const unsigned char head[] = { 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0xac };
	static const unsigned char beat[] = { 0, 0, 0, 0, 0, 0, 4, 0xac, 0, 0, 0, 0 };
	static const unsigned char wants[] = { 0, 0, 0, 0, 0, 0, 4, 0 };
	struct kit *k = *state;
	unsigned char got[12 + 172];
	int fd, seg;

	k->config.heartbeat_ms = 200;
	kit_log(k, 0, VECTOR_POS + (int64_t)sizeof(vector_record));
	seg = openat(k->dirfd, "00000000000000000000", O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(seg, vector_record, sizeof(vector_record), VECTOR_POS), sizeof(vector_record));
	close(seg);
	kit_start(k);

	fd = kit_slave(k);
	kit_send(fd, wants, sizeof(wants), sizeof(wants));
	kit_recv(fd, got, sizeof(got));
	assert_memory_equal(got, head, sizeof(head));
	assert_memory_equal(got + 12, vector_record, sizeof(vector_record));
	kit_send_report(fd, 1196);
	kit_recv(fd, got, sizeof(beat));
	assert_memory_equal(got, beat, sizeof(beat));
	kit_peer(k, 1, LINK_PEER_TRANSFER, "127.0.0.1:");
	while (k->last.ack != 1196)
		kit_hear(k, LINK_PEER);
	assert_int_equal(k->last.sent, 1196);
	close(fd);
	kit_peer(k, 1, LINK_PEER_GONE, "");
}

static void
a_slave_that_reports_0_gets_everything_that_is_retained(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, KIT_SEGMENT, 3 * KIT_SEGMENT + 100);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 0);
	kit_recv_log(fd, KIT_SEGMENT, 3 * KIT_SEGMENT + 100);
	close(fd);
}

static void
frames_end_with_their_segment(void **state)
{
	struct kit *k = *state;
	int fd, frames;

	kit_log(k, 0, 2 * KIT_SEGMENT + 10);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 1);
	frames = kit_recv_log(fd, 1, 2 * KIT_SEGMENT + 10);
	assert_int_equal(frames, 5 + 5 + 1);	/* 1000 bytes each, and what is left of a segment */
	close(fd);
}

static void
what_is_appended_is_sent_at_once_to_all(void **state)
{
	struct kit *k = *state;
	int fd[5];

	kit_log(k, 0, 100);
	kit_start(k);
	for (int i = 0; i < 5; i++) {
		fd[i] = kit_slave(k);
		kit_send_report(fd[i], 20 * i + 1);
		kit_recv_log(fd[i], 20 * i + 1, 100);
	}
	for (int64_t end = 200; end < 3 * KIT_SEGMENT; end += 977) {
		int64_t before = k->written;

		kit_log(k, 0, end);
		kit_marks(k);
		for (int i = 0; i < 5; i++)
			kit_recv_log(fd[i], before, end);
	}
	for (int i = 0; i < 5; i++)
		close(fd[i]);
}

static void
a_report_may_come_in_pieces_and_with_others(void **state)
{
	struct kit *k = *state;
	unsigned char two[16];
	int fd;

	kit_log(k, 0, 3000);
	kit_start(k);
	fd = kit_slave(k);
	ha_put_report(two, 1000);
	kit_send(fd, two, 8, 1);
	kit_recv_log(fd, 1000, 3000);
	ha_put_report(two, 2000);
	ha_put_report(two + 8, 3000);
	kit_send(fd, two, 16, 11);
	do
		kit_peer(k, 1, LINK_PEER_TRANSFER, "");
	while (k->last.ack != 3000);
	close(fd);
}

static void
who_asks_for_what_is_not_there_gets_heartbeats_and_the_mount_knows(void **state)
{
	struct kit *k = *state;
	int fd;

	k->config.heartbeat_ms = 300;
	kit_log(k, 0, 5 * KIT_SEGMENT);
	k->begin = 4 * KIT_SEGMENT;
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, KIT_SEGMENT);
	kit_peer(k, 1, LINK_PEER_WAITING, "this log begins at 16384");
	recv_heartbeat(fd, KIT_SEGMENT);
	close(fd);
	kit_peer(k, 1, LINK_PEER_GONE, "");

	fd = kit_slave(k);
	kit_send_report(fd, 5 * KIT_SEGMENT + 1);
	kit_peer(k, 1, LINK_PEER_WAITING, "this log ends at 20480");
	recv_heartbeat(fd, 5 * KIT_SEGMENT + 1);
	kit_log(k, k->begin, 6 * KIT_SEGMENT);	/* it has grown past it, but it is another log */
	kit_marks(k);
	kit_send_report(fd, 5 * KIT_SEGMENT + 1);
	recv_heartbeat(fd, 5 * KIT_SEGMENT + 1);
	recv_heartbeat(fd, 5 * KIT_SEGMENT + 1);
	close(fd);
}

static void
a_report_of_what_was_not_sent_closes(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 100);
	kit_recv_log(fd, 100, 500);
	kit_send_report(fd, 501);
	kit_recv_end(fd);
	kit_peer(k, 1, LINK_PEER_GONE, "was sent no more than 500");
	assert_true(k->last.ack <= 500);
}

static void
what_is_no_position_closes(void **state)
{
	static const unsigned char negative[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send(fd, negative, sizeof(negative), 3);
	kit_recv_end(fd);
	fd = kit_slave(k);
	kit_send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 18);
	kit_recv_end(fd);
	kit_hear_say(k, "which no log has");
}

/* It comes again and again, but is told of once. */
static void
who_is_not_on_the_list_is_turned_away(void **state)
{
	struct kit *k = *state;

	kit_log(k, 0, 500);
	assert_true(allow_parse("10.0.0.0/8 ::1", &k->config.allow));
	kit_start(k);
	for (int i = 0; i < 5; i++) {
		kit_recv_end(kit_slave(k));
		kit_recv_end(kit_connect(k->remoting_port));
	}
	kit_hear_say(k, "connection from 127.0.0.1 refused: haAllow does not have it");
	assert_false(kit_hear_for(k, LINK_SAY, 200));
}

/* Its port is that of the crowd's, too. */
static int
slave_from(struct kit *k, const char *address)
{
	struct sockaddr_in from = { .sin_family = AF_INET }, to = from;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(inet_pton(AF_INET, address, &from.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	to.sin_port = htons((uint16_t)k->port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* At 128 a second, which is what all get together who may come in, it were 30 s. */
static void
a_crowd_that_is_turned_away_takes_nobodys_turn(void **state)
{
	struct kit *k = *state;
	int64_t began;
	int fd;

	kit_log(k, 0, 500);
	assert_true(allow_parse("127.0.0.2", &k->config.allow));
	kit_start(k);
	began = clock_mono_ms();
	for (int i = 0; i < 3840; i++)
		kit_recv_end(kit_slave(k));
	fd = slave_from(k, "127.0.0.2");
	kit_send_report(fd, 100);
	kit_recv_log(fd, 100, 500);
	assert_true(clock_mono_ms() < began + 25000);
	close(fd);
}

static void
who_is_on_the_list_is_served(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 500);
	assert_true(allow_parse("10.0.0.0/8 127.0.0.0/8", &k->config.allow));
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 100);
	kit_recv_log(fd, 100, 500);
	close(fd);
}

static void
who_speaks_tls_to_a_plain_master_hears_the_end(void **state)
{
	static const unsigned char hello[] = { 0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3 };
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send(fd, hello, sizeof(hello), sizeof(hello));
	kit_recv_end(fd);
	kit_hear_say(k, "speaks TLS, but there is no tlsCert here");
}

static void
who_reports_nothing_is_closed(void **state)
{
	struct kit *k = *state;
	int silent, fd;

	k->config.housekeeping_ms = 1000;
	k->config.heartbeat_ms = 100;
	kit_log(k, 0, 500);
	kit_start(k);
	silent = kit_slave(k);
	fd = kit_slave(k);
	kit_send_report(fd, 100);
	kit_recv_end(silent);
	kit_recv_end(fd);
	kit_peer(k, 2, LINK_PEER_GONE, "has reported nothing for 1000 ms");
}

static void
an_idle_slave_that_reports_stays(void **state)
{
	struct kit *k = *state;
	int fd;

	k->config.housekeeping_ms = 2000;
	k->config.heartbeat_ms = 150;
	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 500);
	for (int i = 0; i < 20; i++) {
		recv_heartbeat(fd, 500);
		kit_send_report(fd, 500);
	}
	close(fd);
}

/* Nothing can be heard of anybody while the machine stands still. */
static void
an_mqrepld_that_stood_still_drops_nobody(void **state)
{
	struct kit *k = *state;
	int fd;

	k->config.housekeeping_ms = 1000;
	k->config.heartbeat_ms = 100;
	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 500);
	recv_heartbeat(fd, 500);
	assert_int_equal(kill(k->pid, SIGSTOP), 0);
	poll(NULL, 0, 2000);
	assert_int_equal(kill(k->pid, SIGCONT), 0);
	for (int i = 0; i < 3; i++) {
		recv_heartbeat(fd, 500);
		kit_send_report(fd, 500);
	}
	close(fd);
}

static void
a_slave_that_does_not_read_harms_nobody(void **state)
{
	const int64_t end = 2048 * KIT_SEGMENT;
	struct kit *k = *state;
	int stuck, fd;

	k->config.batch_bytes = 32768;
	kit_log(k, 0, end);
	kit_start(k);
	stuck = kit_slave(k);
	kit_send_report(stuck, 1);
	fd = kit_slave(k);
	kit_send_report(fd, 1);
	kit_recv_log(fd, 1, end);
	kit_recv_log(stuck, 1, end);	/* and it can go on when it likes */
	close(stuck);
	close(fd);
}

static void
a_flood_of_silent_connections_keeps_no_slave_out(void **state)
{
	struct kit *k = *state;
	int flood[3 * SERVE_SLAVES_MAX], fd;

	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 500);
	kit_peer(k, 1, LINK_PEER_TRANSFER, "");
	for (int i = 0; i < 3 * SERVE_SLAVES_MAX; i++)
		flood[i] = kit_slave(k);
	int late = kit_slave(k);

	kit_send_report(late, 100);
	kit_recv_log(late, 100, 500);
	kit_log(k, 0, 700);
	kit_marks(k);
	kit_recv_log(fd, 500, 700);
	for (int i = 0; i < 3 * SERVE_SLAVES_MAX; i++)
		close(flood[i]);
	close(late);
	close(fd);
}

/* Until slave `number` is known to have acknowledged that. */
static void
kit_acked(struct kit *k, int32_t number, int64_t ack)
{
	do
		kit_hear(k, LINK_PEER);
	while (k->last.peer != number || k->last.ack < ack);
}

static int
idle_reporter(struct kit *k)
{
	int fd = kit_slave(k);

	kit_send_report(fd, 500);
	do
		kit_hear(k, LINK_PEER);
	while (k->last.state != LINK_PEER_TRANSFER || k->last.pos != 500);
	return fd;
}

/* A report is easily said; who acknowledges what it was sent keeps its place. */
static void
idle_reporters_keep_no_slave_out(void **state)
{
	enum { CROWD = 2 * SERVE_SLAVES_MAX };
	struct kit *k = *state;
	int crowd[CROWD], slave;
	int32_t number;

	k->config.eager = 1;
	kit_log(k, 0, 500);
	kit_start(k);
	for (int i = 0; i < SERVE_SLAVES_MAX; i++)
		crowd[i] = idle_reporter(k);
	slave = kit_slave(k);			/* from the same host */
	kit_send_report(slave, 100);
	do
		kit_hear(k, LINK_PEER);
	while (k->last.state != LINK_PEER_TRANSFER || k->last.pos != 100);
	number = k->last.peer;
	kit_recv_log(slave, 100, 500);
	kit_send_report(slave, 500);
	kit_acked(k, number, 500);
	for (int i = SERVE_SLAVES_MAX; i < CROWD; i++)
		crowd[i] = idle_reporter(k);
	kit_log(k, 0, 700);
	kit_marks(k);
	kit_recv_log(slave, 500, 700);
	for (int i = 0; i < CROWD; i++)
		close(crowd[i]);
	close(slave);
}

/* Of two other hosts they take all places, until they have had time enough to be of use. */
static void
idle_reporters_of_other_hosts_keep_no_slave_out(void **state)
{
	struct kit *k = *state;
	int crowd[SERVE_SLAVES_MAX], slave;

	kit_log(k, 0, 500);
	kit_start(k);
	for (int i = 0; i < SERVE_SLAVES_MAX; i++) {
		crowd[i] = kit_connect_from(2 + i % 2, k->port);
		kit_send_report(crowd[i], 500);
	}
	slave = kit_slave(k);
	kit_send_report(slave, 1);
	kit_recv_log(slave, 1, 500);
	for (int i = 0; i < SERVE_SLAVES_MAX; i++)
		close(crowd[i]);
	close(slave);
}

static void
a_segment_that_cannot_be_read_ends_the_connection_with_its_name(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 2 * KIT_SEGMENT);
	assert_int_equal(unlinkat(k->dirfd, "00000000000000004096", 0), 0);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 1);
	kit_recv_log(fd, 1, KIT_SEGMENT);
	kit_recv_end(fd);
	kit_peer(k, 1, LINK_PEER_GONE, "commitlog/00000000000000004096: No such file");
}

/* While the slave is busy with one piece of the log the next ones wait for its ack. */
static void
what_is_appended_meanwhile_goes_out_with_the_next_ack(void **state)
{
	struct kit *k = *state;
	int64_t end = 500;
	int fd, frames = 0;

	k->config.eager = 1;
	kit_log(k, 0, end);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, end);
	kit_peer(k, 1, LINK_PEER_TRANSFER, "");
	for (int round = 0; round < 20; round++) {
		int64_t from = end;

		for (int i = 0; i < 10; i++) {
			end += 10;
			kit_log(k, 0, end);
			kit_marks(k);
		}
		frames += kit_recv_log(fd, from, end);
		kit_send_report(fd, end);
	}
	assert_true(frames < 200 / 2);
	close(fd);
}

/* As the mount's thread does it that answers writes of a SYNC_MASTER. */
static void
an_ack_that_is_waited_for_wakes_who_waits(void **state)
{
	struct kit *k = *state;
	struct board_marks *marks = k->board.marks;
	int fd;

	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 100);
	kit_peer(k, 1, LINK_PEER_TRANSFER, "");
	for (int64_t ack = 200; ack <= 500; ack += 100) {
		uint32_t seen = atomic_load(&k->board.acks->news);

		kit_recv_log(fd, ack == 200 ? 100 : 500, 500);
		atomic_store(&marks->wanted, ack - 1);
		kit_send_report(fd, ack);
		while (board_ack_of(k->board.acks, 1, k->last.id) < ack) {
			futex_wait(&k->board.acks->news, true, seen, KIT_WAIT_MS);
			assert_int_not_equal(atomic_load(&k->board.acks->news), seen);
		}
		assert_int_equal(board_ack_of(k->board.acks, 1, k->last.id + 1), 0);
	}
	close(fd);
}

static void
whatever_is_sent_to_it_others_are_served(void **state)
{
	struct kit *k = *state;
	uint32_t seed = 20261121;
	int fd;

	kit_log(k, 0, 2 * KIT_SEGMENT);
	k->config.eager = 1;
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 2 * KIT_SEGMENT - 100);
	kit_recv_log(fd, 2 * KIT_SEGMENT - 100, 2 * KIT_SEGMENT);
	kit_send_report(fd, 2 * KIT_SEGMENT);	/* it follows: others come and go */
	kit_acked(k, 1, 2 * KIT_SEGMENT);
	for (int i = 0; i < 100; i++) {
		unsigned char bytes[64];
		int wild = kit_slave(k);

		for (size_t j = 0; j < sizeof(bytes); j++) {
			seed = seed * 1664525 + 1013904223;
			bytes[j] = i % 2 && j % 8 < 6 ? 0 : (unsigned char)(seed >> 24);
		}
		(void)!send(wild, bytes, 1 + seed % sizeof(bytes), MSG_NOSIGNAL);
		close(wild);
	}
	kit_log(k, 0, 2 * KIT_SEGMENT + 100);
	kit_marks(k);
	kit_recv_log(fd, 2 * KIT_SEGMENT, 2 * KIT_SEGMENT + 100);
	close(fd);
}

static void
a_port_that_is_taken_is_tried_again(void **state)
{
	struct kit *k = *state;

	kit_be_master(k);		/* it holds the port */
	k->config.slave = 0;
	k->config.port = atoi(strchr(k->config.master, ':') + 1);
	kit_begin(k);
	do
		kit_hear(k, LINK_SAY);
	while (!strstr(k->last.text, "Address already in use"));
	assert_false(kit_hear_for(k, LINK_SAY, 1500));	/* said once */
	close(k->listen);
	k->listen = -1;
	kit_hear(k, LINK_READY);
	assert_int_equal(k->last.port, k->config.port);
}

static void
a_slave_mount_may_listen_nowhere(void **state)
{
	struct kit *k = *state;

	k->config.listen[0] = '\0';
	kit_start(k);
	assert_int_equal(k->port, 0);
}

/* --- the slave's side ------------------------------------------------------------------- */

static void
the_slave_speaks_as_rocketmq_does(void **state)
{
	static const unsigned char wants[] = { 0, 0, 0, 0, 0, 0, 4, 0 };
	static const unsigned char acks[] = { 0, 0, 0, 0, 0, 0, 4, 0xac };
	struct kit *k = *state;
	unsigned char got[8];
	int fd;

	k->config.heartbeat_ms = 300;
	kit_log(k, 0, 1024);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	kit_recv(fd, got, 8);		/* at once */
	assert_memory_equal(got, wants, 8);
	kit_send_frame(fd, 1024, 172, 184);
	kit_applied_to(k, 1196);
	kit_recv(fd, got, 8);
	assert_memory_equal(got, acks, 8);
	kit_recv(fd, got, 8);		/* its heartbeat */
	assert_memory_equal(got, acks, 8);
	kit_send_frame(fd, 1196, 0, 12);
	kit_send_frame(fd, 1196, 4, 16);
	kit_applied_to(k, 1200);
	close(fd);
}

static void
single_bytes_are_enough(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 4000);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 4000);
	kit_send_frame(fd, 4000, 96, 1);
	kit_send_frame(fd, 4096, 0, 1);
	kit_send_frame(fd, 4096, 500, 1);
	kit_applied_to(k, 4596);
	while (kit_recv_report(fd) != 4596)
		;
	close(fd);
}

/* Frames of all lengths, and heartbeats, one behind the other, as the network may cut them. */
static void
frames_may_come_together(void **state)
{
	static const size_t cuts[] = { 1 << 20, 4096, 4108, 1000, 13, 11 };
	struct kit *k = *state;
	unsigned char all[32768];
	int64_t at = 100;
	int fd;

	kit_log(k, 0, at);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), at);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		size_t n = 0;

		for (int32_t len = 0; len < 200; len++) {
			int32_t in_segment = KIT_SEGMENT - (int32_t)(at % KIT_SEGMENT), body = len < in_segment ? len : in_segment;

			ha_put_header(all + n, at, body);
			n += HA_HEADER_BYTES;
			for (int32_t j = 0; j < body; j++)
				all[n++] = kit_byte(at++);
		}
		kit_send(fd, all, n, cuts[i]);
		kit_applied_to(k, at);
	}
	close(fd);
}

/* How often a process has called read(2) and its like; -1: this system does not tell. */
static int64_t
reads_of(pid_t pid)
{
	char path[32], line[64];
	long long n = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/io", (int)pid);
	f = fopen(path, "r");
	while (f && n < 0 && fgets(line, sizeof(line), f))
		(void)sscanf(line, "syscr: %lld", &n);
	if (f)
		fclose(f);
	return n;
}

static void
a_short_frame_is_one_read(void **state)
{
	struct kit *k = *state;
	int64_t at = 4 * KIT_SEGMENT, before;
	int fd;

	kit_log(k, 0, at);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), at);
	before = reads_of(k->pid);
	for (int i = 0; i < 40; i++) {
		kit_send_frame(fd, at, 100, 200);
		at += 100;
		kit_applied_to(k, at);
	}
	assert_in_range(reads_of(k->pid) - before, 0, 60);
	close(fd);
}

static void
an_empty_slave_gets_everything(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 1);
	kit_send_frame(fd, 1, KIT_SEGMENT - 1, 5000);
	kit_send_frame(fd, KIT_SEGMENT, 100, 5000);
	kit_applied_to(k, KIT_SEGMENT + 100);
	assert_int_equal(k->begin, 0);
	close(fd);
}

static void
an_empty_slave_of_an_empty_master_gets_its_first_message(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 1);
	kit_send_frame(fd, 1, 0, 12);
	kit_send_frame(fd, 1, 0, 12);
	kit_send_frame(fd, 1, 299, 400);
	kit_applied_to(k, 300);
	close(fd);
}

static void
an_empty_slave_begins_where_it_is_told(void **state)
{
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_FOLLOW, .pos = 3 * KIT_SEGMENT, .id = 1 };
	struct kit *k = *state;
	int fd;

	kit_be_master(k);
	kit_start(k);
	assert_int_equal(link_send(k->link, &msg), MQ_OK);
	fd = accept(k->listen, NULL, NULL);
	assert_int_equal(kit_recv_report(fd), 3 * KIT_SEGMENT);
	kit_send_frame(fd, 3 * KIT_SEGMENT, 200, 1000);
	kit_applied_to(k, 3 * KIT_SEGMENT + 200);
	assert_int_equal(k->begin, 3 * KIT_SEGMENT);
	close(fd);
}

/* Whether and from where is the mount's decision, each time. */
static void
it_rests_until_it_is_told_to_follow(void **state)
{
	struct kit *k = *state;
	struct link_message rest = { .version = LINK_VERSION, .kind = LINK_REST };
	struct pollfd p = { .events = POLLIN };
	int fd;

	kit_log(k, 0, 100);
	kit_be_master(k);
	kit_start(k);
	p.fd = k->listen;
	assert_int_equal(poll(&p, 1, 200), 0);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 100);
	assert_int_equal(link_send(k->link, &rest), MQ_OK);
	kit_recv_end(fd);
	kit_peer(k, 0, LINK_PEER_GONE, "not followed any more");
	assert_int_equal(k->last.id, 1);
	assert_int_equal(poll(&p, 1, 200), 0);
	close(fd);
}

static void
a_silent_master_is_left_and_found_again(void **state)
{
	struct kit *k = *state;
	int fd;

	k->config.housekeeping_ms = 400;
	k->config.heartbeat_ms = 100;
	kit_log(k, 0, 100);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	kit_peer(k, 0, LINK_PEER_GONE, "has sent nothing for 400 ms");
	kit_recv_end(fd);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 100);
	kit_send_frame(fd, 100, 100, 200);
	kit_applied_to(k, 200);
	close(fd);
}

static void
it_reconnects_where_the_log_ends(void **state)
{
	struct kit *k = *state;
	unsigned char head[HA_HEADER_BYTES];
	int64_t at = 100;

	kit_log(k, 0, at);
	kit_be_master(k);
	kit_start(k);
	for (int i = 0; i < 3; i++) {
		int fd = kit_accept(k);

		assert_int_equal(kit_recv_report(fd), at);
		kit_send_frame(fd, at, 1000, 5000);
		ha_put_header(head, at + 1000, 10);
		kit_send(fd, head, sizeof(head), sizeof(head));	/* and is cut off */
		at += 1000;
		kit_applied_to(k, at);
		close(fd);
	}
}

/* The slave reports where its log ends, now and then and as it grows. */
static void
recv_reports_up_to(int fd, int64_t from, int64_t pos)
{
	int64_t at;

	while ((at = kit_recv_report(fd)) != pos) {
		assert_true(at >= from && at < pos);
		from = at;
	}
}

static void
the_logs_last_bytes_are_received_once_more_and_compared(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 5000);
	k->again = 1000;		/* over the end of a segment */
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 4000);
	kit_send_frame(fd, 4000, 600, 7);
	kit_send_frame(fd, 4600, 700, 5);	/* and new ones */
	recv_reports_up_to(fd, 4000, 5000);		/* now it is known to be the same log */
	kit_applied_to(k, 5300);
	recv_reports_up_to(fd, 5000, 5300);
	close(fd);
}

static void
a_master_with_other_bytes_than_the_log_is_left_and_the_mount_knows(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 300);
	k->again = 100;
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 200);
	kit_send_frame(fd, 200, 50, 99);
	{
		unsigned char head[HA_HEADER_BYTES], other[60] = { 0 };

		for (size_t i = 0; i < sizeof(other); i++)
			other[i] = kit_byte(250 + (int64_t)i);
		other[49] ^= 1;		/* byte 299, the log's last */
		ha_put_header(head, 250, sizeof(other));
		kit_send(fd, head, sizeof(head), sizeof(head));
		kit_send(fd, other, sizeof(other), sizeof(other));
	}
	kit_peer(k, 0, LINK_PEER_GONE, "has other bytes than this log between 200 and 300");
	assert_int_equal(k->last.code, MQ_ECORRUPT);
	assert_int_equal(k->written, 300);
	kit_recv_end(fd);
	close(fd);
}

static void
a_master_that_is_not_there_is_tried_again(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 100);
	kit_be_master(k);
	close(k->listen);
	k->listen = -1;
	kit_start(k);
	kit_follow(k);
	kit_peer(k, 0, LINK_PEER_GONE, "Connection refused");
	kit_be_master_again(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), 100);
	close(fd);
}

static void
a_name_is_looked_up(void **state)
{
	struct kit *k = *state;
	char port[16];
	int fd;

	kit_log(k, 0, 100);
	kit_be_master(k);
	snprintf(port, sizeof(port), "%s", strchr(k->config.master, ':'));
	snprintf(k->config.master, sizeof(k->config.master), "localhost%s", port);
	kit_start(k);
	for (int i = 0; i < 2; i++) {
		fd = kit_accept(k);
		assert_int_equal(kit_recv_report(fd), 100);
		close(fd);
	}
}

static void
a_name_that_nobody_has_is_told(void **state)
{
	struct kit *k = *state;

	k->config.slave = 1;
	snprintf(k->config.master, sizeof(k->config.master), "nobody.invalid:10912");
	kit_start(k);
	kit_follow(k);
	kit_peer(k, 0, LINK_PEER_GONE, "nobody.invalid:10912: ");
	kit_stop(k);
	snprintf(k->config.master, sizeof(k->config.master), "nonsense");
	kit_start(k);
	kit_follow(k);
	kit_peer(k, 0, LINK_PEER_GONE, "is not HOST:PORT");
}

static void
a_frame_for_another_place_closes(void **state)
{
	struct kit *k = *state;
	int fd;

	kit_log(k, 0, 100);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	kit_send_frame(fd, 200, 10, 100);
	kit_peer(k, 0, LINK_PEER_GONE, "sends from 200, but this log ends at 100");
	kit_recv_end(fd);
	assert_int_equal(k->written, 100);
}

static void
garbage_of_a_master_closes(void **state)
{
	static const unsigned char too_long[12] = { 0, 0, 0, 0, 0, 0, 0, 100, 0x7f, 0xff, 0xff, 0xff };
	static const unsigned char negative[12] = { 0, 0, 0, 0, 0, 0, 0, 100, 0xff, 0xff, 0xff, 0xff };
	const unsigned char *const garbage[] = { too_long, negative };
	struct kit *k = *state;

	kit_log(k, 0, 100);
	kit_be_master(k);
	kit_start(k);
	for (size_t i = 0; i < 2; i++) {
		int fd = kit_accept(k);

		kit_send(fd, garbage[i], 12, 12);
		kit_peer(k, 0, LINK_PEER_GONE, "sends a frame of");
		kit_recv_end(fd);
	}
	assert_int_equal(k->written, 100);
}

/* More than the ring holds, while the mount sleeps: the network waits, nothing is lost. */
static void
a_full_ring_holds_the_master_back(void **state)
{
	const int64_t all = 3 * (int64_t)LINK_RING_BYTES;
	struct kit *k = *state;
	int64_t at = 100;
	int fd, flags;

	k->config.housekeeping_ms = 1500;
	k->config.heartbeat_ms = 100;
	kit_log(k, 0, at);
	kit_be_master(k);
	kit_start(k);
	fd = kit_accept(k);
	assert_int_equal(kit_recv_report(fd), at);
	flags = fcntl(fd, F_GETFL);
	assert_int_equal(fcntl(fd, F_SETFL, flags | O_NONBLOCK), 0);

	unsigned char frame[HA_HEADER_BYTES + KIT_SEGMENT];
	size_t len = 0, sent = 0;
	int64_t until = clock_mono_ms() + 60000, full_ms = 0;

	while (at < all || sent < len) {
		struct pollfd p[2] = { { .fd = fd, .events = POLLOUT }, { .fd = k->link, .events = POLLIN } };

		assert_true(clock_mono_ms() < until);
		if (sent == len) {
			int32_t body = KIT_SEGMENT - (int32_t)(at % KIT_SEGMENT);

			ha_put_header(frame, at, body);
			for (int32_t i = 0; i < body; i++)
				frame[HA_HEADER_BYTES + i] = kit_byte(at + i);
			at += body;
			len = HA_HEADER_BYTES + (size_t)body;
			sent = 0;
		}
		ssize_t n = send(fd, frame + sent, len - sent, MSG_NOSIGNAL);

		if (n > 0) {
			sent += (size_t)n;
			continue;
		}
		if (!full_ms)
			full_ms = clock_mono_ms();
		if (clock_mono_ms() < full_ms + 3000)	/* twice the time a silent master has */
			poll(p, 1, 50);
		else if (poll(p, 2, 1000) > 0 && p[1].revents)
			kit_hear_for(k, LINK_APPEND, 1);
	}
	assert_true(full_ms > 0);
	while (k->written < at) {
		kit_hear(k, LINK_APPEND);
		if (k->written % (256 * KIT_SEGMENT) == 0)
			kit_send_frame(fd, at, 0, 12);	/* still there */
	}
	close(fd);
}

static void
a_killed_mqrepld_goes_on_where_the_log_ends(void **state)
{
	struct kit *k = *state;
	int64_t at = 1;

	kit_be_master(k);
	for (int i = 0; i < 5; i++) {
		int fd;

		kit_start(k);
		fd = kit_accept(k);
		assert_int_equal(kit_recv_report(fd), at);
		kit_send_frame(fd, at, 500, 300);
		at += 500;
		kit_applied_to(k, at);
		kit_stop(k);
		kit_recv_end(fd);
	}
}

static void
a_slave_serves_slaves(void **state)
{
	struct kit *k = *state;
	int up, down;

	kit_log(k, 0, 1000);
	kit_be_master(k);
	kit_start(k);
	up = kit_accept(k);
	assert_int_equal(kit_recv_report(up), 1000);
	down = kit_slave(k);
	kit_send_report(down, 500);
	kit_recv_log(down, 500, 1000);
	close(up);
	close(down);
}

/* --- the process ---------------------------------------------------------------------------- */

static bool
status_says(pid_t pid, const char *line)
{
	char path[40], text[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (!found && fgets(text, sizeof(text), f))
		found = strncmp(text, line, strlen(line)) == 0;
	fclose(f);
	return found;
}

static void
it_has_few_rights(void **state)
{
	struct kit *k = *state;
	char path[48];
	int fd;

	kit_log(k, 0, 500);
	kit_start(k);
	fd = kit_slave(k);
	kit_send_report(fd, 1);
	kit_recv_log(fd, 1, 500);
	assert_true(status_says(k->pid, "NoNewPrivs:\t1"));
	assert_true(status_says(k->pid, "CapEff:\t0000000000000000"));
	assert_false(status_says(k->pid, "Uid:\t0\t"));
#if defined(HAVE_SECCOMP) && !defined(MQFS_UNCONFINED)
	assert_true(status_says(k->pid, "Seccomp:\t2"));
#endif
	for (int i = 9; i < 64; i++) {		/* link, commitlog/, epoll, its sockets, the slave, its segment */
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)k->pid, i + 3);
		assert_int_not_equal(access(path, F_OK), 0);
	}
	close(fd);
}

static void
it_need_not_wait_for_threads_that_compute(void **state)
{
	struct kit *k = *state;

	if (slice_of(0) == 0)		/* this kernel has no slices to ask for, or this test has another class */
		skip();
	kit_start(k);
	assert_int_equal(slice_of(k->pid), SLICE_LEAST_NS);
}

static void
an_mqrepld_that_cannot_give_up_its_rights_ends(void **state)
{
	struct kit *k = *state;
	int status;

	if (geteuid() != 0)
		skip();
	snprintf(k->config.user, sizeof(k->config.user), "nobody-of-that-name");
	kit_begin(k);
	kit_hear_say(k, "there is no user nobody-of-that-name");
	assert_int_equal(k->last.level, LOG_ERR);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	close(k->link);
	k->pid = 0;
	snprintf(k->config.user, sizeof(k->config.user), "root");
	kit_begin(k);
	kit_hear_say(k, "user root is root");
}

/* --- the link ----------------------------------------------------------------------------- */

static void
it_ends_with_the_link(void **state)
{
	struct kit *k = *state;
	int status;

	kit_start(k);
	shutdown(k->link, SHUT_RDWR);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	k->pid = 0;
	close(k->link);
}

static void
it_does_not_believe_a_mount_that_talks_nonsense(void **state)
{
	struct kit *k = *state;
	struct link_message msg = { .version = LINK_VERSION, .kind = LINK_PEER, .text = "" };
	int status;

	kit_be_master(k);
	kit_start(k);
	assert_int_equal(link_send(k->link, &msg), MQ_OK);
	assert_int_equal(waitpid(k->pid, &status, 0), k->pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	k->pid = 0;
	close(k->link);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, kit_setup, kit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_master_speaks_as_rocketmq_does),
		TEST(a_slave_that_reports_0_gets_everything_that_is_retained),
		TEST(frames_end_with_their_segment),
		TEST(what_is_appended_is_sent_at_once_to_all),
		TEST(a_report_may_come_in_pieces_and_with_others),
		TEST(who_asks_for_what_is_not_there_gets_heartbeats_and_the_mount_knows),
		TEST(a_report_of_what_was_not_sent_closes),
		TEST(what_is_no_position_closes),
		TEST(who_is_not_on_the_list_is_turned_away),
		TEST(a_crowd_that_is_turned_away_takes_nobodys_turn),
		TEST(who_is_on_the_list_is_served),
		TEST(who_speaks_tls_to_a_plain_master_hears_the_end),
		TEST(who_reports_nothing_is_closed),
		TEST(an_idle_slave_that_reports_stays),
		TEST(an_mqrepld_that_stood_still_drops_nobody),
		TEST(a_slave_that_does_not_read_harms_nobody),
		TEST(a_flood_of_silent_connections_keeps_no_slave_out),
		TEST(idle_reporters_keep_no_slave_out),
		TEST(idle_reporters_of_other_hosts_keep_no_slave_out),
		TEST(a_segment_that_cannot_be_read_ends_the_connection_with_its_name),
		TEST(what_is_appended_meanwhile_goes_out_with_the_next_ack),
		TEST(an_ack_that_is_waited_for_wakes_who_waits),
		TEST(whatever_is_sent_to_it_others_are_served),
		TEST(a_port_that_is_taken_is_tried_again),
		TEST(a_slave_mount_may_listen_nowhere),
		TEST(the_slave_speaks_as_rocketmq_does),
		TEST(single_bytes_are_enough),
		TEST(frames_may_come_together),
		TEST(a_short_frame_is_one_read),
		TEST(an_empty_slave_gets_everything),
		TEST(an_empty_slave_begins_where_it_is_told),
		TEST(it_rests_until_it_is_told_to_follow),
		TEST(an_empty_slave_of_an_empty_master_gets_its_first_message),
		TEST(a_silent_master_is_left_and_found_again),
		TEST(it_reconnects_where_the_log_ends),
		TEST(the_logs_last_bytes_are_received_once_more_and_compared),
		TEST(a_master_with_other_bytes_than_the_log_is_left_and_the_mount_knows),
		TEST(a_master_that_is_not_there_is_tried_again),
		TEST(a_name_is_looked_up),
		TEST(a_name_that_nobody_has_is_told),
		TEST(a_frame_for_another_place_closes),
		TEST(garbage_of_a_master_closes),
		TEST(a_full_ring_holds_the_master_back),
		TEST(a_killed_mqrepld_goes_on_where_the_log_ends),
		TEST(a_slave_serves_slaves),
		TEST(it_has_few_rights),
		TEST(it_need_not_wait_for_threads_that_compute),
		TEST(an_mqrepld_that_cannot_give_up_its_rights_ends),
		TEST(it_ends_with_the_link),
		TEST(it_does_not_believe_a_mount_that_talks_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
