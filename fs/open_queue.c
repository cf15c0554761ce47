#include "config.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>

#include "conf/log.h"
#include "conf/scope.h"
#include "fs/access.h"
#include "fs/lanes.h"
#include "fs/open_queue.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/scratch.h"
#include "fs/searcher.h"
#include "fs/session.h"
#include "store/filter.h"

#define APPEND_MAX_READ (1u << 20)

static int
note_of(const struct node *n, int rc)
{
	if (rc == MQ_EGONE)
		err_note(rc, "messages that were there are no longer retained");
	return node_note(n, NULL, rc);
}

/* --- opening ------------------------------------------------------------------------ */

int
open_queue_name(const struct node *n, struct name *ret)
{
	*ret = (struct name){
		.queue = (int32_t)n->queue, .all = n->kind == NODE_GROUP_ALL, .any = n->kind == NODE_GROUP_ANY,
	};
	if (n->kind == NODE_NAMED)
		return name_parse(n->name, ret);
	return n->kind == NODE_GROUP_NAMED ? group_name_parse(n->name, ret) : MQ_OK;
}

enum topic_format
open_queue_format(struct mount *m, const struct topic *t, const struct name *name)
{
	struct topic_conf conf;

	if (name->has_format)
		return name->format;
	topic_conf(m->offsets, t, &conf);
	return conf.format;
}

void
open_queue_stat(struct mount *m, const struct node *n, const struct name *name, int64_t size, struct stat *st)
{
	int32_t first = name->all ? 0 : name->queue;
	int32_t last = name->all ? topic_queues(m->offsets, n->topic) - 1 : name->queue;
	struct topic_conf conf;
	int64_t newest_ms = 0;

	for (int32_t i = first; i <= last; i++) {
		struct queue_span span;
		struct queue *q;

		if (topic_queue(m->offsets, n->topic, i, &q) != MQ_OK)
			continue;
		queue_span(q, &span);
		if (span.last_store_ms > newest_ms)
			newest_ms = span.last_store_ms;
	}
	topic_conf(m->offsets, n->topic, &conf);
	stat_set_ms(st, newest_ms ? newest_ms : conf.created_ms);
	st->st_mode = S_IFREG;
	st->st_size = size;
	st->st_blksize = 128 * 1024;
	node_show_owner(m, n, st);
}

static int
filter_of(const struct name *name, struct filter **ret)
{
	const struct filter_spec spec = { .tags = name->tags, .keys = name->keys, .where = name->where };

	return filter_make(&spec, ret);
}

/* The filter of the group's subscription. */
static int
filter_of_group(struct mount *m, struct subscription *sub, struct filter **ret)
{
	AUTO_FREE char *tags = subscription_expression(m->offsets, sub);

	return tags ? filter_make(&(struct filter_spec){ .tags = tags }, ret) : -ENOMEM;
}

static int
open_view(struct mount *m, const struct node *n, const struct name *name, struct open_queue *oq)
{
	struct view_spec spec = {
		.topic = n->topic,
		.all = name->all,
		.queue = name->queue,
		.from = name->from,
		.to = name->to,
		.format = oq->format,
	};
	int rc = filter_of(name, &spec.filter);

	return rc == MQ_OK ? view_open(m, &spec, &oq->view) : rc;
}

/* A name with an option for one use cannot be opened for the other. */
static int
check_use(const struct handle *h, const struct name *name)
{
	if (handle_writes(h) && name->read_only)
		return err_note(-EINVAL, "%s has an option that is only for reading", h->node.name);
	if (handle_reads(h) && name->append_only && !handle_writes(h))
		return err_note(-EINVAL, "%s has an option that is only for appending", h->node.name);
	return MQ_OK;
}

/* perm of the topic's config, which root obeys, too. */
static int
topic_permits(struct mount *m, const struct topic *t, int32_t perm)
{
	struct topic_conf conf;

	topic_conf(m->offsets, t, &conf);
	if (conf.perm & perm)
		return MQ_OK;
	return err_note(-EACCES, "topics/%s/config: perm does not allow to %s", t->name,
			perm == PERM_READ ? "read" : "write");
}

