/* Half messages: each ends once, whatever happens between. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "offsets/halves.h"
#include "offsets/transactions.h"
#include "tests/broker_kit.h"
#include "tests/clock_kit.h"
#include "tests/tree.h"

#define HOUR_MS 3600000

/* --- what a producer does ------------------------------------------------------------------ */

static void
store_one(struct broker *b, struct queue *q, const struct message *m, struct batch_entry *ret_at)
{
	struct appended done;
	struct batch batch;

	batch_init(&batch);
	assert_int_equal(batch_add(&batch, m), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(b->store, q, &batch, &done), MQ_OK);
	queue_append_end(q);
	*ret_at = batch.entries[0];
	batch_free(&batch);
}

/* A half for queue 1 of t, born so long ago; `more` are properties behind the usual ones. */
static struct transaction_word
send_half(struct broker *b, const char *body, int64_t age_ms, const char *more)
{
	static const struct host client = { .addr = { 10, 0, 0, 9 }, .port = 51000 };
	static const struct host broker = { .addr = { 10, 0, 0, 1 }, .port = 10911 };
	char props[RECORD_PROPS_MAX], text[256];
	struct batch_entry at;
	struct queue *q;
	struct message m = {
		.body = body, .body_len = strlen(body), .topic = "t", .topic_len = 1, .queue_id = 1, .flag = 5,
		.sysflag = SYSFLAG_PREPARED, .props = text, .born_ms = clock_wall_ms() - age_ms, .born = client,
		.stored = broker,
	};

	m.props_len = (size_t)snprintf(text, sizeof(text), "TRAN_MSG\001true\002PGROUP\001shop\002TAGS\001red%s%s",
				       *more ? "\002" : "", more);
	assert_int_equal(half_message(&m, props), MQ_OK);
	assert_int_equal(half_queue(b->offsets, &q), MQ_OK);
	store_one(b, q, &m, &at);
	return (struct transaction_word){ .group = "shop", .pos = at.pos, .number = at.qoff.n,
					  .end = TRANSACTION_COMMIT };
}

static int
say(struct broker *b, const struct transaction_word *w, enum transaction_end end)
{
	struct transaction_word word = *w;

	word.end = end;
	return transaction_end(b->offsets, &word);
}

/* --- what there is --------------------------------------------------------------------------- */

static int64_t
end_of(struct broker *b, const char *topic, int32_t queue_id)
{
	struct queue *q = store_queue(b->store, topic, queue_id);

	return q ? queue_end(q).n : 0;
}

static struct transactions_stats
stats(struct broker *b)
{
	struct transactions_stats st;

	assert_int_equal(transactions_stats(b->offsets, &st), MQ_OK);
	return st;
}

/* Message n of a queue; *buf is to be freed. */
static struct record
message(struct broker *b, const char *topic, int32_t queue_id, int64_t n, unsigned char **buf)
{
	struct queue_entry e;
	size_t got, size = 0;
	struct record rec;

	*buf = NULL;
	assert_int_equal(queue_entries(store_queue(b->store, topic, queue_id), MQ_QOFF(n), &e, 1, &got), MQ_OK);
	assert_int_equal(store_read(b->store, e.pos, buf, &size, &rec), MQ_OK);
	return rec;
}

static void
wants_body(struct broker *b, const char *topic, int32_t queue_id, int64_t n, const char *body)
{
	unsigned char *buf;
	struct record rec = message(b, topic, queue_id, n, &buf);

	assert_int_equal(rec.body_len, strlen(body));
	assert_memory_equal(rec.body, body, strlen(body));
	free(buf);
}

static void
wants_property(const struct record *rec, const char *name, const char *value)
{
	size_t len;
	const char *text = record_property(rec->props, (size_t)rec->props_len, name, &len);

	assert_non_null(text);
	assert_int_equal(len, strlen(value));
	assert_memory_equal(text, value, len);
}

/* --- checks ----------------------------------------------------------------------------------- */

/* Who was asked for in a round. */
struct asked {
	int n;
	struct transaction_word last;
	char topic[RECORD_TOPIC_MAX + 1];
	int32_t queue_id;
};

static void
ask(void *arg, const struct transaction_asked *a)
{
	struct asked *asked = arg;

	asked->n++;
	assert_string_equal(a->group, "shop");
	asked->last = (struct transaction_word){ .group = "shop", .pos = a->pos, .number = a->number };
	snprintf(asked->topic, sizeof(asked->topic), "%s", a->topic);
	asked->queue_id = a->queue_id;
}

