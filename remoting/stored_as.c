#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "net/request.h"
#include "offsets/transactions.h"
#include "remoting/built_in.h"
#include "remoting/stored_as.h"
#include "store/delays.h"
#include "store/properties.h"

/* --- the topic --------------------------------------------------------------------------------- */

static bool
make_topic(const struct remoting_broker *b, const char *name, int32_t queues, int32_t perm, struct topic **ret,
	   struct refusal *why)
{
	struct topic_conf conf;
	int rc;

	topic_conf_new(b->offsets, &conf, name, queues);
	conf.perm = perm;
	if (!meta_topic_group(name) && !rights_make(b->rights, b->offsets, "topics"))
		return refuse_rc(why, -EACCES);
	conf.owner = rights_owner(b->rights);
	rc = built_in_find(b->settings, name, &(struct topic_conf){ 0 }) ? topic_create_own(b->offsets, &conf, ret)
								       : topic_create(b->offsets, &conf, ret);
	if (rc == -EEXIST)		/* another thread has made it */
		*ret = topic_find(b->offsets, name);
	if (rc != MQ_OK && !(rc == -EEXIST && *ret))
		return refuse_rc(why, rc);
	return true;
}

/* The template for new topics; a built-in one need not exist. */
static bool
template_of(const struct remoting_broker *b, const char *name, struct topic_conf *ret)
{
	struct topic *t = *name ? topic_find(b->offsets, name) : NULL;

	if (t) {
		topic_conf(b->offsets, t, ret);
		return true;
	}
	return built_in_find(b->settings, name, ret);
}

static bool
find_topic(const struct remoting_broker *b, const struct ring_request *req, struct topic **ret, struct refusal *why)
{
	struct topic_conf conf;
	int32_t queues = req->s.template_queues;

	*ret = topic_find(b->offsets, req->topic);
	if (*ret)
		return true;
	if (built_in_find(b->settings, req->topic, &conf))
		return make_topic(b, req->topic, conf.queues, conf.perm, ret, why);
	if (template_of(b, req->template, &conf) && conf.perm & PERM_INHERIT) {
		if (queues < 1 || queues > topic_conf_writable(&conf))
			queues = topic_conf_writable(&conf);
		return make_topic(b, req->topic, queues, conf.perm & ~PERM_INHERIT, ret, why);
	}
	if (text_begins(req->topic, RETRY_PREFIX))
		return make_topic(b, req->topic, 1, PERM_READ | PERM_WRITE, ret, why);
	return refuse(why, ANSWER_TOPIC_NOT_EXIST, "topic[%.60s] not exist, apply first please!", req->topic);
}