int
open_queue_may_read(struct mount *m, const struct topic *t)
{
	if (m->settings->brokerRole == SLAVE && !m->settings->slaveReadEnable)
		return err_note(MQ_ENOREAD, "slaveReadEnable=false: this slave serves no reads; the master is %s",
				m->settings->master);
	return t ? topic_permits(m, t, PERM_READ) : MQ_OK;
}

static int
may_write(struct mount *m, const struct node *n)
{
	int rc = appender_may_write(m);

	if (rc != MQ_OK)
		return note_of(n, rc);
	rc = meta_topic_check(n->topic->name);
	return rc == MQ_OK ? topic_permits(m, n->topic, PERM_WRITE) : rc;
}

static struct open_queue *
open_queue_make(const struct name *name, enum topic_format format)
{
	struct open_queue *oq = calloc(1, sizeof(*oq));

	if (!oq)
		return NULL;
	ahead_file_init(&oq->ahead);
	oq->follow = name->follow;
	oq->queue = name->queue;
	oq->format = format;
	return oq;
}

static void
open_queue_free(struct mount *m, struct open_queue *oq)
{
	ahead_file_free(m->ahead, &oq->ahead);
	view_close(oq->view);
	if (oq->appends)
		appender_free(&oq->appender);
	free(oq);
}

/* Count the lane: where writes wait, other producers get another lane while this file is open. */
static void
begin_lane(struct mount *m, const struct handle *h, struct open_queue *oq)
{
	if (!oq->appends || h->node.kind != NODE_QUEUE || !pending_needs_of_write(m, 0))
		return;
	oq->lane = h->node.ino;
	lanes_begin(m->lanes, oq->lane);
}

static void
release_claims(struct mount *m, const struct handle *h, struct open_queue *oq)
{
	for (; oq->n_claimed > 0; oq->n_claimed--)
		consumer_release(m->offsets, h->node.sub, oq->first + oq->n_claimed - 1);
}

/* Keep in the estate what the next broker needs of oq. */
static void
open_queue_keep(const struct open_queue *oq, struct estate_file *f)
{
	f->queue = oq->queue;
	f->format = (int)oq->format;
	f->consumes = oq->n_claimed > 0;
	if (oq->view)
		view_keep(oq->view, &f->view);
}

/* The end of opening: h gets oq; or, where a part of oq could not be opened (rc), oq is freed. */
static int
open_queue_done(struct mount *m, const struct node *n, struct handle *h, struct open_queue *oq, int rc)
{
	if (rc != MQ_OK) {
		release_claims(m, h, oq);
		open_queue_free(m, oq);
		return note_of(n, rc);
	}
	begin_lane(m, h, oq);
	oq->appender.kept = h->kept;
	if (h->kept)
		open_queue_keep(oq, h->kept);
	if (oq->view)
		view_work_in_slices(oq->view);
	h->own = oq;
	return MQ_OK;
}

static int
open_appender(struct mount *m, const struct node *n, const struct name *name, struct open_queue *oq)
{
	appender_init(&oq->appender, n->topic, name->all, oq->queue, oq->format, name->whole,
		      (size_t)m->settings->maxMessageSize);
	oq->appends = true;
	return appender_give(m, &oq->appender, name);
}

int
open_queue_topic(struct mount *m, const struct node *n, const struct name *name, struct handle *h)
{
	struct open_queue *oq;
	int rc;

	rc = check_use(h, name);
	if (rc == MQ_OK && handle_writes(h))
		rc = may_write(m, n);
	if (rc == MQ_OK && handle_reads(h))
		rc = open_queue_may_read(m, n->topic);
	if (rc == MQ_OK && name->all)
		rc = access_check(m, h, n->topic, ACCESS_EVERY_QUEUE,
				  (handle_reads(h) ? ACCESS_READ : 0) | (handle_writes(h) ? ACCESS_WRITE : 0));
	if (rc != MQ_OK)
		return rc;
	closing_wait(m->closing);
	oq = open_queue_make(name, open_queue_format(m, n->topic, name));
	if (!oq)
		return -ENOMEM;
	if (handle_reads(h))
		rc = open_view(m, n, name, oq);
	if (rc == MQ_OK && handle_writes(h))
		rc = open_appender(m, n, name, oq);
	return open_queue_done(m, n, h, oq, rc);
}

/* In the estate, instead of a queue's number. */
#define ROAMING (-1)	/* any:follow */
#define EVERY (-2)	/* all */

