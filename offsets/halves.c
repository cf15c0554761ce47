#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/err.h"
#include "offsets/halves.h"
#include "offsets/registry.h"

#define GROUP "CID_RMQ_SYS_TRANS"
#define READ_ENTRIES 512

/* --- the table ------------------------------------------------------------------------------- */

static int64_t *
slot_of(const struct halves *h, int64_t at)
{
	return at >= h->low && at - h->low < (int64_t)h->n ? &h->slots[h->first + (size_t)(at - h->low)] : NULL;
}

static int64_t
end_of(const struct halves *h)
{
	return h->low + (int64_t)h->n;
}

/* Take halves that have ended off the begin of the table. */
static void
forget_ended(struct halves *h)
{
	while (h->n > 0 && h->slots[h->first] < 0) {
		h->first++;
		h->n--;
		h->low++;
	}
	if (h->low >= h->seen) {
		h->op_low = h->op_seen;
		h->seen = INT64_MAX;
	}
}

static int
extend_to(struct halves *h, int64_t end)
{
	size_t more = end > end_of(h) ? (size_t)(end - end_of(h)) : 0;

	if (h->first > h->n) {		/* more than half of it is of halves before `low` */
		memmove(h->slots, h->slots + h->first, h->n * sizeof(*h->slots));
		h->first = 0;
	}
	if (more == 0)
		return MQ_OK;
	if (ARRAY_ROOM(h->slots, h->max, h->first + h->n + more) != MQ_OK)
		return -ENOMEM;
	memset(h->slots + h->first + h->n, 0, more * sizeof(*h->slots));
	h->n += more;
	h->open += (int64_t)more;
	return MQ_OK;
}

int64_t
halves_state(const struct halves *h, int64_t at)
{
	const int64_t *slot = slot_of(h, at);

	return slot ? *slot : HALF_ENDED;
}

int64_t
halves_copy(const struct halves *h, mq_pos root)
{
	for (size_t i = h->n; i-- > 0;)		/* copies are the newest */
		if (h->slots[h->first + i] == root.byte && root.byte > 0)
			return h->low + (int64_t)i;
	return -1;
}

static void
mark_ended(struct halves *h, int64_t at, enum half_state how)
{
	int64_t *slot = slot_of(h, at);

	if (!slot || *slot < 0)
		return;
	*slot = how;
	h->open--;
}

void
halves_end(struct halves *h, int64_t at, enum half_state how)
{
	mark_ended(h, at, how);
	forget_ended(h);
}

int
halves_renewed(struct offsets *o, struct halves *h, int64_t at, mq_pos root)
{
	int rc = halves_extend(o, h);
	int64_t *slot = rc == MQ_OK ? slot_of(h, at) : NULL;

	if (slot && *slot == 0)
		*slot = root.byte;
	return rc;
}

void
halves_free(struct halves *h)
{
	free(h->slots);
	*h = (struct halves){ 0 };
}

/* --- from the queues ------------------------------------------------------------------------- */

int
halves_extend(struct offsets *o, struct halves *h)
{
	if (!h->queue)
		h->queue = store_queue(o->store, TRANS_HALF_TOPIC, 0);
	return h->queue ? extend_to(h, queue_end(h->queue).n) : MQ_OK;
}

/* The offset of the group in that topic; the first message of q, if the group has none. */
static int
group_at(struct offsets *o, const char *topic, struct queue *q, int64_t *ret)
{
	struct topic *t = topic_find(o, topic);
	struct group *g = group_find(o, GROUP);
	struct subscription *sub = t && g ? subscription_find(o, g, t) : NULL;
	mq_qoff at = q ? queue_min(q) : MQ_QOFF(0);
	int rc = sub ? committed(o, sub, 0, &at) : MQ_OK;

	if (rc == MQ_OK)
		*ret = at.n;
	return rc;
}

/* Records of a queue, one after the other; what cannot be read is left out. */
struct walk {
	struct store *store;
	unsigned char *buf;
	size_t size;
	struct record rec;
};

static int
walk_to(struct walk *w, const struct queue_entry *e, void (*each)(void *arg, const struct walk *w), void *arg)
{
	int rc = e->total == QUEUE_HOLE_SIZE ? MQ_EGONE : store_read(w->store, e->pos, &w->buf, &w->size, &w->rec);

	if (rc == MQ_OK)
		each(arg, w);
	return rc == -ENOMEM ? rc : MQ_OK;
}

