#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "net/request.h"
#include "remoting/pull.h"
#include "remoting/refusal.h"
#include "store/backlog.h"
#include "store/filter.h"

#define SCAN_BYTES 16000		/* of entries that one pull looks at */
#define ENTRIES 128			/* read in one go */
#define AHEAD_MESSAGES 256		/* are looked ahead, about: others wait for the thread that does it */

/* --- who may -------------------------------------------------------------------------------------- */

/* Does this broker not change groups and offsets: is it a slave, or read-only? */
static bool
may_not_commit(const struct remoting_broker *b)
{
	return b->settings->brokerRole == SLAVE || b->read_only;
}

static bool
may_read(const struct remoting_broker *b, struct refusal *why)
{
	return b->settings->brokerPermission & PERM_READ ||
	       refuse(why, ANSWER_NO_PERMISSION, "the broker[%.60s] pulling message is forbidden", b->settings->brokerIP1);
}

static bool
find_group(const struct remoting_broker *b, const char *name, struct group_conf *ret, struct refusal *why)
{
	struct group *g = group_find(b->offsets, name);
	int rc = MQ_OK;

	if (!g)
		group_conf_default(ret, name);
	if (!g && !b->settings->autoCreateSubscriptionGroup && !meta_group_is_system(name))
		return refuse(why, ANSWER_SUBSCRIPTION_GROUP_NOT_EXIST, "subscription group [%.60s] does not exist", name);
	if (!g && !may_not_commit(b) && !meta_group_is_system(name))
		rc = rights_make_group(b->rights, b->offsets, name, &g);
	if (rc != MQ_OK)
		return refuse_rc(why, rc);
	if (g)
		group_conf(b->offsets, g, ret);
	if (!ret->consume_enable)
		return refuse(why, ANSWER_NO_PERMISSION, "subscription group no permission, %.60s", name);
	return true;
}

/* May the client pull as the group; or, where nothing can be committed and for tools, read the queue? */
static bool
may_consume(const struct remoting_broker *b, const struct pull *p, struct topic *t)
{
	struct group *g = group_find(b->offsets, p->group);

	if (!g || may_not_commit(b))
		return rights_queue(b->rights, b->offsets, t, p->queue_id, RIGHTS_READ);
	return rights_consume(b->rights, b->offsets, g, t, p->queue_id);
}

static bool
find_queue(const struct remoting_broker *b, const struct pull *p, struct queue **ret, struct refusal *why)
{
	struct topic *t = topic_find(b->offsets, p->topic);
	struct topic_conf conf;
	int rc;

	if (!t)
		return refuse(why, ANSWER_TOPIC_NOT_EXIST, "topic[%.60s] not exist, apply first please!", p->topic);
	topic_conf(b->offsets, t, &conf);
	if (!(conf.perm & PERM_READ))
		return refuse(why, ANSWER_NO_PERMISSION, "the topic[%.60s] pulling message is forbidden", p->topic);
	if (p->queue_id < 0 || p->queue_id >= topic_conf_readable(&conf))
		return refuse(why, ANSWER_SYSTEM_ERROR, "queueId[%d] is illegal, topic:[%.60s] has %d queues",
			      (int)p->queue_id, p->topic, (int)topic_conf_readable(&conf));
	if (!may_consume(b, p, t))
		return refuse_rc(why, -EACCES);
	rc = topic_queue(b->offsets, t, p->queue_id, ret);
	return rc == MQ_OK || refuse_rc(why, rc);
}

static bool
may_broadcast(const struct pull *p, const struct group_conf *g, struct refusal *why)
{
	return !p->broadcast || g->broadcast_enable ||
	       refuse(why, ANSWER_NO_PERMISSION, "the consumer group[%.60s] can not consume by broadcast way", p->group);
}

/* A queue of a group is consumed by files or by clients at one time: whoever comes second is refused. */
static bool
claim(const struct remoting_broker *b, const struct pull *p, struct refusal *why)
{
	struct group *g = group_find(b->offsets, p->group);
	struct topic *t = topic_find(b->offsets, p->topic);
	struct subscription *sub = g && t ? subscription_find(b->offsets, g, t) : NULL;

	if (!sub || !p->member || consumer_claim(b->offsets, sub, p->queue_id, CONSUMER_CLIENTS) == MQ_OK)
		return true;
	return refuse(why, ANSWER_SYSTEM_BUSY, "%.110s", err_text(-EBUSY));
}

/* --- what it wants ---------------------------------------------------------------------------------- */