static bool
never(void *arg)
{
	(void)arg;
	return false;
}

static struct asked
check(struct broker *b)
{
	struct asked asked = { .n = 0 };
	const struct transaction_checks c = { .ask = ask, .stopped = never, .arg = &asked };

	assert_int_equal(transactions_check(b->offsets, &c), MQ_OK);
	return asked;
}

/* The store as a crash leaves it. */
static void
crash(struct broker *b)
{
	broker_kill(b);
	broker_open(b);
}

/* --- the producer's word ------------------------------------------------------------------------ */

static void
nothing_is_in_the_topic_before_its_producer_commits(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;
	unsigned char *buf;
	struct record rec;

	broker_open(b);
	broker_topic(b, "t", 2);
	assert_int_equal(stats(b).open, 0);
	w = send_half(b, "paid", 0, "DELAY\0010");
	assert_int_equal(end_of(b, "t", 1), 0);
	assert_int_equal(stats(b).open, 1);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(stats(b).open, 0);
	assert_int_equal(end_of(b, "t", 1), 1);
	wants_body(b, "t", 1, 0, "paid");
	rec = message(b, "t", 1, 0, &buf);
	assert_int_equal(rec.prepared.byte, w.pos.byte);
	assert_int_equal(rec.sysflag & SYSFLAG_TRANSACTION, SYSFLAG_COMMIT);
	assert_int_equal(rec.flag, 5);
	wants_property(&rec, "REAL_TOPIC", "t");
	wants_property(&rec, "TAGS", "red");
	free(buf);
	wants_body(b, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0, 0, "0");
	rec = message(b, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0, 0, &buf);
	wants_property(&rec, "TAGS", "d");
	free(buf);
	broker_close(b);
}

