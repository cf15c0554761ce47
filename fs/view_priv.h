/* view_priv.h - what the parts of a view share.
 *
 *   view.c     opening, reading, how long it is
 *   source.c   the queues behind it, and the message that comes next
 *   run.c      one stretch of the log, read at once
 *   seek.c     from a byte to the message that holds it
 *   keyed.c    where the key index says that there are messages
 */
#ifndef MQFS_FS_VIEW_PRIV_H
#define MQFS_FS_VIEW_PRIV_H

#include "conf/clock.h"
#include "fs/view.h"
#include "store/filter.h"

struct scratch;

#define BATCH_ENTRIES 128	/* of each source, read ahead */
#define RUN_BYTES (256 * 1024)	/* of the log, read at once */

struct source {
	struct queue *q;
	mq_qoff from, to;
	mq_qoff next;
	mq_qoff shown;		/* messages before it have been read, in part at least */
	_Atomic uint32_t cuts;	/* number of cuts of q's end that this source has noticed */
	mq_qoff limit;		/* from here on the queue has other messages than were read: ESTALE */
	struct queue_entry entries[BATCH_ENTRIES];
	size_t at, n;		/* of entries: entries[at] is message `next` */
};

/* A place that was measured: message and byte. */
struct place {
	int64_t message;
	int64_t byte;
};

struct view {
	struct mount *m;
	enum topic_format format;
	int per_message;	/* -1: depends on the message */
	int64_t byte;		/* where the cursor's message begins */
	bool in_slices;
	int64_t until_ms;	/* by clock_mono_ms(): look no longer than that; 0: as long as it takes */
	struct filter *filter;	/* NULL: every message is shown */
	mq_pos *keyed;		/* with a key: where messages with it may be, in log order, */
	size_t n_keyed;
	mq_pos keyed_end;	/* which is complete before here; 0: the index was not used */
	struct place *places;	/* json, one source: some of those passed */
	size_t n_places, max_places;
	size_t n;
	struct source src[];
};

/* Begin at message `from`, end before `to`. */
void source_begin(struct source *s, struct queue *q, mq_qoff from, mq_qoff to);

/* Check whether the queue's end was cut.  A source that has read none of the removed messages
 * continues; any other gets MQ_EGONE from there on. */
void source_look(struct source *s);

/* Where it ends now, or where its range ends. */
mq_qoff source_end(const struct source *s);
void source_step(struct source *s);
void source_seek(struct source *s, mq_qoff to);

/* The source whose next message comes first in the log.  MQ_EEND: no source has one.  MQ_ELATER:
 * time is up; messages skipped so far stay skipped. */
int source_first(struct view *v, struct source **ret_src, const struct queue_entry **ret_entry);

/* Of a message at `pos`: could the filter want it?  If not, *ret_next is where one may be next
 * (pos itself: right behind it). */
bool keyed_may_be(const struct view *v, mq_pos pos, mq_pos *ret_next);

/* Look the filter's key up.  MQ_OK also when that does not help. */
int keyed_look_up(struct view *v, const char *topic);

/* Messages that follow one another in the log, to be read at once. */
struct run {
	struct queue_entry entries[BATCH_ENTRIES];
	struct source *src[BATCH_ENTRIES];
	mq_qoff number[BATCH_ENTRIES];
	size_t n;
	int64_t bytes;		/* rendered, as far as known (json: bodies) */
	const unsigned char *log; /* the bytes that were read, or where they are mapped */
	bool checked;		/* all of them were checked before */
	struct raw_map map;	/* bytes NULL: not mapped */
};

/* Collect messages from the cursor on, as many as `want` bytes take; the sources
 * step over them.  MQ_EEND if there is none. */
int run_collect(struct view *v, size_t want, struct run *run);

/* Step the sources back over the run's messages from index `from` on, which were not used. */
void run_give_back(struct run *run, size_t from);

static inline bool
view_time_is_up(const struct view *v)
{
	return v->until_ms && clock_mono_ms() >= v->until_ms;
}

/* Is the record, as run_record() gave it, one that the view shows? */
static inline bool
view_shows(const struct view *v, const struct record *rec)
{
	return !v->filter || filter_wants(v->filter, rec->props, (size_t)rec->props_len);
}

/* Map what was collected, if all of it was checked before, is in memory, and is shown as it is stored; until
 * run_unmap().  False: read it. */
bool run_map(struct view *v, struct run *run);
void run_unmap(struct view *v, struct run *run);

/* Read what was collected, into scratch. */
int run_read(struct view *v, struct run *run, struct scratch *scratch);
int run_read_log(struct view *v, mq_pos pos, void *buf, size_t len);

/* The record of entry i, checked unless it was before, valid until the next call
 * of this thread.  Only the body is set where the format needs no more.  -EIO, noted: it is damaged, or missing.
 * MQ_EEND: it is mapped, and has to be read. */
int run_record(const struct view *v, const struct run *run, size_t i, struct record *rec);

/* Put the cursor on the message that holds `byte`, or behind the last one. */
int seek_byte(struct view *v, int64_t byte);

/* Begin `count` messages before the end of all sources together. */
int seek_last(struct view *v, int64_t count);

/* json: go to `byte` by measuring what lies between; remember where message is. */
int seek_measuring(struct view *v, int64_t byte);
void seek_remember(struct view *v, int64_t message);

#endif
