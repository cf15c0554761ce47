/* registry.h - how offsets.h is made: the registry in memory, and how a change gets
 * into it.  Internal to this floor; read offsets.c's drawing first.
 *
 *   file            holds
 *   registry.c      finding, making and walking entries
 *   entry.c         one entry -> the record that makes it
 *   apply.c         one record -> memory: the only place that changes it
 *   change.c        a change -> log -> apply; records that others have logged -> apply
 *   topic.c group.c subscription.c commit.c consumer.c path.c     the calls of offsets.h
 *   slave_commits.c commits of a slave on their way to its master; unsettled.c: one of them
 *   checkpoint.c    changed entries -> LMDB; the thread
 *   collect.c       memory -> rows of LMDB
 *   moment.c        the tables of a snapshot, without a checkpoint
 *   load.c          LMDB -> memory, at start
 *   tables.c        LMDB itself; pages.c: may LMDB open its file?
 *   keep.c          topics' own retention time, and groups whose next messages were removed
 *   history.c       the epochs of the log; beginning an epoch
 *   cut.c           after a cut of the log: memory and LMDB back to the log's new end
 *   rounds.c        the whole state logged again, before retention removes its records
 *   import.c        RocketMQ's config/ *.json -> changes
 *   transactions.c halves.c     half messages, until they are committed or rolled back
 *   take.c          tables of a RocketMQ master -> memory; rocketmq.c reads them
 *   export.c        memory and LMDB -> RocketMQ's tables; handover.c: those in STORE/config
 *   deliver.c       messages whose time has come; sendback.c: those that a consumer sent back
 *
 * Five locks.  `shot` is held while a snapshot or a cut is made, `turn` while a
 * checkpoint or a cut is made, which may take seconds: a snapshot waits for no checkpoint.
 * `lmdb` is held while rows go from memory (dirty) by way of `next` (collected) to LMDB,
 * so that its holder finds each change in exactly one of the three; it is not held
 * while the views are synced.  `apply` is held from before a change is checked until it is in
 * memory, so records have one order and memory follows it.  `registry` is held
 * for each look at or change of memory, never across a call to the store that
 * may wait.
 */
#ifndef MQFS_OFFSETS_REGISTRY_H
#define MQFS_OFFSETS_REGISTRY_H

#include <jansson.h>
#include <stdatomic.h>
#include <stddef.h>

#include "conf/lock.h"
#include "conf/thread.h"
#include "offsets/export.h"
#include "offsets/meta.h"
#include "offsets/offsets.h"
#include "offsets/unsettled.h"
#include "offsets/sorted.h"
#include "offsets/tables.h"
#include "store/batch.h"

/* All entries of a kind. */
struct entries {
	struct sorted by_name;
	struct sorted by_id;
	_Atomic int64_t living;	/* number of entries that are not gone, without system topics */
};

/* Every entry begins with a struct registry_entry, and with the part that callers hold. */
#define ENTRY_WITH(public)            \
	union {                       \
		struct registry_entry entry;   \
		public pub;           \
	}

struct topic_entry {
	ENTRY_WITH(struct topic);
	struct topic_conf conf;
	struct queue **queues;	/* the store's; each is NULL until it is first used */
	int32_t n_queues;
	int32_t subscriptions;	/* of them, the living ones */
	bool implied;		/* the log has no record of it, but the store has queues of it */
};

struct group_entry {
	ENTRY_WITH(struct group);
	struct group_conf conf;
	int32_t subscriptions;
};

/* Where a group stands in one queue. */
struct place {
	int64_t at;		/* committed: what consumers see */
	int64_t logged;		/* the offset in the log; behind `at` while a commit is pending */
	int64_t reset;		/* records of MQFS_META up to and with its last reset; 0: none */
	bool known;		/* a record named this queue; else the group begins at its first message */
	bool dirty;
	int32_t holder;		/* the process that has it open to consume, -1: an unknown one; 0: none */
};

