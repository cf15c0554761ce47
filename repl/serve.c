#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "repl/receiver.h"
#include "repl/sender.h"
#include "repl/serve.h"

#define BACKLOG 64
#define ACCEPTS_PER_S 128		/* more is a flood, and can wait in the backlog */
#define PATIENCE_MS 500			/* with who has not reported, when others want the place */
#define LISTEN_AGAIN_MS 1000
#define EVENTS_MAX 64

struct loop {
	struct watch link;
	struct watch listen;
	struct daemon *d;
	const struct serve *serve;
	struct sender *slaves[SERVE_SLAVES_MAX];	/* number i + 1, or NULL */
	struct receiver *receiver;			/* NULL: we follow nobody */
	int64_t listen_ms;		/* when to try again, 0: not */
	int64_t accepts_ms;		/* begin of this second */
	int accepts;			/* in it */
	int trouble;			/* errno that was told, of listening and accepting */
	int rc;
};

static struct loop *
loop_of_listen(struct watch *w)
{
	return (struct loop *)((char *)w - offsetof(struct loop, listen));
}

/* --- who connects ---------------------------------------------------------------------- */

/* Told when it begins and when it changes, not each time. */
static void
note_trouble(struct loop *l, const char *what, int err)
{
	if (err != l->trouble && err != 0)
		outbox_say(&l->d->out, LOG_ERR, "%s: %s", what, err_text(err_note(-err, "%m")));
	l->trouble = err;
}

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

/* A place for one more: if all are taken, that of who has been silent longest. */
static struct sender **
find_place(struct loop *l)
{
	struct sender **oldest = NULL;

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++) {
		struct sender **s = &l->slaves[i];
		int64_t since;

		if (!*s)
			return s;
		since = sender_waits_since(*s);
		if (since && (!oldest || since < sender_waits_since(*oldest)))
			oldest = s;
	}
	if (oldest && l->d->now_ms >= sender_waits_since(*oldest) + PATIENCE_MS)
		sender_evict(*oldest);	/* its place is free in the next turn */
	else
		l->accepts = ACCEPTS_PER_S;	/* look again in a second */
	return NULL;
}

static bool
accept_one(struct loop *l)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);
	struct sender **place = find_place(l);
	char text[80];
	int fd, on = 1;

	if (!place)
		return false;
	fd = accept4(l->listen.fd, (struct sockaddr *)&addr, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			note_trouble(l, "accept", errno);
		return false;
	}
	note_trouble(l, "accept", 0);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	address_text(&addr, len, text, sizeof(text));
	(void)sender_open(l->d, fd, (int32_t)(place - l->slaves) + 1, text, place);
	l->accepts++;
	return true;
}

static void
listen_ready(struct watch *w, uint32_t events)
{
	struct loop *l = loop_of_listen(w);

	(void)events;
	while (l->accepts < ACCEPTS_PER_S && accept_one(l))
		;
	if (l->accepts >= ACCEPTS_PER_S || l->trouble)
		watch_ask(l->d, w, 0);		/* until the second is over */
}

static int64_t
accept_tick(struct loop *l)
{
	if (l->d->now_ms >= l->accepts_ms + 1000) {
		l->accepts_ms = l->d->now_ms;
		l->accepts = 0;
		watch_ask(l->d, &l->listen, EPOLLIN);
	}
	return l->listen.fd >= 0 && l->listen.events == 0 ? l->accepts_ms + 1000 : 0;
}

/* --- listening ------------------------------------------------------------------------------- */

static int
listen_on(struct loop *l, const struct sockaddr_storage *addr, socklen_t len)
{
	int fd = socket(addr->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1, rc;

	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)addr, len) != 0 || listen(fd, BACKLOG) != 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return watch_open(l->d, &l->listen, fd, EPOLLIN);
}

static void
say_ready(struct loop *l)
{
	struct link_message msg = { .kind = LINK_READY };
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (l->listen.fd >= 0 && getsockname(l->listen.fd, (struct sockaddr *)&addr, &len) == 0)
		msg.port = ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
							     : ((struct sockaddr_in *)&addr)->sin_port);
	(void)outbox_put(&l->d->out, &msg, 0);
}

/* The first address that works. */
static void
listen_try(struct loop *l)
{
	const struct resolve_answer *on = &l->serve->listen;
	char what[128];
	int rc = MQ_EEND;

	for (int i = 0; i < on->n && rc != MQ_OK; i++)
		rc = listen_on(l, &on->list[i].addr, on->list[i].len);
	l->listen_ms = 0;
	if (rc == MQ_OK || rc == MQ_EEND) {
		l->trouble = 0;
		say_ready(l);
		return;
	}
	snprintf(what, sizeof(what), "listen on %s, port %d", l->d->config.listen, (int)l->d->config.port);
	note_trouble(l, what, -rc);
	l->listen_ms = l->d->now_ms + LISTEN_AGAIN_MS;
}

/* --- the link ---------------------------------------------------------------------------------- */

/* Threads of the mount overtake each other; marks that are lower are older. */
static int
on_marks(struct loop *l, const struct link_message *msg)
{
	struct daemon *d = l->d;
	int rc = MQ_OK;

	if (msg->begin > d->begin)
		d->begin = msg->begin;
	if (msg->written > d->written)
		d->written = msg->written;
	d->marks_known = true;
	if (msg->kind == LINK_APPLIED)
		rc = l->receiver ? receiver_applied(l->receiver, msg->ring_at)
				 : err_note(MQ_ECORRUPT, "the mount applied what nobody sent");
	if (rc != MQ_OK)
		return rc;
	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		if (l->slaves[i])
			sender_marks(l->slaves[i]);
	return MQ_OK;
}

