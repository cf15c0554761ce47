#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/thread.h"
#include "net/request.h"
#include "offsets/transactions.h"
#include "remoting/intake.h"
#include "remoting/reads.h"
#include "remoting/stored_as.h"
#include "remoting/waits.h"
#include "store/delays.h"

#define LOTS_MAX 64			/* queues of one turn */
#define TURN_BYTES (4 << 20)		/* then it is time to append, */
#define JOINED_BYTES (256 << 10)	/* about so many in one go, where they are for several queues: one long
					 * write costs much less than short ones */
#define TURN_ANSWERED 64		/* also after so many requests that were answered without one */
#define KEPT_BYTES (512 << 10)		/* longer buffers are not kept for the next turn */

/* A submission whose messages are entries [first, first + n) of a batch. */
struct sent {
	struct ring_completion answer;
	size_t first, n;
	bool waits;
};

/* The messages for one queue in this turn. */
struct lot {
	struct topic *topic;		/* NULL: delayed messages or halves, of any topic */
	struct queue *queue;
	struct batch batch;
	struct sent *sents;
	size_t n, max;
};

struct intake {
	const struct remoting_broker *broker;
	struct remoting_broker as;	/* the broker, with the rights of the client that has sent the request */
	struct ring_server *ring;
	struct waits *waits;
	struct reads *reads;
	void (*invalid)(void *arg);
	void *arg;
	struct thread thread;
	_Atomic bool closing;
	struct lot lots[LOTS_MAX];
	size_t n_lots, bytes;		/* of this turn */
	struct batch joined;		/* lots that are appended together */
	size_t answered;		/* requests of this turn that wait for no append: pulls and refusals */
	struct ring_request req;
	char props[RECORD_PROPS_MAX + 1], item_props[DELAYED_PROPS_MAX];
	_Atomic int64_t messages, turns;
};

/* --- appending ------------------------------------------------------------------------------------ */

static void
answer_refused(struct intake *in, struct ring_completion *answer, const struct refusal *why)
{
	refusal_put(why, answer);
	ring_server_complete(in->ring, answer);
	in->answered++;
}

/* The messages of e are stored, where `entries` of its lot say. */
static void
answer_stored(struct intake *in, const struct batch_entry *entries, struct sent *e)
{
	const struct batch_entry *first = &entries[e->first], *last = first + e->n - 1;
	mq_pos end = pos_add(last->pos, last->total);

	e->answer.offset = first->qoff.n;
	e->answer.pos = first->pos.byte;
	e->answer.n = (uint32_t)e->n;
	if (e->waits)
		waits_add(in->waits, &e->answer, end);
	else
		ring_server_complete(in->ring, &e->answer);
}

/* An append has ended with rc: answer all that was sent to that lot, which is entries [at, ...) of `b`. */
static void
answer_lot(struct intake *in, struct lot *g, const struct batch *b, size_t at, int rc, const struct appended *done)
{
	size_t n = g->batch.n, stored = done->n > at ? done->n - at : 0;
	struct refusal why;

	if (rc != MQ_OK)
		(void)refuse_rc(&why, rc);
	if (stored < n)
		stats_put_failed(in->broker->stats, (int64_t)(n - stored));
	for (size_t i = 0; i < g->n; i++) {
		struct sent *e = &g->sents[i];

		if (e->first + e->n <= stored)
			answer_stored(in, b->entries + at, e);
		else
			answer_refused(in, &e->answer, &why);
	}
}

static void
count_stored(struct intake *in, const struct appended *done)
{
	atomic_fetch_add_explicit(&in->messages, (int64_t)done->n, memory_order_relaxed);
}

static void
append_lot(struct intake *in, struct lot *g)
{
	struct appended done = { 0 };
	int rc = MQ_OK;

	if (g->topic)
		rc = topic_append_begin(in->broker->offsets, g->topic, g->queue);
	else
		queue_append_begin(g->queue);
	if (rc == MQ_OK) {
		rc = store_append(in->broker->store, g->queue, &g->batch, &done);
		topic_append_end(g->queue);
	}
	count_stored(in, &done);
	answer_lot(in, g, &g->batch, 0, rc, &done);
}

