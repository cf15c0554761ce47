#include "config.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "conf/err.h"
#include "net/shared.h"
#include "remoting/ring_server.h"

#define TOOK_MAX (INT64_C(1) << 40)	/* messages and bytes */

/* --- making them ---------------------------------------------------------------------------- */

void
ring_fds_close(struct ring_fds *fds)
{
	for (int i = 0; i < RING_FDS; i++) {
		if (fds->fd[i] >= 0)
			close(fds->fd[i]);
		fds->fd[i] = -1;
	}
}

int
ring_server_open(struct ring_server *r, struct ring_fds *ret_fds)
{
	struct ring_fds fds = { { -1, -1, -1, -1 } };
	void *in = NULL, *out = NULL;
	int rc;

	*r = (struct ring_server){ .wake_us = -1, .wake_client = -1 };
	lock_init(&r->lock, RANK_RING);
	rc = shared_make("mqfs-in", sizeof(struct ring_in), SHARED_THEIRS, &fds.fd[RING_FD_IN], &in);
	r->in = in;
	if (rc == MQ_OK)
		rc = shared_make("mqfs-out", sizeof(struct ring_out), SHARED_OURS, &fds.fd[RING_FD_OUT], &out);
	r->out = out;
	if (rc == MQ_OK)
		rc = shared_make_wake(&r->wake_us, &fds.fd[RING_FD_WAKE_MOUNT]);
	if (rc == MQ_OK)
		rc = shared_make_wake(&r->wake_client, &fds.fd[RING_FD_WAKE_CLIENT]);
	if (rc != MQ_OK) {
		ring_fds_close(&fds);
		ring_server_close(r);
		return rc;
	}
	*ret_fds = fds;
	return MQ_OK;
}

void
ring_server_close(struct ring_server *r)
{
	if (r->out) {
		munmap(r->out, sizeof(*r->out));
		if (r->wake_us >= 0)
			close(r->wake_us);
		if (r->wake_client >= 0)
			close(r->wake_client);
	}
	if (r->in) {
		munmap((void *)(uintptr_t)r->in, sizeof(*r->in));
		lock_destroy(&r->lock);
	}
	*r = (struct ring_server){ .wake_us = -1, .wake_client = -1 };
}

/* --- taking --------------------------------------------------------------------------------- */

static int
invalid(const char *what)
{
	return err_note(MQ_ECORRUPT, "mqremoted submits %s", what);
}

/* Check each field by itself. */
static int
check_fields(const struct ring_submission *s)
{
	bool sends = s->kind == RING_SEND || s->kind == RING_BATCH;

	if (s->kind < RING_SEND || s->kind >= RING_KINDS_END)
		return invalid("a request of an unknown kind");
	if (s->slot >= RING_SLOTS)
		return invalid("a slot that does not exist");
	if (s->topic_len > RECORD_TOPIC_MAX || s->template_len > RECORD_TOPIC_MAX || s->group_len > RECORD_TOPIC_MAX)
		return invalid("a name that is too long");
	if (s->text_len > RECORD_PROPS_MAX || s->body_len > RING_BODY_MAX)
		return invalid("a text or a body that is longer than a message allows");
	if (s->key_len > RING_KEY_MAX || s->signature_len > RING_SIGNATURE_MAX || s->signed_len > RING_SIGNED_MAX)
		return invalid("a key, a signature or a signed text that is too long");
	if (s->topic_len == 0 && s->kind != RING_WATCH && s->kind != RING_END && s->kind != RING_LEFT)
		return invalid("no topic");
	if (s->kind == RING_END && (s->topic_len > 0 || s->group_len > 0))
		return invalid("an end of a transaction with a topic or a group");
	if (s->kind == RING_END && s->sysflag != SYSFLAG_COMMIT && s->sysflag != SYSFLAG_ROLLBACK)
		return invalid("an end of a transaction that is neither commit nor rollback");
	if (!sends && (s->template_len > 0 || s->body_len > 0))
		return invalid("a body or a template in a request that has none");
	if ((s->kind == RING_PULL || s->kind == RING_COMMIT || s->kind == RING_LEFT || s->kind == RING_TOOK) &&
	    s->group_len == 0)
		return invalid("no group");
	if (s->kind == RING_TOOK && (s->max_messages < 0 || s->offset < 0 || s->offset > TOOK_MAX ||
				     s->commit_offset < 0 || s->commit_offset > TOOK_MAX))
		return invalid("answers that were given with impossible numbers");
	if (s->text_len > 0 && !sends && s->kind != RING_PULL && s->kind != RING_END)
		return invalid("a text in a request that has none");
	if ((s->kind == RING_BATCH) != (s->items > 0) || s->items > s->body_len / sizeof(struct ring_item))
		return invalid("a batch with an invalid number of items");
	if (s->flags & ~(uint32_t)RING_FLAGS_ALL)
		return invalid("unknown flags");
	if (s->kind == RING_WATCH ? s->watch >= RING_WATCHES : s->watch != 0)
		return invalid("an invalid watch");
	if (!sends && s->queue_id < 0)
		return invalid("no queue");
	if (s->born_port < 0 || s->born_port > UINT16_MAX)
		return invalid("an invalid port");
	return MQ_OK;
}

