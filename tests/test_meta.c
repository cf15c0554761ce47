/* The bodies of MQFS_META records, and config files of topics and groups. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/meta.h"

/* --- records ------------------------------------------------------------------------------ */

/* What version 1 writes, byte by byte: stores and slaves hold these. */
static const char *const golden[] = {
	"{\"op\":\"topic\",\"v\":1,\"id\":7,\"name\":\"orders\",\"queues\":4,\"perm\":6,\"format\":\"lines\","
	"\"onFull\":\"drop\",\"fileReservedTime\":48,\"order\":false,\"topicSysFlag\":0,\"uid\":1000,"
	"\"gid\":100,\"mode\":488,\"ctime\":1700000000000}",
	"{\"op\":\"topic-delete\",\"v\":1,\"id\":7,\"name\":\"orders\"}",
	"{\"op\":\"group\",\"v\":1,\"id\":1,\"name\":\"billing\",\"consumeEnable\":true,"
	"\"consumeFromWhere\":\"first\",\"consumeBroadcastEnable\":true,\"consumeFromMinEnable\":true,"
	"\"notifyConsumerIdsChangedEnable\":true,\"retryQueueNums\":1,\"retryMaxTimes\":16,\"brokerId\":0,"
	"\"whichBrokerWhenConsumeSlowly\":1,\"uid\":0,\"gid\":0,\"mode\":493,\"ctime\":5}",
	"{\"op\":\"group-delete\",\"v\":1,\"name\":\"billing\"}",
	"{\"op\":\"subscribe\",\"v\":1,\"id\":3,\"group\":\"billing\",\"topic\":\"orders\","
	"\"expression\":\"TagA || TagB\",\"offsets\":{\"0\":12,\"3\":9223372036854775807}}",
	"{\"op\":\"unsubscribe\",\"v\":1,\"id\":3,\"group\":\"billing\",\"topic\":\"orders\"}",
	"{\"op\":\"commit\",\"v\":1,\"group\":\"billing\",\"topic\":\"orders\",\"offsets\":{\"0\":12}}",
	"{\"op\":\"commit\",\"v\":1,\"group\":\"billing\",\"topic\":\"orders\",\"offsets\":{\"4095\":0},"
	"\"reset\":true}",
	"{\"op\":\"trim\",\"v\":1,\"topic\":\"orders\",\"queue\":2,\"offset\":99}",
	"{\"op\":\"attr\",\"v\":1,\"path\":\"topics/orders/q0\",\"uid\":1,\"gid\":4294967295,\"mode\":416}",
	"{\"op\":\"attr\",\"v\":1,\"path\":\"topics/orders/q0\",\"acl\":\"02000000ff\"}",
	"{\"op\":\"attr\",\"v\":1,\"path\":\"topics/orders/q0\",\"acl\":\"\"}",
	"{\"op\":\"import\",\"v\":1,\"done\":true}",
	"{\"op\":\"delays\",\"v\":1,\"offsets\":{\"0\":12,\"17\":3}}",
	"{\"op\":\"epoch\",\"v\":1,\"epoch\":1,\"id\":\"00112233445566778899aabbccddeeff\","
	"\"by\":\"ffeeddccbbaa99887766554433221100\"}",
	"{\"op\":\"epoch\",\"v\":1,\"epoch\":12,\"id\":\"00112233445566778899aabbccddeeff\","
	"\"by\":\"ffeeddccbbaa99887766554433221100\",\"start\":4096}",
	"{\"op\":\"topic\",\"v\":1,\"id\":8,\"name\":\"narrow\",\"queues\":4,\"perm\":6,\"format\":\"lines\","
	"\"onFull\":\"block\",\"fileReservedTime\":0,\"order\":false,\"topicSysFlag\":0,\"readQueueNums\":3,"
	"\"writeQueueNums\":2,\"uid\":0,\"gid\":0,\"mode\":493,\"ctime\":5}",
};