/* The end of the lots that are appended together with `from`. */
static size_t
joined_end(const struct intake *in, size_t from)
{
	size_t to = from + 1, len = in->lots[from].batch.len;

	while (to < in->n_lots && len + in->lots[to].batch.len <= JOINED_BYTES)
		len += in->lots[to++].batch.len;
	return to;
}

static int
join(struct intake *in, size_t from, size_t to)
{
	int rc = MQ_OK;

	batch_clear(&in->joined);
	for (size_t i = from; i < to && rc == MQ_OK; i++)
		rc = batch_add_all(&in->joined, &in->lots[i].batch, in->lots[i].queue);
	return rc;
}

static bool
all_take(const struct intake *in, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++)
		if (in->lots[i].topic && !topic_takes(in->lots[i].topic))
			return false;
	return true;
}

/* Append lots [from, to) in one go.  False, and nothing is done: each has to go by itself. */
static bool
append_joined(struct intake *in, size_t from, size_t to)
{
	struct queue *queues[LOTS_MAX];
	struct appended done = { 0 };
	size_t n = to - from, at = 0;
	int rc = MQ_OK;
	bool take;

	if (n < 2 || join(in, from, to) != MQ_OK)
		return false;
	for (size_t i = 0; i < n; i++)
		queues[i] = in->lots[from + i].queue;
	queues_append_begin(queues, &n);
	take = all_take(in, from, to);
	if (take)
		rc = store_append_each(in->broker->store, &in->joined, &done);
	queues_append_end(queues, n);
	if (!take)
		return false;
	count_stored(in, &done);
	for (size_t i = from; i < to; i++) {
		struct lot *g = &in->lots[i];

		if (rc == MQ_OK || at < done.n)
			answer_lot(in, g, &in->joined, at, rc, &done);
		else
			append_lot(in, g);	/* what has failed need not concern this queue */
		at += g->batch.n;
	}
	return true;
}

/* End the turn: store or refuse its messages, and free their bytes in the ring. */
static void
append_all(struct intake *in)
{
	int64_t began_ms = clock_mono_ms(), before = atomic_load_explicit(&in->messages, memory_order_relaxed);
	int64_t stored;

	for (size_t from = 0, to; from < in->n_lots; from = to) {
		to = joined_end(in, from);
		if (append_joined(in, from, to))
			continue;
		for (size_t i = from; i < to; i++)
			append_lot(in, &in->lots[i]);
	}
	for (size_t i = 0; i < in->n_lots; i++) {
		struct lot *g = &in->lots[i];

		g->n = 0;
		batch_clear(&g->batch);
		if (g->batch.size > KEPT_BYTES)
			batch_free(&g->batch);
	}
	stored = atomic_load_explicit(&in->messages, memory_order_relaxed) - before;
	if (in->n_lots > 0)
		atomic_fetch_add_explicit(&in->turns, 1, memory_order_relaxed);
	if (stored > 0)
		stats_put_took(in->broker->stats, stored, clock_mono_ms() - began_ms);
	in->n_lots = in->bytes = in->answered = 0;
	ring_server_release(in->ring);
	ring_server_wake_client(in->ring);
}

/* --- gathering ------------------------------------------------------------------------------------- */

/* The lot of that queue. */
static struct lot *
lot_of(struct intake *in, const struct stored_as *as)
{
	struct lot *g;

	for (size_t i = 0; i < in->n_lots; i++)
		if (in->lots[i].queue == as->queue)
			return &in->lots[i];
	if (in->n_lots == LOTS_MAX)
		append_all(in);
	g = &in->lots[in->n_lots++];
	g->topic = as->level > 0 || as->half ? NULL : as->topic;
	g->queue = as->queue;
	return g;
}

