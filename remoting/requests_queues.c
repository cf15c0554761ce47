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

#define ENTRIES_MAX 10000		/* of a queue, in one answer */
#define FOUND_MAX 64			/* messages of one look-up by key */
#define FOUND_BYTES (4 << 20)		/* and their bytes, but for the first */

/* --- locks ------------------------------------------------------------------------------------------ */

/* Does a file of the mount consume the queue that the line names, "TOPIC ID"? */
static bool
is_held_by_file(struct service *s, struct group *g, const char *line, size_t len)
{
	char topic[RECORD_TOPIC_MAX + 1], *end;
	const char *blank = memchr(line, ' ', len);
	struct subscription *sub;
	struct topic *t;
	long id;

	if (!blank || (size_t)(blank - line) >= sizeof(topic))
		return false;
	memcpy(topic, line, (size_t)(blank - line));
	topic[blank - line] = '\0';
	id = strtol(blank + 1, &end, 10);
	t = topic_find(s->broker.offsets, topic);
	sub = t ? subscription_find(s->broker.offsets, g, t) : NULL;
	if (!sub || id < 0 || id >= topic_queues(s->broker.offsets, t))
		return false;
	return consumer_is_file(consumer_of(s->broker.offsets, sub, (int32_t)id));
}

/* A client locks the queues of mqfs.queues, lines of "TOPIC ID".  The answer has the fields of the
 * request, for mqremoted, which knows the locks, and mqfs.held: the queues that files consume. */
int
serve_lock(struct service *s, const struct request *req, struct answer *ret)
{
	const char *at = ext_text(req->ext, "mqfs.queues");
	struct group *g = request_group(s, req, "consumerGroup");
	AUTO_FREE char *held = NULL;
	size_t len = 0, line;
	FILE *out = open_memstream(&held, &len);

	if (!out)
		return -ENOMEM;
	for (; g && *at; at += line + (at[line] != '\0')) {
		line = strcspn(at, "\n");
		if (is_held_by_file(s, g, at, line))
			fprintf(out, "%.*s\n", (int)line, at);
	}
	if (fclose(out) != 0)
		return -ENOMEM;
	ret->ext = json_copy((json_t *)(uintptr_t)req->ext);
	return ret->ext && json_object_set_new(ret->ext, "mqfs.held", json_string(held)) == 0 ? MQ_OK : -ENOMEM;
}

/* --- ends and times ------------------------------------------------------------------------------- */

