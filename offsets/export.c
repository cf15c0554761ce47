#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libdeflate.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/export.h"
#include "offsets/fastjson.h"
#include "offsets/registry.h"
#include "offsets/rocketmq.h"
#include "store/file.h"

/* A subscription whose offsets come later, by its id. */
struct known {
	uint32_t id;
	json_t *table;		/* borrowed */
};

struct export {
	json_t *tables[CONFIG_FILES];
	struct data_version versions[CONFIG_FILES]; /* those with a counter have one */
	struct known *subs;
	size_t n, max;
};

static int
export_begin(struct export *ex)
{
	for (int i = 0; i < CONFIG_FILES; i++)
		ex->tables[i] = json_object();
	for (int i = 0; i < CONFIG_FILES; i++)
		if (!ex->tables[i])
			return -ENOMEM;
	return MQ_OK;
}

static void
export_end(struct export *ex)
{
	for (int i = 0; i < CONFIG_FILES; i++)
		json_decref(ex->tables[i]);
	free(ex->subs);
}

/* --- what is in the tables ----------------------------------------------------------- */

static int
add(struct export *ex, enum config_file file, const char *name, json_t *value)
{
	return json_object_set_new(ex->tables[file], name, value) == 0 ? MQ_OK : -ENOMEM;
}

static int
add_topic(struct export *ex, const struct topic_conf *c)
{
	if (!rocketmq_knows_topic(c->name))
		return MQ_OK;
	return add(ex, CONFIG_TOPICS, c->name, rocketmq_topic_json(c));
}

static int
add_group(struct export *ex, const struct group_conf *c)
{
	return add(ex, CONFIG_GROUPS, c->name, rocketmq_group_json(c));
}

/* Its offsets go into *ret_table (borrowed). */
static int
add_subscription(struct export *ex, const char *topic, const char *group, json_t **ret_table)
{
	char name[2 * RECORD_TOPIC_MAX + 2];
	json_t *table = json_object();

	snprintf(name, sizeof(name), "%s@%s", topic, group);
	*ret_table = table;
	return add(ex, CONFIG_OFFSETS, name, table);
}

static int
add_offset(json_t *table, int32_t queue_id, int64_t at)
{
	char name[16];

	snprintf(name, sizeof(name), "%" PRId32, queue_id);
	return json_object_set_new(table, name, json_integer(at)) == 0 ? MQ_OK : -ENOMEM;
}

/* One of the files.  NULL: no memory. */
static json_t *
whole(const struct export *ex, enum config_file file)
{
	const struct data_version *v = &ex->versions[file];
	json_t *json = json_pack("{s:O}", rocketmq_files[file].member, ex->tables[file]);

	if (json && v->counter > 0)
		json_object_set_new(json, "dataVersion",
				    json_pack("{s:I, s:I}", "counter", (json_int_t)v->counter, "timestamp",
					      (json_int_t)v->ms));
	return json;
}

/* --- from the rows of LMDB -------------------------------------------------------------- */

static int
known_add(struct export *ex, uint32_t id, json_t *table)
{
	size_t max = ex->max ? 2 * ex->max : 64;
	struct known *more;

	if (ex->n == ex->max) {
		more = realloc(ex->subs, max * sizeof(*more));
		if (!more)
			return -ENOMEM;
		ex->subs = more;
		ex->max = max;
	}
	ex->subs[ex->n++] = (struct known){ .id = id, .table = table };
	return MQ_OK;
}

static int
record_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct export *ex = arg;
	json_t *table = NULL;
	struct meta m;
	int rc = meta_decode(value, value_len, &m);

	(void)key, (void)key_len;
	if (rc != MQ_OK)
		return rc;
	if (m.op == META_TOPIC_SET)
		rc = add_topic(ex, &m.topic_conf);
	else if (m.op == META_GROUP_SET)
		rc = add_group(ex, &m.group_conf);
	else if (m.op == META_SUBSCRIBE)
		rc = add_subscription(ex, m.topic, m.group, &table);
	if (rc == MQ_OK && table)
		rc = known_add(ex, m.id, table);
	meta_free(&m);
	return rc;
}

static int
known_cmp(const void *a, const void *b)
{
	const struct known *ka = a, *kb = b;

	return (ka->id > kb->id) - (ka->id < kb->id);
}

static int
offset_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct export *ex = arg;
	struct bytes k = bytes_over(key, key_len), v = bytes_over(value, value_len);
	struct known want = { .id = (uint32_t)bytes_get_i32(&k) };
	int32_t queue_id = bytes_get_i32(&k);
	int64_t at = bytes_get_i64(&v);
	const struct known *sub;

	if (k.err || v.err)
		return err_note(MQ_ECORRUPT, "lmdb: a bad row in offsets");
	sub = ex->n ? bsearch(&want, ex->subs, ex->n, sizeof(want), known_cmp) : NULL;
	return sub ? add_offset(sub->table, queue_id, at) : MQ_OK;	/* else of one that was removed */
}

