#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "store/commitlog.h"
#include "conf/scope.h"
#include "store/file.h"
#include "store/lostfound.h"
#include "tests/fault.h"
#include "tests/tree.h"
#include "tests/vectors.h"

struct rig {
	char dir[128];
	int dirfd;
	struct fdcache *files;
	struct commitlog log;
	struct batch b;
	size_t n;		/* of the last append */
};

static void
log_begin(struct rig *r, int64_t segment_bytes)
{
	int64_t cut;

	assert_int_equal(commitlog_open(&r->log, r->dirfd, segment_bytes, false, r->files), MQ_OK);
	assert_int_equal(commitlog_set_end(&r->log, r->log.end, r->log.end, 0, -1, &cut), MQ_OK);
}

static int
fresh(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	log_open("test", LOG_TO_STDERR, LOG_EMERG);
	fault_none();
	tree_make(r->dir, sizeof(r->dir), NULL, "commitlog");
	r->dirfd = open(r->dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(fdcache_open(8, &r->files), MQ_OK);
	batch_init(&r->b);
	log_begin(r, 4096);
	*state = r;
	return 0;
}

static int
done(void **state)
{
	struct rig *r = *state;

	fault_none();
	commitlog_close(&r->log);
	fdcache_close(r->files);
	batch_free(&r->b);
	close(r->dirfd);
	tree_remove(r->dir);
	free(r);
	return 0;
}

/* A message whose record is `total` bytes long. */
static void
add(struct rig *r, size_t total)
{
	static const char body[70000];
	struct message m = { .body = body, .body_len = total - 91 - 1, .topic = "t", .topic_len = 1 };

	assert_int_equal(batch_add(&r->b, &m), MQ_OK);
}

static int
append(struct rig *r)
{
	int rc;

	LOCKED(&r->log.lock);
	batch_number(&r->b, 0, r->b.n, MQ_QOFF(5));
	rc = commitlog_append(&r->log, &r->b, VECTOR_STORE_MS, &r->n);
	batch_clear(&r->b);
	return rc;
}

static int
append_one(struct rig *r, size_t total)
{
	add(r, total);
	return append(r);
}

static void
bytes_at(struct rig *r, int64_t pos, void *buf, size_t len)
{
	char name[32];
	int fd;

	snprintf(name, sizeof(name), "%020" PRId64, pos - pos % r->log.segment_bytes);
	fd = openat(r->dirfd, name, O_RDONLY);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, buf, len, pos % r->log.segment_bytes), len);
	close(fd);
}

static bool
exists(struct rig *r, const char *name)
{
	return faccessat(r->dirfd, name, F_OK, 0) == 0;
}

#define FIRST "00000000000000000000"
#define SECOND "00000000000000004096"
#define THIRD "00000000000000008192"

/* --- what lies in the files ------------------------------------------------------------ */

static void
add_vector(struct rig *r)
{
	struct message m = {
		.body = "hello rocket", .body_len = 12, .topic = "OrderTopic", .topic_len = 10,
		.props = VECTOR_PROPS, .props_len = strlen(VECTOR_PROPS), .queue_id = 2, .born_ms = VECTOR_BORN_MS,
		.born = { .addr = { 10, 0, 0, 9 }, .port = 51000 },
		.stored = { .addr = { 10, 0, 0, 1 }, .port = 10911 },
	};

	assert_int_equal(batch_add(&r->b, &m), MQ_OK);
}

static void
a_record_is_rocketmqs_byte_for_byte(void **state)
{
	struct rig *r = *state;
	unsigned char raw[172];

	assert_int_equal(append_one(r, VECTOR_POS), MQ_OK);
	add_vector(r);
	assert_int_equal(append(r), MQ_OK);
	bytes_at(r, VECTOR_POS, raw, sizeof(raw));
	assert_memory_equal(raw, vector_record, sizeof(raw));
	assert_int_equal(mark_at(&r->log.written).byte, VECTOR_POS + 172);
}

