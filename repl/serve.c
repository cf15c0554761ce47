#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "net/listener.h"
#include "net/server.h"
#include "repl/receiver.h"
#include "repl/remoting_client.h"
#include "repl/requests.h"
#include "repl/sender.h"
#include "repl/serve.h"

#define PATIENCE_MS 500			/* with who has not reported, when others want the place, */
#define IDLE_MS 5000			/* and with who has, and acknowledges nothing */
#define EVENTS_MAX 256			/* more than there are: whoever is ready has a turn in each */
#define LINK_TURN 64			/* messages of the mount, then it is others' turn */
#define REMOTING_CONNECTIONS_MAX 64
#define ANSWERS_MAX 8			/* that one of them does not take */
#define LATE_MS 50			/* so long a busy machine may keep us from a turn */

struct loop {
	struct watch link;
	struct watch marks;				/* the mount has moved one that we wait for */
	struct slaves {
		struct listener listener;
		const struct board_seat *board;
		struct sender *list[SERVE_SLAVES_MAX];	/* number i + 1, or NULL */
		uint64_t connections;			/* that were accepted so far */
	} slaves;
	struct daemon *d;
	const struct board_seat *board;
	struct receiver *receiver;			/* NULL: we follow nobody, */
	struct remoting_client *client;			/* and have nobody to ask */
	struct server *server;
	struct link_message told;			/* which ports are in use; kind 0: not yet */
	int64_t stood_still_ms;				/* in all, so far */
	int rc;
};

/* --- who connects ---------------------------------------------------------------------- */

static struct slaves *
slaves_of(struct listener *l)
{
	return (struct slaves *)((char *)l - offsetof(struct slaves, listener));
}

static struct sender **
free_place(struct slaves *s)
{
	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		if (!s->list[i])
			return &s->list[i];
	return NULL;
}

static size_t
places_of_host(const struct slaves *s, const char *address)
{
	size_t n = 0;

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		n += s->list[i] && sender_is_connected(s->list[i]) &&
		     listener_same_host(sender_address(s->list[i]), address);
	return n;
}

/* Would `a`, of which there are a_n from its host, be missed less than `b`?  Who has said
 * nothing first, then who is one of a crowd, then who has been of no use for longer. */
static bool
is_missed_less(const struct sender *a, size_t a_n, const struct sender *b, size_t b_n)
{
	if (sender_has_reported(a) != sender_has_reported(b))
		return !sender_has_reported(a);
	return a_n != b_n ? a_n > b_n : sender_idle_since(a) < sender_idle_since(b);
}

/* Who would be missed least, of those that come from `host` (NULL: from anywhere).  NULL: they
 * all follow. */
static struct sender *
least_useful(const struct slaves *s, const char *host)
{
	struct sender *least = NULL;
	size_t least_n = 0;

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++) {
		struct sender *slave = s->list[i];
		size_t n;

		if (!slave || !sender_idle_since(slave) ||
		    (host && !listener_same_host(sender_address(slave), host)))
			continue;
		n = places_of_host(s, sender_address(slave));
		if (!least || is_missed_less(slave, n, least, least_n)) {
			least = slave;
			least_n = n;
		}
	}
	return least;
}

/* If all places are taken, that of a connection that is not a working slave. */
static bool
slave_has_place(struct listener *l)
{
	struct slaves *s = slaves_of(l);
	struct sender *least;
	int64_t patience_ms;

	if (free_place(s))
		return true;
	least = least_useful(s, NULL);
	patience_ms = least && sender_has_reported(least) ? IDLE_MS : PATIENCE_MS;
	if (least && l->d->now_ms >= sender_idle_since(least) + patience_ms)
		sender_evict(least);	/* its place is free in the next turn */
	else
		listener_pause(l);
	return false;
}

