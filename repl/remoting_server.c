#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/blob.h"
#include "net/channel.h"
#include "net/listener.h"
#include "repl/remoting_server.h"
#include "repl/requests.h"

#define PATIENCE_MS 500			/* with who asks nothing, when others want the place */
#define EXCHANGES_MAX 8			/* of one connection; then we do not hear it */
#define ASKED_SHARED 48			/* of LINK_REQUESTS_MAX; the others are for first requests */
#define REFUSED_MS 50			/* so long who was refused is not heard: to ask has a price */
#define SMALL_FRAME (64 << 10)		/* everybody may send so much, */
#define LARGE_FRAMES (64 << 20)		/* and these share that */
#define ANSWERS_BYTES_MAX ((size_t)64 << 20)	/* that wait for who does not take them */
#define PLACES (REMOTING_CONNECTIONS_MAX + 16)	/* with those that are closed in this turn of the loop */
#define OUTBOX_SPARE 64			/* places that are for other news */

struct connection {
	struct channel channel;
	struct remoting_server *of;
	char address[80];
	int asked;			/* requests that the mount has */
	size_t reserved;		/* of LARGE_FRAMES, for the frame that comes */
	int64_t useful_ms;		/* when it came, or asked last */
	int64_t later_ms;		/* it is not heard before */
};

/* A request that the mount has not answered yet. */
struct asked {
	uint64_t id;			/* 0: this place is free */
	struct connection *by;		/* NULL: it is gone */
	enum remoting_dialect dialect;
	int32_t opaque;
	bool one_way;
	size_t reserved;
};

struct remoting_server {
	struct remoting_port {
		struct listener listener;
		struct remoting_server *of;
	} ports[2];			/* the usual one, and VIP */
	struct daemon *d;
	struct connection *connections[PLACES];
	struct asked asked[LINK_REQUESTS_MAX];
	size_t asked_n;
	uint64_t last_id;
	size_t reserved;		/* of LARGE_FRAMES */
};

/* --- connections ------------------------------------------------------------------------- */

static struct remoting_server *
server_of(struct listener *l)
{
	return ((struct remoting_port *)l)->of;
}

static struct connection **
free_place(struct remoting_server *s)
{
	for (size_t i = 0; i < PLACES; i++)
		if (!s->connections[i])
			return &s->connections[i];
	return NULL;
}

static void
gone(struct connection *c)
{
	struct remoting_server *s = c->of;

	channel_close(&c->channel);
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
	if (c->channel.rc != -ECONNRESET && c->channel.rc != MQ_ECLOSED)
		admit_refused(c->of->d, c->address, c->channel.why);
	gone(c);
}

/* The one that has been of no use for the longest time, of those that come from `host` (NULL:
 * from anywhere); what is under way is of use. *ret_n: how many there are. */
static struct connection *
least_useful(const struct remoting_server *s, const char *host, size_t *ret_n)
{
	struct connection *least = NULL;

	*ret_n = 0;
	for (size_t i = 0; i < PLACES; i++) {
		struct connection *c = s->connections[i];

		if (!c || c->channel.watch.fd < 0 || (host && !listener_same_host(c->address, host)))
			continue;
		++*ret_n;
		if (!least || (c->asked == 0) > (least->asked == 0) ||
		    ((c->asked == 0) == (least->asked == 0) && c->useful_ms < least->useful_ms))
			least = c;
	}
	return least;
}

/* Who has to go when another one comes from `host`; NULL: nobody. */
static struct connection *
who_makes_room(const struct remoting_server *s, const char *host)
{
	size_t n;
	struct connection *least = least_useful(s, host, &n);

	if (n >= LISTENER_HOST_MAX)
		return least;
	least = least_useful(s, NULL, &n);
	return n >= REMOTING_CONNECTIONS_MAX ? least : NULL;
}

/* Who comes, if it may come in at all, gets the place of the least useful. */
static bool
has_place(struct listener *l)
{
	struct remoting_server *s = server_of(l);
	size_t n;
	const struct connection *c = least_useful(s, NULL, &n);

	if (n >= REMOTING_CONNECTIONS_MAX && s->d->now_ms < c->useful_ms + PATIENCE_MS)
		listener_pause(l);
	else if (free_place(s))
		return true;
	return false;			/* if all places are taken, it is until the next turn */
}

/* --- answering ----------------------------------------------------------------------------- */

/* A response without anything but a code and a remark. */
static void
refuse(struct connection *c, const struct remoting_frame *to, int code, const char *remark)
{
	char text[LINK_TEXT_BYTES];
	struct remoting_frame f = {
		.dialect = to->dialect, .code = code, .opaque = to->opaque, .flag = REMOTING_RESPONSE,
		.language = REMOTING_OTHER, .version = REMOTING_VERSION, .remark = text,
	};

	snprintf(text, sizeof(text), "%s", remark);
	if (!(to->flag & REMOTING_ONE_WAY))
		(void)channel_send(&c->channel, &f);
}

