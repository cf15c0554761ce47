#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/settings.h"
#include "tests/tree.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

static int
fresh(void **state)
{
	static struct settings s;

	assert_int_equal(settings_init(&s), MQ_OK);
	err_clear();
	*state = &s;
	return 0;
}

static int
done(void **state)
{
	settings_free(*state);
	return 0;
}

static void
note_has(const char *part)
{
	const char *note = err_text(MQ_EBADCONF);

	if (!strstr(note, part))
		fail_msg("'%s' is not in: %s", part, note);
}

static bool
log_has(const char *part)
{
	size_t len;
	char *log = log_recent(&len);
	bool has = strstr(log, part) != NULL;

	free(log);
	return has;
}

static int
load(struct settings *s, const char *name, const char *text)
{
	return settings_load_text(s, name, text, strlen(text));
}

/* --- the table --- */

static void
every_default_can_be_set_and_got(void **state)
{
	struct settings *s = *state;
	size_t n;
	const struct setting *rows = settings_table(&n);

	assert_true(n > 100);
	for (size_t i = 0; i < n; i++) {
		char text[256];

		assert_int_equal(settings_get(s, &rows[i], text, sizeof(text)), strlen(rows[i].dflt));
		assert_string_equal(text, rows[i].dflt);
		assert_int_equal(settings_set(s, rows[i].key, text, "test"), MQ_OK);
		assert_true(strlen(rows[i].help) > 0);
	}
}

