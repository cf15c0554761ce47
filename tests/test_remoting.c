/* Frames of the remoting protocol, in both dialects. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "net/remoting.h"

/* --- the reference's vectors: GET_MAX_OFFSET of topic T, queue 0 -------------------- */

static const char json_request[] =
	"\x00\x00\x00\x8c\x00\x00\x00\x88"
	"{\"code\":30,\"extFields\":{\"queueId\":\"0\",\"topic\":\"T\"},\"flag\":0,\"language\":\"JAVA\","
	"\"opaque\":7,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":409}";

static const char json_response[] =
	"\x00\x00\x00\x7f\x00\x00\x00\x7b"
	"{\"code\":0,\"extFields\":{\"offset\":\"42\"},\"flag\":1,\"language\":\"JAVA\","
	"\"opaque\":7,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":409}";

static const char binary_request[] =
	"\x00\x00\x00\x33\x01\x00\x00\x2f"
	"\x00\x1e\x00\x01\x99\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1a"
	"\x00\x07" "queueId" "\x00\x00\x00\x01" "0" "\x00\x05" "topic" "\x00\x00\x00\x01" "T";

#define LEN(vector) (sizeof(vector) - 1)

/* --- helpers ------------------------------------------------------------------------- */

/* `cut`: so many bytes at once.  What is left of them is an error. */
static int
feed(struct remoting_reader *r, const void *bytes, size_t len, size_t cut, struct remoting_frame *ret)
{
	const char *at = bytes, *end = at + len;
	int rc = MQ_EEND;

	while (rc == MQ_EEND && at < end) {
		size_t n = 0;
		void *place = remoting_reader_place(r, &n);

		assert_non_null(place);
		assert_in_range(n, 1, REMOTING_FRAME_MAX);
		n = n < cut ? n : cut;
		n = n < (size_t)(end - at) ? n : (size_t)(end - at);
		memcpy(place, at, n);
		at += n;
		rc = remoting_reader_take(r, n, ret);
	}
	if (rc == MQ_OK)
		assert_ptr_equal(at, end);
	return rc;
}

static int
decode(const void *bytes, size_t len, struct remoting_frame *ret)
{
	struct remoting_reader r = { .head_len = 0 };
	int rc;

	*ret = (struct remoting_frame){ .code = 0 };
	rc = feed(&r, bytes, len, SIZE_MAX, ret);
	remoting_reader_clear(&r);
	return rc;
}

/* The head of a frame, then `header` and `body`. */
static size_t
frame(char *buf, int dialect, const char *header, size_t header_len, const char *body)
{
	be32_put(buf, (int32_t)(4 + header_len + strlen(body)));
	be32_put(buf + 4, (int32_t)((uint32_t)dialect << 24 | (uint32_t)header_len));
	memcpy(buf + 8, header, header_len);
	memcpy(buf + 8 + header_len, body, strlen(body));
	return 8 + header_len + strlen(body);
}

static int
decode_json(const char *header, struct remoting_frame *ret)
{
	char buf[1000];

	return decode(buf, frame(buf, REMOTING_JSON, header, strlen(header), ""), ret);
}

static void
want_field(const struct remoting_frame *f, const char *name, const char *value)
{
	const char *got = json_string_value(json_object_get(f->ext, name));

	assert_non_null(got);
	assert_string_equal(got, value);
}

static void
want_vector(const struct remoting_frame *f, enum remoting_dialect dialect)
{
	assert_int_equal(f->dialect, dialect);
	assert_int_equal(f->code, 30);
	assert_int_equal(f->opaque, 7);
	assert_int_equal(f->flag, 0);
	assert_int_equal(f->version, 409);
	assert_int_equal(f->language, REMOTING_JAVA);
	assert_null(f->remark);
	assert_int_equal(json_object_size(f->ext), 2);
	want_field(f, "queueId", "0");
	want_field(f, "topic", "T");
	assert_int_equal(f->body_len, 0);
}

static void
want_bytes(const struct remoting_frame *f, const char *bytes, size_t len)
{
	char *head;
	size_t head_len;

	assert_int_equal(remoting_encode(f, &head, &head_len), MQ_OK);
	assert_int_equal(head_len, len);
	assert_memory_equal(head, bytes, len);
	free(head);
}

/* --- what RocketMQ sends ------------------------------------------------------------------ */

