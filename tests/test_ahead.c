/* Read-ahead: bytes come out of the ring in order, each once, while answers are still being sent. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/uio.h>

#include <cmocka.h>

#include "conf/err.h"
#include "fs/ahead.h"

#define READ_BYTES ((size_t)256 << 10)
#define FILE_BYTES ((int64_t)16 << 20)

struct rig {
	struct handle h;	/* its last reference stays here, so it is never released */
	struct ahead_file f;
	struct ahead *a;
	int64_t next;
	int answers;		/* how many reads are to be answered while one is being answered */
};

static struct rig *rig;

static unsigned char
byte_at(int64_t at)
{
	return (unsigned char)(at * 7 + at / 4096);
}

static int
fill(struct handle *h, int64_t byte, void *buf, size_t size, size_t *ret_n)
{
	size_t n = FILE_BYTES - byte < (int64_t)size ? (size_t)(FILE_BYTES - byte) : size;

	(void)h;
	for (size_t i = 0; i < n; i++)
		((unsigned char *)buf)[i] = byte_at(byte + (int64_t)i);
	*ret_n = n;
	return MQ_OK;
}

static void
assert_bytes(const struct iovec *iov, int count, int64_t at)
{
	int64_t wrong = 0;

	for (int i = 0; i < count; i++)
		for (size_t k = 0; k < iov[i].iov_len; k++, at++)
			wrong += ((unsigned char *)iov[i].iov_base)[k] != byte_at(at);
	assert_int_equal(wrong, 0);
}

/* Read on out of the ring.  False: it has not got the next bytes. */
static bool
read_on(void)
{
	int64_t off = rig->next;

	if (!ahead_take(rig->a, &rig->h, &rig->f, READ_BYTES, off))
		return false;
	rig->next += (int64_t)READ_BYTES;
	ahead_reply(rig->a, &rig->h, &rig->f, NULL, off, READ_BYTES);
	return true;
}

/* The reader has this answer before fuse_reply_iov() returns, and asks for more, which other workers answer. */
int __wrap_fuse_reply_iov(fuse_req_t req, const struct iovec *iov, int count);
int
__wrap_fuse_reply_iov(fuse_req_t req, const struct iovec *iov, int count)
{
	int64_t off = rig->next - (int64_t)iov[0].iov_len - (count > 1 ? (int64_t)iov[1].iov_len : 0);

	(void)req;
	assert_bytes(iov, count, off);
	while (rig->answers > 0) {
		rig->answers--;
		if (!read_on())
			break;
	}
	assert_bytes(iov, count, off);
	return 0;
}

static int
setup(void **state)
{
	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	lock_init(&rig->h.lock, RANK_HANDLE);
	rig->h.refs = 1;
	ahead_file_init(&rig->f);
	assert_int_equal(ahead_open(NULL, fill, &rig->a), MQ_OK);
	*state = rig;
	return 0;
}

static int
teardown(void **state)
{
	ahead_close(rig->a);
	ahead_file_free(NULL, &rig->f);
	lock_destroy(&rig->h.lock);
	free(rig);
	(void)state;
	return 0;
}

/* As a sequential reader does. */
static void
begin_to_read(void)
{
	if (!rig->a)
		skip();			/* one CPU */
	while (!rig->f.ring) {
		ahead_note(rig->a, &rig->h, &rig->f, rig->next, READ_BYTES, READ_BYTES);
		rig->next += (int64_t)READ_BYTES;
	}
}

static void
a_sequential_reader_gets_all_bytes_out_of_one_ring(void **state)
{
	(void)state;
	begin_to_read();
	while (rig->next < FILE_BYTES)
		assert_true(read_on());
	assert_false(read_on());
}

static void
a_read_that_comes_while_the_last_one_is_being_answered_is_answered_out_of_the_ring(void **state)
{
	(void)state;
	begin_to_read();
	for (int i = 0; i < 20; i++) {
		rig->answers = 1;
		assert_true(read_on());
		assert_int_equal(rig->answers, 0);
	}
	assert_non_null(rig->f.ring);
}

static void
bytes_that_are_being_sent_stay_however_much_is_read_meanwhile(void **state)
{
	(void)state;
	begin_to_read();
	rig->answers = 1000;		/* until the ring is empty, and has no room */
	assert_true(read_on());
	assert_true(rig->answers > 0);
	rig->answers = 0;
	assert_true(read_on());
}

static void
bytes_are_taken_once(void **state)
{
	int64_t off;

	(void)state;
	begin_to_read();
	off = rig->next;
	assert_true(ahead_take(rig->a, &rig->h, &rig->f, READ_BYTES, off));
	assert_false(ahead_take(rig->a, &rig->h, &rig->f, READ_BYTES, off));
	rig->next += (int64_t)READ_BYTES;
	ahead_reply(rig->a, &rig->h, &rig->f, NULL, off, READ_BYTES);
	assert_true(read_on());
}

/* Answers that are still being sent keep the ring from being filled: then it has a part of the next one. */
static void
a_read_gets_no_part(void **state)
{
	const size_t large = READ_BYTES * 3;
	int64_t off, begin;

	(void)state;
	begin_to_read();
	begin = off = rig->next;
	while (ahead_take(rig->a, &rig->h, &rig->f, large, off))
		off += (int64_t)large;
	assert_true(off > begin);
	assert_true(rig->f.end > off);
	assert_true(ahead_take(rig->a, &rig->h, &rig->f, (size_t)(rig->f.end - off), off));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_sequential_reader_gets_all_bytes_out_of_one_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_read_that_comes_while_the_last_one_is_being_answered_is_answered_out_of_the_ring, setup, teardown),
		cmocka_unit_test_setup_teardown(bytes_that_are_being_sent_stay_however_much_is_read_meanwhile, setup,
						teardown),
		cmocka_unit_test_setup_teardown(bytes_are_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_read_gets_no_part, setup, teardown),
	};

	return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