static int
claim_once(struct mount *m, const struct handle *h, const struct name *name, struct open_queue *oq)
{
	struct subscription *sub = h->node.sub;
	int32_t n = name->all ? topic_queues(m->offsets, h->node.topic) : 1;
	int rc;

	oq->queue = name->queue;
	if (name->all)
		rc = consumer_claim_all(m->offsets, sub, n, h->pid);
	else
		rc = name->any ? consumer_claim_any(m->offsets, sub, h->pid, &oq->queue) :
				 consumer_claim(m->offsets, sub, oq->queue, h->pid);
	if (rc != MQ_OK)
		return rc;
	oq->first = name->all ? 0 : oq->queue;
	oq->n_claimed = n;
	return MQ_OK;
}

/* The RELEASE of a consumer that has just closed its file may still be on its way. */
static int
claim(struct mount *m, const struct handle *h, const struct name *name, struct open_queue *oq)
{
	int rc = claim_once(m, h, name, oq);
	struct closing_since since = closing_now(m->closing);

	while (rc == -EBUSY && closing_wait_left(m->closing, &since))
		rc = claim_once(m, h, name, oq);
	return rc;
}

int
open_queue_group_view(struct mount *m, const struct node *n, int32_t first, int32_t count, enum topic_format format,
		      struct filter *filter, struct view **ret)
{
	AUTO_FREE struct queue **q = calloc((size_t)count, sizeof(*q));
	AUTO_FREE mq_qoff *from = calloc((size_t)count, sizeof(*from));
	int rc = q && from ? MQ_OK : -ENOMEM;

	for (int32_t i = 0; rc == MQ_OK && i < count; i++) {
		rc = topic_queue(m->offsets, n->topic, first + i, &q[i]);
		if (rc == MQ_OK)
			rc = committed(m->offsets, n->sub, first + i, &from[i]);
	}
	if (rc == MQ_OK)
		return view_open_from(m, q, from, (size_t)count, format, filter, ret);
	filter_free(filter);
	return rc;
}

/* A consumer sees the queues that it has claimed: the topic may have got more since then. */
static int
open_from_committed(struct mount *m, const struct node *n, bool all, struct open_queue *oq)
{
	int32_t first = oq->n_claimed > 0 ? oq->first : all ? 0 : oq->queue;
	int32_t count = oq->n_claimed > 0 ? oq->n_claimed : all ? topic_queues(m->offsets, n->topic) : 1;
	struct filter *filter = NULL;
	int rc = filter_of_group(m, n->sub, &filter);

	return rc == MQ_OK ? open_queue_group_view(m, n, first, count, oq->format, filter, &oq->view) : rc;
}

/* consumeEnable of the group's config, which binds files as it does clients (remoting/pull.c). */
static int
group_may_consume(struct mount *m, const struct group *g)
{
	struct group_conf conf;

	group_conf(m->offsets, g, &conf);
	return conf.consume_enable ? MQ_OK : err_note(-EACCES, "groups/%s/config: consumeEnable is false", g->name);
}

/* Check whether h may be opened at all. */
static int
group_permits(struct mount *m, const struct node *n, const struct name *name, const struct handle *h)
{
	bool every = name->any || name->all;
	int rc;

	if (!handle_reads(h))
		return err_note(-EACCES, "a group's queue is read, not written: open it for reading and writing");
	rc = open_queue_may_read(m, n->topic);
	if (rc == MQ_OK)	/* anybody may own a group; the topic's modes decide who reads its messages */
		rc = access_check(m, h, n->topic, every ? ACCESS_EVERY_QUEUE : name->queue, ACCESS_READ);
	if (rc == MQ_OK && handle_writes(h))
		rc = m->read_only ? -EROFS : group_may_consume(m, n->group);
	return rc;
}

