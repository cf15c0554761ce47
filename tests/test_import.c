/* RocketMQ's config/ *.json, taken over when a store is seen for the first time. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fastjson.h"
#include "offsets/offsets.h"
#include "store/delays.h"
#include "tests/broker_kit.h"
#include "tests/tree.h"

static int
setup(void **state)
{
	struct broker *b;

	broker_setup(state);
	b = *state;
	sh("mkdir -p '%s/config' '%s/commitlog'", b->path, b->path);
	return 0;
}

static void
write_file(struct broker *b, const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/config/%s", b->path, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static const char topics[] =
	"{\n\t\"dataVersion\":{\n\t\t\"counter\":3,\n\t\t\"timestamp\":1700000000000\n\t},\n"
	"\t\"topicConfigTable\":{\n"
	"\t\t\"OrderTopic\":{\n\t\t\t\"order\":true,\n\t\t\t\"perm\":4,\n\t\t\t\"readQueueNums\":4,\n"
	"\t\t\t\"topicFilterType\":\"SINGLE_TAG\",\n\t\t\t\"topicName\":\"OrderTopic\",\n"
	"\t\t\t\"topicSysFlag\":0,\n\t\t\t\"writeQueueNums\":2\n\t\t},\n"
	"\t\t\"%RETRY%GroupA\":{\"perm\":6,\"readQueueNums\":1,\"writeQueueNums\":1},\n"
	"\t\t\"TBW102\":{\"perm\":7,\"readQueueNums\":8,\"writeQueueNums\":8},\n"
	"\t\t\"not a name\":{\"perm\":6},\n"
	"\t\t\"Huge\":{\"readQueueNums\":5000000}\n\t}\n}";
static const char groups[] =
	"{\"subscriptionGroupTable\":{\n\t\t\"GroupA\":{\"brokerId\":0,\"consumeEnable\":false,"
	"\"groupName\":\"GroupA\",\"retryMaxTimes\":3,\"retryQueueNums\":1,"
	"\"whichBrokerWhenConsumeSlowly\":1,\"attributes\":{}},\"Bad\":{\"retryMaxTimes\":\"x\"}}}";
static const char offsets[] =
	"{\n\t\"offsetTable\":{\n\t\t\"OrderTopic@GroupA\":{0:12,1:7\n\t\t},\n"
	"\t\t\"%RETRY%GroupA@GroupA\":{0:3\n\t\t},\n"
	"\t\t\"OrderTopic@GroupB\":{\"2\":5},\n\t\t\"Nowhere@GroupA\":{0:1},\n\t\t\"noat\":{0:1}\n\t}\n}";

static void
expect_offset(struct broker *b, const char *topic, const char *group, int32_t queue_id, int64_t want)
{
	struct subscription *sub = broker_subscription(b, group, topic);

	assert_non_null(sub);
	assert_int_equal(broker_committed(b, sub, queue_id), want);
}

static void
expect_all_but_subscriptions(struct broker *b)
{
	struct topic_conf tc;
	struct group_conf gc;

	topic_conf(b->offsets, topic_find(b->offsets, "OrderTopic"), &tc);
	assert_int_equal(tc.queues, 4);
	assert_int_equal(topic_conf_readable(&tc), 4);
	assert_int_equal(topic_conf_writable(&tc), 2);
	assert_int_equal(tc.perm, PERM_READ);
	assert_true(tc.order);
	group_conf(b->offsets, group_find(b->offsets, "GroupA"), &gc);
	assert_false(gc.consume_enable);
	assert_int_equal(gc.retry_max, 3);
	assert_null(topic_find(b->offsets, "TBW102"));
	assert_null(topic_find(b->offsets, "not a name"));
	assert_null(topic_find(b->offsets, "Huge"));
	assert_null(group_find(b->offsets, "Bad"));
}

static void
expect_all(struct broker *b)
{
	struct offsets_stats stats;

	expect_all_but_subscriptions(b);
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.subscriptions, 3);
}

static void
write_all(struct broker *b)
{
	write_file(b, "topics.json", topics);
	write_file(b, "subscriptionGroup.json", groups);
	write_file(b, "consumerOffset.json", offsets);
}

/* A store with messages alone, as RocketMQ leaves it. */
static void
store_of_messages(struct broker *b, const char *topic, int n)
{
	b->settings.brokerRole = SLAVE;		/* it writes nothing of its own */
	broker_open(b);
	store_refuse(b->store, MQ_OK);
	broker_produce(b, topic, 0, n);
	broker_kill(b);
	b->settings.brokerRole = ASYNC_MASTER;
}

