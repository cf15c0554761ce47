#include "config.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/daemon.h"

int
watch_open(struct daemon *d, struct watch *w, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	w->fd = fd;
	w->events = events;
	if (epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, fd, &ev) == 0)
		return MQ_OK;
	int rc = err_note(-errno, "epoll: %m");

	watch_close(w);
	return rc;
}

void
watch_ask(struct daemon *d, struct watch *w, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = w };

	if (w->fd < 0 || w->events == events)
		return;
	w->events = events;
	MUST(epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, w->fd, &ev) == 0);
}

void
watch_close(struct watch *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

int
watch_release(struct daemon *d, struct watch *w)
{
	int fd = w->fd;

	MUST(epoll_ctl(d->epoll_fd, EPOLL_CTL_DEL, fd, NULL) == 0);
	w->fd = -1;
	return fd;
}