/* Check that the bytes are the next ones of the ring, and in one piece. */
static int
check_place(const struct ring_server *r, const struct ring_submission *s)
{
	uint64_t len = ring_bytes(s), place = s->data_at % RING_DATA_BYTES;
	uint64_t needed_from = r->data_free == r->data_end ? s->data_at : r->data_free;

	if (len == 0)
		return MQ_OK;
	if (s->data_at < r->data_end || s->data_at - r->data_end >= RING_DATA_BYTES ||
	    s->data_at - needed_from > RING_DATA_BYTES || len > RING_DATA_BYTES - (s->data_at - needed_from))
		return invalid("bytes that are not next in the ring");
	if (len > RING_DATA_BYTES - place)
		return invalid("bytes beyond the ring's end");
	return MQ_OK;
}

static void
take_text(const unsigned char **at, size_t len, char *ret)
{
	memcpy(ret, *at, len);
	ret[len] = '\0';
	*at += len;
}

/* Copy a name from the ring, and check it; it may be empty. */
static int
take_name(const unsigned char **at, size_t len, char *ret)
{
	take_text(at, len, ret);
	return len == 0 || record_topic_valid(ret, len) ? MQ_OK : invalid("a name that no topic or group can have");
}

static int
take_texts(const struct ring_server *r, struct ring_request *req)
{
	const struct ring_submission *s = &req->s;
	const unsigned char *at = r->in->data + s->data_at % RING_DATA_BYTES;
	int rc;

	rc = take_name(&at, s->topic_len, req->topic);
	if (rc == MQ_OK)
		rc = take_name(&at, s->template_len, req->template);
	if (rc == MQ_OK)
		rc = take_name(&at, s->group_len, req->group);
	if (rc != MQ_OK)
		return rc;
	take_text(&at, s->text_len, req->text);
	take_text(&at, s->key_len, req->key);
	take_text(&at, s->signature_len, req->signature);
	req->signed_text = at;
	req->body = at + s->signed_len;
	return MQ_OK;
}

int
ring_server_take(struct ring_server *r, struct ring_request *ret)
{
	uint64_t waiting = atomic_load_explicit(&r->in->submitted, memory_order_acquire) - r->taken;
	int rc;

	if (waiting == 0)
		return -EAGAIN;
	if (waiting > RING_SLOTS)	/* also when the count runs backwards */
		return invalid("more requests than there are places");
	if (atomic_load(&r->under_way) >= RING_SLOTS)
		return invalid("more requests than may be under way");
	memcpy(&ret->s, &r->in->submissions[r->taken % RING_SLOTS], sizeof(ret->s));
	rc = check_fields(&ret->s);
	if (rc == MQ_OK)
		rc = check_place(r, &ret->s);
	if (rc == MQ_OK)
		rc = take_texts(r, ret);
	if (rc != MQ_OK)
		return rc;
	if (ring_bytes(&ret->s) > 0) {
		if (r->data_free == r->data_end)
			r->data_free = ret->s.data_at;
		r->data_end = ret->s.data_at + ring_bytes(&ret->s);
	}
	r->taken++;
	atomic_fetch_add(&r->under_way, 1);
	return MQ_OK;
}

void
ring_server_release(struct ring_server *r)
{
	r->data_free = r->data_end;
	atomic_store_explicit(&r->out->data_free, r->data_free, memory_order_release);
}

bool
ring_item_next(const unsigned char *body, size_t len, size_t *at, struct ring_item *ret)
{
	size_t left = len - *at;

	if (left < sizeof(*ret))
		return false;
	memcpy(ret, body + *at, sizeof(*ret));
	left -= sizeof(*ret);
	if (ret->props_len > RECORD_PROPS_MAX || ret->props_len > left || ret->body_len > left - ret->props_len)
		return false;
	*at += sizeof(*ret) + ret->props_len + ret->body_len;
	return true;
}

/* --- sleeping and waking ---------------------------------------------------------------------- */

void
ring_server_nudge(struct ring_server *r)
{
	shared_wake(r->wake_us);
}

void
ring_server_wait(struct ring_server *r, int timeout_ms)
{
	struct pollfd p = { .fd = r->wake_us, .events = POLLIN };

	atomic_store(&r->out->sleeps, 1);
	if (atomic_load(&r->in->submitted) == r->taken)
		(void)poll(&p, 1, timeout_ms);
	atomic_store(&r->out->sleeps, 0);
	shared_reset(r->wake_us);
}

void
ring_server_wake_client(struct ring_server *r)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load(&r->in->sleeps))
		shared_wake(r->wake_client);
}

/* --- answering -------------------------------------------------------------------------------- */

void
ring_server_complete(struct ring_server *r, const struct ring_completion *c)
{
	LOCKED(&r->lock);
	r->out->completions[r->completed % RING_SLOTS] = *c;
	atomic_fetch_sub(&r->under_way, 1);
	r->completed++;
	atomic_store_explicit(&r->out->completed, r->completed, memory_order_release);
}

void
ring_server_set_end(struct ring_server *r, uint32_t watch, int64_t end)
{
	atomic_store_explicit(&r->out->ends[watch], end, memory_order_release);
	atomic_fetch_add(&r->out->moved, 1);
}
