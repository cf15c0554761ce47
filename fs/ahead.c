#include "config.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "conf/thread.h"
#include "fs/ahead.h"

#define RING_BYTES ((int64_t)2 << 20)
#define HUGE_PAGE (2 << 20)
#define PIECE_BYTES ((int64_t)256 << 10)
#define IN_A_ROW 4		/* reads before it is worth a ring */
#define LEAST_BYTES 16384	/* shorter reads cost more by their number than by their bytes */
#define RINGS_MAX 32

struct ahead {
	struct mount *m;
	ahead_fill *fill;
	struct lock lock;
	pthread_cond_t more;
	STAILQ_HEAD(, ahead_file) jobs;
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

/* In huge pages, where the kernel has them: the first use of each page costs more than filling it. */
static unsigned char *
ring_make(void)
{
	unsigned char *ring = aligned_alloc((size_t)HUGE_PAGE, (size_t)RING_BYTES);

	if (ring)
		(void)madvise(ring, (size_t)RING_BYTES, MADV_HUGEPAGE);
	return ring;
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

/* Bytes that can be filled. */
static int64_t
room_in(const struct ahead_file *f)
{
	MUST_HOLD(&f->lock);
	return f->ring && !f->at_end ? RING_BYTES - (f->end - f->kept) : 0;
}

static void
enqueue(struct ahead *a, struct handle *h, struct ahead_file *f)
{
	MUST_HOLD(&f->lock);
	if (f->queued || room_in(f) < PIECE_BYTES)
		return;
	handle_ref(h);
	f->h = h;
	f->queued = true;
	LOCKED(&a->lock);
	STAILQ_INSERT_TAIL(&a->jobs, f, job);
	pthread_cond_signal(&a->more);
}

static struct ahead_file *
dequeue(struct ahead *a)
{
	struct ahead_file *f;

	LOCKED(&a->lock);
	while (STAILQ_EMPTY(&a->jobs) && !a->closing)
		lock_wait(&a->lock, &a->more, -1);
	f = STAILQ_FIRST(&a->jobs);
	if (f)
		STAILQ_REMOVE_HEAD(&a->jobs, job);
	return f;
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
	int rc;

	LOCKED(&h->lock);
	lock_take(&f->lock);
	ring = f->ring;
	at = f->end;
	room = room_in(f);
	lock_drop(&f->lock);
	if (room > PIECE_BYTES)
		room = PIECE_BYTES;
	if (room > RING_BYTES - at % RING_BYTES)
		room = RING_BYTES - at % RING_BYTES;
	rc = room > 0 ? a->fill(h, at, ring + at % RING_BYTES, (size_t)room, &n) : MQ_OK;
	LOCKED(&f->lock);
	f->at_end |= rc != MQ_OK || (int64_t)n < room;
	f->end += (int64_t)n;
	f->queued = room_in(f) >= PIECE_BYTES;
	if (!f->queued || f->end - f->begin >= (int64_t)f->wanted)
		pthread_cond_broadcast(&f->filled);
	return f->queued;
}

static void *
ahead_main(void *arg)
{
	struct ahead *a = arg;
	struct ahead_file *f;

	while ((f = dequeue(a))) {
		struct handle *h = f->h;	/* it may be queued anew before this returns false */

		while (fill_piece(a, h, f))
			;
		handle_unref(a->m, h);
	}
	return NULL;
}

/* --- reading ---------------------------------------------------------------------------- */

/* Wait until `size` bytes from `off` on are ready; false: the ring has not got them. */
static bool
wait_ready(struct ahead_file *f, size_t size, int64_t off)
{
	MUST_HOLD(&f->lock);
	if (size > (size_t)RING_BYTES / 2)
		return false;
	f->wanted = size;
	while (f->ring && f->begin == off && f->end - off < (int64_t)size && f->queued)
		lock_wait(&f->lock, &f->filled, -1);
	return f->ring && f->begin == off && f->end - off >= (int64_t)size;
}

/* End the ring: the reader reads at another place, or at the end, or more than the ring has. */
static void
ahead_stop(struct ahead *a, struct handle *h, struct ahead_file *f)
{
	LOCKED(&h->lock);
	LOCKED(&f->lock);
	if (f->replying == 0)
		ring_end(a, f);
}

bool
ahead_take(struct ahead *a, struct handle *h, struct ahead_file *f, size_t size, int64_t off)
{
	bool elsewhere, ready;

	if (!a)
		return false;
	lock_take(&f->lock);
	ready = wait_ready(f, size, off);
	elsewhere = !ready && f->ring;
	if (ready) {
		f->replying++;
		f->begin += (int64_t)size;
		f->next = f->begin;
	}
	lock_drop(&f->lock);
	if (elsewhere)
		ahead_stop(a, h, f);
	return ready;
}

void
ahead_reply(struct ahead *a, struct handle *h, struct ahead_file *f, fuse_req_t req, int64_t off, size_t n)
{
	size_t at = (size_t)(off % RING_BYTES), first = (size_t)RING_BYTES - at;
	struct iovec iov[2] = {
		{ .iov_base = f->ring + at, .iov_len = n < first ? n : first },
		{ .iov_base = f->ring, .iov_len = n < first ? 0 : n - first },
	};

	fuse_reply_iov(req, iov, iov[1].iov_len ? 2 : 1);
	LOCKED(&f->lock);
	if (--f->replying == 0)
		f->kept = f->begin;
	enqueue(a, h, f);
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
	if (atomic_fetch_add(&a->rings, 1) >= RINGS_MAX || !(f->ring = ring_make())) {
		atomic_fetch_sub(&a->rings, 1);
		return;
	}
	f->kept = f->begin = f->end = f->next;
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
	rc = thread_start(&a->thread, "ahead", ahead_main, a);
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
