/* The registry: topics, groups, subscriptions and offsets, over a real store. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "offsets/offsets.h"
#include "offsets/tables.h"
#include "tests/broker_kit.h"
#include "tests/clock_kit.h"
#include "tests/tree.h"

/* --- what can be seen ----------------------------------------------------------------------- */

static void
dump_subscriptions(struct broker *b, struct group *g, FILE *out)
{
	struct subscription *sub;
	const char *after = "";

	for (; (sub = subscription_next(b->offsets, g, after)); after = sub->topic->name) {
		char *expression = subscription_expression(b->offsets, sub);

		fprintf(out, "  on %s id %u '%s':", sub->topic->name, sub->id, expression);
		for (int32_t i = 0; i < topic_queues(b->offsets, sub->topic); i++)
			fprintf(out, " %" PRId64, broker_committed(b, sub, i));
		fprintf(out, "\n");
		free(expression);
	}
}

/* Everything a user could see of the registry, as text. */
static char *
dump(struct broker *b)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	struct topic *t;
	struct group *g;
	struct owner owner;

	for (const char *after = ""; (t = topic_next(b->offsets, after)); after = t->name) {
		struct topic_conf conf;

		topic_conf(b->offsets, t, &conf);
		fprintf(out, "topic %s id %u queues %d perm %d mode %o made %" PRId64 "\n", t->name, t->id,
			conf.queues, conf.perm, conf.owner.mode, conf.created_ms);
		for (int32_t i = 0; i < conf.queues; i++) {
			struct queue *q = store_queue(b->store, t->name, i);

			if (q)
				fprintf(out, "  q%d %" PRId64 " %" PRId64 "\n", i, queue_min(q).n,
					queue_end(q).n);
		}
	}
	for (const char *after = ""; (g = group_next(b->offsets, after)); after = g->name) {
		struct group_conf conf;

		group_conf(b->offsets, g, &conf);
		fprintf(out, "group %s id %u retry %d\n", g->name, g->id, conf.retry_max);
		dump_subscriptions(b, g, out);
	}
	if (path_owner(b->offsets, "topics/a/q1", &owner))
		fprintf(out, "own a/q1 %u %u %o\n", owner.uid, owner.gid, owner.mode);
	fclose(out);
	return text;
}

/* A life of a registry, one step after the other. */
static void
step(struct broker *b, int n)
{
	struct offsets *o = b->offsets;
	struct topic_conf tc;
	struct group_conf gc;
	const struct owner owner = { 1, 2, 0640 };

	switch (n) {
	case 0:
		broker_topic(b, "a", 2);
		return;
	case 1:
		broker_topic(b, "b", 1);
		return;
	case 2:
		broker_group(b, "g");
		return;
	case 3:
		broker_produce(b, "a", 0, 10);
		broker_subscribe(b, group_find(o, "g"), topic_find(o, "a"));
		return;
	case 4:
		broker_produce(b, "a", 1, 7);
		assert_int_equal(commit_forward(o, broker_subscription(b, "g", "a"), 1, MQ_QOFF(5)), MQ_OK);
		assert_int_equal(commit_sync(o, broker_subscription(b, "g", "a"), NULL), MQ_OK);
		return;
	case 5:
		assert_int_equal(commit_reset(o, broker_subscription(b, "g", "a"), 0, MQ_QOFF(3), NULL), MQ_OK);
		return;
	case 6:
		assert_int_equal(path_set_owner(o, "topics/a/q1", &owner), MQ_OK);
		return;
	case 7:
		assert_int_equal(topic_delete(o, topic_find(o, "b")), MQ_OK);
		return;
	case 8:
		topic_conf(o, topic_find(o, "a"), &tc);
		tc.queues = 3;
		assert_int_equal(topic_change(o, topic_find(o, "a"), &tc), MQ_OK);
		return;
	case 9:
		assert_int_equal(subscription_set_expression(o, broker_subscription(b, "g", "a"), "X || Y"), MQ_OK);
		return;
	case 10:
		assert_int_equal(topic_trim(o, topic_find(o, "a"), 1, MQ_QOFF(6)), MQ_OK);
		return;
	case 11:
		broker_topic(b, "c", 4);
		return;
	case 12:
		assert_int_equal(subscription_delete(o, broker_subscription(b, "g", "a")), MQ_OK);
		return;
	case 13:
		broker_subscribe(b, group_find(o, "g"), topic_find(o, "a"));
		return;
	case 14:
		broker_topic(b, "b", 2);
		return;
	case 15:
		group_conf(o, group_find(o, "g"), &gc);
		gc.retry_max = 3;
		assert_int_equal(group_change(o, group_find(o, "g"), &gc), MQ_OK);
		return;
	}
}

#define STEPS 16

/* --- topics ------------------------------------------------------------------------------- */

static void
a_topic_is_there_when_its_call_returns(void **state)
{
	struct broker *b = *state;
	struct topic *t;
	struct topic_conf conf;

	broker_open(b);
	t = broker_topic(b, "orders", 4);
	assert_ptr_equal(topic_find(b->offsets, "orders"), t);
	assert_ptr_equal(topic_by_id(b->offsets, t->id), t);
	assert_int_equal(topic_queues(b->offsets, t), 4);
	topic_conf(b->offsets, t, &conf);
	assert_int_equal(topic_create(b->offsets, &conf, NULL), -EEXIST);
	broker_close(b);
}

static void
names_that_are_none_are_refused(void **state)
{
	static const char *const bad[] = { "", "a/b", "a b", ".", "a.b", "\xc3\xa9", "a@b" };
	struct broker *b = *state;
	struct topic_conf tc;
	struct group_conf gc;

	broker_open(b);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		topic_conf_default(&tc, bad[i], 1);
		assert_int_equal(topic_create(b->offsets, &tc, NULL), -EINVAL);
		group_conf_default(&gc, bad[i]);
		assert_int_equal(group_create(b->offsets, &gc, NULL), -EINVAL);
	}
	topic_conf_default(&tc, "t", 0);
	assert_int_equal(topic_create(b->offsets, &tc, NULL), -EINVAL);
	topic_conf_default(&tc, "t", QUEUES_MAX + 1);
	assert_int_equal(topic_create(b->offsets, &tc, NULL), -EINVAL);
	broker_close(b);
}

static void
queues_that_held_messages_stay(void **state)
{
	struct broker *b = *state;
	struct topic_conf conf;
	struct topic *t;

	broker_open(b);
	t = broker_topic(b, "t", 6);
	broker_produce(b, "t", 2, 1);
	topic_conf(b->offsets, t, &conf);
	conf.queues = 2;
	assert_int_equal(topic_change(b->offsets, t, &conf), -EINVAL);
	conf.queues = 3;
	assert_int_equal(topic_change(b->offsets, t, &conf), MQ_OK);
	assert_int_equal(topic_queues(b->offsets, t), 3);
	conf.queues = 5;
	assert_int_equal(topic_change(b->offsets, t, &conf), MQ_OK);
	assert_int_equal(topic_queues(b->offsets, t), 5);
	broker_subscribe(b, broker_group(b, "g"), t);
	conf.queues = 4;
	assert_int_equal(topic_change(b->offsets, t, &conf), -EINVAL);
	broker_drop(b);			/* all of it is read from the log again */
	broker_open(b);
	assert_int_equal(topic_queues(b->offsets, topic_find(b->offsets, "t")), 5);
	broker_close(b);
}

static void
a_topic_with_messages_or_subscriptions_stays(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	struct topic *t;

	broker_open(b);
	t = broker_topic(b, "t", 2);
	broker_produce(b, "t", 1, 3);
	assert_int_equal(topic_delete(b->offsets, t), -ENOTEMPTY);
	assert_int_equal(topic_purge(b->offsets, t), MQ_OK);
	sub = broker_subscribe(b, broker_group(b, "g"), t);
	assert_int_equal(topic_delete(b->offsets, t), -EBUSY);
	assert_int_equal(group_delete(b->offsets, sub->group), -ENOTEMPTY);
	assert_int_equal(subscription_delete(b->offsets, sub), MQ_OK);
	assert_int_equal(topic_delete(b->offsets, t), MQ_OK);
	assert_null(topic_find(b->offsets, "t"));
	assert_int_equal(topic_delete(b->offsets, t), -ENOENT);
	broker_close(b);
}

