/* import.c - topics, groups and offsets of a RocketMQ store: all of them when it is seen for the
 * first time, and what RocketMQ has changed when it has run on the store since (handover.c).
 *
 *   config/topics.json             topicConfigTable        -> topic
 *   config/subscriptionGroup.json  subscriptionGroupTable  -> group
 *   config/consumerOffset.json     offsetTable, "T@G"      -> subscribe, commit
 *   config/delayOffset.json        offsetTable             -> kept, for RocketMQ
 *
 * Each is a record, as if somebody had made it by hand; an `import` record
 * before and one behind them, so an import that a crash has cut in two is
 * done again.  Where nothing can be written (read-only, slave) it is applied to
 * memory only.  If a file cannot be read, its .bak is, which has RocketMQ's version
 * before.  What cannot be imported is skipped, with a line in the log.
 *
 * An offset of the files replaces ours, also if it is smaller.  A topic, group or offset that
 * is not in the files stays.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/fastjson.h"
#include "offsets/registry.h"
#include "offsets/rocketmq.h"
#include "store/file.h"

#define FILE_BYTES_MAX ((off_t)64 << 20)

struct import {
	struct offsets *o;
	struct changes changes;
	uint32_t new_ids;	/* in `changes`: the registry does not know of them yet */
	bool forward_only;	/* the log has commits that RocketMQ's files did not have when it began */
	int64_t taken, skipped;
};

/* --- records ------------------------------------------------------------------------------ */

/* Takes m over. */
static void
import_add(struct import *im, struct meta *m)
{
	changes_add(&im->changes, m);
	im->taken++;
}

static void
import_skip(struct import *im, const char *what, const char *name, const char *why)
{
	im->skipped++;
	log_warn("import: %s %.200s is skipped: %s", what, name, why);
}

/* --- topics --------------------------------------------------------------------------------- */

/* The id for a record: that of the entry, if it exists, or the next free one. */
static uint32_t
id_for(struct import *im, uint32_t id, bool exists)
{
	if (im->changes.n == 0)
		im->new_ids = 0;
	return exists ? id : id + im->new_ids++;
}

static void
import_topic(struct import *im, const char *name, json_t *object)
{
	struct meta m = { .op = META_TOPIC_SET };
	const struct topic *t;
	struct topic_conf was;
	int rc;

	if (meta_topic_is_system(name))
		return;
	rc = rocketmq_topic_read(im->o, name, object, &m.topic_conf);
	if (rc != MQ_OK) {
		import_skip(im, "topic", name, err_text(rc));
		return;
	}
	t = topic_find(im->o, name);
	if (t) {
		topic_conf(im->o, t, &was);
		if (m.topic_conf.queues < was.queues)
			m.topic_conf.queues = was.queues;
		if (memcmp(&was, &m.topic_conf, sizeof(was)) == 0)
			return;
	}
	m.id = id_for(im, registry_id(im->o, ENTRY_TOPIC, name), t != NULL);
	import_add(im, &m);
}

/* --- groups --------------------------------------------------------------------------------- */

static void
import_group(struct import *im, const char *name, json_t *object)
{
	struct meta m = { .op = META_GROUP_SET };
	const struct group *g;
	struct group_conf was;
	int rc;

	rc = rocketmq_group_read(im->o, name, object, &m.group_conf);
	if (rc != MQ_OK) {
		import_skip(im, "group", name, err_text(rc));
		return;
	}
	g = group_find(im->o, name);
	if (g) {
		group_conf(im->o, g, &was);
		if (memcmp(&was, &m.group_conf, sizeof(was)) == 0)
			return;
	}
	m.id = id_for(im, registry_id(im->o, ENTRY_GROUP, name), g != NULL);
	import_add(im, &m);
}

/* --- offsets -------------------------------------------------------------------------------- */

