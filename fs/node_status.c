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
#include "fs/scrubbing.h"
#include "fs/supervise.h"
#include "remoting/service.h"
#include "repl/replication.h"
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
	int64_t delayed_next_ms, delayed_late_ms;
	int64_t failed, disk_full, disk_used_percent, passthrough, read_only, clean, wheel_waiting;
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
	s->failed = s->store.failed;
	s->disk_full = s->store.disk_full;
	s->disk_used_percent = s->store.disk_used_percent;
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
say_setting(struct mount *m, const char *key, struct text *t)
{
	const struct setting *row = setting_find(key);
	char buf[256];

	if (row && settings_get(m->settings, row, buf, sizeof(buf)) < (int)sizeof(buf))
		text_printf(t, "%s", buf);
}

static void
say_version(struct mount *m, const struct status *s, struct text *t)
{
	(void)m, (void)s;
	text_printf(t, "%s", PACKAGE_VERSION);
}

static void
say_role(struct mount *m, const struct status *s, struct text *t)
{
	(void)s;
	say_setting(m, "brokerRole", t);
}

static void
say_name(struct mount *m, const struct status *s, struct text *t)
{
	(void)s;
	say_setting(m, "brokerName", t);
}

static void
say_store(struct mount *m, const struct status *s, struct text *t)
{
	(void)s;
	text_printf(t, "%s", m->dir.path);
}

static void
say_recovery(struct mount *m, const struct status *s, struct text *t)
{
	const struct store_recovery *r = &s->recovery;

	(void)m;
	text_printf(t, "%s: read again %" PRId64 " to %" PRId64 ", %" PRId64 " records, in %" PRId64
		       " ms; cut %" PRId64 " bytes",
		    r->clean ? "clean" : "after a crash", r->from.byte, r->to.byte, r->records, r->took_ms,
		    r->cut_bytes);
}

static void
say_retention(struct mount *m, const struct status *s, struct text *t)
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
say_clock(struct mount *m, const struct status *s, struct text *t)
{
	int64_t ahead_s = s->store.clock_ahead_ms / 1000;

	(void)m;
	if (ahead_s > 0)
		text_printf(t, "%" PRId64 " s ahead: messages expire by the earlier time until it has gone on for an hour",
			    ahead_s);
	else
		text_printf(t, "believed");
}

/* --- the table --------------------------------------------------------------------------- */

enum value_kind {
	GAUGE,			/* a number that goes up and down */
	COUNTER,		/* one that only grows */
	WORDS,
};

#define NUMBER_AT(member) offsetof(struct status, member), NULL

