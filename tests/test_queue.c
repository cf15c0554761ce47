#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/futex.h"
#include "conf/log.h"
#include "store/queues.h"
#include "tests/fault.h"
#include "tests/tree.h"
#include "tests/vectors.h"

#define FILE_ENTRIES 100

static bool is_cold;		/* what is not in memory: what queue files hold */

ssize_t __wrap_preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags);

ssize_t
__wrap_preadv2(int fd, const struct iovec *iov, int n, off_t at, int flags)
{
	assert_int_equal(flags, RWF_NOWAIT);
	errno = EAGAIN;
	return is_cold ? -1 : preadv(fd, iov, n, at);
}

struct rig {
	char dir[128];
	int cq, bi;
	struct fdcache *files;
	struct queues qs;
	struct queue *q;	/* topic "t", queue 3 */
	int64_t pos;		/* where the next record lies */
};

static void
views_open(struct rig *r)
{
	assert_int_equal(fdcache_open(4, &r->files), MQ_OK);
	assert_int_equal(queues_open(&r->qs, r->cq, r->bi, FILE_ENTRIES * 20 - 7, r->files), MQ_OK);
	assert_int_equal(r->qs.file_entries, FILE_ENTRIES);
	r->qs.fs_syncs = true;		/* wherever tests are run */
}

static void
views_close(struct rig *r)
{
	queues_close(&r->qs);
	fdcache_close(r->files);
}

static int
fresh(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	char path[200];

	log_open("test", LOG_TO_STDERR, LOG_EMERG);
	fault_none();
	tree_make(r->dir, sizeof(r->dir), NULL, "queue");
	snprintf(path, sizeof(path), "%s/consumequeue", r->dir);
	mkdir(path, 0700);
	r->cq = open(path, O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "%s/byteindex", r->dir);
	mkdir(path, 0700);
	r->bi = open(path, O_RDONLY | O_DIRECTORY);
	r->pos = 1000;
	views_open(r);
	assert_int_equal(queues_make(&r->qs, "t", 1, 3, &r->q), MQ_OK);
	*state = r;
	return 0;
}

static int
done(void **state)
{
	struct rig *r = *state;

	fault_none();
	views_close(r);
	close(r->cq);
	close(r->bi);
	tree_remove(r->dir);
	free(r);
	return 0;
}

/* Length of the body of message n, and its tagsCode: as a model. */
static int32_t
body_of(int64_t n)
{
	return (int32_t)(((uint64_t)n * 2654435761u >> 7) % 50);
}

static int
put(struct rig *r, int64_t n)
{
	struct queue_put p = {
		.qoff = MQ_QOFF(n), .pos = MQ_POS(r->pos), .total = 100 + body_of(n), .body_len = body_of(n),
		.tags_code = (int64_t)((uint64_t)n * 7), .store_ms = 1,
	};
	int rc = queue_put(r->q, &p);

	if (rc == MQ_OK)
		r->pos += p.total;
	return rc;
}

static void
put_range(struct rig *r, int64_t from, int64_t to)
{
	for (int64_t n = from; n < to; n++)
		assert_int_equal(put(r, n), MQ_OK);
}

static int
flush(struct rig *r, struct queue_row *ret_row)
{
	struct queues_dirty d;
	int rc;

	assert_int_equal(queues_take_dirty(&r->qs, &d), MQ_OK);
	rc = queues_flush(&r->qs, &d);
	if (rc == MQ_OK && ret_row && d.n > 0)
		*ret_row = d.rows[0];
	free(d.list);
	free(d.rows);
	return rc;
}

static struct queue_span
span(struct rig *r)
{
	struct queue_span s;

	queue_span(r->q, &s);
	return s;
}

/* Every message of [min, end) is as body_of() says, none but those in [hole, hole_to) a hole. */
static void
verify(struct rig *r, int64_t min, int64_t end, int64_t hole, int64_t hole_to)
{
	struct queue_entry e[256];
	int64_t start = -1, n = min;
	size_t got;

	assert_int_equal(queue_min(r->q).n, min);
	assert_int_equal(queue_end(r->q).n, end);
	while (n < end) {
		assert_int_equal(queue_entries(r->q, MQ_QOFF(n), e, 256, &got), MQ_OK);
		assert_true(got >= 1);
		for (size_t i = 0; i < got; i++, n++) {
			bool is_hole = n >= hole && n < hole_to;

			assert_int_equal(e[i].total, is_hole ? QUEUE_HOLE_SIZE : 100 + body_of(n));
			assert_int_equal(e[i].body_len, is_hole ? 0 : body_of(n));
			assert_int_equal(e[i].tags_code, is_hole ? 0 : n * 7);
			if (start >= 0)
				assert_int_equal(e[i].start, start);
			start = e[i].start + e[i].body_len;
		}
	}
	assert_int_equal(start, span(r).end_bytes);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(end), e, 1, &got), MQ_EEND);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(min - 1), e, 1, &got), MQ_EGONE);
}

