#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "tests/packed.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

/* Some of everything: two topics, several queues, keys, several segments. */
static void
fill(struct kit *k, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		assert_int_equal(kit_append(k, "orders", i % 3, 7, 100 + (size_t)(i % 5) * 300, "key"), MQ_OK);
		assert_int_equal(kit_append(k, "bills", 0, 1, (size_t)i, NULL), MQ_OK);
	}
}

static struct store_recovery
recovery(struct kit *k)
{
	struct store_recovery r;

	store_recovery(k->s, &r);
	return r;
}

/* --- opening again ------------------------------------------------------------------- */

static void
what_was_appended_is_there_after_a_clean_end(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 100);
	kit_verify(k);
	kit_close(k);
	kit_open(k);
	kit_verify(k);
	assert_true(recovery(k).clean);
	assert_int_equal(recovery(k).records, 0);
	fill(k, 30);
	kit_verify(k);
}

static void
a_crash_loses_nothing_that_was_written(void **state)
{
	struct kit *k = *state;

	for (int i = 0; i < 5; i++) {
		kit_open(k);
		kit_verify(k);
		fill(k, 20);
		if (i % 2)
			assert_int_equal(kit_checkpoint(k), MQ_OK);
		fill(k, 13);
		kit_crash(k);
	}
	kit_open(k);
	kit_verify(k);
	assert_false(recovery(k).clean);
	assert_int_equal(recovery(k).cut_bytes, 0);
}

static void
views_are_made_anew_from_the_log_alone(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 100);
	kit_close(k);
	kit_forget_checkpoint(k);
	sh("rm -rf '%s'/consumequeue '%s'/byteindex '%s'/index", k->path, k->path, k->path);
	kit_open(k);
	kit_verify(k);
	assert_true(recovery(k).rebuilt);
}

static void
a_byte_index_that_is_missing_is_rebuilt(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 100);
	kit_close(k);
	sh("rm -rf '%s'/byteindex", k->path);
	kit_open(k);
	assert_true(recovery(k).rebuilt);
	kit_verify(k);
	kit_close(k);
	kit_open(k);
	assert_false(recovery(k).rebuilt);
	kit_verify(k);
}

static void
an_existing_stores_sizes_of_queue_and_index_files_win(void **state)
{
	struct kit *k = *state;
	int64_t bytes = k->set.mappedFileSizeConsumeQueue;

	k->set.maxHashSlotNum = 100;	/* four entries to a slot, as RocketMQ has it */
	k->set.maxIndexNum = 400;
	kit_open(k);
	fill(k, 100);
	kit_close(k);
	k->set.mappedFileSizeConsumeQueue = 40 * QUEUE_ENTRY_BYTES;
	k->set.maxHashSlotNum = 777;
	kit_open(k);
	assert_false(recovery(k).rebuilt);
	kit_verify(k);
	fill(k, 100);
	kit_verify(k);
	kit_close(k);
	kit_forget_checkpoint(k);	/* also where the views are made anew */
	kit_open(k);
	assert_true(recovery(k).rebuilt);
	kit_verify(k);
	kit_close(k);
	sh("[ $(find '%s/consumequeue' -type f -printf '%%s\n' | sort -u) = %ld ]", k->path, (long)bytes);
	sh("[ $(find '%s/index' -type f -printf '%%s\n' | sort -u) = %d ]", k->path, 40 + 100 * 4 + 400 * 20);
}

static void
queues_without_a_commit_log_are_refused_and_stay(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 100);
	kit_close(k);
	kit_forget_checkpoint(k);	/* as of a RocketMQ broker's store */
	sh("mv '%s/commitlog' '%s/elsewhere' && find '%s/consumequeue' -type f > '%s/before'", k->path, k->dir, k->path,
	   k->dir);
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(kit_try_open(k, read_only), MQ_ECORRUPT);
		assert_non_null(strstr(err_text(MQ_ECORRUPT), "no commit log"));
	}
	sh("find '%s/consumequeue' -type f | cmp - '%s/before'", k->path, k->dir);
	sh("rmdir '%s/commitlog' && mv '%s/elsewhere' '%s/commitlog'", k->path, k->dir, k->path);
	kit_open(k);
	kit_verify(k);
}

static void
a_record_of_version_2_is_refused_by_name_and_not_cut(void **state)
{
	static const unsigned char head[] = { 0, 0, 1, 0, 0xda, 0xa3, 0x20, 0xab };
	struct kit *k = *state;
	char name[64];
	int64_t end;

	kit_open(k);
	fill(k, 10);
	end = mark_at(store_written(k->s)).byte;
	kit_close(k);
	kit_segment_of(MQ_POS(end), name, sizeof(name));
	kit_poke(k, name, end % KIT_SEGMENT, head, sizeof(head));
	assert_int_equal(kit_try_open(k, false), MQ_ECORRUPT);
	assert_non_null(strstr(err_text(MQ_ECORRUPT), "version 2"));
	sh("[ -z \"$(ls '%s/lost+found')\" ]", k->path);
}

static void
queues_of_batches_are_refused_by_name_and_nothing_is_changed(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 10);
	kit_close(k);
	sh("mkdir -p '%s/batchconsumequeue'", k->path);
	kit_open(k);		/* RocketMQ leaves it when the topic is deleted */
	kit_close(k);
	sh("mkdir '%s/batchconsumequeue/Batches' && find '%s/consumequeue' -type f -exec sha256sum {} + > '%s/before'",
	   k->path, k->path, k->dir);
	for (int read_only = 0; read_only < 2; read_only++) {
		assert_int_equal(kit_try_open(k, read_only), MQ_ECORRUPT);
		assert_non_null(strstr(err_text(MQ_ECORRUPT), "topic Batches has queues of RocketMQ 5's type BatchCQ"));
	}
	sh("find '%s/consumequeue' -type f -exec sha256sum {} + | cmp - '%s/before'", k->path, k->dir);
}

/* A message whose body is far longer than its record. */
static void
append_packed(struct kit *k, const char *topic, int32_t queue_id, size_t len)
{
	unsigned char *body = calloc(1, len), small[4096];
	struct queue *q = kit_queue_made(k, topic, queue_id);
	struct appended a;
	struct batch b;

	batch_init(&b);
	assert_int_equal(batch_add(&b, &(struct message){
		.body = small, .body_len = packed(body, len, small, sizeof(small)), .sysflag = SYSFLAG_COMPRESSED,
		.topic = topic, .topic_len = strlen(topic), .queue_id = queue_id }), MQ_OK);
	queue_append_begin(q);
	assert_int_equal(store_append(k->s, q, &b, &a), MQ_OK);
	queue_append_end(q);
	batch_free(&b);
	free(body);
}

