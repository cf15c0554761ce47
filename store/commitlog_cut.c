/* Taking away the end of the log: bytes that recovery found to be no records, and records
 * behind a cut.  All of them are kept in lost+found/. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/commitlog_priv.h"
#include "store/durable.h"
#include "store/file.h"
#include "store/lostfound.h"

/* Keep bytes [from, to) of one segment. */
static int
keep_copy(int fd, mq_pos base, int64_t from, int64_t to, int lostfound_fd, const char *why)
{
	const struct lost_bytes lost = {
		.fd = fd, .from = from, .to = to, .pos = pos_add(base, from), .why = why,
	};

	return lostfound_keep_bytes(lostfound_fd, &lost);
}

/* --- bytes that recovery found to be no records ------------------------------------------------ */

#define WHY_NO_RECORD "no valid record began there when the store was mounted."

/* Make one segment zero from `from` on, and keep the bytes in lost+found. */
static int
cut_segment(struct commitlog *log, mq_pos base, int64_t from, int lostfound_fd, int64_t *cut)
{
	struct fdref *ref;
	int64_t last;
	int rc;

	rc = commitlog_segment(log, base, &ref);
	if (rc != MQ_OK)
		return rc;
	rc = file_drop_cache(fdref_fd(ref), from);
	if (rc == MQ_OK)
		rc = file_last_data(fdref_fd(ref), from, log->segment_bytes, &last);
	if (rc == MQ_OK && last > from) {
		if (lostfound_fd >= 0)
			rc = keep_copy(fdref_fd(ref), base, from, last, lostfound_fd, WHY_NO_RECORD);
		if (rc == MQ_OK)
			rc = file_zero(fdref_fd(ref), from, log->segment_bytes);
		*cut += last - from;
	}
	file_read_ahead(fdref_fd(ref));
	fdcache_put(log->files, ref);
	return rc;
}

static int
cut_behind(struct commitlog *log, mq_pos end, int lostfound_fd, int64_t *ret_cut)
{
	int64_t cut = 0;
	int rc = MQ_OK;

	for (mq_pos base = commitlog_segment_of(log, end); rc == MQ_OK && base.byte < log->allocated;
	     base.byte += log->segment_bytes)
		if (segment_exists(log, base))
			rc = cut_segment(log, base, end.byte > base.byte ? end.byte - base.byte : 0, lostfound_fd, &cut);
	if (rc == MQ_OK)
		*ret_cut = cut;
	return rc;
}

int
commitlog_set_end(struct commitlog *log, mq_pos synced, mq_pos end, int64_t store_ms, int lostfound_fd,
		  int64_t *ret_cut)
{
	int rc = MQ_OK;

	LOCKED(&log->lock);
	if (!log->read_only)
		rc = cut_behind(log, end, lostfound_fd, ret_cut);
	for (mq_pos base = commitlog_segment_of(log, synced); rc == MQ_OK && !log->read_only && base.byte < end.byte;
	     base.byte += log->segment_bytes)
		if (segment_exists(log, base))
			rc = segment_sync(log, base);
	if (rc == MQ_OK)
		rc = durable_sync(log->durable_fd, end);
	if (rc != MQ_OK)
		return rc;
	log->end = end;
	log->store_ms = store_ms;
	mark_advance(&log->written, end);
	mark_advance(&log->flushed, end);
	return MQ_OK;
}

/* --- records behind a cut ---------------------------------------------------- */

int
commitlog_keep(struct commitlog *log, mq_pos at, int lostfound_fd, const char *why)
{
	mq_pos base = commitlog_segment_of(log, at);
	int64_t from = at.byte - base.byte, to = mark_at(&log->written).byte - base.byte;
	struct fdref *ref;
	int rc;

	if (from == 0 || to <= from)
		return MQ_OK;
	rc = commitlog_segment(log, base, &ref);
	if (rc != MQ_OK)
		return rc;
	to = to < log->segment_bytes ? to : log->segment_bytes;
	rc = keep_copy(fdref_fd(ref), base, from, to, lostfound_fd, why);
	fdcache_put(log->files, ref);
	return rc;
}

/* How many bytes of the segment at base were used by the log, which ended at `was` (-1: not
 * known). */
static int
used_bytes(const struct commitlog *log, int fd, mq_pos base, mq_pos was, int64_t *ret)
{
	int64_t last;
	int rc = MQ_OK;

	if (was.byte < 0) {
		rc = file_last_data(fd, 0, log->segment_bytes, &last);
		was = pos_add(base, last > 0 ? log->segment_bytes : 0);
	}
	if (rc != MQ_OK)
		return rc;
	*ret = was.byte - base.byte;
	*ret = *ret < 0 ? 0 : *ret < log->segment_bytes ? *ret : log->segment_bytes;
	return MQ_OK;
}

#define COUNTED_MAX 4		/* if more segments go to lost+found, their messages are not counted */

/* Where segments that are cut from the log are kept, and why they were. */
struct keep {
	int lostfound_fd;
	const char *why;
};

