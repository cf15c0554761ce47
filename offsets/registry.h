/* registry.h - what offsets.h is made of: the registry in memory, and the way
 * of a change.  Internal to this floor; read offsets.c's drawing first.
 *
 *   file            holds
 *   registry.c      finding, making and walking entries
 *   entry.c         one entry as the record that says what it is
 *   apply.c         one record -> memory: the only place that changes it
 *   change.c        a change -> log -> apply; records of others -> apply
 *   topic.c group.c subscription.c commit.c path.c     the calls of offsets.h
 *   debts.c         commits of a slave on their way to its master, and owed.c one of them
 *   checkpoint.c    changed entries -> LMDB; the thread
 *   load.c          LMDB -> memory, at start
 *   tables.c        LMDB itself; pages.c: is its file one that LMDB may see?
 *   keep.c          what a topic says about keeping its messages; who lost some
 *   history.c       the epochs of the log, and beginning one
 *   cut.c           back to where a cut log ends
 *   rounds.c        the whole state once more in the log, before retention takes it
 *   import.c        RocketMQ's config/ *.json -> changes
 *   take.c          what a RocketMQ master tells -> memory; rocketmq.c reads its tables
 *   export.c        memory and LMDB -> RocketMQ's tables
 *
 * Three locks.  `turn` is held while one checkpoint, snapshot or cut is made, which
 * may take seconds.  `apply` is held from before a change is checked until it is in
 * memory, so records have one order and memory follows it.  `registry` is held
 * for each look at or change of memory, never across a call to the store that
 * may wait.
 */
#ifndef MQFS_OFFSETS_REGISTRY_H
#define MQFS_OFFSETS_REGISTRY_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "conf/lock.h"
#include "offsets/export.h"
#include "offsets/meta.h"
#include "offsets/offsets.h"
#include "offsets/owed.h"
#include "offsets/sorted.h"
#include "offsets/tables.h"
#include "store/batch.h"

enum entry_kind { ENTRY_TOPIC, ENTRY_GROUP, ENTRY_SUBSCRIPTION, ENTRY_ATTR, ENTRY_KINDS };

/* What every entry begins with. */
struct entry {
	enum entry_kind kind;
	bool dirty;		/* in offsets.dirty: its row is to be written */
	bool told;		/* no record speaks of it, only a RocketMQ master */
	struct entry *next;	/* in offsets.dirty or offsets.retired */
	struct entry_pub *pub;	/* of its public part; NULL: an attr, which has none */
};

/* All entries of a kind. */
struct entries {
	struct sorted by_name;	/* a subscription's is struct subscription_name */
	struct sorted by_id;	/* not of attrs */
	_Atomic int64_t living;	/* those that are not gone */
};

struct topic_entry {
	struct entry entry;
	struct topic pub;	/* what callers hold */
	struct topic_conf conf;
	struct queue **queues;	/* of the store, NULL until asked for */
	int32_t n_queues;
	int32_t subscriptions;	/* living ones */
	bool implied;		/* no record speaks of it, only its queues */
};

struct group_entry {
	struct entry entry;
	struct group pub;
	struct group_conf conf;
	int32_t subscriptions;
};

/* Where a group stands in one queue. */
struct place {
	int64_t at;		/* committed: what consumers see */
	int64_t logged;		/* what the log says; behind `at` while a commit is pending */
	int64_t reset;		/* records of MQFS_META up to and with its last reset; 0: none */
	bool known;		/* a record named this queue; else: from its first message on */
	bool dirty;
	int32_t holder;		/* the process that has it open to consume, -1: an unknown one; 0: none */
};

struct subscription_entry {
	struct entry entry;
	struct subscription pub;
	char *expression;
	struct place *places;
	int32_t n_places;
	bool pending;		/* in offsets.pending: a place is ahead of the log */
	struct subscription_entry *next_pending;
};

struct attr_entry {
	struct entry entry;
	char *path;
	bool has_owner;
	struct owner owner;
	unsigned char *acl;	/* NULL: none */
	size_t acl_len;
};

