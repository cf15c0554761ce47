/* registry.h - what offsets.h is made of: the registry in memory, and the way
 * of a change.  Internal to this floor; read offsets.c's drawing first.
 *
 *   file            holds
 *   registry.c      finding, making and walking entries
 *   entry.c         one entry as the record that says what it is
 *   apply.c         one record -> memory: the only place that changes it
 *   change.c        a change -> log -> apply; records of others -> apply
 *   topic.c group.c subscription.c commit.c path.c     the calls of offsets.h
 *   debts.c         commits of a slave on their way to its master; unsettled.c: one of them
 *   checkpoint.c    changed entries -> LMDB; the thread
 *   load.c          LMDB -> memory, at start
 *   tables.c        LMDB itself; pages.c: is its file one that LMDB may see?
 *   keep.c          topics' own retention time, and groups whose next messages it has removed
 *   history.c       the epochs of the log; beginning an epoch
 *   cut.c           back to where a cut log ends
 *   rounds.c        the whole state once more in the log, before retention takes it
 *   import.c        RocketMQ's config/ *.json -> changes
 *   transactions.c halves.c     messages that wait for their producer's word
 *   take.c          tables of a RocketMQ master -> memory; rocketmq.c reads them
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
#include "offsets/unsettled.h"
#include "offsets/sorted.h"
#include "offsets/tables.h"
#include "store/batch.h"

enum entry_kind { ENTRY_TOPIC, ENTRY_GROUP, ENTRY_SUBSCRIPTION, ENTRY_ATTR, ENTRY_KINDS };

/* What every entry begins with. */
struct entry {
	enum entry_kind kind;
	bool dirty;		/* in offsets.dirty: its row is to be written */
	bool told;		/* a RocketMQ master has it in its tables, and no record of the log is of it */
	struct entry *next;	/* in offsets.dirty or offsets.retired */
	struct entry_pub *pub;	/* of its public part; NULL: an attr, which has none */
};

/* All entries of a kind. */
struct entries {
	struct sorted by_name;	/* a subscription's is struct subscription_name */
	struct sorted by_id;	/* not of attrs */
	_Atomic int64_t living;	/* those that are not gone, without the system's topics */
};

struct topic_entry {
	struct entry entry;
	struct topic pub;	/* what callers hold */
	struct topic_conf conf;
	struct queue **queues;	/* of the store, NULL until asked for */
	int32_t n_queues;
	int32_t subscriptions;	/* living ones */
	bool implied;		/* no record of the log is of it, but it has queues */
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

/* The checkpoint that is being made: what was collected of memory, and the store's part. */
struct next_checkpoint {
	struct rows rows;
	bool collected;
	mq_qoff applied;	/* up to here, */
	mq_pos end;		/* which ends there in the log */
	bool as_slave;		/* the role it was made in */
	struct store_checkpoint views;
	bool have_views;
	bool failing;		/* the last checkpoint did: has been logged */
};

/* What LMDB says. */
struct saved_checkpoint {
	bool once;		/* it holds a checkpoint */
	mq_qoff applied;
	_Atomic int64_t mark;	/* bytes */
	bool as_slave;
	struct delays_state delays;
};

/* The last whole state in the log: rounds.c. */
struct last_round {
	mq_pos at;		/* where it begins */
	int64_t bytes;		/* and what it took */
	bool failing;
};

/* Retention by topic: keep.c. */
struct keeping {
	bool changed;		/* a topic says something new about keeping its messages */
	int64_t told_queues;	/* of the store, when what their topics say was set last */
	int64_t expired_hour;	/* since 1970, when messages were last looked at for their age */
	int64_t seen_heads;	/* moves of queues' heads that groups were last moved for */
};

/* What a RocketMQ master has told of its tables: take.c. */
struct told {
	struct data_version topics, groups;
	json_t *delays;		/* delayOffset.json's table; NULL: none */
	bool delays_dirty;
};

/* The epochs of the log. */
struct history {
	struct epoch list[EPOCHS_MAX];
	struct epochs epochs;	/* in there */
	bool changed;
};

/* Subscriptions with commits ahead of the log, oldest first: commit.c. */
struct pending_commits {
	struct subscription_entry *first, *last;
	size_t n;
};

/* A slave's commits: debts.c. */
struct debts {
	struct sorted list;	/* struct unsettled */
	bool dirty;		/* one of them is */
	int64_t last;		/* number of the newest */
	struct mark news;	/* moves with each commit on a slave */
	struct mark answered;	/* the master has answered the commits up to this number */
};

/* The thread that makes checkpoints; and the one that delivers (deliver.h). */
struct writer {
	pthread_t thread;
	bool runs;
	_Atomic bool stop;
	uint64_t nudges;	/* of store_written(), seen by the thread */
};

struct delivery {
	pthread_t thread;
	bool runs;
	_Atomic bool stop;
	_Atomic int demotions;	/* what was due before one is not ours to deliver */
};

struct offsets {
	const struct settings *settings;
	struct storedir *dir;
	struct store *store;
	struct host host;	/* stored in our records */
	struct tables *tables;	/* NULL: read-only, so all stays in memory */

