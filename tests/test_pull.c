/* What clients pull: the records, the status and the next offset that RocketMQ would give. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/futex.h"
#include "remoting/pull.h"
#include "tests/remoting_kit.h"

/* Who answers pulls: the intake thread, or the one that may wait. */
static _Atomic int answered_now, answered_later;
static _Atomic bool is_cold;		/* what queue files hold is not in memory */
static _Atomic uint32_t held;		/* the thread that may wait does: a futex */

int __real_pull_answer(const struct remoting_broker *b, const struct pull *p, struct ring_piece *pieces,
		       struct ring_completion *c);
int __wrap_pull_answer(const struct remoting_broker *b, const struct pull *p, struct ring_piece *pieces,
		       struct ring_completion *c);

int
__wrap_pull_answer(const struct remoting_broker *b, const struct pull *p, struct ring_piece *pieces,
		   struct ring_completion *c)
{
	int rc;

	while (!p->now && atomic_load(&held))
		futex_wait(&held, false, 1, 1000);
	rc = __real_pull_answer(b, p, pieces, c);
	if (rc == MQ_OK)
		atomic_fetch_add(p->now ? &answered_now : &answered_later, 1);
	return rc;
}

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags);

ssize_t
__wrap_preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	(void)flags;
	errno = EAGAIN;
	return atomic_load(&is_cold) ? -1 : preadv(fd, iov, n, at);
}

static int
setup(void **state)
{
	answered_now = answered_later = 0;
	held = 0;
	is_cold = false;
	return remote_setup(state);
}

static struct say
pull_of(int64_t offset)
{
	return (struct say){ .kind = RING_PULL, .topic = "T", .group = "G", .offset = offset, .max_messages = 32,
			     .text = "*" };
}

/* One pull from `offset` with that filter. */
static struct ring_completion
pull(struct remote *r, int64_t offset, const char *filter)
{
	struct say say = pull_of(offset);

	say.text = filter;
	return remote_ask(r, &say);
}

static void
want(const struct ring_completion *c, int code, const char *status, int64_t next)
{
	assert_int_equal(c->code, code);
	assert_string_equal(c->remark, status);
	assert_int_equal(c->offset, next);
}

static uint32_t
messages_of(struct remote *r, const struct ring_completion *c)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++)
		n += r->client.out->pieces[c->slot][i].messages;
	return n;
}

static void
produce(struct remote *r, int n)
{
	for (int i = 0; i < n; i++) {
		char props[40];

		snprintf(props, sizeof(props), "TAGS\001t%d\002n\001%d", i % 3, i);
		assert_int_equal(remote_send(r, "T", 0, props, "hello").code, 0);
	}
}

/* --- what is found ---------------------------------------------------------------------------------- */

static void
what_was_sent_is_pulled_as_it_is_in_the_log(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;
	unsigned char *bytes;
	struct record rec;
	size_t len, at = 0;

	produce(r, 5);
	c = pull(r, 0, "*");
	want(&c, 0, "FOUND", 5);
	assert_int_equal(c.min, 0);
	assert_int_equal(c.max, 5);
	assert_int_equal(c.n, 1);		/* one piece: they are neighbours */
	bytes = remote_pulled(r, &c, &len);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(record_decode(bytes + at, len - at, &rec), MQ_OK);
		assert_int_equal(rec.qoff.n, i);
		assert_memory_equal(rec.body, "hello", 5);
		at += (size_t)rec.total;
	}
	assert_int_equal(at, len);
	free(bytes);
}

static void
what_a_file_appends_is_pulled_too(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	broker_produce(&r->b, "T", 0, 3);
	c = pull(r, 1, "*");
	want(&c, 0, "FOUND", 3);
	assert_int_equal(messages_of(r, &c), 2);
}

static void
tags_are_matched_by_their_codes(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	produce(r, 9);
	c = pull(r, 0, "t1");
	want(&c, 0, "FOUND", 9);
	assert_int_equal(messages_of(r, &c), 3);
	c = pull(r, 0, "t0 ||  t2");
	assert_int_equal(messages_of(r, &c), 6);
	c = pull(r, 0, "");
	assert_int_equal(messages_of(r, &c), 9);
	c = pull(r, 0, "none");
	want(&c, 20, "NO_MATCHED_MESSAGE", 9);
	c = pull(r, 0, "||");
	assert_int_equal(c.code, 23);
}