static void
both_dialects_are_read_however_they_are_cut(void **state)
{
	static const size_t cuts[] = { 1, 2, 3, 7, 8, 9, 50, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		struct remoting_reader r = { .head_len = 0 };
		struct remoting_frame f;

		assert_int_equal(feed(&r, json_request, LEN(json_request), cuts[i], &f), MQ_OK);
		want_vector(&f, REMOTING_JSON);
		remoting_frame_clear(&f);
		assert_int_equal(feed(&r, binary_request, LEN(binary_request), cuts[i], &f), MQ_OK);
		want_vector(&f, REMOTING_BINARY);
		remoting_frame_clear(&f);
		assert_false(remoting_reader_is_amid(&r));
		remoting_reader_clear(&r);
	}
}

static void
what_is_sent_is_rocketmqs_byte_for_byte(void **state)
{
	struct remoting_frame f = { .code = 30, .opaque = 7, .version = REMOTING_VERSION };

	(void)state;
	f.ext = json_pack("{s:s, s:s}", "queueId", "0", "topic", "T");
	want_bytes(&f, json_request, LEN(json_request));
	f.dialect = REMOTING_BINARY;
	want_bytes(&f, binary_request, LEN(binary_request));
	remoting_frame_clear(&f);

	f = (struct remoting_frame){ .opaque = 7, .flag = REMOTING_RESPONSE, .version = REMOTING_VERSION };
	f.ext = json_pack("{s:s}", "offset", "42");
	want_bytes(&f, json_response, LEN(json_response));
	remoting_frame_clear(&f);
}

static void
what_was_sent_is_read_again(void **state)
{
	char remark[] = "a remark, \"quoted\" \xe2\x82\xac";

	(void)state;
	for (int dialect = REMOTING_JSON; dialect <= REMOTING_BINARY; dialect++) {
		struct remoting_frame f = {
			.dialect = (enum remoting_dialect)dialect, .code = 0x6d71, .opaque = -3, .flag = 3,
			.language = REMOTING_OTHER, .version = 409, .remark = remark,
			.body = "body\0 too", .body_len = 9,
		};
		struct remoting_frame got;
		char *bytes;
		size_t len;

		f.ext = json_pack("{s:s, s:s}", "properties", "KEYS\1a b\2", "empty", "");
		assert_int_equal(remoting_encode(&f, &bytes, &len), MQ_OK);
		assert_int_equal(decode(bytes, len, &got), MQ_OK);
		free(bytes);
		assert_int_equal(got.dialect, dialect);
		assert_int_equal(got.code, 0x6d71);
		assert_int_equal(got.opaque, -3);
		assert_int_equal(got.flag, 3);
		assert_int_equal(got.language, REMOTING_OTHER);
		assert_string_equal(got.remark, remark);
		want_field(&got, "properties", "KEYS\1a b\2");
		want_field(&got, "empty", "");
		assert_int_equal(got.body_len, 9);
		assert_memory_equal(got.body, f.body, 9);
		remoting_frame_clear(&got);
		json_decref(f.ext);
	}
}

static void
numbers_and_switches_are_taken_as_texts(void **state)
{
	struct remoting_frame f;

	(void)state;
	assert_int_equal(decode_json("{\"code\":15,\"extFields\":{\"queueId\":3,\"reset\":true,\"none\":null,"
				     "\"commitOffset\":9007199254740993}}", &f), MQ_OK);
	want_field(&f, "queueId", "3");
	want_field(&f, "reset", "true");
	want_field(&f, "commitOffset", "9007199254740993");
	assert_int_equal(json_object_size(f.ext), 3);
	remoting_frame_clear(&f);
}

static void
what_is_unknown_is_passed_over_and_what_is_missing_is_nothing(void **state)
{
	struct remoting_frame f;

	(void)state;
	assert_int_equal(decode_json("{\"new\":{\"a\":[1]},\"language\":\"ZIG\",\"remark\":null,"
				     "\"extFields\":null}", &f), MQ_OK);
	assert_int_equal(f.code, 0);
	assert_int_equal(f.language, REMOTING_OTHER);
	assert_null(f.remark);
	assert_null(f.ext);
	remoting_frame_clear(&f);
}

/* --- fields as a list ------------------------------------------------------------------------ */

static bool
always(int code)
{
	(void)code;
	return true;
}