static void
a_word_counts_once(void **state)
{
	struct broker *b = *state;
	struct transaction_word yes, no;

	broker_open(b);
	broker_topic(b, "t", 2);
	yes = send_half(b, "yes", 0, "");
	no = send_half(b, "no", 0, "");
	assert_int_equal(say(b, &no, TRANSACTION_ROLLBACK), MQ_OK);
	assert_int_equal(say(b, &yes, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(say(b, &yes, TRANSACTION_ROLLBACK), -EALREADY);
	assert_int_equal(say(b, &no, TRANSACTION_COMMIT), -EALREADY);
	crash(b);
	assert_int_equal(say(b, &yes, TRANSACTION_COMMIT), -EALREADY);
	assert_int_equal(say(b, &no, TRANSACTION_COMMIT), -EALREADY);
	assert_int_equal(end_of(b, "t", 1), 1);
	assert_int_equal(end_of(b, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0), 2);
	wants_body(b, "t", 1, 0, "yes");
	broker_close(b);
}

/* The same word again, before anything was forgotten. */
static void
the_same_word_again_is_understood(void **state)
{
	struct broker *b = *state;
	struct transaction_word first, w, other;

	broker_open(b);
	broker_topic(b, "t", 2);
	first = send_half(b, "first", 0, "");
	w = send_half(b, "w", 0, "");
	other = send_half(b, "other", 0, "");
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(say(b, &other, TRANSACTION_ROLLBACK), MQ_OK);
	assert_int_equal(say(b, &other, TRANSACTION_ROLLBACK), MQ_OK);
	assert_int_equal(end_of(b, "t", 1), 1);
	assert_int_equal(say(b, &first, TRANSACTION_COMMIT), MQ_OK);
	wants_body(b, "t", 1, 1, "first");
	broker_close(b);
}

static void
a_wrong_word_ends_nothing(void **state)
{
	struct broker *b = *state;
	struct transaction_word w, wrong;
	struct queue_entry e;
	size_t n;

	broker_open(b);
	broker_topic(b, "t", 2);
	w = wrong = send_half(b, "w", 0, "");
	wrong.group = "thief";
	assert_int_equal(say(b, &wrong, TRANSACTION_COMMIT), -EINVAL);
	wrong = w;
	wrong.number++;
	assert_int_equal(say(b, &wrong, TRANSACTION_COMMIT), -EINVAL);
	broker_append(b, "t", 0, "a message", 1);
	assert_int_equal(queue_entries(store_queue(b->store, "t", 0), MQ_QOFF(0), &e, 1, &n), MQ_OK);
	for (int i = 0; i < 5; i++) {
		const int64_t places[] = { -1, w.pos.byte + 1, e.pos.byte, INT64_MAX - 8, broker_written(b).byte };

		wrong = w;
		wrong.pos = MQ_POS(places[i]);
		assert_int_equal(say(b, &wrong, TRANSACTION_COMMIT), -ENOENT);
	}
	assert_int_equal(end_of(b, "t", 1), 0);
	assert_int_equal(stats(b).open, 1);
	broker_close(b);
}

static void
a_delayed_message_waits_when_it_is_committed(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;

	broker_open(b);
	broker_topic(b, "t", 2);
	w = send_half(b, "later", 0, "DELAY\00118");
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(end_of(b, "t", 1), 0);
	assert_int_equal(end_of(b, "SCHEDULE_TOPIC_XXXX", 17), 1);
	broker_close(b);
}

static void
a_topic_that_was_removed_is_made_again_for_its_owner_alone(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;
	struct topic_conf conf;

	broker_open(b);
	broker_topic(b, "t", 2);
	w = send_half(b, "w", 0, "");
	assert_int_equal(topic_delete(b->offsets, topic_find(b->offsets, "t")), MQ_OK);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	assert_non_null(topic_find(b->offsets, "t"));
	topic_conf(b->offsets, topic_find(b->offsets, "t"), &conf);
	assert_int_equal(conf.owner.mode, 0700);
	wants_body(b, "t", 1, 0, "w");
	broker_close(b);
}

/* --- checks ------------------------------------------------------------------------------------------ */

static void
a_young_half_is_left_alone(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;

	broker_open(b);
	broker_topic(b, "t", 2);
	w = send_half(b, "young", 0, "");
	assert_int_equal(check(b).n, 0);
	assert_int_equal(end_of(b, "RMQ_SYS_TRANS_HALF_TOPIC", 0), 1);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	broker_close(b);
}

static void
whoever_is_asked_ends_the_newest_copy(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;
	struct asked asked;
	unsigned char *buf;
	struct record rec;

	broker_open(b);
	broker_topic(b, "t", 2);
	(void)send_half(b, "old", HOUR_MS, "");
	for (int times = 1; times <= 3; times++) {
		char text[4];

		asked = check(b);
		assert_int_equal(asked.n, 1);
		assert_string_equal(asked.topic, "t");
		assert_int_equal(asked.queue_id, 1);
		assert_int_equal(stats(b).open, 1);
		assert_int_equal(asked.last.number, times);
		rec = message(b, "RMQ_SYS_TRANS_HALF_TOPIC", 0, times, &buf);
		assert_int_equal(rec.pos.byte, asked.last.pos.byte);
		snprintf(text, sizeof(text), "%d", times);
		wants_property(&rec, "TRANSACTION_CHECK_TIMES", text);
		free(buf);
		if (times == 2)
			crash(b);
	}
	w = asked.last;
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	wants_body(b, "t", 1, 0, "old");
	assert_int_equal(stats(b).open, 0);
	assert_int_equal(check(b).n, 0);
	broker_close(b);
}

/* Its producer answers with what it was told when it sent, after its half has moved. */
static void
a_late_word_ends_the_newest_copy(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;

	broker_open(b);
	broker_topic(b, "t", 2);
	w = send_half(b, "late", HOUR_MS, "");
	assert_int_equal(check(b).n, 1);
	assert_int_equal(check(b).n, 1);
	crash(b);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), -EALREADY);
	assert_int_equal(end_of(b, "t", 1), 1);
	assert_int_equal(check(b).n, 0);
	broker_close(b);
}

static void
a_clock_that_has_just_jumped_gives_no_transaction_up(void **state)
{
	struct broker *b = *state;

	broker_open(b);
	broker_topic(b, "t", 2);
	(void)send_half(b, "young", HOUR_MS, "");
	clock_shift_s = 10 * 24 * 3600;
	assert_int_equal(check(b).n, 1);
	clock_shift_s = 0;
	assert_int_equal(stats(b).open, 1);
	assert_int_equal(stats(b).given_up, 0);
	broker_close(b);
}

