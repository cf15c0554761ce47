/* Requests before they are served: may this client ask that, and with whose rights? */
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
#include "remoting/service_priv.h"

#define WANTS_MAX 4096			/* of a heartbeat: it has 256 KiB */

/* What a request needs, by RocketMQ's rule. */
struct wanted {
	struct want *list;
	size_t n;
	bool too_many;			/* they are not all in the list */
	char retry[RECORD_TOPIC_MAX + sizeof(RETRY_PREFIX)];
	char *names;			/* of a heartbeat */
};

static void
wanted_clear(struct wanted *w)
{
	free(w->list);
	free(w->names);
}

static void
add_topic(struct wanted *w, const char *name)
{
	if (!name)
		return;
	w->too_many = w->n == WANTS_MAX;
	if (!w->too_many)
		w->list[w->n++] = (struct want){ name, ACCOUNT_SUB };
}

static void
add_group(struct wanted *w, const char *name)
{
	if (!name)
		return;
	snprintf(w->retry, sizeof(w->retry), "%s%.*s", RETRY_PREFIX, RECORD_TOPIC_MAX, name);
	add_topic(w, w->retry);
}

/* The names that mqremoted has found in the body. */
static int
add_names(struct wanted *w, const char *names)
{
	char *rest = NULL;

	w->names = strdup(names ? names : "");
	if (!w->names)
		return -ENOMEM;
	for (char *name = strtok_r(w->names, ",", &rest); name; name = strtok_r(NULL, ",", &rest))
		add_topic(w, name);
	return MQ_OK;
}

static int
find_wanted(const struct request *req, struct wanted *w)
{
	w->list = calloc(WANTS_MAX, sizeof(*w->list));
	if (!w->list)
		return -ENOMEM;
	switch (req->code) {
	case REMOTING_CONSUMER_SEND_MSG_BACK:
		add_group(w, ext_get(req->ext, "group"));
		return MQ_OK;
	case REMOTING_QUERY_MESSAGE:
		add_topic(w, ext_get(req->ext, "topic"));
		return MQ_OK;
	case REMOTING_HEART_BEAT:
		return add_names(w, ext_get(req->ext, "mqfs.wants"));
	case REMOTING_UPDATE_CONSUMER_OFFSET:
		add_topic(w, ext_get(req->ext, "topic"));
		add_group(w, ext_get(req->ext, "consumerGroup"));
		return MQ_OK;
	case REMOTING_UNREGISTER_CLIENT:
	case REMOTING_GET_CONSUMER_LIST_BY_GROUP:
		add_group(w, ext_get(req->ext, "consumerGroup"));
		return MQ_OK;
	default:
		return MQ_OK;
	}
}

static int
judge(struct service *s, const struct request *req, struct permit *ret)
{
	AUTO_FREE char *values = NULL;
	struct signed_part parts[2];
	struct wanted wanted = { 0 };
	struct address from;
	size_t len = 0;
	int rc = find_wanted(req, &wanted);

	values = signed_values(req->ext, &len);
	if (!values)
		rc = -ENOMEM;
	else if (rc == MQ_OK && wanted.too_many)
		rc = err_note(-EACCES, "more than %d topics and groups in one request", WANTS_MAX);
	parts[0] = (struct signed_part){ values, len };
	parts[1] = (struct signed_part){ req->body, req->body_len };
	if (rc == MQ_OK)
		rc = judge_check(s->remoting.judge, &(struct judge_request){
			.code = req->code, .from = address_parse(req->peer, &from) ? &from : NULL,
			.access_key = ext_get(req->ext, "AccessKey"), .signature = ext_get(req->ext, "Signature"),
			.parts = parts, .n_parts = 2, .wants = wanted.list, .n_wants = wanted.n }, ret);
	wanted_clear(&wanted);
	return rc;
}

int
request_judge(struct service *s, const struct request *req, struct answer *ret)
{
	struct permit permit = { 0 };
	uint64_t ticket = 0;
	int rc = judge(s, req, &permit);

	if (rc == MQ_OK)
		rc = tickets_give(&s->tickets, req->code, &permit, &ticket);
	permit_drop(&permit);
	if (rc != MQ_OK)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%s", err_text(rc));
	return answer_refuse(ret, ANSWER_SUCCESS, "%" PRIu64, ticket);
}

bool
request_is_let_in(struct service *s, const struct request *req, struct permit *ret)
{
	json_t *ext = (json_t *)(uintptr_t)req->ext;
	bool well;

	*ret = (struct permit){ 0 };
	if (!s->remoting.judge || remoting_is_of_slave(req->code, req->ext))
		return true;
	well = tickets_take(&s->tickets, req->code, ext_get(req->ext, "mqfs.ticket"), ret);
	if (ext)
		json_object_del(ext, "mqfs.ticket");
	return well;
}
