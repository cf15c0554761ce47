#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "store/cut.h"
#include "store/dispatch.h"
#include "store/file.h"
#include "store/logscan.h"
#include "store/scrub.h"
#include "store/store_priv.h"

#define NOTE "cut"
#define NOTE_NEW "cut.new"
#define NOTE_BYTES_MAX 1024

/* --- STORE/cut ------------------------------------------------------------------------ */

int
store_cut_note(struct storedir *dir, const struct store_cut *cut)
{
	char text[NOTE_BYTES_MAX];
	int len = snprintf(text, sizeof(text), "at = %" PRId64 "\nbegin = %" PRId64 "\nkept = %d\nwhy = %s\n",
			   cut->at.byte, cut->begin.byte, cut->kept, cut->why);

	return file_replace(dir->fd, NOTE, NOTE_NEW, text, (size_t)len);
}

int
store_cut_noted(const struct storedir *dir, struct store_cut *ret)
{
	struct store_cut cut = { 0 };
	char text[NOTE_BYTES_MAX];
	int kept, n;
	ssize_t len;

	AUTO_CLOSE int fd = openat(dir->fd, NOTE, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : err_note(-errno, "store %s: " NOTE ": %m", dir->path);
	len = pread(fd, text, sizeof(text) - 1, 0);
	if (len < 0)
		return err_note(-errno, "store %s: " NOTE ": %m", dir->path);
	text[len] = '\0';
	n = sscanf(text, "at = %" SCNd64 " begin = %" SCNd64 " kept = %d why = %399[^\n]", &cut.at.byte,
		   &cut.begin.byte, &kept, cut.why);
	if (n != 4 || cut.at.byte < 0 || cut.begin.byte < -1)
		return err_note(-EINVAL, "store %s: the file `" NOTE "` cannot be understood", dir->path);
	cut.kept = kept != 0;
	*ret = cut;
	return MQ_OK;
}

int
store_cut_done(struct storedir *dir)
{
	if (unlinkat(dir->fd, NOTE, 0) != 0 && errno != ENOENT)
		return err_note(-errno, "store %s: " NOTE ": %m", dir->path);
	return dir_sync(dir->fd, dir->path);
}

/* --- where it can be cut ---------------------------------------------------------------------------- */

static int
time_of_record(void *store, mq_pos at, int64_t *ret_ms)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct record rec;
	size_t size = 0;
	int rc = store_read(store, at, &buf, &size, &rec);

	if (rc == MQ_OK)
		*ret_ms = rec.store_ms;
	return rc;
}

static bool
is_record(struct store *s, mq_pos at)
{
	int64_t ms;

	return time_of_record(s, at, &ms) == MQ_OK;
}

static bool
is_blank(struct store *s, mq_pos at)
{
	unsigned char head[RECORD_BLANK_BYTES];
	size_t n = 0;

	return store_read_raw(s, at, head, sizeof(head), &n) == MQ_OK && n == sizeof(head) &&
	       be32_get(head + 4) == RECORD_MAGIC_BLANK &&
	       be32_get(head) == s->log.segment_bytes - at.byte % s->log.segment_bytes;
}

int
store_cut_check(struct store *s, mq_pos at)
{
	if (at.byte < store_begin(s).byte || at.byte > mark_at(&s->log.written).byte)
		return err_note(-EINVAL, "position %" PRId64 " is not in the log", at.byte);
	if (at.byte == store_begin(s).byte || at.byte == mark_at(&s->dispatched).byte || is_record(s, at) ||
	    is_blank(s, at))
		return MQ_OK;
	return err_note(-EINVAL, "no record begins at position %" PRId64 " of the log", at.byte);
}

/* --- queues and log -------------------------------------------------------------------------- */

int
store_cut_keep(struct store *s, struct store_cut *cut)
{
	int rc = MQ_OK;

	if (cut->kept)
		return MQ_OK;
	if (cut->begin.byte < 0)
		rc = commitlog_keep(&s->log, cut->at, s->lostfound_fd, cut->why);
	cut->kept = true;
	return rc == MQ_OK ? store_cut_note(s->dir, cut) : rc;
}

