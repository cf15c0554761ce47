#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/futex.h"
#include "store/mark.h"

#define WAKE_AT_ONCE 16
#define SHARED_LOOK_MS 1000		/* the longest sleep on a word that another process shares */

/* A waiting thread, on its own stack.  Each thread sleeps on a word of its own, so that one
 * that waits for a position far ahead is not woken with the others.  If the mark has a
 * source, all of them sleep on the source's word. */
struct mark_waiter {
	LIST_ENTRY(mark_waiter) entry;
	int64_t pos;
	_Atomic uint32_t own;
	_Atomic uint32_t *word;
	_Atomic bool sleeps;		/* or is about to sleep; only then a wake-up is a system call */
};

void
mark_init(struct mark *m, mq_pos at)
{
	atomic_init(&m->at, at.byte);
	atomic_init(&m->wanted, INT64_MAX);
	atomic_init(&m->waiters, 0);
	atomic_init(&m->closed, false);
	atomic_init(&m->nudges, 0);
	atomic_init(&m->mirror, NULL);
	m->source = (struct mark_source){ .news = NULL };
	m->woken = 0;
	LIST_INIT(&m->waiting);
	lock_init(&m->lock, RANK_MARK);
}

void
mark_destroy(struct mark *m)
{
	lock_destroy(&m->lock);
}

void
mark_set_source(struct mark *m, const struct mark_source *source)
{
	m->source = *source;
	atomic_store(source->wanted, INT64_MAX);
}

/* --- waking ------------------------------------------------------------------------- */

/* Words whose sleepers are to be woken.  That is done without the lock, since a thread
 * that wakes up takes it. */
struct words {
	_Atomic uint32_t *list[WAKE_AT_ONCE];
	size_t n;
};

static void
set_wanted(struct mark *m, int64_t pos)
{
	MUST_HOLD(&m->lock);
	atomic_store(&m->wanted, pos);
	if (m->source.wanted)
		atomic_store(m->source.wanted, pos);
}

/* Does w wait for less than `below`?  INT64_MAX: true for every waiter. */
static bool
is_below(const struct mark_waiter *w, int64_t below)
{
	return w->pos < below || below == INT64_MAX;
}

/* Change the word of each waiter for less than `below`.  Returns the words to wake; if the
 * list is full there may be more waiters. */
static struct words
take_below(struct mark *m, int64_t below)
{
	struct words words = { .n = 0 };
	struct mark_waiter *w;

	MUST_HOLD(&m->lock);
	LIST_FOREACH(w, &m->waiting, entry) {
		if (words.n == WAKE_AT_ONCE)
			break;
		if (!is_below(w, below))
			continue;
		atomic_fetch_add(w->word, 1);
		if (atomic_exchange(&w->sleeps, false))
			words.list[words.n++] = w->word;
	}
	return words;
}

static void
wake_words(const struct mark *m, const struct words *words)
{
	for (size_t i = 0; i < words->n; i++)
		futex_wake(words->list[i], m->source.news != NULL);
}

/* Wake the waiters for less than `below`; `wanted` becomes the least position of the rest. */
static void
wake_below(struct mark *m, int64_t below)
{
	struct mark_waiter *w;
	struct words words;

	do {
		int64_t wanted = INT64_MAX;

		lock_take(&m->lock);
		words = take_below(m, below);
		LIST_FOREACH(w, &m->waiting, entry)
			if (!is_below(w, below) && w->pos < wanted)
				wanted = w->pos;
		set_wanted(m, wanted);
		lock_drop(&m->lock);
		wake_words(m, &words);
	} while (words.n == WAKE_AT_ONCE);
}

/* Wake every waiter; one that goes on waiting sets `wanted` again. */
static void
wake_all(struct mark *m)
{
	wake_below(m, INT64_MAX);
}

/* Set the mirror, and wake its process if that sleeps.  The process sets `sleeps` before it
 * reads `at`, and here `at` is set before `sleeps` is read: one of the two sees the other. */
static void
show(struct mark *m)
{
	const struct mark_mirror *mirror;
	const uint64_t one = 1;
	uint32_t sleeps;
	ssize_t n;

	LOCKED(&m->lock);
	mirror = atomic_load(&m->mirror);
	if (!mirror)
		return;
	atomic_store(mirror->at, atomic_load(&m->at));
	sleeps = mirror->sleeps ? atomic_load(mirror->sleeps) : 0;
	if (sleeps % 2 == 0 || sleeps == m->woken)
		return;
	m->woken = sleeps;
	n = write(mirror->wake_fd, &one, sizeof(one));
	(void)n;			/* EAGAIN: it has been woken many times over */
}

void
mark_set_mirror(struct mark *m, const struct mark_mirror *mirror)
{
	lock_take(&m->lock);
	atomic_store(&m->mirror, mirror);
	m->woken = 0;
	lock_drop(&m->lock);
	show(m);
}

/* --- moving ------------------------------------------------------------------------- */

void
mark_move(struct mark *m, mq_pos to)
{
	int64_t at = atomic_load(&m->at);

	while (at < to.byte && !atomic_compare_exchange_weak(&m->at, &at, to.byte))
		;
}

