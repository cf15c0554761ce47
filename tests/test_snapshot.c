/* Snapshots as the store keeps them: what is there after a crash at any step. */
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
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/settings.h"
#include "offsets/offsets.h"
#include "store/manifest.h"
#include "store/retention.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "store/storedir.h"
#include "tests/broker_kit.h"
#include "tests/fault.h"
#include "tests/tree.h"

static struct snapshots *snapshots;

static void
open_with_snapshots(struct broker *b)
{
	broker_open(b);
	assert_int_equal(snapshots_open(&b->sd, &snapshots), MQ_OK);
}

static void
close_with_snapshots(struct broker *b)
{
	broker_close(b);
	snapshots_close(snapshots);
}

static int
fresh(void **state)
{
	struct broker *b;

	broker_setup(state);
	b = *state;
	broker_set(b, "mappedFileSizeCommitLog", "65536");
	broker_set(b, "flushIntervalCommitLog", "3600000");	/* nobody else's system calls */
	open_with_snapshots(b);
	return 0;
}

static int
done(void **state)
{
	close_with_snapshots(*state);
	return broker_teardown(state);
}

/* Some segments of log: topics are records. */
static void
fill(struct broker *b, const char *prefix, int n)
{
	char name[40];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s%d", prefix, i);
		broker_topic(b, name, 1);
	}
}

static bool
there(const struct broker *b, const char *path)
{
	return faccessat(b->sd.fd, path, F_OK, 0) == 0;
}

static void
a_name_is_taken_once_and_free_again_when_dropped(void **state)
{
	struct broker *b = *state;
	struct snapshot *s, *again;

	fill(b, "t", 10);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &again), -EEXIST);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "a.b", &again), -EINVAL);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "", &again), -EINVAL);
	assert_ptr_equal(snapshot_find(snapshots, "one"), s);
	assert_ptr_equal(snapshot_at(snapshots, 0), s);
	assert_null(snapshot_at(snapshots, 1));
	assert_int_equal(s->mark.byte, broker_written(b).byte);

	assert_int_equal(snapshot_drop(snapshots, "one"), MQ_OK);
	assert_int_equal(snapshot_drop(snapshots, "one"), -ENOENT);
	assert_null(snapshot_find(snapshots, "one"));
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &again), MQ_OK);
	assert_true(again->id > s->id);
	assert_true(again->taken_ms / 1000 > s->taken_ms / 1000);	/* rsync goes by the second */
	snapshots_sweep(snapshots);
	assert_true(there(b, "snapshots/one/snapshot"));
	assert_false(there(b, "snapshots/1.gone"));
}

static void
ids_are_not_given_twice_even_after_a_remount(void **state)
{
	struct broker *b = *state;
	struct snapshot *s;
	uint32_t id;

	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "two", &s), MQ_OK);
	id = s->id;
	assert_int_equal(snapshot_drop(snapshots, "two"), MQ_OK);
	close_with_snapshots(b);
	open_with_snapshots(b);
	assert_non_null(snapshot_find(snapshots, "one"));
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "two", &s), MQ_OK);
	assert_true(s->id > id);
}

static void
what_was_begun_before_a_crash_is_removed(void **state)
{
	struct broker *b = *state;
	struct snapshot *s;
	struct draft d;

	fill(b, "t", 1000);
	assert_int_equal(snapshot_begin(snapshots, "half", &d), MQ_OK);
	assert_int_equal(store_flush(b->store, broker_written(b)), MQ_OK);
	assert_int_equal(snapshot_link(snapshots, &d, b->store, broker_written(b)), MQ_OK);
	assert_true(there(b, "snapshots/half.new/commitlog/00000000000000000000"));
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "whole", &s), MQ_OK);
	close_with_snapshots(b);	/* as good as a crash: d is not ended */
	open_with_snapshots(b);
	assert_false(there(b, "snapshots/half.new"));
	assert_null(snapshot_find(snapshots, "half"));
	assert_non_null(snapshot_find(snapshots, "whole"));
	assert_true(there(b, "commitlog/00000000000000000000"));
	close(d.dir_fd), close(d.commitlog_fd), close(d.lmdb_fd), close(d.config_fd);
}

