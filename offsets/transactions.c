#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "offsets/deliver.h"
#include "offsets/halves.h"
#include "offsets/registry.h"
#include "offsets/transactions.h"
#include "store/delays.h"
#include "store/properties.h"

#define GIVEN_UP_TOPIC "TRANS_CHECK_MAX_TIME_TOPIC"
#define CHECK_TIMES "TRANSACTION_CHECK_TIMES"
#define IMMUNITY "CHECK_IMMUNITY_TIME_IN_SECONDS"
#define FIRST_NUMBER "TRAN_PREPARED_QUEUE_OFFSET"
#define SPARE_PROPS 96			/* bytes: room for what checks add */
#define ROUND_MS 60000			/* a round takes no longer */
#define ENDS_AGAIN 3			/* a topic may be removed, and made again, so often under a commit */

struct transactions {
	struct lock lock;		/* from looking whether a half is open to its end in the log */
	bool loaded;
	int demotions;			/* when `halves` was made; after another one it is made anew */
	struct halves halves;
	struct halves followed;		/* while another broker ends them */
	struct batch batch;
	_Atomic int64_t checked, given_up;
};

int
transactions_open(struct transactions **ret)
{
	struct transactions *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	lock_init(&t->lock, RANK_TRANSACTIONS);
	batch_init(&t->batch);
	*ret = t;
	return MQ_OK;
}

void
transactions_close(struct transactions *t)
{
	if (!t)
		return;
	halves_free(&t->halves);
	halves_free(&t->followed);
	batch_free(&t->batch);
	lock_destroy(&t->lock);
	free(t);
}

/* The table is there, and knows all halves that are stored by now.  MQ_EROLE, -EROFS. */
static int
ready(struct offsets *o)
{
	struct transactions *t = o->transactions;
	int demotions = atomic_load(&o->delivery.demotions);
	int rc = change_allowed(o);

	MUST_HOLD(&t->lock);
	if (rc != MQ_OK)
		return rc;
	if (t->loaded && t->demotions == demotions)
		return halves_extend(o, &t->halves);
	halves_free(&t->halves);
	halves_free(&t->followed);
	rc = halves_load(o, true, &t->halves);
	t->loaded = rc == MQ_OK;
	t->demotions = demotions;
	return rc;
}

/* --- records --------------------------------------------------------------------------------- */

int
half_queue(struct offsets *o, struct queue **ret_q)
{
	return store_queue_make(o->store, TRANS_HALF_TOPIC, 0, ret_q);
}

int
half_message(struct message *m, char *props)
{
	struct properties p = { .buf = props, .size = RECORD_PROPS_MAX - SPARE_PROPS };
	char qid[16];
	int len = snprintf(qid, sizeof(qid), "%" PRId32, m->queue_id);
	int rc = properties_add(&p, "REAL_TOPIC", m->topic, m->topic_len);

	if (rc == MQ_OK)
		rc = properties_add(&p, "REAL_QID", qid, (size_t)len);
	if (rc == MQ_OK)
		rc = properties_add_missing(&p, m->props, m->props_len);
	if (rc != MQ_OK)
		return rc;
	m->props = props;
	m->props_len = p.len;
	m->topic = TRANS_HALF_TOPIC;
	m->topic_len = strlen(TRANS_HALF_TOPIC);
	m->queue_id = 0;
	m->sysflag &= ~SYSFLAG_TRANSACTION;
	return MQ_OK;
}

/* A half that was read. */
struct half {
	struct record rec;
	unsigned char *buf;
	size_t size;
	char topic[RECORD_TOPIC_MAX + 1];	/* the message's own */
	struct message m;			/* and the message, as delays_deliver() has it */
	char props[DELAYED_PROPS_MAX];
};

static void
half_free(struct half **h)
{
	if (*h)
		free((*h)->buf);
	free(*h);
}

#define AUTO_HALF __attribute__((cleanup(half_free)))

/* Read the record at pos, which is of that topic.  A position comes from a client: only what the
 * queue points to is a message. */
