/* broker_kit.h - a broker without a mount: a store, and the registry on it.
 *
 * It lives in a directory of its own, with small files (segments of 1 MiB) and with
 * checkpoints and records of commits only when a test asks for them, unless the test
 * sets it otherwise.  What goes wrong here fails the test.
 */
#ifndef MQFS_TESTS_BROKER_KIT_H
#define MQFS_TESTS_BROKER_KIT_H

#include "offsets/offsets.h"

struct broker {
	char dir[128];		/* everything of this test */
	char path[160];		/* the store in it; not there before the first open */
	struct settings settings;
	struct storedir sd;
	struct store *store;	/* NULL: not open */
	struct offsets *offsets;
	bool forgets_views;	/* the next open makes all views of the store anew */
	unsigned seed;		/* for tests that throw dice */
};

/* Directory and settings; `parent` as in tree_make().  The end of it closes the store
 * that a failed test left open, and removes all. */
void broker_begin(struct broker *b, const char *parent);
void broker_end(struct broker *b);

/* The same as cmocka wants it. */
int broker_setup(void **state);
int broker_teardown(void **state);

void broker_set(struct broker *b, const char *key, const char *value);

/* Open as a mount does it.  broker_try() says what mount.mqfs would say; what it has
 * opened by then stays open, for a process that ends. */
int broker_try(struct broker *b, bool read_only);
void broker_open(struct broker *b);
void broker_open_read_only(struct broker *b);
void broker_close(struct broker *b);

/* Close it as it comes: nothing is said of what fails, nothing marked as clean. */
void broker_drop(struct broker *b);

/* What a machine would find now is copied, and is the store from here on (not open). */
void broker_kill(struct broker *b);

/* Open it in a process that does this and vanishes, as by SIGKILL. */
void broker_crash_after(struct broker *b, void (*doing)(struct broker *b, int arg), int arg);

/* What is in it. */
struct topic *broker_topic(struct broker *b, const char *name, int32_t queues);
struct group *broker_group(struct broker *b, const char *name);
struct subscription *broker_subscribe(struct broker *b, struct group *g, struct topic *t);
struct subscription *broker_subscription(struct broker *b, const char *group, const char *topic);	/* or NULL */
int64_t broker_committed(struct broker *b, struct subscription *sub, int32_t queue_id);
mq_pos broker_written(struct broker *b);	/* the log's end */

/* n messages in one batch, with that body; or some body. */
void broker_append(struct broker *b, const char *topic, int32_t queue_id, const char *body, int n);
void broker_produce(struct broker *b, const char *topic, int32_t queue_id, int n);

#endif
