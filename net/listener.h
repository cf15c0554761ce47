/* listener.h - one listening port: opened as soon as it can be, with a limit of connections a
 * second.  Connections from addresses that are not allowed have a limit of their own.
 */
#ifndef MQFS_NET_LISTENER_H
#define MQFS_NET_LISTENER_H

#include "net/daemon.h"
#include "net/resolve.h"

struct listener {
	struct watch watch;
	struct daemon *d;
	const struct resolve_answer *on;
	const char *what;		/* comes in, for messages */
	int port;			/* to listen on; 0: any; -1: it never listens */
	int accepts_max;		/* in a second; 0: LISTENER_ACCEPTS */

	/* Is there a place for one more?  If not: now, or (listener_pause) for a while. */
	bool (*has_place)(struct listener *l);
	/* fd (non-blocking) is the callee's. */
	void (*accepted)(struct listener *l, int fd, const char *address);

	int in_use;			/* the port, while it listens */
	int64_t try_ms;			/* when to try again to listen, 0: not */
	int64_t second_ms;		/* when this second began, */
	int accepts, refusals;		/* and how many have come in it, and may not */
	int trouble;			/* errno that was told */
};

/* The owner has set what is above try_ms; watch.fd is set here. */
void listener_open(struct listener *l);
void listener_close(struct listener *l);

/* More is a flood, and can wait in the backlog. */
#define LISTENER_ACCEPTS 128

/* One host may have so many of 64 places, so that others have the rest. */
#define LISTENER_HOST_MAX 32

/* Are these two addresses, as accepted() is given them, the same but for their ports? */
bool listener_same_host(const char *a, const char *b);

/* No more until the second is over. */
void listener_pause(struct listener *l);

/* The port in use; 0: it does not listen. */
int listener_port(const struct listener *l);

/* Whatever is due.  Returns when to call again, 0: no need. */
int64_t listener_tick(struct listener *l);

#endif