static void
fields_in_a_list_are_sent_as_those_of_an_object(void **state)
{
	static struct fields lists[] = {
		{ .n = 3, .list = { { "a", "1" }, { "b", "" }, { "c", "x y" } } },
		{ .n = 2, .list = { { "a", "\"quoted\" \\ \n\001" }, { "b", "\xc3\xa9" } } },
		{ .n = 1, .list = { { "t\x7f", "v" } } },
	};
	static char ok[] = "OK", why[] = "say \"why\"";
	char *remarks[] = { NULL, ok, why };

	(void)state;
	for (size_t i = 0; i < 2 * 3 * 3; i++) {
		struct remoting_frame f = {
			.dialect = i % 2 ? REMOTING_JSON : REMOTING_BINARY, .code = 11, .opaque = -7, .flag = REMOTING_RESPONSE,
			.language = i % 5 ? REMOTING_JAVA : 99, .version = 409, .remark = remarks[i / 6],
			.ext = fields_object(&lists[i / 2 % 3]),
		};
		char *bytes;
		size_t len;

		assert_int_equal(remoting_encode(&f, &bytes, &len), MQ_OK);
		json_decref(f.ext);
		f.ext = NULL;
		f.fields = &lists[i / 2 % 3];
		want_bytes(&f, bytes, len);
		free(bytes);
	}
}

/* Decode a binary frame with such fields; a value may have a NUL, so it comes with its length. */
static int
decode_fields(const char *ext, size_t len, struct remoting_frame *ret)
{
	struct remoting_reader r = { .cuts = always };
	char header[1000] = { 0 }, bytes[1100];
	size_t n;
	int rc;

	be32_put(header + 17, (int32_t)len);
	memcpy(header + 21, ext, len);
	n = frame(bytes, REMOTING_BINARY, header, 21 + len, "the body");
	*ret = (struct remoting_frame){ .code = 0 };
	rc = feed(&r, bytes, n, SIZE_MAX, ret);
	remoting_reader_clear(&r);
	return rc;
}

static void
fields_are_cut_in_their_place_and_the_body_is_whole(void **state)
{
	static const char ext[] = "\x00\x01" "a" "\x00\x00\x00\x0c" "x\001y\002and more"
				  "\x00\x00" "\x00\x00\x00\x00"
				  "\x00\x01" "b" "\x00\x00\x00\x00" "\x00\x01" "a" "\x00\x00\x00\x04" "last";
	struct remoting_frame f;

	(void)state;
	assert_int_equal(decode_fields(ext, sizeof(ext) - 1, &f), MQ_OK);
	assert_null(f.ext);
	assert_int_equal(f.fields->n, 4);
	assert_string_equal(f.fields->list[0].value, "x\001y\002and more");
	assert_string_equal(fields_get(f.fields, "a"), "last");
	assert_string_equal(fields_get(f.fields, "b"), "");
	assert_string_equal(fields_get(f.fields, ""), "");
	assert_null(fields_get(f.fields, "c"));
	assert_int_equal(f.body_len, 8);
	assert_memory_equal(f.body, "the body", 8);
	remoting_frame_clear(&f);
	assert_int_equal(decode_fields("", 0, &f), MQ_OK);
	assert_null(fields_get(f.fields, "a"));
	remoting_frame_clear(&f);
}

static void
fields_that_cannot_be_cut_are_an_object_or_refused_as_ever(void **state)
{
	static const char utf8[] = "\x00\x01" "a" "\x00\x00\x00\x02" "\xc3\xa9";
	char many[(FIELDS_MAX + 1) * 7];
	struct remoting_frame f;

	(void)state;
	assert_int_equal(decode_fields(utf8, sizeof(utf8) - 1, &f), MQ_OK);
	assert_null(f.fields);
	want_field(&f, "a", "\xc3\xa9");
	remoting_frame_clear(&f);
	for (int i = 0; i <= FIELDS_MAX; i++) {
		be16_put(many + 7 * i, 1);
		many[7 * i + 2] = (char)('A' + i);
		be32_put(many + 7 * i + 3, 0);
	}
	assert_int_equal(decode_fields(many, sizeof(many), &f), MQ_OK);
	assert_null(f.fields);
	assert_int_equal(json_object_size(f.ext), FIELDS_MAX + 1);
	remoting_frame_clear(&f);
	assert_int_equal(decode_fields(many, sizeof(many) - 7, &f), MQ_OK);
	assert_int_equal(f.fields->n, FIELDS_MAX);
	remoting_frame_clear(&f);
	assert_int_equal(decode_fields(many, sizeof(many) - 8, &f), MQ_ECORRUPT);
	assert_int_equal(decode_fields("\x00\x01" "a" "\x00\x00\x00\x01" "\x00", 8, &f), MQ_ECORRUPT);
	assert_int_equal(decode_fields("\x00\x01" "a" "\x00\x00\x00\x01" "\xff", 8, &f), MQ_ECORRUPT);
	assert_int_equal(decode_fields("\xff\xff" "a" "\x00\x00\x00\x01" "x", 8, &f), MQ_ECORRUPT);
}

