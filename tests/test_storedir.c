#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "store/storedir.h"
#include "tests/tree.h"

static char root[128], path[160];

static int
fresh(void **state)
{
	(void)state;
	tree_make(root, sizeof(root), NULL, "storedir");
	sh("mkdir -p '%s/a/b' '%s/elsewhere'", root, root);
	snprintf(path, sizeof(path), "%s/a/b/store", root);
	return 0;
}

static int
done(void **state)
{
	(void)state;
	sh("chmod -R u+w '%s'", root);
	return tree_remove(root);
}

static bool
there(const char *name)
{
	char full[300];

	snprintf(full, sizeof(full), "%s/%s", path, name);
	return access(full, F_OK) == 0;
}

static void
that_rocketmq_was_here_is_known_until_a_store_is_opened(void **state)
{
	struct storedir d;

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	storedir_close(&d);
	sh("printf lock | dd of='%s/lock' conv=notrunc status=none", path);
	assert_int_equal(storedir_open(path, "/no/such/log", false, 0, &d), -ENOENT);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
		assert_int_equal(d.was_rocketmqs, i == 0);
		storedir_close(&d);
	}
}

static void
a_store_is_made(void **state)
{
	struct storedir d;

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_true(d.is_new && d.was_clean && !d.read_only);
	assert_int_equal(d.fd, d.derived_fd);
	assert_true(there("commitlog") && there("consumequeue") && there("byteindex") && there("index"));
	assert_true(there("lmdb") && there("config") && there("lost+found"));
	storedir_close(&d);
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_false(d.is_new);
	storedir_close(&d);
	strcat(path, "2/");
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_true(d.is_new);
	storedir_close(&d);
}

static void
a_missing_parent_is_named_and_not_made(void **state)
{
	char mistyped[200], log[200];
	struct storedir d;

	(void)state;
	snprintf(mistyped, sizeof(mistyped), "%s/a/c/d/store", root);
	assert_int_equal(storedir_open(mistyped, "", false, 0, &d), -ENOENT);
	assert_non_null(strstr(err_text(-ENOENT), "/a/c"));
	assert_null(strstr(strstr(err_text(-ENOENT), "no directory"), "/a/c/d"));
	snprintf(log, sizeof(log), "%s/b/log", root);
	assert_int_equal(storedir_open(path, log, false, 0, &d), -ENOENT);
	snprintf(mistyped, sizeof(mistyped), "%s/a/c", root);
	assert_int_not_equal(access(mistyped, F_OK), 0);
	snprintf(mistyped, sizeof(mistyped), "%s/b", root);
	assert_int_not_equal(access(mistyped, F_OK), 0);
}

static void
a_path_that_cannot_be_is_refused(void **state)
{
	struct storedir d = { .fd = 77 };

	(void)state;
	assert_int_equal(storedir_open("", "", false, 0, &d), -ENOENT);
	assert_int_equal(storedir_open("/dev/null/store", "", false, 0, &d), -ENOTDIR);
	assert_int_equal(storedir_open(path, "", true, 0, &d), -ENOENT);
	assert_int_equal(d.fd, 77);
}

static void
a_second_opener_is_refused_by_name(void **state)
{
	struct storedir a, b;
	char pid[32];

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &a), MQ_OK);
	assert_int_equal(storedir_open(path, "", false, 60, &b), -EBUSY);
	snprintf(pid, sizeof(pid), "process %d on ", (int)getpid());
	assert_non_null(strstr(err_text(-EBUSY), pid));
	assert_int_equal(storedir_open(path, "", true, 0, &b), -EBUSY);
	storedir_close(&a);
	assert_int_equal(storedir_open(path, "", false, 0, &b), MQ_OK);
	storedir_close(&b);
}

static void
readers_share_a_store_and_keep_writers_out(void **state)
{
	struct storedir a, b, c;
	char said[64];

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &a), MQ_OK);
	storedir_close(&a);
	assert_int_equal(storedir_open(path, "", true, 0, &a), MQ_OK);
	assert_int_equal(storedir_open(path, "", true, 0, &b), MQ_OK);
	assert_int_equal(storedir_open(path, "", false, 0, &c), -EBUSY);
	snprintf(said, sizeof(said), "read-only by process %d on ", (int)getpid());
	assert_non_null(strstr(err_text(-EBUSY), said));
	storedir_close(&a);
	storedir_close(&b);
}

