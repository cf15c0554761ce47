#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/log.h"
#include "store/keyindex.h"
#include "tests/fault.h"
#include "tests/tree.h"
#include "tests/vectors.h"

#define SLOTS 11
#define ENTRIES 64		/* 63 of them usable */
#define BEGIN_MS 1700000000000
#define MAX_RECORDS 2000

struct rig {
	char dir[128];
	int dirfd;
	struct keyindex *ix;
	struct keyindex_mark cp;	/* as the last checkpoint has it */
	int n;				/* records put */
	int cp_n;			/* of them, below the checkpoint */
};

static void
dir_begin(struct rig *r)
{
	tree_make(r->dir, sizeof(r->dir), NULL, "keyindex");
	r->dirfd = open(r->dir, O_RDONLY | O_DIRECTORY);
}

static int
fresh(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	log_open("test", LOG_TO_STDERR, LOG_EMERG);
	fault_none();
	dir_begin(r);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, "", 0, true, false, &r->ix), MQ_OK);
	*state = r;
	return 0;
}

static int
done(void **state)
{
	struct rig *r = *state;

	fault_none();
	keyindex_close(r->ix);
	close(r->dirfd);
	tree_remove(r->dir);
	free(r);
	return 0;
}

/* Record i of the model: it has 0 to 3 keys, the last two of few that come often. */
static int64_t
ms_of(int i)
{
	return BEGIN_MS + i * 700LL;
}

static size_t
props_of(int i, char *props, size_t size)
{
	static const char *const forms[] = {
		"TAGS\001x", "KEYS\001k%d", "KEYS\001k%d  j%d\002UNIQ_KEY\001u%d", "UNIQ_KEY\001u%3$d\002TAGS\001b",
		"KEYS\001 k%d j%d ",
	};

	return (size_t)snprintf(props, size, forms[i % 5], i % 13, i % 3, i);
}

static struct record
record_of(int i, char *props, size_t size)
{
	return (struct record){
		.topic = "orders", .topic_len = 6, .pos = MQ_POS(1000 + i * 100LL), .store_ms = ms_of(i),
		.props = props, .props_len = (int16_t)props_of(i, props, size),
	};
}

static int
put_record(struct keyindex *ix, int i)
{
	char props[100];
	struct record rec = record_of(i, props, sizeof(props));

	return keyindex_put(ix, &rec);
}

static void
prepare_record(struct keyindex *ix, int i)
{
	char props[100];
	struct record rec = record_of(i, props, sizeof(props));

	keyindex_prepare(ix, &rec);
}

static void
put(struct rig *r, int n)
{
	while (n-- > 0)
		assert_int_equal(put_record(r->ix, r->n++), MQ_OK);
}

static int
checkpoint(struct rig *r)
{
	struct keyindex_mark mark;
	int n = r->n, rc;

	assert_int_equal(keyindex_freeze(r->ix, &mark), MQ_OK);
	rc = keyindex_flush(r->ix, &mark);
	if (rc != MQ_OK)
		return rc;
	r->cp = mark;
	r->cp_n = n;
	return MQ_OK;
}

/* The process is gone; what was put after the checkpoint comes again from the log. */
static void
reopen(struct rig *r)
{
	int n = r->n;

	keyindex_close(r->ix);
	r->ix = NULL;
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, r->cp.name, r->cp.count, false, false, &r->ix), MQ_OK);
	for (int i = r->cp_n; i < n; i++)
		assert_int_equal(put_record(r->ix, i), MQ_OK);
}

static bool
has_key(int i, const char *key)
{
	char props[100], *save, *word;

	props_of(i, props, sizeof(props));
	for (word = strtok_r(props, "\001\002 ", &save); word; word = strtok_r(NULL, "\001\002 ", &save))
		if (strcmp(word, key) == 0)
			return true;
	return false;
}

