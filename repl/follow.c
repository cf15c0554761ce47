#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/thread.h"
#include "conf/scope.h"
#include "net/values.h"
#include "repl/metadata.h"
#include "repl/peering.h"
#include "repl/read_log.h"
#include "repl/replication_priv.h"

#define CALL_MS 3000
#define INFO_MS 30000			/* what a RocketMQ broker says of itself: 5.x looks through all of its timer wheel */
#define PAUSE_FIRST_MS 250
#define PAUSE_LAST_MS 5000
#define STEADY_MS 5000			/* after an attempt of this length the pauses are short again */
#define LOOK_MS 1000			/* between two checks of settings and state */
#define LOOK_AGAIN_MS 5000		/* before a master that did not answer, or is a slave itself, is asked again */
#define PULL_MS 10000
#define INFO_ROOM ((size_t)4 << 20)	/* bytes of memory for what a RocketMQ broker says of itself */
#define AGAIN_BYTES 4096		/* of our log that a master has to show us once more, at least */

struct follow {
	struct replication *r;
	uint64_t turn;			/* of LINK_FOLLOW, */
	int64_t starts;			/* told to this mqrepld */
	int64_t look_ms;		/* when to look at the master again; 0: it is not connected yet */
	int64_t pull_ms;		/* when a RocketMQ master is to be asked for what its log does not say; */
	int pulled;			/* how that went last */
	struct thread thread;
};

/* --- asking the master ---------------------------------------------------------------------- */

/* A RocketMQ master has no epochs and tells where its log is. */
static int
take_runtime_info(const struct answer *a, int64_t segment_bytes, struct hello *ret)
{
	json_auto_t *object = NULL;
	const json_t *table;
	int64_t begin = 0, end = -1;
	struct hello h = { .segment_bytes = segment_bytes };
	int rc = values_take(a->body, a->body_len, INFO_ROOM, &object);

	if (rc != MQ_OK)
		return rc;
	table = json_object_get(object, "table");
	(void)ext_number(table, "commitLogMinOffset", 0, INT64_MAX, &begin);	/* an empty log has -1 */
	(void)ext_number(table, "commitLogMaxOffset", 0, INT64_MAX, &end);
	snprintf(h.program, sizeof(h.program), "RocketMQ %.32s", ext_text(table, "brokerVersionDesc"));
	if (end < 0 || begin > end)
		return err_note(MQ_ECORRUPT, "does not say where its log begins and ends");
	h.begin = MQ_POS(begin);
	h.end = MQ_POS(end);
	*ret = h;
	return MQ_OK;
}

/* A master that does not know the hello says nothing of who wrote its log: a log that mqfs
 * has written follows it only if that is asked for. */
static int
check_kind(const struct follow *f, const struct hello *ours)
{
	int kind = f->r->settings->masterKind;

	if (kind == MASTER_KIND_ROCKETMQ || (kind == MASTER_KIND_AUTO && ours->epochs.n == 0))
		return MQ_OK;
	return err_note(-EPERM, "it answers as a RocketMQ broker does, and %s: to follow it all the same, "
			"`echo rocketmq > config/masterKind`", kind == MASTER_KIND_MQFS ? "masterKind is mqfs"
			: "this log was written by mqfs");
}

static int
ask_rocketmq(struct follow *f, const struct hello *ours, struct hello *ret)
{
	struct answer a = { 0 };
	int rc = check_kind(f, ours);

	if (rc == MQ_OK)
		rc = replication_call(f->r, REQUEST_GET_BROKER_RUNTIME_INFO, NULL, NULL, 0, INFO_MS, &a);

	if (rc == MQ_OK && a.code != ANSWER_SUCCESS)
		rc = err_note(-EPROTO, "does not tell its state: %s", a.remark);
	if (rc == MQ_OK)
		rc = take_runtime_info(&a, store_segment_bytes(f->r->store), ret);
	answer_clear(&a);
	return rc;
}

