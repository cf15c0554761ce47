#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "conf/array.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/thread.h"
#include "store/scrub.h"
#include "store/store_priv.h"

#define NICE 19
#define IOPRIO_IDLE (3 << 13)
#define IOPRIO_WHO_PROCESS 1
#define LOOK_MS 1000		/* between two looks for new sealed segments and changed settings */
#define RETRY_MS INT64_C(60000)	/* between the first tries to heal; doubled after each try */
#define RETRIES_MAX 6
#define CREDIT_US 100000	/* unused reading time that may be made up for, at most */
#define SECOND_US 1000000
#define HOUR_MS INT64_C(3600000)
#define BAD_MAX 256
#define LONG_AGO_MS 1		/* "checked" of a bad segment: the next mount looks at once */

enum segment_state {
	SEGMENT_SEALED,		/* since the last look: it is summed up from memory */
	SEGMENT_UNKNOWN,	/* it has no sum, or was never read from the disk since */
	SEGMENT_FINE,
	SEGMENT_BAD,
};

struct segment {
	enum segment_state state;
	int64_t checked_ms;
	int tries;		/* failed tries to have good bytes from the healer */
};

/* What is known of a segment while it is checked. */
struct check {
	size_t i;
	mq_pos base;
	int64_t generation;	/* of the log, when it began */
	int64_t began_ms;
	bool had_sum;
	struct sum was, is;
	struct damage damage;
	bool asked;		/* the healer was asked for good bytes */
};

struct scrub {
	struct store *s;
	struct thread thread;
	struct mark ending;		/* never moves; to sleep until a time, or until it is closed */
	_Atomic int64_t asked_ms;	/* segments that were checked before this time are due now */
	const struct healer *_Atomic healer;

	/* The thread's own.  Segments from `first` on, all sealed. */
	struct segment *segments;
	size_t n, max;
	mq_pos first;
	size_t n_sealed;		/* segments in state SEGMENT_SEALED */
	size_t next;			/* where to look for a segment that is due */
	bool any_checked;		/* since the last time that none was due */
	int64_t ahead, waited_us;	/* bytes read faster than scrubRate allows, at time waited_us */
	struct check check;

	struct lock lock;		/* all below */
	struct scrub_stats stats;
	struct scrub_bad bad[BAD_MAX];
	size_t n_bad;
	bool cut;			/* the log was cut at cut_at since follow_cut() */
	mq_pos cut_at;
};

static mq_pos
base_of(const struct scrub *sc, size_t i)
{
	return pos_add(sc->first, (int64_t)i * sc->s->log.segment_bytes);
}

/* --- the rate ---------------------------------------------------------------------- */

/* How long to wait so that no more than scrubRate is read.  False: nothing may be read at all. */
static bool
wait_of(struct scrub *sc, int64_t *ret_wait_ms)
{
	int64_t rate = sc->s->settings->scrubRate, now = clock_mono_us(), passed = now - sc->waited_us;
	int64_t credit = rate * CREDIT_US / SECOND_US;

	if (rate == 0)
		return false;
	sc->ahead -= rate * (passed < SECOND_US ? passed : SECOND_US) / SECOND_US;
	sc->ahead = sc->ahead > -credit ? sc->ahead : -credit;
	sc->waited_us = now;
	*ret_wait_ms = sc->ahead > 0 ? sc->ahead * 1000 / rate + 1 : 0;
	return true;
}

/* MQ_ECLOSED also when scrubRate has become 0. */
static int
spend(void *arg, int64_t bytes)
{
	struct scrub *sc = arg;
	int64_t ms = 0;

	lock_take(&sc->lock);
	sc->stats.at += bytes;
	sc->stats.read_bytes += bytes;
	lock_drop(&sc->lock);
	(void)wait_of(sc, &ms);		/* these bytes do not use up time that has passed already */
	sc->ahead += bytes;
	while (wait_of(sc, &ms)) {
		if (ms == 0)
			return atomic_load(&sc->ending.closed) ? MQ_ECLOSED : MQ_OK;
		if (mark_wait_past(&sc->ending, MQ_POS(0), ms < LOOK_MS ? (int)ms : LOOK_MS, NULL) == MQ_ECLOSED)
			break;
	}
	return MQ_ECLOSED;
}

