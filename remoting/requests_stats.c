/* Requests for numbers: offsets, times and rates of topics and groups. */
#include "config.h"

#include <errno.h>
#include <stdio.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

int
serve_topic_stats(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct topic *t = request_topic(s, req, ret);
	json_auto_t *table = json_object();
	int rc = table ? MQ_OK : -ENOMEM;

	for (int32_t i = 0; t && rc == MQ_OK && i < topic_queues_writable(o, t); i++) {
		struct queue_span span = { 0 };
		struct queue *q;

		rc = topic_queue(o, t, i, &q);
		if (rc == MQ_OK)
			queue_span(q, &span);
		if (rc == MQ_OK)
			rc = request_set_queue(s, table, t->name, i,
				       json_pack("{s:I, s:I, s:I}", "lastUpdateTimestamp",
						 (json_int_t)span.last_store_ms, "maxOffset",
						 (json_int_t)queue_end(q).n, "minOffset", (json_int_t)queue_min(q).n));
	}
	return t && rc == MQ_OK ? answer_queues(ret, json_pack("{s:O}", "offsetTable", table)) : rc;
}

/* --- offsets of groups ------------------------------------------------------------------------- */

/* Queue queue_id of the topic, and the group's offset in it; 0 without a subscription. */
static int
find_offset(struct offsets *o, struct topic *t, struct subscription *sub, int32_t queue_id, struct queue **ret_q,
	    mq_qoff *ret_at)
{
	int rc = topic_queue(o, t, queue_id, ret_q);

	*ret_at = MQ_QOFF(0);
	return rc == MQ_OK && sub ? committed(o, sub, queue_id, ret_at) : rc;
}

static int
add_progress(struct service *s, struct topic *t, struct subscription *sub, int32_t queue_id, json_t *table,
	     int64_t *behind)
{
	mq_qoff at, end;
	struct queue *q;
	int64_t ms = 0;
	int rc = find_offset(s->broker.offsets, t, sub, queue_id, &q, &at);

	if (rc != MQ_OK)
		return rc;
	end = queue_end(q);
	if (at.n > 0)
		ms = request_stored_ms(s, q, MQ_QOFF(at.n - 1));
	*behind += end.n - at.n;
	return request_set_queue(s, table, t->name, queue_id,
				 json_pack("{s:I, s:I, s:I}", "brokerOffset", (json_int_t)end.n, "consumerOffset",
					   (json_int_t)at.n, "lastTimestamp", (json_int_t)(ms > 0 ? ms : 0)));
}

/* sub NULL: the group has consumed nothing of it. */
static int
add_consumption(struct service *s, struct topic *t, struct subscription *sub, json_t *table, int64_t *behind)
{
	struct topic_conf conf;
	int rc = MQ_OK;

	topic_conf(s->broker.offsets, t, &conf);
	for (int32_t i = 0; rc == MQ_OK && i < topic_conf_readable(&conf); i++)
		rc = add_progress(s, t, sub, i, table, behind);
	return rc;
}

/* Of one topic, or of all that the group has consumed; while the group has members, only of topics to
 * which it subscribes. */
int
serve_consume_stats(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "consumerGroup"), *online = ext_get(req->ext, "mqfs.topics");
	struct group *g = request_group(s, req, "consumerGroup");
	struct topic *t = topic_find(o, ext_text(req->ext, "topic"));
	struct subscription *sub = g && !t ? subscription_next(o, g, "") : NULL;
	json_auto_t *table = json_object();
	int64_t behind = 0;
	double tps = 0;
	int rc = table ? MQ_OK : -ENOMEM;

	if (rc == MQ_OK && t && name && request_lists(online, t->name)) {
		rc = add_consumption(s, t, g ? subscription_find(o, g, t) : NULL, table, &behind);
		tps = stats_consume_tps(s->remoting.stats, t->name, name);
	}
	for (; sub && rc == MQ_OK; sub = subscription_next(o, g, sub->topic->name))
		if (request_lists(online, sub->topic->name)) {
			rc = add_consumption(s, sub->topic, sub, table, &behind);
			tps += stats_consume_tps(s->remoting.stats, sub->topic->name, name);
		}
	return rc == MQ_OK ? answer_queues(ret, json_pack("{s:f, s:O}", "consumeTps", tps, "offsetTable", table)) : rc;
}