static void
sql_looks_at_properties_where_it_is_allowed(void **state)
{
	struct remote *r = *state;
	struct say say = pull_of(0);
	struct ring_completion c;

	produce(r, 9);
	say.flags = RING_FLAG_SQL;
	say.text = "n > 6";
	assert_int_equal(remote_ask(r, &say).code, 1);
	broker_set(&r->b, "enablePropertyFilter", "true");
	c = remote_ask(r, &say);
	want(&c, 0, "FOUND", 9);
	assert_int_equal(messages_of(r, &c), 2);
	say.text = "n > > 6";
	assert_int_equal(remote_ask(r, &say).code, 23);
}

static void
a_pull_is_bounded_in_messages_and_bytes(void **state)
{
	struct remote *r = *state;
	struct say say = pull_of(0);
	struct ring_completion c;

	produce(r, 50);
	c = remote_ask(r, &say);
	want(&c, 0, "FOUND", 32);
	say.max_messages = 7;
	c = remote_ask(r, &say);
	want(&c, 0, "FOUND", 7);
	say.max_messages = 1000;
	broker_set(&r->b, "maxTransferCountOnMessageInMemory", "40");
	c = remote_ask(r, &say);
	want(&c, 0, "FOUND", 40);
	broker_set(&r->b, "maxTransferBytesOnMessageInMemory", "1000");
	c = remote_ask(r, &say);
	assert_in_range(messages_of(r, &c), 5, 10);
	broker_set(&r->b, "maxTransferBytesOnMessageInMemory", "1");
	c = remote_ask(r, &say);		/* the first one always */
	want(&c, 0, "FOUND", 1);
}

static void
what_is_not_in_memory_is_given_in_smaller_parts_and_by_a_slave(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	produce(r, 50);
	c = pull(r, 0, "*");
	assert_int_equal(c.suggest, 0);
	broker_set(&r->b, "accessMessageInMemoryMaxRatio", "0");
	c = pull(r, 0, "*");
	want(&c, 0, "FOUND", 8);
	assert_int_equal(c.suggest, 1);		/* whichBrokerWhenConsumeSlowly */
	broker_set(&r->b, "slaveReadEnable", "false");
	assert_int_equal(pull(r, 0, "*").suggest, 0);
}

static void
a_pull_looks_at_no_more_than_800_entries(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	broker_produce(&r->b, "T", 0, 1000);
	c = pull(r, 0, "none");
	want(&c, 20, "NO_MATCHED_MESSAGE", 800);
	c = pull(r, 800, "none");
	want(&c, 20, "NO_MATCHED_MESSAGE", 1000);
}

static void
pieces_never_cross_a_segment(void **state)
{
	static char body[30000];
	struct remote *r = *state;
	int64_t segment = store_segment_bytes(r->b.store);
	int64_t at = 0;

	memset(body, 'x', sizeof(body) - 1);
	broker_append(&r->b, "T", 0, body, 100);
	while (at < 100) {
		struct ring_completion c = pull(r, at, "*");
		const struct ring_piece *p = r->client.out->pieces[c.slot];

		assert_int_equal(c.code, 0);
		for (uint32_t i = 0; i < c.n; i++)
			assert_int_equal(p[i].pos / segment, (p[i].pos + p[i].bytes - 1) / segment);
		at = c.offset;
	}
	assert_int_equal(at, 100);
}

/* --- what is not --------------------------------------------------------------------------------------- */

static void
offsets_outside_are_corrected_on_a_master(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	c = pull(r, 0, "*");
	want(&c, 19, "NO_MESSAGE_IN_QUEUE", 0);
	c = pull(r, 5, "*");
	want(&c, 21, "NO_MESSAGE_IN_QUEUE", 0);
	produce(r, 10);
	assert_int_equal(topic_trim(r->b.offsets, topic_find(r->b.offsets, "T"), 0, MQ_QOFF(4)), MQ_OK);
	c = pull(r, 2, "*");
	want(&c, 21, "OFFSET_TOO_SMALL", 4);
	c = pull(r, 10, "*");
	want(&c, 19, "OFFSET_OVERFLOW_ONE", 10);
	c = pull(r, 11, "*");
	want(&c, 21, "OFFSET_OVERFLOW_BADLY", 10);
	c = pull(r, -1, "*");
	want(&c, 21, "OFFSET_TOO_SMALL", 4);
	assert_int_equal(c.min, 4);
}