static void
every_key_finds_its_own_row(void **state)
{
	size_t n;
	const struct setting *rows = settings_table(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(setting_find(rows[i].key), &rows[i]);
}

static void
defaults_are_rocketmqs_where_nothing_else_is_promised(void **state)
{
	struct settings *s = *state;

	assert_int_equal(s->mappedFileSizeCommitLog, 1 << 30);
	assert_int_equal(s->mappedFileSizeConsumeQueue, 6000000);
	assert_int_equal(s->maxMessageSize, 4 << 20);
	assert_int_equal(s->flushIntervalCommitLog, 500);
	assert_int_equal(s->defaultTopicQueueNums, 8);
	assert_int_equal(s->diskSpaceWarningLevelRatio, 90);
	assert_int_equal(s->diskSpaceCleanForciblyRatio, 85);
	assert_int_equal(s->flushDiskType, ASYNC_FLUSH);
	assert_int_equal(s->brokerRole, ASYNC_MASTER);
	assert_string_equal(s->brokerClusterName, "DefaultCluster");
	assert_string_equal(s->deleteWhen, "04");

	assert_false(s->autoCreateTopicEnable);
	assert_true(s->slaveReadEnable);
	assert_int_equal(s->inSyncReplicas, 2);
	assert_int_equal(s->onSlaveUnavailable, ON_SLAVE_UNAVAILABLE_FAIL);
}

static void
a_key_is_found_whatever_its_case_and_underscores(void **state)
{
	const struct setting *row = setting_find("flushIntervalCommitLog");

	(void)state;
	assert_non_null(row);
	assert_ptr_equal(setting_find("FLUSHINTERVALCOMMITLOG"), row);
	assert_ptr_equal(setting_find("flush_interval_commit_log"), row);
	assert_ptr_equal(setting_find("_Flush-Interval_CommitLog_"), row);
	assert_null(setting_find("flushIntervalCommitLo"));
	assert_null(setting_find("flushIntervalCommitLogs"));
	assert_null(setting_find(""));
	assert_null(setting_find("_-"));
}

static void
short_and_older_names_find_the_same_row(void **state)
{
	static const char *const pairs[][2] = {
		{ "role", "brokerRole" },
		{ "store", "storePathRootDir" },
		{ "haMasterAddress", "master" },
		{ "mapedFileSizeCommitLog", "mappedFileSizeCommitLog" },
		{ "maped_file_size_consume_queue", "mappedFileSizeConsumeQueue" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		assert_non_null(setting_find(pairs[i][0]));
		assert_ptr_equal(setting_find(pairs[i][0]), setting_find(pairs[i][1]));
	}
}

static void
help_has_every_key_that_is_ours(void **state)
{
	size_t n, len;
	const struct setting *rows = settings_table(&n);
	char *help;
	FILE *out = open_memstream(&help, &len);

	(void)state;
	settings_print_help(out);
	fclose(out);
	for (size_t i = 0; i < n; i++) {
		bool ours = (rows[i].flags & SETTING_ROCKETMQ) != SETTING_ROCKETMQ;
		char line[64];

		snprintf(line, sizeof(line), "  %s=", rows[i].key);
		assert_int_equal(strstr(help, line) != NULL, ours);
	}
	free(help);
}

/* --- values --- */

static void
numbers_take_suffixes_of_their_unit(void **state)
{
	static const struct {
		const char *key, *text, *as;
	} good[] = {
		{ "maxMessageSize", "4096", "4096" },
		{ "maxMessageSize", "4k", "4096" },
		{ "maxMessageSize", "64K", "65536" },
		{ "maxMessageSize", "64KiB", "65536" },
		{ "maxMessageSize", "2m", "2097152" },
		{ "maxMessageSize", "2MiB", "2097152" },
		{ "mappedFileSizeCommitLog", "1G", "1073741824" },
		{ "mappedFileSizeCommitLog", "1GiB", "1073741824" },
		{ "mappedFileSizeCommitLog", "65536", "65536" },
		{ "syncFlushTimeout", "250ms", "250" },
		{ "syncFlushTimeout", "5s", "5000" },
		{ "syncFlushTimeout", "2m", "120000" },
		{ "syncFlushTimeout", "1h", "3600000" },
		{ "fileReservedTime", "48h", "48" },
		{ "fileReservedTime", "3d", "72" },
		{ "diskMaxUsedSpaceRatio", "80%", "80" },
		{ "listenPort", "1", "1" },
	};
	struct settings *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		char text[64];

		assert_int_equal(settings_set(s, good[i].key, good[i].text, "test"), MQ_OK);
		settings_get(s, setting_find(good[i].key), text, sizeof(text));
		assert_string_equal(text, good[i].as);
	}
}

static void
what_is_no_value_is_refused_and_changes_nothing(void **state)
{
	static const char *const bad[][2] = {
		{ "listenPort", "" }, { "listenPort", "0" }, { "listenPort", "65536" },
		{ "listenPort", "-1" }, { "listenPort", " 1" }, { "listenPort", "+1" },
		{ "listenPort", "1k" }, { "listenPort", "0x10" }, { "listenPort", "1 " },
		{ "listenPort", "99999999999999999999" },
		{ "maxMessageSize", "k" }, { "maxMessageSize", "4s" }, { "maxMessageSize", "4kk" },
		{ "maxMessageSize", "9223372036854775807G" }, { "maxMessageSize", "1G" },
		{ "mappedFileSizeCommitLog", "65535" }, { "mappedFileSizeCommitLog", "1073741825" },
		{ "syncFlushTimeout", "5d" }, { "syncFlushTimeout", "0" },
		{ "diskMaxUsedSpaceRatio", "9" }, { "diskMaxUsedSpaceRatio", "96" },
		{ "messageIndexEnable", "yes" }, { "messageIndexEnable", "" },
		{ "messageIndexEnable", "1" },
		{ "brokerRole", "MASTERS" }, { "brokerRole", "" }, { "flushDiskType", "master" },
		{ "brokerIP1", "host" }, { "brokerIP1", "1.2.3" }, { "brokerIP1", "::1" },
		{ "master", "host" }, { "master", ":1" }, { "master", "host:" },
		{ "master", "host:0" }, { "master", "host:65536" }, { "master", "host:1x" },
		{ "deleteWhen", "24" }, { "deleteWhen", "04;" }, { "deleteWhen", "four" },
		{ "deleteWhen", "04,5" },
		{ "brokerName", "two\nlines" }, { "brokerName", "\033[31m" },
	};
	struct settings *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		const struct setting *row = setting_find(bad[i][0]);
		char text[256];

		assert_int_equal(settings_set(s, bad[i][0], bad[i][1], "test"), MQ_EBADCONF);
		settings_get(s, row, text, sizeof(text));
		assert_string_equal(text, row->dflt);
	}
}