/* Retention may be faster: the walk goes on behind what it has taken. */
static int
walk_queue(struct walk *w, struct queue *q, int64_t from, int64_t to, void (*each)(void *arg, const struct walk *w),
	   void *arg)
{
	struct queue_entry e[READ_ENTRIES];
	size_t n;
	int rc = MQ_OK;

	for (int64_t at = from; rc == MQ_OK && at < to; at += (int64_t)n) {
		rc = queue_entries(q, MQ_QOFF(at), e, READ_ENTRIES, &n);
		if (rc == MQ_EGONE && queue_min(q).n > at) {
			n = (size_t)(queue_min(q).n - at);
			rc = MQ_OK;
			continue;
		}
		for (size_t i = 0; rc == MQ_OK && i < n; i++)
			rc = walk_to(w, &e[i], each, arg);
	}
	return rc == MQ_EEND || rc == MQ_EGONE ? MQ_OK : rc;
}

/* Ops of halves before `low` that RocketMQ wrote: a copy of such a half may still be open. */
struct loading {
	struct halves *h;
	int64_t *before;
	size_t n, max;
	int rc;
};

static int
int64_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void
add_before(struct loading *l, int64_t at)
{
	if (ARRAY_ROOM(l->before, l->max, l->n + 1) != MQ_OK) {
		l->rc = -ENOMEM;
		return;
	}
	l->before[l->n++] = at;
}

int64_t
halves_number(const char *text, size_t len)
{
	int64_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || n > INT64_MAX / 10 - 9)
			return -1;
		n = 10 * n + (text[i] - '0');
	}
	return len > 0 ? n : -1;
}

static void
take_number(struct loading *l, const struct record *op, int64_t at)
{
	if (at < 0)
		return;
	if (at < l->h->low && !record_is_continued(op))
		add_before(l, at);
	mark_ended(l->h, at, HALF_ENDED);
}

/* One number; RocketMQ 5 gathers several, each with a comma behind it. */
static void
take_op(void *arg, const struct walk *w)
{
	const struct record *rec = &w->rec;
	size_t len, left = (size_t)rec->body_len;
	const char *tag = record_property(rec->props, (size_t)rec->props_len, "TAGS", &len), *text = rec->body;

	if (!tag || len != 1 || *tag != 'd')
		return;
	while (left > 0) {
		const char *comma = memchr(text, ',', left);
		size_t n = comma ? (size_t)(comma - text) : left;

		take_number(arg, rec, halves_number(text, n));
		n += comma != NULL;
		text += n;
		left -= n;
	}
}

/* RocketMQ's copy of a half that had more time: it has ended with the one that it is of. */
static bool
ended_before(const struct loading *l, const struct record *rec)
{
	size_t len;
	const char *text = record_property(rec->props, (size_t)rec->props_len, "TRAN_PREPARED_QUEUE_OFFSET", &len);
	int64_t of = text && rec->prepared.byte == 0 ? halves_number(text, len) : -1;

	return of >= 0 && l->n > 0 && bsearch(&of, l->before, l->n, sizeof(of), int64_cmp);
}

static void
take_half(void *arg, const struct walk *w)
{
	struct loading *l = arg;
	int64_t *slot = slot_of(l->h, w->rec.qoff.n);

	if (!slot || *slot < 0)
		return;
	if (ended_before(l, &w->rec))
		mark_ended(l->h, w->rec.qoff.n, HALF_ENDED);
	else if (w->rec.prepared.byte > 0)
		*slot = w->rec.prepared.byte;
}

/* How often the log was cut: the queues were shortened then, and may have other records since. */
static uint32_t
cuts_of(const struct queue *halves, const struct queue *ops)
{
	return (halves ? queue_cuts(halves) : 0) + (ops ? queue_cuts(ops) : 0);
}