static bool
add_single(struct intake *in, struct batch *b, const struct stored_as *as, struct refusal *why)
{
	const struct ring_request *req = &in->req;
	struct message m = as->m;
	int rc = MQ_OK;

	if (!stored_props(&in->as, req, NULL, 0, in->props, &m.props_len))
		return refuse(why, ANSWER_MESSAGE_ILLEGAL, "the properties are longer than %d bytes", RECORD_PROPS_MAX);
	m.props = in->props;
	m.body = req->body;
	m.body_len = req->s.body_len;
	if (as->half)
		rc = half_message(&m, in->item_props);
	else if (as->level > 0)
		rc = delays_message(&m, as->level, 0, in->item_props);
	if (rc == MQ_OK)
		rc = batch_add(b, &m);
	return rc == MQ_OK || refuse_rc(why, rc);
}

/* Items of a batch.  *ret_rc MQ_ECORRUPT, noted: there are more or fewer than the submission says. */
static bool
add_items(struct intake *in, struct batch *b, const struct stored_as *as, struct refusal *why, int *ret_rc)
{
	const struct ring_request *req = &in->req;
	struct message m = as->m;
	struct ring_item item;
	size_t at = 0;
	uint32_t n = 0;

	for (; ring_item_next(req->body, req->s.body_len, &at, &item); n++) {
		const unsigned char *body = req->body + at - item.body_len;
		int rc;

		memcpy(in->item_props, body - item.props_len, item.props_len);
		if (!stored_props(&in->as, req, in->item_props, item.props_len, in->props, &m.props_len))
			return refuse(why, ANSWER_MESSAGE_ILLEGAL, "the properties are longer than %d bytes",
				      RECORD_PROPS_MAX);
		m.props = in->props;
		m.flag = item.flag;
		m.body = body;
		m.body_len = item.body_len;
		rc = batch_add(b, &m);
		if (rc != MQ_OK)
			return refuse_rc(why, rc);
	}
	if (n != req->s.items || at != req->s.body_len)
		*ret_rc = err_note(MQ_ECORRUPT, "mqremoted submits a batch that has other items than it says");
	return true;
}

/* Add messages to a queue of this turn, or refuse them.  MQ_ECORRUPT: the submission is invalid. */
static int
gather(struct intake *in)
{
	const struct ring_submission *s = &in->req.s;
	struct ring_completion answer = ring_completion_of(s);
	struct refusal why = { 0 };
	struct stored_as as;
	struct lot *g;
	size_t n, len;
	int rc = MQ_OK;
	bool ok;

	if (!stored_as(&in->as, &in->req, &as, &why)) {
		answer_refused(in, &answer, &why);
		return MQ_OK;
	}
	answer.queue_id = as.queue_id;
	g = lot_of(in, &as);
	n = g->batch.n;
	len = g->batch.len;
	ok = ARRAY_ROOM(g->sents, g->max, g->n + 1) == MQ_OK || refuse_rc(&why, -ENOMEM);
	if (ok && s->kind == RING_SEND)
		ok = add_single(in, &g->batch, &as, &why);
	else if (ok)
		ok = add_items(in, &g->batch, &as, &why, &rc);
	if (!ok || rc != MQ_OK) {	/* none of it */
		g->batch.n = n;
		g->batch.len = len;
		if (rc == MQ_OK)
			answer_refused(in, &answer, &why);
		return rc;
	}
	g->sents[g->n++] = (struct sent){ .answer = answer, .first = n, .n = g->batch.n - n, .waits = as.waits };
	in->bytes += g->batch.len - len;
	return MQ_OK;
}

/* --- access control ------------------------------------------------------------------------------------------ */

