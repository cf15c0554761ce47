#include "config.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/err.h"
#include "conf/utf8.h"
#include "store/base64.h"
#include "store/record_json.h"

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

#define EACH(byte) ((byte) * UINT64_C(0x0101010101010101))

/* How many of the bytes at p stand for themselves and are easily seen to: eight at a time are neither
 * above 0x7f nor below 0x20 nor a quote nor a backslash.  A subtraction sets the highest bit of the
 * first byte for which that is wrong. */
static size_t
plain_length(const unsigned char *p, size_t len)
{
	size_t n = 0;
	uint64_t w;

	for (; len - n >= sizeof(w); n += sizeof(w)) {
		memcpy(&w, p + n, sizeof(w));
		if ((w | (w - EACH(0x20)) | ((w ^ EACH('"')) - EACH(1)) | ((w ^ EACH('\\')) - EACH(1))) & EACH(0x80))
			break;
	}
	return n;
}

/* A text with its quotes. */
static void
emit_text(struct sink *s, const void *text, size_t len)
{
	const unsigned char *p = text;
	size_t plain = 0, n;	/* p[plain .. i) stands for itself */
	uint32_t c;

	emit(s, "\"", 1);
	for (size_t i = 0; i < len; i += n) {
		n = plain_length(p + i, len - i);
		if (n > 0)
			continue;
		n = p[i] < 0x80 ? 1 : utf8_next(p + i, len - i, &c);
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
	char buf[4096 + 1];
	size_t block = (sizeof(buf) - 1) / 4 * 3;

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
	return !memchr(name, '\0', len) && utf8_valid(name, len);
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
	emit_format(s, ",\"flag\":%" PRId32 ",\"sysFlag\":%" PRId32 ",\"reconsumeTimes\":%" PRId32, rec->flag,
		    rec->sysflag, rec->reconsume_times);
	if (rec->packed)
		emit_format(s, ",\"packed\":\"%s\"", rec->packed);
	if (rec->prepared.byte)
		emit_format(s, ",\"preparedTransactionOffset\":%" PRId64, rec->prepared.byte);
	emit_literal(s, "}\n");
}

size_t
record_json_length(const struct record *rec)
{
	struct sink s = { .at = 0 };

	emit_record(&s, rec);
	return s.at;
}

size_t
record_json_render(const struct record *rec, size_t skip, void *out, size_t max)
{
	struct sink s = { .from = skip, .to = max > SIZE_MAX - skip ? SIZE_MAX : skip + max, .out = out };

	emit_record(&s, rec);
	if (s.at <= skip)
		return 0;
	return (s.at < s.to ? s.at : s.to) - skip;
}
