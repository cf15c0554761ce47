#include "config.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "store/record.h"
#include "store/record_json.h"
#include "tests/vectors.h"

static struct message
vector_message(void)
{
	return (struct message){
		.body = "hello ", .body_len = 6, .body2 = "rocket", .body2_len = 6,
		.topic = "OrderTopic", .topic_len = 10,
		.props = VECTOR_PROPS, .props_len = sizeof(VECTOR_PROPS) - 1,
		.queue_id = 2, .born_ms = VECTOR_BORN_MS,
		.born = { .addr = { 10, 0, 0, 9 }, .port = 51000 },
		.stored = { .addr = { 10, 0, 0, 1 }, .port = 10911 },
	};
}

/* The vector as a record of version 2. */
static void
vector_as_v2(unsigned char *buf)
{
	size_t at = VECTOR_TOPIC_LENGTH_AT;

	memcpy(buf, vector_record, at);
	buf[at] = 0;
	memcpy(buf + at + 1, vector_record + at, sizeof(vector_record) - at);
	be32_put(buf, sizeof(vector_record) + 1);
	be32_put(buf + 4, RECORD_MAGIC_V2);
}

static void
assert_is_vector(const struct record *rec)
{
	assert_int_equal(rec->body_crc, 0x3c89e19b);
	assert_int_equal(rec->queue_id, 2);
	assert_int_equal(rec->flag, 0);
	assert_int_equal(rec->sysflag, 0);
	assert_int_equal(rec->qoff.n, VECTOR_QOFF);
	assert_int_equal(rec->pos.byte, VECTOR_POS);
	assert_int_equal(rec->born_ms, VECTOR_BORN_MS);
	assert_int_equal(rec->store_ms, VECTOR_STORE_MS);
	assert_false(rec->born.v6 || rec->stored.v6);
	assert_memory_equal(rec->born.addr, "\x0a\0\0\x09", 4);
	assert_int_equal(rec->born.port, 51000);
	assert_memory_equal(rec->stored.addr, "\x0a\0\0\x01", 4);
	assert_int_equal(rec->stored.port, 10911);
	assert_int_equal(rec->reconsume_times, 0);
	assert_int_equal(rec->prepared.byte, 0);
	assert_int_equal(rec->body_len, 12);
	assert_memory_equal(rec->body, "hello rocket", 12);
	assert_int_equal(rec->topic_len, 10);
	assert_memory_equal(rec->topic, "OrderTopic", 10);
	assert_int_equal(rec->props_len, sizeof(VECTOR_PROPS) - 1);
	assert_memory_equal(rec->props, VECTOR_PROPS, sizeof(VECTOR_PROPS) - 1);
}

/* --- decoding and encoding ----------------------------------------------------- */

static void
what_rocketmq_wrote_is_read(void **state)
{
	unsigned char v2[sizeof(vector_record) + 1];
	struct record rec;

	(void)state;
	assert_int_equal(record_decode(vector_record, sizeof(vector_record), &rec), MQ_OK);
	assert_int_equal(rec.total, sizeof(vector_record));
	assert_int_equal(rec.magic, RECORD_MAGIC);
	assert_is_vector(&rec);
	vector_as_v2(v2);
	assert_int_equal(record_decode(v2, sizeof(v2), &rec), MQ_OK);
	assert_int_equal(rec.total, sizeof(v2));
	assert_int_equal(rec.magic, RECORD_MAGIC_V2);
	assert_is_vector(&rec);
}

static void
what_we_write_is_what_rocketmq_writes(void **state)
{
	struct message m = vector_message();
	unsigned char buf[sizeof(vector_record)];

	(void)state;
	assert_int_equal(record_size(&m), sizeof(vector_record));
	memset(buf, 0xee, sizeof(buf));
	record_encode(&m, buf);
	assert_int_equal(be64_get(buf + RECORD_QUEUEOFFSET_AT), 0);
	assert_int_equal(be64_get(buf + RECORD_PHYSICALOFFSET_AT), 0);
	assert_int_equal(be64_get(buf + RECORD_STORETIMESTAMP_AT), 0);
	be64_put(buf + RECORD_QUEUEOFFSET_AT, VECTOR_QOFF);
	be64_put(buf + RECORD_PHYSICALOFFSET_AT, VECTOR_POS);
	be64_put(buf + RECORD_STORETIMESTAMP_AT, VECTOR_STORE_MS);
	assert_memory_equal(buf, vector_record, sizeof(buf));
	assert_memory_equal(buf + RECORD_BODY_AT, "hello rocket", 12);
}

