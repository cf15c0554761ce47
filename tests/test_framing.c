#include "config.h"

#include <errno.h>
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
#include "fs/framing.h"
#include "store/base64.h"

#define ROUNDS 300
#define MAX_BODY 64

/* The same numbers at every run. */
static uint32_t
any_below(uint32_t n)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % n;
}

/* Messages that came out, each with a '|' behind it. */
struct got {
	char text[1 << 16];
	size_t len;
	size_t count;
};

static void
got_add(struct got *g, const struct piece *p)
{
	assert_true(g->len + p->a_len + p->b_len + 1 < sizeof(g->text));
	if (p->a_len)
		memcpy(g->text + g->len, p->a, p->a_len);
	if (p->b_len)
		memcpy(g->text + g->len + p->a_len, p->b, p->b_len);
	g->len += p->a_len + p->b_len;
	g->text[g->len++] = '|';
	g->text[g->len] = '\0';
	g->count++;
}

/* One write(2): what it would return. */
static int
write_bytes(struct splitter *s, const void *buf, size_t len, struct got *g)
{
	char *copy = malloc(len ? len : 1);	/* its own memory, to see reads beyond it */
	struct piece p;
	size_t at = 0;
	int rc;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	while ((rc = splitter_next(s, copy, len, &at, &p)) == MQ_OK)
		got_add(g, &p);
	free(copy);
	if (rc == MQ_EEND) {
		assert_int_equal(at, len);
		return (int)len;
	}
	return at ? (int)at : rc;
}

static int
write_text(struct splitter *s, const char *text, struct got *g)
{
	return write_bytes(s, text, strlen(text), g);
}

static int
close_file(struct splitter *s, struct got *g)
{
	struct piece p;
	int rc = splitter_finish(s, &p);

	if (rc == MQ_OK)
		got_add(g, &p);
	assert_false(splitter_holds(s));
	splitter_free(s);
	return rc;
}

/* --- splitting --------------------------------------------------------------- */

static void
each_line_is_a_message(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;

	(void)state;
	splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
	assert_int_equal(write_text(&s, "one\ntwo\n\nfour", &g), 13);
	assert_string_equal(g.text, "one|two||");
	assert_true(splitter_holds(&s));
	assert_int_equal(write_text(&s, "teen\nrest", &g), 9);
	assert_string_equal(g.text, "one|two||fourteen|");
	assert_int_equal(close_file(&s, &g), MQ_OK);
	assert_string_equal(g.text, "one|two||fourteen|rest|");
}

static void
close_makes_no_message_of_nothing(void **state)
{
	static const enum topic_format formats[] = { FORMAT_LINES, FORMAT_RAW, FORMAT_LEN32, FORMAT_JSON };
	struct got g = { .len = 0 };
	struct splitter s;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		for (int whole = 0; whole < 2; whole++) {
			splitter_init(&s, formats[i], whole, MAX_BODY);
			assert_int_equal(write_text(&s, "", &g), 0);
			assert_int_equal(close_file(&s, &g), MQ_EEND);
		}
	}
	assert_int_equal(g.count, 0);
}

/* What an appender does when it could not store what the splitter gave. */
static void
what_was_held_can_be_held_again(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;

	(void)state;
	splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
	assert_int_equal(write_text(&s, "one ", &g), 4);
	assert_int_equal(write_text(&s, "line\nand more", &g), 13);
	assert_int_equal(splitter_hold(&s, "one ", 4), MQ_OK);
	assert_int_equal(write_text(&s, "line\n", &g), 5);
	assert_string_equal(g.text, "one line|one line|");
	assert_int_equal(write_text(&s, "rest", &g), 4);
	assert_int_equal(splitter_hold(&s, NULL, 0), MQ_OK);
	assert_int_equal(close_file(&s, &g), MQ_EEND);
}

static void
each_raw_write_is_a_message(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;
	char big[MAX_BODY + 1];

	(void)state;
	memset(big, 'x', sizeof(big));
	splitter_init(&s, FORMAT_RAW, false, MAX_BODY);
	assert_int_equal(write_text(&s, "a\nb", &g), 3);
	assert_int_equal(write_text(&s, "c", &g), 1);
	assert_int_equal(write_bytes(&s, big, sizeof(big), &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "d", &g), 1);
	assert_int_equal(close_file(&s, &g), MQ_EEND);
	assert_string_equal(g.text, "a\nb|c|d|");
}

