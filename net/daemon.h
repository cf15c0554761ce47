/* daemon.h - what the parts of a daemon (mqrepld, mqremoted) share.
 *
 * One thread, one loop (program.h).  Every socket has a watch; the object that owns the
 * socket has the watch as its first member, and is not freed while the loop hands out
 * events: until then its closed socket (fd -1) marks it as ended.
 */
#ifndef MQFS_NET_DAEMON_H
#define MQFS_NET_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "net/admit.h"
#include "net/link.h"
#include "net/outbox.h"
#include "net/resolve.h"
#include "net/segments.h"
#include "net/tls.h"

struct program;

struct watch {
	void (*ready)(struct watch *w, uint32_t events);
	int fd;			/* -1: closed */
	uint32_t events;	/* of epoll, asked for now */
};

struct daemon {
	struct watch link;	/* first */
	struct link_config config;
	struct resolve_answer listen;	/* addresses to listen on; none: it does not listen */
	struct tls *tls;	/* NULL: connections are plain */
	enum tls_how tls_how;	/* of peers that connect to us */
	int commitlog_fd, epoll_fd;
	struct segments segments;
	unsigned char *ring;
	int64_t begin, written;	/* the log, as the mount has it in this turn of the loop */
	int64_t now_ms;		/* when this turn of the loop began; without times in which the process was stopped */
	int64_t stood_still_ms;	/* the sum of these times */
	struct link_message told;	/* the LINK_READY that was sent last; kind 0: none yet */
	int64_t told_ms;	/* when */
	unsigned recoveries;	/* how many troubles that the mount was told of are over, */
	unsigned told_recoveries; /* and how many were when LINK_READY was sent last */
	bool over;		/* the daemon must end; the mount starts another one */
	int rc;			/* not MQ_OK: why the link has ended */
	struct outbox out;
	struct admit_log admit_log;
	const struct program *program;
	void *arg;		/* of the program's callbacks */
};

/* Call w->ready() for events of w->fd from now on.  The watch closes the descriptor, also on failure. */
int watch_open(struct daemon *d, struct watch *w, int fd, uint32_t events);
void watch_ask(struct daemon *d, struct watch *w, uint32_t events);
void watch_close(struct watch *w);

/* The same, but the descriptor stays open and is the caller's. */
int watch_release(struct daemon *d, struct watch *w);

/* The earlier of two times; 0 is never. */
static inline int64_t
earlier(int64_t a, int64_t b)
{
	return a == 0 || (b != 0 && b < a) ? b : a;
}

#endif
