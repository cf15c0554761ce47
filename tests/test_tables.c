/* The tables of LMDB, and what damage to their file does: it is noticed before liblmdb
 * meets it (offsets/pages.h), and so is a row that says something else (offsets/tables.h).
 *
 * MQFS_SEED and MQFS_DAMAGES make other and more damages.
 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lmdb.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/log.h"
#include "conf/scope.h"
#include "offsets/pages.h"
#include "offsets/tables.h"
#include "tests/broker_kit.h"
#include "tests/tree.h"

#define PAGE 4096

/* --- tables with everything: many pages, big values, free pages ------------------------------- */

static void
put(struct rows *r, enum table table, int i, size_t len)
{
	AUTO_FREE char *value = malloc(len + 1);
	char key[32];

	assert_non_null(value);
	snprintf(key, sizeof(key), "name-%06d", i);
	memset(value, 'a' + i % 26, len);
	rows_put(r, table, key, strlen(key), value, len);
}

static void
write_rows(struct tables *t, int from, int to, size_t len)
{
	struct rows r = { 0 };

	for (int i = from; i < to; i++)
		put(&r, (enum table)(i % TABLE_META), i, len);
	assert_int_equal(tables_write(t, &r), MQ_OK);
	rows_free(&r);
}

static void
fill(const char *dir)
{
	struct rows r = { 0 };
	struct tables *t;
	char key[32];

	assert_int_equal(tables_open(dir, false, &t), MQ_OK);
	write_rows(t, 0, 1500, 80);
	write_rows(t, 2000, 2020, 9000);
	for (int i = 0; i < 1500; i += 3) {
		snprintf(key, sizeof(key), "name-%06d", i);
		rows_delete(&r, (enum table)(i % TABLE_META), key, strlen(key));
	}
	rows_empty(&r, TABLE_ATTRS);
	assert_int_equal(tables_write(t, &r), MQ_OK);
	rows_free(&r);
	write_rows(t, 2003, 2010, 30000);
	write_rows(t, 1, 300, 90);
	tables_close(t);
}

static int
add_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	FILE *out = arg;

	fwrite(key, 1, key_len, out);
	fwrite(value, 1, value_len, out);
	return MQ_OK;
}

/* All that they say, but for the sum, as text. */
static int
dump(struct tables *t, char **ret, size_t *ret_len)
{
	FILE *out = open_memstream(ret, ret_len);
	int rc = MQ_OK;

	for (int i = 0; i < TABLE_META && rc == MQ_OK; i++) {
		fprintf(out, "\n%d:", i);
		rc = tables_each(t, (enum table)i, add_row, out);
	}
	fclose(out);
	return rc;
}

/* --- damage ------------------------------------------------------------------------------------ */

struct file {
	char dir[128], path[256];
	unsigned char *bytes;
	size_t len;
	uint64_t random;
};

static uint64_t
chance(struct file *f, uint64_t n)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random % n;
}

static void
file_read(struct file *f)
{
	AUTO_CLOSE int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	f->len = (size_t)st.st_size;
	f->bytes = malloc(f->len);
	assert_non_null(f->bytes);
	assert_int_equal(read(fd, f->bytes, f->len), f->len);
}