/* A host with too many places gives up one of its own. */
static void
slave_accepted(struct listener *l, int fd, const char *address)
{
	struct slaves *s = slaves_of(l);
	struct sender **place = free_place(s), *least = NULL;
	bool crowd = places_of_host(s, address) >= LISTENER_HOST_MAX;

	if (crowd)
		least = least_useful(s, address);
	if (crowd && !least) {
		admit_refused(l->d, address, "it has enough slaves already");
		close(fd);
		return;
	}
	if (least)
		sender_evict(least);
	(void)sender_open(l->d, s->board, fd, (int32_t)(place - s->list) + 1, ++s->connections, address, place);
}

/* Which ports are in use, whenever that has changed, and when all is well again. */
static void
say_ready(struct loop *l)
{
	struct daemon *d = l->d;
	const struct link_message msg = {
		.kind = LINK_READY,
		.port = listener_port(&l->slaves.listener),
		.remoting_port = server_port(l->server),
		.vip_port = server_vip_port(l->server),
	};

	if (!d->recovered && l->told.kind == msg.kind && l->told.port == msg.port && l->told.remoting_port == msg.remoting_port &&
	    l->told.vip_port == msg.vip_port)
		return;
	if (!outbox_put(&d->out, &msg, 0))
		return;
	l->told = msg;
	d->recovered = false;
}

/* --- the link ---------------------------------------------------------------------------------- */

static void
take_marks(struct loop *l)
{
	l->d->written = atomic_load(&l->board->marks->written);
	l->d->begin = atomic_load(&l->board->marks->begin);
}

/* In each turn of the loop, before what has come is looked at. */
static void
look_at_marks(struct loop *l)
{
	int64_t before = l->d->written;

	take_marks(l);
	if (l->d->written == before)
		return;
	if (l->receiver)
		receiver_applied(l->receiver);
	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		if (l->slaves.list[i])
			sender_marks(l->slaves.list[i]);
}

static void
marks_ready(struct watch *w, uint32_t events)
{
	(void)w;		/* it has been looked at them */
	(void)events;
}

/* Would we do something at once if the log grew? */
static bool
wants_marks(const struct loop *l)
{
	bool wants = l->receiver && receiver_wants_marks(l->receiver);

	for (size_t i = 0; i < SERVE_SLAVES_MAX && !wants; i++)
		wants = l->slaves.list[i] && sender_wants_marks(l->slaves.list[i]);
	return wants;
}

