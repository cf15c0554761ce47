#include "config.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/hex.h"
#include "conf/utf8.h"
#include "fs/name.h"
#include "store/filter.h"
#include "store/properties.h"

#define KNOWN_POINTS "a message number, first, last, -COUNT, -DURATION (10s, 5m, 1h, 2d) or " \
		     "YYYY-MM-DD[Thh:mm[:ss[.mmm]]][Z]"

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Take word if it comes next. */
static bool
take_word(const char **at, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*at, word, len) != 0)
		return false;
	*at += len;
	return true;
}

/* Take all digits that come next: false, taking nothing, for none or too large a number. */
static bool
take_number(const char **at, int64_t *ret_n)
{
	const char *p = *at;
	int64_t n = 0;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++) {
		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, *p - '0', &n))
			return false;
	}
	*at = p;
	*ret_n = n;
	return true;
}

/* Take exactly `digits` digits. */
static bool
take_digits(const char **at, int digits, int *ret_n)
{
	int n = 0;

	for (int i = 0; i < digits; i++) {
		if (!is_digit((*at)[i]))
			return false;
		n = 10 * n + ((*at)[i] - '0');
	}
	*at += digits;
	*ret_n = n;
	return true;
}

/* --- points ---------------------------------------------------------------- */

/* A point begins with a time if it begins with "dddd-". */
static bool
looks_like_time(const char *p)
{
	return is_digit(p[0]) && is_digit(p[1]) && is_digit(p[2]) && is_digit(p[3]) && p[4] == '-';
}

static int
days_in_month(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

static bool
take_date(const char **at, struct tm *tm)
{
	int year, month, day;

	if (!take_digits(at, 4, &year) || !take_word(at, "-") || !take_digits(at, 2, &month) ||
	    !take_word(at, "-") || !take_digits(at, 2, &day))
		return false;
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	tm->tm_mday = day;
	return true;
}

/* hh:mm[:ss[.mmm]].  A ":" or "." that no digit follows belongs to what comes
 * after the time: an option, the ".." of a range. */
static bool
take_clock(const char **at, struct tm *tm, int *ret_ms)
{
	*ret_ms = 0;
	if (!take_digits(at, 2, &tm->tm_hour) || !take_word(at, ":") || !take_digits(at, 2, &tm->tm_min))
		return false;
	if ((*at)[0] == ':' && is_digit((*at)[1])) {
		++*at;
		if (!take_digits(at, 2, &tm->tm_sec))
			return false;
		if ((*at)[0] == '.' && is_digit((*at)[1])) {
			++*at;
			if (!take_digits(at, 3, ret_ms))
				return false;
		}
	}
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 60;
}

static bool
take_time(const char **at, int64_t *ret_ms)
{
	struct tm tm = { .tm_isdst = -1 };
	int64_t seconds;
	int ms = 0;

	if (!take_date(at, &tm))
		return false;
	if (take_word(at, "T") && !take_clock(at, &tm, &ms))
		return false;
	seconds = take_word(at, "Z") ? timegm(&tm) : mktime(&tm);
	*ret_ms = seconds < 0 ? 0 : seconds * 1000 + ms;	/* 1970-01-01 east of Greenwich */
	return true;
}

/* What follows the "-": a count of messages, or a duration. */
static bool
take_back(const char **at, struct name_point *point)
{
	static const struct {
		const char *unit;
		int64_t ms;
	} units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 } };

	if (!take_number(at, &point->value))
		return false;
	point->kind = POINT_BEFORE_END;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (!take_word(at, units[i].unit))
			continue;
		point->kind = POINT_AGO;
		return !__builtin_mul_overflow(point->value, units[i].ms, &point->value);
	}
	return true;
}

static bool
take_point(const char **at, struct name_point *ret_point)
{
	struct name_point point = { .value = 0 };
	bool ok = true;

	if (take_word(at, "first")) {
		point.kind = POINT_FIRST;
	} else if (take_word(at, "last")) {
		point.kind = POINT_LAST;
	} else if (take_word(at, "-")) {
		ok = take_back(at, &point);
	} else if (looks_like_time(*at)) {
		point.kind = POINT_TIME;
		ok = take_time(at, &point.value);
	} else {
		point.kind = POINT_NUMBER;
		ok = take_number(at, &point.value);
	}
	if (ok)
		*ret_point = point;
	return ok;
}

int
name_parse_point(const char *text, struct name_point *ret_point)
{
	struct name_point point;
	const char *at = text;

	if (!take_point(&at, &point) || *at)
		return err_note(-EINVAL, "\"%.64s\" is no place in a queue; known: " KNOWN_POINTS, text);
	*ret_point = point;
	return MQ_OK;
}

