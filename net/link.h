/* link.h - between the mount and a daemon.
 *
 *      mount.mqfs                                   mqrepld (no privileges)
 *   ┌──────────────┐   SEQPACKET socket, fd 3    ┌───────────────────────┐
 *   │ writes the   │ ── config, follow ─────────>│ serves slaves / is    │
 *   │ store        │ <── append, peer, say ───── │ the master's slave    │
 *   └──────────────┘   commitlog/, fd 4 (read)   └───────────────────────┘
 *                      ring, fd 5 (memory)
 *                      board (memory, repl/board.h): marks, acks
 *
 * mqrepld reads segments by itself (sendfile), and puts what it receives from a
 * master into the ring; the mount alone writes the store.  Each side checks what
 * it receives, and a message that cannot be ends the link:
 *
 *   both      link_receive(): kind, length and version, texts that end, numbers in
 *             range, blobs sealed and as long as the message says
 *   mount     APPEND: the bytes are the next ones of the ring, and are copied before
 *             they are looked at; whether the log takes them is the store's rule.
 *             RESPONSE: to a request that waits.  REQUEST: no more than may wait
 *   mqrepld   FOLLOW: where the log ends.  RESPONSE: to a request that a peer has sent
 *
 * If mqrepld dies the mount starts another one; nothing is lost, because the log
 * says where to go on.
 *
 * One message is one packet: struct link_message, host byte order (both are one
 * build on one machine; the version says so).
 *
 * What peers ask each other by the remoting protocol crosses the link as a
 * REQUEST and its RESPONSE, in both directions:
 *
 *      a peer ──> mqrepld ── REQUEST ──> mount        what this broker is asked
 *      mount ── REQUEST ──> mqrepld ──> our master    what this broker asks
 *
 * Each request has one response, unless the link ends first.  What does not fit
 * the packet comes beside it, in a blob: a memfd, sealed, that holds
 *
 *      ext_len bytes       the ext fields, pairs of texts: see fields.h
 *      len - ext_len       the body
 */
#ifndef MQFS_NET_LINK_H
#define MQFS_NET_LINK_H

#include <stddef.h>
#include <stdint.h>

#include "conf/allow.h"
#include "conf/pos.h"
#include "conf/settings.h"

#define LINK_VERSION 5
#define LINK_SOCKET_FD 3
#define LINK_COMMITLOG_FD 4
#define LINK_RING_FD 5
#define LINK_RING_BYTES (8u << 20)
#define LINK_TEXT_BYTES 200
#define LINK_BLOB_MAX (17u << 20)	/* a remoting frame fits, be its ext fields all escapes */
#define LINK_PEERS_MAX 64		/* slaves; they are numbers 1 on, and 0 is the master */
#define LINK_REQUESTS_MAX 64		/* of either side that the other has not answered yet */

enum link_kind {
	/* mount -> mqrepld */
	LINK_CONFIG = 1,	/* first; again when times or sizes in it have changed */
	LINK_FOLLOW = 4,	/* slave: connect to the master and go on at pos: where this
				 * log ends, or is to begin if it is empty.  The last len bytes
				 * before pos are received once more, and must have that crc */
	LINK_REST,		/* slave: close that connection */

	/* mqrepld -> mount */
	LINK_READY,		/* listens; which ports are in use, 0: not that one */
	LINK_APPEND,		/* slave: ring bytes [ring_at, ring_at + len) are the
				 * log's at pos; never across a segment */
	LINK_PEER,		/* a peer's state has changed, or moved on (at most once a second) */
	LINK_SAY,		/* a line for the log; text */

	/* both */
	LINK_REQUEST,		/* id, code, text: the peer's address, blob; a mount's has timeout_ms */
	LINK_RESPONSE,		/* id of the request, code, text: the remark, blob */

	LINK_PING,		/* mount -> mqrepld: say that you are there */
	LINK_PONG,		/* mqrepld -> mount: I am */

	LINK_RING,		/* mount -> daemon, after the configuration: descriptor number `code` beside
				 * the packet, of the board (repl/board.h) or of the rings (remoting/ring.h) */

	/* of mqremoted */
	LINK_MASTER,		/* mqremoted: a name server says who the master is; text: the
				 * addresses of its HA port and of its remoting port, a blank between */

	LINK_KINDS_END
};

enum link_peer_state {
	LINK_PEER_GONE,
	LINK_PEER_CONNECTING,	/* slave: trying to reach the master */
	LINK_PEER_WAITING,	/* master: connected, has not reported yet */
	LINK_PEER_TRANSFER,
};