static void
the_views_are_kept_where_the_last_message_is_packed(void **state)
{
	struct kit *k = *state;
	struct queue_span span;

	for (int i = 1; i <= 3; i++) {
		kit_open(k);
		assert_int_equal(recovery(k).rebuilt, i == 1);
		append_packed(k, "orders", 2, 100000);
		kit_close(k);
	}
	kit_open(k);
	assert_false(recovery(k).rebuilt);
	queue_span(kit_queue(k, "orders", 2), &span);
	assert_int_equal(span.end_bytes, 300000);
}

static void
an_existing_logs_segment_size_wins(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 50);
	kit_close(k);
	k->set.mappedFileSizeCommitLog = 2 * KIT_SEGMENT;
	kit_open(k);
	kit_verify(k);
	fill(k, 50);
	kit_verify(k);
}

/* --- the end of the log ------------------------------------------------------------------ */

static void
a_record_torn_anywhere_is_cut(void **state)
{
	struct kit *k = *state;
	struct kit_message last;
	unsigned char *raw;
	size_t size;
	char name[64], zeros[400] = { 0 };

	kit_open(k);
	fill(k, 3);
	assert_int_equal(kit_append(k, "orders", 0, 1, 60, "key"), MQ_OK);
	kit_crash(k);
	last = k->model[k->n - 1];
	kit_segment_of(last.pos, name, sizeof(name));
	raw = kit_slurp(k, name, &size);
	size = (size_t)be32_get(raw + last.pos.byte);
	for (size_t kept = 0; kept < size; kept++) {
		struct store_recovery r;

		kit_forget_checkpoint(k);
		kit_poke(k, name, last.pos.byte, raw + last.pos.byte, size);
		kit_poke(k, name, last.pos.byte + (int64_t)kept, zeros, size - kept);
		if (memcmp(raw + last.pos.byte + kept, zeros, size - kept) == 0)
			continue;	/* nothing is missing: it ends with zeros */
		kit_open(k);
		k->n--;
		kit_verify(k);
		k->n++;
		store_recovery(k->s, &r);
		assert_int_equal(store_written(k->s)->at, last.pos.byte);
		assert_int_equal(r.cut_bytes > 0, kept >= 4);	/* TOTALSIZE begins with zeros */
		store_close(k->s);
		k->s = NULL;
		storedir_close(&k->sd);
	}
	free(raw);
	kit_open(k);
	k->n--;
	assert_int_equal(kit_append(k, "orders", 0, 1, 61, NULL), MQ_OK);
	kit_verify(k);
}

static void
garbage_behind_the_end_is_kept_in_lost_and_found_and_made_zero(void **state)
{
	struct kit *k = *state;
	char garbage[5000], name[64], kept[64];
	unsigned char *raw;
	size_t len;
	mq_pos end;

	kit_open(k);
	fill(k, 3);
	end = mark_at(store_written(k->s));
	kit_crash(k);
	memset(garbage, 0x5a, sizeof(garbage));
	kit_segment_of(end, name, sizeof(name));
	kit_poke(k, name, end.byte % KIT_SEGMENT + 10, garbage, sizeof(garbage));
	kit_open(k);
	kit_verify(k);
	assert_int_equal(recovery(k).cut_bytes, sizeof(garbage) + 10);
	snprintf(kept, sizeof(kept), "lost+found/commitlog-%020" PRId64, end.byte);
	raw = kit_slurp(k, kept, &len);
	assert_int_equal(len, sizeof(garbage) + 10);
	assert_memory_equal(raw + 10, garbage, sizeof(garbage));
	free(raw);
	raw = kit_slurp(k, name, &len);
	assert_int_equal(len, KIT_SEGMENT);
	for (size_t i = (size_t)end.byte; i < len; i++)
		assert_int_equal(raw[i], 0);
	free(raw);
	/* the same place once more: what is kept already stays */
	kit_crash(k);
	kit_poke(k, name, end.byte % KIT_SEGMENT, garbage, 100);
	kit_open(k);
	assert_true(kit_exists(k, kept));
	snprintf(kept, sizeof(kept), "lost+found/commitlog-%020" PRId64 ".2", end.byte);
	assert_true(kit_exists(k, kept));
	fill(k, 3);
	kit_verify(k);
}

static void
a_segment_half_made_by_a_crash_does_no_harm(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 3);
	kit_crash(k);
	sh("echo half > '%s'/commitlog/new", k->path);
	kit_open(k);
	assert_false(kit_exists(k, "commitlog/new"));
	fill(k, 60);
	kit_verify(k);
}

static void
spare_segments_are_used_and_removed_by_a_clean_end(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	fill(k, 3);
	kit_crash(k);
	sh("truncate -s %d '%s'/commitlog/%020d '%s'/commitlog/%020d", KIT_SEGMENT, k->path,
		 KIT_SEGMENT, k->path, 2 * KIT_SEGMENT);
	kit_open(k);
	kit_verify(k);
	assert_int_equal(kit_count(k, "commitlog"), 3);
	fill(k, 40);
	kit_verify(k);
	assert_true(mark_at(store_written(k->s)).byte > KIT_SEGMENT);
	kit_close(k);
	kit_open(k);
	kit_verify(k);
	assert_int_equal(kit_count(k, "commitlog"), mark_at(store_written(k->s)).byte / KIT_SEGMENT + 1);
}

/* --- damage in the middle ---------------------------------------------------------------- */

static void
flush(struct kit *k)
{
	assert_int_equal(store_flush(k->s, mark_at(store_written(k->s))), MQ_OK);
}

/* All but `lost` of the model can be read; those give -EIO. */
static void
verify_without(struct kit *k, size_t from, size_t to)
{
	for (size_t i = 0; i < k->n; i++) {
		bool in_log = i < from || i >= to;

		assert_int_equal(kit_read(k, &k->model[i]), in_log ? MQ_OK : -EIO);
	}
}

static void
verify_after(struct kit *k, size_t bad)
{
	for (size_t i = bad + 1; i < k->n; i++)
		assert_int_equal(kit_read(k, &k->model[i]), MQ_OK);
}

static void
a_bit_that_flipped_costs_one_message(void **state)
{
	struct kit *k = *state;
	char name[64];

	kit_open(k);
	fill(k, 40);
	flush(k);
	kit_crash(k);
	for (size_t i = 0; i < 3; i++) {
		static const int64_t at[] = { 2, 5, 100 };	/* length, magic, body */
		struct kit_message *m = &k->model[77];
		unsigned char *raw, bad;
		size_t len;

		kit_segment_of(m->pos, name, sizeof(name));
		raw = kit_slurp(k, name, &len);
		bad = raw[m->pos.byte % KIT_SEGMENT + at[i]] ^ 0x10;
		kit_poke(k, name, m->pos.byte % KIT_SEGMENT + at[i], &bad, 1);
		kit_forget_checkpoint(k);	/* the views must find their way past it */
		kit_open(k);
		verify_without(k, 77, 78);
		assert_true(recovery(k).damaged_bytes > 0);
		assert_int_equal(recovery(k).cut_bytes, 0);
		bad ^= 0x10;
		store_close(k->s);
		k->s = NULL;
		storedir_close(&k->sd);
		kit_poke(k, name, m->pos.byte % KIT_SEGMENT + at[i], &bad, 1);
		free(raw);
	}
	kit_forget_checkpoint(k);
	kit_open(k);
	kit_verify(k);
}

