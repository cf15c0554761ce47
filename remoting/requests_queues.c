/* Requests about queues, offsets and single messages. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/rights.h"
#include "remoting/service_priv.h"

#define FOUND_MAX 64			/* messages of one look-up by key */
#define FOUND_BYTES (4 << 20)		/* and their bytes, but for the first */

struct place {
	struct topic *topic;
	struct queue *queue;
	int32_t queue_id;
};

/* The queue that "topic" and "queueId" say, if it may be read. */
static bool
find_place(struct service *s, const struct request *req, struct place *ret_place, struct answer *ret)
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
	if (!rights_topic(&s->rights, o, t, RIGHTS_READ)) {
		answer_refuse(ret, ANSWER_NO_PERMISSION, "the topic[%s] may not be read", t->name);
		return false;
	}
	ret_place->topic = t;
	ret_place->queue_id = (int32_t)id;
	return true;
}

static int
answer_number(struct answer *ret, const char *name, int64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, number);
	ret->ext = json_pack("{s:s}", name, text);
	return ret->ext ? MQ_OK : -ENOMEM;
}

/* --- ends and times ------------------------------------------------------------------------------- */

int
serve_max_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct place p;

	return find_place(s, req, &p, ret) ? answer_number(ret, "offset", queue_end(p.queue).n) : MQ_OK;
}

int
serve_min_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct place p;

	return find_place(s, req, &p, ret) ? answer_number(ret, "offset", queue_min(p.queue).n) : MQ_OK;
}

int
serve_search_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct place p;
	mq_qoff at;
	int64_t ms;
	int rc;

	if (!find_place(s, req, &p, ret) || !request_number(req, "timestamp", &ms, ret))
		return MQ_OK;
	rc = store_find_time(s->broker.store, p.queue, ms, &at);
	return rc == MQ_OK ? answer_number(ret, "offset", at.n) : rc;
}

/* When the message was stored; -1: there is none. */
static int64_t
stored_ms(struct service *s, struct queue *q, mq_qoff at)
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
serve_earliest_time(struct service *s, const struct request *req, struct answer *ret)
{
	struct place p;

	if (!find_place(s, req, &p, ret))
		return MQ_OK;
	return answer_number(ret, "timestamp", stored_ms(s, p.queue, queue_min(p.queue)));
}

/* --- committed offsets ---------------------------------------------------------------------------------- */

int
serve_query_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "consumerGroup");
	struct group *g = name ? group_find(o, name) : NULL;
	struct subscription *sub;
	struct place p;
	mq_qoff at;
	int rc;

	if (!find_place(s, req, &p, ret))
		return MQ_OK;
	sub = g ? subscription_find(o, g, p.topic) : NULL;
	if (!sub && queue_min(p.queue).n <= 0)
		return answer_number(ret, "offset", 0);	/* RocketMQ's rule: a young queue is read from its begin */
	if (!sub)
		return answer_refuse(ret, ANSWER_QUERY_NOT_FOUND, "Not found, maybe this group consumer boot first");
	rc = committed(o, sub, p.queue_id, &at);
	return rc == MQ_OK ? answer_number(ret, "offset", at.n) : rc;
}

/* A group's first commit in a topic: where it has not committed it has consumed nothing. */
static int
subscribe(struct service *s, struct group *g, struct topic *t, struct subscription **ret_sub)
{
	struct offsets *o = s->broker.offsets;
	int rc = subscription_create(o, g, t, ret_sub, NULL);

	if (rc == -EEXIST) {
		*ret_sub = subscription_find(o, g, t);
		return *ret_sub ? MQ_OK : -ESTALE;
	}
	for (int32_t i = 0; rc == MQ_OK && i < topic_queues(o, t); i++)
		rc = commit_reset(o, *ret_sub, i, MQ_QOFF(0), NULL);
	return rc;
}

/* A slave of ours says more, in fields of its own. */
static bool
is_of_slave(const struct request *req)
{
	return ext_get(req->ext, "seen") || ext_get(req->ext, "reset");
}

