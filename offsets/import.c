/* import.c - topics, groups and offsets of a RocketMQ store seen for the first time.
 *
 *   config/topics.json             topicConfigTable        -> topic
 *   config/subscriptionGroup.json  subscriptionGroupTable  -> group
 *   config/consumerOffset.json     offsetTable, "T@G"      -> subscribe
 *
 * Each is a record, as if somebody had made it by hand; an `import` record
 * before and one behind them, so an import that a crash has cut in two is
 * done again.  Where nothing can be written (read-only, slave) it is applied to
 * memory only.  A file that cannot be read has a .bak beside it, RocketMQ's
 * last version but one.  What we cannot take is skipped, and said so.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/fastjson.h"
#include "offsets/registry.h"
#include "offsets/rocketmq.h"

#define FILE_BYTES_MAX ((off_t)64 << 20)
#define IMPORT_CHUNK 64

struct import {
	struct offsets *o;
	struct meta records[IMPORT_CHUNK];
	size_t n;
	uint32_t new_ids;	/* given since the registry was last asked */
	int64_t taken, skipped;
	int rc;			/* sticky */
};

/* --- records ------------------------------------------------------------------------------ */

static int
apply_only(struct offsets *o, struct meta *m, size_t n)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < n; i++) {
		m[i].told = true;
		rc = apply(o, &m[i]);
	}
	return rc;
}

static void
import_flush(struct import *im)
{
	if (im->rc == MQ_OK && change_allowed(im->o) == MQ_OK)
		im->rc = change_all(im->o, im->records, im->n, NULL);
	else if (im->rc == MQ_OK)
		im->rc = apply_only(im->o, im->records, im->n);
	for (size_t i = 0; i < im->n; i++)
		meta_free(&im->records[i]);
	im->n = 0;
	im->new_ids = 0;
}

static void
make_room(struct import *im)
{
	if (im->n == IMPORT_CHUNK)
		import_flush(im);
}

/* Takes m over. */
static void
import_add(struct import *im, struct meta *m)
{
	make_room(im);
	im->records[im->n++] = *m;
	im->taken++;
}

static void
import_skip(struct import *im, const char *what, const char *name, const char *why)
{
	im->skipped++;
	log_warn("import: %s %.200s is skipped: %s", what, name, why);
}

/* --- topics --------------------------------------------------------------------------------- */

/* Its record gets the id it has, or one that nobody has yet. */
static uint32_t
id_for(struct import *im, uint32_t id, bool exists)
{
	return exists ? id : id + im->new_ids++;
}

static void
import_topic(struct import *im, const char *name, json_t *object)
{
	struct meta m = { .op = META_TOPIC_SET };
	const struct topic *t;
	int rc;

	if (meta_topic_is_system(name))
		return;
	make_room(im);
	t = topic_find(im->o, name);
	if (t)
		topic_conf(im->o, t, &m.topic_conf);
	else
		topic_conf_default(&m.topic_conf, name, 1);
	rc = rocketmq_topic_read(name, object, &m.topic_conf);
	if (rc != MQ_OK) {
		import_skip(im, "topic", name, err_text(rc));
		return;
	}
	m.id = id_for(im, registry_topic_id(im->o, name), t != NULL);
	import_add(im, &m);
}

/* --- groups --------------------------------------------------------------------------------- */

static void
import_group(struct import *im, const char *name, json_t *object)
{
	struct meta m = { .op = META_GROUP_SET };
	const struct group *g;
	int rc;

	make_room(im);
	g = group_find(im->o, name);
	if (g)
		group_conf(im->o, g, &m.group_conf);
	else
		group_conf_default(&m.group_conf, name);
	rc = rocketmq_group_read(name, object, &m.group_conf);
	if (rc != MQ_OK) {
		import_skip(im, "group", name, err_text(rc));
		return;
	}
	m.id = id_for(im, registry_group_id(im->o, name), g != NULL);
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
		import_flush(im);
		import_group(im, m->group, NULL);
		import_flush(im);
	}
	return true;
}