/* Messages are sent back only for groups that exist or may be made automatically. */
static bool
find_group(const struct remoting_broker *b, const struct ring_request *req, struct refusal *why)
{
	const char *group = req->topic + strlen(RETRY_PREFIX);
	struct group *g;
	int rc;

	if (!text_begins(req->topic, RETRY_PREFIX) || group_find(b->offsets, group))
		return true;
	if (!b->settings->autoCreateSubscriptionGroup)
		return refuse(why, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group not exist, %.60s", group);
	rc = rights_make_group(b->rights, b->offsets, group, &g);
	return rc == MQ_OK || refuse_rc(why, rc);
}

/* A message of a retry topic that was consumed as often as it may be is a dead letter. */
static bool
is_dead(const struct remoting_broker *b, const struct ring_request *req)
{
	struct group_conf conf;
	struct group *g;
	int32_t max = req->s.max_reconsume_times;

	if (!text_begins(req->topic, RETRY_PREFIX))
		return false;
	g = group_find(b->offsets, req->topic + strlen(RETRY_PREFIX));
	if (max < 0) {
		group_conf_default(&conf, "g");
		if (g)
			group_conf(b->offsets, g, &conf);
		max = conf.retry_max;
	}
	return req->s.reconsume_times >= max;
}

static bool
dead_letters_of(const struct remoting_broker *b, struct topic **t, struct refusal *why)
{
	char name[sizeof(DLQ_PREFIX) + RECORD_TOPIC_MAX];

	snprintf(name, sizeof(name), "%s%s", DLQ_PREFIX, (*t)->name + strlen(RETRY_PREFIX));
	*t = topic_find(b->offsets, name);
	return *t || make_topic(b, name, 1, PERM_READ | PERM_WRITE, t, why);
}

/* --- all of it ---------------------------------------------------------------------------------- */

static bool
may_store(const struct remoting_broker *b, const struct ring_request *req, struct refusal *why)
{
	if (b->read_only)
		return refuse(why, ANSWER_SERVICE_NOT_AVAILABLE, "the store is mounted read-only");
	if (b->settings->brokerRole == SLAVE)
		return refuse(why, ANSWER_SERVICE_NOT_AVAILABLE, "this broker is a slave, its master takes messages");
	if (meta_topic_is_brokers(req->topic))
		return refuse(why, ANSWER_NO_PERMISSION, "Sending message to topic[%.60s] is forbidden.", req->topic);
	if (req->s.body_len > (uint64_t)b->settings->maxMessageSize)
		return refuse(why, ANSWER_MESSAGE_ILLEGAL, "the body of %u bytes is longer than maxMessageSize",
			      req->s.body_len);
	return true;
}

static bool
find_queue(const struct remoting_broker *b, const struct ring_request *req, struct stored_as *as, struct refusal *why)
{
	struct topic_conf conf;
	int32_t queues;
	int rc;

	topic_conf(b->offsets, as->topic, &conf);
	queues = topic_conf_readable(&conf) > topic_conf_writable(&conf) ? topic_conf_readable(&conf)
									  : topic_conf_writable(&conf);
	if (as->queue_id >= queues)
		return refuse(why, ANSWER_SYSTEM_ERROR, "request queueId[%d] is illegal, topic %.60s has %d queues",
			      (int)req->s.queue_id, as->topic->name, (int)queues);
	if (as->queue_id < 0)
		as->queue_id = (int32_t)(random() % topic_conf_writable(&conf));
	rc = topic_queue(b->offsets, as->topic, as->queue_id, &as->queue);
	return rc == MQ_OK || refuse_rc(why, rc);
}

static bool
is_true(const struct ring_request *req, const char *property, bool if_absent)
{
	size_t len;
	const char *value = record_property(req->text, req->s.text_len, property, &len);

	return value ? len == 4 && strncasecmp(value, "true", 4) == 0 : if_absent;
}

/* DELAY, or the highest level that there is; 0: it is not delayed. */
static int
level_of(const struct ring_request *req)
{
	size_t len;
	const char *text = record_property(req->text, req->s.text_len, "DELAY", &len);
	long level = text ? strtol(text, NULL, 10) : 0;

	if (level < 0)
		return 0;
	return level < record_levels() ? (int)level : record_levels();
}

/* A half waits in the queue of halves, a delayed message in a queue of its level's. */
static bool
find_waiting_queue(const struct remoting_broker *b, struct stored_as *as, struct refusal *why)
{
	int rc = as->half ? half_queue(b->offsets, &as->queue) :
		 as->level > 0 ? delays_queue(b->store, as->level, &as->queue) : MQ_OK;

	return rc == MQ_OK || refuse_rc(why, rc);
}

/* Delayed messages and halves may not come in a batch; rejectTransactionMessage refuses all halves. */
static bool
may_wait(const struct remoting_broker *b, const struct ring_request *req, const struct stored_as *as,
	 struct refusal *why)
{
	if ((as->level > 0 || as->half) && req->s.kind == RING_BATCH)
		return refuse(why, ANSWER_MESSAGE_ILLEGAL, "a batch of messages that are delayed or in transactions");
	if (as->half && b->settings->rejectTransactionMessage)
		return refuse(why, ANSWER_NO_PERMISSION, "the broker[%.60s] sending transaction message is forbidden",
			      b->settings->brokerIP1);
	return true;
}

bool
stored_as(const struct remoting_broker *b, const struct ring_request *req, struct stored_as *ret,
	  struct refusal *ret_why)
{
	const struct ring_submission *s = &req->s;
	struct stored_as as = { .queue_id = s->queue_id, .waits = is_true(req, "WAIT", true) };
	struct topic_conf conf;

	*ret_why = (struct refusal){ 0 };
	if (!may_store(b, req, ret_why) || !find_group(b, req, ret_why) || !find_topic(b, req, &as.topic, ret_why))
		return false;
	as.half = is_true(req, "TRAN_MSG", false);
	as.level = as.half ? 0 : level_of(req);		/* a half's delay begins when it is committed */
	if (!may_wait(b, req, &as, ret_why))
		return false;
	if (is_dead(b, req)) {
		if (!dead_letters_of(b, &as.topic, ret_why))
			return false;
		as.queue_id = 0;
		as.level = 0;
	}
	topic_conf(b->offsets, as.topic, &conf);
	if (conf.order && !(b->settings->brokerPermission & PERM_WRITE))	/* producers of other topics choose another broker themselves */
		return refuse(ret_why, ANSWER_NO_PERMISSION, "the broker[%.60s] sending message is forbidden",
			      b->settings->brokerIP1);
	if (!(conf.perm & PERM_WRITE))
		return refuse(ret_why, ANSWER_NO_PERMISSION, "the topic[%.60s] sending message is forbidden",
			      as.topic->name);
	if (!find_queue(b, req, &as, ret_why) || !find_waiting_queue(b, &as, ret_why))
		return false;
	if (!rights_queue(b->rights, b->offsets, as.topic, as.queue_id, RIGHTS_WRITE))
		return refuse_rc(ret_why, -EACCES);
	as.m = (struct message){
		.topic = as.topic->name,
		.topic_len = strlen(as.topic->name),
		.queue_id = as.queue_id,
		.flag = s->flag,
		.sysflag = s->sysflag,
		.reconsume_times = s->reconsume_times,
		.born_ms = s->born_ms,
		.born = { .v6 = s->flags & RING_FLAG_BORN_V6, .port = s->born_port },
		.stored = b->host,
	};
	memcpy(as.m.born.addr, s->born_addr, sizeof(as.m.born.addr));
	*ret = as;
	return true;
}

/* --- properties --------------------------------------------------------------------------------- */

bool
stored_props(const struct remoting_broker *b, const struct ring_request *req, const char *item, size_t item_len,
	     char *buf, size_t *ret_len)
{
	const char *cluster = b->settings->brokerClusterName;
	struct properties p = { .buf = buf, .size = RECORD_PROPS_MAX };
	const char *name, *value;
	size_t name_len, value_len;

	for (size_t at = 0; record_property_next(item, item_len, &at, &name, &name_len, &value, &value_len);)
		properties_put(&p, name, name_len, value, value_len);
	for (size_t at = 0;
	     record_property_next(req->text, req->s.text_len, &at, &name, &name_len, &value, &value_len);)
		if (!bytes_are(name, name_len, "CLUSTER") && (item || !bytes_are(name, name_len, "WAIT")))
			properties_put(&p, name, name_len, value, value_len);
	if (*cluster)
		properties_put(&p, "CLUSTER", strlen("CLUSTER"), cluster, strlen(cluster));
	*ret_len = p.len;
	return !p.full;
}