/* --- what is bad ------------------------------------------------------------------ */

/* Forget the bad ranges in [from, to). */
static void
bad_forget(struct scrub *sc, mq_pos from, mq_pos to)
{
	size_t kept = 0;

	MUST_HOLD(&sc->lock);
	for (size_t i = 0; i < sc->n_bad; i++) {
		const struct scrub_bad *b = &sc->bad[i];

		if (b->pos.byte < from.byte || b->pos.byte >= to.byte) {
			sc->bad[kept++] = *b;
			continue;
		}
		sc->stats.bad_ranges--;
		sc->stats.bad_bytes -= b->bytes;
		sc->stats.bad_messages -= b->messages;
	}
	sc->n_bad = kept;
}

/* Ranges beyond BAD_MAX are only logged. */
static void
bad_add(struct scrub *sc, const struct scrub_bad *b)
{
	MUST_HOLD(&sc->lock);
	if (sc->n_bad == BAD_MAX)
		return;
	sc->bad[sc->n_bad++] = *b;
	sc->stats.bad_ranges++;
	sc->stats.bad_bytes += b->bytes;
	sc->stats.bad_messages += b->messages;
}

static void
tell(const struct scrub_bad *b)
{
	log_err("scrub: %" PRId64 " bytes at position %" PRId64 " of the log are bad on the disk: %s; "
		"%" PRId64 " messages in them%s%s", b->bytes, b->pos.byte, b->why, b->messages,
		b->messages ? ": " : "", b->names);
}

/* Replace the bad ranges of segment i by those of d; they are logged if the segment was not bad
 * before. */
static void
bad_found(struct scrub *sc, size_t i, const struct damage *d)
{
	bool news = sc->segments[i].state != SEGMENT_BAD;
	mq_pos base = base_of(sc, i);

	lock_take(&sc->lock);
	bad_forget(sc, base, pos_add(base, sc->s->log.segment_bytes));
	lock_drop(&sc->lock);
	for (size_t k = 0; k < d->n; k++) {
		struct scrub_bad b = { .pos = d->ranges[k].pos, .bytes = d->ranges[k].bytes };

		snprintf(b.why, sizeof(b.why), "%s", d->ranges[k].why);
		b.messages = sealed_messages(sc->s, &d->ranges[k], b.names, sizeof(b.names));
		if (news)
			tell(&b);
		LOCKED(&sc->lock);
		bad_add(sc, &b);
	}
}

static void
bad_stays(struct scrub *sc, size_t i, const char *trouble)
{
	mq_pos base = base_of(sc, i), end = pos_add(base, sc->s->log.segment_bytes);

	if (sc->segments[i].state != SEGMENT_BAD)
		log_err("scrub: what is bad of segment %020" PRId64 " stays so: %s", base.byte, trouble);
	LOCKED(&sc->lock);
	for (size_t k = 0; k < sc->n_bad; k++)
		if (sc->bad[k].pos.byte >= base.byte && sc->bad[k].pos.byte < end.byte)
			snprintf(sc->bad[k].trouble, sizeof(sc->bad[k].trouble), "%s", trouble);
}

/* --- healing ------------------------------------------------------------------------ */

/* If the segment has another sum than before with the good records in it, more of it is bad:
 * then all records in pieces with a wrong CRC are healed. */
static int
heal_from(struct scrub *sc, struct check *c, const struct healer *from, const struct pace *pace)
{
	const struct sum *was = c->had_sum ? &c->was : NULL;
	int rc = heal_segment(sc->s, c->base, &c->damage, was, from, pace);

	if (rc != MQ_ECORRUPT || !was || c->damage.missing)
		return rc;
	rc = sealed_damage(sc->s, c->base, was, &c->is, true, pace, &c->damage);
	return rc == MQ_OK ? heal_segment(sc->s, c->base, &c->damage, was, from, pace) : rc;
}

