#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/hex.h"
#include "conf/scope.h"
#include "conf/utf8.h"
#include "offsets/field.h"
#include "offsets/meta.h"

#define META_VERSION 1
#define OUR_PREFIX "MQFS_"

/* --- names ------------------------------------------------------------------ */

bool
meta_path_ok(const char *path, size_t len)
{
	size_t part = 0;	/* where the current part begins */

	if (len < 1 || len > META_PATH_MAX)
		return false;
	for (size_t i = 0; i <= len; i++) {
		if (i < len && path[i] != '/') {
			if (path[i] <= ' ' || path[i] > '~')
				return false;
			continue;
		}
		if (i == part || (i - part == 1 && path[part] == '.') ||
		    (i - part == 2 && path[part] == '.' && path[part + 1] == '.'))
			return false;
		part = i + 1;
	}
	return true;
}

bool
meta_expression_ok(const char *text, size_t len)
{
	if (len < 1 || len > META_EXPRESSION_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return utf8_valid(text, len);
}

static bool
has_prefix(const char *name, const char *prefix)
{
	return strncasecmp(name, prefix, strlen(prefix)) == 0;
}

bool
meta_topic_is_system(const char *name)
{
	static const char *const names[] = {
		"SELF_TEST_TOPIC", "TBW102", "BenchmarkTest", "OFFSET_MOVED_EVENT", "SCHEDULE_TOPIC_XXXX",
		"TRANS_CHECK_MAX_TIME_TOPIC", "DefaultCluster_REPLY_TOPIC",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return has_prefix(name, OUR_PREFIX) || has_prefix(name, "rmq_sys_");
}

bool
meta_topic_is_brokers(const char *name)
{
	static const char *const names[] = {
		SCHEDULE_TOPIC, TRANS_HALF_TOPIC, TRANS_OP_TOPIC, "TRANS_CHECK_MAX_TIME_TOPIC", "SELF_TEST_TOPIC",
		"OFFSET_MOVED_EVENT",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return has_prefix(name, OUR_PREFIX);
}

const char *
meta_topic_group(const char *name)
{
	static const char *const prefixes[] = { RETRY_PREFIX, DLQ_PREFIX };

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (text_begins(name, prefixes[i]))
			return name + strlen(prefixes[i]);
	return NULL;
}

bool
meta_group_is_system(const char *name)
{
	return has_prefix(name, OUR_PREFIX) || has_prefix(name, "CID_RMQ_SYS_");
}

int
meta_topic_check(const char *name)
{
	return meta_topic_is_system(name) ? err_note(-EPERM, "topic %s belongs to the system", name) : MQ_OK;
}

int
meta_group_check(const char *name)
{
	return meta_group_is_system(name) ? err_note(-EPERM, "group %s belongs to the system", name) : MQ_OK;
}

/* --- defaults --------------------------------------------------------------- */

/* The values of members that a record does not have: they do not depend on this process or the clock. */
static const struct topic_conf neutral_topic = {
	.queues = 1,
	.perm = PERM_READ | PERM_WRITE,
	.owner = { .mode = 0755 },
};

static const struct group_conf neutral_group = {
	.consume_enable = true,
	.broadcast_enable = true,
	.from_min_enable = true,
	.notify_enable = true,
	.retry_queues = 1,
	.retry_max = 16,
	.slow_broker_id = 1,
	.owner = { .mode = 0755 },
};

static struct owner
owner_default(void)
{
	return (struct owner){ .uid = geteuid(), .gid = getegid(), .mode = 0755 };
}

void
topic_conf_default(struct topic_conf *c, const char *name, int32_t queues)
{
	*c = neutral_topic;
	c->queues = queues;
	c->owner = owner_default();
	c->created_ms = clock_wall_ms();
	snprintf(c->name, sizeof(c->name), "%s", name);
}

/* `some` of a topic's queues, 0: all. */
static int32_t
some_of(const struct topic_conf *c, int32_t some)
{
	return some > 0 && some < c->queues ? some : c->queues;
}

int32_t
topic_conf_readable(const struct topic_conf *c)
{
	return some_of(c, c->read_queues);
}

int32_t
topic_conf_writable(const struct topic_conf *c)
{
	return some_of(c, c->write_queues);
}

void
group_conf_default(struct group_conf *c, const char *name)
{
	*c = neutral_group;
	c->owner = owner_default();
	c->created_ms = clock_wall_ms();
	snprintf(c->name, sizeof(c->name), "%s", name);
}

/* --- members ------------------------------------------------------------------- */

/* A member of the JSON object, and of struct meta.  A type has one function for each way:
 * `in` returns MQ_OK or notes; json is NULL if the object has no such member, and the
 * object itself where the key is "".  `out` returns 0, or -1 without memory, and may add
 * nothing. */
struct member {
	const char *key;
	const struct member_type {
		int (*in)(const struct member *mb, const json_t *json, struct meta *m);
		int (*out)(const struct member *mb, const struct meta *m, json_t *object);
	} *type;
	size_t at;
	int64_t min, max;		/* of a number */
	const struct field *fields;	/* of a conf */
};

static void *
place_in(const struct member *mb, struct meta *m)
{
	return (char *)m + mb->at;
}

static const void *
place_of(const struct member *mb, const struct meta *m)
{
	return (const char *)m + mb->at;
}

static int
no_good(const char *key)
{
	return err_note(MQ_ECORRUPT, "no good \"%s\"", key);
}

static int
name_in(const struct member *mb, const json_t *json, struct meta *m)
{
	if (!json_is_string(json) || !record_topic_valid(json_string_value(json), json_string_length(json)))
		return no_good(mb->key);
	memcpy(place_in(mb, m), json_string_value(json), json_string_length(json) + 1);
	return MQ_OK;
}

static int
name_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return json_object_set_new(object, mb->key, json_string(place_of(mb, m)));
}

static int
text_in(const struct member *mb, const json_t *json, char **text, bool (*ok)(const char *text, size_t len))
{
	if (!json_is_string(json) || !ok(json_string_value(json), json_string_length(json)))
		return no_good(mb->key);
	*text = strdup(json_string_value(json));
	return *text ? MQ_OK : -ENOMEM;
}

static int
expression_in(const struct member *mb, const json_t *json, struct meta *m)
{
	return text_in(mb, json, &m->expression, meta_expression_ok);
}

static int
path_in(const struct member *mb, const json_t *json, struct meta *m)
{
	return text_in(mb, json, &m->path, meta_path_ok);
}

static int
text_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return json_object_set_new(object, mb->key, json_string(*(char *const *)place_of(mb, m)));
}

static int
number_read(const char *key, const json_t *json, int64_t min, int64_t max, int64_t *ret_v)
{
	int64_t v = json_integer_value(json);

	if (!json_is_integer(json) || v < min || v > max)
		return no_good(key);
	*ret_v = v;
	return MQ_OK;
}

static int
i64_in(const struct member *mb, const json_t *json, struct meta *m)
{
	return number_read(mb->key, json, mb->min, mb->max, place_in(mb, m));
}

static int
i64_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return json_object_set_new(object, mb->key, json_integer(*(const int64_t *)place_of(mb, m)));
}