/* blob_fd is taken over. */
static int
on_exchange(struct loop *l, const struct link_message *msg, int blob_fd)
{
	const struct link_message nobody = { .kind = LINK_RESPONSE, .id = msg->id, .code = -ENOTCONN,
					     .text = "there is no master to ask" };

	int rc;

	if (msg->kind == LINK_RESPONSE) {
		rc = server_answer(l->server, msg, blob_fd);
		if (blob_fd >= 0)
			close(blob_fd);
		return rc;
	}
	if (l->client) {
		remoting_client_ask(l->client, msg, blob_fd);
		return MQ_OK;
	}
	(void)outbox_put(&l->d->out, &nobody, 0);
	if (blob_fd >= 0)
		close(blob_fd);
	return MQ_OK;
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
	else if (msg->len > msg->pos - l->d->begin)
		return err_note(MQ_ECORRUPT, "the mount wants %" PRIu32 " bytes compared, its log is from %" PRId64
				" to %" PRId64, msg->len, l->d->begin, msg->pos);
	else
		receiver_follow(l->receiver, msg->pos, (struct receiver_again){ msg->len, msg->crc }, msg->id);
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
	struct link_message msg;
	int blob_fd, rc = link_receive(l->link.fd, MSG_DONTWAIT, &msg, &blob_fd);

	if (rc != MQ_OK)
		return rc;
	switch (msg.kind) {
	case LINK_REQUEST:
	case LINK_RESPONSE:
		return on_exchange(l, &msg, blob_fd);
	case LINK_FOLLOW:
	case LINK_REST:
		return on_follow(l, &msg);
	case LINK_CONFIG:
		on_config(l, &msg);
		return MQ_OK;
	case LINK_PING:
		(void)outbox_put(&l->d->out, &(struct link_message){ .kind = LINK_PONG }, 0);
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
	for (int i = 0; i < LINK_TURN && rc == MQ_OK; i++)
		rc = hear_mount(l);
	if (rc != MQ_OK && rc != -EAGAIN)
		l->rc = rc == -EPIPE ? MQ_EEND : rc;
}

/* --- the loop ----------------------------------------------------------------------------------- */

static int64_t
slaves_tick(struct loop *l)
{
	int64_t next = listener_tick(&l->slaves.listener);

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++) {
		struct sender **slave = &l->slaves.list[i];

		if (!*slave)
			continue;
		next = earlier(next, sender_tick(*slave));
		if (sender_is_gone(*slave)) {
			sender_close(*slave);
			*slave = NULL;
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

	next = earlier(slaves_tick(l), server_tick(l->server));
	say_ready(l);
	if (l->client)
		next = earlier(next, remoting_client_tick(l->client));
	if (l->receiver)
		next = earlier(next, receiver_tick(l->receiver));
	watch_ask(l->d, &l->link, EPOLLIN | (d->out.n > 0 ? EPOLLOUT : 0));
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
	int64_t now = clock_mono_ms() - l->stood_still_ms, most = l->d->now_ms + wait_ms + LATE_MS;

	if (wait_ms >= 0 && now > most) {
		l->stood_still_ms += now - most;
		now = most;
	}
	l->d->now_ms = now;
}

/* Wait for events, and for marks if these are wanted. */
static int
sleep_for(struct loop *l, struct epoll_event events[EVENTS_MAX], int wait_ms)
{
	bool wants = wait_ms != 0 && wants_marks(l);
	int n;

	if (wants && !board_sleep(l->board, l->d->written))
		wait_ms = 0;
	n = epoll_wait(l->d->epoll_fd, events, EVENTS_MAX, wait_ms);
	if (wants)
		board_awake(l->board);
	return n;
}

static int
loop_run(struct loop *l)
{
	struct epoll_event events[EVENTS_MAX];
	int n, wait_ms;

	while (l->rc == MQ_OK && !l->d->over) {
		wait_ms = tick(l);
		n = sleep_for(l, events, wait_ms);
		look_at_clock(l, wait_ms);
		look_at_marks(l);
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
		.marks = { .ready = marks_ready, .fd = -1 },
		.slaves.board = &serve->board,
		.slaves.listener = {
			.d = d, .on = &serve->listen, .what = "slaves", .port = d->config.port,
			.has_place = slave_has_place, .accepted = slave_accepted,
		},
		.d = d,
		.board = &serve->board,
	};
	const struct server_for remoting = {
		.d = d, .on = &serve->listen, .connections_max = REMOTING_CONNECTIONS_MAX,
		.host_max = LISTENER_HOST_MAX, .waiting_max = ANSWERS_MAX, .has_values = request_has_values,
	};
	int rc;

	d->now_ms = clock_mono_ms();
	take_marks(&l);
	rc = watch_open(d, &l.link, LINK_SOCKET_FD, EPOLLIN);
	if (rc == MQ_OK)
		rc = watch_open(d, &l.marks, serve->board.wake_fd, EPOLLIN | EPOLLET);
	if (rc == MQ_OK && d->config.slave)
		rc = receiver_open(d, serve->master.names_fd, &serve->master.answer, &l.receiver);
	if (rc == MQ_OK && d->config.slave)
		rc = remoting_client_open(d, serve->remoting.names_fd, &serve->remoting.answer, &l.client);
	if (rc != MQ_OK)
		return rc;
	listener_open(&l.slaves.listener);
	rc = server_open(&remoting, &l.server);
	if (rc != MQ_OK)
		return rc;
	rc = loop_run(&l);
	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		sender_close(l.slaves.list[i]);
	receiver_close(l.receiver);
	remoting_client_close(l.client);
	server_close(l.server);
	listener_close(&l.slaves.listener);
	watch_close(&l.marks);
	watch_close(&l.link);
	return rc;
}
