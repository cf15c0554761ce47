#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "offsets/field.h"
#include "offsets/meta.h"

#define META_VERSION 1
#define OUR_PREFIX "MQFS_"

/* --- names ------------------------------------------------------------------ */

static bool
name_char_ok(unsigned char c)
{
	return isalnum(c) || c == '%' || c == '|' || c == '_' || c == '-';
}

bool
meta_name_ok(const char *name, size_t len)
{
	if (len < 1 || len > RECORD_TOPIC_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] > 0x7f || !name_char_ok((unsigned char)name[i]))
			return false;
	return true;
}

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
	json_t *utf8;

	if (len < 1 || len > META_EXPRESSION_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	utf8 = json_stringn(text, len);		/* NULL unless it is UTF-8 */
	json_decref(utf8);
	return utf8 != NULL;
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

static struct owner
owner_default(void)
{
	return (struct owner){ .uid = geteuid(), .gid = getegid(), .mode = 0755 };
}

void
topic_conf_default(struct topic_conf *c, const char *name, int32_t queues)
{
	*c = (struct topic_conf){
		.queues = queues,
		.perm = PERM_READ | PERM_WRITE,
		.owner = owner_default(),
		.created_ms = clock_wall_ms(),
	};
	snprintf(c->name, sizeof(c->name), "%s", name);
}

void
group_conf_default(struct group_conf *c, const char *name)
{
	*c = (struct group_conf){
		.consume_enable = true,
		.broadcast_enable = true,
		.from_min_enable = true,
		.notify_enable = true,
		.retry_queues = 1,
		.retry_max = 16,
		.slow_broker_id = 1,
		.owner = owner_default(),
		.created_ms = clock_wall_ms(),
	};
	snprintf(c->name, sizeof(c->name), "%s", name);
}

/* What a record that does not say it means: nothing of this process or hour. */
static void
confs_neutral(struct meta *m)
{
	topic_conf_default(&m->topic_conf, "", 1);
	group_conf_default(&m->group_conf, "");
	m->topic_conf.owner = m->group_conf.owner = (struct owner){ .mode = 0755 };
	m->topic_conf.created_ms = m->group_conf.created_ms = 0;
}

/* --- members, one function each way ------------------------------------------- */

/* `in` returns MQ_OK or notes; `out` returns 0, or -1 without memory. */
typedef int member_in(const json_t *object, struct meta *m);
typedef int member_out(const struct meta *m, json_t *object);

static int
name_in(const json_t *object, const char *key, char *ret_name)
{
	const json_t *json = json_object_get(object, key);

	if (!json_is_string(json) || !meta_name_ok(json_string_value(json), json_string_length(json)))
		return err_note(MQ_ECORRUPT, "no good \"%s\"", key);
	memcpy(ret_name, json_string_value(json), json_string_length(json) + 1);
	return MQ_OK;
}

static int
number_in(const json_t *object, const char *key, int64_t max, int64_t *ret_v)
{
	const json_t *json = json_object_get(object, key);
	int64_t v = json_integer_value(json);

	if (!json_is_integer(json) || v < 0 || v > max)
		return err_note(MQ_ECORRUPT, "no good \"%s\"", key);
	*ret_v = v;
	return MQ_OK;
}

static int
id_in(const json_t *object, struct meta *m)
{
	int64_t v = 0;
	int rc = MQ_OK;

	if (json_object_get(object, "id"))
		rc = number_in(object, "id", META_ID_MAX, &v);
	m->id = (uint32_t)v;
	return rc;
}

static int
id_out(const struct meta *m, json_t *object)
{
	return m->id ? json_object_set_new(object, "id", json_integer(m->id)) : 0;
}

static int
topic_conf_in(const json_t *object, struct meta *m)
{
	int rc = name_in(object, "name", m->topic_conf.name);

	return rc == MQ_OK ? fields_from_json(topic_fields, object, &m->topic_conf) : rc;
}

static int
topic_conf_out(const struct meta *m, json_t *object)
{
	if (json_object_set_new(object, "name", json_string(m->topic_conf.name)) != 0)
		return -1;
	return fields_to_json(topic_fields, &m->topic_conf, object);
}

static int
group_conf_in(const json_t *object, struct meta *m)
{
	int rc = name_in(object, "name", m->group_conf.name);

	return rc == MQ_OK ? fields_from_json(group_fields, object, &m->group_conf) : rc;
}

static int
group_conf_out(const struct meta *m, json_t *object)
{
	if (json_object_set_new(object, "name", json_string(m->group_conf.name)) != 0)
		return -1;
	return fields_to_json(group_fields, &m->group_conf, object);
}

static int
topic_name_in(const json_t *object, struct meta *m)
{
	return name_in(object, "name", m->topic);
}

static int
topic_name_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "name", json_string(m->topic));
}

