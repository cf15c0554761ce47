#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/blob.h"
#include "net/channel.h"
#include "net/dial.h"
#include "repl/remoting_client.h"
#include "repl/requests.h"

/* A request of the mount's that is not answered yet. */
struct call {
	bool used;
	struct link_message msg;
	int blob_fd;			/* -1: none */
	int32_t opaque;			/* 0: not sent */
	int64_t until_ms;
};

struct remoting_client {
	struct channel channel;
	struct dial dial;
	struct daemon *d;
	char host[256];
	struct call calls[LINK_REQUESTS_MAX];
	int32_t last_opaque;
};

static bool
is_connected(const struct remoting_client *c)
{
	return c->channel.watch.fd >= 0;
}

/* --- answers -------------------------------------------------------------------------------- */

/* The mount watches the time, too: an answer for which there is no room is none. */
static void
call_end(struct remoting_client *c, struct call *call, struct link_message *msg, int blob_fd)
{
	msg->kind = LINK_RESPONSE;
	msg->id = call->msg.id;
	if (!outbox_put_blob(&c->d->out, msg, blob_fd, 0) && blob_fd >= 0)
		close(blob_fd);
	if (call->blob_fd >= 0)
		close(call->blob_fd);
	call->used = false;
}

/* rc, noted, is why there is no answer. */
static void
call_fail(struct remoting_client *c, struct call *call, int rc)
{
	struct link_message msg = { .code = rc > MQ_ECLOSED ? rc : -EPROTO };

	snprintf(msg.text, sizeof(msg.text), "%s", err_text(rc));
	call_end(c, call, &msg, -1);
}

static void
calls_fail(struct remoting_client *c, int rc)
{
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (c->calls[i].used)
			call_fail(c, &c->calls[i], rc);
}

static void
call_answer(struct remoting_client *c, struct call *call, const struct remoting_frame *f)
{
	struct link_message msg = { .code = f->code };
	int blob_fd, rc;

	if (f->code < 0) {
		call_fail(c, call, err_note(-EPROTO, "the master answers with code %d", (int)f->code));
		return;
	}
	snprintf(msg.text, sizeof(msg.text), "%s", f->remark ? f->remark : "");
	rc = f->code == ANSWER_SUCCESS && answer_has_values(call->msg.code)
		     ? blob_make_values(&msg, f->ext, f->body, f->body_len, &blob_fd)
		     : blob_make(&msg, f->ext, f->body, f->body_len, &blob_fd);
	if (rc == MQ_ECORRUPT) {
		snprintf(msg.text, sizeof(msg.text), "%s", err_text(rc));
		rc = err_note(-EPROTO, "what the master tells is not understood (request %d): %s",
			      (int)call->msg.code, msg.text);
	}
	if (rc == MQ_OK)
		call_end(c, call, &msg, blob_fd);
	else
		call_fail(c, call, rc);
}

/* A response to a request that nobody waits for is ignored. */
static void
on_frame(struct remoting_client *c, const struct remoting_frame *f)
{
	for (size_t i = 0; i < LINK_REQUESTS_MAX && f->flag & REMOTING_RESPONSE; i++) {
		struct call *call = &c->calls[i];

		if (call->used && call->opaque == f->opaque && f->opaque != 0) {
			call_answer(c, call, f);
			return;
		}
	}
}

/* --- the connection ---------------------------------------------------------------------------- */

static void
call_send(struct remoting_client *c, struct call *call)
{
	struct remoting_frame f = { .code = call->msg.code, .language = REMOTING_OTHER,
				    .version = REMOTING_VERSION };
	AUTO_FREE char *body = NULL;
	int rc = blob_read(call->blob_fd, &call->msg, &f.ext, &body, &f.body_len);

	if (rc == MQ_OK) {
		f.body = body;
		c->last_opaque = c->last_opaque < INT32_MAX ? c->last_opaque + 1 : 1;
		f.opaque = call->opaque = c->last_opaque;
		rc = channel_send(&c->channel, &f);
	}
	json_decref(f.ext);
	if (rc != MQ_OK)
		call_fail(c, call, rc);
}

