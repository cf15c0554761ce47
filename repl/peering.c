#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"
#include "repl/peering.h"
#include "repl/replication_priv.h"

#define VIEWS_MS 200			/* without progress they are up to date */
#define TAIL_BYTES (64 << 10)

/* --- this broker ------------------------------------------------------------------------- */

static const char *
role_name(const struct settings *s)
{
	static const char *const names[] = {
		[ASYNC_MASTER] = "ASYNC_MASTER", [SYNC_MASTER] = "SYNC_MASTER", [SLAVE] = HELLO_SLAVE,
	};

	return names[s->brokerRole];
}

/* Wait for the views of a slave.  They do not reach the log's end while its last record is incomplete. */
static void
wait_for_views(struct replication *r, mq_pos end)
{
	struct mark *dispatched = store_dispatched(r->store);
	mq_pos at = mark_at(dispatched);

	while (at.byte < end.byte && mark_wait_past(dispatched, at, VIEWS_MS, &at) == MQ_OK)
		;
	(void)offsets_follow(r->broker.offsets);
}

/* Nothing is said of bytes that we do not have, or cannot read. */
static void
fill_tail(struct replication *r, mq_pos from, mq_pos to, struct hello_tail *ret)
{
	uint32_t crc;

	if (from.byte < to.byte && to.byte - from.byte <= TAIL_BYTES &&
	    store_crc_raw(r->store, from, to, &crc) == MQ_OK)
		*ret = (struct hello_tail){ from, to, crc };
}

static int
fill_epochs(struct replication *r, struct hello *h)
{
	h->epochs.list = calloc(EPOCHS_MAX, sizeof(*h->epochs.list));
	if (!h->epochs.list)
		return -ENOMEM;
	wait_for_views(r, h->end);
	h->epochs.n = offsets_epochs(r->broker.offsets, h->epochs.list, EPOCHS_MAX);
	epochs_cut(&h->epochs, h->end);
	return MQ_OK;
}

int
peering_hello(struct replication *r, struct hello *ret)
{
	const struct settings *s = r->settings;
	struct hello h = { .program = "mqfs " PACKAGE_VERSION, .broker_id = s->brokerId };
	int64_t tail;

	snprintf(h.cluster, sizeof(h.cluster), "%s", s->brokerClusterName);
	snprintf(h.broker_name, sizeof(h.broker_name), "%s", s->brokerName);
	snprintf(h.role, sizeof(h.role), "%s", role_name(s));
	replication_troubles(r, h.trouble, sizeof(h.trouble));
	memcpy(h.store_id, offsets_identity(r->broker.offsets), sizeof(h.store_id));
	lock_take(&r->lock);
	memcpy(h.instance, r->instance, sizeof(h.instance));
	h.via = r->via;
	h.unlogged = r->unlogged && s->brokerRole == SLAVE;
	lock_drop(&r->lock);
	h.unsynced = s->brokerRole == SYNC_MASTER && s->flushDiskType == ASYNC_FLUSH;
	h.segment_bytes = store_segment_bytes(r->store);
	h.end = mark_at(store_written(r->store));
	h.begin = store_begin(r->store);
	if (h.begin.byte > h.end.byte)
		h.begin = h.end;
	tail = h.end.byte - h.begin.byte < TAIL_BYTES ? h.end.byte - h.begin.byte : TAIL_BYTES;
	fill_tail(r, pos_add(h.end, -tail), h.end, &h.tail);
	*ret = h;
	return fill_epochs(r, ret);
}

/* --- of two ------------------------------------------------------------------------------ */

static int
refuse(enum epochs_verdict verdict, const struct hello *master)
{
	if (verdict == EPOCHS_STALE_MASTER)
		return err_note(-EPROTO, "it is no longer the master: this log knows a later one");
	return err_note(-EPROTO, "its log is another one%s: to follow it, begin with an empty store",
			master->epochs.n ? "" : " (or ours is ahead of it)");
}

int
peering_judge(const struct hello *slave, const struct hello *master, enum epochs_verdict *ret, mq_pos *ret_at)
{
	mq_pos at = slave->end;
	enum epochs_verdict verdict = epochs_compare(&slave->epochs, slave->begin, slave->end, &master->epochs,
						     master->begin, master->end, slave->store_id, &at);

	if (verdict == EPOCHS_STALE_MASTER || verdict == EPOCHS_STRANGER)
		return refuse(verdict, master);
	if (verdict == EPOCHS_DIVERGED && hello_is_slave(master) && at.byte >= master->end.byte)
		return err_note(-EAGAIN, "it is a slave itself and has the log up to %" PRId64 ", this one up to %"
				PRId64 ": waiting for it", master->end.byte, slave->end.byte);
	if (verdict == EPOCHS_DIVERGED && master->unsynced && epochs_lost_their_end(&slave->epochs, &master->epochs))
		return err_note(-EPROTO, "its disk has lost what it may have acknowledged, which this slave has (%" PRId64
				" to %" PRId64 "): promote the slave with the longest log; or, to give that up, make "
				"it an ASYNC_MASTER until its slaves follow", at.byte, slave->end.byte);
	if (verdict == EPOCHS_FOLLOW && hello_tails_differ(slave, master))
		return err_note(-EPROTO, "its log has other bytes than ours between %" PRId64 " and %" PRId64
				": one store is an old copy, put back; to follow it, begin with an empty store",
				slave->tail.from.byte, slave->tail.to.byte);
	*ret = verdict;
	*ret_at = at;
	return MQ_OK;
}

/* --- the other side ---------------------------------------------------------------------- */

static int
put_hello(const struct hello *h, struct answer *ret)
{
	ret->body = hello_encode(h, &ret->body_len);
	return ret->body ? MQ_OK : -ENOMEM;
}

/* Judge a slave by its hello, for status/ and the log.  The slave comes to the same verdict by itself. */
static void
judge_slave(struct replication *r, const struct request *req, const struct hello *theirs,
	    const struct hello *ours)
{
	enum epochs_verdict verdict = EPOCHS_FOLLOW;
	mq_pos at = MQ_POS(0);
	int rc = peering_judge(theirs, ours, &verdict, &at);
	bool good = rc == MQ_OK && (verdict == EPOCHS_FOLLOW || verdict == EPOCHS_EMPTY);
	char news[320] = "";

	if (rc != MQ_OK)
		snprintf(news, sizeof(news), "refuses this broker: %s", err_text(rc));
	else if (verdict == EPOCHS_DIVERGED)
		snprintf(news, sizeof(news), "has another log from %" PRId64 " to %" PRId64
			 ", and cuts that off: its lost+found has it", at.byte, theirs->end.byte);
	else if (verdict == EPOCHS_TOO_OLD)
		snprintf(news, sizeof(news), "was away for too long and begins anew: its log ends at %" PRId64
			 ", this one begins at %" PRId64, theirs->end.byte, ours->begin.byte);
	LOCKED(&r->lock);
	peers_hello(&r->peers, req->peer, theirs, good, news);
}

int
peering_serve(struct replication *r, const struct request *req, struct answer *ret)
{
	struct hello ours, theirs;
	int rc;

	rc = hello_decode(req->body, req->body_len, &theirs);
	if (rc != MQ_OK)
		return rc;
	rc = peering_hello(r, &ours);
	if (rc == MQ_OK) {
		ours.tail = (struct hello_tail){ .crc = 0 };
		fill_tail(r, theirs.tail.from, theirs.tail.to, &ours.tail);
		judge_slave(r, req, &theirs, &ours);
		rc = put_hello(&ours, ret);
		hello_free(&ours);
	}
	hello_free(&theirs);
	return rc;
}
