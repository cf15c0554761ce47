#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/address.h"
#include "net/blob.h"
#include "net/channel.h"
#include "net/listener.h"
#include "net/request.h"
#include "net/server.h"

#define PATIENCE_MS 500			/* for a connection without requests, when another one needs its place */
#define ASKED_MAX 8			/* requests of one connection; with more it is not read from */
#define ASKED_SHARED 48			/* of LINK_REQUESTS_MAX; the others are for first requests */
#define REFUSED_MS 50			/* after a refusal the connection is not read from for so long */
#define SMALL_FRAME (64 << 10)		/* any connection may send a frame of this size, */
#define LARGE_FRAMES (64 << 20)		/* and larger ones share this memory */
#define ANSWERS_BYTES_MAX ((size_t)64 << 20)	/* of answers that peers do not read, in all; */
#define ANSWERS_BYTES_EACH ((size_t)1 << 20)	/* a connection with more is not read from */
#define TURN_SHARED 512			/* frames of all connections in a turn, about: each has its share, */
#define TURN_LEAST 4			/* and some in any case */
#define SPARE_PLACES 16			/* for connections that are closed in this turn of the loop */
#define SWEEP_MS 1000			/* between two passes over all connections */
#define OUTBOX_SPARE 64			/* places that are for other news */

struct connection {
	struct server_peer peer;	/* first: what the daemon holds */
	struct server *of;
	struct connection **place;
	struct connection *next_busy;
	bool busy;			/* is in server.busy */
	int asked;			/* requests that the mount has */
	size_t reserved;		/* of LARGE_FRAMES, for the frame that comes */
	int64_t useful_ms;		/* when it connected, or sent its last request */
	int64_t later_ms;		/* it is not read from before this */
};

/* A request that the mount has not answered yet. */
struct asked {
	uint64_t id;			/* 0: this place is free */
	struct connection *by;		/* NULL: it is gone */
	enum remoting_dialect dialect;
	int32_t code, opaque;
	bool one_way;
	size_t reserved;
	struct remoting_frame *first;	/* the request, while the mount says whether it may be asked; else NULL */
};

struct server {
	struct server_port {
		struct listener listener;
		struct server *of;
	} ports[2];			/* the usual one, and VIP */
	struct server_for what;
	struct daemon *d;
	struct connection **connections;
	size_t places, n, closed;	/* of the table; connections that are open, that are to be freed */
	struct connection *busy;	/* something has happened to them, or is to */
	size_t busy_n, busy_before;	/* how many these are, and were in the turn before */
	int64_t sweep_ms;		/* when all are to be looked at */
	struct asked asked[LINK_REQUESTS_MAX];
	size_t asked_n;
	uint64_t last_id;
	size_t reserved;		/* of LARGE_FRAMES */
};

/* --- connections ------------------------------------------------------------------------- */

static struct server *
server_of(struct listener *l)
{
	return ((struct server_port *)l)->of;
}

void
server_touch(struct server_peer *p)
{
	struct connection *c = (struct connection *)p;

	if (c->busy)
		return;
	c->busy = true;
	c->next_busy = c->of->busy;
	c->of->busy = c;
	c->of->busy_n++;
}

static struct connection **
free_place(struct server *s)
{
	for (size_t i = 0; i < s->places; i++)
		if (!s->connections[i])
			return &s->connections[i];
	return NULL;
}

static void
gone(struct connection *c)
{
	struct server *s = c->of;

	if (c->peer.channel.watch.fd < 0)
		return;
	if (s->what.gone)
		s->what.gone(s->what.arg, &c->peer);
	channel_close(&c->peer.channel);
	s->n--;
	s->closed++;
	server_touch(&c->peer);
	s->reserved -= c->reserved;
	c->reserved = 0;
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (s->asked[i].by == c)
			s->asked[i].by = NULL;
}

/* Its channel has ended. */
static void
failed(struct connection *c)
{
	if (c->peer.channel.rc != -ECONNRESET && c->peer.channel.rc != MQ_ECLOSED)
		admit_refused(c->of->d, c->peer.address, c->peer.channel.why);
	gone(c);
}