/* RocketMQ's DataVersion, of the topics or the groups: other with each change. */
struct data_version {
	int64_t counter, ms;
};

/* STORE/config, and who wrote it last: handover.c. */
struct handover {
	bool known;		/* there was such a row in LMDB, or is now */
	int64_t applied;	/* records of MQFS_META when our files were written last */
	uint32_t taken[CONFIG_FILES]; /* sums of RocketMQ's files that were taken; 0: none */
	bool overtaken;		/* the log has more records than that */
	struct exported last;
	_Atomic bool changed;	/* tables since the files were written */
	bool failing;
	int64_t at_ms, took_ms;	/* when they were, and how long it took */
};

enum import_state { IMPORT_NEVER, IMPORT_BEGUN, IMPORT_DONE };

struct offsets {
	const struct settings *settings;
	struct storedir *dir;
	struct store *store;
	struct host host;	/* stored in our records */
	struct tables *tables;	/* NULL: read-only, so all stays in memory */

	bool alone;		/* one thread knows of it, and need not lock it: registry_new() */
	struct lock turn;	/* RANK_TURN: who writes the tables: a checkpoint, a snapshot, a cut */

	struct lock apply;	/* RANK_APPLY: guards from here ... */
	struct batch batch;
	struct queue *meta_queue; /* NULL: read-only, and there is none */
	mq_qoff applied;	/* MQFS_META records before it are in memory */
	int64_t applying;	/* the one that is being applied; -1: what is applied is no record */
	mq_pos applied_end;	/* end of the last of them in the log */
	int64_t seen_queues;	/* of the store, when we last looked for new topics */
	enum import_state import;
	struct handover handover;
	_Atomic bool damaged;	/* a record could not be read: what it said is not known */
	mq_pos round_at;	/* where the last whole state in the log begins */
	int64_t round_bytes;	/* and what it took */
	struct rows rows;	/* of the checkpoint being made: collected ... */
	bool collected;
	mq_qoff rows_applied;	/* up to here, */
	mq_pos rows_end;	/* which ends there in the log */
	bool rows_as_slave;	/* the role it was made in */
	struct store_checkpoint cp; /* ... and the store's part of it */
	bool have_cp;
	bool failing;		/* the last checkpoint did: has been logged */
	mq_qoff saved_applied;	/* what LMDB says */
	_Atomic int64_t saved_mark; /* bytes */
	bool saved_once;	/* LMDB holds a checkpoint, */
	bool views_rebuilt;	/* but of views that were made anew since */
	bool rebuilt;		/* its rows are of another past: they go with the next one */
	unsigned char identity[16];
	bool saved_as_slave;	/* the role that LMDB tells of */
	bool epoch_is_due;	/* it could not be begun yet: appends wait for it */
	bool stamp;		/* a copy of a snapshot until the next checkpoint */
	bool round_failing;
	bool clamped;		/* commit_clamp() has moved places, and the log does not say so yet */
	bool keep_changed;	/* a topic says something new about keeping its messages */
	int64_t told_queues;	/* of the store, when it was last told what topics say */
	int64_t expired_hour;	/* since 1970, when messages were last looked at for their age */
	int64_t seen_heads;	/* moves of queues' heads that groups have heard of */

	struct data_version told_topics, told_groups; /* what was taken from a master last */

	struct lock registry;	/* RANK_REGISTRY: ... guards from here on */
	struct entries entries[ENTRY_KINDS];
	struct epoch epoch_list[EPOCHS_MAX];
	struct epochs epochs;	/* of the log, in there */
	bool epochs_changed;
	struct data_version topics_version, groups_version, offsets_version;
	json_t *delays;		/* delayOffset.json's table, of a RocketMQ master; NULL: none */
	bool delays_dirty;
	struct entry *dirty;
	struct entry *retired;	/* of a past that was cut: whoever holds one finds it gone */
	struct subscription_entry *pending, *pending_last; /* commits ahead of the log, oldest first */
	size_t n_pending;
	struct sorted owed;	/* a slave's: struct owed */
	bool owed_dirty;	/* one of them is */
	int64_t owed_last;	/* number of the newest */

