#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/thread.h"
#include "repl/commits.h"
#include "repl/replication_priv.h"

#define CALL_MS 3000
#define ROUND 32			/* commits sent before it is looked again */
#define ROUND_PAUSE_NS 5000000		/* in it commits of the same queue become one */
#define LOOK_MS 200			/* at whether the log says what became of them */
#define WAIT_MS 1000			/* for a master; after one that is busy */
#define AGAIN_MS 30000			/* a commit that is unsettled for so long is sent again */

struct commits {
	struct replication *r;
	uint64_t turn;			/* of the connection in which `sent` was, */
	int64_t starts;			/* by that mqrepld */
	int64_t again_ms;		/* all is due again */
	uint64_t nudges;
	struct thread thread;
};

/* --- serving -------------------------------------------------------------------------- */

struct place {
	struct subscription *sub;
	int64_t queue_id;
};

/* The queue that the request names.  False: *ret is the refusal. */
static bool
find_place(struct replication *r, const struct request *req, struct place *ret_place, struct answer *ret)
{
	const char *group = ext_text(req->ext, "consumerGroup"), *topic = ext_text(req->ext, "topic");
	struct offsets *o = r->broker.offsets;
	struct group *g = group_find(o, group);
	struct topic *t = topic_find(o, topic);
	struct place p = { .sub = g && t ? subscription_find(o, g, t) : NULL };

	if (!*group || !*topic || !ext_number(req->ext, "queueId", 0, INT64_MAX, &p.queue_id))
		answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good consumerGroup, topic or queueId");
	else if (!t || p.queue_id >= topic_queues(o, t))
		answer_refuse(ret, ANSWER_TOPIC_NOT_EXIST, "topic[%s] not exist", topic);
	else if (!g)
		answer_refuse(ret, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST, "group [%s] not exist", group);
	else if (!p.sub)
		answer_refuse(ret, ANSWER_SUBSCRIPTION_NOT_EXIST, "group %s has not subscribed to %s", group,
			      topic);
	else
		*ret_place = p;
	return ret->code == ANSWER_SUCCESS;
}

int
commits_serve_update(struct replication *r, const struct request *req, struct answer *ret)
{
	int64_t to, seen = INT64_MAX;
	struct place p;

	if (!find_place(r, req, &p, ret))
		return MQ_OK;
	if (!ext_number(req->ext, "commitOffset", 0, INT64_MAX, &to) ||
	    (ext_get(req->ext, "seen") && !ext_number(req->ext, "seen", 0, INT64_MAX, &seen)))
		return answer_refuse(ret, ANSWER_SYSTEM_ERROR, "no good commitOffset or seen");
	return commit_from_slave(r->broker.offsets, p.sub, (int32_t)p.queue_id, MQ_QOFF(to), seen,
				 ext_is_true(req->ext, "reset", false));
}

int
commits_serve_query(struct replication *r, const struct request *req, struct answer *ret)
{
	struct answer refusal = { 0 };
	struct place p;
	mq_qoff at;
	int rc;

	if (!find_place(r, req, &p, &refusal)) {
		if (refusal.code == ANSWER_SYSTEM_ERROR)
			*ret = refusal;
		else
			answer_refuse(ret, ANSWER_QUERY_NOT_FOUND, "%s", refusal.remark);
		return MQ_OK;
	}
	rc = committed(r->broker.offsets, p.sub, (int32_t)p.queue_id, &at);
	return rc == MQ_OK ? answer_number(ret, "offset", at.n) : rc;
}

/* --- sending --------------------------------------------------------------------------- */

static json_t *
ext_of(const struct slave_commit *d)
{
	json_t *ext = json_pack("{s:s, s:s}", "consumerGroup", d->group, "topic", d->topic);

	(void)ext_print(ext, "queueId", "%" PRId32, d->queue_id);
	return ext;
}

static int
update(struct commits *c, const struct slave_commit *d, struct answer *ret)
{
	json_auto_t *ext = ext_of(d);

	if (ext_print(ext, "commitOffset", "%" PRId64, d->to.n) != MQ_OK ||
	    ext_print(ext, "seen", "%" PRId64, d->seen) != MQ_OK ||
	    (d->reset && ext_print(ext, "reset", "true") != MQ_OK))
		return -ENOMEM;
	return replication_call(c->r, REQUEST_UPDATE_CONSUMER_OFFSET, ext, NULL, 0, CALL_MS, ret);
}

/* Has a RocketMQ master that offset already?  -errno: it could not be asked. */
static int
ask_if_there(struct commits *c, const struct slave_commit *d, bool *ret_there)
{
	json_auto_t *ext = ext_of(d);
	struct answer a = { 0 };
	int64_t offset;
	int rc;

	*ret_there = false;
	if (d->reset)
		return MQ_OK;
	rc = replication_call(c->r, REQUEST_QUERY_CONSUMER_OFFSET, ext, NULL, 0, CALL_MS, &a);
	*ret_there = rc == MQ_OK && a.code == ANSWER_SUCCESS && ext_number(a.ext, "offset", 0, INT64_MAX, &offset) &&
		     offset >= d->to.n;
	answer_clear(&a);
	return rc;
}

