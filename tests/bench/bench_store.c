/* bench_store.c - what the store alone can do: lines through batch_add() and
 * store_append(), and single messages, with checkpoints now and then.
 *
 *	tests/bench/bench_store [DIRECTORY]
 */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/err.h"
#include "store/store.h"
#include "store/storedir.h"

#define WRITE_BYTES (128 * 1024)

static double
clock_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void
checkpoint(struct store *s)
{
	struct store_checkpoint cp;

	MUST(store_checkpoint(s, &cp) == MQ_OK);
	store_checkpoint_free(&cp);
}

struct run {
	const char *name;
	size_t line, per_batch, batches;
};

static const struct run runs[] = {
	{ "100-byte lines, 128 KiB a write", 100, WRITE_BYTES / 100, 6000 },
	{ "1 KiB lines, 128 KiB a write", 1024, WRITE_BYTES / 1024, 6000 },
	{ "single 128-byte messages", 128, 1, 2000000 },
};

static void
fill(struct batch *b, const struct run *r, const char *lines, const char *topic)
{
	struct message m = {
		.body_len = r->line - 1, .topic = topic, .topic_len = strlen(topic), .born_ms = 1700000000000,
		.born = { .addr = { 127, 0, 0, 1 } }, .stored = { .addr = { 127, 0, 0, 1 }, .port = 10911 },
	};

	batch_clear(b);
	for (size_t i = 0; i < r->per_batch; i++) {
		m.body = lines + i * r->line;
		MUST(batch_add(b, &m) == MQ_OK);
	}
}

static void
measure(struct store *s, const struct run *r)
{
	static char lines[WRITE_BYTES];
	double begin, encode = 0, append = 0, now, n = (double)(r->per_batch * r->batches);
	struct appended a;
	struct queue *q;
	struct batch b;

	memset(lines, 'x', sizeof(lines));
	batch_init(&b);
	MUST(store_queue_make(s, "bench", 0, &q) == MQ_OK);
	for (size_t i = 0; i < r->batches; i++) {
		begin = clock_s();
		fill(&b, r, lines, "bench");
		encode += (now = clock_s()) - begin;
		queue_append_begin(q);
		MUST(store_append(s, q, &b, &a) == MQ_OK);
		queue_append_end(q);
		append += clock_s() - now;
	}
	batch_free(&b);
	printf("%-34s %6.2f million messages/s, %5.0f ns each: encode %4.0f, append %4.0f\n", r->name,
	       n / (encode + append) / 1e6, (encode + append) / n * 1e9, encode / n * 1e9, append / n * 1e9);
}

int
main(int argc, char **argv)
{
	char path[256], cmd[300];
	struct store_checkpoint none = { .dispatched = MQ_POS(-1) };
	struct settings settings;
	struct storedir dir;
	struct store *s;

	snprintf(path, sizeof(path), "%s/mqfs-bench-XXXXXX", argc > 1 ? argv[1] : "/tmp");
	MUST(mkdtemp(path) && settings_init(&settings) == MQ_OK);
	settings.diskSpaceWarningLevelRatio = 100;
	settings.flushIntervalCommitLog = 3600000;	/* the disk is another matter */
	MUST(storedir_open(path, "", false, 0, &dir) == MQ_OK);
	MUST(store_open(&settings, &dir, &none, &s) == MQ_OK);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
		measure(s, &runs[i]);
		checkpoint(s);
	}
	store_close(s);
	storedir_close(&dir);
	settings_free(&settings);
	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", path);
	return system(cmd) != 0;
}