static void
the_next_one_waits_for_the_holder_to_go(void **state)
{
	int ready[2], status;
	struct storedir d;
	pid_t child;
	char c;

	(void)state;
	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		if (storedir_open(path, "", false, 0, &d) != MQ_OK || write(ready[1], "x", 1) != 1)
			_exit(1);
		usleep(100000);
		_exit(0);		/* as a killed one: the kernel lets go of the lock */
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(storedir_open(path, "", false, 10000, &d), MQ_OK);
	storedir_close(&d);
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	close(ready[0]);
	close(ready[1]);
}

/* A process that opens the store when it is told to, and ends with 0 if the store was no copy of a snapshot. */
static pid_t
next_one(int told_fd)
{
	struct storedir d;
	pid_t pid = fork();
	char c;

	if (pid == 0)
		_exit(read(told_fd, &c, 1) == 1 && storedir_open(path, "", false, 10000, &d) == MQ_OK ? d.is_copy : 2);
	return pid;
}

static void
the_next_one_sees_what_the_holder_has_changed(void **state)
{
	int told[2], status;
	struct storedir d;
	pid_t next;

	(void)state;
	assert_int_equal(pipe(told), 0);
	next = next_one(told[0]);
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	storedir_close(&d);
	sh("echo > '%s/snapshot'", path);
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_true(d.is_copy);
	assert_int_equal(write(told[1], "x", 1), 1);
	sh("until readlink /proc/%d/fd/* | grep -q '/lock$'; do sleep 0.01; done", (int)next);
	assert_int_equal(storedir_is_own(&d), MQ_OK);
	storedir_close(&d);
	assert_int_equal(waitpid(next, &status, 0), next);
	assert_int_equal(status, 0);
	close(told[0]);
	close(told[1]);
}

static void
abort_tells_of_a_crash(void **state)
{
	struct storedir d;

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_int_equal(storedir_begin(&d), MQ_OK);
	assert_true(there("abort"));
	storedir_close(&d);		/* no end */
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_false(d.was_clean);
	assert_int_equal(storedir_begin(&d), MQ_OK);
	assert_int_equal(storedir_end(&d), MQ_OK);
	assert_int_equal(storedir_end(&d), MQ_OK);
	assert_false(there("abort"));
	storedir_close(&d);
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_true(d.was_clean);
	storedir_close(&d);
}

static void
the_checkpoint_is_rocketmqs(void **state)
{
	unsigned char raw[5000], zeros[4096] = { 0 };
	struct storedir d;
	int fd;

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_int_equal(storedir_write_checkpoint(&d, 0x18bcfe5687b, 0x18bcfe5687b, 0), MQ_OK);
	fd = openat(d.fd, "checkpoint", O_RDONLY);
	assert_int_equal(read(fd, raw, sizeof(raw)), 4096);
	assert_memory_equal(raw, "\0\0\1\x8b\xcf\xe5\x68\x7b\0\0\1\x8b\xcf\xe5\x68\x7b", 16);
	assert_memory_equal(raw + 16, zeros, 4080);
	close(fd);
	storedir_close(&d);
}

static void
a_read_only_opener_writes_nothing_into_the_store(void **state)
{
	struct storedir d;
	char *derived;

	(void)state;
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	storedir_close(&d);
	assert_int_equal(storedir_open(path, "", true, 0, &d), MQ_OK);
	assert_int_not_equal(d.fd, d.derived_fd);
	assert_int_equal(storedir_begin(&d), MQ_OK);
	assert_int_equal(storedir_write_checkpoint(&d, 1, 1, 1), MQ_OK);
	assert_int_equal(storedir_end(&d), MQ_OK);
	assert_false(there("abort") || there("checkpoint"));
	derived = strdup(d.derived_path);
	assert_int_equal(access(derived, F_OK), 0);
	storedir_close(&d);
	assert_int_not_equal(access(derived, F_OK), 0);
	free(derived);
}

/* --- storePathCommitLog ---------------------------------------------------------- */

/* A directory beside the store; a segment in it, if so. */
static const char *
elsewhere(bool with_segment)
{
	static char log[200];

	snprintf(log, sizeof(log), "%s/elsewhere/log", root);
	if (with_segment)
		sh("mkdir -p '%s' && echo x > '%s/00000000000000000000'", log, log);
	return log;
}

static bool
has_segment(const struct storedir *d)
{
	return faccessat(d->commitlog_fd, "00000000000000000000", F_OK, 0) == 0;
}