/* The records of [min, end), without what only entries have. */
static void
verify_records(struct rig *r, int64_t min, int64_t end, bool now)
{
	struct queue_entry e[256], whole;
	int64_t n = min;
	size_t got;

	while (n < end) {
		assert_int_equal(queue_records(r->q, MQ_QOFF(n), now, e, 256, &got), MQ_OK);
		assert_true(got >= 1);
		for (size_t i = 0; i < got; i++, n++) {
			size_t one;

			assert_int_equal(queue_entries(r->q, MQ_QOFF(n), &whole, 1, &one), MQ_OK);
			assert_int_equal(e[i].pos.byte, whole.pos.byte);
			assert_int_equal(e[i].total, whole.total);
			assert_int_equal(e[i].tags_code, whole.tags_code);
		}
	}
	assert_int_equal(queue_records(r->q, MQ_QOFF(end), now, e, 1, &got), MQ_EEND);
	assert_int_equal(queue_records(r->q, MQ_QOFF(min - 1), now, e, 1, &got), MQ_EGONE);
}

static unsigned char *
file_of(int dirfd, const char *name, size_t want_len)
{
	int fd = openat(dirfd, name, O_RDONLY);
	unsigned char *buf = malloc(want_len + 1);

	if (fd < 0)
		fail_msg("%s: %s", name, strerror(errno));
	assert_int_equal(read(fd, buf, want_len + 1), want_len);
	close(fd);
	return buf;
}

/* --- the files ------------------------------------------------------------------------- */

static void
files_are_rocketmqs_byte_for_byte(void **state)
{
	struct rig *r = *state;
	struct queue_put a = {
		.qoff = MQ_QOFF(5), .pos = MQ_POS(VECTOR_POS), .total = 172, .body_len = 12,
		.tags_code = record_tags_code("TagA", 4), .store_ms = VECTOR_STORE_MS,
	}, b = {
		.qoff = MQ_QOFF(6), .pos = MQ_POS(2048), .total = 200, .tags_code = VECTOR_STORE_MS + 10000,
	};
	unsigned char *raw;

	assert_int_equal(queue_put(r->q, &a), MQ_OK);
	assert_int_equal(queue_put(r->q, &b), MQ_OK);
	assert_int_equal(flush(r, NULL), MQ_OK);
	raw = file_of(r->cq, "t/3/00000000000000000000", FILE_ENTRIES * 20);
	for (int i = 0; i < 5; i++)
		assert_memory_equal(raw + i * 20, vector_pre_blank_entry, 20);
	assert_memory_equal(raw + 100, vector_queue_entry, 20);
	assert_memory_equal(raw + 120, vector_delay_entry, 20);
	for (int i = 140; i < FILE_ENTRIES * 20; i++)
		assert_int_equal(raw[i], 0);
	free(raw);
	raw = file_of(r->bi, "t/3/00000000000000000000", FILE_ENTRIES * 8);
	assert_int_equal(be64_get(raw + 40), 0);
	assert_int_equal(be64_get(raw + 48), 12);
	free(raw);
}

static void
a_queue_that_begins_late_has_no_earlier_files(void **state)
{
	struct rig *r = *state;
	unsigned char *raw;

	put_range(r, 1000250, 1000420);
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 1000250, 1000420, 0, 0);
	raw = file_of(r->cq, "t/3/00000000000020004000", FILE_ENTRIES * 20);
	assert_memory_equal(raw + 49 * 20, vector_pre_blank_entry, 20);
	assert_int_equal(be64_get(raw + 50 * 20), 1000);
	free(raw);
	free(file_of(r->cq, "t/3/00000000000020008000", FILE_ENTRIES * 20));
	free(file_of(r->bi, "t/3/00000000000008003200", FILE_ENTRIES * 8));
	assert_int_equal(faccessat(r->cq, "t/3/00000000000000000000", F_OK, 0), -1);
}

static void
a_file_that_a_crash_left_half_made_is_completed(void **state)
{
	struct rig *r = *state;
	unsigned char *raw;

	mkdirat(r->cq, "t", 0700);
	mkdirat(r->cq, "t/3", 0700);
	close(openat(r->cq, "t/3/00000000000000000000", O_CREAT | O_WRONLY, 0600));
	put_range(r, 7, 20);
	assert_int_equal(flush(r, NULL), MQ_OK);
	raw = file_of(r->cq, "t/3/00000000000000000000", FILE_ENTRIES * 20);
	assert_memory_equal(raw + 6 * 20, vector_pre_blank_entry, 20);
	free(raw);
	verify(r, 7, 20, 0, 0);
}

/* --- memory and files together ------------------------------------------------------------- */

static void
a_reader_does_not_see_where_files_end_and_memory_begins(void **state)
{
	struct rig *r = *state;

	for (int64_t n = 0; n < 1000; n += 90) {
		put_range(r, n, n + 90);
		verify(r, 0, n + 90, 0, 0);
		if (n % 4 == 0)
			assert_int_equal(flush(r, NULL), MQ_OK);
		verify(r, 0, n + 90, 0, 0);
	}
	put_range(r, 1080, 10000);	/* spills by itself */
	verify(r, 0, 10000, 0, 0);
	assert_true(r->qs.tail_entries < 5000);
	assert_int_equal(r->qs.tail_entries, r->q->tail_n);
}