static void
everything_we_can_take_is_taken_once(void **state)
{
	struct broker *b = *state;
	int64_t records;

	store_of_messages(b, "OrderTopic", 20);
	write_all(b);
	broker_open(b);
	expect_all(b);
	expect_offset(b, "OrderTopic", "GroupA", 0, 12);
	records = queue_end(store_queue(b->store, META_TOPIC, 0)).n;
	broker_close(b);
	broker_open(b);
	expect_all(b);
	expect_offset(b, "OrderTopic", "GroupA", 0, 12);
	assert_int_equal(queue_end(store_queue(b->store, META_TOPIC, 0)).n, records);
	broker_close(b);
}

/* --- by turns ------------------------------------------------------------------------ */

static json_t *
config_read(struct broker *b, const char *name)
{
	char path[256];
	json_t *json;

	snprintf(path, sizeof(path), "%s/config/%s", b->path, name);
	json = json_load_file(path, 0, NULL);
	assert_non_null(json);
	return json;
}

static void
expect_in_config(struct broker *b, const char *key, int64_t want)
{
	json_t *json = config_read(b, "consumerOffset.json");

	assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(json, "offsetTable"), key),
							    "0")), want);
	json_decref(json);
}

static void
commit(struct broker *b, const char *topic, const char *group, int64_t to)
{
	assert_int_equal(commit_forward(b->offsets, broker_subscription(b, group, topic), 0, MQ_QOFF(to)), MQ_OK);
}

static void
rocketmq_finds_where_we_are_and_we_where_rocketmq_has_come_to(void **state)
{
	struct broker *b = *state;

	store_of_messages(b, "OrderTopic", 20);
	write_all(b);
	broker_open(b);
	commit(b, "OrderTopic", "GroupA", 15);
	broker_close(b);
	expect_in_config(b, "OrderTopic@GroupA", 15);
	sh("test -f '%s/config/consumerOffset.json.bak' && ! ls '%s'/config/*.tmp", b->path, b->path);

	/* RocketMQ has run: its own format, an offset ahead, one that was reset, a topic, no topic less */
	write_file(b, "consumerOffset.json", "{\"offsetTable\":{\"OrderTopic@GroupA\":{0:18,1:2},"
					     "\"Later@GroupC\":{0:0}}}");
	write_file(b, "topics.json", "{\"topicConfigTable\":{\"Later\":{\"readQueueNums\":1}}}");
	for (int i = 0; i < 2; i++) {
		broker_open(b);
		expect_offset(b, "OrderTopic", "GroupA", 0, 18);
		assert_non_null(topic_find(b->offsets, "Later"));
		assert_non_null(broker_subscription(b, "GroupC", "Later"));
		expect_all_but_subscriptions(b);
		broker_close(b);
		expect_in_config(b, "OrderTopic@GroupA", 18);
	}
	write_file(b, "consumerOffset.json", "{\"offsetTable\":{\"OrderTopic@GroupA\":{0:4}}}");
	broker_open(b);
	expect_offset(b, "OrderTopic", "GroupA", 0, 4);
	commit(b, "OrderTopic", "GroupA", 9);
	broker_kill(b);
	broker_open(b);		/* that file was taken once */
	assert_in_range(broker_committed(b, broker_subscription(b, "GroupA", "OrderTopic"), 0), 4, 9);
	broker_close(b);
}

static void
a_rocketmq_that_was_told_too_little_moves_nothing_back(void **state)
{
	struct broker *b = *state;

	store_of_messages(b, "OrderTopic", 20);
	write_all(b);
	broker_open(b);
	broker_close(b);
	expect_in_config(b, "OrderTopic@GroupA", 12);
	broker_open(b);
	commit(b, "OrderTopic", "GroupA", 15);
	assert_int_equal(commit_sync(b->offsets, broker_subscription(b, "GroupA", "OrderTopic"), NULL), MQ_OK);
	broker_kill(b);		/* the files still say 12, and RocketMQ has written that it is at 13 */
	write_file(b, "consumerOffset.json", "{\"offsetTable\":{\"OrderTopic@GroupA\":{0:13}}}");
	broker_open(b);
	expect_offset(b, "OrderTopic", "GroupA", 0, 15);
	broker_close(b);
}

static void
how_far_delayed_messages_have_come_goes_back_to_rocketmq(void **state)
{
	struct broker *b = *state;
	json_t *json, *table;

	write_all(b);
	write_file(b, "delayOffset.json", "{\n\t\"offsetTable\":{1:7,3:12\n\t}\n}");
	broker_open(b);
	broker_close(b);
	broker_open(b);
	broker_close(b);
	json = config_read(b, "delayOffset.json");
	table = json_object_get(json, "offsetTable");
	assert_int_equal(json_integer_value(json_object_get(table, "1")), 7);
	assert_int_equal(json_integer_value(json_object_get(table, "3")), 12);
	json_decref(json);
}