static int
group_name_in(const json_t *object, struct meta *m)
{
	return name_in(object, "name", m->group);
}

static int
group_name_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "name", json_string(m->group));
}

static int
topic_in(const json_t *object, struct meta *m)
{
	return name_in(object, "topic", m->topic);
}

static int
topic_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "topic", json_string(m->topic));
}

static int
group_in(const json_t *object, struct meta *m)
{
	return name_in(object, "group", m->group);
}

static int
group_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "group", json_string(m->group));
}

static int
expression_in(const json_t *object, struct meta *m)
{
	const json_t *json = json_object_get(object, "expression");

	if (!json_is_string(json) || !meta_expression_ok(json_string_value(json), json_string_length(json)))
		return err_note(MQ_ECORRUPT, "no good \"expression\"");
	m->expression = strdup(json_string_value(json));
	return m->expression ? MQ_OK : -ENOMEM;
}

static int
expression_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "expression", json_string(m->expression));
}

/* A queue number as a key: decimal, as we print it. */
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
offsets_in(const json_t *object, struct meta *m)
{
	json_t *table = json_object_get(object, "offsets");
	const char *key;
	json_t *value;
	size_t n = json_object_size(table);

	if (!json_is_object(table) || n > QUEUES_MAX)
		return err_note(MQ_ECORRUPT, "no good \"offsets\"");
	m->offsets = calloc(n ? n : 1, sizeof(*m->offsets));
	if (!m->offsets)
		return -ENOMEM;
	json_object_foreach(table, key, value) {
		struct meta_offset *o = &m->offsets[m->n_offsets++];

		o->at = MQ_QOFF(json_integer_value(value));
		if (!queue_key(key, &o->queue_id) || !json_is_integer(value) || o->at.n < 0)
			return err_note(MQ_ECORRUPT, "no good \"offsets\": queue %.20s", key);
	}
	return MQ_OK;
}

static int
offsets_out(const struct meta *m, json_t *object)
{
	json_t *table = json_object();

	for (size_t i = 0; i < m->n_offsets; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%" PRId32, m->offsets[i].queue_id);
		if (json_object_set_new(table, key, json_integer(m->offsets[i].at.n)) != 0) {
			json_decref(table);
			return -1;
		}
	}
	return json_object_set_new(object, "offsets", table);
}

/* Of some of the offsets. */
static int
times_in(const json_t *object, struct meta *m)
{
	json_t *table = json_object_get(object, "times");

	for (size_t i = 0; i < m->n_offsets; i++) {
		char key[16];
		int rc = MQ_OK;

		snprintf(key, sizeof(key), "%" PRId32, m->offsets[i].queue_id);
		if (json_object_get(table, key))
			rc = number_in(table, key, INT64_MAX, &m->offsets[i].store_ms);
		if (rc != MQ_OK)
			return rc;
	}
	return MQ_OK;
}

static int
times_out(const struct meta *m, json_t *object)
{
	json_t *table = json_object();

	for (size_t i = 0; i < m->n_offsets; i++) {
		char key[16];

		snprintf(key, sizeof(key), "%" PRId32, m->offsets[i].queue_id);
		if (json_object_set_new(table, key, json_integer(m->offsets[i].store_ms)) != 0) {
			json_decref(table);
			return -1;
		}
	}
	return json_object_set_new(object, "times", table);
}

static int
reset_in(const json_t *object, struct meta *m)
{
	const json_t *json = json_object_get(object, "reset");

	if (json && !json_is_boolean(json))
		return err_note(MQ_ECORRUPT, "no good \"reset\"");
	m->reset = json_is_true(json);
	return MQ_OK;
}

