/* commitlog.h - the log: a row of equal segment files that is only appended to.
 *
 *   00000000000000000000  00000000001073741824  00000000002147483648
 *   ├ record record blank┤├ record record blank┤├ record ... zeros ──┤ + a spare
 *   begin                                              written
 *
 * A segment's name is the position of its first byte; all have the same size.
 * A record never spans two; what is left of a segment is a blank record.
 * Segments are allocated before they are used, so an append fails on a full disk
 * before it has written anything.
 *
 * One thread appends at a time (the log's lock); readers need none.
 */
#ifndef MQFS_STORE_COMMITLOG_H
#define MQFS_STORE_COMMITLOG_H

#include "conf/lock.h"
#include "store/batch.h"
#include "store/fdcache.h"
#include "store/mark.h"

struct commitlog {
	int dirfd;
	int durable_fd;			/* see durable.h; the caller closes it; -1: there is none */
	struct fdcache *files;
	bool read_only;
	int64_t segment_bytes;

	struct lock lock;		/* for the end: everything in this block */
	mq_pos end;			/* = mark written */
	struct fdref *tail;		/* the segment that is written to, NULL: not open */
	mq_pos tail_base;		/* where the tail begins */
	int64_t store_ms;		/* store time of the last record */
	_Atomic int64_t clock_backs;	/* store times went back: wallclock.h */
	int64_t zeroed;			/* blocks up to here are written: see write_ahead() */

	struct lock spare_lock;		/* rank RANK_FLUSH: one segment is made at a time */
	_Atomic int64_t allocated;	/* segments exist up to here */

	struct mark begin;		/* first segment kept */
	struct mark written;
	struct mark flushed;

	struct lock flush_lock;
	pthread_cond_t flush_done;
	bool flushing;
	_Atomic bool failed;		/* a sync or write failed: final */
	_Atomic bool why_known;
	char why[160];			/* the reason of that failure, if why_known */
	_Atomic int64_t flushes;
	_Atomic bool small_flushes;	/* the last flush synced only a few records */
};

/* Find the segments in dirfd (kept by the caller).  An existing log's segment
 * size wins over segment_bytes.  The end is not known yet: commitlog_set_end(). */
int commitlog_open(struct commitlog *log, int dirfd, int64_t segment_bytes, bool read_only, struct fdcache *files);
void commitlog_close(struct commitlog *log);

/* For a log whose `failed` is set: -EIO, with a note that it takes no more appends, and why. */
int commitlog_has_failed(const struct commitlog *log);

/* Where the segment that holds pos begins. */
static inline mq_pos
commitlog_segment_of(const struct commitlog *log, mq_pos pos)
{
	return MQ_POS(pos.byte - pos.byte % log->segment_bytes);
}

/* Set the end that recovery has found, before anything is appended.  The bytes behind it
 * are kept in lostfound_fd (unless -1) and made zero; *ret_cut is how many these were (not
 * set in a read-only log).  `synced`: up to here the log is known to be on disk. */
int commitlog_set_end(struct commitlog *log, mq_pos synced, mq_pos end, int64_t store_ms, int lostfound_fd,
		      int64_t *ret_cut);

/* Keep the bytes behind `at` in its segment in lost+found, with a note that says `why`
 * (a sentence).  commitlog_cut() is to follow, which keeps the other segments. */
int commitlog_keep(struct commitlog *log, mq_pos at, int lostfound_fd, const char *why);

/* Make the log end at `at`, where a record begins, durably; the marks move back.  Whole
 * segments behind it go to lost+found; a segment that a snapshot also links is not
 * shortened but replaced.  No thread appends meanwhile.  A failure is final for
 * appends (-EIO): the next mount finishes the cut. */
int commitlog_cut(struct commitlog *log, mq_pos at, int64_t store_ms, int lostfound_fd, const char *why);

/* Move all of the log to lost+found: it is empty then, and begins at `pos`.  -EINVAL where no
 * segment can begin; other failures are final, as for commitlog_cut(). */
int commitlog_begin_at(struct commitlog *log, mq_pos pos, int lostfound_fd, const char *why);

/* Append the entries of b in order, setting each record's queue offset (from the entry), its
 * position (also in the entry) and its store time, which goes back only as wallclock.h says.
 * Needs log->lock.  It moves the mark `written`; the caller calls mark_tell() for it.
 * Stops at the first failure: *ret_n are written; of a batch that belongs together all or none.
 * -ENOSPC, -EIO (final), -EMSGSIZE, -EROFS; another -errno (-EMFILE ...) when the
 * next segment could not be opened: the next append tries again. */
int commitlog_append(struct commitlog *log, struct batch *b, int64_t store_ms, size_t *ret_n);

/* Append bytes as a master sent them: pos must be the end (in an empty log: where a segment
 * can begin), and the bytes must lie within one segment, else MQ_ECORRUPT (noted), and nothing
 * has changed.  Lock, mark and other errors as commitlog_append(). */
int commitlog_append_raw(struct commitlog *log, mq_pos pos, const void *bytes, size_t len);

/* Make the next segment ahead of time, if the present one is half full. */
int commitlog_make_spare(struct commitlog *log);

/* Make the log durable up to `upto`, or up to its end if that is before (a cut may move the
 * end back meanwhile): one thread syncs for all that wait.  -EIO, noted: a sync or a write has
 * failed, now or before. */
int commitlog_flush(struct commitlog *log, mq_pos upto);

/* When the segment at base was last written to, seconds since 1970; 0: it is missing. */
int commitlog_segment_time(struct commitlog *log, mq_pos base, int64_t *ret_s);

/* Remove the first segment, durably; all of it must be flushed.  The log's begin moves behind
 * it first, so reading it fails with MQ_EGONE.  If the file cannot be removed, the begin moves
 * back. */
int commitlog_remove_first(struct commitlog *log);

/* Up to len bytes from pos, within its segment and below `end`.
 * MQ_EEND at the end; MQ_EGONE below the begin; -EIO for a missing segment. */
int commitlog_read(struct commitlog *log, mq_pos pos, mq_pos end, void *buf, size_t len, size_t *ret_n);

/* These bytes where the page cache has them: for mapped_try(), until *ret_ref is put.  NULL: it has not, or
 * they are not in one segment and below `end`, or cannot be mapped; reading says more. */
const unsigned char *commitlog_map(struct commitlog *log, mq_pos pos, mq_pos end, size_t len, struct fdref **ret_ref);

/* The first range of [pos, limit) that may hold bytes other than zero; it lies in one segment,
 * and may end behind limit.  False: there is none. */
bool commitlog_next_data(struct commitlog *log, mq_pos pos, mq_pos limit, mq_pos *ret_begin, mq_pos *ret_end);

/* Call it before data is looked for behind pos in its segment; see file_drop_cache(). */
int commitlog_drop_cache(struct commitlog *log, mq_pos pos);

/* The descriptor of pos's segment, for fdcache_put().  -EIO, noted: the segment is missing. */
int commitlog_segment(struct commitlog *log, mq_pos pos, struct fdref **ret_ref);

#endif