static int
read_of(struct offsets *o, const char *topic, mq_pos pos, struct half *h)
{
	struct queue *q = store_queue(o->store, topic, 0);
	struct queue_entry e;
	size_t n;
	int rc = q && pos.byte >= 0 ? store_read(o->store, pos, &h->buf, &h->size, &h->rec) : MQ_EGONE;

	if (rc == -ENOMEM)
		return rc;
	if (rc != MQ_OK || !record_is_of(&h->rec, topic) || queue_entries(q, h->rec.qoff, &e, 1, &n) != MQ_OK ||
	    e.pos.byte != pos.byte)
		return err_note(-ENOENT, "Find prepared transaction message failed");
	return delays_deliver(&h->rec, &h->m, h->topic);
}

static int
half_read_number(struct offsets *o, int64_t number, struct half *h)
{
	struct queue_entry e;
	size_t n;
	int rc = queue_entries(o->transactions->halves.queue, MQ_QOFF(number), &e, 1, &n);

	if (rc == MQ_OK && e.total == QUEUE_HOLE_SIZE)
		rc = MQ_EGONE;
	return rc == MQ_OK ? read_of(o, TRANS_HALF_TOPIC, e.pos, h) : rc;
}

static mq_pos
half_root(const struct half *h)
{
	return h->rec.prepared.byte > 0 ? h->rec.prepared : h->rec.pos;
}

/* The number that a property says; -1: it says none. */
static int64_t
half_number(const struct half *h, const char *property)
{
	size_t len;
	const char *value = record_property(h->rec.props, (size_t)h->rec.props_len, property, &len);

	return value ? halves_number(value, len) : -1;
}

/* --- a step of the log ------------------------------------------------------------------------- */

/* The half with that number has ended. */
static int
add_op(struct offsets *o, int64_t number)
{
	static const char props[] = "TAGS\001d";
	struct queue *ops;
	char body[24];
	int len = snprintf(body, sizeof(body), "%" PRId64, number);
	int rc = store_queue_make(o->store, TRANS_OP_TOPIC, 0, &ops);
	const struct message m = {
		.body = body, .body_len = (size_t)len, .topic = TRANS_OP_TOPIC, .topic_len = strlen(TRANS_OP_TOPIC),
		.props = props, .props_len = sizeof(props) - 1,
		.born_ms = clock_wall_ms(), .born = o->host, .stored = o->host,
	};

	return rc == MQ_OK ? batch_add_to(&o->transactions->batch, ops, &m) : rc;
}

/* End a half, as `how`: append its op, and what it becomes, m of q (NULL: nothing).  `topic` (NULL: one
 * of the broker's own) is the topic of q: -ESTALE if it is removed.  *ret_at, if not NULL, says where m is. */
static int
append_end(struct offsets *o, int64_t number, enum half_state how, const struct message *m, struct queue *q,
	   struct topic *topic, struct batch_entry *ret_at)
{
	struct transactions *t = o->transactions;
	struct queue *queues[2];
	struct appended done;
	size_t n;
	int rc;

	batch_clear(&t->batch);
	rc = add_op(o, number);
	if (rc == MQ_OK && m)
		rc = batch_add_to(&t->batch, q, m);
	if (rc != MQ_OK)
		return rc;
	n = t->batch.n;
	for (size_t i = 0; i < n; i++)
		queues[i] = t->batch.entries[i].q;
	queues_append_begin(queues, &n);
	if (topic && (topic->gone || topic->leaving))
		rc = -ESTALE;
	else
		rc = t->demotions == atomic_load(&o->delivery.demotions) ? store_append_step(o->store, &t->batch, &done)
									 : MQ_EROLE;
	queues_append_end(queues, n);
	if (rc != MQ_OK)
		return rc;
	halves_end(&t->halves, number, how);
	if (ret_at)
		*ret_at = t->batch.entries[t->batch.n - 1];
	return MQ_OK;
}

/* --- the producer's answer ----------------------------------------------------------------------- */