/* --- options --------------------------------------------------------------- */

enum {
	FOR_READ = 1,
	FOR_APPEND = 2,
};

/* One option.  take() reads the value at *at and moves past it; it gets the
 * text of its own name too, for rows whose name goes on (a row "prop." stands
 * for prop.X).  NULL: the option has no value. */
struct option {
	const char *name;
	const char *known_as;	/* in messages */
	int uses;		/* FOR_* */
	bool repeats;		/* may be given more than once */
	size_t flag;		/* without value: the bool of struct name to set */
	int (*take)(struct name *n, const char *key, size_t key_len, const char **at);
};

/* Where a value of no special shape ends. */
static size_t
value_len(const char *at)
{
	return strcspn(at, ",:");
}

static int
take_format(struct name *n, const char *key, size_t key_len, const char **at)
{
	size_t len = value_len(*at);

	if (topic_format_parse(*at, len, &n->format) != MQ_OK)
		return err_note(-EINVAL, "%.*s=%.*s: known are lines, raw, len32, json", (int)key_len, key,
				(int)len, *at);
	n->has_format = true;
	*at += len;
	return MQ_OK;
}

/* The end of an expression: "," and ":" within parentheses or quotes are its own. */
static size_t
expression_len(const char *at)
{
	bool quoted = false;
	int depth = 0;
	size_t len;

	for (len = 0; at[len]; len++) {
		if (at[len] == '\'')
			quoted = !quoted;
		else if (!quoted && at[len] == '(')
			depth++;
		else if (!quoted && at[len] == ')')
			depth--;
		else if (!quoted && depth <= 0 && (at[len] == ',' || at[len] == ':'))
			break;
	}
	return len;
}

/* Decode a value or a property's name: each %XX is a byte.  `to` has room for NAME_BYTES_MAX bytes and a NUL. */
static int
unescape(const char *text, size_t len, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c == '%') {
			int high = i + 1 < len ? hex_value(text[i + 1]) : -1;
			int low = i + 2 < len ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return err_note(-EINVAL, "\"%.*s\": \"%%\" begins a byte as in %%2C; \"%%\" itself "
						"is %%25", (int)len, text);
			c = (char)(high << 4 | low);
			i += 2;
		}
		if (c == '\0' || c == '\x01' || c == '\x02')
			return err_note(-EINVAL, "\"%.*s\": the bytes %%00, %%01 and %%02 cannot be in a property",
					(int)len, text);
		to[n++] = c;
	}
	to[n] = '\0';
	if (!utf8_valid(to, n))
		return err_note(-EINVAL, "\"%.*s\" is not UTF-8", (int)len, text);
	return MQ_OK;
}

int
name_unescape(const char *text, char *buf)
{
	size_t len = strlen(text);

	return len > NAME_BYTES_MAX ? -ENAMETOOLONG : unescape(text, len, buf);
}

static int
take_text(const char *key, size_t key_len, size_t len, const char **at, char *to)
{
	int rc = unescape(*at, len, to);

	if (rc == MQ_OK && len == 0)
		return err_note(-EINVAL, "%.*s needs a value", (int)key_len, key);
	if (rc == MQ_OK)
		*at += len;
	return rc;
}

static int
take_tag(struct name *n, const char *key, size_t key_len, const char **at)
{
	return take_text(key, key_len, value_len(*at), at, n->tags);
}

/* The keys with a space between two always fit: each "key=" in the name takes more bytes than a space. */
static int
take_key(struct name *n, const char *key, size_t key_len, const char **at)
{
	char *to = n->keys + strlen(n->keys);
	int rc;

	if (to > n->keys)
		*to++ = ' ';
	rc = take_text(key, key_len, value_len(*at), at, to);
	if (rc == MQ_OK && strchr(to, ' '))
		return err_note(-EINVAL, "key=%s: a key cannot hold a space; for several keys: key=A,key=B", to);
	return rc;
}

static int
take_where(struct name *n, const char *key, size_t key_len, const char **at)
{
	return take_text(key, key_len, expression_len(*at), at, n->where);
}

static int
take_property(struct name *n, const char *key, size_t key_len, const char **at)
{
	struct properties props = { .buf = n->props, .size = NAME_BYTES_MAX, .len = strlen(n->props) };
	char name[NAME_BYTES_MAX + 1], value[NAME_BYTES_MAX + 1];
	size_t prefix = strlen("prop."), used;
	int rc;

	rc = unescape(key + prefix, key_len - prefix, name);
	if (rc == MQ_OK)
		rc = take_text(key, key_len, value_len(*at), at, value);
	if (rc != MQ_OK)
		return rc;
	if (property_is_reserved(name))
		return err_note(-EINVAL, "prop.%s: RocketMQ uses this property itself; a tag is tag=, a key key=", name);
	if (record_property(n->props, props.len, name, &used))
		return err_note(-EINVAL, "prop.%s is given twice", name);
	return properties_add(&props, name, value, strlen(value));
}

