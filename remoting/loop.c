#include "config.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "remoting/frames.h"
#include "remoting/loop.h"

#define EVENTS_MAX 256
#define LINK_TURN 64			/* messages of the mount, then it is others' turn */
#define SAY_MS 500			/* between two LINK_READY that differ in the number of clients */
#define LATE_MS 50			/* so long a busy machine may keep us from a turn */
#define HOST_CONNECTIONS_MAX CONNECTIONS_MAX	/* behind one address may be a cluster's gateway */
#define ACCEPTS_MAX 2048		/* all clients of a cluster come at once when a master is back */
#define ANSWERS_MAX 4096		/* that one does not take */
#define TURN_FRAMES 64			/* of one connection */

/* --- the link ---------------------------------------------------------------------------------- */

static int
hear_mount(struct loop *l)
{
	struct link_message msg;
	int blob_fd, rc = link_receive(l->link.fd, MSG_DONTWAIT, &msg, &blob_fd);

	if (rc != MQ_OK)
		return rc;
	switch (msg.kind) {
	case LINK_RESPONSE:
		rc = server_answer(l->server, &msg, blob_fd);
		break;
	case LINK_REQUEST:
		frames_mount_asks(l, &msg, blob_fd);
		break;
	case LINK_PING:
		(void)outbox_put(&l->d.out, &(struct link_message){ .kind = LINK_PONG }, 0);
		break;
	default:
		rc = err_note(MQ_ECORRUPT, "the mount sends a message of kind %u", msg.kind);
	}
	if (blob_fd >= 0)
		close(blob_fd);
	return rc;
}

static void
link_ready(struct watch *w, uint32_t events)
{
	struct loop *l = (struct loop *)w;
	int rc = MQ_OK;

	if (events & EPOLLOUT)
		rc = outbox_send(&l->d.out);
	for (int i = 0; i < LINK_TURN && rc == MQ_OK; i++)
		rc = hear_mount(l);
	if (rc != MQ_OK && rc != -EAGAIN)
		l->rc = rc == -EPIPE ? MQ_EEND : rc;
}

/* Which ports are in use, and how many clients there are, whenever that has changed.  Returns when
 * to call again, 0: no need. */
static int64_t
say_ready(struct loop *l)
{
	const struct link_message msg = {
		.kind = LINK_READY,
		.remoting_port = server_port(l->server),
		.vip_port = server_vip_port(l->server),
		.len = (uint32_t)clients_count(l->clients),
	};
	bool same = l->told.kind == msg.kind && l->told.remoting_port == msg.remoting_port &&
		    l->told.vip_port == msg.vip_port;

	if (!l->d.recovered && same && l->told.len == msg.len)
		return 0;
	if (!l->d.recovered && same && l->d.now_ms < l->told_ms + SAY_MS)
		return l->told_ms + SAY_MS;	/* crowds come and go */
	if (!outbox_put(&l->d.out, &msg, 0))
		return 0;
	l->told = msg;
	l->told_ms = l->d.now_ms;
	l->d.recovered = false;
	return 0;
}

/* --- the loop ----------------------------------------------------------------------------------- */

/* All that is due; how long then to wait for news, -1: as long as it takes. */
static int
tick(struct loop *l)
{
	const struct daemon *d = &l->d;
	int64_t next;

	calls_tick(l->calls);		/* its answers go out with the server's */
	next = server_tick(l->server);
	next = earlier(next, calls_next_ms(l->calls));	/* the server may have heard who asks */
	next = earlier(next, say_ready(l));
	next = earlier(next, namesrv_tick(l->namesrv));
	next = earlier(next, segments_tick(&l->d));
	next = earlier(next, traffic_tick(l->traffic));
	watch_ask(&l->d, &l->link, EPOLLIN | (d->out.n > 0 ? EPOLLOUT : 0));
	if (next == 0)
		return -1;
	if (next <= d->now_ms)
		return 0;
	return next - d->now_ms < INT32_MAX ? (int)(next - d->now_ms) : INT32_MAX;
}

/* Time passes for us only while we look: when we, or the whole machine, stood still
 * for seconds, no peer is dead because nothing was heard of it meanwhile. */
static void
look_at_clock(struct loop *l, int wait_ms)
{
	int64_t now = clock_mono_ms() - l->stood_still_ms, most = l->d.now_ms + wait_ms + LATE_MS;

	if (wait_ms >= 0 && now > most) {
		l->stood_still_ms += now - most;
		now = most;
	}
	l->d.now_ms = now;
}

static int
turn_until_end(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	int n, wait_ms;

	while (l->rc == MQ_OK && !l->d.over) {
		wait_ms = tick(l);
		n = epoll_wait(l->d.epoll_fd, events, EVENTS_MAX, wait_ms);
		look_at_clock(l, wait_ms);
		for (int i = 0; i < n; i++) {
			struct watch *w = events[i].data.ptr;

			w->ready(w, events[i].events);
		}
		traffic_hear(l->traffic);
	}
	return l->rc == MQ_EEND ? MQ_OK : l->rc;
}

int
loop_run(struct loop *l)
{
	struct daemon *d = &l->d;
	const struct server_for server = {
		.d = d, .on = &l->listen, .connections_max = l->connections_max,
		.host_max = HOST_CONNECTIONS_MAX, .accepts_max = ACCEPTS_MAX, .waiting_max = ANSWERS_MAX,
		.has_values = frames_have_values, .arg = l, .serve = frames_serve, .gone = frames_gone,
		.answered = frames_answered, .allowed = frames_allowed,
		.cuts = d->config.acl ? NULL : traffic_cuts,	/* what is signed is looked at as an object */
		.may_ask = frames_may_ask, .turn_frames = TURN_FRAMES,
	};
	int rc;

	d->now_ms = clock_mono_ms();
	l->link = (struct watch){ .ready = link_ready, .fd = -1 };
	rc = watch_open(d, &l->link, LINK_SOCKET_FD, EPOLLIN);
	if (rc == MQ_OK)
		rc = clients_open(&l->clients);
	if (rc == MQ_OK)
		clients_on_emptied(l->clients, frames_emptied, l);
	if (rc == MQ_OK)
		rc = locks_open(&l->locks);
	if (rc == MQ_OK)
		rc = senders_open(&l->senders);
	if (rc == MQ_OK)
		rc = calls_open(l, &l->calls);
	if (rc == MQ_OK)
		rc = traffic_start(l->traffic);
	if (rc == MQ_OK)
		rc = namesrv_start(l->namesrv);
	if (rc == MQ_OK)
		rc = server_open(&server, &l->server);
	if (rc == MQ_OK)
		rc = turn_until_end(l);
	server_close(l->server);
	traffic_close(l->traffic);
	namesrv_close(l->namesrv);
	clients_close(l->clients);
	locks_close(l->locks);
	senders_close(l->senders);
	calls_close(l->calls);
	watch_close(&l->link);
	return rc;
}