static void
a_segment_without_room_ends_with_a_blank_record(void **state)
{
	struct rig *r = *state;
	unsigned char raw[172];

	assert_int_equal(append_one(r, 4000), MQ_OK);
	add_vector(r);
	assert_int_equal(append(r), MQ_OK);
	bytes_at(r, 4000, raw, 8);
	assert_memory_equal(raw, vector_blank_at_4000, 8);
	bytes_at(r, 4096, raw, sizeof(raw));
	assert_int_equal(be64_get(raw + RECORD_PHYSICALOFFSET_AT), 4096);
	assert_int_equal(mark_at(&r->log.written).byte, 4096 + 172);
}

static void
a_record_may_leave_exactly_the_blank_one(void **state)
{
	struct rig *r = *state;
	unsigned char raw[172];

	assert_int_equal(append_one(r, 3916), MQ_OK);
	add_vector(r);
	assert_int_equal(append(r), MQ_OK);
	assert_int_equal(mark_at(&r->log.written).byte, 4088);
	bytes_at(r, 4088, raw, 8);
	assert_memory_equal(raw, "\0\0\0\0\0\0\0\0", 8);
	assert_int_equal(append_one(r, 100), MQ_OK);
	bytes_at(r, 4088, raw, 8);
	assert_memory_equal(raw, vector_blank_at_4088, 8);
	assert_int_equal(mark_at(&r->log.written).byte, 4196);
}

static void
a_batch_spreads_over_as_many_segments_as_it_takes(void **state)
{
	struct rig *r = *state;
	unsigned char raw[128];
	int64_t pos = 0;

	for (int i = 0; i < 100; i++)
		add(r, 100 + (size_t)i);
	assert_int_equal(append(r), MQ_OK);
	assert_int_equal(r->n, 100);
	for (int i = 0; i < 100; i++) {
		struct record rec;
		unsigned char *whole;

		if (pos % 4096 + 100 + i + 8 > 4096) {
			bytes_at(r, pos, raw, 8);
			assert_int_equal(be32_get(raw), 4096 - pos % 4096);
			assert_int_equal(be32_get(raw + 4), RECORD_MAGIC_BLANK);
			pos += 4096 - pos % 4096;
		}
		whole = malloc(100 + (size_t)i);
		bytes_at(r, pos, whole, 100 + (size_t)i);
		assert_int_equal(record_verify(whole, 100 + (size_t)i, MQ_POS(pos), &rec), MQ_OK);
		assert_int_equal(rec.qoff.n, 5 + i);
		assert_int_equal(rec.store_ms, VECTOR_STORE_MS);
		assert_int_equal(r->b.entries[i].pos.byte, pos);
		free(whole);
		pos += 100 + i;
	}
	assert_int_equal(mark_at(&r->log.written).byte, pos);
}

static void
a_record_longer_than_a_segment_is_refused_and_what_is_before_it_stays(void **state)
{
	struct rig *r = *state;

	add(r, 200);
	add(r, 4089);
	add(r, 200);
	assert_int_equal(append(r), -EMSGSIZE);
	assert_int_equal(r->n, 1);
	assert_int_equal(append_one(r, 4088), MQ_OK);
	assert_int_equal(mark_at(&r->log.written).byte, 4096 + 4088);
}

static void
store_times_never_go_back(void **state)
{
	struct rig *r = *state;
	unsigned char raw[8];

	assert_int_equal(append_one(r, 100), MQ_OK);
	r->log.store_ms = VECTOR_STORE_MS + 1000;	/* the clock was set back */
	assert_int_equal(append_one(r, 100), MQ_OK);
	bytes_at(r, 100 + RECORD_STORETIMESTAMP_AT, raw, 8);
	assert_int_equal(be64_get(raw), VECTOR_STORE_MS + 1000);
}

/* --- what a master sends -------------------------------------------------------------------- */

static int
append_raw(struct rig *r, int64_t pos, size_t len)
{
	unsigned char bytes[8192];

	memset(bytes, 'm', sizeof(bytes));
	LOCKED(&r->log.lock);
	return commitlog_append_raw(&r->log, MQ_POS(pos), bytes, len);
}