static void
file_write(const struct file *f, const void *bytes, size_t len, size_t at)
{
	AUTO_CLOSE int fd = open(f->path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
}

static int
setup(void **state)
{
	static struct file f;
	const char *seed = getenv("MQFS_SEED");

	memset(&f, 0, sizeof(f));
	f.random = seed ? strtoull(seed, NULL, 10) : 1;
	f.random = f.random * 0x9e3779b97f4a7c15 + 1;
	tree_make(f.dir, sizeof(f.dir), NULL, "tables");
	snprintf(f.path, sizeof(f.path), "%s/data.mdb", f.dir);
	fill(f.dir);
	file_read(&f);
	*state = &f;
	return 0;
}

static int
teardown(void **state)
{
	struct file *f = *state;

	free(f->bytes);
	tree_remove(f->dir);
	return 0;
}

/* What a mount does with them.  0: they say what was written, or were refused; else: what
 * went wrong. */
static int
use(const struct file *f, const char *want, size_t want_len)
{
	AUTO_FREE char *got = NULL;
	struct tables *t;
	size_t len = 0;
	int rc = tables_open(f->dir, false, &t);

	if (rc != MQ_OK)
		return rc == MQ_ECORRUPT ? 0 : 10;
	if (dump(t, &got, &len) != MQ_OK)
		return 11;
	if (len != want_len || memcmp(got, want, len) != 0)
		return 12;
	for (int i = 0; i < 4; i++) {		/* takes all free pages, and changes most of the others */
		struct rows r = { 0 };

		for (int j = i; j < 1500; j += 7)
			put(&r, (enum table)(j % TABLE_META), j, 60);
		put(&r, TABLE_TOPICS, 5000 + i, 20000);
		if (tables_write(t, &r) != MQ_OK)
			return 13;
		rows_free(&r);
	}
	tables_close(t);
	rc = tables_open(f->dir, false, &t);
	if (rc != MQ_OK)
		return 14;
	tables_close(t);
	return 0;
}

static void
use_in_a_child(struct file *f, const char *want, size_t want_len, size_t at, int bytes)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < 5; i++)	/* not for cmocka to catch */
			signal((int[]){ SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL }[i], SIG_DFL);
		setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 });
		if (!getenv("MQFS_LOUD"))
			(void)!freopen("/dev/null", "w", stderr);
		_exit(use(f, want, want_len));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("%d bytes at %zu: %s %d", bytes, at, WIFSIGNALED(status) ? "signal" : "exit",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Half of them where pages and nodes say what they are. */
static size_t
place_of_damage(struct file *f)
{
	size_t at = chance(f, f->len - 4);

	return chance(f, 2) ? at - at % PAGE + chance(f, 160) : at;
}

static void
no_damage_of_the_file_kills_whoever_uses_it_or_is_believed(void **state)
{
	struct file *f = *state;
	const char *n = getenv("MQFS_DAMAGES");
	AUTO_FREE char *want = NULL;
	struct tables *t;
	size_t len = 0;

	assert_int_equal(tables_open(f->dir, true, &t), MQ_OK);
	assert_int_equal(dump(t, &want, &len), MQ_OK);
	tables_close(t);
	use_in_a_child(f, want, len, 0, 0);
	for (int i = n ? atoi(n) : 250; i > 0; i--) {
		size_t at = place_of_damage(f);
		unsigned char damage[4];
		int bytes = chance(f, 2) ? 4 : 1;

		for (int b = 0; b < bytes; b++)
			damage[b] = (unsigned char)chance(f, 256);
		assert_int_equal(truncate(f->path, 0), 0);
		file_write(f, f->bytes, f->len, 0);
		file_write(f, damage, (size_t)bytes, at);
		use_in_a_child(f, want, len, at, bytes);
	}
}

/* Every page in turn is lost: zeros, or an older or another page. */
static void
a_page_that_is_another_one_is_noticed(void **state)
{
	struct file *f = *state;
	AUTO_FREE char *want = NULL;
	static const unsigned char zeros[PAGE];
	struct tables *t;
	size_t len = 0;

	assert_int_equal(tables_open(f->dir, true, &t), MQ_OK);
	assert_int_equal(dump(t, &want, &len), MQ_OK);
	tables_close(t);
	for (size_t page = 2; page < f->len / PAGE; page += 3) {
		assert_int_equal(truncate(f->path, 0), 0);
		file_write(f, f->bytes, f->len, 0);
		file_write(f, page % 2 ? zeros : f->bytes + (page - 1) * PAGE, PAGE, page * PAGE);
		use_in_a_child(f, want, len, page * PAGE, PAGE);
	}
}

/* --- rows ---------------------------------------------------------------------------------------- */

static void
a_row_that_says_something_else_is_noticed(void **state)
{
	struct file *f = *state;
	struct tables *t;
	size_t flips = 0;

	/* in every copy of that row: pages of old transactions may have it, too */
	for (size_t i = 0; i + 20 < f->len; i++)
		if (memcmp(f->bytes + i, "name-000301", 11) == 0) {
			file_write(f, "Z", 1, i + 40);
			flips++;
		}
	assert_true(flips > 0);
	assert_int_equal(pages_check(f->path), MQ_OK);
	assert_int_equal(tables_open(f->dir, false, &t), MQ_ECORRUPT);
	assert_non_null(strstr(err_text(MQ_ECORRUPT), "not what was written"));
	assert_int_equal(tables_open(f->dir, true, &t), MQ_ECORRUPT);
}

/* An older program knows nothing of a sum, and writes on. */
static void
what_an_older_program_has_written_is_believed_and_summed_from_then_on(void **state)
{
	struct file *f = *state;
	MDB_val key = { .mv_size = 3, .mv_data = (void *)(uintptr_t)"old" }, value = key;
	struct tables *t;
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, TABLES), 0);
	assert_int_equal(mdb_env_open(env, f->dir, 0, 0640), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "topics", 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);

	assert_int_equal(tables_open(f->dir, false, &t), MQ_OK);
	write_rows(t, 3000, 3001, 10);
	tables_close(t);
	assert_int_equal(tables_open(f->dir, false, &t), MQ_OK);
	tables_close(t);
	free(f->bytes);
	file_read(f);
	for (size_t i = 0; i + 6 < f->len; i++)
		if (memcmp(f->bytes + i, "oldold", 6) == 0)
			file_write(f, "oldODD", 6, i);
	assert_int_equal(tables_open(f->dir, false, &t), MQ_ECORRUPT);
}