static void
an_abandoned_one_leaves_nothing(void **state)
{
	struct broker *b = *state;
	struct snapshot *s;
	struct draft d;

	fill(b, "t", 10);
	assert_int_equal(snapshot_begin(snapshots, "x", &d), MQ_OK);
	assert_int_equal(snapshot_link(snapshots, &d, b->store, broker_written(b)), MQ_OK);
	assert_int_not_equal(snapshot_keep(snapshots, &d, &s), MQ_OK);	/* its tables are missing */
	assert_false(there(b, "snapshots/x"));
	assert_false(there(b, "snapshots/x.new"));
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "x", &s), MQ_OK);
}

/* Each system call of it fails once, in turn. */
static void
whatever_fails_nothing_is_left_and_the_next_try_works(void **state)
{
	static const int numbers[] = { ENOSPC, EIO, EMFILE };
	struct broker *b = *state;
	struct snapshot *s;

	fill(b, "t", 10);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		int at = 1, failures = 0, calls;

		do {
			assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
			fault_set((struct fault){ .at = at, .number = numbers[i] });
			int rc = offsets_snapshot(b->offsets, snapshots, "x", &s);

			calls = fault_calls();
			fault_none();
			if (rc != MQ_OK) {
				failures++;
				assert_null(snapshot_find(snapshots, "x"));
				assert_false(there(b, "snapshots/x"));
				rc = offsets_snapshot(b->offsets, snapshots, "x", &s);
			}
			if (rc != MQ_OK)
				fail_msg("after call %d failed with %d: %s", at, numbers[i], err_text(rc));
			assert_false(there(b, "snapshots/x.new"));
			assert_int_equal(snapshot_drop(snapshots, "x"), MQ_OK);
			snapshots_sweep(snapshots);
		} while (at++ < calls);
		assert_true(failures > 10);
	}
}

/* Retention, at the worst moment of a snapshot: after its first link. */
static struct store *retention_of;

static void *
retention_thread(void *arg)
{
	assert_int_equal(retention_round(arg, false), MQ_OK);
	return NULL;
}

/* Before its first link: the log grows by some segments, of which a checkpoint has all, and all but
 * the last one are old enough to be removed. */
static struct broker *outgrown_by;

static void *
outgrow_thread(void *arg)
{
	struct broker *b = arg;

	fill(b, "later", 1500);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	sh("touch -d '1000 hours ago' '%s'/commitlog/0*", b->path);
	assert_int_equal(retention_round(b->store, false), MQ_OK);
	return NULL;
}

