/* The queues behind a view: what comes next of each, and of all. */
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

/* The entry of the source's next message.  MQ_EEND when there is none (yet). */
static int
source_peek(struct source *s, const struct queue_entry **ret)
{
	mq_qoff end;
	size_t n, want;
	int rc;

	if (s->at == s->n) {
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
	}
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

/* The source whose next message comes first in the log. */
int
source_first(struct view *v, struct source **ret_src, const struct queue_entry **ret_entry)
{
	const struct queue_entry *e, *best = NULL;

	for (size_t i = 0; i < v->n; i++) {
		int rc = source_peek(&v->src[i], &e);

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
