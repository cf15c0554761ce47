#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "conf/scope.h"
#include "fs/node.h"
#include "fs/scrubbing.h"
#include "repl/read_log.h"
#include "repl/replication.h"
#include "store/scrub.h"

#define BAD_SHOWN 256

/* --- healing ------------------------------------------------------------------- */

static bool
has_master(void *arg)
{
	struct mount *m = arg;

	return m->settings->brokerRole == SLAVE && m->replication && replication_has_master(m->replication);
}

static int
ask_master(void *arg, mq_pos from, mq_pos at, void *buf, size_t size, size_t *ret_n)
{
	struct mount *m = arg;

	if (!has_master(m))
		return err_note(-ENOTCONN, "there is no master to ask");
	return read_log(m->replication, from, at, buf, size, ret_n);
}

/* Let the kernel drop its cache of the segment, in commitlog/ and in each snapshot. */
static void
forget_cached(void *arg, mq_pos base)
{
	struct mount *m = arg;
	fuse_ino_t ino = node_ino_wide(NODE_SEGMENT, (uint64_t)base.byte);
	struct snapshot *s;

	(void)fuse_lowlevel_notify_inval_inode(m->session, ino, 0, 0);
	for (size_t i = 0; (s = snapshot_at(m->snapshots, i)); i++) {
		ino = node_snapshot_segment_ino(s, base.byte);
		(void)fuse_lowlevel_notify_inval_inode(m->session, ino, 0, 0);
	}
}

int
scrubbing_begin(struct mount *m)
{
	int rc = m->read_only ? MQ_OK : scrub_start(m->store);

	m->healer = (struct healer){
		.from = "the master", .ready = has_master, .fetch = ask_master, .healed = forget_cached, .arg = m,
	};
	if (rc == MQ_OK && !m->read_only)
		scrub_set_healer(m->store, &m->healer);
	return rc;
}

void
scrubbing_end(struct mount *m)
{
	if (m->store)
		scrub_stop(m->store);
}

/* --- status/scrub ----------------------------------------------------------------- */

static void
show_time(struct text *t, int64_t ms)
{
	time_t s = ms / 1000;
	char buf[32];
	struct tm tm;

	gmtime_r(&s, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	text_printf(t, "%s", buf);
}

static void
show_state(struct mount *m, const struct scrub_stats *s, struct text *t)
{
	int64_t bytes = store_segment_bytes(m->store);

	if (m->read_only || !s->running)
		text_printf(t, "state    off\n");
	else if (s->checking < 0)
		text_printf(t, "state    idle\n");
	else
		text_printf(t, "state    reading %020" PRId64 ", %d %%\n", s->checking,
			    (int)(s->at >= bytes ? 100 : s->at * 100 / bytes));
}

static void
show_passes(const struct scrub_stats *s, struct text *t)
{
	text_printf(t, "sealed   %" PRId64 " segments, %" PRId64 " to be read now\nchecked  ", s->sealed, s->due);
	if (s->oldest_ms) {
		text_printf(t, "all since ");
		show_time(t, s->oldest_ms);
	} else {
		text_printf(t, s->sealed ? "not yet all" : "nothing is sealed yet");
	}
	text_printf(t, "\npasses   %" PRId64, s->passes);
	if (s->passes) {
		text_printf(t, ", the last ended ");
		show_time(t, s->pass_ms);
	}
	text_printf(t, "\nread     %" PRId64 " bytes\n", s->read_bytes);
}

static void
show_bad(const struct scrub_bad *b, struct text *t)
{
	text_printf(t, "%" PRId64 "..%" PRId64 ": %" PRId64 " bytes, %" PRId64 " messages%s%s: %s%s%s\n",
		    b->pos.byte, b->pos.byte + b->bytes, b->bytes, b->messages, b->messages ? ": " : "", b->names,
		    b->why, *b->trouble ? "; not healed: " : "", b->trouble);
}

int
scrubbing_render(struct mount *m, struct text *t)
{
	AUTO_FREE struct scrub_bad *bad = calloc(BAD_SHOWN, sizeof(*bad));
	struct scrub_stats s;
	size_t n;

	if (!bad)
		return -ENOMEM;
	scrub_stats(m->store, &s);
	n = scrub_bad(m->store, bad, BAD_SHOWN);
	show_state(m, &s, t);
	show_passes(&s, t);
	text_printf(t, "healed   %" PRId64 " ranges, %" PRId64 " bytes\n", s.healed_ranges, s.healed_bytes);
	text_printf(t, "bad      %" PRId64 " ranges, %" PRId64 " bytes, %" PRId64 " messages\n", s.bad_ranges,
		    s.bad_bytes, s.bad_messages);
	for (size_t i = 0; i < n; i++)
		show_bad(&bad[i], t);
	return MQ_OK;
}