struct link_config {
	int32_t slave;			/* 1: follow a master; slaves are served either way */
	char listen[64];		/* address to listen on */
	int32_t port;			/* HA port; 0: any */
	int32_t remoting_port;		/* 0: any; -1: none */
	int32_t vip_port;		/* where RocketMQ's clients look for it besides; 0: any; -1: none */
	char master[256];		/* HOST:PORT of its HA port */
	char master_remoting[256];	/* HOST:PORT */
	int64_t segment_bytes;
	int64_t heartbeat_ms;		/* haSendHeartbeatInterval */
	int64_t housekeeping_ms;	/* haHousekeepingInterval */
	int64_t batch_bytes;		/* haTransferBatchSize */
	int32_t eager;			/* 1: a SYNC_MASTER waits for acks: the next round goes out when one comes */
	char user[64];			/* to become; "": nobody, if it is root */
	char tls_cert[SETTING_PATH_BYTES];	/* "": no TLS */
	char tls_key[SETTING_PATH_BYTES];
	char tls_ca[SETTING_PATH_BYTES];
	struct allow allow;

	/* mqremoted */
	int32_t acl;			/* 1: the mount judges each request: judge.h */
	int32_t tls_how;		/* enum tls_how, of those who connect */
	int32_t tls_strangers;		/* 1: as tls_open_server() has it, with what follows */
	int32_t tls_ask, tls_verify;
	char tls_password[128];
	char namesrv[SETTING_PATH_BYTES * 2];	/* HOST:PORT;...; "": none */
	int64_t register_ms;		/* registerNameServerPeriod */
	int64_t register_timeout_ms;	/* registerBrokerTimeoutMills */
	int32_t register_always;	/* forceRegister */
	int32_t register_compressed;	/* compressedRegister */
};

struct link_message {
	uint32_t version;
	uint32_t kind;			/* enum link_kind */
	int64_t pos;			/* APPEND, FOLLOW: of the log; PEER: what it reported first */
	uint64_t ring_at;		/* counts bytes ever put in the ring; place is modulo its size */
	uint32_t len;			/* READY of mqremoted: clients; APPEND, FOLLOW; REQUEST, RESPONSE: of the blob, 0: there is none */
	uint32_t ext_len;		/* REQUEST, RESPONSE */
	uint64_t id;			/* REQUEST: unlike all others of its sender; RESPONSE: the request's;
					 * FOLLOW: unlike all others; PEER 0: the FOLLOW's it is about;
					 * other PEERs: unlike those of all other connections */
	int32_t code;			/* REQUEST, RESPONSE: of the remoting protocol; a response
					 * below 0 is -errno: there is no answer to be had;
					 * PEER 0: MQ_ECORRUPT: it has other bytes than this log */
	int32_t timeout_ms;		/* REQUEST of the mount */
	int32_t only_judge;		/* REQUEST of mqremoted: 1: the answer is whether it may be asked */
	int32_t port, remoting_port, vip_port;	/* READY */
	int32_t peer;			/* PEER: its number, from 1 on; the master is 0 */
	int32_t state;			/* PEER: enum link_peer_state */
	int64_t ack;			/* PEER: where it is in the log */
	int64_t sent;			/* PEER: what it was sent, or has sent */
	int32_t level;			/* SAY: of syslog(3) */
	uint32_t crc;			/* FOLLOW: CRC-32 of those len bytes */
	char text[LINK_TEXT_BYTES];	/* SAY: the line; PEER: its address, and why it went;
					 * REQUEST, RESPONSE: see there */
	struct link_config config;	/* CONFIG; no other message goes on to here */
};

/* How long a message of that kind is. */
size_t link_size(uint32_t kind);

/* Send one, with its blob (the caller's still; -1: it has none), flags as of
 * send(2).  -EPIPE: the other side is gone. */
int link_send_blob(int fd, int flags, const struct link_message *msg, int blob_fd);
int link_send(int fd, const struct link_message *msg);

/* Receive one and check that it can be.  *ret_blob is the caller's, or -1; NULL:
 * no message with one is expected.  MQ_EEND: the other side is gone; -EAGAIN with
 * MSG_DONTWAIT in flags, or when SO_RCVTIMEO is over; MQ_ECORRUPT: not a message (noted). */
int link_receive(int fd, int flags, struct link_message *ret_msg, int *ret_blob);

/* --- blobs -------------------------------------------------------------------------- */

/* A blob of ext fields and a body, and the lengths of both in *msg; *ret_fd is
 * -1 if both are empty.  -EMSGSIZE: more than LINK_BLOB_MAX (noted). */
int link_blob_make(struct link_message *msg, const void *ext, size_t ext_len, const void *body,
		   size_t body_len, int *ret_fd);

/* All of it, as the message says: *ret (to be freed) is msg->len bytes and a NUL. */
int link_blob_read(int fd, const struct link_message *msg, char **ret);

#endif
