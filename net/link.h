/* link.h - messages between the mount and a daemon: mqrepld (drawn here) or mqremoted.
 *
 *      mount.mqfs                                   mqrepld (no privileges)
 *   ┌──────────────┐   SEQPACKET socket, fd 3    ┌───────────────────────┐
 *   │ writes the   │ ── config, follow ─────────>│ serves slaves / is    │
 *   │ store        │ <── append, peer, say ───── │ the master's slave    │
 *   └──────────────┘   commitlog/, fd 4 (read)   └───────────────────────┘
 *                      ring, fd 5 (memory of the daemon's: what it has received)
 *                      board (memory, repl/board.h): marks, acks
 *
 * mqrepld reads segments by itself (sendfile), and puts the bytes that it receives from a
 * master into the ring; the mount alone writes the store.  How far the log and its slaves
 * are goes over the board, not over the link.  Each side checks every message that it
 * receives, and an invalid message ends the link:
 *
 *   both      link_receive(): kind, length and version, texts that end, numbers in
 *             range, blobs sealed and as long as the message says
 *   mount     APPEND: this broker is a slave, and the bytes are the next ones of the ring;
 *             they are copied before they are checked, and the store decides whether the
 *             log takes them.  RESPONSE: its id is of a request that waits.  REQUEST: no
 *             more than LINK_REQUESTS_MAX wait
 *   mqrepld   FOLLOW: pos is where the log ends, and the bytes to be compared are in the
 *             log.  RESPONSE: its id is of a request that a peer has sent
 *
 * If mqrepld dies the mount starts another one; nothing is lost, because the end of the
 * log says where replication continues.
 *
 * One message is one packet: struct link_message, host byte order (both are one
 * build on one machine; the version says so).
 *
 * A request of the remoting protocol crosses the link as a REQUEST and its RESPONSE, in
 * both directions:
 *
 *      a peer ──> mqrepld ── REQUEST ──> mount        the peer asks this broker
 *      mount ── REQUEST ──> mqrepld ──> our master    this broker asks its master
 *
 * Each request has one response, unless the link ends first.  Ext fields and body come
 * beside the packet, in a blob: a memfd, sealed, that holds
 *
 *      ext_len bytes       the ext fields, pairs of texts: see fields.h
 *      len - ext_len       the body
 */
#ifndef MQFS_NET_LINK_H
#define MQFS_NET_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/allow.h"
#include "conf/settings.h"

#define LINK_VERSION 5
#define LINK_SOCKET_FD 3
#define LINK_COMMITLOG_FD 4
#define LINK_RING_FD 5
#define LINK_RING_BYTES (8u << 20)
#define LINK_TEXT_BYTES 200
#define LINK_BLOB_MAX (17u << 20)	/* any remoting frame fits, also one whose ext fields are all escapes */
#define LINK_PEERS_MAX 64		/* slaves; their numbers begin with 1, and 0 is the master */
#define LINK_REQUESTS_MAX 64		/* of either side that the other has not answered yet */

enum link_kind {
	/* mount -> mqrepld */
	LINK_CONFIG = 1,	/* first; again when times, sizes or `eager` in it have changed */
	LINK_FOLLOW = 4,	/* slave: connect to the master and receive the log from pos on: where
				 * this log ends, or is to begin if it is empty.  The last len bytes
				 * before pos are received once more, and must have that crc */
	LINK_REST,		/* slave: close the connection to the master */

	/* mqrepld -> mount */
	LINK_READY,		/* the daemon serves; the ports on which it listens, 0: it does not have that one */
	LINK_APPEND,		/* slave: ring bytes [ring_at, ring_at + len) belong to the log
				 * at pos; they are of one segment */
	LINK_PEER,		/* a peer's state has changed, or its position (at most once a second) */
	LINK_SAY,		/* a line for the log; text */

	/* both */
	LINK_REQUEST,		/* id, code, text: the peer's address, blob; a mount's has timeout_ms */
	LINK_RESPONSE,		/* id of the request, code, text: the remark, blob */