static int
heal(struct scrub *sc, struct check *c, const struct pace *pace)
{
	/* memory may still have bytes that the disk has lost */
	const struct healer memory = { .from = "memory", .fetch = heal_serve, .arg = sc->s };
	const struct healer *healer = atomic_load(&sc->healer);
	int rc = MQ_ECORRUPT;

	if (!c->damage.missing)
		rc = heal_segment(sc->s, c->base, &c->damage, c->had_sum ? &c->was : NULL, &memory, pace);
	if (rc == MQ_OK || rc == MQ_ECLOSED)
		return rc;
	c->asked = healer && healer->ready(healer->arg);
	if (c->asked)
		return heal_from(sc, c, healer, pace);
	if (rc == MQ_ECORRUPT || rc == -EIO)
		err_note(rc, "there is nowhere to have good bytes from");
	return rc;
}

/* Read the healed segment again: the disk may not keep the good bytes either. */
static int
verify(struct scrub *sc, struct check *c, const struct pace *pace)
{
	struct damage left = { 0 };
	int rc = sealed_sum(sc->s, c->base, false, pace, &c->is);

	if (rc == MQ_OK && !c->had_sum)
		rc = sealed_damage(sc->s, c->base, NULL, NULL, false, pace, &left);
	if (rc == MQ_OK && (left.n > 0 || (c->had_sum && strcmp(c->is.hex, c->was.hex) != 0)))
		rc = err_note(-EIO, "the disk does not keep the good bytes either");
	return rc;
}

static void
views_are_stale(struct scrub *sc, int64_t messages)
{
	int rc = store_views_are_stale(sc->s);

	if (rc == MQ_OK)
		log_warn("%" PRId64 " messages that are there again are in no queue yet, as the views were made without "
			 "them: the next mount makes the views anew", messages);
	else
		log_err("%" PRId64 " messages that are there again are in no queue: fsck.mqfs -y helps (%s)", messages,
			err_text(rc));
}

static void
healed(struct scrub *sc, const struct check *c)
{
	int64_t bytes = 0, unlisted = 0;

	for (size_t k = 0; k < c->damage.n; k++) {
		bytes += c->damage.ranges[k].bytes;
		unlisted += sealed_unlisted(sc->s, &c->damage.ranges[k]);
	}
	log_notice("scrub: segment %020" PRId64 " is healed: %" PRId64 " bytes", c->base.byte, bytes);
	if (unlisted)
		views_are_stale(sc, unlisted);
	LOCKED(&sc->lock);
	sc->stats.healed_ranges += (int64_t)c->damage.n;
	sc->stats.healed_bytes += bytes;
	bad_forget(sc, c->base, pos_add(c->base, sc->s->log.segment_bytes));
}

/* --- one segment ------------------------------------------------------------------------ */

static void
set_state(struct scrub *sc, const struct check *c, enum segment_state state)
{
	struct segment *seg = &sc->segments[c->i];

	sc->n_sealed -= seg->state == SEGMENT_SEALED;
	*seg = (struct segment){
		.state = state, .checked_ms = c->began_ms, .tries = state == SEGMENT_BAD ? seg->tries + c->asked : 0,
	};
}

static void
keep_sum(struct scrub *sc, const struct check *c, struct sum *sum, int64_t checked_ms)
{
	int rc = MQ_OK;

	sum->checked_ms = checked_ms;
	LOCKED(&sc->s->sealed_lock);
	if (sc->s->generation == c->generation)
		rc = sums_write(sc->s->dir->fd, c->base, sum);
	if (rc != MQ_OK)
		log_warn("scrub: segment %020" PRId64 ": its sum is not kept: %s", c->base.byte, err_text(rc));
}

/* The segment has its sum; or it had none, and the sum it has now is kept. */
static void
found_fine(struct scrub *sc, struct check *c)
{
	keep_sum(sc, c, c->had_sum ? &c->was : &c->is, c->began_ms);
	set_state(sc, c, SEGMENT_FINE);
	LOCKED(&sc->lock);
	bad_forget(sc, c->base, pos_add(c->base, sc->s->log.segment_bytes));
}

/* Was the log cut since the check began?  A cut makes bytes zero, which is no damage. */
static bool
was_cut(struct scrub *sc, const struct check *c)
{
	LOCKED(&sc->s->sealed_lock);

	return sc->s->generation != c->generation;
}