/* The master's answer to our hello, whatever its code.  The note of a failure has the address, because
 * a wrong port is a common mistake. */
static int
say_hello(struct follow *f, const struct hello *ours, struct answer *ret)
{
	char why[256], at[sizeof(f->r->config.master_remoting)];
	size_t len = 0;
	AUTO_FREE char *text = hello_encode(ours, &len);
	int rc = text ? replication_call(f->r, REQUEST_HELLO, NULL, text, len, CALL_MS, ret) : -ENOMEM;

	if (rc == MQ_OK || rc == MQ_ECLOSED)
		return rc;
	snprintf(why, sizeof(why), "%s", err_text(rc));
	lock_take(&f->r->lock);
	memcpy(at, f->r->config.master_remoting, sizeof(at));
	lock_drop(&f->r->lock);
	return err_note(rc, "asked at %s: %s%s", at, why,
			rc == -ECONNRESET ? "; its log says why" : "");
}

/* Ask our master for its hello; *ret is for hello_free(). */
static int
ask(struct follow *f, const struct hello *ours, struct hello *ret)
{
	struct answer a = { 0 };
	bool rocketmq;
	int rc = say_hello(f, ours, &a);

	if (rc != MQ_OK)
		return rc;
	rocketmq = a.code == ANSWER_REQUEST_CODE_NOT_SUPPORTED;
	if (rocketmq)
		rc = ask_rocketmq(f, ours, ret);
	else if (a.code != ANSWER_SUCCESS)
		rc = err_note(-EPROTO, "refuses us: %s", a.remark);
	else
		rc = hello_decode(a.body, a.body_len, ret);
	if (rc == MQ_OK) {
		LOCKED(&f->r->lock);
		f->r->rocketmq = rocketmq;
		f->r->unlogged = rocketmq || ret->unlogged;
		peers_master_is(&f->r->peers, ret);
	}
	answer_clear(&a);
	return rc;
}

/* --- deciding ---------------------------------------------------------------------------------- */

/* Differences that no cut of the log removes.  A RocketMQ master does not say all that is compared. */
static int
check_identity(const struct follow *f, const struct hello *ours, const struct hello *theirs)
{
	if (theirs->segment_bytes != ours->segment_bytes)
		return err_note(-EINVAL, "its segments have %" PRId64 " bytes, ours %" PRId64
				" (mappedFileSizeCommitLog)", theirs->segment_bytes, ours->segment_bytes);
	if (f->r->rocketmq)
		return MQ_OK;
	if (hello_is(theirs, ours->instance))
		return err_note(-ELOOP, "it is this broker itself");
	if (hello_follows(theirs, ours->instance))
		return err_note(-ELOOP, "it follows this broker, so neither has a master");
	if (strcmp(theirs->cluster, ours->cluster) != 0)
		return err_note(-EINVAL, "it is of cluster %s, we of %s (brokerClusterName)", theirs->cluster,
				ours->cluster);
	return MQ_OK;
}

/* May this broker follow the master, and what has to be done first?  Not MQ_OK, noted: why it may not. */
static int
judge(const struct follow *f, const struct hello *ours, const struct hello *theirs, enum epochs_verdict *ret,
      mq_pos *ret_at)
{
	int rc = check_identity(f, ours, theirs);

	return rc == MQ_OK ? peering_judge(ours, theirs, ret, ret_at) : rc;
}

/* --- following ----------------------------------------------------------------------------------- */

static bool
goes_on(const struct replication *r)
{
	MUST_HOLD(&r->lock);
	return !r->closing && r->held == 0 && r->ready && r->config.slave && r->settings->brokerRole == SLAVE;
}

/* Is the connection of this turn over? */
static bool
has_ended(const struct follow *f)
{
	MUST_HOLD(&f->r->lock);
	const struct replication_peer *master = peers_master(&f->r->peers);

	return f->r->starts != f->starts ||
	       (master && master->turn == f->turn && master->state == LINK_PEER_GONE);
}

