#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "store/commitlog_priv.h"
#include "store/durable.h"
#include "store/file.h"
#include "store/mapped.h"
#include "store/wallclock.h"

#define AHEAD_BYTES (1 << 20)		/* zeros written ahead of records */
#define SMALL_FLUSH_BYTES (256 << 10)
#define POS_MAX (INT64_MAX / 2)		/* a log cannot begin behind it */

void
segment_name(mq_pos base, char name[SEGMENT_NAME_SIZE])
{
	snprintf(name, SEGMENT_NAME_SIZE, "%020" PRId64, base.byte);
}

/* --- opening ---------------------------------------------------------------- */

struct found {
	int64_t first, last;
	int64_t bytes;		/* of each segment */
};

static int
look_at(int dirfd, const char *name, void *arg)
{
	int64_t base = name_number(name, SEGMENT_NAME_LEN);
	struct found *found = arg;
	struct stat st;

	if (base < 0)
		return MQ_OK;
	if (fstatat(dirfd, name, &st, 0) != 0)
		return err_note(-errno, "commitlog/%s: %m", name);
	if (found->bytes == 0)
		found->bytes = st.st_size;
	if (st.st_size != found->bytes)
		return err_note(MQ_ECORRUPT, "commitlog/%s: %" PRId64 " bytes long, others %" PRId64
				": all segments must have one size", name, (int64_t)st.st_size, found->bytes);
	if (found->bytes == 0 || base % found->bytes != 0)
		return err_note(MQ_ECORRUPT, "commitlog/%s: the name is no multiple of the size %" PRId64, name,
				found->bytes);
	if (found->first < 0 || base < found->first)
		found->first = base;
	if (base > found->last)
		found->last = base;
	return MQ_OK;
}

int
commitlog_open(struct commitlog *log, int dirfd, int64_t segment_bytes, bool read_only, struct fdcache *files)
{
	struct found found = { .first = -1, .last = -1 };
	int rc;

	memset(log, 0, sizeof(*log));
	log->dirfd = dirfd;
	log->durable_fd = -1;
	log->files = files;
	log->read_only = read_only;
	if (!read_only) {
		unlinkat(dirfd, SEGMENT_IN_MAKING, 0);
		unlinkat(dirfd, SEGMENT_IN_HEALING, 0);
	}
	rc = dir_each(dirfd, ".", look_at, &found);
	if (rc != MQ_OK)
		return rc;
	log->segment_bytes = found.bytes ? found.bytes : segment_bytes;
	if (log->segment_bytes != segment_bytes)
		log_notice("segments of this store have %" PRId64 " bytes (mappedFileSizeCommitLog says %" PRId64 ")",
			   log->segment_bytes, segment_bytes);
	mark_init(&log->begin, MQ_POS(found.first < 0 ? 0 : found.first));
	log->allocated = found.last < 0 ? 0 : found.last + found.bytes;
	log->end = mark_at(&log->begin);
	lock_init(&log->lock, RANK_LOG);
	lock_init(&log->flush_lock, RANK_FLUSH);
	lock_init(&log->spare_lock, RANK_FLUSH);
	cond_init(&log->flush_done);
	mark_init(&log->written, log->end);
	mark_init(&log->flushed, log->end);
	return MQ_OK;
}

/* Remove the segments behind the end: RocketMQ leaves none after a clean exit either. */
static void
remove_spare(struct commitlog *log)
{
	char name[SEGMENT_NAME_SIZE];
	mq_pos spare = pos_add(commitlog_segment_of(log, log->end), log->segment_bytes);

	if (log->read_only || log->end.byte % log->segment_bytes == 0)
		return;
	for (; spare.byte < log->allocated; spare.byte += log->segment_bytes) {
		segment_name(spare, name);
		fdcache_forget(log->files, log, spare.byte);
		unlinkat(log->dirfd, name, 0);
	}
}

void
commitlog_close(struct commitlog *log)
{
	if (!log->segment_bytes)
		return;
	remove_spare(log);
	fdcache_put(log->files, log->tail);
	mark_destroy(&log->begin);
	mark_destroy(&log->written);
	mark_destroy(&log->flushed);
	pthread_cond_destroy(&log->flush_done);
	lock_destroy(&log->spare_lock);
	lock_destroy(&log->flush_lock);
	lock_destroy(&log->lock);
	log->segment_bytes = 0;
}

/* --- segments ------------------------------------------------------------------ */

