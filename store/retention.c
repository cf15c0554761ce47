#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <time.h>

#include "conf/err.h"
#include "conf/log.h"
#include "store/retention.h"
#include "store/store_priv.h"

#define ROUND_SEGMENTS 10	/* a round removes so many at most */
#define LOOK_MS 500		/* the disk is measured at least so often */

/* --- the disk ----------------------------------------------------------------------- */

/* How full a directory's file system is; *ret_excess: the bytes by which it is too full. */
static int
used_percent(const struct store *s, int fd, int64_t *ret_excess)
{
	struct statvfs v;
	int64_t used, total;

	*ret_excess = 0;
	if (fstatvfs(fd, &v) != 0)
		return 0;
	used = (int64_t)(v.f_blocks - v.f_bfree);
	total = used + (int64_t)v.f_bavail;
	*ret_excess = (used - total / 100 * s->settings->diskSpaceCleanForciblyRatio) * (int64_t)v.f_frsize;
	return total ? (int)((used * 100 + total - 1) / total) : 0;
}

static void
measure(struct store *s)
{
	int64_t excess;

	atomic_store(&s->disk_used_percent, used_percent(s, s->commitlog_fd, &excess));
	atomic_store(&s->disk_excess_bytes, excess);
}

/* A log that lies elsewhere has a disk of its own: removed segments make room only there, but
 * appends need room on both disks. */
static void
judge(struct store *s)
{
	int64_t excess;
	int percent = atomic_load(&s->disk_used_percent), views = used_percent(s, s->consumequeue_fd, &excess);
	bool full;

	if (views > percent && !s->dir->read_only)
		percent = views;
	full = percent > s->settings->diskSpaceWarningLevelRatio;
	if (atomic_exchange(&s->disk_full, full) != full)
		log_notice("disk is %d %% full: appends are %s", percent, full ? "refused" : "accepted again");
}

void
retention_look_at_disk(struct store *s)
{
	measure(s);
	judge(s);
}

static bool
is_pressed(struct store *s)
{
	return atomic_load(&s->disk_used_percent) > s->settings->diskSpaceCleanForciblyRatio;
}

/* --- what may go ---------------------------------------------------------------------- */

/* deleteWhen: 04 or 04;16, already checked. */
static bool
hour_has_come(const char *hours, time_t now)
{
	struct tm tm;

	localtime_r(&now, &tm);
	for (const char *at = hours; *at; at += *at == ';') {
		char *end;

		if (strtol(at, &end, 10) == tm.tm_hour)
			return true;
		at = end;
	}
	return false;
}

/* Segments before this one are not needed by a replay, and are not the last. */
static mq_pos
removable_end(struct store *s)
{
	mq_pos last = commitlog_segment_of(&s->log, pos_add(mark_at(&s->log.written), -1));
	mq_pos replay = commitlog_segment_of(&s->log, MQ_POS(atomic_load(&s->checkpointed)));

	return replay.byte < last.byte ? replay : last;
}

/* When the segment at `base` was last written to, seconds since 1970.  For a segment with a
 * time in the future (the clock was ahead) it is the time of a segment behind it. */
static int
last_written(struct store *s, mq_pos base, int64_t *ret_s)
{
	int64_t now = time(NULL) + WALLCLOCK_STEP_MS / 1000;
	int rc;

	do {
		rc = commitlog_segment_time(&s->log, base, ret_s);
		base = pos_add(base, s->log.segment_bytes);
	} while (rc == MQ_OK && *ret_s > now && base.byte < mark_at(&s->log.written).byte);
	return rc;
}

/* The end of the segments from `begin` on that were last written fileReservedTime ago. */
static int
find_expired(struct store *s, mq_pos begin, mq_pos limit, time_t now, mq_pos *ret_upto)
{
	int64_t before = now - s->settings->fileReservedTime * 3600, written;
	mq_pos upto = begin;

	while (upto.byte < limit.byte) {
		int rc = last_written(s, upto, &written);

		if (rc != MQ_OK)
			return rc;
		if (written > before)
			break;
		upto = pos_add(upto, s->log.segment_bytes);
	}
	*ret_upto = upto;
	return MQ_OK;
}

/* Find the oldest message of a queue whose messages may not be removed before their time. */
static int
look_for_kept(struct queue *q, void *arg)
{
	mq_pos *kept = arg, first;
	int rc;

	if (queue_drops(q))
		return MQ_OK;
	rc = queue_first_pos(q, &first);
	if (rc == MQ_OK && first.byte < kept->byte)
		*kept = first;
	return rc == MQ_EEND || rc == MQ_EGONE ? MQ_OK : rc;
}

/* The end of the segments that must be removed to make room, as far as they may be. */
static int
find_in_the_way(struct store *s, mq_pos begin, mq_pos limit, mq_pos *ret_upto)
{
	int64_t excess = atomic_load(&s->disk_excess_bytes), bytes = s->log.segment_bytes;
	mq_pos kept = limit;
	int rc = queues_each(&s->queues, look_for_kept, &kept);

	if (rc != MQ_OK)
		return rc;
	kept = commitlog_segment_of(&s->log, kept);
	*ret_upto = pos_add(begin, (excess + bytes - 1) / bytes * bytes);
	if (ret_upto->byte > kept.byte)
		*ret_upto = kept;
	return MQ_OK;
}

