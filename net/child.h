/* child.h - a daemon of the mount's: started, watched, ended, and started again.
 *
 *      child thread   start_daemon ──> begin() ──> hear() for each message ──> ended()
 *                        ^                                                       │
 *                        └─────── later each time, unless it ran for long ───────┘
 *
 * The thread asks the daemon now and then whether it is there (LINK_PING); a daemon that does
 * not answer is killed.  Lines that the daemon says (LINK_SAY) go to the log here, so many a second.
 */
#ifndef MQFS_NET_CHILD_H
#define MQFS_NET_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "net/link.h"
#include "net/start.h"

struct child;

/* One run of the daemon, from its start to its end. */
struct child_run {
	unsigned number;		/* counted from 1 on */
	int link_fd;
	pid_t pid;
	const unsigned char *ring;	/* LINK_RING_BYTES, only to be read */
};

/* All but is_needed() are called by the child thread, with no lock held. */
struct child_for {
	struct start_what start;
	const char *program;		/* NULL: see start.h */
	int commitlog_fd;
	void *arg;

	/* Is the daemon to run at all?  Asked again after child_refresh().  With the child's lock. */
	bool (*is_needed)(void *arg);

	/* It was started.  Not MQ_OK: it is ended. */
	int (*begin)(void *arg, const struct child_run *run);

	/* A message has come; blob_fd (-1: none) is the callee's.  Not MQ_OK: it is ended. */
	int (*hear)(void *arg, const struct child_run *run, const struct link_message *msg, int blob_fd);

	/* The link has ended: nothing of the run may be used any more when this returns. */
	void (*ended)(void *arg, const struct child_run *run);

	/* Why the daemon does not run, or what it says of the level LOG_ERR. */
	void (*trouble)(void *arg, const char *text);
};

/* Starts the thread.  *ret is set before the first callback. */
int child_open(const struct child_for *what, struct child **ret);

/* The daemon is told to end, and no other is started. */
void child_stop(struct child *c);		/* accepts NULL */
void child_close(struct child *c);		/* accepts NULL; waits for the thread */

/* No daemon runs from the return of child_hold() until as many child_release(). */
void child_hold(struct child *c);
void child_release(struct child *c);

/* is_needed() may say something else now. */
void child_refresh(struct child *c);

#endif
