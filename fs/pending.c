#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "repl/replication.h"

#define LOOK_PAUSE_NS 200000		/* between two looks at readers that found nothing */
#define DEADLINE_LOOK_MS 100
#define TIME_IS_UP (-1)		/* a deadline that is past at any time */
#define PENDING_THREADS 6

/* A read or a poll that waits.  Whoever unlinks it ends it; its memory lasts
 * until the last look at it is over. */
struct waiter {
	struct pending *p;
	struct waiter *next, *prev;
	const struct pending_read *kind;
	struct handle *h;		/* with a reference */
	fuse_req_t req;			/* a read's, or NULL */
	struct fuse_pollhandle *ph;	/* a poll's, or NULL */
	size_t size;
	off_t off;
	_Atomic int refs;
	bool linked;
	bool interrupted;		/* before it was linked */
};

/* A write or fsync that waits for the disk, or a slave's fsync for its master. */
struct durable {
	struct durable *next;
	fuse_req_t req;
	struct pending_end who;		/* its handle with a reference; .ended NULL: nobody is told */
	struct subscription *sub;	/* whose commits are to be kept */
	mq_pos end;			/* position of the log; number of a debt */
	ssize_t result;
	pending_answer *answer;		/* of a change; NULL: `result` says it */
	struct node node;		/* for that */
	bool disk;			/* it waits for this disk, */
	bool sync;			/* and for slaves: promised by a SYNC_MASTER */
	int64_t deadline_ms;
};

/* What they wait for. */
enum durable_wait {
	WAIT_LOG,			/* the log is durable up to `end` */
	WAIT_KEPT,			/* a slave: keep_main() has kept the commits of `sub` */
	WAIT_MASTER,			/* a slave: its master has answered the debt `end` */
	WAITS,
};

struct pending {
	struct mount *m;
	struct lock lock;
	struct waiter ring;		/* head of the list */
	int64_t n;
	bool closing;

	struct lock durable_lock;
	pthread_cond_t more[WAITS];	/* one more waits for that, or closing */
	pthread_cond_t first;		/* somebody waits, or closing */
	pthread_cond_t late;		/* closing */
	bool durable_closing;
	_Atomic int64_t n_durable;
	struct durable *durables[WAITS];
	mq_pos durable_end;		/* furthest that waits for disk or slaves */

	bool started[PENDING_THREADS];
	pthread_t threads[PENDING_THREADS];
};

/* --- waiting reads and polls ------------------------------------------------------- */

/* Called with the lock. */
static void
waiter_link(struct pending *p, struct waiter *w)
{
	w->next = &p->ring;
	w->prev = p->ring.prev;
	w->prev->next = w;
	p->ring.prev = w;
	w->linked = true;
	p->n++;
}

/* Called with the lock: whoever unlinks a waiter is the one to end it. */
static void
waiter_unlink(struct pending *p, struct waiter *w)
{
	w->prev->next = w->next;
	w->next->prev = w->prev;
	w->linked = false;
	p->n--;
}

static bool
waiter_take(struct pending *p, struct waiter *w)
{
	LOCKED(&p->lock);
	if (!w->linked)
		return false;
	waiter_unlink(p, w);
	return true;
}

static void
waiter_unref(struct waiter *w)
{
	if (atomic_fetch_sub(&w->refs, 1) > 1)
		return;
	handle_unref(w->p->m, w->h);
	free(w);
}

/* libfuse calls this with a lock of the request held, at once if the signal
 * came before the request was parked. */
static void
waiter_interrupted(fuse_req_t req, void *data)
{
	struct waiter *w = data;
	bool mine;

	lock_take(&w->p->lock);
	mine = w->linked;
	if (mine)
		waiter_unlink(w->p, w);
	else
		w->interrupted = true;
	lock_drop(&w->p->lock);
	if (!mine)
		return;
	fuse_reply_err(req, EINTR);
	waiter_unref(w);
}

/* End a waiter that was unlinked. */
static void
waiter_end(struct waiter *w, int err)
{
	if (w->ph) {
		if (!err)
			fuse_lowlevel_notify_poll(w->ph);
		fuse_pollhandle_destroy(w->ph);
	} else {
		/* waits for a signal that is being delivered just now */
		fuse_req_interrupt_func(w->req, NULL, NULL);
		if (err)
			fuse_reply_err(w->req, err);
		else
			w->kind->answer(w->p->m, w->req, w->h, w->size, w->off);
	}
	waiter_unref(w);
}

