#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "conf/err.h"
#include "conf/thread.h"
#include "net/request.h"
#include "offsets/transactions.h"
#include "remoting/moved.h"
#include "remoting/pull.h"
#include "remoting/reads.h"
#include "remoting/refusal.h"

struct read_job {
	STAILQ_ENTRY(read_job) next;
	struct ring_submission s;
	struct permit permit;		/* of the client */
	char topic[RECORD_TOPIC_MAX + 1], group[RECORD_TOPIC_MAX + 1];
	char text[];
};

STAILQ_HEAD(jobs, read_job);

/* Jobs, one after the other, and the thread that does them. */
struct line {
	struct reads *of;
	struct jobs jobs;
	_Atomic size_t under_way;	/* jobs that were put, and are not done */
	pthread_cond_t news;
	struct thread thread;
};

struct reads {
	const struct remoting_broker *broker;
	struct ring_server *ring;
	struct lock lock;
	struct line pulls, transactions;
	struct jobs watches;
	bool closing;
	struct thread ends;

	struct moved moved;			/* of the reader thread alone */

	/* of the ends thread alone */
	struct queue *watched[RING_WATCHES];	/* NULL: none */
	int64_t told[RING_WATCHES];
	uint32_t n_watched;			/* none from here on */
};

/* --- the lists ------------------------------------------------------------------------------------- */

static struct read_job *
jobs_take(struct jobs *l)
{
	struct read_job *job = STAILQ_FIRST(l);

	if (job)
		STAILQ_REMOVE_HEAD(l, next);
	return job;
}

static void
job_free(struct read_job *job)
{
	permit_drop(&job->permit);
	free(job);
}

static void
jobs_free(struct jobs *l)
{
	struct read_job *job;

	while ((job = jobs_take(l)))
		job_free(job);
}

int
reads_put(struct reads *r, const struct ring_request *req, struct permit *permit)
{
	struct read_job *job = malloc(sizeof(*job) + req->s.text_len + 1);
	struct line *line = req->s.kind == RING_END ? &r->transactions : &r->pulls;
	bool watch = req->s.kind == RING_WATCH;

	if (!job)
		return -ENOMEM;
	job->s = req->s;
	job->permit = *permit;
	*permit = (struct permit){ 0 };
	memcpy(job->topic, req->topic, sizeof(job->topic));
	memcpy(job->group, req->group, sizeof(job->group));
	memcpy(job->text, req->text, req->s.text_len + 1);
	lock_take(&r->lock);
	STAILQ_INSERT_TAIL(watch ? &r->watches : &line->jobs, job, next);
	if (!watch) {
		atomic_fetch_add(&line->under_way, 1);
		pthread_cond_signal(&line->news);
	}
	lock_drop(&r->lock);
	if (watch)
		mark_nudge(store_dispatched(r->broker->store));
	return MQ_OK;
}

/* The broker, with the rights of the client that asks. */
static struct remoting_broker
broker_for(const struct reads *r, const struct permit *permit)
{
	struct remoting_broker b = *r->broker;

	if (permit->user)
		b.rights = permit->user;
	return b;
}

static void
put_refusal(struct ring_completion *c, int rc)
{
	struct refusal why;

	(void)refuse_rc(&why, rc);
	refusal_put(&why, c);
}

/* --- pulls and commits ------------------------------------------------------------------------------ */

static void
answer_commit(struct reads *r, const struct read_job *job, struct ring_completion *c)
{
	const struct remoting_broker b = broker_for(r, &job->permit);
	int rc = pull_commit(&b, job->group, job->topic, job->s.queue_id, MQ_QOFF(job->s.offset));

	if (rc != MQ_OK)
		put_refusal(c, rc);
}

/* END_TRANSACTION: the producer of a half message commits it or rolls it back.  Codes and remarks are
 * RocketMQ's. */