/* What is wanted, and memory for records that SQL looks at. */
struct wanted {
	struct filter *filter;		/* NULL: all */
	bool sql;
	unsigned char *buf;
	size_t buf_size;
};

static void
wanted_free(struct wanted *w)
{
	filter_free(w->filter);
	free(w->buf);
}

static bool
wanted_parse(const struct remoting_broker *b, const struct pull *p, struct wanted *ret, struct refusal *why)
{
	const struct filter_spec spec = { .tags = p->sql ? NULL : p->filter, .where = p->sql ? p->filter : NULL };
	int rc;

	*ret = (struct wanted){ .sql = p->sql };
	if (p->sql && !b->settings->enablePropertyFilter)
		return refuse(why, ANSWER_SYSTEM_ERROR, "The broker does not support consumer to filter message by SQL92");
	rc = filter_make(&spec, &ret->filter);
	return rc == MQ_OK || refuse(why, ANSWER_SUBSCRIPTION_PARSE_FAILED, "parse the consumer's subscription failed");
}

/* Tags are judged by their codes alone, as RocketMQ does it: the client looks again. */
static bool
is_wanted(const struct remoting_broker *b, struct wanted *w, const struct queue_entry *e)
{
	struct record rec;

	if (!w->filter)
		return true;
	if (!w->sql)
		return filter_may_want(w->filter, e->tags_code);
	if (store_read(b->store, e->pos, &w->buf, &w->buf_size, &rec) != MQ_OK)
		return true;		/* the client finds out that it cannot be read */
	return filter_wants(w->filter, rec.props, (size_t)rec.props_len);
}

/* --- looking at entries ------------------------------------------------------------------------------ */

/* The result of a pull so far. */
struct found {
	const struct remoting_broker *b;
	const struct pull *p;
	struct wanted *wanted;
	struct ring_piece *pieces;
	uint32_t n, room;		/* pieces, and how many there may be */
	int64_t messages, bytes;
	int64_t next;			/* queue offset behind the last entry that was looked at */
	mq_pos begin, end;		/* of the log, when it began */
	mq_pos last;			/* of that entry */
	int64_t memory, segment_bytes;
	bool removing;			/* the record of an entry was removed */
	bool full;			/* it has as much as an answer may have, and there is more */
};

/* Is the answer full without the message of e?  In RocketMQ's order: the number of messages is checked
 * before their bytes, and the first message always fits. */
static bool
is_full(const struct found *f, const struct queue_entry *e)
{
	const struct settings *s = f->b->settings;
	bool disk = backlog_is_on_disk(e->pos, f->end, f->memory);
	int64_t bytes = disk ? s->maxTransferBytesOnMessageInDisk : s->maxTransferBytesOnMessageInMemory;
	int64_t count = disk ? s->maxTransferCountOnMessageInDisk : s->maxTransferCountOnMessageInMemory;

	if (f->messages == 0)
		return false;
	return f->messages >= f->p->max_messages || f->bytes + e->total > bytes || f->messages >= count;
}

/* The record is behind the last piece, in the same segment. */
static bool
goes_on(const struct found *f, const struct queue_entry *e)
{
	const struct ring_piece *last;

	if (f->n == 0)
		return false;
	last = &f->pieces[f->n - 1];
	return last->pos + last->bytes == e->pos.byte &&
	       last->pos / f->segment_bytes == e->pos.byte / f->segment_bytes;
}

static bool
add(struct found *f, const struct queue_entry *e)
{
	if (!goes_on(f, e)) {
		if (f->n == f->room)
			return false;
		f->pieces[f->n++] = (struct ring_piece){ .pos = e->pos.byte };
	}
	f->pieces[f->n - 1].bytes += (uint32_t)e->total;
	f->pieces[f->n - 1].messages++;
	f->messages++;
	f->bytes += e->total;
	return true;
}

/* False: the pull ends before this entry. */
static bool
look_at(struct found *f, const struct queue_entry *e)
{
	if (e->total == QUEUE_HOLE_SIZE)
		return true;
	f->last = e->pos;
	if (e->pos.byte < f->begin.byte) {
		f->removing = true;
		return true;
	}
	f->full = is_full(f, e);
	if (f->full)
		return false;
	return !is_wanted(f->b, f->wanted, e) || add(f, e);
}

/* How many entries to read in one go: without a filter, the one that is too many is the last that is looked at. */
static size_t
at_once(const struct found *f, int64_t left)
{
	int64_t most = f->wanted->filter ? ENTRIES : f->p->max_messages - f->messages + 1;

	if (most > left)
		most = left;
	return most < 1 ? 1 : most < ENTRIES ? (size_t)most : ENTRIES;
}