int __real_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int __wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags);
int
__wrap_linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
	struct broker *b = outgrown_by;
	struct store *s = retention_of;
	pthread_t thread;
	int rc;

	outgrown_by = NULL;
	retention_of = NULL;
	if (b) {
		assert_int_equal(pthread_create(&thread, NULL, outgrow_thread, b), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	rc = __real_linkat(from_fd, from, to_fd, to, flags);
	if (s) {
		assert_int_equal(pthread_create(&thread, NULL, retention_thread, s), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
	}
	return rc;
}

static void
retention_takes_nothing_from_the_middle_of_one_in_the_making(void **state)
{
	struct broker *b = *state;
	struct snapshot *s;
	char path[64];

	broker_set(b, "deleteWhen", "0;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23");
	broker_set(b, "deleteCommitLogFilesInterval", "0");
	fill(b, "t", 1500);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	assert_true(broker_written(b).byte > 4 * 65536);
	sh("touch -d '1000 hours ago' '%s'/commitlog/0*", b->path);
	retention_of = b->store;
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_null(retention_of);
	assert_int_equal(store_begin(b->store).byte, 0);
	assert_int_equal(retention_round(b->store, false), MQ_OK);
	assert_true(store_begin(b->store).byte > 0);	/* afterwards they may go */
	for (int64_t base = s->begin.byte; base < s->mark.byte; base += s->segment_bytes) {
		snprintf(path, sizeof(path), "snapshots/one/commitlog/%020" PRId64, base);
		assert_true(there(b, path));
	}
	assert_true(s->begin.byte <= store_begin(b->store).byte);
}

static void
retention_leaves_the_end_of_one_in_the_making(void **state)
{
	struct broker *b = *state;
	struct snapshot *s;
	int64_t s_begin;

	broker_set(b, "deleteWhen", "0;1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19;20;21;22;23");
	broker_set(b, "deleteCommitLogFilesInterval", "0");
	fill(b, "t", 400);
	outgrown_by = b;
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_null(outgrown_by);
	assert_true(s->begin.byte < s->mark.byte);
	assert_true(broker_written(b).byte > s->mark.byte + 2 * s->segment_bytes);
	s_begin = s->begin.byte;
	assert_int_equal(store_begin(b->store).byte, 0);
	assert_int_equal(s_begin, 0);
	assert_int_equal(retention_round(b->store, false), MQ_OK);
	assert_true(store_begin(b->store).byte > s->mark.byte);	/* afterwards it may go */
	close_with_snapshots(b);

	sh("cp -a '%s/snapshots/one' '%s/copy'", b->path, b->dir);
	snprintf(b->path, sizeof(b->path), "%s/copy", b->dir);
	open_with_snapshots(b);
	assert_int_equal(store_begin(b->store).byte, s_begin);
	assert_non_null(topic_find(b->offsets, "t399"));
}

/* What a checkpoint is in the midst of when it begins to sync the views: a snapshot is taken then. */
static struct broker *snapshot_of;

static void *
snapshot_thread(void *arg)
{
	struct broker *b = arg;
	struct snapshot *s;

	broker_topic(b, "later", 2);
	broker_append(b, "later", 1, "x", 2);
	broker_append(b, "t0", 0, "y", 3);
	broker_append(b, "t2", 0, "z", 4);	/* of which the checkpoint knows nothing */
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_int_equal(s->mark.byte, broker_written(b).byte);
	return NULL;
}

int __real_sync_file_range(int fd, off64_t at, off64_t n, unsigned flags);
int __wrap_sync_file_range(int fd, off64_t at, off64_t n, unsigned flags);
int
__wrap_sync_file_range(int fd, off64_t at, off64_t n, unsigned flags)
{
	struct broker *b = snapshot_of;
	struct timespec until;
	pthread_t thread;

	snapshot_of = NULL;
	if (b) {
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec += 60;
		assert_int_equal(pthread_create(&thread, NULL, snapshot_thread, b), 0);
		if (pthread_timedjoin_np(thread, NULL, &until) != 0)
			fail_msg("the snapshot waits for the checkpoint");
	}
	return __real_sync_file_range(fd, at, n, flags);
}

static int64_t
end_of(struct broker *b, const char *topic, int32_t queue_id)
{
	struct queue *q = store_queue(b->store, topic, queue_id);

	return q ? queue_end(q).n : -1;
}

static void
one_waits_for_no_sync_of_views_and_has_what_the_checkpoint_has_not(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;

	fill(b, "t", 3);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	sub = broker_subscribe(b, broker_group(b, "g"), topic_find(b->offsets, "t1"));
	broker_append(b, "t0", 0, "a", 5);
	broker_append(b, "t1", 0, "b", 6);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(4)), MQ_OK);
	snapshot_of = b;
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	assert_null(snapshot_of);		/* it was taken */
	sh("tr -d ' \\n\\t' < '%s/snapshots/one/config/consumerOffset.json' | grep -qF '\"t1@g\":{\"0\":4}'", b->path);
	sh("grep -q '\"later\"' '%s/snapshots/one/config/topics.json'", b->path);
	close_with_snapshots(b);

	sh("cp -a '%s/snapshots/one' '%s/copy'", b->path, b->dir);
	snprintf(b->path, sizeof(b->path), "%s/copy", b->dir);
	open_with_snapshots(b);
	assert_int_equal(end_of(b, "t0", 0), 8);
	assert_int_equal(end_of(b, "t1", 0), 6);
	assert_int_equal(end_of(b, "t2", 0), 4);
	assert_int_equal(end_of(b, "later", 1), 2);
	sub = broker_subscription(b, "g", "t1");
	assert_true(sub && broker_committed(b, sub, 0) == 4);
}

static void
one_that_says_nonsense_is_not_shown(void **state)
{
	struct broker *b = *state;
	struct snapshot *s;

	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "two", &s), MQ_OK);
	int fd = openat(b->sd.fd, "snapshots/one/snapshot", O_WRONLY | O_TRUNC);
	assert_true(fd >= 0 && write(fd, "id = x\n", 7) == 7);
	close(fd);
	close_with_snapshots(b);
	open_with_snapshots(b);
	assert_null(snapshot_find(snapshots, "one"));
	assert_non_null(snapshot_find(snapshots, "two"));
}

