#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "net/values.h"
#include "repl/metadata.h"
#include "repl/replication_priv.h"

#define CALL_MS 3000
#define TIMERS_BYTES 56
#define ROOM ((size_t)1 << 29)		/* bytes of memory for a table that a frame can hold */

/* In the order in which one needs the other. */
static const struct {
	int code;
	enum config_file file;
} calls[] = {
	{ REQUEST_GET_ALL_TOPIC_CONFIG, CONFIG_TOPICS },
	{ REQUEST_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, CONFIG_GROUPS },
	{ REQUEST_GET_ALL_CONSUMER_OFFSET, CONFIG_OFFSETS },
	{ REQUEST_GET_ALL_DELAY_OFFSET, CONFIG_DELAYS },
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

int
metadata_serve(struct replication *r, const struct request *req, struct answer *ret)
{
	size_t i = 0;

	while (calls[i].code != req->code)
		i++;
	return offsets_export(r->broker.offsets, calls[i].file, &ret->body, &ret->body_len);
}

int
metadata_serve_timers(struct replication *r, const struct request *req, struct answer *ret)
{
	(void)r, (void)req;
	ret->body = calloc(1, TIMERS_BYTES);
	if (!ret->body)
		return -ENOMEM;
	ret->body_len = TIMERS_BYTES;
	be64_put(ret->body, clock_wall_ms() / 1000 * 1000);
	return MQ_OK;
}

int
metadata_serve_none(struct replication *r, const struct request *req, struct answer *ret)
{
	static const char modes[] = "{\"messageRequestModeMap\":{}}";
	static const char metrics[] = "{\"timingCount\":{},"
		"\"dataVersion\":{\"counter\":0,\"stateVersion\":0,\"timestamp\":0}}";

	(void)r;
	ret->body = strdup(req->code == REQUEST_GET_TIMER_METRICS ? metrics : modes);
	if (!ret->body)
		return -ENOMEM;
	ret->body_len = strlen(ret->body);
	return MQ_OK;
}

static int
pull(struct replication *r, size_t i)
{
	int64_t asked_ms = clock_mono_ms();
	struct answer a = { 0 };
	json_auto_t *object = NULL;
	char why[200];
	int rc = replication_call(r, calls[i].code, NULL, NULL, 0, CALL_MS, &a);

	if (rc == MQ_OK && a.code != ANSWER_SUCCESS)
		rc = err_note(-EPROTO, "the master does not tell (request %d): %s", calls[i].code, a.remark);
	else if (rc == MQ_OK)
		rc = values_take(a.body, a.body_len, ROOM, &object);
	if (rc == MQ_OK)
		rc = offsets_take(r->broker.offsets, calls[i].file, object, asked_ms);
	if (rc == MQ_ECORRUPT) {
		snprintf(why, sizeof(why), "%s", err_text(rc));
		rc = err_note(rc, "what the master tells is not understood (request %d): %s", calls[i].code,
			      why);
	}
	answer_clear(&a);
	return rc;
}

int
metadata_pull(struct replication *r)
{
	char why[256] = "";
	int rc, first = MQ_OK;

	for (size_t i = 0; i < CALLS; i++) {
		rc = pull(r, i);
		if (rc == MQ_OK || first != MQ_OK)
			continue;
		first = rc;
		snprintf(why, sizeof(why), "%s", err_text(rc));
	}
	return first == MQ_OK ? MQ_OK : err_note(first, "%s", why);
}
