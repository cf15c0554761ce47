#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "net/shared.h"
#include "remoting/ring_client.h"

#define REUSED_BYTES (1u << 20)		/* of the data: an empty ring that has got further begins anew */

int
ring_client_open(struct ring_client *r, struct ring_fds *fds)
{
	void *in = NULL, *out = NULL;
	int rc = shared_map("ring", take_fd(&fds->fd[RING_FD_IN]), sizeof(*r->in), true, &in);

	if (rc == MQ_OK)
		rc = shared_map("ring", take_fd(&fds->fd[RING_FD_OUT]), sizeof(*r->out), false, &out);
	*r = (struct ring_client){
		.in = in,
		.out = out,
		.wake_mount = take_fd(&fds->fd[RING_FD_WAKE_MOUNT]),
		.wake_us = take_fd(&fds->fd[RING_FD_WAKE_CLIENT]),
		.free_slots = calloc(RING_SLOTS, sizeof(*r->free_slots)),
	};
	if (rc == MQ_OK && !r->free_slots)
		rc = -ENOMEM;
	ring_fds_close(fds);
	if (rc != MQ_OK) {
		ring_client_close(r);
		return rc;
	}
	while (r->n_free < RING_SLOTS) {
		r->free_slots[r->n_free] = (uint16_t)(RING_SLOTS - 1 - r->n_free);
		r->n_free++;
	}
	return MQ_OK;
}

void
ring_client_close(struct ring_client *r)
{
	if (r->in)
		munmap(r->in, sizeof(*r->in));
	if (r->out)
		munmap((void *)(uintptr_t)r->out, sizeof(*r->out));
	if (r->in || r->out || r->free_slots) {
		close(r->wake_mount);
		close(r->wake_us);
	}
	free(r->free_slots);
	*r = (struct ring_client){ .wake_mount = -1, .wake_us = -1 };
}

unsigned char *
ring_client_place(struct ring_client *r, size_t len, struct ring_submission *next)
{
	uint64_t at = r->data_next, left = RING_DATA_BYTES - at % RING_DATA_BYTES;
	uint64_t needed_from = atomic_load_explicit(&r->out->data_free, memory_order_acquire);
	bool empty = needed_from == at;

	if (len > RING_DATA_BYTES / 2 || r->n_free == 0)
		return NULL;
	if (len > left || (empty && at % RING_DATA_BYTES >= REUSED_BYTES))
		at += left;		/* in one piece, at the ring's begin */
	if (empty)
		r->data_base = at;
	if (needed_from < r->data_base)
		needed_from = r->data_base;
	if (at + len - needed_from > RING_DATA_BYTES)
		return NULL;
	next->slot = r->free_slots[--r->n_free];
	next->data_at = at;
	return r->in->data + at % RING_DATA_BYTES;
}

void
ring_client_submit(struct ring_client *r, const struct ring_submission *s)
{
	uint64_t len = ring_bytes(s);

	r->in->submissions[r->submitted % RING_SLOTS] = *s;
	if (len > 0)
		r->data_next = s->data_at + len;
	r->submitted++;
	atomic_store_explicit(&r->in->submitted, r->submitted, memory_order_release);
}

void
ring_client_wake(struct ring_client *r)
{
	if (r->submitted == r->told)
		return;
	r->told = r->submitted;
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&r->out->sleeps))
		shared_wake(r->wake_mount);
}

int
ring_client_reap(struct ring_client *r, struct ring_completion *ret)
{
	if (atomic_load_explicit(&r->out->completed, memory_order_acquire) == r->reaped)
		return -EAGAIN;
	*ret = r->out->completions[r->reaped++ % RING_SLOTS];
	r->free_slots[r->n_free++] = (uint16_t)ret->slot;
	return MQ_OK;
}

static bool
has_answer(const struct ring_client *r)
{
	return atomic_load_explicit(&r->out->completed, memory_order_acquire) != r->reaped;
}

void
ring_client_linger(struct ring_client *r)
{
	int64_t until;

	if (r->submitted == r->reaped || has_answer(r))
		return;
	if (r->lingers_in > 0) {
		r->lingers_in--;
		return;
	}
	until = clock_mono_us() + RING_LINGER_US;
	while (!has_answer(r) && clock_mono_us() < until)
		;
	if (has_answer(r))
		r->futile = 0;
	else if (r->futile < RING_LINGER_REST)
		r->futile = r->futile ? 2 * r->futile : 1;
	r->lingers_in = r->futile;
}

bool
ring_client_sleep(struct ring_client *r)
{
	atomic_store(&r->in->sleeps, 1);
	if (atomic_load(&r->out->completed) == r->reaped && atomic_load(&r->out->moved) == r->moved)
		return true;
	atomic_store(&r->in->sleeps, 0);
	return false;
}

void
ring_client_awake(struct ring_client *r)
{
	atomic_store(&r->in->sleeps, 0);
}

bool
ring_client_ends_moved(struct ring_client *r)
{
	uint64_t moved = atomic_load_explicit(&r->out->moved, memory_order_acquire);
	bool any = moved != r->moved;

	r->moved = moved;
	return any;
}
