#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/address.h"
#include "net/request.h"
#include "remoting/aheads.h"
#include "remoting/asks.h"
#include "remoting/clients.h"
#include "remoting/codes.h"
#include "remoting/loop.h"
#include "remoting/polls.h"
#include "remoting/replies.h"
#include "remoting/ring_client.h"
#include "remoting/signed.h"
#include "remoting/traffic.h"
#include "store/record.h"

#define SCARCE 1024			/* slots: when fewer are free, */
#define SHARE_SCARCE 16			/* a connection gets no more than so many, */
#define SHARE 512			/* and else so many */
#define SUSPEND_MS_MAX 120000
#define HELD_MAX 20000			/* pulls that wait */
#define TELL_MS 2			/* after answers that were looked ahead, at the latest about so long */

/* The request in a slot of the rings. */
struct op {
	struct server_peer *peer;	/* NULL: its connection has ended */
	struct held *held;		/* of a pull that may wait; NULL: none */
	struct reply *reply;		/* that is being stored; NULL: none */
	struct stream *stream;		/* of a pull for which it may be looked ahead; NULL: none */
	uint32_t stream_use;
	int32_t opaque;
	enum remoting_dialect dialect;
	bool one_way;
};

/* A group without members that the mount could not be told of yet. */
struct left {
	struct left *next;
	char group[];
};

struct traffic {
	struct watch watch;		/* first: the mount wakes us */
	struct loop *l;
	struct ring_client ring;
	struct polls *polls;
	struct aheads *aheads;
	struct op ops[RING_SLOTS];
	struct left *left;
};

/* --- submitting --------------------------------------------------------------------------------------------- */

/* The client's address and, with access control, what it has signed: the mount judges both.  The
 * returned text is the ask's, to be freed. */
static char *
put_client(const struct traffic *t, const struct server_peer *p, const struct remoting_frame *f, struct ask *a)
{
	size_t len = 0;
	char *values;

	memcpy(a->s.born_addr, p->from.bytes, sizeof(a->s.born_addr));
	a->s.born_port = p->from.port;
	a->s.flags |= p->from.v6 ? RING_FLAG_BORN_V6 : 0;
	if (!t->l->d.config.acl)
		return NULL;
	values = signed_values(f->ext, &len);
	a->key = ext_get(f->ext, "AccessKey");
	a->signature = ext_get(f->ext, "Signature");
	if (!values || !a->key || strlen(a->key) > RING_KEY_MAX || len > RING_SIGNED_MAX)
		return values;
	a->s.key_len = (uint32_t)strlen(a->key);
	a->s.signed_len = (uint32_t)len;
	a->signed_text = values;
	if (a->signature && strlen(a->signature) <= RING_SIGNATURE_MAX)
		a->s.signature_len = (uint32_t)strlen(a->signature);
	return values;
}

static void
put_texts(const struct ask *a, unsigned char *at)
{
	const struct ring_submission *s = &a->s;
	const struct {
		const char *text;
		uint32_t len;
	} texts[] = {
		{ a->topic, s->topic_len }, { a->template, s->template_len }, { a->group, s->group_len },
		{ a->text, s->text_len }, { a->key, s->key_len }, { a->signature, s->signature_len },
		{ a->signed_text, s->signed_len },
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].len > 0)
			memcpy(at, texts[i].text, texts[i].len);
		at += texts[i].len;
	}
	if (s->kind == RING_BATCH)
		ask_put_items(a, at);
	else if (s->body_len > 0)
		memcpy(at, a->body, s->body_len);
}

/* False: the rings are full. */
static bool
submit(struct traffic *t, struct ask *a, const struct op *op)
{
	struct ring_submission *s = &a->s;
	unsigned char *at = ring_client_place(&t->ring, ring_bytes(s), s);

	if (!at)
		return false;
	put_texts(a, at);
	ring_client_submit(&t->ring, s);
	t->ops[s->slot] = *op;
	if (op->peer)
		op->peer->under_way++;
	return true;
}

enum server_served
traffic_refuse_busy(struct server_peer *p, const struct remoting_frame *to)
{
	server_refuse(p, to, ANSWER_SYSTEM_BUSY, "[OVERLOAD]system busy, start flow control for a while");
	return SERVER_DONE;
}

static struct op
op_of(struct server_peer *p, const struct remoting_frame *f)
{
	return (struct op){
		.peer = p,
		.opaque = f->opaque,
		.dialect = f->dialect,
		.one_way = f->flag & REMOTING_ONE_WAY,
	};
}