/* The end of the segments that are due.  *ret_upto <= begin: none is due.  `asked`: remove
 * expired segments whatever the hour is.  Those that have expired are due also if it fails to find more. */
static int
find_due(struct store *s, mq_pos begin, bool asked, mq_pos *ret_upto)
{
	const struct settings *set = s->settings;
	mq_pos limit = removable_end(s), most = pos_add(begin, ROUND_SEGMENTS * s->log.segment_bytes);
	mq_pos upto = begin, in_the_way = begin;
	time_t now = time(NULL);
	bool pressed = is_pressed(s);
	int rc = MQ_OK;

	if (limit.byte > most.byte)
		limit = most;
	if (limit.byte <= begin.byte)
		return MQ_OK;
	if (pressed || asked || atomic_load(&s->disk_used_percent) > set->diskMaxUsedSpaceRatio ||
	    hour_has_come(set->deleteWhen, now))
		rc = find_expired(s, begin, limit, store_believed_ms(s) / 1000, &upto);
	if (rc == MQ_OK && pressed && set->cleanFileForciblyEnable)
		rc = find_in_the_way(s, begin, limit, &in_the_way);
	*ret_upto = upto.byte > in_the_way.byte ? upto : in_the_way;
	return rc;
}

/* --- removing ------------------------------------------------------------------------ */

static int
move_head(struct queue *q, void *arg)
{
	const mq_pos *begin = arg;
	int rc = queue_drop_before(q, *begin);

	if (rc == -ENOMEM)
		return rc;
	if (rc != MQ_OK)		/* reading a removed message from the log fails with MQ_EGONE */
		log_warn("topic %s queue %" PRId32 " cannot begin at position %" PRId64 ": %s", queue_topic(q),
			 queue_id(q), begin->byte, err_text(rc));
	return MQ_OK;
}

int
retention_move_heads(struct store *s, mq_pos begin)
{
	return queues_each(&s->queues, move_head, &begin);
}

static int
remove_segments(struct store *s, mq_pos upto)
{
	int pause_ms = (int)s->settings->deleteCommitLogFilesInterval, rc = MQ_OK;

	for (;;) {
		rc = commitlog_remove_first(&s->log);
		if (rc != MQ_OK)
			return rc;
		atomic_fetch_add(&s->removed_segments, 1);
		atomic_fetch_add(&s->removed_bytes, s->log.segment_bytes);
		if (store_begin(s).byte >= upto.byte)
			return MQ_OK;
		if (mark_wait_past(&s->closing, MQ_POS(0), pause_ms, NULL) == MQ_ECLOSED)
			return MQ_OK;	/* the next mount removes the rest */
	}
}

static int
remove_before(struct store *s, mq_pos begin, mq_pos upto)
{
	int rc = retention_move_heads(s, upto);

	/* A snapshot whose moment is later has all heads where they are now. */
	if (rc == MQ_OK && !atomic_load(&s->moment))
		rc = remove_segments(s, upto);
	upto = store_begin(s);
	if (upto.byte == begin.byte)
		return rc;
	keyindex_drop_before(s->index, upto);
	log_notice("retention: %" PRId64 " segments (%" PRId64 " bytes) are gone, the log begins at %" PRId64
		   "; the disk was %d %% full", (upto.byte - begin.byte) / s->log.segment_bytes,
		   upto.byte - begin.byte, upto.byte, atomic_load(&s->disk_used_percent));
	measure(s);
	return rc;
}

int
retention_round(struct store *s, bool asked)
{
	mq_pos begin, upto;
	int rc, removed = MQ_OK;

	measure(s);
	store_turn_begin(s);
	begin = upto = store_begin(s);
	rc = find_due(s, begin, asked, &upto);
	if (upto.byte > begin.byte)
		removed = remove_before(s, begin, upto);
	rc = rc == MQ_OK ? removed : rc;
	store_turn_end(s);
	judge(s);		/* appends are refused only if that did not help */
	atomic_store(&s->retention_ms, (int64_t)time(NULL) * 1000);
	atomic_fetch_add(&s->retention_rounds, 1);
	return rc;
}

int
store_expire(struct store *s)
{
	int64_t removed;
	int rc;

	do {			/* a round removes at most ROUND_SEGMENTS */
		removed = atomic_load(&s->removed_segments);
		rc = retention_round(s, true);
	} while (rc == MQ_OK && atomic_load(&s->removed_segments) > removed);
	return rc;
}

void *
retention_main(void *arg)
{
	struct store *s = arg;
	int64_t waited = 0;
	int last = MQ_OK;

	for (;;) {
		int64_t left = s->settings->cleanResourceInterval - waited;
		int ms = left < 1 ? 1 : left > LOOK_MS ? LOOK_MS : (int)left;

		if (mark_wait_past(&s->closing, MQ_POS(0), ms, NULL) != -ETIMEDOUT)
			return NULL;
		waited += ms;
		measure(s);
		if (waited < s->settings->cleanResourceInterval && !is_pressed(s)) {
			judge(s);
			continue;
		}
		int rc = retention_round(s, false);
		if (rc != MQ_OK && rc != last)
			log_err("retention: %s; it is tried again", err_text(rc));
		last = rc;
		waited = 0;
	}
}