struct deletion {
	struct broker *b;
	struct topic *t;
	int (*how)(struct offsets *o, struct topic *t);
	int rc;
};

static void *
deletion_main(void *arg)
{
	struct deletion *d = arg;

	d->rc = d->how(d->b->offsets, d->t);
	return NULL;
}

static void
append_one(struct broker *b, struct topic *t, struct queue *q)
{
	struct batch batch;
	struct appended at;

	batch_init(&batch);
	assert_int_equal(batch_add(&batch, &(struct message){ .body = "x", .body_len = 1, .topic = t->name,
							      .topic_len = strlen(t->name), .props = "" }), MQ_OK);
	assert_int_equal(store_append(b->store, q, &batch, &at), MQ_OK);
	batch_free(&batch);
}

/* What write(2) has acknowledged must not go with its topic. */
static void
a_topic_to_which_somebody_appends_just_now_stays(void **state)
{
	struct broker *b = *state;
	struct deletion d = { .b = b, .how = topic_delete, .rc = 1 };
	struct topic *t;
	struct queue *q;
	pthread_t thread;

	broker_open(b);
	t = d.t = broker_topic(b, "t", 2);
	assert_int_equal(topic_queue(b->offsets, t, 0, &q), MQ_OK);
	assert_int_equal(topic_append_begin(b->offsets, t, q), MQ_OK);
	assert_int_equal(pthread_create(&thread, NULL, deletion_main, &d), 0);
	while (!t->leaving && !t->gone)
		usleep(1000);
	assert_false(t->gone);
	append_one(b, t, q);
	topic_append_end(q);
	pthread_join(thread, NULL);
	assert_int_equal(d.rc, -ENOTEMPTY);

	/* whoever comes later hears what has become of it */
	assert_int_equal(topic_append_begin(b->offsets, t, q), MQ_OK);
	topic_append_end(q);
	assert_int_equal(topic_purge(b->offsets, t), MQ_OK);
	assert_int_equal(topic_delete(b->offsets, t), MQ_OK);
	assert_int_equal(topic_append_begin(b->offsets, t, q), -ESTALE);
	broker_close(b);
}

/* However busy its producers are. */
static void
a_topic_is_removed_with_messages_and_subscriptions(void **state)
{
	struct broker *b = *state;
	struct deletion d = { .b = b, .how = topic_remove, .rc = 1 };
	struct subscription *sub;
	struct queue *q;
	pthread_t thread;

	broker_open(b);
	d.t = broker_topic(b, "t", 2);
	broker_produce(b, "t", 1, 3);
	sub = broker_subscribe(b, broker_group(b, "g"), d.t);
	(void)broker_subscribe(b, broker_group(b, "h"), d.t);
	broker_set(b, "brokerRole", "SLAVE");
	assert_int_equal(topic_remove(b->offsets, d.t), MQ_EROLE);
	assert_false(sub->gone);
	broker_set(b, "brokerRole", "ASYNC_MASTER");
	assert_int_equal(topic_queue(b->offsets, d.t, 0, &q), MQ_OK);
	assert_int_equal(topic_append_begin(b->offsets, d.t, q), MQ_OK);
	assert_int_equal(pthread_create(&thread, NULL, deletion_main, &d), 0);
	while (!d.t->leaving && !d.t->gone)
		usleep(1000);
	append_one(b, d.t, q);
	topic_append_end(q);
	pthread_join(thread, NULL);
	assert_int_equal(d.rc, MQ_OK);
	assert_true(sub->gone);
	assert_int_equal(topic_append_begin(b->offsets, d.t, q), -ESTALE);
	assert_int_equal(topic_remove(b->offsets, d.t), -ENOENT);
	broker_close(b);
	broker_open(b);
	assert_null(topic_find(b->offsets, "t"));
	assert_null(subscription_next(b->offsets, group_find(b->offsets, "h"), ""));
	broker_close(b);
}

static void
what_is_made_again_has_its_old_id(void **state)
{
	struct broker *b = *state;
	struct topic *t;
	uint32_t id;

	broker_open(b);
	broker_topic(b, "x", 1);
	t = broker_topic(b, "t", 1);
	id = t->id;
	assert_int_equal(topic_delete(b->offsets, t), MQ_OK);
	broker_topic(b, "y", 1);
	assert_ptr_equal(broker_topic(b, "t", 1), t);
	assert_int_equal(t->id, id);
	assert_int_equal(topic_delete(b->offsets, t), MQ_OK);
	broker_close(b);
	broker_open(b);
	assert_null(topic_find(b->offsets, "t"));
	assert_int_equal(broker_topic(b, "t", 1)->id, id);
	broker_close(b);
}

static void
listings_are_in_order_without_system_topics(void **state)
{
	struct broker *b = *state;
	char seen[1024] = "";
	struct topic *t;

	broker_open(b);
	broker_topic(b, "b", 1);
	broker_group(b, "g");
	broker_group(b, "h");
	broker_topic(b, "%RETRY%h", 1);
	broker_produce(b, "TBW102", 0, 1);
	broker_topic(b, "%RETRY%g", 1);
	broker_topic(b, "a", 1);
	assert_int_equal(topic_delete(b->offsets, broker_topic(b, "gone", 1)), MQ_OK);
	broker_close(b);
	broker_open(b);			/* finds the queue of TBW102 */
	for (const char *after = ""; (t = topic_next(b->offsets, after)); after = t->name)
		snprintf(seen + strlen(seen), sizeof(seen) - strlen(seen), "%s ", t->name);
	assert_string_equal(seen, "%RETRY%g %RETRY%h a b ");
	assert_non_null(topic_find(b->offsets, "TBW102"));
	broker_close(b);
}

static void
nobody_makes_changes_or_removes_what_belongs_to_the_system(void **state)
{
	static const char *const names[] = { META_TOPIC, "SCHEDULE_TOPIC_XXXX", "RMQ_SYS_TRANS_HALF_TOPIC", "TBW102" };
	struct broker *b = *state;
	struct group_conf group;
	struct topic_conf conf;

	broker_open(b);
	group_conf_default(&group, "CID_RMQ_SYS_TRANS");
	assert_int_equal(group_create(b->offsets, &group, NULL), -EPERM);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[64];
		struct topic *t;

		topic_conf_default(&conf, names[i], 1);
		assert_int_equal(topic_create(b->offsets, &conf, NULL), -EPERM);
		if (strcmp(names[i], META_TOPIC) != 0)
			broker_produce(b, names[i], 0, 1);
		broker_close(b);
		broker_open(b);
		t = topic_find(b->offsets, names[i]);
		assert_non_null(t);
		topic_conf(b->offsets, t, &conf);
		assert_int_equal(conf.owner.mode, 0700);
		conf.owner = (struct owner){ 1000, 1000, 0777 };
		assert_int_equal(topic_change(b->offsets, t, &conf), -EPERM);
		assert_int_equal(topic_purge(b->offsets, t), -EPERM);
		assert_int_equal(topic_trim(b->offsets, t, 0, MQ_QOFF(1)), -EPERM);
		assert_int_equal(topic_delete(b->offsets, t), -EPERM);
		snprintf(path, sizeof(path), "topics/%s/q0", names[i]);
		assert_int_equal(path_set_owner(b->offsets, path, &conf.owner), -EPERM);
		assert_int_equal(path_set_acl(b->offsets, path, NULL, 0), -EPERM);
	}
	broker_close(b);
}

/* A message that a client of a RocketMQ broker has sent to the topic MQFS_META. */
static void
send_meta(struct broker *b, const char *body, const char *props, struct host born)
{
	static const struct host stored = { .addr = { 10, 0, 0, 1 }, .port = 10911 };
	struct batch batch;
	struct appended at;
	struct queue *q;

	batch_init(&batch);
	assert_int_equal(batch_add(&batch, &(struct message){
		.body = body, .body_len = strlen(body), .topic = META_TOPIC, .topic_len = strlen(META_TOPIC),
		.props = props, .props_len = strlen(props), .born = born, .stored = stored }), MQ_OK);
	assert_int_equal(store_queue_make(b->store, META_TOPIC, 0, &q), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(b->store, q, &batch, &at), MQ_OK);
	queue_append_end(q);
	batch_free(&batch);
}