static int
take_when_once(const struct name *n)
{
	return n->delay_level || n->delay_ms || n->deliver_at_ms
		       ? err_note(-EINVAL, "delay= and at= both say when: give one of them") : MQ_OK;
}

static int
take_delay(struct name *n, const char *key, size_t key_len, const char **at)
{
	struct name_point after = { .value = 0 };
	int rc = take_when_once(n);

	if (rc != MQ_OK)
		return rc;
	if (take_word(at, "level")) {
		int64_t level;

		if (!take_number(at, &level) || level < 1 || level > DELAY_LEVELS_MAX)
			return err_note(-EINVAL, "%.*s=level: a number from 1 on comes next", (int)key_len, key);
		n->delay_level = (int)level;
		return MQ_OK;
	}
	if (!take_back(at, &after) || after.kind != POINT_AGO || after.value == 0)
		return err_note(-EINVAL, "%.*s=%s: a duration (500ms, 10s, 5m, 1h, 2d) or levelN", (int)key_len, key, *at);
	n->delay_ms = after.value;
	return MQ_OK;
}

static int
take_at(struct name *n, const char *key, size_t key_len, const char **at)
{
	int rc = take_when_once(n);

	if (rc == MQ_OK && (!looks_like_time(*at) || !take_time(at, &n->deliver_at_ms)))
		rc = err_note(-EINVAL, "%.*s=%s: a time is YYYY-MM-DD[Thh:mm[:ss[.mmm]]][Z]", (int)key_len, key, *at);
	if (rc == MQ_OK && n->deliver_at_ms == 0)
		n->deliver_at_ms = 1;
	return rc;
}

static const struct option options[] = {
	{ "at", "at=TIME", FOR_APPEND, .take = take_at },
	{ "delay", "delay=DURATION|levelN", FOR_APPEND, .take = take_delay },
	{ "follow", "follow", FOR_READ, .flag = offsetof(struct name, follow) },
	{ "format", "format=lines|raw|len32|json", FOR_READ | FOR_APPEND, .take = take_format },
	{ "key", "key=KEY", FOR_READ | FOR_APPEND, .repeats = true, .take = take_key },
	{ "prop.", "prop.NAME=VALUE", FOR_APPEND, .repeats = true, .take = take_property },
	{ "tag", "tag=TAG", FOR_READ | FOR_APPEND, .take = take_tag },
	{ "where", "where=EXPRESSION", FOR_READ, .take = take_where },
	{ "whole", "whole", FOR_APPEND, .flag = offsetof(struct name, whole) },
};

#define N_OPTIONS (sizeof(options) / sizeof(options[0]))

/* A row whose name ends in "." stands for all names that begin so. */
static const struct option *
option_find(const char *key, size_t len)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const char *name = options[i].name;
		size_t name_len = strlen(name);
		bool family = name[name_len - 1] == '.';

		if ((family ? len > name_len : len == name_len) && memcmp(key, name, name_len) == 0)
			return &options[i];
	}
	return NULL;
}

static int
option_unknown(const char *key, size_t len)
{
	char known[256] = "";
	size_t at = 0;

	for (size_t i = 0; i < N_OPTIONS && at < sizeof(known); i++)
		at += (size_t)snprintf(known + at, sizeof(known) - at, "%s%s", i ? ", " : "",
				       options[i].known_as);
	if (len == 0)
		return err_note(-EINVAL, "an option is missing; known: %s", known);
	return err_note(-EINVAL, "unknown option \"%.*s\"; known: %s", (int)len, key, known);
}

static int
option_value(const struct option *o, const char *key, size_t key_len, const char **at, struct name *n)
{
	if (o->take) {
		if (!take_word(at, "="))
			return err_note(-EINVAL, "%.*s needs a value: %s", (int)key_len, key, o->known_as);
		return o->take(n, key, key_len, at);
	}
	if (**at == '=')
		return err_note(-EINVAL, "%.*s takes no value", (int)key_len, key);
	*(bool *)((char *)n + o->flag) = true;
	return MQ_OK;
}