	struct mark owed_news;	/* moves with each commit on a slave */
	struct mark answered;	/* commits owed up to this number have been answered */

	_Atomic int64_t logged;	/* where the newest record of ours ends in the log, bytes */
	_Atomic int64_t n_applied, n_checkpoints, n_failures, n_clamped;

	_Atomic bool stop;
	bool running;
	uint64_t nudges;	/* of store_written(), seen by the thread */
	pthread_t thread;
};

/* --- handover.c ---------------------------------------------------------------- */

int handover_load(struct offsets *o, struct tables *t);

/* Write STORE/config.  Another checkpoint waits; what fails is logged. */
void handover_write(struct offsets *o);
void handover_write_if_due(struct offsets *o);

/* --- offsets.c ---------------------------------------------------------------- */

/* lmdb/ becomes lost+found/lmdb.broken-N, with a note that says why. */
int offsets_set_aside(struct storedir *dir, const char *why);

/* What a function needs of its caller. */
#define MUST_HOLD_APPLY(o) ((o)->alone ? (void)0 : MUST_HOLD(&(o)->apply))
#define MUST_HOLD_REGISTRY(o) ((o)->alone ? (void)0 : MUST_HOLD(&(o)->registry))

/* --- registry.c: `registry` is held, unless said otherwise -------------------- */

void registry_clear(struct offsets *o);		/* frees all entries */

/* An empty registry without a store and without tables, for one thread alone: records can
 * be applied to it, nothing is written.  NULL: -ENOMEM; offsets_close() frees it. */
struct offsets *registry_new(const struct settings *settings, struct storedir *dir);

/* e is in no table any more; whoever holds it can look at it until registry_clear(). */
void registry_retire(struct offsets *o, struct entry *e);

/* Nothing waits to be written. */
void registry_all_clean(struct offsets *o);

/* The name that a subscription is found by; that of the others is a text. */
struct subscription_name {
	const char *group, *topic;
};

/* Find one, also if it is gone; NULL: there is none.  registry_same(): the one with e's
 * name, of another registry. */
struct entry *registry_find(struct offsets *o, enum entry_kind kind, const void *name);
struct entry *registry_same(struct offsets *o, const struct entry *e);
struct topic_entry *registry_topic(struct offsets *o, const char *name);
struct group_entry *registry_group(struct offsets *o, const char *name);
struct subscription_entry *registry_subscription(struct offsets *o, const char *group, const char *topic);
struct attr_entry *registry_attr(struct offsets *o, const char *path);

/* Find or make, gone ones too; a new one is gone until apply says otherwise.
 * `id`: 0, or taken: the next free one.  NULL: -ENOMEM (or no id left). */
struct topic_entry *registry_make_topic(struct offsets *o, const char *name, uint32_t id);
struct group_entry *registry_make_group(struct offsets *o, const char *name, uint32_t id);
struct subscription_entry *registry_make_subscription(struct offsets *o, struct group_entry *g,
						      struct topic_entry *t, uint32_t id);
struct attr_entry *registry_make_attr(struct offsets *o, const char *path);

/* e comes or goes.  False: it was so already. */
bool registry_set_gone(struct offsets *o, struct entry *e, bool gone);

/* The id of a topic of which no record speaks: out of the way of those that records
 * give, here or on the master. */
uint32_t registry_implied_id(struct offsets *o);

/* The id a new entry would get, for the record that makes it.  Takes the lock. */
uint32_t registry_id(struct offsets *o, enum entry_kind kind, const void *name);

/* Queues of t up to the last one that ever held a message. */
int32_t topic_queues_used(struct offsets *o, const struct topic *t);

/* A record gives t, of which none has spoken so far, its id: it has that from here on, if
 * the id is free.  Whoever has the topic's directory open looks it up again. */