static int
reset_out(const struct meta *m, json_t *object)
{
	return m->reset ? json_object_set_new(object, "reset", json_true()) : 0;
}

static int
trim_in(const json_t *object, struct meta *m)
{
	int64_t queue = 0, at = 0;
	int rc = number_in(object, "queue", QUEUES_MAX - 1, &queue);

	if (rc == MQ_OK)
		rc = number_in(object, "offset", INT64_MAX, &at);
	m->queue_id = (int32_t)queue;
	m->at = MQ_QOFF(at);
	return rc;
}

static int
trim_out(const struct meta *m, json_t *object)
{
	if (json_object_set_new(object, "queue", json_integer(m->queue_id)) != 0)
		return -1;
	return json_object_set_new(object, "offset", json_integer(m->at.n));
}

static int
path_in(const json_t *object, struct meta *m)
{
	const json_t *json = json_object_get(object, "path");

	if (!json_is_string(json) || !meta_path_ok(json_string_value(json), json_string_length(json)))
		return err_note(MQ_ECORRUPT, "no good \"path\"");
	m->path = strdup(json_string_value(json));
	return m->path ? MQ_OK : -ENOMEM;
}

static int
path_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "path", json_string(m->path));
}

static int
owner_in(const json_t *object, struct meta *m)
{
	m->has_owner = json_object_get(object, "uid") != NULL;
	if (!m->has_owner)
		return MQ_OK;
	if (!json_object_get(object, "gid") || !json_object_get(object, "mode"))
		return err_note(MQ_ECORRUPT, "\"uid\" without \"gid\" or \"mode\"");
	return fields_from_json(owner_fields, object, &m->owner);
}

static int
owner_out(const struct meta *m, json_t *object)
{
	return m->has_owner ? fields_to_json(owner_fields, &m->owner, object) : 0;
}

static int
hex_digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

static int
acl_in(const json_t *object, struct meta *m)
{
	const json_t *json = json_object_get(object, "acl");
	const char *hex = json_string_value(json);
	size_t len = json_string_length(json);

	if (!json)
		return MQ_OK;
	if (!hex || len % 2 || len / 2 > META_ACL_MAX)
		return err_note(MQ_ECORRUPT, "no good \"acl\"");
	m->acl = malloc(len / 2 + 1);
	if (!m->acl)
		return -ENOMEM;
	for (size_t i = 0; i < len; i += 2) {
		int high = hex_digit(hex[i]), low = hex_digit(hex[i + 1]);

		if (high < 0 || low < 0)
			return err_note(MQ_ECORRUPT, "no good \"acl\"");
		m->acl[m->acl_len++] = (unsigned char)(high << 4 | low);
	}
	return MQ_OK;
}

static int
acl_out(const struct meta *m, json_t *object)
{
	char *hex;
	int rc;

	if (!m->acl)
		return 0;
	hex = malloc(m->acl_len * 2 + 1);
	if (!hex)
		return -1;
	hex[0] = '\0';
	for (size_t i = 0; i < m->acl_len; i++)
		snprintf(hex + 2 * i, 3, "%02x", m->acl[i]);
	rc = json_object_set_new(object, "acl", json_string(hex));
	free(hex);
	return rc;
}

static int
done_in(const json_t *object, struct meta *m)
{
	m->done = json_is_true(json_object_get(object, "done"));
	return MQ_OK;
}

static int
done_out(const struct meta *m, json_t *object)
{
	return json_object_set_new(object, "done", json_boolean(m->done));
}

static int
epoch_id_in(const json_t *object, const char *key, unsigned char ret_id[EPOCH_ID_BYTES])
{
	const char *hex = json_string_value(json_object_get(object, key));

	return hex && epoch_id_parse(hex, ret_id) ? MQ_OK : err_note(MQ_ECORRUPT, "no good \"%s\"", key);
}

static int
epoch_in(const json_t *object, struct meta *m)
{
	int64_t start = -1;
	int rc = number_in(object, "epoch", EPOCH_NUMBER_MAX, &m->epoch.number);

	if (rc == MQ_OK && m->epoch.number < 1)
		rc = err_note(MQ_ECORRUPT, "no good \"epoch\"");
	if (rc == MQ_OK)
		rc = epoch_id_in(object, "id", m->epoch.id);
	if (rc == MQ_OK)
		rc = epoch_id_in(object, "by", m->epoch.by);
	if (rc == MQ_OK && json_object_get(object, "start"))
		rc = number_in(object, "start", INT64_MAX, &start);
	m->epoch.start = MQ_POS(start);
	return rc;
}