/* No checksum covers it; those behind it must not pay for it. */
static void
a_number_that_flipped_costs_one_message(void **state)
{
	struct kit *k = *state;
	struct kit_message *m;
	unsigned char *raw;
	char name[64];
	int64_t at;
	size_t len;

	kit_open(k);
	fill(k, 40);
	flush(k);
	kit_crash(k);
	m = &k->model[77];
	kit_segment_of(m->pos, name, sizeof(name));
	raw = kit_slurp(k, name, &len);
	at = m->pos.byte % KIT_SEGMENT + RECORD_QUEUEOFFSET_AT + 7;
	for (int bit = 0; bit < 8; bit++) {
		unsigned char bad = raw[at] ^ (unsigned char)(1u << bit);

		kit_poke(k, name, at, &bad, 1);
		kit_forget_checkpoint(k);
		kit_open(k);
		verify_without(k, 77, 78);
		kit_crash(k);
	}
	free(raw);
}

/* The store is closed, and retention has taken the first segment. */
static void
lose_first_segment(struct kit *k)
{
	char path[400];
	size_t kept = 0;

	snprintf(path, sizeof(path), "%s/commitlog/%020d", k->path, 0);
	assert_int_equal(unlink(path), 0);
	while (k->model[kept].pos.byte < KIT_SEGMENT)
		kept++;
	memmove(k->model, k->model + kept, (k->n - kept) * sizeof(*k->model));
	k->n -= kept;
}

static void
fill_segment(struct kit *k)
{
	int64_t end = mark_at(store_written(k->s)).byte / KIT_SEGMENT * KIT_SEGMENT + KIT_SEGMENT;

	while (mark_at(store_written(k->s)).byte < end)
		assert_int_equal(kit_append(k, "other", 0, 1, 900, NULL), MQ_OK);
}

/* Of "orders", the first one that is retained: no other comes before it. */
static void
the_number_of_a_queues_first_message_may_flip_too(void **state)
{
	struct kit *k = *state;
	unsigned char *raw;
	char name[64];
	size_t len, first = 0;
	int64_t at;

	kit_open(k);
	assert_int_equal(kit_append(k, "orders", 0, 200, 30, NULL), MQ_OK);
	fill_segment(k);
	assert_int_equal(kit_append(k, "orders", 0, 50, 30, NULL), MQ_OK);
	kit_close(k);
	lose_first_segment(k);
	while (strcmp(k->model[first].topic, "orders") != 0)
		first++;
	kit_segment_of(k->model[first].pos, name, sizeof(name));
	raw = kit_slurp(k, name, &len);
	at = k->model[first].pos.byte % KIT_SEGMENT + RECORD_QUEUEOFFSET_AT;
	for (int bit = 0; bit < 56; bit++) {
		unsigned char bad = raw[at + 7 - bit / 8] ^ (unsigned char)(1u << bit % 8);

		kit_poke(k, name, at + 7 - bit / 8, &bad, 1);
		kit_forget_checkpoint(k);
		kit_open(k);
		verify_after(k, first);
		assert_int_equal(queue_end(kit_queue(k, "orders", 0)).n, 250);
		kit_close(k);
		kit_poke(k, name, at + 7 - bit / 8, &raw[at + 7 - bit / 8], 1);
	}
	kit_forget_checkpoint(k);
	kit_open(k);
	kit_verify(k);
	free(raw);
}

/* Retention has taken all but one, and what the views knew is gone. */
static void
the_only_message_of_a_queue_is_there_when_views_are_made_anew(void **state)
{
	enum { SPARSE = 20 };
	struct kit *k = *state;

	kit_open(k);
	for (int i = 0; i < SPARSE; i++)
		assert_int_equal(kit_append(k, "sparse", i, 3, 30, NULL), MQ_OK);
	fill_segment(k);
	for (int i = 0; i < SPARSE; i++)
		assert_int_equal(kit_append(k, "sparse", i, 1, 30, NULL), MQ_OK);
	fill_segment(k);
	kit_close(k);
	lose_first_segment(k);
	for (int i = 0; i < 3; i++) {
		if (i == 0)		/* RocketMQ's files say how far they had come */
			kit_forget_checkpoint(k);
		else if (i == 1)	/* and here rows do */
			sh("rm -rf '%s/byteindex'", k->path);
		assert_int_equal(kit_try_open(k, i == 2), MQ_OK);
		assert_true(recovery(k).rebuilt);
		kit_verify(k);
		assert_int_equal(queue_min(kit_queue(k, "sparse", 7)).n, 3);
		if (i < 2)
			kit_close(k);
	}
}

static void
a_bit_that_flips_under_finished_views_costs_one_message(void **state)
{
	struct kit *k = *state;
	char name[64];

	kit_open(k);
	fill(k, 40);
	kit_close(k);
	kit_segment_of(k->model[50].pos, name, sizeof(name));
	kit_poke(k, name, k->model[50].pos.byte % KIT_SEGMENT + 90, "\377", 1);
	kit_open(k);
	verify_without(k, 50, 51);
}

static void
a_missing_segment_costs_its_messages(void **state)
{
	struct kit *k = *state;
	size_t from = 0, to;
	char name[64], path[400];

	kit_open(k);
	fill(k, 100);
	while (k->model[from].pos.byte < KIT_SEGMENT)
		from++;
	for (to = from; k->model[to].pos.byte < 2 * KIT_SEGMENT;)
		to++;
	kit_close(k);
	kit_segment_of(MQ_POS(KIT_SEGMENT), name, sizeof(name));
	snprintf(path, sizeof(path), "%s/%s", k->path, name);
	assert_int_equal(unlink(path), 0);
	kit_open(k);
	verify_without(k, from, to);
	kit_close(k);
	kit_forget_checkpoint(k);
	kit_open(k);
	verify_without(k, from, to);
	assert_int_equal(kit_append(k, "orders", 0, 5, 100, NULL), MQ_OK);
	assert_int_equal(store_flush(k->s, mark_at(store_written(k->s))), MQ_OK);
	verify_without(k, from, to);
}