	bool alone;		/* one thread knows of it, and need not lock it: registry_new() */
	struct lock turn;	/* RANK_TURN: a checkpoint, a snapshot or a cut, one at a time */

	struct lock apply;	/* RANK_APPLY: guards from here ... */
	struct batch batch;
	struct queue *meta_queue; /* NULL: read-only, and there is none */
	mq_qoff applied;	/* MQFS_META records before it are in memory */
	int64_t applying;	/* the one that is being applied; -1: what is applied is no record */
	mq_pos applied_end;	/* end of the last of them in the log */
	int64_t seen_queues;	/* of the store, when we last looked for new topics */
	enum import_state import;
	struct handover handover;
	struct last_round round;
	struct next_checkpoint next;
	struct saved_checkpoint saved;
	struct keeping keep;
	_Atomic bool damaged;	/* a record could not be read: what it said is not known */
	bool views_rebuilt;	/* views were made anew since LMDB's checkpoint */
	bool rebuilt;		/* LMDB's rows are of another past: they go with the next one */
	bool epoch_is_due;	/* it could not be begun yet: appends wait for it */
	bool stamp;		/* a copy of a snapshot until the next checkpoint */
	bool clamped;		/* commit_clamp() has moved places, and the log does not say so yet */
	unsigned char identity[16];

	struct lock registry;	/* RANK_REGISTRY: ... guards from here on */
	struct entries entries[ENTRY_KINDS];
	struct entry *dirty;
	struct entry *retired;	/* entries that a cut has removed; handles may point to them */
	struct history history;
	struct told told;
	struct pending_commits pending;
	struct debts debts;
	struct {
		struct data_version topics, groups, offsets;
	} versions;
	_Atomic uint64_t rights_version;