static void
answer_end(struct reads *r, const struct read_job *job, struct ring_completion *c)
{
	const struct transaction_word w = {
		.group = job->text, .number = job->s.offset, .pos = MQ_POS(job->s.commit_offset),
		.end = (enum transaction_end)job->s.sysflag,
	};
	bool slave = r->broker->settings->brokerRole == SLAVE;
	int rc = slave ? err_note(MQ_EROLE, "a slave ends no transactions") : transaction_end(r->broker->offsets, &w);

	if (rc == MQ_OK)
		return;
	put_refusal(c, rc);
	if (slave)
		c->code = ANSWER_SLAVE_NOT_AVAILABLE;
	else if (rc == -ENOENT || rc == -EINVAL || rc == -EALREADY)
		c->code = ANSWER_SYSTEM_ERROR;
}

static struct pull
pull_of(const struct ring_submission *s, const char *group, const char *topic, const char *filter)
{
	return (struct pull){
		.group = group,
		.topic = topic,
		.queue_id = s->queue_id,
		.offset = s->offset,
		.max_messages = s->max_messages,
		.commits = s->flags & RING_FLAG_COMMIT,
		.commit_offset = s->commit_offset,
		.filter = filter,
		.sql = s->flags & RING_FLAG_SQL,
		.member = s->flags & RING_FLAG_MEMBER,
		.broadcast = s->flags & RING_FLAG_BROADCAST,
	};
}

bool
reads_answer_now(struct reads *r, const struct ring_request *req, const struct permit *permit)
{
	const struct remoting_broker b = broker_for(r, permit);
	struct pull p = pull_of(&req->s, req->group, req->topic, req->text);
	struct ring_completion c = ring_completion_of(&req->s);

	p.now = true;
	if (req->s.flags & RING_FLAG_AHEAD)
		p.ahead = ring_server_ahead(r->ring, req->s.slot);
	if (atomic_load(&r->pulls.under_way) > 0 ||
	    pull_answer(&b, &p, ring_server_pieces(r->ring, req->s.slot), &c) != MQ_OK)
		return false;
	ring_server_complete(r->ring, &c);
	return true;
}

static void
answer_pull(struct reads *r, const struct read_job *job, struct ring_completion *c)
{
	const struct remoting_broker b = broker_for(r, &job->permit);
	const struct pull p = pull_of(&job->s, job->group, job->topic, job->text);

	(void)pull_answer(&b, &p, ring_server_pieces(r->ring, job->s.slot), c);
	if (c->code == ANSWER_PULL_OFFSET_MOVED && b.settings->brokerRole != SLAVE)
		moved_note(&r->moved, &b, &p, c->offset);
}

static void
answer_job(struct reads *r, const struct read_job *job, struct ring_completion *c)
{
	struct group *g;

	switch (job->s.kind) {
	case RING_PULL:
		answer_pull(r, job, c);
		break;
	case RING_LEFT:
		g = group_find(r->broker->offsets, job->group);
		if (g)
			consumer_release_clients(r->broker->offsets, g);
		break;
	case RING_END:
		answer_end(r, job, c);
		break;
	default:
		answer_commit(r, job, c);
	}
}

static void *
line_main(void *arg)
{
	struct line *line = arg;
	struct reads *r = line->of;
	struct read_job *job;

	for (;;) {
		struct ring_completion c;

		lock_take(&r->lock);
		while (!(job = jobs_take(&line->jobs)) && !r->closing) {
			lock_drop(&r->lock);
			ring_server_wake_client(r->ring);	/* once for all that were waiting */
			lock_take(&r->lock);
			if (STAILQ_EMPTY(&line->jobs) && !r->closing)
				lock_wait(&r->lock, &line->news, -1);
		}
		lock_drop(&r->lock);
		if (!job)
			return NULL;
		c = ring_completion_of(&job->s);
		answer_job(r, job, &c);
		ring_server_complete(r->ring, &c);
		job_free(job);
		atomic_fetch_sub(&line->under_way, 1);
	}
}

/* --- ends of queues ----------------------------------------------------------------------------------- */

/* The queue to watch.  NULL: none, and *c says why if one was named. */
static struct queue *
queue_of(struct reads *r, const struct read_job *job, struct ring_completion *c)
{
	struct topic *t = topic_find(r->broker->offsets, job->topic);
	struct queue *q = NULL;
	int rc;

	if (!*job->topic)
		return NULL;
	rc = t ? topic_queue(r->broker->offsets, t, job->s.queue_id, &q) : err_note(-ENOENT, "topic not exist");
	if (rc != MQ_OK)
		put_refusal(c, rc);
	return rc == MQ_OK ? q : NULL;
}

