/* program.h - what the mount's daemons, mqrepld and mqremoted, have in common: how they start,
 * give up their rights, and run.
 *
 *      configuration ─> take() ─> certificates ─> confinement ─> open() ─> the loop ─> close()
 *
 *      the loop   tick() ─> wait for events ─> woken() ─> `ready` of each watch, on_message() ─┐
 *                   ^──────────────────────────────────────────────────────────────────────────┘
 */
#ifndef MQFS_NET_PROGRAM_H
#define MQFS_NET_PROGRAM_H

#include "net/daemon.h"

/* Callbacks return MQ_OK, or (noted) why the daemon has to end. */
struct program {
	const char *name;		/* "mqrepld" */
	const char *purpose;		/* a sentence for -h */
	unsigned connections;		/* at most, beside CONFINE_FDS descriptors */

	/* With all rights and d->config: take what else the mount gives, and start resolvers, which inherit
	 * all memory: the private key is read later. */
	int (*take)(void *arg);

	/* With few rights: open what the loop needs, and close it, also if open() has failed. */
	int (*open)(void *arg);
	void (*close)(void *arg);

	/* A message of the mount, but a PING; blob_fd (-1: none) is the callee's. */
	int (*on_message)(void *arg, const struct link_message *msg, int blob_fd);

	/* Do what is due.  Returns when to call again, at the latest; 0: when anything has happened. */
	int64_t (*tick)(void *arg);

	/* The wait for events is over.  NULL: nothing to do. */
	void (*woken)(void *arg);
};

/* Answer -h and -V; without a link to a mount (a person has started the daemon) print how the
 * daemon is used.  Otherwise run until the link ends, and send the reason of another end to the mount,
 * or to stderr while there is no outbox yet.  d starts as zeros, and is closed.  Returns the exit status. */
int program_main(const struct program *p, int argc, char **argv, struct daemon *d, void *arg);

/* Tell the mount which ports are in use, and in msg->len the number of clients, where that has
 * changed, or a trouble is over.  Returns when to call again, 0: no need. */
int64_t program_say_ready(struct daemon *d, const struct link_message *msg);

#endif