static void
found_bad(struct scrub *sc, struct check *c, const struct pace *pace)
{
	int rc;

	if (was_cut(sc, c))
		return;
	bad_found(sc, c->i, &c->damage);
	rc = heal(sc, c, pace);
	if (rc == MQ_OK)
		rc = verify(sc, c, pace);
	if (rc == MQ_OK) {
		healed(sc, c);
		found_fine(sc, c);
	} else if (rc != MQ_ECLOSED) {
		bad_stays(sc, c->i, err_text(rc));
		if (c->had_sum)
			keep_sum(sc, c, &c->was, LONG_AGO_MS);
		set_state(sc, c, SEGMENT_BAD);
	}
}

static void
all_is_bad(struct scrub *sc, struct check *c, const char *why)
{
	c->damage.n = 1;
	c->damage.ranges[0] = (struct damage_range){
		.pos = c->base, .bytes = sc->s->log.segment_bytes, .why = why,
	};
}

/* Read the segment, and find what is bad in it.  A sum that was never compared with the records
 * (checked_ms 0) does not count. */
static int
examine(struct scrub *sc, struct check *c, const struct pace *pace)
{
	bool sealed = sc->segments[c->i].state == SEGMENT_SEALED;
	int rc = sealed_sum(sc->s, c->base, sealed, pace, &c->is);

	if (rc == -ENOENT && c->base.byte < store_begin(sc->s).byte)
		return -ESTALE;		/* retention has removed it meanwhile */
	if (rc == -ENOENT) {
		c->damage.missing = true;
		all_is_bad(sc, c, "the segment is missing");
		return MQ_OK;
	}
	if (rc != MQ_OK || sealed)
		return rc;
	c->had_sum &= c->was.checked_ms > 0;
	if (c->had_sum && strcmp(c->was.hex, c->is.hex) == 0)
		return MQ_OK;
	rc = sealed_damage(sc->s, c->base, c->had_sum ? &c->was : NULL, &c->is, false, pace, &c->damage);
	if (rc == MQ_OK && c->had_sum && c->damage.n == 0)
		all_is_bad(sc, c, "it is not what it was when it was sealed");
	return rc;
}

static void
begin_check(struct scrub *sc, size_t i, struct check *c)
{
	const struct segment *seg = &sc->segments[i];
	struct store *s = sc->s;

	*c = (struct check){ .i = i, .base = base_of(sc, i) };
	c->generation = s->generation;
	c->began_ms = clock_wall_ms();
	if (seg->state != SEGMENT_SEALED)
		c->had_sum = sums_read(s->dir->fd, c->base, &c->was) == MQ_OK &&
			     c->was.bytes == s->log.segment_bytes;
	sc->any_checked |= seg->state == SEGMENT_FINE || seg->state == SEGMENT_UNKNOWN ||
			   seg->checked_ms <= sc->asked_ms;
	LOCKED(&sc->lock);
	sc->stats.checking = c->base.byte;
	sc->stats.at = 0;
}

static void
check(struct scrub *sc, size_t i)
{
	const struct pace pace = { .spend = spend, .arg = sc };
	struct check *c = &sc->check;
	int rc;

	begin_check(sc, i, c);
	rc = examine(sc, c, &pace);
	if (rc == MQ_OK && c->damage.n > 0) {
		found_bad(sc, c, &pace);
	} else if (rc == MQ_OK) {
		found_fine(sc, c);
	} else if (rc != MQ_ECLOSED && rc != -ESTALE) {
		log_warn("scrub: segment %020" PRId64 " cannot be read: %s", c->base.byte, err_text(rc));
		set_state(sc, c, SEGMENT_UNKNOWN);
	}
	LOCKED(&sc->lock);
	sc->stats.checking = -1;
}

/* --- all of them ---------------------------------------------------------------------------- */

static void
segment_add(struct scrub *sc, bool at_start)
{
	struct segment new = { .state = at_start ? SEGMENT_UNKNOWN : SEGMENT_SEALED };
	struct sum sum;

	if (at_start && sums_read(sc->s->dir->fd, base_of(sc, sc->n), &sum) == MQ_OK &&
	    sum.bytes == sc->s->log.segment_bytes && sum.checked_ms > 0)
		new = (struct segment){ .state = SEGMENT_FINE, .checked_ms = sum.checked_ms };
	sc->n_sealed += new.state == SEGMENT_SEALED;
	sc->segments[sc->n++] = new;
}

