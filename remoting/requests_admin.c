/* Requests about topics, groups and the broker: heartbeats' groups, and what tools ask. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "conf/err.h"
#include "offsets/rocketmq.h"
#include "remoting/built_in.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/rights.h"
#include "remoting/service_priv.h"

#define NAME_BYTES (RECORD_TOPIC_MAX + 1)

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
	return record_topic_valid(name, strlen(name));
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
	topic_conf_new(o, &tc, name, gc.retry_queues);
	rc = topic_create(o, &tc, NULL);
	return rc == -EEXIST ? MQ_OK : rc;
}

/* Make the group and its retry topic, unless they exist. */
static int
make_group(struct service *s, const char *name, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct group *g = group_find(o, name);
	int rc;

	if (!name_is_good(name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good name of a group");
	if (!g && !s->settings->autoCreateSubscriptionGroup)
		return answer_refuse(ret, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST,
				     "subscription group [%s] does not exist", name);
	rc = rights_make_group(&s->rights, o, name, &g);
	if (rc == -EACCES)
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to make the group %s: %s", name, err_text(rc));
	return rc == MQ_OK && g ? make_retry_topic(s, g) : rc;
}

int
request_group_made(struct service *s, const char *name, struct group **ret_g, struct answer *ret)
{
	int rc = make_group(s, name, ret);

	if (rc == MQ_OK && ret->code == ANSWER_SUCCESS)
		*ret_g = group_find(s->broker.offsets, name);
	return rc;
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

/* The number of a field, else what it was. */
static int32_t
number_or(const struct request *req, const char *field, int32_t was)
{
	int64_t number = was;

	(void)ext_number(req->ext, field, INT32_MIN, INT32_MAX, &number);
	return (int32_t)number;
}

/* The ext fields replace what the group had before. */
static void
take_group(const struct request *req, struct group_conf *c)
{
	c->consume_enable = ext_is_true(req->ext, "consumeEnable", c->consume_enable);
	c->broadcast_enable = ext_is_true(req->ext, "consumeBroadcastEnable", c->broadcast_enable);
	c->from_min_enable = ext_is_true(req->ext, "consumeFromMinEnable", c->from_min_enable);
	c->notify_enable = ext_is_true(req->ext, "notifyConsumerIdsChangedEnable", c->notify_enable);
	c->retry_queues = number_or(req, "retryQueueNums", c->retry_queues);
	c->retry_max = number_or(req, "retryMaxTimes", c->retry_max);
	c->broker_id = number_or(req, "brokerId", c->broker_id);
	c->slow_broker_id = number_or(req, "whichBrokerWhenConsumeSlowly", c->slow_broker_id);
}

int
serve_group_set(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_text(req->ext, "groupName");
	struct group *g = group_find(o, name);
	struct group_conf conf;

	if (is_slave(s, ret))
		return MQ_OK;
	if (!name_is_good(name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good groupName");
	if (g ? !rights_group(&s->rights, o, g) : !rights_make(&s->rights, o, "groups"))
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
	return g ? group_change(o, g, &conf) : group_create(o, &conf, &g);
}

int
serve_group_delete(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct group *g = request_group(s, req, "groupName");
	struct subscription *sub;
	int rc = MQ_OK;

	if (is_slave(s, ret) || !g)
		return MQ_OK;
	if (!rights_make(&s->rights, o, "groups"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to remove the group %s", g->name);
	while (rc == MQ_OK && (sub = subscription_next(o, g, "")))
		rc = subscription_delete(o, sub);
	return rc == MQ_OK ? group_delete(o, g) : rc;
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
	struct topic *t = request_topic(s, req, ret);
	struct topic_conf conf;

	if (!t)
		return MQ_OK;
	topic_conf(s->broker.offsets, t, &conf);
	return answer_json(ret, rocketmq_topic_json(&conf));
}

/* Queues that clients do not use any more stay, with what they hold. */
static void
set_queues(struct topic_conf *conf, int32_t readable, int32_t writable)
{
	if (conf->queues < readable)
		conf->queues = readable;
	if (conf->queues < writable)
		conf->queues = writable;
	conf->read_queues = readable < conf->queues ? readable : 0;
	conf->write_queues = writable < conf->queues ? writable : 0;
}

int
serve_topic_set(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_text(req->ext, "topic");
	struct topic *t = topic_find(o, name);
	int64_t readable, writable, perm;
	struct topic_conf conf;

	if (is_slave(s, ret))
		return MQ_OK;
	if (!name_is_good(name) || is_system_topic(s, name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "the topic[%.127s] is conflict with system reserved words.",
				     name);
	if (!request_number(req, "readQueueNums", &readable, ret) ||
	    !request_number(req, "writeQueueNums", &writable, ret) || !request_number(req, "perm", &perm, ret))
		return MQ_OK;
	if (readable < 1 || writable < 1 || readable > 4096 || writable > 4096 || perm < 0 || perm > 7)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "queues must be 1 to 4096, perm 0 to 7");
	if (t ? !rights_topic(&s->rights, o, t) : !rights_make(&s->rights, o, "topics"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to change the topic %s", name);
	if (t) {
		topic_conf(o, t, &conf);
	} else {
		topic_conf_new(o, &conf, name, 1);
		conf.owner = rights_owner(&s->rights);
	}
	set_queues(&conf, (int32_t)readable, (int32_t)writable);
	conf.perm = (int32_t)perm;
	conf.order = ext_is_true(req->ext, "order", conf.order);
	conf.topic_sys_flag = number_or(req, "topicSysFlag", conf.topic_sys_flag);
	return t ? topic_change(o, t, &conf) : topic_create(o, &conf, NULL);
}

int
serve_topic_delete(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_text(req->ext, "topic");
	struct topic *t = topic_find(o, name);

	if (is_slave(s, ret))
		return MQ_OK;
	if (is_system_topic(s, name))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "the topic[%s] is the system's", name);
	if (!t)
		return MQ_OK;
	if (!rights_make(&s->rights, o, "topics") || !rights_topic(&s->rights, o, t))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to remove the topic %s", name);
	return topic_remove(o, t);
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

