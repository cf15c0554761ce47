/* calls.h - what clients are asked on behalf of others: a tool asks this broker, the broker asks
 * the client, and the client's answer is the tool's.
 *
 *      asker ── request ──> calls ── the same, numbered anew ──> client(s)
 *            <── answer ───       <── response ────────────────
 *
 * An asker has one answer, whatever becomes of the clients: one that does not answer in time, that
 * goes, or that takes nothing is told of.  All of it is memory of mqremoted's one thread.
 */
#ifndef MQFS_REMOTING_CALLS_H
#define MQFS_REMOTING_CALLS_H

#include "net/server.h"
#include "remoting/clients.h"

#define CALLS_MAX 256			/* clients that are asked at one time for tools, */
#define CALLS_OF_ONE_MAX 16		/* and by one of them */
#define CALLS_OWN_MAX 1024		/* and that calls_ask() asks, */
#define CALLS_OWN_OF_ONE_MAX 256	/* and for one asker */

struct loop;
struct calls;

int calls_open(struct loop *l, struct calls **ret);
void calls_close(struct calls *c);		/* accepts NULL */

/* Ask m what f says, with its ext fields and its body; `f` is the asker's request, or has its
 * dialect and opaque.  The asker is answered as m answers. */
void calls_relay(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct member *m);

/* Ask all members of g, or the one that is called `client`, for GET_CONSUMER_STATUS_FROM_CLIENT,
 * with the ext fields of f.  The asker is answered with what those say that answer in time. */
void calls_gather(struct calls *c, struct server_peer *asker, const struct remoting_frame *f,
		  struct client_group *g, const char *client);

/* Ask m what f says, on behalf of `asker`.  done() is called once: with the response, or with NULL if
 * there is none; the asker is NULL if it has gone.  False: too much is asked at this time, and
 * done() is not called. */
typedef void calls_done(void *arg, struct server_peer *asker, const struct remoting_frame *response);
bool calls_ask(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct member *m,
	       calls_done *done, void *arg);

/* A response has come from p.  Nothing happens if it was asked nothing of that number. */
void calls_hear(struct calls *c, struct server_peer *p, const struct remoting_frame *f);

/* The connection has ended. */
void calls_gone(struct calls *c, const struct server_peer *p);

/* Whose time is over is answered. */
void calls_tick(struct calls *c);

/* When to call that again; 0: no need. */
int64_t calls_next_ms(const struct calls *c);

#endif