static void
a_tail_keeps_its_memory_until_a_checkpoint(void **state)
{
	struct rig *r = *state;
	size_t room;

	put_range(r, 0, 4095);
	room = r->q->tail_max;
	for (int64_t n = 4095; n < 30000; n++) {
		assert_int_equal(put(r, n), MQ_OK);
		assert_int_equal(r->q->tail_max, room);
	}
	assert_true(r->q->tail_n < 5000);
	assert_int_equal(r->qs.tail_room, room);
	assert_int_equal(flush(r, NULL), MQ_OK);
	assert_int_equal(r->q->tail_max, 0);
	assert_int_equal(r->qs.tail_room, 0);
	verify(r, 0, 30000, 0, 0);
}

static void
records_are_those_of_the_entries_in_memory_and_in_files(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 150);
	verify_records(r, 0, 150, true);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 150, 190);
	verify_records(r, 0, 190, false);
	verify_records(r, 0, 190, true);
}

static void
records_asked_for_now_never_wait_for_the_disk(void **state)
{
	struct rig *r = *state;
	struct queue_entry e;
	size_t n;

	put_range(r, 0, 50);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 50, 60);
	is_cold = true;
	assert_int_equal(queue_records(r->q, MQ_QOFF(0), true, &e, 1, &n), -EAGAIN);
	assert_int_equal(queue_records(r->q, MQ_QOFF(0), false, &e, 1, &n), MQ_OK);
	assert_int_equal(queue_records(r->q, MQ_QOFF(50), true, &e, 1, &n), MQ_OK);
	is_cold = false;
	assert_int_equal(queue_records(r->q, MQ_QOFF(0), true, &e, 1, &n), MQ_OK);
	fdcache_forget(r->files, r->q, 0);	/* opening it may have to wait, too */
	assert_int_equal(queue_records(r->q, MQ_QOFF(0), true, &e, 1, &n), -EAGAIN);
	assert_int_equal(queue_records(r->q, MQ_QOFF(0), false, &e, 1, &n), MQ_OK);
	assert_int_equal(queue_records(r->q, MQ_QOFF(0), true, &e, 1, &n), MQ_OK);
}

static void
room_reserved_survives_a_checkpoint(void **state)
{
	struct rig *r = *state;
	struct batch b;

	put_range(r, 0, 1000);
	batch_init(&b);
	for (int i = 0; i < 3000; i++) {
		struct message m = { .topic = "t", .topic_len = 1 };

		assert_int_equal(batch_add(&b, &m), MQ_OK);
		b.entries[i].pos = MQ_POS(r->pos + i * 92);
	}
	assert_int_equal(queue_reserve(r->q, b.n), MQ_OK);
	assert_int_equal(flush(r, NULL), MQ_OK);
	batch_number(&b, 0, b.n, MQ_QOFF(1000));
	queue_put_batch(r->q, &b, 0, b.n, 77);
	queue_unreserve(r->q, b.n);
	assert_int_equal(queue_end(r->q).n, 4000);
	assert_int_equal(span(r).last_end.byte, r->pos + 3000 * 92);
	assert_int_equal(flush(r, NULL), MQ_OK);
	assert_int_equal(r->q->reserved, 0);
	batch_free(&b);
}

static void
known_records_are_skipped_and_a_restored_queue_goes_on(void **state)
{
	struct rig *r = *state;
	struct queue_row row;

	put_range(r, 0, 150);
	assert_int_equal(flush(r, &row), MQ_OK);
	put_range(r, 150, 300);
	assert_int_equal(queue_trim(r->q, MQ_QOFF(170)), MQ_OK);
	/* a crash: what is beyond the row is only in memory, and comes again */
	views_close(r);
	views_open(r);
	assert_int_equal(queues_restore(&r->qs, &row, 1, false), MQ_OK);
	r->q = queues_find(&r->qs, "t", 1, 3);
	verify(r, 0, 150, 0, 0);
	r->pos = 1000;
	put_range(r, 0, 300);
	verify(r, 0, 300, 0, 0);
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 0, 300, 0, 0);
}

static void
a_row_whose_files_are_not_there_is_not_believed(void **state)
{
	struct rig *r = *state;
	struct queue_row row, bad;

	put_range(r, 0, 150);
	assert_int_equal(flush(r, &row), MQ_OK);
	views_close(r);
	views_open(r);
	bad = row;
	bad.span.last_end.byte++;
	assert_int_equal(queues_restore(&r->qs, &bad, 1, false), MQ_ECORRUPT);
	bad = row;
	bad.span.min.n = -1;
	assert_int_equal(queues_restore(&r->qs, &bad, 1, false), MQ_ECORRUPT);
	bad = row;
	snprintf(bad.topic, sizeof(bad.topic), "../x");
	assert_int_equal(queues_restore(&r->qs, &bad, 1, false), MQ_ECORRUPT);
	assert_int_equal(queues_restore(&r->qs, &row, 1, false), MQ_OK);
	views_close(r);
	views_open(r);
	unlinkat(r->bi, "t/3/00000000000000000800", 0);
	assert_int_equal(queues_restore(&r->qs, &row, 1, false), MQ_ECORRUPT);
}