static bool
waiter_ready(struct waiter *w)
{
	LOCKED(&w->h->lock);
	return w->kind->ready(w->p->m, w->h, w->off);
}

/* The waiters there are, with a reference on each, to be asked without the lock. */
static struct waiter **
waiters_list(struct pending *p, size_t *ret_n)
{
	struct waiter **list;
	size_t n = 0;

	LOCKED(&p->lock);
	list = p->n ? malloc((size_t)p->n * sizeof(struct waiter *)) : NULL;
	for (struct waiter *w = p->ring.next; list && w != &p->ring; w = w->next) {
		atomic_fetch_add(&w->refs, 1);
		list[n++] = w;
	}
	*ret_n = n;
	return list;
}

/* Answer all who can be.  Returns how many. */
static size_t
look_at_waiters(struct pending *p)
{
	size_t n, answered = 0;
	struct waiter **list = waiters_list(p, &n);

	for (size_t i = 0; i < n; i++) {
		if (waiter_ready(list[i]) && waiter_take(p, list[i])) {
			waiter_end(list[i], 0);
			answered++;
		}
		waiter_unref(list[i]);
	}
	free(list);
	return answered;
}

static void *
readers_main(void *arg)
{
	struct pending *p = arg;
	struct mark *dispatched = store_dispatched(p->m->store);
	const struct timespec pause = { .tv_nsec = LOOK_PAUSE_NS };
	mq_pos at = mark_at(dispatched);
	uint64_t nudges = 0;

	for (;;) {
		bool idle, closing;

		lock_take(&p->lock);
		closing = p->closing;
		idle = p->ring.next == &p->ring;
		lock_drop(&p->lock);
		if (closing)
			return NULL;
		/* with nobody waiting, appends need not wake us: a nudge will */
		mark_wait_news(dispatched, idle ? MQ_POS(INT64_MAX) : at, &nudges, -1, NULL);
		at = mark_at(dispatched);
		if (look_at_waiters(p) == 0 && !idle)
			nanosleep(&pause, NULL);
	}
}

static struct waiter *
waiter_make(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w)
		return NULL;
	w->p = p;
	w->h = h;
	w->off = off;
	w->kind = kind;
	w->refs = 1;
	handle_ref(h);
	return w;
}

void
pending_park_read(struct pending *p, fuse_req_t req, struct handle *h, size_t size, off_t off,
		  const struct pending_read *kind)
{
	struct waiter *w = waiter_make(p, h, off, kind);
	bool parked;

	if (!w) {
		reply_err(req, -ENOMEM);
		return;
	}
	w->req = req;
	w->size = size;
	fuse_req_interrupt_func(req, waiter_interrupted, w);
	lock_take(&p->lock);
	parked = !w->interrupted && !p->closing;
	if (parked)
		waiter_link(p, w);
	lock_drop(&p->lock);
	if (!parked)
		waiter_end(w, EINTR);
	/* what was appended before it was linked is looked at now */
	mark_nudge(store_dispatched(p->m->store));
}

/* --- polls ------------------------------------------------------------------------- */

/* Unlink the poll of h; NULL: it has none.  There is never more than one.  Called with the lock. */
static struct waiter *
poll_unlink(struct pending *p, const struct handle *h)
{
	for (struct waiter *w = p->ring.next; w != &p->ring; w = w->next)
		if (w->ph && w->h == h) {
			waiter_unlink(p, w);
			return w;
		}
	return NULL;
}

void
pending_forget_poll(struct pending *p, struct handle *h)
{
	struct waiter *w;

	lock_take(&p->lock);
	w = poll_unlink(p, h);
	lock_drop(&p->lock);
	if (w)
		waiter_end(w, EINTR);
}

void
pending_park_poll(struct pending *p, struct handle *h, off_t off, const struct pending_read *kind,
		  struct fuse_pollhandle *ph)
{
	struct waiter *w = waiter_make(p, h, off, kind), *before;
	bool parked;

