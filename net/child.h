/* child.h - a daemon of the mount's: a thread starts, watches and ends it, and starts it again.
 *
 *      child thread   start_daemon ──> begin() ──> on_message() for each ──> ended()
 *                        ^                                                     │
 *                        └────── later each time, unless it ran for long ──────┘
 *
 * Requests and responses go to the daemon's exchange (exchange.h).  The thread sends the daemon a
 * LINK_PING now and then, and kills a daemon that does not answer.  It logs the lines of the daemon
 * (LINK_SAY), a limited number a second.
 */
#ifndef MQFS_NET_CHILD_H
#define MQFS_NET_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "net/exchange.h"
#include "net/link.h"
#include "net/start.h"

struct child;

/* One run of the daemon, from its start to its end. */
struct child_run {
	unsigned number;		/* counted from 1 on */
	int link_fd;
	pid_t pid;
	const unsigned char *ring;	/* LINK_RING_BYTES, mapped read-only */
};

/* All but is_needed(), serve() and settled() are called by the child thread, with no lock held. */
struct child_for {
	struct start_what start;
	const char *program;		/* NULL: see start.h */
	int commitlog_fd;
	void *arg;

	/* Shall the daemon run at all?  Called with the child's lock before each start.  NULL: yes. */
	bool (*is_needed)(void *arg);

	/* The daemon was started.  Not MQ_OK: it is ended. */
	int (*begin)(void *arg, const struct child_run *run);

	/* Another message than a request or response was received.  Not MQ_OK: the daemon is ended. */
	int (*on_message)(void *arg, const struct child_run *run, const struct link_message *msg);

	/* The link has ended: nothing of the run may be used any more when this returns. */
	void (*ended)(void *arg, const struct child_run *run);

	/* The reason why the daemon does not run, or a line of the daemon's of level LOG_ERR. */
	void (*trouble)(void *arg, const char *text);

	/* As in exchange.h. */
	void (*serve)(void *arg, const struct request *req, struct answer *ret);
	bool (*settled)(void *arg, struct answer *a);
};

/* Starts the thread.  *ret is set before the first callback. */
int child_open(const struct child_for *what, struct child **ret);

/* Its requests and responses, until child_close(). */
struct exchange *child_exchange(const struct child *c);

/* End this run of the daemon: it has sent what it must not.  Another one is started. */
void child_end(struct child *c);

/* End the daemon, and start no other; calls of its exchange fail with MQ_ECLOSED. */
void child_stop(struct child *c);		/* accepts NULL */
void child_close(struct child *c);		/* accepts NULL; waits for the thread */

/* No daemon runs from the return of child_hold() until child_release() was called as often. */
void child_hold(struct child *c);
void child_release(struct child *c);

#endif
