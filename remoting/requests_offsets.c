/* Requests about committed offsets: of consumers, and of tools that move them. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/rights.h"
#include "remoting/service_priv.h"
#include "store/backlog.h"

/* Has the queue all its messages, and the first of them in memory?  RocketMQ's rule: such a queue is
 * read from its begin by a group that has committed nothing, whatever the group's clients prefer. */
static bool
is_young(struct service *s, struct queue *q)
{
	const struct remoting_broker *b = &s->remoting;
	struct queue_entry first;
	size_t n = 0;

	if (queue_min(q).n > 0)
		return false;
	return queue_entries(q, MQ_QOFF(0), &first, 1, &n) != MQ_OK || n == 0 ||
	       !backlog_is_on_disk(first.pos, mark_at(store_written(b->store)),
				   backlog_memory(b->settings->accessMessageInMemoryMaxRatio));
}

int
serve_query_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	struct group *g = request_group(s, req, "consumerGroup");
	struct subscription *sub;
	struct place p;
	mq_qoff at;
	bool known;
	int rc;

	if (!request_any_place(s, req, &p, ret))
		return MQ_OK;
	sub = g ? subscription_find(o, g, p.topic) : NULL;
	if (sub && !rights_offset(&s->rights, o, g, p.topic, p.queue_id, RIGHTS_READ))
		return request_no_right(ret);
	known = sub && committed_ever(o, sub, p.queue_id);
	if (!known && is_young(s, p.queue))
		return answer_number(ret, "offset", 0);
	if (!known)
		return answer_refuse(ret, ANSWER_QUERY_NOT_FOUND, "Not found, maybe this group consumer boot first");
	rc = committed(o, sub, p.queue_id, &at);
	return rc == MQ_OK ? answer_number(ret, "offset", at.n) : rc;
}

/* Is the commit a tool's, or that of a client that was told of a reset? */
static bool
is_reset(struct service *s, const struct request *req, const struct subscription *sub, int32_t queue_id, mq_qoff to)
{
	return ext_get(req->ext, "mqfs.explicit") || resets_take(&s->resets, sub, queue_id, to, clock_mono_ms());
}

int
serve_update_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *name = ext_text(req->ext, "consumerGroup");
	struct group *g = group_find(o, name);
	struct subscription *sub;
	struct place p;
	int64_t to;
	int rc = MQ_OK;

	if (remoting_is_of_slave(req->code, req->ext))
		return serve_slave(s, req, ret);
	if (!request_any_place(s, req, &p, ret) || !request_number(req, "commitOffset", &to, ret))
		return MQ_OK;
	if (!g && ext_get(req->ext, "mqfs.explicit")) {		/* a tool clones a group's offsets */
		rc = request_group_made(s, name, &g, ret);
		if (rc != MQ_OK || ret->code != ANSWER_SUCCESS)
			return rc;
	}
	if (!g)
		return answer_refuse(ret, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST, "group [%.127s] not exist", name);
	if (!rights_consume(&s->rights, o, g, p.topic, p.queue_id))
		return request_no_right(ret);
	rc = meta_group_check(g->name);
	if (rc == MQ_OK)
		rc = subscription_of_consumer(o, g, p.topic, &sub);
	if (rc == MQ_OK && is_reset(s, req, sub, p.queue_id, MQ_QOFF(to)) &&
	    rights_offset(&s->rights, o, g, p.topic, p.queue_id, RIGHTS_WRITE))
		return commit_reset(o, sub, p.queue_id, MQ_QOFF(to), NULL);
	return rc == MQ_OK ? commit_forward(o, sub, p.queue_id, MQ_QOFF(to)) : rc;
}

/* --- resets --------------------------------------------------------------------------------------- */

struct moving {
	struct subscription *sub;
	int64_t ms;			/* to the first message since then; -1: to the end */
	bool force;			/* also forward */
};

/* Where queue i's offset is to be, and where it is. */
static int
find_target(struct service *s, const struct moving *m, int32_t i, mq_qoff *ret_at, mq_qoff *ret_to)
{
	struct offsets *o = s->broker.offsets;
	struct queue *q;
	int rc = topic_queue(o, m->sub->topic, i, &q);

	if (rc == MQ_OK)
		rc = committed(o, m->sub, i, ret_at);
	if (rc == MQ_OK && m->ms < 0)
		*ret_to = queue_end(q);
	else if (rc == MQ_OK)
		rc = store_find_time(s->broker.store, q, m->ms, ret_to);
	if (rc == MQ_OK && !m->force && ret_to->n >= ret_at->n)
		*ret_to = *ret_at;
	return rc;
}

static int
move(struct service *s, const struct moving *m, json_t *table)
{
	struct offsets *o = s->broker.offsets;
	int rc = table ? MQ_OK : -ENOMEM;

	for (int32_t i = 0; rc == MQ_OK && i < topic_queues(o, m->sub->topic); i++) {
		mq_qoff at, to;

		rc = find_target(s, m, i, &at, &to);
		if (rc == MQ_OK && to.n != at.n)
			rc = commit_reset(o, m->sub, i, to, &to);
		if (rc == MQ_OK) {
			resets_add(&s->resets, m->sub, i, to, clock_mono_ms());
			rc = request_set_queue(s, table, m->sub->topic->name, i, json_integer(to.n));
		}
	}
	return rc;
}

/* mqremoted sends the answer to the group's clients.  Without any the request is refused, and the tool
 * moves the offsets one by one. */
