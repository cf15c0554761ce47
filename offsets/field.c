#include "config.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "conf/settings.h"
#include "offsets/field.h"
#include "offsets/meta.h"

#define TEXT_BYTES_MAX 65536

static const char *const format_words[] = { "lines", "raw", "len32", "json", NULL };
static const char *const on_full_words[] = { "block", "drop", NULL };
static const char *const from_words[] = { "last", "first", NULL };

_Static_assert(sizeof(enum topic_format) == 4, "FIELD_I32 holds it");
_Static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4 && sizeof(mode_t) == 4, "FIELD_I32 holds them");

#define TOPIC(member) offsetof(struct topic_conf, member)
#define GROUP(member) offsetof(struct group_conf, member)
#define OWNER_FIELDS(at)                                                                        \
	{ "uid", FIELD_I32, (at) + offsetof(struct owner, uid), 0, UINT32_MAX, NULL, false },    \
	{ "gid", FIELD_I32, (at) + offsetof(struct owner, gid), 0, UINT32_MAX, NULL, false },    \
	{ "mode", FIELD_I32, (at) + offsetof(struct owner, mode), 0, 07777, NULL, false }

const struct field topic_fields[] = {
	{ "queues", FIELD_I32, TOPIC(queues), 1, QUEUES_MAX, NULL, true },
	{ "perm", FIELD_PERM, TOPIC(perm), 0, 7, NULL, true },
	{ "format", FIELD_I32, TOPIC(format), 0, FORMAT_JSON, format_words, true },
	{ "onFull", FIELD_BOOL, TOPIC(on_full_drop), 0, 1, on_full_words, true },
	{ "fileReservedTime", FIELD_I64, TOPIC(reserved_hours), 0, 1000000, NULL, true },
	{ "order", FIELD_BOOL, TOPIC(order), 0, 1, NULL, true },
	{ "topicSysFlag", FIELD_I32, TOPIC(topic_sys_flag), 0, INT32_MAX, NULL, true },
	{ "readQueueNums", FIELD_SOME, TOPIC(read_queues), 0, QUEUES_MAX, NULL, true },
	{ "writeQueueNums", FIELD_SOME, TOPIC(write_queues), 0, QUEUES_MAX, NULL, true },
	OWNER_FIELDS(TOPIC(owner)),
	{ "ctime", FIELD_I64, TOPIC(created_ms), 0, INT64_MAX, NULL, false },
	{ .key = NULL },
};

const struct field group_fields[] = {
	{ "consumeEnable", FIELD_BOOL, GROUP(consume_enable), 0, 1, NULL, true },
	{ "consumeFromWhere", FIELD_BOOL, GROUP(from_first), 0, 1, from_words, true },
	{ "consumeBroadcastEnable", FIELD_BOOL, GROUP(broadcast_enable), 0, 1, NULL, true },
	{ "consumeFromMinEnable", FIELD_BOOL, GROUP(from_min_enable), 0, 1, NULL, true },
	{ "notifyConsumerIdsChangedEnable", FIELD_BOOL, GROUP(notify_enable), 0, 1, NULL, true },
	{ "retryQueueNums", FIELD_I32, GROUP(retry_queues), 0, QUEUES_MAX, NULL, true },
	{ "retryMaxTimes", FIELD_I32, GROUP(retry_max), -1, INT32_MAX, NULL, true },
	{ "brokerId", FIELD_I32, GROUP(broker_id), 0, INT32_MAX, NULL, true },
	{ "whichBrokerWhenConsumeSlowly", FIELD_I32, GROUP(slow_broker_id), 0, INT32_MAX, NULL, true },
	OWNER_FIELDS(GROUP(owner)),
	{ "ctime", FIELD_I64, GROUP(created_ms), 0, INT64_MAX, NULL, false },
	{ .key = NULL },
};

const struct field owner_fields[] = {
	OWNER_FIELDS(0),
	{ .key = NULL },
};

/* --- one field ------------------------------------------------------------ */

static int64_t
field_get(const struct field *f, const void *conf)
{
	const char *p = (const char *)conf + f->at;
	uint32_t u;
	int32_t i;
	int64_t l;
	bool b;

	switch (f->type) {
	case FIELD_BOOL:
		memcpy(&b, p, sizeof(b));
		return b;
	case FIELD_I64:
		memcpy(&l, p, sizeof(l));
		return l;
	default:
		memcpy(&u, p, sizeof(u));
		memcpy(&i, p, sizeof(i));
		return f->max > INT32_MAX ? (int64_t)u : (int64_t)i;
	}
}

