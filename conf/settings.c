#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#include "conf/allow.h"
#include "conf/delay.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/settings.h"

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* In the order of the enums in settings.h. */
static const char *const role_words[] = { "ASYNC_MASTER", "SYNC_MASTER", "SLAVE", NULL };
static const char *const flush_words[] = { "ASYNC_FLUSH", "SYNC_FLUSH", NULL };
static const char *const master_kind_words[] = { "auto", "mqfs", "rocketmq", NULL };
static const char *const unavailable_words[] = { "fail", "degrade", NULL };
static const char *const full_words[] = { "block", "drop", NULL };
static const char *const tls_words[] = { "auto", "disabled", "permissive", "enforcing", NULL };
static const char *const tls_ask_words[] = { "none", "optional", "require", NULL };
static const char *const allow_words[] = { "auto", "true", "false", NULL };

static const struct setting table[] = {
#define ROW(k) .key = #k, .offset = offsetof(struct settings, k)
#define NUMBER(k, d, lo, hi, u, f, h) \
	{ ROW(k), .type = SETTING_NUMBER, .dflt = #d, .min = lo, .max = hi, .unit = u, .flags = f, \
	  .help = h },
#define SWITCH(k, d, f, h) \
	{ ROW(k), .type = SETTING_SWITCH, .dflt = #d, .unit = "", .flags = f, .help = h },
#define CHOICE(k, d, w, f, h) \
	{ ROW(k), .type = SETTING_CHOICE, .dflt = #d, .words = w, .unit = "", .flags = f, .help = h },
#define TEXT(k, d, f, h) \
	{ ROW(k), .type = SETTING_TEXT, .dflt = d, .unit = "", .flags = f, .help = h },
#include "conf/settings.def"
#undef ROW
};

static const struct {
	const char *alias;
	const char *key;
} aliases[] = {
	{ "role", "brokerRole" },
	{ "store", "storePathRootDir" },
	{ "haMasterAddress", "master" },
	{ "bindAddress", "listen" },
	{ "mapedFileSizeCommitLog", "mappedFileSizeCommitLog" },
	{ "mapedFileSizeConsumeQueue", "mappedFileSizeConsumeQueue" },
	{ "mapedFileSizeConsumeQueueExt", "mappedFileSizeConsumeQueueExt" },
	{ "destroyMappedFileIntervalForcibly", "destroyMapedFileIntervalForcibly" },
};

static const struct {
	const char *unit;
	const char *suffix;
	int64_t factor;
} suffixes[] = {
	{ "bytes", "k", INT64_C(1) << 10 }, { "bytes", "KiB", INT64_C(1) << 10 },
	{ "bytes", "M", INT64_C(1) << 20 }, { "bytes", "MiB", INT64_C(1) << 20 },
	{ "bytes", "G", INT64_C(1) << 30 }, { "bytes", "GiB", INT64_C(1) << 30 },
	{ "ms", "ms", 1 }, { "ms", "s", 1000 }, { "ms", "m", 60000 }, { "ms", "h", 3600000 },
	{ "s", "s", 1 }, { "s", "m", 60 }, { "s", "h", 3600 },
	{ "h", "h", 1 }, { "h", "d", 24 },
	{ "%", "%", 1 },
};

/* Text settings with a form of their own; an empty text is always valid. */
static bool text_is_address(const char *text);
static bool text_is_ipv4(const char *text);
static bool text_is_hours(const char *text);
static bool text_is_allow(const char *text);
static bool text_is_path(const char *text);
static bool text_is_directory(const char *text);
static bool text_is_delays(const char *text);

#define PATH_ALLOWED "a path from /, of at most 255 bytes"

static const struct {
	size_t offset;
	bool (*good)(const char *text);
	const char *allowed;
} text_rules[] = {
	{ offsetof(struct settings, brokerIP1), text_is_ipv4, "an IPv4 address" },
	{ offsetof(struct settings, master), text_is_address, "HOST:PORT" },
	{ offsetof(struct settings, masterRemoting), text_is_address, "HOST:PORT" },
	{ offsetof(struct settings, deleteWhen), text_is_hours, "hours from 00 to 23, as 04 or 04;16" },
	{ offsetof(struct settings, haAllow), text_is_allow, "addresses and prefixes, as 10.0.0.0/8 ::1" },
	{ offsetof(struct settings, aclFile), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsCert), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsKey), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsCa), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsServerCertPath), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsServerKeyPath), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsServerTrustCertPath), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, tlsConfigFile), text_is_path, PATH_ALLOWED },
	{ offsetof(struct settings, storePathCommitLog), text_is_directory,
	  "one directory (a list, as RocketMQ takes it, is not served)" },
	{ offsetof(struct settings, messageDelayLevel), text_is_delays,
	  "at most 64 numbers with s, m, h or d, separated by blanks, as 1s 5s 2h" },
};

