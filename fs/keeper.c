#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/thread.h"
#include "fs/keeper.h"
#include "store/manifest.h"
#include "store/snapshot.h"

#define KEEPER_NICE 10

struct keeper {
	struct mount *m;
	struct lock lock;
	pthread_cond_t changed;		/* `news`, or the end */
	bool news;			/* a snapshot was taken or dropped since the thread looked */
	_Atomic bool stop;
	struct thread thread;
};

static void
make_manifests(struct keeper *k)
{
	struct snapshots *ss = k->m->snapshots;
	struct snapshot *s;

	for (size_t i = 0; !k->stop && (s = snapshot_at(ss, i)); i++) {
		int rc = s->hashed ? MQ_OK : manifest_make(ss, s, &k->stop);

		if (rc != MQ_OK && rc != MQ_ECLOSED && !s->gone)
			log_err("snapshot %s: no MANIFEST: %s", s->name, err_text(rc));
		if (rc != MQ_OK)
			s->unsummed = true;
		/* a read of this MANIFEST may wait */
		mark_nudge(store_dispatched(k->m->store));
	}
}

/* False: the thread is to end. */
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
keeper_main(void *arg)
{
	struct keeper *k = arg;

	(void)setpriority(PRIO_PROCESS, 0, KEEPER_NICE);	/* of this thread */
	do {
		snapshots_sweep(k->m->snapshots);
		make_manifests(k);
	} while (wait_for_news(k));
	return NULL;
}

void
keeper_look(struct keeper *k)
{
	LOCKED(&k->lock);
	k->news = true;
	pthread_cond_signal(&k->changed);
}

/* --- beginning and end ------------------------------------------------------------- */

int
keeper_open(struct mount *m, struct keeper **ret)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return -ENOMEM;
	k->m = m;
	lock_init(&k->lock, RANK_KEEPER);
	cond_init(&k->changed);
	rc = thread_start(&k->thread, "keeper", keeper_main, k);
	if (rc != MQ_OK) {
		keeper_close(k);
		return rc;
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
	pthread_cond_signal(&k->changed);
	lock_drop(&k->lock);
	thread_join(&k->thread);
	pthread_cond_destroy(&k->changed);
	lock_destroy(&k->lock);
	free(k);
}