static void
append(struct queue *q, struct batch *b)
{
	assert_int_equal(queue_reserve(q, b->n), MQ_OK);
	batch_number(b, 0, b->n, queue_end(q));
	queue_put_batch(q, b, 0, b->n, 77);
	queue_unreserve(q, b->n);
}

/* A sync that takes its time lets no checkpoint end. */
static void
a_row_is_new_until_the_checkpoint_that_has_taken_it_is_committed(void **state)
{
	struct rig *r = *state;
	struct queue_row row;

	put_range(r, 0, 10);
	assert_true(queue_row_if_new(r->q, &row));
	assert_int_equal(row.span.end.n, 10);
	assert_int_equal(flush(r, NULL), MQ_OK);
	assert_true(queue_row_if_new(r->q, &row));
	queues_committed(&r->qs);
	assert_false(queue_row_if_new(r->q, &row));
	assert_int_equal(flush(r, NULL), MQ_OK);	/* has nothing of it */
	assert_false(queue_row_if_new(r->q, &row));
	assert_int_equal(queue_trim(r->q, MQ_QOFF(3)), MQ_OK);
	assert_true(queue_row_if_new(r->q, &row));
	assert_int_equal(row.span.min.n, 3);
}

/* The views again, of which nothing is known but that row. */
static void
trust(struct rig *r, const struct queue_row *row)
{
	views_close(r);
	views_open(r);
	assert_int_equal(queues_restore(&r->qs, row, 1, true), MQ_OK);
	r->q = queues_find(&r->qs, "t", 1, 3);
}

static void
a_trusted_row_is_compared_when_its_files_are_first_used(void **state)
{
	struct rig *r = *state;
	struct queue_row row;
	struct queue_entry e;
	size_t got;

	put_range(r, 0, 150);
	assert_int_equal(flush(r, &row), MQ_OK);
	trust(r, &row);
	verify(r, 0, 150, 0, 0);
	put_range(r, 150, 160);
	verify(r, 0, 160, 0, 0);
	assert_false(r->qs.unlike);
	trust(r, &row);
	r->pos = row.span.last_end.byte;
	assert_int_equal(unlinkat(r->bi, "t/3/00000000000000000800", 0), 0);
	put_range(r, 150, 160);		/* in memory: no file is used */
	assert_false(r->qs.unlike);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(50), &e, 1, &got), -EIO);
	assert_true(r->qs.unlike);
	assert_int_equal(queue_records(r->q, MQ_QOFF(50), true, &e, 1, &got), -EAGAIN);
	assert_int_equal(flush(r, NULL), MQ_OK);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(149), &e, 1, &got), -EIO);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(150), &e, 1, &got), MQ_OK);
	assert_int_equal(e.body_len, body_of(150));
}

static void
a_row_is_trusted_only_where_its_topic_has_directories(void **state)
{
	struct rig *r = *state;
	struct queue_row row;

	put_range(r, 0, 10);
	assert_int_equal(flush(r, &row), MQ_OK);
	views_close(r);
	views_open(r);
	assert_int_equal(renameat(r->bi, "t", r->bi, "gone"), 0);
	assert_int_equal(queues_restore(&r->qs, &row, 1, true), MQ_ECORRUPT);
}

static void
thousands_of_growing_queues_fit_in_memory_without_a_checkpoint(void **state)
{
	enum { QUEUES = 1500, EACH = 3000 };	/* more than QUEUES_TAIL_MAX */
	struct rig *r = *state;
	struct queue_entry e;
	struct queue *q;
	struct batch b;
	size_t n;

	views_close(r);
	assert_int_equal(fdcache_open(100, &r->files), MQ_OK);
	assert_int_equal(queues_open(&r->qs, r->cq, r->bi, EACH * 20, r->files), MQ_OK);
	batch_init(&b);
	for (int i = 0; i < EACH / 2; i++)
		assert_int_equal(batch_add(&b, &(struct message){ .topic = "t", .topic_len = 1 }), MQ_OK);
	for (int i = 0; i < 2 * QUEUES; i++) {
		assert_int_equal(queues_make(&r->qs, "t", 1, i % QUEUES, &q), MQ_OK);
		append(q, &b);
		assert_true(r->qs.tail_entries < QUEUES_TAIL_MAX / 2);
		assert_true(r->qs.tail_room < QUEUES_TAIL_MAX);
	}
	for (int i = 0; i < QUEUES; i += 100) {
		q = queues_find(&r->qs, "t", 1, i);
		assert_int_equal(queue_end(q).n, EACH);
		assert_int_equal(queue_entries(q, MQ_QOFF(EACH - 1), &e, 1, &n), MQ_OK);
	}
	batch_free(&b);
}

/* --- what has changed since the last checkpoint --------------------------------------------- */

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

static struct queue *trimmed_meanwhile;	/* while the next memory is asked for */
static bool no_memory;

void *
__wrap_calloc(size_t n, size_t size)
{
	struct queue *q = trimmed_meanwhile;

	if (no_memory)
		return NULL;
	trimmed_meanwhile = NULL;
	if (q)
		assert_int_equal(queue_trim(q, MQ_QOFF(1)), MQ_OK);
	return __real_calloc(n, size);
}