int
open_queue_group(struct mount *m, const struct node *n, struct handle *h)
{
	struct open_queue *oq;
	struct name name;
	int rc = open_queue_name(n, &name);

	if (rc == MQ_OK)
		rc = group_permits(m, n, &name, h);
	if (rc == MQ_OK && handle_writes(h))
		rc = meta_group_check(n->group->name);
	if (rc != MQ_OK)
		return rc;
	closing_wait(m->closing);
	oq = open_queue_make(&name, open_queue_format(m, n->topic, &name));
	if (!oq)
		return -ENOMEM;
	oq->roams = name.any && name.follow && handle_writes(h);
	if (oq->roams) {		/* it claims a queue when it is read */
		h->fopen |= FOPEN_NOFLUSH;
		oq->queue = ROAMING;
		return open_queue_done(m, n, h, oq, MQ_OK);
	}
	if (handle_writes(h) || name.any)
		rc = claim(m, h, &name, oq);
	if (rc == MQ_OK)
		rc = open_from_committed(m, n, name.all, oq);
	if (name.all)
		oq->queue = EVERY;
	return open_queue_done(m, n, h, oq, rc);
}

static int
resume_claims(struct mount *m, const struct node *n, struct handle *h, struct open_queue *oq)
{
	const struct estate_file *f = h->kept;
	bool all = f->queue == EVERY;
	int32_t count = all ? (int32_t)f->view.n : 1;
	int rc = all ? consumer_claim_all(m->offsets, n->sub, count, h->pid) :
		       consumer_claim(m->offsets, n->sub, f->queue, h->pid);

	if (rc != MQ_OK)
		return rc;
	oq->first = all ? 0 : f->queue;
	oq->n_claimed = count;
	return MQ_OK;
}

static int
resume_parts(struct mount *m, const struct node *n, const struct name *name, struct handle *h,
	     struct open_queue *oq)
{
	const struct estate_file *f = h->kept;
	struct view_spec spec = {
		.topic = n->topic,
		.all = name->all,
		.queue = f->queue,
		.kept = &f->view,
		.format = oq->format,
	};
	int rc = MQ_OK;

	if (f->view.n > 0)
		rc = n->sub ? filter_of_group(m, n->sub, &spec.filter) : filter_of(name, &spec.filter);
	if (rc == MQ_OK && f->view.n > 0)
		rc = view_open(m, &spec, &oq->view);
	if (rc == MQ_OK && !n->sub && handle_writes(h)) {
		rc = open_appender(m, n, name, oq);
		if (rc == MQ_OK)
			rc = appender_resume(m, &oq->appender, h->kept);
	}
	if (rc == MQ_OK && f->consumes)
		rc = resume_claims(m, n, h, oq);
	return rc;
}

int
open_queue_resume(struct mount *m, const struct node *n, struct handle *h)
{
	struct open_queue *oq;
	struct name name;
	int rc = open_queue_name(n, &name);

	if (rc != MQ_OK)
		return rc;
	oq = open_queue_make(&name, (enum topic_format)h->kept->format);
	if (!oq)
		return -ENOMEM;
	oq->queue = h->kept->queue;
	oq->roams = n->sub && oq->queue == ROAMING;
	oq->read_end = atomic_load(&h->kept->read_end);
	rc = resume_parts(m, n, &name, h, oq);
	oq->accepted = atomic_load(&h->kept->closing);
	if (rc == MQ_OK && oq->accepted)
		closing_begin(m->closing, &oq->closing);
	return open_queue_done(m, n, h, oq, rc);
}

/* --- reading ---------------------------------------------------------------------------- */

/* Commit, for each queue, the messages that the view has passed. */
static int
commit_passed(struct mount *m, struct handle *h)
{
	struct open_queue *oq = h->own;
	struct queue *q;
	int rc = MQ_OK;

	for (size_t i = 0; rc == MQ_OK && (q = view_queue(oq->view, i)); i++) {
		mq_qoff at = view_next(oq->view, i);

		if (at.n > view_from(oq->view, i).n)
			rc = commit_forward(m->offsets, h->node.sub, queue_id(q), at);
	}
	return rc;
}

/* A consumer that reads at `off` has consumed everything before: commit that. */
static int
commit_before(struct mount *m, struct handle *h, off_t off)
{
	struct open_queue *oq = h->own;
	int rc;

	MUST_HOLD(&h->lock);
	if (!oq->n_claimed || !handle_writes(h) || off == oq->shift)
		return MQ_OK;
	if (off < oq->shift)
		return err_note(-ESTALE, "groups/%s/%s/any: this was read from another queue", h->node.group->name,
				h->node.topic->name);
	rc = view_go(oq->view, off - oq->shift);
	if (rc == MQ_OK)
		rc = commit_passed(m, h);
	return rc == MQ_EGONE ? MQ_OK : rc;
}

