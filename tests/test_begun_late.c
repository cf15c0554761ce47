/* A slave that begins with a log of which retention has taken the first segments: it must
 * know what was only in those.
 *
 * Both brokers live in this process; replication is bytes copied from one log to the other.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "offsets/offsets.h"
#include "store/delays.h"
#include "tests/broker_kit.h"
#include "tests/tree.h"

#define SEGMENT ((int64_t)1 << 20)	/* of broker_kit.h */
#define WHY "the master's log begins later."

struct pair {
	struct broker master, slave;
	mq_pos begin;			/* of what is left of the log */
};

/* --- a master whose first segment nobody needs any more -------------------------------------- */

/* Of MQFS_META, from there on. */
static int64_t
records_from(struct broker *b, mq_pos pos)
{
	struct queue *q = store_queue(b->store, META_TOPIC, 0);
	mq_qoff first;

	assert_int_equal(queue_find_pos(q, pos, &first), MQ_OK);
	return queue_end(q).n - first.n;
}

/* Until the whole state is in the log once more: a round has fewer than ROUND records, and
 * that of which `begin` has cut the beginning does not count. */
#define ROUND 16

static void
fill_until_a_round(struct broker *b, mq_pos begin)
{
	for (int i = 0; i < 4000 && records_from(b, begin) < 2 * ROUND; i++) {
		broker_produce(b, "busy", 0, 1000);
		usleep(10000);
	}
	assert_true(records_from(b, begin) >= 2 * ROUND);
}

static int
setup(void **state)
{
	static struct pair p;
	struct subscription *sub;
	struct group *g;

	memset(&p, 0, sizeof(p));
	broker_begin(&p.master, NULL);
	broker_set(&p.master, "flushIntervalConsumeQueue", "10");
	broker_open(&p.master);
	g = broker_group(&p.master, "g");
	sub = broker_subscribe(&p.master, g, broker_topic(&p.master, "idle", 2));
	broker_topic(&p.master, "busy", 1);
	broker_produce(&p.master, "idle", 0, 3);
	broker_produce(&p.master, "legacy", 1, 2);	/* no record speaks of it */
	assert_int_equal(commit_forward(p.master.offsets, sub, 0, MQ_QOFF(3)), MQ_OK);
	assert_int_equal(commit_sync(p.master.offsets, sub, NULL), MQ_OK);
	delays_level_is_at(p.master.store, 3, MQ_QOFF(7));	/* by RocketMQ, whose deliveries no record tells of */
	p.begin = MQ_POS(SEGMENT);
	fill_until_a_round(&p.master, p.begin);
	broker_begin(&p.slave, NULL);
	p.slave.settings.brokerRole = SLAVE;
	*state = &p;
	return 0;
}

static int
teardown(void **state)
{
	struct pair *p = *state;

	broker_end(&p->slave);
	broker_end(&p->master);
	return 0;
}

/* The slave gets what the master has from its own end on. */
static void
replicate(struct pair *p)
{
	static char buf[1 << 16];
	mq_pos at = broker_written(&p->slave), to = broker_written(&p->master);

	while (at.byte < to.byte) {
		int64_t left = SEGMENT - at.byte % SEGMENT;
		size_t n = 0;

		left = left < (int64_t)sizeof(buf) ? left : (int64_t)sizeof(buf);
		assert_int_equal(store_read_raw(p->master.store, at, buf, (size_t)left, &n), MQ_OK);
		assert_int_equal(store_append_raw(p->slave.store, at, buf, n), MQ_OK);
		at = pos_add(at, (int64_t)n);
	}
	assert_int_equal(offsets_follow(p->slave.offsets), MQ_OK);
	assert_int_equal(offsets_checkpoint(p->slave.offsets), MQ_OK);
}

static void
begin_late(struct pair *p)
{
	broker_open(&p->slave);
	assert_int_equal(offsets_reset(p->slave.offsets, p->begin, NULL, WHY), MQ_OK);
	replicate(p);
}

/* --- what it must know ------------------------------------------------------------------------ */

static void
assert_same_queue(struct pair *p, const char *topic, int32_t id)
{
	struct queue *mine = store_queue(p->slave.store, topic, id);
	struct queue_span got, want;

	queue_span(store_queue(p->master.store, topic, id), &want);
	assert_non_null(mine);
	queue_span(mine, &got);
	assert_int_equal(got.end.n, want.end.n);
	assert_int_equal(got.min.n, got.end.n);
	assert_int_equal(got.last_store_ms, want.last_store_ms);
}