/* The permissions that an account needs: RocketMQ's rule, also for batches, where RocketMQ omits it. */
static size_t
wants_of(const struct ring_request *req, char retry[], size_t size, struct want wants[2])
{
	bool sends = req->s.kind == RING_SEND || req->s.kind == RING_BATCH;
	bool again = text_begins(req->topic, RETRY_PREFIX);

	if (req->s.kind == RING_END)
		return 0;
	wants[0] = (struct want){ req->topic, sends && !again ? ACCOUNT_PUB : ACCOUNT_SUB };
	if (sends)
		return 1;
	snprintf(retry, size, "%s%s", RETRY_PREFIX, req->group);
	wants[1] = (struct want){ retry, ACCOUNT_SUB };
	return 2;
}

/* The fields of an item before its body, and before its properties, as the client has signed them. */
struct item_head {
	unsigned char bytes[20], props_len[2];
};

/* The parts that were signed, in memory of *ret_heads and the ring.  The result and *ret_heads are to be freed. */
static struct signed_part *
parts_of(const struct ring_request *req, struct item_head **ret_heads, size_t *ret_n)
{
	struct signed_part *parts = malloc((2 + 4 * (size_t)req->s.items) * sizeof(*parts));
	struct item_head *h = malloc((req->s.items + 1) * sizeof(*h));
	struct ring_item item;
	size_t at = 0, n = 0;

	*ret_heads = h;
	if (!parts || !h) {
		free(parts);
		return NULL;
	}
	parts[n++] = (struct signed_part){ req->signed_text, req->s.signed_len };
	if (req->s.items == 0)
		parts[n++] = (struct signed_part){ req->body, req->s.body_len };
	for (uint32_t i = 0; i < req->s.items && ring_item_next(req->body, req->s.body_len, &at, &item); i++, h++) {
		const unsigned char *body = req->body + at - item.body_len;

		memset(h, 0, sizeof(*h));
		be32_put(h->bytes, (int32_t)(22 + item.body_len + item.props_len));
		be32_put(h->bytes + 12, item.flag);
		be32_put(h->bytes + 16, (int32_t)item.body_len);
		be16_put(h->props_len, (int16_t)item.props_len);
		parts[n++] = (struct signed_part){ h->bytes, sizeof(h->bytes) };
		parts[n++] = (struct signed_part){ body, item.body_len };
		parts[n++] = (struct signed_part){ h->props_len, sizeof(h->props_len) };
		parts[n++] = (struct signed_part){ body - item.props_len, item.props_len };
	}
	*ret_n = n;
	return parts;
}