static int
epoch_out(const struct meta *m, json_t *object)
{
	char id[EPOCH_ID_TEXT], by[EPOCH_ID_TEXT];

	epoch_id_print(m->epoch.id, id);
	epoch_id_print(m->epoch.by, by);
	if (json_object_set_new(object, "epoch", json_integer(m->epoch.number)) != 0 ||
	    json_object_set_new(object, "id", json_string(id)) != 0 ||
	    json_object_set_new(object, "by", json_string(by)) != 0)
		return -1;
	return m->epoch.start.byte < 0 ? 0 : json_object_set_new(object, "start", json_integer(m->epoch.start.byte));
}

static int
implied_in(const json_t *object, struct meta *m)
{
	m->implied = json_is_true(json_object_get(object, "implied"));
	return MQ_OK;
}

static int
implied_out(const struct meta *m, json_t *object)
{
	return m->implied ? json_object_set_new(object, "implied", json_true()) : 0;
}

static int
told_in(const json_t *object, struct meta *m)
{
	m->told = json_is_true(json_object_get(object, "told"));
	return MQ_OK;
}

static int
told_out(const struct meta *m, json_t *object)
{
	return m->told ? json_object_set_new(object, "told", json_true()) : 0;
}

/* --- ops ---------------------------------------------------------------------- */

static const struct member {
	member_in *in;
	member_out *out;
} id = { id_in, id_out }, topic_conf_members = { topic_conf_in, topic_conf_out },
  group_conf_members = { group_conf_in, group_conf_out }, topic_name = { topic_name_in, topic_name_out },
  group_name = { group_name_in, group_name_out }, topic = { topic_in, topic_out },
  group = { group_in, group_out }, expression = { expression_in, expression_out },
  offsets = { offsets_in, offsets_out }, reset = { reset_in, reset_out }, trim = { trim_in, trim_out },
  path = { path_in, path_out }, owner = { owner_in, owner_out }, acl = { acl_in, acl_out },
  done = { done_in, done_out }, epoch = { epoch_in, epoch_out }, implied = { implied_in, implied_out },
  told = { told_in, told_out }, times = { times_in, times_out };

static const struct {
	const char *name;
	const struct member *members[7];
} ops[] = {
	[META_TOPIC_SET] = { "topic", { &id, &topic_conf_members, &implied, &told } },
	[META_TOPIC_DELETE] = { "topic-delete", { &id, &topic_name, &told } },
	[META_GROUP_SET] = { "group", { &id, &group_conf_members, &told } },
	[META_GROUP_DELETE] = { "group-delete", { &id, &group_name, &told } },
	[META_SUBSCRIBE] = { "subscribe", { &id, &group, &topic, &expression, &offsets, &told } },
	[META_UNSUBSCRIBE] = { "unsubscribe", { &id, &group, &topic, &told } },
	[META_COMMIT] = { "commit", { &group, &topic, &offsets, &reset } },
	[META_TRIM] = { "trim", { &topic, &trim } },
	[META_ATTR] = { "attr", { &path, &owner, &acl } },
	[META_IMPORT] = { "import", { &done } },
	[META_EPOCH] = { "epoch", { &epoch } },
	[META_ENDS] = { "ends", { &topic, &offsets, &times } },
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
	for (const struct member *const *member = ops[m->op].members; *member; member++)
		if ((*member)->out(m, object) != 0)
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
	int64_t version;
	int rc;

	if (!name)
		return err_note(MQ_ECORRUPT, "no \"op\"");
	rc = number_in(object, "v", INT64_MAX, &version);
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
	if (rc == MQ_OK)
		confs_neutral(&m);
	for (const struct member *const *member = ops[m.op].members; rc == MQ_OK && *member; member++)
		rc = (*member)->in(object, &m);
out:
	json_decref(object);
	if (rc == MQ_OK)
		*ret_m = m;
	else
		meta_free(&m);
	return rc;
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
