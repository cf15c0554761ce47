/* Files of accounts, patterns of addresses, and what was signed. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "remoting/accounts_edit.h"
#include "remoting/accounts.h"
#include "remoting/tickets.h"
#include "tests/tree.h"

static bool
matches(const char *words, const char *address)
{
	struct whitelist w = { 0 };
	struct address a;
	bool has;

	assert_int_equal(whitelist_add(&w, words), MQ_OK);
	assert_true(address_parse(address, &a));
	has = whitelist_has(&w, &a);
	whitelist_clear(&w);
	return has;
}

static void
addresses_match_as_rocketmq_writes_them(void **state)
{
	static const struct {
		const char *words, *in, *out;
	} rows[] = {
		{ "10.1.2.3", "10.1.2.3:5000", "10.1.2.4" },
		{ "10.1.2.3,10.1.2.5", "10.1.2.5", "10.1.2.4" },
		{ "10.1.2.{3,7}", "10.1.2.7", "10.1.2.4" },
		{ "10.1.2.*", "10.1.2.255", "10.1.3.1" },
		{ "10.1.*.*", "10.1.77.1", "10.2.77.1" },
		{ "10.1.2-7.*", "10.1.7.1", "10.1.8.1" },
		{ "10.1.2.3-9", "10.1.2.9", "10.1.2.10" },
		{ "1050::5:600:300c:326b", "[1050:0:0:0:5:600:300c:326b]:80", "1050::5:600:300c:326c" },
		{ "1050::5:600:{1,2A}", "1050::5:600:2a", "1050::5:600:3" },
		{ "1050::0005:0600:300c:*", "1050::5:600:300c:ffff", "1050::5:600:300d:1" },
		{ "1050::5:600:1-200:*", "1050::5:600:200:1", "1050::5:600:201:1" },
		{ "1050::5:600:300c:1-200", "1050::5:600:300c:1ff", "1050::5:600:300c:201" },
		{ "fe80::*", "fe80::9", "fe80:1::9" },
	};
	struct address unclosed;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_true(matches(rows[i].words, rows[i].in));
		assert_false(matches(rows[i].words, rows[i].out));
	}
	assert_true(matches("*", "::1"));
	assert_true(matches("*.*.*.*", "10.0.0.1:1"));
	assert_false(matches(" ", "10.0.0.1"));
	assert_false(address_parse("[10.1.2.34", &unclosed));
	assert_int_equal(address_host_len("10.1.2.34:10912: closed the connection"), strlen("10.1.2.34"));
	assert_int_equal(address_host_len("[fe80::]:10912: closed the connection"), strlen("[fe80::]"));
	assert_int_equal(address_host_len("fe80::"), strlen("fe80::"));
}

static void
words_that_are_no_addresses_are_refused(void **state)
{
	static const char *const rows[] = {
		"10.1.2", "10.1.2.256", "10.1.2.3.4", "*.1.2.3", "10.1.2.7-3", "10.1.2.-3", "10.1.2.{3,x}", "{1,2}",
		"10.1.2{3}", "10.1.2.3,", "1050::*:5", "1050:*:5:*", "1:2:3", "1050::5:200-1", "host", "10.1.2.3-", ":*",
		"10.1.+2.*",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct whitelist w = { 0 };

		if (strcmp(rows[i], "10.1.2.3,") != 0)	/* RocketMQ passes over what is empty */
			assert_int_equal(whitelist_add(&w, rows[i]), MQ_EBADCONF);
		whitelist_clear(&w);
	}
}

static const char file[] =
	"globalWhiteRemoteAddresses:\n"
	"  - 10.10.103.*\n"
	"  - 192.168.0.*\n"
	"accounts:\n"
	"  - accessKey: RocketMQ\n"
	"    secretKey: 12345678\n"
	"    whiteRemoteAddress:\n"
	"    admin: false\n"
	"    defaultTopicPerm: DENY\n"
	"    defaultGroupPerm: SUB\n"
	"    topicPerms:\n"
	"      - topicA=DENY\n"
	"      - topicB=PUB|SUB\n"
	"      - topicC=SUB\n"
	"    groupPerms:\n"
	"      # the group should convert to retry topic\n"
	"      - groupA=DENY\n"
	"      - groupB=PUB|SUB\n"
	"    ours: [ kept ]\n"
	"  - accessKey: rocketmq2\n"
	"    secretKey: 12345678\n"
	"    whiteRemoteAddress: 192.168.1.*\n"
	"    admin: true\n"
	"    user: root\n";

