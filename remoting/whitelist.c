#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "remoting/whitelist.h"

#define PARTS 8				/* of an IPv6 address; IPv4 has 4 */
#define TEXT_MAX 128			/* one address, or pattern */

struct range {
	uint16_t from, to;
};

struct pattern {
	bool all, v6;
	struct range parts[PARTS];
};

static uint16_t
part_of(const struct address *a, size_t i)
{
	return (uint16_t)(a->v6 ? a->bytes[2 * i] << 8 | a->bytes[2 * i + 1] : a->bytes[i]);
}

/* --- patterns ------------------------------------------------------------------------------------ */

static int
bad(const char *text)
{
	return err_note(MQ_EBADCONF, "%.100s is no address, and no pattern of addresses", text);
}

static int
add(struct whitelist *w, const struct pattern *p)
{
	struct pattern *list = realloc(w->list, (w->n + 1) * sizeof(*list));

	if (!list)
		return -ENOMEM;
	w->list = list;
	list[w->n++] = *p;
	return MQ_OK;
}

static struct pattern
pattern_of(const struct address *a)
{
	struct pattern p = { .v6 = a->v6 };

	for (size_t i = 0; i < (a->v6 ? PARTS : 4); i++)
		p.parts[i].from = p.parts[i].to = part_of(a, i);
	return p;
}

static bool
parse_number(const char **at, int base, long max, uint16_t *ret)
{
	char *end;
	long n = strtol(*at, &end, base);

	if (end == *at || **at == '-' || **at == '+' || n < 0 || n > max)
		return false;
	*at = end;
	*ret = (uint16_t)n;
	return true;
}

/* "*", "5", or "3-7". */
static bool
parse_range(const char *text, bool v6, struct range *ret)
{
	long max = v6 ? 0xffff : 255;
	int base = v6 ? 16 : 10;
	struct range r = { .from = 0, .to = (uint16_t)max };

	if (strcmp(text, "*") != 0) {
		if (!parse_number(&text, base, max, &r.from))
			return false;
		r.to = r.from;
		if (*text == '-' && (text++, !parse_number(&text, base, max, &r.to)))
			return false;
		if (*text || r.from > r.to)
			return false;
	}
	*ret = r;
	return true;
}

static int
add_v4_range(struct whitelist *w, const char *text)
{
	struct pattern p = { .v6 = false };
	char copy[TEXT_MAX], *rest = NULL;
	size_t n = 0;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *part = strtok_r(copy, ".", &rest); part; part = strtok_r(NULL, ".", &rest))
		if (n == 4 || !parse_range(part, false, &p.parts[n++]))
			return bad(text);
	if (n != 4 || p.parts[0].from != p.parts[0].to)
		return bad(text);
	return add(w, &p);
}

static bool
is_range(const char *part)
{
	return strpbrk(part, "*-") != NULL;
}

/* The last parts, at most two, may be ranges: what is before them is completed with zeros. */
static int
add_v6_range(struct whitelist *w, const char *text)
{
	char copy[TEXT_MAX], *cut;
	struct range ranges[2];
	struct pattern p;
	struct address a;
	size_t n = 0;

	snprintf(copy, sizeof(copy) - 4, "%s", text);
	while (n < 2 && (cut = strrchr(copy, ':')) && is_range(cut + 1)) {
		if (!parse_range(cut + 1, true, &ranges[n++]))
			return bad(text);
		*cut = '\0';
	}
	for (size_t i = 0; i < n; i++)
		strcat(copy, ":0");
	if (is_range(copy) || !address_parse_host(copy, &a) || !a.v6)
		return bad(text);
	p = pattern_of(&a);
	for (size_t i = 0; i < n; i++)
		p.parts[PARTS - 1 - i] = ranges[i];
	return add(w, &p);
}

/* A single address. */
static int
add_address(struct whitelist *w, const char *text)
{
	struct pattern p;
	struct address a;

	if (!address_parse_host(text, &a))
		return bad(text);
	p = pattern_of(&a);
	return add(w, &p);
}

/* `items`, with commas between, each behind `prefix`. */
static int
add_list(struct whitelist *w, const char *prefix, int prefix_len, const char *items, size_t len)
{
	char copy[4096], one[TEXT_MAX], *rest = NULL;
	int rc = MQ_OK;

	if (len >= sizeof(copy))
		return bad(items);
	memcpy(copy, items, len);
	copy[len] = '\0';
	for (char *item = strtok_r(copy, ",", &rest); item && rc == MQ_OK; item = strtok_r(NULL, ",", &rest)) {
		if ((size_t)snprintf(one, sizeof(one), "%.*s%s", prefix_len, prefix, item) >= sizeof(one))
			return bad(item);
		rc = add_address(w, one);
	}
	return rc;
}

/* PREFIX{ITEM,ITEM}: the last part is one of the items. */
static int
add_braces(struct whitelist *w, const char *text)
{
	const char *open = strchr(text, '{');
	size_t len = strlen(text);

	if (!open || open == text || (open[-1] != '.' && open[-1] != ':') || open - text >= TEXT_MAX)
		return bad(text);
	return add_list(w, text, (int)(open - text), open + 1, len - (size_t)(open + 1 - text) - 1);
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == '\0';
}

int
whitelist_add(struct whitelist *w, const char *text)
{
	size_t len = strlen(text);

	if (is_blank(text))
		return MQ_OK;
	if (strcmp(text, "*") == 0 || strcmp(text, "*.*.*.*") == 0 || strcmp(text, "*:*:*:*:*:*:*:*") == 0)
		return add(w, &(struct pattern){ .all = true });
	if (text[len - 1] == '}')
		return add_braces(w, text);
	if (strchr(text, ','))
		return add_list(w, "", 0, text, len);
	if (len >= TEXT_MAX - 8)
		return bad(text);
	if (!is_range(text))
		return add_address(w, text);
	return strchr(text, ':') ? add_v6_range(w, text) : add_v4_range(w, text);
}

static bool
matches(const struct pattern *p, const struct address *a)
{
	if (p->all)
		return true;
	if (p->v6 != a->v6)
		return false;
	for (size_t i = 0; i < (a->v6 ? PARTS : 4); i++)
		if (part_of(a, i) < p->parts[i].from || part_of(a, i) > p->parts[i].to)
			return false;
	return true;
}

bool
whitelist_has(const struct whitelist *w, const struct address *a)
{
	for (size_t i = 0; i < w->n; i++)
		if (matches(&w->list[i], a))
			return true;
	return false;
}

void
whitelist_clear(struct whitelist *w)
{
	free(w->list);
	*w = (struct whitelist){ 0 };
}