/* A waiter sets `wanted` before it reads `at`, and `at` was moved before `wanted` is read
 * here: one of the two sees the other.  An append that no thread waits for costs no more
 * than reading `wanted`. */
void
mark_tell(struct mark *m)
{
	int64_t at = atomic_load(&m->at);

	if (at > atomic_load(&m->wanted))
		wake_below(m, at);
	if (atomic_load_explicit(&m->mirror, memory_order_relaxed))
		show(m);
}

void
mark_advance(struct mark *m, mq_pos to)
{
	if (mark_at(m).byte >= to.byte)
		return;
	mark_move(m, to);
	mark_tell(m);
}

/* --- waiting ------------------------------------------------------------------------ */

static void
link_waiter(struct mark *m, struct mark_waiter *w)
{
	LOCKED(&m->lock);
	LIST_INSERT_HEAD(&m->waiting, w, entry);
	atomic_fetch_add(&m->waiters, 1);
}

static void
unlink_waiter(struct mark *m, struct mark_waiter *w)
{
	LOCKED(&m->lock);
	LIST_REMOVE(w, entry);
	atomic_fetch_sub(&m->waiters, 1);
}

static void
want(struct mark *m, int64_t pos)
{
	LOCKED(&m->lock);
	if (pos < atomic_load(&m->wanted))
		set_wanted(m, pos);
}

/* What the wait ends with; MQ_EEND: it is not over. */
static int
outcome(const struct mark *m, const struct mark_waiter *w, const uint64_t *nudges)
{
	if (atomic_load(&m->at) > w->pos)
		return MQ_OK;
	if (atomic_load(&m->closed))
		return MQ_ECLOSED;
	return nudges && atomic_load(&m->nudges) != *nudges ? -EAGAIN : MQ_EEND;
}

/* Sleep on w's word.  Another process that shares it could undo the change that a waker has made,
 * or requeue the sleepers to a word of its own: the wake-up is lost then, so no thread sleeps
 * longer than SHARED_LOOK_MS. */
static void
sleep_on(const struct mark *m, const struct mark_waiter *w, uint32_t seen, int timeout_ms)
{
	bool shared = m->source.news != NULL;

	if (shared && (timeout_ms < 0 || timeout_ms > SHARED_LOOK_MS))
		timeout_ms = SHARED_LOOK_MS;
	futex_wait(w->word, shared, seen, timeout_ms);
}

/* Sleep unless the wait is over; MQ_EEND: woken, or it is time to look again.  A wake-up between
 * the read of `seen` and futex_wait() is not lost: it changes the word, so futex_wait() returns. */
static int
sleep_once(struct mark *m, struct mark_waiter *w, const uint64_t *nudges, int timeout_ms)
{
	uint32_t seen = atomic_load(w->word);
	int rc;

	want(m, w->pos);
	if (m->source.look)
		m->source.look(m->source.arg);
	atomic_store(&w->sleeps, true);
	rc = outcome(m, w, nudges);
	if (rc == MQ_EEND && timeout_ms != 0)
		sleep_on(m, w, seen, timeout_ms);
	atomic_store(&w->sleeps, false);
	return rc;
}

/* w is in the list.  A wake-up before `pos` is passed does not make timeout_ms begin anew. */
static int
wait_past(struct mark *m, struct mark_waiter *w, const uint64_t *nudges, int timeout_ms)
{
	int64_t until = timeout_ms > 0 ? clock_mono_ms() + timeout_ms : 0;

	for (;;) {
		int rc = sleep_once(m, w, nudges, timeout_ms);

		if (rc != MQ_EEND)
			return rc;
		if (timeout_ms == 0)
			return -ETIMEDOUT;
		if (timeout_ms > 0) {
			int64_t left = until - clock_mono_ms();

			timeout_ms = left > 0 ? (int)left : 0;
		}
	}
}

int
mark_wait_news(struct mark *m, mq_pos pos, uint64_t *nudges, int timeout_ms, mq_pos *ret_at)
{
	struct mark_waiter w = { .pos = pos.byte };
	int rc;

	w.word = m->source.news ? m->source.news : &w.own;
	rc = outcome(m, &w, nudges);
	if (rc == MQ_EEND) {
		link_waiter(m, &w);
		rc = wait_past(m, &w, nudges, timeout_ms);
		unlink_waiter(m, &w);
	}
	if (rc == -EAGAIN)
		*nudges = atomic_load(&m->nudges);
	if (rc == MQ_OK && ret_at)
		*ret_at = mark_at(m);
	return rc;
}

int
mark_wait_past(struct mark *m, mq_pos pos, int timeout_ms, mq_pos *ret_at)
{
	return mark_wait_news(m, pos, NULL, timeout_ms, ret_at);
}

void
mark_nudge(struct mark *m)
{
	atomic_fetch_add(&m->nudges, 1);
	wake_all(m);
}

void
mark_set_back(struct mark *m, mq_pos to)
{
	int64_t at = atomic_load(&m->at);

	while (at > to.byte)
		if (atomic_compare_exchange_weak(&m->at, &at, to.byte)) {
			mark_nudge(m);
			show(m);
			return;
		}
}

void
mark_close(struct mark *m)
{
	atomic_store(&m->closed, true);
	wake_all(m);
}