/* If there is too much for who does not take it, the one with most of it has to go. */
static void
bound_answers(struct remoting_server *s)
{
	struct connection *most = NULL;
	size_t bytes = 0;

	for (size_t i = 0; i < PLACES; i++) {
		struct connection *c = s->connections[i];

		if (!c)
			continue;
		bytes += c->channel.waiting_bytes;
		if (!most || c->channel.waiting_bytes > most->channel.waiting_bytes)
			most = c;
	}
	if (bytes > ANSWERS_BYTES_MAX)
		gone(most);
}

/* From the blob to memory: however many wait, they hold no descriptors. */
static void
answer(struct asked *a, const struct link_message *msg, int blob_fd)
{
	char remark[LINK_TEXT_BYTES];
	AUTO_FREE char *body = NULL;
	struct remoting_frame f = {
		.dialect = a->dialect, .code = msg->code, .opaque = a->opaque, .flag = REMOTING_RESPONSE,
		.language = REMOTING_OTHER, .version = REMOTING_VERSION, .remark = *msg->text ? remark : NULL,
	};
	struct connection *c = a->by;
	int rc;

	memcpy(remark, msg->text, sizeof(remark));
	rc = blob_read(blob_fd, msg, &f.ext, &body, &f.body_len);
	f.body = body;
	if (rc == MQ_OK)
		rc = channel_send(&c->channel, &f);
	json_decref(f.ext);
	if (rc != MQ_OK)
		refuse(c, &f, ANSWER_SYSTEM_ERROR, err_text(rc));
}

int
remoting_server_answer(struct remoting_server *s, const struct link_message *msg, int blob_fd)
{
	struct asked *a = &s->asked[msg->id % LINK_REQUESTS_MAX];
	struct connection *c = a->by;

	if (msg->id == 0 || a->id != msg->id)
		return err_note(MQ_ECORRUPT, "the mount answers what nobody asked");
	if (c && !a->one_way)
		answer(a, msg, blob_fd);
	if (c)
		c->asked--;
	s->reserved -= a->reserved;
	*a = (struct asked){ .id = 0 };
	s->asked_n--;
	bound_answers(s);
	return MQ_OK;
}

/* --- asking the mount ------------------------------------------------------------------------ */

static struct asked *
free_asked(struct remoting_server *s)
{
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (s->asked[i].id == 0)
			return &s->asked[i];
	return NULL;
}

/* Unlike all before, and a says where to find it again. */
static uint64_t
new_id(struct remoting_server *s, const struct asked *a)
{
	s->last_id += LINK_REQUESTS_MAX;
	return s->last_id + (uint64_t)(a - s->asked);
}

/* -EBUSY: too much is under way. */
static int
ask_mount(struct connection *c, const struct remoting_frame *f)
{
	struct remoting_server *s = c->of;
	struct link_message msg = { .kind = LINK_REQUEST, .code = f->code };
	struct asked *a = free_asked(s);
	int rc, blob_fd = -1;

	if (!a)
		return -EBUSY;
	rc = blob_make(&msg, f->ext, f->body, f->body_len, &blob_fd);
	if (rc != MQ_OK)
		return rc;
	msg.id = new_id(s, a);
	snprintf(msg.text, sizeof(msg.text), "%s", c->address);
	if (!outbox_put_blob(&s->d->out, &msg, blob_fd, OUTBOX_SPARE)) {
		if (blob_fd >= 0)
			close(blob_fd);
		return -EBUSY;
	}
	*a = (struct asked){ msg.id, c, f->dialect, f->opaque, f->flag & REMOTING_ONE_WAY, c->reserved };
	c->reserved = 0;
	c->asked++;
	s->asked_n++;
	return MQ_OK;
}

static void
on_frame(struct connection *c, const struct remoting_frame *f)
{
	struct remoting_server *s = c->of;
	int rc;

	rc = f->flag & REMOTING_RESPONSE ? MQ_OK : ask_mount(c, f);	/* we have asked nothing */
	if (rc == MQ_OK && !(f->flag & REMOTING_RESPONSE))
		c->useful_ms = s->d->now_ms;
	if (rc == -EBUSY) {
		c->later_ms = s->d->now_ms + REFUSED_MS;
		refuse(c, f, ANSWER_SYSTEM_BUSY, "[OVERLOAD]system busy, try another time");
	} else if (rc != MQ_OK) {
		refuse(c, f, ANSWER_SYSTEM_ERROR, err_text(rc));
	}
	s->reserved -= c->reserved;
	c->reserved = 0;
	c->channel.allowed = SMALL_FRAME;
}