struct cutting {
	struct store *s;
	mq_pos at;
	int64_t last_ms;	/* of all messages that stay */
};

/* Message n of q, the last one before the cut, has been trimmed: describe it by its record, if the
 * log still has it. */
static int
find_trimmed_last(struct store *s, struct queue *q, mq_pos at, mq_qoff n, struct queue_last *ret)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct record rec;
	size_t size = 0;
	mq_pos pos;

	if (queue_look_below(q, n, &pos) != MQ_OK || pos.byte >= at.byte || store_read(s, pos, &buf, &size, &rec) != MQ_OK ||
	    rec.qoff.n != n.n || !record_is_in(&rec, queue_topic(q), queue_id(q)))
		return MQ_OK;
	*ret = (struct queue_last){ .end = pos_add(pos, rec.total), .store_ms = rec.store_ms };
	return MQ_OK;
}

/* Find the last message of q before the cut; *end is moved before holes at the end. */
static int
find_last(struct store *s, struct queue *q, mq_pos at, mq_qoff *end, struct queue_last *ret)
{
	struct queue_entry e = { .total = QUEUE_HOLE_SIZE };
	mq_qoff min = queue_min(q);
	size_t n;
	int rc = MQ_OK;

	*ret = (struct queue_last){ 0 };
	while (rc == MQ_OK && end->n > min.n) {
		rc = queue_entries(q, MQ_QOFF(end->n - 1), &e, 1, &n);
		if (rc != MQ_OK || e.total != QUEUE_HOLE_SIZE)
			break;
		end->n--;
	}
	if (rc != MQ_OK || end->n <= min.n)
		return rc == MQ_OK && end->n > 0 ? find_trimmed_last(s, q, at, MQ_QOFF(end->n - 1), ret) : rc;
	ret->end = pos_add(e.pos, e.total);
	rc = store_time_of(s, q, MQ_QOFF(end->n - 1), &ret->store_ms);
	return rc == -EIO ? MQ_OK : rc;		/* a damaged record has no time */
}

static int
cut_queue(struct queue *q, void *arg)
{
	struct cutting *c = arg;
	struct queue_span span;
	struct queue_last last;
	mq_qoff end;
	int rc;

	queue_span(q, &span);
	if (span.last_end.byte > c->at.byte) {
		/* if the whole log is removed no entry is read, because an earlier try that was
		 * killed may have removed entries already */
		end = span.min;
		last = (struct queue_last){ 0 };
		rc = MQ_OK;
		if (c->at.byte > store_begin(c->s).byte)
			rc = queue_find_pos(q, c->at, &end);
		if (rc == MQ_OK && c->at.byte > store_begin(c->s).byte)
			rc = find_last(c->s, q, c->at, &end, &last);
		if (rc == MQ_OK)
			rc = queue_cut(q, end, &last);
		if (rc != MQ_OK)
			return rc;
		queue_span(q, &span);
	}
	if (span.last_store_ms > c->last_ms)
		c->last_ms = span.last_store_ms;
	return MQ_OK;
}

/* --- heads that were moved by records behind the cut ------------------------------------------------------- */

/* All messages of one queue before the cut. */
struct untrimmed {
	struct queue *q;
	struct queue_put *puts;
	size_t n, max;
};

static int
untrimmed_add(struct untrimmed *w, const struct record *rec)
{
	struct queue_put put;
	int rc = dispatch_queue_put(rec, &put);

	if (rc == MQ_OK)
		rc = ARRAY_ROOM(w->puts, w->max, w->n + 1);
	if (rc != MQ_OK)
		return rc;
	if (w->n && rec->qoff.n != w->puts[w->n - 1].qoff.n + 1)
		w->n = 0;		/* a gap, or the queue has started over: earlier messages are not shown */
	w->puts[w->n++] = put;
	return MQ_OK;
}

