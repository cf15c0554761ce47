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
	struct mark closing;		/* never moves: flusher and retention sleep until it is closed */

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

#define FDS_OURS 512			/* descriptors for segments and view files */
#define REPLAY_BYTES (256LL << 20)	/* of log between two writes of the key index */

/* --- opening: store.c --------------------------------------------------------------------------- */

/* One without any part, for store_close(); NULL: no memory. */
struct store *store_new(const struct settings *settings, struct storedir *dir, const struct delays_state *delays);

/* Open the queues' files.  A read-only mount makes all views anew in its private place, and does not
 * read those that RocketMQ or an earlier mount has written. */
int store_open_queues(struct store *s);

/* Set the end of each queue, which the log does not say once its messages are removed. */
int store_adopt_rows(struct store *s, const struct store_checkpoint *cp);

/* --- recovery: store_recover.c -------------------------------------------------------------------- */

/* Replay the log behind the checkpoint into the views, set the log's end, and say so in s->recovery. */
int store_recover(struct store *s, const struct store_checkpoint *cp);

/* Write what was put into the key index to its files, so that a long replay fits in memory. */
int store_spill_index(struct store *s);

/* --- while it is open: store.c --------------------------------------------------------------------- */

/* The next mount is to make the views anew. */
int store_views_are_stale(struct store *s);

/* Retention and a cut remove segments one after the other. */
void store_turn_begin(struct store *s);
void store_turn_end(struct store *s);

#endif
