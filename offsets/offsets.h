/* offsets.h - topics, groups, subscriptions and committed offsets: a view of
 * the MQFS_META records of the log, in memory, and in LMDB at each checkpoint.
 *
 *      change ──> MQFS_META record in the log ──> apply ──> memory
 *                                                   every second or so: LMDB
 *                                                   (rows and mark in one transaction)
 *
 * A change call returns when its record is stored and applied, so the caller
 * sees it.  Durability is a wait on the mark `flushed` for offsets_logged().
 * After a crash the rows of LMDB are loaded, and the records behind them applied.
 *
 * On a slave and on a read-only mount changes are refused (MQ_EROLE, -EROFS), but
 * for commits on a slave, which go to its master, see below.  On a read-only
 * mount commit_forward() moves offsets in memory.  A slave applies the records of
 * its master every flushIntervalConsumeQueue.
 *
 * Threads: any.  Pointers to topics, groups and subscriptions stay valid
 * until offsets_close(): one that was removed is only marked (->gone), and is
 * used again, with the same id, if it is made again.
 */
#ifndef MQFS_OFFSETS_OFFSETS_H
#define MQFS_OFFSETS_OFFSETS_H

#include "conf/settings.h"
#include "offsets/epochs.h"
#include "offsets/meta.h"
#include "store/store.h"
#include "store/storedir.h"

struct offsets;

/* Open LMDB in dir (lmdb/; read-only it is only read, and changes of memory are
 * not kept) and give where the store's views stood, for store_open(); to be freed
 * with store_checkpoint_free().  A broken environment is set aside
 * (lost+found/lmdb.broken-N, logged) and everything is rebuilt from the log. */
int offsets_open(const struct settings *settings, struct storedir *dir, struct offsets **ret_o,
		 struct store_checkpoint *ret_cp);

/* Bring the view up to the log, import config/ *.json of a RocketMQ store seen
 * for the first time, register topics that only have queues, start the
 * checkpoint thread. */
int offsets_start(struct offsets *o, struct store *s);

/* From here on messages are delivered when they are due: the thread is started that appends them
 * to their queues.  To be called once, when the ends of queues have been looked at for writes
 * that a dead broker had begun (fs/estate.h). */
int offsets_deliver(struct offsets *o);

/* Last checkpoint, stop, free.  Before store_close().  Accepts NULL.
 * The result says whether the last checkpoint reached the disk. */
int offsets_close(struct offsets *o);

/* A checkpoint now (also done by itself every flushIntervalConsumeQueue, or later where
 * many queues have changed, and after every 64 MiB of log).  */
int offsets_checkpoint(struct offsets *o);

/* On a slave, before a name is looked up: apply the records that the master's log has
 * brought so far.  Costs a lock when there are none. */
int offsets_follow(struct offsets *o);

/* Take a snapshot: pending commits are logged, and memory as it is then is kept as tables, with the
 * log up to there (store/snapshot.h).  Appends and checkpoints go on.  On failure nothing is left:
 * -EEXIST, -EINVAL (noted), -EROFS, -ENOSPC, -EIO ... */
struct snapshots;
struct snapshot;
int offsets_snapshot(struct offsets *o, struct snapshots *ss, const char *name, struct snapshot **ret);

/* The end of the newest record, or message that was sent back, that this broker has logged: all of
 * them are durable when the mark `flushed` has passed it.  Records of a master are not counted. */
mq_pos offsets_logged(const struct offsets *o);

/* --- RocketMQ's four tables ---------------------------------------------------
 *
 * The tables that its slaves ask a master for, and that are in its config/ *.json (rocketmq.h). */

enum config_file { CONFIG_TOPICS, CONFIG_GROUPS, CONFIG_OFFSETS, CONFIG_DELAYS, CONFIG_FILES };

/* A table as it is now, compact, as RocketMQ prints it: malloc'ed.  The DataVersion of topics and
 * of groups is another one after each change and each start; that of offsets in each call, since
 * they move all the time (4.x ignores it, 5.x fails without). */