static void
what_a_client_has_sent_to_mqfs_meta_is_not_obeyed(void **state)
{
	static const struct host client = { .addr = { 10, 0, 0, 1 }, .port = 40123 };
	static const struct host broker = { .addr = { 10, 0, 0, 1 }, .port = 10911 };
	static const char topic[] = "{\"op\":\"topic\",\"v\":1,\"id\":9,\"name\":\"stolen\",\"queues\":2}";
	static const char epoch[] = "{\"op\":\"epoch\",\"v\":1,\"epoch\":7,\"id\":\"00112233445566778899aabbccddeeff\","
				    "\"store\":\"00112233445566778899aabbccddeeff\"}";
	struct broker *b = *state;
	struct epoch list[EPOCHS_MAX];
	size_t n;

	broker_open(b);
	n = offsets_epochs(b->offsets, list, EPOCHS_MAX);
	send_meta(b, topic, "", client);
	send_meta(b, topic, "UNIQ_KEY\0010A", broker);
	send_meta(b, epoch, "", client);
	for (int i = 0; i < 2; i++) {
		broker_close(b);
		b->forgets_views = i == 1;
		broker_open(b);
		assert_null(topic_find(b->offsets, "stolen"));
		assert_int_equal(offsets_epochs(b->offsets, list, EPOCHS_MAX), n);
	}
	send_meta(b, topic, "", broker);	/* a broker's own */
	broker_close(b);
	broker_open(b);
	assert_non_null(topic_find(b->offsets, "stolen"));
	broker_close(b);
}

static void
topics_of_a_group_belong_to_its_owner_whoever_makes_them(void **state)
{
	static const char *const names[] = { "%RETRY%g", "%DLQ%g" };
	struct broker *b = *state;
	struct group_conf gc;
	struct topic_conf tc;
	struct topic *t;

	broker_open(b);
	topic_conf_default(&tc, "%RETRY%g", 1);
	assert_int_equal(topic_create(b->offsets, &tc, NULL), -EPERM);	/* before there is a group */
	group_conf_default(&gc, "g");
	gc.owner = (struct owner){ .uid = 1001, .gid = 1002, .mode = 0775 };
	assert_int_equal(group_create(b->offsets, &gc, NULL), MQ_OK);
	for (size_t i = 0; i < 2; i++) {
		topic_conf_default(&tc, names[i], 1);
		tc.owner = (struct owner){ .uid = 1003, .gid = 1003, .mode = 0777 };
		assert_int_equal(topic_create(b->offsets, &tc, &t), MQ_OK);
		topic_conf(b->offsets, t, &tc);
		assert_int_equal(tc.owner.uid, 1001);
		assert_int_equal(tc.owner.gid, 1002);
		assert_int_equal(tc.owner.mode, 0770);		/* those who may consume as g */
	}
	gc.owner = (struct owner){ .uid = 1004, .gid = 1005, .mode = 0755 };
	assert_int_equal(group_change(b->offsets, group_find(b->offsets, "g"), &gc), MQ_OK);
	broker_close(b);
	broker_open(b);
	for (size_t i = 0; i < 2; i++) {
		topic_conf(b->offsets, topic_find(b->offsets, names[i]), &tc);
		assert_int_equal(tc.owner.uid, 1004);
		assert_int_equal(tc.owner.gid, 1005);
		assert_int_equal(tc.owner.mode, 0700);
	}
	broker_close(b);
}

static void
a_group_is_not_made_where_another_users_retry_topic_is_left(void **state)
{
	struct broker *b = *state;
	struct group_conf gc;
	struct group *g;
	struct topic *dead;

	broker_open(b);
	group_conf_default(&gc, "g");
	gc.owner.uid = 1001;
	assert_int_equal(group_create(b->offsets, &gc, &g), MQ_OK);
	dead = broker_topic(b, "%DLQ%g", 1);
	assert_int_equal(group_delete(b->offsets, g), MQ_OK);
	gc.owner.uid = 1002;
	assert_int_equal(group_create(b->offsets, &gc, NULL), -EPERM);
	gc.owner.uid = 1001;
	assert_int_equal(group_create(b->offsets, &gc, &g), MQ_OK);
	assert_int_equal(group_delete(b->offsets, g), MQ_OK);
	assert_int_equal(topic_delete(b->offsets, dead), MQ_OK);
	gc.owner.uid = 1002;
	assert_int_equal(group_create(b->offsets, &gc, NULL), MQ_OK);
	broker_close(b);
}

static void
a_topic_that_only_has_queues_is_shown(void **state)
{
	struct broker *b = *state;
	struct topic *t;
	uint32_t id;

	broker_open(b);
	broker_produce(b, "legacy", 2, 1);
	broker_close(b);
	broker_open(b);
	t = topic_find(b->offsets, "legacy");
	assert_non_null(t);
	assert_int_equal(topic_queues(b->offsets, t), 3);
	id = t->id;
	broker_close(b);
	broker_open(b);
	assert_int_equal(topic_find(b->offsets, "legacy")->id, id);
	broker_close(b);
}

/* --- offsets --------------------------------------------------------------------------------- */

static void
a_subscription_starts_at_the_end_or_at_the_first(void **state)
{
	struct broker *b = *state;
	struct group_conf conf;
	struct group *first;
	struct topic *t;

	broker_open(b);
	t = broker_topic(b, "t", 2);
	broker_produce(b, "t", 0, 8);
	group_conf_default(&conf, "first");
	conf.from_first = true;
	assert_int_equal(group_create(b->offsets, &conf, &first), MQ_OK);
	assert_int_equal(broker_committed(b, broker_subscribe(b, broker_group(b, "last"), t), 0), 8);
	assert_int_equal(broker_committed(b, broker_subscribe(b, first, t), 0), 0);
	broker_close(b);
}

static void
a_commit_never_moves_back_but_a_reset_does(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	struct topic *t;
	mq_qoff at;

	broker_open(b);
	t = broker_topic(b, "t", 1);
	sub = broker_subscribe(b, broker_group(b, "g"), t);
	broker_produce(b, "t", 0, 10);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(6)), MQ_OK);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(4)), MQ_OK);
	assert_int_equal(broker_committed(b, sub, 0), 6);
	assert_int_equal(commit_reset(b->offsets, sub, 0, MQ_QOFF(2), &at), MQ_OK);
	assert_int_equal(broker_committed(b, sub, 0), 2);
	assert_int_equal(commit_sync(b->offsets, sub, NULL), MQ_OK);
	assert_int_equal(broker_committed(b, sub, 0), 2);
	broker_close(b);
	broker_open(b);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g", "t"), 0), 2);
	broker_close(b);
}

static void
what_is_out_of_range_is_clamped_and_counted(void **state)
{
	struct broker *b = *state;
	struct offsets_stats stats;
	struct subscription *sub;
	struct topic *t;
	mq_qoff at;

	broker_open(b);
	t = broker_topic(b, "t", 1);
	sub = broker_subscribe(b, broker_group(b, "g"), t);
	broker_produce(b, "t", 0, 10);
	assert_int_equal(commit_reset(b->offsets, sub, 0, MQ_QOFF(99), &at), MQ_OK);
	assert_int_equal(at.n, 10);
	assert_int_equal(commit_reset(b->offsets, sub, 0, MQ_QOFF(-1), &at), MQ_OK);
	assert_int_equal(at.n, 0);
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.offsets_clamped, 2);
	assert_int_equal(topic_trim(b->offsets, t, 0, MQ_QOFF(4)), MQ_OK);
	assert_int_equal(broker_committed(b, sub, 0), 4);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(1000)), MQ_OK);
	assert_int_equal(broker_committed(b, sub, 0), 10);
	assert_int_equal(commit_forward(b->offsets, sub, 1, MQ_QOFF(0)), -ENOENT);
	assert_int_equal(commit_reset(b->offsets, sub, -1, MQ_QOFF(0), NULL), -ENOENT);
	broker_close(b);
}

static void
compare_and_set_loses_to_who_came_first(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	struct topic *t;

	broker_open(b);
	t = broker_topic(b, "t", 1);
	sub = broker_subscribe(b, broker_group(b, "g"), t);
	broker_produce(b, "t", 0, 10);
	assert_int_equal(commit_compare(b->offsets, sub, 0, MQ_QOFF(0), MQ_QOFF(5)), MQ_OK);
	assert_int_equal(commit_compare(b->offsets, sub, 0, MQ_QOFF(0), MQ_QOFF(7)), -ESTALE);
	assert_int_equal(commit_compare(b->offsets, sub, 0, MQ_QOFF(5), MQ_QOFF(1)), MQ_OK);
	assert_int_equal(broker_committed(b, sub, 0), 1);
	broker_close(b);
}