int
halves_load(struct offsets *o, bool with_roots, struct halves *ret)
{
	struct queue *ops = store_queue(o->store, TRANS_OP_TOPIC, 0);
	int64_t op_end = ops ? queue_end(ops).n : 0;
	struct halves h = { .queue = store_queue(o->store, TRANS_HALF_TOPIC, 0), .ops_read = op_end, .made = true };
	struct walk w = { .store = o->store };
	struct loading l = { .h = &h };
	int rc = group_at(o, TRANS_HALF_TOPIC, h.queue, &h.low);

	if (rc == MQ_OK)
		rc = group_at(o, TRANS_OP_TOPIC, ops, &h.op_low);
	h.seen = INT64_MAX;
	h.cuts = cuts_of(h.queue, ops);
	if (rc == MQ_OK)
		rc = halves_extend(o, &h);
	if (rc == MQ_OK && ops)
		rc = walk_queue(&w, ops, h.op_low, op_end, take_op, &l);
	if (rc == MQ_OK)
		rc = l.rc;
	if (l.n > 0)
		qsort(l.before, l.n, sizeof(*l.before), int64_cmp);
	if (rc == MQ_OK && with_roots && h.open > 0)
		rc = walk_queue(&w, h.queue, h.low, end_of(&h), take_half, &l);
	forget_ended(&h);
	free(l.before);
	free(w.buf);
	if (rc != MQ_OK) {
		halves_free(&h);
		return rc;
	}
	*ret = h;
	return MQ_OK;
}

int
halves_follow(struct offsets *o, struct halves *h)
{
	struct queue *ops = store_queue(o->store, TRANS_OP_TOPIC, 0);
	int64_t op_end = ops ? queue_end(ops).n : 0;	/* before the halves' end: they come first */
	struct walk w = { .store = o->store };
	struct loading l = { .h = h };
	int rc;

	if (!h->made || h->cuts != cuts_of(h->queue, ops)) {
		halves_free(h);
		return halves_load(o, false, h);
	}
	rc = halves_extend(o, h);
	if (rc == MQ_OK && ops)
		rc = walk_queue(&w, ops, h->ops_read, op_end, take_op, &l);
	if (rc == MQ_OK)
		h->ops_read = op_end;
	forget_ended(h);
	free(l.before);
	free(w.buf);
	return rc;
}

/* --- the group --------------------------------------------------------------------------------- */

int
halves_topic(struct offsets *o, const char *name, struct topic **ret)
{
	struct topic_conf conf;
	int rc;

	topic_conf_default(&conf, name, 1);
	conf.perm = PERM_READ;		/* nobody but the broker writes there */
	conf.owner.mode = 0700;		/* and its messages were not for everybody */
	rc = topic_find(o, name) ? MQ_OK : topic_create_own(o, &conf, NULL);
	if (rc == -EEXIST)
		rc = MQ_OK;
	*ret = topic_find(o, name);
	return rc == MQ_OK && !*ret ? -ESTALE : rc;
}

static int
make_group(struct offsets *o)
{
	struct meta m = { .op = META_GROUP_SET };

	group_conf_default(&m.group_conf, GROUP);
	m.group_conf.from_first = true;
	m.group_conf.owner.mode = 0700;
	LOCKED(&o->apply);
	if (group_find(o, GROUP))
		return MQ_OK;
	m.id = registry_id(o, ENTRY_GROUP, GROUP);
	return change_one(o, &m);
}

static int
subscription_of(struct offsets *o, const char *topic, struct subscription **ret)
{
	int rc = group_find(o, GROUP) ? MQ_OK : make_group(o);
	struct group *g = group_find(o, GROUP);
	struct topic *t = NULL;

	if (rc == MQ_OK)
		rc = halves_topic(o, topic, &t);
	if (rc != MQ_OK)
		return rc;
	if (!g)
		return -ESTALE;
	*ret = subscription_find(o, g, t);
	return *ret ? MQ_OK : subscription_create(o, g, t, ret);
}

static int
commit_at(struct offsets *o, const char *topic, int64_t to)
{
	struct subscription *sub = NULL;
	int rc = subscription_of(o, topic, &sub);

	if (rc == MQ_OK)
		rc = commit_forward(o, sub, 0, MQ_QOFF(to));
	return rc == MQ_OK ? commit_sync(o, sub, NULL) : rc;
}

/* The offset of the halves is logged before that of the ops, so a reader that begins at both finds
 * the op of every half behind it. */
int
halves_commit(struct offsets *o, struct halves *h)
{
	struct queue *ops = store_queue(o->store, TRANS_OP_TOPIC, 0);
	int rc = h->queue ? commit_at(o, TRANS_HALF_TOPIC, h->low) : MQ_OK;

	if (rc == MQ_OK && ops)
		rc = commit_at(o, TRANS_OP_TOPIC, h->op_low);
	if (rc == MQ_OK && ops && h->seen == INT64_MAX) {
		h->seen = end_of(h);
		h->op_seen = queue_end(ops).n;
	}
	return rc;
}