static bool
transfers(struct follow *f)
{
	LOCKED(&f->r->lock);
	const struct replication_peer *master = peers_master(&f->r->peers);

	return master && master->turn == f->turn && master->state == LINK_PEER_TRANSFER;
}

/* Wait for a change, or LOOK_MS.  False: the master is not followed any more. */
static bool
wait_while_following(struct follow *f)
{
	struct replication *r = f->r;

	LOCKED(&r->lock);
	if (goes_on(r) && !has_ended(f))
		lock_wait(&r->lock, &r->changed, LOOK_MS);
	return goes_on(r) && !has_ended(f);
}

/* Set the brokers that this one follows, for its own slaves; NULL: none. */
static void
follow_by(struct follow *f, const struct hello *theirs)
{
	struct hello_via via = { .n = 0 };

	if (theirs && !f->r->rocketmq)
		hello_via(theirs, &via);
	LOCKED(&f->r->lock);
	f->r->via = via;
}

static void
note_failure(struct follow *f, int rc)
{
	char text[256];

	snprintf(text, sizeof(text), "master %s: %s", f->r->settings->master, err_text(rc));
	replication_trouble(f->r, TROUBLE_MASTER, text);
}

/* The master is followed.  If it is a slave with a trouble of its own, that is this slave's trouble, too. */
static void
note_success(struct follow *f, const struct hello *theirs)
{
	char text[256] = "";

	if (hello_is_slave(theirs) && *theirs->trouble)
		snprintf(text, sizeof(text), "master %s, a slave itself: %.180s", f->r->settings->master,
			 theirs->trouble);
	replication_trouble(f->r, TROUBLE_MASTER, text);
}

/* Ask the master again: another broker may have taken its address before it was connected, and the
 * master of a slave may change at any time.  False: it must not be followed any more. */
static bool
look_again(struct follow *f)
{
	enum epochs_verdict verdict = EPOCHS_FOLLOW;
	struct hello ours, theirs;
	mq_pos at;
	int rc = peering_hello(f->r, &ours);

	f->look_ms = clock_mono_ms() + LOOK_AGAIN_MS;
	if (rc != MQ_OK)
		return true;
	rc = ask(f, &ours, &theirs);
	if (rc != MQ_OK) {			/* it may be another master now */
		note_failure(f, rc);
		hello_free(&ours);
		return rc != -EPERM;
	}
	ours.end = ours.end.byte > theirs.end.byte ? theirs.end : ours.end;	/* it has grown since */
	rc = judge(f, &ours, &theirs, &verdict, &at);
	if (rc == MQ_OK && (verdict == EPOCHS_FOLLOW || verdict == EPOCHS_EMPTY)) {
		follow_by(f, &theirs);
		note_success(f, &theirs);
		if (!hello_is_slave(&theirs))
			f->look_ms = INT64_MAX;
	} else if (rc == MQ_OK) {
		rc = -ESTALE;
	} else {
		note_failure(f, rc);
	}
	hello_free(&theirs);
	hello_free(&ours);
	return rc == MQ_OK;
}

/* Pull topics, groups and offsets of a master in whose log they are not. */
static void
pull_if_due(struct follow *f)
{
	int rc;

	if (!f->r->unlogged || clock_mono_ms() < f->pull_ms)
		return;
	rc = metadata_pull(f->r);
	if (rc != MQ_OK && f->pulled == MQ_OK)
		log_warn("replication: topics, groups and offsets stay as they are: %s", err_text(rc));
	if (rc == MQ_OK && f->pulled != MQ_OK)
		log_notice("replication: topics, groups and offsets come from the master again");
	f->pulled = rc;
	f->pull_ms = clock_mono_ms() + PULL_MS;
}