void registry_renumber_topic(struct offsets *o, struct topic_entry *t, uint32_t id);

/* At least n queues, or places.  -ENOMEM. */
int registry_grow_queues(struct topic_entry *t, int32_t n);
int registry_grow_places(struct subscription_entry *s, int32_t n);

/* Its row is to be written at the next checkpoint. */
void registry_dirty(struct offsets *o, struct entry *e);

/* Every row is to be written again. */
void registry_dirty_all(struct offsets *o);

/* The entry around its parts; that around its entry may be NULL, as that may.  Entries are
 * made mutable, so casting const away is fine. */
#define AROUND(ptr, type, member) ((type *)(void *)((char *)(uintptr_t)(ptr) - offsetof(type, member)))
#define topic_entry_of(t) AROUND(t, struct topic_entry, pub)
#define group_entry_of(g) AROUND(g, struct group_entry, pub)
#define subscription_entry_of(s) AROUND(s, struct subscription_entry, pub)

static inline struct topic_entry *
entry_topic(struct entry *e)
{
	return (struct topic_entry *)(void *)e;
}

static inline struct group_entry *
entry_group(struct entry *e)
{
	return (struct group_entry *)(void *)e;
}

static inline struct subscription_entry *
entry_subscription(struct entry *e)
{
	return (struct subscription_entry *)(void *)e;
}

static inline struct attr_entry *
entry_attr(struct entry *e)
{
	return (struct attr_entry *)(void *)e;
}

/* The store's queue behind one of a topic, NULL if none was ever made there.
 * Takes `registry`. */
struct queue *topic_queue_if_any(struct offsets *o, const struct topic *t, int32_t queue_id);

/* --- entry.c: `registry` is held ------------------------------------------------- */

/* e as the record that says what it is now; meta_free() it.  Where a group stands
 * is only in it if with_offsets.  -ENOMEM. */
int entry_meta(struct entry *e, bool with_offsets, struct meta *ret_m);

/* Does e say anything?  An attr that was taken away again does not. */
bool entry_says_something(struct entry *e);

/* --- apply.c ------------------------------------------------------------------ */

/* What m says becomes so; doing it twice changes nothing.  `apply` is held.
 * MQ_OK also when it makes no sense here (noted in the log); -ENOMEM: nothing was
 * done, try again. */
int apply(struct offsets *o, const struct meta *m);

/* --- change.c: `apply` is held -------------------------------------------------- */

/* May something be changed here?  -EROFS, MQ_EROLE. */
int change_allowed(const struct offsets *o);

/* Log n changes and apply them.  On failure those before it are in place. */
int change_all(struct offsets *o, const struct meta *m, size_t n, mq_pos *ret_end);
int change_one(struct offsets *o, const struct meta *m, mq_pos *ret_end);

/* Whoever may change things: m is the first of all that is appended (store_append_first). */
int change_first(struct offsets *o, const struct meta *m, mq_pos *ret_end);

/* Apply the records that are in the log and not in memory. */
int change_follow(struct offsets *o);

/* Topics that only have queues (RocketMQ's, or a master's we follow), and
 * queues beyond what their topic says, become known. */
int change_find_queues(struct offsets *o);

/* --- commit.c ------------------------------------------------------------------ */

/* Log the commits that are pending now; on a slave they become debts.  `apply` is held.
 * What is committed meanwhile waits for the next call, so this one has an end. */
int commit_gather(struct offsets *o, mq_pos *ret_end);

/* The same, without `apply`, which is taken for a few records at a time: others get in
 * between. */
int commit_gather_in_steps(struct offsets *o);

/* Pending commits become debts. */
int commit_owe(struct offsets *o);

/* A place of s is ahead of the log: it is to be gathered.  With `registry`. */
void commit_pend(struct offsets *o, struct subscription_entry *s);