int offsets_export(struct offsets *o, enum config_file file, char **ret_text, size_t *ret_len);

/* Another number after each change of topics or groups. */
int64_t offsets_tables_version(struct offsets *o);

/* Another number whenever a topic or a group, an owner, a mode, an access list, a name or a subscription is
 * another, or a queue was trimmed. */
uint64_t offsets_rights_version(const struct offsets *o);

/* Keep that version at *place, too, from now on, for a process that shares this memory; NULL: no more. */
void offsets_show_rights_version(struct offsets *o, _Atomic uint64_t *place);

/* On a slave of a RocketMQ master: apply a table that it was asked for at asked_ms
 * (clock_mono_ms()), the tables in the order of the enum.  Topics and groups that an earlier
 * table had and this one has not are removed; offsets only move forward, and not over an
 * unsettled commit; the delays are kept for export.
 *
 * None of that is in the log until this slave becomes the master.
 *
 * MQ_ECORRUPT, noted: not such a table; nothing was applied.  An entry that is not possible
 * here (its name, too many queues) is left out, with a line in the log.  MQ_EROLE: no slave. */
struct json_t;
int offsets_take(struct offsets *o, enum config_file file, const struct json_t *object, int64_t asked_ms);

/* --- topics --------------------------------------------------------------- */

enum entry_kind { ENTRY_TOPIC, ENTRY_GROUP, ENTRY_SUBSCRIPTION, ENTRY_ATTR, ENTRY_KINDS };

/* What a topic, a group and a subscription begin with; the last four members are registry.c's. */
#define ENTRY_MEMBERS                                                                               \
	const char *name;	/* of a subscription: GROUP/TOPIC */                                \
	uint32_t id;		/* 1 ..: stable for this store, 24 bits */                          \
	_Atomic bool gone;                                                                          \
	_Atomic uint32_t life;	/* how often it was made since the mount */                         \
	enum entry_kind kind;                                                                       \
	bool dirty;		/* in offsets.dirty: its row is to be written */                    \
	bool told;		/* a RocketMQ master's tables have it, and no record of the log */  \
	struct registry_entry *next;	/* in offsets.dirty or offsets.retired */

struct registry_entry {
	ENTRY_MEMBERS
};

#define ENTRY                         \
	union {                       \
		struct registry_entry entry;   \
		struct {              \
			ENTRY_MEMBERS \
		};                    \
	}

struct topic {
	ENTRY;
	_Atomic bool leaving;	/* topic_delete() is looking whether anything is in it */
};

struct topic *topic_find(struct offsets *o, const char *name);	/* NULL: none, or gone */

/* If `name` is a topic of the system: know it, and all its queues, from now on.  No record says that there are any:
 * the messages do, and are looked at for that every flushIntervalConsumeQueue. */
void topic_notice(struct offsets *o, const char *name);

struct topic *topic_by_id(struct offsets *o, uint32_t id);	/* also gone ones */
void topic_conf(struct offsets *o, const struct topic *t, struct topic_conf *ret_conf);
int32_t topic_queues(struct offsets *o, const struct topic *t);
int32_t topic_queues_writable(struct offsets *o, const struct topic *t);

/* The store's queue behind a topic's queue: made on first use. */
int topic_queue(struct offsets *o, struct topic *t, int32_t queue_id, struct queue **ret_q);

/* The same, NULL if it was never made. */
struct queue *topic_queue_if_any(struct offsets *o, const struct topic *t, int32_t queue_id);

/* What a new topic is by the settings: topic_conf_default(), and onFull. */
void topic_conf_new(const struct offsets *o, struct topic_conf *ret_conf, const char *name, int32_t queues);

/* Make it.  -EEXIST; -EINVAL bad name; -EPERM, noted, a name of the system.  A topic of a group
 * (meta_topic_group()) gets its owner from the group, whatever conf says, and is for those who may consume
 * as the group; -EPERM, noted: there is no such group. */
int topic_create(struct offsets *o, const struct topic_conf *conf, struct topic **ret_t);