struct subscription_entry {
	ENTRY_WITH(struct subscription);
	char *expression;
	struct place *places;
	int32_t n_places;
	bool pending;		/* in offsets.pending: a place has `at` ahead of `logged` */
	struct subscription_entry *next_pending;
};

/* The owner and the ACL of a file or directory, whose path is the entry's name.  It is never living. */
struct attr_entry {
	struct registry_entry entry;
	bool has_owner;
	struct owner owner;
	unsigned char *acl;	/* NULL: none */
	size_t acl_len;
};

/* RocketMQ's DataVersion of a table: it differs after each change. */
struct data_version {
	int64_t counter, ms;
};

/* STORE/config, and who wrote it last: handover.c. */
struct handover {
	bool known;		/* LMDB has the row "config" */
	int64_t applied;	/* records of MQFS_META when our files were written last */
	uint32_t taken[CONFIG_FILES]; /* sums of RocketMQ's files that were taken; 0: none */
	bool overtaken;		/* the log has more records than `applied` */
	struct exported last;
	_Atomic bool changed;	/* the tables have changed since the files were written */
	bool failing;
	int64_t at_ms, took_ms;	/* when the files were written, and how long it took */
};

enum import_state { IMPORT_NEVER, IMPORT_BEGUN, IMPORT_DONE };

/* The checkpoint that is being made: the rows collected from memory, and the store's part. */
struct next_checkpoint {
	struct rows rows;
	bool collected;
	mq_qoff applied;	/* the rows have the records of MQFS_META before this one ... */
	mq_pos end;		/* ... the last of which ends here in the log */
	bool as_slave;		/* the broker's role when the rows were collected */
	struct store_checkpoint views;
	bool have_views;
	bool failing;		/* the last checkpoint has failed, which was logged */
};

/* The checkpoint in LMDB. */
struct saved_checkpoint {
	bool once;		/* LMDB holds one */
	mq_qoff applied;
	_Atomic int64_t mark;	/* bytes */
	bool as_slave;
	struct delays_state delays;
};

/* The last whole state in the log: rounds.c. */
struct last_round {
	mq_pos at;		/* where it begins in the log */
	int64_t bytes;		/* its size */
	bool failing;
};

/* Retention by topic: keep.c. */
struct keeping {
	bool changed;		/* a topic's configuration has changed since it was set in the store */
	int64_t told_queues;	/* number of the store's queues when that was done last */
	int64_t expired_hour;	/* hour since 1970 in which expired messages were last trimmed */
	int64_t seen_heads;	/* heads_moved of store_stats() when groups were last moved */
};

/* The versions and delays of a RocketMQ master's tables: take.c. */
struct told {
	struct data_version versions[CONFIG_FILES];	/* of topics and groups */
	json_t *delays;		/* delayOffset.json's table; NULL: none */
	bool delays_dirty;
};

/* The epochs of the log. */
struct history {
	struct epoch list[EPOCHS_MAX];
	struct epochs epochs;	/* uses `list` */
	bool changed;
};

/* Subscriptions with commits ahead of the log, oldest first: commit.c. */
struct pending_commits {
	struct subscription_entry *first, *last;
	size_t n;
};

/* A slave's commits: slave_commits.c. */
struct slave_commits {
	struct sorted list;	/* of struct unsettled */
	bool dirty;		/* a row of the list is to be written or deleted */
	int64_t last;		/* number of the newest commit */
	struct mark news;	/* moves with each commit on a slave */
	struct mark answered;	/* the master has answered the commits up to this number */
};

/* The thread that makes checkpoints; and the one that delivers (deliver.h). */
struct writer {
	struct thread thread;
	_Atomic bool stop;
	uint64_t nudges;	/* of store_written(), seen by the thread */
};

struct delivery {
	struct thread thread;
	_Atomic bool stop;
	_Atomic int demotions;	/* messages that were due before the last one are not delivered here */
};

