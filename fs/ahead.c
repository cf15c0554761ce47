#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "conf/thread.h"
#include "fs/ahead.h"

#define RING_BYTES ((int64_t)4 << 20)
#define PIECE_BYTES ((int64_t)256 << 10)
#define IN_A_ROW 4		/* reads before it is worth a ring */
#define LEAST_BYTES 16384	/* shorter reads cost more by their number than by their bytes */
#define RINGS_MAX 32

/* One file to fill for. */
struct job {
	STAILQ_ENTRY(job) entry;
	struct handle *h;	/* with a reference */
	struct ahead_file *f;
};

struct ahead {
	struct mount *m;
	ahead_fill *fill;
	struct lock lock;
	pthread_cond_t more;
	STAILQ_HEAD(, job) jobs;
	bool closing;
	struct thread thread;
	_Atomic int rings;
};

void
ahead_file_init(struct ahead_file *f)
{
	*f = (struct ahead_file){ .next = -1 };
	lock_init(&f->lock, RANK_AHEAD);
	cond_init(&f->filled);
}

static void
ring_end(struct ahead *a, struct ahead_file *f)
{
	MUST_HOLD(&f->lock);
	if (!f->ring)
		return;
	free(f->ring);
	f->ring = NULL;
	f->in_a_row = 0;
	if (a)
		atomic_fetch_sub(&a->rings, 1);
	pthread_cond_broadcast(&f->filled);
}

void
ahead_file_free(struct ahead *a, struct ahead_file *f)
{
	lock_take(&f->lock);
	ring_end(a, f);
	lock_drop(&f->lock);
	pthread_cond_destroy(&f->filled);
	lock_destroy(&f->lock);
}

/* --- filling -------------------------------------------------------------------------- */

static void
enqueue(struct ahead *a, struct handle *h, struct ahead_file *f)
{
	struct job *job;

	MUST_HOLD(&f->lock);
	if (f->queued || f->at_end || RING_BYTES - (f->end - f->begin) < PIECE_BYTES)
		return;
	job = malloc(sizeof(*job));
	if (!job)
		return;			/* without memory the reader reads as usual */
	*job = (struct job){ .h = h, .f = f };
	handle_ref(h);
	f->queued = true;
	LOCKED(&a->lock);
	STAILQ_INSERT_TAIL(&a->jobs, job, entry);
	pthread_cond_signal(&a->more);
}

static struct job *
dequeue(struct ahead *a)
{
	struct job *job;

	LOCKED(&a->lock);
	while (STAILQ_EMPTY(&a->jobs) && !a->closing)
		lock_wait(&a->lock, &a->more, -1);
	job = STAILQ_FIRST(&a->jobs);
	if (job)
		STAILQ_REMOVE_HEAD(&a->jobs, entry);
	return job;
}

/* Fill one piece.  False: there is nothing more to do for this file.
 *
 * The handle's lock protects the view, and the end of the ring: so the ring is filled without the file's
 * lock. */
static bool
fill_piece(struct ahead *a, struct handle *h, struct ahead_file *f)
{
	int64_t at, room;
	unsigned char *ring;
	size_t n = 0;
	bool more;
	int rc;

	LOCKED(&h->lock);
	lock_take(&f->lock);
	ring = f->ring;
	at = f->end;
	room = ring && !f->at_end ? RING_BYTES - (f->end - f->begin) : 0;
	lock_drop(&f->lock);
	if (room < PIECE_BYTES)
		goto done;
	room = RING_BYTES - at % RING_BYTES < PIECE_BYTES ? RING_BYTES - at % RING_BYTES : PIECE_BYTES;
	rc = a->fill(h, at, ring + at % RING_BYTES, (size_t)room, &n);
	lock_take(&f->lock);
	f->at_end = rc != MQ_OK || (int64_t)n < room;
	f->end += (int64_t)n;
	pthread_cond_broadcast(&f->filled);
	more = !f->at_end && RING_BYTES - (f->end - f->begin) >= PIECE_BYTES;
	f->queued = more;
	lock_drop(&f->lock);
	return more;

done:
	lock_take(&f->lock);
	f->queued = false;
	pthread_cond_broadcast(&f->filled);
	lock_drop(&f->lock);
	return false;
}

