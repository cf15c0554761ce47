/* The head of a queue: what retention takes from it. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>

#include "conf/err.h"
#include "store/queue_files.h"
#include "store/queues.h"

void
queue_set_drops(struct queue *q, bool drops)
{
	atomic_store(&q->drops, drops);
}

bool
queue_drops(const struct queue *q)
{
	return atomic_load(&q->drops);
}

/* Find the first message from min on that is no hole: a hole has no position. */
static int
find_first(struct queue *q, mq_qoff min, mq_qoff end, mq_pos *ret_pos)
{
	struct queue_entry e = { .total = 0 };
	mq_qoff at = min;
	size_t n;
	int rc = queue_entries(q, min, &e, 1, &n);

	if (rc == MQ_OK && e.total == QUEUE_HOLE_SIZE)
		rc = queue_find_pos_in(q, min.n, end.n, MQ_POS(1), &at);
	if (rc == MQ_OK && at.n != min.n)
		rc = queue_entries(q, at, &e, 1, &n);
	if (rc == MQ_OK)
		*ret_pos = e.pos;
	return rc;
}

int
queue_first_pos(struct queue *q, mq_pos *ret_pos)
{
	struct queue_span span;
	bool known;
	mq_pos pos;
	int rc;

	lock_take(&q->lock);
	span = q->span;
	known = q->first.n == span.min.n;
	pos = q->first_pos;
	lock_drop(&q->lock);
	if (span.min.n == span.end.n)
		return MQ_EEND;
	if (!known) {
		rc = find_first(q, span.min, span.end, &pos);
		if (rc != MQ_OK)
			return rc;
		LOCKED(&q->lock);
		q->first = span.min;
		q->first_pos = pos;
	}
	*ret_pos = pos;
	return MQ_OK;
}

/* The first message from min on whose files are there: RocketMQ may have removed
 * files since the last checkpoint. */
static mq_qoff
first_with_files(struct queue *q, const struct queue_span *span)
{
	int64_t entries = q->all->file_entries, file = span->min.n / entries, last = (span->end.n - 1) / entries;

	while (file < last && !(queue_files_there(q, QUEUE_ENTRIES, file, true) &&
				queue_files_there(q, QUEUE_STARTS, file, true)))
		file++;
	return file * entries > span->min.n ? MQ_QOFF(file * entries) : span->min;
}

static int
drop_before(struct queue *q, mq_pos begin)
{
	struct queue_span span;
	mq_qoff low, at;
	mq_pos pos;
	int rc;

	queue_span(q, &span);
	if (span.min.n == span.end.n)
		return MQ_OK;
	if (span.last_end.byte <= begin.byte)
		return queue_trim(q, span.end);
	low = span.min;
	rc = queue_first_pos(q, &pos);
	if (rc == MQ_OK && pos.byte >= begin.byte)
		return MQ_OK;
	if (rc == -EIO)
		low = first_with_files(q, &span);
	rc = queue_find_pos_in(q, low.n, span.end.n, begin, &at);
	return rc == MQ_OK ? queue_trim(q, at) : rc;
}

int
queue_drop_before(struct queue *q, mq_pos begin)
{
	int rc;

	do
		rc = drop_before(q, begin);
	while (rc == MQ_EGONE);		/* the head has moved meanwhile */
	return rc;
}

/* Remove the files before file `keep`, the oldest first, so that a crash leaves no gap and the
 * next call finds the rest.  The caller keeps the newest file: it says how far the queue has
 * come. */
static void
remove_files(struct queue *q, enum queue_half half, int64_t keep)
{
	int64_t file = keep;

	MUST_HOLD(&q->lock);
	while (file > 0 && queue_files_there(q, half, file - 1, true))
		file--;
	for (; file < keep; file++)
		queue_files_remove(q, half, file);
}

static int
remove_outgrown(struct queue *q, void *arg)
{
	int64_t entries = q->all->file_entries, keep, part;

	(void)arg;
	LOCKED(&q->lock);
	if (!q->saved.outgrown || q->saved.taken_min.n / entries < q->span.min.n / entries)
		return MQ_OK;		/* there is nothing to remove, or not before the next checkpoint */
	keep = q->span.min.n < q->tail_from.n ? q->span.min.n / entries : (q->tail_from.n - 1) / entries;
	remove_files(q, QUEUE_ENTRIES, keep);
	part = (q->span.min.n - q->span.min.n % QUEUE_PART_MESSAGES) / entries;
	remove_files(q, QUEUE_STARTS, part < keep ? part : keep);
	if (q->saved.synced.n < keep * entries)
		q->saved.synced = MQ_QOFF(keep * entries);
	q->saved.outgrown = false;
	atomic_fetch_sub(&q->all->outgrown, 1);
	return MQ_OK;
}

void
queues_remove_outgrown(struct queues *qs)
{
	if (atomic_load(&qs->outgrown) > 0)
		(void)queues_each(qs, remove_outgrown, NULL);
}
