#include "config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "remoting/built_in.h"
#include "remoting/moved.h"
#include "remoting/rights.h"

#define EVENTS "OFFSET_MOVED_EVENT"

static bool
may_note(struct moved *m)
{
	int64_t second = clock_mono_ms() / 1000;

	if (m->second != second)
		*m = (struct moved){ .second = second };
	return m->n++ < MOVED_PER_SECOND;
}

static int
topic_of_events(const struct remoting_broker *b, struct topic **ret)
{
	struct topic_conf conf;
	int rc;

	*ret = topic_find(b->offsets, EVENTS);
	if (*ret)
		return MQ_OK;
	(void)built_in_find(b->settings, EVENTS, &conf);
	conf.owner = rights_owner(b->rights);
	rc = topic_create_own(b->offsets, &conf, ret);
	if (rc == -EEXIST)
		*ret = topic_find(b->offsets, EVENTS);
	return *ret ? MQ_OK : rc;
}

/* NULL: no memory. */
static char *
body_of(const struct remoting_broker *b, const struct pull *p, int64_t next)
{
	json_auto_t *root = json_pack("{s:s, s:{s:s, s:i, s:s}, s:I, s:I}", "consumerGroup", p->group, "messageQueue",
				 "brokerName", b->settings->brokerName, "queueId", (int)p->queue_id, "topic", p->topic,
				 "offsetNew", (json_int_t)next, "offsetRequest", (json_int_t)p->offset);

	return root ? json_dumps(root, JSON_COMPACT) : NULL;
}

void
moved_note(struct moved *m, const struct remoting_broker *b, const struct pull *p, int64_t next)
{
	char props[2 * RECORD_TOPIC_MAX + 16];
	AUTO_FREE char *body = NULL;
	struct appended done;
	struct topic *t;
	struct queue *q;
	int rc;

	if (!may_note(m))
		return;
	body = body_of(b, p, next);
	snprintf(props, sizeof(props), "TAGS\001%s\002KEYS\001%s", p->group, p->group);
	rc = body ? topic_of_events(b, &t) : -ENOMEM;
	if (rc == MQ_OK)
		rc = topic_queue(b->offsets, t, 0, &q);
	if (rc == MQ_OK)
		rc = topic_append(b->offsets, t, q, &(struct message){
			.topic = EVENTS, .topic_len = strlen(EVENTS), .body = body, .body_len = strlen(body),
			.props = props, .props_len = strlen(props), .born_ms = clock_wall_ms(),
			.born = b->host, .stored = b->host,
		}, &done);
	if (rc != MQ_OK)
		log_warn("%s: %s", EVENTS, err_text(rc));
}
