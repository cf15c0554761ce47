#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/lock.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "conf/thread.h"
#include "fs/estate.h"
#include "fs/kernel.h"
#include "fs/pending.h"
#include "fs/scratch.h"
#include "fs/workers.h"
#include "store/file.h"

#define INTERRUPT_MS 20			/* between two signals to a worker that is to end */
#define STANDINS 3			/* each serves while all workers and the stand-ins before it wait */
#define LOOKS 4				/* for the next request, before a worker sleeps */
#define LOST_US 200			/* a look that takes longer shows that other threads want this CPU: */
#define LOST_MS 100			/* no worker looks for that long */
#define REST_MS 5			/* a rest lasts no longer */
#define SHORT_BYTES (16 << 10)		/* such a write takes a worker some microseconds */
#define RUN 32				/* so many requests without a pause are more than one worker's work */

/* What a thread that takes requests is doing.  One that sleeps while it takes has taken none. */
enum doing { OTHER, TAKES, RELEASES };

struct taker {
	_Alignas(64) _Atomic enum doing doing;
	_Atomic pid_t thread;		/* 0: not started yet */
	_Atomic uint64_t began;		/* workers_taken() when it began to take this request */
};

struct workers {
	struct mount *m;
	int ended_fd;
	struct thread *list;		/* the pinned ones, */
	size_t n, n_pinned;		/* then the stand-ins */
	struct taker *takers;		/* as many as there can be threads; in the order of their starts */
	_Atomic size_t n_takers;
	_Atomic uint64_t taken;		/* how often workers_taken() was called */
	_Atomic unsigned numbered;	/* workers, for the watchdog */
	_Atomic size_t long_requests;	/* under way: all but short writes */

	struct lock lock;		/* all below */
	pthread_cond_t more;
	size_t waiting;			/* threads in workers_wait_begin() */
	pthread_cond_t call;
	_Atomic size_t resting;		/* pinned workers; written with the lock held */
	size_t called;			/* workers whose rest is to end: not in `resting` any more */
	bool ending;

	struct file_waiting for_disk;	/* workers_wait_begin() and workers_wait_end() around each read that waits */
};

struct standin {
	struct workers *w;
	size_t rank;			/* it serves while more than all others wait */
};

/* --- rests ------------------------------------------------------------------------ */

/* Beside one that is about to rest. */
static bool
another_is_free(const struct workers *w)
{
	MUST_HOLD(&w->lock);
	return w->waiting + atomic_load(&w->resting) + atomic_load(&w->long_requests) < w->n_pinned;
}

/* Writers that wait for slaves are answered together, and write again together.  One worker takes these writes in
 * less time than one on each CPU, which would be woken one by one and contend for the log.  So a worker rests after
 * such a write while another one is awake.  Its rest ends when the others have a request that may take long, or more
 * requests than one worker can serve, and after REST_MS in any case: no request waits longer than that for a worker
 * that is held up unexpectedly.  For writers that wait for the disk no worker rests: the CPUs have nothing else to do
 * while it works, and the sooner all writes are in the log, the more of them one flush serves. */
static void
rest(struct workers *w)
{
	LOCKED(&w->lock);
	atomic_fetch_add(&w->resting, 1);	/* before the look at long_requests: see serve() */
	if (another_is_free(w))
		while (!w->ending && w->called == 0 && lock_wait(&w->lock, &w->call, REST_MS) == 0)
			;
	if (w->called > 0)
		w->called--;
	else
		atomic_fetch_sub(&w->resting, 1);
}

/* End the rest of one worker. */
static void
call_one(struct workers *w)
{
	if (atomic_load(&w->resting) == 0)
		return;
	LOCKED(&w->lock);
	if (atomic_load(&w->resting) == 0)
		return;
	atomic_fetch_sub(&w->resting, 1);
	w->called++;
	pthread_cond_signal(&w->call);
}

/* 0: too short for a request. */
static uint32_t
opcode_of(const struct fuse_buf *buf)
{
	struct kernel_in_header head = { .opcode = 0 };

	if (buf->size >= sizeof(head))
		memcpy(&head, buf->mem, sizeof(head));
	return head.opcode;
}

static bool
is_short_write(const struct fuse_buf *buf)
{
	return buf->size <= SHORT_BYTES && opcode_of(buf) == KERNEL_OP_WRITE;
}

/* --- closes under way --------------------------------------------------------------- */

static _Thread_local struct taker *this_taker;

static void
taker_begin(struct workers *w)
{
	this_taker = &w->takers[atomic_fetch_add(&w->n_takers, 1)];
	atomic_store(&this_taker->thread, gettid());
}