static void
a_log_received_up_to_a_segments_end_goes_on_in_the_next_one(void **state)
{
	struct rig *r = *state;
	unsigned char raw[4096], want[4096];

	memset(want, 'm', sizeof(want));
	for (int64_t base = 0; base < 3 * 4096; base += 2 * 4096) {	/* a slave, a master, and again */
		assert_int_equal(append_raw(r, base, 4096), MQ_OK);
		assert_int_equal(append_one(r, 200), MQ_OK);
		assert_int_equal(mark_at(&r->log.written).byte, base + 4096 + 200);
		bytes_at(r, base, raw, sizeof(raw));
		assert_memory_equal(raw, want, sizeof(raw));
		bytes_at(r, base + 4096, raw, 200);
		assert_int_equal(be64_get(raw + RECORD_PHYSICALOFFSET_AT), base + 4096);
		assert_int_equal(append_raw(r, base + 4096 + 200, 4096 - 200), MQ_OK);
	}
	assert_int_equal(commitlog_flush(&r->log, mark_at(&r->log.written)), MQ_OK);
}

static void
refused_bytes_change_nothing(void **state)
{
	struct rig *r = *state;
	static const struct {
		int64_t pos;
		size_t len;
	} bad[] = {
		{ 5, 100 },				/* no segment can begin there */
		{ -4096, 100 },
		{ INT64_MAX - INT64_MAX % 4096, 100 },	/* nor end there */
		{ 8192, 4097 },				/* they reach into the next */
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(append_raw(r, bad[i].pos, bad[i].len), MQ_ECORRUPT);
		assert_int_equal(mark_at(&r->log.begin).byte, 0);
		assert_int_equal(r->log.allocated, 0);
		assert_int_equal(mark_at(&r->log.written).byte, 0);
	}
	fault_set((struct fault){ .call = "fallocate", .at = 1, .number = ENOSPC });
	assert_int_equal(append_raw(r, 8192, 100), -ENOSPC);
	assert_int_equal(mark_at(&r->log.begin).byte, 0);
	assert_false(exists(r, THIRD));
	assert_int_equal(append_raw(r, 4096, 100), MQ_OK);	/* this is where it begins */
	assert_int_equal(mark_at(&r->log.begin).byte, 4096);
	assert_int_equal(append_raw(r, 8192, 100), MQ_ECORRUPT);
	assert_int_equal(mark_at(&r->log.written).byte, 4196);
}

/* --- reading ------------------------------------------------------------------------------ */

static void
reading_tells_end_gone_and_missing_apart(void **state)
{
	struct rig *r = *state;
	unsigned char buf[8192];
	mq_pos end;
	size_t n;

	for (int i = 0; i < 3; i++)
		assert_int_equal(append_one(r, 4000), MQ_OK);
	end = mark_at(&r->log.written);
	assert_int_equal(commitlog_read(&r->log, MQ_POS(4000), end, buf, sizeof(buf), &n), MQ_OK);
	assert_int_equal(n, 96);		/* never beyond the segment */
	assert_int_equal(commitlog_read(&r->log, MQ_POS(8192), end, buf, sizeof(buf), &n), MQ_OK);
	assert_int_equal(n, 4000);		/* nor beyond the end */
	assert_int_equal(commitlog_read(&r->log, end, end, buf, sizeof(buf), &n), MQ_EEND);
	mark_advance(&r->log.begin, MQ_POS(4096));
	assert_int_equal(commitlog_read(&r->log, MQ_POS(0), end, buf, sizeof(buf), &n), MQ_EGONE);
	fdcache_forget(r->files, &r->log, 4096);
	unlinkat(r->dirfd, SECOND, 0);
	assert_int_equal(commitlog_read(&r->log, MQ_POS(5000), end, buf, sizeof(buf), &n), -EIO);
	assert_int_equal(commitlog_read(&r->log, MQ_POS(8192), end, buf, sizeof(buf), &n), MQ_OK);
}