static void
a_len32_message_says_its_length_first(void **state)
{
	static const char bytes[] = "\0\0\0\3abc\0\0\0\0\0\0\0\2\n|";
	struct got g = { .len = 0 };
	struct splitter s;

	(void)state;
	splitter_init(&s, FORMAT_LEN32, false, MAX_BODY);
	assert_int_equal(write_bytes(&s, bytes, sizeof(bytes) - 1, &g), sizeof(bytes) - 1);
	assert_string_equal(g.text, "abc||\n||");
	assert_int_equal(write_bytes(&s, bytes, 5, &g), 5);
	assert_int_equal(close_file(&s, &g), -EINVAL);	/* torn */
	assert_int_equal(g.count, 3);
}

static void
a_len32_length_that_cannot_be_is_refused_and_nothing_taken(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;

	(void)state;
	splitter_init(&s, FORMAT_LEN32, false, MAX_BODY);
	assert_int_equal(write_bytes(&s, "\xff\xff\xff\xff", 4, &g), -EINVAL);
	assert_int_equal(write_bytes(&s, "\0\0\0\101", 4, &g), -EMSGSIZE);
	assert_int_equal(write_bytes(&s, "\0\0\0\1a\0\0\0\101zzz", 12, &g), 5);	/* short */
	assert_int_equal(write_bytes(&s, "\0\0\0\101zzz", 7, &g), -EMSGSIZE);
	assert_int_equal(write_bytes(&s, "\0\0", 2, &g), 2);
	assert_int_equal(write_bytes(&s, "\1\0", 2, &g), -EMSGSIZE);
	assert_int_equal(write_bytes(&s, "\0\1b", 3, &g), 3);
	assert_string_equal(g.text, "a|b|");
	assert_int_equal(close_file(&s, &g), MQ_EEND);
}

static void
a_whole_file_is_one_message(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;
	char big[MAX_BODY];

	(void)state;
	memset(big, 'x', sizeof(big));
	splitter_init(&s, FORMAT_LINES, true, MAX_BODY);
	write_text(&s, "one\n", &g);
	write_text(&s, "two\n", &g);
	assert_int_equal(g.count, 0);
	assert_int_equal(close_file(&s, &g), MQ_OK);
	assert_string_equal(g.text, "one\ntwo\n|");

	splitter_init(&s, FORMAT_LINES, true, MAX_BODY);
	write_text(&s, "x", &g);
	assert_int_equal(write_bytes(&s, big, sizeof(big), &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "\n", &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "x\n", &g), -EMSGSIZE);
	assert_int_equal(close_file(&s, &g), MQ_EEND);
	assert_int_equal(g.count, 1);
}

/* --- lines that are too long ---------------------------------------------------- */

static void
a_line_of_the_limit_is_taken_one_byte_more_is_not(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;
	char line[MAX_BODY + 2];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[MAX_BODY] = '\n';
	splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
	assert_int_equal(write_bytes(&s, line, MAX_BODY + 1, &g), MAX_BODY + 1);
	for (size_t i = 0; i < MAX_BODY + 1; i++)
		assert_int_equal(write_bytes(&s, line + i, 1, &g), 1);
	assert_int_equal(g.count, 2);

	line[MAX_BODY] = 'x';
	line[MAX_BODY + 1] = '\n';
	assert_int_equal(write_bytes(&s, line, sizeof(line), &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "ok\n", &g), 3);
	for (size_t i = 0; i < MAX_BODY; i++)
		assert_int_equal(write_bytes(&s, line + i, 1, &g), 1);
	assert_int_equal(write_bytes(&s, "x", 1, &g), -EMSGSIZE);	/* as soon as it is known */
	assert_int_equal(close_file(&s, &g), MQ_EEND);
	assert_int_equal(g.count, 3);
}

static void
what_follows_a_refused_line_is_refused_up_to_its_end(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;
	char big[MAX_BODY + 1];

	(void)state;
	memset(big, 'x', sizeof(big));
	splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
	assert_int_equal(write_text(&s, "before\nhead", &g), 11);
	assert_int_equal(write_bytes(&s, big, sizeof(big), &g), -EMSGSIZE);
	assert_false(splitter_holds(&s));
	assert_int_equal(write_text(&s, "middle", &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "tail\nnot taken\n", &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "after\n", &g), 6);
	assert_int_equal(close_file(&s, &g), MQ_EEND);
	assert_string_equal(g.text, "before|after|");
}