/* A text that was replaced: another thread may be reading it. */
struct old_text {
	struct old_text *next;
	char *text;
};

static struct lock change_lock = LOCK_STATIC(RANK_SETTINGS);

/* A value on its way from text into a field. */
union value {
	int64_t number;		/* a switch is 0 or 1, a choice the place of its word */
	char *text;
};

static void *
field_of(const struct settings *s, const struct setting *row)
{
	return (char *)(uintptr_t)s + row->offset;
}

static char *_Atomic *
text_at(const struct settings *s, const struct setting *row)
{
	return field_of(s, row);
}

static int64_t
number_get(const struct settings *s, const struct setting *row)
{
	void *field = field_of(s, row);

	return row->type == SETTING_NUMBER ? *(_Atomic int64_t *)field : *(_Atomic int *)field;
}

static void
number_set(struct settings *s, const struct setting *row, int64_t number)
{
	void *field = field_of(s, row);

	if (row->type == SETTING_NUMBER)
		*(_Atomic int64_t *)field = number;
	else
		*(_Atomic int *)field = (int)number;
}

const struct setting *
settings_table(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(table);
	return table;
}

/* --- keys --- */

/* The next character of a key or word that counts, in lower case; 0 at its end. */
static int
fold_next(const char **at)
{
	while (**at == '_' || **at == '-' || **at == '.')
		(*at)++;
	return **at ? tolower((unsigned char)*(*at)++) : 0;
}

static bool
fold_equal(const char *a, const char *b)
{
	int c;

	do {
		c = fold_next(&a);
		if (c != fold_next(&b))
			return false;
	} while (c);
	return true;
}

static const struct setting *
row_of(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (fold_equal(table[i].key, key))
			return &table[i];
	return NULL;
}

const struct setting *
setting_find(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
		if (fold_equal(aliases[i].alias, key))
			return row_of(aliases[i].key);
	return row_of(key);
}

#define FOLDED_MAX 64

/* The characters of a key that count, at most FOLDED_MAX: no key has more. */
static size_t
fold_into(char folded[FOLDED_MAX], const char *key)
{
	size_t n = 0;
	int c;

	while (n < FOLDED_MAX && (c = fold_next(&key)))
		folded[n++] = (char)c;
	return n;
}

/* Levenshtein's: how many characters must come, go or change. */
static size_t
key_distance(const char *a_key, const char *b_key)
{
	char a[FOLDED_MAX], b[FOLDED_MAX];
	size_t a_len = fold_into(a, a_key), b_len = fold_into(b, b_key);
	size_t row[FOLDED_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 0; i < a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < b_len; j++) {
			size_t above = row[j + 1];

			row[j + 1] = MIN(MIN(above, row[j]) + 1, diagonal + (a[i] != b[j]));
			diagonal = above;
		}
	}
	return row[b_len];
}

static const char *
nearest_key(const char *key)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < ARRAY_LEN(table) + ARRAY_LEN(aliases); i++) {
		const char *known = i < ARRAY_LEN(table) ? table[i].key : aliases[i - ARRAY_LEN(table)].alias;
		size_t distance = key_distance(key, known);

		if (distance < best) {
			best = distance;
			nearest = known;
		}
	}
	return nearest;
}

static int
unknown_key(const char *key, const char *where)
{
	return err_note(MQ_EBADCONF, "%s: unknown setting '%.64s'; the nearest known is %s",
			where, key, nearest_key(key));
}

