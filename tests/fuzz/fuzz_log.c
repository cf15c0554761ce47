/* fuzz_log.c - bytes as the only segment of a log: the store opens or says why
 * not, and everything in it can be asked for. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/log.h"
#include "store/store.h"
#include "store/storedir.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"

#define SEGMENT_BYTES 65536

static struct settings settings;

static int
read_queue(struct queue *q, void *arg)
{
	struct store *s = arg;
	struct queue_entry e[64];
	unsigned char *buf = NULL;
	size_t size = 0, n;
	struct record rec;
	mq_pos found[8];

	for (mq_qoff at = queue_min(q); queue_entries(q, at, e, 64, &n) == MQ_OK; at = qoff_add(at, (int64_t)n))
		for (size_t i = 0; i < n && at.n < 100000; i++) {
			if (e[i].total == QUEUE_HOLE_SIZE)
				continue;
			/* what recovery has listed can be read */
			MUST(store_read(s, e[i].pos, &buf, &size, &rec) == MQ_OK);
			MUST(rec.body_len == e[i].body_len && rec.total == e[i].total);
		}
	free(buf);
	(void)store_find_time(s, q, 1700000000000, &(mq_qoff){ 0 });
	(void)store_find_key(s, queue_topic(q), "k", 0, INT64_MAX, found, 8, &n);
	return MQ_OK;
}

static void
append_one(struct store *s)
{
	struct message m = { .body = "new", .body_len = 3, .topic = "t", .topic_len = 1 };
	struct appended a;
	struct queue *q;
	struct batch b;

	batch_init(&b);
	MUST(batch_add(&b, &m) == MQ_OK);
	MUST(store_queue_make(s, "t", 0, &q) == MQ_OK);
	queue_append_begin(q);
	MUST(store_append(s, q, &b, &a) == MQ_OK && a.n == 1);
	queue_append_end(q);
	batch_free(&b);
}

static void
look_at(const char *path)
{
	struct store_checkpoint cp = { .dispatched = MQ_POS(-1) }, next;
	struct storedir dir;
	struct store *s;

	MUST(storedir_open(path, "", false, 0, &dir) == MQ_OK);
	if (store_open(&settings, &dir, &cp, &s) == MQ_OK) {
		store_each_queue(s, read_queue, s);
		append_one(s);
		MUST(store_checkpoint(s, &next) == MQ_OK);
		store_each_queue(s, read_queue, s);
		store_checkpoint_free(&next);
		store_close(s);
	}
	storedir_close(&dir);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[SCRATCH_PATH];
	int fd;

	if (!settings.mappedFileSizeCommitLog) {
		log_open("fuzz", LOG_TO_STDERR, LOG_EMERG);
		MUST(settings_init(&settings) == MQ_OK);
		settings.mappedFileSizeCommitLog = SEGMENT_BYTES;
		settings.mappedFileSizeConsumeQueue = 2000;
		settings.maxHashSlotNum = 7;
		settings.maxIndexNum = 50;
		settings.diskSpaceWarningLevelRatio = 100;
	}
	scratch_begin(path);
	fd = scratch_file(path, "commitlog/00000000000000000000");
	MUST(pwrite(fd, data, size < SEGMENT_BYTES ? size : SEGMENT_BYTES, 0) >= 0);
	MUST(ftruncate(fd, SEGMENT_BYTES) == 0);
	close(fd);
	look_at(path);
	scratch_end(path);
	return 0;
}