	struct writer writer;
	struct delivery delivery;
	struct transactions *transactions;
	_Atomic int64_t logged;	/* where the newest record of ours ends in the log, bytes */
	struct {
		_Atomic int64_t applied, checkpoints, failures, clamped;
	} count;
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

/* --- registry.c ---------------------------------------------------------------- */

void registry_clear(struct offsets *o);		/* frees all entries */

/* An empty registry without a store and without tables, for one thread alone: records can
 * be applied to it, nothing is written.  NULL: -ENOMEM; offsets_close() frees it. */
struct offsets *registry_new(const struct settings *settings, struct storedir *dir);

/* e is in no table any more; whoever holds it can look at it until registry_clear(). */
void registry_retire(struct offsets *o, struct entry *e);

/* No entry is dirty any more. */
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

/* Make e gone, or living.  False: it was so already. */
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

/* --- entry.c: the caller holds `registry` ------------------------------------------ */

/* e as the record that says what it is now; meta_free() it.  Where a group stands
 * is only in it if with_offsets.  -ENOMEM. */
int entry_meta(struct entry *e, bool with_offsets, struct meta *ret_m);

/* Does e say anything?  An attr that was taken away again does not. */
bool entry_says_something(struct entry *e);

/* --- apply.c ------------------------------------------------------------------ */

/* Make memory what m says; doing it twice changes nothing.  MQ_OK also if m does not fit
 * (a line in the log says so); -ENOMEM: nothing was done, and the caller may try again. */
int apply(struct offsets *o, const struct meta *m);

/* --- change.c ----------------------------------------------------------------------- */

/* May topics and groups be changed on this broker?  -EROFS, MQ_EROLE; noted. */
int change_allowed(const struct offsets *o);

/* Log n changes and apply them.  On failure those before it are in place. */
int change_all(struct offsets *o, const struct meta *m, size_t n, mq_pos *ret_end);
int change_one(struct offsets *o, const struct meta *m, mq_pos *ret_end);

/* As change_one(), but whatever change_allowed() says, and m is the first record of all
 * that are appended (store_append_first()). */
int change_first(struct offsets *o, const struct meta *m, mq_pos *ret_end);

/* Apply the records that are in the log and not in memory. */
int change_follow(struct offsets *o);

/* Topics that only have queues (RocketMQ's, or a master's we follow), and
 * queues beyond what their topic says, become known. */
int change_find_queues(struct offsets *o);

/* --- commit.c ------------------------------------------------------------------ */

/* Log the commits that are pending now; on a slave they become unsettled commits.  Commits
 * made meanwhile wait for the next call, so this call has an end. */
int commit_gather(struct offsets *o, mq_pos *ret_end);

/* The same for a caller without `apply`, which is taken for a few records at a time, so that
 * other threads can take it in between. */
int commit_gather_in_steps(struct offsets *o);

/* Pending commits become unsettled commits. */
int commit_unsettle(struct offsets *o);

/* An offset of s is ahead of the log: the next gathering logs it. */
void commit_pend(struct offsets *o, struct subscription_entry *s);

/* Log that an offset of sub is `to`. */
int commit_log_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* A master is about to append: an offset beyond its queue's end becomes the queue's end.  (RocketMQ's tables, or damage, said so; those messages never came.  Left as it is,
 * a group would miss as many of the next ones.)  In memory, and then in the log; what
 * could not be logged is logged by the next call. */
void commit_clamp(struct offsets *o);
int commit_log_clamped(struct offsets *o);

/* [min, end] of the queue behind; empty when nothing was ever stored there. */
void commit_span(struct offsets *o, const struct topic *t, int32_t queue_id, mq_qoff *ret_min,
		 mq_qoff *ret_end);

/* --- debts.c ---------------------------------------------------------------------- */

/* Offsets of s that are ahead of the log become unsettled commits.  -ENOMEM. */
int debts_take(struct offsets *o, const struct subscription_entry *s);

/* An explicit reset: an unsettled commit, and the offset moves at once.  -ENOMEM. */
int debts_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* The record that is being applied sets an offset to v (queue_id -1: it makes the
 * subscription anew).  True: the commit stays unsettled, and *ret_at is the offset. */
bool debts_merge(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
		bool reset, int64_t *ret_at);
void debts_drop(struct offsets *o, const struct subscription_entry *s);

/* The same with an offset from a RocketMQ master's table, asked for at that time. */
bool debts_merge_told(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
		     int64_t asked_ms);

/* Rows, both ways.  After a collect that has failed all are written. */
void debts_collect(struct offsets *o, struct rows *r, bool settled_too);
void debts_collected(struct offsets *o, bool ok);
int debts_load(struct offsets *o, const struct unsettled *w);

/* Before memory is made anew from a log that has become shorter: all offsets become
 * unsettled commits, for whoever is the master of that log; and after it. */
int debts_before_cut(struct offsets *o);
void debts_after_cut(struct offsets *o);

/* This broker is the master now: log its unsettled commits. */
int debts_log(struct offsets *o, mq_pos *ret_end);

void debts_free(struct offsets *o);
int64_t debts_count(struct offsets *o);		/* takes `registry` */

/* What a round has: 1: the ends of queues, too.  After an older program's one is due. */
#define ROUND_FORM 1

/* --- rounds.c ------------------------------------------------------------------- */

/* Log the whole state, if so much log has come since the last time that
 * retention may be about to remove it. */
int round_if_due(struct offsets *o);

/* The same, if there are entries of which the log has no record.  This broker is the master
 * now. */
int round_of_told(struct offsets *o);

/* --- keep.c --------------------------------------------------------------------- */

/* Set in the store which queues drop, trim messages past their topic's own retention time,
 * and move groups whose next messages were removed. */
void keep_messages(struct offsets *o);

/* --- history.c ------------------------------------------------------------------ */

/* Begin an epoch: its record is the first that is appended from here on, and on disk
 * when this returns. */
int epoch_begin(struct offsets *o);

/* A master has been mounted: if what it goes on with may not be what others hold, or
 * nobody has begun it, an epoch begins. */
int epoch_begin_if_due(struct offsets *o);

/* --- cut.c --------------------------------------------------------------------- */

/* If a cut was begun before the last exit, finish it.  The caller does not hold `apply`. */
int cut_finish(struct offsets *o);

/* --- checkpoint.c ------------------------------------------------------------------ */

void *checkpoint_main(void *arg);

/* Make a checkpoint. */
int checkpoint_now(struct offsets *o);

/* Unsettled commits are on the disk when this returns.  The caller does not hold `apply`. */
int checkpoint_debts(struct offsets *o);
/* Write our identity, before the log says that we began an epoch. */
int checkpoint_identity(struct offsets *o);

/* --- load.c -------------------------------------------------------------------- */

/* Read tables into an empty registry.  MQ_ECORRUPT: set them aside. */
int load_rows(struct offsets *o, struct tables *t, struct store_checkpoint *ret_cp);

/* --- import.c ------------------------------------------------------------------ */

int import_rocketmq(struct offsets *o);

#endif