static void
a_page_of_zeros_costs_what_lay_in_it(void **state)
{
	struct kit *k = *state;
	char zeros[4096] = { 0 };
	size_t lost = 0;

	kit_open(k);
	fill(k, 100);
	kit_close(k);
	kit_poke(k, "commitlog/00000000000000000000", 8192, zeros, sizeof(zeros));
	kit_forget_checkpoint(k);
	kit_open(k);
	for (size_t i = 0; i < k->n; i++) {
		int64_t begin = k->model[i].pos.byte, end = begin + 91 + (int64_t)k->model[i].body_len;
		int rc = kit_read(k, &k->model[i]);

		if (begin < 12288 && end > 8192)
			assert_int_not_equal(rc, MQ_OK);
		else if (begin >= 12288 + 2048 || end + 64 < 8192)
			assert_int_equal(rc, MQ_OK);
		lost += rc != MQ_OK;
	}
	assert_in_range(lost, 1, 40);
}

/* --- what was not flushed ---------------------------------------------------------------- */

/* A page of the log that never reached the disk. */
static void
lose_page_behind(struct kit *k, mq_pos pos)
{
	char zeros[4096] = { 0 }, name[64];
	int64_t at = (pos.byte + 4095) / 4096 * 4096;

	kit_segment_of(MQ_POS(at), name, sizeof(name));
	kit_poke(k, name, at % KIT_SEGMENT, zeros, sizeof(zeros));
}

/* At least the first `n` of the model are there, the log ends behind them, the rest is
 * in lost+found, and it goes on from there. */
static void
verify_cut(struct kit *k, size_t n)
{
	size_t kept = 0;

	assert_int_equal(recovery(k).damaged_bytes, 0);
	assert_true(recovery(k).cut_bytes > 0);
	assert_true(kit_count(k, "lost+found") >= 2);
	while (kept < k->n && kit_read(k, &k->model[kept]) == MQ_OK)
		kept++;
	assert_in_range(kept, n, k->n - 1);
	k->n = kept;
	kit_verify(k);
	fill(k, 10);
	kit_verify(k);
}

static void
a_page_lost_behind_what_was_flushed_ends_the_log(void **state)
{
	struct kit *k = *state;

	for (int i = 0; i < 4; i++) {
		size_t promised;
		mq_pos at;

		kit_open(k);
		fill(k, 20);
		if (i % 2)
			assert_int_equal(kit_checkpoint(k), MQ_OK);
		fill(k, 10);
		flush(k);
		promised = k->n;
		at = mark_at(store_written(k->s));
		fill(k, 40);		/* over the end of a segment, too */
		kit_crash(k);
		lose_page_behind(k, at);
		if (i == 2)
			kit_forget_checkpoint(k);
		kit_open(k);
		verify_cut(k, promised);
		kit_close(k);
	}
	kit_open(k);
	kit_verify(k);
	assert_int_equal(recovery(k).cut_bytes + recovery(k).damaged_bytes, 0);
}

/* The file that says what was flushed may be as old as the last checkpoint. */
static void
the_last_checkpoint_tells_what_was_flushed(void **state)
{
	struct kit *k = *state;
	size_t promised;
	mq_pos at;

	kit_open(k);
	fill(k, 20);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	promised = k->n;
	at = mark_at(store_written(k->s));
	fill(k, 40);
	kit_crash(k);
	lose_page_behind(k, at);
	sh("rm '%s/flushed'", k->path);
	kit_open(k);
	verify_cut(k, promised);
}

/* A power cut may keep the files of a queue, and lose the log that they tell of. */
static void
entries_of_messages_that_the_log_has_lost_are_in_no_file(void **state)
{
	static const unsigned char zeros[KIT_SEGMENT];
	struct kit *k = *state;
	unsigned char *file;
	size_t len, kept;
	mq_pos at;

	kit_open(k);
	assert_int_equal(kit_append(k, "t", 0, 10, 20, NULL), MQ_OK);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	kept = k->n;
	at = mark_at(store_written(k->s));
	for (int i = 0; i < 100; i++)
		assert_int_equal(kit_append(k, "t", 0, 50, 20, NULL), MQ_OK);
	assert_true(kit_count(k, "consumequeue/t/0") > 2);	/* more than is kept in memory */
	kit_crash(k);
	kit_poke(k, "commitlog/00000000000000000000", at.byte, zeros, KIT_SEGMENT - (size_t)at.byte);
	sh("cd '%s/commitlog' && find . -name '0*' ! -name '00000000000000000000' -delete", k->path);
	kit_open(k);
	k->n = kept;
	kit_verify(k);
	assert_int_equal(kit_count(k, "consumequeue/t/0"), 1);
	assert_int_equal(kit_count(k, "byteindex/t/0"), 1);
	file = kit_slurp(k, "consumequeue/t/0/00000000000000000000", &len);
	assert_memory_equal(file + 10 * QUEUE_ENTRY_BYTES, zeros, len - 10 * QUEUE_ENTRY_BYTES);
	free(file);
	assert_int_equal(kit_append(k, "t", 0, 200, 20, NULL), MQ_OK);
	kit_close(k);
	kit_open(k);
	kit_verify(k);
}

static void
a_read_only_store_ends_where_a_mount_would_cut_it(void **state)
{
	struct kit *k = *state;
	mq_pos at, end;

	kit_open(k);
	fill(k, 20);
	flush(k);
	at = mark_at(store_written(k->s));
	fill(k, 40);
	kit_crash(k);
	lose_page_behind(k, at);
	assert_int_equal(kit_try_open(k, true), MQ_OK);
	end = mark_at(store_written(k->s));
	assert_int_equal(recovery(k).damaged_bytes, 0);
	store_close(k->s);
	k->s = NULL;
	storedir_close(&k->sd);
	kit_open(k);
	assert_int_equal(mark_at(store_written(k->s)).byte, end.byte);
}

static void
damage_before_what_was_flushed_stays_damage_when_the_end_is_cut(void **state)
{
	struct kit *k = *state;
	char name[64];
	size_t promised;
	mq_pos at;

	kit_open(k);
	fill(k, 20);
	flush(k);
	promised = k->n;
	at = mark_at(store_written(k->s));
	fill(k, 40);
	kit_crash(k);
	lose_page_behind(k, at);
	kit_segment_of(k->model[50].pos, name, sizeof(name));
	kit_poke(k, name, k->model[50].pos.byte % KIT_SEGMENT + 90, "\377", 1);
	kit_open(k);
	assert_true(recovery(k).damaged_bytes > 0);
	assert_true(recovery(k).cut_bytes > 0);
	for (size_t i = 0; i < promised; i++)
		assert_int_equal(kit_read(k, &k->model[i]), i == 50 ? -EIO : MQ_OK);
}

/* --- names that are none -------------------------------------------------------------------- */