	if (!w) {
		fuse_pollhandle_destroy(ph);
		return;
	}
	w->ph = ph;
	/* in one step: threads may poll one file at the same time, and a waiter that is left
	 * behind keeps the file from being released */
	lock_take(&p->lock);
	before = poll_unlink(p, h);
	parked = !p->closing;
	if (parked)
		waiter_link(p, w);
	lock_drop(&p->lock);
	if (before)
		waiter_end(before, EINTR);
	if (!parked)
		waiter_end(w, EINTR);
	mark_nudge(store_dispatched(p->m->store));
}

/* --- waiting for the disk ------------------------------------------------------------- */

static void
tell(struct pending *p, const struct pending_end *who, int rc)
{
	if (!who->ended)
		return;
	who->ended(who->h, who->request, rc);
	handle_unref(p->m, who->h);	/* the kernel has it open until the answer is out */
}

static void
durable_answer(struct pending *p, struct durable *d, int rc)
{
	tell(p, &d->who, rc);
	if (rc == -ETIMEDOUT)
		err_note(rc, "what was written is stored, but it did not reach %s in time: fsync or the same write "
			 "waits again", !d->sync ? "the disk" : d->disk ? "the disk and enough slaves" : "enough slaves");
	if (rc != MQ_OK)
		reply_err(d->req, rc);
	else if (d->answer)
		d->answer(p->m, d->req, &d->node);
	else if (d->result < 0)
		reply_err(d->req, MQ_OK);
	else
		reply_written(d->req, (size_t)d->result);
	if (rc != MQ_OK && d->answer)
		fuse_lowlevel_notify_inval_inode(p->m->session, d->node.ino, -1, 0);
	free(d);
}

static void
durables_answer(struct pending *p, struct durable *list, int rc)
{
	struct durable *next;
	char why[256];

	snprintf(why, sizeof(why), "%s", rc == MQ_OK ? "" : err_text(rc));
	for (struct durable *d = list; d; d = next) {
		next = d->next;
		if (rc != MQ_OK)
			err_note(rc, "%s", why);	/* reply_err() forgets it each time */
		durable_answer(p, d, rc);
	}
}

bool
is_sync_master(const struct mount *m)
{
	return m->settings->brokerRole == SYNC_MASTER;
}

int
slaves_suffice(const struct mount *m)
{
	if (!is_sync_master(m) || m->settings->onSlaveUnavailable != ON_SLAVE_UNAVAILABLE_FAIL ||
	    (m->replication && replication_in_sync(m->replication)))
		return MQ_OK;
	return err_note(MQ_ENOSLAVE, "SYNC_MASTER: fewer slaves in sync than inSyncReplicas wants%s",
			replication_is_needed(m->settings) ? "" : ": haListen=none keeps all of them away");
}

static bool
waits_for_slaves(const struct mount *m)
{
	if (!is_sync_master(m) || !m->replication)
		return false;
	return m->settings->onSlaveUnavailable == ON_SLAVE_UNAVAILABLE_FAIL || replication_in_sync(m->replication);
}

/* How far the log is on this disk, and with the slaves that must have it. */
struct reach {
	mq_pos disk, slaves;
};

static const struct reach nowhere = { { -1 }, { -1 } };

static struct reach
reach_now(const struct mount *m)
{
	struct reach reach = { mark_at(store_flushed(m->store)), mark_at(store_written(m->store)) };

	if (waits_for_slaves(m))
		reach.slaves = mark_at(replication_replicated(m->replication));
	return reach;
}

static bool
is_reached(const struct durable *d, struct reach reach)
{
	return d->end.byte <= reach.slaves.byte && (!d->disk || d->end.byte <= reach.disk.byte);
}

/* Take off the list what is reached, or is past its deadline (or everything, for deadline INT64_MAX). */
static struct durable *
durables_take(struct pending *p, enum durable_wait wait, struct reach reach, int64_t deadline_ms)
{
	struct durable *taken = NULL, **last = &taken, **at = &p->durables[wait], *d;

	while ((d = *at)) {
		if (!is_reached(d, reach) && d->deadline_ms > deadline_ms) {
			at = &d->next;
			continue;
		}
		*at = d->next;
		d->next = NULL;
		*last = d;
		last = &d->next;
		atomic_fetch_sub(&p->n_durable, 1);
	}
	return taken;
}

