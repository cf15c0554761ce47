/* cut.c - the log is cut, and the registry goes back to the state of the remaining log.
 *
 * The remaining MQFS_META records are read into a registry of their own; ours then
 * becomes equal to it in one step under the lock, so no reader finds a topic missing
 * meanwhile.  Entries that both have stay at their address, so handles of them stay
 * valid; an entry that the log no longer has becomes ->gone and leaves the tables, and
 * the master may give its id to another one.
 *
 * Committed offsets become those of the log.  An offset that was greater, within the
 * remaining queue, becomes an unsettled commit (slave_commits.c).  Entries from a RocketMQ master's
 * tables are in no log, and stay.
 *
 * Steps and crashes: store/cut.h.
 */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/registry.h"
#include "store/cut.h"

/* --- an entry gets the state that it has in the log; NULL: it is not in the log ---------- */

static void
topic_restore(void *entry, void *log_entry)
{
	struct topic_entry *t = entry, *in_log = log_entry;

	t->subscriptions = in_log ? in_log->subscriptions : 0;
	if (!in_log)
		return;
	t->conf = in_log->conf;
	t->implied = in_log->implied;
}

static void
group_restore(void *entry, void *log_entry)
{
	struct group_entry *g = entry, *in_log = log_entry;

	g->subscriptions = in_log ? in_log->subscriptions : 0;
	if (in_log)
		g->conf = in_log->conf;
}

static void
place_restore(struct place *p, const struct place *in_log)
{
	p->known = in_log && in_log->known;
	p->at = p->logged = in_log ? in_log->logged : 0;
	p->reset = in_log ? in_log->reset : 0;
}

static void
subscription_restore(void *entry, void *log_entry)
{
	struct subscription_entry *s = entry, *in_log = log_entry;

	if (!in_log)
		return;
	free(s->expression);
	s->expression = take_ptr(in_log->expression);
	for (int32_t i = 0; i < s->n_places; i++)
		place_restore(&s->places[i], i < in_log->n_places ? &in_log->places[i] : NULL);
}

static void
attr_restore(void *entry, void *log_entry)
{
	struct attr_entry *a = entry, *in_log = log_entry;

	free(a->acl);
	a->acl = in_log ? take_ptr(in_log->acl) : NULL;
	a->acl_len = in_log ? in_log->acl_len : 0;
	a->has_owner = in_log && in_log->has_owner;
	if (in_log)
		a->owner = in_log->owner;
}

/* --- all of them ------------------------------------------------------------------------ */

/* Bring all entries to the state that the log has.  One that was gone and is living again is
 * another directory to a process that has it open (registry_set_gone()). */
static void
entries_restore(struct offsets *o, struct offsets *log)
{
	static void (*const restore[ENTRY_KINDS])(void *entry, void *in_log) = {
		[ENTRY_TOPIC] = topic_restore, [ENTRY_GROUP] = group_restore,
		[ENTRY_SUBSCRIPTION] = subscription_restore, [ENTRY_ATTR] = attr_restore,
	};

	struct subscription_entry *s;
	struct registry_entry *e;

	o->pending = (struct pending_commits){ 0 };
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s)
		s->pending = false;
	for (int kind = 0; kind < ENTRY_KINDS; kind++) {
		EACH_ENTRY(o, kind, e) {
			struct registry_entry *in_log = registry_find(log, e->kind, e->name);

			if (e->told)
				continue;
			registry_set_gone(o, e, !in_log || in_log->gone);
			restore[kind](e, in_log);
		}
	}
}

/* Take entries that the log does not have out of the table. */
static void
remove_missing(struct offsets *o, struct sorted *table, struct offsets *log, bool retire)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->n; i++) {
		struct registry_entry *e = table->items[i];

		if (e->told || registry_find(log, e->kind, e->name))
			table->items[kept++] = e;
		else if (retire)
			registry_retire(o, e);
	}
	table->n = kept;
}

/* Make room for the offsets and queues that they take over. */
static int
make_places(struct offsets *o, struct offsets *log)
{
	struct subscription_entry *s;
	struct topic_entry *t;

	LOCKED(&o->registry);
	EACH_ENTRY(o, ENTRY_SUBSCRIPTION, s) {
		struct subscription_entry *in_log = registry_find(log, ENTRY_SUBSCRIPTION, s->pub.name);

		if (in_log && registry_grow_places(s, in_log->n_places) != MQ_OK)
			return -ENOMEM;
	}
	EACH_ENTRY(o, ENTRY_TOPIC, t) {
		struct topic_entry *in_log = registry_find(log, ENTRY_TOPIC, t->pub.name);

		if (in_log && registry_grow_queues(t, in_log->conf.queues) != MQ_OK)
			return -ENOMEM;
	}
	return MQ_OK;
}