static void
hosts_of_ipv6_say_so_in_the_sysflag(void **state)
{
	struct message m = vector_message();
	unsigned char buf[256];
	struct record rec;

	(void)state;
	m.born = (struct host){ .addr = { [15] = 1 }, .v6 = true, .port = 80 };
	m.sysflag = SYSFLAG_STOREHOST_V6 | SYSFLAG_COMPRESSED;	/* the hosts decide, not the caller */
	assert_int_equal(record_size(&m), sizeof(vector_record) + 12);
	record_encode(&m, buf);
	assert_int_equal(record_decode(buf, sizeof(buf), &rec), MQ_OK);
	assert_int_equal(rec.sysflag, SYSFLAG_BORNHOST_V6 | SYSFLAG_COMPRESSED);
	assert_true(rec.born.v6 && !rec.stored.v6);
	assert_memory_equal(rec.born.addr, m.born.addr, 16);
	assert_int_equal(rec.born.port, 80);

	m.stored = (struct host){ .addr = { 0x20, 0x01 }, .v6 = true, .port = 10911 };
	assert_int_equal(record_size(&m), sizeof(vector_record) + 24);
	record_encode(&m, buf);
	assert_int_equal(record_decode(buf, sizeof(buf), &rec), MQ_OK);
	assert_true(rec.born.v6 && rec.stored.v6);
	assert_memory_equal(rec.stored.addr, m.stored.addr, 16);
	assert_int_equal(rec.stored.port, 10911);
	assert_memory_equal(rec.body, "hello rocket", 12);
}

static void
an_empty_message_takes_91_bytes(void **state)
{
	struct message m = { .queue_id = 0 };
	unsigned char buf[RECORD_MIN_BYTES];
	struct record rec;

	(void)state;
	assert_int_equal(record_size(&m), RECORD_MIN_BYTES);
	record_encode(&m, buf);
	assert_int_equal(record_decode(buf, sizeof(buf), &rec), MQ_OK);
	assert_int_equal(rec.body_len + rec.topic_len + rec.props_len, 0);
	assert_int_equal(rec.body_crc, 0);
}

static void
the_longest_topic_and_properties_come_back(void **state)
{
	static char topic[RECORD_TOPIC_MAX], props[RECORD_PROPS_MAX];
	struct message m = {
		.topic = topic, .topic_len = sizeof(topic), .props = props, .props_len = sizeof(props),
	};
	unsigned char *buf = malloc(record_size(&m));
	struct record rec;

	(void)state;
	assert_non_null(buf);
	memset(topic, 't', sizeof(topic));
	memset(props, 'p', sizeof(props));
	record_encode(&m, buf);
	assert_int_equal(record_decode(buf, record_size(&m), &rec), MQ_OK);
	assert_int_equal(rec.topic_len, sizeof(topic));
	assert_memory_equal(rec.props, props, sizeof(props));
	free(buf);
}

static void
a_record_that_is_not_all_there_asks_for_more(void **state)
{
	struct record rec;

	(void)state;
	for (size_t len = 0; len < sizeof(vector_record); len++) {
		unsigned char *part = malloc(len ? len : 1);	/* not a byte more */

		assert_non_null(part);
		memcpy(part, vector_record, len);
		rec.total = -1;
		assert_int_equal(record_decode(part, len, &rec), MQ_EEND);
		assert_int_equal(rec.total, len < 8 ? 0 : (int)sizeof(vector_record));
		free(part);
	}
}