/* Three queues of topic "u"; the first of them is in a checkpoint already. */
static void
three_queues(struct rig *r, struct queue *u[3])
{
	for (int i = 0; i < 3; i++) {
		assert_int_equal(queues_make(&r->qs, "u", 1, i, &u[i]), MQ_OK);
		r->q = u[i];
		put_range(r, 0, 5);
		if (i == 0)
			assert_int_equal(flush(r, NULL), MQ_OK);
	}
}

static void
take(struct rig *r, size_t want_n, struct queues_dirty *d)
{
	assert_int_equal(queues_take_dirty(&r->qs, d), MQ_OK);
	assert_int_equal(d->n, want_n);
}

static void
put_away(struct queues_dirty *d)
{
	free(d->list);
	free(d->rows);
}

static void
a_checkpoint_has_all_queues_though_retention_trims_others_meanwhile(void **state)
{
	struct rig *r = *state;
	struct queues_dirty d;
	struct queue *u[3];

	three_queues(r, u);
	trimmed_meanwhile = u[0];
	take(r, 2, &d);
	assert_true((d.list[0] == u[1] && d.list[1] == u[2]) || (d.list[0] == u[2] && d.list[1] == u[1]));
	put_away(&d);
	take(r, 1, &d);
	assert_ptr_equal(d.list[0], u[0]);
	assert_int_equal(d.rows[0].span.min.n, 1);
	put_away(&d);
	assert_int_equal(atomic_load(&r->qs.n_dirty), 0);
}

static void
a_checkpoint_without_memory_leaves_all_queues_to_the_next_one(void **state)
{
	struct rig *r = *state;
	struct queues_dirty d;
	struct queue *u[3];

	three_queues(r, u);
	no_memory = true;
	assert_int_equal(queues_take_dirty(&r->qs, &d), -ENOMEM);
	no_memory = false;
	assert_true(atomic_load(&r->qs.n_dirty) > 0);
	take(r, 2, &d);
	put_away(&d);
}

/* --- what the log may say ------------------------------------------------------------------- */

static void
missing_messages_are_holes(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 50);
	r->pos += 80 * 92;
	put_range(r, 130, 160);
	verify(r, 0, 160, 50, 130);
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 0, 160, 50, 130);
}

static void
an_offset_that_cannot_be_is_refused(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 50);
	r->pos += 20 * 91;
	assert_int_equal(put(r, INT64_MAX), MQ_ECORRUPT);
	assert_int_equal(put(r, -1), MQ_ECORRUPT);
	verify(r, 0, 50, 0, 0);
	put_range(r, 50, 60);
	verify(r, 0, 60, 0, 0);
}

static void
a_number_that_does_not_follow_is_listed_if_the_next_one_goes_on_from_it(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 50);
	r->pos += 20 * 91;
	assert_int_equal(put(r, 50 + 21), MQ_OK);	/* there was no room for so many */
	verify(r, 0, 50, 0, 0);
	put_range(r, 50, 52);				/* so that one was damaged */
	assert_int_equal(put(r, 7), MQ_OK);
	verify(r, 0, 52, 0, 0);
	put_range(r, 52, 60);
	verify(r, 0, 60, 0, 0);
	assert_int_equal(put(r, 7), MQ_OK);
	assert_int_equal(put(r, 1000), MQ_OK);
	verify(r, 0, 60, 0, 0);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 1001, 1200);			/* and this one was not */
	verify(r, 1000, 1200, 0, 0);
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 1000, 1200, 0, 0);
	assert_int_equal(r->qs.tail_entries, 0);
	put_range(r, 5, 40);
	verify(r, 5, 40, 0, 0);
}

static void
a_queue_can_start_over_anywhere(void **state)
{
	static const int64_t to[] = { 300, 299, 250, 201, 200, 120, 5, 0 };
	struct rig *r = *state;
	int64_t end = 310;

	put_range(r, 0, 310);
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		if (i % 2)
			assert_int_equal(flush(r, NULL), MQ_OK);
		put_range(r, to[i], to[i] + 3);
		end = to[i] + 3;
		verify(r, 0, end, 0, 0);
		assert_int_equal(r->qs.tail_entries, r->q->tail_n);
		assert_int_equal(flush(r, NULL), MQ_OK);
		verify(r, 0, end, 0, 0);
	}
}

static void
behind_a_new_end_rocketmqs_files_show_nothing(void **state)
{
	struct rig *r = *state;
	unsigned char *raw;

	put_range(r, 0, 310);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 150, 152);
	assert_int_equal(flush(r, NULL), MQ_OK);
	raw = file_of(r->cq, "t/3/00000000000000002000", FILE_ENTRIES * 20);
	for (int i = 52 * 20; i < FILE_ENTRIES * 20; i++)
		assert_int_equal(raw[i], 0);
	free(raw);
	assert_int_equal(faccessat(r->cq, "t/3/00000000000000004000", F_OK, 0), -1);
	put_range(r, 152, 400);
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 0, 400, 0, 0);
}