static int
i32_in(const struct member *mb, const json_t *json, struct meta *m)
{
	int64_t v = 0;
	int rc = number_read(mb->key, json, mb->min, mb->max, &v);

	*(int32_t *)place_in(mb, m) = (int32_t)v;
	return rc;
}

static int
i32_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return json_object_set_new(object, mb->key, json_integer(*(const int32_t *)place_of(mb, m)));
}

/* Missing: 0. */
static int
id_in(const struct member *mb, const json_t *json, struct meta *m)
{
	return json ? i32_in(mb, json, m) : MQ_OK;
}

static int
id_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return m->id ? i32_out(mb, m, object) : 0;
}

/* Missing: -1, where the record lies. */
static int
start_in(const struct member *mb, const json_t *json, struct meta *m)
{
	m->epoch.start = MQ_POS(-1);
	return json ? i64_in(mb, json, m) : MQ_OK;
}

static int
start_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return m->epoch.start.byte < 0 ? 0 : i64_out(mb, m, object);
}

static int
bool_in(const struct member *mb, const json_t *json, struct meta *m)
{
	if (json && !json_is_boolean(json))
		return no_good(mb->key);
	*(bool *)place_in(mb, m) = json_is_true(json);
	return MQ_OK;
}

static int
bool_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return json_object_set_new(object, mb->key, json_boolean(*(const bool *)place_of(mb, m)));
}

