/* lock.h - mutexes with one order for the whole program.
 *
 * A thread takes locks from the top of this list to the bottom, never the
 * other way; two of the same rank are never held together unless the rank
 * says so.  Developer builds (--enable-lock-order) check it at every take.
 *
 * No lock is held across a socket call, a wait on a mark, or a call into a
 * view it does not own.  A turn (RANK_SHOT, RANK_TURN, RANK_LMDB) is the exception:
 * it makes the long tasks of one kind follow each other, and its holder may wait.
 *
 * A function that needs its caller to hold a lock begins with
 * MUST_HOLD(&x->lock); developer builds check that, too.
 */
#ifndef MQFS_CONF_LOCK_H
#define MQFS_CONF_LOCK_H

#include <pthread.h>

enum lock_rank {
	RANK_HANDLE = 1,	/* fs: one open file */
	RANK_AHEAD,		/* fs: what is read ahead of one open file */
	RANK_AHEAD_JOBS,	/* fs: files to read ahead of */
	RANK_SEARCHES,		/* fs: reads that search for matching messages */
	RANK_PENDING,		/* fs: requests that wait */
	RANK_ROLE,		/* fs: a change of role */
	RANK_REPLICATION,	/* repl: what is known of mqrepld and its peers */
	RANK_EXCHANGE,		/* net: requests that wait, ours and those of peers */
	RANK_CHILD,		/* net: whether a daemon of ours runs */
	RANK_KEEPER,		/* fs: news of snapshots */
	RANK_TABLE,		/* fs: handle table, interned names */
	RANK_TRANSACTIONS,	/* offsets: whether a half message is open */
	RANK_STATS,		/* remoting: what is counted */
	RANK_SHOT,		/* offsets: one snapshot or cut at a time */
	RANK_TURN,		/* offsets: one checkpoint or cut at a time */
	RANK_LMDB,		/* offsets: rows go from memory to LMDB */
	RANK_APPLY,		/* offsets: one change at a time goes log -> memory */
	RANK_REGISTRY,		/* offsets: topics, groups, committed offsets in memory */
	RANK_CHECKPOINT,	/* store: one checkpoint at a time */
	RANK_QUEUE_APPEND,	/* store: one write(2) into one queue; several: queues_append_begin() */
	RANK_SEALED,		/* store: who changes a sealed segment */
	RANK_LOG,		/* store: the end of the commit log */
	RANK_DELAYS,		/* store: what is delivered later */
	RANK_QUEUES,		/* store: table of queues */
	RANK_INDEX,		/* store: key index */
	RANK_QUEUE,		/* store: one queue's newest entries */
	RANK_FLUSH,		/* store: who syncs the log just now */
	RANK_FILES,		/* store: cache of open files */
	RANK_SNAPSHOTS,		/* store: list of snapshots */
	RANK_SCRUB,		/* store: what the scrub has found */
	RANK_WALLCLOCK,		/* store: the believed time, wallclock.h */
	RANK_JUDGE_EDIT,	/* remoting: one change of a file of accounts at a time */
	RANK_JUDGE,		/* remoting: which files of accounts there are */
	RANK_INTAKE,		/* remoting: messages that wait for a disk or for slaves */
	RANK_RING,		/* remoting: answers to mqremoted */
	RANK_SETTINGS,		/* conf: text settings that change while mounted */
	RANK_MARK,		/* a leaf: nothing is called while it is held */
};

struct lock {
	pthread_mutex_t mutex;
	enum lock_rank rank;
};

/* For a lock that lives as long as the program. */
#define LOCK_STATIC(r) { .mutex = PTHREAD_MUTEX_INITIALIZER, .rank = (r) }

void lock_init(struct lock *l, enum lock_rank rank);
void lock_destroy(struct lock *l);
void lock_take(struct lock *l);
void lock_drop(struct lock *l);

/* Stop the program if this thread does not hold l.  No code without --enable-lock-order. */
#ifdef MQFS_LOCK_ORDER
void lock_must_be_held(const struct lock *l, const char *file, int line);
#define MUST_HOLD(l) lock_must_be_held((l), __FILE__, __LINE__)
#else
#define MUST_HOLD(l) ((void)(l))
#endif

/* Waits on cond with l held, the innermost, as pthread_cond_timedwait(3) on CLOCK_MONOTONIC;
 * timeout_ms -1: for ever.  Returns 0 or ETIMEDOUT. */
int lock_wait(struct lock *l, pthread_cond_t *cond, int timeout_ms);

/* A condition variable whose clock is CLOCK_MONOTONIC, as lock_wait() wants. */
void cond_init(pthread_cond_t *cond);

static inline void
lock_drop_ptr(struct lock **l)
{
	if (*l)
		lock_drop(*l);
}

/* Held until the end of the block. */
#define LOCKED(l) LOCKED_AS(l, __COUNTER__)
#define LOCKED_AS(l, n) LOCKED_NAMED(l, n)
#define LOCKED_NAMED(l, n)                                                     \
	__attribute__((cleanup(lock_drop_ptr), unused)) struct lock *held_##n = (l); \
	lock_take(held_##n)

#endif