static void
a_record_is_the_same_bytes_after_decoding_and_encoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		AUTO_FREE char *text = NULL;
		struct meta m;
		size_t len;

		assert_int_equal(meta_decode(golden[i], strlen(golden[i]), &m), MQ_OK);
		text = meta_encode(&m, &len);
		assert_non_null(text);
		assert_string_equal(text, golden[i]);
		assert_int_equal(len, strlen(text));
		meta_free(&m);
	}
}

static void
members_arrive_where_they_belong(void **state)
{
	struct meta m;

	(void)state;
	assert_int_equal(meta_decode(golden[0], strlen(golden[0]), &m), MQ_OK);
	assert_int_equal(m.op, META_TOPIC_SET);
	assert_int_equal(m.id, 7);
	assert_string_equal(m.topic_conf.name, "orders");
	assert_int_equal(m.topic_conf.queues, 4);
	assert_true(m.topic_conf.on_full_drop);
	assert_int_equal(m.topic_conf.owner.mode, 0750);
	assert_int_equal(m.topic_conf.created_ms, 1700000000000);
	meta_free(&m);
	assert_int_equal(meta_decode(golden[4], strlen(golden[4]), &m), MQ_OK);
	assert_int_equal(m.n_offsets, 2);
	assert_int_equal(m.offsets[1].queue_id, 3);
	assert_true(m.offsets[1].at.n == INT64_MAX);
	assert_string_equal(m.expression, "TagA || TagB");
	meta_free(&m);
	assert_int_equal(meta_decode(golden[10], strlen(golden[10]), &m), MQ_OK);
	assert_false(m.has_owner);
	assert_int_equal(m.acl_len, 5);
	assert_memory_equal(m.acl, "\2\0\0\0\377", 5);
	meta_free(&m);
}

static void
what_is_missing_has_its_default_and_what_is_new_is_ignored(void **state)
{
	static const char text[] = "{\"v\":1,\"name\":\"g\",\"op\":\"group\",\"colour\":[\"red\"]}";
	struct meta m;

	(void)state;
	assert_int_equal(meta_decode(text, strlen(text), &m), MQ_OK);
	assert_int_equal(m.group_conf.retry_max, 16);
	assert_true(m.group_conf.consume_enable);
	assert_int_equal(m.group_conf.created_ms, 0);
	meta_free(&m);
}

static void
what_a_newer_program_wrote_is_told_apart(void **state)
{
	static const char *const newer[] = {
		"{\"op\":\"teleport\",\"v\":1}",
		"{\"op\":\"commit\",\"v\":2}",
	};
	struct meta m;

	(void)state;
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(meta_decode(newer[i], strlen(newer[i]), &m), -ENOTSUP);
}

static void
what_is_not_right_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"null",
		"[]",
		"{}",
		"{\"op\":3,\"v\":1}",
		"{\"op\":\"topic\"}",
		"{\"op\":\"topic\",\"v\":\"1\",\"name\":\"t\"}",
		"{\"op\":\"topic\",\"v\":1}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"\"}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"a/b\"}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"name\":\"u\"}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"queues\":0}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"queues\":4097}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"queues\":\"4\"}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"format\":\"xml\"}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"perm\":8}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"order\":1}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"id\":16777216}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"id\":-1}",
		"{\"op\":\"topic\",\"v\":1,\"name\":\"t\",\"mode\":65535}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\"}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":[]}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{\"0\":-1}}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{\"0\":1.5}}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{\"01\":1}}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{\"4096\":1}}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{\"-1\":1}}",
		"{\"op\":\"commit\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{},\"reset\":1}",
		"{\"op\":\"subscribe\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{}}",
		("{\"op\":\"subscribe\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{},"
		 "\"expression\":\"\"}"),
		("{\"op\":\"subscribe\",\"v\":1,\"group\":\"g\",\"topic\":\"t\",\"offsets\":{},"
		 "\"expression\":\"a\\nb\"}"),
		"{\"op\":\"trim\",\"v\":1,\"topic\":\"t\",\"queue\":4096,\"offset\":1}",
		"{\"op\":\"trim\",\"v\":1,\"topic\":\"t\",\"queue\":1}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"/etc\"}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"a/../b\"}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"a//b\"}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"a\",\"uid\":1}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"a\",\"acl\":\"0\"}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"a\",\"acl\":\"0G\"}",
		"{\"op\":\"attr\",\"v\":1,\"path\":\"a\",\"acl\":7}",
	};
	struct meta m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int rc = meta_decode(bad[i], strlen(bad[i]), &m);

		if (rc != MQ_ECORRUPT)
			print_error("%s\n", bad[i]);
		assert_int_equal(rc, MQ_ECORRUPT);
	}
}

