#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/number.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/queues.h"

/* --- making the queues anew ---------------------------------------------------------------------------- */

/* Make an empty queue with min and end at `end`. */
static int
adopt(struct queues *qs, const char *topic, int32_t id, mq_qoff end)
{
	struct queue *q;
	int rc = queues_make(qs, topic, strlen(topic), id, &q);

	if (rc != MQ_OK)
		return rc;
	LOCKED(&q->lock);
	if (end.n < q->span.end.n)
		end = q->span.end;
	q->span = (struct queue_span){ 0 };
	atomic_store(&q->promise.state, FILES_KNOWN);	/* they are removed */
	queue_empty_at(q, end);
	queue_mark_dirty(q);
	return MQ_OK;
}

int
queues_adopt_row(struct queues *qs, const struct queue_row *row)
{
	if (!queue_row_valid(row))
		return MQ_OK;
	return adopt(qs, row->topic, row->queue_id, row->span.end);
}

int
queues_trim_as(struct queues *qs, const struct queue_row *row)
{
	struct queue *q;
	int rc;

	if (!queue_row_valid(row))
		return MQ_OK;
	q = queues_find(qs, row->topic, strlen(row->topic), row->queue_id);
	if (!q)
		return MQ_OK;
	rc = queue_trim(q, row->span.min);
	LOCKED(&q->lock);
	/* a head that is the same as before keeps its number */
	q->head_moves = row->head_moves + (q->span.min.n != row->span.min.n);
	return rc;
}

/* Walks consumequeue/TOPIC/QUEUE/FILE. */
struct walk {
	struct queues *qs;
	char topic[RECORD_TOPIC_MAX + 1];
	int64_t newest;		/* file, as its name says */
};

static int
look_for_newest(int dirfd, const char *name, void *arg)
{
	struct walk *w = arg;
	int64_t at = name_number(name, QUEUE_FILE_DIGITS);

	(void)dirfd;
	if (at % QUEUE_ENTRY_BYTES == 0 && at > w->newest)
		w->newest = at;
	return MQ_OK;
}

/* How many entries of a file are in use. */
static int
count_entries(int fd, int64_t *ret_n)
{
	unsigned char raw[256 * QUEUE_ENTRY_BYTES];
	int64_t n = 0;
	ssize_t got;

	while ((got = pread(fd, raw, sizeof(raw), n * QUEUE_ENTRY_BYTES)) >= QUEUE_ENTRY_BYTES)
		for (ssize_t at = 0; at + QUEUE_ENTRY_BYTES <= got; at += QUEUE_ENTRY_BYTES, n++)
			if (be64_get(raw + at) < 0 || be32_get(raw + at + 8) <= 0) {
				*ret_n = n;
				return MQ_OK;
			}
	*ret_n = n;
	return got < 0 ? err_note(-errno, "consumequeue: read: %m") : MQ_OK;
}

static int
adopt_queue(int dirfd, const char *name, void *arg)
{
	struct walk *w = arg;
	int64_t id, n;
	char file[64];
	int rc;

	if (!text_number(name, 0, INT32_MAX, &id))
		return MQ_OK;
	w->newest = -1;
	rc = dir_each(dirfd, name, look_for_newest, w);
	if (rc != MQ_OK || w->newest < 0)
		return rc;
	snprintf(file, sizeof(file), "%" PRId64 "/%020" PRId64, id, w->newest);
	AUTO_CLOSE int fd = openat(dirfd, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_note(-errno, "consumequeue/%s/%s: %m", w->topic, file);
	rc = count_entries(fd, &n);
	return rc == MQ_OK ? adopt(w->qs, w->topic, (int32_t)id, MQ_QOFF(w->newest / QUEUE_ENTRY_BYTES + n)) : rc;
}

static int
adopt_topic(int dirfd, const char *name, void *arg)
{
	struct walk *w = arg;

	if (!record_topic_valid(name, strlen(name)))
		return MQ_OK;
	snprintf(w->topic, sizeof(w->topic), "%s", name);
	return dir_each(dirfd, name, adopt_queue, w);
}

int
queues_adopt(struct queues *qs, int consumequeue_fd)
{
	struct walk w = { .qs = qs };

	return dir_each(consumequeue_fd, ".", adopt_topic, &w);
}

/* Remove a file, or the files below a directory, which stays. */
static int
wipe(int dirfd, const char *name, void *arg)
{
	if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
		return MQ_OK;
	return errno == EISDIR ? dir_each(dirfd, name, wipe, arg) : err_note(-errno, "%s: remove: %m", name);
}

int
queues_wipe(struct queues *qs)
{
	int rc = dir_each(qs->consumequeue_fd, ".", wipe, NULL);

	return rc == MQ_OK ? dir_each(qs->byteindex_fd, ".", wipe, NULL) : rc;
}