static void
a_topic_that_could_leave_the_store_is_not_listed(void **state)
{
	struct kit *k = *state;
	unsigned char *raw;
	size_t len;

	kit_open(k);
	assert_int_equal(kit_append(k, "abcdefgh", 0, 3, 50, NULL), MQ_OK);
	flush(k);
	kit_crash(k);
	raw = kit_slurp(k, "commitlog/00000000000000000000", &len);
	kit_poke(k, "commitlog/00000000000000000000", k->model[1].pos.byte + 88 + 50 + 1, "../../ev", 8);
	kit_open(k);
	assert_int_equal(kit_read(k, &k->model[0]), MQ_OK);
	assert_int_equal(kit_read(k, &k->model[1]), -EIO);
	assert_int_equal(kit_read(k, &k->model[2]), MQ_OK);
	assert_null(store_queue(k->s, "../../ev", 0));
	free(raw);
}

/* --- replay --------------------------------------------------------------------------------- */

static void
compare_spans(struct kit *k, const struct store_checkpoint *want)
{
	for (size_t i = 0; i < want->n; i++) {
		struct queue_span span;

		queue_span(kit_queue(k, want->rows[i].topic, want->rows[i].queue_id), &span);
		assert_memory_equal(&span, &want->rows[i].span, sizeof(span));
	}
}

static void
replay_from_every_checkpoint_gives_the_same_views(void **state)
{
	static const char *const views[] = { "commitlog", "consumequeue", "byteindex" };
	enum { N = 12 };
	struct kit *k = *state;
	struct store_checkpoint cps[N], final;
	char a[300], b[300];

	kit_open(k);
	for (int i = 0; i < N; i++) {
		cps[i] = kit_copy_checkpoint(&k->cp);
		fill(k, 10);
		if (i == 6)
			assert_int_equal(queue_trim(kit_queue(k, "bills", 0), MQ_QOFF(5)), MQ_OK);
		assert_int_equal(kit_checkpoint(k), MQ_OK);
	}
	kit_close(k);
	final = kit_copy_checkpoint(&k->cp);
	snprintf(a, sizeof(a), "%s/master", k->dir);
	sh("cp -a '%s' '%s'", k->path, a);
	snprintf(b, sizeof(b), "%s/store", k->dir);
	for (int i = 7; i < N; i++) {
		sh("rm -rf '%s' && cp -a '%s' '%s'", b, a, b);
		store_checkpoint_free(&k->cp);
		k->cp = kit_copy_checkpoint(&cps[i]);
		kit_open(k);
		assert_false(recovery(k).rebuilt);
		compare_spans(k, &final);
		kit_close(k);
		for (size_t v = 0; v < sizeof(views) / sizeof(views[0]); v++)
			sh("diff -r '%s/%s' '%s/%s'", a, views[v], b, views[v]);
		/* index files are called after the time they were made */
		sh("cat '%s'/index/* > '%s/a' && cat '%s'/index/* | cmp - '%s/a'", a, k->dir, b, k->dir);
	}
	for (int i = 0; i < N; i++)
		store_checkpoint_free(&cps[i]);
	store_checkpoint_free(&final);
}

/* --- reading ------------------------------------------------------------------------------------ */

static void
time_is_found_as_by_looking_at_every_message(void **state)
{
	struct kit *k = *state;
	struct queue *q;
	int64_t first, last;

	kit_open(k);
	for (int i = 0; i < 60; i++) {
		assert_int_equal(kit_append(k, "t", 0, 3, 20, NULL), MQ_OK);
		usleep(500);
	}
	q = kit_queue(k, "t", 0);
	first = k->model[0].store_ms;
	last = k->model[k->n - 1].store_ms;
	for (int64_t ms = first - 2; ms <= last + 2; ms++) {
		mq_qoff got;
		size_t want = 0;

		while (want < k->n && k->model[want].store_ms < ms)
			want++;
		assert_int_equal(store_find_time(k->s, q, ms, &got), MQ_OK);
		assert_int_equal(got.n, (int64_t)want);
	}
}

static size_t
brute_keys(const struct kit *k, const char *key, mq_pos *pos)
{
	size_t n = 0;

	for (size_t i = k->n; i > 0; i--)
		if (strcmp(k->model[i - 1].key, key) == 0)
			pos[n++] = k->model[i - 1].pos;
	return n;
}

static void
verify_keys(struct kit *k)
{
	static mq_pos got[10000], want[10000];

	for (int i = 0; i < 7; i++) {
		char key[24];
		size_t n, n_want;

		snprintf(key, sizeof(key), "key%d", i);
		n_want = brute_keys(k, key, want);
		assert_int_equal(store_find_key(k->s, "orders", key, 0, INT64_MAX, got, 10000, &n), MQ_OK);
		assert_int_equal(n, n_want);
		assert_memory_equal(got, want, n * sizeof(*got));
	}
}

static void
keys_are_found_in_every_file_and_after_every_crash(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	for (int i = 0; i < 6; i++) {
		fill(k, 17);
		verify_keys(k);
		if (i % 2)
			assert_int_equal(kit_checkpoint(k), MQ_OK);
		verify_keys(k);
		if (i % 3 == 1) {
			fill(k, 5);
			kit_crash(k);
			kit_open(k);
			verify_keys(k);
		}
	}
	assert_true(kit_count(k, "index") > 2);
	kit_close(k);
	kit_open(k);
	verify_keys(k);
}

/* --- read only ------------------------------------------------------------------------------------- */

static void
tree_sum(const char *path, char *sum, size_t size)
{
	char cmd[600];
	FILE *f;

	snprintf(cmd, sizeof(cmd), "cd '%s' && find . -type f | sort | xargs cat | cksum; find '%s' | sort | cksum", path,
		 path);
	f = popen(cmd, "r");
	sum[fread(sum, 1, size - 1, f)] = '\0';
	pclose(f);
}

static void
a_read_only_mount_sees_all_and_writes_nothing(void **state)
{
	struct kit *k = *state;
	char before[200], after[200];

	kit_open(k);
	fill(k, 60);
	kit_close(k);
	tree_sum(k->path, before, sizeof(before));
	for (int i = 0; i < 2; i++) {
		struct appended a;
		struct batch b;

		assert_int_equal(kit_try_open(k, true), MQ_OK);
		kit_verify(k);
		verify_keys(k);
		batch_init(&b);
		assert_int_equal(store_append(k->s, kit_queue(k, "bills", 0), &b, &a), -EROFS);
		store_close(k->s);
		k->s = NULL;
		storedir_close(&k->sd);
		tree_sum(k->path, after, sizeof(after));
		assert_string_equal(before, after);
		if (i == 0) {		/* as RocketMQ would have it */
			kit_forget_checkpoint(k);
			sh("rm -rf '%s'/byteindex '%s'/lmdb '%s'/lost+found", k->path, k->path,
				 k->path);
			tree_sum(k->path, before, sizeof(before));
		}
	}
}