static void
starting_over_below_the_head_moves_the_head(void **state)
{
	struct rig *r = *state;
	uint32_t moves;

	put_range(r, 500, 600);
	moves = queue_head_moves(r->q);
	put_range(r, 100, 120);
	verify(r, 100, 120, 0, 0);
	assert_int_equal(queue_head_moves(r->q), moves + 1);
	assert_int_equal(span(r).start_bytes, 0);
}

static void
starting_over_from_very_far_takes_no_time(void **state)
{
	struct rig *r = *state;

	put_range(r, INT64_MAX / 64 - 150, INT64_MAX / 64);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 3, 9);
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 3, 9, 0, 0);
}

/* --- trims -------------------------------------------------------------------------------------- */

static void
a_trim_hides_what_is_before_it(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 250);
	assert_int_equal(queue_trim(r->q, MQ_QOFF(40)), MQ_OK);
	verify(r, 40, 250, 0, 0);
	assert_int_equal(flush(r, NULL), MQ_OK);
	assert_int_equal(queue_trim(r->q, MQ_QOFF(130)), MQ_OK);
	verify(r, 130, 250, 0, 0);
	assert_int_equal(queue_trim(r->q, MQ_QOFF(20)), MQ_OK);	/* only forward */
	assert_int_equal(queue_head_moves(r->q), 2);
	assert_int_equal(queue_trim(r->q, MQ_QOFF(9999)), MQ_OK);	/* at most to the end */
	assert_int_equal(queue_min(r->q).n, 250);
	assert_int_equal(span(r).start_bytes, span(r).end_bytes);
	put_range(r, 250, 260);
	verify(r, 250, 260, 0, 0);
}

/* --- bytes and positions --------------------------------------------------------------------------- */

static void
a_byte_is_found_as_by_counting(void **state)
{
	struct rig *r = *state;

	put_range(r, 10, 60);
	r->pos += 5 * 91;
	put_range(r, 65, 140);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 140, 230);
	for (int per = 0; per < 3; per++)
		for (int64_t from = 10; from < 230; from += 31)
			for (int64_t to = from; to <= 240; to += 47) {
				int64_t byte = 0, last = to < 230 ? to : 230;

				for (int64_t n = from; n < last; n++) {
					int64_t len = (n >= 60 && n < 65 ? 0 : body_of(n)) + per, at;
					mq_qoff got;

					assert_int_equal(queue_byte_of(r->q, MQ_QOFF(from), MQ_QOFF(n), per, &at), MQ_OK);
					assert_int_equal(at, byte);
					for (int64_t i = 0; i < len; i += len > 3 ? len - 1 : 1) {
						assert_int_equal(queue_find_byte(r->q, MQ_QOFF(from), MQ_QOFF(to),
										 byte + i, per, &got, &at), MQ_OK);
						assert_int_equal(got.n, n);
						assert_int_equal(at, byte);
					}
					byte += len;
				}
				assert_int_equal(queue_find_byte(r->q, MQ_QOFF(from), MQ_QOFF(to), byte, per,
								 &(mq_qoff){ 0 }, &(int64_t){ 0 }), MQ_EEND);
			}
	assert_int_equal(queue_byte_of(r->q, MQ_QOFF(9), MQ_QOFF(20), 0, &(int64_t){ 0 }), MQ_EGONE);
	assert_int_equal(queue_byte_of(r->q, MQ_QOFF(10), MQ_QOFF(231), 0, &(int64_t){ 0 }), MQ_EEND);
	assert_int_equal(queue_byte_of(r->q, MQ_QOFF(20), MQ_QOFF(19), 0, &(int64_t){ 0 }), MQ_EEND);
}

static void
a_position_is_found_also_among_holes(void **state)
{
	struct rig *r = *state;
	int64_t at[300], pos;

	for (int64_t n = 0; n < 300; n++) {
		at[n] = r->pos;
		if (n < 100 || n >= 200 || n % 9 == 0)
			put_range(r, n, n + 1);
		else
			r->pos += 91;
	}
	for (pos = 0; pos < r->pos + 10; pos += 13) {
		int64_t want = 0;
		mq_qoff got;

		while (want < 300 && at[want] < pos)
			want++;
		assert_int_equal(queue_find_pos(r->q, MQ_POS(pos), &got), MQ_OK);
		/* a hole lies nowhere: any of them before the message will do */
		while (got.n < want && got.n >= 100 && got.n < 200)
			got.n++;
		if (want < 100 || want >= 200)
			assert_int_equal(got.n, want);
	}
}

/* --- disks that fail --------------------------------------------------------------------------------- */

static void
entries_that_find_no_space_stay_in_memory(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 100);
	fault_set((struct fault){ .call = "pwrite", .at = 1, .number = ENOSPC, .for_ever = true });
	assert_int_equal(flush(r, NULL), -ENOSPC);
	verify(r, 0, 100, 0, 0);
	put_range(r, 100, 9000);
	assert_int_equal(queue_end(r->q).n, 9000);
	assert_true(fault_calls() < 10);	/* it is not tried for every message */
	fault_none();
	assert_int_equal(flush(r, NULL), MQ_OK);
	verify(r, 0, 9000, 0, 0);
	assert_int_equal(r->qs.tail_entries, 0);
}

