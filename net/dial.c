#include "config.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/dial.h"

#define CONNECT_MS 3000

static void
finish(struct dial *dial, int rc, int fd)
{
	dial->phase = DIAL_RESTING;
	dial->done(dial, rc, fd);
}

static int
connect_to(struct dial *dial, int which)
{
	const struct sockaddr *addr = (const struct sockaddr *)&dial->to.list[which].addr;
	int fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return err_note(-errno, "%m");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, addr, dial->to.list[which].len) != 0 && errno != EINPROGRESS) {
		int rc = err_note(-errno, "%m");

		close(fd);
		return rc;
	}
	return watch_open(dial->d, &dial->watch, fd, EPOLLOUT);
}

void
dial_next(struct dial *dial, int rc)
{
	watch_close(&dial->watch);
	while (dial->which < dial->to.n) {
		rc = connect_to(dial, dial->which++);
		if (rc == MQ_OK) {
			dial->phase = DIAL_CONNECTING;
			dial->until_ms = dial->d->now_ms + CONNECT_MS;
			return;
		}
	}
	finish(dial, dial->to.n > 0 ? rc : err_note(-EHOSTUNREACH, "%s", dial->to.why), -1);
}

static void
connect_ready(struct watch *w, uint32_t events)
{
	struct dial *dial = (struct dial *)w;
	int why = 0, fd;
	socklen_t len = sizeof(why);

	(void)events;
	if (w->fd < 0)
		return;
	if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &why, &len) != 0)
		why = errno;
	if (why != 0) {
		dial_next(dial, err_note(-why, "%m"));
		return;
	}
	fd = watch_release(dial->d, w);
	finish(dial, MQ_OK, fd);
}

static void
names_ready(struct watch *w, uint32_t events)
{
	struct dial *dial = (struct dial *)((char *)w - offsetof(struct dial, names));
	int rc = w->fd < 0 ? -EAGAIN : resolve_receive(w->fd, &dial->to);

	(void)events;
	if (rc == -EAGAIN)
		return;
	if (rc != MQ_OK) {
		watch_close(w);
		dial->d->over = true;
	} else if (dial->phase == DIAL_RESOLVING) {
		dial_next(dial, MQ_OK);
	}
}

int
dial_open(struct dial *dial, struct daemon *d, int names_fd, const struct resolve_answer *to)
{
	dial->d = d;
	dial->to = *to;
	dial->watch = (struct watch){ .ready = connect_ready, .fd = -1 };
	dial->names = (struct watch){ .ready = names_ready, .fd = -1 };
	return names_fd < 0 ? MQ_OK : watch_open(d, &dial->names, names_fd, EPOLLIN);
}

void
dial_close(struct dial *dial)
{
	watch_close(&dial->watch);
	watch_close(&dial->names);
}

void
dial_stop(struct dial *dial)
{
	watch_close(&dial->watch);
	dial->phase = DIAL_RESTING;
}

void
dial_start(struct dial *dial)
{
	dial->which = 0;
	if (dial->names.fd < 0) {
		dial_next(dial, MQ_OK);
	} else {
		dial->phase = DIAL_RESOLVING;	/* if it has ended, names_ready() is called */
		(void)resolve_ask(dial->names.fd);
	}
}

int64_t
dial_tick(struct dial *dial)
{
	if (dial->phase == DIAL_CONNECTING && dial->d->now_ms >= dial->until_ms)
		dial_next(dial, err_note(-ETIMEDOUT, "%m"));
	return dial->phase == DIAL_CONNECTING ? dial->until_ms : 0;
}
