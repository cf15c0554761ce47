/* start.h - start a daemon of the mount's, with no descriptors but those it needs. */
#ifndef MQFS_NET_START_H
#define MQFS_NET_START_H

#include <sys/types.h>

struct start_what {
	const char *name;		/* of the daemon: "mqrepld" */
	const char *env;		/* the variable that names another program to start, for tests */
	const char *beside;		/* its place in a build tree: "repl/mqrepld" */
	const char *installed;
};

/* Start a daemon.  `program` is its path; NULL: the path in its variable, else the one of
 * the build tree in which this program runs, else the installed one.  The daemon gets the
 * link, `commitlog_fd` (which stays the caller's) and the ring, no other descriptors, and
 * none of our environment.
 *
 * The caller owns what is returned: the child (to be waited for), the link's
 * socket, and the ring (LINK_RING_BYTES to munmap(2)), which is mapped read-only.
 * Any thread.  -errno, noted, when it could not be started. */
int start_daemon(const struct start_what *what, const char *program, int commitlog_fd, pid_t *ret_pid,
		 int *ret_link_fd, void **ret_ring);

#endif