static struct accounts *
parsed(const char *text, size_t len)
{
	struct accounts *a;

	assert_int_equal(accounts_parse(text, len, &a), MQ_OK);
	return a;
}

static void
the_file_says_who_may_do_what(void **state)
{
	struct accounts *all = parsed(file, strlen(file));
	const struct account *a = accounts_find(all, "RocketMQ"), *admin = accounts_find(all, "rocketmq2");

	(void)state;
	assert_int_equal(all->n, 2);
	assert_int_equal(all->white.n, 2);
	assert_null(accounts_find(all, "rocketmq"));
	assert_false(account_may(a, "topicA", ACCOUNT_PUB));
	assert_true(account_may(a, "topicB", ACCOUNT_PUB));
	assert_true(account_may(a, "topicC", ACCOUNT_SUB));
	assert_false(account_may(a, "topicC", ACCOUNT_PUB));
	assert_false(account_may(a, "other", ACCOUNT_SUB));
	assert_false(account_may(a, "%RETRY%groupA", ACCOUNT_SUB));
	assert_true(account_may(a, "%RETRY%groupC", ACCOUNT_SUB));
	assert_int_equal(a->user.number, 0);
	assert_true(admin->admin);
	assert_true(account_may(admin, "other", ACCOUNT_PUB));
	assert_int_not_equal(admin->user.number, 0);
	assert_int_equal(admin->user.uid, 0);
	accounts_unref(all);
}

#define ACCOUNT "accounts:\n- accessKey: abcdefg\n  secretKey: abcdefg\n  "

static void
a_file_that_is_no_good_says_why(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{ "", "holds nothing" },
		{ "# nothing\n", "holds nothing" },
		{ "- a\n", "holds nothing" },
		{ "a: b\naccounts: [ }", "line 2" },
		{ "accounts: word\n", "no list" },
		{ "accounts:\n- word\n", "no account" },
		{ "accounts:\n- accessKey: abcdef\n  secretKey: abcdefg\n", "longer than 6" },
		{ "accounts:\n- accessKey: abcdefg\n", "longer than 6" },
		{ ACCOUNT "whiteRemoteAddress: 10.1\n", "no address" },
		{ ACCOUNT "topicPerms: [ a ]\n", "topic:a" },
		{ ACCOUNT "groupPerms: [ a=PUB=SUB ]\n", "group:a" },
		{ ACCOUNT "user: no-such-user\n", "no user" },
		{ ACCOUNT "\n- accessKey: abcdefg\n  secretKey: abcdefg\n", "twice" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct accounts *a;

		assert_int_equal(accounts_parse(rows[i].text, strlen(rows[i].text), &a), MQ_EBADCONF);
		if (!strstr(err_text(MQ_EBADCONF), rows[i].why))
			fail_msg("%s: %s", rows[i].text, err_text(MQ_EBADCONF));
	}
}

/* As AclClientRPCHook lays it out; tests/interop has the real one. */
static void
signatures_are_those_of_rocketmq(void **state)
{
	json_t *ext = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "topic", "T", "AccessKey", "RocketMQ", "queueId", "3",
				"Signature", "no", "_UNIQUE_KEY_QUERY", "true", "mqfs.wants", "x");
	struct signer *s = signer_make("12345678");
	AUTO_FREE char *values = NULL;
	struct signed_part parts[2];
	size_t len;

	(void)state;
	values = signed_values(ext, &len);
	assert_int_equal(len, strlen("RocketMQ3T"));
	assert_memory_equal(values, "RocketMQ3T", len);
	parts[0] = (struct signed_part){ values, len };
	parts[1] = (struct signed_part){ "body", 4 };
	assert_true(signer_has_signed(s, parts, 2, "0/8gKdPXgFCrjw2kSOTNCvQg8js="));
	assert_false(signer_has_signed(s, parts, 1, "0/8gKdPXgFCrjw2kSOTNCvQg8js="));
	assert_false(signer_has_signed(s, parts, 2, ""));
	signer_free(s);
	json_decref(ext);
}