static void
a_slave_leaves_offsets_as_they_are(void **state)
{
	struct remote *r = *state;
	struct ring_completion c;

	produce(r, 10);
	broker_set(&r->b, "brokerRole", "SLAVE");
	c = pull(r, 11, "*");
	want(&c, 20, "OFFSET_OVERFLOW_BADLY", 11);
	broker_set(&r->b, "offsetCheckInSlave", "true");
	c = pull(r, 11, "*");
	want(&c, 21, "OFFSET_OVERFLOW_BADLY", 10);
	c = pull(r, 3, "*");
	want(&c, 0, "FOUND", 10);
	broker_set(&r->b, "brokerRole", "ASYNC_MASTER");
}

static void
every_refusal_has_its_code(void **state)
{
	struct remote *r = *state;
	struct say say = pull_of(0);
	struct group_conf gc;
	struct topic_conf tc;

	say.topic = "none";
	assert_int_equal(remote_ask(r, &say).code, 17);
	say = pull_of(0);
	say.queue_id = 4;
	assert_int_equal(remote_ask(r, &say).code, 1);
	assert_non_null(group_find(r->b.offsets, "G"));		/* was made */
	broker_set(&r->b, "autoCreateSubscriptionGroup", "false");
	say = pull_of(0);
	say.group = "unknown";
	assert_int_equal(remote_ask(r, &say).code, 26);
	group_conf(r->b.offsets, group_find(r->b.offsets, "G"), &gc);
	say = pull_of(0);
	say.flags = RING_FLAG_BROADCAST;
	assert_int_not_equal(remote_ask(r, &say).code, 16);
	gc.broadcast_enable = false;
	assert_int_equal(group_change(r->b.offsets, group_find(r->b.offsets, "G"), &gc), MQ_OK);
	assert_int_equal(remote_ask(r, &say).code, 16);
	say.flags = 0;
	assert_int_not_equal(remote_ask(r, &say).code, 16);
	gc.consume_enable = false;
	assert_int_equal(group_change(r->b.offsets, group_find(r->b.offsets, "G"), &gc), MQ_OK);
	assert_int_equal(pull(r, 0, "*").code, 16);
	say.group = "TOOLS";
	broker_group(&r->b, "TOOLS");
	topic_conf(r->b.offsets, topic_find(r->b.offsets, "T"), &tc);
	tc.perm = PERM_WRITE;
	assert_int_equal(topic_change(r->b.offsets, topic_find(r->b.offsets, "T"), &tc), MQ_OK);
	assert_int_equal(remote_ask(r, &say).code, 16);
}

/* --- commits, and ends ------------------------------------------------------------------------------------ */

static void
a_pull_commits_what_came_before(void **state)
{
	struct remote *r = *state;
	struct say say = pull_of(7);
	struct subscription *sub;

	produce(r, 10);
	broker_produce(&r->b, "T", 1, 10);
	say.flags = RING_FLAG_COMMIT;
	say.commit_offset = 7;
	assert_int_equal(remote_ask(r, &say).code, 0);
	sub = broker_subscription(&r->b, "G", "T");
	assert_non_null(sub);
	assert_int_equal(broker_committed(&r->b, sub, 0), 7);
	assert_int_equal(broker_committed(&r->b, sub, 1), 0);	/* nobody has consumed it */
	say.commit_offset = 3;
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(broker_committed(&r->b, sub, 0), 7);	/* never back by itself */
	assert_int_equal(remote_ask(r, &(struct say){ .kind = RING_COMMIT, .topic = "T", .group = "G", .offset = 9 }).code, 0);
	assert_int_equal(broker_committed(&r->b, sub, 0), 9);
	assert_int_equal(remote_ask(r, &(struct say){ .kind = RING_COMMIT, .topic = "none", .group = "G" }).code, 17);
}

