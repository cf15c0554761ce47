#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "fs/base64.h"
#include "fs/framing.h"

/* Escaped, each byte of text takes 6 characters at most ("\u0001"); and a
 * message's tags and keys may be there a second time, as properties. */
#define ESCAPED_BYTES_MAX 6
#define AROUND_BYTES_MAX (3 * ESCAPED_BYTES_MAX * (RECORD_PROPS_MAX + 1))

size_t
framing_json_line_max(size_t max_body)
{
	return ESCAPED_BYTES_MAX * max_body + AROUND_BYTES_MAX;
}

/* --- UTF-8 ------------------------------------------------------------------ */

/* Length of the character at p, 0 if it is not UTF-8. */
static size_t
utf8_length(const unsigned char *p, size_t left)
{
	static const unsigned char by_lead[32] = {	/* the first byte's upper 5 bits */
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 2, 2, 3, 3, 4, 0,
	};
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = by_lead[p[0] >> 3];
	uint32_t c;

	if (n < 2 || n > left)
		return n > left ? 0 : n;
	c = p[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

static bool
is_ascii8(const unsigned char *p)
{
	uint64_t eight;

	memcpy(&eight, p, sizeof(eight));
	return !(eight & 0x8080808080808080u);
}

static bool
utf8_valid(const unsigned char *p, size_t len)
{
	size_t n;

	for (size_t i = 0; i < len; i += n) {
		if (len - i >= 8 && is_ascii8(p + i))
			n = 8;
		else if ((n = utf8_length(p + i, len - i)) == 0)
			return false;
	}
	return true;
}

/* --- rendering ---------------------------------------------------------------- */

/* Where the line goes: of all that is emitted, bytes [from, to) are kept. */
struct sink {
	size_t at;		/* emitted so far */
	size_t from, to;
	unsigned char *out;
};

static void
emit(struct sink *s, const void *bytes, size_t len)
{
	size_t begin = s->at, end = begin + len;
	size_t first = begin > s->from ? begin : s->from;
	size_t last = end < s->to ? end : s->to;

	s->at = end;
	if (first < last)
		memcpy(s->out + (first - s->from), (const char *)bytes + (first - begin), last - first);
}

static void
emit_literal(struct sink *s, const char *literal)
{
	emit(s, literal, strlen(literal));
}

static void __attribute__((format(printf, 2, 3)))
emit_format(struct sink *s, const char *fmt, ...)
{
	char buf[256];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	MUST(len >= 0 && (size_t)len < sizeof(buf));
	emit(s, buf, (size_t)len);
}

/* A character of a text that cannot stand for itself. */
static void
emit_escape(struct sink *s, unsigned char c)
{
	static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";	/* pairs: character, its letter */

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
		if ((unsigned char)shorts[i] == c) {
			emit(s, (char[]){ '\\', shorts[i + 1] }, 2);
			return;
		}
	}
	if (c < 0x20)
		emit_format(s, "\\u%04x", c);
	else
		emit(s, "\xef\xbf\xbd", 3);	/* U+FFFD for a byte that is not UTF-8 */
}

/* A text with its quotes. */
static void
emit_text(struct sink *s, const void *text, size_t len)
{
	const unsigned char *p = text;
	size_t plain = 0, n;	/* p[plain .. i) stands for itself */

	emit(s, "\"", 1);
	for (size_t i = 0; i < len; i += n) {
		n = p[i] < 0x80 ? 1 : utf8_length(p + i, len - i);
		if (n > 0 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\')
			continue;
		emit(s, p + plain, i - plain);
		emit_escape(s, p[i]);
		n = 1;
		plain = i + 1;
	}
	if (len > plain)
		emit(s, p + plain, len - plain);
	emit(s, "\"", 1);
}

static void
emit_base64(struct sink *s, const unsigned char *p, size_t len)
{
	char buf[4096];
	size_t block = sizeof(buf) / 4 * 3;

	for (; len > 0; p += block, len -= block) {
		if (len < block)
			block = len;
		if (s->at >= s->to || s->at + base64_length(block) <= s->from) {
			s->at += base64_length(block);
			continue;
		}
		base64_encode(p, block, buf);
		emit(s, buf, base64_length(block));
	}
}

static void
emit_body(struct sink *s, const unsigned char *body, size_t len)
{
	if (utf8_valid(body, len)) {
		emit_literal(s, "\"body\":");
		emit_text(s, body, len);
	} else {
		emit_literal(s, "\"body64\":\"");
		emit_base64(s, body, len);
		emit(s, "\"", 1);
	}
}

/* A member for one property, if the message has it. */
static void
emit_property(struct sink *s, const struct record *rec, const char *member, const char *property)
{
	size_t len;
	const char *value = record_property(rec->props, (size_t)rec->props_len, property, &len);

	if (!value)
		return;
	emit_literal(s, member);
	emit_text(s, value, len);
}

/* Names seen so far: bits that say "perhaps", so that only few are looked for. */
struct seen_names {
	uint64_t bits[512];
};

static bool
seen_perhaps(struct seen_names *seen, const char *name, size_t len)
{
	uint32_t h = (uint32_t)java_hash(name, len, 0) * 2654435761u >> 17;
	uint64_t bit = (uint64_t)1 << (h & 63);
	bool was = seen->bits[h >> 6] & bit;

	seen->bits[h >> 6] |= bit;
	return was;
}

/* Can it be the name of a member, for every reader of JSON? */
static bool
name_can_be_shown(const char *name, size_t len)
{
	return !memchr(name, '\0', len) && utf8_valid((const unsigned char *)name, len);
}

/* Is name among the properties that begin before it? */
static bool
name_is_repeated(const struct record *rec, const char *name, size_t len)
{
	const char *other, *value;
	size_t other_len, value_len, cursor = 0;

	while (record_property_next(rec->props, (size_t)rec->props_len, &cursor, &other, &other_len, &value,
				    &value_len)) {
		if (other == name)
			return false;
		if (other_len == len && memcmp(other, name, len) == 0)
			return true;
	}
	return false;
}

static void
emit_properties(struct sink *s, const struct record *rec)
{
	struct seen_names seen = { { 0 } };
	const char *name, *value, *comma = "";
	size_t name_len, value_len, cursor = 0;

	emit_literal(s, ",\"properties\":{");
	while (record_property_next(rec->props, (size_t)rec->props_len, &cursor, &name, &name_len, &value,
				    &value_len)) {
		if (!name_can_be_shown(name, name_len))
			continue;
		if (seen_perhaps(&seen, name, name_len) && name_is_repeated(rec, name, name_len))
			continue;
		emit_literal(s, comma);
		emit_text(s, name, name_len);
		emit(s, ":", 1);
		emit_text(s, value, value_len);
		comma = ",";
	}
	emit(s, "}", 1);
}

static void
emit_host(struct sink *s, const char *member, const struct host *host)
{
	char addr[INET6_ADDRSTRLEN];

	inet_ntop(host->v6 ? AF_INET6 : AF_INET, host->addr, addr, sizeof(addr));
	emit_format(s, host->v6 ? ",\"%s\":\"[%s]:%" PRId32 "\"" : ",\"%s\":\"%s:%" PRId32 "\"", member, addr,
		    host->port);
}

static void
emit_record(struct sink *s, const struct record *rec)
{
	char id[57];

	record_msg_id(&rec->stored, rec->pos, id);
	emit(s, "{", 1);
	emit_body(s, rec->body, (size_t)rec->body_len);
	emit_literal(s, ",\"topic\":");
	emit_text(s, rec->topic, (size_t)rec->topic_len);
	emit_format(s, ",\"queueId\":%" PRId32 ",\"queueOffset\":%" PRId64 ",\"phyOffset\":%" PRId64
		    ",\"msgId\":\"%s\"", rec->queue_id, rec->qoff.n, rec->pos.byte, id);
	emit_property(s, rec, ",\"tags\":", "TAGS");
	emit_property(s, rec, ",\"keys\":", "KEYS");
	emit_format(s, ",\"bornTimestamp\":%" PRId64 ",\"storeTimestamp\":%" PRId64, rec->born_ms,
		    rec->store_ms);
	emit_properties(s, rec);
	emit_host(s, "bornHost", &rec->born);
	emit_host(s, "storeHost", &rec->stored);
	emit_format(s, ",\"flag\":%" PRId32 ",\"sysFlag\":%" PRId32 ",\"reconsumeTimes\":%" PRId32 "}\n",
		    rec->flag, rec->sysflag, rec->reconsume_times);
}

size_t
framing_json_length(const struct record *rec)
{
	struct sink s = { .at = 0 };

	emit_record(&s, rec);
	return s.at;
}

size_t
framing_json_render(const struct record *rec, size_t skip, void *out, size_t max)
{
	struct sink s = { .from = skip, .to = max > SIZE_MAX - skip ? SIZE_MAX : skip + max, .out = out };

	emit_record(&s, rec);
	if (s.at <= skip)
		return 0;
	return (s.at < s.to ? s.at : s.to) - skip;
}

/* --- parsing -------------------------------------------------------------------- */

/* What a line may have; what the broker sets itself is let by. */
static const char *const members[] = {
	"body", "body64", "tags", "keys", "flag", "bornTimestamp", "properties",
	"topic", "queueId", "queueOffset", "phyOffset", "msgId", "storeTimestamp", "storeHost", "bornHost",
	"sysFlag", "reconsumeTimes",
};

static int
check_members(json_t *root)
{
	const char *name;
	json_t *value;

	json_object_foreach(root, name, value) {
		size_t i = 0;

		while (i < sizeof(members) / sizeof(members[0]) && strcmp(members[i], name) != 0)
			i++;
		if (i == sizeof(members) / sizeof(members[0]))
			return err_note(-EINVAL, "json: unknown member \"%.64s\"; known: body, body64, tags, "
					"keys, flag, bornTimestamp, properties", name);
	}
	return MQ_OK;
}

/* The member, NULL if it is absent or null. */
static json_t *
member_get(json_t *root, const char *name)
{
	json_t *value = json_object_get(root, name);

	return json_is_null(value) ? NULL : value;
}

static int
number_take(json_t *root, const char *name, int64_t min, int64_t max, int64_t *ret_n)
{
	json_t *value = member_get(root, name);

	if (!value)
		return MQ_OK;
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return err_note(-EINVAL, "json: %s must be a number from %" PRId64 " to %" PRId64, name, min,
				max);
	*ret_n = json_integer_value(value);
	return MQ_OK;
}

static int
body_take(json_t *root, struct json_message *msg)
{
	json_t *body = member_get(root, "body"), *body64 = member_get(root, "body64");
	json_t *given = body ? body : body64;
	size_t len;

	if (body && body64)
		return err_note(-EINVAL, "json: body and body64 are both there");
	if (!given)
		return MQ_OK;
	if (!json_is_string(given))
		return err_note(-EINVAL, "json: %s must be a text", body ? "body" : "body64");
	len = json_string_length(given);
	msg->body = malloc(len + 1);
	if (!msg->body)
		return -ENOMEM;
	msg->body_len = len;
	if (body)
		memcpy(msg->body, json_string_value(given), len);
	else if (base64_decode(json_string_value(given), len, msg->body, &msg->body_len) != MQ_OK)
		return err_note(-EINVAL, "json: body64 is not base64");
	return MQ_OK;
}

/* Properties as a record has them; what does not fit leaves `over`. */
struct props {
	char *buf;		/* RECORD_PROPS_MAX bytes */
	size_t len;
	bool over;
};

static void
props_put(struct props *p, const char *text, size_t len)
{
	if (len > RECORD_PROPS_MAX - p->len) {
		p->over = true;
		return;
	}
	memcpy(p->buf + p->len, text, len);
	p->len += len;
}

static int
props_name(struct props *p, const char *name)
{
	if (!*name || strpbrk(name, "\x01\x02"))
		return err_note(-EINVAL, "json: \"%.64s\" cannot be the name of a property", name);
	if (p->len > 0)
		props_put(p, "\x02", 1);
	props_put(p, name, strlen(name));
	props_put(p, "\x01", 1);
	return MQ_OK;
}

/* A value is a text, not empty (RocketMQ drops those), without the separators. */
static int
props_value(struct props *p, const char *name, const json_t *value)
{
	const char *text = json_string_value(value);
	size_t len = json_string_length(value);

	if (!text || len == 0)
		return err_note(-EINVAL, "json: %.64s must be a text, not empty", name);
	if (memchr(text, 0x01, len) || memchr(text, 0x02, len))
		return err_note(-EINVAL, "json: %.64s: a property cannot hold U+0001 or U+0002", name);
	props_put(p, text, len);
	return MQ_OK;
}

/* keys as an array: each one a key. */
static int
props_keys(struct props *p, const json_t *keys)
{
	const json_t *key;
	size_t i;

	json_array_foreach(keys, i, key) {
		int rc;

		if (json_is_string(key) && memchr(json_string_value(key), ' ', json_string_length(key)))
			return err_note(-EINVAL, "json: a key cannot hold a space");
		if (i > 0)
			props_put(p, " ", 1);
		rc = props_value(p, "a key", key);
		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

static int
props_add(struct props *p, const char *name, const json_t *value)
{
	int rc = props_name(p, name);

	if (rc != MQ_OK)
		return rc;
	return json_is_array(value) ? props_keys(p, value) : props_value(p, name, value);
}

/* Does tags or keys say anything?  An empty one is as good as none. */
static json_t *
given(json_t *root, const char *member, bool list)
{
	json_t *value = member_get(root, member);

	if (json_is_string(value) && json_string_length(value) == 0)
		return NULL;
	if (list && json_is_array(value) && json_array_size(value) == 0)
		return NULL;
	return value;
}

/* All properties in the order they are given; tags and keys in the place of
 * TAGS and KEYS, or behind. */
static int
props_fill(struct props *p, json_t *root)
{
	json_t *all = member_get(root, "properties");
	json_t *tags = given(root, "tags", false), *keys = given(root, "keys", true);
	json_t *value;
	const char *name;
	int rc = MQ_OK;

	if (json_is_array(tags))
		return err_note(-EINVAL, "json: tags must be a text");
	if (all && !json_is_object(all))
		return err_note(-EINVAL, "json: properties must be an object");
	json_object_foreach(all, name, value) {
		bool is_tags = strcmp(name, "TAGS") == 0, is_keys = strcmp(name, "KEYS") == 0;

		if (json_is_array(value))
			return err_note(-EINVAL, "json: %.64s must be a text, not empty", name);
		rc = props_add(p, name, is_tags && tags ? tags : is_keys && keys ? keys : value);
		if (rc != MQ_OK)
			return rc;
	}
	if (tags && !json_object_get(all, "TAGS"))
		rc = props_add(p, "TAGS", tags);
	if (rc == MQ_OK && keys && !json_object_get(all, "KEYS"))
		rc = props_add(p, "KEYS", keys);
	return rc;
}

static int
props_take(json_t *root, struct json_message *msg)
{
	struct props p = { .buf = malloc(RECORD_PROPS_MAX) };
	int rc;

	if (!p.buf)
		return -ENOMEM;
	rc = props_fill(&p, root);
	msg->props = p.buf;
	msg->props_len = p.len;
	if (rc == MQ_OK && p.over)
		rc = err_note(-EMSGSIZE, "json: the properties take more than %d bytes", RECORD_PROPS_MAX);
	return rc;
}

static int
message_take(json_t *root, struct json_message *msg)
{
	int64_t flag = 0;
	int rc;

	if (!json_is_object(root))
		return err_note(-EINVAL, "json: a line must be one object");
	rc = check_members(root);
	if (rc == MQ_OK)
		rc = number_take(root, "flag", INT32_MIN, INT32_MAX, &flag);
	if (rc == MQ_OK)
		rc = number_take(root, "bornTimestamp", 0, INT64_MAX, &msg->born_ms);
	if (rc == MQ_OK)
		rc = body_take(root, msg);
	if (rc == MQ_OK)
		rc = props_take(root, msg);
	msg->flag = (int32_t)flag;
	return rc;
}

/* Hands both pieces to jansson, one after the other. */
static size_t
piece_read(void *buf, size_t size, void *piece)
{
	struct piece *p = piece;
	size_t n;

	if (p->a_len == 0) {
		p->a = p->b;
		p->a_len = p->b_len;
		p->b_len = 0;
	}
	n = p->a_len < size ? p->a_len : size;
	if (n > 0) {
		memcpy(buf, p->a, n);
		p->a += n;
		p->a_len -= n;
	}
	return n;
}

int
framing_json_parse(const struct piece *line, struct json_message *ret_msg)
{
	struct json_message msg = { .born_ms = 0 };
	struct piece left = *line;
	json_error_t why;
	json_t *root;
	int rc;

	root = json_load_callback(piece_read, &left, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	if (!root)
		return err_note(-EINVAL, "json: %s (at byte %d)", why.text, why.position);
	rc = message_take(root, &msg);
	json_decref(root);
	if (rc != MQ_OK) {
		json_message_free(&msg);
		return rc;
	}
	*ret_msg = msg;
	return MQ_OK;
}

void
json_message_free(struct json_message *msg)
{
	free(msg->body);
	free(msg->props);
	msg->body = NULL;
	msg->props = NULL;
	msg->body_len = msg->props_len = 0;
}