static void
messages_before_a_refused_line_are_a_short_write(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;
	char buf[200];

	(void)state;
	memset(buf, 'x', sizeof(buf));
	memcpy(buf, "one\ntwo\n", 8);
	memcpy(buf + 190, "\nthree\n", 7);
	splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
	assert_int_equal(write_bytes(&s, buf, 197, &g), 8);
	assert_int_equal(write_bytes(&s, buf + 8, 189, &g), -EMSGSIZE);
	assert_int_equal(write_bytes(&s, buf + 8, 189, &g), -EMSGSIZE);
	assert_int_equal(write_bytes(&s, buf + 191, 6, &g), 6);
	assert_int_equal(close_file(&s, &g), MQ_EEND);
	assert_string_equal(g.text, "one|two|three|");
}

/* A write(2) of more than the kernel's request size: it comes in parts, the
 * last fails, the program sees a short write and writes the rest again. */
static void
a_refused_part_that_is_written_again_is_refused_again(void **state)
{
	struct got g = { .len = 0 };
	struct splitter s;
	char line[100];

	(void)state;
	memset(line, 'x', sizeof(line));
	line[99] = '\n';
	splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
	assert_int_equal(write_bytes(&s, line, 50, &g), 50);
	assert_int_equal(write_bytes(&s, line + 50, 50, &g), -EMSGSIZE);	/* not seen by the program */
	for (int i = 0; i < 3; i++)
		assert_int_equal(write_bytes(&s, line + 50, 50, &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "next\n", &g), 5);

	assert_int_equal(write_bytes(&s, line, 50, &g), 50);
	assert_int_equal(write_bytes(&s, line + 50, 30, &g), -EMSGSIZE);	/* before its '\n' */
	assert_int_equal(write_bytes(&s, line + 50, 50, &g), -EMSGSIZE);	/* with it */
	assert_int_equal(write_bytes(&s, line + 50, 50, &g), -EMSGSIZE);
	assert_int_equal(write_text(&s, "last\n", &g), 5);
	assert_int_equal(close_file(&s, &g), MQ_EEND);
	assert_string_equal(g.text, "next|last|");
}

/* --- properties of all splits --------------------------------------------------- */

/* Some messages as a stream of format f; never too long. */
static size_t
any_stream(enum topic_format f, unsigned char *buf)
{
	uint32_t messages = any_below(20);
	size_t len = 0;

	for (uint32_t i = 0; i < messages; i++) {
		uint32_t body = any_below(4) ? any_below(10) : any_below(MAX_BODY + 1);

		if (f == FORMAT_LEN32) {
			be32_put(buf + len, (int32_t)body);
			len += 4;
		}
		for (uint32_t j = 0; j < body; j++)
			buf[len++] = (unsigned char)('a' + any_below(26));
		if (f != FORMAT_LEN32 && (i + 1 < messages || any_below(2)))
			buf[len++] = '\n';
	}
	return len;
}

static void
however_a_stream_is_cut_into_writes_the_messages_are_the_same(void **state)
{
	static const enum topic_format formats[] = { FORMAT_LINES, FORMAT_LEN32, FORMAT_JSON };
	static unsigned char buf[20 * (MAX_BODY + 4)];
	static struct got once, cut;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		enum topic_format f = formats[any_below(3)];
		bool whole = any_below(8) == 0;
		size_t max = whole ? sizeof(buf) : MAX_BODY;
		size_t len = any_stream(f, buf), n;
		struct splitter s;

		once.len = once.count = cut.len = cut.count = 0;
		splitter_init(&s, f, whole, max);
		assert_int_equal(write_bytes(&s, buf, len, &once), len);
		close_file(&s, &once);

		splitter_init(&s, f, whole, max);
		for (size_t at = 0; at < len; at += n) {
			n = 1 + any_below(any_below(2) ? 3 : 200);
			if (n > len - at)
				n = len - at;
			assert_int_equal(write_bytes(&s, buf + at, n, &cut), n);
		}
		close_file(&s, &cut);
		assert_int_equal(cut.count, once.count);
		assert_int_equal(cut.len, once.len);
		assert_memory_equal(cut.text, once.text, once.len);
	}
}