static void
what_was_checked_in_vain_is_kept_aside(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;
	unsigned char *buf;
	struct record rec;

	broker_set(b, "transactionCheckMax", "2");
	broker_open(b);
	broker_topic(b, "t", 2);
	w = send_half(b, "in vain", HOUR_MS, "");
	(void)send_half(b, "too old", 73 * (int64_t)HOUR_MS, "");
	assert_int_equal(check(b).n, 1);
	assert_int_equal(end_of(b, "TRANS_CHECK_MAX_TIME_TOPIC", 0), 1);
	wants_body(b, "TRANS_CHECK_MAX_TIME_TOPIC", 0, 0, "too old");
	assert_int_equal(check(b).n, 1);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(stats(b).open, 0);
	assert_int_equal(stats(b).given_up, 2);
	rec = message(b, "TRANS_CHECK_MAX_TIME_TOPIC", 0, 1, &buf);
	wants_property(&rec, "REAL_TOPIC", "t");
	free(buf);
	crash(b);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), -EALREADY);
	assert_int_equal(end_of(b, "t", 1), 0);
	broker_close(b);
}

static void
what_was_kept_aside_is_asked_for_again(void **state)
{
	struct broker *b = *state;
	struct queue_entry e;
	struct asked asked;
	size_t n;

	broker_set(b, "transactionCheckMax", "1");
	broker_open(b);
	broker_topic(b, "t", 2);
	(void)send_half(b, "resumed", HOUR_MS, "");
	assert_int_equal(check(b).n, 1);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(stats(b).open, 0);
	assert_int_equal(queue_entries(store_queue(b->store, "TRANS_CHECK_MAX_TIME_TOPIC", 0), MQ_QOFF(0), &e, 1, &n), MQ_OK);
	assert_int_equal(transaction_resume(b->offsets, pos_add(e.pos, 1)), -ENOENT);
	assert_int_equal(transaction_resume(b->offsets, e.pos), MQ_OK);
	assert_int_equal(transaction_resume(b->offsets, e.pos), -EALREADY);
	crash(b);
	assert_int_equal(transaction_resume(b->offsets, e.pos), -EALREADY);
	assert_int_equal(stats(b).open, 1);
	asked = check(b);
	assert_int_equal(asked.n, 1);
	assert_int_equal(say(b, &asked.last, TRANSACTION_COMMIT), MQ_OK);
	wants_body(b, "t", 1, 0, "resumed");
	broker_close(b);
}

static void
an_immune_half_moves_and_nobody_is_asked(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;
	unsigned char *buf;
	struct record rec;

	broker_set(b, "transactionCheckMax", "1");
	broker_open(b);
	broker_topic(b, "t", 2);
	(void)send_half(b, "first", 0, "");
	w = send_half(b, "immune", HOUR_MS, "CHECK_IMMUNITY_TIME_IN_SECONDS\0017200");
	for (int i = 0; i < 4; i++)
		assert_int_equal(check(b).n, 0);
	rec = message(b, "RMQ_SYS_TRANS_HALF_TOPIC", 0, 5, &buf);
	wants_property(&rec, "TRAN_PREPARED_QUEUE_OFFSET", "1");
	free(buf);
	assert_int_equal(stats(b).open, 2);
	assert_int_equal(say(b, &w, TRANSACTION_COMMIT), MQ_OK);
	wants_body(b, "t", 1, 0, "immune");
	(void)send_half(b, "due", HOUR_MS, "CHECK_IMMUNITY_TIME_IN_SECONDS\00110");
	assert_int_equal(check(b).n, 1);
	broker_close(b);
}

/* --- progress ------------------------------------------------------------------------------------------- */

static int64_t
group_at(struct broker *b, const char *topic)
{
	struct subscription *sub = broker_subscription(b, "CID_RMQ_SYS_TRANS", topic);

	assert_non_null(sub);
	return broker_committed(b, sub, 0);
}