int
commitlog_segment(struct commitlog *log, mq_pos pos, struct fdref **ret_ref)
{
	mq_pos base = commitlog_segment_of(log, pos);
	char name[SEGMENT_NAME_SIZE];
	struct fdref *ref;
	int fd;

	ref = fdcache_get(log->files, log, base.byte);
	if (!ref) {
		segment_name(base, name);
		fd = openat(log->dirfd, name, (log->read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC);
		if (fd < 0)
			return err_note(errno == ENOENT ? -EIO : -errno, "commitlog/%s: %s", name,
					errno == ENOENT ? "the segment is missing" : strerror(errno));
		ref = fdcache_add(log->files, log, base.byte, fd);
		if (!ref)
			return -ENOMEM;
		if (base.byte < mark_at(&log->begin).byte)	/* removed meanwhile: it must not stay open */
			fdcache_forget(log->files, log, base.byte);
	}
	*ret_ref = ref;
	return MQ_OK;
}

bool
segment_exists(const struct commitlog *log, mq_pos base)
{
	char name[SEGMENT_NAME_SIZE];

	segment_name(base, name);
	return faccessat(log->dirfd, name, F_OK, 0) == 0;
}

/* The segment gets its name when it is whole, so a crash leaves no short one. */
int
segment_make(struct commitlog *log, const char *name, const char *tmp, int from_fd, int64_t keep)
{
	AUTO_CLOSE int fd = openat(log->dirfd, tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	int rc;

	if (fd < 0)
		return err_note(-errno, "commitlog/%s: create: %m", name);
	rc = file_reserve(fd, log->segment_bytes);
	if (rc == MQ_OK && keep > 0)
		rc = file_copy(from_fd, fd, keep, name);
	return file_place(log->dirfd, fd, tmp, name, rc);
}

/* Make the segment at base, which does not exist, durably. */
static int
segment_create(struct commitlog *log, mq_pos base)
{
	char name[SEGMENT_NAME_SIZE];
	int rc;

	MUST_HOLD(&log->spare_lock);
	segment_name(base, name);
	rc = segment_make(log, name, SEGMENT_IN_MAKING, -1, 0);
	if (rc == MQ_OK)
		log->allocated = base.byte + log->segment_bytes;
	else
		unlinkat(log->dirfd, name, 0);	/* the rename was not synced */
	return rc;
}

int
segment_first(struct commitlog *log, mq_pos at)
{
	int rc = segment_create(log, at);

	if (rc != MQ_OK)
		return rc;
	mark_set_back(&log->begin, at);
	mark_advance(&log->begin, at);
	return MQ_OK;
}

/* The segment of `pos`, for appending.  It is made if it is not there: it is the next one, or
 * its file was removed by hand. */
static int
tail_open(struct commitlog *log, mq_pos pos, struct fdref **ret_tail)
{
	mq_pos base = commitlog_segment_of(log, pos);
	int rc = MQ_OK;

	lock_take(&log->spare_lock);
	if (!segment_exists(log, base))
		rc = segment_create(log, base);
	lock_drop(&log->spare_lock);
	return rc == MQ_OK ? commitlog_segment(log, base, ret_tail) : rc;
}

int
commitlog_make_spare(struct commitlog *log)
{
	mq_pos end, next;

	if (log->read_only || atomic_load(&log->failed))
		return MQ_OK;
	/* appends go on meanwhile, unless they need this very segment */
	LOCKED(&log->spare_lock);
	end = mark_at(&log->written);
	next = pos_add(commitlog_segment_of(log, end), log->segment_bytes);
	if (end.byte % log->segment_bytes < log->segment_bytes / 2 || next.byte != log->allocated)
		return MQ_OK;
	return segment_create(log, next);
}

/* --- removing the oldest ---------------------------------------------------------- */

int
commitlog_segment_time(struct commitlog *log, mq_pos base, int64_t *ret_s)
{
	char name[SEGMENT_NAME_SIZE];
	struct stat st = { 0 };

	segment_name(base, name);
	if (fstatat(log->dirfd, name, &st, 0) != 0 && errno != ENOENT)
		return err_note(-errno, "commitlog/%s: %m", name);
	*ret_s = st.st_mtim.tv_sec;
	return MQ_OK;
}

int
commitlog_remove_first(struct commitlog *log)
{
	mq_pos base = mark_at(&log->begin);
	char name[SEGMENT_NAME_SIZE];

	MUST(base.byte + log->segment_bytes <= mark_at(&log->flushed).byte);
	mark_advance(&log->begin, pos_add(base, log->segment_bytes));
	segment_name(base, name);
	if (unlinkat(log->dirfd, name, 0) != 0 && errno != ENOENT) {
		mark_set_back(&log->begin, base);
		return err_note(-errno, "commitlog/%s: remove: %m", name);
	}
	fdcache_forget(log->files, log, base.byte);
	return dir_sync(log->dirfd, "commitlog");
}

/* --- appending --------------------------------------------------------------- */

int
commitlog_fail(struct commitlog *log, int rc)
{
	if (!atomic_exchange(&log->failed, true)) {
		snprintf(log->why, sizeof(log->why), "%s", err_text(rc));
		atomic_store(&log->why_known, true);
		log_err("the commit log takes no more appends: %s", log->why);
	}
	return commitlog_has_failed(log);
}

int
commitlog_has_failed(const struct commitlog *log)
{
	return err_note(-EIO, "the commit log takes no more appends: %s",
			atomic_load(&log->why_known) ? log->why : "a write or sync of it has failed");
}

/* EFBIG: the process may not write so far into a file (RLIMIT_FSIZE, or the file system). */
static bool
is_full(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;
}

/* A write at `at` of the tail failed.  If there was no space, the bytes that it has written are
 * made zero again: refused messages must not come back after a crash. */
static int
write_failed(struct commitlog *log, int rc, int64_t at, size_t len)
{
	int fd = fdref_fd(log->tail);
	int64_t last;

	if (!is_full(rc))
		return commitlog_fail(log, rc);
	rc = file_last_data(fd, at, at + (int64_t)len, &last);
	if (rc == MQ_OK && last > at)
		rc = file_zero(fd, at, last);
	return rc == MQ_OK ? err_note(-ENOSPC, "no space left for the commit log") : commitlog_fail(log, rc);
}

/* A segment could not be made or opened: the log is unchanged. */
static int
tail_failed(struct commitlog *log, int rc)
{
	return rc == -EIO ? commitlog_fail(log, rc) : is_full(rc) ? -ENOSPC : rc;
}

/* The tail is full.  It stays open until it is synced: the kernel reports an error of
 * write-back through this descriptor, and not always through one that is opened later. */
static void
tail_leave(struct commitlog *log)
{
	mq_pos end = pos_add(log->tail_base, log->segment_bytes);

	fdcache_keep(log->files, log->tail);
	log->tail = NULL;
	if (mark_at(&log->flushed).byte >= end.byte)	/* the flusher may have been here before fdcache_keep() */
		fdcache_let_go(log->files, log, log->tail_base.byte);
}

/* Every append begins with this: the tail is the segment that holds byte `at`, the next
 * one to be written.  The bytes of a master may have filled the last one completely. */
static int
tail_at(struct commitlog *log, mq_pos at)
{
	mq_pos base = commitlog_segment_of(log, at);
	struct fdref *tail;
	int rc;

	if (log->tail && log->tail_base.byte == base.byte)
		return MQ_OK;
	rc = tail_open(log, base, &tail);
	if (rc != MQ_OK)
		return tail_failed(log, rc);
	if (log->tail)
		tail_leave(log);
	log->tail = tail;
	log->tail_base = base;
	return MQ_OK;
}

/* Fill the rest of the tail with a blank record and go to the next segment. */
static int
roll(struct commitlog *log)
{
	mq_pos next = pos_add(commitlog_segment_of(log, log->end), log->segment_bytes);
	int64_t at = log->end.byte % log->segment_bytes, left = log->segment_bytes - at;
	unsigned char blank[RECORD_BLANK_BYTES];
	struct fdref *tail;
	int rc;

	rc = tail_open(log, next, &tail);	/* before the blank: ENOSPC changes nothing */
	if (rc != MQ_OK)
		return tail_failed(log, rc);
	be32_put(blank, (int32_t)left);
	be32_put(blank + 4, RECORD_MAGIC_BLANK);
	if (left >= RECORD_BLANK_BYTES)
		rc = file_write(fdref_fd(log->tail), blank, sizeof(blank), at, "commitlog");
	if (rc != MQ_OK) {
		fdcache_put(log->files, tail);
		return write_failed(log, rc, at, sizeof(blank));
	}
	tail_leave(log);
	log->tail = tail;
	log->tail_base = log->end = next;
	return MQ_OK;
}

/* Set the fields that are only known now in the records of entries [from, to), which will
 * lie one behind the other at log->end. */
static void
stamp(struct commitlog *log, struct batch *b, size_t from, size_t to, int64_t store_ms)
{
	int64_t base = log->end.byte - b->entries[from].at;

	for (size_t i = from; i < to; i++) {
		struct batch_entry *e = &b->entries[i];
		unsigned char *rec = b->buf + e->at;

		e->pos = MQ_POS(base + e->at);
		be64_put(rec + RECORD_QUEUEOFFSET_AT, e->qoff.n);
		be64_put(rec + RECORD_PHYSICALOFFSET_AT, e->pos.byte);
		be64_put(rec + record_store_ms_at(rec), store_ms);
	}
}

/* How many entries from `from` on fit into the rest of the tail, with a blank behind them. */
static size_t
fitting(const struct commitlog *log, const struct batch *b, size_t from)
{
	int64_t left = log->segment_bytes - log->end.byte % log->segment_bytes - RECORD_BLANK_BYTES;
	size_t i = from;

	/* entries lie one behind the other: mostly the last one fits, and so all do */
	if ((int64_t)(b->entries[b->n - 1].at + b->entries[b->n - 1].total - b->entries[from].at) <= left)
		return b->n - from;
	if (b->together)
		return 0;
	while ((int64_t)(b->entries[i].at + b->entries[i].total - b->entries[from].at) <= left)
		i++;
	return i - from;
}

/* A sync of blocks that were written before needs no journal of the file system, and takes half as long.
 * So if syncs are small, zeros are written ahead of the records; not when the next one is large already, because
 * then writing twice costs more.  A failure is ignored. */
static void
write_ahead(struct commitlog *log)
{
	static const unsigned char zeros[AHEAD_BYTES];
	int64_t base = commitlog_segment_of(log, log->end).byte, end = log->end.byte;

	MUST_HOLD(&log->lock);
	if (!atomic_load(&log->small_flushes) || end + AHEAD_BYTES / 8 < log->zeroed ||
	    end - mark_at(&log->flushed).byte >= SMALL_FLUSH_BYTES)
		return;
	if (end + AHEAD_BYTES > base + log->segment_bytes)
		return;			/* the last few blocks of a segment */
	if (file_write(fdref_fd(log->tail), zeros, AHEAD_BYTES, end - base, "commitlog") == MQ_OK)
		log->zeroed = end + AHEAD_BYTES;
	else
		err_clear();
}

static void
note_clock(struct commitlog *log, int64_t store_ms)
{
	atomic_fetch_add(&log->clock_backs, 1);
	log_warn("the clock was %" PRId64 " s further when the last message was stored: store times go on from what "
		 "it says now", (log->store_ms - store_ms) / 1000);
}

/* The next segment becomes the tail, as entry `at` does not fit this one.  -EMSGSIZE: nor any other. */
static int
roll_for(struct commitlog *log, const struct batch *b, size_t at)
{
	size_t least = b->together ? b->len : b->entries[at].total;

	if ((int64_t)least + RECORD_BLANK_BYTES <= log->segment_bytes)
		return roll(log);
	return err_note(-EMSGSIZE, "%s of %zu bytes does not fit a segment of %" PRId64,
			b->together ? "a step" : "a record", least, log->segment_bytes);
}

/* Write n entries from `from` on, which fit the tail, to the log's end. */
static int
write_entries(struct commitlog *log, struct batch *b, size_t from, size_t n, int64_t store_ms)
{
	const struct batch_entry *last = &b->entries[from + n - 1];
	size_t at = b->entries[from].at, len = last->at + last->total - at;
	int64_t to = log->end.byte % log->segment_bytes;
	int rc;

	stamp(log, b, from, from + n, store_ms);
	rc = file_write(fdref_fd(log->tail), b->buf + at, len, to, "commitlog");
	if (rc != MQ_OK)
		return write_failed(log, rc, to, len);
	log->end = pos_add(log->end, (int64_t)len);
	return MQ_OK;
}

int
commitlog_append(struct commitlog *log, struct batch *b, int64_t store_ms, size_t *ret_n)
{
	size_t done = 0;
	int rc;
	bool back;

	MUST_HOLD(&log->lock);
	*ret_n = 0;
	if (log->read_only)
		return -EROFS;
	if (atomic_load(&log->failed))
		return commitlog_has_failed(log);
	store_ms = wallclock_store_ms(store_ms, log->store_ms, &back);
	rc = tail_at(log, log->end);
	if (rc != MQ_OK)
		return rc;

	while (rc == MQ_OK && done < b->n) {
		size_t n = fitting(log, b, done);

		rc = n == 0 ? roll_for(log, b, done) : write_entries(log, b, done, n, store_ms);
		if (rc == MQ_OK)
			done += n;
	}
	if (done > 0 && back)
		note_clock(log, store_ms);
	if (done > 0)
		log->store_ms = store_ms;
	if (rc == MQ_OK)
		write_ahead(log);
	mark_move(&log->written, log->end);
	*ret_n = done;
	return rc;
}

static bool
is_empty(const struct commitlog *log)
{
	return log->end.byte == 0 && atomic_load(&log->allocated) == 0;
}

/* An empty log begins where its master's bytes begin.  `flushed` moves first, so that no thread
 * syncs the range before it, which does not exist. */
static int
begin_at(struct commitlog *log, mq_pos pos)
{
	int rc;

	lock_take(&log->spare_lock);
	rc = segment_first(log, pos);
	lock_drop(&log->spare_lock);
	if (rc != MQ_OK)
		return tail_failed(log, rc);
	log->end = pos;
	mark_advance(&log->flushed, pos);
	mark_advance(&log->written, pos);
	return MQ_OK;
}

static int
raw_fits(const struct commitlog *log, mq_pos pos, size_t len)
{
	if (is_empty(log) ? pos.byte < 0 || pos.byte % log->segment_bytes != 0 || pos.byte > POS_MAX
			  : pos.byte != log->end.byte)
		return err_note(MQ_ECORRUPT, "bytes for position %" PRId64 " of the log, which ends at %" PRId64, pos.byte,
				log->end.byte);
	if ((int64_t)len > log->segment_bytes - pos.byte % log->segment_bytes)
		return err_note(MQ_ECORRUPT, "%zu bytes at position %" PRId64 " reach into the next segment", len, pos.byte);
	return MQ_OK;
}

int
commitlog_append_raw(struct commitlog *log, mq_pos pos, const void *bytes, size_t len)
{
	int rc;

	MUST_HOLD(&log->lock);
	if (log->read_only)
		return -EROFS;
	if (atomic_load(&log->failed))
		return commitlog_has_failed(log);
	rc = raw_fits(log, pos, len);
	if (rc == MQ_OK && pos.byte != log->end.byte)
		rc = begin_at(log, pos);
	if (rc == MQ_OK)
		rc = tail_at(log, pos);
	if (rc != MQ_OK)
		return rc;
	rc = file_write(fdref_fd(log->tail), bytes, len, pos.byte % log->segment_bytes, "commitlog");
	if (rc != MQ_OK)
		return write_failed(log, rc, pos.byte % log->segment_bytes, len);
	log->end = pos_add(pos, (int64_t)len);
	mark_move(&log->written, log->end);
	return MQ_OK;
}

/* --- flushing ------------------------------------------------------------------ */

int
segment_sync(struct commitlog *log, mq_pos base)
{
	struct fdref *ref;
	int rc = commitlog_segment(log, base, &ref);

	if (rc != MQ_OK)
		return rc;
	rc = file_sync(fdref_fd(ref), "commitlog");
	fdcache_put(log->files, ref);
	return rc;
}

static int
sync_range(struct commitlog *log, mq_pos from, mq_pos to)
{
	int rc = MQ_OK;

	for (mq_pos base = commitlog_segment_of(log, from); rc == MQ_OK && base.byte < to.byte;
	     base.byte += log->segment_bytes)
		rc = segment_sync(log, base);
	return rc;
}

/* Segments that end at or before `to` are synced: their descriptors need not be kept. */
static void
let_go_range(struct commitlog *log, mq_pos from, mq_pos to)
{
	for (mq_pos base = commitlog_segment_of(log, from); base.byte + log->segment_bytes <= to.byte;
	     base.byte += log->segment_bytes)
		fdcache_let_go(log->files, log, base.byte);
}

/* Drops flush_lock while syncing. */
static void
flush_once(struct commitlog *log)
{
	mq_pos to = mark_at(&log->written), from = mark_at(&log->flushed);	/* see begin_at() */
	int rc;

	MUST_HOLD(&log->flush_lock);
	log->flushing = true;
	atomic_store(&log->small_flushes, to.byte - from.byte < SMALL_FLUSH_BYTES);
	lock_drop(&log->flush_lock);
	rc = sync_range(log, from, to);
	if (rc == MQ_OK)
		durable_note(log->durable_fd, to);
	atomic_fetch_add(&log->flushes, 1);
	if (rc != MQ_OK)
		commitlog_fail(log, rc);
	lock_take(&log->flush_lock);
	if (rc == MQ_OK) {
		mark_advance(&log->flushed, to);
		let_go_range(log, from, to);
	}
	log->flushing = false;
	pthread_cond_broadcast(&log->flush_done);
}

/* Is the log flushed up to `upto`, or up to its end?  A cut moves both marks back, `written`
 * first. */
static bool
is_flushed(const struct commitlog *log, mq_pos upto)
{
	int64_t flushed = mark_at(&log->flushed).byte;

	return flushed >= upto.byte || flushed >= mark_at(&log->written).byte;
}

int
commitlog_flush(struct commitlog *log, mq_pos upto)
{
	if (is_flushed(log, upto))
		return MQ_OK;
	LOCKED(&log->flush_lock);
	while (!is_flushed(log, upto)) {
		if (atomic_load(&log->failed))
			return commitlog_has_failed(log);
		if (log->read_only)
			return MQ_OK;
		if (log->flushing)
			lock_wait(&log->flush_lock, &log->flush_done, -1);
		else
			flush_once(log);
	}
	return MQ_OK;
}

/* --- reading -------------------------------------------------------------------- */

int
commitlog_read(struct commitlog *log, mq_pos pos, mq_pos end, void *buf, size_t len, size_t *ret_n)
{
	int64_t left = log->segment_bytes - pos.byte % log->segment_bytes;
	struct fdref *ref;
	int rc;

	if (pos.byte < mark_at(&log->begin).byte)
		return MQ_EGONE;
	if (pos.byte >= end.byte)
		return MQ_EEND;
	if (left > end.byte - pos.byte)
		left = end.byte - pos.byte;
	if ((int64_t)len > left)
		len = (size_t)left;
	rc = commitlog_segment(log, pos, &ref);
	if (rc != MQ_OK)
		return pos.byte < mark_at(&log->begin).byte ? MQ_EGONE : rc;
	rc = file_read(fdref_fd(ref), buf, len, pos.byte % log->segment_bytes, "commitlog");
	fdcache_put(log->files, ref);
	if (rc != MQ_OK)
		return rc == MQ_EEND ? -EIO : rc;
	*ret_n = len;
	return MQ_OK;
}

const unsigned char *
commitlog_map(struct commitlog *log, mq_pos pos, mq_pos end, size_t len, struct fdref **ret_ref)
{
	int64_t at = pos.byte % log->segment_bytes;
	const unsigned char *map;
	struct fdref *ref;

	if (pos.byte < mark_at(&log->begin).byte || pos.byte + (int64_t)len > end.byte ||
	    at + (int64_t)len > log->segment_bytes)
		return NULL;
	ref = fdcache_get(log->files, log, pos.byte - at);
	if (!ref)
		return NULL;		/* reading opens it */
	map = fdref_map(ref, (size_t)log->segment_bytes);
	if (!map || !mapped_is_cached(map + at, len)) {
		fdcache_put(log->files, ref);
		return NULL;
	}
	*ret_ref = ref;
	return map + at;
}

bool
commitlog_next_data(struct commitlog *log, mq_pos pos, mq_pos limit, mq_pos *ret_begin, mq_pos *ret_end)
{
	for (; pos.byte < limit.byte; pos = pos_add(commitlog_segment_of(log, pos), log->segment_bytes)) {
		mq_pos base = commitlog_segment_of(log, pos);
		struct fdref *ref;
		int64_t begin, end;
		bool found;

		if (!segment_exists(log, base) || commitlog_segment(log, pos, &ref) != MQ_OK)
			continue;
		found = file_next_data(fdref_fd(ref), pos.byte - base.byte, log->segment_bytes, &begin, &end);
		fdcache_put(log->files, ref);
		if (found) {
			*ret_begin = pos_add(base, begin);
			*ret_end = pos_add(base, end);
			return ret_begin->byte < limit.byte;
		}
	}
	return false;
}

int
commitlog_drop_cache(struct commitlog *log, mq_pos pos)
{
	struct fdref *ref;
	int rc;

	if (pos.byte >= log->allocated || !segment_exists(log, commitlog_segment_of(log, pos)))
		return MQ_OK;
	rc = commitlog_segment(log, pos, &ref);
	if (rc != MQ_OK)
		return rc;
	if (log->read_only)
		file_drop_clean(fdref_fd(ref), pos.byte % log->segment_bytes);
	else
		rc = file_drop_cache(fdref_fd(ref), pos.byte % log->segment_bytes);
	fdcache_put(log->files, ref);
	return rc;
}