/* Decode it with the fields as an object, and as a list: both mean the same.  True: it was cut into a list. */
static bool
is_cut(const char *header)
{
	struct remoting_reader r = { .cuts = always };
	struct remoting_frame object, list;
	char bytes[2000];
	size_t n = frame(bytes, REMOTING_JSON, header, strlen(header), "the body");
	int rc = decode(bytes, n, &object);
	bool cut = false;

	assert_int_equal(feed(&r, bytes, n, SIZE_MAX, &list), rc);
	if (rc == MQ_OK) {
		json_t *ext = list.fields ? fields_object(list.fields) : json_incref(list.ext);

		cut = list.fields != NULL;
		assert_int_equal(list.code, object.code);
		assert_int_equal(list.flag, object.flag);
		assert_int_equal(list.opaque, object.opaque);
		assert_int_equal(list.version, object.version);
		assert_int_equal(list.language, object.language);
		assert_true(!ext == !object.ext && (!ext || json_equal(ext, object.ext)));
		assert_int_equal(list.body_len, 8);
		assert_memory_equal(list.body, "the body", 8);
		json_decref(ext);
		remoting_frame_clear(&object);
		remoting_frame_clear(&list);
	}
	remoting_reader_clear(&r);
	return cut;
}

static void
json_headers_as_clients_write_them_are_cut_in_their_place(void **state)
{
	static const char *const simple[] = {
		("{\"code\":310,\"extFields\":{\"a\":\"g\",\"b\":\"T\",\"e\":\"-1\",\"i\":\"KEYS\\u0001k\\u0002WAIT\\u0001true\"},"
		"\"flag\":0,\"language\":\"JAVA\",\"opaque\":7,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":399}"),
		"{\"opaque\":-7,\"code\":2147483647,\"extFields\":{\"\":\"\"}}",
		"{\"extFields\":{\"a\":\"1\",\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u007f\\u0041z\"},\"flag\":0,\"flag\":1}",
		"{\"extFields\":{\"a\":\"{}[],:\"},\"language\":\"ZIG\"}",
	};
	static const char *const others[] = {
		"{}", "{\"code\":1}", "{\"extFields\":{}}", "{\"extFields\":null}", "{\"extFields\":{\"a\":1}}",
		"{\"extFields\":{\"a\":\"1\"},\"remark\":null}", "{\"extFields\":{\"a\":\"1\"},\"remark\":\"r\"}",
		"{\"extFields\":{\"a\":\"1\"},\"new\":1}", "{ \"extFields\":{\"a\":\"1\"}}", "{\"extFields\":{\"a\":\"1\"}} ",
		"{\"extFields\":{\"a\":\"\xc3\xa9\"}}", "{\"extFields\":{\"a\":\"\\u00e9\"}}", "{\"extFields\":{\"a\":\"\\u0100\"}}",
		"{\"extFields\":{\"a\":\"1\"},\"language\":\"\\u004aAVA\"}", "{\"extFields\":{\"a\":\"1\"},\"language\":null}",
		"{\"extFields\":{\"a\":\"1\"},\"opaque\":-2147483648}", "{\"extFields\":{\"a\":\"1\"},\"opaque\":-0}",
		"{\"extFields\":{\"a\":\"1\"},\"version\":null}", "{\"extFields\":{\"a\":\"1\"},\"language\":\"a longer word than any\"}",
		/* no JSON, or no header */
		"", "{", "{\"extFields\":{\"a\":\"1\"}", "{\"extFields\":{\"a\":\"1\"},}", "{\"extFields\":{\"a\":\"1\",}}",
		"{\"extFields\":{\"a\":\"1\"}}}", "{\"extFields\":{\"a\":\"1}}", "{\"extFields\":{\"a\"}}", "{\"extFields\":{,}}",
		"{\"extFields\":{\"a\":\"\\", "{\"extFields\":{\"a\":\"\\u00", "{\"extFields\":{\"a\":\"\\u0000\"}}",
		"{\"extFields\":{\"a\":\"\\x41\"}}", "{\"extFields\":{\"a\":\"\n\"}}", "{\"extFields\":{\"a\":\"\xff\"}}",
		"{\"code\":01,\"extFields\":{\"a\":\"1\"}}", "{\"code\":2147483648,\"extFields\":{\"a\":\"1\"}}",
		"{\"code\":99999999999999999999,\"extFields\":{\"a\":\"1\"}}", "{\"code\":1.0,\"extFields\":{\"a\":\"1\"}}",
		"{\"code\":-,\"extFields\":{\"a\":\"1\"}}", "{\"code\":,\"extFields\":{\"a\":\"1\"}}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(simple) / sizeof(simple[0]); i++)
		if (!is_cut(simple[i]))
			fail_msg("not cut: %s", simple[i]);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (is_cut(others[i]))
			fail_msg("cut: %s", others[i]);
}

/* --- what cannot be ------------------------------------------------------------------------- */

static void
lengths_that_cannot_be_are_refused_before_anything_is_stored(void **state)
{
	static const char heads[][9] = {
		"\xff\xff\xff\xff\x00\x00\x00\x01",	/* 4 GiB */
		"\x7f\xff\xff\xff\x00\x00\x00\x01",
		"\x01\x00\x00\x00\x00\x00\x00\x01",	/* 16 MiB, and the length itself */
		"\x00\xff\xff\xfd\x00\x00\x00\x01",
		"\x00\x00\x00\x03\x00\x00\x00\x00",	/* no room for the header's length */
		"\x00\x00\x00\x00\x00\x00\x00\x00",
		"\x80\x00\x00\x10\x00\x00\x00\x01",
		"\x00\x00\x00\x10\x00\x00\x00\x0d",	/* a header beyond the frame */
		"\x00\xff\x00\x00\x00\x04\x00\x01",	/* a header without end */
		"\x00\x00\x00\x10\x02\x00\x00\x01",	/* a dialect nobody speaks */
		"\x16\x03\x01\x02\x00\x01\x00\x01",	/* TLS */
		"GET / HT",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		struct remoting_reader r = { .head_len = 0 };
		struct remoting_frame f;

		assert_int_equal(feed(&r, heads[i], 8, SIZE_MAX, &f), MQ_ECORRUPT);
		assert_null(r.memory);
	}
}

static void
memory_grows_with_what_comes(void **state)
{
	static const char head[] = "\x00\xff\xff\xfc\x00\x00\x00\x02";
	struct remoting_reader r = { .head_len = 0 };
	struct remoting_frame f;
	size_t sent = 2, n;

	(void)state;
	assert_int_equal(feed(&r, head, 8, SIZE_MAX, &f), MQ_EEND);
	assert_int_equal(r.room, 0);
	assert_int_equal(feed(&r, "{}", 2, SIZE_MAX, &f), MQ_EEND);
	for (; sent < (1 << 20); sent += n) {
		assert_non_null(remoting_reader_place(&r, &n));
		assert_int_equal(remoting_reader_take(&r, n, &f), MQ_EEND);
		assert_in_range(r.room, 1, sent < 2048 ? 4096 : 2 * (sent + n));
	}
	remoting_reader_clear(&r);
}

static void
the_largest_frame_is_read(void **state)
{
	static char buf[REMOTING_FRAME_MAX];
	struct remoting_frame f;
	char *head;
	size_t len;

	(void)state;
	be32_put(buf, REMOTING_FRAME_MAX - 4);
	be32_put(buf + 4, 2);
	memcpy(buf + 8, "{}", 2);
	assert_int_equal(decode(buf, sizeof(buf), &f), MQ_OK);
	assert_int_equal(f.body_len, REMOTING_FRAME_MAX - 10);
	assert_int_equal(remoting_encode(&f, &head, &len), -EMSGSIZE);	/* its header is longer now */
	f.body_len -= 200;
	assert_int_equal(remoting_encode(&f, &head, &len), MQ_OK);
	free(head);
	remoting_frame_clear(&f);
}

static void
json_headers_that_cannot_be_are_refused(void **state)
{
	static const char *const headers[] = {
		"", "{", "[]", "7", "{}x", "{\"code\":\"30\"}", "{\"code\":2147483648}", "{\"code\":1.5}",
		"{\"opaque\":99999999999999999999}", "{\"flag\":[]}", "{\"remark\":7}", "{\"extFields\":[]}",
		"{\"extFields\":{\"a\":{}}}", "{\"extFields\":{\"a\":\"\\u0000\"}}", "{\"remark\":\"\xff\"}",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct remoting_frame f;

		if (decode_json(headers[i], &f) != MQ_ECORRUPT)
			fail_msg("taken: %s", headers[i]);
	}
}

static void
binary_headers_that_cannot_be_are_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} ends[] = {		/* after code, language, version, opaque, flag */
#define END(text) { text, sizeof(text) - 1 }
		END(""),
		END("\x00\x00\x00"),
		END("\xff\xff\xff\xff\x00\x00\x00\x00"),
		END("\x00\x00\x00\x05" "ab" "\x00\x00\x00\x00"),
		END("\x00\x00\x00\x02" "\xff\xff" "\x00\x00\x00\x00"),
		END("\x00\x00\x00\x02" "a\x00" "\x00\x00\x00\x00"),
		END("\x00\x00\x00\x00\x00\x00\x00\x01"),
		END("\x00\x00\x00\x00\xff\xff\xff\xff"),
		END("\x00\x00\x00\x00\x00\x00\x00\x07" "\xff\xff" "a" "\x00\x00\x00\x00"),
		END("\x00\x00\x00\x00\x00\x00\x00\x07" "\x00\x01" "a" "\x00\x00\x00\x01"),
		END("\x00\x00\x00\x00\x00\x00\x00\x07" "\x00\x01" "a" "\x80\x00\x00\x00"),
		END("\x00\x00\x00\x00\x00\x00\x00\x08" "\x00\x01" "a" "\x00\x00\x00\x01" "\x00"),
#undef END
	};
	char header[100] = { 0 }, buf[200];

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct remoting_frame f;

		memcpy(header + 13, ends[i].bytes, ends[i].len);
		if (decode(buf, frame(buf, REMOTING_BINARY, header, 13 + ends[i].len, ""), &f) != MQ_ECORRUPT)
			fail_msg("taken: %zu", i);
	}
}

