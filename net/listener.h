/* listener.h - one listening port: it is opened as soon as that is possible, and has a limit of
 * connections a second.  Connections from addresses that are not allowed have a limit of their own.
 */
#ifndef MQFS_NET_LISTENER_H
#define MQFS_NET_LISTENER_H

#include "net/daemon.h"
#include "net/resolve.h"

struct listener {
	struct watch watch;
	struct daemon *d;
	const struct resolve_answer *on;
	const char *what;		/* connections are for, in messages */
	int port;			/* to listen on; 0: any; -1: it never listens */
	int accepts_max;		/* in a second; 0: LISTENER_ACCEPTS */

	/* May one more connection be accepted now?  (If not for a while: listener_pause().) */
	bool (*has_place)(struct listener *l);
	/* fd (non-blocking) is the callee's. */
	void (*accepted)(struct listener *l, int fd, const char *address);

	int in_use;			/* the port, while it listens */
	int64_t try_ms;			/* when to try again to listen, 0: not */
	int64_t second_ms;		/* when this second began, */
	int accepts, refusals;		/* and how many connections were accepted and refused in it */
	int trouble;			/* errno that was logged last; 0: none */
	unsigned recoveries;		/* the daemon's, when it was logged */
};

/* The owner has set what is above try_ms; watch.fd is set here. */
void listener_open(struct listener *l);
void listener_close(struct listener *l);

/* Connections accepted in a second; others wait in the backlog. */
#define LISTENER_ACCEPTS 128

/* One host may have so many of 64 places, so that the rest are for other hosts. */
#define LISTENER_HOST_MAX 32

/* Accept no more connections until the second is over. */
void listener_pause(struct listener *l);

/* The port in use; 0: it does not listen. */
int listener_port(const struct listener *l);

/* Do what is due now.  Returns when to call again, 0: no need. */
int64_t listener_tick(struct listener *l);

#endif