/* Written only when it is true. */
static int
flag_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return *(const bool *)place_of(mb, m) ? bool_out(mb, m, object) : 0;
}

/* 16 bytes. */
static int
epoch_id_in(const struct member *mb, const json_t *json, struct meta *m)
{
	if (!json_is_string(json) || !epoch_id_parse(json_string_value(json), place_in(mb, m)))
		return no_good(mb->key);
	return MQ_OK;
}

static int
epoch_id_out(const struct member *mb, const struct meta *m, json_t *object)
{
	char text[EPOCH_ID_TEXT];

	epoch_id_print(place_of(mb, m), text);
	return json_object_set_new(object, mb->key, json_string(text));
}

/* The fields of a conf are members of the object. */
static int
conf_in(const struct member *mb, const json_t *json, struct meta *m)
{
	return fields_from_json(mb->fields, json, place_in(mb, m));
}

static int
conf_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return fields_to_json(mb->fields, place_of(mb, m), object);
}

static int
owner_in(const struct member *mb, const json_t *json, struct meta *m)
{
	m->has_owner = json_object_get(json, "uid") != NULL;
	if (!m->has_owner)
		return MQ_OK;
	if (!json_object_get(json, "gid") || !json_object_get(json, "mode"))
		return err_note(MQ_ECORRUPT, "\"uid\" without \"gid\" or \"mode\"");
	return conf_in(mb, json, m);
}

static int
owner_out(const struct member *mb, const struct meta *m, json_t *object)
{
	return m->has_owner ? conf_out(mb, m, object) : 0;
}

static int
acl_in(const struct member *mb, const json_t *json, struct meta *m)
{
	size_t len = json_string_length(json) / 2;

	if (!json)
		return MQ_OK;
	if (!json_is_string(json) || len > META_ACL_MAX)
		return no_good(mb->key);
	m->acl = malloc(len + 1);
	if (!m->acl)
		return -ENOMEM;
	m->acl_len = len;
	if (!hex_parse(json_string_value(json), json_string_length(json), m->acl, len))
		return no_good(mb->key);
	return MQ_OK;
}

static int
acl_out(const struct member *mb, const struct meta *m, json_t *object)
{
	AUTO_FREE char *hex = m->acl ? malloc(m->acl_len * 2 + 1) : NULL;

	if (!m->acl || !hex)
		return m->acl ? -1 : 0;
	hex_print(m->acl, m->acl_len, hex);
	return json_object_set_new(object, mb->key, json_string(hex));
}

/* A queue number as a key: decimal, without leading zeros. */
static bool
queue_key(const char *key, int32_t *ret_queue_id)
{
	int32_t v = 0;

	if (!*key || (key[0] == '0' && key[1]))
		return false;
	for (const char *c = key; *c; c++) {
		if (*c < '0' || *c > '9')
			return false;
		v = v * 10 + (*c - '0');
		if (v >= QUEUES_MAX)
			return false;
	}
	*ret_queue_id = v;
	return true;
}

static int
offsets_in(const struct member *mb, const json_t *json, struct meta *m)
{
	const char *key;
	json_t *value;
	size_t n = json_object_size(json);

	if (!json_is_object(json) || n > QUEUES_MAX)
		return no_good(mb->key);
	m->offsets = calloc(n ? n : 1, sizeof(*m->offsets));
	if (!m->offsets)
		return -ENOMEM;
	json_object_foreach((json_t *)(uintptr_t)json, key, value) {
		struct meta_offset *o = &m->offsets[m->n_offsets++];

		o->at = MQ_QOFF(json_integer_value(value));
		if (!queue_key(key, &o->queue_id) || !json_is_integer(value) || o->at.n < 0)
			return err_note(MQ_ECORRUPT, "no good \"offsets\": queue %.20s", key);
	}
	return MQ_OK;
}

/* One number for each of m->offsets: `at` is the place of the number in it. */
static int
queue_numbers_out(const struct member *mb, const struct meta *m, json_t *object)
{
	json_t *table = json_object();

	for (size_t i = 0; i < m->n_offsets; i++) {
		const char *o = (const char *)&m->offsets[i];
		char key[16];

		snprintf(key, sizeof(key), "%" PRId32, m->offsets[i].queue_id);
		if (json_object_set_new(table, key, json_integer(*(const int64_t *)(const void *)(o + mb->at))) != 0) {
			json_decref(table);
			return -1;
		}
	}
	return json_object_set_new(object, mb->key, table);
}