static void
one_consumer_holds_a_queue(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	int32_t q;

	broker_open(b);
	sub = broker_subscribe(b, broker_group(b, "g"), broker_topic(b, "t", 3));
	broker_produce(b, "t", 2, 1);
	assert_int_equal(consumer_claim(b->offsets, sub, 0, 7), MQ_OK);
	assert_int_equal(consumer_claim(b->offsets, sub, 0, 7), -EBUSY);
	assert_int_equal(consumer_claim_any(b->offsets, sub, 7, &q), MQ_OK);
	assert_int_equal(q, 2);			/* something waits there */
	assert_int_equal(consumer_claim_any(b->offsets, sub, 7, &q), MQ_OK);
	assert_int_equal(q, 1);
	assert_int_equal(consumer_claim_any(b->offsets, sub, 7, &q), -EBUSY);
	consumer_release(b->offsets, sub, 2);
	assert_int_equal(consumer_claim_any(b->offsets, sub, 7, &q), MQ_OK);
	assert_int_equal(q, 2);
	assert_int_equal(consumer_claim(b->offsets, sub, 3, 7), -ENOENT);
	broker_close(b);
}

static void
commits_of_a_group_become_one_record(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	int64_t before;

	broker_open(b);
	sub = broker_subscribe(b, broker_group(b, "g"), broker_topic(b, "t", 4));
	for (int32_t i = 0; i < 4; i++)
		broker_produce(b, "t", i, 9);
	before = queue_end(store_queue(b->store, META_TOPIC, 0)).n;
	for (int i = 0; i < 36; i++)
		assert_int_equal(commit_forward(b->offsets, sub, i % 4, MQ_QOFF(i / 4 + 1)), MQ_OK);
	assert_int_equal(commit_sync(b->offsets, sub, NULL), MQ_OK);
	assert_int_equal(commit_sync(b->offsets, sub, NULL), MQ_OK);
	assert_int_equal(queue_end(store_queue(b->store, META_TOPIC, 0)).n, before + 1);
	broker_close(b);
}

static void
commits_reach_the_log_by_themselves(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;
	mq_pos at;

	broker_set(b, "flushConsumerOffsetInterval", "10");
	broker_open(b);
	sub = broker_subscribe(b, broker_group(b, "g"), broker_topic(b, "t", 1));
	broker_produce(b, "t", 0, 3);
	at = broker_written(b);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(2)), MQ_OK);
	assert_int_equal(mark_wait_past(store_written(b->store), at, 10000, NULL), MQ_OK);
	broker_close(b);
}

/* --- many that commit at once ------------------------------------------------------------------ */

/* Another thread does this while something is appended. */
static void *(*while_appending)(void *arg);
static void *while_appending_arg;

int __real_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);
int __wrap_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);
int
__wrap_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret)
{
	pthread_t other;

	if (while_appending) {
		assert_int_equal(pthread_create(&other, NULL, while_appending, while_appending_arg), 0);
		pthread_join(other, NULL);
	}
	return __real_store_append(s, q, b, ret);
}

#define CROWD 200			/* more than one step of a gathering */

struct crowd {
	struct broker *b;
	struct subscription *subs[CROWD];
	int64_t commits;		/* made while others were logged */
};

static void
crowd_begin(struct crowd *c, struct broker *b)
{
	struct topic *t;
	char name[16];

	*c = (struct crowd){ .b = b };
	t = broker_topic(b, "t", 1);
	broker_produce(b, "t", 0, 2000);
	for (int i = 0; i < CROWD; i++) {
		struct group_conf conf;
		struct group *g;

		snprintf(name, sizeof(name), "g%d", i);
		group_conf_default(&conf, name);
		conf.from_first = true;
		assert_int_equal(group_create(b->offsets, &conf, &g), MQ_OK);
		c->subs[i] = broker_subscribe(b, g, t);
		assert_int_equal(commit_forward(b->offsets, c->subs[i], 0, MQ_QOFF(1)), MQ_OK);
	}
}

static int64_t
records(struct broker *b)
{
	struct offsets_stats stats;

	offsets_stats(b->offsets, &stats);
	return stats.applied;
}

static void
an_fsync_of_a_consumer_logs_its_own_commits_alone(void **state)
{
	struct broker *b = *state;
	struct crowd c;
	int64_t before;

	broker_open(b);
	crowd_begin(&c, b);
	before = records(b);
	assert_int_equal(commit_sync(b->offsets, c.subs[7], NULL), MQ_OK);
	assert_int_equal(records(b), before + 1);
	broker_kill(b);				/* the others' are in memory alone */
	broker_open(b);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g7", "t"), 0), 1);
	assert_int_equal(broker_committed(b, broker_subscription(b, "g8", "t"), 0), 0);
	broker_close(b);
}

/* Whoever is served goes on at once. */
static void *
commit_the_next(void *arg)
{
	struct crowd *c = arg;

	c->commits++;
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(commit_forward(c->b->offsets, c->subs[i], 0, MQ_QOFF(1 + c->commits)), MQ_OK);
	return NULL;
}

static void
commits_made_while_others_are_gathered_wait_for_the_next_gathering(void **state)
{
	struct broker *b = *state;
	struct crowd c;
	int64_t before;

	broker_open(b);
	crowd_begin(&c, b);
	before = records(b);
	while_appending_arg = &c;
	while_appending = commit_the_next;
	offsets_demote(b->offsets);		/* gathers, and says so */
	while_appending = NULL;
	assert_in_range(records(b), before + CROWD, before + 2 * CROWD);
	assert_in_range(c.commits, 1, CROWD);
	broker_close(b);
	broker_open(b);				/* and none is lost */
	for (int i = 0; i < CROWD; i++) {
		char name[16];

		snprintf(name, sizeof(name), "g%d", i);
		assert_int_equal(broker_committed(b, broker_subscription(b, name, "t"), 0), 1 + c.commits);
	}
	broker_close(b);
}

static void
a_gathering_that_fails_loses_no_commit(void **state)
{
	struct broker *b = *state;
	struct crowd c;

	broker_open(b);
	crowd_begin(&c, b);
	store_refuse(b->store, -ENOSPC);
	assert_int_equal(commit_sync(b->offsets, c.subs[0], NULL), -ENOSPC);
	offsets_demote(b->offsets);
	store_refuse(b->store, MQ_OK);
	offsets_demote(b->offsets);
	broker_kill(b);
	broker_open(b);
	for (int i = 0; i < CROWD; i++) {
		char name[16];

		snprintf(name, sizeof(name), "g%d", i);
		assert_int_equal(broker_committed(b, broker_subscription(b, name, "t"), 0), 1);
	}
	broker_close(b);
}

/* --- owners ---------------------------------------------------------------------------------- */

static void
owners_and_acls_stay_until_their_directory_goes(void **state)
{
	struct broker *b = *state;
	const struct owner owner = { 1000, 1001, 0640 };
	struct owner got;
	unsigned char *acl;
	size_t len;

	broker_open(b);
	broker_topic(b, "t", 1);
	broker_topic(b, "t2", 1);
	assert_int_equal(path_set_owner(b->offsets, "topics/t/q0", &owner), MQ_OK);
	assert_int_equal(path_set_owner(b->offsets, "topics/t2/q0", &owner), MQ_OK);
	assert_int_equal(path_set_acl(b->offsets, "topics/t/q0", (const unsigned char *)"\0\1\377", 3),
			 MQ_OK);
	broker_close(b);
	broker_open(b);
	assert_true(path_owner(b->offsets, "topics/t/q0", &got));
	assert_memory_equal(&got, &owner, sizeof(got));
	assert_int_equal(path_acl(b->offsets, "topics/t/q0", &acl, &len), MQ_OK);
	assert_int_equal(len, 3);
	assert_memory_equal(acl, "\0\1\377", 3);
	free(acl);
	assert_int_equal(path_set_acl(b->offsets, "topics/t/q0", NULL, 0), MQ_OK);
	assert_int_equal(path_acl(b->offsets, "topics/t/q0", &acl, &len), -ENODATA);
	assert_int_equal(path_set_owner(b->offsets, "../etc/passwd", &owner), -EINVAL);
	assert_int_equal(topic_delete(b->offsets, topic_find(b->offsets, "t")), MQ_OK);
	assert_false(path_owner(b->offsets, "topics/t/q0", &got));
	assert_true(path_owner(b->offsets, "topics/t2/q0", &got));
	broker_close(b);
	broker_open(b);
	assert_false(path_owner(b->offsets, "topics/t/q0", &got));
	broker_close(b);
}

