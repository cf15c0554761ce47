#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "remoting/codes.h"
#include "remoting/objects.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

static int
serve_slave(struct service *s, const struct request *req, struct answer *ret)
{
	s->broker.serve_slave(s->broker.arg, req, ret);
	return MQ_OK;
}

static int
serve_unknown(struct service *s, const struct request *req, struct answer *ret)
{
	(void)s;
	return answer_refuse(ret, ANSWER_REQUEST_CODE_NOT_SUPPORTED, " request type %d not supported", req->code);
}

struct request_row {
	int code;
	/* Fill *ret.  Not MQ_OK (noted): it could not be done. */
	int (*serve)(struct service *s, const struct request *req, struct answer *ret);
};

/* The last row serves what no other does. */
static const struct request_row rows[] = {
	{ REMOTING_QUERY_MESSAGE, serve_query_message },
	{ REMOTING_QUERY_CONSUMER_OFFSET, serve_query_offset },
	{ REMOTING_UPDATE_CONSUMER_OFFSET, serve_update_offset },
	{ REMOTING_UPDATE_AND_CREATE_TOPIC, serve_topic_set },
	{ REMOTING_GET_ALL_TOPIC_CONFIG, serve_table },
	{ REMOTING_GET_TOPIC_CONFIG, serve_topic_config },
	{ REMOTING_UPDATE_BROKER_CONFIG, serve_config_set },
	{ REMOTING_GET_BROKER_CONFIG, serve_broker_config },
	{ REMOTING_GET_BROKER_RUNTIME_INFO, serve_runtime_info },
	{ REMOTING_SEARCH_OFFSET_BY_TIMESTAMP, serve_search_offset },
	{ REMOTING_GET_MAX_OFFSET, serve_max_offset },
	{ REMOTING_GET_MIN_OFFSET, serve_min_offset },
	{ REMOTING_GET_EARLIEST_MSG_STORETIME, serve_earliest_time },
	{ REMOTING_VIEW_MESSAGE_BY_ID, serve_view_message },
	{ REMOTING_HEART_BEAT, serve_heartbeat },
	{ REMOTING_LOCK_BATCH_MQ, serve_lock },
	{ REMOTING_CONSUMER_SEND_MSG_BACK, serve_send_back },
	{ REMOTING_RESUME_CHECK_HALF_MESSAGE, serve_resume_half },
	{ REMOTING_GET_ALL_CONSUMER_OFFSET, serve_table },
	{ REMOTING_GET_ALL_DELAY_OFFSET, serve_table },
	{ REMOTING_CHECK_CLIENT_CONFIG, serve_check_subscription },
	{ REMOTING_UPDATE_AND_CREATE_ACL_CONFIG, serve_acl_put },
	{ REMOTING_DELETE_ACL_CONFIG, serve_acl_delete },
	{ REMOTING_GET_BROKER_CLUSTER_ACL_INFO, serve_acl_version },
	{ REMOTING_UPDATE_GLOBAL_WHITE_ADDRS_CONFIG, serve_acl_white },
	{ REMOTING_GET_BROKER_CLUSTER_ACL_CONFIG, serve_acl_config },
	{ REMOTING_GET_TIMER_CHECK_POINT, serve_slave },
	{ REMOTING_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, serve_group_set },
	{ REMOTING_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, serve_table },
	{ REMOTING_GET_TOPIC_STATS_INFO, serve_topic_stats },
	{ REMOTING_DELETE_SUBSCRIPTIONGROUP, serve_group_delete },
	{ REMOTING_GET_CONSUME_STATS, serve_consume_stats },
	{ REMOTING_DELETE_TOPIC_IN_BROKER, serve_topic_delete },
	{ REMOTING_INVOKE_BROKER_TO_RESET_OFFSET, serve_reset_offset },
	{ REMOTING_QUERY_TOPIC_CONSUME_BY_WHO, serve_groups_of_topic },
	{ REMOTING_QUERY_CONSUME_TIME_SPAN, serve_time_span },
	{ REMOTING_GET_SYSTEM_TOPIC_LIST_FROM_BROKER, serve_system_topics },
	{ REMOTING_CLEAN_EXPIRED_CONSUMEQUEUE, serve_clean_queues },
	{ REMOTING_QUERY_CORRECTION_OFFSET, serve_correction },
	{ REMOTING_CONSUME_MESSAGE_DIRECTLY, serve_consume_directly },
	{ REMOTING_CLONE_GROUP_OFFSET, serve_clone_offset },
	{ REMOTING_VIEW_BROKER_STATS_DATA, serve_stats_data },
	{ REMOTING_CLEAN_UNUSED_TOPIC, serve_clean_queues },
	{ REMOTING_GET_BROKER_CONSUME_STATS, serve_all_consume_stats },
	{ REMOTING_QUERY_CONSUME_QUEUE, serve_queue_entries },
	{ REMOTING_DELETE_EXPIRED_COMMITLOG, serve_delete_expired },
	{ REMOTING_GET_ALL_MESSAGE_REQUEST_MODE, serve_slave },
	{ REMOTING_HELLO, serve_slave },
	{ REMOTING_READ_LOG, serve_slave },
	{ -1, serve_unknown },
};