/* Of the connections from `host` (NULL: from anywhere) the one that has been without a request for
 * longest; one with a request under way comes last.  *ret_n: how many connections these are. */
static struct connection *
least_useful(const struct server *s, const char *host, size_t *ret_n)
{
	struct connection *least = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < s->places; i++) {
		struct connection *c = s->connections[i];

		if (!c || c->peer.channel.watch.fd < 0 || (host && !address_same_host(c->peer.address, host)))
			continue;
		++*ret_n;
		if (!least || (c->asked == 0) > (least->asked == 0) ||
		    ((c->asked == 0) == (least->asked == 0) && c->useful_ms < least->useful_ms))
			least = c;
	}
	return least;
}

/* The connection to close when another one comes from `host`; NULL: there is room. */
static struct connection *
to_close_for(const struct server *s, const char *host)
{
	size_t n;
	struct connection *least;

	if (s->what.host_max < s->what.connections_max) {
		least = least_useful(s, host, &n);
		if (n >= s->what.host_max)
			return least;
	}
	return s->n >= s->what.connections_max ? least_useful(s, NULL, &n) : NULL;
}

/* A new connection gets the place of the least useful one. */
static bool
has_place(struct listener *l)
{
	struct server *s = server_of(l);
	size_t n;
	const struct connection *c = s->n >= s->what.connections_max ? least_useful(s, NULL, &n) : NULL;

	if (c && s->d->now_ms < c->useful_ms + PATIENCE_MS)
		listener_pause(l);
	else if (free_place(s))
		return true;
	return false;			/* places of closed connections are free in the next turn */
}

/* --- answering ----------------------------------------------------------------------------- */

int
server_send(struct server_peer *p, const struct remoting_frame *f)
{
	server_touch(p);
	return channel_send(&p->channel, f);
}

int
server_post(struct server_peer *p, const struct remoting_frame *f)
{
	server_touch(p);
	return channel_post(&p->channel, f);
}

int
server_send_log(struct server_peer *p, const struct remoting_frame *f, const struct log_piece *pieces, size_t n)
{
	server_touch(p);
	return channel_send_log(&p->channel, f, pieces, n);
}

void
server_refuse(struct server_peer *p, const struct remoting_frame *to, int code, const char *remark)
{
	char text[LINK_TEXT_BYTES];
	struct remoting_frame f = remoting_response(to, code);

	f.remark = remark ? text : NULL;
	snprintf(text, sizeof(text), "%s", remark ? remark : "");
	if (!(to->flag & REMOTING_ONE_WAY))
		(void)server_send(p, &f);
}

/* If too many bytes of answers wait, the connection that has most of them is closed. */
static void
bound_answers(struct server *s)
{
	struct connection *most = NULL;
	size_t bytes = 0;

	for (size_t i = 0; i < s->places; i++) {
		struct connection *c = s->connections[i];

		if (!c)
			continue;
		bytes += c->peer.channel.waiting_bytes;
		if (!most || c->peer.channel.waiting_bytes > most->peer.channel.waiting_bytes)
			most = c;
	}
	if (bytes > ANSWERS_BYTES_MAX)
		gone(most);
}

/* The answer is read from the blob at once, so that answers that wait hold no descriptors. */
static void
answer(struct asked *a, const struct link_message *msg, int blob_fd)
{
	const struct remoting_frame to = { .dialect = a->dialect, .opaque = a->opaque };
	struct remoting_frame f = remoting_response(&to, msg->code);
	char remark[LINK_TEXT_BYTES];
	AUTO_FREE char *body = NULL;
	struct connection *c = a->by;
	bool (*answered)(void *, struct server_peer *, int, struct remoting_frame *) = c->of->what.answered;
	int rc;

	memcpy(remark, msg->text, sizeof(remark));
	f.remark = *remark ? remark : NULL;
	rc = blob_read(blob_fd, msg, &f.ext, &body, &f.body_len);
	f.body = body;
	if (rc == MQ_OK && (a->first || !answered || answered(c->of->what.arg, &c->peer, a->code, &f)))
		rc = server_send(&c->peer, &f);
	json_decref(f.ext);
	if (rc != MQ_OK)
		server_refuse(&c->peer, &f, ANSWER_SYSTEM_ERROR, err_text(rc));
}