int
serve_update_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_get(req->ext, "consumerGroup");
	struct group *g = name ? group_find(o, name) : NULL;
	struct subscription *sub;
	struct place p;
	int64_t to;
	int rc = MQ_OK;

	if (is_of_slave(req)) {
		s->broker.serve_slave(s->broker.arg, req, ret);
		return MQ_OK;
	}
	if (!find_place(s, req, &p, ret) || !request_number(req, "commitOffset", &to, ret))
		return MQ_OK;
	if (!g)
		return answer_refuse(ret, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST, "group [%.127s] not exist",
				     name ? name : "");
	if (!rights_group(&s->rights, o, g, RIGHTS_WRITE))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "the group[%s] may not consume", g->name);
	sub = subscription_find(o, g, p.topic);
	if (!sub)
		rc = subscribe(s, g, p.topic, &sub);
	return rc == MQ_OK ? commit_forward(o, sub, p.queue_id, MQ_QOFF(to)) : rc;
}

/* --- single messages --------------------------------------------------------------------------------------- */

/* The record at pos, as it is in the log, behind what *ret has already.  -EACCES: it may not be read. */
static int
add_record(struct service *s, mq_pos pos, const char *topic, struct answer *ret)
{
	AUTO_FREE unsigned char *buf = NULL;
	char name[RECORD_TOPIC_MAX + 1];
	const struct topic *t;
	struct record rec;
	size_t size = 0, len;
	char *body;
	int rc = store_read(s->broker.store, pos, &buf, &size, &rec);

	if (rc != MQ_OK)
		return rc;
	snprintf(name, sizeof(name), "%.*s", (int)rec.topic_len, rec.topic);
	t = topic_find(s->broker.offsets, name);
	if (!t || (topic && strcmp(topic, name) != 0) || !rights_topic(&s->rights, s->broker.offsets, t, RIGHTS_READ))
		return err_note(-EACCES, "the message may not be read");
	len = (size_t)rec.total;
	body = realloc(ret->body, ret->body_len + len);
	if (!body)
		return -ENOMEM;
	memcpy(body + ret->body_len, buf, len);
	ret->body = body;
	ret->body_len += len;
	return MQ_OK;
}

int
serve_view_message(struct service *s, const struct request *req, struct answer *ret)
{
	int64_t pos;
	int rc;

	if (!request_number(req, "offset", &pos, ret))
		return MQ_OK;
	rc = pos < 0 ? -EINVAL : add_record(s, MQ_POS(pos), NULL, ret);
	if (rc != MQ_OK)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "can not find message by the offset, %" PRId64, pos);
	return MQ_OK;
}

int
serve_query_message(struct service *s, const struct request *req, struct answer *ret)
{
	const char *key = ext_get(req->ext, "key"), *unique = ext_get(req->ext, "_UNIQUE_KEY_QUERY");
	const struct topic *t = request_topic(s, req, "topic", ret);
	int64_t max, from_ms, to_ms;
	mq_pos found[FOUND_MAX];
	size_t n = 0;
	int rc;

	if (!t || !request_number(req, "maxNum", &max, ret) || !request_number(req, "beginTimestamp", &from_ms, ret) ||
	    !request_number(req, "endTimestamp", &to_ms, ret))
		return MQ_OK;
	if (!key)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good key");
	if (unique && strcmp(unique, "true") == 0)
		max = s->settings->defaultQueryMaxNum;
	max = max < 0 ? 0 : max > FOUND_MAX ? FOUND_MAX : max;
	rc = store_find_key(s->broker.store, t->name, key, from_ms, to_ms, found, (size_t)max, &n);
	for (size_t i = 0; rc == MQ_OK && i < n && ret->body_len < FOUND_BYTES; i++)
		(void)add_record(s, found[i], t->name, ret);	/* another topic's, of the same hash; or gone */
	if (rc != MQ_OK)
		return rc;
	if (ret->body_len == 0)
		return answer_refuse(ret, ANSWER_QUERY_NOT_FOUND, "can not find message, maybe time range not correct");
	ret->ext = json_pack("{s:s, s:s}", "indexLastUpdateTimestamp", "0", "indexLastUpdatePhyoffset", "0");
	return ret->ext ? MQ_OK : -ENOMEM;
}
