#include "config.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/scope.h"
#include "net/request.h"
#include "remoting/asks.h"
#include "remoting/codes.h"
#include "remoting/loop.h"
#include "remoting/replies.h"
#include "store/record.h"

#define REPLIES_BYTES_MAX ((size_t)64 << 20)	/* of all that are under way */

struct reply {
	struct loop *l;
	int32_t opaque;
	enum remoting_dialect dialect;
	bool one_way;
	json_t *ext;			/* of the push */
	char *body;
	size_t body_len;
	struct ring_completion stored;	/* what its sender is answered with */
	char client[CLIENTS_NAME_MAX + 1];	/* "": none is named */
};

void
reply_free(struct reply *r)
{
	if (!r)
		return;
	r->l->replies_bytes -= r->body_len;
	json_decref(r->ext);
	free(r->body);
	free(r);
}

/* --- the reply ------------------------------------------------------------------------------ */

/* As RocketMQ prints an address. */
static void
set_store_host(json_t *ext, const struct ring_values *values)
{
	char host[INET6_ADDRSTRLEN] = "";

	(void)inet_ntop(values->host_v6 ? AF_INET6 : AF_INET, values->host_addr, host, sizeof(host));
	ext_print(ext, "storeHost", "%s:%" PRId32, host, values->host_port);
}

static void
set_properties(json_t *ext, const struct ask *a)
{
	size_t len = a->s.text_len;
	AUTO_FREE char *text = malloc(len + 64);

	if (!text)
		return;
	if (len > 0)
		memcpy(text, a->text, len);
	if (len > 0 && text[len - 1] != 0x02)
		text[len++] = 0x02;
	snprintf(text + len, 64, "PUSH_REPLY_TIME\001%" PRId64 "\002", clock_wall_ms());
	json_object_set_new_nocheck(ext, "properties", json_string_nocheck(text));
}

static json_t *
ext_make(const struct ask *a, const struct remoting_frame *f, const char *from, const struct ring_values *values)
{
	const char *unit = ext_get(f->ext, f->code == REMOTING_SEND_REPLY_MESSAGE ? "unitMode" : "k");
	json_t *ext = json_pack("{s:s, s:s, s:s, s:s, s:s}", "producerGroup", a->group, "topic", a->topic, "defaultTopic",
				a->template, "unitMode", unit ? unit : "false", "bornHost", from);

	if (!ext)
		return NULL;
	ext_print(ext, "defaultTopicQueueNums", "%" PRId32, a->s.template_queues);
	ext_print(ext, "queueId", "%" PRId32, a->s.queue_id);
	ext_print(ext, "sysFlag", "%" PRId32, a->s.sysflag);
	ext_print(ext, "bornTimestamp", "%" PRId64, a->s.born_ms);
	ext_print(ext, "flag", "%" PRId32, a->s.flag);
	ext_print(ext, "reconsumeTimes", "%" PRId32, a->s.reconsume_times);
	ext_print(ext, "storeTimestamp", "%" PRId64, clock_wall_ms());
	set_store_host(ext, values);
	set_properties(ext, a);
	return ext;
}

static void
set_client(struct reply *r, const struct ask *a)
{
	size_t len;
	const char *client = a->text ? record_property(a->text, a->s.text_len, "REPLY_TO_CLIENT", &len) : NULL;

	if (client && len < sizeof(r->client)) {
		memcpy(r->client, client, len);
		r->client[len] = '\0';
	}
}

/* NULL: there is no memory, or too much is under way. */
static struct reply *
reply_make(struct loop *l, const struct server_peer *p, const struct remoting_frame *f, const struct ask *a)
{
	struct reply *r = l->replies_bytes + f->body_len <= REPLIES_BYTES_MAX ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	*r = (struct reply){
		.l = l, .opaque = f->opaque, .dialect = f->dialect, .one_way = f->flag & REMOTING_ONE_WAY,
		.ext = ext_make(a, f, p->address, traffic_values(l->traffic)),
		.body = malloc(f->body_len + 1),
		.stored = { .queue_id = a->s.queue_id, .pos = -1 },
	};
	set_client(r, a);
	if (!r->ext || !r->body) {
		reply_free(r);
		return NULL;
	}
	if (f->body_len > 0)
		memcpy(r->body, f->body, f->body_len);
	r->body_len = f->body_len;
	l->replies_bytes += r->body_len;
	return r;
}

/* --- pushing ----------------------------------------------------------------------------------------- */

/* Answer the sender of the reply.  r is taken over. */
static void
answer(struct server_peer *by, struct reply *r, int code, const char *why)
{
	const struct remoting_frame to = { .opaque = r->opaque, .dialect = r->dialect };

	r->stored.code = code;
	snprintf(r->stored.remark, sizeof(r->stored.remark), "%s", why);
	if (by && !r->one_way)
		traffic_answer_send(r->l->traffic, by, &to, &r->stored);
	reply_free(r);
}

static void
pushed(void *arg, struct server_peer *by, const struct remoting_frame *response)
{
	struct reply *r = arg;
	char why[RING_REMARK_BYTES];

	snprintf(why, sizeof(why), "push reply message to %.64s fail.", r->client);
	if (response && response->code == ANSWER_SUCCESS)
		answer(by, r, ANSWER_SUCCESS, "");
	else
		answer(by, r, ANSWER_SYSTEM_ERROR, why);
}

static void
push(struct server_peer *by, struct reply *r)
{
	struct member *m = *r->client ? clients_producer(r->l->clients, r->client) : NULL;
	const struct remoting_frame f = {
		.code = REMOTING_PUSH_REPLY_MESSAGE_TO_CLIENT, .ext = r->ext, .body = r->body, .body_len = r->body_len,
	};
	char why[RING_REMARK_BYTES];

	if (m && calls_ask(r->l->calls, by, &f, m, pushed, r))
		return;
	if (m)
		snprintf(why, sizeof(why), "too many clients are being asked");
	else if (*r->client)
		snprintf(why, sizeof(why), "push reply message fail, channel of <%.64s> not found.", r->client);
	else
		snprintf(why, sizeof(why), "reply message properties[REPLY_TO_CLIENT] is null");
	answer(by, r, m ? ANSWER_SYSTEM_BUSY : ANSWER_SYSTEM_ERROR, why);
}

void
replies_stored(struct server_peer *by, struct reply *r, const struct ring_completion *c)
{
	const struct remoting_frame to = { .opaque = r->opaque, .dialect = r->dialect };
	bool is_message = c->code != ANSWER_SYSTEM_ERROR && c->code != ANSWER_MESSAGE_ILLEGAL &&
			  c->code != ANSWER_TOPIC_NOT_EXIST;

	if (!is_message) {
		if (by && !r->one_way)
			server_refuse(by, &to, c->code, c->remark);
		reply_free(r);
		return;
	}
	if (traffic_is_stored(c->code))
		r->stored = *c;
	push(by, r);
}

enum server_served
replies_serve(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	struct refusal why;
	struct reply *r;
	struct ask a;

	if (!ask_decode(f, &a, &why)) {
		server_refuse(p, f, why.code, why.why);
		return SERVER_DONE;
	}
	r = reply_make(l, p, f, &a);
	if (r && !traffic_values(l->traffic)->store_replies) {
		push(p, r);
		return SERVER_DONE;
	}
	if (!r || !traffic_reply(l->traffic, p, f, &a, r)) {
		reply_free(r);
		return traffic_refuse_busy(p, f);
	}
	return SERVER_DONE;
}