/* Are these bytes zeros, as after the last record of a segment?  False, too, if they cannot be read. */
static bool
are_zeros(struct store *s, mq_pos from, mq_pos to)
{
	unsigned char buf[AGAIN_BYTES];

	while (from.byte < to.byte) {
		size_t n = sizeof(buf);

		if (to.byte - from.byte < (int64_t)n)
			n = (size_t)(to.byte - from.byte);
		if (store_read_raw(s, from, buf, n, &n) != MQ_OK || n == 0)
			return false;
		for (size_t i = 0; i < n; i++)
			if (buf[i])
				return false;
		from = pos_add(from, (int64_t)n);
	}
	return true;
}

/* Our last bytes, which the master is to send once more: of one segment, and some of them
 * of a record. */
static void
ask_again(const struct follow *f, const struct hello *theirs, mq_pos pos, struct link_message *msg)
{
	struct store *s = f->r->store;
	int64_t segment = store_segment_bytes(s), begin = theirs->begin.byte, n = AGAIN_BYTES;
	int64_t base = (pos.byte - 1) / segment * segment;

	begin = begin > store_begin(s).byte ? begin : store_begin(s).byte;
	begin = begin > base ? begin : base;
	while (n < pos.byte - begin && are_zeros(s, pos_add(pos, -n), pos_add(pos, -n / 2)))
		n *= 2;
	n = n < pos.byte - begin ? n : pos.byte - begin;
	if (n > 0 && n <= LINK_RING_BYTES && store_crc_raw(s, pos_add(pos, -n), pos, &msg->crc) == MQ_OK)
		msg->len = (uint32_t)n;
}

/* Why the connection of this turn ended, if that is a reason against its master. */
static int
end_of_turn(struct follow *f)
{
	LOCKED(&f->r->lock);
	const struct replication_peer *master = peers_master(&f->r->peers);
	const char *why = master ? strchr(master->address, ' ') : NULL;

	if (!master || master->turn != f->turn || !master->differs)
		return MQ_OK;
	return err_note(-EPROTO, "it%s: its log is another one; to follow it, begin with an empty store",
			why ? why : " has other bytes than this log");
}

/* Let mqrepld follow from pos, until that ends. */
static int
follow_from(struct follow *f, const struct hello *theirs, mq_pos pos)
{
	struct link_message msg = { .kind = LINK_FOLLOW, .pos = pos.byte, .id = ++f->turn };
	int rc;

	f->pull_ms = f->look_ms = 0;
	follow_by(f, theirs);
	ask_again(f, theirs, pos, &msg);
	rc = replication_tell(f->r, &msg, &f->starts);
	while (rc == MQ_OK && wait_while_following(f)) {
		replication_refresh(f->r);
		if (!transfers(f))
			continue;
		if (f->look_ms == 0)
			replication_trouble(f->r, TROUBLE_MASTER, "");
		pull_if_due(f);
		if (clock_mono_ms() < f->look_ms || look_again(f))
			continue;
		msg = (struct link_message){ .kind = LINK_REST };
		rc = replication_tell(f->r, &msg, NULL);
	}
	follow_by(f, NULL);
	return rc == MQ_OK ? end_of_turn(f) : rc;
}

/* --- acting on a verdict ---------------------------------------------------------------------------- */

/* mqrepld does not run meanwhile, so that nothing is appended, and because it expects marks to grow. */
static int
change_log(struct follow *f, mq_pos at, const struct epochs *anew, const char *why)
{
	struct replication *r = f->r;
	int rc;

	replication_hold(r);
	rc = anew ? r->broker.reset(r->broker.arg, at, anew, why) : r->broker.cut(r->broker.arg, at, why);
	if (rc == MQ_OK) {
		LOCKED(&r->lock);
		peers_cut(&r->peers, at);
	}
	replication_release(r);
	return rc;
}

static int
cut(struct follow *f, const struct hello *theirs, mq_pos at)
{
	char why[512];

	snprintf(why, sizeof(why), "from %" PRId64 " on this log was another one than that of the master %s (%s/%s)",
		 at.byte, f->r->settings->master, theirs->cluster, theirs->broker_name);
	log_warn("replication: %s: cut there", why);
	return change_log(f, at, NULL, why);
}

