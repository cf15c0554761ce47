#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/registry.h"

void
topic_conf(struct offsets *o, const struct topic *t, struct topic_conf *ret_conf)
{
	LOCKED(&o->registry);

	*ret_conf = topic_entry_of(t)->conf;
}

void
topic_conf_new(const struct offsets *o, struct topic_conf *ret_conf, const char *name, int32_t queues)
{
	topic_conf_default(ret_conf, name, queues);
	ret_conf->on_full_drop = o->settings->onFull == ON_FULL_DROP;
}

void
topic_notice(struct offsets *o, const char *name)
{
	int rc;

	if (!meta_topic_is_system(name))
		return;
	LOCKED(&o->apply);
	rc = change_follow_all(o);
	if (rc != MQ_OK)
		log_err("following MQFS_META: %s", err_text(rc));
}

int32_t
topic_queues(struct offsets *o, const struct topic *t)
{
	LOCKED(&o->registry);

	return topic_entry_of(t)->conf.queues;
}

int32_t
topic_queues_writable(struct offsets *o, const struct topic *t)
{
	LOCKED(&o->registry);

	return topic_conf_writable(&topic_entry_of(t)->conf);
}

/* The queue of the store, if it was asked for before, else NULL.  False: t has no such queue. */
static bool
queue_known(struct offsets *o, const struct topic *t, int32_t queue_id, struct queue **ret_q)
{
	LOCKED(&o->registry);
	const struct topic_entry *e = topic_entry_of(t);

	if (queue_id < 0 || queue_id >= e->conf.queues)
		return false;
	*ret_q = e->queues[queue_id];
	return true;
}

static void
queue_remember(struct offsets *o, const struct topic *t, int32_t queue_id, struct queue *q)
{
	LOCKED(&o->registry);

	topic_entry_of(t)->queues[queue_id] = q;
}

struct queue *
topic_queue_if_any(struct offsets *o, const struct topic *t, int32_t queue_id)
{
	struct queue *q = NULL;

	if (!queue_known(o, t, queue_id, &q) || q)
		return q;
	q = store_queue(o->store, t->name, queue_id);
	if (q)
		queue_remember(o, t, queue_id, q);
	return q;
}

int
topic_queue(struct offsets *o, struct topic *t, int32_t queue_id, struct queue **ret_q)
{
	struct queue *q = NULL;
	int rc;

	if (!queue_known(o, t, queue_id, &q))
		return -ENOENT;
	if (!q) {
		rc = store_queue_make(o->store, t->name, queue_id, &q);
		if (rc != MQ_OK)
			return rc;
		queue_remember(o, t, queue_id, q);
	}
	*ret_q = q;
	return MQ_OK;
}

/* May t be changed: is it no topic of the system, and not removed? */
static int
topic_check(struct offsets *o, const struct topic *t)
{
	MUST_HOLD_APPLY(o);
	return t->gone ? -ENOENT : meta_topic_check(t->name);
}

/* --- changes --------------------------------------------------------------------- */

static int
conf_check(const struct topic_conf *conf)
{
	if (!record_topic_valid(conf->name, strnlen(conf->name, sizeof(conf->name))))
		return err_note(-EINVAL, "a topic's name is 1 to %d of [%%|a-zA-Z0-9_-]", RECORD_TOPIC_MAX);
	if (conf->queues < 1 || conf->queues > QUEUES_MAX)
		return err_note(-EINVAL, "topic %s: queues = %" PRId32 ": allowed is 1 to %d", conf->name,
				conf->queues, QUEUES_MAX);
	if (conf->read_queues > conf->queues || conf->write_queues > conf->queues)
		return err_note(-EINVAL, "topic %s: %s = %" PRId32 ": there are %" PRId32 " queues", conf->name,
				conf->read_queues > conf->queues ? "readQueueNums" : "writeQueueNums",
				conf->read_queues > conf->queues ? conf->read_queues : conf->write_queues,
				conf->queues);
	return MQ_OK;
}

struct owner
topic_owner_by_group(const struct owner *group)
{
	mode_t mode = S_IRWXU | (group->mode & S_IWGRP ? S_IRWXG : 0) | (group->mode & S_IWOTH ? S_IRWXO : 0);

	return (struct owner){ .uid = group->uid, .gid = group->gid, .mode = mode };
}

static int
give_to_group(struct offsets *o, struct topic_conf *conf)
{
	const char *name = meta_topic_group(conf->name);
	struct group *g = name ? group_find(o, name) : NULL;
	struct group_conf gc;

	if (!name)
		return MQ_OK;
	if (!g)
		return err_note(-EPERM, "topic %s is for the messages of group %s, and there is no such group",
				conf->name, name);
	group_conf(o, g, &gc);
	conf->owner = topic_owner_by_group(&gc.owner);
	return MQ_OK;
}

