#include "config.h"

#include <unistd.h>

#include "conf/err.h"
#include "conf/log.h"
#include "tests/broker_kit.h"
#include "tests/tree.h"

#define VANISHED 42

/* --- begin and end ---------------------------------------------------------------------- */

void
broker_begin(struct broker *b, const char *parent)
{
	*b = (struct broker){ 0 };
	log_open("test", LOG_TO_STDERR, getenv("MQFS_TEST_LOG") ? LOG_DEBUG : LOG_CRIT);
	tree_make(b->dir, sizeof(b->dir), parent, "broker");
	snprintf(b->path, sizeof(b->path), "%s/store", b->dir);
	assert_int_equal(settings_init(&b->settings), MQ_OK);
	broker_set(b, "mappedFileSizeCommitLog", "1M");
	broker_set(b, "maxMessageSize", "65536");
	broker_set(b, "maxIndexNum", "1000");
	broker_set(b, "maxHashSlotNum", "100");
	broker_set(b, "flushIntervalConsumeQueue", "3600000");
	broker_set(b, "flushConsumerOffsetInterval", "3600000");
}

void
broker_end(struct broker *b)
{
	if (b->store)
		broker_drop(b);
	tree_remove(b->dir);
	settings_free(&b->settings);
}

int
broker_setup(void **state)
{
	struct broker *b = malloc(sizeof(*b));

	assert_non_null(b);
	broker_begin(b, NULL);
	*state = b;
	return 0;
}

int
broker_teardown(void **state)
{
	broker_end(*state);
	free(*state);
	return 0;
}

void
broker_set(struct broker *b, const char *key, const char *value)
{
	assert_int_equal(settings_set(&b->settings, key, value, "test"), MQ_OK);
}

/* --- open and close ------------------------------------------------------------------------ */

int
broker_try(struct broker *b, bool read_only)
{
	struct store_checkpoint cp = { 0 };
	int rc = storedir_open(b->path, "", read_only, 0, &b->sd);

	if (rc == MQ_OK && !read_only)
		rc = storedir_begin(&b->sd);
	if (rc == MQ_OK)
		rc = offsets_open(&b->settings, &b->sd, &b->offsets, &cp);
	if (rc == MQ_OK && b->forgets_views)
		store_checkpoint_free(&cp);
	if (rc == MQ_OK)
		rc = store_open(&b->settings, &b->sd, &cp, &b->store);
	store_checkpoint_free(&cp);
	if (rc == MQ_OK)
		rc = offsets_start(b->offsets, b->store);
	return rc == MQ_OK ? offsets_deliver(b->offsets) : rc;
}

static void
open_as(struct broker *b, bool read_only)
{
	int rc = broker_try(b, read_only);

	if (rc != MQ_OK)
		fail_msg("the broker does not open: %s", err_text(rc));
}

void
broker_open(struct broker *b)
{
	open_as(b, false);
}

void
broker_open_read_only(struct broker *b)
{
	open_as(b, true);
}

void
broker_close(struct broker *b)
{
	assert_int_equal(offsets_close(b->offsets), MQ_OK);
	store_close(b->store);
	b->store = NULL;
	if (!b->sd.read_only)
		assert_int_equal(storedir_end(&b->sd), MQ_OK);
	storedir_close(&b->sd);
}

void
broker_drop(struct broker *b)
{
	(void)offsets_close(b->offsets);
	store_close(b->store);
	b->store = NULL;
	storedir_close(&b->sd);
}

void
broker_kill(struct broker *b)
{
	sh("cp -r '%s' '%s/killed'", b->path, b->dir);
	broker_drop(b);
	sh("rm -rf '%s' && mv '%s/killed' '%s'", b->path, b->dir, b->path);
}

void
broker_crash_after(struct broker *b, void (*doing)(struct broker *b, int arg), int arg)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		broker_open(b);
		doing(b, arg);
		_exit(VANISHED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == VANISHED);
}

/* --- what is in it --------------------------------------------------------------------------- */

struct topic *
broker_topic(struct broker *b, const char *name, int32_t queues)
{
	struct topic_conf conf;
	struct topic *t = NULL;

	topic_conf_default(&conf, name, queues);
	conf.created_ms = 1000;
	assert_int_equal(topic_create(b->offsets, &conf, &t), MQ_OK);
	return t;
}

struct group *
broker_group(struct broker *b, const char *name)
{
	struct group_conf conf;
	struct group *g = NULL;

	group_conf_default(&conf, name);
	conf.created_ms = 1000;
	assert_int_equal(group_create(b->offsets, &conf, &g), MQ_OK);
	return g;
}

struct subscription *
broker_subscribe(struct broker *b, struct group *g, struct topic *t)
{
	struct subscription *sub = NULL;

	assert_int_equal(subscription_create(b->offsets, g, t, &sub), MQ_OK);
	return sub;
}

struct subscription *
broker_subscription(struct broker *b, const char *group, const char *topic)
{
	struct group *g = group_find(b->offsets, group);
	struct topic *t = topic_find(b->offsets, topic);

	return g && t ? subscription_find(b->offsets, g, t) : NULL;
}

int64_t
broker_committed(struct broker *b, struct subscription *sub, int32_t queue_id)
{
	mq_qoff at = MQ_QOFF(-1);

	assert_int_equal(committed(b->offsets, sub, queue_id, &at), MQ_OK);
	return at.n;
}

mq_pos
broker_written(struct broker *b)
{
	return mark_at(store_written(b->store));
}

void
broker_append(struct broker *b, const char *topic, int32_t queue_id, const char *body, int n)
{
	struct batch batch;
	struct appended at;
	struct queue *q;

	batch_init(&batch);
	for (int i = 0; i < n; i++)
		assert_int_equal(batch_add(&batch, &(struct message){
			.body = body, .body_len = strlen(body), .topic = topic, .topic_len = strlen(topic),
			.props = "", .queue_id = queue_id }), MQ_OK);
	assert_int_equal(store_queue_make(b->store, topic, queue_id, &q), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(b->store, q, &batch, &at), MQ_OK);
	queue_append_end(q);
	batch_free(&batch);
}

void
broker_produce(struct broker *b, const char *topic, int32_t queue_id, int n)
{
	broker_append(b, topic, queue_id, "hello", n);
}
