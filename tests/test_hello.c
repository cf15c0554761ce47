/* hello.c: what brokers say of themselves. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/values.h"
#include "repl/hello.h"

static struct epoch epochs[] = {
	{ .number = 1, .start = { 0 }, .id = "first epoch's id", .by = "this very store" },
	{ .number = 2, .start = { 4711 }, .id = "2nd epoch's id..", .by = "some other store" },
};

/* As it comes: parsed and packed by mqrepld, and read from that by the mount. */
static int
decode(const char *text, size_t len, struct hello *ret)
{
	AUTO_FREE char *packed = NULL;
	int rc = values_pack(text, len, &packed, &len);

	return rc == MQ_OK ? hello_decode(packed, len, ret) : rc;
}

static struct hello
some_hello(void)
{
	struct hello h = { .program = "mqfs 1.0", .cluster = "DefaultCluster", .broker_name = "a \"quoted\" name",
			   .role = "SLAVE", .trouble = "disk full", .broker_id = 3, .segment_bytes = 1 << 30,
			   .begin = { 1 << 30 }, .end = { 5000000000 }, .epochs = { epochs, 2 } };

	memcpy(h.store_id, "this very store", 16);
	memcpy(h.instance, "this very mount", 16);
	h.via.n = 2;
	memcpy(h.via.ids[0], "its very master", 16);
	memcpy(h.via.ids[1], "and that one's..", 16);
	h.unsynced = true;
	h.tail = (struct hello_tail){ { 4999990000 }, { 5000000000 }, 0xfffffffe };
	return h;
}

static void
what_is_said_is_heard(void **state)
{
	struct hello said = some_hello(), heard;
	size_t len;
	char *text = hello_encode(&said, &len);

	(void)state;
	assert_non_null(text);
	assert_int_equal(decode(text, len, &heard), MQ_OK);
	assert_string_equal(heard.program, said.program);
	assert_string_equal(heard.cluster, said.cluster);
	assert_string_equal(heard.broker_name, said.broker_name);
	assert_string_equal(heard.role, said.role);
	assert_string_equal(heard.trouble, said.trouble);
	assert_int_equal(heard.broker_id, 3);
	assert_int_equal(heard.segment_bytes, 1 << 30);
	assert_int_equal(heard.begin.byte, said.begin.byte);
	assert_int_equal(heard.end.byte, said.end.byte);
	assert_memory_equal(heard.store_id, said.store_id, 16);
	assert_int_equal(heard.epochs.n, 2);
	assert_memory_equal(heard.epochs.list, epochs, sizeof(epochs));
	assert_memory_equal(heard.instance, said.instance, 16);
	assert_int_equal(heard.via.n, 2);
	assert_memory_equal(heard.via.ids, said.via.ids, sizeof(said.via.ids));
	assert_true(heard.unsynced);
	assert_int_equal(heard.tail.from.byte, 4999990000);
	assert_int_equal(heard.tail.to.byte, 5000000000);
	assert_int_equal(heard.tail.crc, 0xfffffffe);
	hello_free(&heard);
	free(text);
}

#define ID "\"00112233445566778899aabbccddeeff\""
#define HELLO(version, begin, end, list) \
	"{\"v\":" version ",\"program\":\"p\",\"cluster\":\"c\",\"brokerName\":\"n\",\"brokerId\":1," \
	"\"role\":\"SLAVE\",\"storeId\":" ID ",\"segment\":4096,\"begin\":" begin ",\"end\":" end "," \
	"\"epochs\":" list "}"
#define WITH(more) "{" more "," HELLO_OPEN
#define HELLO_OPEN \
	"\"v\":1,\"program\":\"p\",\"cluster\":\"c\",\"brokerName\":\"n\",\"brokerId\":1,\"role\":\"SLAVE\"," \
	"\"storeId\":" ID ",\"segment\":4096,\"begin\":0,\"end\":0,\"epochs\":[]}"
#define EPOCH(number, start, id) "{\"epoch\":" number ",\"start\":" start ",\"id\":" id ",\"by\":" ID "}"