static void
a_refusal_names_where_key_value_and_what_is_allowed(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_set(s, "sync_flush_timeout", "0", "-o"), MQ_EBADCONF);
	assert_string_equal(err_text(MQ_EBADCONF), "-o: syncFlushTimeout=0: must be 1 to 3600000 ms");
	assert_int_equal(settings_set(s, "role", "king", "-o"), MQ_EBADCONF);
	assert_string_equal(err_text(MQ_EBADCONF),
			    "-o: brokerRole=king: must be ASYNC_MASTER, SYNC_MASTER or SLAVE");
	assert_int_equal(settings_set(s, "messageIndexEnable", "maybe", "x.conf:3"), MQ_EBADCONF);
	assert_string_equal(err_text(MQ_EBADCONF),
			    "x.conf:3: messageIndexEnable=maybe: must be true or false");
	assert_int_equal(settings_set(s, "master", "here", "-o"), MQ_EBADCONF);
	assert_string_equal(err_text(MQ_EBADCONF), "-o: master=here: must be HOST:PORT");
	assert_int_equal(settings_set(s, "brokerClusterName", "\t", "-o"), MQ_EBADCONF);
	note_has("one line of text");
}

static void
an_unknown_key_names_the_nearest_one(void **state)
{
	static const char *const near[][2] = {
		{ "flushDiscType", "flushDiskType" },
		{ "SYNCFLUSHTIMEOUTS", "syncFlushTimeout" },
		{ "rolle", "role" },
		{ "broker_nam", "brokerName" },
		{ "mapFileSizeCommitLog", "mapedFileSizeCommitLog" },
	};
	struct settings *s = *state;
	char far_off[5000];

	for (size_t i = 0; i < ARRAY_LEN(near); i++) {
		assert_int_equal(settings_set(s, near[i][0], "1", "-o"), MQ_EBADCONF);
		note_has(near[i][0]);
		note_has(near[i][1]);
	}
	memset(far_off, 'x', sizeof(far_off) - 1);
	far_off[sizeof(far_off) - 1] = '\0';
	assert_int_equal(settings_set(s, far_off, "1", "-o"), MQ_EBADCONF);
	assert_int_equal(settings_set(s, "", "1", "-o"), MQ_EBADCONF);
}

static void
roles_have_short_names(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_set(s, "role", "slave", "-o"), MQ_OK);
	assert_int_equal(s->brokerRole, SLAVE);
	assert_int_equal(settings_set(s, "role", "master", "-o"), MQ_OK);
	assert_int_equal(s->brokerRole, ASYNC_MASTER);
	assert_int_equal(settings_set(s, "role", "sync-master", "-o"), MQ_OK);
	assert_int_equal(s->brokerRole, SYNC_MASTER);
}

static void
what_has_no_effect_is_accepted_and_said(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_set(s, "regionId", "a:9876;b:9876", "quiet.conf:7"), MQ_OK);
	assert_string_equal(s->regionId, "a:9876;b:9876");
	assert_true(log_has("quiet.conf:7: regionId has no effect"));
	assert_int_equal(settings_set(s, "brokerName", "b", "loud.conf:7"), MQ_OK);
	assert_false(log_has("loud.conf:7"));
}

static void
get_says_how_long_the_text_is(void **state)
{
	struct settings *s = *state;
	char text[8];

	assert_int_equal(settings_get(s, setting_find("brokerClusterName"), text, sizeof(text)), 14);
	assert_string_equal(text, "Default");
}

/* --- mqfs.conf --- */

static void
our_file_may_have_sections_and_comments(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "mqfs.conf",
			      "\xef\xbb\xbf# first\n"
			      "brokerName = alpha\r\n"
			      "\n"
			      "[disk]\n"
			      "  flushDiskType: sync_flush ; at once\n"
			      "\tmax_message_size = 64k\n"
			      "; last\n"
			      "listenPort=1\n"
			      "listenPort=2"), MQ_OK);
	assert_string_equal(s->brokerName, "alpha");
	assert_int_equal(s->flushDiskType, SYNC_FLUSH);
	assert_int_equal(s->maxMessageSize, 65536);
	assert_int_equal(s->listenPort, 2);
	assert_int_equal(load(s, "mqfs.conf", ""), MQ_OK);
	assert_int_equal(settings_load_text(s, "mqfs.conf", NULL, 0), MQ_OK);
}