/* A slave has the log alone: what RocketMQ has delivered is not delivered again when it is the master. */
static void
how_far_delayed_messages_have_come_is_in_the_log(void **state)
{
	struct broker *b = *state;
	mq_qoff levels[DELAY_LEVELS_MAX];

	store_of_messages(b, SCHEDULE_TOPIC, 5);
	write_file(b, "delayOffset.json", "{\"offsetTable\":{1:5}}");
	broker_open(b);
	broker_close(b);
	sh("cd '%s' && rm -rf config lmdb consumequeue byteindex index checkpoint", b->path);
	b->settings.brokerRole = SLAVE;
	broker_open(b);
	assert_true(delays_levels(b->store, levels) > 0);
	assert_int_equal(levels[0].n, 5);
	broker_close(b);
}

/* As it stands after its log was cut, or its queue removed by hand. */
static void
an_imported_offset_beyond_the_end_does_not_come_back_when_the_queue_has_grown(void **state)
{
	struct broker *b = *state;

	store_of_messages(b, "OrderTopic", 5);
	write_all(b);
	broker_open(b);
	expect_offset(b, "OrderTopic", "GroupA", 0, 5);
	broker_produce(b, "OrderTopic", 0, 20);
	expect_offset(b, "OrderTopic", "GroupA", 0, 5);
	broker_kill(b);
	broker_open(b);
	expect_offset(b, "OrderTopic", "GroupA", 0, 5);
	broker_close(b);
}

static void
a_broken_file_gives_way_to_its_bak(void **state)
{
	struct broker *b = *state;

	write_all(b);
	write_file(b, "topics.json.bak", topics);
	write_file(b, "topics.json", "{\"topicConfigTable\":{\"Ord");
	broker_open(b);
	expect_all(b);
	broker_close(b);
}

static void
read_only_it_stays_in_memory(void **state)
{
	struct broker *b = *state;

	write_all(b);
	broker_open_read_only(b);
	expect_all(b);
	broker_close(b);
	broker_open_read_only(b);
	expect_all(b);
	broker_close(b);
	broker_open(b);
	expect_all(b);
	broker_close(b);
}

static void
an_import_cut_in_two_is_done_again(void **state)
{
	struct broker *b = *state;

	broker_open(b);
	broker_append(b, META_TOPIC, 0, "{\"op\":\"import\",\"v\":1,\"done\":false}", 1);
	broker_close(b);
	write_all(b);
	broker_open(b);
	expect_all(b);
	broker_close(b);
}

static void
keys_without_quotes_get_them_and_nothing_else_changes(void **state)
{
	static const struct {
		const char *text, *want;	/* NULL: refused */
	} cases[] = {
		{ "{0:12,1:7}", "{\"0\":12,\"1\":7}" },
		{ "{\"a\":{ -1 : [1,2,{x:3}] , \"b\":\"{0:1,2:3}\" }}",
		  "{\"a\":{\"-1\":[1,2,{\"x\":3}],\"b\":\"{0:1,2:3}\"}}" },
		{ "{\"a\\\"{1:\":2}", "{\"a\\\"{1:\":2}" },
		{ "{{\"brokerName\":\"a\"}:{}}", NULL },
		{ "[1]", NULL },
		{ "", NULL },
		{ "{0:", NULL },
		{ "{\"", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *object;
		int rc = fastjson_load(cases[i].text, strlen(cases[i].text), &object);

		assert_int_equal(rc, cases[i].want ? MQ_OK : MQ_ECORRUPT);
		if (rc == MQ_OK) {
			AUTO_FREE char *text = json_dumps(object, JSON_COMPACT);

			assert_string_equal(text, cases[i].want);
			json_decref(object);
		}
	}
}

static void
what_is_nested_too_deep_is_refused(void **state)
{
	char deep[4096];
	json_t *object;

	(void)state;
	memset(deep, '[', sizeof(deep));
	assert_int_equal(fastjson_load(deep, sizeof(deep), &object), MQ_ECORRUPT);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, broker_teardown)
	const struct CMUnitTest tests[] = {
		T(everything_we_can_take_is_taken_once),
		T(rocketmq_finds_where_we_are_and_we_where_rocketmq_has_come_to),
		T(a_rocketmq_that_was_told_too_little_moves_nothing_back),
		T(how_far_delayed_messages_have_come_goes_back_to_rocketmq),
		T(how_far_delayed_messages_have_come_is_in_the_log),
		T(an_imported_offset_beyond_the_end_does_not_come_back_when_the_queue_has_grown),
		T(a_broken_file_gives_way_to_its_bak),
		T(read_only_it_stays_in_memory),
		T(an_import_cut_in_two_is_done_again),
		cmocka_unit_test(keys_without_quotes_get_them_and_nothing_else_changes),
		cmocka_unit_test(what_is_nested_too_deep_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