/* So nobody sees the subscription stand where its queues end, not even for a moment, or after a crash. */
static void
a_first_commit_subscribes_in_one_record(void **state)
{
	struct remote *r = *state;
	struct queue *meta = store_queue(r->b.store, META_TOPIC, 0);
	struct subscription *sub;
	int64_t records;

	produce(r, 10);
	broker_produce(&r->b, "T", 1, 10);
	broker_group(&r->b, "G");
	records = queue_end(meta).n;
	assert_int_equal(remote_ask(r, &(struct say){ .kind = RING_COMMIT, .topic = "T", .group = "G", .offset = 4 }).code, 0);
	assert_int_equal(queue_end(meta).n, records + 1);
	sub = broker_subscription(&r->b, "G", "T");
	assert_non_null(sub);
	assert_int_equal(broker_committed(&r->b, sub, 0), 4);
	assert_int_equal(broker_committed(&r->b, sub, 1), 0);
	assert_true(committed_ever(r->b.offsets, sub, 0));
	assert_false(committed_ever(r->b.offsets, sub, 1));
}

static void
a_watched_queue_tells_its_end_and_then_no_more(void **state)
{
	struct remote *r = *state;
	struct say say = { .kind = RING_WATCH, .topic = "T", .queue_id = 2, .watch = 77 };

	broker_produce(&r->b, "T", 2, 3);
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(ring_client_end(&r->client, 77), 3);
	broker_produce(&r->b, "T", 2, 2);
	for (int i = 0; i < 60 && ring_client_end(&r->client, 77) != 5; i++)
		(void)remote_ask(r, &(struct say){ .kind = RING_WATCH, .watch = 1 });
	assert_int_equal(ring_client_end(&r->client, 77), 5);
	say.topic = NULL;
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(ring_client_end(&r->client, 77), -1);
	say.topic = "none";
	assert_int_equal(remote_ask(r, &say).code, 17);
}

/* --- looking ahead ------------------------------------------------------------------------------------ */

/* Two messages for queue 0, then one for queue 1, and so on: records of queue 0 are in pieces. */
static void
produce_mixed(struct remote *r, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(remote_send(r, "T", i % 3 == 2, "TAGS\001a", "hello").code, 0);
}

static struct say
ahead_of(int64_t offset, int32_t n)
{
	struct say say = pull_of(offset);

	say.flags = RING_FLAG_AHEAD;
	say.max_messages = n;
	return say;
}

/* How many answers were looked ahead. */
static uint32_t
looked_ahead(struct remote *r, const struct say *say)
{
	struct ring_completion c = remote_ask(r, say);

	assert_int_equal(c.code, 0);
	return c.looked_ahead ? r->client.out->aheads[c.slot].n : 0;
}

static void
what_is_looked_ahead_is_what_the_pulls_that_follow_are_answered(void **state)
{
	struct remote *r = *state;
	struct say say = ahead_of(0, 8);
	struct ring_piece pieces[RING_PIECES], *piece = pieces;
	struct ring_ahead ahead;
	struct ring_completion c, first;

	broker_group(&r->b, "G");
	produce_mixed(r, 150);			/* 100 of queue 0 */
	first = remote_ask(r, &say);
	want(&first, 0, "FOUND", 8);
	assert_int_equal(first.n, 4);		/* of two messages each */
	assert_true(first.looked_ahead);
	ahead = r->client.out->aheads[first.slot];
	memcpy(pieces, r->client.out->pieces[first.slot], sizeof(pieces));
	assert_int_equal(ahead.n, RING_AHEADS);
	piece += first.n;
	for (uint32_t i = 0; i < ahead.n; i++) {
		say = pull_of(8 * (i + 1));
		say.max_messages = 8;
		c = remote_ask(r, &say);
		want(&c, 0, "FOUND", ahead.at[i].next);
		assert_int_equal(c.min, first.min);
		assert_int_equal(c.max, first.max);
		assert_int_equal(c.suggest, first.suggest);
		assert_false(c.looked_ahead);
		assert_int_equal(c.n, ahead.at[i].pieces);
		assert_memory_equal(r->client.out->pieces[c.slot], piece, c.n * sizeof(*piece));
		piece += c.n;
	}
}

static void
only_full_answers_are_looked_ahead_and_only_where_nothing_else_may_change_them(void **state)
{
	struct remote *r = *state;
	struct say say = ahead_of(0, 10), many = ahead_of(39, 32);

	broker_group(&r->b, "G");
	produce(r, 39);
	assert_int_equal(looked_ahead(r, &say), 2);	/* behind 30 there are 9 */
	say.offset = 20;
	assert_int_equal(looked_ahead(r, &say), 0);
	produce_mixed(r, 600);
	assert_int_equal(looked_ahead(r, &many), 3);	/* then the pieces, 16 each, are used up */
	say.offset = 0;
	say.text = "t0 || t1 || t2";
	assert_int_equal(looked_ahead(r, &say), 0);
	say.text = "";
	assert_int_equal(looked_ahead(r, &say), RING_AHEADS);
	broker_set(&r->b, "brokerRole", "SLAVE");
	assert_int_equal(looked_ahead(r, &say), 0);
	broker_set(&r->b, "brokerRole", "ASYNC_MASTER");
	assert_int_equal(looked_ahead(r, &say), RING_AHEADS);
}