static void
in_our_file_what_is_wrong_is_named_by_its_line(void **state)
{
	static const char *const bad[][2] = {
		{ "\n\nlistenPort=0\n", "x/mqfs.conf:3: listenPort=0: must be 1 to 65535" },
		{ "[a]\nlistenPorts=1\n",
		  "x/mqfs.conf:2: unknown setting 'listenPorts'; the nearest known is listenPort" },
		{ "# a\nlistenPort\n", "x/mqfs.conf:2: neither" },
		{ "[section\n", "x/mqfs.conf:1: neither" },
		{ "=1\n", "x/mqfs.conf:1: unknown setting ''" },
		{ "brokerName=a\x01\n", "x/mqfs.conf:1: control character" },
		{ "brokerName=a\rb\n", "x/mqfs.conf:1: control character" },
		{ "\n\x7f" "ELF", "x/mqfs.conf:2: control character" },
		{ "listenPort=0\nlistenPort=x\n", "x/mqfs.conf:1: listenPort=0" },
	};
	struct settings *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(load(s, "x/mqfs.conf", bad[i][0]), MQ_EBADCONF);
		note_has(bad[i][1]);
	}
	assert_int_equal(settings_load_text(s, "x/mqfs.conf", "brokerName=a\0b\n", 15), MQ_EBADCONF);
	note_has("x/mqfs.conf:1: control character");
}

static void
a_line_may_have_4096_bytes_and_no_more(void **state)
{
	static const char *const names[] = { "mqfs.conf", "a.properties" };
	struct settings *s = *state;
	char text[4200];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		memset(text, 'x', sizeof(text));
		memcpy(text, "\nbrokerName=", 12);
		text[1 + 4096] = '\n';
		assert_int_equal(settings_load_text(s, names[i], text, 1 + 4096 + 1), MQ_OK);
		assert_int_equal(strlen(s->brokerName), 4096 - 11);
		text[1 + 4096] = 'x';
		text[1 + 4097] = '\n';
		assert_int_equal(settings_load_text(s, names[i], text, 1 + 4097 + 1), MQ_EBADCONF);
		note_has(":2: line of more than 4096 bytes");
	}
}

/* --- RocketMQ's files --- */

static void
a_rocketmq_brokers_file_is_taken_unchanged(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "/etc/rocketmq/broker.conf",
			      "# a master\n"
			      "brokerClusterName = DefaultCluster\n"
			      "brokerName = broker-a\n"
			      "brokerId = 0\n"
			      "deleteWhen = 04\n"
			      "fileReservedTime = 48\n"
			      "brokerRole = ASYNC_MASTER\n"
			      "flushDiskType = ASYNC_FLUSH\n"), MQ_OK);
	assert_string_equal(s->brokerName, "broker-a");
	assert_int_equal(s->fileReservedTime, 48);
	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_int_equal(settings_check(s), MQ_OK);
}

static void
a_rocketmq_slaves_file_with_everything_is_taken_unchanged(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "conf/2m-2s-sync/broker-b-s.properties",
			      "! a slave\n"
			      "brokerClusterName=C\n"
			      "brokerName:broker-b\n"
			      "brokerId 3\n"
			      "brokerRole=SLAVE\n"
			      "haMasterAddress=10.0.0.1:10912\n"
			      "haListenPort=10922\n"
			      "namesrvAddr=10.0.0.1:9876;\\\n"
			      "            10.0.0.2:9876\n"
			      "brokerIP1=10.0.0.2\n"
			      "listenPort=10921\n"
			      "storePathRootDir=/data/rocketmq/store\n"
			      "storePathCommitLog=/data/rocketmq/store/commitlog\n"
			      "mapedFileSizeCommitLog=1073741824\n"
			      "mapedFileSizeConsumeQueue=300000\n"
			      "autoCreateTopicEnable=true\n"
			      "sendMessageThreadPoolNums=128\n"
			      "commercialEnable=true\n"
			      "messageDelayLevel=1s 5s 10s\n"), MQ_OK);
	assert_string_equal(s->brokerName, "broker-b");
	assert_int_equal(s->brokerId, 3);
	assert_string_equal(s->master, "10.0.0.1:10912");
	assert_string_equal(s->namesrvAddr, "10.0.0.1:9876;10.0.0.2:9876");
	assert_int_equal(s->mappedFileSizeConsumeQueue, 300000);
	assert_string_equal(s->storePathRootDir, "/data/rocketmq/store");
	assert_string_equal(s->messageDelayLevel, "1s 5s 10s");
	assert_true(s->autoCreateTopicEnable);
	assert_true(log_has("broker-b-s.properties:17: unknown setting 'sendMessageThreadPoolNums'"));
	assert_true(log_has("broker-b-s.properties:18: unknown setting 'commercialEnable'"));
	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_int_equal(settings_check(s), MQ_OK);
	assert_int_equal(s->brokerId, 3);
	assert_int_equal(s->haListenPort, 10922);
}