/* --- the log, LMDB and crashes ------------------------------------------------------------------ */

static void
some_steps_and_a_checkpoint(struct broker *b, int arg)
{
	int checkpoint_after = arg / 100, steps = arg % 100;

	for (int i = 0; i < steps; i++) {
		step(b, i);
		if (i == checkpoint_after)
			assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	}
}

static void
empty(struct broker *b)
{
	tree_remove(b->path);
}

static char *
dump_after(struct broker *b, int steps)
{
	char *text;

	empty(b);
	broker_open(b);
	some_steps_and_a_checkpoint(b, 9900 + steps);
	text = dump(b);
	broker_close(b);
	return text;
}

static void
after_a_crash_all_is_as_it_was_wherever_the_checkpoint_was(void **state)
{
	struct broker *b = *state;

	for (int steps = 1; steps <= STEPS; steps++) {
		AUTO_FREE char *want = dump_after(b, steps);

		for (int checkpoint = -1; checkpoint < steps; checkpoint += 4) {
			AUTO_FREE char *got = NULL;

			empty(b);
			broker_crash_after(b, some_steps_and_a_checkpoint,
				    (checkpoint < 0 ? 99 : checkpoint) * 100 + steps);
			broker_open(b);
			got = dump(b);
			assert_string_equal(got, want);
			broker_close(b);
		}
	}
}

static void
the_log_alone_gives_the_same_registry(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = dump_after(b, STEPS);
	AUTO_FREE char *got = NULL;
	AUTO_FREE char *data = NULL;

	assert_true(asprintf(&data, "%s/lmdb/data.mdb", b->path) > 0);
	assert_int_equal(unlink(data), 0);
	broker_open(b);
	got = dump(b);
	assert_string_equal(got, want);
	broker_close(b);
}

static void
break_lmdb(struct broker *b, off_t cut_to, const char *garbage)
{
	AUTO_FREE char *data = NULL;
	AUTO_CLOSE int fd = -1;

	assert_true(asprintf(&data, "%s/lmdb/data.mdb", b->path) > 0);
	fd = open(data, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	if (garbage) {
		char page[8192];

		memset(page, *garbage, sizeof(page));
		assert_int_equal(pwrite(fd, page, sizeof(page), 0), (ssize_t)sizeof(page));
	} else {
		assert_int_equal(ftruncate(fd, cut_to), 0);
	}
}

static void
a_broken_lmdb_is_set_aside_and_rebuilt(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = dump_after(b, STEPS);
	static const struct {
		off_t cut_to;
		const char *garbage;
	} ways[] = { { 100, NULL }, { 8192, NULL }, { 0, "x" }, { 0, "" } };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		AUTO_FREE char *got = NULL;
		AUTO_FREE char *aside = NULL;

		break_lmdb(b, ways[i].cut_to, ways[i].garbage);
		broker_open(b);
		got = dump(b);
		assert_string_equal(got, want);
		broker_close(b);
		assert_true(asprintf(&aside, "%s/lost+found/lmdb.broken-%zu.txt", b->path, i + 1) > 0);
		assert_int_equal(access(aside, F_OK), 0);
	}
}

static void
copy_dir(const char *from, const char *to)
{
	sh("rm -rf '%s' && cp -r '%s' '%s'", to, from, to);
}

/* LMDB knows more than the log holds: the log's tail was cut, as a diverged slave's is. */
static void
rows_of_a_log_that_is_gone_are_forgotten(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = dump_after(b, STEPS - 4);
	AUTO_FREE char *saved = NULL, *lmdb = NULL, *saved_lmdb = NULL;

	assert_true(asprintf(&saved, "%s.saved", b->path) > 0);
	assert_true(asprintf(&lmdb, "%s/lmdb", b->path) > 0);
	assert_true(asprintf(&saved_lmdb, "%s/lmdb", saved) > 0);
	copy_dir(b->path, saved);
	broker_open(b);
	for (int i = STEPS - 4; i < STEPS; i++)
		step(b, i);
	broker_close(b);
	copy_dir(lmdb, saved_lmdb);
	copy_dir(saved, b->path);
	for (int i = 0; i < 2; i++) {	/* and not only in memory */
		AUTO_FREE char *now = NULL;

		b->forgets_views = i == 0;
		broker_open(b);
		now = dump(b);
		assert_string_equal(now, want);
		broker_close(b);
	}
}

/* --- a disk that fails on request ------------------------------------------------------------------ */

static int commit_errno;
int __real_mdb_txn_commit(void *txn);
int __wrap_mdb_txn_commit(void *txn);
void mdb_txn_abort(void *txn);

int
__wrap_mdb_txn_commit(void *txn)
{
	if (!commit_errno)
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return commit_errno;
}

static void
a_clean_end_after_a_failed_checkpoint_has_all_of_the_log(void **state)
{
	struct broker *b = *state;

	broker_open(b);
	broker_topic(b, "before", 1);
	commit_errno = ENOSPC;
	assert_int_equal(offsets_checkpoint(b->offsets), -ENOSPC);
	commit_errno = 0;
	broker_topic(b, "since", 1);
	broker_close(b);
	assert_int_equal(sh_status("${top_builddir:-.}/offsets/fsck.mqfs -n %s", b->path), 0);
}

static void
a_failed_checkpoint_is_made_up_for_by_the_next(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = dump_after(b, STEPS);
	AUTO_FREE char *got = NULL;
	struct offsets_stats stats;

	empty(b);
	broker_open(b);
	some_steps_and_a_checkpoint(b, 9900 + 6);
	commit_errno = ENOSPC;
	assert_int_equal(offsets_checkpoint(b->offsets), -ENOSPC);
	for (int i = 6; i < STEPS; i++) {
		step(b, i);
		assert_int_equal(offsets_checkpoint(b->offsets), -ENOSPC);
	}
	commit_errno = 0;
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.checkpoint_failures, STEPS - 6 + 1);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.checkpoint_at, mark_at(store_dispatched(b->store)).byte);
	broker_close(b);
	broker_open(b);
	got = dump(b);
	assert_string_equal(got, want);
	broker_close(b);
}

/* --- tables --------------------------------------------------------------------------------------- */

static int
count_row(void *arg, const void *key, size_t key_len, const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(int *)arg;
	return MQ_OK;
}

static void
the_map_grows_by_itself_and_a_row_is_all_or_nothing(void **state)
{
	static char value[1 << 20];
	struct broker *b = *state;
	struct tables *t;
	struct rows rows = { 0 };
	int64_t map_before;
	int n = 0;

	assert_int_equal(tables_open(b->dir, false, &t), MQ_OK);
	map_before = tables_map_bytes(t);
	for (int32_t i = 0; i < 40; i++)
		rows_put(&rows, TABLE_ATTRS, &i, sizeof(i), value, sizeof(value));
	commit_errno = EIO;
	assert_int_equal(tables_write(t, &rows), -EIO);
	commit_errno = 0;
	assert_int_equal(tables_each(t, TABLE_ATTRS, count_row, &n), MQ_OK);
	assert_int_equal(n, 0);
	assert_int_equal(tables_write(t, &rows), MQ_OK);
	assert_true(tables_map_bytes(t) > map_before);
	tables_close(t);
	assert_int_equal(tables_open(b->dir, false, &t), MQ_OK);
	assert_int_equal(tables_each(t, TABLE_ATTRS, count_row, &n), MQ_OK);
	assert_int_equal(n, 40);
	rows_clear(&rows);
	rows_empty(&rows, TABLE_ATTRS);
	assert_int_equal(tables_write(t, &rows), MQ_OK);
	n = 0;
	assert_int_equal(tables_each(t, TABLE_ATTRS, count_row, &n), MQ_OK);
	assert_int_equal(n, 0);
	tables_close(t);
	rows_free(&rows);
}