static void
field_set(const struct field *f, void *conf, int64_t v)
{
	char *p = (char *)conf + f->at;
	uint32_t u = (uint32_t)v;
	bool b = v != 0;

	switch (f->type) {
	case FIELD_BOOL:
		memcpy(p, &b, sizeof(b));
		break;
	case FIELD_I64:
		memcpy(p, &v, sizeof(v));
		break;
	default:
		memcpy(p, &u, sizeof(u));
		break;
	}
}

/* f as a row of settings, which parses and prints it. */
static struct setting
setting_of(const struct field *f)
{
	return (struct setting){
		.key = f->key, .unit = "", .min = f->min, .max = f->max, .words = f->words,
		.type = f->words ? SETTING_CHOICE : f->type == FIELD_BOOL ? SETTING_SWITCH : SETTING_NUMBER,
	};
}

/* --- JSON ------------------------------------------------------------------- */

int
fields_to_json(const struct field *fields, const void *conf, json_t *object)
{
	for (const struct field *f = fields; f->key; f++) {
		int64_t v = field_get(f, conf);
		json_t *value;

		if (f->type == FIELD_SOME && v == 0)
			continue;
		if (f->words)
			value = json_string(f->words[v]);
		else if (f->type == FIELD_BOOL)
			value = json_boolean(v != 0);
		else
			value = json_integer(v);
		if (json_object_set_new(object, f->key, value) != 0)
			return -1;
	}
	return 0;
}

static bool
field_value(const struct field *f, const json_t *json, int64_t *ret_v)
{
	const struct setting row = setting_of(f);

	if (f->words)
		return json_is_string(json) && setting_parse(&row, json_string_value(json), ret_v);
	if (f->type == FIELD_BOOL) {
		*ret_v = json_is_true(json);
		return json_is_boolean(json);
	}
	*ret_v = json_integer_value(json);
	return json_is_integer(json) && *ret_v >= f->min && *ret_v <= f->max;
}

int
fields_from_json(const struct field *fields, const json_t *object, void *conf)
{
	for (const struct field *f = fields; f->key; f++) {
		const json_t *json = json_object_get(object, f->key);
		int64_t v;

		if (!json)
			continue;
		if (!field_value(f, json, &v))
			return err_note(MQ_ECORRUPT, "bad value of \"%s\"", f->key);
		field_set(f, conf, v);
	}
	return MQ_OK;
}

/* --- text ------------------------------------------------------------------- */

static const struct {
	char letter;
	int32_t bit;
} perm_letters[] = { { 'r', PERM_READ }, { 'w', PERM_WRITE }, { 'i', PERM_INHERIT } };

static void
perm_print(int64_t perm, char *buf, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < sizeof(perm_letters) / sizeof(perm_letters[0]) && len + 1 < size; i++)
		if (perm & perm_letters[i].bit)
			buf[len++] = perm_letters[i].letter;
	buf[len] = '\0';
	if (len == 0)
		snprintf(buf, size, "none");
}

static bool
perm_parse(const char *text, int64_t *ret_v)
{
	int64_t perm = 0;

	if (strcmp(text, "none") == 0) {
		*ret_v = 0;
		return true;
	}
	for (const char *c = text; *c; c++) {
		size_t i = 0;

		while (i < 3 && perm_letters[i].letter != *c)
			i++;
		if (i == 3 || (perm & perm_letters[i].bit))
			return false;
		perm |= perm_letters[i].bit;
	}
	*ret_v = perm;
	return *text != '\0';
}

static bool
field_parse(const struct field *f, const char *text, int64_t *ret_v)
{
	const struct setting row = setting_of(f);

	return (f->type == FIELD_PERM && perm_parse(text, ret_v)) || setting_parse(&row, text, ret_v);
}

static void
field_print(const struct field *f, const void *conf, char *buf, size_t size)
{
	const struct setting row = setting_of(f);

	if (f->type == FIELD_PERM)
		perm_print(field_get(f, conf), buf, size);
	else
		setting_print(&row, field_get(f, conf), buf, size);
}

