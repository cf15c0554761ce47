/* store_kit.h - a small store in a directory of its own, and what tests do to it.
 *
 * Segments of 64 KiB, queue files of 100 entries, index files of 50 slots and 200
 * entries: everything rolls over soon.  The kit keeps what a mount would keep in
 * LMDB (the rows of every checkpoint) and what was appended (the model).
 */
#ifndef MQFS_TESTS_STORE_KIT_H
#define MQFS_TESTS_STORE_KIT_H

#include "conf/settings.h"
#include "store/store.h"
#include "store/storedir.h"

#define KIT_SEGMENT 65536
#define KIT_QUEUE_ENTRIES 100
#define KIT_SLOTS 50
#define KIT_INDEX_ENTRIES 200

struct kit_message {
	char topic[32];
	int32_t queue_id;
	mq_qoff qoff;
	mq_pos pos;
	uint32_t seed;		/* of its body */
	size_t body_len;
	int64_t store_ms;
	char key[24];		/* "" for none */
};

struct kit {
	char dir[128];		/* everything of this test */
	char path[160];		/* the store in it */
	struct settings set;
	struct storedir sd;
	struct store *s;	/* NULL: not open */
	struct store_checkpoint cp;
	struct kit_message *model;
	size_t n, max;
	uint32_t seed;
};

int kit_setup(void **state);
int kit_teardown(void **state);

/* Open with the checkpoint kept; close in order, with a last checkpoint. */
int kit_try_open(struct kit *k, bool read_only);
void kit_open(struct kit *k);
void kit_close(struct kit *k);

/* The process dies now: what a machine would find is copied, and the copy is
 * the store from here on (not yet opened). */
void kit_crash(struct kit *k);

int kit_checkpoint(struct kit *k);
void kit_forget_checkpoint(struct kit *k);
struct store_checkpoint kit_copy_checkpoint(const struct store_checkpoint *cp);

/* Append n messages of body_len bytes in one batch; what was stored joins the
 * model.  `key` is a prefix, NULL for none. */
int kit_append(struct kit *k, const char *topic, int32_t queue_id, size_t n, size_t body_len, const char *key);

void kit_body(uint32_t seed, size_t len, unsigned char *buf);
struct queue *kit_queue(struct kit *k, const char *topic, int32_t queue_id);
struct queue *kit_queue_made(struct kit *k, const char *topic, int32_t queue_id);

/* What reading message m gives: MQ_OK and it is what the model says, or why not. */
int kit_read(struct kit *k, const struct kit_message *m);

/* All of the model is there, and nothing else. */
void kit_verify(struct kit *k);

/* A file of the store, as a whole (malloc'ed), or changed in place. */
unsigned char *kit_slurp(struct kit *k, const char *name, size_t *ret_len);
void kit_poke(struct kit *k, const char *name, int64_t at, const void *bytes, size_t len);
void kit_segment_of(mq_pos pos, char *name, size_t size);
bool kit_exists(struct kit *k, const char *name);

/* How many files a directory of the store has. */
size_t kit_count(struct kit *k, const char *dir);

#endif