static int
check_word(const struct transaction_word *w, const struct half *h)
{
	size_t len;
	const char *group = record_property(h->rec.props, (size_t)h->rec.props_len, "PGROUP", &len);

	if (!group || !w->group || !bytes_are(group, len, w->group))
		return err_note(-EINVAL, "The producer group wrong");
	if (h->rec.qoff.n != w->number)
		return err_note(-EINVAL, "The transaction state table offset wrong");
	return MQ_OK;
}

/* Find the half that a producer has answered for: h becomes its newest copy.  -EALREADY: it has
 * ended, and *ret_how says how. */
static int
find_open(struct offsets *o, struct half *h, int64_t *ret_how)
{
	struct halves *table = &o->transactions->halves;
	int64_t copy;

	*ret_how = halves_state(table, h->rec.qoff.n);
	if (*ret_how >= 0)
		return MQ_OK;
	copy = halves_copy(table, half_root(h));
	if (copy < 0)
		return err_note(-EALREADY, "The transaction has ended before");
	return half_read_number(o, copy, h);
}

/* The message goes to its own topic; one with a DELAY waits first, as any other. */
static int
commit_half(struct offsets *o, struct half *h)
{
	struct message m = h->m;
	int level = record_level(m.props, m.props_len);
	struct topic *t = NULL;
	struct queue *q = NULL;
	int rc = deliver_target(o, &m, &t, &q);

	m.sysflag = (m.sysflag & ~SYSFLAG_TRANSACTION) | SYSFLAG_COMMIT;
	if (rc == MQ_OK && level > 0) {
		rc = delays_message(&m, level, 0, h->props);
		if (rc == MQ_OK)
			rc = delays_queue(o->store, level, &q);
		t = NULL;
	}
	return rc == MQ_OK ? append_end(o, h->rec.qoff.n, HALF_COMMITTED, &m, q, t, NULL) : rc;
}

int
transaction_end(struct offsets *o, const struct transaction_word *w)
{
	struct transactions *t = o->transactions;
	enum half_state how = w->end == TRANSACTION_COMMIT ? HALF_COMMITTED : HALF_ROLLED_BACK;
	AUTO_HALF struct half *h = calloc(1, sizeof(*h));
	int64_t state = HALF_ENDED;
	int rc = h ? read_of(o, TRANS_HALF_TOPIC, w->pos, h) : -ENOMEM;

	if (rc == MQ_OK)
		rc = check_word(w, h);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&t->lock);
	rc = ready(o);
	if (rc == MQ_OK)
		rc = find_open(o, h, &state);
	if (rc != MQ_OK)
		return rc == -EALREADY && state == (int64_t)how ? MQ_OK : rc;
	rc = -ESTALE;
	for (int i = 0; i < ENDS_AGAIN && rc == -ESTALE; i++)
		rc = how == HALF_COMMITTED ? commit_half(o, h)
					   : append_end(o, h->rec.qoff.n, how, NULL, NULL, NULL, NULL);
	return rc;
}

/* --- checks -------------------------------------------------------------------------------------- */

enum verdict { LEAVE, PUT_BACK, ASK, GIVE_UP };

/* A clock that has just jumped makes no half too old (store/wallclock.h). */
static bool
is_too_old(const struct offsets *o, const struct half *h)
{
	return store_believed_ms(o->store) - h->rec.born_ms > o->settings->fileReservedTime * 3600000;
}

static enum verdict
judge(const struct offsets *o, const struct half *h)
{
	const struct settings *s = o->settings;
	int64_t age = clock_wall_ms() - h->rec.born_ms, immune = half_number(h, IMMUNITY);
	size_t len;
	bool has_immunity = record_property(h->rec.props, (size_t)h->rec.props_len, IMMUNITY, &len);

	if (half_number(h, CHECK_TIMES) >= s->transactionCheckMax && half_number(h, CHECK_TIMES) >= 0)
		return GIVE_UP;
	if (is_too_old(o, h))
		return GIVE_UP;
	if (has_immunity && age < (immune < 0 ? s->transactionTimeOut : immune * 1000))
		return PUT_BACK;
	if (!has_immunity && age >= 0 && age < s->transactionTimeOut)
		return LEAVE;
	return ASK;
}

