/* calls.h - requests to clients on behalf of others: a tool asks this broker, the broker asks
 * the client, and the tool gets the client's answer.
 *
 *      asker ── request ──> calls ── the same, numbered anew ──> client(s)
 *            <── answer ───       <── response ────────────────
 *
 * An asker always gets one answer.  If a client does not answer in time, closes its connection or
 * does not read, the answer says so.  Used by mqremoted's one thread; nothing is on disk.
 */
#ifndef MQFS_REMOTING_CALLS_H
#define MQFS_REMOTING_CALLS_H

#include "net/server.h"
#include "remoting/clients.h"

#define CALLS_MAX 256			/* calls for tools at one time, */
#define CALLS_OF_ONE_MAX 16		/* and for one tool */
#define CALLS_OWN_MAX 1024		/* calls by calls_ask() at one time, */
#define CALLS_OWN_OF_ONE_MAX 256	/* and for one asker */

struct loop;
struct calls;

int calls_open(struct loop *l, struct calls **ret);
void calls_close(struct calls *c);		/* accepts NULL */

/* Send the request f, with its ext fields and its body, to m; `f` is the asker's request, or has
 * its dialect and opaque.  The asker gets the answer of m. */
void calls_relay(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct member *m);

/* Ask all members of g, or the one with the id `client`, for GET_CONSUMER_STATUS_FROM_CLIENT,
 * with the ext fields of f.  The asker gets all answers that come in time. */
void calls_gather(struct calls *c, struct server_peer *asker, const struct remoting_frame *f,
		  struct client_group *g, const char *client);

/* Send the request f to m, on behalf of `asker`.  done() is called once: with the response, or with
 * NULL if there is none; its asker is NULL if that connection has ended.  False: too many calls
 * are under way, and done() is not called. */
typedef void calls_done(void *arg, struct server_peer *asker, const struct remoting_frame *response);
bool calls_ask(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct member *m,
	       calls_done *done, void *arg);

/* A response has come from p.  It is ignored if no call to p has its number. */
void calls_on_response(struct calls *c, struct server_peer *p, const struct remoting_frame *f);

/* The connection has ended. */
void calls_gone(struct calls *c, const struct server_peer *p);

/* End calls whose time is over. */
void calls_tick(struct calls *c);

/* When to call calls_tick() again; 0: no need. */
int64_t calls_next_ms(const struct calls *c);

#endif
