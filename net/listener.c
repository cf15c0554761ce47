#include "config.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/listener.h"

#define BACKLOG 1024
#define REFUSALS_PER_S 2048		/* a refusal costs little, and takes no place */
#define TURN_ACCEPTS 64			/* then other events are handled */
#define LISTEN_AGAIN_MS 1000

/* Log a trouble when it begins or changes, not at each attempt.  The mount remembers one of all that it
 * was told, so when another one is over this one is told again. */
static void
note_trouble(struct listener *l, const char *what, int err)
{
	if (err != 0 && (err != l->trouble || l->recoveries != l->d->recoveries)) {
		outbox_say(&l->d->out, LOG_ERR, "%s: %s", what, err_text(err_note(-err, "%m")));
		l->recoveries = l->d->recoveries;
	}
	if (err == 0 && l->trouble)
		l->d->recoveries++;
	l->trouble = err;
}

/* --- connections ---------------------------------------------------------------------- */

static void
address_text(const struct sockaddr_storage *addr, socklen_t len, char *text, size_t size)
{
	char host[64], port[8];

	if (getnameinfo((const struct sockaddr *)addr, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "unknown");
	else
		snprintf(text, size, addr->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static bool
accept_one(struct listener *l)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	char text[80];
	int fd, on = 1;

	if (!l->has_place(l))
		return false;
	fd = accept4(l->watch.fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			note_trouble(l, "accept", errno);
		return false;
	}
	note_trouble(l, "accept", 0);
	address_text(&addr, len, text, sizeof(text));
	if (!admit(l->d, (const struct sockaddr *)&addr, text)) {
		close(fd);
		l->refusals++;
		return true;
	}
	l->accepts++;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	l->accepted(l, fd, text);
	return true;
}

static bool
may_accept(const struct listener *l)
{
	return l->accepts < l->accepts_max && l->refusals < REFUSALS_PER_S;
}

static void
ready(struct watch *w, uint32_t events)
{
	struct listener *l = (struct listener *)w;

	(void)events;
	for (int i = 0; i < TURN_ACCEPTS && may_accept(l) && accept_one(l); i++)
		;
	if (!may_accept(l) || l->trouble)
		watch_ask(l->d, w, 0);		/* until the second is over */
}

void
listener_pause(struct listener *l)
{
	l->accepts = l->accepts_max;
}

static int64_t
accept_tick(struct listener *l)
{
	if (l->d->now_ms >= l->second_ms + 1000) {
		l->second_ms = l->d->now_ms;
		l->accepts = l->refusals = 0;
		watch_ask(l->d, &l->watch, EPOLLIN);
	}
	return l->watch.fd >= 0 && l->watch.events == 0 ? l->second_ms + 1000 : 0;
}

/* --- listening ------------------------------------------------------------------------------- */

/* Where the port is. */
static in_port_t *
port_in(struct sockaddr_storage *addr)
{
	return addr->ss_family == AF_INET6 ? &((struct sockaddr_in6 *)addr)->sin6_port
					   : &((struct sockaddr_in *)addr)->sin_port;
}

static int
listen_on(struct listener *l, struct sockaddr_storage addr, socklen_t len)
{
	int fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, rc;

	if (fd < 0)
		return -errno;
	*port_in(&addr) = htons((uint16_t)l->port);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)&addr, len) != 0 || listen(fd, BACKLOG) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	if (getsockname(fd, (struct sockaddr *)&addr, &len) == 0)
		l->in_use = ntohs(*port_in(&addr));
	return watch_open(l->d, &l->watch, fd, EPOLLIN);
}

/* The first address that works. */
static void
listen_try(struct listener *l)
{
	char what[160];
	int rc = MQ_EEND;

	for (int i = 0; i < l->on->n && rc != MQ_OK; i++)
		rc = listen_on(l, l->on->list[i].addr, l->on->list[i].len);
	l->try_ms = 0;
	if (rc == MQ_OK || rc == MQ_EEND) {
		note_trouble(l, "listen", 0);
		return;
	}
	snprintf(what, sizeof(what), "listen on %s, port %d, for %s", l->d->config.listen, l->port, l->what);
	note_trouble(l, what, -rc);
	l->try_ms = l->d->now_ms + LISTEN_AGAIN_MS;
}

int
listener_port(const struct listener *l)
{
	return l->watch.fd >= 0 ? l->in_use : 0;
}

/* --- the owner's calls ------------------------------------------------------------------------ */

void
listener_open(struct listener *l)
{
	if (l->accepts_max == 0)
		l->accepts_max = LISTENER_ACCEPTS;
	l->watch.ready = ready;
	l->watch.fd = -1;
	if (l->port >= 0)
		listen_try(l);
}

void
listener_close(struct listener *l)
{
	watch_close(&l->watch);
}

int64_t
listener_tick(struct listener *l)
{
	if (l->try_ms && l->d->now_ms >= l->try_ms)
		listen_try(l);
	return earlier(l->try_ms, accept_tick(l));
}