static void
assert_knows(struct pair *p)
{
	struct subscription *sub = broker_subscription(&p->slave, "g", "idle");
	mq_qoff levels[DELAY_LEVELS_MAX];

	assert_same_queue(p, "idle", 0);
	assert_same_queue(p, "legacy", 1);
	assert_null(store_queue(p->slave.store, "idle", 1));	/* there never was a message */
	assert_non_null(topic_find(p->slave.offsets, "legacy"));
	assert_int_equal(topic_queues(p->slave.offsets, topic_find(p->slave.offsets, "legacy")), 2);
	assert_non_null(sub);
	assert_int_equal(broker_committed(&p->slave, sub, 0), 3);
	assert_true(delays_levels(p->slave.store, levels) > 2);
	assert_int_equal(levels[2].n, 7);
}

static void
a_slave_begun_after_retention_knows_where_queues_end(void **state)
{
	struct pair *p = *state;

	begin_late(p);
	assert_knows(p);
	broker_close(&p->slave);
	assert_int_equal(sh_status("%s/offsets/fsck.mqfs -n '%s' > '%s/fsck' || { cat '%s/fsck' >&2; exit 1; }",
				   getenv("top_builddir") ? getenv("top_builddir") : ".", p->slave.path, p->slave.dir,
				   p->slave.dir), 0);
	broker_open(&p->slave);
	assert_knows(p);
	broker_kill(&p->slave);
	broker_open(&p->slave);
	assert_knows(p);
	broker_close(&p->slave);
}

static void
its_log_alone_tells_where_queues_end(void **state)
{
	struct pair *p = *state;

	begin_late(p);
	broker_close(&p->slave);
	sh("rm -rf '%s/lmdb' '%s/consumequeue' '%s/byteindex'", p->slave.path, p->slave.path, p->slave.path);
	broker_open(&p->slave);
	assert_knows(p);
	broker_close(&p->slave);
}

static void
a_slave_whose_log_is_begun_anew_knows_where_queues_have_come_to(void **state)
{
	struct pair *p = *state;
	mq_pos upto = broker_written(&p->master);

	/* it has followed until now; then its master goes on, and retention with it */
	broker_open(&p->slave);
	replicate(p);
	broker_produce(&p->master, "idle", 0, 4);
	broker_produce(&p->master, "idle", 1, 1);
	p->begin = MQ_POS((upto.byte / SEGMENT + 1) * SEGMENT);
	fill_until_a_round(&p->master, p->begin);
	assert_int_equal(offsets_reset(p->slave.offsets, p->begin, NULL, WHY), MQ_OK);
	replicate(p);
	assert_same_queue(p, "idle", 0);
	assert_same_queue(p, "idle", 1);
	assert_same_queue(p, "legacy", 1);
	assert_int_equal(broker_committed(&p->slave, broker_subscription(&p->slave, "g", "idle"), 0), 3 + 4);
	broker_close(&p->slave);
}

static void
after_its_promotion_messages_get_the_next_numbers_and_groups_see_them(void **state)
{
	struct pair *p = *state;
	struct subscription *sub;
	struct broker *b = &p->slave;

	begin_late(p);
	store_refuse(b->store, -EROFS);
	assert_int_equal(offsets_promote(b->offsets), MQ_OK);
	b->settings.brokerRole = ASYNC_MASTER;
	offsets_promoted(b->offsets);
	broker_produce(b, "idle", 0, 3);
	assert_int_equal(queue_min(store_queue(b->store, "idle", 0)).n, 3);
	assert_int_equal(queue_end(store_queue(b->store, "idle", 0)).n, 6);
	sub = broker_subscription(b, "g", "idle");
	assert_int_equal(broker_committed(b, sub, 0), 3);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(5)), MQ_OK);
	broker_close(b);
	broker_open(b);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g", "idle"), 0), 5);
	broker_close(b);
}

/* --- an offset that is beyond the end all the same ---------------------------------------------- */

/* The master's log says 100, and the slave that gets it becomes the master. */
static void
an_offset_beyond_the_end_does_not_come_back_after_a_promotion(void **state)
{
	struct pair *p = *state;
	struct broker *b = &p->slave;
	struct offsets_stats stats;

	broker_append(&p->master, META_TOPIC, 0,
		      "{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"idle\",\"offsets\":{\"0\":100}}", 1);
	begin_late(p);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g", "idle"), 0), 3);
	store_refuse(b->store, -EROFS);
	assert_int_equal(offsets_promote(b->offsets), MQ_OK);
	b->settings.brokerRole = ASYNC_MASTER;
	offsets_promoted(b->offsets);
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.offsets_clamped, 1);
	broker_produce(b, "idle", 0, 200);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g", "idle"), 0), 3);
	broker_kill(b);
	broker_open(b);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g", "idle"), 0), 3);
	broker_close(b);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_slave_begun_after_retention_knows_where_queues_end),
		T(its_log_alone_tells_where_queues_end),
		T(a_slave_whose_log_is_begun_anew_knows_where_queues_have_come_to),
		T(after_its_promotion_messages_get_the_next_numbers_and_groups_see_them),
		T(an_offset_beyond_the_end_does_not_come_back_after_a_promotion),
	};

	return cmocka_run_group_tests_name("begun late", tests, NULL, NULL);
}