static void *
ahead_main(void *arg)
{
	struct ahead *a = arg;
	struct job *job;

	while ((job = dequeue(a))) {
		while (fill_piece(a, job->h, job->f))
			;
		handle_unref(a->m, job->h);
		free(job);
	}
	return NULL;
}

/* --- reading ---------------------------------------------------------------------------- */

/* Wait until `size` bytes are ready, or all there are. */
static size_t
wait_ready(struct ahead_file *f, size_t size)
{
	MUST_HOLD(&f->lock);
	while (f->ring && f->end - f->begin < (int64_t)size && f->queued)
		lock_wait(&f->lock, &f->filled, -1);
	if (!f->ring)
		return 0;
	return f->end - f->begin < (int64_t)size ? (size_t)(f->end - f->begin) : size;
}

static void
reply_ring(fuse_req_t req, const struct ahead_file *f, size_t n)
{
	size_t at = (size_t)(f->begin % RING_BYTES), first = (size_t)RING_BYTES - at;
	struct iovec iov[2] = {
		{ .iov_base = f->ring + at, .iov_len = n < first ? n : first },
		{ .iov_base = f->ring, .iov_len = n < first ? 0 : n - first },
	};

	fuse_reply_iov(req, iov, iov[1].iov_len ? 2 : 1);
}

/* End the ring: the reader reads at another place, or at the end. */
static void
ahead_stop(struct ahead *a, struct handle *h, struct ahead_file *f)
{
	LOCKED(&h->lock);
	lock_take(&f->lock);
	if (!f->replying)
		ring_end(a, f);
	lock_drop(&f->lock);
}

bool
ahead_read(struct ahead *a, struct handle *h, struct ahead_file *f, fuse_req_t req, size_t size, int64_t off,
	   size_t *ret_n)
{
	size_t n;

	if (!a)
		return false;
	lock_take(&f->lock);
	if (!f->ring || f->replying || off != f->begin || size > (size_t)RING_BYTES / 2 ||
	    (n = wait_ready(f, size)) == 0) {
		bool elsewhere = f->ring && !f->replying;

		lock_drop(&f->lock);
		if (elsewhere)
			ahead_stop(a, h, f);
		return false;
	}
	f->replying = true;
	lock_drop(&f->lock);
	reply_ring(req, f, n);
	lock_take(&f->lock);
	f->replying = false;
	f->begin += (int64_t)n;
	f->next = f->begin;
	enqueue(a, h, f);
	lock_drop(&f->lock);
	*ret_n = n;
	return true;
}

void
ahead_note(struct ahead *a, struct handle *h, struct ahead_file *f, int64_t off, size_t size, size_t n)
{
	if (!a)
		return;
	LOCKED(&f->lock);
	f->in_a_row = off == f->next && n == size && size >= LEAST_BYTES ? f->in_a_row + 1 : 0;
	f->next = off + (int64_t)n;
	if (f->ring || f->in_a_row < IN_A_ROW)
		return;
	if (atomic_fetch_add(&a->rings, 1) >= RINGS_MAX || !(f->ring = malloc((size_t)RING_BYTES))) {
		atomic_fetch_sub(&a->rings, 1);
		return;
	}
	f->begin = f->end = f->next;
	f->at_end = false;
	enqueue(a, h, f);
}

/* --- begin and end ------------------------------------------------------------------------ */

int
ahead_open(struct mount *m, ahead_fill *fill, struct ahead **ret)
{
	struct ahead *a;
	cpu_set_t cpus;
	int rc;

	*ret = NULL;
	if (sched_getaffinity(0, sizeof(cpus), &cpus) < 0 || CPU_COUNT(&cpus) < 2)
		return MQ_OK;
	a = calloc(1, sizeof(*a));
	if (!a)
		return -ENOMEM;
	a->m = m;
	a->fill = fill;
	STAILQ_INIT(&a->jobs);
	lock_init(&a->lock, RANK_AHEAD_JOBS);
	cond_init(&a->more);
	rc = thread_start(&a->thread, ahead_main, a);
	if (rc != MQ_OK) {
		free(a);
		return rc;
	}
	*ret = a;
	return MQ_OK;
}

void
ahead_close(struct ahead *a)
{
	if (!a)
		return;
	lock_take(&a->lock);
	a->closing = true;
	pthread_cond_signal(&a->more);
	lock_drop(&a->lock);
	thread_join(&a->thread);
	pthread_cond_destroy(&a->more);
	lock_destroy(&a->lock);
	free(a);
}
