#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/fastjson.h"
#include "offsets/registry.h"
#include "offsets/rocketmq.h"
#include "store/file.h"

/* --- one table ------------------------------------------------------------------------- */

/* These fill a table from a registry, and return false without memory. */

static bool
add_topics(struct offsets *o, json_t *table)
{
	const struct topic_entry *t;

	EACH_ENTRY(o, ENTRY_TOPIC, t)
		if (!t->pub.gone && rocketmq_knows_topic(t->pub.name) &&
		    json_object_set_new(table, t->pub.name, rocketmq_topic_json(&t->conf)) != 0)
			return false;
	return true;
}

static bool
add_groups(struct offsets *o, json_t *table)
{
	const struct group_entry *g;

	EACH_ENTRY(o, ENTRY_GROUP, g)
		if (!g->pub.gone && json_object_set_new(table, g->pub.name, rocketmq_group_json(&g->conf)) != 0)
			return false;
	return true;
}

static bool
add_number(json_t *table, int key, int64_t value)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", key);
	return json_object_set_new(table, text, json_integer(value)) == 0;
}

static bool
add_offsets(struct offsets *o, json_t *table)
{
	const struct subscription_entry *s;

	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s) {
		char name[2 * RECORD_TOPIC_MAX + 2];
		json_t *offsets;

		if (s->pub.gone)
			continue;
		offsets = json_object();
		snprintf(name, sizeof(name), "%s@%s", s->pub.topic->name, s->pub.group->name);
		if (json_object_set_new(table, name, offsets) != 0)
			return false;
		for (int32_t q = 0; q < s->n_places; q++)
			if ((s->places[q].known || s->places[q].at > 0) && !add_number(offsets, q, s->places[q].at))
				return false;
	}
	return true;
}

/* How far each level has come: here, or with a RocketMQ master, whichever is further. */
static bool
add_delays(struct offsets *o, json_t *table)
{
	mq_qoff levels[DELAY_LEVELS_MAX];
	int n = o->store ? delays_levels(o->store, levels) : DELAY_LEVELS_MAX;

	if (!o->store)
		memcpy(levels, o->saved.delays.level, sizeof(levels));
	if (o->told.delays && json_object_update(table, o->told.delays) != 0)
		return false;
	for (int i = 0; i < n; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i + 1);
		if (json_integer_value(json_object_get(table, name)) < levels[i].n &&
		    !add_number(table, i + 1, levels[i].n))
			return false;
	}
	return true;
}

/* The table of a file, as o has it now, and its version.  NULL: no memory. */
static json_t *
table_make(struct offsets *o, enum config_file file, struct data_version *ret_version)
{
	static bool (*const add[CONFIG_FILES])(struct offsets *o, json_t *table) = {
		[CONFIG_TOPICS] = add_topics,
		[CONFIG_GROUPS] = add_groups,
		[CONFIG_OFFSETS] = add_offsets,
		[CONFIG_DELAYS] = add_delays,
	};
	json_t *table = json_object();

	LOCKED(&o->registry);
	*ret_version = o->versions[file];
	if (table && add[file](o, table))
		return table;
	json_decref(table);
	return NULL;
}

/* The object of a file, which has the table.  A version without a counter is none.  NULL: no memory. */
static json_t *
object_of(enum config_file file, json_t *table, const struct data_version *v)
{
	json_t *object = json_pack("{s:O}", rocketmq_files[file].member, table);

	if (object && v->counter > 0)
		json_object_set_new(object, "dataVersion",
				    json_pack("{s:I, s:I}", "counter", (json_int_t)v->counter, "timestamp",
					      (json_int_t)v->ms));
	return object;
}

/* --- as bodies of remoting calls, from memory -------------------------------------------- */

int
offsets_export(struct offsets *o, enum config_file file, char **ret_text, size_t *ret_len)
{
	struct data_version version;
	json_t *table, *object = NULL;
	char *text = NULL;

	if (file == CONFIG_OFFSETS) {
		LOCKED(&o->registry);
		o->versions[file] = (struct data_version){ o->versions[file].counter + 1, clock_wall_ms() };
	}
	table = table_make(o, file, &version);
	if (table)
		object = object_of(file, table, &version);
	if (object)
		text = fastjson_print(object, ret_len);
	json_decref(object);
	json_decref(table);
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return MQ_OK;
}

int64_t
offsets_tables_version(struct offsets *o)
{
	LOCKED(&o->registry);
	return o->versions[CONFIG_TOPICS].counter + o->versions[CONFIG_GROUPS].counter;
}

/* --- as files, from LMDB ----------------------------------------------------------------- */