static void
watch(struct reads *r, struct read_job *job)
{
	struct ring_completion c = ring_completion_of(&job->s);
	uint32_t at = job->s.watch;

	r->watched[at] = queue_of(r, job, &c);
	r->told[at] = r->watched[at] ? queue_end(r->watched[at]).n : -1;
	if (at >= r->n_watched)
		r->n_watched = at + 1;
	while (r->n_watched > 0 && !r->watched[r->n_watched - 1])
		r->n_watched--;
	ring_server_set_end(r->ring, at, r->told[at]);
	ring_server_complete(r->ring, &c);
	job_free(job);
}

/* Returns whether any has moved. */
static bool
tell_ends(struct reads *r)
{
	bool any = false;

	for (uint32_t i = 0; i < r->n_watched; i++) {
		int64_t end = r->watched[i] ? queue_end(r->watched[i]).n : -1;

		if (end == r->told[i])
			continue;
		r->told[i] = end;
		ring_server_set_end(r->ring, i, end);
		any = true;
	}
	return any;
}

/* What the ends thread waits for to be passed: where nobody watches a queue, only a nudge wakes it. */
static mq_pos
wanted_of_ends(const struct reads *r, mq_pos seen)
{
	return r->n_watched > 0 ? seen : MQ_POS(INT64_MAX - 1);
}

static void *
ends_main(void *arg)
{
	struct reads *r = arg;
	uint64_t nudges = 0;

	for (;;) {
		mq_pos seen = mark_at(store_dispatched(r->broker->store));	/* before the ends */
		struct read_job *job;
		bool any = false, closing;

		lock_take(&r->lock);
		closing = r->closing;
		job = closing ? NULL : jobs_take(&r->watches);
		lock_drop(&r->lock);
		if (closing)
			return NULL;
		if (job) {
			watch(r, job);
			any = true;
		}
		any = tell_ends(r) || any;
		if (any)
			ring_server_wake_client(r->ring);
		if (!job)		/* a nudge is a job, or a log that was cut */
			(void)mark_wait_news(store_dispatched(r->broker->store), wanted_of_ends(r, seen), &nudges, -1,
					     NULL);
	}
}

/* --- opening and closing -------------------------------------------------------------------------------- */

static int
line_open(struct reads *r, struct line *line, const char *name)
{
	line->of = r;
	STAILQ_INIT(&line->jobs);
	cond_init(&line->news);
	return thread_start(&line->thread, name, line_main, line);
}

static void
line_close(struct line *line)
{
	thread_join(&line->thread);
	jobs_free(&line->jobs);
	pthread_cond_destroy(&line->news);
}

int
reads_open(const struct remoting_broker *broker, struct ring_server *ring, struct reads **ret)
{
	struct reads *r = calloc(1, sizeof(*r));
	int rc, other;

	if (!r)
		return -ENOMEM;
	r->broker = broker;
	r->ring = ring;
	STAILQ_INIT(&r->watches);
	lock_init(&r->lock, RANK_INTAKE);
	rc = line_open(r, &r->pulls, "pulls");
	other = line_open(r, &r->transactions, "transactions");		/* in any case: reads_close() closes both */
	if (rc == MQ_OK)
		rc = other == MQ_OK ? thread_start(&r->ends, "queue-ends", ends_main, r) : other;
	if (rc == MQ_OK)
		*ret = r;
	else
		reads_close(r);
	return rc;
}

void
reads_close(struct reads *r)
{
	if (!r)
		return;
	lock_take(&r->lock);
	r->closing = true;
	pthread_cond_signal(&r->pulls.news);
	pthread_cond_signal(&r->transactions.news);
	lock_drop(&r->lock);
	mark_nudge(store_dispatched(r->broker->store));
	line_close(&r->pulls);
	line_close(&r->transactions);
	thread_join(&r->ends);
	jobs_free(&r->watches);
	lock_destroy(&r->lock);
	free(r);
}