/* Drop segments [from, n) from the list: they have other bytes now, or are gone. */
static void
segments_drop(struct scrub *sc, size_t from)
{
	for (size_t i = from; i < sc->n; i++)
		sc->n_sealed -= sc->segments[i].state == SEGMENT_SEALED;
	sc->n = from < sc->n ? from : sc->n;
}

static void
follow_cut(struct scrub *sc)
{
	int64_t bytes = sc->s->log.segment_bytes;

	LOCKED(&sc->lock);
	if (sc->cut && sc->cut_at.byte <= sc->first.byte)
		segments_drop(sc, 0);
	else if (sc->cut)
		segments_drop(sc, (size_t)((sc->cut_at.byte - sc->first.byte) / bytes));
	if (sc->cut)
		bad_forget(sc, sc->cut_at, MQ_POS(INT64_MAX));
	sc->cut = false;
}

static void
follow_begin(struct scrub *sc, mq_pos begin)
{
	int64_t gone = (begin.byte - sc->first.byte) / sc->s->log.segment_bytes;

	if (gone == 0)
		return;
	if (gone < 0 || gone >= (int64_t)sc->n) {
		segments_drop(sc, 0);
	} else {
		for (size_t i = 0; i < (size_t)gone; i++)
			sc->n_sealed -= sc->segments[i].state == SEGMENT_SEALED;
		sc->n -= (size_t)gone;
		memmove(sc->segments, sc->segments + gone, sc->n * sizeof(*sc->segments));
	}
	sc->first = begin;
	sums_forget(sc->s->dir->fd, begin, MQ_POS(INT64_MAX));
	LOCKED(&sc->lock);
	bad_forget(sc, MQ_POS(0), begin);
}

/* Bring the list to the segments that are sealed now. */
static void
follow(struct scrub *sc, bool at_start)
{
	mq_pos end = commitlog_segment_of(&sc->s->log, mark_at(&sc->s->log.flushed));

	follow_cut(sc);
	follow_begin(sc, store_begin(sc->s));
	while (base_of(sc, sc->n).byte < end.byte && ARRAY_ROOM(sc->segments, sc->max, sc->n + 1) == MQ_OK)
		segment_add(sc, at_start);
}

static bool
is_due(const struct scrub *sc, const struct segment *seg, int64_t now)
{
	const struct healer *healer = atomic_load(&sc->healer);
	int64_t wait = sc->s->settings->scrubInterval * HOUR_MS;

	if (seg->state == SEGMENT_SEALED || seg->checked_ms <= atomic_load(&sc->asked_ms) ||
	    seg->checked_ms > now)
		return true;
	if (seg->state == SEGMENT_UNKNOWN)
		wait = RETRY_MS;
	else if (seg->state == SEGMENT_BAD && healer && healer->ready(healer->arg))
		wait = seg->tries == 0 ? 0 : RETRY_MS << (seg->tries < RETRIES_MAX ? seg->tries : RETRIES_MAX);
	return seg->checked_ms + wait <= now;
}

/* Pick a segment that is due.  Segments that were just sealed come first, the newest of them
 * before the others: memory still has it. */
static bool
pick(struct scrub *sc, size_t *ret_i)
{
	int64_t now = clock_wall_ms();

	for (size_t i = sc->n; sc->n_sealed > 0 && i > 0; i--)
		if (sc->segments[i - 1].state == SEGMENT_SEALED) {
			*ret_i = i - 1;
			return true;
		}
	for (size_t k = 0; k < sc->n; k++) {
		size_t i = (sc->next + k) % sc->n;

		if (is_due(sc, &sc->segments[i], now)) {
			sc->next = i + 1;
			*ret_i = i;
			return true;
		}
	}
	return false;
}

static void
publish(struct scrub *sc)
{
	int64_t now = clock_wall_ms(), due = 0, oldest = now;

	for (size_t i = 0; i < sc->n; i++) {
		const struct segment *seg = &sc->segments[i];

		due += is_due(sc, seg, now);
		oldest = seg->state != SEGMENT_FINE ? 0 : seg->checked_ms < oldest ? seg->checked_ms : oldest;
	}
	LOCKED(&sc->lock);
	sc->stats.running = sc->s->settings->scrubRate > 0;
	sc->stats.sealed = (int64_t)sc->n;
	sc->stats.due = due;
	sc->stats.oldest_ms = sc->n ? oldest : 0;
	if (due == 0 && sc->any_checked) {
		sc->stats.passes++;
		sc->stats.pass_ms = now;
		sc->any_checked = false;
	}
}

