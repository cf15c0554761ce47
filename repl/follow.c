#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "repl/metadata.h"
#include "repl/replication_priv.h"

#define CALL_MS 3000
#define VIEWS_MS 200			/* without progress they are up to date */
#define PAUSE_FIRST_MS 250
#define PAUSE_LAST_MS 5000
#define STEADY_MS 5000			/* it held that long: the next try is soon again */
#define LOOK_MS 1000			/* at what may have changed */
#define PULL_MS 10000

struct follow {
	struct replication *r;
	uint64_t turn;			/* of LINK_FOLLOW, */
	int64_t starts;			/* told to this mqrepld */
	int64_t pull_ms;		/* when a RocketMQ master is to be asked for what its log does not say; */
	int pulled;			/* how that went last */
	pthread_t thread;
};

/* --- what we are ------------------------------------------------------------------------- */

static const char *
role_name(const struct settings *s)
{
	static const char *const names[] = {
		[ASYNC_MASTER] = "ASYNC_MASTER", [SYNC_MASTER] = "SYNC_MASTER", [SLAVE] = "SLAVE",
	};

	return names[s->brokerRole];
}

/* The views catch up with a slave's log; what came of a record in part has to wait. */
static void
wait_for_views(struct replication *r, mq_pos end)
{
	struct mark *dispatched = store_dispatched(r->store);
	mq_pos at = mark_at(dispatched);

	while (at.byte < end.byte && mark_wait_past(dispatched, at, VIEWS_MS, &at) == MQ_OK)
		;
	(void)offsets_follow(r->broker.offsets);
}

/* What we have at this moment, and its history.  For hello_free(). */
static int
our_hello(struct replication *r, struct hello *ret)
{
	const struct settings *s = r->settings;
	struct hello h = { .program = "mqfs " PACKAGE_VERSION, .broker_id = s->brokerId };

	snprintf(h.cluster, sizeof(h.cluster), "%s", s->brokerClusterName);
	snprintf(h.broker_name, sizeof(h.broker_name), "%s", s->brokerName);
	snprintf(h.role, sizeof(h.role), "%s", role_name(s));
	replication_troubles(r, h.trouble, sizeof(h.trouble));
	memcpy(h.store_id, offsets_identity(r->broker.offsets), sizeof(h.store_id));
	h.segment_bytes = store_segment_bytes(r->store);
	h.end = mark_at(store_written(r->store));
	h.begin = store_begin(r->store);
	if (h.begin.byte > h.end.byte)
		h.begin = h.end;
	h.epochs.list = calloc(EPOCHS_MAX, sizeof(*h.epochs.list));
	if (!h.epochs.list)
		return -ENOMEM;
	wait_for_views(r, h.end);
	h.epochs.n = offsets_epochs(r->broker.offsets, h.epochs.list, EPOCHS_MAX);
	epochs_cut(&h.epochs, h.end);
	*ret = h;
	return MQ_OK;
}

/* --- asking the master ---------------------------------------------------------------------- */

static int64_t
number_of(const json_t *table, const char *key)
{
	const char *text = json_string_value(json_object_get(table, key));

	return text ? strtoll(text, NULL, 10) : -1;
}

/* A RocketMQ master has no epochs and tells where its log is. */
static int
take_runtime_info(const struct answer *a, int64_t segment_bytes, struct hello *ret)
{
	json_t *object = json_loadb(a->body ? a->body : "", a->body_len, 0, NULL);
	const json_t *table = json_object_get(object, "table");
	const char *version = json_string_value(json_object_get(table, "brokerVersionDesc"));
	int64_t begin = number_of(table, "commitLogMinOffset"), end = number_of(table, "commitLogMaxOffset");
	struct hello h = { .segment_bytes = segment_bytes };

	snprintf(h.program, sizeof(h.program), "RocketMQ %.32s", version ? version : "");
	json_decref(object);
	if (end < 0 || begin > end)
		return err_note(MQ_ECORRUPT, "does not say where its log begins and ends");
	h.begin = MQ_POS(begin > 0 ? begin : 0);
	h.end = MQ_POS(end);
	*ret = h;
	return MQ_OK;
}

