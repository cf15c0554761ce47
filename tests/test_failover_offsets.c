/* Committed offsets through everything that can happen to two brokers: a random walk,
 * and after each step the question whether any of them has moved back.
 *
 * Both brokers live in this process, each with its store.  Replication is bytes copied
 * from one log to the other, cut anywhere; the network is what this file decides.
 * MQFS_SEED and MQFS_STEPS make one walk another.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/offsets.h"
#include "tests/tree.h"

#define TOPICS 2
#define QUEUES 2
#define PLACES (TOPICS * QUEUES)
#define RESETS_MAX 64

/* Resets that may still move a broker back, once each. */
struct resets {
	int64_t to[RESETS_MAX];
	size_t n;
};

struct broker {
	char path[64];
	struct settings settings;
	struct storedir dir;
	struct store *store;		/* NULL: it is down */
	struct offsets *offsets;

	int64_t view[PLACES];		/* what it showed last */
	int64_t synced[PLACES];		/* what it must still show after a kill */
	struct resets others[PLACES];	/* made elsewhere, or here before a kill */
	struct resets own[PLACES];
	struct resets over[PLACES];	/* have moved it */
};

struct walk {
	struct broker b[2];
	int master;
	bool split;			/* the other one was master, and does not know better */
	mq_pos common;			/* split: so far both logs are one */
	bool linked;
	uint64_t random;
	int64_t exact[PLACES];		/* where all must come to, -1: who knows */
	int64_t steps, kills, promotions, resets, refused;
};

/* --- chance ------------------------------------------------------------------------- */

static uint64_t
chance(struct walk *w, uint64_t n)
{
	w->random ^= w->random << 13;
	w->random ^= w->random >> 7;
	w->random ^= w->random << 17;
	return w->random % n;
}

static void resets_move(struct resets *from, struct resets *to);

/* --- brokers ------------------------------------------------------------------------ */

static void
broker_open(struct broker *b)
{
	struct store_checkpoint cp;

	assert_int_equal(storedir_open(b->path, false, 0, &b->dir), MQ_OK);
	assert_int_equal(storedir_begin(&b->dir), MQ_OK);
	assert_int_equal(offsets_open(&b->settings, &b->dir, &b->offsets, &cp), MQ_OK);
	assert_int_equal(store_open(&b->settings, &b->dir, &cp, &b->store), MQ_OK);
	store_checkpoint_free(&cp);
	assert_int_equal(offsets_start(b->offsets, b->store), MQ_OK);
}

static void
broker_close(struct broker *b)
{
	assert_int_equal(offsets_close(b->offsets), MQ_OK);
	store_close(b->store);
	assert_int_equal(storedir_end(&b->dir), MQ_OK);
	storedir_close(&b->dir);
	b->store = NULL;
}