static void
verify_key(struct rig *r, const char *key, int64_t from_ms, int64_t to_ms, bool exact_times)
{
	mq_pos want[MAX_RECORDS], got[MAX_RECORDS];
	size_t n, n_want = 0, at = 0;

	for (int i = r->n - 1; i >= 0; i--)
		if (has_key(i, key) && ms_of(i) >= from_ms && ms_of(i) <= to_ms)
			want[n_want++] = MQ_POS(1000 + i * 100LL);
	assert_int_equal(keyindex_find(r->ix, "orders", key, from_ms, to_ms, got, MAX_RECORDS, &n), MQ_OK);
	/* times are kept in seconds: a little more may be found, never less */
	for (size_t i = 0; i < n; i++)
		if (at < n_want && got[i].byte == want[at].byte)
			at++;
		else
			assert_false(exact_times);
	assert_int_equal(at, n_want);
}

static void
verify(struct rig *r)
{
	char key[16];

	for (int i = 0; i < 13; i++) {
		snprintf(key, sizeof(key), "k%d", i);
		verify_key(r, key, 0, INT64_MAX, true);
		verify_key(r, key, ms_of(r->n / 3), ms_of(r->n / 2), false);
	}
	for (int i = 0; i < r->n; i += 17) {
		snprintf(key, sizeof(key), "u%d", i);
		verify_key(r, key, 0, INT64_MAX, true);
	}
	verify_key(r, "j1", ms_of(r->n - 10), INT64_MAX, false);
	verify_key(r, "nothing", 0, INT64_MAX, true);
}

static int
n_files(struct rig *r)
{
	DIR *d = opendir(r->dir);
	struct dirent *e;
	int n = 0;

	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* --- the files ------------------------------------------------------------------------------ */

static void
a_file_is_rocketmqs_byte_for_byte(void **state)
{
	struct rig *r = *state;
	struct record rec;
	struct keyindex_mark mark;
	unsigned char raw[40];
	int fd;

	keyindex_close(r->ix);
	assert_int_equal(keyindex_open(r->dirfd, 5000000, 20000000, "", 0, true, false, &r->ix), MQ_OK);
	assert_int_equal(record_decode(vector_record, sizeof(vector_record), &rec), MQ_OK);
	assert_int_equal(keyindex_put(r->ix, &rec), MQ_OK);
	assert_int_equal(keyindex_put(r->ix, &rec), MQ_OK);	/* known: nothing new */
	assert_int_equal(keyindex_freeze(r->ix, &mark), MQ_OK);
	assert_int_equal(keyindex_flush(r->ix, &mark), MQ_OK);
	assert_int_equal(strlen(mark.name), 17);
	assert_int_equal(mark.count, 3);
	fd = openat(r->dirfd, mark.name, O_RDONLY);
	assert_int_equal(lseek(fd, 0, SEEK_END), 420000040);
	assert_int_equal(pread(fd, raw, 40, 0), 40);
	assert_memory_equal(raw, vector_index_header, 40);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pread(fd, raw, 4, vector_index[i].slot_at), 4);
		assert_int_equal(be32_get(raw), i + 1);
		assert_int_equal(pread(fd, raw, 20, vector_index[i].entry_at), 20);
		assert_memory_equal(raw, vector_index[i].entry, 20);
	}
	close(fd);
}

static void
a_full_file_is_followed_by_another_that_counts_from_it(void **state)
{
	struct rig *r = *state;
	unsigned char raw[40];
	char first[32];
	int fd;

	while (n_files(r) < 2)
		put(r, 1);
	assert_int_equal(checkpoint(r), MQ_OK);
	put(r, 40);
	assert_int_equal(checkpoint(r), MQ_OK);
	fd = openat(r->dirfd, r->cp.name, O_RDONLY);
	assert_int_equal(pread(fd, raw, 40, 0), 40);
	assert_true(be64_get(raw) > BEGIN_MS && be64_get(raw + 16) > 1000);
	/* the first entry's seconds: from the end of the file before */
	assert_int_equal(pread(fd, raw, 20, 40 + 4 * SLOTS + 20), 20);
	assert_in_range(be32_get(raw + 12), 0, 1);
	close(fd);
	snprintf(first, sizeof(first), "%s", r->cp.name);
	while (n_files(r) < 5)
		put(r, 1);
	verify(r);
	assert_int_equal(checkpoint(r), MQ_OK);
	assert_true(strcmp(r->cp.name, first) > 0);
	verify(r);
}

/* --- memory and files together ----------------------------------------------------------------- */