int
serve_reset_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *group = ext_text(req->ext, "group"), *topic = ext_text(req->ext, "topic");
	struct group *g = group_find(o, group);
	struct topic *t = topic_find(o, topic);
	struct moving m = { .sub = g && t ? subscription_find(o, g, t) : NULL,
			    .force = ext_is_true(req->ext, "isForce", false) };
	json_auto_t *table = json_object();
	int rc;

	if (!request_number(req, "timestamp", &m.ms, ret))
		return MQ_OK;
	if (!t)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "[reset-offset] no topic %.127s in this broker", topic);
	if (!m.sub)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "the consumer group <%.127s> not exist", group);
	if (!rights_group(&s->rights, o, g))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to reset the group %s", group);
	if (!ext_get(req->ext, "mqfs.online"))
		return answer_refuse(ret, ANSWER_CONSUMER_NOT_ONLINE, "no consumer of group %.80s is online: topic %.80s is "
				     "not reset", group, topic);
	rc = move(s, &m, table);
	if (rc != MQ_OK)
		return rc;
	ret->ext = json_pack("{s:s, s:s, s:s}", "group", group, "topic", topic, "timestamp",
			     ext_get(req->ext, "timestamp"));
	return answer_json(ret, json_pack("{s:O}", "offsetTable", table));
}

/* --- offsets of another group ------------------------------------------------------------------------ */

static int
clone_offsets(struct service *s, struct subscription *from, struct group *to)
{
	struct offsets *o = s->broker.offsets;
	struct subscription *sub = NULL;
	int rc = subscription_of_consumer(o, to, from->topic, &sub);

	for (int32_t i = 0; rc == MQ_OK && i < topic_queues(o, from->topic); i++) {
		mq_qoff at;

		rc = committed(o, from, i, &at);
		if (rc == MQ_OK)
			rc = commit_reset(o, sub, i, at, NULL);
	}
	return rc;
}

int
serve_clone_offset(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *dest = ext_text(req->ext, "destGroup"), *topic = ext_text(req->ext, "topic");
	const char *online = ext_is_true(req->ext, "offline", false) ? NULL : ext_get(req->ext, "mqfs.topics");
	struct group *from = request_group(s, req, "srcGroup"), *to = NULL;
	struct subscription *sub = from ? subscription_next(o, from, "") : NULL;
	int rc = request_group_made(s, dest, &to, ret);

	if (rc != MQ_OK || ret->code != ANSWER_SUCCESS)
		return rc;
	if (!rights_group(&s->rights, o, to))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to reset the group %s", dest);
	for (; sub && rc == MQ_OK; sub = subscription_next(o, from, sub->topic->name))
		if ((!*topic || strcmp(topic, sub->topic->name) == 0) &&
		    request_lists(online, sub->topic->name))
			rc = clone_offsets(s, sub, to);
	return rc;
}

/* --- who consumes a topic, and how far all have come -------------------------------------------------- */

int
serve_groups_of_topic(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *online = ext_get(req->ext, "mqfs.groups");
	struct topic *t = topic_find(o, ext_text(req->ext, "topic"));
	json_t *groups = json_array();

	for (struct group *g = group_next(o, ""); g; g = group_next(o, g->name))
		if ((t && subscription_find(o, g, t)) || (online && request_lists(online, g->name)))
			json_array_append_new(groups, json_string(g->name));
	return answer_json(ret, json_pack("{s:o}", "groupList", groups));
}

/* The lowest offset of all groups but those that `filtered` lists; INT64_MAX: there is none. */
static int
lowest(struct service *s, struct topic *t, int32_t queue_id, const char *filtered, int64_t *ret)
{
	struct offsets *o = s->broker.offsets;
	int rc = MQ_OK;

	*ret = INT64_MAX;
	for (struct group *g = group_next(o, ""); g && rc == MQ_OK; g = group_next(o, g->name)) {
		struct subscription *sub = subscription_find(o, g, t);
		mq_qoff at;

		if (!sub || (filtered && request_lists(filtered, g->name)))
			continue;
		rc = committed(o, sub, queue_id, &at);
		if (rc == MQ_OK && at.n < *ret)
			*ret = at.n;
	}
	return rc;
}

int
serve_correction(struct service *s, const struct request *req, struct answer *ret)
{
	struct offsets *o = s->broker.offsets;
	const char *filtered = ext_get(req->ext, "filterGroups");
	struct topic *t = request_topic(s, req, ret);
	struct group *g = request_group(s, req, "compareGroup");
	struct subscription *sub = g && t ? subscription_find(o, g, t) : NULL;
	json_auto_t *table = json_object();
	int rc = table ? MQ_OK : -ENOMEM;

	for (int32_t i = 0; t && rc == MQ_OK && i < topic_queues(o, t); i++) {
		char key[16];
		int64_t low;
		mq_qoff at;

		snprintf(key, sizeof(key), "%d", (int)i);
		rc = lowest(s, t, i, filtered, &low);
		if (rc == MQ_OK && sub)
			rc = committed(o, sub, i, &at);
		if (rc == MQ_OK && sub && low > at.n)
			low = INT64_MAX;
		if (rc == MQ_OK && (sub || low < INT64_MAX))
			json_object_set_new(table, key, json_integer(low));
	}
	return t && rc == MQ_OK ? answer_json(ret, json_pack("{s:O}", "correctionOffsets", table)) : rc;
}