static void
sh(const char *fmt, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

/* What a machine would find is copied, and the copy is the store from here on. */
static void
broker_kill(struct broker *b)
{
	sh("cp -r '%s' '%s.killed'", b->path, b->path);
	broker_close(b);
	sh("rm -rf '%s' && mv '%s.killed' '%s'", b->path, b->path, b->path);
	for (int p = 0; p < PLACES; p++) {
		resets_move(&b->own[p], &b->others[p]);
		b->view[p] = b->synced[p];
	}
}

static void
broker_setup(struct broker *b)
{
	const char *const settings[][2] = {
		{ "mappedFileSizeCommitLog", "16M" }, { "maxIndexNum", "1000" }, { "maxHashSlotNum", "100" },
		{ "flushIntervalConsumeQueue", "3600000" },	/* the walk says when */
		{ "flushConsumerOffsetInterval", "3600000" },
	};

	snprintf(b->path, sizeof(b->path), "/tmp/mqfs-test-failover.XXXXXX");
	assert_non_null(mkdtemp(b->path));
	assert_int_equal(settings_init(&b->settings), MQ_OK);
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		assert_int_equal(settings_set(&b->settings, settings[i][0], settings[i][1], "test"), MQ_OK);
}

static struct broker *
the_master(struct walk *w)
{
	return &w->b[w->master];
}

static struct broker *
the_other(struct walk *w)
{
	return &w->b[!w->master];
}

static struct subscription *
place_of(struct broker *b, int p)
{
	const char *name = p / QUEUES ? "b" : "a";
	struct group *g = group_find(b->offsets, "g");
	struct topic *t = topic_find(b->offsets, name);

	return g && t ? subscription_find(b->offsets, g, t) : NULL;
}

static int64_t
view(struct broker *b, int p)
{
	mq_qoff at = MQ_QOFF(-1);

	assert_int_equal(committed(b->offsets, place_of(b, p), p % QUEUES, &at), MQ_OK);
	return at.n;
}

static int64_t
queue_length(struct broker *b, int p)
{
	struct queue *q = store_queue(b->store, p / QUEUES ? "b" : "a", p % QUEUES);

	return q ? queue_end(q).n : 0;
}

static void
produce(struct broker *b, int p, int n)
{
	const char *topic = p / QUEUES ? "b" : "a";
	struct batch batch;
	struct appended at;
	struct queue *q;

	batch_init(&batch);
	for (int i = 0; i < n; i++)
		assert_int_equal(batch_add(&batch, &(struct message){
			.body = "x", .body_len = 1, .topic = topic, .topic_len = 1, .props = "",
			.queue_id = p % QUEUES }), MQ_OK);
	assert_int_equal(store_queue_make(b->store, topic, p % QUEUES, &q), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(b->store, q, &batch, &at), MQ_OK);
	queue_append_end(q);
	batch_free(&batch);
}

/* --- what must hold ------------------------------------------------------------------- */

static void
resets_add(struct resets *r, int64_t to)
{
	if (r->n < RESETS_MAX)
		r->to[r->n++] = to;
}

static void
resets_move(struct resets *from, struct resets *to)
{
	for (size_t i = 0; i < from->n; i++)
		resets_add(to, from->to[i]);
	from->n = 0;
}

/* Has a reset moved it to `at`, or before it was committed on?  It may do so once. */
static bool
resets_explain(struct resets *r, int64_t at, struct resets *over)
{
	size_t best = r->n;

	for (size_t i = 0; i < r->n; i++)
		if (r->to[i] <= at && (best == r->n || r->to[i] > r->to[best]))
			best = i;
	if (best == r->n)
		return false;
	resets_add(over, r->to[best]);
	r->to[best] = r->to[--r->n];
	return true;
}

static void
look(struct walk *w, const char *after)
{
	for (int i = 0; i < 2; i++) {
		struct broker *b = &w->b[i];

		for (int p = 0; b->store && p < PLACES; p++) {
			int64_t now = view(b, p);

			if (now < b->view[p] && !resets_explain(&b->others[p], now, &b->over[p]))
				fail_msg("step %" PRId64 " (%s): broker %d place %d moved back from %" PRId64
					 " to %" PRId64, w->steps, after, i, p, b->view[p], now);
			if (now < b->view[p] && now < b->synced[p])
				b->synced[p] = now;
			b->view[p] = now;
		}
	}
}

/* --- steps ------------------------------------------------------------------------------- */

static struct broker *
any_up(struct walk *w)
{
	struct broker *b = &w->b[chance(w, 2)];

	return b->store ? b : the_master(w)->store ? the_master(w) : the_other(w)->store ? the_other(w) : NULL;
}

static void
step_commit(struct walk *w)
{
	struct broker *b = any_up(w);
	int p = (int)chance(w, PLACES);
	int64_t to;

	if (!b)
		return;
	to = view(b, p) + 1 + (int64_t)chance(w, 20);
	assert_int_equal(commit_forward(b->offsets, place_of(b, p), p % QUEUES, MQ_QOFF(to)), MQ_OK);
	w->exact[p] = -1;
}

static void
step_reset(struct walk *w)
{
	struct broker *b = any_up(w);
	int p = (int)chance(w, PLACES);
	int64_t to, was;
	int rc;

	if (!b)
		return;
	was = view(b, p);
	to = (int64_t)chance(w, (uint64_t)queue_length(b, p) + 1);
	if (chance(w, 2))
		rc = commit_reset(b->offsets, place_of(b, p), p % QUEUES, MQ_QOFF(to), NULL);
	else
		rc = commit_compare(b->offsets, place_of(b, p), p % QUEUES, MQ_QOFF(was), MQ_QOFF(to));
	assert_int_equal(rc, MQ_OK);
	assert_int_equal(view(b, p), to);
	b->view[p] = to;
	if (b->synced[p] > to)
		b->synced[p] = to;
	resets_add(&b->own[p], to);
	resets_add(&w->b[b == &w->b[0]].others[p], to);
	w->exact[p] = w->exact[p] == INT64_MAX ? to : -1;	/* the only one since all was quiet */
	w->resets++;
}

static bool
can_talk(struct walk *w)
{
	return w->linked && !w->split && w->b[0].store && w->b[1].store;
}

/* The next n bytes of the log. */
static void
replicate(struct walk *w, int64_t n)
{
	struct broker *m = the_master(w), *s = the_other(w);
	mq_pos at = mark_at(store_written(s->store));
	AUTO_FREE char *buf = malloc((size_t)n);
	size_t got = 0;

	assert_non_null(buf);
	assert_int_equal(store_read_raw(m->store, at, buf, (size_t)n, &got), MQ_OK);
	if (got)
		assert_int_equal(store_append_raw(s->store, at, buf, got), MQ_OK);
	assert_int_equal(offsets_follow(s->offsets), MQ_OK);
}

static int64_t
behind(struct walk *w)
{
	return mark_at(store_written(the_master(w)->store)).byte - mark_at(store_written(the_other(w)->store)).byte;
}

static void
step_replicate(struct walk *w)
{
	if (can_talk(w) && behind(w) > 0)
		replicate(w, 1 + (int64_t)chance(w, (uint64_t)behind(w)));
}

/* A commit goes to the master; `luck` of four: it, or its answer, is lost. */
static void
deliver(struct walk *w, uint64_t luck)
{
	struct debt debts[3];
	size_t n = debts_due(the_other(w)->offsets, debts, 3);

	for (size_t i = 0; i < n; i++) {
		struct offsets *m = the_master(w)->offsets;
		struct subscription *sub = subscription_find(m, group_find(m, debts[i].group),
							     topic_find(m, debts[i].topic));
		uint64_t lost = luck ? chance(w, luck) : 4;

		if (lost != 0)
			assert_int_equal(commit_from_slave(m, sub, debts[i].queue_id, debts[i].to, debts[i].seen,
							   debts[i].reset), MQ_OK);
		debts_answer(the_other(w)->offsets, &debts[i], lost < 2 ? DEBT_UNHEARD : DEBT_TAKEN);
		look(w, "delivered");
	}
}

static void
step_deliver(struct walk *w)
{
	if (can_talk(w))
		deliver(w, 4);
}

static bool
is_master(struct walk *w, const struct broker *b)
{
	return b->settings.brokerRole != SLAVE || (w->split && b == the_other(w));
}

/* fsync, as the mount does it. */
static void
step_sync(struct walk *w)
{
	struct broker *b = any_up(w);
	int64_t unused;
	mq_pos end;

	if (!b)
		return;
	if (is_master(w, b)) {
		assert_int_equal(commit_sync(b->offsets, place_of(b, 0), &end), MQ_OK);
		assert_int_equal(store_flush(b->store, end), MQ_OK);
	} else {
		assert_int_equal(debts_keep(b->offsets, place_of(b, 0), &unused), MQ_OK);
	}
	for (int p = 0; p < PLACES; p++) {
		b->synced[p] = view(b, p);
		if (b->own[p].n)	/* so a kill cannot undo it, only the log say it again: */
			b->own[p].n = is_master(w, b) ? 0 : b->own[p].n;
	}
}

static void
step_checkpoint(struct walk *w)
{
	struct broker *b = any_up(w);

	if (b)
		assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
}

static void
step_produce(struct walk *w)
{
	if (the_master(w)->store)
		produce(the_master(w), (int)chance(w, PLACES), 1 + (int)chance(w, 30));
}

static void
come_back(struct walk *w, struct broker *b)
{
	broker_open(b);
	if (can_talk(w))
		debts_due_again(the_other(w)->offsets);
}

static void
step_kill(struct walk *w)
{
	struct broker *b = any_up(w);

	if (!b)
		return;
	broker_kill(b);
	memset(w->exact, 0xff, sizeof(w->exact));
	w->kills++;
	if (chance(w, 2))
		come_back(w, b);
}

static void
step_restart(struct walk *w)
{
	struct broker *b = &w->b[chance(w, 2)];

	if (b->store)
		broker_close(b);
	come_back(w, b);
}

static void
step_link(struct walk *w)
{
	w->linked = !w->linked;
	if (can_talk(w))
		debts_due_again(the_other(w)->offsets);
}

/* The slave becomes the master; the old one may go on, not knowing of it. */
static void
step_promote(struct walk *w)
{
	struct broker *s = the_other(w);

	if (w->split || !s->store)
		return;
	store_refuse(s->store, -EROFS);
	assert_int_equal(store_cut_torn(s->store, "it came in part"), MQ_OK);
	w->common = mark_at(store_written(s->store));
	assert_int_equal(offsets_promote(s->offsets), MQ_OK);
	s->settings.brokerRole = ASYNC_MASTER;
	offsets_promoted(s->offsets);
	w->master = !w->master;
	w->split = true;
	w->promotions++;
	memset(w->exact, 0xff, sizeof(w->exact));
}

/* It hears that it is the master no more, while it runs, or at its next start. */
static void
demote(struct walk *w, struct broker *b)
{
	uint64_t how = b->store ? chance(w, 3) : 2;

	if (how == 0) {
		offsets_demote(b->offsets);
		b->settings.brokerRole = SLAVE;
		store_refuse(b->store, MQ_EROLE);
		return;
	}
	if (how == 1)
		broker_kill(b);
	else if (b->store)
		broker_close(b);
	b->settings.brokerRole = SLAVE;
	broker_open(b);
}

/* What only the old master's log has is cut. */
static void
step_return(struct walk *w)
{
	struct broker *old = the_other(w);

	if (!w->split)
		return;
	demote(w, old);
	look(w, "returns");
	assert_int_equal(offsets_cut(old->offsets, w->common, "it was not the master any more"), MQ_OK);
	w->split = false;
	if (can_talk(w))
		debts_due_again(old->offsets);
	for (int p = 0; p < PLACES; p++) {	/* what is gone nobody has consumed */
		int64_t end = queue_length(old, p);

		resets_move(&old->over[p], &old->others[p]);	/* the new master's log may say so, too */
		old->view[p] = old->view[p] < end ? old->view[p] : end;
		old->synced[p] = old->synced[p] < end ? old->synced[p] : end;
	}
}

/* Everything is up and heard; then all say the same. */
static void
step_quiet(struct walk *w)
{
	struct offsets_stats stats;

	step_return(w);
	for (int i = 0; i < 2; i++)
		if (!w->b[i].store)
			broker_open(&w->b[i]);
	w->linked = true;
	debts_due_again(the_other(w)->offsets);
	for (int round = 0; round < 10; round++) {
		deliver(w, 0);
		deliver(w, 0);
		assert_int_equal(commit_sync(the_master(w)->offsets, place_of(the_master(w), 0), NULL), MQ_OK);
		while (behind(w) > 0)
			replicate(w, behind(w));
		look(w, "replicated");
	}
	offsets_stats(the_other(w)->offsets, &stats);
	assert_int_equal(stats.debts, 0);
	for (int p = 0; p < PLACES; p++) {
		assert_int_equal(view(&w->b[0], p), view(&w->b[1], p));
		if (w->exact[p] >= 0 && w->exact[p] != INT64_MAX)
			assert_int_equal(view(&w->b[0], p), w->exact[p]);
		w->exact[p] = INT64_MAX;
		for (int i = 0; i < 2; i++)
			w->b[i].own[p].n = w->b[i].others[p].n = w->b[i].over[p].n = 0;
	}
}

static const struct {
	const char *name;
	void (*step)(struct walk *w);
	unsigned share;			/* of a thousand */
} steps[] = {
	{ "commit", step_commit, 412 }, { "reset", step_reset, 70 }, { "replicate", step_replicate, 150 },
	{ "deliver", step_deliver, 150 }, { "sync", step_sync, 80 }, { "produce", step_produce, 40 },
	{ "checkpoint", step_checkpoint, 20 }, { "kill", step_kill, 15 }, { "restart", step_restart, 15 },
	{ "link", step_link, 12 }, { "promote", step_promote, 12 }, { "return", step_return, 14 },
	{ "quiet", step_quiet, 10 },
};

static void
step(struct walk *w)
{
	unsigned at = (unsigned)chance(w, 1000);
	size_t i = 0;

	while (at >= steps[i].share)
		at -= steps[i++].share;
	w->steps++;
	steps[i].step(w);
	look(w, steps[i].name);
}

/* --- walks --------------------------------------------------------------------------------- */

static void
begin(struct walk *w)
{
	struct broker *m = the_master(w);
	struct topic_conf topic;
	struct group_conf group;
	struct group *g = NULL;

	broker_open(m);
	group_conf_default(&group, "g");
	assert_int_equal(group_create(m->offsets, &group, &g, NULL), MQ_OK);
	for (int i = 0; i < TOPICS; i++) {
		struct topic *t = NULL;

		topic_conf_default(&topic, i ? "b" : "a", QUEUES);
		assert_int_equal(topic_create(m->offsets, &topic, &t, NULL), MQ_OK);
		assert_int_equal(subscription_create(m->offsets, g, t, NULL, NULL), MQ_OK);
	}
	for (int p = 0; p < PLACES; p++)
		produce(m, p, 100);
	the_other(w)->settings.brokerRole = SLAVE;
	broker_open(the_other(w));
	w->linked = true;
	step_quiet(w);
}

static int64_t
from_environment(const char *name, int64_t dflt)
{
	const char *text = getenv(name);

	return text ? strtoll(text, NULL, 10) : dflt;
}

static void
walk_along(int64_t seed, int64_t n)
{
	struct walk w = { .random = (uint64_t)seed * 0x9e3779b97f4a7c15 + 1 };

	log_open("test", LOG_TO_STDERR, LOG_CRIT);
	broker_setup(&w.b[0]);
	broker_setup(&w.b[1]);
	begin(&w);
	print_message("seed %" PRId64 ", %" PRId64 " steps\n", seed, n);
	while (w.steps < n)
		step(&w);
	step_quiet(&w);
	assert_true(n < 1000 || (w.resets > 0 && w.kills > 0 && w.promotions > 0));
	for (int i = 0; i < 2; i++) {
		broker_close(&w.b[i]);
		tree_remove(w.b[i].path);
		settings_free(&w.b[i].settings);
	}
}

static void
no_offset_moves_back_but_by_a_reset(void **state)
{
	int64_t seed = from_environment("MQFS_SEED", 1), n = from_environment("MQFS_STEPS", 1500);

	(void)state;
	walk_along(seed, n);
	walk_along(seed + 1, n);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_offset_moves_back_but_by_a_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
