#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/number.h"
#include "offsets/field.h"
#include "offsets/rocketmq.h"

const struct rocketmq_file rocketmq_files[CONFIG_FILES] = {
	[CONFIG_TOPICS] = { "topics.json", "topicConfigTable" },
	[CONFIG_GROUPS] = { "subscriptionGroup.json", "subscriptionGroupTable" },
	[CONFIG_OFFSETS] = { "consumerOffset.json", "offsetTable" },
	[CONFIG_DELAYS] = { "delayOffset.json", "offsetTable" },
};

/* Fields of a group that RocketMQ does not have. */
static const char *const ours[] = { "consumeFromWhere", "uid", "gid", "mode", "ctime" };

#define OURS (sizeof(ours) / sizeof(ours[0]))

/* --- reading -------------------------------------------------------------------------- */

static int
name_check(const char *name)
{
	return record_topic_valid(name, strlen(name)) ? MQ_OK : err_note(-EINVAL, "its name is not allowed");
}

static int64_t
number_of(const json_t *object, const char *key, int64_t dflt)
{
	const json_t *json = json_object_get(object, key);

	return json_is_integer(json) ? json_integer_value(json) : dflt;
}

int
rocketmq_topic_read(struct offsets *o, const char *name, const json_t *object, struct topic_conf *ret_conf)
{
	int64_t r = number_of(object, "readQueueNums", 16), w = number_of(object, "writeQueueNums", 16);
	int64_t queues = r > w ? r : w, all = queues;
	const struct topic *t = topic_find(o, name);
	int rc = name_check(name);

	if (rc != MQ_OK)
		return rc;
	if (queues < 1 || queues > QUEUES_MAX)
		return err_note(-EINVAL, "so many queues are not possible");
	if (t)
		topic_conf(o, t, ret_conf);
	else
		topic_conf_new(o, ret_conf, name, 1);
	if (t && ret_conf->queues > all)	/* they may hold messages, and stay then */
		all = ret_conf->queues;
	ret_conf->queues = (int32_t)queues;
	ret_conf->read_queues = r < all ? (int32_t)r : 0;
	ret_conf->write_queues = w < all ? (int32_t)w : 0;
	ret_conf->perm = (int32_t)(number_of(object, "perm", PERM_READ | PERM_WRITE) & 7);
	ret_conf->order = json_is_true(json_object_get(object, "order"));
	ret_conf->topic_sys_flag = (int32_t)(number_of(object, "topicSysFlag", 0) & INT32_MAX);
	return MQ_OK;
}

int
rocketmq_group_read(struct offsets *o, const char *name, const json_t *object, struct group_conf *ret_conf)
{
	const struct group *g = group_find(o, name);
	struct group_conf now, read;
	int rc = name_check(name);

	if (rc != MQ_OK)
		return rc;
	if (g)
		group_conf(o, g, &now);
	else
		group_conf_default(&now, name);
	read = now;
	rc = fields_from_json(group_fields, object, &read);
	if (rc != MQ_OK)
		return err_note(-EINVAL, "%s", err_text(rc));
	read.from_first = now.from_first;
	read.owner = now.owner;
	read.created_ms = now.created_ms;
	*ret_conf = read;
	return MQ_OK;
}

/* "topic@group".  False: not two names. */
static bool
names_split(const char *key, struct meta *m)
{
	const char *at = strchr(key, '@');
	size_t topic_len = at ? (size_t)(at - key) : 0;

	if (!at || !record_topic_valid(key, topic_len) || !record_topic_valid(at + 1, strlen(at + 1)))
		return false;
	memcpy(m->topic, key, topic_len);
	m->topic[topic_len] = '\0';
	memcpy(m->group, at + 1, strlen(at + 1) + 1);
	return true;
}

static bool
offset_read(const char *key, const json_t *value, struct meta_offset *ret)
{
	int64_t id;

	if (!text_number(key, 0, QUEUES_MAX - 1, &id) || !json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret = (struct meta_offset){ .queue_id = (int32_t)id, .at = MQ_QOFF(json_integer_value(value)) };
	return true;
}

int
rocketmq_offsets_read(const char *key, const json_t *table, struct meta *m)
{
	const char *id;
	json_t *value;

	if (!names_split(key, m))
		return err_note(-EINVAL, "its names are not allowed");
	m->offsets = calloc(json_object_size(table) + 1, sizeof(*m->offsets));
	if (!m->offsets)
		return -ENOMEM;
	json_object_foreach((json_t *)(uintptr_t)table, id, value)
		if (!offset_read(id, value, &m->offsets[m->n_offsets++]))
			return err_note(-EINVAL, "they are not queues and numbers");
	return MQ_OK;
}

bool
rocketmq_delay_ok(const char *level, const json_t *at)
{
	return strlen(level) <= 2 && strspn(level, "0123456789") == strlen(level) && json_is_integer(at) &&
	       json_integer_value(at) >= 0;
}

/* --- writing --------------------------------------------------------------------------- */

bool
rocketmq_knows_topic(const char *name)
{
	return strcmp(name, META_TOPIC) != 0;
}

json_t *
rocketmq_topic_json(const struct topic_conf *c)
{
	return json_pack("{s:s, s:i, s:i, s:i, s:b, s:i, s:s}", "topicName", c->name, "readQueueNums",
			 topic_conf_readable(c), "writeQueueNums", topic_conf_writable(c), "perm", c->perm, "order", c->order,
			 "topicSysFlag", c->topic_sys_flag, "topicFilterType", "SINGLE_TAG");
}

json_t *
rocketmq_group_json(const struct group_conf *c)
{
	json_t *json = json_pack("{s:s}", "groupName", c->name);

	if (!json || fields_to_json(group_fields, c, json) < 0) {
		json_decref(json);
		return NULL;
	}
	for (size_t i = 0; i < OURS; i++)
		json_object_del(json, ours[i]);
	return json;
}
