/* Requests about the broker itself: settings, what it is doing, and to tidy up. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "net/remoting.h"
#include "remoting/built_in.h"
#include "remoting/codes.h"
#include "remoting/requests.h"
#include "remoting/rights.h"
#include "remoting/service_priv.h"
#include "store/sql92.h"

/* --- settings ------------------------------------------------------------------------------------ */

/* KEY=VALUE of each setting that is no secret. */
int
serve_broker_config(struct service *s, const struct request *req, struct answer *ret)
{
	char version[80], value[1024];
	const struct setting *rows;
	size_t n, len = 0;
	FILE *out = open_memstream(&ret->body, &len);

	(void)req;
	if (!out)
		return -ENOMEM;
	rows = settings_table(&n);
	for (size_t i = 0; i < n; i++)
		if (!(rows[i].flags & SETTING_SECRET) &&
		    (size_t)settings_get(s->settings, &rows[i], value, sizeof(value)) < sizeof(value))
			fprintf(out, "%s=%s\n", rows[i].key, value);
	if (fclose(out) != 0)
		return -ENOMEM;
	ret->body_len = len;
	snprintf(version, sizeof(version), "{\"counter\":0,\"timestamp\":%" PRId64 "}", s->started_ms);
	ret->ext = json_pack("{s:s}", "version", version);
	return ret->ext ? MQ_OK : -ENOMEM;
}

/* What may be changed is what a file of config/ takes, by whoever may write it. */
static bool
may_set(struct service *s, const char *key, const char *value, struct answer *ret)
{
	const struct setting *row = setting_find(key);
	char path[128];

	snprintf(path, sizeof(path), "config/%.100s", row ? row->key : key);
	if (!row || (row->flags & SETTING_SECRET))
		answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%.100s: no such setting", key);
	else if (!(row->flags & SETTING_LIVE))
		answer_refuse(ret, ANSWER_NO_PERMISSION, "%s cannot change while mounted", row->key);
	else if (!rights_file(&s->rights, s->broker.offsets, path, RIGHTS_WRITE))
		answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to write %s", path);
	else if (setting_check(row, value, "mqadmin") != MQ_OK)
		answer_refuse(ret, ANSWER_SYSTEM_ERROR, "%s", err_text(MQ_EBADCONF));
	return ret->code == ANSWER_SUCCESS;
}

/* All of them, or none if one cannot be. */
int
serve_config_set(struct service *s, const struct request *req, struct answer *ret)
{
	json_t *all = (json_t *)(uintptr_t)req->ext, *value;
	const char *key;
	int rc = MQ_OK;

	json_object_foreach(all, key, value)
		if (!may_set(s, key, json_string_value(value), ret))
			return MQ_OK;
	json_object_foreach(all, key, value)
		if (rc == MQ_OK)
			rc = s->broker.set(s->broker.arg, setting_find(key)->key, json_string_value(value));
	return rc;
}

/* --- what it has ------------------------------------------------------------------------------------- */

/* Those that RocketMQ keeps for itself, whether they are there or not. */
int
serve_system_topics(struct service *s, const struct request *req, struct answer *ret)
{
	static const char *const hidden[] = { TRANS_HALF_TOPIC, TRANS_OP_TOPIC, "TRANS_CHECK_MAX_TIME_TOPIC", "TBW102",
					      "RMQ_SYS_TRACE_TOPIC" };
	json_t *list = json_array(), *table = built_in_table(s->settings), *conf;
	const char *name;

	(void)req;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
		json_object_set_new(table, hidden[i], json_true());
	json_object_foreach(table, name, conf)
		json_array_append_new(list, json_string(name));
	json_decref(table);
	return answer_json(ret, json_pack("{s:o}", "topicList", list));
}

/* --- to tidy up ---------------------------------------------------------------------------------------- */

static bool
may_tidy(struct service *s, struct answer *ret)
{
	if (rights_file(&s->rights, s->broker.offsets, "ctl", RIGHTS_WRITE))
		return true;
	answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to write ctl");
	return false;
}

/* Queues' files that hold nothing of the log any more go with a checkpoint, and a topic's queues go
 * with the topic: there is nothing else to clean. */
int
serve_clean_queues(struct service *s, const struct request *req, struct answer *ret)
{
	(void)req;
	if (!may_tidy(s, ret))
		return MQ_OK;
	return offsets_checkpoint(s->broker.offsets);
}

/* Segments whose time is over go now, whatever the hour. */
int
serve_delete_expired(struct service *s, const struct request *req, struct answer *ret)
{
	(void)req;
	if (!may_tidy(s, ret))
		return MQ_OK;
	log_notice("segments older than fileReservedTime go, as a tool asks");
	return store_expire(s->broker.store);
}

/* --- would it serve such a subscription? ------------------------------------------------------------------ */

int
serve_check_subscription(struct service *s, const struct request *req, struct answer *ret)
{
	const char *type = ext_get(req->ext, "expressionType"), *text = ext_get(req->ext, "subString");
	struct sql92 *sql = NULL;
	int rc;

	if (!type || !*type || strcmp(type, "TAG") == 0)
		return MQ_OK;
	if (!s->settings->enablePropertyFilter)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR,
				     "The broker does not support consumer to filter message by %.40s", type);
	rc = sql92_parse(text ? text : "", text ? strlen(text) : 0, &sql, NULL);
	sql92_free(sql);
	return rc == -EINVAL ? answer_refuse(ret, ANSWER_SUBSCRIPTION_PARSE_FAILED, "%s", err_text(rc)) : rc;
}
