#include "config.h"

#include <string.h>
#include <sys/param.h>

#include "conf/hex.h"
#include "offsets/epochs.h"

/* --- one history ----------------------------------------------------------------- */

static bool
follows_on(const struct epoch *before, const struct epoch *e)
{
	return e->number > before->number && e->start.byte > before->start.byte;
}

bool
epochs_ok(const struct epochs *e)
{
	if (e->n > EPOCHS_MAX)
		return false;
	if (e->n && (e->list[0].number < 1 || e->list[0].start.byte < 0))
		return false;
	for (size_t i = 1; i < e->n; i++)
		if (!follows_on(&e->list[i - 1], &e->list[i]))
			return false;
	return e->n == 0 || e->list[e->n - 1].number <= EPOCH_NUMBER_MAX;
}

static bool
same(const struct epoch *a, const struct epoch *b)
{
	return a->number == b->number && a->start.byte == b->start.byte && memcmp(a->id, b->id, EPOCH_ID_BYTES) == 0;
}

bool
epochs_add(struct epochs *e, const struct epoch *one)
{
	size_t at = e->n;

	while (at > 0 && e->list[at - 1].number >= one->number)
		at--;
	if (at < e->n)
		return same(&e->list[at], one);
	if (one->number < 1 || one->start.byte < 0 || (at && !follows_on(&e->list[at - 1], one)))
		return false;
	if (e->n == EPOCHS_MAX) {
		memmove(&e->list[1], &e->list[2], (EPOCHS_MAX - 2) * sizeof(*e->list));
		e->n--;
	}
	e->list[e->n++] = *one;
	return true;
}

void
epochs_cut(struct epochs *e, mq_pos end)
{
	while (e->n && e->list[e->n - 1].start.byte >= end.byte)
		e->n--;
}

/* Up to where the log is surely written in epoch i. */
static mq_pos
end_of(const struct epochs *e, size_t i, mq_pos log_end)
{
	if (i + 1 == e->n)
		return log_end;
	if (e->list[i + 1].number == e->list[i].number + 1)
		return e->list[i + 1].start;
	return e->list[i].start;	/* the next one is not in the list any more */
}

/* --- two of them ------------------------------------------------------------------- */

/* The last epoch that both know.  False: there is none. */
static bool
last_common(const struct epochs *ours, const struct epochs *theirs, size_t *ret_i, size_t *ret_j)
{
	size_t i = ours->n, j = theirs->n;

	while (i && j) {
		const struct epoch *a = &ours->list[i - 1], *b = &theirs->list[j - 1];

		if (same(a, b)) {
			*ret_i = i - 1;
			*ret_j = j - 1;
			return true;
		}
		if (a->number >= b->number)
			i--;
		if (b->number >= a->number)
			j--;
	}
	return false;
}

/* Is one of our epochs from i on, begun by another store, at least as new as their last? */
static bool
overrules(const struct epochs *ours, size_t i, const struct epochs *theirs, const unsigned char *self)
{
	int64_t last = theirs->list[theirs->n - 1].number;

	for (; i < ours->n; i++)
		if (memcmp(ours->list[i].by, self, EPOCH_ID_BYTES) != 0 && ours->list[i].number >= last)
			return true;
	return false;
}

/* Without a common epoch: up to where could our log be the begin of theirs? */
static enum epochs_verdict
compare_by_nothing(const struct epochs *ours, mq_pos our_end, const struct epochs *theirs, mq_pos their_begin,
		   mq_pos their_end, mq_pos *ret_at)
{
	mq_pos upto = theirs->n ? theirs->list[0].start : their_end;

	if (ours->n && theirs->n)
		return EPOCHS_STRANGER;
	if (our_end.byte > upto.byte || our_end.byte < their_begin.byte)
		return EPOCHS_STRANGER;
	*ret_at = our_end;
	return EPOCHS_FOLLOW;
}

enum epochs_verdict
epochs_compare(const struct epochs *ours, mq_pos our_begin, mq_pos our_end, const struct epochs *theirs,
	       mq_pos their_begin, mq_pos their_end, const unsigned char self[EPOCH_ID_BYTES], mq_pos *ret_at)
{
	size_t i, j;
	mq_pos common;

	if (our_begin.byte >= our_end.byte) {
		*ret_at = their_begin;
		return EPOCHS_EMPTY;
	}
	if (!last_common(ours, theirs, &i, &j))
		return compare_by_nothing(ours, our_end, theirs, their_begin, their_end, ret_at);
	if (overrules(ours, i + 1, theirs, self))
		return EPOCHS_STALE_MASTER;
	common = MQ_POS(MIN(end_of(ours, i, our_end).byte, end_of(theirs, j, their_end).byte));
	if (common.byte < our_end.byte) {
		*ret_at = MQ_POS(MAX(common.byte, our_begin.byte));
		return EPOCHS_DIVERGED;
	}
	*ret_at = MQ_POS(MAX(our_end.byte, their_begin.byte));
	return our_end.byte < their_begin.byte ? EPOCHS_TOO_OLD : EPOCHS_FOLLOW;
}

bool
epochs_lost_their_end(const struct epochs *ours, const struct epochs *theirs)
{
	size_t i, j;

	return last_common(ours, theirs, &i, &j) && i + 1 == ours->n && j + 1 < theirs->n &&
	       theirs->list[j + 1].number == theirs->list[j].number + 1 &&
	       memcmp(theirs->list[j + 1].by, theirs->list[j].by, EPOCH_ID_BYTES) == 0;
}

/* --- as text ------------------------------------------------------------------------ */

const char *
epochs_verdict_name(enum epochs_verdict v)
{
	static const char *const names[] = {
		[EPOCHS_FOLLOW] = "follows",
		[EPOCHS_EMPTY] = "empty",
		[EPOCHS_DIVERGED] = "diverged",
		[EPOCHS_TOO_OLD] = "too old",
		[EPOCHS_STALE_MASTER] = "stale master",
		[EPOCHS_STRANGER] = "stranger",
	};

	return names[v];
}

void
epoch_id_print(const unsigned char id[EPOCH_ID_BYTES], char ret_text[EPOCH_ID_TEXT])
{
	hex_print(id, EPOCH_ID_BYTES, ret_text);
}

bool
epoch_id_parse(const char *text, unsigned char ret_id[EPOCH_ID_BYTES])
{
	unsigned char id[EPOCH_ID_BYTES];

	if (!hex_parse(text, strlen(text), id, EPOCH_ID_BYTES))
		return false;
	memcpy(ret_id, id, EPOCH_ID_BYTES);
	return true;
}