static void
names_have_an_alphabet_and_a_length(void **state)
{
	char longest[RECORD_TOPIC_MAX + 2];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_true(record_topic_valid(longest, RECORD_TOPIC_MAX));
	assert_false(record_topic_valid(longest, RECORD_TOPIC_MAX + 1));
	assert_true(record_topic_valid("%RETRY%a_b-c|D9", 15));
	assert_false(record_topic_valid("", 0));
	assert_false(record_topic_valid("a.b", 3));
	assert_false(record_topic_valid("a\0b", 3));
	assert_false(record_topic_valid("\xc3\xa9", 2));
}

static void
system_topics_are_known(void **state)
{
	static const char *const system[] = {
		"MQFS_META", "TBW102", "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRACE_TOPIC", "rmq_sys_x",
		"DefaultCluster_REPLY_TOPIC",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++)
		assert_true(meta_topic_is_system(system[i]));
	assert_false(meta_topic_is_system("orders"));
	assert_false(meta_topic_is_system("%RETRY%g"));
	assert_false(meta_topic_is_system("%DLQ%g"));
}

/* --- config files ------------------------------------------------------------------------------ */

static void
a_topics_config_reads_back_as_it_was_printed(void **state)
{
	struct topic_conf conf, back;
	AUTO_FREE char *text = NULL;
	size_t len;

	(void)state;
	topic_conf_default(&conf, "t", 4);
	conf.perm = PERM_READ | PERM_INHERIT;
	conf.format = FORMAT_LEN32;
	conf.on_full_drop = true;
	conf.reserved_hours = 12;
	text = topic_conf_print(&conf, &len);
	assert_string_equal(text, "queues = 4\nperm = ri\nformat = len32\nonFull = drop\n"
			    "fileReservedTime = 12\norder = false\ntopicSysFlag = 0\n"
			    "readQueueNums = 0\nwriteQueueNums = 0\n");
	topic_conf_default(&back, "t", 1);
	back.created_ms = conf.created_ms;
	assert_int_equal(topic_conf_parse(text, len, &back), MQ_OK);
	assert_int_equal(back.queues, 4);
	assert_int_equal(back.perm, conf.perm);
	assert_int_equal(back.format, FORMAT_LEN32);
	assert_true(back.on_full_drop);
	assert_int_equal(back.reserved_hours, 12);
}

static void
a_groups_config_reads_back_as_it_was_printed(void **state)
{
	struct group_conf conf, back;
	AUTO_FREE char *text = NULL;
	size_t len;

	(void)state;
	group_conf_default(&conf, "g");
	conf.from_first = true;
	conf.retry_max = -1;
	conf.slow_broker_id = 2;
	text = group_conf_print(&conf, &len);
	group_conf_default(&back, "g");
	assert_int_equal(group_conf_parse(text, len, &back), MQ_OK);
	assert_true(back.from_first);
	assert_int_equal(back.retry_max, -1);
	assert_int_equal(back.slow_broker_id, 2);
}