/* Is the request let in?  If not, it is answered. */
static bool
is_let_in(struct intake *in, struct permit *ret)
{
	const struct ring_request *req = &in->req;
	const struct ring_submission *s = &req->s;
	struct ring_completion answer = ring_completion_of(s);
	char retry[RECORD_TOPIC_MAX + 16];
	struct address from = { .v6 = s->flags & RING_FLAG_BORN_V6 };
	struct item_head *heads = NULL;
	struct refusal why = { 0 };
	struct want wants[2];
	struct judge_request p = {
		.from = &from, .access_key = s->key_len ? req->key : NULL,
		.signature = s->signature_len ? req->signature : NULL, .wants = wants,
		.n_wants = wants_of(req, retry, sizeof(retry), wants),
	};
	struct signed_part *parts = parts_of(req, &heads, &p.n_parts);
	int rc;

	memcpy(from.bytes, s->born_addr, sizeof(from.bytes));
	p.parts = parts;
	rc = parts ? judge_check(in->broker->judge, &p, ret) : -ENOMEM;
	free(parts);
	free(heads);
	if (rc == MQ_OK)
		return true;
	(void)refuse(&why, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	answer_refused(in, &answer, &why);
	return false;
}

/* Count answers that mqremoted has given.  Only what is there is counted: mqremoted may say anything. */
static void
note_took(struct intake *in)
{
	const struct ring_submission *s = &in->req.s;
	const struct ring_completion answer = ring_completion_of(s);

	if (topic_find(in->broker->offsets, in->req.topic) && group_find(in->broker->offsets, in->req.group))
		stats_got(in->broker->stats, in->req.topic, in->req.group, s->max_messages, s->offset, s->commit_offset, 0);
	ring_server_complete(in->ring, &answer);
	in->answered++;
}

/* --- the thread -------------------------------------------------------------------------------------- */

static int
take_one(struct intake *in)
{
	struct permit permit = { 0 };
	int rc = ring_server_take(in->ring, &in->req);

	if (rc != MQ_OK)
		return rc;
	if (in->broker->judge && in->req.s.kind != RING_WATCH && in->req.s.kind != RING_LEFT && !is_let_in(in, &permit))
		return MQ_OK;
	in->as.rights = permit.user ? permit.user : in->broker->rights;
	if (in->req.s.kind == RING_SEND || in->req.s.kind == RING_BATCH)
		rc = gather(in);
	else if (in->req.s.kind == RING_TOOK)
		note_took(in);
	else if (in->req.s.kind == RING_PULL && reads_answer_now(in->reads, &in->req, &permit))
		in->answered++;
	else
		rc = reads_put(in->reads, &in->req, &permit);
	permit_drop(&permit);
	return rc;
}

static void *
intake_main(void *arg)
{
	struct intake *in = arg;
	int rc = MQ_OK;

	while (!atomic_load(&in->closing)) {
		rc = take_one(in);
		if (rc != MQ_OK || in->bytes >= TURN_BYTES || in->answered >= TURN_ANSWERED)
			append_all(in);
		if (rc == -EAGAIN)
			ring_server_wait(in->ring, -1);
		else if (rc != MQ_OK)
			break;
	}
	append_all(in);
	if (rc != MQ_OK && rc != -EAGAIN)
		in->invalid(in->arg);
	return NULL;
}

/* The values that mqremoted needs for its answers. */
static void
fill_values(const struct remoting_broker *b, struct ring_values *values)
{
	memcpy(values->host_addr, b->host.addr, sizeof(values->host_addr));
	values->host_v6 = b->host.v6;
	values->host_port = b->host.port;
	values->trace_on = b->settings->traceOn != 0;
	values->long_polling = b->settings->longPollingEnable != 0;
	values->short_polling_ms = b->settings->shortPollingTimeMills;
	values->store_replies = b->settings->storeReplyMessageEnable != 0;
	snprintf(values->region, sizeof(values->region), "%s", b->settings->regionId);
}

int
intake_open(const struct remoting_broker *broker, struct ring_server *ring, void (*invalid)(void *arg), void *arg,
	    struct intake **ret)
{
	struct intake *in = calloc(1, sizeof(*in));
	int rc;

	if (!in)
		return -ENOMEM;
	in->broker = broker;
	in->as = *broker;
	in->ring = ring;
	in->invalid = invalid;
	in->arg = arg;
	fill_values(broker, &ring->out->values);
	offsets_show_rights_version(broker->offsets, &ring->out->version);
	rc = waits_open(broker, ring, &in->waits);
	if (rc == MQ_OK)
		rc = reads_open(broker, ring, &in->reads);
	if (rc == MQ_OK)
		rc = thread_start(&in->thread, "intake", intake_main, in);
	if (rc == MQ_OK)
		*ret = in;
	else
		intake_close(in);
	return rc;
}

void
intake_close(struct intake *in)
{
	if (!in)
		return;
	atomic_store(&in->closing, true);
	ring_server_nudge(in->ring);
	thread_join(&in->thread);
	offsets_show_rights_version(in->broker->offsets, NULL);
	reads_close(in->reads);
	waits_close(in->waits);
	batch_free(&in->joined);
	for (size_t i = 0; i < LOTS_MAX; i++) {
		batch_free(&in->lots[i].batch);
		free(in->lots[i].sents);
	}
	free(in);
}

void
intake_stats(const struct intake *in, struct intake_stats *ret)
{
	*ret = (struct intake_stats){
		.messages = atomic_load(&in->messages),
		.turns = atomic_load(&in->turns),
	};
}