static void
a_queue_whose_messages_are_all_gone_goes_on_where_it_was(void **state)
{
	struct kit *k = *state;

	kit_open(k);
	assert_int_equal(kit_append(k, "old", 4, 123, 30, NULL), MQ_OK);
	kit_checkpoint(k);
	fill_segment(k);
	kit_close(k);
	lose_first_segment(k);
	kit_forget_checkpoint(k);
	for (int i = 0; i < 2; i++) {
		kit_open(k);
		assert_int_equal(queue_min(kit_queue(k, "old", 4)).n, 123);
		assert_int_equal(queue_end(kit_queue(k, "old", 4)).n, 123);
		kit_close(k);
	}
	kit_open(k);
	assert_int_equal(kit_append(k, "old", 4, 2, 30, NULL), MQ_OK);
	assert_int_equal(k->model[k->n - 2].qoff.n, 123);
	kit_verify(k);
}

/* --- many threads ------------------------------------------------------------------------------- */

enum { APPENDERS = 3, BATCHES = 120, PER_BATCH = 25 };

struct busy {
	struct kit *k;
	int32_t queue_id;
	_Atomic bool *stop;
};

static void *
appender_main(void *arg)
{
	struct busy *w = arg;
	struct queue *q;
	struct batch b;

	batch_init(&b);
	MUST(store_queue_make(w->k->s, "busy", w->queue_id % 2, &q) == MQ_OK);
	for (int i = 0; i < BATCHES; i++) {
		struct appended a;

		batch_clear(&b);
		for (int j = 0; j < PER_BATCH; j++) {
			struct message m = {
				.body = &i, .body_len = (size_t)(j % 4), .topic = "busy", .topic_len = 4,
				.queue_id = w->queue_id % 2,
				.props = "KEYS\1key", .props_len = j % 8 ? 0 : 8,
			};

			MUST(batch_add(&b, &m) == MQ_OK);
		}
		queue_append_begin(q);
		MUST(store_append(w->k->s, q, &b, &a) == MQ_OK && a.n == PER_BATCH);
		queue_append_end(q);
		if (i % 16 == 0)
			MUST(store_flush(w->k->s, a.end) == MQ_OK);
	}
	batch_free(&b);
	return NULL;
}

static void *
reader_main(void *arg)
{
	struct busy *w = arg;
	unsigned char *buf = NULL;
	size_t size = 0;

	while (!*w->stop) {
		struct queue *q = store_queue(w->k->s, "busy", w->queue_id % 2);
		struct queue_entry e[64];
		struct record rec;
		mq_qoff n;
		size_t got;
		mq_pos pos[8];

		if (!q || queue_end(q).n == 0)
			continue;
		n = MQ_QOFF(queue_end(q).n * (w->queue_id + 1) / 3);
		if (n.n == queue_end(q).n)
			n.n--;
		MUST(queue_entries(q, n, e, 64, &got) == MQ_OK);
		MUST(store_read(w->k->s, e[got - 1].pos, &buf, &size, &rec) == MQ_OK);
		MUST(rec.qoff.n == n.n + (int64_t)got - 1);
		MUST(store_find_key(w->k->s, "busy", "key", 0, INT64_MAX, pos, 8, &got) == MQ_OK);
		MUST(queue_find_byte(q, MQ_QOFF(0), queue_end(q), n.n, 1, &n, &(int64_t){ 0 }) == MQ_OK);
	}
	free(buf);
	return NULL;
}