/* The object has times of some of m->offsets. */
static int
times_in(const struct member *mb, const json_t *json, struct meta *m)
{
	int rc = MQ_OK;

	(void)mb;
	for (size_t i = 0; rc == MQ_OK && i < m->n_offsets; i++) {
		const json_t *time;
		char key[16];

		snprintf(key, sizeof(key), "%" PRId32, m->offsets[i].queue_id);
		time = json_object_get(json, key);
		if (time)
			rc = number_read(key, time, 0, INT64_MAX, &m->offsets[i].store_ms);
	}
	return rc;
}

static const struct member_type
	type_name = { name_in, name_out }, type_expression = { expression_in, text_out },
	type_path = { path_in, text_out }, type_i64 = { i64_in, i64_out }, type_i32 = { i32_in, i32_out },
	type_id = { id_in, id_out }, type_start = { start_in, start_out }, type_bool = { bool_in, bool_out },
	type_flag = { bool_in, flag_out }, type_epoch_id = { epoch_id_in, epoch_id_out },
	type_conf = { conf_in, conf_out }, type_owner = { owner_in, owner_out }, type_acl = { acl_in, acl_out },
	type_offsets = { offsets_in, queue_numbers_out }, type_times = { times_in, queue_numbers_out };

_Static_assert(sizeof(mq_qoff) == 8 && sizeof(mq_pos) == 8, "type_i64 reads and writes them");

/* --- ops ---------------------------------------------------------------------- */

#define AT(member) offsetof(struct meta, member)
#define ID { "id", &type_id, AT(id), 0, META_ID_MAX, NULL }
#define NAME(key, member) { key, &type_name, AT(member), 0, 0, NULL }
#define CONF(member, fields) { "", &type_conf, AT(member), 0, 0, fields }
#define FLAG(key, member) { key, &type_flag, AT(member), 0, 0, NULL }
#define OFFSETS { "offsets", &type_offsets, offsetof(struct meta_offset, at), 0, 0, NULL }

static const struct {
	const char *name;
	struct member members[7];	/* up to the first without a key */
} ops[] = {
	[META_TOPIC_SET] = { "topic", { ID, NAME("name", topic_conf.name), CONF(topic_conf, topic_fields),
					FLAG("implied", implied), FLAG("told", told) } },
	[META_TOPIC_DELETE] = { "topic-delete", { ID, NAME("name", topic), FLAG("told", told) } },
	[META_GROUP_SET] = { "group", { ID, NAME("name", group_conf.name), CONF(group_conf, group_fields),
					FLAG("told", told) } },
	[META_GROUP_DELETE] = { "group-delete", { ID, NAME("name", group), FLAG("told", told) } },
	[META_SUBSCRIBE] = { "subscribe", { ID, NAME("group", group), NAME("topic", topic),
					    { "expression", &type_expression, AT(expression), 0, 0, NULL },
					    OFFSETS, FLAG("told", told) } },
	[META_UNSUBSCRIBE] = { "unsubscribe", { ID, NAME("group", group), NAME("topic", topic),
						FLAG("told", told) } },
	[META_COMMIT] = { "commit", { NAME("group", group), NAME("topic", topic), OFFSETS, FLAG("reset", reset) } },
	[META_TRIM] = { "trim", { NAME("topic", topic), { "queue", &type_i32, AT(queue_id), 0, QUEUES_MAX - 1, NULL },
				  { "offset", &type_i64, AT(at), 0, INT64_MAX, NULL } } },
	[META_ATTR] = { "attr", { { "path", &type_path, AT(path), 0, 0, NULL },
				  { "", &type_owner, AT(owner), 0, 0, owner_fields },
				  { "acl", &type_acl, AT(acl), 0, 0, NULL } } },
	[META_IMPORT] = { "import", { { "done", &type_bool, AT(done), 0, 0, NULL } } },
	[META_EPOCH] = { "epoch", { { "epoch", &type_i64, AT(epoch.number), 1, EPOCH_NUMBER_MAX, NULL },
				    { "id", &type_epoch_id, AT(epoch.id), 0, 0, NULL },
				    { "by", &type_epoch_id, AT(epoch.by), 0, 0, NULL },
				    { "start", &type_start, AT(epoch.start), 0, INT64_MAX, NULL } } },
	[META_ENDS] = { "ends", { NAME("topic", topic), OFFSETS,
				  { "times", &type_times, offsetof(struct meta_offset, store_ms), 0, 0, NULL } } },
	[META_DELAYS] = { "delays", { OFFSETS } },
};

