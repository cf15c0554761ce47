#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/request.h"
#include "remoting/calls.h"
#include "remoting/codes.h"
#include "remoting/loop.h"

#define RELAY_MS 10000			/* RocketMQ's times */
#define GATHER_MS 5000
#define WAITING_MAX 64			/* answers that one does not take: it is not asked */

/* One request of an asker. */
struct inquiry {
	LIST_ENTRY(inquiry) entry;
	struct server_peer *by;		/* NULL: it is gone */
	int32_t opaque;
	enum remoting_dialect dialect;
	unsigned waits;			/* clients that have not answered yet */
	FILE *table;			/* gathered so far, in `text`; NULL: one answer is relayed */
	char *text;
	size_t len;
	bool some;			/* `text` has an entry already */
	calls_done *done;		/* NULL: it is a tool's */
	void *arg;
};

/* A request to one client. */
struct call {
	LIST_ENTRY(call) entry;
	struct inquiry *of;
	struct server_peer *to;
	int32_t opaque;
	int64_t until_ms;
	char client[CLIENTS_NAME_MAX + 1];
};

struct calls {
	struct loop *l;
	LIST_HEAD(, inquiry) inquiries;
	LIST_HEAD(, call) list;
	size_t n, own;			/* for tools, for calls_ask() */
	int32_t last_opaque;
};