/* --- a broker over them ---------------------------------------------------------------------------- */

/* The disk cannot read one page after another of the file, from the `from`th byte on. */
static off_t unreadable_from = -1;

ssize_t __real_pread(int fd, void *buf, size_t len, off_t at);
ssize_t __wrap_pread(int fd, void *buf, size_t len, off_t at);

ssize_t
__wrap_pread(int fd, void *buf, size_t len, off_t at)
{
	char name[32], path[256] = "";

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	if (unreadable_from >= 0 && at >= unreadable_from && readlink(name, path, sizeof(path) - 1) > 0 &&
	    strstr(path, "/lmdb/data.mdb")) {
		errno = EIO;
		return -1;
	}
	return __real_pread(fd, buf, len, at);
}

static void
a_broker_whose_tables_cannot_be_read_makes_them_anew(void **state)
{
	struct broker b;

	(void)state;
	for (off_t from = 0; from <= 2 * PAGE; from += 2 * PAGE) {
		broker_begin(&b, NULL);
		broker_open(&b);
		broker_topic(&b, "orders", 4);
		broker_produce(&b, "orders", 1, 10);
		broker_close(&b);
		unreadable_from = from;
		broker_open_read_only(&b);
		assert_non_null(topic_find(b.offsets, "orders"));
		broker_close(&b);
		broker_open(&b);
		unreadable_from = -1;
		assert_non_null(topic_find(b.offsets, "orders"));
		assert_int_equal(queue_end(store_queue(b.store, "orders", 1)).n, 10);
		broker_close(&b);
		broker_end(&b);
	}
}

static void
a_broker_makes_damaged_tables_anew_from_the_log(void **state)
{
	static const char was[] = "\"queues\":4", is[] = "\"queues\":7";
	struct broker b;
	struct file f = { 0 };
	struct topic_conf conf;
	char aside[256];

	(void)state;
	broker_begin(&b, NULL);
	broker_open(&b);
	broker_topic(&b, "orders", 4);
	broker_produce(&b, "orders", 1, 10);
	broker_close(&b);
	snprintf(f.path, sizeof(f.path), "%s/lmdb/data.mdb", b.path);
	file_read(&f);
	for (size_t i = 0; i + sizeof(was) < f.len; i++)
		if (memcmp(f.bytes + i, was, sizeof(was) - 1) == 0)
			file_write(&f, is, sizeof(is) - 1, i);
	free(f.bytes);
	broker_open(&b);
	topic_conf(b.offsets, topic_find(b.offsets, "orders"), &conf);
	assert_int_equal(conf.queues, 4);
	assert_int_equal(queue_end(store_queue(b.store, "orders", 1)).n, 10);
	snprintf(aside, sizeof(aside), "%s/lost+found/lmdb.broken-1.txt", b.path);
	assert_int_equal(access(aside, F_OK), 0);
	broker_close(&b);
	broker_end(&b);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(no_damage_of_the_file_kills_whoever_uses_it_or_is_believed),
		T(a_page_that_is_another_one_is_noticed),
		T(a_row_that_says_something_else_is_noticed),
		T(what_an_older_program_has_written_is_believed_and_summed_from_then_on),
		cmocka_unit_test(a_broker_makes_damaged_tables_anew_from_the_log),
		cmocka_unit_test(a_broker_whose_tables_cannot_be_read_makes_them_anew),
	};

	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