static void
properties_are_read_as_java_reads_them(void **state)
{
	static const char *const shapes[][2] = {
		{ "brokerName=a", "a" }, { "brokerName:a", "a" }, { "brokerName a", "a" },
		{ "  brokerName\t=\t a  ", "a" }, { "brokerName = = a", "= a" },
		{ "brokerName=a ; b # c", "a ; b # c" }, { "brokerName=", "" }, { "brokerName", "" },
		{ "broker\\\n   Name=a\\\r\n\t b", "ab" }, { "brokerName=a\\", "a" },
		{ "brokerName=a\\\\", "a\\" }, { "broker\\u004eame=a", "a" },
		{ "brokerName=\\u00e9\\u20ac", "\xc3\xa9\xe2\x82\xac" },
		{ "brokerName=C\\:\\=\\#\\!\\q", "C:=#!q" },
		{ "# no\\\nbrokerName=a", "a" }, { "brokerName=a\n#brokerName=b", "a" },
		{ "a\\ b=c\nbrokerName=a\\ ", "a" },
	};
	struct settings *s = *state;

	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		settings_set(s, "brokerName", "before", "test");
		assert_int_equal(load(s, "x.properties", shapes[i][0]), MQ_OK);
		assert_string_equal(s->brokerName, shapes[i][1]);
	}
}

static void
in_rocketmqs_file_bad_values_and_bytes_are_errors_too(void **state)
{
	static const char *const bad[][2] = {
		{ "brokerName=a\nlistenPort=x\n", "broker.conf:2: listenPort=x" },
		{ "listenPort=1\\\n2\\\nx\n", "broker.conf:3: listenPort=12x" },
		{ "brokerName=\\u12\n", "broker.conf:1: bad escape" },
		{ "brokerName=\\u0000\n", "broker.conf:1: bad escape" },
		{ "broker\\uzzzzName=a\n", "broker.conf:1: bad escape" },
		{ "brokerName=a\\nb\n", "broker.conf:1: brokerName=" },
		{ "\x02\x03\n", "broker.conf:1: control character" },
	};
	struct settings *s = *state;
	char many[3 * 2000];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(load(s, "broker.conf", bad[i][0]), MQ_EBADCONF);
		note_has(bad[i][1]);
	}
	memset(many, 'x', sizeof(many));
	for (size_t i = 1000; i < sizeof(many); i += 1000)
		memcpy(many + i - 2, "\\\n", 2);
	assert_int_equal(settings_load_text(s, "broker.conf", many, sizeof(many)), MQ_EBADCONF);
	note_has("more than 4096 bytes");
}

static void
a_file_is_rocketmqs_by_its_name_or_by_a_key_of_rocketmq(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "x/broker.conf", "noSuchKey=1"), MQ_OK);
	assert_int_equal(load(s, "x/broker-a.conf", "noSuchKey=1"), MQ_OK);
	assert_int_equal(load(s, "a.properties", "noSuchKey=1"), MQ_OK);
	assert_int_equal(load(s, "any", "brokerName=a\nregionId=h\nnoSuchKey=1"), MQ_OK);

	assert_int_equal(load(s, "mqfs.conf", "noSuchKey=1"), MQ_EBADCONF);
	assert_int_equal(load(s, "broker.conf/mqfs", "noSuchKey=1"), MQ_EBADCONF);
	assert_int_equal(load(s, "any", "#regionId=h\nnoSuchKey=1"), MQ_EBADCONF);
	assert_int_equal(load(s, "any", "[net]\nregionId=h\nnoSuchKey=1"), MQ_EBADCONF);
	note_has("any:3: unknown setting 'noSuchKey'");
}

/* --- files --- */

static void
a_broker_of_a_network_listens_as_rocketmqs_do(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "a.properties", "brokerName=a"), MQ_OK);
	assert_string_equal(s->listen, "none");
	assert_int_equal(load(s, "mqfs.conf", "namesrvAddr=h:1\nlistenPort=10911"), MQ_OK);
	assert_string_equal(s->listen, "none");
	assert_int_equal(load(s, "a.properties", "namesrvAddr=h:1"), MQ_OK);
	assert_string_equal(s->listen, "0.0.0.0");
	assert_string_equal(s->haListen, "0.0.0.0");
	assert_int_equal(settings_set(s, "listen", "127.0.0.1", "-o"), MQ_OK);
	assert_int_equal(load(s, "broker.conf", "listenPort=10911"), MQ_OK);
	assert_string_equal(s->listen, "127.0.0.1");
}