static void
segments_of_different_sizes_are_refused(void **state)
{
	struct rig *r = *state;

	assert_int_equal(append_one(r, 100), MQ_OK);
	commitlog_close(&r->log);
	close(openat(r->dirfd, SECOND, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(commitlog_open(&r->log, r->dirfd, 4096, false, r->files), MQ_ECORRUPT);
	unlinkat(r->dirfd, SECOND, 0);
	close(openat(r->dirfd, "README", O_CREAT | O_WRONLY, 0600));
	log_begin(r, 4096);
}

/* --- full disks --------------------------------------------------------------------------- */

static void
a_full_disk_at_a_roll_changes_nothing_and_it_works_again_later(void **state)
{
	struct rig *r = *state;
	unsigned char raw[96], zeros[96] = { 0 };

	assert_int_equal(append_one(r, 4000), MQ_OK);
	fault_set((struct fault){ .call = "fallocate", .at = 1, .number = ENOSPC, .for_ever = true });
	for (int i = 0; i < 3; i++) {
		assert_int_equal(append_one(r, 200), -ENOSPC);
		assert_int_equal(r->n, 0);
		assert_int_equal(mark_at(&r->log.written).byte, 4000);
		assert_false(exists(r, SECOND) || exists(r, "new"));
	}
	bytes_at(r, 4000, raw, 96);
	assert_memory_equal(raw, zeros, 96);
	assert_int_equal(commitlog_flush(&r->log, MQ_POS(4000)), MQ_OK);
	fault_none();
	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_int_equal(mark_at(&r->log.written).byte, 4296);
}

static void
a_full_disk_in_a_batch_keeps_what_fitted(void **state)
{
	struct rig *r = *state;

	fault_set((struct fault){ .call = "fallocate", .at = 2, .number = ENOSPC });
	for (int i = 0; i < 10; i++)
		add(r, 1000);
	assert_int_equal(append(r), -ENOSPC);
	assert_int_equal(r->n, 4);
	assert_int_equal(mark_at(&r->log.written).byte, 4000);
	for (int i = 0; i < 6; i++)
		add(r, 1000);
	assert_int_equal(append(r), MQ_OK);
}

static void
what_a_full_disk_left_of_a_refused_batch_is_zero_again(void **state)
{
	struct rig *r = *state;
	unsigned char raw[3000], zeros[3000] = { 0 };

	assert_int_equal(append_one(r, 500), MQ_OK);
	fault_set((struct fault){ .call = "pwrite", .at = 1, .number = ENOSPC });
	for (int i = 0; i < 10; i++)
		add(r, 200);
	assert_int_equal(append(r), -ENOSPC);
	assert_int_equal(r->n, 0);
	bytes_at(r, 500, raw, sizeof(raw));
	assert_memory_equal(raw, zeros, sizeof(raw));
	assert_int_equal(append_one(r, 500), MQ_OK);
}

static void
a_blank_that_finds_no_space_leaves_the_end_where_it_was(void **state)
{
	struct rig *r = *state;
	unsigned char raw[100];

	assert_int_equal(append_one(r, 3900), MQ_OK);
	fault_set((struct fault){ .call = "pwrite", .at = 1, .number = ENOSPC });
	assert_int_equal(append_one(r, 1000), -ENOSPC);
	assert_int_equal(mark_at(&r->log.written).byte, 3900);
	assert_int_equal(append_one(r, 100), MQ_OK);	/* this one has room, in the old segment */
	bytes_at(r, 3900, raw, 100);
	assert_int_equal(be64_get(raw + RECORD_PHYSICALOFFSET_AT), 3900);
	assert_int_equal(append_one(r, 1000), MQ_OK);
	assert_int_equal(mark_at(&r->log.written).byte, 4096 + 1000);
}

static void
no_descriptor_for_the_next_segment_is_not_the_end(void **state)
{
	struct rig *r = *state;

	assert_int_equal(append_one(r, 4000), MQ_OK);
	fault_set((struct fault){ .call = "openat", .at = 1, .number = EMFILE });
	assert_int_equal(append_one(r, 200), -EMFILE);
	fault_set((struct fault){ .call = "openat", .at = 2, .number = EMFILE });
	assert_int_equal(append_one(r, 200), -EMFILE);
	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_int_equal(mark_at(&r->log.written).byte, 4296);
}

/* --- failed writes and syncs ----------------------------------------------------------------- */

static void
after_a_failed_sync_nothing_more_is_accepted(void **state)
{
	struct rig *r = *state;

	assert_int_equal(append_one(r, 200), MQ_OK);
	fault_set((struct fault){ .call = "fdatasync", .at = 1, .number = EIO });
	assert_int_equal(commitlog_flush(&r->log, MQ_POS(200)), -EIO);
	assert_int_equal(commitlog_flush(&r->log, MQ_POS(200)), -EIO);	/* never retried into success */
	assert_int_equal(append_one(r, 200), -EIO);
	assert_int_equal(r->n, 0);
	assert_int_equal(mark_at(&r->log.flushed).byte, 0);
	assert_int_equal(mark_at(&r->log.written).byte, 200);
}

/* Its errors of write-back may be told to no other. */
static void
a_segment_is_synced_through_the_descriptor_it_was_written_through(void **state)
{
	struct rig *r = *state;
	int other;

	for (int i = 0; i < 30; i++)
		assert_int_equal(append_one(r, 1000), MQ_OK);	/* three fit a segment */
	for (int i = 0; i < 20; i++)				/* more than the cache holds */
		fdcache_put(r->files, fdcache_add(r->files, &other, i, open("/dev/null", O_RDONLY | O_CLOEXEC)));
	fault_set((struct fault){ .call = "openat", .at = 1, .number = EIO, .for_ever = true });
	assert_int_equal(commitlog_flush(&r->log, mark_at(&r->log.written)), MQ_OK);
	assert_int_equal(fault_calls(), 0);

	/* what is synced makes room again */
	fault_none();
	for (int i = 20; i < 40; i++)
		fdcache_put(r->files, fdcache_add(r->files, &other, i, open("/dev/null", O_RDONLY | O_CLOEXEC)));
	assert_null(fdcache_get(r->files, &r->log, 0));
}

static int
in_lostfound(struct rig *r)
{
	struct lostfound_stats stats;

	lostfound_stats(r->dirfd, &stats);
	return (int)stats.pieces;
}

static void
keep(struct rig *r, const char *bytes)
{
	AUTO_CLOSE int fd = openat(r->dirfd, ".bytes", O_RDWR | O_CREAT | O_TRUNC, 0600);
	int64_t len = (int64_t)strlen(bytes);

	assert_int_equal(pwrite(fd, bytes, (size_t)len, 0), len);
	assert_int_equal(lostfound_keep_bytes(r->dirfd, &(struct lost_bytes){
		.fd = fd, .to = len, .pos = MQ_POS(4096), .why = "so." }), MQ_OK);
}

/* Who died between keeping and cutting does both again. */
static void
the_same_bytes_of_the_same_place_are_kept_once(void **state)
{
	static const char piece[] = "commitlog-00000000000000004096", note[] = "commitlog-00000000000000004096.txt";
	struct rig *r = *state;

	keep(r, "one");
	keep(r, "one");
	assert_int_equal(in_lostfound(r), 1);
	assert_true(exists(r, piece) && exists(r, note));
	keep(r, "two");
	keep(r, "two");
	keep(r, "one");
	assert_int_equal(in_lostfound(r), 2);

	/* and one who died in between leaves no piece without its note */
	assert_int_equal(unlinkat(r->dirfd, note, 0), 0);
	keep(r, "one");
	assert_true(exists(r, note));
	assert_int_equal(unlinkat(r->dirfd, note, 0), 0);
	assert_int_equal(lostfound_complete(r->dirfd, "so."), MQ_OK);
	assert_true(exists(r, note));
	assert_int_equal(in_lostfound(r), 2);
}

static void
after_a_failed_write_nothing_more_is_accepted(void **state)
{
	struct rig *r = *state;

	fault_set((struct fault){ .call = "pwrite", .at = 1, .number = EIO });
	assert_int_equal(append_one(r, 200), -EIO);
	assert_int_equal(append_one(r, 200), -EIO);
	assert_int_equal(mark_at(&r->log.written).byte, 0);
}

static void
a_flush_beyond_the_end_returns(void **state)
{
	struct rig *r = *state;

	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_int_equal(commitlog_flush(&r->log, MQ_POS(1000000)), MQ_OK);
	assert_int_equal(mark_at(&r->log.flushed).byte, 200);
}

/* A thread that flushes, and which it is. */
struct flush {
	struct commitlog *log;
	_Atomic int tid;
};

static void *
flush_main(void *arg)
{
	struct flush *f = arg;
	mq_pos upto = mark_at(&f->log->written);

	atomic_store(&f->tid, gettid());
	return (void *)(intptr_t)commitlog_flush(f->log, upto);
}

static bool
is_asleep(const struct flush *f)
{
	char path[64], text[256] = "";
	const char *state;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", atomic_load(&f->tid));
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	(void)!read(fd, text, sizeof(text) - 1);
	close(fd);
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

static void
set_flushing(struct commitlog *log, bool flushing)
{
	LOCKED(&log->flush_lock);
	log->flushing = flushing;
}

/* It sleeps while another thread syncs; before that one is done, the log is cut. */
static void
a_flush_does_not_wait_for_an_end_that_a_cut_has_taken_back(void **state)
{
	struct rig *r = *state;
	struct flush f = { .log = &r->log };
	struct timespec until;
	pthread_t t;
	void *rc;

	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_int_equal(append_one(r, 400), MQ_OK);
	set_flushing(&r->log, true);
	pthread_create(&t, NULL, flush_main, &f);
	while (atomic_load(&f.tid) == 0 || !is_asleep(&f))
		usleep(1000);
	set_flushing(&r->log, false);
	assert_int_equal(commitlog_cut(&r->log, MQ_POS(200), 1, r->dirfd, "so."), MQ_OK);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	assert_int_equal(pthread_timedjoin_np(t, &rc, &until), 0);
	assert_int_equal((intptr_t)rc, MQ_OK);
	assert_int_equal(mark_at(&r->log.flushed).byte, 200);
}

/* --- many threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 200 };

static void *
appender_main(void *arg)
{
	struct commitlog *log = arg;
	char body[900] = { 0 };
	struct batch b;

	batch_init(&b);
	for (int i = 0; i < ROUNDS; i++) {
		struct message m = { .body = body, .body_len = (size_t)(i * 37) % 900, .topic = "t", .topic_len = 1 };
		mq_pos end;
		size_t n;

		batch_clear(&b);
		MUST(batch_add(&b, &m) == MQ_OK);
		lock_take(&log->lock);
		batch_number(&b, 0, 1, MQ_QOFF(0));
		MUST(commitlog_append(log, &b, 1, &n) == MQ_OK && n == 1);
		lock_drop(&log->lock);
		end = pos_add(b.entries[0].pos, b.entries[0].total);
		MUST(commitlog_flush(log, end) == MQ_OK);
		MUST(mark_at(&log->flushed).byte >= end.byte);
	}
	batch_free(&b);
	return NULL;
}

static void *
sparer_main(void *arg)
{
	struct commitlog *log = arg;

	while (mark_wait_past(&log->written, MQ_POS(INT64_MAX - 1), 0, NULL) != MQ_ECLOSED)
		MUST(commitlog_make_spare(log) == MQ_OK);
	return NULL;
}

static void
appends_flushes_and_spares_of_many_threads_leave_one_whole_log(void **state)
{
	struct rig *r = *state;
	pthread_t t[THREADS + 1];
	unsigned char buf[4096];
	int64_t pos = 0, end;
	int n = 0;

	for (int i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, appender_main, &r->log);
	pthread_create(&t[THREADS], NULL, sparer_main, &r->log);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	end = mark_at(&r->log.written).byte;
	mark_close(&r->log.written);
	pthread_join(t[THREADS], NULL);
	while (pos < end) {
		struct record rec;
		size_t len;
		int rc;

		assert_int_equal(commitlog_read(&r->log, MQ_POS(pos), MQ_POS(end), buf, sizeof(buf), &len), MQ_OK);
		rc = record_verify(buf, len, MQ_POS(pos), &rec);
		assert_true(rc == MQ_OK || rc == MQ_EBLANK);
		n += rc == MQ_OK;
		pos += rec.total;
	}
	assert_int_equal(n, THREADS * ROUNDS);
	assert_true(r->log.flushes <= THREADS * ROUNDS);
}

/* /dev/shm stands for another disk than that of the log; for a log that is there, /tmp does. */
static void
a_segment_is_kept_on_another_file_system_too(void **state)
{
	struct rig *r = *state;
	struct lostfound_stats stats;
	char other[32];
	struct stat here, there;
	int fd;

	assert_int_equal(fstat(r->dirfd, &here), 0);
	snprintf(other, sizeof(other), "%s/mqfs-lost-XXXXXX",
		 stat("/dev/shm", &there) == 0 && there.st_dev == here.st_dev ? "/tmp" : "/dev/shm");
	if (!mkdtemp(other) || stat(other, &there) != 0)
		skip();
	fd = open(other, O_RDONLY | O_DIRECTORY);
	assert_true(fd >= 0);
	sh("head -c 4096 /dev/urandom > '%s/00000000000000004096' && cp '%s/00000000000000004096' '%s/was'", r->dir,
	   r->dir, r->dir);
	assert_int_equal(lostfound_keep_segment(fd, &(struct lost_segment){
		.dirfd = r->dirfd, .name = "00000000000000004096", .base = MQ_POS(4096), .bytes = 3000, .why = "so.",
	}), MQ_OK);
	lostfound_stats(fd, &stats);
	assert_int_equal(stats.pieces, 1);
	assert_int_equal(stats.bytes, 3000);
	assert_int_equal(faccessat(r->dirfd, "00000000000000004096", F_OK, 0), -1);
	sh("cmp -n 3000 '%s/was' '%s'/commitlog-*4096 && rm '%s/was'", r->dir, other, r->dir);
	close(fd);
	tree_remove(other);
}

static void
zeros_are_written_ahead_while_syncs_are_small_and_no_burst_comes(void **state)
{
	struct rig *r = *state;
	int64_t zeroed;

	commitlog_close(&r->log);
	log_begin(r, 16 << 20);
	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_int_equal(r->log.zeroed, 0);
	assert_int_equal(commitlog_flush(&r->log, MQ_POS(200)), MQ_OK);
	assert_int_equal(append_one(r, 200), MQ_OK);
	zeroed = r->log.zeroed;
	assert_true(zeroed >= 1 << 20);
	while (r->log.end.byte < 4 << 20)
		assert_int_equal(append_one(r, 60000), MQ_OK);
	assert_int_equal(r->log.zeroed, zeroed);
	assert_int_equal(commitlog_flush(&r->log, r->log.end), MQ_OK);
	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_int_equal(commitlog_flush(&r->log, r->log.end), MQ_OK);
	assert_int_equal(append_one(r, 200), MQ_OK);
	assert_true(r->log.zeroed > r->log.end.byte);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(a_record_is_rocketmqs_byte_for_byte),
		T(a_segment_without_room_ends_with_a_blank_record),
		T(a_record_may_leave_exactly_the_blank_one),
		T(a_batch_spreads_over_as_many_segments_as_it_takes),
		T(a_record_longer_than_a_segment_is_refused_and_what_is_before_it_stays),
		T(zeros_are_written_ahead_while_syncs_are_small_and_no_burst_comes),
		T(store_times_never_go_back),
		T(a_log_received_up_to_a_segments_end_goes_on_in_the_next_one),
		T(refused_bytes_change_nothing),
		T(reading_tells_end_gone_and_missing_apart),
		T(segments_of_different_sizes_are_refused),
		T(a_full_disk_at_a_roll_changes_nothing_and_it_works_again_later),
		T(a_full_disk_in_a_batch_keeps_what_fitted),
		T(what_a_full_disk_left_of_a_refused_batch_is_zero_again),
		T(a_blank_that_finds_no_space_leaves_the_end_where_it_was),
		T(no_descriptor_for_the_next_segment_is_not_the_end),
		T(after_a_failed_sync_nothing_more_is_accepted),
		T(a_segment_is_synced_through_the_descriptor_it_was_written_through),
		T(the_same_bytes_of_the_same_place_are_kept_once),
		T(after_a_failed_write_nothing_more_is_accepted),
		T(a_flush_beyond_the_end_returns),
		T(a_flush_does_not_wait_for_an_end_that_a_cut_has_taken_back),
		T(appends_flushes_and_spares_of_many_threads_leave_one_whole_log),
		T(a_segment_is_kept_on_another_file_system_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
