/* repl_kit.h - a real mqrepld, with a mount that does what the test says, and
 * peers that are plain sockets.
 *
 * The log's byte at a position is known (kit_byte), so whatever arrives anywhere
 * can be compared.  Nothing here waits longer than KIT_WAIT_MS.
 */
#ifndef MQFS_TESTS_REPL_KIT_H
#define MQFS_TESTS_REPL_KIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "repl/board.h"

#define KIT_WAIT_MS 60000
#define KIT_SEGMENT 4096

struct kit {
	char dir[128];			/* commitlog/ */
	int dirfd;
	struct link_config config;
	int64_t begin, written;		/* the log, as the mount has it */

	pid_t pid;			/* mqrepld; 0: not started */
	int link;
	struct board board;
	void *ring;
	int port, remoting_port, vip_port;	/* it listens on */
	uint64_t ring_at;		/* taken out of the ring */
	bool busy;			/* the mount does not apply what comes */
	struct link_message last;	/* of those kit_hear() waited for, */
	int blob_fd;			/* and its blob, -1 */

	int listen;			/* the scripted master's, -1 */
	uint64_t turn;			/* how often mqrepld was told to follow it */
	uint32_t again;			/* so many of the log's last bytes it is to have sent once more */
};

int kit_setup(void **state);
int kit_teardown(void **state);

unsigned char kit_byte(int64_t pos);

/* The log's bytes are [begin, written) now, on disk too; the mount has not said so yet. */
void kit_log(struct kit *k, int64_t begin, int64_t written);
void kit_begin(struct kit *k);
void kit_start(struct kit *k);		/* and up to LINK_READY */
void kit_stop(struct kit *k);		/* SIGKILL */
void kit_marks(struct kit *k);

/* Serve the link until `wanted` comes (left in k->last), at most so long.
 * Appends on the way are checked and, unless busy, applied. */
bool kit_hear_for(struct kit *k, enum link_kind wanted, int wait_ms);
void kit_hear(struct kit *k, enum link_kind wanted);

/* Until mqrepld says a line that contains `text`. */
void kit_hear_say(struct kit *k, const char *text);

/* Until the peer is in that state, with a text that contains `text`. */
void kit_peer(struct kit *k, int32_t number, enum link_peer_state state, const char *text);
void kit_applied_to(struct kit *k, int64_t written);

/* A connection to mqrepld; a slave of it. */
int kit_connect(int port);
int kit_connect_from(int host, int port);	/* as 127.0.0.HOST */
int kit_slave(struct kit *k);
/* The master that mqrepld is to follow: its port is in the configuration. */
void kit_be_master(struct kit *k);
void kit_be_master_again(struct kit *k);	/* at that port, after k->listen was closed */
void kit_follow(struct kit *k);			/* from where the log ends */
int kit_accept(struct kit *k);			/* mqrepld, after telling it to follow */

/* What goes over a peer's socket.  `cut`: so many bytes at once. */
void kit_send(int fd, const void *bytes, size_t len, size_t cut);
void kit_send_report(int fd, int64_t pos);
void kit_send_frame(int fd, int64_t pos, int32_t len, size_t cut);	/* the log's bytes */
void kit_recv(int fd, void *buf, size_t len);
int64_t kit_recv_report(int fd);
void kit_recv_header(int fd, int64_t *ret_pos, int32_t *ret_len);
/* Frames from `from` on, until `to`; heartbeats between are passed over.  Returns how many. */
int kit_recv_log(int fd, int64_t from, int64_t to);
void kit_recv_end(int fd);	/* the other side closes */

#endif