static void
keys_are_found_whether_they_are_in_memory_or_in_files(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 20; i++) {
		struct keyindex_mark mark;

		put(r, 11);
		verify(r);
		assert_int_equal(keyindex_freeze(r->ix, &mark), MQ_OK);
		verify(r);
		put(r, 5);
		verify(r);
		assert_int_equal(keyindex_flush(r->ix, &mark), MQ_OK);
		verify(r);
	}
	assert_true(n_files(r) > 3);
}

static void
only_so_many_are_found_as_were_asked_for(void **state)
{
	struct rig *r = *state;
	mq_pos got[3];
	size_t n;

	put(r, 300);
	assert_int_equal(keyindex_find(r->ix, "orders", "j1", 0, INT64_MAX, got, 3, &n), MQ_OK);
	assert_int_equal(n, 3);
	assert_true(got[0].byte > got[1].byte && got[1].byte > got[2].byte);
}

/* --- crashes --------------------------------------------------------------------------------------- */

static void
after_a_crash_the_log_brings_the_rest_again(void **state)
{
	struct rig *r = *state;

	put(r, 7);
	reopen(r);		/* before any checkpoint */
	verify(r);
	for (int i = 0; i < 12; i++) {
		put(r, 9);
		if (i % 3 == 1)
			assert_int_equal(checkpoint(r), MQ_OK);
		put(r, 4);
		reopen(r);
		verify(r);
	}
	assert_true(n_files(r) > 2);
}

static void
a_flush_that_the_checkpoint_never_told_of_is_taken_back(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 12; i++) {
		struct keyindex_mark cp = r->cp;
		int cp_n = r->cp_n;

		put(r, 9);
		assert_int_equal(checkpoint(r), MQ_OK);
		if (i % 2 == 0) {
			r->cp = cp;
			r->cp_n = cp_n;
		}
		reopen(r);
		verify(r);
		put(r, 2);
		verify(r);
	}
}

/* A copy of the directory is what the machine would find. */
static void
crash_into_copy(struct rig *r)
{
	char old[128];

	keyindex_close(r->ix);
	r->ix = NULL;
	close(r->dirfd);
	snprintf(old, sizeof(old), "%s", r->dir);
	dir_begin(r);
	sh("cp -a '%s'/. '%s'", old, r->dir);
	sh("rm -rf '%s'%s", old, "");
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, r->cp.name, r->cp.count, false, false, &r->ix), MQ_OK);
	for (int i = r->cp_n; i < r->n; i++)
		assert_int_equal(put_record(r->ix, i), MQ_OK);
}

static void
a_crash_after_any_of_a_flushs_calls_does_no_harm(void **state)
{
	struct rig *r = *state;

	put(r, 30);
	assert_int_equal(checkpoint(r), MQ_OK);
	for (int k = 1; k < 40; k++) {
		put(r, 12);
		fault_set((struct fault){ .at = k, .number = EIO, .for_ever = true });
		(void)checkpoint(r);
		fault_none();
		crash_into_copy(r);
		verify(r);
	}
}

static void
a_flush_that_failed_is_done_by_the_next(void **state)
{
	struct rig *r = *state;

	for (int k = 1; k < 30; k++) {
		put(r, 12);
		fault_set((struct fault){ .at = k, .number = ENOSPC });
		(void)checkpoint(r);
		fault_none();
		verify(r);
		put(r, 3);
		assert_int_equal(checkpoint(r), MQ_OK);
		reopen(r);
		verify(r);
	}
}

/* As an append does it: with the log's lock no file is read. */
static void
what_was_prepared_is_put_without_a_read(void **state)
{
	struct rig *r = *state;

	put(r, 20);
	assert_int_equal(checkpoint(r), MQ_OK);
	fault_set((struct fault){ .call = "pread", .at = 1, .number = EIO, .for_ever = true });
	assert_int_equal(put_record(r->ix, r->n + 1), -EIO);	/* it has a key */
	fault_none();
	reopen(r);
	for (int i = 0; i < 5; i++)
		prepare_record(r->ix, r->n + i);
	fault_set((struct fault){ .call = "pread", .at = 1, .number = EIO, .for_ever = true });
	put(r, 5);
	fault_none();
	verify(r);
}

