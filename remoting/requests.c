#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/err.h"
#include "remoting/codes.h"
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
	{ REMOTING_GET_BROKER_CONFIG, serve_broker_config },
	{ REMOTING_GET_BROKER_RUNTIME_INFO, serve_runtime_info },
	{ REMOTING_SEARCH_OFFSET_BY_TIMESTAMP, serve_search_offset },
	{ REMOTING_GET_MAX_OFFSET, serve_max_offset },
	{ REMOTING_GET_MIN_OFFSET, serve_min_offset },
	{ REMOTING_GET_EARLIEST_MSG_STORETIME, serve_earliest_time },
	{ REMOTING_VIEW_MESSAGE_BY_ID, serve_view_message },
	{ REMOTING_HEART_BEAT, serve_heartbeat },
	{ REMOTING_CONSUMER_SEND_MSG_BACK, serve_send_back },
	{ REMOTING_GET_ALL_CONSUMER_OFFSET, serve_table },
	{ REMOTING_GET_ALL_DELAY_OFFSET, serve_table },
	{ REMOTING_GET_TIMER_CHECK_POINT, serve_slave },
	{ REMOTING_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, serve_group_set },
	{ REMOTING_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, serve_table },
	{ REMOTING_GET_TOPIC_STATS_INFO, serve_topic_stats },
	{ REMOTING_DELETE_SUBSCRIPTIONGROUP, serve_group_delete },
	{ REMOTING_GET_CONSUME_STATS, serve_consume_stats },
	{ REMOTING_DELETE_TOPIC_IN_BROKER, serve_topic_delete },
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

void
requests_answer(struct service *s, const struct request *req, struct answer *ret)
{
	struct answer answer = { .code = ANSWER_SUCCESS };
	int rc = find_row(req->code)->serve(s, req, &answer);

	if (rc != MQ_OK) {
		answer_clear(&answer);
		answer_refuse(&answer, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
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