/* --- values --- */

void
setting_allowed(const struct setting *row, char *buf, size_t size)
{
	size_t len = 0;

	switch (row->type) {
	case SETTING_NUMBER:
		snprintf(buf, size, "%" PRId64 " to %" PRId64 "%s%s", row->min, row->max,
			 row->unit[0] ? " " : "", row->unit);
		return;
	case SETTING_SWITCH:
		snprintf(buf, size, "true or false");
		return;
	case SETTING_CHOICE:
		for (const char *const *w = row->words; *w && len < size; w++)
			len += (size_t)snprintf(buf + len, size - len, "%s%s",
						w == row->words ? "" : w[1] ? ", " : " or ", *w);
		return;
	case SETTING_TEXT:
		break;
	}
	snprintf(buf, size, "one line of text");
	for (size_t i = 0; i < ARRAY_LEN(text_rules); i++)
		if (text_rules[i].offset == row->offset)
			snprintf(buf, size, "%s", text_rules[i].allowed);
}

/* The factor of a suffix; 0: the unit has no such suffix. */
static int64_t
suffix_factor(const char *unit, const char *suffix)
{
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++)
		if (strcmp(suffixes[i].unit, unit) == 0 && strcasecmp(suffixes[i].suffix, suffix) == 0)
			return suffixes[i].factor;
	return 0;
}

static bool
number_parse(const struct setting *row, const char *text, int64_t *ret_number)
{
	int64_t factor = 1;
	long long n;
	char *end;

	if (!isdigit((unsigned char)text[0]) && text[0] != '-')
		return false;
	errno = 0;
	n = strtoll(text, &end, 10);
	if (errno || end == text)
		return false;
	if (*end)
		factor = suffix_factor(row->unit, end);
	return factor && !__builtin_mul_overflow((int64_t)n, factor, ret_number) &&
	       *ret_number >= row->min && *ret_number <= row->max;
}

static bool
switch_parse(const char *text, int64_t *ret_on)
{
	*ret_on = strcasecmp(text, "true") == 0;
	return *ret_on || strcasecmp(text, "false") == 0;
}

static bool
choice_parse(const struct setting *row, const char *text, int64_t *ret_choice)
{
	if (row->words == role_words && fold_equal(text, "master"))
		text = "ASYNC_MASTER";
	for (int i = 0; row->words[i]; i++)
		if (fold_equal(row->words[i], text)) {
			*ret_choice = i;
			return true;
		}
	return false;
}

bool
setting_parse(const struct setting *row, const char *text, int64_t *ret_value)
{
	return row->type == SETTING_NUMBER ? number_parse(row, text, ret_value) :
	       row->type == SETTING_SWITCH ? switch_parse(text, ret_value) : choice_parse(row, text, ret_value);
}

int
setting_print(const struct setting *row, int64_t value, char *buf, size_t size)
{
	if (row->type == SETTING_NUMBER)
		return snprintf(buf, size, "%" PRId64, value);
	return snprintf(buf, size, "%s", row->type == SETTING_CHOICE ? row->words[value] : value ? "true" : "false");
}

static bool
text_is_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	char *end;
	long port;

	if (!colon || colon == text || !isdigit((unsigned char)colon[1]))
		return false;
	port = strtol(colon + 1, &end, 10);
	return !*end && port >= 1 && port <= 65535;
}

static bool
text_is_ipv4(const char *text)
{
	struct in_addr in;

	return inet_pton(AF_INET, text, &in) == 1;
}

static bool
text_is_hours(const char *text)
{
	for (;;) {
		char *end;

		if (!isdigit((unsigned char)text[0]) || strtol(text, &end, 10) > 23)
			return false;
		if (!*end)
			return true;
		if (*end != ';')
			return false;
		text = end + 1;
	}
}

static bool
text_is_allow(const char *text)
{
	struct allow allow;

	return allow_parse(text, &allow);
}

static bool
text_is_path(const char *text)
{
	return text[0] == '/' && strlen(text) < SETTING_PATH_BYTES;
}