static bool
is_known(struct import *im, const struct meta *m, const char *key)
{
	if (!topic_find(im->o, m->topic)) {
		if (!meta_topic_is_system(m->topic))
			import_skip(im, "offsets of", key, "there is no such topic");
		return false;
	}
	if (!group_find(im->o, m->group)) {
		changes_make(&im->changes);
		import_group(im, m->group, NULL);
		changes_make(&im->changes);
	}
	return true;
}

/* Leave in m the offsets that differ from those of sub, which exists. */
static void
limit_to_other(struct import *im, const struct subscription *sub, struct meta *m)
{
	const struct subscription_entry *s = subscription_entry_of(sub);
	size_t n = 0;

	LOCKED(&im->o->registry);
	for (size_t i = 0; i < m->n_offsets; i++) {
		const struct meta_offset *at = &m->offsets[i];
		const struct place *p = at->queue_id < s->n_places ? &s->places[at->queue_id] : NULL;

		if (!p || !p->known || (im->forward_only ? p->at < at->at.n : p->at != at->at.n))
			m->offsets[n++] = *at;
	}
	m->n_offsets = n;
	m->op = META_COMMIT;
	m->reset = !im->forward_only;
}

static void
import_offsets(struct import *im, const char *key, json_t *table)
{
	struct meta m = { .op = META_SUBSCRIBE };
	struct subscription *sub = NULL;
	int rc = rocketmq_offsets_read(key, table, &m);

	if (rc != MQ_OK)
		import_skip(im, "offsets of", key, err_text(rc));
	if (rc == MQ_OK && is_known(im, &m, key)) {
		sub = subscription_find(im->o, group_find(im->o, m.group), topic_find(im->o, m.topic));
		if (sub)
			limit_to_other(im, sub, &m);
		else
			m.expression = strdup("*");
	}
	if (m.expression || (sub && m.n_offsets > 0))
		import_add(im, &m);
	else
		meta_free(&m);
}

/* --- delays --------------------------------------------------------------------------------- */

/* How far a RocketMQ broker has delivered a level; LMDB keeps it for the next export. */
static void
import_delay(struct import *im, const char *level, json_t *at)
{
	json_t *delays = im->o->told.delays;

	if (!rocketmq_delay_ok(level, at) || json_equal(json_object_get(delays, level), at))
		return;
	delays_level_is_at(im->o->store, atoi(level), MQ_QOFF(json_integer_value(at)));
	LOCKED(&im->o->registry);
	if (!delays)
		delays = im->o->told.delays = json_object();
	if (!delays || json_object_set(delays, level, at) != 0)
		im->changes.rc = -ENOMEM;
	im->o->told.delays_dirty = true;
}

/* --- files ----------------------------------------------------------------------------------- */

/* All of a file. */
static int
text_read(int dir_fd, const char *path, char **ret_text, size_t *ret_len)
{
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	AUTO_FREE char *text = NULL;
	struct stat st;
	int rc;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_note(-errno, "%s: %m", path);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
		return err_note(MQ_ECORRUPT, "%s: not a file of sensible size", path);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	rc = file_read(fd, text, (size_t)st.st_size, 0, path);
	if (rc != MQ_OK)
		return rc;
	*ret_text = take_ptr(text);
	*ret_len = (size_t)st.st_size;
	return MQ_OK;
}

static int
json_of(int dir_fd, const char *path, json_t **ret_object, uint32_t *ret_sum)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int rc = text_read(dir_fd, path, &text, &len);

	if (rc == MQ_OK)
		*ret_sum = libdeflate_crc32(0, text, len);
	return rc == MQ_OK ? fastjson_load(text, len, ret_object) : rc;
}

json_t *
import_file(int store_fd, enum config_file file, uint32_t *ret_sum)
{
	static const char *const endings[] = { "", ".bak" };
	json_t *object = NULL;
	char path[64];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "config/%s%s", rocketmq_files[file].name, endings[i]);
		int rc = json_of(store_fd, path, &object, ret_sum);

		if (rc == MQ_OK)
			return object;
		if (rc != -ENOENT)
			log_warn("import: %s: %s", path, err_text(rc));
	}
	return NULL;
}

