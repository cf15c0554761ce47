/* Requests about the broker itself: settings, system topics, and removal of old files. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "conf/err.h"
#include "conf/log.h"
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
	char value[1024];
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
	ret->ext = json_object();
	return ext_print(ret->ext, "version", "{\"counter\":0,\"timestamp\":%" PRId64 "}", s->started_ms);
}

/* A client changes a setting as by a write to its file in config/, if it may write that file. */
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
	else if (!rights_file(&s->rights, s->broker.offsets, path))
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

/* --- files that are not needed any more ----------------------------------------------------------------- */

/* CLEAN_EXPIRED_CONSUMEQUEUE and CLEAN_UNUSED_TOPIC: a checkpoint removes files of queues whose messages
 * are gone, and a topic is removed with its queues, so nothing else is left to clean.
 * DELETE_EXPIRED_COMMITLOG: segments older than fileReservedTime are removed now, whatever the hour. */
int
serve_tidy(struct service *s, const struct request *req, struct answer *ret)
{
	if (!rights_file(&s->rights, s->broker.offsets, "ctl"))
		return answer_refuse(ret, ANSWER_NO_PERMISSION, "no right to write ctl");
	if (req->code != REMOTING_DELETE_EXPIRED_COMMITLOG)
		return offsets_checkpoint(s->broker.offsets);
	log_notice("segments older than fileReservedTime go, as a tool asks");
	return store_expire(s->broker.store);
}

/* --- would it serve such a subscription? ------------------------------------------------------------------ */

int
serve_check_subscription(struct service *s, const struct request *req, struct answer *ret)
{
	const char *type = ext_text(req->ext, "expressionType"), *text = ext_text(req->ext, "subString");
	struct sql92 *sql = NULL;
	int rc;

	if (!*type || strcmp(type, "TAG") == 0)
		return MQ_OK;
	if (!s->settings->enablePropertyFilter)
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR,
				     "The broker does not support consumer to filter message by %.40s", type);
	rc = sql92_parse(text, strlen(text), &sql, NULL);
	sql92_free(sql);
	return rc == -EINVAL ? answer_refuse(ret, ANSWER_SUBSCRIPTION_PARSE_FAILED, "%s", err_text(rc)) : rc;
}
