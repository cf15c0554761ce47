#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "conf/lock.h"
#include "conf/log.h"
#include "fs/dir.h"
#include "fs/keeper.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "store/manifest.h"
#include "store/snapshot.h"

#define SWEEPER_NICE 10

struct job {
	struct job *next;
	fuse_req_t req;
	bool drop;
	bool resent;	/* a broker that died may have done it, and only not answered */
	char name[];
};

struct keeper {
	struct mount *m;
	struct lock lock;
	pthread_cond_t more;		/* a job, or the end */
	pthread_cond_t changed;		/* something for the sweeper, or the end */
	struct job *first, **last;
	bool news;
	_Atomic bool stop;
	bool started[2];
	pthread_t taker, sweeper;
};

/* --- taking and dropping ------------------------------------------------------- */

static void
take(struct keeper *k, const struct job *job)
{
	struct mount *m = k->m;
	struct snapshot *s;
	struct node child;
	int rc = offsets_snapshot(m->offsets, m->snapshots, job->name, &s);

	if (rc == -EEXIST && job->resent) {	/* the kernel had looked: a broker that died made it */
		s = snapshot_find(m->snapshots, job->name);
		rc = s ? MQ_OK : -EEXIST;
	}
	if (rc == MQ_OK)
		rc = node_make(m, NODE_SNAPSHOT, s->id, 0, 0, &child);
	if (rc == MQ_OK)
		dir_reply(m, job->req, &child);
	else
		reply_err(job->req, rc);
}

static void
drop(struct keeper *k, const struct job *job)
{
	int rc = snapshot_drop(k->m->snapshots, job->name);

	reply_err(job->req, rc == -ENOENT && job->resent ? MQ_OK : rc);
}

static void
tell_sweeper(struct keeper *k)
{
	LOCKED(&k->lock);

	k->news = true;
	pthread_cond_signal(&k->changed);
}

static struct job *
next_job(struct keeper *k)
{
	struct job *job;

	LOCKED(&k->lock);
	while (!k->first && !k->stop)
		lock_wait(&k->lock, &k->more, -1);
	job = k->first;
	if (job) {
		k->first = job->next;
		if (!k->first)
			k->last = &k->first;
	}
	return job;
}

static void *
taker_main(void *arg)
{
	struct keeper *k = arg;
	struct job *job;

	while ((job = next_job(k))) {
		if (job->drop)
			drop(k, job);
		else
			take(k, job);
		free(job);
		tell_sweeper(k);
	}
	return NULL;
}

static void
job_add(struct keeper *k, fuse_req_t req, const char *name, bool drop)
{
	size_t len = strlen(name) + 1;
	struct job *job = malloc(sizeof(*job) + len);

	if (!job) {
		reply_err(req, -ENOMEM);
		return;
	}
	*job = (struct job){ .req = req, .drop = drop, .resent = session_is_resent() };
	memcpy(job->name, name, len);
	LOCKED(&k->lock);
	*k->last = job;
	k->last = &job->next;
	pthread_cond_signal(&k->more);
}

void
keeper_take(struct keeper *k, fuse_req_t req, const char *name)
{
	job_add(k, req, name, false);
}

void
keeper_drop(struct keeper *k, fuse_req_t req, const char *name)
{
	job_add(k, req, name, true);
}

/* --- sweeping and summing up ------------------------------------------------------ */

static void
sum_up(struct keeper *k)
{
	struct snapshots *ss = k->m->snapshots;
	struct snapshot *s;

	for (size_t i = 0; !k->stop && (s = snapshot_at(ss, i)); i++) {
		int rc = s->hashed ? MQ_OK : manifest_make(ss, s, &k->stop);

		if (rc != MQ_OK && rc != MQ_ECLOSED && !s->gone)
			log_err("snapshot %s: no MANIFEST: %s", s->name, err_text(rc));
		if (rc != MQ_OK)
			s->unsummed = true;
		/* who reads a MANIFEST may be waiting for this one */
		mark_nudge(store_dispatched(k->m->store));
	}
}

/* True: there is something to do. */
static bool
wait_for_news(struct keeper *k)
{
	LOCKED(&k->lock);

	while (!k->news && !k->stop)
		lock_wait(&k->lock, &k->changed, -1);
	k->news = false;
	return !k->stop;
}

static void *
sweeper_main(void *arg)
{
	struct keeper *k = arg;

	(void)setpriority(PRIO_PROCESS, 0, SWEEPER_NICE);	/* of this thread */
	do {
		snapshots_sweep(k->m->snapshots);
		sum_up(k);
	} while (wait_for_news(k));
	return NULL;
}

/* --- beginning and end ------------------------------------------------------------- */

int
keeper_open(struct mount *m, struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof(*k));

	if (!k)
		return -ENOMEM;
	k->m = m;
	k->last = &k->first;
	lock_init(&k->lock, RANK_KEEPER);
	cond_init(&k->more);
	cond_init(&k->changed);
	k->started[0] = pthread_create(&k->taker, NULL, taker_main, k) == 0;
	k->started[1] = pthread_create(&k->sweeper, NULL, sweeper_main, k) == 0;
	if (!k->started[0] || !k->started[1]) {
		keeper_close(k);
		return err_note(-EAGAIN, "snapshot threads: %m");
	}
	*ret = k;
	return MQ_OK;
}

void
keeper_close(struct keeper *k)
{
	if (!k)
		return;
	lock_take(&k->lock);
	k->stop = true;
	pthread_cond_signal(&k->more);
	pthread_cond_signal(&k->changed);
	lock_drop(&k->lock);
	if (k->started[0])
		pthread_join(k->taker, NULL);
	if (k->started[1])
		pthread_join(k->sweeper, NULL);
	pthread_cond_destroy(&k->more);
	pthread_cond_destroy(&k->changed);
	lock_destroy(&k->lock);
	free(k);
}