/* The master has to have more to show than its word before our log goes to lost+found: it
 * knows our last epoch (peering_judge()), and has the record that it says it begins with. */
static int
begin_anew(struct follow *f, const struct hello *ours, const struct hello *theirs, mq_pos at)
{
	char why[512];
	int rc = ours->begin.byte < ours->end.byte ? read_log_check(f->r, at, &theirs->epochs) : MQ_OK;

	if (rc != MQ_OK)
		return rc;
	snprintf(why, sizeof(why), "the log of the master %s begins at %" PRId64 " now, this one ended at %" PRId64,
		 f->r->settings->master, at.byte, ours->end.byte);
	log_warn("replication: %s: begun anew", why);
	return change_log(f, at, &theirs->epochs, why);
}

static int
act(struct follow *f, const struct hello *ours, const struct hello *theirs)
{
	enum epochs_verdict verdict;
	mq_pos at = ours->end;
	int rc = judge(f, ours, theirs, &verdict, &at);

	if (rc != MQ_OK)
		return rc;
	log_debug("replication: %s, at %" PRId64, epochs_verdict_name(verdict), at.byte);
	switch (verdict) {
	case EPOCHS_EMPTY:
		/* what lies before its begin is known from its epochs alone */
		return at.byte == ours->begin.byte ? follow_from(f, theirs, at)
						   : begin_anew(f, ours, theirs, at);
	case EPOCHS_DIVERGED:
		return cut(f, theirs, at);
	case EPOCHS_TOO_OLD:
		return begin_anew(f, ours, theirs, at);
	default:
		return follow_from(f, theirs, at);
	}
}

/* --- the thread ---------------------------------------------------------------------------------------- */

static int
attempt(struct follow *f)
{
	struct hello ours, theirs;
	int rc = peering_hello(f->r, &ours);

	if (rc != MQ_OK)
		return rc;
	rc = ask(f, &ours, &theirs);
	if (rc == MQ_OK) {
		rc = act(f, &ours, &theirs);
		hello_free(&theirs);
	}
	hello_free(&ours);
	return rc;
}

/* False: the mount closes. */
static bool
wait_until_due(struct follow *f, int64_t ms)
{
	struct replication *r = f->r;
	int64_t due = clock_mono_ms() + ms, left;

	LOCKED(&r->lock);
	while (!r->closing && (!goes_on(r) || due > clock_mono_ms())) {
		left = due - clock_mono_ms();
		lock_wait(&r->lock, &r->changed, left > 0 && left < LOOK_MS ? (int)left : LOOK_MS);
		lock_drop(&r->lock);
		replication_refresh(r);
		lock_take(&r->lock);
	}
	return !r->closing;
}

static void *
follow_main(void *arg)
{
	struct follow *f = arg;
	int64_t pause = 0, began;

	while (wait_until_due(f, pause)) {
		int rc;

		began = clock_mono_ms();
		rc = attempt(f);
		if (rc != MQ_OK)
			note_failure(f, rc);
		if (clock_mono_ms() - began >= STEADY_MS || pause == 0)
			pause = PAUSE_FIRST_MS;
		else
			pause = 2 * pause < PAUSE_LAST_MS ? 2 * pause : PAUSE_LAST_MS;
	}
	return NULL;
}

int
follow_open(struct replication *r, struct follow **ret)
{
	struct follow *f = calloc(1, sizeof(*f));
	int rc;

	if (!f)
		return -ENOMEM;
	f->r = r;
	rc = thread_start(&f->thread, "follow", follow_main, f);
	if (rc == MQ_OK)
		*ret = f;
	else
		free(f);
	return rc;
}

void
follow_close(struct follow *f)
{
	if (!f)
		return;
	thread_join(&f->thread);
	free(f);
}
