/* Fsyncs of consumers, whose commits are to be durable.  On a slave they wait in two lines:
 *
 *     park ──> KEEP ── on this disk ──> MASTER ── the master has answered ──> answered
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "fs/pending_priv.h"
#include "fs/reply.h"
#include "repl/replication.h"

/* False: the master has answered already. */
static bool
wait_for_master(struct pending *p, struct durable *d, int64_t number)
{
	d->parked.pos = number;
	LOCKED(&p->lock);
	if (mark_at(slave_commits_answered(p->m->offsets)).byte >= number)
		return false;
	durable_wait_in(p, LINE_MASTER, d);
	return true;
}

void
pending_keep_commits(struct pending *p, struct durable *d)
{
	struct mount *m = p->m;
	int64_t number = 0;
	int rc = slave_commits_keep(m->offsets, d->sub, &number);

	if (rc == MQ_OK && number > 0 && !(m->replication && replication_has_master(m->replication)))
		rc = -EHOSTDOWN;
	if (rc != MQ_OK || number == 0 || !wait_for_master(p, d, number))
		durable_answer(p, d, rc);
}

/* On a slave. */
static void
park_commits(struct pending *p, fuse_req_t req, struct subscription *sub)
{
	struct durable *d = malloc(sizeof(*d));

	if (!d) {
		reply_err(req, -ENOMEM);
		return;
	}
	*d = (struct durable){
		.req = req,
		.sub = sub,
		.result = -1,
		.deadline_ms = clock_mono_ms() + p->m->settings->slaveTimeout,
	};
	LOCKED(&p->lock);
	durable_wait_in(p, LINE_KEEP, d);
}

void
pending_park_commits(struct pending *p, fuse_req_t req, const struct pending_end *who, struct subscription *sub)
{
	mq_pos end;
	int rc;

	if (p->m->settings->brokerRole == SLAVE) {
		park_commits(p, req, sub);
		return;
	}
	rc = commit_sync(p->m->offsets, sub, &end);
	if (rc == MQ_OK)
		pending_park_durable_of(p, req, who, end, -1, pending_needs_of_fsync(p->m));
	else
		reply_err(req, rc);
}