static void
now_doing(enum doing doing)
{
	atomic_store_explicit(&this_taker->doing, doing, memory_order_release);
}

static void
begin_taking(struct workers *w)
{
	atomic_store_explicit(&this_taker->began, atomic_load_explicit(&w->taken, memory_order_acquire),
			      memory_order_release);
	now_doing(TAKES);
}

/* True also if the system does not tell. */
static bool
is_asleep(pid_t thread)
{
	AUTO_CLOSE int fd = -1;
	char path[64], stat[256];
	const char *end;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)thread);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);
	if (n < 0)
		return true;
	stat[n] = '\0';
	end = strrchr(stat, ')');
	return !end || strncmp(end, ") S", 3) == 0;
}

static bool
may_have_release(const struct taker *t)
{
	enum doing doing = atomic_load(&t->doing);
	bool asleep = doing == TAKES && is_asleep(atomic_load(&t->thread));

	if (asleep)		/* since then, or before it looked so: a RELEASE may also sleep while it is served */
		doing = atomic_load(&t->doing);
	return doing == RELEASES || (doing == TAKES && !asleep);
}

uint64_t
workers_taken(const struct mount *m)
{
	return m->workers ? atomic_fetch_add(&m->workers->taken, 1) : 0;
}

/* A thread that has begun to take another request since then has served all before, and takes one that was sent later:
 * the kernel gives them out in the order in which they were sent. */
bool
workers_release_is_under_way(const struct mount *m, uint64_t taken)
{
	const struct workers *w = m->workers;
	size_t n = w ? atomic_load(&w->n_takers) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct taker *t = &w->takers[i];

		if (t != this_taker && atomic_load(&t->began) <= taken && may_have_release(t))
			return true;
	}
	return false;
}

/* --- serving -------------------------------------------------------------------- */

/* What a worker knows of the requests that it has served. */
struct recent {
	bool parked;			/* the last one was a short write that waits for slaves: its caller sends no other now */
	unsigned run;			/* how many came without a pause */
};

/* For the watchdog: this thread begins or ends a request, or a long wait within it. */
static void
beat(struct workers *w)
{
	static _Thread_local unsigned number;	/* from 1 */

	if (!w->m->estate)
		return;
	if (number == 0)
		number = atomic_fetch_add(&w->numbered, 1) + 1;
	if (number <= ESTATE_BEATS)
		atomic_fetch_add_explicit(&w->m->estate->beats[number - 1].n, 1, memory_order_relaxed);
}

static bool
is_pending(const struct workers *w)
{
	struct pollfd next = { .fd = fuse_session_fd(w->m->session), .events = POLLIN };

	return poll(&next, 1, 0) != 0;
}

/* Look for the next request a few times before sleeping, and yield in between to the process that may send it.
 * A request that finds no sleeping worker does not have to wake one, which costs more than the looks,
 * because often another CPU must be interrupted.  When other threads want the CPU, a look takes long, and the
 * scheduler prefers a thread that slept to one that yields: then the worker sleeps at once. */
static void
look_for_request(const struct workers *w)
{
	static _Thread_local int64_t not_before_us;
	int64_t at = clock_mono_us(), before;

	for (int i = 0; i < LOOKS && at >= not_before_us; i++) {
		before = at;
		sched_yield();
		at = clock_mono_us();
		if (at - before > LOST_US)
			not_before_us = at + LOST_MS * 1000;
		if (is_pending(w))
			return;
	}
}

static void
await_request(struct workers *w, struct recent *recent)
{
	recent->run = is_pending(w) ? recent->run + 1 : 0;
	if (recent->run == 0 && !recent->parked)
		look_for_request(w);
	if (recent->run < RUN)
		return;
	call_one(w);
	recent->run = 0;
}

static void
serve(struct workers *w, struct fuse_buf *buf, struct recent *recent)
{
	bool is_short = is_short_write(buf);

	now_doing(opcode_of(buf) == KERNEL_OP_RELEASE ? RELEASES : OTHER);
	if (!is_short) {
		atomic_fetch_add(&w->long_requests, 1);	/* a worker that goes to rest sees it, or call_one() sees that worker */
		call_one(w);
	}
	beat(w);
	fuse_session_process_buf(w->m->session, buf);
	beat(w);
	if (!is_short)
		atomic_fetch_sub(&w->long_requests, 1);
	now_doing(OTHER);
	recent->parked = pending_has_parked_for_slaves() && is_short;
}