	LINK_PING,		/* mount -> daemon: the daemon is to answer with a PONG */
	LINK_PONG,		/* daemon -> mount: the answer */

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
	int32_t vip_port;		/* RocketMQ's clients also connect to this port; 0: any; -1: none */
	char master[256];		/* HOST:PORT of its HA port */
	char master_remoting[256];	/* HOST:PORT */
	int64_t segment_bytes;
	int64_t heartbeat_ms;		/* haSendHeartbeatInterval */
	int64_t housekeeping_ms;	/* haHousekeepingInterval */
	int64_t batch_bytes;		/* haTransferBatchSize */
	int32_t eager;			/* 1: a SYNC_MASTER waits for acks: an ack lets the next round go out */
	char user[64];			/* the daemon becomes this user; "": nobody, if it is root */
	char tls_cert[SETTING_PATH_BYTES];	/* "": no TLS */
	char tls_key[SETTING_PATH_BYTES];
	char tls_ca[SETTING_PATH_BYTES];
	struct allow allow;

	/* mqremoted */
	int32_t acl;			/* 1: the mount judges each request: judge.h */
	int32_t tls_how;		/* enum tls_how, of clients that connect */
	int32_t tls_strangers;		/* 1: tls_open_server() is called, with the members that follow */
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
	uint64_t ring_at;		/* counts bytes ever put in the ring; their place is that modulo its size */
	uint32_t len;			/* READY of mqremoted: clients; APPEND, FOLLOW; REQUEST, RESPONSE: of the blob, 0: there is none */
	uint32_t ext_len;		/* REQUEST, RESPONSE */
	uint64_t id;			/* REQUEST: unique among those of its sender; RESPONSE: the request's;
					 * FOLLOW: unique; PEER 0: the id of the FOLLOW that began the connection;
					 * other PEERs: unique to the connection */
	int32_t code;			/* REQUEST, RESPONSE: of the remoting protocol; a response
					 * below 0 is -errno: nobody has answered the request;
					 * PEER 0: MQ_ECORRUPT: the master's log has other bytes than this one */
	int32_t timeout_ms;		/* REQUEST of the mount */
	int32_t only_judge;		/* REQUEST of mqremoted: 1: the answer says whether the client may ask it */
	int32_t port, remoting_port, vip_port;	/* READY */
	int32_t peer;			/* PEER: its number, from 1 on; the master is 0 */
	int32_t state;			/* PEER: enum link_peer_state */
	int64_t ack;			/* PEER: up to where the slave (0: this broker) has the log; a slave's
					 * newest ack is on the board */
	int64_t sent;			/* PEER: up to where the slave was sent the log, or the master has sent it */
	int32_t level;			/* SAY: of syslog(3) */
	uint32_t crc;			/* FOLLOW: CRC-32 of those len bytes */
	char text[LINK_TEXT_BYTES];	/* SAY: the line; PEER: its address, and why it was closed;
					 * REQUEST, RESPONSE: see there */
	struct link_config config;	/* CONFIG; other messages end before it */
};

/* Set what both daemons are told of the settings; all else is 0.  `ports`: the daemon listens on the
 * remoting ports. */
void link_config_init(struct link_config *c, const struct settings *s, int64_t segment_bytes, bool ports);

/* How long a message of that kind is. */
size_t link_size(uint32_t kind);

/* Send a message and its blob (which stays the caller's; -1: it has none), flags as of
 * send(2).  -EPIPE: the other side has closed the link. */
int link_send_blob(int fd, int flags, const struct link_message *msg, int blob_fd);
int link_send(int fd, const struct link_message *msg);

/* Receive a message and check that it is valid.  *ret_blob is the caller's, or -1; NULL:
 * no message with a blob is expected.  MQ_EEND: the other side has closed; -EAGAIN with
 * MSG_DONTWAIT in flags, or when SO_RCVTIMEO is over; MQ_ECORRUPT: it is invalid (noted). */
int link_receive(int fd, int flags, struct link_message *ret_msg, int *ret_blob);

/* --- blobs -------------------------------------------------------------------------- */

/* A blob of ext fields and a body, and the lengths of both in *msg; *ret_fd is
 * -1 if both are empty.  -EMSGSIZE: more than LINK_BLOB_MAX (noted). */
int link_blob_make(struct link_message *msg, const void *ext, size_t ext_len, const void *body,
		   size_t body_len, int *ret_fd);

/* Read the whole blob of msg: *ret (to be freed) is msg->len bytes and a NUL. */
int link_blob_read(int fd, const struct link_message *msg, char **ret);

#endif