static void
threads_append_read_and_checkpoint_at_once(void **state)
{
	struct kit *k = *state;
	pthread_t appender[APPENDERS], reader[2];
	struct busy w[APPENDERS];
	_Atomic bool stop = false;

	k->set.flushIntervalCommitLog = 1;
	kit_open(k);
	for (int i = 0; i < APPENDERS; i++) {
		w[i] = (struct busy){ .k = k, .queue_id = i, .stop = &stop };
		pthread_create(&appender[i], NULL, appender_main, &w[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_create(&reader[i], NULL, reader_main, &w[i]);
	while (queue_end(kit_queue_made(k, "busy", 0)).n + queue_end(kit_queue_made(k, "busy", 1)).n <
	       APPENDERS * BATCHES * PER_BATCH) {
		struct store_stats st;

		assert_int_equal(kit_checkpoint(k), MQ_OK);
		store_stats(k->s, &st);
	}
	for (int i = 0; i < APPENDERS; i++)
		pthread_join(appender[i], NULL);
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	kit_crash(k);
	kit_open(k);
	assert_int_equal(queue_end(kit_queue(k, "busy", 0)).n, 2 * BATCHES * PER_BATCH);
	assert_int_equal(queue_end(kit_queue(k, "busy", 1)).n, BATCHES * PER_BATCH);
	assert_int_equal(recovery(k).cut_bytes + recovery(k).damaged_bytes, 0);
}

/* --- a slave's log --------------------------------------------------------------------- */

/* All of the log, as a slave would receive it. */
static unsigned char *
whole_log(struct kit *k, int64_t *ret_len)
{
	int64_t end = mark_at(store_written(k->s)).byte;
	unsigned char *log = malloc((size_t)end);
	size_t n;

	assert_non_null(log);
	for (int64_t at = 0; at < end; at += (int64_t)n)
		assert_int_equal(store_read_raw(k->s, MQ_POS(at), log + at, (size_t)(end - at), &n), MQ_OK);
	*ret_len = end;
	return log;
}

/* From a few bytes to a few records, within a segment. */
static int64_t
piece_at(int64_t at, int64_t end)
{
	static const int max[] = { 3, 200, 5000, 30000 };
	int64_t n = 1 + rand() % max[rand() % 4], left = KIT_SEGMENT - at % KIT_SEGMENT;

	n = n < left ? n : left;
	return n < end - at ? n : end - at;
}

static void
a_log_that_comes_in_pieces_is_shown_up_to_its_last_whole_record(void **state)
{
	struct kit *k = *state;
	int64_t end, at, n, whole = 0;
	unsigned char *log, *piece;

	srand(7);
	kit_open(k);
	for (size_t i = 0; i < 12; i++) {
		fill(k, 10);
		assert_int_equal(kit_append(k, "large", 0, 1, 3000 * i, "key"), MQ_OK);
	}
	log = whole_log(k, &end);
	kit_close(k);
	assert_int_equal(tree_remove(k->path), 0);
	kit_forget_checkpoint(k);
	k->set.brokerRole = SLAVE;
	kit_open(k);
	for (at = 0; at < end; at += n) {
		n = piece_at(at, end);
		piece = malloc((size_t)n);	/* so that reading beyond it is seen */
		assert_non_null(piece);
		memcpy(piece, log + at, (size_t)n);
		assert_int_equal(store_append_raw(k->s, MQ_POS(at), piece, (size_t)n), MQ_OK);
		free(piece);
		while (at + n - whole >= 4 && be32_get(log + whole) <= at + n - whole)
			whole += be32_get(log + whole);
		assert_int_equal(mark_at(store_dispatched(k->s)).byte, whole);
	}
	assert_int_equal(whole, end);
	kit_verify(k);
	kit_close(k);
	kit_forget_checkpoint(k);
	kit_open(k);
	kit_verify(k);
	free(log);
}

/* The store of another directory: a slave's, empty. */
static void
become_empty_slave(struct kit *k)
{
	kit_close(k);
	assert_int_equal(tree_remove(k->path), 0);
	kit_forget_checkpoint(k);
	k->set.brokerRole = SLAVE;
	kit_open(k);
}

static void
append_whole(struct kit *k, const unsigned char *log, int64_t end)
{
	for (int64_t at = 0, n; at < end; at += n) {
		n = KIT_SEGMENT < end - at ? KIT_SEGMENT : end - at;
		assert_int_equal(store_append_raw(k->s, MQ_POS(at), log + at, (size_t)n), MQ_OK);
	}
}

static void
a_refused_piece_of_a_log_changes_nothing(void **state)
{
	struct kit *k = *state;
	unsigned char *log;
	int64_t end;

	kit_open(k);
	fill(k, 30);
	log = whole_log(k, &end);
	become_empty_slave(k);
	assert_int_equal(store_append_raw(k->s, MQ_POS(5000), log, 1000), MQ_ECORRUPT);
	assert_int_equal(store_append_raw(k->s, MQ_POS(-KIT_SEGMENT), log, 1000), MQ_ECORRUPT);
	assert_int_equal(store_append_raw(k->s, MQ_POS(KIT_SEGMENT), log, KIT_SEGMENT + 1), MQ_ECORRUPT);
	assert_int_equal(mark_at(store_dispatched(k->s)).byte, 0);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	append_whole(k, log, end);
	assert_int_equal(mark_at(store_dispatched(k->s)).byte, end);
	kit_verify(k);
	kit_close(k);
	kit_open(k);
	kit_verify(k);
	free(log);
}

/* It comes record by record: what is behind the damaged one is not known yet. */
static void
a_number_that_flipped_at_the_master_costs_a_slave_one_message(void **state)
{
	struct kit *k = *state;
	unsigned char *log, *number;
	int64_t end, n;

	kit_open(k);
	fill(k, 20);
	log = whole_log(k, &end);
	for (int bit = 0; bit < 20; bit++) {
		k->set.brokerRole = ASYNC_MASTER;
		become_empty_slave(k);
		number = log + k->model[77].pos.byte + RECORD_QUEUEOFFSET_AT + 7 - bit / 8;
		*number ^= (unsigned char)(1u << bit % 8);
		for (int64_t at = 0; at < end; at += n) {
			n = be32_get(log + at);
			assert_int_equal(store_append_raw(k->s, MQ_POS(at), log + at, (size_t)n), MQ_OK);
		}
		*number ^= (unsigned char)(1u << bit % 8);
		for (size_t i = 0; i < k->n; i++)
			if (i != 77)
				assert_int_equal(kit_read(k, &k->model[i]), MQ_OK);
	}
	free(log);
}

/* As RocketMQ's may be called, though a topic of ours has fewer. */
static void
the_highest_queue_id_is_a_queue_like_any_other(void **state)
{
	struct kit *k = *state;
	unsigned char *log;
	int64_t end;

	kit_open(k);
	fill(k, 3);
	assert_int_equal(kit_append(k, "orders", INT32_MAX, 250, 10, "key"), MQ_OK);
	assert_int_equal(kit_append(k, "orders", INT32_MAX - 1, 3, 10, "key"), MQ_OK);
	log = whole_log(k, &end);
	become_empty_slave(k);
	append_whole(k, log, end);
	for (int i = 0; i < 3; i++) {
		kit_verify(k);
		kit_close(k);
		if (i == 1)
			kit_forget_checkpoint(k);
		kit_open(k);
	}
	free(log);
}

/* --- news ---------------------------------------------------------------------------------- */

static void
only_watched_queues_that_got_messages_are_news(void **state)
{
	struct kit *k = *state;
	struct queue *q[3];

	kit_open(k);
	for (int i = 0; i < 3; i++)
		q[i] = kit_queue_made(k, "news", i);
	assert_int_equal(kit_append(k, "news", 0, 1, 1, NULL), MQ_OK);
	assert_null(store_news(k->s));
	queue_watch(q[0]);
	queue_watch(q[1]);
	assert_int_equal(kit_append(k, "news", 1, 1, 1, NULL), MQ_OK);
	assert_int_equal(kit_append(k, "news", 1, 1, 1, NULL), MQ_OK);
	assert_int_equal(kit_append(k, "news", 2, 1, 1, NULL), MQ_OK);
	assert_ptr_equal(store_news(k->s), q[1]);
	assert_int_equal(kit_append(k, "news", 1, 1, 1, NULL), MQ_OK);			/* it is in the list that is being walked */
	assert_null(store_news(k->s));
	assert_null(queue_next_news(q[1]));
	assert_int_equal(kit_append(k, "news", 1, 1, 1, NULL), MQ_OK);
	assert_int_equal(kit_append(k, "news", 0, 1, 1, NULL), MQ_OK);
	assert_ptr_equal(store_news(k->s), q[0]);
	assert_ptr_equal(queue_next_news(q[0]), q[1]);
	assert_null(queue_next_news(q[1]));
	queue_unwatch(q[0]);
	queue_unwatch(q[1]);
	assert_int_equal(kit_append(k, "news", 1, 1, 1, NULL), MQ_OK);
	assert_null(store_news(k->s));
	kit_close(k);
}

#define MANY 1003

/* So many queues with a message each that their files are not all compared by a mount after a clean exit. */
static void
many_queues(struct kit *k)
{
	kit_open(k);
	for (int32_t id = 0; id < MANY; id++)
		assert_int_equal(kit_append(k, "many", id, 1, 10, NULL), MQ_OK);
}

static void
lose_files_of_queue_1(struct kit *k)
{
	sh("rm '%s'/consumequeue/many/1/*", k->path);
}

static void
want_all(struct kit *k)
{
	for (size_t i = 0; i < k->n; i++)
		assert_int_equal(kit_read(k, &k->model[i]), MQ_OK);
}

static void
of_many_queues_one_whose_files_are_lost_is_found_at_its_first_use(void **state)
{
	struct kit *k = *state;

	many_queues(k);
	kit_close(k);
	lose_files_of_queue_1(k);
	kit_open(k);
	assert_int_equal(kit_read(k, &k->model[0]), MQ_OK);
	assert_int_equal(kit_read(k, &k->model[1]), -EIO);
	kit_close(k);
	assert_true(kit_exists(k, "views.stale"));
	kit_open(k);			/* the views are made anew */
	want_all(k);
	kit_close(k);
	assert_false(kit_exists(k, "views.stale"));
}

static void
of_many_queues_one_whose_files_are_lost_is_found_by_a_mount_after_a_crash(void **state)
{
	struct kit *k = *state;

	many_queues(k);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	kit_crash(k);
	lose_files_of_queue_1(k);
	kit_open(k);
	want_all(k);
	kit_close(k);
}

/* It writes that word over the process id that a mount has left. */
static void
of_many_queues_one_whose_files_are_lost_is_found_by_a_mount_after_rocketmq(void **state)
{
	struct kit *k = *state;

	many_queues(k);
	kit_close(k);
	lose_files_of_queue_1(k);
	kit_poke(k, "lock", 0, "lock", 4);
	kit_open(k);
	want_all(k);
	kit_close(k);
}

static void
of_many_queues_one_whose_files_are_lost_is_found_by_a_mount_whose_log_has_grown(void **state)
{
	struct store_checkpoint before;
	struct kit *k = *state;

	many_queues(k);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	before = kit_copy_checkpoint(&k->cp);
	assert_int_equal(kit_append(k, "many", 0, 1, 10, NULL), MQ_OK);
	kit_close(k);
	kit_forget_checkpoint(k);
	k->cp = before;
	lose_files_of_queue_1(k);
	kit_open(k);
	want_all(k);
	kit_close(k);
}

/* As a slave's log ends where its master's has come that far. */
static void
a_part_of_a_record_behind_the_checkpoint_is_no_reason_to_compare_all_queues(void **state)
{
	unsigned char part[] = { 0, 0, 1, 0, 0xda, 0xa3, 0x20, 0xa7, 1, 2, 3, 4, 5, 6, 7, 8 };
	struct kit *k = *state;

	many_queues(k);
	kit_close(k);
	k->set.brokerRole = SLAVE;
	kit_open(k);
	assert_int_equal(store_append_raw(k->s, mark_at(store_written(k->s)), part, sizeof(part)), MQ_OK);
	kit_close(k);
	lose_files_of_queue_1(k);
	kit_open(k);
	assert_int_equal(kit_read(k, &k->model[1]), -EIO);
	assert_int_equal(kit_read(k, &k->model[2]), MQ_OK);
	kit_close(k);
}

static void
of_many_queues_files_that_were_all_replaced_are_found_by_the_mount(void **state)
{
	struct kit *k = *state;

	many_queues(k);
	kit_close(k);
	sh("cp -a '%s'/consumequeue '%s'/old", k->path, k->dir);
	kit_open(k);
	for (int32_t id = 0; id < MANY; id++)
		assert_int_equal(kit_append(k, "many", id, 1, 10, NULL), MQ_OK);
	kit_close(k);
	sh("rm -r '%s'/consumequeue && mv '%s'/old '%s'/consumequeue", k->path, k->dir, k->path);
	kit_open(k);
	want_all(k);
	kit_close(k);
}

/* Or a crash right after the checkpoint would leave rows that the files are like. */
static void
a_checkpoint_of_a_queue_whose_files_were_lost_leaves_word_of_it(void **state)
{
	struct kit *k = *state;

	k->set.flushIntervalCommitLog = 60000;		/* the flusher, which does so too, has no turn */
	many_queues(k);
	kit_close(k);
	lose_files_of_queue_1(k);
	kit_open(k);
	assert_int_equal(kit_append(k, "many", 1, 1, 10, NULL), MQ_OK);
	assert_int_equal(kit_checkpoint(k), MQ_OK);
	kit_crash(k);
	kit_open(k);
	want_all(k);
	kit_close(k);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
		T(what_was_appended_is_there_after_a_clean_end),
		T(a_crash_loses_nothing_that_was_written),
		T(views_are_made_anew_from_the_log_alone),
		T(a_byte_index_that_is_missing_is_rebuilt),
		T(an_existing_stores_sizes_of_queue_and_index_files_win),
		T(queues_without_a_commit_log_are_refused_and_stay),
		T(a_record_of_version_2_is_refused_by_name_and_not_cut),
		T(queues_of_batches_are_refused_by_name_and_nothing_is_changed),
		T(the_views_are_kept_where_the_last_message_is_packed),
		T(of_many_queues_one_whose_files_are_lost_is_found_at_its_first_use),
		T(of_many_queues_one_whose_files_are_lost_is_found_by_a_mount_after_a_crash),
		T(of_many_queues_one_whose_files_are_lost_is_found_by_a_mount_after_rocketmq),
		T(of_many_queues_one_whose_files_are_lost_is_found_by_a_mount_whose_log_has_grown),
		T(a_part_of_a_record_behind_the_checkpoint_is_no_reason_to_compare_all_queues),
		T(of_many_queues_files_that_were_all_replaced_are_found_by_the_mount),
		T(a_checkpoint_of_a_queue_whose_files_were_lost_leaves_word_of_it),
		T(an_existing_logs_segment_size_wins),
		T(a_record_torn_anywhere_is_cut),
		T(garbage_behind_the_end_is_kept_in_lost_and_found_and_made_zero),
		T(a_segment_half_made_by_a_crash_does_no_harm),
		T(spare_segments_are_used_and_removed_by_a_clean_end),
		T(a_bit_that_flipped_costs_one_message),
		T(a_number_that_flipped_costs_one_message),
		T(the_number_of_a_queues_first_message_may_flip_too),
		T(the_only_message_of_a_queue_is_there_when_views_are_made_anew),
		T(a_bit_that_flips_under_finished_views_costs_one_message),
		T(a_missing_segment_costs_its_messages),
		T(a_page_of_zeros_costs_what_lay_in_it),
		T(a_page_lost_behind_what_was_flushed_ends_the_log),
		T(the_last_checkpoint_tells_what_was_flushed),
		T(entries_of_messages_that_the_log_has_lost_are_in_no_file),
		T(a_read_only_store_ends_where_a_mount_would_cut_it),
		T(damage_before_what_was_flushed_stays_damage_when_the_end_is_cut),
		T(a_topic_that_could_leave_the_store_is_not_listed),
		T(replay_from_every_checkpoint_gives_the_same_views),
		T(time_is_found_as_by_looking_at_every_message),
		T(keys_are_found_in_every_file_and_after_every_crash),
		T(a_read_only_mount_sees_all_and_writes_nothing),
		T(a_queue_whose_messages_are_all_gone_goes_on_where_it_was),
		T(threads_append_read_and_checkpoint_at_once),
		T(a_log_that_comes_in_pieces_is_shown_up_to_its_last_whole_record),
		T(a_refused_piece_of_a_log_changes_nothing),
		T(a_number_that_flipped_at_the_master_costs_a_slave_one_message),
		T(the_highest_queue_id_is_a_queue_like_any_other),
		T(only_watched_queues_that_got_messages_are_news),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