/* A registry with the rows of t. */
static int
rows_read(const struct offsets *o, struct tables *t, int64_t now_ms, struct offsets **ret)
{
	struct offsets *rows = registry_new(o->settings, o->dir);
	int rc = rows ? load_rows(rows, t, NULL) : -ENOMEM;

	if (rc != MQ_OK) {
		offsets_close(rows);
		return rc;
	}
	rows->versions[CONFIG_TOPICS] = rows->versions[CONFIG_GROUPS] = (struct data_version){ 1, now_ms };
	*ret = rows;
	return MQ_OK;
}

/* Add to each entry of a table the members that it has in STORE/config and mqfs does not know.  False:
 * no memory. */
static bool
add_unknown(const struct offsets *rows, enum config_file file, json_t *table)
{
	json_t *before, *entry, *old;
	const char *name;
	uint32_t sum;
	int rc = 0;

	if (file != CONFIG_TOPICS && file != CONFIG_GROUPS)
		return true;
	before = import_file(rows->dir->fd, file, &sum);
	json_object_foreach(table, name, entry) {
		old = json_object_get(json_object_get(before, rocketmq_files[file].member), name);
		if (rc == 0 && json_is_object(old))
			rc = json_object_update_missing(entry, old);
	}
	json_decref(before);
	return rc == 0;
}

/* The text of a file.  NULL: no memory. */
static char *
file_text(enum config_file file, json_t *table, const struct data_version *v)
{
	json_t *object = object_of(file, table, v);
	AUTO_FREE char *text = NULL;
	char *line = NULL;

	if (object) {
		json_object_set_new(object, EXPORT_MARK, json_pack("{s:s}", "version", PACKAGE_VERSION));
		text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
	}
	json_decref(object);
	return text && asprintf(&line, "%s\n", text) >= 0 ? line : NULL;
}

/* A file of a snapshot. */
static int
file_make(int dirfd, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	if (fd < 0)
		return err_note(-errno, "config/%s: %m", name);
	return file_write(fd, text, strlen(text), 0, name);
}

/* A file of STORE/config, durably; NAME.bak becomes what it was. */
static int
file_renew(int dirfd, const char *name, const char *text)
{
	char tmp[64], bak[64];

	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	snprintf(bak, sizeof(bak), "%s.bak", name);
	if (unlinkat(dirfd, bak, 0) != 0 && errno != ENOENT)
		return err_note(-errno, "config/%s: %m", bak);
	if (linkat(dirfd, name, dirfd, bak, 0) != 0 && errno != ENOENT)
		return err_note(-errno, "config/%s: %m", bak);
	return file_replace(dirfd, name, tmp, text, strlen(text));
}

/* Is the table the one that was written last, or an empty one that needs no file?  *ret_sum is its sum. */
static int
is_last(enum config_file file, const json_t *table, const struct exported *last, uint32_t *ret_sum, bool *ret_same)
{
	AUTO_FREE char *compact = json_dumps(table, JSON_COMPACT | JSON_SORT_KEYS);

	if (!compact)
		return -ENOMEM;
	*ret_sum = libdeflate_crc32(0, compact, strlen(compact));
	*ret_same = (last->once && *ret_sum == last->sums[file]) ||
		    (file == CONFIG_DELAYS && json_object_size(table) == 0);
	return MQ_OK;
}

/* One of the files; `last`: only if it is another than the last one. */
static int
file_export(struct offsets *rows, enum config_file file, int dirfd, struct exported *last)
{
	AUTO_FREE char *text = NULL;
	const char *name = rocketmq_files[file].name;
	struct data_version version;
	json_t *table = table_make(rows, file, &version);
	uint32_t sum = 0;
	bool same = false;
	int rc = table ? MQ_OK : -ENOMEM;

	if (rc == MQ_OK && last)
		rc = is_last(file, table, last, &sum, &same);
	if (rc == MQ_OK && !same && add_unknown(rows, file, table))
		text = file_text(file, table, &version);
	json_decref(table);
	if (rc != MQ_OK || same)
		return rc;
	if (!text)
		return -ENOMEM;
	rc = last ? file_renew(dirfd, name, text) : file_make(dirfd, name, text);
	if (rc == MQ_OK && last)
		last->sums[file] = sum;
	return rc;
}

int
export_config(const struct offsets *o, struct tables *t, int dirfd, int64_t now_ms, struct exported *last)
{
	struct offsets *rows = NULL;
	int rc = rows_read(o, t, now_ms, &rows);

	for (int i = 0; rc == MQ_OK && i < CONFIG_FILES; i++)
		rc = file_export(rows, (enum config_file)i, dirfd, last);
	offsets_close(rows);
	if (last)
		last->once = last->once || rc == MQ_OK;
	return rc;
}