struct offsets {
	const struct settings *settings;
	struct storedir *dir;
	struct store *store;
	struct host host;	/* stored in our records */
	struct tables *tables;	/* NULL: read-only, nothing is written */

	bool alone;		/* only one thread uses it, without its locks: registry_new() */
	struct lock shot;	/* RANK_SHOT: a snapshot or a cut, one at a time */
	struct lock turn;	/* RANK_TURN: a checkpoint or a cut, one at a time */
	struct lock lmdb;	/* RANK_LMDB: guards `next.rows`, `next.collected`, and writing to `tables` */

	struct lock apply;	/* RANK_APPLY: guards from here ... */
	struct batch batch;
	struct queue *meta_queue; /* NULL: read-only, and there is none */
	mq_qoff applied;	/* MQFS_META records before this one are in memory */
	int64_t applying;	/* number of the record that is being applied; -1: it comes not from the log */
	mq_pos applied_end;	/* end of the last applied record in the log */
	int64_t seen_queues;	/* number of the store's queues at the last search for new topics */
	enum import_state import;
	struct handover handover;
	struct last_round round;
	struct next_checkpoint next;
	struct saved_checkpoint saved;
	struct keeping keep;
	_Atomic bool damaged;	/* a record of MQFS_META could not be read */
	bool views_rebuilt;	/* views were made anew since LMDB's checkpoint */
	bool rebuilt;		/* LMDB's rows are of another past: the next checkpoint replaces all of them */
	bool epoch_is_due;	/* an epoch could not be begun yet: appends are refused until it is */
	bool stamp;		/* a copy of a snapshot until the next checkpoint */
	bool clamped;		/* commit_clamp() has moved places, which is not logged yet */
	unsigned char identity[16];

	struct lock registry;	/* RANK_REGISTRY: ... guards from here on */
	struct entries entries[ENTRY_KINDS];
	struct registry_entry *dirty;
	struct registry_entry *retired;	/* entries that a cut has removed; callers may still hold them */
	struct history history;
	struct told told;
	struct pending_commits pending;
	struct slave_commits slave_commits;
	struct data_version versions[CONFIG_FILES];	/* of our tables */
	_Atomic uint64_t rights_version;
	_Atomic uint64_t *rights_shown;	/* a copy of it; NULL: there is none */

	struct writer writer;
	struct delivery delivery;
	struct transactions *transactions;
	_Atomic int64_t logged;	/* where our newest record ends in the log, bytes */
	struct {
		_Atomic int64_t applied, checkpoints, failures, clamped;
	} count;
};

/* --- handover.c ---------------------------------------------------------------- */

int handover_load(struct offsets *o, struct tables *t);

/* Write STORE/config, while no checkpoint is made.  A failure is logged. */
void handover_write(struct offsets *o);
void handover_write_if_due(struct offsets *o);

/* --- offsets.c ---------------------------------------------------------------- */

/* Move lmdb/ to lost+found/lmdb.broken-N, with a note that says why. */
int offsets_set_aside(struct storedir *dir, const char *why);

/* The locks that a function needs, see HACKING.md. */
#define MUST_HOLD_APPLY(o) ((o)->alone ? (void)0 : MUST_HOLD(&(o)->apply))
#define MUST_HOLD_REGISTRY(o) ((o)->alone ? (void)0 : MUST_HOLD(&(o)->registry))

/* --- registry.c ---------------------------------------------------------------- */

void registry_clear(struct offsets *o);		/* frees all entries */

/* An empty registry without a store and without tables, for one thread alone: records can
 * be applied to it, nothing is written.  NULL: -ENOMEM; offsets_close() frees it. */
struct offsets *registry_new(const struct settings *settings, struct storedir *dir);

/* e is in no table any more; callers that hold it may read it until registry_clear(). */
void registry_retire(struct offsets *o, struct registry_entry *e);

/* Take an entry whose row is to be written off the list of these; NULL: there is none. */
struct registry_entry *registry_pop_dirty(struct offsets *o);