static void
permissions_are_letters_or_rocketmqs_number(void **state)
{
	static const struct {
		const char *text;
		int32_t perm;		/* -1: refused */
	} cases[] = {
		{ "perm = r\n", 4 },	{ "perm=wr", 6 },    { "perm = 7", 7 },	  { "perm = none", 0 },
		{ "perm = 0", 0 },	{ "perm = 8", -1 },  { "perm = rx", -1 }, { "perm = rr", -1 },
		{ "perm =", -1 },	{ "perm = -1", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct topic_conf conf;
		int rc;

		topic_conf_default(&conf, "t", 1);
		rc = topic_conf_parse(cases[i].text, strlen(cases[i].text), &conf);
		assert_int_equal(rc, cases[i].perm < 0 ? MQ_EBADCONF : MQ_OK);
		if (rc == MQ_OK)
			assert_int_equal(conf.perm, cases[i].perm);
	}
}

static void
a_bad_config_is_refused_by_line_key_value_and_what_is_allowed(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
		{ "# fine\nqueues = 9999\n", "line 2: queues = 9999: allowed is 1 to 4096" },
		{ "queues = 4x", "line 1: queues = 4x: allowed is 1 to 4096" },
		{ "format = xml", "line 1: format = xml: allowed is lines, raw, len32 or json" },
		{ "order = yes", "line 1: order = yes: allowed is true or false" },
		{ "queus = 4", "line 1: queus: no such key; there are queues, perm, format, onFull, "
			       "fileReservedTime, order, topicSysFlag, readQueueNums, writeQueueNums" },
		{ "queues = 4\nhello\n", "line 2: neither `key = value` nor a comment" },
		{ "[topic]\nqueues = 4", "line 2: [topic]: there are no sections here" },
		{ "uid = 0", "line 1: uid: no such key; there are queues, perm, format, onFull, "
			     "fileReservedTime, order, topicSysFlag, readQueueNums, writeQueueNums" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct topic_conf conf, before;

		topic_conf_default(&conf, "t", 1);
		before = conf;
		assert_int_equal(topic_conf_parse(cases[i].text, strlen(cases[i].text), &conf), MQ_EBADCONF);
		assert_string_equal(err_text(MQ_EBADCONF), cases[i].want);
		assert_memory_equal(&conf, &before, sizeof(conf));
	}
}

static void
a_config_is_text_of_sensible_length(void **state)
{
	static char big[100000];
	struct topic_conf conf;

	(void)state;
	topic_conf_default(&conf, "t", 1);
	assert_int_equal(topic_conf_parse("queues = 2\0", 11, &conf), MQ_EBADCONF);
	memset(big, '\n', sizeof(big));
	assert_int_equal(topic_conf_parse(big, sizeof(big), &conf), MQ_EBADCONF);
	assert_int_equal(topic_conf_parse("", 0, &conf), MQ_OK);
	assert_int_equal(topic_conf_parse("\n; a comment\r\nqueues = 3\r\n", 26, &conf), MQ_OK);
	assert_int_equal(conf.queues, 3);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_record_is_the_same_bytes_after_decoding_and_encoding),
		cmocka_unit_test(members_arrive_where_they_belong),
		cmocka_unit_test(what_is_missing_has_its_default_and_what_is_new_is_ignored),
		cmocka_unit_test(what_a_newer_program_wrote_is_told_apart),
		cmocka_unit_test(what_is_not_right_is_refused),
		cmocka_unit_test(names_have_an_alphabet_and_a_length),
		cmocka_unit_test(system_topics_are_known),
		cmocka_unit_test(a_topics_config_reads_back_as_it_was_printed),
		cmocka_unit_test(a_groups_config_reads_back_as_it_was_printed),
		cmocka_unit_test(permissions_are_letters_or_rocketmqs_number),
		cmocka_unit_test(a_bad_config_is_refused_by_line_key_value_and_what_is_allowed),
		cmocka_unit_test(a_config_is_text_of_sensible_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