static bool
read_ready(struct mount *m, struct handle *h, off_t off)
{
	struct open_queue *oq = h->own;

	if (node_is_stale(&h->node))
		return true;
	if (oq->view)
		return view_is_ready(oq->view, off - oq->shift);
	return consumer_is_wanted(m->offsets, h->node.sub);
}

/* --- roaming: any:follow -------------------------------------------------------------------
 *
 *     no queue ──> the free queue in which most messages wait ──> all that waited there is
 *        ^                                                        committed: no queue
 *        └──────────────────────────────────────────────────────────────┘
 *
 * The file is one stream: the view of the next queue begins at the byte of the file where
 * that of the last one ended (`shift`).  A worker leaves a queue that keeps growing when it has
 * consumed the messages that were there when it came, so that with fewer workers than queues no
 * queue waits for ever. */

static void
leave_queue(struct mount *m, struct handle *h)
{
	struct open_queue *oq = h->own;

	view_close(oq->view);
	oq->view = NULL;
	release_claims(m, h, oq);
}

/* Claim a free queue with unconsumed messages, and open a view of it.  -EAGAIN: there is none. */
static int
take_queue(struct mount *m, struct handle *h, off_t off)
{
	struct open_queue *oq = h->own;
	struct queue *q;
	int rc;

	rc = consumer_claim_waiting(m->offsets, h->node.sub, h->pid, &oq->queue);
	if (rc != MQ_OK)
		return rc;
	oq->first = oq->queue;
	oq->n_claimed = 1;
	oq->shift = off;
	rc = topic_queue(m->offsets, h->node.topic, oq->queue, &q);
	if (rc == MQ_OK) {
		oq->until = queue_end(q);
		rc = open_from_committed(m, &h->node, false, oq);
	}
	if (rc != MQ_OK)
		leave_queue(m, h);
	return rc;
}

/* Has the worker consumed the messages that were there when it claimed the queue?  Those that its filter skips
 * count as consumed. */
static int
has_done(const struct open_queue *oq, off_t off, bool *ret_done)
{
	int rc = view_go(oq->view, off - oq->shift);

	*ret_done = rc == MQ_OK && view_next(oq->view, 0).n >= oq->until.n;
	return rc;
}

/* As view_read(), from whichever queue.  *ret_n stays 0 if no free queue has messages. */
static int
roam(struct mount *m, struct handle *h, off_t off, void *buf, size_t size, size_t *ret_n)
{
	struct open_queue *oq = h->own;
	bool done = false;
	int rc;

	MUST_HOLD(&h->lock);
	for (;;) {
		rc = commit_before(m, h, off);
		if (rc == MQ_OK && oq->n_claimed)
			rc = has_done(oq, off, &done);
		if (rc != MQ_OK)
			return rc;
		if (oq->n_claimed && done)
			leave_queue(m, h);
		rc = oq->n_claimed ? MQ_OK : take_queue(m, h, off);
		if (rc == -EAGAIN)
			return MQ_OK;
		if (rc == MQ_OK)
			rc = view_read(oq->view, off - oq->shift, buf, size, ret_n);
		if (rc != MQ_OK || *ret_n > 0)
			return rc;
		/* the filter has skipped all of it: these messages are consumed */
		rc = view_go(oq->view, off - oq->shift);
		if (rc == MQ_OK)
			rc = commit_passed(m, h);
		if (rc != MQ_OK)
			return rc;
		leave_queue(m, h);
	}
}

/* A read has ended there: poll(2) asks for messages from there on. */
static void
note_read_end(struct handle *h, off_t end)
{
	struct open_queue *oq = h->own;

	atomic_store(&oq->read_end, end);
	if (h->kept)
		atomic_store(&h->kept->read_end, end);
}

/* NULL for a roaming file: it waits for messages in any queue, and for a queue to become free. */
static struct queue *
read_queue(const struct handle *h, size_t i)
{
	const struct open_queue *oq = h->own;

	return oq->roams ? NULL : view_queue(oq->view, i);
}

/* The kernel keeps what it has read of a finished range: to it, an answer that is short is the end of the file. */
static bool
is_kept_by_kernel(const struct handle *h)
{
	return h->fopen & FOPEN_KEEP_CACHE;
}