/* --- asking the mount ------------------------------------------------------------------------ */

static struct asked *
free_asked(struct server *s)
{
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (s->asked[i].id == 0)
			return &s->asked[i];
	return NULL;
}

static void
frame_free(struct remoting_frame *f)
{
	if (f)
		remoting_frame_clear(f);
	free(f);
}

/* -EBUSY: too much is under way.  *reserved is taken over. */
static int
ask_mount(struct connection *c, struct remoting_frame *f, bool only_judge, size_t *reserved)
{
	struct server *s = c->of;
	struct link_message msg = { .kind = LINK_REQUEST, .code = f->code, .only_judge = only_judge };
	struct asked *a = free_asked(s);
	struct remoting_frame *first = only_judge ? malloc(sizeof(*first)) : NULL;
	int rc, blob_fd = -1;

	if (!a || (only_judge && !first)) {
		free(first);
		return a ? -ENOMEM : -EBUSY;
	}
	rc = !only_judge && s->what.has_values && s->what.has_values(f->code)
		     ? blob_make_values(&msg, f->ext, f->body, f->body_len, &blob_fd)
		     : blob_make(&msg, f->ext, f->body, f->body_len, &blob_fd);
	s->last_id += LINK_REQUESTS_MAX;
	msg.id = s->last_id + (uint64_t)(a - s->asked);		/* modulo LINK_REQUESTS_MAX it is a's place */
	snprintf(msg.text, sizeof(msg.text), "%s", c->peer.address);
	if (rc == MQ_OK && !outbox_put_blob(&s->d->out, &msg, blob_fd, OUTBOX_SPARE)) {
		if (blob_fd >= 0)
			close(blob_fd);
		rc = -EBUSY;
	}
	if (rc != MQ_OK) {
		free(first);
		return rc;
	}
	if (first) {			/* the frame, and all that it owns */
		*first = *f;
		*f = (struct remoting_frame){ .dialect = first->dialect, .opaque = first->opaque, .flag = first->flag };
	}
	*a = (struct asked){ msg.id, c, f->dialect, f->code, f->opaque, f->flag & REMOTING_ONE_WAY, *reserved,
			     first };
	*reserved = 0;
	c->asked++;
	s->asked_n++;
	return MQ_OK;
}

/* Act on the result of serve() or allowed(). */
static void
settle(struct connection *c, struct remoting_frame *f, enum server_served served, size_t *reserved)
{
	struct server *s = c->of;
	int rc = MQ_OK;

	if (served == SERVER_ASK_MOUNT || served == SERVER_ASK_FIRST)
		rc = ask_mount(c, f, served == SERVER_ASK_FIRST, reserved);
	if (rc == MQ_OK && !(f->flag & REMOTING_RESPONSE))
		c->useful_ms = s->d->now_ms;
	if (served == SERVER_FAILED && c->peer.channel.rc == MQ_OK)
		c->peer.channel.rc = MQ_ECLOSED;
	if (rc == -EBUSY) {
		c->later_ms = s->d->now_ms + REFUSED_MS;
		server_refuse(&c->peer, f, ANSWER_SYSTEM_BUSY, "[OVERLOAD]system busy, try another time");
	} else if (rc != MQ_OK) {
		server_refuse(&c->peer, f, ANSWER_SYSTEM_ERROR, err_text(rc));
	}
	s->reserved -= *reserved;
	*reserved = 0;
}

static void
on_frame(struct connection *c, struct remoting_frame *f)
{
	struct server *s = c->of;
	enum server_served served = f->flag & REMOTING_RESPONSE ? SERVER_DONE : SERVER_ASK_MOUNT;

	if (s->what.serve)
		served = s->what.serve(s->what.arg, &c->peer, f);
	settle(c, f, served, &c->reserved);
	c->peer.channel.allowed = SMALL_FRAME;
}