/* One option at *at.  `seen` has a bit for each row. */
static int
take_option(const char **at, struct name *n, unsigned int *seen)
{
	const char *key = *at;
	size_t key_len = strcspn(key, "=,:");
	const struct option *o = option_find(key, key_len);
	unsigned int bit;
	int rc;

	if (!o)
		return option_unknown(key, key_len);
	bit = 1u << (o - options);
	if ((*seen & bit) && !o->repeats)
		return err_note(-EINVAL, "%s is given twice", o->name);
	*seen |= bit;
	*at += key_len;
	rc = option_value(o, key, key_len, at, n);
	if (rc != MQ_OK)
		return rc;
	if (**at && **at != ',' && **at != ':')
		return err_note(-EINVAL, "\"%s\" after %.*s", *at, (int)(*at - key), key);
	n->read_only |= o->uses == FOR_READ;
	n->append_only |= o->uses == FOR_APPEND;
	return MQ_OK;
}

/* The first option seen that is only for this use. */
static const char *
first_for(unsigned int seen, int use)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if ((seen & 1u << i) && options[i].uses == use)
			return options[i].known_as;
	return "";
}

static int
take_options(const char **at, struct name *n)
{
	unsigned int seen = 0;

	while (**at) {
		int rc;

		if (**at != ':' && (seen == 0 || **at != ','))
			return err_note(-EINVAL, "\"%s\" where \":OPTION\" or the end should be", *at);
		++*at;
		rc = take_option(at, n, &seen);
		if (rc != MQ_OK)
			return rc;
	}
	if (n->read_only && n->append_only)
		return err_note(-EINVAL, "%s is for reading, %s is for appending: no name is for both",
				n->has_range ? "@" : first_for(seen, FOR_READ), first_for(seen, FOR_APPEND));
	return MQ_OK;
}

/* --- the whole name --------------------------------------------------------- */

static bool
take_queue(const char **at, int32_t *ret_queue)
{
	int64_t queue;

	if (!take_word(at, "q") || (**at == '0' && is_digit((*at)[1])) || !take_number(at, &queue) || queue >= QUEUES_MAX)
		return false;
	*ret_queue = (int32_t)queue;
	return true;
}

/* "qN" or "all", up to the end, an "@" or a ":". */
static bool
take_base(const char **at, struct name *n)
{
	n->all = take_word(at, "all");
	return (n->all || take_queue(at, &n->queue)) && (**at == '\0' || **at == '@' || **at == ':');
}

static int
take_range(const char **at, struct name *n)
{
	const char *range = *at;
	bool open;

	if (strncmp(*at, "..", 2) != 0 && !take_point(at, &n->from))
		goto bad;
	open = take_word(at, "..");
	if (open && **at && **at != ':' && !take_point(at, &n->to))
		goto bad;
	if (n->from.kind == POINT_NONE && n->to.kind == POINT_NONE)
		goto bad;
	if (**at && **at != ':')
		goto bad;
	if (n->from.kind == POINT_NUMBER && n->to.kind == POINT_NUMBER && n->from.value > n->to.value)
		return err_note(-EINVAL, "@%.*s ends before it begins", (int)(*at - range), range);
	n->has_range = true;
	n->read_only = true;
	return MQ_OK;
bad:
	return err_note(-EINVAL, "@%.64s: after \"@\" comes FROM, FROM..TO, FROM.. or ..TO, each of them "
			KNOWN_POINTS, range);
}

/* Check that the filter of the name can be parsed. */
static int
check_filter(const struct name *n)
{
	const struct filter_spec spec = { .tags = n->tags, .keys = n->keys, .where = n->where };
	struct filter *f = NULL;
	int rc = name_filters(n) ? filter_make(&spec, &f) : MQ_OK;

	filter_free(f);
	return rc;
}

int
name_parse(const char *text, struct name *ret_name)
{
	struct name n = { .queue = 0 };
	const char *at = text;
	int rc = MQ_OK;

	if (!take_base(&at, &n))
		return -ENOENT;
	if (strlen(text) > NAME_BYTES_MAX)
		return err_note(-ENAMETOOLONG, "a name may have %d bytes", NAME_BYTES_MAX);
	if (take_word(&at, "@"))
		rc = take_range(&at, &n);
	if (rc == MQ_OK)
		rc = take_options(&at, &n);
	if (rc == MQ_OK)
		rc = check_filter(&n);
	if (rc == MQ_OK)
		*ret_name = n;
	return rc;
}

bool
name_begins_plain(const char *text, int32_t *ret_queue, const char **ret_rest)
{
	if (!take_queue(&text, ret_queue))
		return false;
	*ret_rest = text;
	return true;
}

bool
name_is_plain(const char *text, int32_t *ret_queue)
{
	const char *rest;
	int32_t queue;

	if (!name_begins_plain(text, &queue, &rest) || *rest)
		return false;
	*ret_queue = queue;
	return true;
}