/* The same with any good name, by the broker itself. */
int topic_create_own(struct offsets *o, const struct topic_conf *conf, struct topic **ret_t);

/* Replace its configuration.  Queues can be added, and removed if they have never held a message
 * and the topic has no subscription, and no more are read or appended to than there are: else -EINVAL,
 * noted; topic_may_change() tells beforehand. */
int topic_may_change(struct offsets *o, struct topic *t, const struct topic_conf *conf);
int topic_change(struct offsets *o, struct topic *t, const struct topic_conf *conf);

/* -ENOTEMPTY while it holds messages, -EBUSY with subscriptions.  What is appended between
 * topic_append_begin() and _end() is either seen by it, or refused. */
int topic_delete(struct offsets *o, struct topic *t);

/* Drop its messages, end its subscriptions, and remove it, while appends wait.  No subscription
 * ends before all messages are dropped. */
int topic_remove(struct offsets *o, struct topic *t);

/* As queue_append_begin() for q, which is one of its queues.  -ESTALE: it was removed. */
int topic_append_begin(struct offsets *o, struct topic *t, struct queue *q);
void topic_append_end(struct queue *q);

/* Append a message to q, one of its queues or one in which the message waits for it.  -ESTALE: the topic
 * was removed; other errors as store_append(). */
int topic_append(struct offsets *o, struct topic *t, struct queue *q, const struct message *m, struct appended *ret);

/* Does it take messages?  No: topic_append_begin() would wait, or fail.  For a caller that holds the
 * append locks of several queues. */
bool topic_takes(const struct topic *t);

/* Drop every message of it / of one queue before `min`. */
int topic_purge(struct offsets *o, struct topic *t);
int topic_trim(struct offsets *o, struct topic *t, int32_t queue_id, mq_qoff min);

/* Names in order, for readdir: the first topic after `after` ("" = the first),
 * system topics and gone ones left out.  NULL at the end. */
struct topic *topic_next(struct offsets *o, const char *after);

/* --- groups ---------------------------------------------------------------- */

struct group {
	ENTRY;
};

struct group *group_find(struct offsets *o, const char *name);
struct group *group_by_id(struct offsets *o, uint32_t id);
void group_conf(struct offsets *o, const struct group *g, struct group_conf *ret_conf);

/* -EPERM, noted: a name of the system, or a retry topic of that name has been left by another user's group. */
int group_create(struct offsets *o, const struct group_conf *conf, struct group **ret_g);
/* With its owner or mode, those of its retry topic and dead letters change. */
int group_change(struct offsets *o, struct group *g, const struct group_conf *conf);
int group_delete(struct offsets *o, struct group *g);	/* -ENOTEMPTY with subscriptions */
struct group *group_next(struct offsets *o, const char *after);

/* --- subscriptions and committed offsets ------------------------------------ */

struct subscription {
	ENTRY;
	struct group *group;
	struct topic *topic;
};

struct subscription *subscription_find(struct offsets *o, struct group *g, struct topic *t);
struct subscription *subscription_by_id(struct offsets *o, uint32_t id);
struct subscription *subscription_next(struct offsets *o, struct group *g, const char *after_topic);

/* Starts at each queue's end, or at its first message if the group says so. */
int subscription_create(struct offsets *o, struct group *g, struct topic *t, struct subscription **ret_sub);

/* The subscription of a group that has consumed.  If there is none it is made, in one step, and no
 * offset is known of any queue (committed_ever()): read as a file each starts at its first message,
 * so nothing is passed over that nobody has consumed. */
int subscription_of_consumer(struct offsets *o, struct group *g, struct topic *t, struct subscription **ret_sub);

/* -EPERM, noted, here and for its expression: the group is the system's. */
int subscription_delete(struct offsets *o, struct subscription *sub);

/* Get its tag expression ("*" = all), malloc'ed; and replace it. */
char *subscription_expression(struct offsets *o, struct subscription *sub);
int subscription_set_expression(struct offsets *o, struct subscription *sub, const char *expr);

/* The committed offset: the next message to consume, clamped into the queue's
 * [min, end].  Never guessed: -EIO if it cannot be known. */
