#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "fs/estate.h"
#include "fs/session.h"
#include "fs/workers.h"

#define KICK_MS 20
#define STANDINS 3			/* so many may wait for what the next one brings */

#define ALONE_AFTER 64			/* requests of one caller, */
#define ALONE_WITHIN_MS 64		/* and how long they may take */
#define ALONE_MS 100			/* then the caller may be on another CPU */
#define LOOK_MS 2			/* at what the one that serves alone does */

/* A pinned worker. */
struct worker {
	struct workers *w;
	pthread_t thread;
	_Atomic bool reading;		/* it waits for a request, or is about to */
	_Atomic uint64_t served;

	uint32_t caller;		/* only it knows: whose the last request was, */
	unsigned in_a_row;		/* how many of his it has counted, */
	int64_t since_ms;		/* from when on, */
	uint64_t others_served;		/* and what the others had served then */
};

struct workers {
	struct mount *m;
	int ended_fd;
	pthread_t *list;		/* all of them */
	size_t n, n_pinned;
	struct worker *pinned;
	_Atomic unsigned numbered;	/* workers, for the watchdog */

	_Atomic(struct worker *) alone;	/* it serves, the others stay away; changes with the lock */

	struct lock lock;		/* all below */
	pthread_cond_t more;
	size_t waiting;			/* threads in workers_wait_begin() */
	bool ending;
	pthread_cond_t back;		/* alone has changed, or ending */
	int64_t alone_until_ms;
	bool watched;			/* one of those who stay away looks at the one that serves */
};

struct standin {
	struct workers *w;
	size_t rank;			/* it serves while more than all others wait */
};

/* --- one alone ---------------------------------------------------------------------
 *
 * For each request the kernel wakes the worker that has slept longest, on whatever CPU.
 * While one caller sends one request after the other, the worker on his CPU is there
 * first all the same: it has just answered the last one.  The other comes to find
 * nothing, and to have woken it costs the caller more than a small request does.  So
 * when one worker gets all requests anyway the others stay away from them.
 */

static uint64_t
others_served(const struct worker *me)
{
	const struct workers *w = me->w;
	uint64_t n = 0;

	for (size_t i = 0; i < w->n_pinned; i++)
		if (&w->pinned[i] != me)
			n += atomic_load_explicit(&w->pinned[i].served, memory_order_relaxed);
	return n;
}

static void
alone_begin(struct worker *me)
{
	struct workers *w = me->w;

	LOCKED(&w->lock);
	if (w->ending || w->waiting > 0 || (w->alone && w->alone != me))
		return;
	if (!w->alone)
		w->alone_until_ms = clock_mono_ms() + ALONE_MS;
	w->alone = me;
	for (size_t i = 0; i < w->n_pinned; i++)	/* out of read(2) */
		if (&w->pinned[i] != me && w->pinned[i].reading)
			pthread_kill(w->pinned[i].thread, SIGUSR1);
}

/* Called with the lock. */
static void
all_serve(struct workers *w)
{
	if (!w->alone)
		return;
	w->alone = NULL;
	pthread_cond_broadcast(&w->back);
}

/* Has the one that serves alone been seen long enough, or idle, or busy? */
static bool
alone_is_over(struct workers *w, uint64_t served_before)
{
	return w->alone && (w->alone->served == served_before || clock_mono_ms() >= w->alone_until_ms);
}

/* As long as another serves alone. */
static void
stay_away(struct worker *me)
{
	struct workers *w = me->w;
	struct worker *one = w->alone;

	if (!one || one == me)
		return;
	LOCKED(&w->lock);
	while (!w->ending && (one = w->alone) && one != me) {
		uint64_t served = one->served;

		if (w->watched) {
			lock_wait(&w->lock, &w->back, -1);
			continue;
		}
		w->watched = true;
		lock_wait(&w->lock, &w->back, LOOK_MS);
		w->watched = false;
		if (alone_is_over(w, served))
			all_serve(w);
	}
}

static void
note_served(struct worker *me)
{
	struct workers *w = me->w;
	uint32_t caller = session_caller();

	atomic_fetch_add_explicit(&me->served, 1, memory_order_relaxed);
	if (caller == 0)
		return;
	if (caller != me->caller) {
		me->caller = caller;
		me->in_a_row = 0;
		if (w->alone) {
			LOCKED(&w->lock);
			all_serve(w);
		}
		return;
	}
	if (me->in_a_row++ == 0) {
		me->since_ms = clock_mono_ms();
		me->others_served = others_served(me);
	}
	if (me->in_a_row < ALONE_AFTER)
		return;
	me->in_a_row = 0;
	if (me->others_served == others_served(me) && clock_mono_ms() - me->since_ms <= ALONE_WITHIN_MS)
		alone_begin(me);
}

/* --- serving -------------------------------------------------------------------- */

/* For the watchdog. */
static void
beat(struct workers *w)
{
	static _Thread_local unsigned number;	/* from 1 */

	if (number == 0)
		number = atomic_fetch_add(&w->numbered, 1) + 1;
	if (w->m->estate)
		estate_beat(w->m->estate, number - 1);
}

