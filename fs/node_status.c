/* status/: numbers and words, one per file, from one table. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "fs/handle.h"
#include "fs/pending.h"
#include "fs/rates.h"
#include "fs/scrubbing.h"
#include "fs/metrics_text.h"
#include "fs/supervise.h"
#include "remoting/service.h"
#include "repl/replication.h"
#include "offsets/transactions.h"
#include "store/lostfound.h"
#include "store/scrub.h"

/* --- what there is to know ---------------------------------------------------------- */

/* All of it, gathered at one moment; the table says where each value is. */
struct status {
	struct store_stats store;
	struct offsets_stats offsets;
	struct store_recovery recovery;
	struct lostfound_stats lost;
	struct scrub_stats scrub;
	struct delays_stats delays;
	struct transactions_stats transactions;
	int64_t delayed_next_ms, delayed_late_ms;
	int64_t passthrough, read_only, clean, wheel_waiting;
	int64_t pid, mqrepld, mqremoted, clients, started_ms, uptime_s, restarts, open_files, waiting_requests;
};

/* A look at the disk, which the other values spare themselves. */
static void
gather_lost(struct mount *m, struct status *s)
{
	AUTO_CLOSE int fd = openat(m->dir.fd, "lost+found", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		lostfound_stats(fd, &s->lost);
}

static void
gather_delays(struct mount *m, struct status *s)
{
	int64_t now_ms = clock_wall_ms();

	if (delays_stats(m->store, &s->delays) != MQ_OK || s->delays.pending == 0)
		return;
	s->delayed_next_ms = s->delays.next_due_ms;
	if (s->delays.next_due_ms < now_ms)
		s->delayed_late_ms = now_ms - s->delays.next_due_ms;
}

static void
status_gather(struct mount *m, struct status *s)
{
	*s = (struct status){ 0 };
	store_stats(m->store, &s->store);
	offsets_stats(m->offsets, &s->offsets);
	store_recovery(m->store, &s->recovery);
	scrub_stats(m->store, &s->scrub);
	gather_delays(m, s);
	(void)transactions_stats(m->offsets, &s->transactions);
	s->clean = s->recovery.clean;
	s->wheel_waiting = atomic_load(&m->wheel_waiting);
	s->passthrough = m->passthrough;
	s->read_only = m->read_only;
	s->pid = getpid();
	s->started_ms = m->started_ms;
	s->uptime_s = (clock_wall_ms() - m->started_ms) / 1000;
	s->restarts = m->line->restarts;
	s->open_files = handles_count(m->handles);
	s->waiting_requests = pending_count(m->pending);
	if (m->replication) {
		struct replication_stats stats;

		replication_stats(m->replication, &stats);
		s->mqrepld = stats.pid;
	}
	if (m->service) {
		struct service_stats stats;

		service_stats(m->service, &stats);
		s->mqremoted = stats.pid;
		s->clients = stats.clients;
	}
}

/* --- words ------------------------------------------------------------------------------ */

static void
show_setting(struct mount *m, const char *key, struct text *t)
{
	const struct setting *row = setting_find(key);
	char buf[256];

	if (row && settings_get(m->settings, row, buf, sizeof(buf)) < (int)sizeof(buf))
		text_printf(t, "%s", buf);
}

static void
show_version(struct mount *m, const struct status *s, struct text *t)
{
	(void)m, (void)s;
	text_printf(t, "%s", PACKAGE_VERSION);
}

static void
show_role(struct mount *m, const struct status *s, struct text *t)
{
	(void)s;
	show_setting(m, "brokerRole", t);
}

static void
show_name(struct mount *m, const struct status *s, struct text *t)
{
	(void)s;
	show_setting(m, "brokerName", t);
}

static void
show_store(struct mount *m, const struct status *s, struct text *t)
{
	(void)s;
	text_printf(t, "%s", m->dir.path);
}

static void
show_recovery(struct mount *m, const struct status *s, struct text *t)
{
	const struct store_recovery *r = &s->recovery;

	(void)m;
	text_printf(t, "%s: read again %" PRId64 " to %" PRId64 ", %" PRId64 " records, in %" PRId64
		       " ms; cut %" PRId64 " bytes",
		    r->clean ? "clean" : "after a crash", r->from.byte, r->to.byte, r->records, r->took_ms,
		    r->cut_bytes);
}

static void
show_retention(struct mount *m, const struct status *s, struct text *t)
{
	int64_t ago_s = (clock_wall_ms() - s->store.retention_ms) / 1000;

	(void)m;
	if (s->store.retention_rounds == 0)
		text_printf(t, "not yet");
	else
		text_printf(t, "%" PRId64 " s ago; removed %" PRId64 " segments, %" PRId64 " bytes, the log begins at %"
			    PRId64, ago_s, s->store.removed_segments, s->store.removed_bytes, s->store.begin);
}

static void
show_clock(struct mount *m, const struct status *s, struct text *t)
{
	int64_t ahead_s = s->store.clock_ahead_ms / 1000;

	(void)m;
	if (ahead_s > 0)
		text_printf(t, "%" PRId64 " s ahead: messages expire by the earlier time until it has gone on for an hour",
			    ahead_s);
	else
		text_printf(t, "messages expire by it");
}

/* --- the table --------------------------------------------------------------------------- */

#define WORDS(name, show, help) { { name, NULL, FIGURE_GAUGE, FIGURE_NONE, 0, help }, show }
#define NUMBER(name, kind, unit, member, help) NUMBER_AS(name, NULL, kind, unit, member, help)
#define NUMBER_AS(name, metric, kind, unit, member, help) \
	{ { name, metric, FIGURE_##kind, FIGURE_##unit, offsetof(struct status, member), help }, NULL }

static const struct value {
	struct figure figure;	/* in struct status */
	void (*show)(struct mount *m, const struct status *s, struct text *t);	/* NULL: it is a number */
} values[] = {
	WORDS("version", show_version, "version of mqfs"),
	WORDS("role", show_role, "role of this broker: ASYNC_MASTER, SYNC_MASTER or SLAVE"),
	WORDS("brokerName", show_name, "name of this broker"),
	WORDS("store", show_store, "directory of the store"),
	NUMBER("pid", GAUGE, NONE, pid, "process that serves the mount"),
	NUMBER("mqrepld", GAUGE, NONE, mqrepld, "process that talks to master and slaves, 0: none"),
	NUMBER("mqremoted", GAUGE, NONE, mqremoted, "process that talks to clients and name servers, 0: none"),
	NUMBER("clients", GAUGE, NONE, clients, "connections that produce or consume over the network"),
	NUMBER("uptime", GAUGE, SECONDS, uptime_s, "time since the mount"),
	NUMBER("started", GAUGE, TIME_MS, started_ms, "time of the mount"),
	NUMBER("restarts", COUNTER, NONE, restarts, "times that the supervisor has started the broker again"),
	NUMBER("read_only", GAUGE, NONE, read_only, "1: mounted read-only"),
	NUMBER("epoch", GAUGE, NONE, offsets.epoch, "number of the log's last epoch"),
	NUMBER("begin", GAUGE, BYTES, store.begin, "first byte of the log that is kept"),
	NUMBER("written", COUNTER, BYTES, store.written, "mark: end of the log"),
	NUMBER("flushed", COUNTER, BYTES, store.flushed, "mark: on this disk up to here"),
	NUMBER("dispatched", COUNTER, BYTES, store.dispatched, "mark: visible to readers up to here"),
	NUMBER("checkpoint", COUNTER, BYTES, offsets.checkpoint_at, "mark: after a crash now, the log is read again from here"),
	NUMBER("checkpoints", COUNTER, NONE, offsets.checkpoints, "checkpoints made"),
	NUMBER("checkpoint_failures", COUNTER, NONE, offsets.checkpoint_failures, "checkpoints that failed"),
	NUMBER("appends", COUNTER, NONE, store.appended_messages, "messages stored since the mount"),
	NUMBER("appended_bytes", COUNTER, BYTES, store.appended_bytes, "bytes of the log that messages took since the mount"),
	NUMBER("flushes", COUNTER, NONE, store.flushes, "syncs of the log"),
	NUMBER("failed", GAUGE, NONE, store.failed, "1: a sync failed, no more appends until mounted again"),
	NUMBER("disk_full", GAUGE, NONE, store.disk_full, "1: appends are refused until space returns"),
	NUMBER_AS("disk_used_percent", "disk_used", GAUGE, PERCENT, store.disk_used_percent, "use of the store's disk"),
	WORDS("retention", show_retention, "what retention did last, and altogether"),
	NUMBER("retention_rounds", COUNTER, NONE, store.retention_rounds, "how often retention has checked the segments"),
	NUMBER("removed_segments", COUNTER, NONE, store.removed_segments, "segments removed since the mount"),
	NUMBER("removed_bytes", COUNTER, BYTES, store.removed_bytes, "bytes of the segments removed since the mount"),
	NUMBER("cuts", COUNTER, NONE, store.cuts, "how often records were cut from the log because the master's log has others"),
	NUMBER("cut_bytes", COUNTER, BYTES, store.cut_bytes, "bytes of those records"),
	WORDS("clock", show_clock, "whether messages expire by the clock, and if not, why"),
	NUMBER("clock_backs", COUNTER, NONE, store.clock_backs, "how often store times went back with the clock"),
	NUMBER("heads_moved", COUNTER, NONE, store.heads_moved, "moves of queues' first messages since the mount"),
	NUMBER("segments", GAUGE, NONE, store.segments, "files of the log"),
	NUMBER("queues", GAUGE, NONE, store.queues, "queues with messages"),
	NUMBER_AS("topic_count", "topics", GAUGE, NONE, offsets.topics, "topics"),
	NUMBER_AS("group_count", "groups", GAUGE, NONE, offsets.groups, "groups"),
	NUMBER("subscriptions", GAUGE, NONE, offsets.subscriptions, "subscriptions"),
	NUMBER("offsets_clamped", COUNTER, NONE, offsets.offsets_clamped,
	       "offsets outside of their queue, moved to its begin or end"),
	NUMBER("timer_wheel_waiting", GAUGE, NONE, wheel_waiting,
	       "messages found waiting in RocketMQ 5's timer wheel, which mqfs does not deliver"),
	NUMBER("delayed", GAUGE, NONE, delays.pending, "messages that wait for their time of delivery"),
	NUMBER("delayed_next", GAUGE, TIME_MS, delayed_next_ms, "when the next delayed message is due; 0: there is none"),
	NUMBER("delayed_late", GAUGE, MS, delayed_late_ms, "how late the next delayed message is; 0: it is not"),
	NUMBER("delayed_delivered", COUNTER, NONE, delays.delivered,
	       "delayed messages delivered since the mount"),
	NUMBER("transactions_open", GAUGE, NONE, transactions.open, "messages whose producer has neither committed nor rolled back"),
	NUMBER("transactions_checked", COUNTER, NONE, transactions.checked,
	       "times that a producer was to be asked, since the mount"),
	NUMBER("transactions_given_up", COUNTER, NONE, transactions.given_up,
	       "messages moved to TRANS_CHECK_MAX_TIME_TOPIC since the mount"),
	NUMBER("debts", GAUGE, NONE, offsets.unsettled, "commits of this slave that its master's log does not have yet"),
	NUMBER("lostfound_pieces", GAUGE, NONE, lost.pieces, "pieces in lost+found, each with a note"),
	NUMBER("lostfound_bytes", GAUGE, BYTES, lost.bytes, "bytes of the log in lost+found"),
	NUMBER("scrub_passes", COUNTER, NONE, scrub.passes, "times that all sealed segments were checked"),
	NUMBER("scrub_due", GAUGE, NONE, scrub.due, "sealed segments that are to be checked now"),
	NUMBER("scrub_checked", GAUGE, TIME_MS, scrub.oldest_ms, "every sealed segment was checked after this time; 0: not yet"),
	NUMBER("scrub_read_bytes", COUNTER, BYTES, scrub.read_bytes, "bytes of sealed segments read for their checksums"),
	NUMBER("scrub_bad_ranges", GAUGE, NONE, scrub.bad_ranges, "ranges of the log that the disk has lost"),
	NUMBER("scrub_bad_bytes", GAUGE, BYTES, scrub.bad_bytes, "bytes of bad ranges"),
	NUMBER("scrub_bad_messages", GAUGE, NONE, scrub.bad_messages, "messages in bad ranges"),
	NUMBER("scrub_healed_ranges", COUNTER, NONE, scrub.healed_ranges, "ranges that were bad and are good again"),
	NUMBER("scrub_healed_bytes", COUNTER, BYTES, scrub.healed_bytes, "bytes of ranges that are good again"),
	NUMBER("open_files", GAUGE, NONE, open_files, "open files and directories"),
	NUMBER("waiting_requests", GAUGE, NONE, waiting_requests, "requests that wait for a message or the disk"),
	NUMBER("passthrough", GAUGE, NONE, passthrough, "1: the kernel reads sealed segments itself"),
	WORDS("recovery", show_recovery, "what the last mount found"),
	NUMBER("recovered_records", GAUGE, NONE, recovery.records, "records read again at the mount"),
	NUMBER("recovered_cut_bytes", GAUGE, BYTES, recovery.cut_bytes, "bytes cut from the log at the mount"),
	NUMBER("recovered_clean", GAUGE, NONE, clean, "1: the last exit was clean"),
};

#define N_VALUES (sizeof(values) / sizeof(values[0]))

static bool
is_of_lost(const struct value *v)
{
	return !v->show && v->figure.at >= offsetof(struct status, lost) &&
	       v->figure.at < offsetof(struct status, lost) + sizeof(struct lostfound_stats);
}

/* --- files of all of them --------------------------------------------------------------------- */

static int
render_log(struct mount *m, struct text *t)
{
	AUTO_FREE char *lines = NULL;
	size_t len;

	(void)m;
	lines = log_recent(&len);
	if (!lines)
		return -ENOMEM;
	text_add(t, lines, len);
	return MQ_OK;
}

/* What a number cannot show: labels of a metric that is always 1. */
static void
info_metric(struct mount *m, const char *labels, struct text *t)
{
	static const char *const keys[][2] = {
		{ "cluster", "brokerClusterName" }, { "role", "brokerRole" }, { "id", "brokerId" },
	};
	struct text all = { 0 };

	text_printf(&all, "%s", labels);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct text value = { 0 };

		show_setting(m, keys[i][1], &value);
		label_add(&all, keys[i][0], value.buf ? value.buf : "");
		text_free(&value);
	}
	label_add(&all, "version", PACKAGE_VERSION);
	text_printf(t, "# HELP mqfs_info who this broker is\n# TYPE mqfs_info gauge\nmqfs_info{%s} 1\n",
		    all.buf ? all.buf : "");
	text_free(&all);
}

/* Prometheus' text format. */
static int
render_metrics(struct mount *m, struct text *t)
{
	struct text labels = { 0 };
	struct metrics st;
	struct status s;
	int rc = metrics_gather(m, &st);

	status_gather(m, &s);
	gather_lost(m, &s);
	label_add(&labels, "broker", m->settings->brokerName);	/* both, because several brokers may be on one machine */
	label_add(&labels, "mount", m->mountpoint);
	if (rc == MQ_OK)
		rc = labels.err;
	if (rc == MQ_OK)
		info_metric(m, labels.buf, t);
	for (size_t i = 0; rc == MQ_OK && i < N_VALUES; i++) {
		if (values[i].show)
			continue;
		figure_metric_head(&values[i].figure, "", t);
		figure_metric_line(&values[i].figure, "", labels.buf, &s, t);
	}
	if (rc == MQ_OK)
		metrics_prometheus(&st, labels.buf, t);
	if (rc == MQ_OK)
		rates_metrics(m, t);
	metrics_free(&st);
	text_free(&labels);
	return rc;
}

static json_t *
value_json(struct mount *m, const struct value *v, const struct status *s)
{
	struct text words = { 0 };
	json_t *json;

	if (!v->show)
		return figure_json(&v->figure, s);
	v->show(m, s, &words);
	json = json_stringn_nocheck(words.buf ? words.buf : "", words.len);
	text_free(&words);
	return json;
}

static int
render_json(struct mount *m, struct text *t)
{
	json_t *all = json_object();
	AUTO_FREE char *dump = NULL;
	struct metrics st;
	struct status s;
	int rc = metrics_gather(m, &st);

	status_gather(m, &s);
	gather_lost(m, &s);
	for (size_t i = 0; i < N_VALUES; i++)
		json_object_set_new(all, values[i].figure.name, value_json(m, &values[i], &s));
	if (rc == MQ_OK)
		rc = metrics_json(&st, all);
	dump = rc == MQ_OK ? json_dumps(all, JSON_INDENT(2)) : NULL;
	json_decref(all);
	metrics_free(&st);
	if (rc == MQ_OK && !dump)
		rc = -ENOMEM;
	if (rc == MQ_OK)
		text_printf(t, "%s\n", dump);
	return rc;
}

static const struct whole {
	const char *name, *help;
	int (*render)(struct mount *m, struct text *t);
} wholes[] = {
	{ "groups", "a table: what each group has still to consume", metrics_render_groups },
	{ "log", "the newest lines of the broker's log, with the reason of each refusal", render_log },
	{ "metrics.prom", "all numbers, for Prometheus", render_metrics },
	{ "scrub", "how the check of sealed segments gets on, and what it has found", scrubbing_render },
	{ "status.json", "all of them as json", render_json },
	{ "topics", "a table: what each topic holds", metrics_render_topics },
};

#define N_WHOLES (sizeof(wholes) / sizeof(wholes[0]))

/* --- status/ -------------------------------------------------------------------------------------- */

static const char *
name_of(size_t id)
{
	return id < N_VALUES ? values[id].figure.name : wholes[id - N_VALUES].name;
}

static int
status_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	for (uint32_t id = 0; id < N_VALUES + N_WHOLES; id++)
		if (strcmp(name_of(id), name) == 0)
			return node_make(m, NODE_STATUS_FILE, id, 0, 0, ret_child);
	return node_fixed_lookup(m, dir, name, ret_child);
}

static int
status_list(struct mount *m, const struct node *dir, struct lister *l)
{
	for (uint32_t id = 0; id < N_VALUES + N_WHOLES; id++)
		lister_add(l, name_of(id), node_ino(NODE_STATUS_FILE, id, 0, 0));
	return node_fixed_list(m, dir, l);
}

const struct node_class node_status = {
	.lookup = status_lookup,
	.list = status_list,
	.set_attr = node_set_owner,
};

static int
status_file_render(struct mount *m, const struct node *n, struct text *t)
{
	const struct value *v;
	struct status s;

	if (n->id >= N_VALUES + N_WHOLES)
		return -ESTALE;
	if (n->id >= N_VALUES)
		return wholes[n->id - N_VALUES].render(m, t);
	v = &values[n->id];
	status_gather(m, &s);
	if (is_of_lost(v))
		gather_lost(m, &s);
	if (v->show)
		v->show(m, &s, t);
	else
		text_printf(t, "%" PRId64, figure_number(&v->figure, &s));
	text_add(t, "\n", 1);
	return MQ_OK;
}

static int
status_file_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	stat_set_ms(st, clock_wall_ms());
	return node_attr_text(m, n, st, ret_timeout);
}

static int
status_file_help(struct mount *m, const struct node *n, struct text *t)
{
	const char *unit;

	(void)m;
	if (n->id >= N_VALUES + N_WHOLES)
		return -ESTALE;
	if (n->id >= N_VALUES) {
		text_printf(t, "%s", wholes[n->id - N_VALUES].help);
		return MQ_OK;
	}
	unit = figure_unit(&values[n->id].figure);
	text_printf(t, "%s%s%s%s", values[n->id].figure.help, *unit ? " (" : "", unit, *unit ? ")" : "");
	return MQ_OK;
}

const struct node_class node_status_file = {
	.attr = status_file_attr,
	.help = status_file_help,
	.render = status_file_render,
};