static const struct value {
	const char *name;
	enum value_kind kind;
	size_t at;		/* of an int64_t in struct status */
	void (*say)(struct mount *m, const struct status *s, struct text *t);
	const char *help;
} values[] = {
	{ "version", WORDS, 0, say_version, "version of mqfs" },
	{ "role", WORDS, 0, say_role, "what this broker is" },
	{ "brokerName", WORDS, 0, say_name, "its name" },
	{ "store", WORDS, 0, say_store, "directory of the store" },
	{ "pid", GAUGE, NUMBER_AT(pid), "process that serves the mount" },
	{ "mqrepld", GAUGE, NUMBER_AT(mqrepld), "process that talks to master and slaves, 0: none" },
	{ "mqremoted", GAUGE, NUMBER_AT(mqremoted), "process that talks to clients and name servers, 0: none" },
	{ "clients", GAUGE, NUMBER_AT(clients), "connections that produce or consume over the network" },
	{ "uptime", GAUGE, NUMBER_AT(uptime_s), "seconds since the mount" },
	{ "started", GAUGE, NUMBER_AT(started_ms), "time of the mount, ms since 1970" },
	{ "restarts", COUNTER, NUMBER_AT(restarts), "times that the supervisor has started the broker again" },
	{ "read_only", GAUGE, NUMBER_AT(read_only), "1: mounted read-only" },
	{ "epoch", GAUGE, NUMBER_AT(offsets.epoch), "number of the log's last epoch" },
	{ "begin", GAUGE, NUMBER_AT(store.begin), "first byte of the log that is kept" },
	{ "written", COUNTER, NUMBER_AT(store.written), "mark: end of the log" },
	{ "flushed", COUNTER, NUMBER_AT(store.flushed), "mark: on this disk up to here" },
	{ "dispatched", COUNTER, NUMBER_AT(store.dispatched), "mark: visible to readers up to here" },
	{ "checkpoint", COUNTER, NUMBER_AT(offsets.checkpoint_at), "mark: a crash now reads again from here" },
	{ "checkpoints", COUNTER, NUMBER_AT(offsets.checkpoints), "checkpoints made" },
	{ "checkpoint_failures", COUNTER, NUMBER_AT(offsets.checkpoint_failures), "checkpoints that failed" },
	{ "appends", COUNTER, NUMBER_AT(store.appended_messages), "messages stored since the mount" },
	{ "appended_bytes", COUNTER, NUMBER_AT(store.appended_bytes), "bytes of the log they took" },
	{ "flushes", COUNTER, NUMBER_AT(store.flushes), "syncs of the log" },
	{ "failed", GAUGE, NUMBER_AT(failed), "1: a sync failed, no more appends until mounted again" },
	{ "disk_full", GAUGE, NUMBER_AT(disk_full), "1: appends are refused until space returns" },
	{ "disk_used_percent", GAUGE, NUMBER_AT(disk_used_percent), "use of the store's disk" },
	{ "retention", WORDS, 0, say_retention, "what retention did last, and altogether" },
	{ "retention_rounds", COUNTER, NUMBER_AT(store.retention_rounds), "how often old segments were looked for" },
	{ "removed_segments", COUNTER, NUMBER_AT(store.removed_segments), "segments removed since the mount" },
	{ "removed_bytes", COUNTER, NUMBER_AT(store.removed_bytes), "bytes that freed" },
	{ "cuts", COUNTER, NUMBER_AT(store.cuts), "how often the log was cut, not being the master's" },
	{ "cut_bytes", COUNTER, NUMBER_AT(store.cut_bytes), "bytes that were cut" },
	{ "clock", WORDS, 0, say_clock, "how far the clock is believed" },
	{ "clock_backs", COUNTER, NUMBER_AT(store.clock_backs), "how often store times went back with the clock" },
	{ "heads_moved", COUNTER, NUMBER_AT(store.heads_moved), "moves of queues' first messages since the mount" },
	{ "segments", GAUGE, NUMBER_AT(store.segments), "files of the log" },
	{ "queues", GAUGE, NUMBER_AT(store.queues), "queues with messages" },
	{ "topics", GAUGE, NUMBER_AT(offsets.topics), "topics" },
	{ "groups", GAUGE, NUMBER_AT(offsets.groups), "groups" },
	{ "subscriptions", GAUGE, NUMBER_AT(offsets.subscriptions), "subscriptions" },
	{ "offsets_clamped", COUNTER, NUMBER_AT(offsets.offsets_clamped), "offsets moved into what their queue holds" },
	{ "timer_wheel_waiting", GAUGE, NUMBER_AT(wheel_waiting),
	  "messages found waiting in RocketMQ 5's timer wheel, which mqfs does not deliver" },
	{ "delayed", GAUGE, NUMBER_AT(delays.pending), "messages that are delivered later" },
	{ "delayed_next", GAUGE, NUMBER_AT(delayed_next_ms), "when the next of them is due, ms since 1970; 0: there is none" },
	{ "delayed_late", GAUGE, NUMBER_AT(delayed_late_ms), "ms since then, if it has come" },
	{ "delayed_delivered", COUNTER, NUMBER_AT(delays.delivered), "messages that were delivered later, since the mount" },
	{ "debts", GAUGE, NUMBER_AT(offsets.debts), "commits of this slave that its master's log does not have yet" },
	{ "lostfound_pieces", GAUGE, NUMBER_AT(lost.pieces), "pieces in lost+found, each with a note" },
	{ "lostfound_bytes", GAUGE, NUMBER_AT(lost.bytes), "bytes of the log in them" },
	{ "scrub_passes", COUNTER, NUMBER_AT(scrub.passes), "times that all sealed segments were checked" },
	{ "scrub_due", GAUGE, NUMBER_AT(scrub.due), "sealed segments that are to be checked now" },
	{ "scrub_checked", GAUGE, NUMBER_AT(scrub.oldest_ms), "all were checked since then, ms since 1970; 0: not yet" },
	{ "scrub_read_bytes", COUNTER, NUMBER_AT(scrub.read_bytes), "bytes of sealed segments read for their sums" },
	{ "scrub_bad_ranges", GAUGE, NUMBER_AT(scrub.bad_ranges), "ranges of the log that the disk has lost" },
	{ "scrub_bad_bytes", GAUGE, NUMBER_AT(scrub.bad_bytes), "bytes in them" },
	{ "scrub_bad_messages", GAUGE, NUMBER_AT(scrub.bad_messages), "messages in them" },
	{ "scrub_healed_ranges", COUNTER, NUMBER_AT(scrub.healed_ranges), "ranges that were bad and are good again" },
	{ "scrub_healed_bytes", COUNTER, NUMBER_AT(scrub.healed_bytes), "bytes in them" },
	{ "open_files", GAUGE, NUMBER_AT(open_files), "open files and directories" },
	{ "waiting_requests", GAUGE, NUMBER_AT(waiting_requests), "requests that wait for a message or the disk" },
	{ "passthrough", GAUGE, NUMBER_AT(passthrough), "1: the kernel reads sealed segments itself" },
	{ "recovery", WORDS, 0, say_recovery, "what the last mount found" },
	{ "recovered_records", GAUGE, NUMBER_AT(recovery.records), "records read again at the mount" },
	{ "recovered_cut_bytes", GAUGE, NUMBER_AT(recovery.cut_bytes), "bytes cut from the log at the mount" },
	{ "recovered_clean", GAUGE, NUMBER_AT(clean), "1: the last exit was clean" },
};

