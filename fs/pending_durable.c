/* Writes, fsyncs and changes that wait until they are durable: the table's lines DISK and
 * SLAVES.
 *
 *     park ──> DISK ── flushed ──> SLAVES ── replicated ──> answered
 *         └──────────────────────────^ without NEED_DISK
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "fs/pending_priv.h"
#include "fs/reply.h"
#include "repl/replication.h"

#define DEADLINE_LOOK_MS 100

/* --- the broker's slaves -------------------------------------------------------------- */

static bool
is_sync_master(const struct mount *m)
{
	return m->settings->brokerRole == SYNC_MASTER;
}

int
slaves_suffice(const struct mount *m)
{
	if (!is_sync_master(m) || m->settings->onSlaveUnavailable != ON_SLAVE_UNAVAILABLE_FAIL ||
	    (m->replication && replication_in_sync(m->replication)))
		return MQ_OK;
	return err_note(MQ_ENOSLAVE, "SYNC_MASTER: fewer slaves in sync than inSyncReplicas wants%s",
			replication_is_needed(m->settings) ? "" : ": haListen=none keeps all of them away");
}

static bool
waits_for_slaves(const struct mount *m)
{
	if (!is_sync_master(m) || !m->replication)
		return false;
	return m->settings->onSlaveUnavailable == ON_SLAVE_UNAVAILABLE_FAIL || replication_in_sync(m->replication);
}

unsigned
pending_needs_of_write(const struct mount *m, int flags)
{
	return (handle_is_durable(m, flags) ? NEED_DISK : 0u) | (is_sync_master(m) ? NEED_SLAVES : 0u);
}

unsigned
pending_needs_of_fsync(const struct mount *m)
{
	return NEED_DISK | (is_sync_master(m) ? NEED_SLAVES : 0u);
}

/* --- where the lines stand ------------------------------------------------------------ */

/* The position up to which requests of this line have what they wait for. */
static int64_t
line_at(const struct mount *m, enum pending_line line)
{
	switch (line) {
	case LINE_DISK:
		return mark_at(store_flushed(m->store)).byte;
	case LINE_SLAVES:
		return waits_for_slaves(m) ? mark_at(replication_replicated(m->replication)).byte : INT64_MAX;
	default:
		return mark_at(slave_commits_answered(m->offsets)).byte;
	}
}

/* Does it wait for slaves, although this broker has become a slave?  They acknowledge to another master now. */
static bool
has_lost_its_slaves(const struct mount *m, const struct durable *d)
{
	return (d->needs & NEED_SLAVES) && m->settings->brokerRole == SLAVE && m->replication &&
	       mark_at(replication_replicated(m->replication)).byte < d->parked.pos;
}

static bool
waits_in(const struct mount *m, const struct durable *d, enum pending_need need, enum pending_line line)
{
	return (d->needs & (unsigned)need) && line_at(m, line) < d->parked.pos;
}

/* --- answering ------------------------------------------------------------------------- */

static void
call_ended(struct pending *p, const struct pending_end *who, int rc)
{
	if (!who->ended)
		return;
	who->ended(who->h, who->request, rc);
	handle_unref(p->m, who->h);	/* the kernel has h open until the answer is out */
}

static void
note_timeout(const struct mount *m, const struct durable *d)
{
	bool only_disk = !(d->needs & NEED_SLAVES);

	if (d->sub)
		err_note(-ETIMEDOUT, "the commits are on this disk, but the master has not answered in time: "
			 "fsync waits again");
	else
		err_note(-ETIMEDOUT, "what was written is stored, but it did not reach %s in time: fsync or the same "
			 "write waits again", only_disk || waits_in(m, d, NEED_DISK, LINE_DISK) ? "the disk" : "enough slaves");
}

void
durable_answer(struct pending *p, struct durable *d, int rc)
{
	call_ended(p, &d->who, rc);
	if (rc == -ETIMEDOUT)
		note_timeout(p->m, d);
	if (rc != MQ_OK)
		reply_err(d->req, rc);
	else if (d->answer)
		d->answer(p->m, d->req, &d->node);
	else if (d->result < 0)
		reply_err(d->req, MQ_OK);
	else
		fuse_reply_write(d->req, (size_t)d->result);
	if (rc != MQ_OK && d->answer)
		fuse_lowlevel_notify_inval_inode(p->m->session, d->node.ino, -1, 0);
	free(d);
}

/* Requests that were taken out of their lines, to be answered with one rc. */
struct taken {
	struct parked *first, **last;
};

static void
taken_add(struct pending *p, struct taken *t, struct parked *w)
{
	pending_unlink(p, w);
	w->next = NULL;
	*t->last = w;
	t->last = &w->next;
}

static void
taken_answer(struct pending *p, const struct taken *t, int rc)
{
	struct parked *next;
	char why[256];

	snprintf(why, sizeof(why), "%s", rc == MQ_OK ? "" : err_text(rc));
	for (struct parked *w = t->first; w; w = next) {
		next = w->next;
		if (rc != MQ_OK)
			err_note(rc, "%s", why);	/* reply_err() forgets it each time */
		durable_answer(p, (struct durable *)w, rc);
	}
}

