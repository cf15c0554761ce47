#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/registry.h"
#include "offsets/sendback.h"
#include "store/delays.h"
#include "store/properties.h"

#define FIRST_LEVEL 3

/* The message as it is stored again, with the memory that it uses. */
struct coming {
	struct record rec;
	struct message m;
	char topic[RECORD_TOPIC_MAX + 1];
	char props[RECORD_PROPS_MAX];
	char waiting[DELAYED_PROPS_MAX];
	bool dead;
};

/* --- the topics --------------------------------------------------------------------- */

static int
name_make(const struct group *g, const char *prefix, char name[RECORD_TOPIC_MAX + 1])
{
	size_t len = strlen(prefix), group_len = strlen(g->name);

	if (len + group_len > RECORD_TOPIC_MAX)
		return err_note(-EINVAL, "%s%s: a topic's name has at most %d bytes", prefix, g->name, RECORD_TOPIC_MAX);
	memcpy(name, prefix, len);
	memcpy(name + len, g->name, group_len + 1);
	return MQ_OK;
}

static int
topic_make(struct offsets *o, const char *name, int32_t queues, struct topic **ret_t)
{
	struct topic_conf conf;
	int rc;

	*ret_t = topic_find(o, name);
	if (*ret_t)
		return MQ_OK;
	topic_conf_new(o, &conf, name, queues);
	rc = topic_create(o, &conf, ret_t);
	if (rc != -EEXIST)
		return rc;
	*ret_t = topic_find(o, name);
	return *ret_t ? MQ_OK : -ESTALE;
}

static int
subscribe(struct offsets *o, struct group *g, struct topic *t)
{
	int rc = subscription_find(o, g, t) ? MQ_OK : subscription_create(o, g, t, NULL);

	return rc == -EEXIST ? MQ_OK : rc;
}

static int
topic_for(struct offsets *o, struct group *g, const struct group_conf *conf, struct coming *c, struct topic **ret_t)
{
	int rc = name_make(g, c->dead ? DLQ_PREFIX : RETRY_PREFIX, c->topic);

	if (rc == MQ_OK)
		rc = topic_make(o, c->topic, c->dead ? 1 : conf->retry_queues, ret_t);
	return rc == MQ_OK && !c->dead ? subscribe(o, g, *ret_t) : rc;
}

/* --- the message --------------------------------------------------------------------- */

static int
props_make(struct coming *c)
{
	const struct record *rec = &c->rec;
	struct properties p = { .buf = c->props, .size = sizeof(c->props) };
	size_t props_len = (size_t)rec->props_len, len;
	char id[57];
	int rc = properties_add_missing(&p, rec->props, props_len);

	if (rc == MQ_OK && !record_property(rec->props, props_len, "RETRY_TOPIC", &len))
		rc = properties_add(&p, "RETRY_TOPIC", c->topic, strlen(c->topic));
	if (rc == MQ_OK && !record_property(rec->props, props_len, "ORIGIN_MESSAGE_ID", &len)) {
		record_msg_id(&rec->stored, rec->pos, id);
		rc = properties_add(&p, "ORIGIN_MESSAGE_ID", id, strlen(id));
	}
	c->m = (struct message){
		.body = rec->body, .body_len = (size_t)rec->body_len,
		.props = c->props, .props_len = p.len,
		.flag = rec->flag, .sysflag = rec->sysflag & ~(SYSFLAG_CONTINUED | SYSFLAG_TRANSACTION),
		.reconsume_times = rec->reconsume_times + 1,
		.born_ms = rec->born_ms, .born = rec->born, .stored = rec->stored,
	};
	return rc;
}

static int
read_message(struct offsets *o, struct queue *q, mq_qoff at, unsigned char **buf, struct record *ret_rec)
{
	struct queue_entry e;
	size_t n, size = 0;
	int rc = queue_entries(q, at, &e, 1, &n);

	if (rc == MQ_OK && e.total == QUEUE_HOLE_SIZE)
		rc = err_note(-EIO, "message %" PRId64 " of %s/q%" PRId32 " is lost", at.n, queue_topic(q), queue_id(q));
	return rc == MQ_OK ? store_read(o->store, e.pos, buf, &size, ret_rec) : rc;
}

/* The queue of t to which it goes, or the one of its level, where it waits until then. */
static int
queue_for(struct offsets *o, struct topic *t, int level, struct coming *c, struct queue **ret_q)
{
	int rc;

	c->m.topic = c->topic;
	c->m.topic_len = strlen(c->topic);
	if (c->dead)
		return topic_queue(o, t, 0, ret_q);
	c->m.queue_id = (int32_t)(c->rec.pos.byte / 8 % topic_queues_writable(o, t));
	if (level == SEND_BACK_BY_RULE)
		level = FIRST_LEVEL + c->rec.reconsume_times;
	if (level > record_levels())
		level = record_levels();
	rc = delays_message(&c->m, level, 0, c->waiting);
	return rc == MQ_OK ? delays_queue(o->store, level, ret_q) : rc;
}

int
send_back(struct offsets *o, struct group *g, struct queue *q, mq_qoff at, int level, int max_times)
{
	AUTO_FREE struct coming *c = malloc(sizeof(*c));
	AUTO_FREE unsigned char *buf = NULL;
	struct group_conf conf;
	struct topic *t = NULL;
	struct appended done;
	struct queue *to;
	int rc = change_allowed(o);

	if (!c)
		return -ENOMEM;
	if (rc != MQ_OK)
		return rc;
	if (level > record_levels())
		return err_note(-EINVAL, "level %d: messageDelayLevel has %d", level, record_levels());
	group_conf(o, g, &conf);
	rc = read_message(o, q, at, &buf, &c->rec);
	if (rc != MQ_OK || (conf.retry_queues <= 0 && level >= 0))
		return rc;
	snprintf(c->topic, sizeof(c->topic), "%s", queue_topic(q));
	rc = props_make(c);
	if (rc != MQ_OK)
		return rc;
	c->dead = level < 0 || c->rec.reconsume_times >= (max_times < 0 ? conf.retry_max : max_times);
	rc = topic_for(o, g, &conf, c, &t);
	if (rc == MQ_OK)
		rc = queue_for(o, t, level, c, &to);
	if (rc == MQ_OK)
		rc = topic_append(o, t, to, &c->m, &done);
	if (rc == MQ_OK)
		change_note_logged(o, done.end);
	return rc;
}
