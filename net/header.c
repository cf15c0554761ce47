#include "config.h"

#include <string.h>

#include "conf/bytes.h"
#include "conf/hex.h"
#include "net/header.h"

/* What is left of the header; `at` NULL: it is not simple. */
struct cursor {
	char *at;
	const char *end;
};

/* A text between its quotes, escapes and all. */
struct quoted {
	char *from;
	const char *to;
};

/* --- first it is only read ---------------------------------------------------------------------- */

static bool
comes(const struct cursor *c, char what)
{
	return c->at && c->at < c->end && *c->at == what;
}

static void
eat(struct cursor *c, char what)
{
	c->at = comes(c, what) ? c->at + 1 : NULL;
}

/* The character that an escape (behind its backslash) means, and how long it is; 0: no simple one. */
static char
escaped(const char *at, const char *end, size_t *ret_len)
{
	static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *letter = at < end && *at ? strchr(letters, *at) : NULL;
	int high, low;

	*ret_len = 1;
	if (letter)
		return means[letter - letters];
	if (end - at < 5 || memcmp(at, "u00", 3) != 0)
		return 0;
	*ret_len = 5;
	high = hex_value(at[3]);
	low = hex_value(at[4]);
	if (high < 0 || high >= 8 || low < 0)
		return 0;
	return (char)(high << 4 | low);
}

static struct quoted
take_quoted(struct cursor *c)
{
	struct quoted q = { NULL, NULL };
	size_t len;

	eat(c, '"');
	q.from = c->at;
	while (c->at && !comes(c, '"')) {
		if (c->at == c->end || (signed char)*c->at < ' ') {
			c->at = NULL;
		} else if (*c->at != '\\') {
			c->at++;
		} else {
			c->at = escaped(c->at + 1, c->end, &len) ? c->at + 1 + len : NULL;
		}
	}
	q.to = c->at;
	eat(c, '"');
	return q;
}

static bool
is_word(const struct quoted *q, const char *word)
{
	return bytes_are(q->from, (size_t)(q->to - q->from), word);
}

static int32_t
take_int(struct cursor *c)
{
	bool minus = comes(c, '-');
	int64_t n = 0;
	int digits = 0;

	if (minus)
		c->at++;
	for (; c->at && c->at < c->end && *c->at >= '0' && *c->at <= '9' && digits < 11; c->at++, digits++)
		n = 10 * n + (*c->at - '0');
	if (digits == 0 || digits == 11 || (digits > 1 && c->at[-digits] == '0') || (minus && n == 0) ||
	    n > INT32_MAX)
		c->at = NULL;
	return (int32_t)(minus ? -n : n);
}

/* What is in `quoted` are names and values by turns. */
static void
take_fields(struct cursor *c, struct quoted *quoted, size_t *ret_n)
{
	size_t n = 0;

	eat(c, '{');
	do {
		if (n > 0)
			eat(c, ',');
		if (n == FIELDS_MAX)
			c->at = NULL;
		if (!c->at)
			return;
		quoted[2 * n] = take_quoted(c);
		eat(c, ':');
		quoted[2 * n + 1] = take_quoted(c);
		n++;
	} while (comes(c, ','));
	eat(c, '}');
	*ret_n = n;
}

static void
take_word(struct cursor *c, char *ret, size_t size)
{
	struct quoted q = take_quoted(c);
	size_t len = c->at ? (size_t)(q.to - q.from) : size;

	if (len >= size || memchr(q.from, '\\', len)) {
		c->at = NULL;
		return;
	}
	memcpy(ret, q.from, len);
	ret[len] = '\0';
}

static void
take_member(struct cursor *c, struct header *h, struct quoted *quoted, size_t *ret_n)
{
	struct quoted name = take_quoted(c);
	char protocol[8];

	eat(c, ':');
	if (!c->at)
		return;
	if (is_word(&name, "code"))
		h->code = take_int(c);
	else if (is_word(&name, "flag"))
		h->flag = take_int(c);
	else if (is_word(&name, "opaque"))
		h->opaque = take_int(c);
	else if (is_word(&name, "version"))
		h->version = take_int(c);
	else if (is_word(&name, "language"))
		take_word(c, h->language, sizeof(h->language));
	else if (is_word(&name, "serializeTypeCurrentRPC"))
		take_word(c, protocol, sizeof(protocol));
	else if (is_word(&name, "extFields"))
		take_fields(c, quoted, ret_n);
	else
		c->at = NULL;
}

/* --- then it is changed ---------------------------------------------------------------------------- */

/* Escapes become what they mean, and the end a NUL, where at the latest the closing quote was. */
static const char *
unquote(const struct quoted *q)
{
	const char *from = q->from;
	char *to = memchr(q->from, '\\', (size_t)(q->to - q->from));
	size_t len;

	if (!to)
		to = q->from + (q->to - q->from);
	for (from = to; from < q->to; to++)
		if (*from == '\\') {
			*to = escaped(from + 1, q->to, &len);
			from += 1 + len;
		} else {
			*to = *from++;
		}
	*to = '\0';
	return q->from;
}

bool
header_cut(char *at, size_t len, bool (*wanted)(int code), struct header *ret)
{
	struct cursor c = { at, at + len };
	struct quoted quoted[2 * FIELDS_MAX];
	size_t n = 0;

	memset(ret, 0, offsetof(struct header, fields));
	eat(&c, '{');
	while (c.at && !comes(&c, '}')) {
		take_member(&c, ret, quoted, &n);
		if (!comes(&c, '}')) {
			eat(&c, ',');
			if (comes(&c, '}'))
				return false;
		}
	}
	if (!c.at || c.at + 1 != c.end || n == 0 || !wanted(ret->code))
		return false;
	for (size_t i = 0; i < n; i++)
		ret->fields.list[i] = (struct field){ unquote(&quoted[2 * i]), unquote(&quoted[2 * i + 1]) };
	ret->fields.n = n;
	return true;
}