static void
import_offsets(struct import *im, const char *key, json_t *table)
{
	struct meta m = { .op = META_SUBSCRIBE };
	int rc = rocketmq_offsets_read(key, table, &m);

	if (rc != MQ_OK)
		import_skip(im, "offsets of", key, err_text(rc));
	else
		m.expression = strdup("*");
	if (m.expression && is_known(im, &m, key))
		import_add(im, &m);
	else
		meta_free(&m);
}

/* --- files ----------------------------------------------------------------------------------- */

static int
file_read(int dir_fd, const char *path, char **ret_text, size_t *ret_len)
{
	AUTO_CLOSE int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_note(-errno, "%s: %m", path);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_BYTES_MAX)
		return err_note(MQ_ECORRUPT, "%s: not a file of sensible size", path);
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = read(fd, text + len, (size_t)st.st_size - len);

		if (n < 0)
			return err_note(-errno, "%s: %m", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret_text = take_ptr(text);
	*ret_len = len;
	return MQ_OK;
}

static int
json_of(int dir_fd, const char *path, json_t **ret_object)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int rc = file_read(dir_fd, path, &text, &len);

	return rc == MQ_OK ? fastjson_load(text, len, ret_object) : rc;
}

/* The file, or its .bak.  NULL: neither is there, or can be used (which is logged). */
static json_t *
json_or_bak(int dir_fd, const char *name)
{
	static const char *const endings[] = { "", ".bak" };
	json_t *object = NULL;
	char path[64];

	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "config/%s%s", name, endings[i]);
		int rc = json_of(dir_fd, path, &object);

		if (rc == MQ_OK)
			return object;
		if (rc != -ENOENT)
			log_warn("import: %s: %s", path, err_text(rc));
	}
	return NULL;
}

static const struct {
	enum config_file file;
	void (*take)(struct import *im, const char *key, json_t *value);
} files[] = {
	{ CONFIG_TOPICS, import_topic },
	{ CONFIG_GROUPS, import_group },
	{ CONFIG_OFFSETS, import_offsets },
};

#define FILES (sizeof(files) / sizeof(files[0]))

static void
import_table(struct import *im, size_t i, const json_t *object)
{
	const struct rocketmq_file *file = &rocketmq_files[files[i].file];
	json_t *table = json_object_get(object, file->member), *value;
	const char *key;

	json_object_foreach(table, key, value) {
		if (im->rc != MQ_OK)
			return;
		if (json_is_object(value))
			files[i].take(im, key, value);
		else
			import_skip(im, file->name, key, "not an object");
	}
	import_flush(im);
}

static int
import_all(struct offsets *o, json_t *const *objects)
{
	AUTO_FREE struct import *im = calloc(1, sizeof(*im));
	struct meta m = { .op = META_IMPORT };

	if (!im)
		return -ENOMEM;
	im->o = o;
	import_add(im, &m);
	for (size_t i = 0; i < FILES; i++)
		import_table(im, i, objects[i]);
	m.done = true;
	import_add(im, &m);
	import_flush(im);
	if (im->rc == MQ_OK)
		log_notice("import: %" PRId64 " topics, groups and subscriptions of RocketMQ's config/ are "
			   "taken over, %" PRId64 " skipped", im->taken - 2, im->skipped);
	return im->rc;
}

/* A master begins an epoch before it looks at config/. */
static bool
has_own_past(const struct offsets *o)
{
	return o->saved_once || o->n_applied > (int64_t)o->epochs.n;
}

int
import_rocketmq(struct offsets *o)
{
	json_t *objects[FILES] = { NULL };
	bool any = false;
	int rc = MQ_OK;

	if (o->import == IMPORT_DONE || (o->import == IMPORT_NEVER && has_own_past(o)))
		return MQ_OK;
	for (size_t i = 0; i < FILES; i++) {
		objects[i] = json_or_bak(o->dir->fd, rocketmq_files[files[i].file].name);
		any = any || objects[i];
	}
	if (any)
		rc = import_all(o, objects);
	for (size_t i = 0; i < FILES; i++)
		json_decref(objects[i]);
	return rc;
}