static enum slave_commit_answer
understand(const struct slave_commit *d, const struct answer *a, bool unlogged)
{
	switch (a->code) {
	case ANSWER_SUCCESS:
		return unlogged ? SLAVE_COMMIT_TAKEN_UNLOGGED : SLAVE_COMMIT_TAKEN;
	case ANSWER_TOPIC_NOT_EXIST:
	case ANSWER_SUBSCRIPTION_NOT_EXIST:
	case ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST:
		log_notice("the master does not take what group %s has committed of %s/q%" PRId32 ": %s",
			   d->group, d->topic, d->queue_id, a->remark);
		return SLAVE_COMMIT_REFUSED;
	default:
		return SLAVE_COMMIT_UNANSWERED;
	}
}

/* -errno: nobody is there. */
static int
send_one(struct commits *c, const struct slave_commit *d, bool unlogged, enum slave_commit_answer *ret_answer)
{
	struct answer a = { 0 };
	bool there = false;
	int rc = unlogged ? ask_if_there(c, d, &there) : MQ_OK;

	if (rc == MQ_OK && !there)
		rc = update(c, d, &a);
	if (rc == MQ_OK)
		*ret_answer = there ? SLAVE_COMMIT_TAKEN_UNLOGGED : understand(d, &a, unlogged);
	answer_clear(&a);
	return rc;
}

/* Returns how many of them the master has not answered, or does not take now. */
static size_t
send_round(struct commits *c, const struct slave_commit *list, size_t n, bool unlogged)
{
	const struct timespec pause = { .tv_nsec = ROUND_PAUSE_NS };
	size_t unanswered = 0;
	int rc = MQ_OK;

	for (size_t i = 0; i < n; i++) {
		enum slave_commit_answer answer = SLAVE_COMMIT_UNANSWERED;

		if (rc == MQ_OK)
			rc = send_one(c, &list[i], unlogged, &answer);
		slave_commits_answer(c->r->broker.offsets, &list[i], answer);
		unanswered += answer == SLAVE_COMMIT_UNANSWERED;
	}
	nanosleep(&pause, NULL);
	return unanswered;
}

/* --- the thread -------------------------------------------------------------------------- */

static const struct replication_peer *
followed_master(const struct replication *r)
{
	MUST_HOLD(&r->lock);
	const struct replication_peer *master = peers_master(&r->peers);

	return r->settings->brokerRole == SLAVE && r->ready && master && master->state == LINK_PEER_TRANSFER ?
	       master : NULL;
}

bool
replication_has_master(struct replication *r)
{
	LOCKED(&r->lock);
	return followed_master(r) != NULL;
}

/* Wait for a master.  False: the mount closes. */
static bool
wait_for_master(struct commits *c, bool *ret_anew, bool *ret_unlogged)
{
	struct replication *r = c->r;
	const struct replication_peer *master = NULL;

	LOCKED(&r->lock);
	/* asked once in a turn: the role may be another one at the next question */
	while (!r->closing && !(master = followed_master(r)))
		lock_wait(&r->lock, &r->changed, WAIT_MS);
	if (r->closing)
		return false;
	*ret_anew = master->turn != c->turn || r->starts != c->starts;
	*ret_unlogged = r->unlogged;
	c->turn = master->turn;
	c->starts = r->starts;
	return true;
}

/* No commit is due: wait until there is one, or for a while, because the log may have brought the answer. */
static void
wait_for_news(struct commits *c, mq_pos at)
{
	struct offsets *o = c->r->broker.offsets;
	struct offsets_stats stats;

	offsets_stats(o, &stats);
	(void)mark_wait_news(slave_commits_news(o), at, &c->nudges, stats.unsettled ? LOOK_MS : WAIT_MS, NULL);
	if (stats.unsettled)
		(void)offsets_follow(o);
}

static void
pause_a_while(struct replication *r)
{
	LOCKED(&r->lock);
	if (!r->closing)
		lock_wait(&r->lock, &r->changed, WAIT_MS);
}

static void *
commits_main(void *arg)
{
	struct commits *c = arg;
	struct offsets *o = c->r->broker.offsets;
	struct slave_commit list[ROUND];
	bool anew = false, unlogged = false;

	while (wait_for_master(c, &anew, &unlogged)) {
		mq_pos at = mark_at(slave_commits_news(o));
		size_t n;

		if (anew || clock_mono_ms() >= c->again_ms) {
			slave_commits_all_due(o);
			c->again_ms = clock_mono_ms() + AGAIN_MS;
		}
		n = slave_commits_due(o, list, ROUND);
		if (n == 0)
			wait_for_news(c, at);
		else if (send_round(c, list, n, unlogged) > 0)
			pause_a_while(c->r);
	}
	return NULL;
}

int
commits_open(struct replication *r, struct commits **ret)
{
	struct commits *c = calloc(1, sizeof(*c));
	int rc;

	if (!c)
		return -ENOMEM;
	c->r = r;
	rc = thread_start(&c->thread, "commits", commits_main, c);
	if (rc == MQ_OK)
		*ret = c;
	else
		free(c);
	return rc;
}

void
commits_close(struct commits *c)
{
	if (!c)
		return;
	mark_nudge(slave_commits_news(c->r->broker.offsets));
	thread_join(&c->thread);
	free(c);
}