/* The offsets of the group never pass an open half, nor the op of a half behind them. */
static void
the_group_stands_at_the_first_open_half(void **state)
{
	struct broker *b = *state;
	struct transaction_word w[8];

	broker_open(b);
	broker_topic(b, "t", 2);
	for (int i = 0; i < 8; i++)
		w[i] = send_half(b, "x", 0, "");
	for (int i = 0; i < 8; i++)
		if (i != 3)
			assert_int_equal(say(b, &w[i], i % 2 ? TRANSACTION_ROLLBACK : TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(group_at(b, "RMQ_SYS_TRANS_HALF_TOPIC"), 3);
	assert_int_equal(group_at(b, "RMQ_SYS_TRANS_OP_HALF_TOPIC"), 0);
	crash(b);
	assert_int_equal(stats(b).open, 1);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(say(b, &w[3], TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(group_at(b, "RMQ_SYS_TRANS_HALF_TOPIC"), 8);
	assert_int_equal(group_at(b, "RMQ_SYS_TRANS_OP_HALF_TOPIC"), 7);
	broker_close(b);
	broker_open(b);
	assert_int_equal(stats(b).open, 0);
	broker_close(b);
}

/* If it stood further on, the next mount would know of no half before it. */
static void
nobody_moves_the_group_or_ends_its_subscriptions(void **state)
{
	struct broker *b = *state;
	struct transaction_word open, ended;
	struct subscription *sub;

	broker_open(b);
	broker_topic(b, "t", 2);
	open = send_half(b, "open", 0, "");
	ended = send_half(b, "ended", 0, "");
	assert_int_equal(say(b, &ended, TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(check(b).n, 0);
	sub = broker_subscription(b, "CID_RMQ_SYS_TRANS", "RMQ_SYS_TRANS_HALF_TOPIC");
	assert_int_equal(commit_reset(b->offsets, sub, 0, MQ_QOFF(2), NULL), -EPERM);
	assert_int_equal(commit_compare(b->offsets, sub, 0, MQ_QOFF(0), MQ_QOFF(2)), -EPERM);
	assert_int_equal(subscription_set_expression(b->offsets, sub, "red"), -EPERM);
	assert_int_equal(subscription_delete(b->offsets, sub), -EPERM);
	crash(b);
	assert_int_equal(stats(b).open, 1);
	assert_int_equal(group_at(b, "RMQ_SYS_TRANS_HALF_TOPIC"), 0);
	assert_int_equal(say(b, &open, TRANSACTION_COMMIT), MQ_OK);
	broker_close(b);
}

/* Many are open for long, and the first of them all. */
static void
many_open_halves_end_once_each(void **state)
{
	enum { N = 3000 };
	struct broker *b = *state;
	struct transaction_word *w = calloc(N, sizeof(*w));

	assert_non_null(w);
	broker_open(b);
	broker_topic(b, "t", 2);
	for (int i = 0; i < N; i++)
		w[i] = send_half(b, "x", HOUR_MS, "");
	assert_int_equal(check(b).n, N);
	crash(b);
	for (int i = 0; i < N; i += 2)
		assert_int_equal(say(b, &w[i], TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(check(b).n, N / 2);
	for (int i = 1; i < N; i += 2)
		assert_int_equal(say(b, &w[i], TRANSACTION_ROLLBACK), MQ_OK);
	assert_int_equal(stats(b).open, 0);
	assert_int_equal(end_of(b, "t", 1), N / 2);
	free(w);
	broker_close(b);
}

/* A slave counts what its master ends, and ends nothing. */
static void
a_slave_counts_and_ends_nothing(void **state)
{
	struct broker *b = *state;
	struct transaction_word w[3];
	struct asked asked = { .n = 0 };
	const struct transaction_checks c = { .ask = ask, .stopped = never, .arg = &asked };

	broker_open(b);
	broker_topic(b, "t", 2);
	for (int i = 0; i < 3; i++)
		w[i] = send_half(b, "x", HOUR_MS, "");
	assert_int_equal(say(b, &w[1], TRANSACTION_COMMIT), MQ_OK);
	broker_close(b);
	broker_set(b, "brokerRole", "SLAVE");
	broker_open(b);
	assert_int_equal(stats(b).open, 2);
	assert_int_equal(stats(b).open, 2);
	assert_int_equal(say(b, &w[0], TRANSACTION_COMMIT), MQ_EROLE);
	assert_int_equal(transactions_check(b->offsets, &c), MQ_EROLE);
	assert_int_equal(stats(b).open, 2);
	broker_close(b);
	broker_set(b, "brokerRole", "ASYNC_MASTER");
	broker_open(b);
	assert_int_equal(say(b, &w[0], TRANSACTION_COMMIT), MQ_OK);
	assert_int_equal(stats(b).open, 1);
	broker_close(b);
}

/* --- a store of RocketMQ's ---------------------------------------------------------------------------- */

/* An op as RocketMQ writes it: by itself. */
static void
put_op(struct broker *b, const char *number)
{
	const struct message m = {
		.body = number, .body_len = strlen(number), .topic = "RMQ_SYS_TRANS_OP_HALF_TOPIC", .topic_len = 27,
		.props = "TAGS\001d\002WAIT\001true\002", .props_len = 17, .born_ms = clock_wall_ms(),
	};
	struct batch_entry at;
	struct queue *q;

	assert_int_equal(store_queue_make(b->store, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0, &q), MQ_OK);
	store_one(b, q, &m, &at);
}

/* Retention takes an op that was not counted yet: those behind it are. */
static void
a_follower_counts_on_behind_what_retention_took(void **state)
{
	struct halves h = { .n = 0 };
	struct broker *b = *state;

	broker_open(b);
	broker_topic(b, "t", 2);
	for (int i = 0; i < 4; i++)
		(void)send_half(b, "x", HOUR_MS, "");
	assert_int_equal(halves_follow(b->offsets, &h), MQ_OK);
	assert_int_equal(h.open, 4);
	put_op(b, "3");
	put_op(b, "1");
	put_op(b, "2");
	assert_int_equal(queue_trim(store_queue(b->store, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 0), MQ_QOFF(1)), MQ_OK);
	assert_int_equal(halves_follow(b->offsets, &h), MQ_OK);
	assert_int_equal(h.open, 2);
	halves_free(&h);
	broker_close(b);
}

static void
what_rocketmq_has_ended_stays_so(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;

	broker_open(b);
	broker_topic(b, "t", 2);
	for (int i = 0; i < 6; i++)
		w = send_half(b, "x", HOUR_MS, "");
	put_op(b, "1");
	put_op(b, "2,0,,4,");		/* as RocketMQ 5 does it */
	put_op(b, "not a number");
	put_op(b, "99999999999999999999999999");
	assert_int_equal(stats(b).open, 2);
	(void)say(b, &w, TRANSACTION_ROLLBACK);
	assert_int_equal(check(b).n, 1);
	broker_close(b);
}

/* RocketMQ has put back a half that had more time, its producer has ended the first one, and the
 * group's offsets have passed that. */
static void
a_copy_of_what_rocketmq_has_ended_has_ended(void **state)
{
	struct broker *b = *state;
	struct transaction_word w;

	broker_open(b);
	broker_topic(b, "t", 2);
	w = send_half(b, "first", 0, "");
	assert_int_equal(say(b, &w, TRANSACTION_ROLLBACK), MQ_OK);
	assert_int_equal(check(b).n, 0);
	assert_int_equal(group_at(b, "RMQ_SYS_TRANS_HALF_TOPIC"), 1);
	(void)send_half(b, "copy", HOUR_MS, "CHECK_IMMUNITY_TIME_IN_SECONDS\00160\002TRAN_PREPARED_QUEUE_OFFSET\0010");
	put_op(b, "0");
	crash(b);
	assert_int_equal(stats(b).open, 0);
	assert_int_equal(check(b).n, 0);
	broker_close(b);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, broker_setup, broker_teardown)
	const struct CMUnitTest tests[] = {
		TEST(nothing_is_in_the_topic_before_its_producer_commits),
		TEST(a_word_counts_once),
		TEST(the_same_word_again_is_understood),
		TEST(a_wrong_word_ends_nothing),
		TEST(a_delayed_message_waits_when_it_is_committed),
		TEST(a_topic_that_was_removed_is_made_again_for_its_owner_alone),
		TEST(a_young_half_is_left_alone),
		TEST(whoever_is_asked_ends_the_newest_copy),
		TEST(a_late_word_ends_the_newest_copy),
		TEST(what_was_checked_in_vain_is_kept_aside),
		TEST(a_clock_that_has_just_jumped_gives_no_transaction_up),
		TEST(what_was_kept_aside_is_asked_for_again),
		TEST(an_immune_half_moves_and_nobody_is_asked),
		TEST(the_group_stands_at_the_first_open_half),
		TEST(nobody_moves_the_group_or_ends_its_subscriptions),
		TEST(many_open_halves_end_once_each),
		TEST(a_slave_counts_and_ends_nothing),
		TEST(a_follower_counts_on_behind_what_retention_took),
		TEST(what_rocketmq_has_ended_stays_so),
		TEST(a_copy_of_what_rocketmq_has_ended_has_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