static void
a_file_that_cannot_be_read_is_named(void **state)
{
	struct settings *s = *state;
	char dir[128], path[160];
	int fd;

	tree_make(dir, sizeof(dir), NULL, "settings");
	snprintf(path, sizeof(path), "%s/mqfs.conf", dir);
	assert_int_equal(settings_load(s, path), -ENOENT);
	assert_non_null(strstr(err_text(-ENOENT), path));
	assert_int_equal(settings_load(s, dir), -EISDIR);

	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_int_equal(write(fd, "brokerName=x\n", 13), 13);
	assert_int_equal(settings_load(s, path), MQ_OK);
	assert_string_equal(s->brokerName, "x");
	assert_int_equal(ftruncate(fd, (1 << 20) + 1), 0);
	assert_int_equal(settings_load(s, path), -EFBIG);
	assert_non_null(strstr(err_text(-EFBIG), path));
	close(fd);
	tree_remove(dir);
}

/* --- options --- */

static bool
mine(void *arg, const char *key, const char *value)
{
	char *seen = arg;

	if (strcmp(key, "conf") != 0 && strcmp(key, "nofail") != 0)
		return false;
	sprintf(seen + strlen(seen), "%s=%s;", key, value ? value : "-");
	return true;
}

static void
options_are_split_at_commas(void **state)
{
	struct settings *s = *state;
	char seen[64] = "";

	assert_int_equal(settings_set_options(s, ",broker_name=a\\,b\\\\c\\d,,conf=x=y,"
					      "autoCreateTopicEnable,nofail,ROLE=slave,"
					      "master=h:1,allow_other,", "-o", mine, seen), MQ_OK);
	assert_string_equal(s->brokerName, "a,b\\c\\d");
	assert_true(s->autoCreateTopicEnable);
	assert_int_equal(s->brokerRole, SLAVE);
	assert_int_equal(s->allowOther, ALLOW_OTHER_TRUE);
	assert_string_equal(seen, "conf=x=y;nofail=-;");
	assert_int_equal(settings_set_options(s, "", "-o", NULL, NULL), MQ_OK);
	*seen = '\0';
	assert_int_equal(settings_set_options(NULL, "role=master,conf=c", "-o", mine, seen), MQ_OK);
	assert_string_equal(seen, "conf=c;");
	assert_int_equal(settings_set_options(NULL, "rule=master", "-o", mine, seen), MQ_EBADCONF);
}

static void
an_option_of_nobody_is_refused(void **state)
{
	struct settings *s = *state;
	char seen[64] = "";

	assert_int_equal(settings_set_options(s, "conf=x,nofale,brokerName=a", "-o", mine, seen),
			 MQ_EBADCONF);
	note_has("-o: unknown setting 'nofale'");
	assert_string_equal(s->brokerName, "");
	assert_int_equal(settings_set_options(s, "conf=x", "-o", NULL, NULL), MQ_EBADCONF);
	assert_int_equal(settings_set_options(s, "listenPort", "-o", NULL, NULL), MQ_EBADCONF);
	note_has("listenPort=true");
}

/* --- the whole --- */

static void
what_depends_on_the_host_is_filled_in(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_true(strlen(s->brokerName) > 0);
	assert_int_equal(settings_set(s, "brokerIP1", s->brokerIP1, "test"), MQ_OK);
	assert_true(strlen(s->brokerIP1) > 0);
	assert_int_equal(s->haListenPort, 10912);
	assert_int_equal(s->allowOther, geteuid() == 0 ? ALLOW_OTHER_TRUE : ALLOW_OTHER_FALSE);
	assert_int_equal(settings_check(s), MQ_OK);
}

static void
what_was_given_stays(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_set_options(s, "brokerName=n,brokerIP1=192.0.2.1,haListenPort=7,"
					      "allowOther=false,brokerId=5,role=slave",
					      "-o", NULL, NULL), MQ_OK);
	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_string_equal(s->brokerName, "n");
	assert_string_equal(s->brokerIP1, "192.0.2.1");
	assert_int_equal(s->haListenPort, 7);
	assert_int_equal(s->allowOther, ALLOW_OTHER_FALSE);
	assert_int_equal(s->brokerId, 5);
}

