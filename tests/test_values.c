/* values.c: what a JSON text says, as bytes with their lengths. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "net/values.h"

#define ROOM ((size_t)1 << 20)

static int
take_text(const char *text, size_t room, json_t **ret)
{
	AUTO_FREE char *packed = NULL;
	size_t len;

	assert_int_equal(values_pack(text, strlen(text), &packed, &len), MQ_OK);
	return values_take(packed, len, room, ret);
}

static void
what_a_text_says_comes_across(void **state)
{
	static const char text[] = "{\"null\":null,\"no\":false,\"yes\":true,\"least\":-9223372036854775808,"
		"\"real\":0.1,\"\":\"\",\"text\":\"\\u00fc \\\"\",\"list\":[1,[],{}],\"table\":{\"a\":{\"b\":2}}}";
	json_t *taken, *wanted = json_loads(text, 0, NULL);

	(void)state;
	assert_int_equal(take_text(text, ROOM, &taken), MQ_OK);
	assert_true(json_equal(taken, wanted));
	json_decref(taken);
	json_decref(wanted);
}

static void
numbers_may_be_names_as_fastjson_prints_them(void **state)
{
	json_t *taken;

	(void)state;
	assert_int_equal(take_text("{\"offsetTable\":{\"T@G\":{0:12,1:7}}}", ROOM, &taken), MQ_OK);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(json_object_get(taken, "offsetTable"), "T@G"),
							    "1")), 7);
	json_decref(taken);
}

static void
a_text_that_is_no_object_is_not_packed(void **state)
{
	static const char *const texts[] = { "", "{", "[]", "7", "null", "{\"a\":}", "{} x", "\xff" };
	char *packed;
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (values_pack(texts[i], strlen(texts[i]), &packed, &len) != MQ_ECORRUPT)
			fail_msg("packed: %s", texts[i]);
}

#define BYTES(...) { (const unsigned char[]){ __VA_ARGS__ }, sizeof((const unsigned char[]){ __VA_ARGS__ }) }

static void
bytes_that_nobody_packs_are_refused(void **state)
{
	const struct {
		const unsigned char *at;
		size_t len;
	} bad[] = {
		{ (const unsigned char *)"", 0 },
		BYTES(0),					/* no table outside */
		BYTES(6, 0, 0, 0, 0),
		BYTES(8),					/* no such kind */
		BYTES(255),
		BYTES(7, 0, 0, 0),				/* cut off */
		BYTES(7, 0, 0, 0, 1),
		BYTES(7, 0, 0, 0, 0, 0),			/* something behind it */
		BYTES(7, 255, 255, 255, 255),			/* fewer than none */
		BYTES(7, 127, 255, 255, 255, 0),		/* more than can be */
		BYTES(7, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 3, 0, 0),	/* half a number */
		BYTES(7, 0, 0, 0, 1, 0, 0, 0, 9, 'a', 0),	/* a name that is longer than all of it */
		BYTES(7, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0),		/* with a NUL */
		BYTES(7, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0),	/* that is no UTF-8 */
		BYTES(7, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 5, 0, 0, 0, 1, 0xc3),
		BYTES(7, 0, 0, 0, 2, 0, 0, 0, 1, 'a', 0, 0, 0, 0, 1, 'a', 0),	/* one name twice */
		BYTES(7, 0, 0, 0, 1, 0, 0, 0, 1, 'a', 4, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0),	/* infinity */
	};
	json_t *taken;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (values_take(bad[i].at, bad[i].len, ROOM, &taken) != MQ_ECORRUPT)
			fail_msg("taken: number %zu", i);
}

/* Five bytes each ask for hundreds. */
static void
memory_is_bounded_and_so_is_depth(void **state)
{
	enum { LISTS = 1 << 20 };
	AUTO_FREE unsigned char *many = calloc(LISTS + 1, 5), *deep = calloc(1000, 5);
	json_t *taken;

	(void)state;
	memcpy(many, "\7\0\0\0\1" "\0\0\0\1a" "\6\0\x0f\xff\0", 15);
	for (size_t i = 15; i < 5 * LISTS; i += 5)
		many[i] = 7;
	assert_int_equal(values_take(many, 5 * LISTS, ROOM, &taken), MQ_ECORRUPT);
	memcpy(deep, "\7\0\0\0\1" "\0\0\0\1a", 10);
	for (size_t i = 10; i < 5000; i += 5)
		memcpy(deep + i, "\6\0\0\0\1", 5);
	assert_int_equal(values_take(deep, 5000, ROOM, &taken), MQ_ECORRUPT);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_text_says_comes_across),
		cmocka_unit_test(numbers_may_be_names_as_fastjson_prints_them),
		cmocka_unit_test(a_text_that_is_no_object_is_not_packed),
		cmocka_unit_test(bytes_that_nobody_packs_are_refused),
		cmocka_unit_test(memory_is_bounded_and_so_is_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
