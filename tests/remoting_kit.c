#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "net/shared.h"
#include "tests/remoting_kit.h"
#include "tests/tree.h"

static bool
in_sync(void *arg)
{
	return ((struct remote *)arg)->in_sync;
}

static struct mark *
replicated(void *arg)
{
	return &((struct remote *)arg)->replicated;
}

static void
lied(void *arg)
{
	struct remote *r = arg;

	atomic_store(&r->lied, true);
}

void
remote_open(struct remote *r)
{
	struct ring_fds fds;

	r->broker = (struct remoting_broker){
		.settings = &r->b.settings,
		.store = r->b.store,
		.offsets = r->b.offsets,
		.host = { .addr = { 10, 0, 0, 1 }, .port = 10911 },
		.replicated = replicated,
		.in_sync = in_sync,
		.stats = r->stats,
		.arg = r,
	};
	assert_int_equal(ring_server_open(&r->server, &fds), MQ_OK);
	assert_int_equal(ring_client_open(&r->client, &fds), MQ_OK);
	assert_int_equal(intake_open(&r->broker, &r->server, lied, r, &r->intake), MQ_OK);
}

void
remote_close(struct remote *r)
{
	intake_close(r->intake);
	r->intake = NULL;
	ring_client_close(&r->client);
	ring_server_close(&r->server);
}

int
remote_setup(void **state)
{
	struct remote *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	broker_begin(&r->b, NULL);
	mark_init(&r->replicated, MQ_POS(0));
	broker_open(&r->b);
	broker_topic(&r->b, "T", 4);
	remote_open(r);
	*state = r;
	return 0;
}

int
remote_teardown(void **state)
{
	struct remote *r = *state;

	if (r->intake)
		remote_close(r);
	broker_end(&r->b);
	mark_destroy(&r->replicated);
	free(r);
	return 0;
}

static uint32_t
put(unsigned char **at, const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len > 0)
		memcpy(*at, text, len);
	*at += len;
	return (uint32_t)len;
}

static size_t
length(const char *text)
{
	return text ? strlen(text) : 0;
}

bool
remote_submit(struct remote *r, const struct say *say, uint64_t tag)
{
	size_t body_len = say->body_len ? say->body_len : length(say->body);
	size_t len = length(say->topic) + length(say->template) + length(say->group) + length(say->text) + body_len;
	struct ring_submission s = {
		.kind = say->kind,
		.tag = tag,
		.items = say->items,
		.flags = say->flags,
		.watch = say->watch,
		.queue_id = say->queue_id,
		.sysflag = say->sysflag,
		.flag = say->flag,
		.reconsume_times = say->reconsume_times,
		.max_reconsume_times = say->max_reconsume_times,
		.template_queues = say->template_queues,
		.max_messages = say->max_messages,
		.born_port = 51000,
		.born_addr = { 10, 0, 0, 9 },
		.born_ms = 1700000000000,
		.offset = say->offset,
		.commit_offset = say->commit_offset,
	};
	unsigned char *at;

	at = ring_client_place(&r->client, len, &s);
	if (!at)
		return false;
	s.topic_len = put(&at, say->topic);
	s.template_len = put(&at, say->template);
	s.group_len = put(&at, say->group);
	s.text_len = put(&at, say->text);
	if (body_len > 0)
		memcpy(at, say->body, body_len);
	s.body_len = (uint32_t)body_len;
	ring_client_submit(&r->client, &s);
	return true;
}

void
remote_wake(struct remote *r)
{
	ring_client_wake(&r->client);
}

bool
remote_has_answer(struct remote *r)
{
	return atomic_load(&r->client.out->completed) != r->client.reaped;
}

struct ring_completion
remote_answer(struct remote *r)
{
	struct ring_completion c;

	while (ring_client_reap(&r->client, &c) != MQ_OK) {
		if (ring_client_sleep(&r->client)) {
			struct pollfd p = { .fd = r->client.wake_us, .events = POLLIN };

			if (poll(&p, 1, 60000) != 1)
				fail_msg("no answer");
		}
		ring_client_awake(&r->client);
		shared_reset(r->client.wake_us);
		(void)ring_client_ends_moved(&r->client);
	}
	return c;
}

struct ring_completion
remote_ask(struct remote *r, const struct say *say)
{
	struct ring_completion c;

	assert_true(remote_submit(r, say, 4711));
	remote_wake(r);
	c = remote_answer(r);
	assert_int_equal(c.tag, 4711);
	assert_int_equal(c.kind, say->kind);
	return c;
}

struct ring_completion
remote_send(struct remote *r, const char *topic, int32_t q, const char *props, const char *body)
{
	return remote_ask(r, &(struct say){
				     .kind = RING_SEND,
				     .topic = topic,
				     .template = "TBW102",
				     .group = "producers",
				     .queue_id = q,
				     .text = props,
				     .body = body,
				     .template_queues = 4,
				     .max_reconsume_times = -1,
			     });
}

unsigned char *
remote_item(unsigned char *at, const char *props, const char *body)
{
	struct ring_item item = { .props_len = (uint32_t)strlen(props), .body_len = (uint32_t)strlen(body) };

	memcpy(at, &item, sizeof(item));
	at += sizeof(item);
	(void)put(&at, props);
	(void)put(&at, body);
	return at;
}

unsigned char *
remote_pulled(struct remote *r, const struct ring_completion *c, size_t *ret_len)
{
	const struct ring_piece *pieces = r->client.out->pieces[c->slot];
	unsigned char *buf;
	size_t len = 0;

	for (uint32_t i = 0; i < c->n; i++)
		len += pieces[i].bytes;
	buf = malloc(len + 1);
	assert_non_null(buf);
	len = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		size_t n = 0;

		assert_int_equal(store_read_raw(r->b.store, MQ_POS(pieces[i].pos), buf + len, pieces[i].bytes, &n), MQ_OK);
		assert_int_equal(n, pieces[i].bytes);
		len += n;
	}
	*ret_len = len;
	return buf;
}