static int
ask_rocketmq(struct follow *f, struct hello *ret)
{
	struct answer a = { 0 };
	int rc = replication_call(f->r, REQUEST_GET_BROKER_RUNTIME_INFO, NULL, NULL, 0, CALL_MS, &a);

	if (rc == MQ_OK && a.code != ANSWER_SUCCESS)
		rc = err_note(-EPROTO, "does not tell its state: %s", a.remark);
	if (rc == MQ_OK)
		rc = take_runtime_info(&a, store_segment_bytes(f->r->store), ret);
	answer_clear(&a);
	return rc;
}

/* What our master is; for hello_free(). */
static int
ask(struct follow *f, const struct hello *ours, struct hello *ret)
{
	size_t len = 0;
	AUTO_FREE char *text = hello_encode(ours, &len);
	struct answer a = { 0 };
	int rc;

	if (!text)
		return -ENOMEM;
	rc = replication_call(f->r, REQUEST_HELLO, NULL, text, len, CALL_MS, &a);
	if (rc != MQ_OK)
		return rc;
	lock_take(&f->r->lock);
	f->r->rocketmq = a.code == ANSWER_REQUEST_CODE_NOT_SUPPORTED;
	lock_drop(&f->r->lock);
	if (f->r->rocketmq)
		rc = ask_rocketmq(f, ret);
	else if (a.code != ANSWER_SUCCESS)
		rc = err_note(-EPROTO, "refuses us: %s", a.remark);
	else
		rc = hello_decode(a.body ? a.body : "", a.body_len, ret);
	answer_clear(&a);
	return rc;
}

/* --- deciding ---------------------------------------------------------------------------------- */

static enum epochs_verdict
compare(const struct hello *slave, const struct hello *master, mq_pos *ret_at)
{
	return epochs_compare(&slave->epochs, slave->begin, slave->end, &master->epochs, master->begin, master->end,
			      slave->store_id, ret_at);
}

/* What no cut could mend. */
static int
check_kin(const struct follow *f, const struct hello *ours, const struct hello *theirs)
{
	if (theirs->segment_bytes != ours->segment_bytes)
		return err_note(-EINVAL, "its segments have %" PRId64 " bytes, ours %" PRId64
				" (mappedFileSizeCommitLog)", theirs->segment_bytes, ours->segment_bytes);
	if (!f->r->rocketmq && strcmp(theirs->cluster, ours->cluster) != 0)
		return err_note(-EINVAL, "it is of cluster %s, we of %s (brokerClusterName)", theirs->cluster,
				ours->cluster);
	return MQ_OK;
}

static int
refuse(const struct hello *theirs, enum epochs_verdict verdict)
{
	if (verdict == EPOCHS_STALE_MASTER)
		return err_note(-EPROTO, "it is no longer the master: this log knows a later one");
	return err_note(-EPROTO, "its log is another one%s: to follow it, begin with an empty store",
			theirs->epochs.n ? "" : " (or ours is ahead of it)");
}

/* --- following ----------------------------------------------------------------------------------- */

/* Called with the lock. */
static bool
goes_on(const struct replication *r)
{
	return !r->closing && r->held == 0 && r->ready && r->config.slave && r->settings->brokerRole == SLAVE;
}