/* The name of a subscription, in `text`. */
struct subscription_name {
	char text[2 * RECORD_TOPIC_MAX + 2];
};

struct subscription_name subscription_name(const char *group, const char *topic);

/* Find an entry, also if it is gone; NULL: there is none.  It is a struct topic_entry, group_entry ... */
void *registry_find(struct offsets *o, enum entry_kind kind, const char *name);

/* Find or make an entry; one that is found may be gone, and a new one is gone until apply()
 * makes it living.  `id`: if it is 0, or taken, a new entry gets the next free one.  The caller
 * sets the group and the topic of a subscription.  NULL: -ENOMEM (or no id left). */
void *registry_make(struct offsets *o, enum entry_kind kind, const char *name, uint32_t id);

/* For each entry e of a kind, in the order of names; also those that are gone. */
#define EACH_ENTRY(o, kind, e)                                                              \
	for (size_t e##_i = 0; e##_i < (o)->entries[kind].by_name.n &&                      \
			       ((e) = (o)->entries[kind].by_name.items[e##_i]) != NULL; e##_i++)

/* Make e gone, or living; its row is to be written at the next checkpoint.  False: it was so already. */
bool registry_set_gone(struct offsets *o, struct registry_entry *e, bool gone);

/* An id for a topic that the log has no record of.  These count down from META_ID_MAX, since
 * the ids in records, ours or the master's, count up. */
uint32_t registry_implied_id(struct offsets *o);

/* The id that a new entry would get, for the record that makes it.  Takes `registry`. */
uint32_t registry_id(struct offsets *o, enum entry_kind kind, const char *name);

/* Queues of t up to the last one that ever held a message. */
int32_t topic_queues_used(struct offsets *o, const struct topic *t);

/* The owner of a group's retry topic and of its dead letters, whoever has them made: they hold messages of any
 * topic that the group consumes, and are for those who may consume as the group. */
struct owner topic_owner_by_group(const struct owner *group);

/* The first record of t, which was implied so far, has an id for it: t gets that one, if it is
 * free.  A process that has the topic's directory open looks it up again. */
void registry_renumber_topic(struct offsets *o, struct topic_entry *t, uint32_t id);

/* Make room for at least n queues, or places.  -ENOMEM. */
int registry_grow_queues(struct topic_entry *t, int32_t n);
int registry_grow_places(struct subscription_entry *s, int32_t n);

/* What was found out about rights and topics before does not count any more: offsets_rights_version(). */
void registry_changed(struct offsets *o);

/* The row of e is to be written at the next checkpoint. */
void registry_dirty(struct offsets *o, struct registry_entry *e);

/* Every row is to be written again at the next checkpoint. */
void registry_dirty_all(struct offsets *o);

/* From the part that callers hold to the entry.  Entries are not const, so const may be cast away. */
#define topic_entry_of(t) ((struct topic_entry *)(uintptr_t)(t))
#define group_entry_of(g) ((struct group_entry *)(uintptr_t)(g))
#define subscription_entry_of(s) ((struct subscription_entry *)(uintptr_t)(s))

/* --- entry.c: the caller holds `registry` ------------------------------------------ */

/* The record that makes e as it is now; meta_free() it.  It has the group's offsets only if
 * with_offsets.  -ENOMEM. */
int entry_meta(const struct registry_entry *e, bool with_offsets, struct meta *ret_m);

/* Must e be logged?  An attr without an owner and an ACL need not be. */
bool entry_says_something(const void *entry);

/* --- apply.c ------------------------------------------------------------------ */

/* Bring memory to the state that m has; the second time changes nothing.  MQ_OK also if m does
 * not fit (it is logged then); -ENOMEM: nothing was done, and the caller may try again. */
int apply(struct offsets *o, const struct meta *m);

/* --- subscription.c ------------------------------------------------------------------ */

/* The record that ends it. */
struct meta unsubscribe_meta(const struct subscription *sub);

/* --- change.c ----------------------------------------------------------------------- */

/* May topics and groups be changed on this broker?  -EROFS, MQ_EROLE; noted. */
int change_allowed(const struct offsets *o);

/* Log n changes and apply them.  On failure the changes before the failing one are made.  *ret_end (may be
 * NULL) is where the last of their records ends. */
int change_all(struct offsets *o, const struct meta *m, size_t n, mq_pos *ret_end);
int change_one(struct offsets *o, const struct meta *m);

/* Changes that are made in batches, with all members but `o` and in_memory 0 at first. */
struct changes {
	struct offsets *o;
	bool in_memory;		/* they are applied as told ones, and not logged */
	struct meta list[64];
	size_t n;
	mq_pos end;		/* of the last record that was logged */
	int rc;			/* sticky */
};

/* Add m, which is taken over; and make the changes that were added and not made yet. */
void changes_add(struct changes *c, struct meta *m);
void changes_make(struct changes *c);

/* As change_one(), but without asking change_allowed(), and m is the first record that is
 * appended (store_append_first()). */
int change_first(struct offsets *o, const struct meta *m, mq_pos *ret_end);

/* A record of ours ends there in the log: offsets_logged() is that, or what it was if that is more.  A
 * cut of the log begins it anew. */
void change_note_logged(struct offsets *o, mq_pos end);

/* Apply the records that are in the log and not in memory. */
int change_follow(struct offsets *o);

/* The same, and, if the store has got queues since the last call, add topics that are known only by queues in
 * the store (RocketMQ's, or a master's that we follow), and queues beyond the number that their topic has. */
int change_follow_all(struct offsets *o);

/* --- commit.c ------------------------------------------------------------------ */

/* Log the commits that are pending now; on a slave they become unsettled commits.  Commits
 * made meanwhile wait for the next call, so this call has an end. */
int commit_gather(struct offsets *o);

/* The same for a caller without the lock `apply`, which is taken for a few records at a time so
 * that other threads can take it in between. */
int commit_gather_in_steps(struct offsets *o);

/* Pending commits become unsettled commits. */
int commit_unsettle(struct offsets *o);

/* An offset of s is ahead of the log: the next commit_gather() logs it. */
void commit_pend(struct offsets *o, struct subscription_entry *s);

/* Log that an offset of sub is `to`. */
int commit_log_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* A master is about to append: set offsets beyond their queue's end to the end.  (They come from
 * RocketMQ's tables, or from damage, and those messages never came.  If they stayed, the group
 * would miss as many of the next messages.)  commit_clamp() does it in memory;
 * commit_log_clamped() logs it, also after a failure of an earlier call. */
void commit_clamp(struct offsets *o);
int commit_log_clamped(struct offsets *o);

/* [min, end] of a topic's queue; min = end when it holds no message. */
void commit_span(struct offsets *o, const struct topic *t, int32_t queue_id, mq_qoff *ret_min,
		 mq_qoff *ret_end);

/* --- slave_commits.c ---------------------------------------------------------------------- */

/* Offsets of s that are ahead of the log become unsettled commits.  -ENOMEM. */
int slave_commits_take(struct offsets *o, const struct subscription_entry *s);

/* An explicit reset on a slave becomes an unsettled commit, and the offset moves at once.
 * -ENOMEM. */
int slave_commits_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* The record that is being applied sets the offset of a queue to v.  True: the commit stays
 * unsettled, and *ret_at is the offset that consumers see. */
bool slave_commits_merge(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
			 bool reset, int64_t *ret_at);

/* The record that is being applied makes or removes s: its commits from before are settled. */
void slave_commits_drop(struct offsets *o, const struct subscription_entry *s);

/* A RocketMQ master's table, which was asked for at asked_ms, has v.  True: the commit stays
 * unsettled, and v is not taken. */
bool slave_commits_merge_told(struct offsets *o, const struct subscription_entry *s, int32_t queue_id, int64_t v,
			      int64_t asked_ms);

/* Collect rows to be written, say whether they were, and load one.  If they were not, the next
 * call collects all of them again.  Without `take` they are as little written as before. */
void slave_commits_collect(struct offsets *o, struct rows *r, bool settled_too, bool take);
void slave_commits_collected(struct offsets *o, bool ok);
int slave_commits_load(struct offsets *o, const struct unsettled *w);

/* Called before and after memory is made anew from a log that has become shorter: all offsets
 * become unsettled commits first, which are sent to the master of that log. */
int slave_commits_before_cut(struct offsets *o);
void slave_commits_after_cut(struct offsets *o);

/* This broker has become the master: log its unsettled commits. */
int slave_commits_log(struct offsets *o);

void slave_commits_free(struct offsets *o);
int64_t slave_commits_count(struct offsets *o);		/* takes `registry` */

/* The version of rounds.  1: they also have the ends of queues; 2: and of deliveries.  After a round of an older
 * version the next one is due at once. */
#define ROUND_FORM 2

/* --- rounds.c ------------------------------------------------------------------- */

/* Add a record of how far the delivery of each level has come, if one has. */
void changes_add_delays(struct changes *c);

/* Log the whole state, if the log has grown so much since the last time that retention may
 * soon remove that round. */
int round_if_due(struct offsets *o);

/* This broker has become the master: log the whole state, if there are entries from a RocketMQ
 * master's tables, of which the log has no record. */
int round_of_told(struct offsets *o);

/* --- keep.c --------------------------------------------------------------------- */

/* Set in the store which queues drop, trim messages past their topic's own retention time,
 * and move groups whose next messages were removed. */
void keep_messages(struct offsets *o);

/* --- history.c ------------------------------------------------------------------ */

/* Begin an epoch: its record is the first that is appended from here on, and on disk
 * when this returns.  The caller holds `lmdb`, for the identity, and `apply`. */
int epoch_begin(struct offsets *o);

/* A master has been mounted: begin an epoch if history.c's table says so. */
int epoch_begin_if_due(struct offsets *o);

/* --- cut.c --------------------------------------------------------------------- */

/* If a cut was begun before the last exit, finish it.  The caller does not hold `apply`. */
int cut_finish(struct offsets *o);

/* --- checkpoint.c ------------------------------------------------------------------ */

void *checkpoint_main(void *arg);

/* Make a checkpoint. */
int checkpoint_now(struct offsets *o);

/* Unsettled commits are on the disk when this returns.  The caller does not hold `apply`. */
int checkpoint_slave_commits(struct offsets *o);

/* Write our identity, before the log has an epoch that names it.  The caller holds `lmdb`. */
int checkpoint_identity(struct offsets *o);

/* --- collect.c -------------------------------------------------------------------- */

/* Add the rows of what has changed in memory since it was last taken; the caller holds `apply`.
 * With `take` it is not changed any more, unless the call fails; without, it is as before.
 * Returns r->err. */
int collect_changed(struct offsets *o, struct rows *r, bool take);

/* Add the rows of the views: the store's part of a checkpoint; one queue of it. */
void collect_views(struct rows *r, const struct store_checkpoint *cp);
void collect_queue(struct rows *r, const struct queue_row *row);

/* --- load.c -------------------------------------------------------------------- */

/* Read tables into an empty registry; ret_cp NULL: without the rows of queues.  MQ_ECORRUPT: the caller is to
 * set them aside. */
int load_rows(struct offsets *o, struct tables *t, struct store_checkpoint *ret_cp);

/* --- import.c ------------------------------------------------------------------ */

int import_rocketmq(struct offsets *o);

/* The file in STORE/config, or its .bak, and the sum of its text.  NULL: neither is there, or can be
 * used (which is logged). */
json_t *import_file(int store_fd, enum config_file file, uint32_t *ret_sum);

#endif