static void
registry_replace(struct offsets *o, struct offsets *log)
{
	LOCKED(&o->registry);
	entries_restore(o, log);
	while (registry_pop_dirty(o))	/* a retired entry is in no other list */
		;
	for (int kind = ENTRY_TOPIC; kind <= ENTRY_SUBSCRIPTION; kind++) {
		remove_missing(o, &o->entries[kind].by_id, log, false);
		remove_missing(o, &o->entries[kind].by_name, log, true);
	}
	memcpy(o->history.list, log->history.list, sizeof(o->history.list));
	o->history.epochs.n = log->history.epochs.n;
	o->versions[CONFIG_TOPICS].counter++;
	o->versions[CONFIG_GROUPS].counter++;
	registry_dirty_all(o);
}

/* Read the records of the log, up to the end that the queues have, into a new registry. */
static int
read_log(struct offsets *o, struct offsets **ret)
{
	struct offsets *log = registry_new(o->settings, o->dir);
	int rc;

	if (!log)
		return -ENOMEM;
	log->store = o->store;
	log->meta_queue = o->meta_queue;
	rc = change_follow_all(log);
	if (rc == MQ_OK)
		*ret = log;
	else
		offsets_close(log);
	return rc;
}

static int
registry_restore(struct offsets *o)
{
	struct offsets *log;
	int rc = read_log(o, &log);

	if (rc != MQ_OK)
		return rc;
	rc = make_places(o, log);
	if (rc == MQ_OK)
		rc = slave_commits_before_cut(o);
	if (rc == MQ_OK) {
		registry_replace(o, log);
		o->applied = log->applied;
		o->applied_end = log->applied_end;
		o->import = log->import;
		o->damaged = log->damaged;
		o->round.at = MQ_POS(0);
		o->keep.changed = o->rebuilt = true;
		slave_commits_after_cut(o);
	}
	offsets_close(log);
	return rc;
}

/* --- the steps ------------------------------------------------------------------------------ */

/* Queues that were trimmed by a record behind the cut. */
struct trimmed {
	struct queue **list;
	size_t n, max;
};

static int
trimmed_add(struct offsets *o, struct trimmed *all, const char *topic, int32_t queue_id)
{
	struct queue *q = store_queue(o->store, topic, queue_id);

	for (size_t i = 0; q && i < all->n; i++)
		if (all->list[i] == q)
			return MQ_OK;
	if (!q)
		return MQ_OK;
	if (ARRAY_ROOM(all->list, all->max, all->n + 1) != MQ_OK)
		return -ENOMEM;
	all->list[all->n++] = q;
	return MQ_OK;
}

static int
look_at_record(struct offsets *o, mq_pos pos, struct trimmed *all)
{
	AUTO_FREE unsigned char *buf = NULL;
	struct record rec;
	size_t size = 0;
	struct meta m;
	int rc = store_read(o->store, pos, &buf, &size, &rec);

	if (rc == MQ_OK)
		rc = meta_read(&rec, &m);
	if (rc != MQ_OK)			/* of which nothing was applied, either */
		return rc == -ENOMEM ? rc : MQ_OK;
	if (m.op == META_TRIM)
		rc = trimmed_add(o, all, m.topic, m.queue_id);
	meta_free(&m);
	return rc;
}

static int
find_trimmed(struct offsets *o, mq_pos at, struct trimmed *all)
{
	struct queue_entry e;
	mq_qoff next;
	size_t n;
	int rc = o->meta_queue ? queue_find_pos(o->meta_queue, at, &next) : MQ_EEND;

	for (; rc == MQ_OK; next = qoff_add(next, 1)) {
		rc = queue_entries(o->meta_queue, next, &e, 1, &n);
		if (rc == MQ_OK && e.total != QUEUE_HOLE_SIZE)
			rc = look_at_record(o, e.pos, all);
	}
	return rc == MQ_EEND ? MQ_OK : rc;
}

static int
store_views_cut(struct offsets *o, const struct store_cut *cut)
{
	struct trimmed trimmed = { 0 };
	int rc = cut->begin.byte < 0 ? find_trimmed(o, cut->at, &trimmed) : MQ_OK;

	if (rc == MQ_OK)
		rc = store_cut_views(o->store, cut, trimmed.list, trimmed.n);
	free(trimmed.list);
	return rc;
}