/* Nobody to ask. */
static int
on_request(struct loop *l, const struct link_message *msg)
{
	const struct link_message response = { .kind = LINK_RESPONSE, .id = msg->id, .code = -ENOTCONN };

	return outbox_put(&l->d->out, &response, 0) ? MQ_OK : err_note(MQ_ECORRUPT, "too many requests");
}

/* Where to go on: only where our log ends. */
static int
on_follow(struct loop *l, const struct link_message *msg)
{
	if (!l->receiver)
		return err_note(MQ_ECORRUPT, "the mount has no master to follow");
	if (msg->kind == LINK_REST)
		receiver_rest(l->receiver);
	else if (l->d->written > 0 && msg->pos != l->d->written)
		return err_note(MQ_ECORRUPT, "the mount wants to follow from %" PRId64 ", its log ends at %" PRId64,
				msg->pos, l->d->written);
	else
		receiver_follow(l->receiver, msg->pos, msg->id);
	return MQ_OK;
}

static void
on_config(struct loop *l, const struct link_message *msg)
{
	struct link_config *c = &l->d->config;

	c->heartbeat_ms = msg->config.heartbeat_ms;
	c->housekeeping_ms = msg->config.housekeeping_ms;
	c->batch_bytes = msg->config.batch_bytes;
	c->eager = msg->config.eager;
}

static int
hear_mount(struct loop *l)
{
	AUTO_CLOSE int blob_fd = -1;
	struct link_message msg;
	int rc = link_receive(l->link.fd, MSG_DONTWAIT, &msg, &blob_fd);

	if (rc != MQ_OK)
		return rc;
	switch (msg.kind) {
	case LINK_REQUEST:
		return on_request(l, &msg);
	case LINK_MARKS:
	case LINK_APPLIED:
		return on_marks(l, &msg);
	case LINK_FOLLOW:
	case LINK_REST:
		return on_follow(l, &msg);
	case LINK_CONFIG:
		on_config(l, &msg);
		return MQ_OK;
	default:
		return err_note(MQ_ECORRUPT, "the mount sends a message of kind %u", msg.kind);
	}
}

static void
link_ready(struct watch *w, uint32_t events)
{
	struct loop *l = (struct loop *)w;
	int rc = MQ_OK;

	if (events & EPOLLOUT)
		rc = outbox_send(&l->d->out);
	for (int i = 0; i < EVENTS_MAX && rc == MQ_OK; i++)
		rc = hear_mount(l);
	if (rc != MQ_OK && rc != -EAGAIN)
		l->rc = rc == -EPIPE ? MQ_EEND : rc;
}

/* --- the loop ----------------------------------------------------------------------------------- */

static int64_t
slaves_tick(struct loop *l)
{
	int64_t next = 0;

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++) {
		if (!l->slaves[i])
			continue;
		next = earlier(next, sender_tick(l->slaves[i]));
		if (sender_is_gone(l->slaves[i])) {
			sender_close(l->slaves[i]);
			l->slaves[i] = NULL;
		}
	}
	return next;
}

/* All that is due; how long then to wait for news, -1: as long as it takes. */
static int
tick(struct loop *l)
{
	const struct daemon *d = l->d;
	int64_t next;

	if (l->listen_ms && d->now_ms >= l->listen_ms)
		listen_try(l);
	next = earlier(l->listen_ms, accept_tick(l));
	next = earlier(next, slaves_tick(l));
	if (l->receiver)
		next = earlier(next, receiver_tick(l->receiver));
	watch_ask(l->d, &l->link, EPOLLIN | (d->out.n > 0 ? EPOLLOUT : 0));
	if (next == 0)
		return -1;
	if (next <= d->now_ms)
		return 0;
	return next - d->now_ms < INT32_MAX ? (int)(next - d->now_ms) : INT32_MAX;
}

static int
loop_run(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	int n;

	while (l->rc == MQ_OK && !l->d->over) {
		n = epoll_wait(l->d->epoll_fd, events, EVENTS_MAX, tick(l));
		l->d->now_ms = clock_mono_ms();
		for (int i = 0; i < n; i++) {
			struct watch *w = events[i].data.ptr;

			w->ready(w, events[i].events);
		}
	}
	return l->rc == MQ_EEND ? MQ_OK : l->rc;
}

int
serve_run(struct serve *serve)
{
	struct daemon *d = &serve->d;
	struct loop l = {
		.link = { .ready = link_ready, .fd = -1 },
		.listen = { .ready = listen_ready, .fd = -1 },
		.d = d,
		.serve = serve,
	};
	int rc;

	d->now_ms = clock_mono_ms();
	rc = watch_open(d, &l.link, LINK_SOCKET_FD, EPOLLIN);
	if (rc == MQ_OK && d->config.slave)
		rc = receiver_open(d, serve->names_fd, &serve->master, &l.receiver);
	if (rc != MQ_OK)
		return rc;
	listen_try(&l);
	rc = loop_run(&l);
	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		sender_close(l.slaves[i]);
	receiver_close(l.receiver);
	watch_close(&l.listen);
	watch_close(&l.link);
	return rc;
}