static void
a_blank_record_says_how_long_it_is(void **state)
{
	unsigned char blank[8];
	struct record rec;

	(void)state;
	assert_int_equal(record_decode(vector_blank_at_4000, 8, &rec), MQ_EBLANK);
	assert_int_equal(rec.total, 96);
	assert_int_equal(record_decode(vector_blank_at_4088, 8, &rec), MQ_EBLANK);
	assert_int_equal(rec.total, 8);
	memcpy(blank, vector_blank_at_4088, 8);
	be32_put(blank, 7);
	assert_int_equal(record_decode(blank, 8, &rec), MQ_ECORRUPT);
	be32_put(blank, -1);
	assert_int_equal(record_decode(blank, 8, &rec), MQ_ECORRUPT);
}

/* The vector with one field changed. */
static int
decode_with(size_t at, int32_t value)
{
	unsigned char buf[sizeof(vector_record) + 32] = { 0 };
	struct record rec = { .queue_id = 77 };
	int rc;

	memcpy(buf, vector_record, sizeof(vector_record));
	be32_put(buf + at, value);
	rc = record_decode(buf, sizeof(buf), &rec);
	if (rc != MQ_OK)
		assert_int_equal(rec.queue_id, 77);	/* untouched */
	return rc;
}

static void
a_record_with_lengths_that_disagree_is_corrupt(void **state)
{
	static const size_t total_at = 0, body_len_at = 84;
	static const int32_t magics[] = { 0, 1, -1, RECORD_MAGIC + 1, RECORD_MAGIC_V2 };

	(void)state;
	assert_int_equal(decode_with(total_at, sizeof(vector_record)), MQ_OK);
	assert_int_equal(decode_with(total_at, sizeof(vector_record) + 1), MQ_ECORRUPT);
	assert_int_equal(decode_with(total_at, sizeof(vector_record) - 1), MQ_ECORRUPT);
	assert_int_equal(decode_with(total_at, RECORD_MIN_BYTES - 1), MQ_ECORRUPT);
	assert_int_equal(decode_with(total_at, 0), MQ_ECORRUPT);
	assert_int_equal(decode_with(total_at, -1), MQ_ECORRUPT);
	assert_int_equal(decode_with(total_at, INT32_MIN), MQ_ECORRUPT);
	assert_int_equal(decode_with(body_len_at, 11), MQ_ECORRUPT);
	assert_int_equal(decode_with(body_len_at, 13), MQ_ECORRUPT);
	assert_int_equal(decode_with(body_len_at, -1), MQ_ECORRUPT);
	assert_int_equal(decode_with(body_len_at, INT32_MAX), MQ_ECORRUPT);
	assert_int_equal(decode_with(12, -1), MQ_ECORRUPT);	/* QUEUEID */
	assert_int_equal(decode_with(36, SYSFLAG_BORNHOST_V6), MQ_ECORRUPT);
	assert_int_equal(decode_with(36, SYSFLAG_STOREHOST_V6), MQ_ECORRUPT);
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
		assert_int_equal(decode_with(4, magics[i]), MQ_ECORRUPT);
}

static void
a_negative_length_of_topic_or_properties_is_corrupt(void **state)
{
	unsigned char buf[sizeof(vector_record)];
	struct record rec;
	size_t props_at = VECTOR_TOPIC_LENGTH_AT + 11;

	(void)state;
	memcpy(buf, vector_record, sizeof(buf));
	buf[VECTOR_TOPIC_LENGTH_AT] = 0xff;
	assert_int_equal(record_decode(buf, sizeof(buf), &rec), MQ_ECORRUPT);
	memcpy(buf, vector_record, sizeof(buf));
	buf[props_at] = 0xff;
	assert_int_equal(record_decode(buf, sizeof(buf), &rec), MQ_ECORRUPT);
}