#define OPS (sizeof(ops) / sizeof(ops[0]))

char *
meta_encode(const struct meta *m, size_t *ret_len)
{
	json_t *object = json_object();
	char *text = NULL;

	if (json_object_set_new(object, "op", json_string(ops[m->op].name)) != 0 ||
	    json_object_set_new(object, "v", json_integer(META_VERSION)) != 0)
		goto out;
	for (const struct member *mb = ops[m->op].members; mb->key; mb++)
		if (mb->type->out(mb, m, object) != 0)
			goto out;
	text = json_dumps(object, JSON_COMPACT);
	if (text)
		*ret_len = strlen(text);
out:
	json_decref(object);
	return text;
}

/* Which op, in a version we know? */
static int
op_in(const json_t *object, enum meta_op *ret_op)
{
	const char *name = json_string_value(json_object_get(object, "op"));
	int64_t version = 0;
	int rc;

	if (!name)
		return err_note(MQ_ECORRUPT, "no \"op\"");
	rc = number_read("v", json_object_get(object, "v"), 0, INT64_MAX, &version);
	if (rc != MQ_OK)
		return rc;
	if (version != META_VERSION)
		return err_note(-ENOTSUP, "version %" PRId64 " of op \"%.40s\"", version, name);
	for (size_t i = 0; i < OPS; i++) {
		if (strcmp(ops[i].name, name) == 0) {
			*ret_op = (enum meta_op)i;
			return MQ_OK;
		}
	}
	return err_note(-ENOTSUP, "unknown op \"%.40s\"", name);
}

int
meta_decode(const char *json, size_t len, struct meta *ret_m)
{
	struct meta m = { 0 };
	json_error_t error;
	json_t *object = json_loadb(json, len, JSON_REJECT_DUPLICATES, &error);
	int rc;

	if (!json_is_object(object)) {
		rc = err_note(MQ_ECORRUPT, "not a JSON object: %s", object ? "another value" : error.text);
		goto out;
	}
	rc = op_in(object, &m.op);
	m.topic_conf = neutral_topic;
	m.group_conf = neutral_group;
	for (const struct member *mb = ops[m.op].members; rc == MQ_OK && mb->key; mb++)
		rc = mb->type->in(mb, *mb->key ? json_object_get(object, mb->key) : object, &m);
out:
	json_decref(object);
	if (rc == MQ_OK)
		*ret_m = m;
	else
		meta_free(&m);
	return rc;
}

struct meta
meta_of(enum meta_op op, uint32_t id, const char *group, const char *topic)
{
	struct meta m = { .op = op, .id = id };

	snprintf(m.group, sizeof(m.group), "%s", group ? group : "");
	snprintf(m.topic, sizeof(m.topic), "%s", topic ? topic : "");
	return m;
}

void
meta_lies_at(struct meta *m, mq_pos pos)
{
	if (m->op == META_EPOCH && m->epoch.start.byte < 0)
		m->epoch.start = pos;
}

static bool
same_host(const struct host *a, const struct host *b)
{
	return a->v6 == b->v6 && a->port == b->port && memcmp(a->addr, b->addr, a->v6 ? 16 : 4) == 0;
}

int
meta_read(const struct record *rec, struct meta *ret_m)
{
	int rc;

	if (!same_host(&rec->born, &rec->stored) || rec->props_len > 0)
		return err_note(-EPERM, "it is a client's message, no record of an mqfs broker");
	if (rec->sysflag & SYSFLAG_COMPRESSED)
		return err_note(MQ_ECORRUPT, "its body is compressed, which no mqfs broker does");
	rc = meta_decode(rec->body, (size_t)rec->body_len, ret_m);
	if (rc == MQ_OK)
		meta_lies_at(ret_m, rec->pos);
	return rc;
}

void
meta_free(struct meta *m)
{
	free(m->expression);
	free(m->offsets);
	free(m->path);
	free(m->acl);
	m->expression = NULL;
	m->offsets = NULL;
	m->n_offsets = 0;
	m->path = NULL;
	m->acl = NULL;
	m->acl_len = 0;
}