static void
looking_ahead_is_bounded_in_messages(void **state)
{
	struct remote *r = *state;
	const struct say say = ahead_of(0, 200);

	broker_set(&r->b, "maxTransferCountOnMessageInMemory", "1000");
	broker_group(&r->b, "G");
	produce(r, 900);
	assert_int_equal(looked_ahead(r, &say), 2);
}

static void
what_changes_a_topic_or_a_group_ends_what_was_looked_ahead(void **state)
{
	struct remote *r = *state;
	const struct say say = ahead_of(0, 2);
	struct topic *t = topic_find(r->b.offsets, "T");
	struct group *g = broker_group(&r->b, "G");
	const struct ring_out *out = r->client.out;
	struct group_conf group;
	struct topic_conf topic;
	uint64_t version;
	struct ring_completion c;

	produce(r, 39);
	c = remote_ask(r, &say);
	version = atomic_load(&out->version);
	assert_int_equal(out->aheads[c.slot].version, version);
	topic_conf(r->b.offsets, t, &topic);
	topic.perm = 2;
	assert_int_equal(topic_change(r->b.offsets, t, &topic), MQ_OK);
	assert_int_not_equal(atomic_load(&out->version), version);
	version = atomic_load(&out->version);
	group_conf(r->b.offsets, g, &group);
	group.consume_enable = false;
	assert_int_equal(group_change(r->b.offsets, g, &group), MQ_OK);
	assert_int_not_equal(atomic_load(&out->version), version);
	version = atomic_load(&out->version);
	assert_int_equal(topic_trim(r->b.offsets, t, 0, MQ_QOFF(3)), MQ_OK);
	assert_int_not_equal(atomic_load(&out->version), version);
	version = atomic_load(&out->version);
	produce(r, 1);
	assert_int_equal(atomic_load(&out->version), version);
}

static void
answers_that_mqremoted_has_given_are_counted_where_there_is_something_to_count(void **state)
{
	struct remote *r = *state;
	struct say took = { .kind = RING_TOOK, .topic = "T", .group = "G", .max_messages = 3, .offset = 96,
			    .commit_offset = 9600 };
	struct stats_view v;
	struct stats *s;

	assert_int_equal(stats_open(&r->b.settings, r->b.store, &s), MQ_OK);
	remote_close(r);
	r->stats = s;
	remote_open(r);
	assert_int_equal(remote_ask(r, &took).code, 0);
	assert_false(stats_view(s, "GROUP_GET_NUMS", "T@G", &v));	/* there is no such group */
	broker_group(&r->b, "G");
	assert_int_equal(remote_ask(r, &took).code, 0);
	assert_true(stats_view(s, "GROUP_GET_NUMS", "T@G", &v));
	assert_int_equal(v.value, 96);
	assert_true(stats_view(s, "GROUP_GET_SIZE", "T@G", &v));
	assert_int_equal(v.value, 9600);
	remote_close(r);
	stats_close(s);
}

/* --- who answers -------------------------------------------------------------------------------------- */

static void
a_pull_of_what_is_in_memory_is_answered_by_the_intake_thread(void **state)
{
	struct remote *r = *state;
	struct say commits = pull_of(2);
	struct ring_completion c;

	produce(r, 5);
	broker_subscribe(&r->b, broker_group(&r->b, "G"), topic_find(r->b.offsets, "T"));
	c = pull(r, 0, "*");
	want(&c, 0, "FOUND", 5);
	assert_int_equal(offsets_checkpoint(r->b.offsets), MQ_OK);
	c = pull(r, 0, "t1");
	want(&c, 0, "FOUND", 5);
	c = pull(r, 5, "*");
	assert_int_equal(c.code, 19);
	commits.flags = RING_FLAG_COMMIT;
	commits.commit_offset = 2;
	assert_int_equal(remote_ask(r, &commits).code, 0);
	assert_int_equal(answered_now, 4);
	assert_int_equal(answered_later, 0);
}

