/* CONSUMER_SEND_MSG_BACK: a client's consumer could not handle a message; and RESUME_CHECK_HALF_MESSAGE: a
 * half for whose outcome producers were asked too often is asked for again. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/sendback.h"
#include "offsets/transactions.h"
#include "remoting/requests.h"
#include "remoting/rights.h"
#include "remoting/service_priv.h"

#define CHECKED_TOO_OFTEN "TRANS_CHECK_MAX_TIME_TOPIC"

/* A message as its queue has it. */
struct found {
	struct queue *queue;
	mq_qoff at;
};

/* The message whose record begins at pos.  False: there is none that this client may have seen.
 * A client may name any position; only what a queue points to is a message. */
static bool
find_message(struct service *s, mq_pos pos, struct found *ret)
{
	struct offsets *o = s->broker.offsets;
	AUTO_FREE unsigned char *buf = NULL;
	char name[RECORD_TOPIC_MAX + 1];
	struct queue_entry e;
	struct record rec;
	struct topic *t;
	size_t size = 0, n;

	if (pos.byte < 0 || store_read(s->broker.store, pos, &buf, &size, &rec) != MQ_OK)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)rec.topic_len, rec.topic);
	t = topic_find(o, name);
	if (!t || meta_topic_is_system(name) || !rights_queue(&s->rights, o, t, rec.queue_id, RIGHTS_READ) ||
	    topic_queue(o, t, rec.queue_id, &ret->queue) != MQ_OK ||
	    queue_entries(ret->queue, rec.qoff, &e, 1, &n) != MQ_OK || e.pos.byte != pos.byte)
		return false;
	ret->at = rec.qoff;
	return true;
}

/* max_times: -1 where the request does not say. */
static bool
read_numbers(const struct request *req, int64_t *pos, int64_t *level, int64_t *max_times, struct answer *ret)
{
	*max_times = -1;
	if (!request_number(req, "offset", pos, ret) || !request_number(req, "delayLevel", level, ret) ||
	    (ext_get(req->ext, "maxReconsumeTimes") && !request_number(req, "maxReconsumeTimes", max_times, ret)))
		return false;
	if (*level > record_levels())
		*level = record_levels();
	if (*level < 0)
		*level = SEND_BACK_NEVER_AGAIN;
	if (*max_times > INT32_MAX)
		*max_times = INT32_MAX;
	return true;
}

int
serve_send_back(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct group *g = request_group(s, req, "group");
	int64_t pos, level, max_times;
	struct group_conf conf;
	struct found m;
	int rc;

	if (!read_numbers(req, &pos, &level, &max_times, ret))
		return MQ_OK;
	if (!g)
		return answer_refuse(ret, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group not exist, %.127s",
				     ext_text(req->ext, "group"));
	if (!(s->settings->brokerPermission & PERM_WRITE))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "the broker[%s] sending message is forbidden",
				     s->settings->brokerIP1);
	if (!rights_group(&s->rights, o, g))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "the group[%s] may not consume", g->name);
	group_conf(o, g, &conf);
	if (conf.retry_queues <= 0)
		return MQ_OK;		/* RocketMQ's way to say that the group wants no retries */
	if (!find_message(s, MQ_POS(pos), &m))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "look message by offset failed, %" PRId64, pos);
	rc = send_back(o, g, m.queue, m.at, (int)level, max_times < 0 ? -1 : (int)max_times);
	if (rc != MQ_OK)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	stats_sent_back(s->remoting.stats, queue_topic(m.queue), g->name);
	return MQ_OK;
}

int
serve_resume_half(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const struct topic *t = topic_find(o, CHECKED_TOO_OFTEN);
	mq_pos pos;
	int rc;

	if (record_parse_msg_id(ext_text(req->ext, "msgId"), &pos) != MQ_OK || !t)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "there is no such message in %s", CHECKED_TOO_OFTEN);
	if (!rights_topic(&s->rights, o, t))
		return request_no_right(ret);
	rc = transaction_resume(o, pos);
	return rc == MQ_OK ? MQ_OK : answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
}