static void
a_manifest_is_as_long_as_was_said_and_survives(void **state)
{
	struct broker *b = *state;
	const _Atomic bool go_on = false, stop = true;
	struct snapshot *s;
	char *text;

	fill(b, "t", 1000);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	assert_true(s->mark.byte > 2 * s->segment_bytes);
	assert_int_equal(manifest_make(snapshots, s, &stop), MQ_ECLOSED);
	assert_false(s->hashed);
	assert_int_equal(manifest_make(snapshots, s, &go_on), MQ_OK);
	assert_true(s->hashed);
	text = strndup(s->manifest, s->manifest_len);
	assert_int_equal(strlen(text), s->manifest_len);
	assert_true(there(b, "sums/00000000000000000000"));

	close_with_snapshots(b);
	open_with_snapshots(b);
	s = snapshot_find(snapshots, "one");
	assert_true(s && s->hashed && memcmp(s->manifest, text, s->manifest_len) == 0);
	free(text);
}

/* A store that has nothing but these files: a RocketMQ that was never started. */
static void
rocketmqs_files_say_who_is_there(void **state)
{
	struct broker *b = *state;
	struct topic_conf tc;
	struct group_conf gc;
	struct snapshot *s;
	struct topic *t;
	struct group *g;

	topic_conf_default(&tc, "orders", 5);
	tc.perm = PERM_READ;
	tc.order = true;
	assert_int_equal(topic_create(b->offsets, &tc, &t), MQ_OK);
	group_conf_default(&gc, "billing");
	gc.retry_max = 3;
	gc.consume_enable = false;
	assert_int_equal(group_create(b->offsets, &gc, &g), MQ_OK);
	assert_int_equal(subscription_create(b->offsets, g, t, &(struct subscription *){ NULL }), MQ_OK);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	close_with_snapshots(b);

	sh("mkdir '%s/other' && cp -a '%s/snapshots/one/config' '%s/other'", b->dir, b->path, b->dir);
	snprintf(b->path, sizeof(b->path), "%s/other", b->dir);
	open_with_snapshots(b);
	t = topic_find(b->offsets, "orders");
	g = group_find(b->offsets, "billing");
	assert_true(t && g && subscription_find(b->offsets, g, t));
	topic_conf(b->offsets, t, &tc);
	group_conf(b->offsets, g, &gc);
	assert_true(tc.queues == 5 && tc.perm == PERM_READ && tc.order);
	assert_true(gc.retry_max == 3 && !gc.consume_enable && gc.broadcast_enable);
}

static void
a_copy_gets_an_identity_of_its_own_once(void **state)
{
	struct broker *b = *state;
	unsigned char origin[16], copy[16];
	struct snapshot *s;

	fill(b, "t", 10);
	assert_int_equal(offsets_snapshot(b->offsets, snapshots, "one", &s), MQ_OK);
	memcpy(origin, offsets_identity(b->offsets), 16);
	close_with_snapshots(b);
	sh("cp -a '%s/snapshots/one' '%s/copy'", b->path, b->dir);
	snprintf(b->path, sizeof(b->path), "%s/copy", b->dir);
	open_with_snapshots(b);
	memcpy(copy, offsets_identity(b->offsets), 16);
	assert_memory_not_equal(copy, origin, 16);
	assert_non_null(topic_find(b->offsets, "t9"));
	close_with_snapshots(b);
	open_with_snapshots(b);
	assert_memory_equal(offsets_identity(b->offsets), copy, 16);
	assert_false(there(b, "snapshot"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_name_is_taken_once_and_free_again_when_dropped, fresh, done),
		cmocka_unit_test_setup_teardown(ids_are_not_given_twice_even_after_a_remount, fresh, done),
		cmocka_unit_test_setup_teardown(what_was_begun_before_a_crash_is_removed, fresh, done),
		cmocka_unit_test_setup_teardown(an_abandoned_one_leaves_nothing, fresh, done),
		cmocka_unit_test_setup_teardown(whatever_fails_nothing_is_left_and_the_next_try_works, fresh, done),
		cmocka_unit_test_setup_teardown(retention_takes_nothing_from_the_middle_of_one_in_the_making, fresh,
						done),
		cmocka_unit_test_setup_teardown(retention_leaves_the_end_of_one_in_the_making, fresh, done),
		cmocka_unit_test_setup_teardown(one_waits_for_no_sync_of_views_and_has_what_the_checkpoint_has_not,
						fresh, done),
		cmocka_unit_test_setup_teardown(one_that_says_nonsense_is_not_shown, fresh, done),
		cmocka_unit_test_setup_teardown(a_manifest_is_as_long_as_was_said_and_survives, fresh, done),
		cmocka_unit_test_setup_teardown(rocketmqs_files_say_who_is_there, fresh, done),
		cmocka_unit_test_setup_teardown(a_copy_gets_an_identity_of_its_own_once, fresh, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