/* How far a level has come, where that is further than what the table has. */
static int
add_level(struct export *ex, int level, int64_t next)
{
	char name[16];

	snprintf(name, sizeof(name), "%d", level);
	if (json_integer_value(json_object_get(ex->tables[CONFIG_DELAYS], name)) >= next)
		return MQ_OK;
	return add(ex, CONFIG_DELAYS, name, json_integer(next));
}

static int
delivery_row(struct export *ex, const void *value, size_t len)
{
	struct bytes b = bytes_over(value, len);
	int rc = MQ_OK;

	(void)bytes_take(&b, 24);
	for (int level = 1; rc == MQ_OK && level <= DELAY_LEVELS_MAX; level++) {
		int64_t next = bytes_get_i64(&b);

		if (b.err == MQ_OK && next > 0)
			rc = add_level(ex, level, next);
	}
	return rc;
}

static int
delay_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct export *ex = arg;
	json_t *delays = NULL;
	int rc;

	if (key_len == strlen(TABLE_META_DELIVERY) && memcmp(key, TABLE_META_DELIVERY, key_len) == 0)
		return delivery_row(ex, value, value_len);
	if (key_len != strlen(TABLE_META_DELAYS) || memcmp(key, TABLE_META_DELAYS, key_len) != 0)
		return MQ_OK;
	rc = fastjson_load(value, value_len, &delays);
	if (rc == MQ_OK) {
		json_decref(ex->tables[CONFIG_DELAYS]);
		ex->tables[CONFIG_DELAYS] = delays;
	}
	return rc;
}

static int
rows_read(struct export *ex, struct tables *t)
{
	int rc = tables_each(t, TABLE_TOPICS, record_row, ex);

	if (rc == MQ_OK)
		rc = tables_each(t, TABLE_GROUPS, record_row, ex);
	if (rc == MQ_OK)
		rc = tables_each(t, TABLE_SUBSCRIPTIONS, record_row, ex);
	if (rc == MQ_OK && ex->n)
		qsort(ex->subs, ex->n, sizeof(*ex->subs), known_cmp);
	if (rc == MQ_OK)
		rc = tables_each(t, TABLE_OFFSETS, offset_row, ex);
	return rc == MQ_OK ? tables_each(t, TABLE_META, delay_row, ex) : rc;
}

/* Takes `json` over.  NULL: no memory. */
static char *
file_text(json_t *json)
{
	AUTO_FREE char *text = json ? json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS) : NULL;
	char *line = NULL;

	json_decref(json);
	if (text && asprintf(&line, "%s\n", text) < 0)
		return NULL;
	return line;
}

static json_t *
marked(json_t *json)
{
	if (json)
		json_object_set_new(json, EXPORT_MARK, json_pack("{s:s}", "version", PACKAGE_VERSION));
	return json;
}

static int
file_make(int dirfd, const char *name, const char *text)
{
	AUTO_CLOSE int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);

	if (fd < 0)
		return err_note(-errno, "config/%s: %m", name);
	return file_write(fd, text, strlen(text), 0, name);
}

/* As the rows are. */
static int
rows_read_now(struct export *ex, struct tables *t, int64_t now_ms)
{
	int rc = export_begin(ex);

	ex->versions[CONFIG_TOPICS] = ex->versions[CONFIG_GROUPS] = (struct data_version){ 1, now_ms };
	return rc == MQ_OK ? rows_read(ex, t) : rc;
}

int
export_config(struct tables *t, int dirfd, int64_t now_ms)
{
	struct export ex = { 0 };
	int rc = rows_read_now(&ex, t, now_ms);

	for (int i = 0; rc == MQ_OK && i < CONFIG_FILES; i++) {
		AUTO_FREE char *text = file_text(marked(whole(&ex, (enum config_file)i)));

		rc = text ? file_make(dirfd, rocketmq_files[i].name, text) : -ENOMEM;
	}
	export_end(&ex);
	return rc;
}

/* --- STORE/config ------------------------------------------------------------------------ */

/* NAME.bak becomes the file that NAME is now. */
static int
keep_bak(int dirfd, const char *name, const char *bak)
{
	if (unlinkat(dirfd, bak, 0) != 0 && errno != ENOENT)
		return err_note(-errno, "config/%s: %m", bak);
	if (linkat(dirfd, name, dirfd, bak, 0) != 0 && errno != ENOENT)
		return err_note(-errno, "config/%s: %m", bak);
	return MQ_OK;
}

static int
file_renew(int dirfd, const char *name, const char *text)
{
	char tmp[64], bak[64];
	int rc;

	snprintf(tmp, sizeof(tmp), "%s.tmp", name);
	snprintf(bak, sizeof(bak), "%s.bak", name);
	rc = keep_bak(dirfd, name, bak);
	return rc == MQ_OK ? file_replace(dirfd, name, tmp, text, strlen(text)) : rc;
}