/* It waits for slaves, whose acks nobody hears any more. */
static bool
is_forsaken(const struct pending *p, const struct durable *d)
{
	return d->sync && p->m->settings->brokerRole == SLAVE && p->m->replication &&
	       mark_at(replication_replicated(p->m->replication)).byte < d->end.byte;
}

/* Their time is up.  Called with the lock. */
static void
durables_forsake(struct pending *p)
{
	for (struct durable *d = p->durables[WAIT_LOG]; d; d = d->next)
		if (is_forsaken(p, d))
			d->deadline_ms = TIME_IS_UP;
}

/* A log that was cut does not come to where they wait for: what they waited for is no
 * more, or was before.  Called with the lock. */
static void
durables_back(struct pending *p)
{
	mq_pos end = mark_at(store_written(p->m->store));

	if (p->durable_end.byte <= end.byte)
		return;
	p->durable_end = end;
	for (struct durable *d = p->durables[WAIT_LOG]; d; d = d->next)
		if (d->end.byte > end.byte)
			d->end = end;
}

/* Answer whoever can be now; when rc is an error of the disk, all that wait for it. */
static void
durables_look(struct pending *p, int rc)
{
	struct durable *done, *forsaken, *failed;

	lock_take(&p->durable_lock);
	durables_forsake(p);
	forsaken = durables_take(p, WAIT_LOG, nowhere, TIME_IS_UP);
	durables_back(p);
	done = durables_take(p, WAIT_LOG, reach_now(p->m), TIME_IS_UP);
	for (struct durable *d = rc != MQ_OK ? p->durables[WAIT_LOG] : NULL; d; d = d->next)
		if (d->disk)
			d->deadline_ms = TIME_IS_UP;
	failed = durables_take(p, WAIT_LOG, nowhere, TIME_IS_UP);
	lock_drop(&p->durable_lock);
	durables_answer(p, forsaken, -ETIMEDOUT);
	durables_answer(p, done, MQ_OK);
	durables_answer(p, failed, rc);
}

/* How far is the log to be flushed, for those that wait for the disk?  False: nobody does,
 * who is not there already.  Called with the lock. */
static bool
flush_is_due(const struct pending *p, mq_pos *ret_end)
{
	struct reach reach = reach_now(p->m);
	mq_pos end = MQ_POS(-1);

	for (const struct durable *d = p->durables[WAIT_LOG]; d; d = d->next)
		if (d->disk && d->end.byte > end.byte && (d->end.byte > reach.disk.byte || is_reached(d, reach)))
			end = d->end;
	*ret_end = end;
	return end.byte >= 0;
}

/* Wait for something to do.  False: closing. */
static bool
flush_wait(struct pending *p, mq_pos *ret_end)
{
	LOCKED(&p->durable_lock);
	while (!flush_is_due(p, ret_end)) {
		if (p->durable_closing)
			return false;
		lock_wait(&p->durable_lock, &p->more[WAIT_LOG], -1);
	}
	return true;
}

static void *
flush_main(void *arg)
{
	struct pending *p = arg;
	mq_pos end;

	while (flush_wait(p, &end))
		durables_look(p, store_flush(p->m->store, end));
	return NULL;
}

/* What slaves acknowledge makes writes durable, too. */
static void *
replicated_main(void *arg)
{
	struct pending *p = arg;
	struct mark *replicated = p->m->replication ? replication_replicated(p->m->replication) : NULL;
	mq_pos at = MQ_POS(-1);
	uint64_t nudges = 0;

	while (replicated && mark_wait_news(replicated, at, &nudges, -1, NULL) != MQ_ECLOSED) {
		at = mark_at(replicated);	/* it goes back when the role changes */
		durables_look(p, MQ_OK);
	}
	return NULL;
}

/* Called with the lock. */
static bool
nobody_waits(const struct pending *p)
{
	return !p->durables[WAIT_LOG] && !p->durables[WAIT_KEPT] && !p->durables[WAIT_MASTER];
}

