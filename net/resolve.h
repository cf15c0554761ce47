/* resolve.h - the addresses of a host name, which may change while a daemon runs.
 *
 * Looking up names needs files, libraries and sockets that a confined daemon has given up; a
 * small process beside it keeps them.  It has no other descriptor than the one
 * on which it is asked, and ends when that is closed.
 */
#ifndef MQFS_NET_RESOLVE_H
#define MQFS_NET_RESOLVE_H

#include <stdbool.h>
#include <sys/socket.h>

#define RESOLVE_MAX 8

struct resolve_answer {
	int n;				/* addresses; 0: see why */
	struct {
		socklen_t len;
		struct sockaddr_storage addr;
	} list[RESOLVE_MAX];
	char why[80];
};

/* HOST:PORT or [HOST]:PORT, taken apart in place.  False: it is neither. */
bool resolve_split(char *text, char **ret_host, char **ret_port);

/* Copy the host of HOST:PORT or [HOST]:PORT. */
void resolve_host(const char *address, char *host, size_t size);

/* Look up in this process.  `numeric`: only addresses, no names. */
void resolve_now(const char *host, const char *port, bool numeric, bool passive, struct resolve_answer *ret);

/* Start the process; `user` as in confine_user().  Each resolve_ask() is answered
 * once, on *ret_fd. */
int resolve_start(const char *host, const char *port, const char *user, int *ret_fd);
int resolve_ask(int fd);

/* Receive an answer.  -EAGAIN: it has not come yet.  -EPIPE: the process has ended. */
int resolve_receive(int fd, struct resolve_answer *ret);

#endif