static void
what_no_frame_can_hold_is_not_sent(void **state)
{
	struct remoting_frame f = { .dialect = REMOTING_BINARY, .code = 1 << 20 };
	char *head, *name = calloc(1, 40001);
	size_t len;

	(void)state;
	assert_int_equal(remoting_encode(&f, &head, &len), -EMSGSIZE);
	f.code = 1;
	f.ext = json_object();
	assert_non_null(name);
	memset(name, 'n', 40000);
	json_object_set_new(f.ext, name, json_string("too long a name"));
	assert_int_equal(remoting_encode(&f, &head, &len), -EMSGSIZE);
	f.dialect = REMOTING_JSON;
	assert_int_equal(remoting_encode(&f, &head, &len), MQ_OK);
	free(head);
	free(name);
	remoting_frame_clear(&f);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_dialects_are_read_however_they_are_cut),
		cmocka_unit_test(what_is_sent_is_rocketmqs_byte_for_byte),
		cmocka_unit_test(what_was_sent_is_read_again),
		cmocka_unit_test(numbers_and_switches_are_taken_as_texts),
		cmocka_unit_test(what_is_unknown_is_passed_over_and_what_is_missing_is_nothing),
		cmocka_unit_test(fields_in_a_list_are_sent_as_those_of_an_object),
		cmocka_unit_test(fields_are_cut_in_their_place_and_the_body_is_whole),
		cmocka_unit_test(fields_that_cannot_be_cut_are_an_object_or_refused_as_ever),
		cmocka_unit_test(json_headers_as_clients_write_them_are_cut_in_their_place),
		cmocka_unit_test(lengths_that_cannot_be_are_refused_before_anything_is_stored),
		cmocka_unit_test(memory_grows_with_what_comes),
		cmocka_unit_test(the_largest_frame_is_read),
		cmocka_unit_test(json_headers_that_cannot_be_are_refused),
		cmocka_unit_test(binary_headers_that_cannot_be_are_refused),
		cmocka_unit_test(what_no_frame_can_hold_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
