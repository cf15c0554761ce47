/* The sources of a view: the next message of each queue, and of all in log order. */
#include "config.h"

#include "conf/err.h"
#include "fs/view_priv.h"

void
source_begin(struct source *s, struct queue *q, mq_qoff from, mq_qoff to)
{
	s->q = q;
	s->from = s->next = s->shown = from;
	s->to = to;
	s->cuts = queue_cuts(q);
	s->limit = MQ_QOFF(INT64_MAX);
}

void
source_look(struct source *s)
{
	uint32_t cuts = queue_cuts(s->q);
	mq_qoff low;

	if (!queue_cut_since(s->q, s->cuts, &low))
		return;
	s->cuts = cuts;
	if (s->shown.n > low.n && low.n < s->limit.n)
		s->limit = low;
	source_seek(s, s->next);
}

mq_qoff
source_end(const struct source *s)
{
	mq_qoff end = queue_end(s->q);

	end = end.n < s->to.n ? end : s->to;
	return end.n < s->limit.n ? end : s->limit;
}

/* Read entries, so that entries[at] is the source's next message.  MQ_EEND: there is none (yet). */
static int
source_fill(struct source *s)
{
	mq_qoff end;
	size_t n, want;
	int rc;

	if (s->at < s->n)
		return MQ_OK;
	end = source_end(s);
	if (s->limit.n < INT64_MAX && s->next.n >= s->limit.n)
		return MQ_EGONE;
	if (s->next.n >= end.n)
		return MQ_EEND;
	want = end.n - s->next.n < BATCH_ENTRIES ? (size_t)(end.n - s->next.n) : BATCH_ENTRIES;
	rc = queue_entries(s->q, s->next, s->entries, want, &n);
	if (rc != MQ_OK)
		return rc;
	s->at = 0;
	s->n = n;
	return MQ_OK;
}

/* Go to the first message at or behind `pos`, which lies ahead. */
static int
source_hop(struct source *s, mq_pos pos)
{
	mq_qoff to, end = source_end(s);
	int rc;

	if (s->entries[s->n - 1].pos.byte >= pos.byte) {	/* it is among the entries read */
		do
			source_step(s);
		while (s->entries[s->at].pos.byte < pos.byte && s->entries[s->at].total != QUEUE_HOLE_SIZE);
		return MQ_OK;
	}
	rc = queue_find_pos(s->q, pos, &to);
	if (rc == MQ_OK)
		source_seek(s, to.n < end.n ? to : end);
	return rc;
}

/* Skip the next message if the filter cannot want it.  A message that is missing in the log is not skipped: it
 * may have been wanted. */
static int
source_pass(const struct view *v, struct source *s, bool *ret_passed)
{
	const struct queue_entry *e = &s->entries[s->at];
	mq_pos next;

	*ret_passed = false;
	if (!v->filter || e->total == QUEUE_HOLE_SIZE)
		return MQ_OK;
	if (!filter_may_want(v->filter, e->tags_code)) {
		*ret_passed = true;
		source_step(s);
		return MQ_OK;
	}
	if (keyed_may_be(v, e->pos, &next))
		return MQ_OK;
	*ret_passed = true;
	return source_hop(s, next);
}

/* The entry of the source's next message that the filter may want.  MQ_EEND: there is none (yet); MQ_ELATER:
 * time is up. */
static int
source_peek(const struct view *v, struct source *s, const struct queue_entry **ret)
{
	bool passed;
	int rc;

	do {
		rc = source_fill(s);
		if (rc == MQ_OK)
			rc = source_pass(v, s, &passed);
		if (rc != MQ_OK)
			return rc;
		if (passed && s->at == s->n && view_time_is_up(v))
			return MQ_ELATER;
	} while (passed);
	*ret = &s->entries[s->at];
	return MQ_OK;
}

void
source_step(struct source *s)
{
	s->at++;
	s->next.n++;
}

void
source_seek(struct source *s, mq_qoff to)
{
	s->next = to;
	s->at = s->n = 0;
}

int
source_first(struct view *v, struct source **ret_src, const struct queue_entry **ret_entry)
{
	const struct queue_entry *e, *best = NULL;

	for (size_t i = 0; i < v->n; i++) {
		int rc = source_peek(v, &v->src[i], &e);

		if (rc == MQ_EEND)
			continue;
		if (rc != MQ_OK)
			return rc;
		if (!best || e->pos.byte < best->pos.byte) {
			best = e;
			*ret_src = &v->src[i];
		}
	}
	if (!best)
		return MQ_EEND;
	*ret_entry = best;
	return MQ_OK;
}