bool
traffic_cuts(int code)
{
	return code == REMOTING_SEND_MESSAGE || code == REMOTING_SEND_MESSAGE_V2 || code == REMOTING_SEND_BATCH_MESSAGE ||
	       code == REMOTING_PULL_MESSAGE;
}

bool
traffic_reply(struct traffic *t, struct server_peer *p, struct remoting_frame *f, struct ask *a, struct reply *r)
{
	struct op op = op_of(p, f);
	AUTO_FREE char *values = NULL;

	values = put_client(t, p, f, a);
	op.reply = r;
	return submit(t, a, &op);
}

/* --- pulls ----------------------------------------------------------------------------------------------------- */

static bool
is_broadcast(const struct client_group *g)
{
	return strcmp(ext_text(g->data, "messageModel"), "BROADCASTING") == 0;
}

/* The filter of a pull that has none is that of its group's heartbeat. */
static bool
use_subscription(struct traffic *t, struct ask *a, struct refusal *why)
{
	const struct client_group *g = clients_group(t->l->clients, CLIENTS_CONSUMERS, a->group);
	json_t *data = NULL, *each;
	const char *text;
	size_t i;

	if (!g)
		return refuse(why, ANSWER_SUBSCRIPTION_NOT_EXIST, "the consumer's group info not exist");
	json_array_foreach(json_object_get(g->data, "subscriptionDataSet"), i, each)
		if (strcmp(ext_text(each, "topic"), a->topic) == 0)
			data = each;
	if (!data)
		return refuse(why, ANSWER_SUBSCRIPTION_NOT_EXIST, "the consumer's subscription not exist");
	if (json_integer_value(json_object_get(data, "subVersion")) < a->sub_version)
		return refuse(why, ANSWER_SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest");
	text = ext_text(data, "subString");
	a->text = strlen(text) <= RECORD_PROPS_MAX ? text : "";
	a->s.text_len = (uint32_t)strlen(a->text);
	a->s.flags &= ~(uint32_t)RING_FLAG_SQL;
	if (ask_is_sql(ext_text(data, "expressionType")))
		a->s.flags |= RING_FLAG_SQL;
	if (is_broadcast(g))
		a->s.flags |= RING_FLAG_BROADCAST;
	return true;
}

static int64_t
held_for(const struct traffic *t, const struct ask *a)
{
	const struct ring_values *values = &t->ring.out->values;
	int64_t ms = values->long_polling ? a->suspend_ms : values->short_polling_ms;

	return ms < 0 ? 0 : ms > SUSPEND_MS_MAX ? SUSPEND_MS_MAX : ms;
}

/* Does it come from a member of its group, whose members share its messages? */
static bool
is_shared(struct traffic *t, const struct server_peer *p, const struct ask *a)
{
	struct client_group *g = clients_group(t->l->clients, CLIENTS_CONSUMERS, a->group);

	if (!g || !clients_member_at(g, p) || is_broadcast(g))
		return false;
	g->claims = true;
	return true;
}

static void answer_pull(struct server_peer *p, struct remoting_frame *f,
			const struct ring_completion *c, const struct ring_piece *found);
static struct remoting_frame response_to(const struct op *op, const struct ring_completion *c);

/* Is the log of these pieces there?  Retention may have removed it since they were looked up. */
static bool
are_there(struct traffic *t, const struct ring_piece *pieces, uint32_t n)
{
	int64_t segment = t->l->d.config.segment_bytes, base, last = -1;
	int fd;

	for (uint32_t i = 0; i < n; i++, last = base) {
		base = pieces[i].pos - pieces[i].pos % segment;
		if (base != last && segments_find(&t->l->d, base, &fd) != MQ_OK) {
			err_clear();
			return false;
		}
	}
	return true;
}

/* False: the rings are full. */
static bool
tell_took(struct traffic *t, struct stream *s)
{
	struct ask a;

	if (aheads_took(s, &a) && !submit(t, &a, &(struct op){ .peer = NULL }))
		return false;
	aheads_told(t->aheads, s);
	return true;
}

/* Answer the pull from what was looked ahead.  False: the mount is to be asked, with the flags and the stream
 * that are set now. */
static bool
answer_ahead(struct traffic *t, struct op *op, struct ask *a)
{
	struct stream *s = t->l->d.config.acl || op->one_way ? NULL : aheads_stream(t->aheads, a);
	int64_t now_us = clock_mono_us();
	const struct ring_piece *pieces;
	struct ring_completion c;
	struct remoting_frame f;

	if (!s)
		return false;
	if (aheads_answer(s, a, atomic_load_explicit(&t->ring.out->version, memory_order_acquire), now_us, &c, &pieces) &&
	    are_there(t, pieces, c.n)) {
		f = response_to(op, &c);
		aheads_given(s, &c, now_us);
		answer_pull(op->peer, &f, &c, pieces);
		return true;
	}
	(void)tell_took(t, s);
	a->s.flags |= aheads_flags(s, a, now_us, &op->stream_use);
	op->stream = s;
	return false;
}

enum server_served
traffic_serve(struct loop *l, struct server_peer *p, struct remoting_frame *f)
{
	struct traffic *t = l->traffic;
	struct op op = op_of(p, f);
	AUTO_FREE char *values = NULL;
	struct refusal why;
	struct ask a;

	if (!ask_decode(f, &a, &why) || (a.subscribed && !use_subscription(t, &a, &why))) {
		server_refuse(p, f, why.code, why.why);
		return SERVER_DONE;
	}
	values = put_client(t, p, f, &a);
	if (a.s.kind == RING_PULL && is_shared(t, p, &a))
		a.s.flags |= RING_FLAG_MEMBER;
	if (a.s.kind == RING_PULL && answer_ahead(t, &op, &a))
		return SERVER_DONE;
	if (a.suspends && !op.one_way && polls_count(t->polls) < HELD_MAX)
		op.held = held_make(p, f, &a, l->d.now_ms + held_for(t, &a));
	if (!submit(t, &a, &op)) {
		free(op.held);
		return traffic_refuse_busy(p, f);
	}
	if (a.s.kind == RING_SEND || a.s.kind == RING_BATCH)
		senders_note(l->senders, p, a.topic, a.s.topic_len, a.group, a.s.group_len);
	return SERVER_DONE;
}

/* Its time is over: submit it again, so that it is answered with whatever there is. */
static void
ask_again(void *arg, struct held *h)
{
	struct traffic *t = arg;
	const struct op op = { .peer = h->peer, .opaque = h->opaque, .dialect = h->dialect };
	const struct remoting_frame f = { .opaque = h->opaque, .dialect = h->dialect };

	if (!submit(t, &h->ask, &op))
		(void)traffic_refuse_busy(h->peer, &f);
	free(h);
}

/* False: the rings are full. */
static bool
tell_left(struct traffic *t, const char *group)
{
	struct ask a = { .s.kind = RING_LEFT, .s.group_len = (uint32_t)strlen(group), .group = group };

	return submit(t, &a, &(struct op){ .peer = NULL });
}

void
traffic_left(struct traffic *t, const char *group)
{
	size_t len = strlen(group) + 1;
	struct left *left;

	aheads_drop(t->aheads, group);
	if (tell_left(t, group))
		return;
	left = malloc(sizeof(*left) + len);
	if (!left)
		return;
	memcpy(left->group, group, len);
	left->next = t->left;
	t->left = left;
}

static void
tell_all_left(struct traffic *t)
{
	struct left *left;

	while ((left = t->left) && tell_left(t, left->group)) {
		t->left = left->next;
		free(left);
	}
}

/* --- answers --------------------------------------------------------------------------------------------------- */

static struct remoting_frame
response_to(const struct op *op, const struct ring_completion *c)
{
	const struct remoting_frame to = { .dialect = op->dialect, .opaque = op->opaque };
	struct remoting_frame f = remoting_response(&to, c->code);

	f.remark = *c->remark ? (char *)(uintptr_t)c->remark : NULL;
	return f;
}

/* Texts of an answer's fields. */
struct texts {
	struct fields fields;
	char numbers[4][24];
	size_t n;			/* of the numbers */
	char id[57];
	char *ids;			/* malloc'ed, or NULL */
};

static void
put_text(struct texts *t, const char *name, const char *value)
{
	t->fields.list[t->fields.n++] = (struct field){ name, value };
}

static void
put_number(struct texts *t, const char *name, int64_t value)
{
	char *at = t->numbers[t->n] + sizeof(t->numbers[t->n]) - 1;
	uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	t->n++;
	*at = '\0';
	do
		*--at = (char)('0' + left % 10);
	while (left /= 10);
	if (value < 0)
		*--at = '-';
	put_text(t, name, at);
}

/* Where the record behind the one at pos begins; -1: the log cannot be read. */
static int64_t
next_record(struct daemon *d, int64_t pos)
{
	int64_t segment = d->config.segment_bytes, base = pos - pos % segment;
	unsigned char head[8];
	int fd;

	if (segments_find(d, base, &fd) != MQ_OK || pread(fd, head, sizeof(head), pos - base) != sizeof(head))
		return -1;
	pos += be32_get(head);
	if (pos - base + 8 > segment || pread(fd, head, sizeof(head), pos - base) != sizeof(head))
		return base + segment;
	return be32_get(head + 4) == RECORD_MAGIC_BLANK ? base + segment : pos;
}

/* The ids of all messages of a batch, joined with commas: malloc'ed. */
static char *
batch_ids(struct traffic *t, const struct host *host, const struct ring_completion *c)
{
	size_t each = host->v6 ? 57 : 33;
	char *ids = malloc(c->n * each + 1), *at = ids;
	int64_t pos = c->pos;

	for (uint32_t i = 0; ids && i < c->n && pos >= 0; i++) {
		record_msg_id(host, MQ_POS(pos), at);
		at += each - 1;
		*at++ = ',';
		if (i + 1 < c->n)
			pos = next_record(&t->l->d, pos);
	}
	if (ids && at > ids)
		at[-1] = '\0';
	return ids;
}

static struct host
store_host(const struct traffic *t)
{
	const struct ring_values *values = &t->ring.out->values;
	struct host host = { .v6 = values->host_v6, .port = values->host_port };

	memcpy(host.addr, values->host_addr, sizeof(host.addr));
	return host;
}

static void
put_msg_id(struct traffic *t, const struct ring_completion *c, struct texts *ret)
{
	const struct host host = store_host(t);

	if (c->pos >= 0 && c->kind == RING_BATCH)
		ret->ids = batch_ids(t, &host, c);
	else if (c->pos >= 0)
		record_msg_id(&host, MQ_POS(c->pos), ret->id);
	put_text(ret, "msgId", c->pos < 0 ? "0" : ret->ids ? ret->ids : ret->id);
}

static void
send_fields(struct traffic *t, const struct ring_completion *c, struct texts *ret)
{
	const struct ring_values *values = &t->ring.out->values;

	put_text(ret, "MSG_REGION", values->region);
	put_text(ret, "TRACE_ON", values->trace_on ? "true" : "false");
	put_msg_id(t, c, ret);
	put_number(ret, "queueId", c->queue_id);
	put_number(ret, "queueOffset", c->offset);
}

static void
pull_fields(const struct ring_completion *c, struct texts *ret)
{
	put_number(ret, "maxOffset", c->max);
	put_number(ret, "minOffset", c->min);
	put_number(ret, "nextBeginOffset", c->offset);
	put_number(ret, "suggestWhichBrokerId", c->suggest);
}

bool
traffic_is_stored(int code)
{
	return code == ANSWER_SUCCESS || code == ANSWER_FLUSH_DISK_TIMEOUT || code == ANSWER_SLAVE_NOT_AVAILABLE ||
	       code == ANSWER_FLUSH_SLAVE_TIMEOUT;
}

static void
answer_stored(struct traffic *t, struct server_peer *p, struct remoting_frame *f, const struct ring_completion *c)
{
	struct texts texts = { .n = 0 };

	send_fields(t, c, &texts);
	f->fields = &texts.fields;
	(void)server_post(p, f);
	free(texts.ids);
}

void
traffic_answer_send(struct traffic *t, struct server_peer *p, const struct remoting_frame *to,
		    const struct ring_completion *c)
{
	const struct op op = op_of(p, to);
	struct remoting_frame f = response_to(&op, c);

	answer_stored(t, p, &f, c);
}

static void
answer_pull(struct server_peer *p, struct remoting_frame *f, const struct ring_completion *c,
	    const struct ring_piece *found)
{
	struct log_piece pieces[RING_PIECES];
	uint32_t n = c->n < RING_PIECES ? c->n : RING_PIECES;
	struct texts texts = { .n = 0 };

	for (uint32_t i = 0; i < n; i++)
		pieces[i] = (struct log_piece){ .pos = found[i].pos, .bytes = found[i].bytes };
	if (c->code == ANSWER_SUCCESS || c->code == ANSWER_PULL_NOT_FOUND ||
	    c->code == ANSWER_PULL_RETRY_IMMEDIATELY || c->code == ANSWER_PULL_OFFSET_MOVED) {
		pull_fields(c, &texts);
		f->fields = &texts.fields;
	}
	(void)server_send_log(p, f, pieces, n);
}

static void
answer_client(struct traffic *t, const struct op *op, const struct ring_completion *c)
{
	struct remoting_frame f = response_to(op, c);

	if (c->kind == RING_PULL)
		answer_pull(op->peer, &f, c, t->ring.out->pieces[c->slot]);
	else if (c->kind != RING_END && traffic_is_stored(c->code))
		answer_stored(t, op->peer, &f, c);
	else
		(void)server_post(op->peer, &f);
}

static void
answer(struct traffic *t, const struct ring_completion *c)
{
	struct op op = t->ops[c->slot];

	t->ops[c->slot] = (struct op){ .peer = NULL };
	if (op.peer) {
		op.peer->under_way--;
		server_touch(op.peer);
	}
	if (op.stream)
		aheads_note(op.stream, op.stream_use, c, &t->ring.out->aheads[c->slot], t->ring.out->pieces[c->slot],
			    clock_mono_us());
	if (c->kind == RING_WATCH) {
		polls_watched(t->polls, c);
	} else if (op.reply) {
		replies_stored(op.peer, op.reply, c);
	} else if (!op.held || !op.peer || c->code != ANSWER_PULL_NOT_FOUND || !polls_hold(t->polls, op.held)) {
		free(op.held);
		if (op.peer && !op.one_way)
			answer_client(t, &op, c);
	}
}

const struct ring_values *
traffic_values(const struct traffic *t)
{
	return &t->ring.out->values;
}

/* --- the loop's calls -------------------------------------------------------------------------------------------- */

bool
traffic_may_ask(const struct traffic *t, const struct server_peer *p)
{
	return p->under_way < (t->ring.n_free < SCARCE ? SHARE_SCARCE : SHARE);
}

void
traffic_gone(struct traffic *t, struct server_peer *p)
{
	for (size_t i = 0; i < RING_SLOTS && p->under_way > 0; i++)
		if (t->ops[i].peer == p) {
			t->ops[i].peer = NULL;
			p->under_way--;
		}
	polls_gone(t->polls, p);
}

void
traffic_reap(struct traffic *t)
{
	struct ring_completion c;

	ring_client_awake(&t->ring);
	while (ring_client_reap(&t->ring, &c) == MQ_OK)
		answer(t, &c);
	polls_look(t->polls, t->l->d.now_ms);
}

/* Returns when there may be more to tell; 0: there is nothing. */
static int64_t
tell_all_took(struct traffic *t)
{
	struct stream *s;

	while (aheads_have_news(t->aheads) && (s = aheads_silent(t->aheads, clock_mono_us())) && tell_took(t, s))
		;
	return aheads_have_news(t->aheads) ? t->l->d.now_ms + TELL_MS : 0;
}

int64_t
traffic_tick(struct traffic *t)
{
	int64_t next = tell_all_took(t);

	tell_all_left(t);
	ring_client_wake(&t->ring);
	ring_client_linger(&t->ring);
	if (!ring_client_sleep(&t->ring))
		return t->l->d.now_ms;		/* something has come already */
	return earlier(next, polls_next_ms(t->polls));
}

/* The loop calls traffic_reap() in each turn. */
static void
ready(struct watch *w, uint32_t events)
{
	(void)w;
	(void)events;
}

int
traffic_open(struct loop *l, struct ring_fds *fds, struct traffic **ret)
{
	struct traffic *t = calloc(1, sizeof(*t));
	int rc = t ? ring_client_open(&t->ring, fds) : -ENOMEM;

	ring_fds_close(fds);
	if (rc != MQ_OK) {
		free(t);
		return rc;
	}
	t->l = l;
	t->watch = (struct watch){ .ready = ready, .fd = -1 };
	rc = polls_open(&t->ring, ask_again, t, &t->polls);
	if (rc == MQ_OK)
		rc = aheads_open(&t->aheads);
	if (rc != MQ_OK) {
		traffic_close(t);
		return rc;
	}
	*ret = t;
	return MQ_OK;
}

int
traffic_start(struct traffic *t)
{
	/* by edge: each write of the mount is an event, and nothing has to be read */
	return watch_open(&t->l->d, &t->watch, t->ring.wake_us, EPOLLIN | EPOLLET);
}

void
traffic_close(struct traffic *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < RING_SLOTS; i++) {
		free(t->ops[i].held);
		reply_free(t->ops[i].reply);
	}
	polls_close(t->polls);
	aheads_close(t->aheads);
	for (struct left *left; (left = t->left); free(left))
		t->left = left->next;
	if (t->watch.fd >= 0)
		(void)watch_release(&t->l->d, &t->watch);
	ring_client_close(&t->ring);
	free(t);
}