static void
a_pull_that_has_to_wait_is_answered_by_a_thread_that_may(void **state)
{
	struct remote *r = *state;
	struct say say = pull_of(0);
	struct ring_completion c;

	broker_set(&r->b, "enablePropertyFilter", "true");
	produce(r, 5);
	c = pull(r, 0, "*");			/* makes the group */
	want(&c, 0, "FOUND", 5);
	assert_int_equal(answered_later, 1);
	say.flags = RING_FLAG_COMMIT;		/* makes the subscription */
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(answered_later, 2);
	say = pull_of(0);
	say.flags = RING_FLAG_SQL;
	say.text = "n = '1'";
	assert_int_equal(remote_ask(r, &say).code, 0);
	assert_int_equal(answered_later, 3);
	c = pull(r, 9, "*");			/* notes that the offset was wrong */
	assert_int_equal(c.code, 21);
	assert_int_equal(answered_later, 4);
	assert_int_equal(offsets_checkpoint(r->b.offsets), MQ_OK);
	is_cold = true;
	c = pull(r, 0, "*");
	want(&c, 0, "FOUND", 5);
	assert_int_equal(answered_later, 5);
	assert_int_equal(answered_now, 0);
}

static void
a_pull_that_waits_holds_up_messages_of_nobody_and_pulls_only_until_it_is_answered(void **state)
{
	struct remote *r = *state;
	struct say cold = pull_of(0), warm = pull_of(5);
	struct ring_completion c;

	broker_group(&r->b, "G");
	produce(r, 5);
	assert_int_equal(offsets_checkpoint(r->b.offsets), MQ_OK);
	produce(r, 1);
	held = 1;
	is_cold = true;
	assert_true(remote_submit(r, &cold, 1));
	assert_true(remote_submit(r, &warm, 2));
	c = remote_send(r, "T", 1, "", "is stored meanwhile");
	assert_int_equal(c.code, 0);
	assert_int_equal(answered_now + answered_later, 0);
	held = 0;
	futex_wake(&held, false);
	for (uint64_t tag = 1; tag <= 2; tag++) {	/* one behind the other */
		c = remote_answer(r);
		assert_int_equal(c.tag, tag);
		want(&c, 0, "FOUND", 6);
	}
	assert_int_equal(answered_later, 2);
	do {			/* the thread says so a moment after its last answer */
		c = pull(r, 5, "*");
		want(&c, 0, "FOUND", 6);
	} while (answered_now == 0);
}

int
main(void)
{
#define REMOTE(f) cmocka_unit_test_setup_teardown(f, setup, remote_teardown)
	const struct CMUnitTest tests[] = {
		REMOTE(what_was_sent_is_pulled_as_it_is_in_the_log),
		REMOTE(what_a_file_appends_is_pulled_too),
		REMOTE(tags_are_matched_by_their_codes),
		REMOTE(sql_looks_at_properties_where_it_is_allowed),
		REMOTE(a_pull_is_bounded_in_messages_and_bytes),
		REMOTE(what_is_not_in_memory_is_given_in_smaller_parts_and_by_a_slave),
		REMOTE(a_pull_looks_at_no_more_than_800_entries),
		REMOTE(pieces_never_cross_a_segment),
		REMOTE(offsets_outside_are_corrected_on_a_master),
		REMOTE(a_slave_leaves_offsets_as_they_are),
		REMOTE(every_refusal_has_its_code),
		REMOTE(a_pull_commits_what_came_before),
		REMOTE(a_first_commit_subscribes_in_one_record),
		REMOTE(a_watched_queue_tells_its_end_and_then_no_more),
		REMOTE(what_is_looked_ahead_is_what_the_pulls_that_follow_are_answered),
		REMOTE(only_full_answers_are_looked_ahead_and_only_where_nothing_else_may_change_them),
		REMOTE(looking_ahead_is_bounded_in_messages),
		REMOTE(what_changes_a_topic_or_a_group_ends_what_was_looked_ahead),
		REMOTE(answers_that_mqremoted_has_given_are_counted_where_there_is_something_to_count),
		REMOTE(a_pull_of_what_is_in_memory_is_answered_by_the_intake_thread),
		REMOTE(a_pull_that_has_to_wait_is_answered_by_a_thread_that_may),
		REMOTE(a_pull_that_waits_holds_up_messages_of_nobody_and_pulls_only_until_it_is_answered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
