/* Records of several queues, appended in one go; and steps, which are whole or not there. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "store/logscan.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

static void
add(struct kit *k, struct batch *b, const char *topic, int32_t queue_id, const void *body, size_t len)
{
	struct message m = {
		.body = body, .body_len = len, .topic = topic, .topic_len = strlen(topic), .queue_id = queue_id,
		.props = "TAGS\001a", .props_len = 6, .born_ms = 1700000000000,
	};

	assert_int_equal(batch_add_to(b, kit_queue_made(k, topic, queue_id), &m), MQ_OK);
}

static int
append(struct kit *k, struct batch *b, int (*how)(struct store *, struct batch *, struct appended *),
       struct appended *ret)
{
	struct queue *qs[16];
	size_t n = b->n;
	int rc;

	for (size_t i = 0; i < n; i++)
		qs[i] = b->entries[i].q;
	queues_append_begin(qs, &n);
	rc = how(k->s, b, ret);
	queues_append_end(qs, n);
	return rc;
}

/* A note of the broker's, and a message of orders/q0 that must not be without it. */
static struct appended
append_step(struct kit *k, size_t body_len)
{
	static const char body[KIT_SEGMENT];
	struct appended a;
	struct batch b;

	batch_init(&b);
	add(k, &b, META_TOPIC, 0, "note", 4);
	add(k, &b, "orders", 0, body, body_len);
	assert_int_equal(append(k, &b, store_append_step, &a), MQ_OK);
	assert_int_equal(a.n, 2);
	batch_free(&b);
	return a;
}

static int64_t
end_of(struct kit *k, const char *topic, int32_t queue_id)
{
	struct queue *q = store_queue(k->s, topic, queue_id);

	return q ? queue_end(q).n : 0;
}

static void
close_as_it_is(struct kit *k)
{
	store_close(k->s);
	k->s = NULL;
	storedir_close(&k->sd);
}

static void
messages_of_several_queues_are_numbered_in_one_append(void **state)
{
	static const int32_t queues[] = { 0, 1, 0, 0, 2, 1, 0 };
	static const int64_t numbers[] = { 1, 0, 2, 3, 0, 1, 4 };
	struct kit *k = *state;
	struct appended a;
	struct batch b;

	kit_open(k);
	assert_int_equal(kit_append(k, "orders", 0, 1, 10, NULL), MQ_OK);
	batch_init(&b);
	for (size_t i = 0; i < 7; i++)
		add(k, &b, "orders", queues[i], "x", 1);
	assert_int_equal(append(k, &b, store_append_each, &a), MQ_OK);
	assert_int_equal(a.n, 7);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(end_of(k, "orders", 0), 5);
		assert_int_equal(end_of(k, "orders", 1), 2);
		assert_int_equal(end_of(k, "orders", 2), 1);
		for (size_t i = 0; i < 7; i++) {
			struct queue_entry e;
			size_t n;

			assert_int_equal(b.entries[i].qoff.n, numbers[i]);
			assert_int_equal(queue_entries(kit_queue(k, "orders", queues[i]), MQ_QOFF(numbers[i]), &e, 1, &n),
					 MQ_OK);
			assert_int_equal(e.pos.byte, b.entries[i].pos.byte);
			assert_int_equal(e.tags_code, 'a');
		}
		kit_crash(k);		/* and the same from the log alone */
		kit_forget_checkpoint(k);
		kit_open(k);
	}
	batch_free(&b);
}

/* Where the log ends for those who read its files: fsck.mqfs, mqdump. */
static int64_t
end_of_files(struct kit *k)
{
	struct log_piece p;
	struct logscan *ls;
	int64_t end = 0;

	assert_int_equal(logscan_open(k->path, &ls), MQ_OK);
	while (logscan_next(ls, &p) == MQ_OK)
		if (p.kind == PIECE_RECORD)
			end = p.pos.byte + p.bytes;
	logscan_close(ls);
	return end;
}

