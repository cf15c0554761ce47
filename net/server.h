/* server.h - connections of peers that send requests of the remoting protocol to this broker.
 *
 *      a frame ──> serve()  the daemon answers by itself: server_send()
 *              └─> LINK_REQUEST ──> (the mount)
 *      the frame's response <── LINK_RESPONSE ──┘
 *
 * No peer can use up the server: connections, requests under way, bytes of memory and time
 * have limits, and when all connections are taken, the one that has been useless for longest
 * is closed for a new one.  The cost of a turn of the loop depends on the connections that are
 * busy in it, not on how many there are.
 */
#ifndef MQFS_NET_SERVER_H
#define MQFS_NET_SERVER_H

#include "net/address.h"
#include "net/channel.h"
#include "net/daemon.h"
#include "net/resolve.h"

struct server;

/* A connection.  It is the server's: a pointer to it is valid until gone() has returned. */
struct server_peer {
	struct channel channel;		/* first; the server's */
	char address[80];
	struct address from;		/* the same, if it is numeric; else zeros */
	void *data;			/* the daemon's; NULL at first, */
	uint32_t under_way;		/* and this, 0 at first: see may_ask() */
};

/* What the server does with a frame after serve() or allowed(). */
enum server_served {
	SERVER_DONE,			/* nothing: it is answered, or wants no answer */
	SERVER_ASK_FIRST,		/* ask the mount whether the peer may ask it: server_for.allowed */
	SERVER_ASK_MOUNT,		/* let the mount answer it, with f->ext and f->body as they are now */
	SERVER_FAILED,			/* close the connection; channel.why is the reason, or "" */
};

struct server_for {
	struct daemon *d;		/* its config says on which ports */
	const struct resolve_answer *on; /* addresses to listen on; the caller's, valid as long as the server */
	size_t connections_max;		/* in all, */
	size_t host_max;		/* and from one address */
	int accepts_max;		/* new connections in a second, at each port; 0: LISTENER_ACCEPTS */
	size_t waiting_max;		/* unsent answers of one connection; with more it is not read from */
	void *arg;

	/* Does serve() want the fields of such a request as `fields`?  NULL: of none.  See remoting_reader. */
	bool (*cuts)(int code);

	/* Is the body of such a request JSON?  Then it is packed for the mount (values.h).  NULL: none is. */
	bool (*has_values)(int code);

	/* A frame was received, a request or a response.  NULL: the mount answers all requests. */
	enum server_served (*serve)(void *arg, struct server_peer *p, struct remoting_frame *f);
	void (*gone)(void *arg, struct server_peer *p);		/* p's connection has ended; may be NULL */

	/* The mount has answered a request of that code.  True: f, as it is when this returns, is sent to
	 * p (its body is a text of f->body_len bytes).  False: the daemon answers by itself.  NULL: true. */
	bool (*answered)(void *arg, struct server_peer *p, int code, struct remoting_frame *f);

	/* The peer may ask a request for which serve() returned SERVER_ASK_FIRST; the daemon passes
	 * `ticket` to the mount with the requests that follow from it. */
	enum server_served (*allowed)(void *arg, struct server_peer *p, struct remoting_frame *f, const char *ticket);

	/* May frames of p be read now?  Called again when anything has happened.  NULL: true. */
	bool (*may_ask)(void *arg, const struct server_peer *p);

	int turn_frames;		/* at most so many frames are read of one connection in a turn; 0: a few */
};

/* Listen on both ports of d->config. */
int server_open(const struct server_for *what, struct server **ret);
void server_close(struct server *s);		/* accepts NULL */

/* The ports in use; 0: it does not listen. */
int server_port(const struct server *s);
int server_vip_port(const struct server *s);

/* The mount has answered; blob_fd (-1: none) stays the caller's.  MQ_ECORRUPT, noted: no
 * request has that id. */
int server_answer(struct server *s, const struct link_message *msg, int blob_fd);

/* Send f to p, with its body: in this turn, or as soon as the socket takes it.  Not MQ_OK: it is too large. */
int server_send(struct server_peer *p, const struct remoting_frame *f);

/* The same, at the end of this turn, together with all frames posted by then. */
int server_post(struct server_peer *p, const struct remoting_frame *f);

/* The same with a body of the log: channel_send_log(). */
int server_send_log(struct server_peer *p, const struct remoting_frame *f, const struct log_piece *pieces, size_t n);

/* Give p a turn at the end of this one, because may_ask() may have changed for it. */
void server_touch(struct server_peer *p);

/* A response with a code and a remark (NULL: none), if `to` wants one. */
void server_refuse(struct server_peer *p, const struct remoting_frame *to, int code, const char *remark);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t server_tick(struct server *s);

#endif