/* Take out what has reached `at`, which is the first part of the line. */
static void
take_up_to(struct pending *p, enum pending_line line, int64_t at, struct taken *done)
{
	struct parked *w;

	MUST_HOLD(&p->lock);
	while ((w = pending_first(p, line)) && w->pos <= at)
		taken_add(p, done, w);
}

/* Take out every request of the line for which `is_over` is true. */
static void
take_if(struct pending *p, enum pending_line line, bool (*is_over)(const struct mount *, const struct durable *),
	struct taken *over)
{
	struct parked *head = &p->lines[line], *next;

	MUST_HOLD(&p->lock);
	for (struct parked *w = head->next; w != head; w = next) {
		next = w->next;
		if (is_over(p->m, (struct durable *)w))
			taken_add(p, over, w);
	}
}

/* After a cut the log may not reach the positions that requests wait for: they wait for its end. */
static void
follow_cut(struct pending *p, enum pending_line line)
{
	int64_t end = mark_at(store_written(p->m->store)).byte;
	struct parked *head = &p->lines[line];

	MUST_HOLD(&p->lock);
	for (struct parked *w = head->prev; w != head && w->pos > end; w = w->prev)
		w->pos = end;
}

/* --- the disk's thread ------------------------------------------------------------------- */

/* Requests whose log is on the disk leave the line: to *done, or to SLAVES if they wait for slaves, too. */
static void
leave_disk(struct pending *p, struct taken *done)
{
	int64_t flushed = line_at(p->m, LINE_DISK);
	struct parked *w;

	MUST_HOLD(&p->lock);
	follow_cut(p, LINE_DISK);
	while ((w = pending_first(p, LINE_DISK)) && w->pos <= flushed) {
		if (!waits_in(p->m, (struct durable *)w, NEED_SLAVES, LINE_SLAVES)) {
			taken_add(p, done, w);
			continue;
		}
		pending_unlink(p, w);
		durable_wait_in(p, LINE_SLAVES, (struct durable *)w);
	}
}

/* Flush for everything that waits for the disk now. */
static void
flush_line(struct pending *p, int64_t upto)
{
	int rc = store_flush(p->m->store, MQ_POS(upto));
	struct taken done = { .last = &done.first };

	lock_take(&p->lock);
	if (rc == MQ_OK)
		leave_disk(p, &done);
	else
		take_up_to(p, LINE_DISK, INT64_MAX, &done);
	lock_drop(&p->lock);
	taken_answer(p, &done, rc);
}

/* What the disk's thread does next. */
struct disk_work {
	int64_t flush_upto;	/* 0: nothing to flush */
	struct durable *keep;	/* NULL: nothing to keep */
};

/* False: closing. */
static bool
disk_work_wait(struct pending *p, struct disk_work *ret)
{
	struct parked *keep;

	LOCKED(&p->lock);
	while (!p->closing && !pending_first(p, LINE_DISK) && !pending_first(p, LINE_KEEP))
		lock_wait(&p->lock, &p->for_disk, -1);
	if (p->closing)
		return false;
	keep = pending_first(p, LINE_KEEP);
	if (keep)
		pending_unlink(p, keep);
	*ret = (struct disk_work){
		.flush_upto = pending_first(p, LINE_DISK) ? p->lines[LINE_DISK].prev->pos : 0,
		.keep = (struct durable *)keep,
	};
	return true;
}

void *
pending_disk_main(void *arg)
{
	struct pending *p = arg;
	struct disk_work work;

	while (disk_work_wait(p, &work)) {
		if (work.flush_upto > 0)
			flush_line(p, work.flush_upto);
		if (work.keep)
			pending_keep_commits(p, work.keep);
	}
	return NULL;
}

/* --- the answers' thread ----------------------------------------------------------------- */

static bool
is_late(const struct mount *m, const struct durable *d)
{
	(void)m;
	return d->deadline_ms <= clock_mono_ms();
}

/* Answer what slaves and the master have acknowledged, and what has waited for too long:
 * of all lines, because a disk that hangs keeps its own thread busy. */
static void
look_at_answers(struct pending *p, bool deadlines)
{
	struct taken done = { .last = &done.first }, over = { .last = &over.first };

	lock_take(&p->lock);
	follow_cut(p, LINE_DISK);
	follow_cut(p, LINE_SLAVES);
	if (p->m->settings->brokerRole == SLAVE) {
		take_if(p, LINE_DISK, has_lost_its_slaves, &over);
		take_if(p, LINE_SLAVES, has_lost_its_slaves, &over);
	}
	take_up_to(p, LINE_SLAVES, line_at(p->m, LINE_SLAVES), &done);
	take_up_to(p, LINE_MASTER, line_at(p->m, LINE_MASTER), &done);
	for (int i = LINE_DISK; deadlines && i < LINES; i++)
		take_if(p, (enum pending_line)i, is_late, &over);
	lock_drop(&p->lock);
	taken_answer(p, &done, MQ_OK);
	taken_answer(p, &over, -ETIMEDOUT);
}