static void
nothing_new_is_not_written(void **state)
{
	struct broker *b = *state;
	struct offsets_stats stats;
	int64_t before;

	broker_open(b);
	broker_topic(b, "t", 1);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	offsets_stats(b->offsets, &stats);
	before = stats.checkpoints;
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.checkpoints, before);
	broker_close(b);
}

/* --- records of others --------------------------------------------------------------------------- */

static void
records_that_make_no_sense_do_no_harm(void **state)
{
	static const char *const bodies[] = {
		"not json", "", "{\"op\":\"teleport\",\"v\":1}",
		("{\"op\":\"subscribe\",\"v\":1,\"group\":\"no\",\"topic\":\"no\",\"expression\":\"*\","
		 "\"offsets\":{}}"),
		"{\"op\":\"commit\",\"v\":1,\"group\":\"no\",\"topic\":\"no\",\"offsets\":{\"0\":1}}",
		"{\"op\":\"topic-delete\",\"v\":1,\"name\":\"never\"}",
		"{\"op\":\"topic\",\"v\":1,\"id\":16777215,\"name\":\"last\"}",
		"{\"op\":\"topic\",\"v\":1,\"id\":16777215,\"name\":\"twice\"}",
	};
	struct broker *b = *state;

	broker_open(b);
	broker_topic(b, "t", 1);
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		broker_append(b, META_TOPIC, 0, bodies[i], 1);
	broker_topic(b, "u", 1);			/* takes those before it along */
	for (int i = 0; i < 2; i++) {
		assert_non_null(topic_find(b->offsets, "t"));
		assert_non_null(topic_find(b->offsets, "u"));
		assert_null(topic_find(b->offsets, "never"));
		assert_int_equal(topic_find(b->offsets, "last")->id, META_ID_MAX);
		assert_true(topic_find(b->offsets, "twice")->id < META_ID_MAX);
		broker_close(b);
		broker_open(b);
	}
	broker_close(b);
}

static void
what_a_master_logs_is_followed(void **state)
{
	struct broker *b = *state;
	struct offsets_stats stats;

	broker_set(b, "flushIntervalConsumeQueue", "10");
	broker_open(b);
	b->settings.brokerRole = SLAVE;
	broker_append(b, META_TOPIC, 0, "{\"op\":\"topic\",\"v\":1,\"id\":9,\"name\":\"remote\",\"queues\":2}", 1);
	broker_produce(b, "legacy", 1, 1);
	for (int i = 0; i < 10000 && !topic_find(b->offsets, "legacy"); i++)
		usleep(10000);
	assert_int_equal(topic_find(b->offsets, "remote")->id, 9);
	assert_int_equal(topic_queues(b->offsets, topic_find(b->offsets, "legacy")), 2);
	offsets_stats(b->offsets, &stats);
	assert_int_equal(stats.applied, 2);	/* and our own epoch */
	broker_close(b);
}

/* --- rounds ------------------------------------------------------------------------------------------ */

static int64_t
meta_records(struct broker *b)
{
	return queue_end(store_queue(b->store, META_TOPIC, 0)).n;
}

static void
the_newest_segments_hold_the_whole_state(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = NULL, *got = NULL;
	int64_t before;

	broker_set(b, "flushIntervalConsumeQueue", "10");
	broker_open(b);
	some_steps_and_a_checkpoint(b, 9900 + STEPS);
	before = meta_records(b);
	for (int i = 0; i < 5; i++)		/* more than a segment of 1 MiB */
		broker_produce(b, "c", 0, 4000);
	for (int i = 0; i < 10000 && meta_records(b) < before + 6; i++)
		usleep(10000);
	assert_true(meta_records(b) >= before + 6);
	want = dump(b);
	assert_int_equal(queue_trim(store_queue(b->store, META_TOPIC, 0), MQ_QOFF(before)), MQ_OK);
	broker_close(b);
	break_lmdb(b, 100, NULL);
	broker_open(b);
	got = dump(b);
	assert_string_equal(got, want);
	broker_close(b);
}

/* --- many at once ------------------------------------------------------------------------------------- */

#define RACERS 4
#define RACE_COMMITS 2000

struct racer {
	struct broker *b;
	struct subscription *sub;
	int32_t queue;
	pthread_t thread;
	_Atomic bool *stop;
};

static void *
consumer_main(void *arg)
{
	struct racer *r = arg;

	for (int i = 1; i <= RACE_COMMITS; i++) {
		mq_qoff at;

		assert_int_equal(commit_forward(r->b->offsets, r->sub, r->queue, MQ_QOFF(i)), MQ_OK);
		assert_int_equal(committed(r->b->offsets, r->sub, r->queue, &at), MQ_OK);
		assert_int_equal(at.n, i);
		if (i % 200 == 0)
			assert_int_equal(commit_sync(r->b->offsets, r->sub, NULL), MQ_OK);
	}
	return NULL;
}

static void *
maker_main(void *arg)
{
	struct racer *r = arg;
	char name[32];

	for (int i = 0; !*r->stop; i++) {
		struct topic_conf conf;
		struct topic *t;

		snprintf(name, sizeof(name), "t%d", i % 50);
		topic_conf_default(&conf, name, 2);
		if (topic_create(r->b->offsets, &conf, &t) == MQ_OK && i % 3 == 0)
			assert_int_equal(topic_delete(r->b->offsets, t), MQ_OK);
		for (const char *after = ""; (t = topic_next(r->b->offsets, after)); after = t->name)
			topic_conf(r->b->offsets, t, &conf);
	}
	return NULL;
}

static void *
saver_main(void *arg)
{
	struct racer *r = arg;

	while (!*r->stop)
		assert_int_equal(offsets_checkpoint(r->b->offsets), MQ_OK);
	return NULL;
}