/* A program that writes lines, some too long, in parts, and goes on after an
 * error with the next line, must find each of its good lines whole or refused. */
static void
no_part_of_a_refused_line_becomes_a_message(void **state)
{
	static struct got g;
	struct splitter s;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		g.len = g.count = 0;
		splitter_init(&s, FORMAT_LINES, false, MAX_BODY);
		for (int i = 0; i < 30; i++) {
			char line[200];
			size_t len = any_below(5) ? any_below(20) + 1 : MAX_BODY + 1 + any_below(100);
			size_t n;

			memset(line, len > MAX_BODY ? 'X' : 'a' + (int)any_below(26), len);
			line[0] = (char)('A' + any_below(20));
			line[len] = '\n';
			for (size_t at = 0; at < len + 1; at += n) {
				n = 1 + any_below(60);
				if (n > len + 1 - at)
					n = len + 1 - at;
				if (write_bytes(&s, line + at, n, &g) != (int)n)
					break;
			}
		}
		close_file(&s, &g);
		assert_null(memchr(g.text, 'X', g.len));
	}
}

static void
four_mebibytes_in_small_writes_become_one_message(void **state)
{
	size_t size = 4 << 20, step = 1000, at = 0;
	unsigned char *buf = malloc(size + 1);
	struct splitter s;
	struct piece p;

	(void)state;
	assert_non_null(buf);
	for (size_t i = 0; i < size; i++)
		buf[i] = (unsigned char)('a' + i % 23);
	buf[size] = '\n';
	splitter_init(&s, FORMAT_LINES, false, size);
	for (size_t from = 0; from + step <= size; from += step, at = 0)
		assert_int_equal(splitter_next(&s, buf + from, step, &at, &p), MQ_EEND);
	assert_int_equal(splitter_next(&s, buf + size - size % step, size % step + 1, &at, &p), MQ_OK);
	assert_int_equal(p.a_len + p.b_len, size);
	assert_memory_equal(p.a, buf, p.a_len);
	assert_memory_equal(p.b, buf + p.a_len, p.b_len);
	at = 0;
	assert_int_equal(splitter_next(&s, buf, 0, &at, &p), MQ_EEND);
	assert_int_equal(s.held_size, 0);	/* an idle file keeps no 4 MiB */
	splitter_free(&s);
	free(buf);
}

/* --- rendering --------------------------------------------------------------------- */

static struct record
a_record(const void *body, size_t body_len, const char *props, size_t props_len)
{
	struct record rec = {
		.queue_id = 2,
		.flag = -7,
		.qoff = MQ_QOFF(5),
		.pos = MQ_POS(1024),
		.born_ms = 1700000000000,
		.store_ms = 1700000000123,
		.born = { .addr = { 10, 0, 0, 9 }, .port = 51000 },
		.stored = { .addr = { 10, 0, 0, 1 }, .port = 10911 },
		.reconsume_times = 3,
		.body = body,
		.body_len = (int32_t)body_len,
		.topic = "OrderTopic",
		.topic_len = 10,
		.props = props,
		.props_len = (int16_t)props_len,
	};

	return rec;
}

/* The whole of rec in f; checks that it is as long as framing_length() says. */
static char *
rendered(enum topic_format f, const struct record *rec, size_t *ret_len)
{
	size_t len = framing_length(f, rec);
	char *text = malloc(len + 2);

	assert_non_null(text);
	assert_int_equal(framing_render(f, rec, 0, text, len + 1), len);
	text[len] = '\0';
	*ret_len = len;
	return text;
}

static void
assert_json(const struct record *rec, const char *expect)
{
	size_t len;
	char *text = rendered(FORMAT_JSON, rec, &len);

	assert_string_equal(text, expect);
	free(text);
}

static void
a_record_is_rendered_in_each_format(void **state)
{
	struct record rec = a_record("ab\n", 3, "", 0);
	size_t len;
	char *text;

	(void)state;
	text = rendered(FORMAT_LINES, &rec, &len);
	assert_string_equal(text, "ab\n\n");
	free(text);
	text = rendered(FORMAT_RAW, &rec, &len);
	assert_string_equal(text, "ab\n");
	free(text);
	text = rendered(FORMAT_LEN32, &rec, &len);
	assert_int_equal(len, 7);
	assert_memory_equal(text, "\0\0\0\3ab\n", 7);
	free(text);
	assert_int_equal(framing_per_message(FORMAT_LINES), 1);
	assert_int_equal(framing_per_message(FORMAT_RAW), 0);
	assert_int_equal(framing_per_message(FORMAT_LEN32), 4);
	assert_int_equal(framing_per_message(FORMAT_JSON), -1);
}