int
server_answer(struct server *s, const struct link_message *msg, int blob_fd)
{
	struct asked *a = &s->asked[msg->id % LINK_REQUESTS_MAX];
	struct connection *c = a->by;
	struct asked was;

	if (msg->id == 0 || a->id != msg->id)
		return err_note(MQ_ECORRUPT, "the mount answers what nobody asked");
	was = *a;
	*a = (struct asked){ .id = 0 };
	s->asked_n--;
	if (c)
		c->asked--;
	if (c && was.first && msg->code == ANSWER_SUCCESS)
		settle(c, was.first, s->what.allowed(s->what.arg, &c->peer, was.first, msg->text), &was.reserved);
	else if (c && !was.one_way)
		answer(&was, msg, blob_fd);
	if (c)
		server_touch(&c->peer);
	s->reserved -= was.reserved;
	frame_free(was.first);
	bound_answers(s);
	return MQ_OK;
}

/* Reserve memory for the large frame that comes.  False: there is none now. */
static bool
reserve(struct connection *c)
{
	size_t size = c->peer.channel.reader.size;

	if (c->of->reserved + size > LARGE_FRAMES)
		return false;
	c->of->reserved += size;
	c->reserved = c->peer.channel.allowed = size;
	return true;
}

/* --- the loop ------------------------------------------------------------------------------------ */

/* The places behind ASKED_SHARED are for connections without a request under way, so that the
 * requests of one connection do not use up the places of the others. */
static bool
may_ask(const struct connection *c)
{
	if (c->of->d->now_ms < c->later_ms || (c->asked > 0 && c->of->asked_n >= ASKED_SHARED))
		return false;
	if (c->of->what.may_ask && !c->of->what.may_ask(c->of->what.arg, &c->peer))
		return false;
	return c->asked < ASKED_MAX && (size_t)c->asked + c->peer.channel.waiting < c->of->what.waiting_max &&
	       c->peer.channel.waiting_bytes < ANSWERS_BYTES_EACH;
}

/* How many frames a connection may have in this turn: fewer, the more connections have some, so that a
 * crowd that pipelines small requests holds nobody else up for longer than a few connections do. */
static int
turn_frames(const struct server *s)
{
	size_t n = s->busy_n > s->busy_before ? s->busy_n : s->busy_before;
	int share = n > TURN_SHARED / TURN_LEAST ? TURN_LEAST : TURN_SHARED / (n ? (int)n : 1);

	return share < s->what.turn_frames ? share : s->what.turn_frames;
}

static void
receive(struct connection *c)
{
	struct remoting_frame f;
	int rc = MQ_OK;

	c->peer.channel.turn_frames_max = turn_frames(c->of);
	while (rc == MQ_OK && may_ask(c)) {
		rc = channel_receive(&c->peer.channel, &f);
		if (rc == MQ_OK) {
			on_frame(c, &f);
			remoting_frame_clear(&f);
		} else if (rc == -EDQUOT && reserve(c)) {
			rc = MQ_OK;
		}
	}
	c->peer.channel.paused = rc == -EDQUOT || !may_ask(c);
}

static void
ready(struct watch *w, uint32_t events)
{
	struct connection *c = (struct connection *)w;

	if (w->fd < 0)
		return;
	server_touch(&c->peer);
	channel_ready(&c->peer.channel, events);
	receive(c);
	if (c->peer.channel.rc != MQ_OK)
		failed(c);
}

static void
accepted(struct listener *l, int fd, const char *address)
{
	struct server *s = server_of(l);
	struct connection *c = calloc(1, sizeof(*c)), **place = free_place(s);
	struct connection *other = to_close_for(s, address);

	if (!c) {
		close(fd);
		return;
	}
	c->peer.channel.watch.ready = ready;
	c->peer.channel.d = s->d;
	c->peer.channel.allowed = SMALL_FRAME;
	c->peer.channel.reader.cuts = s->what.cuts;
	c->of = s;
	c->useful_ms = s->d->now_ms;
	snprintf(c->peer.address, sizeof(c->peer.address), "%s", address);
	(void)address_parse(address, &c->peer.from);
	if (channel_open(&c->peer.channel, fd, NULL) != MQ_OK) {
		free(c);
		return;
	}
	*place = c;
	c->place = place;
	s->n++;
	server_touch(&c->peer);
	if (other)
		gone(other);
}