/* What others put and flush in between counts, not what was read before. */
static void
what_was_prepared_long_ago_does_no_harm(void **state)
{
	struct rig *r = *state;

	for (int i = 0; i < 200; i++) {
		for (int ahead = 0; ahead < 8; ahead++)
			prepare_record(r->ix, r->n + ahead * (1 + i % 3));
		put(r, 1 + i % 4);
		if (i % 3 == 0)
			assert_int_equal(checkpoint(r), MQ_OK);
		if (i % 29 == 0)
			reopen(r);
	}
	verify(r);
}

static void
a_file_that_cannot_be_made_leaves_none_behind(void **state)
{
	struct rig *r = *state;

	fault_set((struct fault){ .call = "ftruncate", .at = 1, .number = ENOSPC });
	assert_int_equal(put_record(r->ix, 1), -ENOSPC);
	assert_int_equal(n_files(r), 0);
}

static void
what_the_checkpoint_says_must_be_there(void **state)
{
	struct rig *r = *state;
	struct keyindex *ix;

	put(r, 20);
	assert_int_equal(checkpoint(r), MQ_OK);
	keyindex_close(r->ix);
	r->ix = NULL;
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, r->cp.name, r->cp.count + 1, false, false, &ix),
			 MQ_ECORRUPT);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS + 1, ENTRIES, r->cp.name, r->cp.count, false, false, &ix),
			 MQ_ECORRUPT);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, "99991121000000000", 7, false, false, &ix),
			 MQ_ECORRUPT);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, r->cp.name, r->cp.count, false, false, &r->ix), MQ_OK);
	verify(r);
	reopen(r);
	keyindex_close(r->ix);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, "", 0, true, false, &r->ix), MQ_OK);
	assert_int_equal(n_files(r), 0);
}

static void
a_read_only_index_is_used_as_it_is(void **state)
{
	struct rig *r = *state;
	int n;

	put(r, 200);
	assert_int_equal(checkpoint(r), MQ_OK);
	keyindex_close(r->ix);
	n = n_files(r);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS, ENTRIES, "", 0, true, true, &r->ix), MQ_OK);
	verify(r);
	assert_int_equal(put_record(r->ix, 1000), MQ_OK);
	assert_int_equal(n_files(r), n);
	keyindex_close(r->ix);
	assert_int_equal(keyindex_open(r->dirfd, SLOTS + 1, ENTRIES, "", 0, true, true, &r->ix), MQ_OK);
	r->n = 0;
	verify_key(r, "k1", 0, INT64_MAX, true);
}

static void
an_index_that_is_never_synced_is_written_all_the_same(void **state)
{
	struct rig *r = *state;

	keyindex_never_sync(r->ix);
	put(r, 150);
	fault_set((struct fault){ .call = "fsync", .at = 1, .number = EIO, .for_ever = true });
	assert_int_equal(checkpoint(r), MQ_OK);
	put(r, 10);
	fault_set((struct fault){ .call = "fdatasync", .at = 1, .number = EIO, .for_ever = true });
	assert_int_equal(checkpoint(r), MQ_OK);
	assert_int_equal(fault_calls(), 0);
	fault_none();
	reopen(r);
	verify(r);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(a_file_is_rocketmqs_byte_for_byte),
		T(a_full_file_is_followed_by_another_that_counts_from_it),
		T(keys_are_found_whether_they_are_in_memory_or_in_files),
		T(an_index_that_is_never_synced_is_written_all_the_same),
		T(only_so_many_are_found_as_were_asked_for),
		T(after_a_crash_the_log_brings_the_rest_again),
		T(a_flush_that_the_checkpoint_never_told_of_is_taken_back),
		T(a_crash_after_any_of_a_flushs_calls_does_no_harm),
		T(a_flush_that_failed_is_done_by_the_next),
		T(what_was_prepared_is_put_without_a_read),
		T(what_was_prepared_long_ago_does_no_harm),
		T(a_file_that_cannot_be_made_leaves_none_behind),
		T(what_the_checkpoint_says_must_be_there),
		T(a_read_only_index_is_used_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