static int
read_at(struct mount *m, struct handle *h, off_t off, void *buf, size_t size, size_t *ret_n)
{
	const struct open_queue *oq = h->own;

	if (oq->roams)
		return roam(m, h, off, buf, size, ret_n);
	return is_kept_by_kernel(h) ? view_read_whole(oq->view, off, buf, size, ret_n)
				    : view_read(oq->view, off, buf, size, ret_n);
}

static const struct pending_read reading = { .ready = read_ready, .answer = open_queue_read_on, .queue = read_queue };

void
open_queue_read_on(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct open_queue *oq = h->own;
	struct scratch *scratch = scratch_get();
	bool wait = false;
	size_t n = 0;
	int rc;

	rc = scratch ? scratch_grow(&scratch->out, &scratch->out_size, size > APPEND_MAX_READ ? size : APPEND_MAX_READ)
		     : -ENOMEM;
	if (rc == MQ_OK) {
		LOCKED(&h->lock);
		rc = node_is_stale(&h->node) ? -ESTALE : MQ_OK;
		if (rc == MQ_OK && !oq->roams)
			rc = commit_before(m, h, off);
		if (rc == MQ_OK)
			rc = read_at(m, h, off, scratch->out, size, &n);
		if (rc == MQ_OK)
			note_read_end(h, off + (off_t)n);
		wait = rc == MQ_OK && n == 0 && oq->follow && !(oq->view && view_is_finished(oq->view));
	}
	if (rc == MQ_OK && n > 0 && oq->view && !oq->n_claimed && !view_filters(oq->view))
		ahead_note(m->ahead, h, &oq->ahead, off, size, n);
	if (rc == MQ_ELATER)
		searcher_take(m->searcher, req, h, size, off);
	else if (rc != MQ_OK)
		reply_err(req, note_of(&h->node, rc));
	else if (wait && h->nonblock)
		reply_err(req, -EAGAIN);
	else if (wait)
		pending_park_read(m->pending, req, h, size, off, &reading);
	else
		reply_data(req, scratch->out, n);
}

void
open_queue_read(struct mount *m, fuse_req_t req, struct handle *h, size_t size, off_t off)
{
	struct open_queue *oq = h->own;

	if (!oq->view && !oq->roams) {
		reply_err(req, -EBADF);
		return;
	}
	closing_wait(m->closing);
	if (oq->roams || view_was_cut(oq->view) || !ahead_take(m->ahead, h, &oq->ahead, size, off)) {
		open_queue_read_on(m, req, h, size, off);
		return;
	}
	note_read_end(h, off + (off_t)size);
	ahead_reply(m->ahead, h, &oq->ahead, req, off, size);
}

int
open_queue_fill(struct handle *h, int64_t byte, void *buf, size_t size, size_t *ret_n)
{
	struct open_queue *oq = h->own;

	return view_read(oq->view, byte, buf, size, ret_n);
}

/* Without :follow a read never waits, so a queue is ready as any regular file is.  Programs
 * that ask before each read (socat, nc, busybox's and yash's read) would else never see the
 * end of the file. */
void
open_queue_poll(struct mount *m, fuse_req_t req, struct handle *h, struct fuse_pollhandle *ph)
{
	struct open_queue *oq = h->own;
	bool may_wait = (oq->view || oq->roams) && oq->follow, readable = true;
	unsigned revents = POLLOUT | POLLWRNORM;
	off_t off = atomic_load(&oq->read_end);

	if (may_wait) {
		LOCKED(&h->lock);
		readable = read_ready(m, h, off);
	}
	if (readable)
		revents |= POLLIN | POLLRDNORM;
	if (ph && may_wait)
		pending_park_poll(m->pending, h, off, &reading, ph);
	else if (ph)
		fuse_pollhandle_destroy(ph);
	fuse_reply_poll(req, revents);
}

/* --- appending ------------------------------------------------------------------------------ */

static void
write_waited(struct handle *h, uint64_t request, int rc)
{
	struct open_queue *oq = h->own;

	appender_waited(&oq->appender, request, rc == MQ_OK);
}