/* When to look at it again. */
static int64_t
connection_tick(struct connection *c)
{
	struct channel *ch = &c->peer.channel;
	int64_t next;

	if (ch->paused || channel_pending(ch))
		receive(c);		/* it may be read again */
	next = channel_tick(ch);
	if (c->later_ms > c->of->d->now_ms)
		next = earlier(next, c->later_ms);
	if (ch->rc != MQ_OK)
		failed(c);
	return next;
}

static void
forget(struct connection *c)
{
	c->of->closed--;
	*c->place = NULL;
	free(c);
}

/* A turn for the connections to which something has happened. */
static int64_t
busy_tick(struct server *s)
{
	struct connection *c = s->busy, *next_busy;
	int64_t next = 0, at;

	s->busy_before = s->busy_n;
	s->busy_n = 0;
	for (s->busy = NULL; c; c = next_busy) {
		next_busy = c->next_busy;
		if (c->peer.channel.watch.fd >= 0) {
			at = connection_tick(c);
			next = earlier(next, at);
			if (at > s->d->now_ms)		/* else its turn is the next one, anyway */
				s->sweep_ms = earlier(s->sweep_ms, at);
		}
		c->busy = false;
		if (c->peer.channel.watch.fd < 0)
			forget(c);
		else if (c->peer.channel.paused || channel_pending(&c->peer.channel))
			server_touch(&c->peer);
	}
	return next;
}

/* A turn for all connections, because of their timeouts. */
static void
sweep(struct server *s)
{
	int64_t next = 0;

	for (size_t i = 0; i < s->places; i++) {
		struct connection *c = s->connections[i];

		if (c && c->peer.channel.watch.fd >= 0)
			next = earlier(next, connection_tick(c));
	}
	s->sweep_ms = next && next < s->d->now_ms + SWEEP_MS ? s->d->now_ms + SWEEP_MS : next;
}

int64_t
server_tick(struct server *s)
{
	int64_t next = busy_tick(s);

	if (s->sweep_ms && s->d->now_ms >= s->sweep_ms)
		sweep(s);
	next = s->closed > 0 ? s->d->now_ms : earlier(next, s->sweep_ms);
	for (size_t i = 0; i < 2; i++)
		next = earlier(next, listener_tick(&s->ports[i].listener));
	return next;
}

/* --- begin and end --------------------------------------------------------------------------------- */

int
server_open(const struct server_for *what, struct server **ret)
{
	static const char *const names[2] = { "the remoting protocol", "the remoting protocol (VIP)" };
	struct daemon *d = what->d;
	const int ports[2] = { d->config.remoting_port, d->config.vip_port };
	struct server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->what = *what;
	s->d = d;
	s->places = what->connections_max + SPARE_PLACES;
	s->connections = calloc(s->places, sizeof(*s->connections));
	if (!s->connections) {
		free(s);
		return -ENOMEM;
	}
	for (size_t i = 0; i < 2; i++) {
		s->ports[i].of = s;
		s->ports[i].listener = (struct listener){
			.d = d, .on = what->on, .what = names[i], .port = ports[i],
			.accepts_max = what->accepts_max,
			.has_place = has_place, .accepted = accepted,
		};
		listener_open(&s->ports[i].listener);
	}
	*ret = s;
	return MQ_OK;
}

void
server_close(struct server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->places; i++)
		if (s->connections[i]) {
			gone(s->connections[i]);
			free(s->connections[i]);
		}
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		frame_free(s->asked[i].first);
	for (size_t i = 0; i < 2; i++)
		listener_close(&s->ports[i].listener);
	free(s->connections);
	free(s);
}

int
server_port(const struct server *s)
{
	return listener_port(&s->ports[0].listener);
}

int
server_vip_port(const struct server *s)
{
	return listener_port(&s->ports[1].listener);
}