/* Serve the next request.  False: the session has ended. */
static bool
serve_one(struct workers *w, struct fuse_buf *buf, struct recent *recent)
{
	struct mount *m = w->m;
	int n;

	if (fuse_session_exited(m->session))
		return false;
	await_request(w, recent);
	begin_taking(w);
	n = fuse_session_receive_buf(m->session, buf);
	if (n <= 0)
		now_doing(OTHER);
	if (n == -EINTR || n == -EAGAIN)
		return true;
	if (n <= 0)
		return false;
	serve(w, buf, recent);
	return true;
}

static void *
worker_main(void *arg)
{
	struct workers *w = arg;
	struct fuse_buf buf = { 0 };
	struct recent recent = { .parked = false };
	uint64_t one = 1;

	taker_begin(w);
	file_set_waiting(&w->for_disk);
	while (serve_one(w, &buf, &recent))
		if (recent.parked)
			rest(w);
	free(buf.mem);
	fuse_session_exit(w->m->session);
	if (write(w->ended_fd, &one, sizeof(one)) < 0)
		log_err("session: %s", strerror(errno));
	return NULL;
}

/* Wait until all workers and the stand-ins before this one wait.  False: the session has ended. */
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
	struct recent recent = { .parked = false };

	taker_begin(w);
	file_set_waiting(&w->for_disk);
	while (standin_is_needed(w, s->rank) && serve_one(w, &buf, &recent)) {
		free(buf.mem);		/* some MiB, which it may not need again for long */
		buf.mem = NULL;
		scratch_drop();
	}
	free(buf.mem);
	free(s);
	return NULL;
}

/* Waits within waits of this thread: only the outermost counts. */
static _Thread_local int waits;

void
workers_wait_begin(struct mount *m)
{
	struct workers *w = m->workers;

	if (!w || waits++ > 0)
		return;
	beat(w);
	call_one(w);
	LOCKED(&w->lock);
	if (++w->waiting >= w->n_pinned)
		pthread_cond_broadcast(&w->more);
}

void
workers_wait_end(struct mount *m)
{
	struct workers *w = m->workers;

	if (!w || --waits > 0)
		return;
	beat(w);
	LOCKED(&w->lock);
	w->waiting--;
}

static void
disk_wait_begin(void *arg)
{
	workers_wait_begin(arg);
}

static void
disk_wait_end(void *arg)
{
	workers_wait_end(arg);
}

/* --- begin and end ----------------------------------------------------------------- */

static int
start_standin(struct workers *w, size_t rank)
{
	struct standin *s = malloc(sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	*s = (struct standin){ .w = w, .rank = rank };
	rc = thread_start(&w->list[w->n], "stand-in", standin_main, s);
	if (rc == MQ_OK)
		w->n++;
	else
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
	w->for_disk = (struct file_waiting){ disk_wait_begin, disk_wait_end, m };
	for (size_t i = 0; m->estate && i < ESTATE_BEATS; i++)
		atomic_store(&m->estate->beats[i].n, 0);
	lock_init(&w->lock, RANK_MARK);
	cond_init(&w->more);
	cond_init(&w->call);
	m->workers = w;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0)
		return err_note(-errno, "sched_getaffinity: %m");
	w->n_pinned = (size_t)CPU_COUNT(&cpus);
	w->list = calloc(w->n_pinned + STANDINS, sizeof(*w->list));
	w->takers = aligned_alloc(_Alignof(struct taker), (w->n_pinned + STANDINS) * sizeof(*w->takers));
	if (!w->list || !w->takers)
		return -ENOMEM;
	memset(w->takers, 0, (w->n_pinned + STANDINS) * sizeof(*w->takers));
	for (size_t i = 0; i < STANDINS && rc == MQ_OK; i++)
		rc = start_standin(w, i);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && rc == MQ_OK; cpu++)
		if (CPU_ISSET(cpu, &cpus) &&
		    (rc = thread_start_on(&w->list[w->n], cpu, "worker", worker_main, w)) == MQ_OK)
			w->n++;
	return rc;
}

/* Join a worker; the signal that interrupts its read(2) is repeated, because it may come just before the call. */
static void
end_one(pthread_t worker)
{
	struct timespec until;

	do {
		pthread_kill(worker, SIGUSR1);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += INTERRUPT_MS * 1000000L;
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
	pthread_cond_broadcast(&w->call);
	lock_drop(&w->lock);
	for (size_t i = 0; i < w->n; i++)
		end_one(w->list[i].id);
	m->workers = NULL;
	pthread_cond_destroy(&w->more);
	pthread_cond_destroy(&w->call);
	lock_destroy(&w->lock);
	free(w->takers);
	free(w->list);
	free(w);
}