static int
create(struct offsets *o, const struct topic_conf *conf, bool by_broker, struct topic **ret_t)
{
	struct meta m = { .op = META_TOPIC_SET, .topic_conf = *conf };
	int rc = conf_check(conf);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	if (topic_find(o, conf->name))
		return -EEXIST;
	rc = give_to_group(o, &m.topic_conf);
	if (rc != MQ_OK && !by_broker)
		return rc;
	m.id = registry_id(o, ENTRY_TOPIC, conf->name);
	rc = change_one(o, &m);
	if (rc == MQ_OK && ret_t)
		*ret_t = topic_find(o, conf->name);
	return rc;
}

int
topic_create(struct offsets *o, const struct topic_conf *conf, struct topic **ret_t)
{
	int rc = meta_topic_check(conf->name);

	return rc == MQ_OK ? create(o, conf, false, ret_t) : rc;
}

int
topic_create_own(struct offsets *o, const struct topic_conf *conf, struct topic **ret_t)
{
	return create(o, conf, true, ret_t);
}

/* The groups that subscribe to t, as many names as fit. */
static void
subscribers_print(struct offsets *o, const struct topic *t, char *text, size_t size)
{
	size_t len = 0;

	*text = '\0';
	for (struct group *g = group_next(o, ""); g && len < size; g = group_next(o, g->name))
		if (subscription_find(o, g, (struct topic *)t))
			len += (size_t)snprintf(text + len, size - len, "%s%s", len ? ", " : "", g->name);
}

/* How many queues t needs: those up to the last one that ever held a message. */
int32_t
topic_queues_used(struct offsets *o, const struct topic *t)
{
	int32_t n = topic_queues(o, t);

	while (n > 0) {
		struct queue *q = topic_queue_if_any(o, t, n - 1);

		if (q && queue_end(q).n > 0)
			break;
		n--;
	}
	return n;
}

int
topic_may_change(struct offsets *o, struct topic *t, const struct topic_conf *conf)
{
	int32_t n = topic_queues(o, t), used;
	int rc = conf_check(conf);
	char groups[256];

	if (rc != MQ_OK || conf->queues >= n)
		return rc;
	used = topic_queues_used(o, t);
	if (conf->queues < used)
		return err_note(-EINVAL, "topic %s: queues = %" PRId32 ": there are %" PRId32 ", and q%" PRId32
				" has held messages", t->name, conf->queues, n, used - 1);
	subscribers_print(o, t, groups, sizeof(groups));
	if (*groups)
		return err_note(-EINVAL, "topic %s: queues = %" PRId32 ": there are %" PRId32 ", and %s subscribe(s) "
				"to all of them", t->name, conf->queues, n, groups);
	return MQ_OK;
}

/* Wait for the appends that are under way; later ones wait for `apply` (topic_append_begin()). */
static void
topic_leave(struct offsets *o, struct topic *t)
{
	int32_t n = topic_queues(o, t);

	t->leaving = true;
	for (int32_t i = 0; i < n; i++) {
		struct queue *q = topic_queue_if_any(o, t, i);

		if (!q)
			continue;
		queue_append_begin(q);
		queue_append_end(q);
	}
}

int
topic_change(struct offsets *o, struct topic *t, const struct topic_conf *conf)
{
	struct meta m = { .op = META_TOPIC_SET, .id = t->id, .topic_conf = *conf };
	int rc;

	snprintf(m.topic_conf.name, sizeof(m.topic_conf.name), "%s", t->name);
	LOCKED(&o->apply);
	rc = topic_check(o, t);
	if (rc == MQ_OK)
		rc = conf_check(&m.topic_conf);
	if (rc != MQ_OK)
		return rc;
	if (conf->queues >= topic_queues(o, t))
		return change_one(o, &m);
	topic_leave(o, t);		/* no append is under way while it is decided */
	rc = topic_may_change(o, t, conf);
	if (rc == MQ_OK)
		rc = change_one(o, &m);
	t->leaving = false;
	return rc;
}

static bool
topic_holds_messages(struct offsets *o, const struct topic *t)
{
	int32_t n = topic_queues(o, t);

	for (int32_t i = 0; i < n; i++) {
		struct queue *q = topic_queue_if_any(o, t, i);

		if (q && queue_min(q).n < queue_end(q).n)
			return true;
	}
	return false;
}

static int32_t
topic_subscriptions(struct offsets *o, const struct topic *t)
{
	LOCKED(&o->registry);

	return topic_entry_of(t)->subscriptions;
}

/* --- removing one ------------------------------------------------------------------- */

bool
topic_takes(const struct topic *t)
{
	return !t->leaving && !t->gone;
}

int
topic_append_begin(struct offsets *o, struct topic *t, struct queue *q)
{
	for (;;) {
		queue_append_begin(q);
		if (topic_takes(t))
			return MQ_OK;
		queue_append_end(q);
		LOCKED(&o->apply);	/* wait until the topic is removed, or stays */
		if (t->gone)
			return err_note(-ESTALE, "topic %s was removed", t->name);
	}
}

void
topic_append_end(struct queue *q)
{
	queue_append_end(q);
}

int
topic_append(struct offsets *o, struct topic *t, struct queue *q, const struct message *m, struct appended *ret)
{
	struct batch b = { 0 };
	int rc = batch_add(&b, m);

	if (rc == MQ_OK)
		rc = topic_append_begin(o, t, q);
	if (rc == MQ_OK) {
		rc = store_append(o->store, q, &b, ret);
		topic_append_end(q);
	}
	batch_free(&b);
	return rc;
}

