/* start.h - begin a daemon of the mount's, with what it needs and nothing else. */
#ifndef MQFS_NET_START_H
#define MQFS_NET_START_H

#include <sys/types.h>

struct start_what {
	const char *name;		/* of the daemon: "mqrepld" */
	const char *env;		/* the variable that names another program to start, for tests */
	const char *beside;		/* where a build tree has it: "repl/mqrepld" */
	const char *installed;
};

/* Start a daemon.  `program` is its path; NULL: what its variable says, else the one of
 * the build tree this program runs in, else the installed one.  It gets the link,
 * `commitlog_fd` (the caller's still) and the ring; all other descriptors are closed
 * for it, and it is told nothing of our environment.
 *
 * The caller owns what is returned: the child (to be waited for), the link's
 * socket, and the ring (LINK_RING_BYTES to munmap(2)), which is only to be read.
 * Any thread.  -errno, noted, when it could not be started. */
int start_daemon(const struct start_what *what, const char *program, int commitlog_fd, pid_t *ret_pid,
		 int *ret_link_fd, void **ret_ring);

#endif