/* Log that a place of sub is `to`; `apply` is held. */
int commit_log_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* A master is about to append: whoever stands beyond a queue's end stands at it from here
 * on.  (RocketMQ's tables, or damage, said so; those messages never came.  Left as it is,
 * a group would miss as many of the next ones.)  In memory, and then in the log; what
 * could not be logged is by the next call.  `apply` is held. */
void commit_clamp(struct offsets *o);
int commit_log_clamped(struct offsets *o);

/* [min, end] of the queue behind; empty when nothing was ever stored there. */
void commit_span(struct offsets *o, const struct topic *t, int32_t queue_id, mq_qoff *ret_min,
		 mq_qoff *ret_end);

/* --- debts.c: `apply` is held ----------------------------------------------------- */

/* Places of s that are ahead of the log are owed.  With `registry`; -ENOMEM. */
int debts_take(struct offsets *o, const struct subscription_entry *s);

/* An explicit reset, here at once.  -ENOMEM. */
int debts_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* The record being applied says so of a place (queue_id -1: of all, they begin anew).
 * True: something is owed all the same, and *ret_at is where the place stands.  With
 * `registry`. */
bool debts_hear(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
		bool reset, int64_t *ret_at);
void debts_drop(struct offsets *o, const struct subscription_entry *s);

/* What a RocketMQ master has told, asked for at that time (debts.c).  With `registry`. */
bool debts_hear_told(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
		     int64_t asked_ms);

/* Rows, both ways; with `registry`.  After a collect that has failed all are written. */
void debts_collect(struct offsets *o, struct rows *r, bool settled_too);
void debts_collected(struct offsets *o, bool ok);
int debts_load(struct offsets *o, const struct owed *w);

/* Memory is about to be made anew from a log that is shorter than it was: what stands
 * here is owed to whoever goes on with that log; and it has been made. */
int debts_before_cut(struct offsets *o);
void debts_after_cut(struct offsets *o);

/* We are the master now: what is owed is logged. */
int debts_log(struct offsets *o, mq_pos *ret_end);

void debts_free(struct offsets *o);
int64_t debts_count(struct offsets *o);		/* takes `registry` */

/* What a round has: 1: the ends of queues, too.  After an older program's one is due. */
#define ROUND_FORM 1

/* --- rounds.c ------------------------------------------------------------------- */

/* Log the whole state, if so much log has come since the last time that
 * retention may be about to take it.  `apply` is held. */
int round_if_due(struct offsets *o);

/* The same, if there is anything in it that no record has said.  We are the master now. */
int round_of_told(struct offsets *o);

/* --- keep.c --------------------------------------------------------------------- */

/* Tell the store which topics drop, take messages past their topic's own time from
 * readers, and move groups that were behind them.  `apply` is held. */
void keep_messages(struct offsets *o);

/* --- history.c ------------------------------------------------------------------ */

/* Begin an epoch: its record is the first that is appended from here on, and on disk
 * when this returns.  `apply` is held. */
int epoch_begin(struct offsets *o);

/* A master has been mounted: if what it goes on with may not be what others hold, or
 * nobody has begun it, an epoch begins.  `apply` is held. */
int epoch_begin_if_due(struct offsets *o);

/* --- cut.c --------------------------------------------------------------------- */

/* If a cut was begun before the last exit, it is finished.  `apply` is not held. */
int cut_finish(struct offsets *o);

/* --- checkpoint.c ------------------------------------------------------------------ */

void *checkpoint_main(void *arg);

/* Make a checkpoint; with `turn`. */
int checkpoint_now(struct offsets *o);

/* What is owed is on the disk when this returns.  Without `apply`. */
int checkpoint_debts(struct offsets *o);
/* Who we are: before the log says that we began an epoch. */
int checkpoint_identity(struct offsets *o);

/* --- load.c -------------------------------------------------------------------- */

/* Read tables into an empty registry.  MQ_ECORRUPT: set them aside. */
int load_rows(struct offsets *o, struct tables *t, struct store_checkpoint *ret_cp);

/* --- import.c ------------------------------------------------------------------ */

int import_rocketmq(struct offsets *o);

#endif