static void
a_json_line_has_all_of_a_record(void **state)
{
	static const char props[] = "TAGS\1TagA\2KEYS\1k1 k2\2color\1red";
	struct record rec = a_record("hello \"rocket\"", 14, props, sizeof(props) - 1);

	(void)state;
	assert_json(&rec,
		    "{\"body\":\"hello \\\"rocket\\\"\",\"topic\":\"OrderTopic\",\"queueId\":2,"
		    "\"queueOffset\":5,\"phyOffset\":1024,\"msgId\":\"0A00000100002A9F0000000000000400\",\"tags\":\"TagA\","
		    "\"keys\":\"k1 k2\",\"bornTimestamp\":1700000000000,\"storeTimestamp\":1700000000123,"
		    "\"properties\":{\"TAGS\":\"TagA\",\"KEYS\":\"k1 k2\",\"color\":\"red\"},"
		    "\"bornHost\":\"10.0.0.9:51000\",\"storeHost\":\"10.0.0.1:10911\","
		    "\"flag\":-7,\"sysFlag\":0,\"reconsumeTimes\":3}\n");
}

static void
a_body_that_is_not_utf8_is_base64(void **state)
{
	struct record rec = a_record("\xff\x00\xfe", 3, "", 0);
	static const char *const not_utf8[] = {
		"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
		"\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xc3", "seven..\xff", "\xe2\x28\xa1",
	};
	size_t len;
	char *text = rendered(FORMAT_JSON, &rec, &len);

	(void)state;
	assert_memory_equal(text, "{\"body64\":\"/wD+\",\"topic\"", 24);
	free(text);
	for (size_t i = 0; i < sizeof(not_utf8) / sizeof(not_utf8[0]); i++) {
		rec = a_record(not_utf8[i], strlen(not_utf8[i]), "", 0);
		text = rendered(FORMAT_JSON, &rec, &len);
		assert_memory_equal(text, "{\"body64\":", 10);
		free(text);
	}
}

static void
text_is_escaped_where_json_needs_it(void **state)
{
	struct record rec = a_record("\0\x1f\b\f\n\r\t\"\\/\x7f\xc3\xa9\xf0\x9f\x9a\x80", 17, "", 0);
	static const char expect[] = "{\"body\":"
				     "\"\\u0000\\u001f\\b\\f\\n\\r\\t\\\"\\\\/\x7f\xc3\xa9\xf0\x9f\x9a\x80\",";
	size_t len;
	char *text = rendered(FORMAT_JSON, &rec, &len);

	(void)state;
	assert_memory_equal(text, expect, sizeof(expect) - 1);
	free(text);
}

static void
odd_properties_still_make_valid_json(void **state)
{
	/* twice the same name; bytes that are not UTF-8; U+0000; entries RocketMQ drops */
	static const char props[] = "a\0011\2a\0012\2b\1x\xffy\2\1z\2c\1\2\2\xff\1v\2e\0\1v\2d\1\"";
	struct record rec = a_record("", 0, props, sizeof(props) - 1);
	size_t len;
	char *text = rendered(FORMAT_JSON, &rec, &len);

	(void)state;
	assert_memory_equal(text, "{\"body\":\"\",", 11);
	assert_non_null(strstr(text, "\"properties\":{\"a\":\"1\",\"b\":\"x\xef\xbf\xbdy\",\"d\":\"\\\"\"}"));
	assert_null(strstr(text, "tags"));
	free(text);
}

static void
hosts_of_both_kinds_are_shown(void **state)
{
	struct record rec = a_record("", 0, "", 0);
	size_t len;
	char *text;

	(void)state;
	rec.born = (struct host){ .addr = { [15] = 1 }, .v6 = true, .port = 80 };
	rec.stored = (struct host){ .addr = { 0x20, 0x01, 0x0d, 0xb8 }, .v6 = true, .port = 10911 };
	text = rendered(FORMAT_JSON, &rec, &len);
	assert_non_null(strstr(text, "\"bornHost\":\"[::1]:80\",\"storeHost\":\"[2001:db8::]:10911\""));
	assert_non_null(strstr(text, "\"msgId\":\"20010DB8000000000000000000000000"));
	free(text);
}