static bool
text_is_directory(const char *text)
{
	return !strchr(text, ',');
}

static bool
text_is_delays(const char *text)
{
	int64_t levels[DELAY_LEVELS_MAX];

	return delay_levels_parse(text, levels) > 0;
}

static bool
text_good(const struct setting *row, const char *text)
{
	for (const char *c = text; *c; c++)
		if (iscntrl((unsigned char)*c))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(text_rules); i++)
		if (text_rules[i].offset == row->offset)
			return !text[0] || text_rules[i].good(text);
	return true;
}

/* The value of text; a text is malloc'ed.  -ENOMEM; MQ_EBADCONF, noted. */
static int
value_parse(const struct setting *row, const char *text, const char *where, union value *ret_value)
{
	bool is_text = row->type == SETTING_TEXT;
	char allowed[128];

	if (is_text ? !text_good(row, text) : !setting_parse(row, text, &ret_value->number)) {
		setting_allowed(row, allowed, sizeof(allowed));
		return err_note(MQ_EBADCONF, "%s: %s=%.100s: must be %s", where, row->key, text, allowed);
	}
	if (is_text)
		ret_value->text = strdup(text);
	return is_text && !ret_value->text ? -ENOMEM : MQ_OK;
}

static void
value_store(struct settings *s, const struct setting *row, union value value)
{
	if (row->type == SETTING_TEXT)
		free(atomic_exchange(text_at(s, row), value.text));
	else
		number_set(s, row, value.number);
}

int
setting_check(const struct setting *row, const char *value, const char *where)
{
	union value parsed;
	int rc = value_parse(row, value, where, &parsed);

	if (rc == MQ_OK && row->type == SETTING_TEXT)
		free(parsed.text);
	return rc;
}

/* --- the whole --- */

int
settings_init(struct settings *s)
{
	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		union value value;
		int rc = value_parse(&table[i], table[i].dflt, "default", &value);

		if (rc == -ENOMEM) {
			settings_free(s);
			return rc;
		}
		MUST(rc == MQ_OK);
		value_store(s, &table[i], value);
	}
	return MQ_OK;
}

void
settings_free(struct settings *s)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (table[i].type == SETTING_TEXT) {
			free(*text_at(s, &table[i]));
			*text_at(s, &table[i]) = NULL;
		}
	for (struct old_text *old = s->old_texts, *next; old; old = next) {
		next = old->next;
		free(old->text);
		free(old);
	}
	s->old_texts = NULL;
}

int
settings_set(struct settings *s, const char *key, const char *value, const char *where)
{
	const struct setting *row = setting_find(key);
	union value parsed;
	int rc;

	if (!row)
		return unknown_key(key, where);
	if ((row->flags & SETTING_REFUSED) == SETTING_REFUSED && strcasecmp(value, row->dflt) != 0)
		return err_note(MQ_EBADCONF, "%s: %s=%.100s is not served: %s", where, row->key, value, row->help);
	rc = value_parse(row, value, where, &parsed);
	if (rc != MQ_OK)
		return rc;
	value_store(s, row, parsed);
	if (row->flags & SETTING_IGNORED)
		log_notice("%s: %s has no effect in this version", where, row->key);
	return MQ_OK;
}

int
settings_get(const struct settings *s, const struct setting *row, char *buf, size_t size)
{
	if (row->type == SETTING_TEXT)
		return snprintf(buf, size, "%s", *text_at(s, row));
	return setting_print(row, number_get(s, row), buf, size);
}

/* --- settings that go together --- */

static int
check_tls(const struct settings *s)
{
	int given = (s->tlsCert[0] != '\0') + (s->tlsKey[0] != '\0') + (s->tlsCa[0] != '\0');

	if ((s->tlsServerCertPath[0] != '\0') != (s->tlsServerKeyPath[0] != '\0'))
		return err_note(MQ_EBADCONF, "%s without %s", s->tlsServerCertPath[0] ? "tlsServerCertPath" : "tlsServerKeyPath",
				s->tlsServerCertPath[0] ? "tlsServerKeyPath" : "tlsServerCertPath");
	if (given == 0 || given == 3)
		return MQ_OK;
	return err_note(MQ_EBADCONF, "%s without %s: TLS needs tlsCert, tlsKey and tlsCa",
			s->tlsCert[0] ? "tlsCert" : s->tlsKey[0] ? "tlsKey" : "tlsCa",
			!s->tlsCert[0] ? "tlsCert" : !s->tlsKey[0] ? "tlsKey" : "tlsCa");
}