static void
a_master_is_number_0_and_a_slave_is_not(void **state)
{
	struct settings *s = *state;

	s->brokerId = 3;
	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_int_equal(s->brokerId, 0);
	s->brokerRole = SLAVE;
	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_int_equal(s->brokerId, 1);
}

static void
what_does_not_go_together_is_refused(void **state)
{
	static const char *const bad[][3] = {
		{ "role=slave", "brokerRole", "master" },
		{ "mappedFileSizeCommitLog=4M,maxMessageSize=4190000", "maxMessageSize", "mappedFileSizeCommitLog" },
		{ "haListenPort=10911", "haListenPort", "listenPort" },
		{ "listenPort=65535", "haListenPort", "listenPort" },
		{ "tlsCert=/a,tlsKey=/b", "tlsCert", "tlsCa" },
		{ "tlsCa=/a", "tlsCa", "tlsCert" },
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct settings *s = *state;

		assert_int_equal(settings_set_options(s, bad[i][0], "-o", NULL, NULL), MQ_OK);
		assert_int_equal(settings_resolve(s), MQ_OK);
		assert_int_equal(settings_check(s), MQ_EBADCONF);
		note_has(bad[i][1]);
		note_has(bad[i][2]);
		done(state);
		fresh(state);
	}
}

static void
small_segments_make_the_longest_message_fit_and_say_so(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "broker.conf", "mappedFileSizeCommitLog=1048576\n"), MQ_OK);
	assert_int_equal(settings_resolve(s), MQ_OK);
	assert_int_equal(settings_check(s), MQ_OK);
	assert_in_range(s->maxMessageSize, 1000000, 1048576);
	assert_true(log_has("maxMessageSize is 10"));
}

static void
what_makes_another_kind_of_store_is_refused_by_name(void **state)
{
	static const char *const bad[] = {
		"enableDLegerCommitLog=true", "enableMultiDispatch=true", "storeType=defaultRocksDB",
		"configManagerVersion=v2", "timerRocksDBEnable=true", "transRocksDBEnable=true",
		"readOnlyCommitLogStorePaths=/a", "storePathCommitLog=/a,/b", "messageDelayLevel=1s five",
		"messageStorePlugIn=org.apache.rocketmq.tieredstore.TieredMessageStore", "forceVerifyPropCRC=true",
		"enableControllerMode=true", "authenticationEnabled=true", "authorizationEnabled=true",
	};
	static const char good[] = "enableDLegerCommitLog=false\nstoreType=default\nstorePathConsumeQueue=/x\n"
				   "storePathIndex=/x\nstorePathCommitLog=/a\nmessageDelayLevel=1s 2d\n";

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char key[64];

		snprintf(key, sizeof(key), "%.*s", (int)strcspn(bad[i], "="), bad[i]);
		assert_int_equal(load(*state, "broker.conf", bad[i]), MQ_EBADCONF);
		note_has(key);
	}
	assert_int_equal(load(*state, "broker.conf", good), MQ_OK);
}

static void
a_file_of_rocketmq_that_names_no_store_means_the_one_in_the_users_home(void **state)
{
	struct settings *s = *state;
	const struct passwd *user = getpwuid(getuid());
	char store[4096];

	snprintf(store, sizeof(store), "%s/store", user ? user->pw_dir : "");
	assert_int_equal(load(s, "broker.conf", "brokerName=a\nbindAddress=127.0.0.1\nlistenPort=10911\n"), MQ_OK);
	assert_string_equal(s->storePathRootDir, store);
	assert_string_equal(s->listen, "127.0.0.1");	/* not all addresses */
	assert_string_equal(s->haListen, "127.0.0.1");
	assert_int_equal(load(s, "broker.conf", "storePathRootDir=/srv/a\n"), MQ_OK);
	assert_string_equal(s->storePathRootDir, "/srv/a");
}

static void
a_file_of_ours_that_names_no_store_leaves_the_default(void **state)
{
	struct settings *s = *state;

	assert_int_equal(load(s, "mqfs.conf", "brokerName=a\n"), MQ_OK);
	assert_string_equal(s->storePathRootDir, "");
}