static int
subscribed(struct offsets *o, const struct topic *t)
{
	char groups[256];

	subscribers_print(o, t, groups, sizeof(groups));
	return err_note(-EBUSY, "topic %s is subscribed to by %s (rmdir groups/GROUP/%s)", t->name, groups, t->name);
}

int
topic_delete(struct offsets *o, struct topic *t)
{
	struct meta m = meta_of(META_TOPIC_DELETE, t->id, NULL, t->name);

	LOCKED(&o->apply);
	int rc = topic_check(o, t);

	if (rc != MQ_OK)
		return rc;
	topic_leave(o, t);
	if (topic_holds_messages(o, t))
		rc = err_note(-ENOTEMPTY, "topic %s still holds messages (echo purge > ctl)", t->name);
	else if (topic_subscriptions(o, t) > 0)
		rc = subscribed(o, t);
	else
		rc = change_one(o, &m);
	t->leaving = false;
	return rc;
}

/* --- dropping messages ---------------------------------------------------------------- */

/* The record that drops what lies before min, or -ENOENT: no such queue or nothing in it. */
static int
trim_meta(struct offsets *o, struct topic *t, int32_t queue_id, mq_qoff min, struct meta *ret_m)
{
	struct queue *q = topic_queue_if_any(o, t, queue_id);
	mq_qoff end;

	if (!q)
		return -ENOENT;
	end = queue_end(q);
	*ret_m = meta_of(META_TRIM, 0, NULL, t->name);
	ret_m->queue_id = queue_id;
	ret_m->at = min.n < end.n ? min : end;
	return MQ_OK;
}

/* Has the queue been trimmed?  If its files could not be read, the record is in the log all the same. */
static int
trim_done(struct offsets *o, struct topic *t, const struct meta *m)
{
	if (queue_min(topic_queue_if_any(o, t, m->queue_id)).n >= m->at.n)
		return MQ_OK;
	return err_note(-EIO, "trim q%" PRId32 ": the queue cannot be read where it would begin", m->queue_id);
}

int
topic_trim(struct offsets *o, struct topic *t, int32_t queue_id, mq_qoff min)
{
	struct meta m;
	int rc;

	if (min.n < 0)
		return -EINVAL;
	LOCKED(&o->apply);
	rc = topic_check(o, t);
	if (rc != MQ_OK)
		return rc;
	if (queue_id < 0 || queue_id >= topic_queues(o, t))
		return -ENOENT;
	if (trim_meta(o, t, queue_id, min, &m) != MQ_OK)
		return MQ_OK;
	rc = change_one(o, &m);
	return rc == MQ_OK ? trim_done(o, t, &m) : rc;
}

/* Trim every queue of t that holds messages. */
static int
purge(struct offsets *o, struct topic *t)
{
	AUTO_FREE struct meta *changes = NULL;
	size_t n_changes = 0;
	int32_t n = topic_queues(o, t);

	changes = calloc((size_t)n, sizeof(*changes));
	if (!changes)
		return -ENOMEM;
	for (int32_t i = 0; i < n; i++) {
		struct queue *q = topic_queue_if_any(o, t, i);

		if (q && queue_min(q).n < queue_end(q).n &&
		    trim_meta(o, t, i, MQ_QOFF(INT64_MAX), &changes[n_changes]) == MQ_OK)
			n_changes++;
	}
	return change_all(o, changes, n_changes, NULL);
}

int
topic_purge(struct offsets *o, struct topic *t)
{
	LOCKED(&o->apply);
	int rc = topic_check(o, t);

	return rc == MQ_OK ? purge(o, t) : rc;
}

/* --- removing one with all that is in it ------------------------------------------------ */

/* End the subscriptions of t, and remove it. */
static int
remove_subscribed(struct offsets *o, struct topic *t)
{
	size_t n = (size_t)topic_subscriptions(o, t), done = 0;
	AUTO_FREE struct meta *changes = calloc(n + 1, sizeof(*changes));

	if (!changes)
		return -ENOMEM;
	for (struct group *g = group_next(o, ""); g && done < n; g = group_next(o, g->name)) {
		struct subscription *sub = subscription_find(o, g, t);

		if (sub)
			changes[done++] = unsubscribe_meta(sub);
	}
	if (done < n)
		return subscribed(o, t);
	changes[n] = meta_of(META_TOPIC_DELETE, t->id, NULL, t->name);
	return change_all(o, changes, n + 1, NULL);
}

int
topic_remove(struct offsets *o, struct topic *t)
{
	LOCKED(&o->apply);
	int rc = topic_check(o, t);

	if (rc != MQ_OK)
		return rc;
	topic_leave(o, t);
	rc = purge(o, t);
	if (rc == MQ_OK && topic_holds_messages(o, t))
		rc = err_note(-EIO, "topic %s: a queue cannot be read where it would begin", t->name);
	if (rc == MQ_OK)
		rc = remove_subscribed(o, t);
	t->leaving = false;
	return rc;
}