int
calls_open(struct loop *l, struct calls **ret)
{
	*ret = calloc(1, sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	(*ret)->l = l;
	return MQ_OK;
}

/* --- the asker ---------------------------------------------------------------------------------- */

static unsigned
waits_of(const struct calls *c, const struct server_peer *asker, bool own)
{
	const struct inquiry *q;
	unsigned n = 0;

	LIST_FOREACH(q, &c->inquiries, entry)
		if (q->by == asker && (q->done != NULL) == own)
			n += q->waits;
	return n;
}

/* NULL: too many calls are under way. */
static struct inquiry *
inquiry_make(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, size_t clients,
	     calls_done *done)
{
	size_t n = (done ? c->own : c->n) + clients, of_one = waits_of(c, asker, done != NULL) + clients;
	struct inquiry *q = NULL;

	if (n <= (done ? CALLS_OWN_MAX : CALLS_MAX) && of_one <= (done ? CALLS_OWN_OF_ONE_MAX : CALLS_OF_ONE_MAX))
		q = calloc(1, sizeof(*q));
	if (!q && !done)
		server_refuse(asker, f, ANSWER_SYSTEM_BUSY, "too many clients are being asked");
	if (!q)
		return NULL;
	q->done = done;
	q->by = asker;
	q->opaque = f->opaque;
	q->dialect = f->dialect;
	LIST_INSERT_HEAD(&c->inquiries, q, entry);
	return q;
}

static void
inquiry_free(struct inquiry *q)
{
	LIST_REMOVE(q, entry);
	if (q->done)
		q->done(q->arg, NULL, NULL);
	if (q->table)
		(void)fclose(q->table);
	free(q->text);
	free(q);
}

static void
answer_gathered(struct inquiry *q)
{
	const struct remoting_frame to = { .dialect = q->dialect, .opaque = q->opaque };
	struct remoting_frame f = remoting_response(&to, ANSWER_SUCCESS);

	fputs("}}", q->table);
	if (fflush(q->table) != 0)
		return server_refuse(q->by, &f, ANSWER_SYSTEM_ERROR, "no memory");
	f.body = q->text;
	f.body_len = q->len;
	(void)server_send(q->by, &f);
}

/* --- one client ----------------------------------------------------------------------------------- */

/* The value of that member of an object, whose keys may be objects (RocketMQ's are): from its
 * brace to the one that closes it.  NULL: there is none. */
static const char *
object_of(const char *text, size_t len, const char *member, size_t *ret_len)
{
	const char *end = text + len, *at = memmem(text, len, member, strlen(member)), *from;
	int depth = 0;
	bool quoted = false;

	from = at ? at + strlen(member) : end;
	if (from >= end || *from != '{')
		return NULL;
	for (at = from; at < end; at++) {
		if (quoted && *at == '\\')
			at++;
		else if (*at == '"')
			quoted = !quoted;
		else if (!quoted && *at == '{')
			depth++;
		else if (!quoted && *at == '}' && --depth == 0)
			break;
	}
	*ret_len = (size_t)(at - from) + 1;
	return at < end ? from : NULL;
}

static void
gather(struct inquiry *q, const char *client, const struct remoting_frame *f)
{
	json_auto_t *name = json_string(client);
	AUTO_FREE char *quoted = name ? json_dumps(name, JSON_ENCODE_ANY) : NULL;
	size_t len = 0;
	const char *table = f->body ? object_of(f->body, f->body_len, "\"messageQueueTable\":", &len) : NULL;

	if (table && quoted) {
		fprintf(q->table, "%s%s:", q->some ? "," : "", quoted);
		fwrite(table, 1, len, q->table);
		q->some = true;
	}
}

static void
relay(struct inquiry *q, const struct remoting_frame *f)
{
	struct remoting_frame answer = *f;

	answer.dialect = q->dialect;
	answer.opaque = q->opaque;
	answer.flag = REMOTING_RESPONSE;
	(void)server_send(q->by, &answer);
}

/* done() is called only once. */
static calls_done *
take_done(struct inquiry *q)
{
	calls_done *done = q->done;

	q->done = NULL;
	return done;
}

/* End a call.  f: the client's response; NULL: there is none, and `why` is the reason. */
static void
finish(struct calls *c, struct call *call, const struct remoting_frame *f, int code, const char *why)
{
	struct inquiry *q = call->of;
	const struct remoting_frame to = { .opaque = q->opaque, .dialect = q->dialect };
	char remark[LINK_TEXT_BYTES];

	LIST_REMOVE(call, entry);
	*(q->done ? &c->own : &c->n) -= 1;
	q->waits--;
	if (q->done) {
		take_done(q)(q->arg, q->by, f);
		free(call);
		inquiry_free(q);
		return;
	}
	snprintf(remark, sizeof(remark), "the client <%.100s> %s", call->client, why);
	if (q->table && f && f->code == ANSWER_SUCCESS)
		gather(q, call->client, f);
	else if (!q->table && q->by && f)
		relay(q, f);
	else if (!q->table && q->by)
		server_refuse(q->by, &to, code, remark);
	free(call);
	if (q->waits > 0)
		return;
	if (q->table && q->by)
		answer_gathered(q);
	inquiry_free(q);
}

static void
ask(struct calls *c, struct inquiry *q, struct member *m, const struct remoting_frame *what, int64_t ms)
{
	struct call *call = calloc(1, sizeof(*call));
	struct remoting_frame f = *what;

	if (!call)
		return;
	c->last_opaque = c->last_opaque < INT32_MAX ? c->last_opaque + 1 : 1;
	*call = (struct call){
		.of = q, .to = m->peer, .opaque = c->last_opaque,
		.until_ms = c->l->d.now_ms + ms,
	};
	snprintf(call->client, sizeof(call->client), "%s", m->id);
	LIST_INSERT_HEAD(&c->list, call, entry);
	*(q->done ? &c->own : &c->n) += 1;
	q->waits++;
	f.dialect = REMOTING_JSON;
	f.opaque = call->opaque;
	f.flag = 0;
	f.language = REMOTING_JAVA;
	f.version = REMOTING_VERSION;
	f.remark = NULL;
	if (m->peer->channel.waiting >= WAITING_MAX || server_send(m->peer, &f) != MQ_OK)
		call->until_ms = c->l->d.now_ms;	/* answered in the next turn */
}

/* --- asking --------------------------------------------------------------------------------------- */

void
calls_relay(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct member *m)
{
	struct inquiry *q = inquiry_make(c, asker, f, 1, NULL);

	if (!q)
		return;
	ask(c, q, m, f, RELAY_MS);
	if (q->waits > 0)
		return;
	server_refuse(asker, f, ANSWER_SYSTEM_ERROR, "no memory");
	inquiry_free(q);
}

bool
calls_ask(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct member *m,
	  calls_done *done, void *arg)
{
	struct inquiry *q = inquiry_make(c, asker, f, 1, done);

	if (!q)
		return false;
	q->arg = arg;
	ask(c, q, m, f, RELAY_MS);
	if (q->waits > 0)
		return true;
	q->done = NULL;
	inquiry_free(q);
	return false;
}

void
calls_gather(struct calls *c, struct server_peer *asker, const struct remoting_frame *f, struct client_group *g,
	     const char *client)
{
	struct remoting_frame what = { .code = REMOTING_GET_CONSUMER_STATUS_FROM_CLIENT, .ext = f->ext };
	struct inquiry *q;
	size_t n = 0;

	for (const struct member *m = g->members; m; m = m->next)
		n += !client || !*client || strcmp(m->id, client) == 0;
	q = inquiry_make(c, asker, f, n, NULL);
	if (!q)
		return;
	q->table = open_memstream(&q->text, &q->len);
	if (!q->table) {
		server_refuse(asker, f, ANSWER_SYSTEM_ERROR, "no memory");
		inquiry_free(q);
		return;
	}
	fputs("{\"messageQueueTable\":{},\"consumerTable\":{", q->table);
	for (struct member *m = g->members; m; m = m->next)
		if (!client || !*client || strcmp(m->id, client) == 0)
			ask(c, q, m, &what, GATHER_MS);
	if (q->waits > 0)
		return;
	answer_gathered(q);
	inquiry_free(q);
}

void
calls_on_response(struct calls *c, struct server_peer *p, const struct remoting_frame *f)
{
	struct call *call;

	LIST_FOREACH(call, &c->list, entry)
		if (call->to == p && call->opaque == f->opaque) {
			finish(c, call, f, ANSWER_SUCCESS, "");
			return;
		}
}

/* --- the loop's calls ------------------------------------------------------------------------------- */

void
calls_gone(struct calls *c, const struct server_peer *p)
{
	struct call *call, *next;
	struct inquiry *q;

	LIST_FOREACH(q, &c->inquiries, entry)
		if (q->by == p)
			q->by = NULL;
	for (call = LIST_FIRST(&c->list); call; call = next) {
		next = LIST_NEXT(call, entry);
		if (call->to == p)
			finish(c, call, NULL, ANSWER_SYSTEM_ERROR, "has gone");
	}
}

void
calls_tick(struct calls *c)
{
	struct call *call, *next;

	for (call = LIST_FIRST(&c->list); call; call = next) {
		next = LIST_NEXT(call, entry);
		if (call->until_ms <= c->l->d.now_ms)
			finish(c, call, NULL, ANSWER_CONSUME_MSG_TIMEOUT, "does not answer in time");
	}
}

int64_t
calls_next_ms(const struct calls *c)
{
	const struct call *call;
	int64_t next = 0;

	LIST_FOREACH(call, &c->list, entry)
		next = earlier(next, call->until_ms);
	return next;
}

void
calls_close(struct calls *c)
{
	struct call *call;

	if (!c)
		return;
	while ((call = LIST_FIRST(&c->list))) {
		LIST_REMOVE(call, entry);
		free(call);
	}
	while (!LIST_EMPTY(&c->inquiries))
		inquiry_free(LIST_FIRST(&c->inquiries));
	free(c);
}