static void
any_changed_bit_is_refused_or_lies_outside_of_what_is_checked(void **state)
{
	unsigned char buf[sizeof(vector_record)];
	struct record rec;

	(void)state;
	for (size_t bit = 0; bit < 8 * sizeof(buf); bit++) {
		size_t at = bit / 8;
		bool body = at >= RECORD_BODY_AT && at < RECORD_BODY_AT + 12;
		bool place = at >= RECORD_PHYSICALOFFSET_AT && at < RECORD_PHYSICALOFFSET_AT + 8;
		int rc;

		memcpy(buf, vector_record, sizeof(buf));
		buf[at] ^= (unsigned char)(1u << bit % 8);
		rc = record_verify(buf, sizeof(buf), MQ_POS(VECTOR_POS), &rec);
		if (at < 12 || body || place)
			assert_true(rc == MQ_ECORRUPT || (rc == MQ_EEND && at < 4));
	}
}

static void
a_record_in_another_place_is_not_verified(void **state)
{
	struct record rec = { .total = -1 };
	size_t len = sizeof(vector_record);

	(void)state;
	assert_int_equal(record_verify(vector_record, len, MQ_POS(VECTOR_POS), &rec), MQ_OK);
	assert_is_vector(&rec);
	assert_int_equal(record_verify(vector_record, len, MQ_POS(0), &rec), MQ_ECORRUPT);
	assert_int_equal(record_verify(vector_record, len, MQ_POS(VECTOR_POS + (1LL << 32)), &rec), MQ_ECORRUPT);
	assert_int_equal(record_verify(vector_record, 100, MQ_POS(VECTOR_POS), &rec), MQ_EEND);
	assert_int_equal(rec.total, sizeof(vector_record));
	assert_int_equal(record_verify(vector_blank_at_4000, 8, MQ_POS(4000), &rec), MQ_EBLANK);
	assert_int_equal(rec.total, 96);
}

static void
a_crc_has_no_sign(void **state)
{
	(void)state;
	assert_int_equal(record_crc("a", 1), 0x68b7be43);	/* crc32 is 0xe8b7be43 */
	assert_int_equal(record_crc("hello rocket", 12), 0x3c89e19b);
	assert_int_equal(record_crc("", 0), 0);
}

/* --- properties ------------------------------------------------------------------- */

/* All properties as "name=value;". */
static const char *
walked(const char *props, size_t len)
{
	static char out[256];
	const char *name, *value;
	size_t name_len, value_len, cursor = 0, n = 0;

	out[0] = '\0';
	while (record_property_next(props, len, &cursor, &name, &name_len, &value, &value_len)) {
		assert_true(n + name_len + value_len + 3 < sizeof(out));
		memcpy(out + n, name, name_len);
		n += name_len;
		out[n++] = '=';
		memcpy(out + n, value, value_len);
		n += value_len;
		out[n++] = ';';
		out[n] = '\0';
	}
	return out;
}

#define WALKED(props) walked(props, sizeof(props) - 1)

static void
properties_are_found_with_and_without_a_last_separator(void **state)
{
	size_t len = 0;

	(void)state;
	assert_string_equal(WALKED(VECTOR_PROPS), "TAGS=TagA;KEYS=k1;UNIQ_KEY=" VECTOR_UNIQ_KEY ";");
	assert_string_equal(WALKED("a\0011\2b\0012\2"), "a=1;b=2;");
	assert_string_equal(WALKED(""), "");
	assert_memory_equal(record_property(VECTOR_PROPS, sizeof(VECTOR_PROPS) - 1, "KEYS", &len), "k1", 2);
	assert_int_equal(len, 2);
	assert_null(record_property(VECTOR_PROPS, sizeof(VECTOR_PROPS) - 1, "KEY", &len));
	assert_null(record_property(VECTOR_PROPS, sizeof(VECTOR_PROPS) - 1, "KEYSS", &len));
	assert_int_equal(len, 2);
}

static void
entries_that_rocketmq_drops_are_dropped(void **state)
{
	(void)state;
	assert_string_equal(WALKED("\2\2a\1b\2\2"), "a=b;");
	/* shorter than 3 */
	assert_string_equal(WALKED("ab\2a\1\2\1a\2a\1b"), "a=b;");
	/* no value, no separator, no name */
	assert_string_equal(WALKED("abc\1\2name\2\1abc\2a\1b"), "a=b;");
	/* the first separator parts */
	assert_string_equal(WALKED("a\1b\1c\2"), "a=b\1c;");
	assert_string_equal(WALKED("a\1b\2" "a\1c"), "a=b;a=c;");
}