/* The half as it is put back, with one property replaced. */
static int
renew(struct half *h, const char *property, int64_t value, struct message *ret_m)
{
	struct properties p = { .buf = h->props, .size = RECORD_PROPS_MAX };
	char text[24];
	int len = snprintf(text, sizeof(text), "%" PRId64, value);
	int rc = properties_add(&p, property, text, (size_t)len);

	if (rc == MQ_OK)
		rc = properties_add_missing(&p, h->rec.props, (size_t)h->rec.props_len);
	*ret_m = h->m;
	ret_m->topic = TRANS_HALF_TOPIC;
	ret_m->topic_len = strlen(TRANS_HALF_TOPIC);
	ret_m->queue_id = 0;
	ret_m->prepared = half_root(h);
	ret_m->props = h->props;
	ret_m->props_len = p.len;
	return rc;
}

/* Append the half again, at the end of its queue. */
static int
put_back(struct offsets *o, struct half *h, enum verdict v, struct batch_entry *ret_at)
{
	struct halves *table = &o->transactions->halves;
	int64_t times = half_number(h, CHECK_TIMES), first = half_number(h, FIRST_NUMBER);
	struct message m;
	int rc = v == ASK ? renew(h, CHECK_TIMES, times < 0 ? 1 : times + 1, &m)
			  : renew(h, FIRST_NUMBER, first < 0 ? h->rec.qoff.n : first, &m);

	if (rc == MQ_OK)
		rc = append_end(o, h->rec.qoff.n, HALF_ENDED, &m, table->queue, NULL, ret_at);
	return rc == MQ_OK ? halves_renewed(o, table, ret_at->qoff.n, half_root(h)) : rc;
}

/* Move the message to GIVEN_UP_TOPIC. */
static int
give_up(struct offsets *o, struct half *h)
{
	struct message m = h->m;
	struct topic *t;
	struct queue *q = NULL;
	int rc = halves_topic(o, GIVEN_UP_TOPIC, &t);

	if (rc == MQ_OK)
		rc = topic_queue(o, t, 0, &q);
	if (rc != MQ_OK)
		return rc;
	m.topic = GIVEN_UP_TOPIC;
	m.topic_len = strlen(GIVEN_UP_TOPIC);
	m.queue_id = 0;
	m.prepared = MQ_POS(0);
	rc = append_end(o, h->rec.qoff.n, HALF_ENDED, &m, q, NULL, NULL);
	if (rc == MQ_OK)
		atomic_fetch_add(&o->transactions->given_up, 1);
	return rc;
}

static int
resume_locked(struct offsets *o, struct half *h)
{
	struct transactions *t = o->transactions;
	struct appended done;
	struct message m;
	struct queue *q;
	LOCKED(&t->lock);
	int rc = ready(o);

	if (rc == MQ_OK && halves_copy(&t->halves, h->rec.pos) >= 0)
		rc = err_note(-EALREADY, "The transaction is open");
	if (rc == MQ_OK)
		rc = renew(h, CHECK_TIMES, 0, &m);
	if (rc == MQ_OK)
		rc = half_queue(o, &q);
	batch_clear(&t->batch);
	if (rc == MQ_OK)
		rc = batch_add(&t->batch, &m);
	if (rc != MQ_OK)
		return rc;
	queue_append_begin(q);
	rc = t->demotions != atomic_load(&o->delivery.demotions) ? MQ_EROLE : store_append(o->store, q, &t->batch, &done);
	queue_append_end(q);
	return rc == MQ_OK ? halves_renewed(o, &t->halves, done.first.n, h->rec.pos) : rc;
}

int
transaction_resume(struct offsets *o, mq_pos pos)
{
	AUTO_HALF struct half *h = calloc(1, sizeof(*h));
	int rc = h ? read_of(o, GIVEN_UP_TOPIC, pos, h) : -ENOMEM;

	return rc == MQ_OK ? resume_locked(o, h) : rc;
}

/* End a half whose record cannot be read. */
static int
lose(struct offsets *o, int64_t number, int rc)
{
	log_err("half message %" PRId64 " cannot be read: %s", number, err_text(rc));
	return append_end(o, number, HALF_ENDED, NULL, NULL, NULL, NULL);
}