static int
untrimmed_add_any(struct untrimmed *list, size_t n, const struct record *rec)
{
	for (size_t i = 0; i < n && sysflag_is_queued(rec->sysflag); i++)
		if (record_is_in(rec, queue_topic(list[i].q), queue_id(list[i].q)))
			return untrimmed_add(&list[i], rec);
	return MQ_OK;
}

/* Find them in the log. */
static int
untrimmed_read(struct store *s, mq_pos at, struct untrimmed *list, size_t n)
{
	struct logscan *ls;
	struct log_piece p;
	int rc = logscan_open(s->dir->path, &ls);

	if (rc != MQ_OK)
		return rc;
	while (rc == MQ_OK && logscan_at(ls).byte < at.byte) {
		rc = logscan_next(ls, &p);
		if (rc == MQ_OK && p.kind == PIECE_RECORD)
			rc = untrimmed_add_any(list, n, &p.rec);
	}
	logscan_close(ls);
	return rc == MQ_EEND ? MQ_OK : rc;
}

static int
untrim(struct store *s, mq_pos at, struct queue *const *trimmed, size_t n)
{
	AUTO_FREE struct untrimmed *list = calloc(n, sizeof(*list));
	int rc;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		list[i].q = trimmed[i];
	rc = untrimmed_read(s, at, list, n);
	for (size_t i = 0; i < n; i++) {
		if (rc == MQ_OK)
			rc = queue_untrim(list[i].q, list[i].puts, list[i].n);
		free(list[i].puts);
	}
	return rc;
}

int
store_cut_views(struct store *s, const struct store_cut *cut, struct queue *const *trimmed, size_t n_trimmed)
{
	struct cutting c = { .s = s, .at = cut->at };
	struct keyindex_mark index;
	int rc;

	if (cut->at.byte < atomic_load(&s->steady))
		atomic_store(&s->steady, cut->at.byte);
	store_turn_begin(s);
	rc = n_trimmed ? untrim(s, cut->at, trimmed, n_trimmed) : MQ_OK;
	if (rc == MQ_OK)
		rc = delays_cut(s, cut->at, mark_at(&s->dispatched));
	if (rc == MQ_OK)
		rc = queues_each(&s->queues, cut_queue, &c);
	if (rc == MQ_OK)
		rc = keyindex_freeze(s->index, &index);
	if (rc == MQ_OK)
		rc = keyindex_flush(s->index, &index);
	if (rc == MQ_OK)
		rc = keyindex_cut(s->index, cut->at, time_of_record, s);
	store_turn_end(s);
	if (rc != MQ_OK)
		return rc;
	lock_take(&s->log.lock);
	s->log.store_ms = c.last_ms;
	lock_drop(&s->log.lock);
	mark_set_back(&s->dispatched, cut->at);
	return MQ_OK;
}

static int
begin_anew(struct store *s, const struct store_cut *cut)
{
	mq_pos begin = cut->begin;
	int rc = commitlog_begin_at(&s->log, begin, s->lostfound_fd, cut->why);

	if (rc == MQ_OK) {
		mark_set_back(&s->dispatched, begin);
		mark_advance(&s->dispatched, begin);
	}
	return rc;
}

int
store_cut_log(struct store *s, const struct store_cut *cut)
{
	int64_t bytes = mark_at(&s->log.written).byte - cut->at.byte;
	int rc;

	store_turn_begin(s);
	lock_take(&s->sealed_lock);
	if (cut->begin.byte >= 0)
		rc = begin_anew(s, cut);
	else
		rc = commitlog_cut(&s->log, cut->at, s->log.store_ms, s->lostfound_fd, cut->why);
	scrub_log_was_cut(s, cut->begin.byte >= 0 ? MQ_POS(0) : cut->at);
	lock_drop(&s->sealed_lock);
	store_turn_end(s);
	if (rc == MQ_OK) {
		atomic_fetch_add(&s->cuts, 1);
		atomic_fetch_add(&s->cut_bytes, bytes);
	}
	return rc;
}