/* A list of what the group has consumed, one object for each topic. */
static int
add_group(struct service *s, struct group *g, bool ordered, json_t *groups, int64_t *behind)
{
	struct offsets *o = s->broker.offsets;
	json_t *list = json_array();
	int rc = MQ_OK;

	for (struct subscription *sub = subscription_next(o, g, ""); sub && rc == MQ_OK;
	     sub = subscription_next(o, g, sub->topic->name)) {
		json_auto_t *table = json_object();
		struct topic_conf conf;

		topic_conf(o, sub->topic, &conf);
		if (ordered && !conf.order)
			continue;
		rc = add_consumption(s, sub->topic, sub, table, behind);
		json_array_append_new(list, json_pack("{s:f, s:O}", "consumeTps",
						      stats_consume_tps(s->remoting.stats, sub->topic->name, g->name),
						      "offsetTable", table));
	}
	json_array_append_new(groups, json_pack("{s:o}", g->name, list));
	return rc;
}

int
serve_all_consume_stats(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	bool ordered = ext_is_true(req->ext, "isOrder", false);
	json_auto_t *groups = json_array();
	int64_t behind = 0;
	char address[280];
	int rc = groups ? MQ_OK : -ENOMEM;

	for (struct group *g = group_next(o, ""); g && rc == MQ_OK; g = group_next(o, g->name))
		rc = add_group(s, g, ordered, groups, &behind);
	if (rc != MQ_OK)
		return rc;
	snprintf(address, sizeof(address), "%s:%d", s->settings->brokerIP1, (int)s->settings->listenPort);
	return answer_queues(ret, json_pack("{s:s, s:O, s:I}", "brokerAddr", address, "consumeStatsList", groups,
					  "totalDiff", (json_int_t)behind));
}

/* --- times ---------------------------------------------------------------------------------------------- */

/* When the first and the last message of a queue and the last consumed one were stored, and how long the
 * next one has waited; -1: there is none. */
static int
add_span(struct service *s, struct topic *t, struct subscription *sub, int32_t queue_id, json_t *list)
{
	int64_t min_ms, max_ms, consumed_ms, waits_ms = 0;
	mq_qoff at, end;
	struct queue *q;
	json_t *span;
	int rc = find_offset(s->broker.offsets, t, sub, queue_id, &q, &at);

	if (rc != MQ_OK)
		return rc;
	end = queue_end(q);
	min_ms = request_stored_ms(s, q, queue_min(q));
	max_ms = end.n > 0 ? request_stored_ms(s, q, MQ_QOFF(end.n - 1)) : -1;
	consumed_ms = at.n > 0 ? request_stored_ms(s, q, MQ_QOFF(at.n - 1)) : min_ms;
	if (at.n < end.n)
		waits_ms = clock_wall_ms() - request_stored_ms(s, q, at);
	span = json_pack("{s:{s:s, s:i, s:s}, s:I, s:I, s:I, s:I}", "messageQueue", "brokerName",
			 s->settings->brokerName, "queueId", (int)queue_id, "topic", t->name, "minTimeStamp",
			 (json_int_t)min_ms, "maxTimeStamp", (json_int_t)max_ms, "consumeTimeStamp",
			 (json_int_t)consumed_ms, "delayTime", (json_int_t)waits_ms);
	return span && json_array_append_new(list, span) == 0 ? MQ_OK : -ENOMEM;
}

int
serve_time_span(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct group *g = request_group(s, req, "group");
	struct topic *t = request_topic(s, req, ret);
	struct subscription *sub = g && t ? subscription_find(o, g, t) : NULL;
	json_auto_t *list = json_array();
	int rc = MQ_OK;

	for (int32_t i = 0; t && rc == MQ_OK && i < topic_queues_writable(o, t); i++)
		rc = add_span(s, t, sub, i, list);
	return t && rc == MQ_OK ? answer_json(ret, json_pack("{s:O}", "consumeTimeSpanSet", list)) : rc;
}

/* --- rates ----------------------------------------------------------------------------------------------- */

static json_t *
rate_json(const struct stats_rate *r)
{
	return json_pack("{s:f, s:I, s:f}", "avgpt", r->per_time, "sum", (json_int_t)r->sum, "tps", r->per_second);
}

int
serve_stats_data(struct service *s, const struct request *req, struct answer *ret)
{
	const char *name = ext_text(req->ext, "statsName"), *key = ext_text(req->ext, "statsKey");
	struct stats_view v;

	if (!stats_view(s->remoting.stats, name, key, &v))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "The stats <%.40s> <%.140s> not exist", name, key);
	return answer_json(ret, json_pack("{s:o, s:o, s:o}", "statsMinute", rate_json(&v.spans[STATS_MINUTE]),
					  "statsHour", rate_json(&v.spans[STATS_HOUR]), "statsDay",
					  rate_json(&v.spans[STATS_DAY])));
}