static void
commits_changes_and_checkpoints_do_not_disturb_each_other(void **state)
{
	static void *(*const others[])(void *) = { maker_main, saver_main, saver_main };
	struct broker *b = *state;
	struct racer racers[RACERS + 3];
	_Atomic bool stop = false;
	struct subscription *sub;

	broker_set(b, "flushIntervalConsumeQueue", "1");
	broker_set(b, "flushConsumerOffsetInterval", "1");
	broker_open(b);
	sub = broker_subscribe(b, broker_group(b, "g"), broker_topic(b, "t", RACERS));
	for (int i = 0; i < RACERS; i++)
		broker_produce(b, "t", i, RACE_COMMITS);
	for (int i = 0; i < RACERS + 3; i++) {
		racers[i] = (struct racer){ .b = b, .sub = sub, .queue = i, .stop = &stop };
		assert_int_equal(pthread_create(&racers[i].thread, NULL,
						i < RACERS ? consumer_main : others[i - RACERS],
						&racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(racers[i].thread, NULL);
	stop = true;
	for (int i = RACERS; i < RACERS + 3; i++)
		pthread_join(racers[i].thread, NULL);
	broker_close(b);
	broker_open(b);
	for (int i = 0; i < RACERS; i++)
		assert_int_equal(broker_committed(b, broker_subscription(b, "g", "t"), i), RACE_COMMITS);
	broker_close(b);
}

static void
ten_thousand_topics_are_cheap(void **state)
{
	enum { TOPICS = 10000 };
	struct broker *b = *state;
	struct offsets_stats stats;
	struct topic *t;
	char name[32];
	int n = 0;

	broker_open(b);
	for (int i = 0; i < TOPICS; i++) {
		snprintf(name, sizeof(name), "topic-%05d", (i * 7919) % TOPICS);
		broker_topic(b, name, 4);
	}
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	broker_close(b);
	broker_open(b);
	for (const char *after = ""; (t = topic_next(b->offsets, after)); after = t->name) {
		snprintf(name, sizeof(name), "topic-%05d", n++);
		assert_string_equal(t->name, name);
	}
	assert_int_equal(n, TOPICS);
	offsets_stats(b->offsets, &stats);
	assert_true(stats.map_bytes > 0);
	broker_close(b);
}

static void
a_read_only_mount_writes_nothing(void **state)
{
	struct broker *b = *state;
	AUTO_FREE char *want = dump_after(b, STEPS);
	AUTO_FREE char *got = NULL;
	struct topic_conf conf;

	sh("cd '%s' && find . -type f ! -name lock | sort | xargs sha256sum > ../sums", b->path);
	broker_open_read_only(b);
	got = dump(b);
	assert_string_equal(got, want);
	topic_conf_default(&conf, "new", 1);
	assert_int_equal(topic_create(b->offsets, &conf, NULL), -EROFS);
	assert_int_equal(commit_forward(b->offsets, broker_subscription(b, "g", "a"), 0, MQ_QOFF(10)), MQ_OK);
	assert_int_equal(offsets_checkpoint(b->offsets), MQ_OK);
	broker_close(b);
	sh("cd '%s' && sha256sum --quiet -c ../sums", b->path);
}

static void
a_slave_changes_nothing_by_itself(void **state)
{
	struct broker *b = *state;
	struct topic_conf conf;

	broker_open(b);
	some_steps_and_a_checkpoint(b, 9905);
	b->settings.brokerRole = SLAVE;
	topic_conf_default(&conf, "new", 1);
	assert_int_equal(topic_create(b->offsets, &conf, NULL), MQ_EROLE);
	assert_int_equal(commit_forward(b->offsets, broker_subscription(b, "g", "a"), 1, MQ_QOFF(6)), MQ_OK);
	assert_int_equal(commit_sync(b->offsets, broker_subscription(b, "g", "a"), NULL), MQ_EROLE);
	b->settings.brokerRole = ASYNC_MASTER;
	assert_int_equal(commit_sync(b->offsets, broker_subscription(b, "g", "a"), NULL), MQ_OK);
	broker_close(b);
}

/* --- what topics say about keeping messages ---------------------------------------------- */

static bool
head_comes_to(struct queue *q, int64_t min)
{
	for (int i = 0; i < 10000 && queue_min(q).n != min; i++)
		usleep(5000);
	return queue_min(q).n == min;
}

static void
change_topic(struct broker *b, struct topic *t, int64_t hours, bool drop)
{
	struct topic_conf conf;

	topic_conf(b->offsets, t, &conf);
	conf.reserved_hours = hours;
	conf.on_full_drop = drop;
	assert_int_equal(topic_change(b->offsets, t, &conf), MQ_OK);
}

static void
messages_past_their_topics_own_time_are_no_longer_seen(void **state)
{
	struct broker *b = *state;
	struct offsets_stats stats;
	struct subscription *sub;
	struct topic *t, *other;
	struct queue *q;

	clock_passed_s = 0;
	broker_set(b, "flushIntervalConsumeQueue", "1");
	broker_open(b);
	t = broker_topic(b, "t", 1);
	other = broker_topic(b, "other", 1);
	change_topic(b, t, 2, false);
	sub = broker_subscribe(b, broker_group(b, "g"), t);
	broker_produce(b, "t", 0, 7);
	broker_produce(b, "other", 0, 7);
	assert_int_equal(topic_queue(b->offsets, t, 0, &q), MQ_OK);
	clock_passed_s = 1 * 3600;
	usleep(20000);
	assert_int_equal(queue_min(q).n, 0);
	clock_passed_s = 3 * 3600;
	assert_true(head_comes_to(q, 7));
	assert_int_equal(topic_queue(b->offsets, other, 0, &q), MQ_OK);
	assert_int_equal(queue_min(q).n, 0);
	for (int i = 0; i < 10000 && (offsets_stats(b->offsets, &stats), stats.offsets_clamped == 0); i++)
		usleep(5000);
	assert_int_equal(stats.offsets_clamped, 1);
	assert_int_equal(broker_committed(b, sub, 0), 7);
	broker_close(b);
	broker_open(b);
	assert_int_equal(topic_queue(b->offsets, topic_find(b->offsets, "t"), 0, &q), MQ_OK);
	assert_int_equal(queue_min(q).n, 7);
	assert_int_equal(queue_head_moves(q), 1);
	broker_close(b);
	clock_passed_s = 0;
}

static void
a_shorter_time_counts_at_once(void **state)
{
	struct broker *b = *state;
	struct topic *t;
	struct queue *q;

	clock_passed_s = 0;
	broker_set(b, "flushIntervalConsumeQueue", "1");
	broker_open(b);
	t = broker_topic(b, "t", 1);
	broker_produce(b, "t", 0, 7);
	assert_int_equal(topic_queue(b->offsets, t, 0, &q), MQ_OK);
	clock_passed_s = 5 * 3600;
	change_topic(b, t, 6, false);
	usleep(20000);
	assert_int_equal(queue_min(q).n, 0);
	change_topic(b, t, 4, false);
	assert_true(head_comes_to(q, 7));
	broker_close(b);
	clock_passed_s = 0;
}

static bool
drops_becomes(struct queue *q, bool drops)
{
	for (int i = 0; i < 10000 && queue_drops(q) != drops; i++)
		usleep(5000);
	return queue_drops(q) == drops;
}

static void
the_store_knows_which_topics_drop(void **state)
{
	struct broker *b = *state;
	struct topic *t;
	struct queue *q;

	broker_set(b, "flushIntervalConsumeQueue", "1");
	broker_open(b);
	t = broker_topic(b, "t", 2);
	broker_produce(b, "t", 0, 1);
	assert_int_equal(topic_queue(b->offsets, t, 0, &q), MQ_OK);
	assert_true(drops_becomes(store_queue(b->store, META_TOPIC, 0), true));
	assert_false(queue_drops(q));
	change_topic(b, t, 0, true);
	assert_true(drops_becomes(q, true));
	broker_produce(b, "t", 1, 1);
	assert_int_equal(topic_queue(b->offsets, t, 1, &q), MQ_OK);
	assert_true(drops_becomes(q, true));
	change_topic(b, t, 0, false);
	assert_true(drops_becomes(q, false));
	broker_close(b);
	broker_set(b, "flushIntervalConsumeQueue", "1");
	broker_open(b);
	assert_true(drops_becomes(store_queue(b->store, META_TOPIC, 0), true));
	broker_close(b);
}

/* --- epochs ------------------------------------------------------------------------------------------ */

static size_t
epochs_of(struct broker *b, struct epoch *list)
{
	size_t n = offsets_epochs(b->offsets, list, EPOCHS_MAX);

	for (size_t i = 0; i < n; i++)
		assert_int_equal(list[i].number, i + 1);
	return n;
}

static size_t
count_epochs(struct broker *b)
{
	static struct epoch list[EPOCHS_MAX];

	return epochs_of(b, list);
}

static void
a_master_goes_on_in_its_epoch_unless_it_crashed(void **state)
{
	struct broker *b = *state;
	struct epoch list[EPOCHS_MAX];
	mq_pos end;

	broker_open(b);
	assert_int_equal(epochs_of(b, list), 1);
	assert_int_equal(list[0].start.byte, 0);
	assert_memory_equal(list[0].by, offsets_identity(b->offsets), EPOCH_ID_BYTES);
	some_steps_and_a_checkpoint(b, 9900 + STEPS);
	broker_close(b);
	broker_open(b);
	assert_int_equal(count_epochs(b), 1);
	end = broker_written(b);
	broker_close(b);
	broker_crash_after(b, some_steps_and_a_checkpoint, 9900);
	broker_open(b);
	assert_int_equal(epochs_of(b, list), 2);
	assert_int_equal(list[1].start.byte, end.byte);
	assert_true(mark_at(store_flushed(b->store)).byte > end.byte);	/* it is on the disk */
	broker_close(b);
}

static void
a_slave_begins_no_epoch_and_what_was_a_slave_does(void **state)
{
	struct broker *b = *state;

	b->settings.brokerRole = SLAVE;
	broker_open(b);
	assert_int_equal(count_epochs(b), 0);
	broker_close(b);
	b->settings.brokerRole = ASYNC_MASTER;
	broker_open(b);
	assert_int_equal(count_epochs(b), 1);
	broker_close(b);
	b->settings.brokerRole = SLAVE;		/* though its last one is its own, */
	broker_open(b);
	assert_int_equal(count_epochs(b), 1);
	broker_close(b);
	b->settings.brokerRole = ASYNC_MASTER;	/* the log may be another one by now */
	broker_open(b);
	assert_int_equal(count_epochs(b), 2);
	broker_close(b);
	broker_open_read_only(b);
	assert_int_equal(count_epochs(b), 2);
	broker_close(b);
}

static void
a_slave_becomes_the_master_with_an_epoch(void **state)
{
	struct broker *b = *state;
	struct topic_conf conf;
	struct topic *t;

	b->settings.brokerRole = SLAVE;
	broker_open(b);
	topic_conf_default(&conf, "t", 1);
	assert_int_equal(topic_create(b->offsets, &conf, &t), MQ_EROLE);
	store_refuse(b->store, -EROFS);
	assert_int_equal(offsets_promote(b->offsets), MQ_OK);
	b->settings.brokerRole = ASYNC_MASTER;
	offsets_promoted(b->offsets);
	assert_int_equal(count_epochs(b), 1);
	assert_int_equal(topic_create(b->offsets, &conf, &t), MQ_OK);
	offsets_demote(b->offsets);
	b->settings.brokerRole = SLAVE;
	store_refuse(b->store, MQ_EROLE);
	assert_int_equal(topic_delete(b->offsets, t), MQ_EROLE);
	broker_close(b);
	b->settings.brokerRole = ASYNC_MASTER;
	broker_open(b);
	assert_non_null(topic_find(b->offsets, "t"));
	assert_int_equal(count_epochs(b), 2);
	broker_close(b);
}

/* What tells of them may be lost, the log has them; and who it is is lost with it. */
static void
the_log_alone_gives_the_same_epochs(void **state)
{
	struct epoch before[EPOCHS_MAX], after[EPOCHS_MAX];
	struct broker *b = *state;
	char path[200];

	broker_set(b, "flushIntervalConsumeQueue", "10");
	broker_open(b);
	broker_close(b);
	broker_crash_after(b, some_steps_and_a_checkpoint, 9900);
	broker_open(b);
	for (int i = 0; i < 5; i++)		/* more than a segment: they are said again */
		broker_produce(b, "a", 0, 4000);
	assert_int_equal(epochs_of(b, before), 2);
	broker_close(b);
	snprintf(path, sizeof(path), "%s/lmdb", b->path);
	tree_remove(path);
	broker_open(b);
	assert_int_equal(epochs_of(b, after), 3);
	assert_memory_equal(before, after, 2 * sizeof(before[0]));
	broker_close(b);
}

/* A disk that is half full, wherever the test has its files. */
int __wrap_fstatvfs(int fd, struct statvfs *v);
int
__wrap_fstatvfs(int fd, struct statvfs *v)
{
	(void)fd;
	*v = (struct statvfs){ .f_frsize = 4096, .f_blocks = 2000000, .f_bfree = 1000000, .f_bavail = 1000000 };
	return 0;
}

static void
without_space_for_an_epoch_there_are_no_appends(void **state)
{
	struct broker *b = *state;
	struct topic_conf conf;
	struct topic *t;
	int rc;

	topic_conf_default(&conf, "t", 1);
	broker_set(b, "flushIntervalConsumeQueue", "10");
	broker_set(b, "diskSpaceWarningLevelRatio", "1");
	broker_open(b);
	assert_int_equal(count_epochs(b), 0);
	assert_int_equal(topic_create(b->offsets, &conf, &t), -ENOSPC);
	broker_set(b, "diskSpaceWarningLevelRatio", "100");
	for (int i = 0; (rc = topic_create(b->offsets, &conf, &t)) == -ENOSPC && i < 6000; i++)
		usleep(10000);
	assert_int_equal(rc, MQ_OK);
	assert_int_equal(count_epochs(b), 1);
	broker_close(b);
}

static void
each_of_many_queues_has_its_time_to_come_to_disk(void **state)
{
	enum { QUEUES = 3200 };
	struct broker *b = *state;

	broker_set(b, "flushIntervalConsumeQueue", "100");
	broker_set(b, "flushConsumeQueueThoroughInterval", "3600000");
	broker_open(b);
	broker_topic(b, "many", QUEUES);
	for (int i = 0; i < QUEUES; i++)
		broker_produce(b, "many", i, 1);
	nanosleep(&(struct timespec){ .tv_sec = 1 }, NULL);	/* ten times the interval of a few */
	assert_true(store_changed_queues(b->store) > 0);
	broker_set(b, "flushConsumeQueueThoroughInterval", "0");
	for (int i = 0; i < 60000 && store_changed_queues(b->store) > 0; i++)
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	assert_int_equal(store_changed_queues(b->store), 0);
	broker_close(b);
}

static void
of_a_group_of_clients_only_what_was_committed_is_known(void **state)
{
	struct broker *b = *state;
	struct subscription *sub;

	broker_open(b);
	broker_topic(b, "t", 2);
	broker_produce(b, "t", 0, 10);
	broker_produce(b, "t", 1, 10);
	assert_int_equal(subscription_of_consumer(b->offsets, broker_group(b, "g"), topic_find(b->offsets, "t"), &sub), MQ_OK);
	assert_int_equal(commit_forward(b->offsets, sub, 0, MQ_QOFF(4)), MQ_OK);
	for (int again = 0; again < 3; again++) {
		assert_true(committed_ever(b->offsets, sub, 0));
		assert_false(committed_ever(b->offsets, sub, 1));
		assert_int_equal(broker_committed(b, sub, 0), 4);
		assert_int_equal(broker_committed(b, sub, 1), 0);
		if (again == 0)
			broker_close(b);
		else
			broker_kill(b);
		broker_open(b);
		sub = broker_subscription(b, "g", "t");
	}
	broker_close(b);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, broker_setup, broker_teardown)
	const struct CMUnitTest tests[] = {
		T(each_of_many_queues_has_its_time_to_come_to_disk),
		T(a_topic_is_there_when_its_call_returns),
		T(names_that_are_none_are_refused),
		T(queues_that_held_messages_stay),
		T(a_topic_with_messages_or_subscriptions_stays),
		T(a_topic_to_which_somebody_appends_just_now_stays),
		T(a_topic_is_removed_with_messages_and_subscriptions),
		T(what_is_made_again_has_its_old_id),
		T(listings_are_in_order_without_system_topics),
		T(nobody_makes_changes_or_removes_what_belongs_to_the_system),
		T(what_a_client_has_sent_to_mqfs_meta_is_not_obeyed),
		T(topics_of_a_group_belong_to_its_owner_whoever_makes_them),
		T(a_group_is_not_made_where_another_users_retry_topic_is_left),
		T(a_topic_that_only_has_queues_is_shown),
		T(a_subscription_starts_at_the_end_or_at_the_first),
		T(of_a_group_of_clients_only_what_was_committed_is_known),
		T(a_commit_never_moves_back_but_a_reset_does),
		T(what_is_out_of_range_is_clamped_and_counted),
		T(compare_and_set_loses_to_who_came_first),
		T(one_consumer_holds_a_queue),
		T(commits_of_a_group_become_one_record),
		T(commits_reach_the_log_by_themselves),
		T(an_fsync_of_a_consumer_logs_its_own_commits_alone),
		T(commits_made_while_others_are_gathered_wait_for_the_next_gathering),
		T(a_gathering_that_fails_loses_no_commit),
		T(owners_and_acls_stay_until_their_directory_goes),
		T(after_a_crash_all_is_as_it_was_wherever_the_checkpoint_was),
		T(the_log_alone_gives_the_same_registry),
		T(a_broken_lmdb_is_set_aside_and_rebuilt),
		T(rows_of_a_log_that_is_gone_are_forgotten),
		T(a_clean_end_after_a_failed_checkpoint_has_all_of_the_log),
		T(a_failed_checkpoint_is_made_up_for_by_the_next),
		T(the_map_grows_by_itself_and_a_row_is_all_or_nothing),
		T(nothing_new_is_not_written),
		T(records_that_make_no_sense_do_no_harm),
		T(what_a_master_logs_is_followed),
		T(the_newest_segments_hold_the_whole_state),
		T(commits_changes_and_checkpoints_do_not_disturb_each_other),
		T(ten_thousand_topics_are_cheap),
		T(a_read_only_mount_writes_nothing),
		T(a_master_goes_on_in_its_epoch_unless_it_crashed),
		T(a_slave_begins_no_epoch_and_what_was_a_slave_does),
		T(a_slave_becomes_the_master_with_an_epoch),
		T(the_log_alone_gives_the_same_epochs),
		T(without_space_for_an_epoch_there_are_no_appends),
		T(a_slave_changes_nothing_by_itself),
		T(messages_past_their_topics_own_time_are_no_longer_seen),
		T(a_shorter_time_counts_at_once),
		T(the_store_knows_which_topics_drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