static void
what_is_not_known_yet_does_no_harm(void **state)
{
	static const char text[] = "{\"news\":{\"a\":[1]}," /* and then as always */
		"\"v\":1,\"program\":\"p\",\"cluster\":\"c\",\"brokerName\":\"n\",\"brokerId\":1,\"role\":\"SLAVE\","
		"\"storeId\":" ID ",\"segment\":4096,\"begin\":0,\"end\":0,\"epochs\":[]}";
	struct hello h;

	(void)state;
	assert_int_equal(decode(text, sizeof(text) - 1, &h), MQ_OK);
	assert_int_equal(h.epochs.n, 0);
	assert_string_equal(h.trouble, "");
	assert_int_equal(h.via.n, 0);
	assert_int_equal(h.tail.to.byte, 0);
	assert_false(h.unsynced);
	hello_free(&h);
}

#define FOUR ID "," ID "," ID "," ID
#define SIXTEEN FOUR "," FOUR "," FOUR "," FOUR

static void
what_cannot_be_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "[]", "{}", "null", "{\"v\":1}", "\xff",
		HELLO("2", "0", "0", "[]"),
		HELLO("1", "-1", "0", "[]"),
		HELLO("1", "2", "1", "[]"),
		HELLO("1", "\"0\"", "1", "[]"),
		HELLO("1", "0", "1", "{}"),
		HELLO("1", "0", "1", "[1]"),
		HELLO("1", "0", "1", "[" EPOCH("0", "0", ID) "]"),
		HELLO("1", "0", "1", "[" EPOCH("1", "-5", ID) "]"),
		HELLO("1", "0", "1", "[" EPOCH("1", "0", "\"00\"") "]"),
		HELLO("1", "0", "9", "[" EPOCH("2", "0", ID) "," EPOCH("1", "5", ID) "]"),
		WITH("\"instance\":\"00\""), WITH("\"instance\":7"),
		WITH("\"via\":{}"), WITH("\"via\":[1]"), WITH("\"via\":[\"0011\"]"),
		WITH("\"via\":[" SIXTEEN "," ID "]"),
		WITH("\"tail\":[]"), WITH("\"tail\":{\"from\":5,\"to\":5,\"crc\":1}"),
		WITH("\"tail\":{\"from\":-5,\"to\":5,\"crc\":1}"), WITH("\"tail\":{\"from\":0,\"to\":5,\"crc\":-1}"),
		WITH("\"tail\":{\"from\":0,\"to\":5,\"crc\":4294967296}"),
	};
	struct hello h;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (decode(texts[i], strlen(texts[i]), &h) != MQ_ECORRUPT)
			fail_msg("taken: %s", texts[i]);
}

static void
a_name_that_is_too_long_or_no_text_is_refused(void **state)
{
	struct hello h = some_hello(), heard;
	size_t len;
	char *text = hello_encode(&h, &len), *name = strstr(text, "DefaultCluster");

	(void)state;
	assert_int_equal(decode(text, len, &heard), MQ_OK);
	hello_free(&heard);
	memcpy(name, "De\\u000aCluster", 14);	/* a line of its own in the log */
	assert_int_equal(decode(text, len, &heard), MQ_ECORRUPT);
	free(text);
}

static void
who_follows_whom_is_told_on(void **state)
{
	struct hello h = some_hello();
	struct hello_via via;

	(void)state;
	assert_true(hello_is(&h, h.instance));
	assert_false(hello_follows(&h, h.instance));
	assert_true(hello_follows(&h, h.via.ids[1]));
	hello_via(&h, &via);
	assert_int_equal(via.n, 3);
	assert_memory_equal(via.ids[0], h.instance, 16);
	assert_memory_equal(via.ids[1], h.via.ids[0], 32);
	h.via.n = HELLO_VIA_MAX;		/* no row is longer */
	hello_via(&h, &via);
	assert_int_equal(via.n, HELLO_VIA_MAX);
}

static void
only_tails_of_the_same_bytes_can_differ(void **state)
{
	struct hello a = some_hello(), b = some_hello();

	(void)state;
	assert_false(hello_tails_differ(&a, &b));
	b.tail.crc++;
	assert_true(hello_tails_differ(&a, &b));
	b.tail.to.byte--;
	assert_false(hello_tails_differ(&a, &b));
	a.tail = b.tail = (struct hello_tail){ .crc = 0 };	/* nothing is said */
	a.tail.crc = 1;
	assert_false(hello_tails_differ(&a, &b));
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_heard),
		cmocka_unit_test(what_is_not_known_yet_does_no_harm),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(who_follows_whom_is_told_on),
		cmocka_unit_test(only_tails_of_the_same_bytes_can_differ),
		cmocka_unit_test(a_name_that_is_too_long_or_no_text_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