static int
views_restore(struct offsets *o, struct store_cut *cut)
{
	int rc = store_cut_keep(o->store, cut);

	if (rc == MQ_OK)
		rc = store_views_cut(o, cut);
	if (rc != MQ_OK)
		return rc;
	LOCKED(&o->apply);
	/* a checkpoint that was being made has rows of the log before the cut */
	o->next.collected = false;
	if (o->next.have_views)
		store_checkpoint_free(&o->next.views);
	o->next.have_views = false;
	return registry_restore(o);
}

/* A log that begins anew takes the history of the master's log. */
static void
adopt(struct offsets *o, const struct store_cut *cut, const struct epochs *theirs)
{
	LOCKED(&o->registry);
	o->history.epochs.n = 0;
	for (size_t i = 0; theirs && i < theirs->n; i++)
		if (theirs->list[i].start.byte < cut->begin.byte)
			(void)epochs_add(&o->history.epochs, &theirs->list[i]);
	o->history.changed = true;
}

static int
cut_steps(struct offsets *o, struct store_cut *cut, const struct epochs *theirs)
{
	int rc = views_restore(o, cut);

	MUST_HOLD(&o->turn);
	if (rc == MQ_OK)
		rc = checkpoint_now(o);
	if (rc == MQ_OK)
		rc = store_cut_log(o->store, cut);
	atomic_store(&o->logged, 0);
	if (rc == MQ_OK && cut->begin.byte >= 0) {
		adopt(o, cut, theirs);
		rc = checkpoint_now(o);
	}
	return rc == MQ_OK ? store_cut_done(o->dir) : rc;
}

static int
cut_begin(struct offsets *o, struct store_cut *cut, const struct epochs *theirs)
{
	int rc = store_cut_check(o->store, cut->at);

	if (rc == MQ_OK)
		rc = store_cut_note(o->dir, cut);
	if (rc != MQ_OK)
		return rc;
	rc = cut_steps(o, cut, theirs);
	if (rc != MQ_OK)
		log_err("the log is to be cut at %" PRId64 ", which did not come to its end: %s; the next mount "
			"goes on", cut->at.byte, err_text(rc));
	return rc;
}

static int
cut_or_reset(struct offsets *o, mq_pos at, mq_pos begin, const struct epochs *theirs, const char *why)
{
	struct store_cut cut = { .at = at, .begin = begin }, before;

	if (!o->tables)
		return -EROFS;
	if (store_cut_noted(o->dir, &before) == MQ_OK && before.at.byte == at.byte)
		cut.kept = before.kept;		/* this one goes on */
	snprintf(cut.why, sizeof(cut.why), "%s", why);
	LOCKED(&o->shot);
	LOCKED(&o->turn);
	return cut_begin(o, &cut, theirs);
}

int
offsets_cut(struct offsets *o, mq_pos at, const char *why)
{
	if (at.byte == mark_at(store_written(o->store)).byte)
		return MQ_OK;
	log_notice("the log is cut at %" PRId64 " of %" PRId64 ": %s", at.byte,
		   mark_at(store_written(o->store)).byte, why);
	return cut_or_reset(o, at, MQ_POS(-1), NULL, why);
}

int
offsets_reset(struct offsets *o, mq_pos begin, const struct epochs *theirs, const char *why)
{
	if (begin.byte % store_segment_bytes(o->store) != 0)
		return err_note(-EINVAL, "the log cannot begin at %" PRId64 ": its segments have %" PRId64 " bytes",
				begin.byte, store_segment_bytes(o->store));
	log_notice("the log, from %" PRId64 " to %" PRId64 ", goes to lost+found and begins anew at %" PRId64 ": %s",
		   store_begin(o->store).byte, mark_at(store_written(o->store)).byte, begin.byte, why);
	return cut_or_reset(o, store_begin(o->store), begin, theirs, why);
}

int
cut_finish(struct offsets *o)
{
	struct store_cut cut;
	int rc = o->dir->read_only ? -ENOENT : store_cut_noted(o->dir, &cut);

	if (rc != MQ_OK)
		return rc == -ENOENT ? MQ_OK : rc;
	log_notice("a cut of the log at %" PRId64 " is finished now: %s", cut.at.byte, cut.why);
	if (cut.at.byte < store_begin(o->store).byte)
		cut.at = store_begin(o->store);
	if (cut.at.byte > mark_at(store_written(o->store)).byte)
		cut.at = mark_at(store_written(o->store));
	LOCKED(&o->shot);
	LOCKED(&o->turn);
	return cut_steps(o, &cut, NULL);
}
