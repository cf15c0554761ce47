/* Committed offsets through everything that can happen to two brokers: a random walk,
 * and after each step the question whether any of them has moved back.
 *
 * Both brokers live in this process, each with its store.  Replication is bytes copied
 * from one log to the other, cut anywhere; the network is what this file decides.
 * MQFS_SEED and MQFS_STEPS make one walk another.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/offsets.h"
#include "tests/broker_kit.h"

#define TOPICS 2
#define QUEUES 2
#define PLACES (TOPICS * QUEUES)
#define RESETS_MAX 64

/* Resets that may still move a broker back, once each. */
struct resets {
	int64_t to[RESETS_MAX];
	size_t n;
};

struct side {
	struct broker b;		/* not open: it is down */
	int64_t view[PLACES];		/* what it showed last */
	int64_t synced[PLACES];		/* what it must still show after a kill */
	struct resets others[PLACES];	/* made elsewhere, or here before a kill */
	struct resets own[PLACES];
	struct resets over[PLACES];	/* have moved it */
};

struct walk {
	struct side side[2];
	int master;
	bool split;			/* the other one was master, and does not know better */
	mq_pos common;			/* split: so far both logs are one */
	bool linked;
	uint64_t random;
	int64_t exact[PLACES];		/* where all must come to, -1: who knows */
	int64_t steps, kills, promotions, resets;
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

/* What they were told but not asked to keep is gone. */
static void
side_kill(struct side *s)
{
	broker_kill(&s->b);
	for (int p = 0; p < PLACES; p++) {
		resets_move(&s->own[p], &s->others[p]);
		s->view[p] = s->synced[p];
	}
}

static struct side *
the_master(struct walk *w)
{
	return &w->side[w->master];
}

static struct side *
the_other(struct walk *w)
{
	return &w->side[!w->master];
}

static const char *
topic_of(int p)
{
	return p / QUEUES ? "b" : "a";
}

static struct subscription *
place_of(struct side *s, int p)
{
	return broker_subscription(&s->b, "g", topic_of(p));
}

static int64_t
view(struct side *s, int p)
{
	return broker_committed(&s->b, place_of(s, p), p % QUEUES);
}

static int64_t
queue_length(struct side *s, int p)
{
	struct queue *q = store_queue(s->b.store, topic_of(p), p % QUEUES);

	return q ? queue_end(q).n : 0;
}

static void
produce(struct side *s, int p, int n)
{
	broker_produce(&s->b, topic_of(p), p % QUEUES, n);
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
		struct side *s = &w->side[i];

		for (int p = 0; s->b.store && p < PLACES; p++) {
			int64_t now = view(s, p);

			if (now < s->view[p] && !resets_explain(&s->others[p], now, &s->over[p]))
				fail_msg("step %" PRId64 " (%s): broker %d place %d moved back from %" PRId64
					 " to %" PRId64, w->steps, after, i, p, s->view[p], now);
			if (now < s->view[p] && now < s->synced[p])
				s->synced[p] = now;
			s->view[p] = now;
		}
	}
}

/* --- steps ------------------------------------------------------------------------------- */

static struct side *
any_up(struct walk *w)
{
	struct side *s = &w->side[chance(w, 2)];

	return s->b.store ? s : the_master(w)->b.store ? the_master(w) : the_other(w)->b.store ? the_other(w) : NULL;
}

static void
step_commit(struct walk *w)
{
	struct side *s = any_up(w);
	int p = (int)chance(w, PLACES);
	int64_t to;

	if (!s)
		return;
	to = view(s, p) + 1 + (int64_t)chance(w, 20);
	assert_int_equal(commit_forward(s->b.offsets, place_of(s, p), p % QUEUES, MQ_QOFF(to)), MQ_OK);
	w->exact[p] = -1;
}

