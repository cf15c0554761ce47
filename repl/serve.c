#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/address.h"
#include "net/program.h"
#include "repl/receiver.h"
#include "repl/remoting_client.h"
#include "repl/requests.h"
#include "repl/sender.h"
#include "repl/serve.h"

#define PATIENCE_MS 500			/* a connection without a report keeps its place when others want it, */
#define IDLE_MS 5000			/* and one that acknowledges nothing */
#define REMOTING_CONNECTIONS_MAX 64
#define ANSWERS_MAX 8			/* that one of them does not take */

/* --- connections of slaves ---------------------------------------------------------------------- */

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
		     address_same_host(sender_address(s->list[i]), address);
	return n;
}

/* Is `a`, one of a_n connections from its host, to be closed before `b`?  First is one without a
 * report, then one with more others from its host, then the one that has been idle for longer. */
static bool
closes_before(const struct sender *a, size_t a_n, const struct sender *b, size_t b_n)
{
	if (sender_has_reported(a) != sender_has_reported(b))
		return !sender_has_reported(a);
	return a_n != b_n ? a_n > b_n : sender_idle_since(a) < sender_idle_since(b);
}

/* The connection from `host` (NULL: from anywhere) to close first.  NULL: all are of working slaves. */
static struct sender *
least_useful(const struct slaves *s, const char *host)
{
	struct sender *least = NULL;
	size_t least_n = 0;

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++) {
		struct sender *slave = s->list[i];
		size_t n;

		if (!slave || !sender_idle_since(slave) ||
		    (host && !address_same_host(sender_address(slave), host)))
			continue;
		n = places_of_host(s, sender_address(slave));
		if (!least || closes_before(slave, n, least, least_n)) {
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

/* --- the link ---------------------------------------------------------------------------------- */

static void
take_marks(struct serve *s)
{
	s->d.written = atomic_load(&s->board.marks->written);
	s->d.begin = atomic_load(&s->board.marks->begin);
}

/* Marks are read before the mount's messages, which may be about them. */
void
serve_woken(void *serve)
{
	struct serve *s = serve;
	int64_t before = s->d.written;

	if (s->asleep)
		board_awake(&s->board);
	s->asleep = false;
	take_marks(s);
	if (s->d.written == before)
		return;
	if (s->receiver)
		receiver_applied(s->receiver);
	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		if (s->slaves.list[i])
			sender_marks(s->slaves.list[i]);
}

/* The eventfd has only ended the wait: serve_woken() has read the marks. */
static void
marks_ready(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
}

/* Would we do something at once if the log grew? */
static bool
wants_marks(const struct serve *s)
{
	bool wants = s->receiver && receiver_wants_marks(s->receiver);

	for (size_t i = 0; i < SERVE_SLAVES_MAX && !wants; i++)
		wants = s->slaves.list[i] && sender_wants_marks(s->slaves.list[i]);
	return wants;
}

static int
on_response(struct serve *s, const struct link_message *msg, int blob_fd)
{
	int rc = server_answer(s->server, msg, blob_fd);

	if (blob_fd >= 0)
		close(blob_fd);
	return rc;
}

static int
on_request(struct serve *s, const struct link_message *msg, int blob_fd)
{
	const struct link_message nobody = { .kind = LINK_RESPONSE, .id = msg->id, .code = -ENOTCONN,
					     .text = "there is no master to ask" };

	if (s->client) {
		remoting_client_ask(s->client, msg, blob_fd);
		return MQ_OK;
	}
	(void)outbox_put(&s->d.out, &nobody, 0);
	if (blob_fd >= 0)
		close(blob_fd);
	return MQ_OK;
}

/* The log is continued only where it ends. */
static int
on_follow(struct serve *s, const struct link_message *msg)
{
	const struct daemon *d = &s->d;

	if (!s->receiver)
		return err_note(MQ_ECORRUPT, "the mount has no master to follow");
	if (msg->kind == LINK_REST)
		receiver_rest(s->receiver);
	else if (d->written > 0 && msg->pos != d->written)
		return err_note(MQ_ECORRUPT, "the mount wants to follow from %" PRId64 ", its log ends at %" PRId64,
				msg->pos, d->written);
	else if (msg->len > msg->pos - d->begin)
		return err_note(MQ_ECORRUPT, "the mount wants %" PRIu32 " bytes compared, its log is from %" PRId64
				" to %" PRId64, msg->len, d->begin, msg->pos);
	else
		receiver_follow(s->receiver, msg->pos, (struct receiver_again){ msg->len, msg->crc }, msg->id);
	return MQ_OK;
}

int
serve_on_message(void *serve, const struct link_message *msg, int blob_fd)
{
	struct serve *s = serve;
	struct link_config *c = &s->d.config;

	switch (msg->kind) {
	case LINK_REQUEST:
		return on_request(s, msg, blob_fd);
	case LINK_RESPONSE:
		return on_response(s, msg, blob_fd);
	case LINK_FOLLOW:
	case LINK_REST:
		return on_follow(s, msg);
	case LINK_CONFIG:
		c->heartbeat_ms = msg->config.heartbeat_ms;
		c->housekeeping_ms = msg->config.housekeeping_ms;
		c->batch_bytes = msg->config.batch_bytes;
		c->eager = msg->config.eager;
		return MQ_OK;
	default:
		return err_note(MQ_ECORRUPT, "the mount sends a message of kind %u", msg->kind);
	}
}

/* --- the loop ----------------------------------------------------------------------------------- */

static int64_t
slaves_tick(struct serve *s)
{
	int64_t next = listener_tick(&s->slaves.listener);

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++) {
		struct sender **slave = &s->slaves.list[i];

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

int64_t
serve_tick(void *serve)
{
	struct serve *s = serve;
	int64_t next = earlier(slaves_tick(s), server_tick(s->server));

	(void)program_say_ready(&s->d, &(struct link_message){
		.kind = LINK_READY,
		.port = listener_port(&s->slaves.listener),
		.remoting_port = server_port(s->server),
		.vip_port = server_vip_port(s->server),
	});
	if (s->client)
		next = earlier(next, remoting_client_tick(s->client));
	if (s->receiver)
		next = earlier(next, receiver_tick(s->receiver));
	if ((next != 0 && next <= s->d.now_ms) || !wants_marks(s))
		return next;
	s->asleep = true;
	return board_sleep(&s->board, s->d.written) ? next : s->d.now_ms;
}

int
serve_open(void *serve)
{
	struct serve *s = serve;
	struct daemon *d = &s->d;
	const struct server_for remoting = {
		.d = d, .on = &d->listen, .connections_max = REMOTING_CONNECTIONS_MAX,
		.host_max = LISTENER_HOST_MAX, .waiting_max = ANSWERS_MAX, .has_values = request_has_values,
	};
	int rc;

	take_marks(s);
	s->slaves.board = &s->board;
	s->slaves.listener = (struct listener){
		.d = d, .on = &d->listen, .what = "slaves", .port = d->config.port,
		.has_place = slave_has_place, .accepted = slave_accepted,
	};
	listener_open(&s->slaves.listener);
	s->marks = (struct watch){ .ready = marks_ready, .fd = -1 };
	rc = watch_open(d, &s->marks, s->board.wake_fd, EPOLLIN | EPOLLET);
	if (rc == MQ_OK && d->config.slave)
		rc = receiver_open(d, s->master.names_fd, &s->master.answer, &s->receiver);
	if (rc == MQ_OK && d->config.slave)
		rc = remoting_client_open(d, s->remoting.names_fd, &s->remoting.answer, &s->client);
	return rc == MQ_OK ? server_open(&remoting, &s->server) : rc;
}

void
serve_close(void *serve)
{
	struct serve *s = serve;

	for (size_t i = 0; i < SERVE_SLAVES_MAX; i++)
		sender_close(s->slaves.list[i]);
	receiver_close(s->receiver);
	remoting_client_close(s->client);
	server_close(s->server);
	listener_close(&s->slaves.listener);
	watch_close(&s->marks);
}
