/* RocketMQ's four tables: told as its slaves want them, and taken from a RocketMQ master. */
#include "config.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fastjson.h"
#include "offsets/offsets.h"
#include "tests/broker_kit.h"
#include "tests/tree.h"

static void
open_as(struct broker *b, enum broker_role role)
{
	b->settings.brokerRole = role;
	broker_open(b);
}

/* --- shorthand --------------------------------------------------------------------------- */

static int
take_at(struct broker *b, enum config_file file, const char *text, size_t len, int64_t asked_ms)
{
	json_t *object;
	int rc = fastjson_load(text, len, &object);

	if (rc != MQ_OK)
		return rc;
	rc = offsets_take(b->offsets, file, object, asked_ms);
	json_decref(object);
	return rc;
}

static int
take(struct broker *b, enum config_file file, const char *text)
{
	return take_at(b, file, text, strlen(text), 1);
}

static char *
told(struct broker *b, enum config_file file)
{
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(offsets_export(b->offsets, file, &text, &len), MQ_OK);
	assert_int_equal(strlen(text), len);
	return text;
}

/* DataVersion's numbers, one after the other. */
static void
version(struct broker *b, enum config_file file, char *ret, size_t size)
{
	AUTO_FREE char *text = told(b, file);
	json_t *object = json_loads(text, 0, NULL);
	const json_t *v = json_object_get(object, "dataVersion");

	assert_non_null(v);
	snprintf(ret, size, "%" JSON_INTEGER_FORMAT " %" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(v, "counter")),
		 json_integer_value(json_object_get(v, "timestamp")));
	json_decref(object);
}

static int32_t
queues_of(struct broker *b, const char *name)
{
	const struct topic *t = topic_find(b->offsets, name);

	return t ? topic_queues(b->offsets, t) : 0;
}

static int64_t
offset_of(struct broker *b, const char *group, const char *topic)
{
	return broker_committed(b, broker_subscription(b, group, topic), 0);
}

static void
populate(struct broker *b)
{
	struct topic *t = broker_topic(b, "Orders", 3);
	struct group *g = broker_group(b, "G");

	broker_produce(b, "Orders", 0, 20);
	broker_subscribe(b, g, t);
}

static const char topics[] =
	"{\"dataVersion\":{\"counter\":3,\"timestamp\":1700000000000},\"topicConfigTable\":{\"Orders\":{\"order\":true,"
	"\"perm\":4,\"readQueueNums\":4,\"topicName\":\"Orders\",\"writeQueueNums\":2},\"Empty\":{\"readQueueNums\":2,"
	"\"writeQueueNums\":2},\"TBW102\":{\"readQueueNums\":8},\"no name\":{},\"Huge\":{\"readQueueNums\":5000000}}}";
static const char groups[] =
	"{\"dataVersion\":{\"counter\":1,\"timestamp\":1700000000000},\"subscriptionGroupTable\":{\"G\":"
	"{\"groupName\":\"G\",\"retryMaxTimes\":3,\"brokerId\":2},\"Bad\":{\"retryMaxTimes\":\"x\"}}}";
static const char offsets[] = "{\"offsetTable\":{\"Orders@G\":{0:12,1:7},\"Orders@H\":{0:3,9:1},\"Nowhere@G\":{0:1}}}";

/* A slave that has taken all of that, and has the messages. */
static void
slave_of_rocketmq(struct broker *b)
{
	open_as(b, ASYNC_MASTER);
	broker_produce(b, "Orders", 0, 30);
	broker_close(b);
	open_as(b, SLAVE);
	assert_int_equal(take(b, CONFIG_TOPICS, topics), MQ_OK);
	assert_int_equal(take(b, CONFIG_GROUPS, groups), MQ_OK);
	assert_int_equal(take(b, CONFIG_OFFSETS, offsets), MQ_OK);
	assert_int_equal(take(b, CONFIG_DELAYS, "{\"offsetTable\":{1:5,2:0}}"), MQ_OK);
}

/* --- telling ------------------------------------------------------------------------------- */

static void
a_rocketmq_slave_is_told_what_it_understands(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *t = NULL, *g = NULL, *o = NULL, *d = NULL;

	open_as(b, ASYNC_MASTER);
	populate(b);
	t = told(b, CONFIG_TOPICS);
	assert_non_null(strstr(t, "\"topicConfigTable\":{\"Orders\":{\"topicName\":\"Orders\",\"readQueueNums\":3,"
			       "\"writeQueueNums\":3,\"perm\":6,\"order\":false,\"topicSysFlag\":0,"
			       "\"topicFilterType\":\"SINGLE_TAG\"}}"));
	assert_null(strstr(t, META_TOPIC));
	g = told(b, CONFIG_GROUPS);
	assert_non_null(strstr(g, "\"retryMaxTimes\":16"));
	assert_null(strstr(g, "uid"));
	o = told(b, CONFIG_OFFSETS);
	assert_ptr_equal(strstr(o, "{\"offsetTable\":{\"Orders@G\":{0:20,1:0,2:0}},\"dataVersion\":{\"counter\":1,\"timestamp\":"), o);
	d = told(b, CONFIG_DELAYS);
	assert_string_equal(d, "{\"offsetTable\":{}}");
	broker_close(b);
}

