/* server.h - who asks this broker by the remoting protocol.
 *
 *      a frame ──> serve()  the daemon answers by itself: server_send()
 *              └─> LINK_REQUEST ──> (the mount)
 *      the frame's response <── LINK_RESPONSE ──┘
 *
 * The server sees to it that who asks too much gets no more than a part of it: connections,
 * requests under way, bytes of memory and time are all counted, and the longest useless
 * connection makes room for a new one.  A turn of the loop costs what is busy in it, not
 * what is connected.
 */
#ifndef MQFS_NET_SERVER_H
#define MQFS_NET_SERVER_H

#include "net/channel.h"
#include "net/daemon.h"
#include "net/resolve.h"

struct server;

/* A connection.  It is the server's: who keeps it forgets it in gone(). */
struct server_peer {
	struct channel channel;		/* first; the server's */
	char address[80];
	void *data;			/* the daemon's; NULL at first, */
	uint32_t under_way;		/* and this, 0 at first: see may_ask() */
};

/* What became of a frame. */
enum server_served {
	SERVER_DONE,			/* it is answered, or wants no answer */
	SERVER_ASK_FIRST,		/* the mount is to say whether it may be asked: server_for.allowed */
	SERVER_ASK_MOUNT,		/* the mount is to answer it, with f->ext and f->body as they are now */
	SERVER_FAILED,			/* the connection is to be closed: channel.why, or nothing to say */
};

struct server_for {
	struct daemon *d;		/* its config says on which ports */
	const struct resolve_answer *on; /* addresses to listen on; they stay */
	size_t connections_max;		/* in all, */
	size_t host_max;		/* and from one address */
	int accepts_max;		/* new ones in a second, at each port; 0: LISTENER_ACCEPTS */
	size_t waiting_max;		/* answers that one does not take: then it is not heard */
	void *arg;

	/* Is the body of such a request JSON?  Then the mount has it packed (values.h).  NULL: none is. */
	bool (*has_values)(int code);

	/* May be NULL: the mount answers all.  Responses come here, too. */
	enum server_served (*serve)(void *arg, struct server_peer *p, struct remoting_frame *f);
	void (*gone)(void *arg, struct server_peer *p);		/* NULL: nobody cares */

	/* The mount has answered a request of that code: f, its body an f->body_len long text, goes to
	 * p, as it is when this returns.  False: it does not, and the daemon answers.  NULL: it does. */
	bool (*answered)(void *arg, struct server_peer *p, int code, struct remoting_frame *f);

	/* A request for which serve() said SERVER_ASK_FIRST may be asked; `ticket` is what the mount
	 * wants to see when it is asked for what follows from it. */
	enum server_served (*allowed)(void *arg, struct server_peer *p, struct remoting_frame *f, const char *ticket);

	/* Is it to be heard now?  Asked again when anything happens.  NULL: it is. */
	bool (*may_ask)(void *arg, const struct server_peer *p);

	int turn_frames;		/* of one connection in a turn; 0: a few */
};

/* Listens on both ports of d->config. */
int server_open(const struct server_for *what, struct server **ret);
void server_close(struct server *s);		/* accepts NULL */

/* The ports in use; 0: it does not listen. */
int server_port(const struct server *s);
int server_vip_port(const struct server *s);
size_t server_connections(const struct server *s);

/* The mount's answer; blob_fd (-1: none) stays the caller's.  MQ_ECORRUPT, noted: to what
 * nobody asked. */
int server_answer(struct server *s, const struct link_message *msg, int blob_fd);

/* Send f to it, with its body: in this turn, or as soon as it takes it.  Not MQ_OK: it is too large. */
int server_send(struct server *s, struct server_peer *p, const struct remoting_frame *f);

/* The same, at the end of this turn, with all that is posted by then. */
int server_post(struct server *s, struct server_peer *p, const struct remoting_frame *f);

/* The same with a body of the log: channel_send_log(). */
int server_send_log(struct server *s, struct server_peer *p, const struct remoting_frame *f,
		    const struct log_piece *pieces, size_t n);

/* It has a turn at the end of this one: it may ask again. */
void server_touch(struct server *s, struct server_peer *p);

/* A response with a code and a remark (NULL: none), if `to` wants one. */
void server_refuse(struct server *s, struct server_peer *p, const struct remoting_frame *to, int code,
		   const char *remark);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t server_tick(struct server *s);

#endif
