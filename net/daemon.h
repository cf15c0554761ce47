/* daemon.h - what the parts of mqrepld share.
 *
 * One thread, one loop (serve.c).  Every socket has a watch; what it belongs to
 * has the watch as its first member and is not freed while the loop hands out
 * events, only marked by its closed socket.
 */
#ifndef MQFS_NET_DAEMON_H
#define MQFS_NET_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "net/admit.h"
#include "net/link.h"
#include "net/outbox.h"
#include "net/tls.h"

struct watch {
	void (*ready)(struct watch *w, uint32_t events);
	int fd;			/* -1: closed */
	uint32_t events;	/* of epoll, asked for now */
};

struct daemon {
	struct link_config config;
	struct tls *tls;	/* NULL: connections are plain */
	enum tls_how tls_how;	/* of those who connect */
	int commitlog_fd, epoll_fd;
	unsigned char *ring;
	int64_t begin, written;	/* the log, as the mount has it in this turn of the loop */
	int64_t now_ms;		/* of this turn of the loop; stands still while we do */
	bool recovered;		/* from a trouble that the mount was told of */
	bool over;		/* it cannot go on; the mount starts another one */
	struct outbox out;
	struct admit_log admit_log;
};

/* Hear of w->fd from now on.  The watch closes the descriptor, also on failure. */
int watch_open(struct daemon *d, struct watch *w, int fd, uint32_t events);
void watch_ask(struct daemon *d, struct watch *w, uint32_t events);
void watch_close(struct watch *w);

/* The same, but the descriptor lives on, as the caller's. */
int watch_release(struct daemon *d, struct watch *w);

/* The earlier of two times; 0 is never. */
static inline int64_t
earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

#endif
