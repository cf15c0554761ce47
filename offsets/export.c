#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/export.h"
#include "offsets/field.h"
#include "offsets/meta.h"
#include "store/file.h"

/* A subscription whose offsets come later, by its id. */
struct known {
	uint32_t id;
	json_t *table;		/* borrowed */
};

struct export {
	json_t *topics, *groups, *offsets;
	struct known *subs;
	size_t n, max;
};

/* --- rows --------------------------------------------------------------------------- */

static int
topic_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct export *ex = arg;
	const struct topic_conf *c;
	struct meta m;
	json_t *json = NULL;
	int rc = meta_decode(value, value_len, &m);

	(void)key, (void)key_len;
	if (rc != MQ_OK)
		return rc;
	c = &m.topic_conf;
	if (m.op == META_TOPIC_SET && strcmp(c->name, META_TOPIC) != 0) {
		json = json_pack("{s:s, s:i, s:i, s:i, s:b, s:i, s:s}", "topicName", c->name, "readQueueNums",
				 c->queues, "writeQueueNums", c->queues, "perm", c->perm, "order", c->order,
				 "topicSysFlag", c->topic_sys_flag, "topicFilterType", "SINGLE_TAG");
		rc = json_object_set_new(ex->topics, c->name, json) == 0 ? MQ_OK : -ENOMEM;
	}
	meta_free(&m);
	return rc;
}

/* What RocketMQ does not know is ours alone. */
static json_t *
group_json(const struct group_conf *c)
{
	static const char *const ours[] = { "consumeFromWhere", "uid", "gid", "mode", "ctime" };
	json_t *json = json_pack("{s:s}", "groupName", c->name);

	if (!json || fields_to_json(group_fields, c, json) < 0) {
		json_decref(json);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		json_object_del(json, ours[i]);
	return json;
}

static int
group_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct export *ex = arg;
	struct meta m;
	int rc = meta_decode(value, value_len, &m);

	(void)key, (void)key_len;
	if (rc != MQ_OK)
		return rc;
	if (m.op == META_GROUP_SET &&
	    json_object_set_new(ex->groups, m.group_conf.name, group_json(&m.group_conf)) != 0)
		rc = -ENOMEM;
	meta_free(&m);
	return rc;
}

static int
known_add(struct export *ex, uint32_t id, json_t *table)
{
	size_t max = ex->max ? 2 * ex->max : 64;
	struct known *more;

	if (ex->n == ex->max) {
		more = realloc(ex->subs, max * sizeof(*more));
		if (!more)
			return -ENOMEM;
		ex->subs = more;
		ex->max = max;
	}
	ex->subs[ex->n++] = (struct known){ .id = id, .table = table };
	return MQ_OK;
}

static int
subscription_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	char name[2 * RECORD_TOPIC_MAX + 2];
	struct export *ex = arg;
	struct meta m;
	json_t *table;
	int rc = meta_decode(value, value_len, &m);

	(void)key, (void)key_len;
	if (rc != MQ_OK)
		return rc;
	if (m.op == META_SUBSCRIBE) {
		snprintf(name, sizeof(name), "%s@%s", m.topic, m.group);
		table = json_object();
		rc = json_object_set_new(ex->offsets, name, table) == 0 ? known_add(ex, m.id, table) : -ENOMEM;
	}
	meta_free(&m);
	return rc;
}

static int
known_cmp(const void *a, const void *b)
{
	const struct known *ka = a, *kb = b;

	return (ka->id > kb->id) - (ka->id < kb->id);
}

static int
offset_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct export *ex = arg;
	struct bytes k = bytes_over(key, key_len), v = bytes_over(value, value_len);
	struct known want = { .id = (uint32_t)bytes_get_i32(&k) };
	int32_t queue_id = bytes_get_i32(&k);
	int64_t at = bytes_get_i64(&v);
	const struct known *sub;
	char name[16];

	if (k.err || v.err)
		return err_note(MQ_ECORRUPT, "lmdb: a bad row in offsets");
	sub = ex->n ? bsearch(&want, ex->subs, ex->n, sizeof(want), known_cmp) : NULL;
	if (!sub)
		return MQ_OK;		/* of one that was removed */
	snprintf(name, sizeof(name), "%" PRId32, queue_id);
	return json_object_set_new(sub->table, name, json_integer(at)) == 0 ? MQ_OK : -ENOMEM;
}

static int
rows_read(struct export *ex, struct tables *t)
{
	int rc = tables_each(t, TABLE_TOPICS, topic_row, ex);

	if (rc == MQ_OK)
		rc = tables_each(t, TABLE_GROUPS, group_row, ex);
	if (rc == MQ_OK)
		rc = tables_each(t, TABLE_SUBSCRIPTIONS, subscription_row, ex);
	if (rc == MQ_OK && ex->n)
		qsort(ex->subs, ex->n, sizeof(*ex->subs), known_cmp);
	return rc == MQ_OK ? tables_each(t, TABLE_OFFSETS, offset_row, ex) : rc;
}

/* --- files --------------------------------------------------------------------------- */

/* Takes `whole` over. */
static int
file_make(int dirfd, const char *name, json_t *whole)
{
	AUTO_FREE char *text = whole ? json_dumps(whole, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	AUTO_CLOSE int fd = -1;
	size_t len;
	int rc;

	json_decref(whole);
	if (!text)
		return -ENOMEM;
	fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_note(-errno, "config/%s: %m", name);
	len = strlen(text);
	rc = file_write(fd, text, len, 0, name);
	return rc == MQ_OK ? file_write(fd, "\n", 1, (int64_t)len, name) : rc;
}

static int
files_make(const struct export *ex, int dirfd, int64_t now_ms)
{
	const struct {
		const char *file, *member;
		json_t *table;
		bool versioned;
	} files[] = {
		{ "topics.json", "topicConfigTable", ex->topics, true },
		{ "subscriptionGroup.json", "subscriptionGroupTable", ex->groups, true },
		{ "consumerOffset.json", "offsetTable", ex->offsets, false },
		{ "delayOffset.json", "offsetTable", NULL, false },
	};
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < sizeof(files) / sizeof(files[0]); i++) {
		json_t *whole = files[i].table ? json_pack("{s:O}", files[i].member, files[i].table) :
						 json_pack("{s:{}}", files[i].member);

		if (whole && files[i].versioned)
			json_object_set_new(whole, "dataVersion", json_pack("{s:i, s:I}", "counter", 1, "timestamp",
									    (json_int_t)now_ms));
		rc = file_make(dirfd, files[i].file, whole);
	}
	return rc;
}

int
export_config(struct tables *t, int dirfd, int64_t now_ms)
{
	struct export ex = { .topics = json_object(), .groups = json_object(), .offsets = json_object() };
	int rc = ex.topics && ex.groups && ex.offsets ? rows_read(&ex, t) : -ENOMEM;

	if (rc == MQ_OK)
		rc = files_make(&ex, dirfd, now_ms);
	json_decref(ex.topics);
	json_decref(ex.groups);
	json_decref(ex.offsets);
	free(ex.subs);
	return rc;
}