/* Check segments until none is due, and publish the figures every LOOK_MS meanwhile. */
static void
work(struct scrub *sc)
{
	int64_t published = 0;
	size_t i;

	for (;;) {
		int64_t now = clock_mono_ms();

		follow(sc, false);
		if (now - published >= LOOK_MS)
			publish(sc);
		published = now - published >= LOOK_MS ? now : published;
		if (sc->s->settings->scrubRate == 0 || atomic_load(&sc->ending.closed) || !pick(sc, &i))
			break;
		check(sc, i);
	}
	publish(sc);
}

static void *
scrub_main(void *arg)
{
	struct scrub *sc = arg;
	struct store *s = sc->s;

	(void)setpriority(PRIO_PROCESS, 0, NICE);	/* of this thread */
	(void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
	sc->first = store_begin(s);
	follow(sc, true);
	do
		work(sc);
	while (mark_wait_past(&sc->ending, MQ_POS(0), LOOK_MS, NULL) == -ETIMEDOUT);
	return NULL;
}

/* --- from outside ------------------------------------------------------------------------------ */

static void
scrub_free(struct scrub *sc)
{
	mark_destroy(&sc->ending);
	lock_destroy(&sc->lock);
	free(sc->segments);
	free(sc);
}

int
scrub_start(struct store *s)
{
	struct scrub *sc = calloc(1, sizeof(*sc));
	int rc;

	if (!sc)
		return -ENOMEM;
	sc->s = s;
	sc->stats.checking = -1;
	lock_init(&sc->lock, RANK_SCRUB);
	mark_init(&sc->ending, MQ_POS(0));
	rc = thread_start(&sc->thread, "scrub", scrub_main, sc);
	if (rc != MQ_OK) {
		scrub_free(sc);
		return rc;
	}
	LOCKED(&s->sealed_lock);	/* scrub_log_was_cut() uses s->scrub */
	s->scrub = sc;
	return MQ_OK;
}

void
scrub_stop(struct store *s)
{
	struct scrub *sc = s->scrub;

	if (!sc)
		return;
	mark_close(&sc->ending);
	thread_join(&sc->thread);
	lock_take(&s->sealed_lock);
	s->scrub = NULL;
	lock_drop(&s->sealed_lock);
	scrub_free(sc);
}

void
scrub_set_healer(struct store *s, const struct healer *healer)
{
	atomic_store(&s->scrub->healer, healer);
}

int
scrub_now(struct store *s)
{
	if (!s->scrub)
		return -EROFS;
	if (s->settings->scrubRate == 0)
		return err_note(-EINVAL, "scrub: scrubRate is 0, nothing may be read");
	atomic_store(&s->scrub->asked_ms, clock_wall_ms());
	return MQ_OK;
}

void
scrub_log_was_cut(struct store *s, mq_pos end)
{
	struct scrub *sc = s->scrub;
	mq_pos base = commitlog_segment_of(&s->log, end);

	MUST_HOLD(&s->sealed_lock);
	s->generation++;
	sums_forget(s->dir->fd, MQ_POS(0), base);
	if (!sc)
		return;
	LOCKED(&sc->lock);
	if (!sc->cut || base.byte < sc->cut_at.byte)
		sc->cut_at = base;
	sc->cut = true;
}

void
scrub_stats(struct store *s, struct scrub_stats *ret)
{
	*ret = (struct scrub_stats){ .checking = -1 };
	if (!s->scrub)
		return;
	LOCKED(&s->scrub->lock);
	*ret = s->scrub->stats;
}

size_t
scrub_bad(struct store *s, struct scrub_bad *list, size_t max)
{
	size_t n;

	if (!s->scrub)
		return 0;
	LOCKED(&s->scrub->lock);
	n = s->scrub->n_bad < max ? s->scrub->n_bad : max;
	memcpy(list, s->scrub->bad, n * sizeof(*list));
	return n;
}