/* me: NULL for a stand-in.  False: that was the last one. */
static bool
serve_one(struct workers *w, struct fuse_buf *buf, struct worker *me)
{
	struct mount *m = w->m;
	int n;

	if (fuse_session_exited(m->session))
		return false;
	if (me)
		me->reading = true;
	n = fuse_session_receive_buf(m->session, buf);
	if (me)
		me->reading = false;
	if (n == -EINTR || n == -EAGAIN)
		return true;
	if (n <= 0)
		return false;
	beat(w);
	fuse_session_process_buf(m->session, buf);
	beat(w);
	if (me)
		note_served(me);
	return true;
}

static void
tell_end(struct workers *w)
{
	uint64_t one = 1;

	fuse_session_exit(w->m->session);
	if (write(w->ended_fd, &one, sizeof(one)) < 0)
		log_err("session: %s", strerror(errno));
}

static void *
worker_main(void *arg)
{
	struct worker *me = arg;
	struct fuse_buf buf = { 0 };

	me->thread = pthread_self();
	do
		stay_away(me);
	while (serve_one(me->w, &buf, me));
	free(buf.mem);
	tell_end(me->w);
	return NULL;
}

/* Until all before it wait.  False: the end. */
static bool
standin_is_needed(struct workers *w, size_t rank)
{
	LOCKED(&w->lock);
	while (!w->ending && w->waiting < w->n_pinned + rank)
		lock_wait(&w->lock, &w->more, -1);
	return !w->ending;
}

static void *
standin_main(void *arg)
{
	struct standin *s = arg;
	struct workers *w = s->w;
	struct fuse_buf buf = { 0 };

	while (standin_is_needed(w, s->rank) && serve_one(w, &buf, NULL))
		;
	free(buf.mem);
	free(s);
	return NULL;
}

void
workers_wait_begin(struct mount *m)
{
	struct workers *w = m->workers;

	if (!w)
		return;
	beat(w);
	LOCKED(&w->lock);
	all_serve(w);
	if (++w->waiting >= w->n_pinned)
		pthread_cond_broadcast(&w->more);
}

void
workers_wait_end(struct mount *m)
{
	struct workers *w = m->workers;

	if (!w)
		return;
	beat(w);
	LOCKED(&w->lock);
	w->waiting--;
}

/* --- begin and end ----------------------------------------------------------------- */

static int
start(struct workers *w, const pthread_attr_t *attr, void *(*body)(void *), void *arg)
{
	int err = pthread_create(&w->list[w->n], attr, body, arg);

	if (err)
		return err_note(-err, "worker thread: %m");
	w->n++;
	return MQ_OK;
}

static int
start_pinned(struct workers *w, struct worker *me, size_t cpu)
{
	pthread_attr_t attr;
	cpu_set_t one;
	int rc;

	me->w = w;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(one), &one);
	rc = start(w, &attr, worker_main, me);
	pthread_attr_destroy(&attr);
	return rc;
}

static int
start_standin(struct workers *w, size_t rank)
{
	struct standin *s = malloc(sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	*s = (struct standin){ .w = w, .rank = rank };
	rc = start(w, NULL, standin_main, s);
	if (rc != MQ_OK)
		free(s);
	return rc;
}

int
workers_start(struct mount *m, int ended_fd)
{
	struct workers *w = calloc(1, sizeof(*w));
	cpu_set_t cpus;
	int rc = MQ_OK;

	if (!w)
		return -ENOMEM;
	w->m = m;
	w->ended_fd = ended_fd;
	if (m->estate)
		estate_beats_begin(m->estate);
	lock_init(&w->lock, RANK_MARK);
	cond_init(&w->more);
	cond_init(&w->back);
	m->workers = w;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return err_note(-errno, "sched_getaffinity: %m");
	w->n_pinned = (size_t)CPU_COUNT(&cpus);
	w->list = calloc(w->n_pinned + STANDINS, sizeof(*w->list));
	w->pinned = calloc(w->n_pinned, sizeof(*w->pinned));
	if (!w->list || !w->pinned)
		return -ENOMEM;
	for (size_t i = 0; i < STANDINS && rc == MQ_OK; i++)
		rc = start_standin(w, i);
	for (size_t cpu = 0, i = 0; cpu < CPU_SETSIZE && rc == MQ_OK; cpu++)
		if (CPU_ISSET(cpu, &cpus))
			rc = start_pinned(w, &w->pinned[i++], cpu);
	return rc;
}

/* Out of read(2), and again: the signal may come just before it goes in. */
static void
end_one(pthread_t worker)
{
	struct timespec until;

	do {
		pthread_kill(worker, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += KICK_MS * 1000000L;
		if (until.tv_nsec >= 1000000000L) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000L;
		}
	} while (pthread_timedjoin_np(worker, NULL, &until) == ETIMEDOUT);
}

void
workers_end(struct mount *m)
{
	struct workers *w = m->workers;

	fuse_session_exit(m->session);
	if (!w)
		return;
	lock_take(&w->lock);
	w->ending = true;
	pthread_cond_broadcast(&w->more);
	pthread_cond_broadcast(&w->back);
	lock_drop(&w->lock);
	for (size_t i = 0; i < w->n; i++)
		end_one(w->list[i]);
	m->workers = NULL;
	pthread_cond_destroy(&w->more);
	pthread_cond_destroy(&w->back);
	lock_destroy(&w->lock);
	free(w->pinned);
	free(w->list);
	free(w);
}