static void
calls_send(struct remoting_client *c)
{
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (c->calls[i].used && c->calls[i].opaque == 0)
			call_send(c, &c->calls[i]);
}

/* The connection has ended, and with it whatever was asked. */
static void
check_channel(struct remoting_client *c)
{
	int rc = c->channel.rc;

	if (!is_connected(c) || rc == MQ_OK)
		return;
	channel_close(&c->channel);
	calls_fail(c, err_note(rc, "%s", c->channel.why));
}

static void
receive(struct remoting_client *c)
{
	struct remoting_frame f;

	while (channel_receive(&c->channel, &f) == MQ_OK) {
		on_frame(c, &f);
		remoting_frame_clear(&f);
	}
}

static void
ready(struct watch *w, uint32_t events)
{
	struct remoting_client *c = (struct remoting_client *)w;

	if (w->fd < 0)
		return;
	channel_ready(&c->channel, events);
	receive(c);
	check_channel(c);
}

static struct remoting_client *
client_of(struct dial *dial)
{
	return (struct remoting_client *)((char *)dial - offsetof(struct remoting_client, dial));
}

static void
dialed(struct dial *dial, int rc, int fd)
{
	struct remoting_client *c = client_of(dial);

	if (rc == MQ_OK) {
		c->channel = (struct channel){
			.watch.ready = ready, .d = c->d, .allowed = REMOTING_FRAME_MAX,
		};
		rc = channel_open(&c->channel, fd, c->host);
	}
	if (rc == MQ_OK)
		calls_send(c);
	else
		calls_fail(c, rc);
}

/* --- the owner's calls ---------------------------------------------------------------------------- */

void
remoting_client_ask(struct remoting_client *c, const struct link_message *msg, int blob_fd)
{
	struct call *call = c->calls, *end = c->calls + LINK_REQUESTS_MAX;
	struct call extra;

	while (call < end && call->used)
		call++;
	if (call == end)
		call = &extra;
	*call = (struct call){ true, *msg, blob_fd, 0, c->d->now_ms + msg->timeout_ms };
	if (call == &extra)
		call_fail(c, call, err_note(-EBUSY, "too much is asked already"));
	else if (is_connected(c))
		call_send(c, call);
	else if (c->dial.phase == DIAL_RESTING)
		dial_start(&c->dial);
}

static int64_t
calls_tick(struct remoting_client *c)
{
	int64_t next = 0;

	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++) {
		struct call *call = &c->calls[i];

		if (call->used && c->d->now_ms >= call->until_ms)
			call_fail(c, call, err_note(-ETIMEDOUT, "%m"));
		if (call->used)
			next = earlier(next, call->until_ms);
	}
	return next;
}

int64_t
remoting_client_tick(struct remoting_client *c)
{
	int64_t next = earlier(dial_tick(&c->dial), calls_tick(c));

	if (!is_connected(c))
		return next;
	if (channel_pending(&c->channel))
		receive(c);
	next = earlier(next, channel_tick(&c->channel));
	check_channel(c);
	return next;
}

int
remoting_client_open(struct daemon *d, int names_fd, const struct resolve_answer *master,
		     struct remoting_client **ret)
{
	struct remoting_client *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->d = d;
	c->channel.watch.fd = -1;
	resolve_host(d->config.master_remoting, c->host, sizeof(c->host));
	c->dial.done = dialed;
	rc = dial_open(&c->dial, d, names_fd, master);
	if (rc != MQ_OK) {
		free(c);
		return rc;
	}
	*ret = c;
	return MQ_OK;
}

void
remoting_client_close(struct remoting_client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < LINK_REQUESTS_MAX; i++)
		if (c->calls[i].used && c->calls[i].blob_fd >= 0)
			close(c->calls[i].blob_fd);
	channel_close(&c->channel);
	dial_close(&c->dial);
	free(c);
}