/* One of the files, if it is another than the last one. */
static int
export_one(struct export *ex, enum config_file file, int dirfd, struct exported *last)
{
	AUTO_FREE char *table = json_dumps(ex->tables[file], JSON_COMPACT | JSON_SORT_KEYS), *text = NULL;
	uint32_t sum;
	int rc;

	if (!table)
		return -ENOMEM;
	sum = libdeflate_crc32(0, table, strlen(table));
	if ((last->once && sum == last->sums[file]) ||
	    (file == CONFIG_DELAYS && json_object_size(ex->tables[file]) == 0))
		return MQ_OK;
	text = file_text(marked(whole(ex, file)));
	rc = text ? file_renew(dirfd, rocketmq_files[file].name, text) : -ENOMEM;
	if (rc == MQ_OK)
		last->sums[file] = sum;
	return rc;
}

int
export_config_changes(struct tables *t, int dirfd, int64_t now_ms, struct exported *last)
{
	struct export ex = { 0 };
	int rc = rows_read_now(&ex, t, now_ms);

	for (int i = 0; rc == MQ_OK && i < CONFIG_FILES; i++)
		rc = export_one(&ex, (enum config_file)i, dirfd, last);
	export_end(&ex);
	last->once = last->once || rc == MQ_OK;
	return rc;
}

/* --- from memory, as it is now: with `registry` -------------------------------------------- */

static int
live_topics(struct offsets *o, struct export *ex)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < o->entries[ENTRY_TOPIC].by_name.n; i++) {
		const struct topic_entry *t = o->entries[ENTRY_TOPIC].by_name.items[i];

		if (!t->pub.gone)
			rc = add_topic(ex, &t->conf);
	}
	ex->versions[CONFIG_TOPICS] = o->versions.topics;
	return rc;
}

static int
live_groups(struct offsets *o, struct export *ex)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < o->entries[ENTRY_GROUP].by_name.n; i++) {
		const struct group_entry *g = o->entries[ENTRY_GROUP].by_name.items[i];

		if (!g->pub.gone)
			rc = add_group(ex, &g->conf);
	}
	ex->versions[CONFIG_GROUPS] = o->versions.groups;
	return rc;
}

static int
live_offsets(struct offsets *o, struct export *ex)
{
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && i < o->entries[ENTRY_SUBSCRIPTION].by_name.n; i++) {
		const struct subscription_entry *s = o->entries[ENTRY_SUBSCRIPTION].by_name.items[i];
		json_t *table = NULL;

		if (s->pub.gone)
			continue;
		rc = add_subscription(ex, s->pub.topic->name, s->pub.group->name, &table);
		for (int32_t q = 0; rc == MQ_OK && q < s->n_places; q++)
			if (s->places[q].known || s->places[q].at > 0)
				rc = add_offset(table, q, s->places[q].at);
	}
	o->versions.offsets = (struct data_version){ o->versions.offsets.counter + 1, clock_wall_ms() };
	ex->versions[CONFIG_OFFSETS] = o->versions.offsets;
	return rc;
}

static int
live_delays(struct offsets *o, struct export *ex)
{
	mq_qoff levels[DELAY_LEVELS_MAX];
	int n = o->store ? delays_levels(o->store, levels) : 0, rc = MQ_OK;	/* a registry alone has none */

	if (o->told.delays && json_object_update(ex->tables[CONFIG_DELAYS], o->told.delays) != 0)
		return -ENOMEM;
	for (int i = 0; rc == MQ_OK && i < n; i++)
		if (levels[i].n > 0)
			rc = add_level(ex, i + 1, levels[i].n);
	return rc;
}

int
offsets_export(struct offsets *o, enum config_file file, char **ret_text, size_t *ret_len)
{
	static int (*const by_file[CONFIG_FILES])(struct offsets *o, struct export *ex) = {
		[CONFIG_TOPICS] = live_topics,
		[CONFIG_GROUPS] = live_groups,
		[CONFIG_OFFSETS] = live_offsets,
		[CONFIG_DELAYS] = live_delays,
	};
	struct export ex = { 0 };
	json_t *json = NULL;
	char *text = NULL;
	int rc = export_begin(&ex);

	if (rc == MQ_OK) {
		LOCKED(&o->registry);
		rc = by_file[file](o, &ex);
	}
	if (rc == MQ_OK)
		json = whole(&ex, file);
	if (json)
		text = fastjson_print(json, ret_len);
	json_decref(json);
	export_end(&ex);
	if (rc == MQ_OK && !text)
		rc = -ENOMEM;
	if (rc == MQ_OK)
		*ret_text = text;
	return rc;
}

int64_t
offsets_tables_version(struct offsets *o)
{
	LOCKED(&o->registry);
	return o->versions.topics.counter + o->versions.groups.counter;
}