static int
check_locked(struct offsets *o, int64_t number, struct half *h, enum verdict *ret_v, struct batch_entry *ret_at)
{
	LOCKED(&o->transactions->lock);
	int rc = ready(o);

	*ret_v = LEAVE;
	if (rc != MQ_OK || halves_state(&o->transactions->halves, number) < 0)
		return rc;
	rc = half_read_number(o, number, h);
	if (rc != MQ_OK)
		return rc == -ENOMEM ? rc : lose(o, number, rc);
	*ret_v = judge(o, h);
	if (*ret_v == LEAVE)
		return MQ_OK;
	rc = *ret_v == GIVE_UP ? -EMSGSIZE : put_back(o, h, *ret_v, ret_at);
	if (rc != -EMSGSIZE)
		return rc;
	*ret_v = GIVE_UP;		/* also where no property fits any more */
	return give_up(o, h);
}

static void
ask(const struct transaction_checks *c, struct half *h, const struct batch_entry *at)
{
	size_t len;
	const char *text = record_property(h->rec.props, (size_t)h->rec.props_len, "PGROUP", &len);
	char group[256];

	snprintf(group, sizeof(group), "%.*s", text && len < sizeof(group) ? (int)len : 0, text ? text : "");
	c->ask(c->arg, &(struct transaction_asked){
		.group = group, .rec = h->rec, .pos = at->pos, .number = at->qoff.n, .topic = h->topic,
		.queue_id = h->m.queue_id,
	});
}

static int
check_one(struct offsets *o, int64_t number, struct half *h, const struct transaction_checks *c)
{
	struct batch_entry at;
	enum verdict v;
	int rc = check_locked(o, number, h, &v, &at);

	if (rc != MQ_OK || v != ASK)
		return rc;
	atomic_fetch_add(&o->transactions->checked, 1);
	ask(c, h, &at);
	return MQ_OK;
}

/* The open halves are [*ret_from, *ret_to) now, with others between. */
static int
begin_round(struct offsets *o, int64_t *ret_from, int64_t *ret_to)
{
	LOCKED(&o->transactions->lock);
	const struct halves *h = &o->transactions->halves;
	int rc = ready(o);

	*ret_from = h->low;
	*ret_to = h->low + (int64_t)h->n;
	return rc;
}

static int
end_round(struct offsets *o)
{
	LOCKED(&o->transactions->lock);
	int rc = ready(o);

	return rc == MQ_OK ? halves_commit(o, &o->transactions->halves) : rc;
}

int
transactions_check(struct offsets *o, const struct transaction_checks *c)
{
	AUTO_HALF struct half *h = calloc(1, sizeof(*h));
	int64_t from = 0, to = 0, until = clock_mono_ms() + ROUND_MS;
	int64_t given_up = atomic_load(&o->transactions->given_up);
	int rc = h ? begin_round(o, &from, &to) : -ENOMEM;

	for (int64_t at = from; rc == MQ_OK && at < to; at++) {
		if (c->stopped(c->arg) || clock_mono_ms() > until)
			break;
		rc = check_one(o, at, h, c);
	}
	given_up = atomic_load(&o->transactions->given_up) - given_up;
	if (given_up > 0)
		log_warn("%" PRId64 " transactions were checked in vain: their messages are in %s", given_up, GIVEN_UP_TOPIC);
	return rc == MQ_OK ? end_round(o) : rc;
}

/* --- status -------------------------------------------------------------------------------------- */

int
transactions_stats(struct offsets *o, struct transactions_stats *ret)
{
	struct transactions *t = o->transactions;
	int rc;

	LOCKED(&t->lock);
	rc = ready(o);
	ret->open = t->halves.open;
	if (rc == MQ_EROLE || rc == -EROFS) {	/* its master ends them */
		rc = halves_follow(o, &t->followed);
		ret->open = t->followed.open;
	}
	ret->checked = atomic_load(&t->checked);
	ret->given_up = atomic_load(&t->given_up);
	return rc;
}