static void
a_failed_sync_of_the_views_is_final(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 10);
	assert_int_equal(flush(r, NULL), MQ_OK);
	put_range(r, 10, 11);
	fault_set((struct fault){ .call = "fdatasync", .at = 1, .number = EIO });
	assert_int_equal(flush(r, NULL), -EIO);
	fault_none();
	assert_int_equal(flush(r, NULL), -EIO);
	put_range(r, 11, 20);
	verify(r, 0, 20, 0, 0);
}

static void
a_failed_sync_of_new_files_is_final_too(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 10);
	fault_set((struct fault){ .call = "fsync", .at = 1, .number = EIO });	/* of their directory */
	assert_int_equal(flush(r, NULL), -EIO);
	fault_none();
	assert_int_equal(flush(r, NULL), -EIO);
	verify(r, 0, 10, 0, 0);
}

/* Its file may have failed to be written back, which a new descriptor need not hear of;
 * the file system still knows. */
static void
where_a_written_file_was_closed_the_whole_file_system_is_synced(void **state)
{
	struct rig *r = *state;
	struct queue *queues[3];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 3; i++) {	/* six files; four can be open */
			assert_int_equal(queues_make(&r->qs, "u", 1, i, &queues[i]), MQ_OK);
			r->q = queues[i];
			put_range(r, round, round + 1);
		}
		if (round == 0)
			assert_int_equal(flush(r, NULL), MQ_OK);	/* new files */
	}
	fault_set((struct fault){ .call = "syncfs", .at = 1, .number = EIO });
	assert_int_equal(flush(r, NULL), -EIO);
	fault_none();
}

static int
calls_of_a_flush(struct rig *r, const char *call)
{
	fault_set((struct fault){ .call = call });
	assert_int_equal(flush(r, NULL), MQ_OK);
	return fault_calls();
}

/* The checkpoint of a snapshot, for one, would wait for what others have written. */
static void
new_files_of_a_few_queues_do_not_sync_the_whole_file_system(void **state)
{
	struct rig *r = *state;

	put_range(r, 0, 10);
	assert_int_equal(calls_of_a_flush(r, "syncfs"), 0);
	put_range(r, 10, FILE_ENTRIES + 10);
	assert_int_equal(calls_of_a_flush(r, "fsync"), 2 * 3);
	put_range(r, FILE_ENTRIES + 10, FILE_ENTRIES + 20);
	assert_int_equal(calls_of_a_flush(r, "fsync"), 0);
}

/* As on FUSE: what it says of the whole file system means nothing. */
static void
where_syncfs_cannot_be_trusted_each_file_and_directory_is_synced(void **state)
{
	struct rig *r = *state;

	r->qs.fs_syncs = false;
	put_range(r, 0, 10);
	assert_int_equal(calls_of_a_flush(r, "fsync"), 2 * 3);	/* T/Q, T and what holds them, of both halves */
	put_range(r, 10, 20);
	assert_int_equal(calls_of_a_flush(r, "fdatasync"), 2);
	put_range(r, 20, 30);
	assert_int_equal(calls_of_a_flush(r, "fsync"), 0);
	put_range(r, 30, FILE_ENTRIES + 10);
	assert_int_equal(calls_of_a_flush(r, "syncfs"), 0);
	put_range(r, FILE_ENTRIES + 10, 2 * FILE_ENTRIES + 10);
	fault_set((struct fault){ .call = "fsync", .at = 4, .number = EIO });
	assert_int_equal(flush(r, NULL), -EIO);
	fault_none();
	assert_int_equal(flush(r, NULL), -EIO);
}

static void
a_damaged_entry_is_an_error_not_a_message(void **state)
{
	struct rig *r = *state;
	struct queue_entry e[256];
	size_t n;
	int fd;

	put_range(r, 0, 100);
	assert_int_equal(flush(r, NULL), MQ_OK);
	fd = openat(r->cq, "t/3/00000000000000000000", O_WRONLY);
	assert_int_equal(pwrite(fd, "\0\0\0\0\0\0\0\0\0\0\0\0", 12, 50 * 20), 12);
	close(fd);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(50), e, 1, &n), -EIO);
	assert_int_equal(queue_records(r->q, MQ_QOFF(50), false, e, 1, &n), -EIO);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(51), e, 256, &n), MQ_OK);
	assert_int_equal(queue_entries(r->q, MQ_QOFF(0), e, 50, &n), MQ_OK);
}

/* --- the table -------------------------------------------------------------------------------------------- */

static int
count(struct queue *q, void *arg)
{
	(void)q;
	return ++*(int *)arg == 7 ? 42 : 0;
}

static void
thousands_of_queues_are_told_apart(void **state)
{
	struct rig *r = *state;
	char topic[32];
	struct queue *q;
	int n = 0;

	for (int i = 0; i < 5000; i++) {
		int len = snprintf(topic, sizeof(topic), "topic-%d", i / 4);

		assert_int_equal(queues_make(&r->qs, topic, (size_t)len, i % 4, &q), MQ_OK);
		assert_string_equal(queue_topic(q), topic);
		assert_int_equal(queue_id(q), i % 4);
	}
	for (int i = 0; i < 5000; i++) {
		int len = snprintf(topic, sizeof(topic), "topic-%d", i / 4);

		q = queues_find(&r->qs, topic, (size_t)len, i % 4);
		assert_string_equal(queue_topic(q), topic);
	}
	assert_null(queues_find(&r->qs, "topic-", 6, 0));
	assert_null(queues_find(&r->qs, "topic-1", 7, 4));
	assert_int_equal(queues_each(&r->qs, count, &n), 42);
	assert_int_equal(n, 7);
}