static void
another_version_after_each_change_and_each_start(void **state)
{
	struct broker *b = *state;
	char before[64], now[64], topics_then[64];
	struct group_conf group;

	open_as(b, ASYNC_MASTER);
	populate(b);
	version(b, CONFIG_GROUPS, before, sizeof(before));
	version(b, CONFIG_TOPICS, topics_then, sizeof(topics_then));
	version(b, CONFIG_GROUPS, now, sizeof(now));
	assert_string_equal(before, now);
	group_conf_default(&group, "H");
	assert_int_equal(group_create(b->offsets, &group, NULL), MQ_OK);
	version(b, CONFIG_GROUPS, now, sizeof(now));
	assert_string_not_equal(before, now);
	version(b, CONFIG_TOPICS, now, sizeof(now));
	assert_string_equal(topics_then, now);
	broker_close(b);
	open_as(b, ASYNC_MASTER);
	version(b, CONFIG_TOPICS, now, sizeof(now));
	assert_string_not_equal(topics_then, now);
	broker_close(b);
}

/* --- taking -------------------------------------------------------------------------------- */

static void
what_the_master_tells_becomes_so(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *d = NULL;
	struct group_conf group;

	slave_of_rocketmq(b);
	assert_int_equal(queues_of(b, "Orders"), 4);
	assert_int_equal(queues_of(b, "Empty"), 2);
	assert_int_equal(queues_of(b, "Huge"), 0);
	assert_null(topic_find(b->offsets, "TBW102"));
	assert_null(group_find(b->offsets, "Bad"));
	group_conf(b->offsets, group_find(b->offsets, "G"), &group);
	assert_int_equal(group.retry_max, 3);
	assert_int_equal(group.broker_id, 2);
	assert_int_equal(offset_of(b, "G", "Orders"), 12);
	assert_int_equal(offset_of(b, "H", "Orders"), 3);
	d = told(b, CONFIG_DELAYS);
	assert_string_equal(d, "{\"offsetTable\":{1:5,2:0}}");
	broker_close(b);
}

static void
it_is_still_so_after_a_restart(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *d = NULL;

	slave_of_rocketmq(b);
	broker_close(b);
	open_as(b, SLAVE);
	assert_int_equal(queues_of(b, "Empty"), 2);
	assert_int_equal(offset_of(b, "G", "Orders"), 12);
	d = told(b, CONFIG_DELAYS);
	assert_string_equal(d, "{\"offsetTable\":{1:5,2:0}}");
	broker_close(b);
}

static void
what_it_tells_no_more_is_gone(void **state)
{
	struct broker *b = *state;

	slave_of_rocketmq(b);
	assert_int_equal(take(b, CONFIG_TOPICS, "{\"topicConfigTable\":{\"New\":{\"readQueueNums\":1,"
						"\"writeQueueNums\":1}}}"), MQ_OK);
	assert_int_equal(take(b, CONFIG_GROUPS, "{\"subscriptionGroupTable\":{\"H\":{}}}"), MQ_OK);
	assert_int_equal(queues_of(b, "Empty"), 0);
	assert_int_equal(queues_of(b, "New"), 1);
	assert_null(group_find(b->offsets, "G"));
	assert_non_null(group_find(b->offsets, "H"));
	assert_null(broker_subscription(b, "H", "Orders"));
	broker_close(b);
}

static void
offsets_only_move_forward(void **state)
{
	struct broker *b = *state;

	slave_of_rocketmq(b);
	assert_int_equal(take(b, CONFIG_OFFSETS, "{\"offsetTable\":{\"Orders@G\":{0:9},\"Orders@H\":{0:8}}}"), MQ_OK);
	assert_int_equal(offset_of(b, "G", "Orders"), 12);
	assert_int_equal(offset_of(b, "H", "Orders"), 8);
	broker_close(b);
}