/* --- hashes and ids ----------------------------------------------------------------- */

static void
tags_hash_as_in_java(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vector_tags) / sizeof(vector_tags[0]); i++) {
		const char *tag = vector_tags[i].tag;

		assert_int_equal(record_tags_code(tag, strlen(tag)), vector_tags[i].code);
	}
}

static void
a_hash_goes_on_where_another_ended(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vector_index) / sizeof(vector_index[0]); i++) {
		const char *key = vector_index[i].key;
		int32_t h = java_hash(key, 11, 0);

		assert_int_equal(java_hash(key, strlen(key), 0), vector_index[i].hash);
		assert_int_equal(java_hash(key + 11, strlen(key) - 11, h), vector_index[i].hash);
	}
}

static void
characters_beyond_the_first_plane_hash_as_surrogate_pairs(void **state)
{
	(void)state;
	/* 31 * high + low */
	assert_int_equal(java_hash("\xf0\x9f\x9a\x80", 4, 0), 31 * 0xd83d + 0xde80);
	assert_int_equal(java_hash("\xf0\x90\x80\x80", 4, 0), 31 * 0xd800 + 0xdc00);
	assert_int_equal(java_hash("\xf4\x8f\xbf\xbf", 4, 0), 31 * 0xdbff + 0xdfff);
	assert_int_equal(java_hash("\xef\xbf\xbf", 3, 0), 0xffff);
	assert_int_equal(java_hash("\xc3\xa9", 2, 0), 0xe9);
	assert_int_equal(java_hash("\xff", 1, 0), 0xfffd);
}

static void
a_message_id_is_the_store_host_and_the_place(void **state)
{
	struct host host = { .addr = { 10, 0, 0, 1 }, .port = 10911 };
	mq_pos pos = MQ_POS(-1);
	char id[57];

	(void)state;
	record_msg_id(&host, MQ_POS(VECTOR_POS), id);
	assert_string_equal(id, VECTOR_MSG_ID);
	assert_int_equal(record_parse_msg_id(id, &pos), MQ_OK);
	assert_int_equal(pos.byte, VECTOR_POS);
	for (char *c = id; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	assert_int_equal(record_parse_msg_id(id, &pos), MQ_OK);
	assert_int_equal(pos.byte, VECTOR_POS);

	host = (struct host){ .addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 0xff }, .v6 = true, .port = 10911 };
	record_msg_id(&host, MQ_POS(INT64_MAX), id);
	assert_string_equal(id, "20010DB80000000000000000000000FF00002A9F7FFFFFFFFFFFFFFF");
	assert_int_equal(record_parse_msg_id(id, &pos), MQ_OK);
	assert_int_equal(pos.byte, INT64_MAX);
}

static void
what_is_no_message_id_is_refused(void **state)
{
	static const char *const ids[] = {
		"", "0", "0A00000100002A9F000000000000040", "0A00000100002A9F00000000000004000",
		"0A00000100002A9F000000000000040G", "0A00000100002A9F8000000000000000",
		"0A00000100002A9F000000000000 400", "0A00000100002A9F00000000000004000A00000100002A9F",
	};
	mq_pos pos = MQ_POS(77);

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_int_equal(record_parse_msg_id(ids[i], &pos), MQ_ECORRUPT);
	assert_int_equal(pos.byte, 77);
}

static void
a_delayed_message_is_due_as_the_levels_say(void **state)
{
	static const char topic[] = "SCHEDULE_TOPIC_XXXX", props[] = "DELAY\0013\002", far[] = "DELAY\00199\002";
	size_t len = sizeof(topic) - 1;
	enum record_due due;

	(void)state;
	assert_int_equal(record_code(topic, len, props, sizeof(props) - 1, &due), 10000);
	assert_int_equal(record_code(topic, len, far, sizeof(far) - 1, &due), 7200000);
	record_delays_are("2s 3m 4h 5d");
	assert_int_equal(record_code(topic, len, props, sizeof(props) - 1, &due), 4 * 3600000);
	assert_int_equal(record_code(topic, len, far, sizeof(far) - 1, &due), 5 * 86400000);
	assert_int_equal(record_code("another", 7, props, sizeof(props) - 1, &due), 0);
}