/* For each file, the function that takes one member of its table. */
static void (*const takers[CONFIG_FILES])(struct import *im, const char *key, json_t *value) = {
	[CONFIG_TOPICS] = import_topic,
	[CONFIG_GROUPS] = import_group,
	[CONFIG_OFFSETS] = import_offsets,
	[CONFIG_DELAYS] = import_delay,
};

static void
import_table(struct import *im, enum config_file i, const json_t *object)
{
	const struct rocketmq_file *file = &rocketmq_files[i];
	json_t *table = json_object_get(object, file->member), *value;
	const char *key;

	json_object_foreach(table, key, value) {
		if (im->changes.rc != MQ_OK)
			return;
		if (json_is_object(value) || i == CONFIG_DELAYS)
			takers[i](im, key, value);
		else
			import_skip(im, file->name, key, "not an object");
	}
	changes_make(&im->changes);
}

/* The files that are to be taken: all (the first time, also what a snapshot has of ours), or
 * those that RocketMQ has written and that were not taken yet. */
struct news {
	json_t *objects[CONFIG_FILES];	/* NULL: none */
	uint32_t sums[CONFIG_FILES];
	bool any;
};

static void
news_read(const struct offsets *o, bool first, struct news *news)
{
	for (int i = 0; i < CONFIG_FILES; i++) {
		json_t *object = import_file(o->dir->fd, (enum config_file)i, &news->sums[i]);

		if (object && !first &&
		    (json_object_get(object, EXPORT_MARK) || news->sums[i] == o->handover.taken[i])) {
			json_decref(object);
			object = NULL;
		}
		news->objects[i] = object;
		news->any = news->any || object;
	}
}

static int
import_all(struct offsets *o, const struct news *news, bool again)
{
	AUTO_FREE struct import *im = calloc(1, sizeof(*im));
	struct meta m = { .op = META_IMPORT };

	if (!im)
		return -ENOMEM;
	im->o = im->changes.o = o;
	im->changes.in_memory = change_allowed(o) != MQ_OK;
	im->forward_only = again && o->handover.overtaken;
	import_add(im, &m);
	for (int i = 0; i < CONFIG_FILES; i++)
		import_table(im, (enum config_file)i, news->objects[i]);
	changes_add_delays(&im->changes);	/* RocketMQ's deliveries are in no record of its own */
	m.done = true;
	import_add(im, &m);
	changes_make(&im->changes);
	if (im->changes.rc == MQ_OK)
		log_notice("import: %" PRId64 " topics, groups and subscriptions of RocketMQ's config/ are "
			   "taken over%s, %" PRId64 " skipped", im->taken - 2,
			   again ? ", since RocketMQ has run on this store" : "", im->skipped);
	return im->changes.rc;
}

/* A master begins an epoch before it looks at config/. */
static bool
has_own_past(const struct offsets *o)
{
	return o->saved.once || (o->meta_queue && queue_end(o->meta_queue).n > (int64_t)o->history.epochs.n);
}

int
import_rocketmq(struct offsets *o)
{
	bool first = o->import == IMPORT_BEGUN ? !o->handover.known : o->import == IMPORT_NEVER && !has_own_past(o);
	struct news news = { 0 };
	int rc = MQ_OK;

	if (!first && o->settings->brokerRole == SLAVE)
		return MQ_OK;		/* its master's log has topics, groups and offsets */
	news_read(o, first, &news);
	/* a version that did not write these files has left them as they were before it */
	if (news.any && (first || o->handover.known))
		rc = import_all(o, &news, !first);
	for (int i = 0; i < CONFIG_FILES; i++) {
		if (rc == MQ_OK && news.objects[i])
			o->handover.taken[i] = news.sums[i];
		json_decref(news.objects[i]);
	}
	return rc;
}