/* A disk that does not answer keeps flush_main() busy: deadlines are kept here. */
static void *
deadline_main(void *arg)
{
	struct pending *p = arg;
	bool closing;

	do {
		struct durable *late[WAITS];

		lock_take(&p->durable_lock);
		if (nobody_waits(p) && !p->durable_closing)
			lock_wait(&p->durable_lock, &p->first, -1);
		else if (!p->durable_closing)
			lock_wait(&p->durable_lock, &p->late, DEADLINE_LOOK_MS);
		closing = p->durable_closing;
		for (int i = 0; i < WAITS; i++)
			late[i] = durables_take(p, (enum durable_wait)i, nowhere, clock_mono_ms());
		lock_drop(&p->durable_lock);
		for (int i = 0; i < WAITS; i++)
			durables_answer(p, late[i], -ETIMEDOUT);
	} while (!closing);
	return NULL;
}

/* Who has nothing to do with it sleeps on: this is done for each write.  Called with the lock. */
static void
durable_link(struct pending *p, enum durable_wait wait, struct durable *d)
{
	d->next = p->durables[wait];
	p->durables[wait] = d;
	atomic_fetch_add(&p->n_durable, 1);
	if (wait != WAIT_LOG || d->disk)
		pthread_cond_signal(&p->more[wait]);
	pthread_cond_signal(&p->first);
}

static void
park(struct pending *p, struct durable what)
{
	struct durable *d = malloc(sizeof(*d));
	bool forsaken, waits;

	if (!d) {
		tell(p, &what.who, -ENOMEM);
		reply_err(what.req, -ENOMEM);
		return;
	}
	*d = what;
	d->deadline_ms = clock_mono_ms() + (waits_for_slaves(p->m) ? p->m->settings->slaveTimeout
								   : p->m->settings->syncFlushTimeout);
	lock_take(&p->durable_lock);
	forsaken = is_forsaken(p, d);
	waits = !forsaken && !is_reached(d, reach_now(p->m));
	if (waits && p->durable_end.byte < d->end.byte)
		p->durable_end = d->end;
	if (waits)
		durable_link(p, WAIT_LOG, d);
	lock_drop(&p->durable_lock);
	if (!waits)
		durable_answer(p, d, forsaken ? -ETIMEDOUT : MQ_OK);
}

void
pending_park_durable(struct pending *p, fuse_req_t req, mq_pos end, ssize_t result, bool disk, bool sync)
{
	park(p, (struct durable){ .req = req, .end = end, .result = result, .disk = disk, .sync = sync });
}

void
pending_park_change(struct pending *p, fuse_req_t req, mq_pos end, bool disk, bool sync, pending_answer *answer,
		    const struct node *n)
{
	park(p, (struct durable){ .req = req, .end = end, .answer = answer, .node = *n, .disk = disk, .sync = sync });
}

void
pending_park_durable_of(struct pending *p, fuse_req_t req, const struct pending_end *who, mq_pos end,
			ssize_t result, bool disk, bool sync)
{
	if (who->ended)
		handle_ref(who->h);
	park(p, (struct durable){ .req = req, .who = *who, .end = end, .result = result, .disk = disk,
				  .sync = sync });
}

/* --- waiting for the master: commits on a slave ------------------------------------------- */

/* Who waits for his commits to be kept; NULL: closing. */
static struct durable *
next_to_keep(struct pending *p)
{
	struct durable *d;

	LOCKED(&p->durable_lock);
	while (!p->durables[WAIT_KEPT] && !p->durable_closing)
		lock_wait(&p->durable_lock, &p->more[WAIT_KEPT], -1);
	d = p->durables[WAIT_KEPT];
	if (!d || p->durable_closing)
		return NULL;
	p->durables[WAIT_KEPT] = d->next;
	atomic_fetch_sub(&p->n_durable, 1);
	return d;
}

/* They are on this disk; now it is the master's turn. */
static void
wait_for_master(struct pending *p, struct durable *d)
{
	LOCKED(&p->durable_lock);
	if (mark_at(debts_answered(p->m->offsets)).byte >= d->end.byte)
		durable_answer(p, d, MQ_OK);
	else
		durable_link(p, WAIT_MASTER, d);
}