/* The values that f takes, for a message. */
static void
field_allowed(const struct field *f, char *buf, size_t size)
{
	const struct setting row = setting_of(f);

	if (f->type == FIELD_PERM)
		snprintf(buf, size, "r, w, rw, none, or RocketMQ's number 0 to 7");
	else
		setting_allowed(&row, buf, size);
}

static char *
fields_print(const struct field *fields, const void *conf, size_t *ret_len)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return NULL;
	for (const struct field *f = fields; f->key; f++) {
		char value[32];

		if (!f->in_text)
			continue;
		field_print(f, conf, value, sizeof(value));
		fprintf(out, "%s = %s\n", f->key, value);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	*ret_len = len;
	return text;
}

/* The argument of inih's handler; `complaint` is what is wrong with the first bad line. */
struct text_parse {
	const struct field *fields;
	void *conf;
	char complaint[400];
};

static void
known_keys(const struct field *fields, char *buf, size_t size)
{
	size_t len = 0;

	for (const struct field *f = fields; f->key && len < size; f++)
		if (f->in_text)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "", f->key);
}

static const struct field *
field_find(const struct field *fields, const char *key)
{
	for (const struct field *f = fields; f->key; f++)
		if (f->in_text && strcmp(f->key, key) == 0)
			return f;
	return NULL;
}

/* One `key = value`; 0 stops counting the line as good. */
static int
text_pair(void *arg, const char *section, const char *key, const char *value)
{
	struct text_parse *p = arg;
	const struct field *f;
	char allowed[300];
	int64_t v;

	if (p->complaint[0])
		return 1;		/* only the first is told */
	if (*section) {
		snprintf(p->complaint, sizeof(p->complaint), "[%.60s]: there are no sections here", section);
		return 0;
	}
	f = field_find(p->fields, key);
	if (!f) {
		known_keys(p->fields, allowed, sizeof(allowed));
		snprintf(p->complaint, sizeof(p->complaint), "%.60s: no such key; there are %s", key,
			 allowed);
		return 0;
	}
	if (!value || !field_parse(f, value, &v)) {
		field_allowed(f, allowed, sizeof(allowed));
		snprintf(p->complaint, sizeof(p->complaint), "%s = %.60s: allowed is %s", key,
			 value ? value : "", allowed);
		return 0;
	}
	field_set(f, p->conf, v);
	return 1;
}

static int
fields_parse(const struct field *fields, const char *text, size_t len, void *conf, size_t conf_bytes)
{
	union {
		struct topic_conf topic;
		struct group_conf group;
	} parsed;
	struct text_parse p = { .fields = fields, .conf = &parsed };
	AUTO_FREE char *copy = NULL;
	int line;

	if (len > TEXT_BYTES_MAX)
		return err_note(MQ_EBADCONF, "longer than %d bytes", TEXT_BYTES_MAX);
	if (memchr(text, '\0', len))
		return err_note(MQ_EBADCONF, "this is not text: it holds a NUL byte");
	copy = strndup(text, len);
	if (!copy)
		return -ENOMEM;
	memcpy(&parsed, conf, conf_bytes);
	line = ini_parse_string(copy, text_pair, &p);
	if (line < 0)
		return -ENOMEM;
	if (line > 0)
		return err_note(MQ_EBADCONF, "line %d: %s", line,
				p.complaint[0] ? p.complaint : "neither `key = value` nor a comment");
	memcpy(conf, &parsed, conf_bytes);
	return MQ_OK;
}

/* --- the two confs ------------------------------------------------------------ */

char *
topic_conf_print(const struct topic_conf *c, size_t *ret_len)
{
	return fields_print(topic_fields, c, ret_len);
}

int
topic_conf_parse(const char *text, size_t len, struct topic_conf *conf)
{
	return fields_parse(topic_fields, text, len, conf, sizeof(*conf));
}

char *
group_conf_print(const struct group_conf *c, size_t *ret_len)
{
	return fields_print(group_fields, c, ret_len);
}

int
group_conf_parse(const char *text, size_t len, struct group_conf *conf)
{
	return fields_parse(group_fields, text, len, conf, sizeof(*conf));
}

int
topic_format_parse(const char *text, size_t len, enum topic_format *ret_f)
{
	for (int i = 0; format_words[i]; i++) {
		if (bytes_are(text, len, format_words[i])) {
			*ret_f = (enum topic_format)i;
			return MQ_OK;
		}
	}
	return -EINVAL;
}