/* A frame comes that is large. */
static bool
reserve(struct connection *c)
{
	size_t size = c->channel.reader.size;

	if (c->of->reserved + size > LARGE_FRAMES)
		return false;
	c->of->reserved += size;
	c->reserved = c->channel.allowed = size;
	return true;
}

/* --- the loop ------------------------------------------------------------------------------------ */

/* There are as many places as connections, and the last of them are for first requests: so
 * each can ask something, whatever others do. */
static bool
may_ask(const struct connection *c)
{
	if (c->of->d->now_ms < c->later_ms || (c->asked > 0 && c->of->asked_n >= ASKED_SHARED))
		return false;
	return (size_t)c->asked + c->channel.waiting < EXCHANGES_MAX;
}

static void
hear(struct connection *c)
{
	struct remoting_frame f;
	int rc = MQ_OK;

	while (rc == MQ_OK && may_ask(c)) {
		rc = channel_hear(&c->channel, &f);
		if (rc == MQ_OK) {
			on_frame(c, &f);
			remoting_frame_clear(&f);
		} else if (rc == -EDQUOT && reserve(c)) {
			rc = MQ_OK;
		}
	}
	c->channel.deaf = rc == -EDQUOT || !may_ask(c);
}

static void
ready(struct watch *w, uint32_t events)
{
	struct connection *c = (struct connection *)w;

	if (w->fd < 0)
		return;
	channel_ready(&c->channel, events);
	hear(c);
	if (c->channel.rc != MQ_OK)
		failed(c);
}

static void
accepted(struct listener *l, int fd, const char *address)
{
	struct remoting_server *s = server_of(l);
	struct connection *c = calloc(1, sizeof(*c)), **place = free_place(s);
	struct connection *other = who_makes_room(s, address);

	if (!c) {
		close(fd);
		return;
	}
	c->channel.watch.ready = ready;
	c->channel.d = s->d;
	c->channel.allowed = SMALL_FRAME;
	c->of = s;
	c->useful_ms = s->d->now_ms;
	snprintf(c->address, sizeof(c->address), "%s", address);
	if (channel_open(&c->channel, fd, NULL) != MQ_OK) {
		free(c);
		return;
	}
	*place = c;
	if (other)
		gone(other);
}

static int64_t
connection_tick(struct connection *c)
{
	int64_t next;

	if (c->channel.deaf || stream_pending(&c->channel.stream))
		hear(c);		/* if there is room again */
	next = channel_tick(&c->channel);
	if (c->later_ms > c->of->d->now_ms)
		next = earlier(next, c->later_ms);
	if (c->channel.rc != MQ_OK)
		failed(c);
	return next;
}

int64_t
remoting_server_tick(struct remoting_server *s)
{
	int64_t next = 0;

	for (size_t i = 0; i < PLACES; i++) {
		struct connection **c = &s->connections[i];

		if (*c && (*c)->channel.watch.fd >= 0)
			next = earlier(next, connection_tick(*c));
		if (*c && (*c)->channel.watch.fd < 0) {
			free(*c);
			*c = NULL;
		}
	}
	for (size_t i = 0; i < 2; i++)
		next = earlier(next, listener_tick(&s->ports[i].listener));
	return next;
}

/* --- begin and end --------------------------------------------------------------------------------- */

int
remoting_server_open(struct daemon *d, const struct resolve_answer *on, struct remoting_server **ret)
{
	static const char *const what[2] = { "the remoting protocol", "the remoting protocol (VIP)" };
	const int ports[2] = { d->config.remoting_port, d->config.vip_port };
	struct remoting_server *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->d = d;
	for (size_t i = 0; i < 2; i++) {
		s->ports[i].of = s;
		s->ports[i].listener = (struct listener){
			.d = d, .on = on, .what = what[i], .port = ports[i],
			.has_place = has_place, .accepted = accepted,
		};
		listener_open(&s->ports[i].listener);
	}
	*ret = s;
	return MQ_OK;
}

void
remoting_server_close(struct remoting_server *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < PLACES; i++)
		if (s->connections[i]) {
			gone(s->connections[i]);
			free(s->connections[i]);
		}
	for (size_t i = 0; i < 2; i++)
		listener_close(&s->ports[i].listener);
	free(s);
}

int
remoting_server_port(const struct remoting_server *s)
{
	return listener_port(&s->ports[0].listener);
}

int
remoting_server_vip_port(const struct remoting_server *s)
{
	return listener_port(&s->ports[1].listener);
}