static void
fsync_waited(struct handle *h, uint64_t request, int rc)
{
	struct open_queue *oq = h->own;

	if (rc == MQ_OK)
		appender_synced(&oq->appender, request);
}

/* Is the unfinished line of h one that a close has accepted? */
static void
set_accepted(struct handle *h, bool accepted)
{
	struct open_queue *oq = h->own;

	MUST_HOLD(&h->lock);
	oq->accepted = accepted;
	if (h->kept)
		atomic_store(&h->kept->closing, accepted);
}

void
open_queue_write(struct mount *m, fuse_req_t req, struct handle *h, const char *buf, size_t size, off_t off,
		 const struct fuse_file_info *fi)
{
	struct open_queue *oq = h->own;
	unsigned needs = pending_needs_of_write(m, fi->flags);	/* by the role before: it may change meanwhile */
	const struct pending_end who = { .h = h, .request = session_request(), .ended = write_waited };
	size_t n = 0;
	mq_pos end;
	int rc;

	if (!oq->appends) {
		reply_err(req, err_note(-EPERM, "groups/%s/%s: a group's queue is read; append to topics/%s",
					h->node.group->name, h->node.topic->name, h->node.topic->name));
		return;
	}
	if (node_is_stale(&h->node)) {
		reply_err(req, -ESTALE);
		return;
	}
	lock_take(&h->lock);
	closing_end(m->closing, &oq->closing);
	set_accepted(h, false);
	oq->appender.request = who.request;
	oq->appender.waits = needs != 0;
	rc = appender_write(m, &oq->appender, buf, size, fi->flags & O_APPEND ? RETRY_APPENDED : off, &n, &end);
	lock_drop(&h->lock);
	needs |= pending_needs_of_write(m, fi->flags);
	if (rc != MQ_OK)
		reply_err(req, note_of(&h->node, rc));
	else if (end.byte > 0 && needs)
		pending_park_durable_of(m->pending, req, &who, end, (ssize_t)n, needs);
	else
		fuse_reply_write(req, n);
}

/* Wait for the whole log, so a reader's fsync waits for the messages that it has read.  If this
 * broker has become a slave, its master decides about messages that were written before. */
void
open_queue_fsync(struct mount *m, fuse_req_t req, struct handle *h)
{
	struct open_queue *oq = h->own;
	struct pending_end who = { .h = h };

	if (oq->n_claimed || oq->roams) {
		pending_park_commits(m->pending, req, &who, h->node.sub);
		return;
	}
	if (oq->appends && m->settings->brokerRole == SLAVE) {
		reply_err(req, note_of(&h->node, err_note(MQ_EROLE, "this broker has become a slave: what was written "
							  "is in the hands of its master")));
		return;
	}
	if (oq->appends) {
		LOCKED(&h->lock);
		who.request = appender_failed(&oq->appender);
		who.ended = who.request ? fsync_waited : NULL;
	}
	pending_park_durable_of(m->pending, req, &who, mark_at(store_written(m->store)), -1, pending_needs_of_fsync(m));
}

/* Return the errors here that release cannot report, because FLUSH comes before close(2) returns. */
int
open_queue_flush(struct mount *m, struct handle *h)
{
	struct open_queue *oq = h->own;
	int rc = MQ_OK;

	LOCKED(&h->lock);
	if (!oq->appends)
		return MQ_OK;
	rc = note_of(&h->node, appender_check(m, &oq->appender));
	if (!splitter_holds(&oq->appender.splitter))
		return rc;
	closing_begin(m->closing, &oq->closing);
	set_accepted(h, rc == MQ_OK);
	return rc;
}

void
open_queue_release(struct mount *m, struct handle *h)
{
	struct open_queue *oq = h->own;
	int rc;

	if (oq->appends) {
		rc = node_is_stale(&h->node) && splitter_holds(&oq->appender.splitter) ?
			     -ESTALE : appender_finish(m, &oq->appender, oq->accepted);
		if (rc != MQ_OK)
			log_err("topics/%s: what was left of a line at close is lost: %s", h->node.topic->name,
				err_text(rc));
		closing_end(m->closing, &oq->closing);
	}
	if (oq->lane)
		lanes_end(m->lanes, oq->lane);
	if (oq->n_claimed) {
		release_claims(m, h, oq);
		closing_left(m->closing);
	}
	open_queue_free(m, oq);
}
