/* program.h - what the main() of every daemon of the mount is. */
#ifndef MQFS_NET_PROGRAM_H
#define MQFS_NET_PROGRAM_H

#include "net/daemon.h"

struct program {
	const char *name;		/* "mqrepld" */
	const char *purpose;		/* a sentence for -h */
	int (*run)(void *arg);		/* until the link ends: MQ_OK, MQ_EEND; else noted */
};

/* -h and -V are answered; without a link to a mount (a person has started it) the caller is told
 * how it is meant.  Otherwise p->run(arg) is called, and what it failed at is told to the mount by
 * d->out, or on stderr where nobody listens yet.  d is closed.  Returns the exit status. */
int program_main(const struct program *p, int argc, char **argv, struct daemon *d, void *arg);

#endif
