#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "remoting/codes.h"
#include "remoting/objects.h"
#include "remoting/requests.h"
#include "remoting/service_priv.h"

int
serve_slave(struct service *s, const struct request *req, struct answer *ret)
{
	s->broker.serve_slave(s->broker.arg, req, ret);
	return MQ_OK;
}

int
serve_unknown(struct service *s, const struct request *req, struct answer *ret)
{
	(void)s;
	return answer_refuse(ret, ANSWER_REQUEST_CODE_NOT_SUPPORTED, " request type %d not supported", req->code);
}

static int
serve(struct service *s, const struct request *req, struct answer *ret)
{
	switch (req->code) {
#define REQUEST(name, number, in_mqremoted, in_mount) case number: return in_mount(s, req, ret);
#include "remoting/requests.def"
	}
	return serve_unknown(s, req, ret);
}

void
requests_answer(struct service *s, const struct request *req, struct answer *ret)
{
	struct answer answer = { .code = ANSWER_SUCCESS };
	struct permit permit = { 0 };
	int rc;

	if (req->only_judge && s->remoting.judge) {
		rc = request_judge(s, req, &answer);
	} else if (!request_is_let_in(s, req, &permit)) {
		rc = err_note(-EACCES, "the request was not judged, or too long ago");
	} else {
		s->rights = permit.user ? *permit.user : s->user;
		rc = serve(s, req, &answer);
	}
	permit_drop(&permit);
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
	if (ext_number(req->ext, field, INT64_MIN, INT64_MAX, ret_number))
		return true;
	answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good %s", field);
	return false;
}

struct topic *
request_topic(struct service *s, const struct request *req, struct answer *ret)
{
	const char *name = ext_text(req->ext, "topic");
	struct topic *t;

	(void)offsets_follow(s->broker.offsets);
	t = topic_find(s->broker.offsets, name);
	if (!t)
		answer_refuse(ret, ANSWER_TOPIC_NOT_EXIST, "topic[%.127s] not exist", name);
	return t;
}

struct group *
request_group(struct service *s, const struct request *req, const char *field)
{
	return group_find(s->broker.offsets, ext_text(req->ext, field));
}

int
request_no_right(struct answer *ret)
{
	return answer_refuse(ret, ANSWER_NO_PERMISSION, "%s", err_text(-EACCES));
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
	struct topic *t = request_topic(s, req, ret);

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
	request_no_right(ret);
	return false;
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
	json_auto_t *key = json_pack("{s:s, s:i, s:s}", "brokerName", s->settings->brokerName, "queueId", (int)queue_id,
				     "topic", topic);
	AUTO_FREE char *text = key ? json_dumps(key, JSON_COMPACT) : NULL;

	return text && value && json_object_set_new(table, text, value) == 0 ? MQ_OK : -ENOMEM;
}

bool
request_lists(const char *list, const char *name)
{
	for (const char *at = list; at && *at; at += *at == ',') {
		size_t n = strcspn(at, ",");

		if (bytes_are(at, n, name))
			return true;
		at += n;
	}
	return !list;
}
