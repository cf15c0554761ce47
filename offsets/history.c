/* history.c - the epochs of our log, and beginning one.
 *
 * A master begins an epoch at its mount (epochs.h says what epochs are for) when:
 *
 *     the log has none                a new store, or RocketMQ's
 *     another store began the last    a restored copy, a slave's store
 *     the store was a slave's         also if it began the last epoch: the log may differ now
 *     the last exit was not clean     slaves may hold records that the log has lost
 *
 * Else the last epoch goes on.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "conf/log.h"
#include "offsets/registry.h"

size_t
offsets_epochs(struct offsets *o, struct epoch *list, size_t max)
{
	size_t n;

	LOCKED(&o->registry);
	n = o->history.epochs.n < max ? o->history.epochs.n : max;
	memcpy(list, o->history.epochs.list + (o->history.epochs.n - n), n * sizeof(*list));
	return n;
}

/* False: there is none. */
static bool
last_epoch(struct offsets *o, struct epoch *ret)
{
	return offsets_epochs(o, ret, 1) == 1;
}

/* Why an epoch is to begin; NULL: the last one goes on. */
static const char *
why_due(struct offsets *o)
{
	struct epoch last;

	if (!last_epoch(o, &last))
		return "the log has none";
	if (memcmp(last.by, o->identity, sizeof(last.by)) != 0)
		return "another store began the last one";
	if (o->saved.as_slave)
		return "the store was a slave's";
	return o->dir->was_clean ? NULL : "the last exit was not clean";
}

static int
epoch_make(struct offsets *o, struct epoch *ret)
{
	/* the end of the log, which no thread moves now, and not the position of the record: a
	 * blank that ends a segment may come before that, where another log goes on otherwise */
	struct epoch e = { .start = mark_at(store_written(o->store)) }, last;

	e.number = last_epoch(o, &last) ? last.number + 1 : 1;
	memcpy(e.by, o->identity, sizeof(e.by));
	if (getrandom(e.id, sizeof(e.id), 0) != (ssize_t)sizeof(e.id))
		return err_note(-EIO, "getrandom: no random bytes");
	*ret = e;
	return MQ_OK;
}

int
epoch_begin(struct offsets *o)
{
	struct meta m = { .op = META_EPOCH };
	mq_pos end;
	int rc = change_follow(o);		/* so that the last epoch of the log is known */

	MUST_HOLD_APPLY(o);
	if (rc == MQ_OK && (!o->saved.once || o->stamp))
		rc = checkpoint_identity(o);
	if (rc == MQ_OK)
		rc = epoch_make(o, &m.epoch);
	if (rc == MQ_OK)
		rc = change_first(o, &m, &end);
	/* a slave must never have an epoch that its master can lose in a crash */
	if (rc == MQ_OK)
		rc = store_flush(o->store, end);
	return rc;
}

int
epoch_begin_if_due(struct offsets *o)
{
	const char *why = o->epoch_is_due ? "it is due" : why_due(o);
	struct epoch now;
	int rc;

	MUST_HOLD_APPLY(o);
	if (!why)
		return MQ_OK;
	store_refuse(o->store, -ENOSPC);
	rc = epoch_begin(o);
	if (rc == -ENOSPC) {
		if (!o->epoch_is_due)
			log_warn("no new epoch yet (%s), so no appends: %s", why, err_text(rc));
		o->epoch_is_due = true;
		return MQ_OK;
	}
	o->epoch_is_due = false;
	if (rc == MQ_OK && last_epoch(o, &now))
		log_info("epoch %" PRId64 " begins at %" PRId64 ": %s", now.number, now.start.byte, why);
	return rc;
}