static int
scan(struct found *f, struct queue *q)
{
	int64_t most = (int64_t)f->p->max_messages * QUEUE_ENTRY_BYTES;
	int64_t left = (most > SCAN_BYTES ? most : SCAN_BYTES) / QUEUE_ENTRY_BYTES;

	while (left > 0) {
		struct queue_entry entries[ENTRIES];
		size_t n = 0;
		int rc = queue_records(q, MQ_QOFF(f->next), f->p->now, entries, at_once(f, left), &n);

		if (rc == MQ_EEND)
			return MQ_OK;
		if (rc != MQ_OK)
			return rc;
		for (size_t i = 0; i < n; i++) {
			if (!look_at(f, &entries[i]))
				return MQ_OK;
			f->next++;
		}
		left -= (int64_t)n;
	}
	return MQ_OK;
}

/* --- the answer ---------------------------------------------------------------------------------------- */

static bool
is_uncorrected_slave(const struct remoting_broker *b)
{
	return b->settings->brokerRole == SLAVE && !b->settings->offsetCheckInSlave;
}

static void
say(struct ring_completion *c, int code, int64_t next, const char *status)
{
	c->code = code;
	c->offset = next;
	snprintf(c->remark, sizeof(c->remark), "%s", status);
}

/* No message has that offset: the answer is `right`, unless a slave may not correct it. */
static void
say_wrong(const struct remoting_broker *b, const struct pull *p, struct ring_completion *c, int64_t right,
	  const char *status)
{
	bool slave = is_uncorrected_slave(b);

	say(c, slave ? ANSWER_PULL_RETRY_IMMEDIATELY : ANSWER_PULL_OFFSET_MOVED, slave ? p->offset : right, status);
}

static void
say_found(struct ring_completion *c, const struct found *f)
{
	c->n = f->n;
	if (f->n > 0)
		say(c, ANSWER_SUCCESS, f->next, "FOUND");
	else
		say(c, ANSWER_PULL_RETRY_IMMEDIATELY, f->next, f->removing ? "MESSAGE_WAS_REMOVING" : "NO_MATCHED_MESSAGE");
}

/* The broker that the client is to ask next: one that has what follows in memory. */
static int32_t
suggest(const struct remoting_broker *b, const struct group_conf *g, const struct found *f, bool looked)
{
	if (!b->settings->slaveReadEnable)
		return 0;
	return looked && backlog_is_on_disk(f->last, f->end, f->memory) ? g->slow_broker_id : g->broker_id;
}

static int
pull_from(const struct remoting_broker *b, const struct pull *p, struct queue *q, const struct group_conf *g,
	  struct found *f, struct ring_completion *c)
{
	struct queue_span span;
	int rc = MQ_OK;

	queue_span(q, &span);
	c->min = span.min.n;
	c->max = span.end.n;
	if (span.end.n == 0 && p->offset == 0)
		say(c, ANSWER_PULL_NOT_FOUND, 0, "NO_MESSAGE_IN_QUEUE");
	else if (span.end.n == 0)
		say_wrong(b, p, c, 0, "NO_MESSAGE_IN_QUEUE");
	else if (p->offset < span.min.n)
		say_wrong(b, p, c, span.min.n, "OFFSET_TOO_SMALL");
	else if (p->offset == span.end.n)
		say(c, ANSWER_PULL_NOT_FOUND, p->offset, "OFFSET_OVERFLOW_ONE");
	else if (p->offset > span.end.n)
		say_wrong(b, p, c, span.end.n, "OFFSET_OVERFLOW_BADLY");
	else
		rc = scan(f, q);
	if (p->now && rc == -EAGAIN)
		return rc;
	if (*c->remark == '\0' && rc == MQ_EGONE)	/* retention was faster than we */
		say_wrong(b, p, c, queue_min(q).n, "OFFSET_TOO_SMALL");
	else if (*c->remark == '\0' && rc != MQ_OK)
		say(c, ANSWER_SYSTEM_ERROR, p->offset, err_text(rc));
	else if (*c->remark == '\0')
		say_found(c, f);
	c->suggest = suggest(b, g, f, f->next > p->offset);
	return p->now && c->code == ANSWER_PULL_OFFSET_MOVED ? -EAGAIN : MQ_OK;
}

