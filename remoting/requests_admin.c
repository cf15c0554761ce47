/* Requests about topics, groups and the broker: heartbeats' groups, and what tools ask. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/remoting.h"
#include "offsets/rocketmq.h"
#include "remoting/built_in.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/rights.h"
#include "remoting/service_priv.h"

#define RETRY_PREFIX "%RETRY%"
#define NAME_BYTES (RECORD_TOPIC_MAX + 1)

static int
answer_body(struct answer *ret, json_t *body)
{
	ret->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!ret->body)
		return -ENOMEM;
	ret->body_len = strlen(ret->body);
	return MQ_OK;
}

/* A slave has its topics and groups from its master alone. */
static bool
is_slave(struct service *s, struct answer *ret)
{
	if (s->settings->brokerRole != SLAVE)
		return false;
	answer_refuse(ret, ANSWER_SYSTEM_ERROR, "a slave: ask its master");
	return true;
}

/* --- groups -------------------------------------------------------------------------------------------- */

static bool
name_is_good(const char *name)
{
	size_t len = name ? strlen(name) : 0;

	return len > 0 && len <= RECORD_TOPIC_MAX && meta_name_ok(name, len);
}

static int
make_retry_topic(struct service *s, struct group *g)
{
	struct offsets *o = s->broker.offsets;
	char name[NAME_BYTES + sizeof(RETRY_PREFIX)];
	struct group_conf gc;
	struct topic_conf tc;
	int rc;

	group_conf(o, g, &gc);
	snprintf(name, sizeof(name), "%s%s", RETRY_PREFIX, g->name);
	if (gc.retry_queues <= 0 || strlen(name) > RECORD_TOPIC_MAX || topic_find(o, name))
		return MQ_OK;
	topic_conf_default(&tc, name, gc.retry_queues);
	tc.owner = gc.owner;
	rc = topic_create(o, &tc, NULL, NULL);
	return rc == -EEXIST ? MQ_OK : rc;
}