#define N_VALUES (sizeof(values) / sizeof(values[0]))

static bool
is_of_lost(const struct value *v)
{
	return v->kind != WORDS && v->at >= offsetof(struct status, lost) &&
	       v->at < offsetof(struct status, lost) + sizeof(struct lostfound_stats);
}

static int64_t
value_number(const struct value *v, const struct status *s)
{
	int64_t n;

	memcpy(&n, (const char *)s + v->at, sizeof(n));
	return n;
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

/* Prometheus' text format. */
static int
render_metrics(struct mount *m, struct text *t)
{
	struct status s;

	status_gather(m, &s);
	gather_lost(m, &s);
	for (size_t i = 0; i < N_VALUES; i++) {
		const struct value *v = &values[i];
		const char *total = v->kind == COUNTER ? "_total" : "";

		if (v->kind == WORDS)
			continue;
		text_printf(t, "# HELP mqfs_%s%s %s\n# TYPE mqfs_%s%s %s\nmqfs_%s%s %" PRId64 "\n", v->name, total,
			    v->help, v->name, total, v->kind == COUNTER ? "counter" : "gauge", v->name, total,
			    value_number(v, &s));
	}
	return MQ_OK;
}

static json_t *
value_json(struct mount *m, const struct value *v, const struct status *s)
{
	struct text words = { 0 };
	json_t *json;

	if (v->kind != WORDS)
		return json_integer(value_number(v, s));
	v->say(m, s, &words);
	json = json_stringn_nocheck(words.buf ? words.buf : "", words.len);
	text_free(&words);
	return json;
}

static int
render_json(struct mount *m, struct text *t)
{
	json_t *all = json_object();
	AUTO_FREE char *dump = NULL;
	struct status s;

	status_gather(m, &s);
	gather_lost(m, &s);
	for (size_t i = 0; i < N_VALUES; i++)
		json_object_set_new(all, values[i].name, value_json(m, &values[i], &s));
	dump = json_dumps(all, JSON_INDENT(2));
	json_decref(all);
	if (!dump)
		return -ENOMEM;
	text_printf(t, "%s\n", dump);
	return MQ_OK;
}

static const struct whole {
	const char *name;
	int (*render)(struct mount *m, struct text *t);
} wholes[] = {
	{ "log", render_log },
	{ "metrics.prom", render_metrics },
	{ "scrub", scrubbing_render },
	{ "status.json", render_json },
};

#define N_WHOLES (sizeof(wholes) / sizeof(wholes[0]))

/* --- status/ -------------------------------------------------------------------------------------- */

static const char *
name_of(size_t id)
{
	return id < N_VALUES ? values[id].name : wholes[id - N_VALUES].name;
}

static int
status_lookup(struct mount *m, const struct node *dir, const char *name, struct node *ret_child)
{
	(void)dir;
	if (strcmp(name, "replication") == 0)
		return node_make(m, NODE_REPLICATION, 0, 0, 0, ret_child);
	for (uint32_t id = 0; id < N_VALUES + N_WHOLES; id++)
		if (strcmp(name_of(id), name) == 0)
			return node_make(m, NODE_STATUS_FILE, id, 0, 0, ret_child);
	return -ENOENT;
}

static int
status_list(struct mount *m, const struct node *dir, struct lister *l)
{
	(void)m, (void)dir;
	lister_add(l, "replication", node_ino(NODE_REPLICATION, 0, 0, 0));
	for (uint32_t id = 0; id < N_VALUES + N_WHOLES; id++)
		lister_add(l, name_of(id), node_ino(NODE_STATUS_FILE, id, 0, 0));
	return MQ_OK;
}

const struct node_class node_status = {
	.what = "status",
	.attr = node_attr_dir,
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
	if (v->kind == WORDS)
		v->say(m, &s, t);
	else
		text_printf(t, "%" PRId64, value_number(v, &s));
	text_add(t, "\n", 1);
	return MQ_OK;
}

static int
status_file_attr(struct mount *m, const struct node *n, struct stat *st, double *ret_timeout)
{
	stat_set_ms(st, clock_wall_ms());
	return node_attr_text(m, n, st, ret_timeout);
}

const struct node_class node_status_file = {
	.what = "status value",
	.attr = status_file_attr,
	.render = status_file_render,
};