/* The thread sleeps without a deadline only after a whole pause without requests, because the next request has to
 * wake it then.  False: closing. */
static bool
answers_pause(struct pending *p, bool paused, int *ret_timeout_ms)
{
	LOCKED(&p->lock);
	p->answers_sleeps = paused && !pending_first(p, LINE_DISK) && !pending_first(p, LINE_SLAVES) &&
			    !pending_first(p, LINE_KEEP) && !pending_first(p, LINE_MASTER);
	*ret_timeout_ms = p->answers_sleeps ? -1 : DEADLINE_LOOK_MS;
	return !p->closing;
}

void *
pending_answers_main(void *arg)
{
	struct pending *p = arg;
	struct mount *m = p->m;
	uint64_t nudges[2] = { 0, 0 };
	int64_t look_ms = 0;		/* the next look at deadlines */
	int timeout_ms, rc = MQ_OK;

	while (answers_pause(p, rc == -ETIMEDOUT, &timeout_ms)) {
		struct replication *r = m->replication;
		bool slave = m->settings->brokerRole == SLAVE || !r;
		struct mark *mark = slave ? slave_commits_answered(m->offsets) : replication_replicated(r);
		mq_pos past = slave || is_sync_master(m) ? mark_at(mark) : MQ_POS(INT64_MAX);
		int64_t now_ms = clock_mono_ms();

		look_at_answers(p, now_ms >= look_ms);	/* if the mark moves after this, the wait ends at once */
		if (now_ms >= look_ms)
			look_ms = now_ms + DEADLINE_LOOK_MS;
		rc = mark_wait_news(mark, past, &nudges[slave], timeout_ms, NULL);
	}
	return NULL;
}

/* --- parking ------------------------------------------------------------------------------- */

static _Thread_local bool for_slaves;

bool
pending_has_parked_for_slaves(void)
{
	bool has = for_slaves;

	for_slaves = false;
	return has;
}

void
durable_wait_in(struct pending *p, enum pending_line line, struct durable *d)
{
	MUST_HOLD(&p->lock);
	for_slaves = line == LINE_SLAVES;
	pending_link(p, line, &d->parked);
	if (line == LINE_DISK || line == LINE_KEEP)
		pthread_cond_signal(&p->for_disk);
	if (!p->answers_sleeps)
		return;
	p->answers_sleeps = false;
	pending_wake_answers(p);
}

static void
park(struct pending *p, struct durable what)
{
	struct mount *m = p->m;
	struct durable *d = malloc(sizeof(*d));
	enum pending_line line = LINES;		/* none */
	bool lost;

	if (!d) {
		call_ended(p, &what.who, -ENOMEM);
		reply_err(what.req, -ENOMEM);
		return;
	}
	*d = what;
	d->deadline_ms = clock_mono_ms() + (waits_for_slaves(m) ? m->settings->slaveTimeout
								: m->settings->syncFlushTimeout);
	lock_take(&p->lock);
	lost = has_lost_its_slaves(m, d);
	if (!lost && waits_in(m, d, NEED_DISK, LINE_DISK))
		line = LINE_DISK;
	else if (!lost && waits_in(m, d, NEED_SLAVES, LINE_SLAVES))
		line = LINE_SLAVES;
	if (line != LINES)
		durable_wait_in(p, line, d);
	lock_drop(&p->lock);
	if (line == LINES)
		durable_answer(p, d, lost ? -ETIMEDOUT : MQ_OK);
}

void
pending_park_durable(struct pending *p, fuse_req_t req, mq_pos end, ssize_t result, unsigned needs)
{
	park(p, (struct durable){ .req = req, .parked.pos = end.byte, .result = result, .needs = needs });
}

void
pending_park_change(struct pending *p, fuse_req_t req, mq_pos end, unsigned needs, pending_answer *answer,
		    const struct node *n)
{
	park(p, (struct durable){ .req = req, .parked.pos = end.byte, .answer = answer, .node = *n, .needs = needs });
}

void
pending_park_durable_of(struct pending *p, fuse_req_t req, const struct pending_end *who, mq_pos end,
			ssize_t result, unsigned needs)
{
	if (who->ended)
		handle_ref(who->h);
	park(p, (struct durable){
			.req = req, .who = *who, .parked.pos = end.byte, .result = result, .needs = needs,
		});
}

void
pending_durables_end(struct pending *p)
{
	struct taken left = { .last = &left.first };

	lock_take(&p->lock);
	for (int i = LINE_DISK; i < LINES; i++)
		take_up_to(p, (enum pending_line)i, INT64_MAX, &left);
	lock_drop(&p->lock);
	taken_answer(p, &left, -EINTR);
}