static const struct request_row *
find_row(int code)
{
	const struct request_row *row = rows;

	while (row->code >= 0 && row->code != code)
		row++;
	return row;
}

/* NULL: as remotingUser. */
static int
serve_as(struct service *s, const struct user *user, const struct request *req, struct answer *ret)
{
	s->rights = user ? *user : s->user;
	return find_row(req->code)->serve(s, req, ret);
}

void
requests_answer(struct service *s, const struct request *req, struct answer *ret)
{
	struct answer answer = { .code = ANSWER_SUCCESS };
	struct leave leave = { 0 };
	int rc;

	if (req->only_judge && s->remoting.judge)
		rc = request_judge(s, req, &answer);
	else if (!request_is_let_in(s, req, &leave))
		rc = err_note(-EACCES, "the request was not judged, or too long ago");
	else
		rc = serve_as(s, leave.user, req, &answer);
	leave_drop(&leave);
	if (rc != MQ_OK) {
		answer_clear(&answer);
		answer_refuse(&answer, rc == -EACCES ? ANSWER_NO_PERMISSION : ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	}
	*ret = answer;
}

/* --- fields --------------------------------------------------------------------------------------- */

bool
request_number(const struct request *req, const char *field, int64_t *ret_number, struct answer *ret)
{
	const char *text = ext_get(req->ext, field);
	char *end = NULL;
	long long number;

	errno = 0;
	number = text ? strtoll(text, &end, 10) : 0;
	if (!text || end == text || *end || errno != 0) {
		answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good %s", field);
		return false;
	}
	*ret_number = number;
	return true;
}

struct topic *
request_topic(struct service *s, const struct request *req, const char *field, struct answer *ret)
{
	const char *name = ext_get(req->ext, field);
	struct topic *t;

	(void)offsets_follow(s->broker.offsets);
	t = name ? topic_find(s->broker.offsets, name) : NULL;
	if (!t)
		answer_refuse(ret, ANSWER_TOPIC_NOT_EXIST, "topic[%.127s] not exist", name ? name : "");
	return t;
}

int
answer_json(struct answer *ret, json_t *body)
{
	ret->body = body ? json_dumps(body, JSON_COMPACT) : NULL;
	json_decref(body);
	if (!ret->body)
		return -ENOMEM;
	ret->body_len = strlen(ret->body);
	return MQ_OK;
}

int
answer_queues(struct answer *ret, json_t *body)
{
	int rc = answer_json(ret, body);

	if (rc != MQ_OK)
		return rc;
	objects_as_names(ret->body);
	ret->body_len = strlen(ret->body);
	return MQ_OK;
}

bool
request_any_place(struct service *s, const struct request *req, struct place *ret_place, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	int64_t id;
	struct topic *t = request_topic(s, req, "topic", ret);

	if (!t || !request_number(req, "queueId", &id, ret))
		return false;
	if (id < 0 || id >= topic_queues(o, t) ||
	    topic_queue(o, t, (int32_t)id, &ret_place->queue) != MQ_OK) {
		answer_refuse(ret, ANSWER_SYSTEM_ERROR, "topic %s has no queue %" PRId64, t->name, id);
		return false;
	}
	ret_place->topic = t;
	ret_place->queue_id = (int32_t)id;
	return true;
}

bool
request_place(struct service *s, const struct request *req, struct place *ret_place, struct answer *ret)
{
	if (!request_any_place(s, req, ret_place, ret))
		return false;
	if (rights_queue(&s->rights, s->broker.offsets, ret_place->topic, ret_place->queue_id, RIGHTS_READ))
		return true;
	answer_refuse(ret, ANSWER_NO_PERMISSION, "%s", err_text(-EACCES));
	return false;
}

int
answer_number(struct answer *ret, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	ret->ext = json_pack("{s:s}", name, text);
	return ret->ext ? MQ_OK : -ENOMEM;
}

int64_t
request_stored_ms(struct service *s, struct queue *q, mq_qoff at)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct queue_entry entry;
	struct record rec;
	size_t n = 0, size = 0;

	if (at.n < queue_min(q).n || queue_entries(q, at, &entry, 1, &n) != MQ_OK || n == 0 ||
	    store_read(s->broker.store, entry.pos, &buf, &size, &rec) != MQ_OK)
		return -1;
	return rec.store_ms;
}

int
request_set_queue(struct service *s, json_t *table, const char *topic, int32_t queue_id, json_t *value)
{
	json_t *key = json_pack("{s:s, s:i, s:s}", "brokerName", s->settings->brokerName, "queueId", (int)queue_id,
				"topic", topic);
	AUTO_FREE char *text = key ? json_dumps(key, JSON_COMPACT) : NULL;

	json_decref(key);
	return text && value && json_object_set_new(table, text, value) == 0 ? MQ_OK : -ENOMEM;
}

bool
request_lists(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = list; at && *at; at += *at == ',') {
		size_t n = strcspn(at, ",");

		if (n == len && memcmp(at, name, len) == 0)
			return true;
		at += n;
	}
	return !list;
}