/* --- a slow disk ------------------------------------------------------------------------ */

#define SLOW_MS 20000			/* so slow that who waits for it fails the test */

int __real_mkdirat(int dirfd, const char *path, mode_t mode);
int __wrap_mkdirat(int dirfd, const char *path, mode_t mode);

/* 0: the disk is quick; 1: the next directory takes as long as this is not 3; 2: it does now. */
static _Atomic uint32_t disk;

int
__wrap_mkdirat(int dirfd, const char *path, mode_t mode)
{
	uint32_t slow = 1;

	if (atomic_compare_exchange_strong(&disk, &slow, 2)) {
		futex_wake(&disk, false);
		futex_wait(&disk, false, 2, SLOW_MS);
	}
	return __real_mkdirat(dirfd, path, mode);
}

static void *
flush_main(void *arg)
{
	return flush(arg, NULL) == MQ_OK ? arg : NULL;
}

static void *
cut_main(void *arg)
{
	struct rig *r = arg;

	return queue_cut(r->q, MQ_QOFF(5), &(struct queue_last){ .end = MQ_POS(r->pos) }) == MQ_OK ? arg : NULL;
}

static void
a_slow_disk_holds_up_neither_messages_nor_readers(void **state)
{
	struct rig *r = *state;
	pthread_t flusher, cutter;
	void *flushed, *cut;

	put_range(r, 0, 10);
	atomic_store(&disk, 1);
	assert_int_equal(pthread_create(&flusher, NULL, flush_main, r), 0);
	while (atomic_load(&disk) != 2)
		futex_wait(&disk, false, 1, SLOW_MS);
	put_range(r, 10, 20);			/* more than the tail had room for */
	verify(r, 0, 20, 0, 0);
	put_range(r, 20, 100);
	assert_int_equal(queue_trim(r->q, MQ_QOFF(2)), MQ_OK);
	verify(r, 2, 100, 0, 0);
	assert_int_equal(pthread_create(&cutter, NULL, cut_main, r), 0);	/* this one must wait */
	assert_int_equal(atomic_exchange(&disk, 3), 2);
	futex_wake(&disk, false);
	pthread_join(flusher, &flushed);
	pthread_join(cutter, &cut);
	assert_ptr_equal(flushed, r);
	assert_ptr_equal(cut, r);
	verify(r, 2, 5, 0, 0);
	atomic_store(&disk, 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(a_slow_disk_holds_up_neither_messages_nor_readers),
		T(files_are_rocketmqs_byte_for_byte),
		T(a_queue_that_begins_late_has_no_earlier_files),
		T(a_file_that_a_crash_left_half_made_is_completed),
		T(a_reader_does_not_see_where_files_end_and_memory_begins),
		T(a_tail_keeps_its_memory_until_a_checkpoint),
		T(records_are_those_of_the_entries_in_memory_and_in_files),
		T(records_asked_for_now_never_wait_for_the_disk),
		T(room_reserved_survives_a_checkpoint),
		T(known_records_are_skipped_and_a_restored_queue_goes_on),
		T(a_row_whose_files_are_not_there_is_not_believed),
		T(a_row_is_new_until_the_checkpoint_that_has_taken_it_is_committed),
		T(a_trusted_row_is_compared_when_its_files_are_first_used),
		T(a_row_is_trusted_only_where_its_topic_has_directories),
		T(thousands_of_growing_queues_fit_in_memory_without_a_checkpoint),
		T(a_checkpoint_has_all_queues_though_retention_trims_others_meanwhile),
		T(a_checkpoint_without_memory_leaves_all_queues_to_the_next_one),
		T(missing_messages_are_holes),
		T(an_offset_that_cannot_be_is_refused),
		T(a_number_that_does_not_follow_is_listed_if_the_next_one_goes_on_from_it),
		T(a_queue_can_start_over_anywhere),
		T(behind_a_new_end_rocketmqs_files_show_nothing),
		T(starting_over_below_the_head_moves_the_head),
		T(starting_over_from_very_far_takes_no_time),
		T(a_trim_hides_what_is_before_it),
		T(a_byte_is_found_as_by_counting),
		T(a_position_is_found_also_among_holes),
		T(entries_that_find_no_space_stay_in_memory),
		T(a_failed_sync_of_the_views_is_final),
		T(a_failed_sync_of_new_files_is_final_too),
		T(where_a_written_file_was_closed_the_whole_file_system_is_synced),
		T(new_files_of_a_few_queues_do_not_sync_the_whole_file_system),
		T(where_syncfs_cannot_be_trusted_each_file_and_directory_is_synced),
		T(a_damaged_entry_is_an_error_not_a_message),
		T(thousands_of_queues_are_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