static void
a_step_torn_anywhere_is_not_there(void **state)
{
	struct kit *k = *state;
	unsigned char *raw, zeros[600] = { 0 };
	struct appended a;
	size_t size, len;

	kit_open(k);
	append_step(k, 5);
	a = append_step(k, 300);
	kit_crash(k);
	raw = kit_slurp(k, "commitlog/00000000000000000000", &size);
	len = (size_t)(a.end.byte - a.begin.byte);
	assert_in_range(len, 300, sizeof(zeros));
	for (size_t kept = 0; kept < len; kept += kept % 50 == 0 ? 1 : 7) {
		kit_forget_checkpoint(k);
		kit_poke(k, "commitlog/00000000000000000000", a.begin.byte, raw + a.begin.byte, len);
		kit_poke(k, "commitlog/00000000000000000000", a.begin.byte + (int64_t)kept, zeros, len - kept);
		assert_int_equal(end_of_files(k), a.begin.byte);
		kit_open(k);
		assert_int_equal(end_of(k, META_TOPIC, 0), 1);
		assert_int_equal(end_of(k, "orders", 0), 1);
		assert_int_equal(mark_at(store_written(k->s)).byte, a.begin.byte);
		close_as_it_is(k);
	}
	kit_forget_checkpoint(k);
	kit_poke(k, "commitlog/00000000000000000000", a.begin.byte, raw + a.begin.byte, len);
	kit_open(k);
	assert_int_equal(end_of(k, META_TOPIC, 0), 2);
	assert_int_equal(end_of(k, "orders", 0), 2);
	free(raw);
}

static void
a_step_lies_in_one_segment(void **state)
{
	struct kit *k = *state;
	struct appended a, refused;
	struct batch b;
	static const char body[KIT_SEGMENT];

	kit_open(k);
	append_step(k, 40000);
	a = append_step(k, 30000);
	assert_int_equal(a.begin.byte, KIT_SEGMENT);
	batch_init(&b);
	add(k, &b, META_TOPIC, 0, body, 40000);
	add(k, &b, "orders", 0, body, 30000);
	assert_int_equal(append(k, &b, store_append_step, &refused), -EMSGSIZE);
	assert_int_equal(refused.n, 0);
	assert_int_equal(end_of(k, META_TOPIC, 0), 2);
	assert_int_equal(mark_at(store_written(k->s)).byte, a.end.byte);
	kit_crash(k);
	kit_open(k);
	assert_int_equal(end_of(k, "orders", 0), 2);
	batch_free(&b);
}

static void
a_slave_shows_a_step_only_as_a_whole(void **state)
{
	struct kit *k = *state;
	unsigned char *raw;
	int64_t end, piece;
	size_t size;

	kit_open(k);
	for (int i = 0; i < 20; i++)
		append_step(k, (size_t)i * 40);
	end = mark_at(store_written(k->s)).byte;
	kit_close(k);
	raw = kit_slurp(k, "commitlog/00000000000000000000", &size);
	assert_int_equal(tree_remove(k->path), 0);
	kit_forget_checkpoint(k);
	k->set.brokerRole = SLAVE;
	kit_open(k);
	for (int64_t at = 0; at < end; at += piece) {
		piece = end - at < 61 ? end - at : 61;
		assert_int_equal(store_append_raw(k->s, MQ_POS(at), raw + at, (size_t)piece), MQ_OK);
		assert_int_equal(end_of(k, META_TOPIC, 0), end_of(k, "orders", 0));
	}
	assert_int_equal(end_of(k, "orders", 0), 20);
	free(raw);
}

/* RocketMQ copies the SYSFLAG of a message that it delivers later or takes back. */
static void
a_mark_that_was_copied_to_a_message_means_nothing(void **state)
{
	struct kit *k = *state;
	struct message m = {
		.body = "x", .body_len = 1, .topic = "orders", .topic_len = 6, .sysflag = SYSFLAG_CONTINUED,
	};
	struct appended a;
	struct batch b;

	kit_open(k);
	batch_init(&b);
	assert_int_equal(batch_add_to(&b, kit_queue_made(k, "orders", 0), &m), MQ_OK);
	assert_int_equal(append(k, &b, store_append_each, &a), MQ_OK);
	assert_int_equal(append(k, &b, store_append_step, &a), MQ_OK);	/* the last one may be any */
	assert_int_equal(batch_add_to(&b, kit_queue(k, "orders", 0), &m), MQ_OK);
	assert_int_equal(append(k, &b, store_append_step, &a), -EINVAL);
	kit_crash(k);
	kit_forget_checkpoint(k);
	kit_open(k);
	assert_int_equal(end_of(k, "orders", 0), 2);
	batch_free(&b);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_of_several_queues_are_numbered_in_one_append, kit_setup,
						kit_teardown),
		cmocka_unit_test_setup_teardown(a_step_torn_anywhere_is_not_there, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(a_step_lies_in_one_segment, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(a_slave_shows_a_step_only_as_a_whole, kit_setup, kit_teardown),
		cmocka_unit_test_setup_teardown(a_mark_that_was_copied_to_a_message_means_nothing, kit_setup, kit_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
