/* fuzz_views.c - bytes as files of a view: the first byte says how many entries a
 * queue claims to have, then come its entries, its starts, and an index file.
 * Whatever they say, reading ends, with a message or an error. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/err.h"
#include "conf/log.h"
#include "store/fdcache.h"
#include "store/file.h"
#include "store/keyindex.h"
#include "store/queues.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"

#define FILE_ENTRIES 8
#define SLOTS 5
#define ENTRIES 9
#define INDEX_BYTES (40 + 4 * SLOTS + 20 * ENTRIES)
#define INDEX_NAME "20260101000000000"

struct input {
	const uint8_t *data;
	size_t left;
};

static void
file_from(struct input *in, const char *path, const char *name, size_t size)
{
	size_t n = in->left < size ? in->left : size;
	int fd = scratch_file(path, name);

	MUST(pwrite(fd, in->data, n, 0) == (ssize_t)n);
	MUST(ftruncate(fd, (off_t)size) == 0);
	in->data += n;
	in->left -= n;
	close(fd);
}

static int
dir_below(const char *path, const char *name)
{
	char full[2 * SCRATCH_PATH];
	int fd;

	snprintf(full, sizeof(full), "%s/%s", path, name);
	fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	MUST(fd >= 0);
	return fd;
}

static void
read_all(struct queue *q)
{
	struct queue_entry e[256];
	int64_t end = queue_end(q).n, byte;
	mq_qoff n;
	size_t got;

	for (int64_t at = 0; at <= end; at++) {
		if (queue_entries(q, MQ_QOFF(at), e, 256, &got) == MQ_OK)
			for (size_t i = 0; i < got; i++)
				MUST(e[i].total > 0 && e[i].body_len >= 0 && e[i].body_len <= e[i].total);
		(void)queue_byte_of(q, MQ_QOFF(0), MQ_QOFF(at), 1, &byte);
		(void)queue_find_byte(q, MQ_QOFF(0), MQ_QOFF(end), at * 7, 1, &n, &byte);
		(void)queue_find_pos(q, MQ_POS(at * 1000), &n);
	}
}

static void
put_again(struct queue *q, int64_t qoff)
{
	struct queue_put put = { .qoff = MQ_QOFF(qoff), .pos = MQ_POS(1 << 20), .total = 100, .body_len = 1 };

	(void)queue_put(q, &put);
}

static void
look_at_queues(struct input *in, const char *path, int claimed)
{
	struct queue_row row = { .topic = "t", .span = { .end = MQ_QOFF(claimed), .end_bytes = claimed * 10LL } };
	struct fdcache *files;
	struct queues_dirty d;
	struct queues qs;
	struct queue *q;
	int cq, bi;

	file_from(in, path, "cq/t/0/00000000000000000000", FILE_ENTRIES * 20);
	file_from(in, path, "cq/t/0/00000000000000000160", FILE_ENTRIES * 20);
	file_from(in, path, "bi/t/0/00000000000000000000", FILE_ENTRIES * 8);
	file_from(in, path, "bi/t/0/00000000000000000064", FILE_ENTRIES * 8);
	cq = dir_below(path, "cq");
	bi = dir_below(path, "bi");
	MUST(fdcache_open(4, &files) == MQ_OK);
	MUST(queues_open(&qs, cq, bi, FILE_ENTRIES * 20, files) == MQ_OK);
	(void)queues_adopt(&qs, cq);
	(void)queues_restore(&qs, &row, 1, false);	/* believed or not: it can be read */
	q = queues_find(&qs, "t", 1, 0);
	read_all(q);
	put_again(q, claimed / 2);
	read_all(q);
	MUST(queues_take_dirty(&qs, &d) == MQ_OK);
	(void)queues_flush(&qs, &d);
	free(d.list);
	free(d.rows);
	queues_close(&qs);
	fdcache_close(files);
	close(cq);
	close(bi);
}

static void
look_at_index(struct input *in, const char *path, int claimed)
{
	static const char *const keys[] = { "a", "b", "c", "d", "k1", "k2" };
	struct keyindex *ix;
	mq_pos pos[16];
	size_t n;
	int dirfd;

	file_from(in, path, "index/" INDEX_NAME, INDEX_BYTES);
	dirfd = dir_below(path, "index");
	for (int read_only = 1; read_only >= 0; read_only--) {
		if (keyindex_open(dirfd, SLOTS, ENTRIES, INDEX_NAME, claimed, false, read_only, &ix) != MQ_OK)
			continue;
		for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
			struct record rec = {
				.topic = "t", .topic_len = 1, .props = "KEYS\001a b", .props_len = 8,
				.pos = MQ_POS(INT64_MAX - 100 + (int64_t)i), .store_ms = 5,
			};

			(void)keyindex_find(ix, "t", keys[i], 0, INT64_MAX, pos, 16, &n);
			(void)keyindex_put(ix, &rec);
		}
		(void)keyindex_find(ix, "t", "a", INT64_MIN, 7, pos, 16, &n);
		keyindex_close(ix);
	}
	close(dirfd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	char path[SCRATCH_PATH];
	int claimed;

	if (size < 1)
		return 0;
	log_open("fuzz", LOG_TO_STDERR, LOG_EMERG);
	claimed = data[0] % (2 * FILE_ENTRIES + 3);
	in.data++;
	in.left--;
	scratch_begin(path);
	look_at_queues(&in, path, claimed);
	look_at_index(&in, path, claimed);
	scratch_end(path);
	return 0;
}