/* Find the answers to the pulls that would follow f, as long as each is full. */
static void
look_ahead(const struct found *f, struct queue *q, const struct group_conf *g, struct ring_completion *c)
{
	struct ring_ahead *ahead = f->p->ahead;
	struct found at = *f;
	int64_t looked = 0;

	ahead->n = 0;
	while (at.full && ahead->n < RING_AHEADS && looked < AHEAD_MESSAGES) {
		at.pieces += at.n;
		at.room -= at.n;
		at.n = 0;
		at.messages = at.bytes = 0;
		at.full = at.removing = false;
		if (scan(&at, q) != MQ_OK || !at.full || at.removing || suggest(f->b, g, &at, true) != c->suggest)
			break;
		looked += at.messages;
		ahead->at[ahead->n].next = at.next;
		ahead->at[ahead->n++].pieces = at.n;
	}
	c->looked_ahead = ahead->n > 0;
}

/* On a slave the log may be cut at any time; a filter may have to look at many entries; with access control each
 * pull is judged. */
static bool
may_look_ahead(const struct found *f, const struct ring_completion *c)
{
	return f->p->ahead && f->p->now && c->code == ANSWER_SUCCESS && !f->wanted->filter && !may_not_commit(f->b) &&
	       !f->b->judge;
}

static void
count(const struct remoting_broker *b, const struct pull *p, const struct found *f, int code, int64_t began_ms)
{
	if (code == ANSWER_SUCCESS)
		stats_got(b->stats, p->topic, p->group, 1, f->messages, f->bytes, clock_mono_ms() - began_ms);
	else
		stats_got_nothing(b->stats);
}

/* Can this only be answered by a thread that may wait?  A commit makes a subscription where there is none. */
static bool
must_wait(const struct remoting_broker *b, const struct pull *p)
{
	struct group *g = group_find(b->offsets, p->group);
	struct topic *t = p->commits ? topic_find(b->offsets, p->topic) : NULL;

	return !g || p->sql || (t && !may_not_commit(b) && !subscription_find(b->offsets, g, t));
}

int
pull_answer(const struct remoting_broker *b, const struct pull *p, struct ring_piece *pieces,
	    struct ring_completion *c)
{
	int64_t began_ms = clock_mono_ms();
	struct refusal why = { 0 };
	struct wanted wanted = { 0 };
	struct group_conf conf;
	struct queue *q;
	int rc = MQ_OK;

	if (p->now && must_wait(b, p))
		return -EAGAIN;
	if (p->ahead) {			/* before anything is looked at */
		p->ahead->looked_us = clock_mono_us();
		p->ahead->version = offsets_rights_version(b->offsets);
	}
	if (!may_read(b, &why) || !find_group(b, p->group, &conf, &why) || !find_queue(b, p, &q, &why) ||
	    !may_broadcast(p, &conf, &why) || !claim(b, p, &why) || !wanted_parse(b, p, &wanted, &why)) {
		refusal_put(&why, c);
	} else {
		struct found f = {
			.b = b,
			.p = p,
			.wanted = &wanted,
			.pieces = pieces,
			.room = RING_PIECES,
			.next = p->offset,
			.begin = store_begin(b->store),
			.end = mark_at(store_written(b->store)),
			.memory = backlog_memory(b->settings->accessMessageInMemoryMaxRatio),
			.segment_bytes = store_segment_bytes(b->store),
		};

		if (p->commits && !may_not_commit(b))
			(void)pull_commit(b, p->group, p->topic, p->queue_id, MQ_QOFF(p->commit_offset));
		rc = pull_from(b, p, q, &conf, &f, c);
		if (rc == MQ_OK)
			count(b, p, &f, c->code, began_ms);
		if (rc == MQ_OK && may_look_ahead(&f, c))
			look_ahead(&f, q, &conf, c);
	}
	wanted_free(&wanted);
	return rc;
}

/* --- commits --------------------------------------------------------------------------------------------- */

int
pull_commit(const struct remoting_broker *b, const char *group, const char *topic, int32_t queue_id, mq_qoff to)
{
	struct group *g = group_find(b->offsets, group);
	struct topic *t = topic_find(b->offsets, topic);
	struct subscription *sub;
	int rc;

	if (!t)
		return err_note(-ENOENT, "topic[%s] not exist", topic);
	if (!g)
		return err_note(-EINVAL, "subscription group [%s] does not exist", group);
	if (!rights_consume(b->rights, b->offsets, g, t, queue_id))
		return -EACCES;
	rc = meta_group_check(group);
	if (rc == MQ_OK)
		rc = subscription_of_consumer(b->offsets, g, t, &sub);
	return rc == MQ_OK ? commit_forward(b->offsets, sub, queue_id, to) : rc;
}