static void
json_says_how_a_body_was_packed_and_where_its_half_message_is(void **state)
{
	struct record rec = { .body = "x", .body_len = 1, .topic = "t", .topic_len = 1, .props = "" };
	char text[1024];
	size_t n;

	(void)state;
	n = record_json_render(&rec, 0, text, sizeof(text) - 1);
	text[n] = '\0';
	assert_null(strstr(text, "packed"));
	assert_null(strstr(text, "prepared"));
	rec.packed = "zlib";
	rec.prepared = MQ_POS(77);
	n = record_json_render(&rec, 0, text, sizeof(text) - 1);
	text[n] = '\0';
	assert_non_null(strstr(text, ",\"packed\":\"zlib\",\"preparedTransactionOffset\":77}\n"));
	assert_int_equal(n, record_json_length(&rec));
}

/* How JSON has an ASCII character. */
static void
escaped(unsigned char byte, char *ret, size_t size)
{
	static const char of[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
	const char *found = byte ? strchr(of, byte) : NULL;

	if (found)
		snprintf(ret, size, "\\%c", letters[found - of]);
	else if (byte < 0x20)
		snprintf(ret, size, "\\u%04x", byte);
	else
		snprintf(ret, size, "%c", byte);
}

/* Eight bytes are looked at together. */
static void
json_escapes_a_character_wherever_it_stands(void **state)
{
	char body[24], text[1000], want[100], c[8];
	struct record rec = { .topic = "t", .topic_len = 1, .props = "", .body = body, .body_len = sizeof(body) };

	(void)state;
	for (unsigned char byte = 0; byte < 0x80; byte++)
		for (int at = 0; at < (int)sizeof(body); at++) {
			int len;

			escaped(byte, c, sizeof(c));
			memset(body, '!', sizeof(body));
			len = snprintf(want, sizeof(want), "{\"body\":\"%.*s%s%.*s\"", at, body, c,
				       (int)sizeof(body) - at - 1, body);
			body[at] = (char)byte;
			assert_true(record_json_render(&rec, 0, text, sizeof(text)) > (size_t)len);
			assert_memory_equal(text, want, (size_t)len);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_rocketmq_wrote_is_read),
		cmocka_unit_test(what_we_write_is_what_rocketmq_writes),
		cmocka_unit_test(hosts_of_ipv6_say_so_in_the_sysflag),
		cmocka_unit_test(an_empty_message_takes_91_bytes),
		cmocka_unit_test(the_longest_topic_and_properties_come_back),
		cmocka_unit_test(a_record_that_is_not_all_there_asks_for_more),
		cmocka_unit_test(a_blank_record_says_how_long_it_is),
		cmocka_unit_test(a_record_with_lengths_that_disagree_is_corrupt),
		cmocka_unit_test(a_negative_length_of_topic_or_properties_is_corrupt),
		cmocka_unit_test(any_changed_bit_is_refused_or_lies_outside_of_what_is_checked),
		cmocka_unit_test(a_record_in_another_place_is_not_verified),
		cmocka_unit_test(a_crc_has_no_sign),
		cmocka_unit_test(properties_are_found_with_and_without_a_last_separator),
		cmocka_unit_test(entries_that_rocketmq_drops_are_dropped),
		cmocka_unit_test(tags_hash_as_in_java),
		cmocka_unit_test(a_hash_goes_on_where_another_ended),
		cmocka_unit_test(characters_beyond_the_first_plane_hash_as_surrogate_pairs),
		cmocka_unit_test(a_message_id_is_the_store_host_and_the_place),
		cmocka_unit_test(what_is_no_message_id_is_refused),
		cmocka_unit_test(a_delayed_message_is_due_as_the_levels_say),
		cmocka_unit_test(json_escapes_a_character_wherever_it_stands),
		cmocka_unit_test(json_says_how_a_body_was_packed_and_where_its_half_message_is),
	};

	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