/* Called with the lock.  Is the connection of this turn over? */
static bool
has_ended(const struct follow *f)
{
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

/* Something has changed, or LOOK_MS are over.  False: it is over with following. */
static bool
wait_while_following(struct follow *f)
{
	struct replication *r = f->r;

	LOCKED(&r->lock);
	if (goes_on(r) && !has_ended(f))
		lock_wait(&r->lock, &r->changed, LOOK_MS);
	return goes_on(r) && !has_ended(f);
}

/* It could have become another one before it was connected. */
static bool
is_still_ours(struct follow *f)
{
	enum epochs_verdict verdict;
	struct hello ours, theirs;
	bool good = true;
	mq_pos at;

	if (our_hello(f->r, &ours) != MQ_OK)
		return true;
	if (ask(f, &ours, &theirs) == MQ_OK) {
		ours.end = ours.end.byte > theirs.end.byte ? theirs.end : ours.end;	/* it has grown since */
		verdict = compare(&ours, &theirs, &at);
		good = verdict == EPOCHS_FOLLOW || verdict == EPOCHS_EMPTY;
		hello_free(&theirs);
	}
	hello_free(&ours);
	return good;
}

/* A RocketMQ master's log does not say what topics and groups there are. */
static void
pull_if_due(struct follow *f)
{
	int rc;

	if (!f->r->rocketmq || clock_mono_ms() < f->pull_ms)
		return;
	rc = metadata_pull(f->r);
	if (rc != MQ_OK && f->pulled == MQ_OK)
		log_warn("replication: topics, groups and offsets stay as they are: %s", err_text(rc));
	if (rc == MQ_OK && f->pulled != MQ_OK)
		log_notice("replication: topics, groups and offsets come from the master again");
	f->pulled = rc;
	f->pull_ms = clock_mono_ms() + PULL_MS;
}

/* Let mqrepld follow from pos, until that ends.  Why it did is known from LINK_PEER. */
static int
follow_from(struct follow *f, mq_pos pos)
{
	struct link_message msg = { .kind = LINK_FOLLOW, .pos = pos.byte, .id = ++f->turn };
	bool looked = false;
	int rc;

	f->pull_ms = 0;
	rc = replication_tell(f->r, &msg, &f->starts);
	while (rc == MQ_OK && wait_while_following(f)) {
		replication_refresh(f->r);
		if (!transfers(f))
			continue;
		pull_if_due(f);
		if (looked)
			continue;
		looked = true;
		if (is_still_ours(f)) {
			replication_trouble(f->r, TROUBLE_MASTER, "");
			continue;
		}
		msg = (struct link_message){ .kind = LINK_REST };
		rc = replication_tell(f->r, &msg, NULL);
	}
	return rc;
}

/* --- what a verdict asks for ------------------------------------------------------------------------ */

/* Without mqrepld: nothing is appended meanwhile, and its marks only grow. */
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

static int
begin_anew(struct follow *f, const struct hello *ours, const struct hello *theirs, mq_pos at)
{
	char why[512];

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
	int rc = check_kin(f, ours, theirs);

	if (rc != MQ_OK)
		return rc;
	verdict = compare(ours, theirs, &at);
	log_debug("replication: %s, at %" PRId64, epochs_verdict_name(verdict), at.byte);
	switch (verdict) {
	case EPOCHS_EMPTY:
		/* what lies before its begin is known from its epochs alone */
		return at.byte == ours->begin.byte ? follow_from(f, at) : begin_anew(f, ours, theirs, at);
	case EPOCHS_FOLLOW:
		return follow_from(f, at);
	case EPOCHS_DIVERGED:
		return cut(f, theirs, at);
	case EPOCHS_TOO_OLD:
		return begin_anew(f, ours, theirs, at);
	default:
		return refuse(theirs, verdict);
	}
}

/* --- the thread ---------------------------------------------------------------------------------------- */

static int
attempt(struct follow *f)
{
	struct hello ours, theirs;
	int rc = our_hello(f->r, &ours);

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

static void
note_failure(struct follow *f, int rc)
{
	char text[256];

	snprintf(text, sizeof(text), "master %s: %s", f->r->settings->master, err_text(rc));
	replication_trouble(f->r, TROUBLE_MASTER, text);
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
	rc = -pthread_create(&f->thread, NULL, follow_main, f);
	if (rc != MQ_OK) {
		free(f);
		return err_note(rc, "thread: %m");
	}
	*ret = f;
	return MQ_OK;
}

void
follow_close(struct follow *f)
{
	if (!f)
		return;
	pthread_join(f->thread, NULL);
	free(f);
}

/* --- the other side -------------------------------------------------------------------------------------- */

static int
put_hello(const struct hello *h, struct answer *ret)
{
	ret->body = hello_encode(h, &ret->body_len);
	return ret->body ? MQ_OK : -ENOMEM;
}

int
follow_serve_hello(struct replication *r, const struct request *req, struct answer *ret)
{
	enum epochs_verdict verdict;
	struct hello ours, theirs;
	mq_pos at;
	int rc;

	rc = hello_decode(req->body, req->body_len, &theirs);
	if (rc != MQ_OK)
		return rc;
	rc = our_hello(r, &ours);
	if (rc == MQ_OK) {
		verdict = compare(&theirs, &ours, &at);
		if (verdict == EPOCHS_STALE_MASTER)
			log_warn("replication: %s knows of a later master than this one", req->peer);
		lock_take(&r->lock);
		peers_hello(&r->peers, req->peer, &theirs,
			    verdict == EPOCHS_FOLLOW || verdict == EPOCHS_EMPTY);
		lock_drop(&r->lock);
		rc = put_hello(&ours, ret);
		hello_free(&ours);
	}
	hello_free(&theirs);
	return rc;
}
