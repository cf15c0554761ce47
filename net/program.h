/* program.h - the common part of main() of the mount's daemons. */
#ifndef MQFS_NET_PROGRAM_H
#define MQFS_NET_PROGRAM_H

#include "net/daemon.h"

struct program {
	const char *name;		/* "mqrepld" */
	const char *purpose;		/* a sentence for -h */
	int (*run)(void *arg);		/* returns when the link ends: MQ_OK, MQ_EEND; else noted */
};

/* Answer -h and -V; without a link to a mount (a person has started the daemon) print how the
 * daemon is used.  Otherwise call p->run(arg), and send its error to the mount by d->out, or to
 * stderr while there is no outbox yet.  d is closed.  Returns the exit status. */
int program_main(const struct program *p, int argc, char **argv, struct daemon *d, void *arg);

#endif