/* Move a whole segment to lost+found; one that the log has not used is removed. */
static int
segment_away(struct commitlog *log, mq_pos base, mq_pos was, const struct keep *keep, bool uncounted)
{
	char name[SEGMENT_NAME_SIZE];
	AUTO_CLOSE int fd = -1;
	int64_t bytes = 0;
	int rc;

	segment_name(base, name);
	fd = openat(log->dirfd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return MQ_OK;
	if (fd < 0)
		return err_note(-errno, "commitlog/%s: %m", name);
	rc = used_bytes(log, fd, base, was, &bytes);
	if (rc != MQ_OK)
		return rc;
	if (bytes == 0)
		return unlinkat(log->dirfd, name, 0) == 0 ? MQ_OK : err_note(-errno, "commitlog/%s: %m", name);
	return lostfound_keep_segment(keep->lostfound_fd, &(struct lost_segment){
		.dirfd = log->dirfd, .name = name, .base = base, .bytes = bytes, .why = keep->why,
		.uncounted = uncounted,
	});
}

/* Shorten the segment that holds the new end to `keep` bytes; zeros follow.  One that a snapshot
 * also links is replaced by a copy. */
static int
segment_shorten(struct commitlog *log, mq_pos base, int64_t keep)
{
	char name[SEGMENT_NAME_SIZE];
	AUTO_CLOSE int fd = -1;
	struct stat st;
	int rc;

	segment_name(base, name);
	fd = openat(log->dirfd, name, O_RDWR | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return err_note(-errno, "commitlog/%s: %m", name);
	rc = st.st_nlink > 1 ? segment_make(log, name, SEGMENT_IN_MAKING, fd, keep)
			     : file_zero(fd, keep, log->segment_bytes);
	fdcache_forget(log->files, log, base.byte);
	return rc;
}

/* Move the segments from `at` on away, the last one first, so that a crash leaves no gap. */
static int
segments_away(struct commitlog *log, mq_pos at, mq_pos was, const struct keep *keep)
{
	int64_t n = (log->allocated - at.byte) / log->segment_bytes;
	int rc = MQ_OK;

	MUST_HOLD(&log->spare_lock);
	if (n > COUNTED_MAX)
		log_warn("%" PRId64 " segments of the log, from position %" PRId64 " on, go to lost+found: %s", n,
			 at.byte, keep->why);
	while (rc == MQ_OK && log->allocated - log->segment_bytes >= at.byte) {
		mq_pos last = MQ_POS(log->allocated - log->segment_bytes);

		rc = segment_away(log, last, was, keep, n > COUNTED_MAX);
		if (rc == MQ_OK)
			log->allocated = last.byte;
		fdcache_forget(log->files, log, last.byte);
	}
	return rc == MQ_OK ? dir_sync(log->dirfd, "commitlog") : rc;
}

static int
segments_cut(struct commitlog *log, mq_pos at, mq_pos was, const struct keep *keep)
{
	mq_pos base = commitlog_segment_of(log, at);
	int rc = segments_away(log, at, was, keep);

	if (rc == MQ_OK && at.byte > base.byte)
		rc = segment_shorten(log, base, at.byte - base.byte);
	else if (rc == MQ_OK && log->allocated <= mark_at(&log->begin).byte)
		rc = segment_first(log, at);
	return rc;
}

/* A cut of the log: between its begin and its end no thread appends, syncs or makes a segment. */
static void
cut_begin(struct commitlog *log)
{
	lock_take(&log->lock);
	lock_take(&log->flush_lock);
	while (log->flushing)
		lock_wait(&log->flush_lock, &log->flush_done, -1);
	log->flushing = true;
	lock_drop(&log->flush_lock);
	lock_take(&log->spare_lock);
}

/* rc is returned; if the cut failed nothing is appended any more. */
static int
cut_end(struct commitlog *log, int rc)
{
	lock_drop(&log->spare_lock);
	lock_take(&log->flush_lock);
	log->flushing = false;
	pthread_cond_broadcast(&log->flush_done);
	lock_drop(&log->flush_lock);
	lock_drop(&log->lock);
	return rc == MQ_OK ? rc : commitlog_fail(log, rc);
}

/* Move the end back to `at`.  Returns where it was; -1: it was not behind `at`, or recovery does not
 * know it yet. */
static mq_pos
end_back(struct commitlog *log, mq_pos at)
{
	mq_pos was = log->end.byte > at.byte ? log->end : MQ_POS(-1);

	MUST_HOLD(&log->lock);
	MUST_HOLD(&log->spare_lock);
	fdcache_put(log->files, log->tail);
	log->tail = NULL;
	log->end = at;
	log->zeroed = 0;
	mark_set_back(&log->written, at);
	mark_set_back(&log->flushed, at);
	return was;
}

int
commitlog_cut(struct commitlog *log, mq_pos at, int64_t store_ms, int lostfound_fd, const char *why)
{
	mq_pos was;
	int rc;

	cut_begin(log);
	was = end_back(log, at);
	log->store_ms = store_ms;
	rc = durable_sync(log->durable_fd, at);
	if (rc == MQ_OK)
		rc = segments_cut(log, at, was, &(struct keep){ lostfound_fd, why });
	if (rc == MQ_OK)
		rc = lostfound_complete(lostfound_fd, why);
	return cut_end(log, rc);
}

int
commitlog_begin_at(struct commitlog *log, mq_pos pos, int lostfound_fd, const char *why)
{
	mq_pos begin = mark_at(&log->begin), was;
	int rc;

	if (pos.byte % log->segment_bytes != 0)
		return err_note(-EINVAL, "the log cannot begin at %" PRId64 ": its segments have %" PRId64 " bytes",
				pos.byte, log->segment_bytes);
	cut_begin(log);
	was = end_back(log, begin);
	rc = durable_sync(log->durable_fd, MQ_POS(0));
	if (rc == MQ_OK)
		rc = segments_away(log, begin, was, &(struct keep){ lostfound_fd, why });
	if (rc == MQ_OK)
		rc = lostfound_complete(lostfound_fd, why);
	if (rc == MQ_OK)
		rc = segment_first(log, pos);
	if (rc == MQ_OK) {
		log->end = pos;
		mark_set_back(&log->written, pos);
		mark_set_back(&log->flushed, pos);
		mark_advance(&log->written, pos);
		mark_advance(&log->flushed, pos);
	}
	return cut_end(log, rc);
}
