/* What a mount does with the log before it serves: replay, and the end that the log gets. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "store/cut.h"
#include "store/dispatch.h"
#include "store/durable.h"
#include "store/retention.h"
#include "store/store_priv.h"

/* Where the replay begins: at the checkpoint, if the log still has it. */
static mq_pos
replay_from(struct store *s, const struct store_checkpoint *cp)
{
	mq_pos begin = store_begin(s);

	if (s->recovery.rebuilt || cp->dispatched.byte < begin.byte)
		return begin;
	return cp->dispatched;
}

int
store_spill_index(struct store *s)
{
	struct keyindex_mark mark;
	int rc = keyindex_freeze(s->index, &mark);

	return rc == MQ_OK ? keyindex_flush(s->index, &mark) : rc;
}

/* Replay up to where no valid record begins, or to `limit`. */
static int
replay_whole(struct store *s, mq_pos limit, struct dispatched *d)
{
	int rc = MQ_OK;

	for (mq_pos from = d->end, upto; rc == MQ_OK; from = d->end) {
		upto = pos_add(from, REPLAY_BYTES);
		if (upto.byte > limit.byte)
			upto = limit;
		rc = dispatch_log(s, from, upto, NULL, d);
		if (rc == MQ_OK && upto.byte == limit.byte)
			break;
		if (rc == MQ_OK)
			rc = store_spill_index(s);
		if (rc == MQ_OK && d->end.byte == from.byte) {	/* the end, or a huge record */
			rc = dispatch_log(s, from, limit, NULL, d);
			break;
		}
	}
	return rc;
}

/* RocketMQ 5.1 writes another record where a topic's name is longer than 127 bytes: the rest of
 * its log is no damage, and must not be cut. */
static int
refuse_v2(struct store *s, mq_pos pos, mq_pos limit)
{
	unsigned char head[8];
	size_t n = 0;

	if (commitlog_read(&s->log, pos, limit, head, sizeof(head), &n) != MQ_OK || n < sizeof(head) ||
	    be32_get(head + 4) != RECORD_MAGIC_V2)
		return MQ_OK;
	return err_note(MQ_ECORRUPT, "the record at position %" PRId64 " is of version 2 (RocketMQ 5, a topic of more "
			"than 127 bytes), which is not served", pos.byte);
}

/* Replay the whole log.  It ends where no record begins, unless that lies before `promised` and a
 * valid record follows before it: this is damage, which stays, and reading it fails with EIO. */
static int
replay(struct store *s, mq_pos promised, mq_pos limit, struct dispatched *d)
{
	mq_pos next;
	int rc;

	for (;;) {
		rc = replay_whole(s, limit, d);
		if (rc != MQ_OK || d->end.byte >= limit.byte)
			break;
		rc = refuse_v2(s, d->end, limit);
		if (rc != MQ_OK || d->end.byte >= promised.byte)
			break;
		rc = dispatch_next(s, d->end, limit, &next);
		if (rc != MQ_OK || next.byte > promised.byte)
			break;
		log_warn("log: %" PRId64 " bytes at position %" PRId64 " are damaged: passed over",
			 next.byte - d->end.byte, d->end.byte);
		s->recovery.damaged_bytes += next.byte - d->end.byte;
		d->end = next;
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

/* Finish a cut of the log that was begun, if the views end before it.  (If they do not, the log is
 * still whole, and store_cut_views() is called later.) */
static int
recover_cut(struct store *s, const struct store_checkpoint *cp, mq_pos *limit)
{
	struct store_cut cut;
	int rc = s->dir->read_only ? -ENOENT : store_cut_noted(s->dir, &cut);

	if (rc != MQ_OK)
		return rc == -ENOENT ? MQ_OK : rc;
	if (!cut.kept || cp->dispatched.byte > cut.at.byte || cut.at.byte > limit->byte)
		return MQ_OK;
	rc = commitlog_cut(&s->log, cut.at, 0, s->lostfound_fd, cut.why);
	*limit = cut.at;
	return rc;
}

static int
drop_unlogged(struct queue *q, void *arg)
{
	(void)arg;
	queue_drop_unlogged(q);
	return MQ_OK;
}

int
store_recover(struct store *s, const struct store_checkpoint *cp)
{
	struct store_recovery *r = &s->recovery;
	mq_pos limit = MQ_POS(atomic_load(&s->log.allocated));
	struct dispatched d = { .store_ms = cp->store_ms };
	int64_t started = clock_wall_ms();
	int rc = recover_cut(s, cp, &limit);

	if (rc != MQ_OK)
		return rc;
	r->clean = s->dir->was_clean;
	r->from = d.end = replay_from(s, cp);
	if (r->from.byte > limit.byte)
		return err_note(MQ_ECORRUPT, "the log ends at %" PRId64 ", before what the views hold (%" PRId64
				"): segments are missing", limit.byte, r->from.byte);
	rc = replay(s, durable_promised(s->dir, cp->dispatched), limit, &d);
	if (rc == MQ_OK && cp->begin.byte < store_begin(s).byte && !r->rebuilt)
		rc = retention_move_heads(s, store_begin(s));
	if (rc == MQ_OK)
		rc = commitlog_set_end(&s->log, r->from, d.end, d.store_ms, s->lostfound_fd, &r->cut_bytes);
	for (size_t i = 0; r->rebuilt && rc == MQ_OK && i < cp->n; i++)
		rc = queues_trim_as(&s->queues, &cp->rows[i]);
	if (rc != MQ_OK)
		return rc;
	if (!r->clean && !r->rebuilt)
		(void)queues_each(&s->queues, drop_unlogged, NULL);
	for (int i = 0; r->rebuilt && cp->dispatched.byte >= 0 && cp->dispatched.byte <= d.end.byte && i < DELAY_LEVELS_MAX; i++)
		delays_level_is_at(s, i + 1, cp->delays.level[i]);	/* no record says what RocketMQ has delivered */
	r->to = d.end;
	r->records = d.records;
	r->took_ms = clock_wall_ms() - started;
	mark_advance(&s->dispatched, d.end);
	atomic_store(&s->checkpointed, cp->dispatched.byte);
	if (r->cut_bytes > 0)
		log_warn("log: it ends at position %" PRId64 ", where no record begins; %" PRId64
			 " bytes behind that are kept in lost+found", d.end.byte, r->cut_bytes);
	if (!r->clean || r->cut_bytes > 0)
		log_notice("last exit was %s: replayed %" PRId64 " records (%" PRId64 " bytes) in %" PRId64 " ms",
			   r->clean ? "clean" : "not clean", r->records, r->to.byte - r->from.byte, r->took_ms);
	return MQ_OK;
}
