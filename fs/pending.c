#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/err.h"
#include "fs/pending_priv.h"
#include "repl/replication.h"

/* --- lines ------------------------------------------------------------------------- */

/* Almost every request comes in the order of its position, so the search for its place ends at once. */
void
pending_link(struct pending *p, enum pending_line line, struct parked *w)
{
	struct parked *before = p->lines[line].prev;

	MUST_HOLD(&p->lock);
	while (before != &p->lines[line] && before->pos > w->pos)
		before = before->prev;
	w->prev = before;
	w->next = before->next;
	w->prev->next = w;
	w->next->prev = w;
	w->linked = true;
	p->n++;
}

void
pending_unlink(struct pending *p, struct parked *w)
{
	MUST_HOLD(&p->lock);
	w->prev->next = w->next;
	w->next->prev = w->prev;
	w->linked = false;
	p->n--;
}

struct parked *
pending_first(struct pending *p, enum pending_line line)
{
	struct parked *head = &p->lines[line];

	MUST_HOLD(&p->lock);
	return head->next == head ? NULL : head->next;
}

int64_t
pending_count(struct pending *p)
{
	LOCKED(&p->lock);
	return p->n;
}

/* --- threads ------------------------------------------------------------------------ */

void
pending_wake_readers(struct pending *p)
{
	mark_nudge(store_dispatched(p->m->store));
}

/* The thread waits on one of these marks, depending on the role. */
void
pending_wake_answers(struct pending *p)
{
	if (p->m->replication)
		mark_nudge(replication_replicated(p->m->replication));
	mark_nudge(slave_commits_answered(p->m->offsets));
}

void
pending_role_changed(struct pending *p)
{
	if (p)
		pending_wake_answers(p);
}

static const struct {
	const char *name;
	void *(*main)(void *);
} threads[PENDING_THREADS] = {
	{ "readers", pending_readers_main }, { "disk", pending_disk_main }, { "answers", pending_answers_main },
};

int
pending_open(struct mount *m, struct pending **ret)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->m = m;
	for (int i = 0; i < LINES; i++)
		p->lines[i].next = p->lines[i].prev = &p->lines[i];
	lock_init(&p->lock, RANK_PENDING);
	cond_init(&p->for_disk);
	for (size_t i = 0; i < PENDING_THREADS; i++) {
		int rc = thread_start(&p->threads[i], threads[i].name, threads[i].main, p);

		if (rc != MQ_OK) {
			pending_close(p);
			return rc;
		}
	}
	*ret = p;
	return MQ_OK;
}

void
pending_close(struct pending *p)
{
	lock_take(&p->lock);
	p->closing = true;
	pthread_cond_signal(&p->for_disk);
	lock_drop(&p->lock);
	pending_wake_readers(p);
	pending_wake_answers(p);
	for (size_t i = 0; i < PENDING_THREADS; i++)
		thread_join(&p->threads[i]);
	pending_reads_end(p);
	pending_durables_end(p);
	pthread_cond_destroy(&p->for_disk);
	lock_destroy(&p->lock);
	free(p);
}