static void
a_commit_that_is_unsettled_is_not_overruled(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	struct slave_commit commit;

	slave_of_rocketmq(b);
	sub = broker_subscription(b, "G", "Orders");
	assert_int_equal(commit_reset(b->offsets, sub, 0, MQ_QOFF(2), NULL), MQ_OK);
	assert_int_equal(take(b, CONFIG_OFFSETS, offsets), MQ_OK);
	assert_int_equal(offset_of(b, "G", "Orders"), 2);
	assert_int_equal(slave_commits_due(b->offsets, &commit, 1), 1);
	assert_true(commit.reset && commit.to.n == 2);
	slave_commits_answer(b->offsets, &commit, SLAVE_COMMIT_TAKEN_UNLOGGED);
	/* asked before it was answered: it says nothing of that */
	assert_int_equal(take(b, CONFIG_OFFSETS, offsets), MQ_OK);
	assert_int_equal(offset_of(b, "G", "Orders"), 2);
	assert_int_equal(take_at(b, CONFIG_OFFSETS, offsets, strlen(offsets), INT64_MAX), MQ_OK);
	assert_int_equal(offset_of(b, "G", "Orders"), 12);
	broker_close(b);
}

static void
nonsense_changes_nothing(void **state)
{
	static const struct {
		enum config_file file;
		const char *text;
	} bad[] = {
		{ CONFIG_TOPICS, "" },
		{ CONFIG_TOPICS, "{" },
		{ CONFIG_TOPICS, "[]" },
		{ CONFIG_TOPICS, "{}" },
		{ CONFIG_TOPICS, "{\"topicConfigTable\":7}" },
		{ CONFIG_TOPICS, "{\"topicConfigTable\":{\"New\":{},\"Other\":7}}" },
		{ CONFIG_GROUPS, "{\"topicConfigTable\":{}}" },
		{ CONFIG_GROUPS, "{\"subscriptionGroupTable\":{\"New\":{},\"Other\":[]}}" },
		{ CONFIG_OFFSETS, "{\"offsetTable\":{\"Orders@G\":{0:25},\"Orders@H\":[1]}}" },
		{ CONFIG_DELAYS, "{\"offsetTable\":{\"x\":1}}" },
		{ CONFIG_DELAYS, "{\"offsetTable\":{1:-1}}" },
	};
	struct broker *b = *state;

	slave_of_rocketmq(b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(take(b, bad[i].file, bad[i].text), MQ_ECORRUPT);
		assert_int_equal(queues_of(b, "Orders"), 4);
		assert_null(topic_find(b->offsets, "New"));
		assert_null(group_find(b->offsets, "New"));
		assert_int_equal(offset_of(b, "G", "Orders"), 12);
	}
	broker_close(b);
}

/* 16 MiB of topics with as many queues as there can be. */
static void
memory_is_not_without_bound(void **state)
{
	struct broker *b = *state;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	struct offsets_stats stats;

	assert_non_null(f);
	fprintf(f, "{\"topicConfigTable\":{\"first\":{}");
	for (int i = 0; ftell(f) < 16000000; i++)
		fprintf(f, ",\"t%d\":{\"readQueueNums\":4096}", i);
	fprintf(f, "}}");
	fclose(f);
	open_as(b, SLAVE);
	assert_int_equal(take_at(b, CONFIG_TOPICS, text, len, 1), MQ_OK);
	offsets_stats(b->offsets, &stats);
	assert_in_range(stats.topics, 1000, 1100);
	broker_close(b);
	free(text);
}

static void
a_master_is_told_nothing(void **state)
{
	struct broker *b = *state;

	open_as(b, ASYNC_MASTER);
	assert_int_equal(take(b, CONFIG_TOPICS, topics), MQ_EROLE);
	assert_int_equal(queues_of(b, "Orders"), 0);
	broker_close(b);
}

/* --- becoming the master ---------------------------------------------------------------------- */

/* All of it is in the log then: LMDB is not needed. */
static void
a_slave_that_becomes_the_master_logs_it(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;

	slave_of_rocketmq(b);
	sub = broker_subscription(b, "H", "Orders");
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(11)), MQ_OK);
	broker_close(b);
	open_as(b, ASYNC_MASTER);
	assert_int_equal(offset_of(b, "H", "Orders"), 11);
	broker_close(b);
	sh("rm -r '%s/lmdb'", b->path);
	open_as(b, ASYNC_MASTER);
	assert_int_equal(queues_of(b, "Orders"), 4);
	assert_int_equal(queues_of(b, "Empty"), 2);
	assert_int_equal(offset_of(b, "G", "Orders"), 12);
	assert_int_equal(offset_of(b, "H", "Orders"), 11);
	broker_close(b);
}

#define T(test) cmocka_unit_test_setup_teardown(test, broker_setup, broker_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_rocketmq_slave_is_told_what_it_understands),
		T(another_version_after_each_change_and_each_start),
		T(what_the_master_tells_becomes_so),
		T(it_is_still_so_after_a_restart),
		T(what_it_tells_no_more_is_gone),
		T(offsets_only_move_forward),
		T(a_commit_that_is_unsettled_is_not_overruled),
		T(nonsense_changes_nothing),
		T(memory_is_not_without_bound),
		T(a_master_is_told_nothing),
		T(a_slave_that_becomes_the_master_logs_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