static void
the_smallest_segment_holds_small_messages(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_set_options(s, "mappedFileSizeCommitLog=64k,maxMessageSize=16k",
					      "-o", NULL, NULL), MQ_OK);
	assert_int_equal(settings_check(s), MQ_OK);
}

static void
a_mounted_broker_takes_live_changes_only(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_change(s, "flush_disk_type", "SYNC_FLUSH", "config"), MQ_OK);
	assert_int_equal(s->flushDiskType, SYNC_FLUSH);
	assert_int_equal(settings_change(s, "flushIntervalCommitLog", "1s", "config"), MQ_OK);
	assert_int_equal(s->flushIntervalCommitLog, 1000);
	assert_int_equal(settings_change(s, "autoCreateTopicEnable", "true", "config"), MQ_OK);
	assert_true(s->autoCreateTopicEnable);

	assert_int_equal(settings_change(s, "listenPort", "1", "config"), MQ_EBADCONF);
	assert_string_equal(err_text(MQ_EBADCONF), "config: listenPort cannot change while mounted");
	assert_int_equal(s->listenPort, 10911);
	assert_int_equal(settings_change(s, "brokerName", "x", "config"), MQ_EBADCONF);
	assert_int_equal(settings_change(s, "flushDiskTypes", "x", "config"), MQ_EBADCONF);
	note_has("nearest known is flushDiskType");
	assert_int_equal(settings_change(s, "flushDiskType", "x", "config"), MQ_EBADCONF);
	note_has("must be ASYNC_FLUSH or SYNC_FLUSH");
	assert_int_equal(s->flushDiskType, SYNC_FLUSH);
}

static void
a_live_change_that_does_not_go_together_changes_nothing(void **state)
{
	struct settings *s = *state;

	assert_int_equal(settings_set(s, "mappedFileSizeCommitLog", "8M", "-o"), MQ_OK);
	assert_int_equal(settings_change(s, "maxMessageSize", "8M", "config"), MQ_EBADCONF);
	note_has("mappedFileSizeCommitLog");
	assert_int_equal(s->maxMessageSize, 4 << 20);
}

static void
free_can_be_called_twice(void **state)
{
	settings_free(*state);
	settings_free(*state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		T(every_default_can_be_set_and_got),
		T(every_key_finds_its_own_row),
		T(defaults_are_rocketmqs_where_nothing_else_is_promised),
		T(a_key_is_found_whatever_its_case_and_underscores),
		T(short_and_older_names_find_the_same_row),
		T(help_has_every_key_that_is_ours),
		T(numbers_take_suffixes_of_their_unit),
		T(what_is_no_value_is_refused_and_changes_nothing),
		T(a_refusal_names_where_key_value_and_what_is_allowed),
		T(an_unknown_key_names_the_nearest_one),
		T(roles_have_short_names),
		T(what_has_no_effect_is_accepted_and_said),
		T(get_says_how_long_the_text_is),
		T(our_file_may_have_sections_and_comments),
		T(in_our_file_what_is_wrong_is_named_by_its_line),
		T(a_line_may_have_4096_bytes_and_no_more),
		T(a_rocketmq_brokers_file_is_taken_unchanged),
		T(a_rocketmq_slaves_file_with_everything_is_taken_unchanged),
		T(properties_are_read_as_java_reads_them),
		T(in_rocketmqs_file_bad_values_and_bytes_are_errors_too),
		T(a_file_is_rocketmqs_by_its_name_or_by_a_key_of_rocketmq),
		T(a_broker_of_a_network_listens_as_rocketmqs_do),
		T(a_file_that_cannot_be_read_is_named),
		T(options_are_split_at_commas),
		T(an_option_of_nobody_is_refused),
		T(what_depends_on_the_host_is_filled_in),
		T(what_was_given_stays),
		T(a_master_is_number_0_and_a_slave_is_not),
		T(what_does_not_go_together_is_refused),
		T(small_segments_make_the_longest_message_fit_and_say_so),
		T(what_makes_another_kind_of_store_is_refused_by_name),
		T(a_file_of_rocketmq_that_names_no_store_means_the_one_in_the_users_home),
		T(a_file_of_ours_that_names_no_store_leaves_the_default),
		T(the_smallest_segment_holds_small_messages),
		T(a_mounted_broker_takes_live_changes_only),
		T(a_live_change_that_does_not_go_together_changes_nothing),
		T(free_can_be_called_twice),
	};

	log_open("test", LOG_TO_STDERR, LOG_CRIT);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