/* GET_MAX_OFFSET, GET_MIN_OFFSET, GET_EARLIEST_MSG_STORETIME and SEARCH_OFFSET_BY_TIMESTAMP. */
int
serve_place(struct service *s, const struct request *req, struct answer *ret)
{
	struct place p;
	mq_qoff at;
	int64_t ms;
	int rc;

	if (!request_place(s, req, &p, ret))
		return MQ_OK;
	switch (req->code) {
	case REMOTING_GET_MAX_OFFSET:
		return answer_number(ret, "offset", queue_end(p.queue).n);
	case REMOTING_GET_MIN_OFFSET:
		return answer_number(ret, "offset", queue_min(p.queue).n);
	case REMOTING_GET_EARLIEST_MSG_STORETIME:
		return answer_number(ret, "timestamp", request_stored_ms(s, p.queue, queue_min(p.queue)));
	default:
		if (!request_number(req, "timestamp", &ms, ret))
			return MQ_OK;
		rc = store_find_time(s->broker.store, p.queue, ms, &at);
		return rc == MQ_OK ? answer_number(ret, "offset", at.n) : rc;
	}
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
	if (!t || (topic && strcmp(topic, name) != 0) ||
	    !rights_queue(&s->rights, s->broker.offsets, t, rec.queue_id, RIGHTS_READ))
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

/* The record is the body: mqremoted gives it to the client that the fields name. */
int
serve_consume_directly(struct service *s, const struct request *req, struct answer *ret)
{
	const char *id = ext_text(req->ext, "msgId");
	mq_pos pos;
	int rc = record_parse_msg_id(id, &pos);

	if (rc == MQ_OK)
		rc = add_record(s, pos, NULL, ret);
	if (rc != MQ_OK)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no message has the id %.64s", id);
	ret->ext = json_copy((json_t *)(uintptr_t)req->ext);
	if (!ret->ext)
		return -ENOMEM;
	return json_object_set_new(ret->ext, "brokerName", json_string(s->settings->brokerName)) == 0 ? MQ_OK : -ENOMEM;
}

/* --- entries of a queue ---------------------------------------------------------------------------------- */

static int
add_entries(struct queue *q, mq_qoff at, int64_t count, json_t *list)
{
	int rc = MQ_OK;

	while (rc == MQ_OK && count > 0) {
		struct queue_entry entries[64];
		size_t n = 0;

		rc = queue_entries(q, at, entries, count < 64 ? (size_t)count : 64, &n);
		for (size_t i = 0; rc == MQ_OK && i < n; i++) {
			json_t *e = json_pack("{s:I, s:i, s:I}", "physicOffset", (json_int_t)entries[i].pos.byte,
					      "physicSize", (int)entries[i].total, "tagsCode",
					      (json_int_t)entries[i].tags_code);

			if (!e || json_array_append_new(list, e) != 0)
				rc = -ENOMEM;
		}
		at.n += (int64_t)n;
		count -= (int64_t)n;
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

int
serve_queue_entries(struct service *s, const struct request *req, struct answer *ret)
{
	const char *group = ext_get(req->ext, "consumerGroup");
	json_auto_t *list = json_array();
	int64_t index, count;
	struct place p;
	int rc;

	if (!request_place(s, req, &p, ret) || !request_number(req, "index", &index, ret) ||
	    !request_number(req, "count", &count, ret))
		return MQ_OK;
	if (index < queue_min(p.queue).n || index >= queue_end(p.queue).n)
		return answer_refuse(ret, ANSWER_SUCCESS, "Index %" PRId64 " of %d@%s is not exist!", index,
				     (int)p.queue_id, p.topic->name);
	rc = add_entries(p.queue, MQ_QOFF(index), count < ENTRIES_MAX ? count : ENTRIES_MAX, list);
	if (rc != MQ_OK)
		return rc;
	if (group)
		ret->ext = json_pack("{s:s, s:s}", "consumerGroup", group, "topic", p.topic->name);
	return answer_json(ret, json_pack("{s:I, s:I, s:O}", "maxQueueIndex", (json_int_t)queue_end(p.queue).n,
					  "minQueueIndex", (json_int_t)queue_min(p.queue).n, "queueData", list));
}

/* --- by key ------------------------------------------------------------------------------------------------ */

/* The newest that fit, in the order of the log. */
int
serve_query_message(struct service *s, const struct request *req, struct answer *ret)
{
	const char *key = ext_get(req->ext, "key");
	const struct topic *t = request_topic(s, req, ret);
	int64_t max, from_ms, to_ms;
	mq_pos found[FOUND_MAX];
	size_t n = 0;
	int rc;

	if (!t || !request_number(req, "maxNum", &max, ret) || !request_number(req, "beginTimestamp", &from_ms, ret) ||
	    !request_number(req, "endTimestamp", &to_ms, ret))
		return MQ_OK;
	if (!key)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good key");
	if (ext_is_true(req->ext, "_UNIQUE_KEY_QUERY", false))
		max = s->settings->defaultQueryMaxNum;
	max = max < 0 ? 0 : max > FOUND_MAX ? FOUND_MAX : max;
	rc = store_find_key(s->broker.store, t->name, key, from_ms, to_ms, found, (size_t)max, &n);
	if (rc == MQ_OK)
		qsort(found, n, sizeof(found[0]), pos_compare);
	for (size_t i = 0; rc == MQ_OK && i < n && ret->body_len < FOUND_BYTES; i++)
		(void)add_record(s, found[i], t->name, ret);	/* another topic's, of the same hash; or gone */
	if (rc != MQ_OK)
		return rc;
	if (ret->body_len == 0)
		return answer_refuse(ret, ANSWER_QUERY_NOT_FOUND, "can not find message, maybe time range not correct");
	ret->ext = json_pack("{s:s, s:s}", "indexLastUpdateTimestamp", "0", "indexLastUpdatePhyoffset", "0");
	return ret->ext ? MQ_OK : -ENOMEM;
}