static void
a_commit_log_elsewhere_is_used_and_found_again_without_being_told(void **state)
{
	const char *log = elsewhere(true);
	struct storedir d;

	(void)state;
	sh("mkdir -p '%s/consumequeue'", path);
	assert_int_equal(storedir_open(path, log, true, 0, &d), MQ_OK);	/* changes nothing */
	assert_true(has_segment(&d));
	storedir_close(&d);
	assert_false(there("commitlog"));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(storedir_open(path, log, false, 0, &d), MQ_OK);
		assert_true(has_segment(&d));
		storedir_close(&d);
	}
	assert_int_equal(storedir_open(path, "", false, 0, &d), MQ_OK);
	assert_true(has_segment(&d));
	storedir_close(&d);
	assert_int_equal(storedir_open(path, "", true, 0, &d), MQ_OK);
	assert_true(has_segment(&d));
	storedir_close(&d);
}

static void
a_new_store_makes_its_commit_log_where_it_is_told(void **state)
{
	const char *log = elsewhere(false);
	struct storedir d;

	(void)state;
	assert_int_equal(storedir_open(path, log, false, 0, &d), MQ_OK);
	storedir_close(&d);
	assert_int_equal(access(log, F_OK), 0);
	assert_true(there("commitlog"));
}

static void
a_store_whose_commit_log_is_missing_is_refused_and_stays_as_it_is(void **state)
{
	const char *log = elsewhere(false);
	struct storedir d;

	(void)state;
	sh("mkdir -p '%s/consumequeue'", path);
	assert_int_equal(storedir_open(path, log, false, 0, &d), -ENOENT);
	assert_int_equal(access(log, F_OK), -1);
	assert_false(there("commitlog"));
}

static void
a_second_commit_log_is_refused(void **state)
{
	char own[256];
	struct storedir d;

	(void)state;
	sh("mkdir -p '%s/commitlog' && echo x > '%s/commitlog/00000000000000000000'", path, path);
	assert_int_equal(storedir_open(path, elsewhere(true), false, 0, &d), -EINVAL);
	assert_int_equal(storedir_open(path, elsewhere(true), true, 0, &d), -EINVAL);
	snprintf(own, sizeof(own), "%s/commitlog", path);	/* what most broker.conf say */
	assert_int_equal(storedir_open(path, own, false, 0, &d), MQ_OK);
	assert_true(has_segment(&d));
	storedir_close(&d);
}

static void
the_own_commitlog_may_be_named_before_it_is_made(void **state)
{
	char own[256], target[256];
	struct storedir d;

	(void)state;
	snprintf(own, sizeof(own), "%s//commitlog/", path);
	assert_int_equal(storedir_open(path, own, false, 0, &d), MQ_OK);
	storedir_close(&d);
	snprintf(own, sizeof(own), "%s/commitlog", path);
	assert_int_equal(readlink(own, target, sizeof(target)), -1);
}

static void
one_commit_log_serves_one_store_at_a_time(void **state)
{
	const char *log = elsewhere(true);
	char other[200];
	struct storedir a, b;

	(void)state;
	snprintf(other, sizeof(other), "%s/other", root);
	assert_int_equal(storedir_open(path, log, false, 0, &a), MQ_OK);
	assert_int_equal(storedir_open(other, log, false, 0, &b), -EBUSY);
	assert_non_null(strstr(err_text(-EBUSY), log));
	storedir_close(&a);
	assert_int_equal(storedir_open(other, log, false, 0, &b), MQ_OK);
	assert_int_equal(storedir_open(path, "", false, 0, &a), -EBUSY);	/* through its link */
	storedir_close(&b);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fresh, done)
	const struct CMUnitTest tests[] = {
		T(a_store_is_made),
		T(a_missing_parent_is_named_and_not_made),
		T(that_rocketmq_was_here_is_known_until_a_store_is_opened),
		T(a_path_that_cannot_be_is_refused),
		T(a_second_opener_is_refused_by_name),
		T(readers_share_a_store_and_keep_writers_out),
		T(the_next_one_waits_for_the_holder_to_go),
		T(the_next_one_sees_what_the_holder_has_changed),
		T(abort_tells_of_a_crash),
		T(the_checkpoint_is_rocketmqs),
		T(a_read_only_opener_writes_nothing_into_the_store),
		T(a_commit_log_elsewhere_is_used_and_found_again_without_being_told),
		T(a_new_store_makes_its_commit_log_where_it_is_told),
		T(a_store_whose_commit_log_is_missing_is_refused_and_stays_as_it_is),
		T(a_second_commit_log_is_refused),
		T(the_own_commitlog_may_be_named_before_it_is_made),
		T(one_commit_log_serves_one_store_at_a_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