int committed(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff *ret_at);

/* Is an offset of that queue known?  After subscription_of_consumer() only if there was a commit in
 * that queue. */
bool committed_ever(struct offsets *o, struct subscription *sub, int32_t queue_id);

/* Commit from consuming: moves forward only, in memory at once, in the log
 * within flushConsumerOffsetInterval (by way of the master, on a slave). */
int commit_forward(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to);

/* An explicit reset, either way; clamped into [min, end], which is counted and
 * logged; *ret_at (may be NULL) is where it landed.  -EPERM, noted: the group is the system's. */
int commit_reset(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to, mq_qoff *ret_at);

/* The same, only if it is `expected`: else -ESTALE. */
int commit_compare(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff expected,
		   mq_qoff to);

/* Write the pending commits of sub to the log now; *ret_end (may be NULL) is what
 * to wait for to have them durable.  MQ_EROLE on a slave: slave_commits_keep(). */
int commit_sync(struct offsets *o, struct subscription *sub, mq_pos *ret_end);

/* On a master: what a slave has committed when it knew `seen` records of MQFS_META.
 * Nothing if a reset has come since; otherwise as commit_forward() and commit_reset().
 * A caller that knows nothing of records says INT64_MAX. */
int commit_from_slave(struct offsets *o, struct subscription *sub, int32_t queue_id, mq_qoff to, int64_t seen,
		      bool reset);

/* --- commits made on a slave ---------------------------------------------------
 *
 * The offset moves here at once, and the commit is kept over restarts and sent to the
 * master, until the master's log shows it: until then it is unsettled.  unsettled.h has
 * the rule by which it is merged with that log.  A slave that becomes the master logs its own. */

struct slave_commit {
	char group[RECORD_TOPIC_MAX + 1], topic[RECORD_TOPIC_MAX + 1];
	int32_t queue_id;
	mq_qoff to;
	bool reset;		/* either way; else only forward */
	int64_t seen;		/* for commit_from_slave() */
	int64_t upto;		/* number of the newest commit in it */
};

/* Moves with each commit on a slave. */
struct mark *slave_commits_news(struct offsets *o);

/* Commits to send to the master now, at most max of them.  The caller gives the answer to
 * each with slave_commits_answer(); without an answer it is not due again. */
size_t slave_commits_due(struct offsets *o, struct slave_commit *list, size_t max);

enum slave_commit_answer {
	SLAVE_COMMIT_TAKEN,		/* the master has it; its log will show what became of it */
	SLAVE_COMMIT_TAKEN_UNLOGGED,	/* the master has it, and its log has no commits: it is RocketMQ */
	SLAVE_COMMIT_REFUSED,		/* the master will never take it: it is dropped */
	SLAVE_COMMIT_UNANSWERED,		/* there was no answer: it is due again */
};

void slave_commits_answer(struct offsets *o, const struct slave_commit *d, enum slave_commit_answer answer);

/* All unsettled commits are due again: there is a new connection to a master, perhaps another one. */
void slave_commits_all_due(struct offsets *o);

/* All commits made here are on the disk when this returns.  The master has answered those of
 * sub once the mark slave_commits_answered() has come to *ret_number. */
int slave_commits_keep(struct offsets *o, const struct subscription *sub, int64_t *ret_number);
struct mark *slave_commits_answered(struct offsets *o);

/* --- claims -------------------------------------------------------------------- */

/* One read-write opener per group queue: the process `pid` (0: unknown).  -EBUSY, with a
 * note that names the other one.  A claim is memory only. */
int consumer_claim(struct offsets *o, struct subscription *sub, int32_t queue_id, int32_t pid);

/* As `pid`: clients over the network consume the queue from here on; any number of them share it. */
#define CONSUMER_CLIENTS (-2)

int consumer_claim_any(struct offsets *o, struct subscription *sub, int32_t pid, int32_t *ret_queue_id);

/* Queues 0 to n - 1, or none of them. */
int consumer_claim_all(struct offsets *o, struct subscription *sub, int32_t n, int32_t pid);