static void
step_reset(struct walk *w)
{
	struct side *s = any_up(w);
	int p = (int)chance(w, PLACES);
	int64_t to, was;
	int rc;

	if (!s)
		return;
	was = view(s, p);
	to = (int64_t)chance(w, (uint64_t)queue_length(s, p) + 1);
	if (chance(w, 2))
		rc = commit_reset(s->b.offsets, place_of(s, p), p % QUEUES, MQ_QOFF(to), NULL);
	else
		rc = commit_compare(s->b.offsets, place_of(s, p), p % QUEUES, MQ_QOFF(was), MQ_QOFF(to));
	assert_int_equal(rc, MQ_OK);
	assert_int_equal(view(s, p), to);
	s->view[p] = to;
	if (s->synced[p] > to)
		s->synced[p] = to;
	resets_add(&s->own[p], to);
	resets_add(&w->side[s == &w->side[0]].others[p], to);
	w->exact[p] = w->exact[p] == INT64_MAX ? to : -1;	/* the only one since all was quiet */
	w->resets++;
}

static bool
can_talk(struct walk *w)
{
	return w->linked && !w->split && w->side[0].b.store && w->side[1].b.store;
}

/* The next n bytes of the log. */
static void
replicate(struct walk *w, int64_t n)
{
	struct side *m = the_master(w), *s = the_other(w);
	mq_pos at = broker_written(&s->b);
	AUTO_FREE char *buf = malloc((size_t)n);
	size_t got = 0;

	assert_non_null(buf);
	assert_int_equal(store_read_raw(m->b.store, at, buf, (size_t)n, &got), MQ_OK);
	if (got)
		assert_int_equal(store_append_raw(s->b.store, at, buf, got), MQ_OK);
	assert_int_equal(offsets_follow(s->b.offsets), MQ_OK);
}

