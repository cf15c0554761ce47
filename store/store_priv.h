/* store_priv.h - what the parts of the store share. */
#ifndef MQFS_STORE_STORE_PRIV_H
#define MQFS_STORE_STORE_PRIV_H

#include <pthread.h>

#include "conf/thread.h"
#include "store/commitlog.h"
#include "store/delays.h"
#include "store/keyindex.h"
#include "store/queues.h"
#include "store/store.h"
#include "store/storedir.h"
#include "store/wallclock.h"

struct store {
	const struct settings *settings;
	struct storedir *dir;
	int commitlog_fd, consumequeue_fd, byteindex_fd, index_fd, lostfound_fd, durable_fd;

	struct fdcache *files;
	struct commitlog log;
	struct queues queues;
	struct keyindex *index;
	struct delays delays;
	struct mark dispatched;
	struct store_recovery recovery;

	struct lock checkpoint_lock;
	struct lock turn_lock;		/* one of retention and a cut removes segments */
	pthread_cond_t turn_over;
	bool turn_taken;
	bool index_failing;		/* with the log's lock */

	struct thread flusher, retention;
	struct scrub *scrub;		/* NULL: it does not run */
	struct lock sealed_lock;	/* one at a time changes a sealed segment */
	_Atomic int64_t generation;	/* of the log: another after each cut; with sealed_lock */
	struct wallclock clock;
	struct mark closing;		/* never moves: the clock of both */

	_Atomic int64_t cuts, cut_bytes, steady;
	_Atomic int refuses;		/* changes with the log's lock */

	_Atomic int64_t appended_messages, appended_bytes;
	_Atomic bool disk_full;
	_Atomic int disk_used_percent;
	_Atomic int64_t disk_excess_bytes; /* above diskSpaceCleanForciblyRatio, <= 0: none */

	_Atomic int64_t checkpointed;	/* a replay begins here */
	_Atomic bool moment;		/* between store_moment() and store_moment_over() */
	_Atomic int64_t retention_ms, retention_rounds;
	_Atomic int64_t removed_segments, removed_bytes;
};

/* The next mount is to make the views anew. */
int store_views_are_stale(struct store *s);

/* One at a time. */
void store_turn_begin(struct store *s);
void store_turn_end(struct store *s);

#endif