/* Claim a free queue in which messages wait; -EAGAIN: there is none.  And: is there one? */
int consumer_claim_waiting(struct offsets *o, struct subscription *sub, int32_t pid, int32_t *ret_queue_id);
bool consumer_is_wanted(struct offsets *o, struct subscription *sub);

/* The group has no clients any more; NULL: no group has. */
void consumer_release_clients(struct offsets *o, const struct group *g);

/* Who has claimed it: a process, CONSUMER_CLIENTS, -1: an unknown process; 0: nobody. */
int32_t consumer_of(struct offsets *o, const struct subscription *sub, int32_t queue_id);

/* Is that a process, which consumes through a file of the mount? */
static inline bool
consumer_is_file(int32_t who)
{
	return who != 0 && who != CONSUMER_CLIENTS;
}

/* Consumers that wait for a free queue look again. */
void consumer_release(struct offsets *o, struct subscription *sub, int32_t queue_id);

/* --- owners, modes, ACLs of files in the tree ------------------------------- */

/* Own permissions of one path ("topics/T/q0"): false if it has none of its own. */
bool path_owner(struct offsets *o, const char *path, struct owner *ret);
int path_set_owner(struct offsets *o, const char *path, const struct owner *owner);

/* POSIX ACL of a path, as the kernel's xattr bytes: malloc'ed; -ENODATA. */
int path_acl(struct offsets *o, const char *path, unsigned char **ret_acl, size_t *ret_len);
int path_set_acl(struct offsets *o, const char *path, const unsigned char *acl, size_t len);

/* 16 bytes that tell this store from any other, also from one with the same log.  A copy
 * of a snapshot gets its own when it is mounted writable for the first time. */
const unsigned char *offsets_identity(const struct offsets *o);

/* --- epochs ------------------------------------------------------------------ */

/* The history of our log as far as it is kept: its newest epochs, at most `max`
 * (EPOCHS_MAX is enough for all); returns how many. */
size_t offsets_epochs(struct offsets *o, struct epoch *list, size_t max);

/* On a slave, while nothing is received: the log ends at `at`, where a record begins; what
 * lay behind is in lost+found/ with a note that says `why` (a sentence), all views are
 * back there.  Readers go on; see store/cut.h.
 *
 * MQ_OK      it is done (also when it ends there already)
 * -EINVAL    no record begins there; nothing was done
 * -EROFS     mounted read-only
 * others     it could not be finished: nothing must be appended; calling again goes on,
 *            and so does the next mount */
int offsets_cut(struct offsets *o, mq_pos at, const char *why);

/* The same, and all of the log goes to lost+found: it begins anew, empty, at `begin`,
 * where one of its segments would; its history is what `theirs` (NULL: nothing)
 * has before that. */
int offsets_reset(struct offsets *o, mq_pos begin, const struct epochs *theirs, const char *why);

/* A slave becomes the master, in this order: its store refuses all appends, its log ends
 * with a whole record; offsets_promote() brings memory up to the log and begins an
 * epoch, durably: the store takes appends; brokerRole changes; offsets_promoted() logs
 * the whole state, of which a RocketMQ master has put nothing into the log, and the
 * commits of this slave that its master had not taken. */
int offsets_promote(struct offsets *o);
void offsets_promoted(struct offsets *o);

/* A master is about to become a slave: what is pending is logged. */
void offsets_demote(struct offsets *o);

/* --- what status/ shows ------------------------------------------------------ */

struct offsets_stats {
	int64_t topics, groups, subscriptions;
	int64_t applied;		/* MQFS_META records applied */
	int64_t checkpoints, checkpoint_failures;
	int64_t checkpoint_at;		/* the mark in LMDB, bytes */
	int64_t offsets_clamped;
	int64_t unsettled;			/* commits that the master's log does not have yet */
	int64_t map_bytes;		/* LMDB's map */
	int64_t epoch;			/* the last one of the log, 0: none */
};

void offsets_stats(struct offsets *o, struct offsets_stats *ret);

#endif