static int64_t
behind(struct walk *w)
{
	return broker_written(&the_master(w)->b).byte - broker_written(&the_other(w)->b).byte;
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
	struct slave_commit commits[3];
	size_t n = slave_commits_due(the_other(w)->b.offsets, commits, 3);

	for (size_t i = 0; i < n; i++) {
		struct offsets *m = the_master(w)->b.offsets;
		struct subscription *sub = subscription_find(m, group_find(m, commits[i].group),
							     topic_find(m, commits[i].topic));
		uint64_t lost = luck ? chance(w, luck) : 4;

		if (lost != 0)
			assert_int_equal(commit_from_slave(m, sub, commits[i].queue_id, commits[i].to, commits[i].seen,
							   commits[i].reset), MQ_OK);
		slave_commits_answer(the_other(w)->b.offsets, &commits[i],
				     lost < 2 ? SLAVE_COMMIT_UNANSWERED : SLAVE_COMMIT_TAKEN);
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
is_master(struct walk *w, const struct side *s)
{
	return s->b.settings.brokerRole != SLAVE || (w->split && s == the_other(w));
}

/* fsync of a consumer of each topic, as the mount does it. */
static mq_pos
sync_all(struct side *s)
{
	mq_pos end = MQ_POS(0);

	for (int p = 0; p < PLACES; p += QUEUES)
		assert_int_equal(commit_sync(s->b.offsets, place_of(s, p), &end), MQ_OK);
	return end;
}

static void
step_sync(struct walk *w)
{
	struct side *s = any_up(w);
	int64_t unused;

	if (!s)
		return;
	if (is_master(w, s)) {
		assert_int_equal(store_flush(s->b.store, sync_all(s)), MQ_OK);
	} else {
		assert_int_equal(slave_commits_keep(s->b.offsets, place_of(s, 0), &unused), MQ_OK);
	}
	for (int p = 0; p < PLACES; p++) {
		s->synced[p] = view(s, p);
		if (s->own[p].n)	/* so a kill cannot undo it, only the log say it again: */
			s->own[p].n = is_master(w, s) ? 0 : s->own[p].n;
	}
}

static void
step_checkpoint(struct walk *w)
{
	struct side *s = any_up(w);

	if (s)
		assert_int_equal(offsets_checkpoint(s->b.offsets), MQ_OK);
}

static void
step_produce(struct walk *w)
{
	if (the_master(w)->b.store)
		produce(the_master(w), (int)chance(w, PLACES), 1 + (int)chance(w, 30));
}

static void
come_back(struct walk *w, struct side *s)
{
	broker_open(&s->b);
	if (can_talk(w))
		slave_commits_all_due(the_other(w)->b.offsets);
}

static void
step_kill(struct walk *w)
{
	struct side *s = any_up(w);

	if (!s)
		return;
	side_kill(s);
	memset(w->exact, 0xff, sizeof(w->exact));
	w->kills++;
	if (chance(w, 2))
		come_back(w, s);
}

static void
step_restart(struct walk *w)
{
	struct side *s = &w->side[chance(w, 2)];

	if (s->b.store)
		broker_close(&s->b);
	come_back(w, s);
}

static void
step_link(struct walk *w)
{
	w->linked = !w->linked;
	if (can_talk(w))
		slave_commits_all_due(the_other(w)->b.offsets);
}

/* The slave becomes the master; the old one may go on, not knowing of it. */
static void
step_promote(struct walk *w)
{
	struct side *s = the_other(w);

	if (w->split || !s->b.store)
		return;
	store_refuse(s->b.store, -EROFS);
	assert_int_equal(store_cut_torn(s->b.store, "it came in part"), MQ_OK);
	w->common = broker_written(&s->b);
	assert_int_equal(offsets_promote(s->b.offsets), MQ_OK);
	s->b.settings.brokerRole = ASYNC_MASTER;
	offsets_promoted(s->b.offsets);
	w->master = !w->master;
	w->split = true;
	w->promotions++;
	memset(w->exact, 0xff, sizeof(w->exact));
}

/* It hears that it is the master no more, while it runs, or at its next start. */
static void
demote(struct walk *w, struct side *s)
{
	uint64_t how = s->b.store ? chance(w, 3) : 2;

	if (how == 0) {
		offsets_demote(s->b.offsets);
		s->b.settings.brokerRole = SLAVE;
		store_refuse(s->b.store, MQ_EROLE);
		return;
	}
	if (how == 1)
		side_kill(s);
	else if (s->b.store)
		broker_close(&s->b);
	s->b.settings.brokerRole = SLAVE;
	broker_open(&s->b);
}

/* What only the old master's log has is cut. */
static void
step_return(struct walk *w)
{
	struct side *old = the_other(w);

	if (!w->split)
		return;
	demote(w, old);
	look(w, "returns");
	assert_int_equal(offsets_cut(old->b.offsets, w->common, "it was not the master any more"), MQ_OK);
	w->split = false;
	if (can_talk(w))
		slave_commits_all_due(old->b.offsets);
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
		if (!w->side[i].b.store)
			broker_open(&w->side[i].b);
	w->linked = true;
	slave_commits_all_due(the_other(w)->b.offsets);
	for (int round = 0; round < 10; round++) {
		deliver(w, 0);
		deliver(w, 0);
		(void)sync_all(the_master(w));
		while (behind(w) > 0)
			replicate(w, behind(w));
		look(w, "replicated");
	}
	offsets_stats(the_other(w)->b.offsets, &stats);
	assert_int_equal(stats.unsettled, 0);
	for (int p = 0; p < PLACES; p++) {
		assert_int_equal(view(&w->side[0], p), view(&w->side[1], p));
		if (w->exact[p] >= 0 && w->exact[p] != INT64_MAX)
			assert_int_equal(view(&w->side[0], p), w->exact[p]);
		w->exact[p] = INT64_MAX;
		for (int i = 0; i < 2; i++)
			w->side[i].own[p].n = w->side[i].others[p].n = w->side[i].over[p].n = 0;
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
	struct side *m = the_master(w);
	struct group *g;

	broker_open(&m->b);
	g = broker_group(&m->b, "g");
	for (int p = 0; p < PLACES; p += QUEUES)
		broker_subscribe(&m->b, g, broker_topic(&m->b, topic_of(p), QUEUES));
	for (int p = 0; p < PLACES; p++)
		produce(m, p, 100);
	the_other(w)->b.settings.brokerRole = SLAVE;
	broker_open(&the_other(w)->b);
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

	for (int i = 0; i < 2; i++) {
		broker_begin(&w.side[i].b, NULL);
		broker_set(&w.side[i].b, "mappedFileSizeCommitLog", "16M");
	}
	begin(&w);
	print_message("seed %" PRId64 ", %" PRId64 " steps\n", seed, n);
	while (w.steps < n)
		step(&w);
	step_quiet(&w);
	assert_true(n < 1000 || (w.resets > 0 && w.kills > 0 && w.promotions > 0));
	for (int i = 0; i < 2; i++) {
		broker_close(&w.side[i].b);
		broker_end(&w.side[i].b);
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