static size_t
any_bytes(unsigned char *buf, size_t max)
{
	size_t len = any_below((uint32_t)max + 1);
	bool ascii = any_below(2);

	for (size_t i = 0; i < len; i++)
		buf[i] = (unsigned char)(ascii ? any_below(128) : any_below(256));
	return len;
}

static void
any_slice_of_a_rendered_record_is_that_slice_of_the_whole(void **state)
{
	static const enum topic_format formats[] = { FORMAT_LINES, FORMAT_RAW, FORMAT_LEN32, FORMAT_JSON };
	static unsigned char body[10000], props[300];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		size_t body_len = any_bytes(body, any_below(10) ? 40 : sizeof(body));
		struct record rec = a_record(body, body_len, (char *)props, any_bytes(props, sizeof(props)));

		for (size_t i = 0; i < 4; i++) {
			size_t len, skip, max, n;
			char *all = rendered(formats[i], &rec, &len);

			for (int j = 0; j < 10; j++) {
				char *part;

				skip = any_below((uint32_t)len + 3);
				max = any_below((uint32_t)len + 3);
				n = skip >= len ? 0 : len - skip < max ? len - skip : max;
				part = malloc(n ? n : 1);	/* not a byte more */
				assert_non_null(part);
				assert_int_equal(framing_render(formats[i], &rec, skip, part, max), n);
				if (n)
					assert_memory_equal(part, all + skip, n);
				free(part);
			}
			assert_int_equal(framing_render(formats[i], &rec, len, all, SIZE_MAX), 0);
			free(all);
		}
	}
}

/* --- json lines that are written ------------------------------------------------------ */

static struct json_message
parsed(const char *line)
{
	struct piece p = { .b = (const unsigned char *)line, .b_len = strlen(line) };
	struct json_message msg;
	int rc = framing_json_parse(&p, &msg);

	if (rc != MQ_OK)
		fail_msg("%s: %s", line, err_text(rc));
	return msg;
}

static void
assert_refused(const char *line, int code, const char *note)
{
	struct piece p = { .b = (const unsigned char *)line, .b_len = strlen(line) };
	struct json_message msg = { .flag = 77 };
	int rc;

	err_clear();
	rc = framing_json_parse(&p, &msg);
	if (rc != code)
		fail_msg("%s: gave %d", line, rc);
	if (!strstr(err_text(rc), note))
		fail_msg("%s: \"%s\" is not in \"%s\"", line, note, err_text(rc));
	assert_int_equal(msg.flag, 77);
}

static void
assert_props(const struct json_message *msg, const char *expect)
{
	assert_int_equal(msg->props_len, strlen(expect));
	assert_memory_equal(msg->props, expect, msg->props_len);
}

static void
a_json_line_becomes_a_message(void **state)
{
	struct json_message msg = parsed("{\"body\":\"a\\u0000b\\n\",\"tags\":\"T\",\"keys\":\"k1 k2\","
					 "\"flag\":-3,\"bornTimestamp\":1700000000000,"
					 "\"properties\":{\"color\":\"red\"}}");

	(void)state;
	assert_int_equal(msg.body_len, 4);
	assert_memory_equal(msg.body, "a\0b\n", 4);
	assert_props(&msg, "color\1red\2TAGS\1T\2KEYS\1k1 k2");
	assert_int_equal(msg.flag, -3);
	assert_int_equal(msg.born_ms, 1700000000000);
	json_message_free(&msg);

	msg = parsed(" {\"body64\":\"/wD+\"}\r");
	assert_int_equal(msg.body_len, 3);
	assert_memory_equal(msg.body, "\xff\0\xfe", 3);
	assert_int_equal(msg.props_len, 0);
	json_message_free(&msg);

	msg = parsed("{}");
	assert_int_equal(msg.body_len, 0);
	json_message_free(&msg);
}

