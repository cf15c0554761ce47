#include "config.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "conf/scope.h"
#include "conf/utf8.h"
#include "store/base64.h"
#include "store/record_text.h"

void
time_text(int64_t ms, char *buf, size_t size)
{
	time_t s = ms / 1000;
	struct tm tm;
	size_t len;

	if (ms < 0 || !gmtime_r(&s, &tm)) {
		snprintf(buf, size, "%" PRId64 "ms", ms);
		return;
	}
	len = strftime(buf, size, "%Y-%m-%dT%H:%M:%S", &tm);
	if (len == 0)
		snprintf(buf, size, "%" PRId64 "ms", ms);
	else
		snprintf(buf + len, size - len, ".%03dZ", (int)(ms % 1000));
}

/* One byte of a text that may hold anything. */
static void
print_byte(FILE *out, unsigned char c)
{
	static const char shorts[] = "\\\\\nn\rr\tt";	/* pairs: character, its letter */

	for (size_t i = 0; i + 1 < sizeof(shorts); i += 2)
		if ((unsigned char)shorts[i] == c) {
			fprintf(out, "\\%c", shorts[i + 1]);
			return;
		}
	if (c < 0x20 || c == 0x7f)
		fprintf(out, "\\x%02x", c);
	else
		putc(c, out);
}

static void
print_text(FILE *out, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		print_byte(out, (unsigned char)text[i]);
}

/* A text that is not UTF-8 has a '?' for each byte beyond ASCII, since a terminal may show it. */
static void
print_any(FILE *out, const char *text, size_t len)
{
	bool valid = utf8_valid(text, len);

	for (size_t i = 0; i < len; i++)
		print_byte(out, valid || !((unsigned char)text[i] & 0x80) ? (unsigned char)text[i] : '?');
}

/* Words with a blank in them are quoted, so that one sees where they end. */
static void
print_property(FILE *out, const char *name, size_t name_len, const char *value, size_t value_len)
{
	const char *quote = memchr(value, ' ', value_len) || memchr(name, ' ', name_len) ? "\"" : "";

	fprintf(out, " %s", quote);
	print_any(out, name, name_len);
	putc('=', out);
	print_any(out, value, value_len);
	fputs(quote, out);
}

static void
print_properties(FILE *out, const struct record *rec)
{
	const char *name, *value;
	size_t name_len, value_len, cursor = 0;

	if (rec->props_len > 0)
		putc(' ', out);
	while (record_property_next(rec->props, (size_t)rec->props_len, &cursor, &name, &name_len, &value,
				    &value_len))
		print_property(out, name, name_len, value, value_len);
}

/* Where to cut a text so that it has at most `width` bytes, between two characters of UTF-8. */
static size_t
cut_at(const char *text, size_t len, size_t width)
{
	if (width == 0 || len <= width)
		return len;
	while (width > 0 && (text[width] & 0xc0) == 0x80)
		width--;
	return width;
}

static void
print_base64(FILE *out, const unsigned char *body, size_t len)
{
	AUTO_FREE char *text = malloc(base64_length(len) + 1);

	if (!text)
		return;
	base64_encode(body, len, text);
	fprintf(out, "base64:%.*s", (int)base64_length(len), text);
}

static void
print_body(FILE *out, const struct record *rec, size_t width)
{
	size_t len = (size_t)rec->body_len, shown;

	if (rec->sysflag & SYSFLAG_COMPRESSED || !utf8_valid(rec->body, len)) {
		shown = width && base64_length(len) > width ? width / 4 * 3 : len;
		print_base64(out, rec->body, shown);
	} else {
		shown = cut_at(rec->body, len, width);
		print_text(out, rec->body, shown);
	}
	if (shown < len)
		fprintf(out, "... (%zu bytes)", len);
}

/* The kind of a record that is no ordinary message. */
static void
print_kind(FILE *out, const struct record *rec)
{
	static const char *const transaction[] = { "", " prepared", " commit", " rollback" };

	fputs(transaction[(rec->sysflag & SYSFLAG_TRANSACTION) >> 2], out);
	if (rec->sysflag & SYSFLAG_COMPRESSED)
		fputs(" compressed", out);
	if (rec->reconsume_times > 0)
		fprintf(out, " reconsumed=%" PRId32, rec->reconsume_times);
}

void
record_print(FILE *out, const struct record *rec, size_t width)
{
	char when[32];

	time_text(rec->store_ms, when, sizeof(when));
	fprintf(out, "%" PRId64 " +%" PRId32 "  %s  ", rec->pos.byte, rec->total, when);
	print_any(out, rec->topic, (size_t)rec->topic_len);
	fprintf(out, "/q%" PRId32 "@%" PRId64, rec->queue_id, rec->qoff.n);
	print_kind(out, rec);
	print_properties(out, rec);
	fputs("  ", out);
	print_body(out, rec, width);
}