/* A group that consumes over the network is there, and has its retry topic. */
static int
make_group(struct service *s, const char *name, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct group *g = name_is_good(name) ? group_find(o, name) : NULL;
	struct group_conf conf;
	int rc;

	if (!name_is_good(name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good name of a group");
	if (!g && !s->settings->autoCreateSubscriptionGroup)
		return answer_refuse(ret, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST,
				     "subscription group [%s] does not exist", name);
	if (!g && !rights_make(&s->rights, o, "groups"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to make the group %s: groups/ is not "
				     "writable for %s", name, s->settings->remotingUser);
	if (!g) {
		group_conf_default(&conf, name);
		conf.owner = rights_owner(&s->rights);
		rc = group_create(o, &conf, &g, NULL);
		if (rc != MQ_OK && rc != -EEXIST)
			return rc;
		g = group_find(o, name);
	}
	return g ? make_retry_topic(s, g) : MQ_OK;
}

/* The ext fields' names are the groups. */
int
serve_heartbeat(struct service *s, const struct request *req, struct answer *ret)
{
	json_t *groups = (json_t *)(uintptr_t)req->ext, *value;
	const char *name;
	int rc = MQ_OK;

	if (s->settings->brokerRole == SLAVE)
		return MQ_OK;		/* they come from the master */
	json_object_foreach(groups, name, value)
		if (rc == MQ_OK && ret->code == ANSWER_SUCCESS)
			rc = make_group(s, name, ret);
	return rc;
}

static bool
says_true(const struct request *req, const char *field, bool dflt)
{
	const char *text = ext_get(req->ext, field);

	return text ? strcmp(text, "true") == 0 : dflt;
}

static int32_t
says_number(const struct request *req, const char *field, int32_t dflt)
{
	const char *text = ext_get(req->ext, field);

	return text ? (int32_t)strtol(text, NULL, 10) : dflt;
}

/* What the ext fields say of a group replaces what was said of it before. */
static void
take_group(const struct request *req, struct group_conf *c)
{
	c->consume_enable = says_true(req, "consumeEnable", c->consume_enable);
	c->broadcast_enable = says_true(req, "consumeBroadcastEnable", c->broadcast_enable);
	c->from_min_enable = says_true(req, "consumeFromMinEnable", c->from_min_enable);
	c->notify_enable = says_true(req, "notifyConsumerIdsChangedEnable", c->notify_enable);
	c->retry_queues = says_number(req, "retryQueueNums", c->retry_queues);
	c->retry_max = says_number(req, "retryMaxTimes", c->retry_max);
	c->broker_id = says_number(req, "brokerId", c->broker_id);
	c->slow_broker_id = says_number(req, "whichBrokerWhenConsumeSlowly", c->slow_broker_id);
}

int
serve_group_set(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "groupName");
	struct group *g = name_is_good(name) ? group_find(o, name) : NULL;
	struct group_conf conf;
	int rc;

	if (is_slave(s, ret))
		return MQ_OK;
	if (!name_is_good(name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good groupName");
	if (g ? !rights_group(&s->rights, o, g, RIGHTS_WRITE) : !rights_make(&s->rights, o, "groups"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to change the group %s", name);
	if (g) {
		group_conf(o, g, &conf);
	} else {
		group_conf_default(&conf, name);
		conf.owner = rights_owner(&s->rights);
	}
	take_group(req, &conf);
	if (conf.retry_queues < 0 || conf.retry_max < -1 || conf.broker_id < 0 || conf.slow_broker_id < 0)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "a number of the group %s is below 0", name);
	rc = g ? group_change(o, g, &conf, NULL) : group_create(o, &conf, &g, NULL);
	return rc;
}

int
serve_group_delete(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "groupName");
	struct group *g = name ? group_find(o, name) : NULL;
	struct subscription *sub;
	int rc = MQ_OK;

	if (is_slave(s, ret) || !g)
		return MQ_OK;
	if (!rights_make(&s->rights, o, "groups"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to remove the group %s", name);
	while (rc == MQ_OK && (sub = subscription_next(o, g, "")))
		rc = subscription_delete(o, sub, NULL);
	return rc == MQ_OK ? group_delete(o, g, NULL) : rc;
}

/* --- topics --------------------------------------------------------------------------------------------- */

static bool
is_system_topic(const struct service *s, const char *name)
{
	struct topic_conf conf;

	return meta_topic_is_system(name) || built_in_find(s->settings, name, &conf);
}

int
serve_topic_config(struct service *s, const struct request *req, struct answer *ret)
{
	struct topic *t = request_topic(s, req, "topic", ret);
	struct topic_conf conf;

	if (!t)
		return MQ_OK;
	topic_conf(s->broker.offsets, t, &conf);
	return answer_body(ret, rocketmq_topic_json(&conf));
}

int
serve_topic_set(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "topic");
	struct topic *t = name_is_good(name) ? topic_find(o, name) : NULL;
	int64_t readable, writable, perm;
	struct topic_conf conf;

	if (is_slave(s, ret))
		return MQ_OK;
	if (!name_is_good(name) || is_system_topic(s, name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "the topic[%.127s] is conflict with system reserved words.",
				     name ? name : "");
	if (!request_number(req, "readQueueNums", &readable, ret) ||
	    !request_number(req, "writeQueueNums", &writable, ret) || !request_number(req, "perm", &perm, ret))
		return MQ_OK;
	if (readable < 1 || writable < 1 || readable > 4096 || writable > 4096 || perm < 0 || perm > 7)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "queues must be 1 to 4096, perm 0 to 7");
	if (t ? !rights_topic(&s->rights, o, t, RIGHTS_WRITE) : !rights_make(&s->rights, o, "topics"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to change the topic %s", name);
	if (t) {
		topic_conf(o, t, &conf);
	} else {
		topic_conf_default(&conf, name, 1);
		conf.owner = rights_owner(&s->rights);
	}
	conf.queues = (int32_t)(readable > writable ? readable : writable);
	conf.perm = (int32_t)perm;
	conf.order = says_true(req, "order", conf.order);
	conf.topic_sys_flag = says_number(req, "topicSysFlag", conf.topic_sys_flag);
	return t ? topic_change(o, t, &conf, NULL) : topic_create(o, &conf, NULL, NULL);
}

/* Nobody subscribes to it any more. */
static int
unsubscribe_all(struct offsets *o, struct topic *t)
{
	struct subscription *sub;
	int rc = MQ_OK;

	for (struct group *g = group_next(o, ""); g && rc == MQ_OK; g = group_next(o, g->name)) {
		sub = subscription_find(o, g, t);
		if (sub)
			rc = subscription_delete(o, sub, NULL);
	}
	return rc;
}

int
serve_topic_delete(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "topic");
	struct topic *t = name ? topic_find(o, name) : NULL;
	int rc;

	if (is_slave(s, ret) || !t)
		return MQ_OK;
	if (is_system_topic(s, name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "the topic[%s] is the system's", name);
	if (!rights_make(&s->rights, o, "topics") || !rights_topic(&s->rights, o, t, RIGHTS_WRITE))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to remove the topic %s", name);
	rc = topic_purge(o, t, NULL);
	if (rc == MQ_OK)
		rc = unsubscribe_all(o, t);
	return rc == MQ_OK ? topic_delete(o, t, NULL) : rc;
}

/* --- tables ----------------------------------------------------------------------------------------------- */

int
serve_table(struct service *s, const struct request *req, struct answer *ret)
{
	enum config_file file = req->code == REMOTING_GET_ALL_TOPIC_CONFIG ? CONFIG_TOPICS :
				req->code == REMOTING_GET_ALL_CONSUMER_OFFSET ? CONFIG_OFFSETS :
				req->code == REMOTING_GET_ALL_DELAY_OFFSET ? CONFIG_DELAYS : CONFIG_GROUPS;

	return offsets_export(s->broker.offsets, file, &ret->body, &ret->body_len);
}

/* RocketMQ's JSON has objects as names in an object, which JSON has not: here they are texts
 * until objects_as_names(). */
static int
set_queue(json_t *table, struct service *s, const char *topic, int32_t queue_id, json_t *value)
{
	json_t *key = json_pack("{s:s, s:i, s:s}", "brokerName", s->settings->brokerName, "queueId", (int)queue_id,
				"topic", topic);
	AUTO_FREE char *text = key ? json_dumps(key, JSON_COMPACT) : NULL;

	json_decref(key);
	return text && value && json_object_set_new(table, text, value) == 0 ? MQ_OK : -ENOMEM;
}

/* "{\"a\":1}" becomes {"a":1}, wherever a text begins like that: RocketMQ 5.x's reader takes
 * no texts for objects. */
static void
objects_as_names(char *json)
{
	char *to = json;
	bool inside = false;

	for (const char *at = json; *at; at++) {
		if (*at == '"' && (inside || at[1] == '{')) {
			inside = !inside;
			continue;
		}
		if (inside && *at == '\\')
			at++;
		*to++ = *at;
	}
	*to = '\0';
}

static int
answer_queues(struct answer *ret, json_t *body)
{
	int rc = answer_body(ret, body);

	if (rc != MQ_OK)
		return rc;
	objects_as_names(ret->body);
	ret->body_len = strlen(ret->body);
	return MQ_OK;
}

int
serve_topic_stats(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct topic *t = request_topic(s, req, "topic", ret);
	json_t *table = json_object();
	int rc = table ? MQ_OK : -ENOMEM;

	for (int32_t i = 0; t && rc == MQ_OK && i < topic_queues(o, t); i++) {
		struct queue_span span = { 0 };
		struct queue *q;

		rc = topic_queue(o, t, i, &q);
		if (rc == MQ_OK)
			queue_span(q, &span);
		if (rc == MQ_OK)
			rc = set_queue(table, s, t->name, i,
				       json_pack("{s:I, s:I, s:I}", "lastUpdateTimestamp",
						 (json_int_t)span.last_store_ms, "maxOffset",
						 (json_int_t)queue_end(q).n, "minOffset", (json_int_t)queue_min(q).n));
	}
	if (!t || rc != MQ_OK) {
		json_decref(table);
		return rc;
	}
	return answer_queues(ret, json_pack("{s:o}", "offsetTable", table));
}

/* One subscription's queues, into the table. */
static int
add_consumption(struct service *s, struct subscription *sub, json_t *table)
{
	struct offsets *o = s->broker.offsets;
	int rc = MQ_OK;

	for (int32_t i = 0; rc == MQ_OK && i < topic_queues(o, sub->topic); i++) {
		struct queue *q;
		mq_qoff at;

		rc = topic_queue(o, sub->topic, i, &q);
		if (rc == MQ_OK)
			rc = committed(o, sub, i, &at);
		if (rc == MQ_OK)
			rc = set_queue(table, s, sub->topic->name, i,
				       json_pack("{s:I, s:I, s:I}", "brokerOffset", (json_int_t)queue_end(q).n,
						 "consumerOffset", (json_int_t)at.n, "lastTimestamp", (json_int_t)0));
	}
	return rc;
}

int
serve_consume_stats(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "consumerGroup"), *topic = ext_get(req->ext, "topic");
	struct group *g = name ? group_find(o, name) : NULL;
	struct subscription *sub = g ? subscription_next(o, g, "") : NULL;
	json_t *table = json_object();
	int rc = table ? MQ_OK : -ENOMEM;

	for (; sub && rc == MQ_OK; sub = subscription_next(o, g, sub->topic->name))
		if (!topic || !*topic || strcmp(topic, sub->topic->name) == 0)
			rc = add_consumption(s, sub, table);
	if (rc != MQ_OK) {
		json_decref(table);
		return rc;
	}
	return answer_queues(ret, json_pack("{s:f, s:o}", "consumeTps", 0.0, "offsetTable", table));
}

/* --- the broker ---------------------------------------------------------------------------------------------- */

/* KEY=VALUE of each setting that is no secret. */
int
serve_broker_config(struct service *s, const struct request *req, struct answer *ret)
{
	char version[80], value[1024];
	const struct setting *rows;
	size_t n, len = 0;
	FILE *out = open_memstream(&ret->body, &len);

	(void)req;
	if (!out)
		return -ENOMEM;
	rows = settings_table(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SETTING_SECRET) &&
		    (size_t)settings_get(s->settings, &rows[i], value, sizeof(value)) < sizeof(value))
			fprintf(out, "%s=%s\n", rows[i].key, value);
	if (fclose(out) != 0)
		return -ENOMEM;
	ret->body_len = len;
	snprintf(version, sizeof(version), "{\"counter\":0,\"timestamp\":%" PRId64 "}", s->started_ms);
	ret->ext = json_pack("{s:s}", "version", version);
	return ret->ext ? MQ_OK : -ENOMEM;
}

static void
say(json_t *table, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
say(json_t *table, const char *key, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_object_set_new(table, key, json_string(text));
}

int
serve_runtime_info(struct service *s, const struct request *req, struct answer *ret)
{
	json_t *table = json_object();
	struct store_stats st;
	int64_t now = clock_wall_ms();

	(void)req;
	if (!table)
		return -ENOMEM;
	store_stats(s->broker.store, &st);
	say(table, "bootTimestamp", "%" PRId64, s->started_ms);
	say(table, "runtime", "[ %" PRId64 " days, %" PRId64 " hours, %" PRId64 " minutes, %" PRId64 " seconds ]",
	    (now - s->started_ms) / 86400000, (now - s->started_ms) / 3600000 % 24,
	    (now - s->started_ms) / 60000 % 60, (now - s->started_ms) / 1000 % 60);
	say(table, "brokerVersionDesc", "V4_9_8");
	say(table, "brokerVersion", "%d", REMOTING_VERSION);
	say(table, "putMessageTimesTotal", "%" PRId64, st.appended_messages);
	say(table, "putMessageSizeTotal", "%" PRId64, st.appended_bytes);
	say(table, "commitLogMinOffset", "%" PRId64, st.begin);
	say(table, "commitLogMaxOffset", "%" PRId64, st.written);
	say(table, "commitLogDiskRatio", "%.2f", st.disk_used_percent / 100.0);
	say(table, "consumeQueueDiskRatio", "%.2f", st.disk_used_percent / 100.0);
	say(table, "dispatchBehindBytes", "%" PRId64, st.written - st.dispatched);
	say(table, "remainHowManyDataToFlush", "%" PRId64 " B", st.written - st.flushed);
	say(table, "putTps", "0.0 0.0 0.0");
	say(table, "getTransferedTps", "0.0 0.0 0.0");
	say(table, "msgPutTotalTodayNow", "%" PRId64, st.appended_messages);
	say(table, "msgPutTotalTodayMorning", "0");
	say(table, "msgPutTotalYesterdayMorning", "0");
	say(table, "msgGetTotalTodayNow", "0");
	say(table, "msgGetTotalTodayMorning", "0");
	say(table, "msgGetTotalYesterdayMorning", "0");
	say(table, "sendThreadPoolQueueSize", "0");
	say(table, "pullThreadPoolQueueSize", "0");
	say(table, "sendThreadPoolQueueHeadWaitTimeMills", "0");
	say(table, "pullThreadPoolQueueHeadWaitTimeMills", "0");
	say(table, "queryThreadPoolQueueHeadWaitTimeMills", "0");
	say(table, "pageCacheLockTimeMills", "0");
	say(table, "startAcceptSendRequestTimeStamp", "0");
	return answer_body(ret, json_pack("{s:o}", "table", table));
}
