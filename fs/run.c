/* One stretch of the log: read at once, each record checked. */
#include "config.h"

#include <errno.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "fs/scratch.h"
#include "fs/view_priv.h"
#include "store/body.h"

#define RUN_GAP 4096		/* other queues' bytes read rather than skipped */

/* Does e lie near enough behind the run to be read with it? */
static bool
run_takes(const struct run *run, const struct queue_entry *e)
{
	const struct queue_entry *last = &run->entries[run->n - 1];
	int64_t gap = e->pos.byte - (last->pos.byte + last->total);

	return e->total != QUEUE_HOLE_SIZE && last->total != QUEUE_HOLE_SIZE && gap >= 0 && gap <= RUN_GAP &&
	       e->pos.byte + e->total - run->entries[0].pos.byte <= RUN_BYTES;
}

int
run_collect(struct view *v, size_t want, struct run *run)
{
	const struct queue_entry *e;
	struct source *s;
	int rc;

	run->n = 0;
	run->bytes = 0;
	run->map.bytes = NULL;
	while (run->n < BATCH_ENTRIES && run->bytes < (int64_t)want) {
		rc = source_first(v, &s, &e);
		if (rc != MQ_OK)
			return run->n ? MQ_OK : rc;
		if (run->n && !run_takes(run, e))
			break;
		run->entries[run->n] = *e;
		run->src[run->n] = s;
		run->number[run->n] = s->next;
		run->n++;
		run->bytes += e->body_len + (v->per_message > 0 ? v->per_message : 0);
		source_step(s);
	}
	return MQ_OK;
}

void
run_give_back(struct run *run, size_t from)
{
	for (size_t i = run->n; i > from; i--) {
		struct source *s = run->src[i - 1];

		int64_t back = s->next.n - run->number[i - 1].n;	/* more than 1: some were passed over */

		if ((int64_t)s->at >= back)
			s->at -= (size_t)back, s->next.n -= back;
		else
			source_seek(s, run->number[i - 1]);
	}
	run->n = from;
}

int
run_read_log(struct view *v, mq_pos pos, void *buf, size_t len)
{
	size_t done = 0, n;

	while (done < len) {
		int rc = store_read_raw(v->m->store, pos_add(pos, (int64_t)done), (char *)buf + done, len - done, &n);

		if (rc != MQ_OK)
			return rc == MQ_EEND ? -EIO : rc;
		done += n;
	}
	return MQ_OK;
}

static bool
run_is_checked(const struct view *v, const struct run *run)
{
	if (v->n == 1)
		return queue_is_checked(run->src[0]->q, run->number[0], qoff_add(run->number[run->n - 1], 1));
	for (size_t i = 0; i < run->n; i++)
		if (!queue_is_checked(run->src[i]->q, run->number[i], qoff_add(run->number[i], 1)))
			return false;
	return true;
}

bool
run_map(struct view *v, struct run *run)
{
	const struct queue_entry *first = &run->entries[0], *last = &run->entries[run->n - 1];
	int64_t span = last->pos.byte + last->total - first->pos.byte;

	if (v->per_message < 0 || first->total == QUEUE_HOLE_SIZE || !run_is_checked(v, run) ||
	    !store_map_raw(v->m->store, first->pos, (size_t)span, &run->map))
		return false;
	run->log = run->map.bytes;
	run->checked = true;
	return true;
}

void
run_unmap(struct view *v, struct run *run)
{
	store_unmap_raw(v->m->store, &run->map);
	run->map.bytes = NULL;
}

int
run_read(struct view *v, struct run *run, struct scratch *scratch)
{
	const struct queue_entry *first = &run->entries[0], *last = &run->entries[run->n - 1];
	int64_t span = last->pos.byte + last->total - first->pos.byte;
	int rc;

	if (first->total == QUEUE_HOLE_SIZE)
		return MQ_OK;		/* run_record() returns the error */
	rc = scratch_grow(&scratch->run, &scratch->run_size, (size_t)(span > RUN_BYTES ? span : RUN_BYTES));
	if (rc == MQ_OK)
		rc = run_read_log(v, first->pos, scratch->run, (size_t)span);
	run->log = scratch->run;
	run->checked = rc == MQ_OK && run_is_checked(v, run) && !view_was_cut(v);	/* after the bytes were read */
	return rc;
}

/* The body of a record that was checked before, if a few fields show that it is still the same record;
 * false: it has to be verified. */
static bool
known_body(const unsigned char *at, const struct queue_entry *e, mq_qoff n, struct record *rec)
{
	if (be32_get(at) != e->total || be32_get(at + 4) != RECORD_MAGIC ||
	    be64_get(at + RECORD_QUEUEOFFSET_AT) != n.n || be64_get(at + RECORD_PHYSICALOFFSET_AT) != e->pos.byte ||
	    (be32_get(at + 36) & (SYSFLAG_BORNHOST_V6 | SYSFLAG_STOREHOST_V6 | SYSFLAG_COMPRESSED)) ||
	    be32_get(at + RECORD_BODY_AT - 4) != e->body_len || e->body_len + RECORD_MIN_BYTES > e->total)
		return false;
	rec->body = at + RECORD_BODY_AT;
	rec->body_len = (int32_t)e->body_len;
	return true;
}

static int
damaged(const struct run *run, size_t i, const char *what)
{
	return err_note(-EIO, "topic %s queue %d: message %lld %s", queue_topic(run->src[i]->q),
			(int)queue_id(run->src[i]->q), (long long)run->number[i].n, what);
}

/* The unpacked body is valid until this thread unpacks the next one. */
static int
run_unpack(struct record *rec)
{
	struct scratch *scratch = scratch_get();

	return scratch ? body_unpack(rec, &scratch->body, &scratch->body_size) : -ENOMEM;
}

int
run_record(const struct view *v, const struct run *run, size_t i, struct record *rec)
{
	const struct queue_entry *e = &run->entries[i];
	mq_qoff n = run->number[i];
	const unsigned char *at;
	int rc;

	if (e->total == QUEUE_HOLE_SIZE)
		return damaged(run, i, "is missing");
	at = run->log + (e->pos.byte - run->entries[0].pos.byte);
	if (run->checked && v->per_message >= 0 && known_body(at, e, n, rec))
		return MQ_OK;
	if (run->map.bytes)
		return MQ_EEND;
	rc = record_verify(at, (size_t)e->total, e->pos, rec);
	if (rc == MQ_OK && rec->sysflag & SYSFLAG_COMPRESSED && (rc = run_unpack(rec)) != MQ_OK)
		return rc;
	if (rc != MQ_OK || rec->total != e->total || rec->body_len != e->body_len || rec->qoff.n != n.n)
		return damaged(run, i, "is damaged");
	if (!run->checked)
		queue_note_checked(run->src[i]->q, n, qoff_add(n, 1));
	return MQ_OK;
}