static void
tags_and_keys_win_over_the_properties_of_their_name(void **state)
{
	struct json_message msg = parsed("{\"keys\":[\"k1\",\"k2\"],\"properties\":{\"KEYS\":\"old\","
					 "\"a\":\"1\",\"TAGS\":\"A\"},\"tags\":\"B\"}");

	(void)state;
	assert_props(&msg, "KEYS\1k1 k2\2a\0011\2TAGS\1B");
	json_message_free(&msg);

	msg = parsed("{\"tags\":\"\",\"keys\":[],\"properties\":{\"TAGS\":\"A\"}}");
	assert_props(&msg, "TAGS\1A");
	json_message_free(&msg);

	msg = parsed("{\"tags\":null,\"keys\":null,\"properties\":null,\"flag\":null,\"body\":null}");
	assert_int_equal(msg.props_len, 0);
	json_message_free(&msg);
}

static void
a_json_line_that_cannot_be_is_refused_with_the_reason(void **state)
{
	(void)state;
	assert_refused("", -EINVAL, "json: ");
	assert_refused("{", -EINVAL, "json: ");
	assert_refused("{} {}", -EINVAL, "json: ");
	assert_refused("[]", -EINVAL, "one object");
	assert_refused("{\"bdy\":\"x\"}", -EINVAL, "unknown member \"bdy\"; known: body");
	assert_refused("{\"body\":\"x\",\"body\":\"y\"}", -EINVAL, "duplicate");
	assert_refused("{\"body\":\"x\",\"body64\":\"\"}", -EINVAL, "both");
	assert_refused("{\"body\":5}", -EINVAL, "body must be a text");
	assert_refused("{\"body\":\"\xff\"}", -EINVAL, "json: ");
	assert_refused("{\"body64\":\"abc\"}", -EINVAL, "not base64");
	assert_refused("{\"flag\":2147483648}", -EINVAL, "flag must be a number");
	assert_refused("{\"flag\":1.5}", -EINVAL, "flag must be a number");
	assert_refused("{\"bornTimestamp\":-1}", -EINVAL, "bornTimestamp must be");
	assert_refused("{\"properties\":[]}", -EINVAL, "must be an object");
	assert_refused("{\"properties\":{\"a\":\"\"}}", -EINVAL, "a must be a text, not empty");
	assert_refused("{\"properties\":{\"a\":5}}", -EINVAL, "a must be a text");
	assert_refused("{\"properties\":{\"a\":[\"b\"]}}", -EINVAL, "a must be a text");
	assert_refused("{\"properties\":{\"\":\"x\"}}", -EINVAL, "name of a property");
	assert_refused("{\"properties\":{\"a\\u0001\":\"x\"}}", -EINVAL, "name of a property");
	assert_refused("{\"properties\":{\"a\":\"x\\u0002\"}}", -EINVAL, "U+0001 or U+0002");
	assert_refused("{\"tags\":[\"a\"]}", -EINVAL, "tags must be a text");
	assert_refused("{\"tags\":5}", -EINVAL, "TAGS must be a text");
	assert_refused("{\"keys\":[\"a b\"]}", -EINVAL, "space");
	assert_refused("{\"keys\":[\"\"]}", -EINVAL, "a key must be a text");
	assert_refused("{\"keys\":[5]}", -EINVAL, "a key must be a text");
}

static void
properties_that_a_record_cannot_hold_are_too_long(void **state)
{
	char *line = malloc(RECORD_PROPS_MAX + 100);
	struct json_message msg;
	int n;

	(void)state;
	assert_non_null(line);
	n = sprintf(line, "{\"properties\":{\"a\":\"");
	memset(line + n, 'v', RECORD_PROPS_MAX);
	strcpy(line + n + RECORD_PROPS_MAX - 2, "\"}}");
	msg = parsed(line);
	assert_int_equal(msg.props_len, RECORD_PROPS_MAX);
	json_message_free(&msg);
	memset(line + n, 'v', RECORD_PROPS_MAX);
	strcpy(line + n + RECORD_PROPS_MAX - 1, "\"}}");
	assert_refused(line, -EMSGSIZE, "properties");
	free(line);
}

static void
a_line_in_two_pieces_parses_as_in_one(void **state)
{
	static const char line[] = "{\"body\":\"hello\",\"tags\":\"T\"}";

	(void)state;
	for (size_t cut = 0; cut < sizeof(line); cut++) {
		struct piece p = {
			.a = (const unsigned char *)line, .a_len = cut,
			.b = (const unsigned char *)line + cut, .b_len = sizeof(line) - 1 - cut,
		};
		struct json_message msg;

		assert_int_equal(framing_json_parse(&p, &msg), MQ_OK);
		assert_int_equal(msg.body_len, 5);
		assert_props(&msg, "TAGS\1T");
		json_message_free(&msg);
	}
}