static void
a_change_keeps_what_it_does_not_know(void **state)
{
	const struct account_change put = { .access_key = "RocketMQ", .secret_key = "another1", .admin = "true",
					    .topic_perms = "topicD=PUB,topicE=SUB", .group_perms = "" };
	struct edited e, again;
	struct accounts *all;
	const struct account *a;

	(void)state;
	assert_int_equal(accounts_edit_put(file, strlen(file), &put, &e), MQ_OK);
	all = parsed(e.text, e.len);
	a = accounts_find(all, "RocketMQ");
	assert_string_equal(a->secret_key, "another1");
	assert_true(a->admin);
	assert_string_equal(a->topic_perm_text, "DENY");
	assert_int_equal(a->n_topic_perms, 2);
	assert_int_equal(a->n_group_perms, 0);
	assert_int_equal(all->n, 2);
	assert_int_equal(all->n_white_texts, 2);
	assert_int_equal(all->counter, 1);
	assert_non_null(strstr(e.text, "kept"));
	accounts_unref(all);
	assert_int_equal(accounts_edit_remove(e.text, e.len, "RocketMQ", &again), MQ_OK);
	free(e.text);
	assert_int_equal(accounts_edit_remove(again.text, again.len, "RocketMQ", &e), -ENOENT);
	all = parsed(again.text, again.len);
	assert_int_equal(all->n, 1);
	assert_int_equal(all->counter, 2);
	accounts_unref(all);
	free(again.text);
}

static void
a_change_makes_no_file_that_is_no_good(void **state)
{
	const struct account_change put = { .access_key = "new-account", .secret_key = "another1" };
	struct account_change bad = put;
	struct edited e;
	struct accounts *all;

	(void)state;
	bad.white_address = "10.1";
	assert_int_equal(accounts_edit_put(file, strlen(file), &bad, &e), MQ_EBADCONF);
	assert_int_equal(accounts_edit_white(file, strlen(file), "10.1", &e), MQ_EBADCONF);
	assert_int_equal(accounts_edit_put("", 0, &put, &e), MQ_OK);
	all = parsed(e.text, e.len);
	assert_non_null(accounts_find(all, "new-account"));
	accounts_unref(all);
	free(e.text);
	assert_int_equal(accounts_edit_white("", 0, "10.0.0.1,10.0.0.*", &e), MQ_OK);
	all = parsed(e.text, e.len);
	assert_int_equal(all->white.n, 2);
	accounts_unref(all);
	free(e.text);
}

static void
a_ticket_is_good_once_for_its_code(void **state)
{
	static struct tickets t;
	struct permit leave = { .accounts = parsed(file, strlen(file)) }, got;
	uint64_t number;
	char text[32];

	(void)state;
	assert_int_equal(tickets_give(&t, 17, &leave, &number), MQ_OK);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	assert_null(leave.accounts);
	assert_false(tickets_take(&t, 18, text, &got));
	assert_false(tickets_take(&t, 17, "0", &got));
	assert_false(tickets_take(&t, 17, NULL, &got));
	assert_true(tickets_take(&t, 17, text, &got));
	assert_false(tickets_take(&t, 17, text, &got));
	assert_int_equal(tickets_give(&t, 17, &got, &number), MQ_OK);
	for (int i = 0; i < TICKETS; i++) {
		leave = (struct permit){ 0 };
		assert_int_equal(tickets_give(&t, 17, &leave, &number), MQ_OK);
	}
	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	assert_true(tickets_take(&t, 17, text, &got));
	tickets_clear(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_match_as_rocketmq_writes_them),
		cmocka_unit_test(words_that_are_no_addresses_are_refused),
		cmocka_unit_test(the_file_says_who_may_do_what),
		cmocka_unit_test(a_file_that_is_no_good_says_why),
		cmocka_unit_test(signatures_are_those_of_rocketmq),
		cmocka_unit_test(a_change_keeps_what_it_does_not_know),
		cmocka_unit_test(a_change_makes_no_file_that_is_no_good),
		cmocka_unit_test(a_ticket_is_good_once_for_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