/* Of a mounted broker: a slave without a master is allowed, too. */
static int
check_mounted(const struct settings *s)
{
	if (s->maxMessageSize + RECORD_SPARE_BYTES > s->mappedFileSizeCommitLog)
		return err_note(MQ_EBADCONF, "maxMessageSize=%" PRId64 " does not fit into a segment: "
				"mappedFileSizeCommitLog=%" PRId64 " must be %d above it",
				s->maxMessageSize, s->mappedFileSizeCommitLog, RECORD_SPARE_BYTES);
	if (s->haListenPort > 65535 || s->haListenPort == s->listenPort)
		return err_note(MQ_EBADCONF, "haListenPort=%" PRId64 " with listenPort=%" PRId64
				": must be another port", s->haListenPort, s->listenPort);
	return check_tls(s);
}

int
settings_check(const struct settings *s)
{
	if (s->brokerRole == SLAVE && !s->master[0] && (!s->namesrvAddr[0] || strcmp(s->listen, "none") == 0))
		return err_note(MQ_EBADCONF, "brokerRole=SLAVE needs master=HOST:PORT, or listen and namesrvAddr");
	return check_mounted(s);
}

/* --- while mounted --- */

/* A copy that shares its texts, so it is not to be freed. */
static void
settings_borrow(struct settings *to, const struct settings *from)
{
	for (const struct setting *row = table; row < table + ARRAY_LEN(table); row++)
		if (row->type == SETTING_TEXT)
			*text_at(to, row) = *text_at(from, row);
		else
			number_set(to, row, number_get(from, row));
}

/* Replace a text that other threads may be reading. */
static int
text_change(struct settings *s, const struct setting *row, char *text)
{
	struct old_text *old = malloc(sizeof(*old));

	if (!old)
		return -ENOMEM;
	old->text = atomic_exchange(text_at(s, row), text);
	old->next = s->old_texts;
	s->old_texts = old;
	return MQ_OK;
}

/* Set a value that was parsed; a text is taken over, or freed. */
static int
value_change(struct settings *s, const struct setting *row, union value value)
{
	bool is_text = row->type == SETTING_TEXT;
	struct settings tried;
	int rc;

	MUST_HOLD(&change_lock);
	settings_borrow(&tried, s);
	if (is_text)
		*text_at(&tried, row) = value.text;
	else
		number_set(&tried, row, value.number);
	rc = check_mounted(&tried);
	if (rc == MQ_OK && is_text)
		rc = text_change(s, row, value.text);
	else if (rc == MQ_OK)
		number_set(s, row, value.number);
	if (rc != MQ_OK && is_text)
		free(value.text);
	return rc;
}

int
settings_change(struct settings *s, const char *key, const char *value, const char *where)
{
	const struct setting *row = setting_find(key);
	union value parsed;
	int rc;

	if (!row)
		return unknown_key(key, where);
	if (!(row->flags & SETTING_LIVE))
		return err_note(MQ_EBADCONF, "%s: %s cannot change while mounted", where, row->key);
	rc = value_parse(row, value, where, &parsed);
	if (rc != MQ_OK)
		return rc;

	LOCKED(&change_lock);
	return value_change(s, row, parsed);
}

/* --- --help --- */

void
settings_print_help(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		const struct setting *row = &table[i];
		char allowed[128];

		if ((row->flags & SETTING_ROCKETMQ) == SETTING_ROCKETMQ)
			continue;
		setting_allowed(row, allowed, sizeof(allowed));
		fprintf(out, "  %s=%s\n      %s%s (%s)\n", row->key, row->dflt, row->help,
			row->flags & SETTING_IGNORED ? "; no effect in this version" : "", allowed);
	}
}