/* What was read can be written again, and reads the same. */
static void
a_rendered_line_parses_to_the_message_it_shows(void **state)
{
	static unsigned char body[200];

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		static const char props[] = "UNIQ_KEY\1AB\2TAGS\1T\\\"\2KEYS\1k1 k2\2x\1\xc3\xa9\n";
		struct record rec = a_record(body, any_bytes(body, sizeof(body)), props, sizeof(props) - 1);
		struct json_message msg;
		size_t len;
		char *text = rendered(FORMAT_JSON, &rec, &len);

		assert_true(len <= framing_json_line_max((size_t)rec.body_len));
		text[len - 1] = '\0';
		msg = parsed(text);
		assert_int_equal(msg.body_len, rec.body_len);
		assert_memory_equal(msg.body, body, msg.body_len);
		assert_props(&msg, props);
		assert_int_equal(msg.flag, rec.flag);
		assert_int_equal(msg.born_ms, rec.born_ms);
		json_message_free(&msg);
		free(text);
	}
}

static void
base64_is_exact(void **state)
{
	static const struct {
		const char *bytes, *text;
	} pairs[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
	};
	static const char *const wrong[] = {
		"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9vZg=\n", "Zm-v", "====", "=AAA", "Zg==Zg==", "Z===",
	};
	unsigned char out[32];
	char text[32];
	size_t len;

	(void)state;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		size_t n = strlen(pairs[i].bytes);

		assert_int_equal(base64_length(n), strlen(pairs[i].text));
		base64_encode(pairs[i].bytes, n, text);
		assert_memory_equal(text, pairs[i].text, base64_length(n));
		assert_int_equal(base64_decode(pairs[i].text, base64_length(n), out, &len), MQ_OK);
		assert_int_equal(len, n);
		assert_memory_equal(out, pairs[i].bytes, n);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (base64_decode(wrong[i], strlen(wrong[i]), out, &len) != MQ_ECORRUPT)
			fail_msg("%s was taken", wrong[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_line_is_a_message),
		cmocka_unit_test(close_makes_no_message_of_nothing),
		cmocka_unit_test(what_was_held_can_be_held_again),
		cmocka_unit_test(each_raw_write_is_a_message),
		cmocka_unit_test(a_len32_message_says_its_length_first),
		cmocka_unit_test(a_len32_length_that_cannot_be_is_refused_and_nothing_taken),
		cmocka_unit_test(a_whole_file_is_one_message),
		cmocka_unit_test(a_line_of_the_limit_is_taken_one_byte_more_is_not),
		cmocka_unit_test(what_follows_a_refused_line_is_refused_up_to_its_end),
		cmocka_unit_test(messages_before_a_refused_line_are_a_short_write),
		cmocka_unit_test(a_refused_part_that_is_written_again_is_refused_again),
		cmocka_unit_test(however_a_stream_is_cut_into_writes_the_messages_are_the_same),
		cmocka_unit_test(no_part_of_a_refused_line_becomes_a_message),
		cmocka_unit_test(four_mebibytes_in_small_writes_become_one_message),
		cmocka_unit_test(a_record_is_rendered_in_each_format),
		cmocka_unit_test(a_json_line_has_all_of_a_record),
		cmocka_unit_test(a_body_that_is_not_utf8_is_base64),
		cmocka_unit_test(text_is_escaped_where_json_needs_it),
		cmocka_unit_test(odd_properties_still_make_valid_json),
		cmocka_unit_test(hosts_of_both_kinds_are_shown),
		cmocka_unit_test(any_slice_of_a_rendered_record_is_that_slice_of_the_whole),
		cmocka_unit_test(a_json_line_becomes_a_message),
		cmocka_unit_test(tags_and_keys_win_over_the_properties_of_their_name),
		cmocka_unit_test(a_json_line_that_cannot_be_is_refused_with_the_reason),
		cmocka_unit_test(properties_that_a_record_cannot_hold_are_too_long),
		cmocka_unit_test(a_line_in_two_pieces_parses_as_in_one),
		cmocka_unit_test(a_rendered_line_parses_to_the_message_it_shows),
		cmocka_unit_test(base64_is_exact),
	};

	return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