static void *
keep_main(void *arg)
{
	struct pending *p = arg;
	struct mount *m = p->m;
	struct durable *d;

	while ((d = next_to_keep(p))) {
		int64_t number = 0;
		int rc = debts_keep(m->offsets, d->sub, &number);

		if (rc == MQ_OK && number > 0 && (!m->replication || !replication_has_master(m->replication)))
			rc = -EHOSTDOWN;
		d->end = MQ_POS(number);
		if (rc != MQ_OK || number == 0)
			durable_answer(p, d, rc);
		else
			wait_for_master(p, d);
	}
	return NULL;
}

static void *
answered_main(void *arg)
{
	struct pending *p = arg;
	struct mark *answered = debts_answered(p->m->offsets);
	mq_pos at = mark_at(answered);

	while (mark_wait_past(answered, at, -1, &at) == MQ_OK) {
		struct durable *done;

		lock_take(&p->durable_lock);
		done = durables_take(p, WAIT_MASTER, (struct reach){ .slaves = mark_at(answered) }, TIME_IS_UP);
		lock_drop(&p->durable_lock);
		durables_answer(p, done, MQ_OK);
	}
	return NULL;
}

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
		.end = MQ_POS(INT64_MAX),
		.result = -1,
		.deadline_ms = clock_mono_ms() + p->m->settings->slaveTimeout,
	};
	LOCKED(&p->durable_lock);
	durable_link(p, WAIT_KEPT, d);
}

void
pending_park_commits(struct pending *p, fuse_req_t req, struct subscription *sub)
{
	mq_pos end;
	int rc;

	if (p->m->settings->brokerRole == SLAVE) {
		park_commits(p, req, sub);
		return;
	}
	rc = commit_sync(p->m->offsets, sub, &end);
	if (rc == MQ_OK)
		pending_park_durable(p, req, end, -1, true, is_sync_master(p->m));
	else
		reply_err(req, rc);
}

/* --- begin and end ------------------------------------------------------------------------ */

static void *(*const mains[PENDING_THREADS])(void *) = {
	readers_main, flush_main, deadline_main, replicated_main, keep_main, answered_main,
};

int
pending_open(struct mount *m, struct pending **ret)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->m = m;
	p->ring.next = p->ring.prev = &p->ring;
	lock_init(&p->lock, RANK_PENDING);
	lock_init(&p->durable_lock, RANK_PENDING);
	for (int i = 0; i < WAITS; i++)
		cond_init(&p->more[i]);
	cond_init(&p->first);
	cond_init(&p->late);
	for (size_t i = 0; i < PENDING_THREADS; i++) {
		int rc = -pthread_create(&p->threads[i], NULL, mains[i], p);

		if (rc != MQ_OK) {
			pending_close(p);
			return err_note(rc, "thread: %m");
		}
		p->started[i] = true;
	}
	*ret = p;
	return MQ_OK;
}

void
pending_close(struct pending *p)
{
	struct waiter *w;

	lock_take(&p->lock);
	p->closing = true;
	while ((w = p->ring.next) != &p->ring) {
		waiter_unlink(p, w);
		lock_drop(&p->lock);
		waiter_end(w, EINTR);
		lock_take(&p->lock);
	}
	lock_drop(&p->lock);
	mark_nudge(store_dispatched(p->m->store));
	if (p->m->replication)
		mark_close(replication_replicated(p->m->replication));
	mark_close(debts_answered(p->m->offsets));

	lock_take(&p->durable_lock);
	p->durable_closing = true;
	for (int i = 0; i < WAITS; i++)
		pthread_cond_broadcast(&p->more[i]);
	pthread_cond_broadcast(&p->first);
	pthread_cond_broadcast(&p->late);
	lock_drop(&p->durable_lock);
	for (size_t i = 0; i < PENDING_THREADS; i++)
		if (p->started[i])
			pthread_join(p->threads[i], NULL);
	for (int i = 0; i < WAITS; i++)
		durables_answer(p, p->durables[i], -EINTR);
	pthread_cond_destroy(&p->late);
	pthread_cond_destroy(&p->first);
	for (int i = 0; i < WAITS; i++)
		pthread_cond_destroy(&p->more[i]);
	lock_destroy(&p->durable_lock);
	lock_destroy(&p->lock);
	free(p);
}

int64_t
pending_count(struct pending *p)
{
	LOCKED(&p->lock);
	return p->n + atomic_load(&p->n_durable);
}
