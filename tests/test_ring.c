/* The rings between mqremoted and the mount: what is true crosses, what is a lie does not. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "net/shared.h"
#include "remoting/ring_client.h"
#include "remoting/ring_server.h"

struct rings {
	struct ring_server server;
	struct ring_client client;
	struct ring_request req;
};

static int
rings_setup(void **state)
{
	struct rings *t = calloc(1, sizeof(*t));
	struct ring_fds fds;

	assert_non_null(t);
	assert_int_equal(ring_server_open(&t->server, &fds), MQ_OK);
	assert_int_equal(ring_client_open(&t->client, &fds), MQ_OK);
	*state = t;
	return 0;
}

static int
rings_teardown(void **state)
{
	struct rings *t = *state;

	ring_client_close(&t->client);
	ring_server_close(&t->server);
	free(t);
	return 0;
}

static size_t
put(unsigned char **at, const char *text)
{
	size_t len = strlen(text);

	memcpy(*at, text, len);
	*at += len;
	return len;
}

/* A message to topic T, placed but not submitted; false: there is no room. */
static bool
make_send(struct rings *t, const char *body, size_t body_len, struct ring_submission *ret)
{
	struct ring_submission s = { .kind = RING_SEND, .queue_id = 1, .born_port = 5100, .max_reconsume_times = -1 };
	const char *texts[] = { "T", "TBW102", "producers", "TAGS\001a" };
	size_t len = body_len;
	unsigned char *at;

	for (int i = 0; i < 4; i++)
		len += strlen(texts[i]);
	at = ring_client_place(&t->client, len, &s);
	if (!at)
		return false;
	s.topic_len = (uint32_t)put(&at, texts[0]);
	s.template_len = (uint32_t)put(&at, texts[1]);
	s.group_len = (uint32_t)put(&at, texts[2]);
	s.text_len = (uint32_t)put(&at, texts[3]);
	memcpy(at, body, body_len);
	s.body_len = (uint32_t)body_len;
	*ret = s;
	return true;
}

static void
answer(struct rings *t, int64_t offset)
{
	ring_server_complete(&t->server, &(struct ring_completion){
						 .kind = t->req.s.kind,
						 .slot = t->req.s.slot,
						 .tag = t->req.s.tag,
						 .offset = offset,
					 });
}

/* --- what is true ------------------------------------------------------------------------------ */

static void
a_message_crosses_and_its_answer_comes_back(void **state)
{
	struct rings *t = *state;
	struct ring_submission s;
	struct ring_completion c;

	assert_true(make_send(t, "hello", 5, &s));
	s.tag = 77;
	ring_client_submit(&t->client, &s);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
	assert_string_equal(t->req.topic, "T");
	assert_string_equal(t->req.template, "TBW102");
	assert_string_equal(t->req.group, "producers");
	assert_string_equal(t->req.text, "TAGS\001a");
	assert_memory_equal(t->req.body, "hello", 5);
	assert_int_equal(ring_server_take(&t->server, &t->req), -EAGAIN);
	answer(t, 5);
	assert_int_equal(ring_client_reap(&t->client, &c), MQ_OK);
	assert_int_equal(c.tag, 77);
	assert_int_equal(c.offset, 5);
	assert_int_equal(ring_client_reap(&t->client, &c), -EAGAIN);
}

static void
what_is_full_has_room_again_after_release(void **state)
{
	static char body[1 << 20];
	struct rings *t = *state;
	struct ring_submission s;
	struct ring_completion c;
	int n = 0;

	for (int round = 0; round < 5; round++) {
		for (n = 0; make_send(t, body, sizeof(body), &s); n++)
			ring_client_submit(&t->client, &s);
		assert_in_range(n, 30, 32);
		for (int i = 0; i < n; i++) {
			assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
			assert_int_equal(t->req.s.body_len, sizeof(body));
			answer(t, i);
		}
		assert_false(make_send(t, body, sizeof(body), &s));
		ring_server_release(&t->server);
		while (ring_client_reap(&t->client, &c) == MQ_OK)
			;
	}
}

static void
an_empty_ring_begins_anew_so_that_little_of_it_is_touched(void **state)
{
	static char body[100 << 10];
	struct rings *t = *state;
	struct ring_submission s;
	struct ring_completion c;

	for (int i = 0; i < 1000; i++) {
		for (int k = 0; k < 2; k++) {
			assert_true(make_send(t, body, sizeof(body), &s));
			assert_in_range(s.data_at % RING_DATA_BYTES, 0, (1 << 20) + 2 * sizeof(body));
			ring_client_submit(&t->client, &s);
			assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
			answer(t, i);
			assert_int_equal(ring_client_reap(&t->client, &c), MQ_OK);
		}
		ring_server_release(&t->server);
	}
}

static void
bytes_behind_a_gap_have_the_whole_ring_and_no_more(void **state)
{
	static char body[RING_DATA_BYTES / 2 - 100];
	struct rings *t = *state;
	struct ring_submission s;

	assert_true(make_send(t, body, 2 << 20, &s));
	ring_client_submit(&t->client, &s);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
	ring_server_release(&t->server);
	for (int i = 0; i < 2; i++) {
		assert_true(make_send(t, body, sizeof(body), &s));
		ring_client_submit(&t->client, &s);
	}
	assert_false(make_send(t, body, 1000, &s));
	for (int i = 0; i < 2; i++)
		assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
	s.data_at += RING_DATA_BYTES;	/* those of the first message: they are needed still */
	ring_client_submit(&t->client, &s);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_ECORRUPT);
}

static void
no_more_than_all_slots_are_under_way(void **state)
{
	struct rings *t = *state;
	struct ring_submission s;
	struct ring_completion c;
	unsigned n = 0;

	for (; make_send(t, "x", 1, &s); n++)
		ring_client_submit(&t->client, &s);
	assert_int_equal(n, RING_SLOTS);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
		answer(t, i);
	}
	ring_server_release(&t->server);
	assert_int_equal(ring_client_reap(&t->client, &c), MQ_OK);
	assert_true(make_send(t, "x", 1, &s));
	assert_int_equal(s.slot, c.slot);
}

/* As a busy mqremoted and a busy mount do it: no answer is lost, and nobody sleeps for ever. */
static void *
serve_main(void *arg)
{
	struct rings *t = arg;

	for (int64_t done = 0; done < 100000;) {
		while (ring_server_take(&t->server, &t->req) == MQ_OK)
			answer(t, done++);
		ring_server_release(&t->server);
		ring_server_wake_client(&t->server);
		if (done < 100000)
			ring_server_wait(&t->server, -1);
	}
	return NULL;
}

static void
whoever_sleeps_is_woken(void **state)
{
	struct rings *t = *state;
	struct ring_submission s;
	struct ring_completion c;
	pthread_t thread;
	int sent = 0, got = 0;

	assert_int_equal(pthread_create(&thread, NULL, serve_main, t), 0);
	while (got < 100000) {
		for (int i = 0; i < 50 && sent < 100000 && make_send(t, "hello", 5, &s); i++, sent++)
			ring_client_submit(&t->client, &s);
		ring_client_wake(&t->client);
		if (ring_client_sleep(&t->client)) {
			struct pollfd p = { .fd = t->client.wake_us, .events = POLLIN };

			assert_int_equal(poll(&p, 1, 60000), 1);
		}
		ring_client_awake(&t->client);
		shared_reset(t->client.wake_us);
		for (; ring_client_reap(&t->client, &c) == MQ_OK; got++)
			assert_int_equal(c.offset, got);
	}
	pthread_join(thread, NULL);
}

static struct rings *looks_at_clock;	/* the mount answers when it is looked at; NULL: it does not */

int __real_clock_gettime(clockid_t id, struct timespec *ret);
int __wrap_clock_gettime(clockid_t id, struct timespec *ret);

int
__wrap_clock_gettime(clockid_t id, struct timespec *ret)
{
	struct rings *t = looks_at_clock;

	if (t && ring_server_take(&t->server, &t->req) == MQ_OK)
		answer(t, 0);
	return __real_clock_gettime(id, ret);
}

static void
an_answer_that_is_due_is_lingered_for_and_in_vain_ever_less_often(void **state)
{
	struct rings *t = *state;
	struct ring_client *r = &t->client;
	struct ring_submission s;
	struct ring_completion c;

	ring_client_linger(r);			/* nothing is due */
	assert_int_equal(r->futile, 0);
	assert_true(make_send(t, "x", 1, &s));
	ring_client_submit(r, &s);
	for (uint32_t futile = 1; futile <= RING_LINGER_REST; futile *= 2) {
		ring_client_linger(r);
		assert_int_equal(r->futile, futile);
		for (uint32_t i = futile; i > 0; i--) {
			assert_int_equal(r->lingers_in, i);
			ring_client_linger(r);
		}
	}
	ring_client_linger(r);
	assert_int_equal(r->futile, RING_LINGER_REST);
	r->lingers_in = 0;
	looks_at_clock = t;
	ring_client_linger(r);			/* not in vain */
	looks_at_clock = NULL;
	assert_int_equal(r->futile, 0);
	assert_int_equal(r->lingers_in, 0);
	assert_int_equal(ring_client_reap(r, &c), MQ_OK);
}

static void
the_end_of_a_watched_queue_is_seen(void **state)
{
	struct rings *t = *state;

	assert_false(ring_client_ends_moved(&t->client));
	ring_server_set_end(&t->server, 5, 42);
	assert_false(ring_client_sleep(&t->client));
	assert_true(ring_client_ends_moved(&t->client));
	assert_int_equal(ring_client_end(&t->client, 5), 42);
	assert_true(ring_client_sleep(&t->client));
}

static void
mqremoted_cannot_write_what_the_mount_writes(void **state)
{
	struct ring_server server;
	struct ring_fds fds;

	(void)state;
	assert_int_equal(ring_server_open(&server, &fds), MQ_OK);
	assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds.fd[RING_FD_OUT], 0), MAP_FAILED);
	assert_int_equal(pwrite(fds.fd[RING_FD_OUT], "x", 1, 0), -1);
	assert_int_equal(ftruncate(fds.fd[RING_FD_IN], 0), -1);
	assert_int_equal(ftruncate(fds.fd[RING_FD_OUT], 0), -1);
	assert_int_equal(fcntl(fds.fd[RING_FD_IN], F_ADD_SEALS, F_SEAL_WRITE), -1);
	ring_fds_close(&fds);
	ring_server_close(&server);
}

/* --- lies -------------------------------------------------------------------------------------- */

typedef void lie_fn(struct ring_submission *s, struct rings *t);

#define LIE(name, what) \
	static void name(struct ring_submission *s, struct rings *t) { (void)s; (void)t; what; }

LIE(no_kind, s->kind = 0)
LIE(unknown_kind, s->kind = RING_KINDS_END)
LIE(far_slot, s->slot = RING_SLOTS)
LIE(long_topic, s->topic_len = 128)
LIE(longest_topic, s->topic_len = UINT32_MAX)
LIE(no_topic, s->topic_len = 0)
LIE(long_template, s->template_len = 128)
LIE(long_group, s->group_len = 128)
LIE(long_text, s->text_len = 32768)
LIE(long_body, s->body_len = RING_BODY_MAX + 1)
LIE(body_beyond, s->body_len = RING_BODY_MAX; s->data_at += RING_DATA_BYTES - 100)
LIE(longest_body, s->body_len = UINT32_MAX)
LIE(unknown_flag, s->flags = RING_FLAGS_ALL + 1)
LIE(items_of_one, s->items = 1)
LIE(batch_of_none, s->kind = RING_BATCH)
LIE(batch_of_too_many, s->kind = RING_BATCH; s->items = 1000)
LIE(pull_with_body, s->kind = RING_PULL)
LIE(pull_of_nobody, s->kind = RING_PULL; s->body_len = s->template_len = s->group_len = 0)
LIE(pull_of_no_queue, s->kind = RING_PULL; s->body_len = s->template_len = 0; s->queue_id = -1)
LIE(commit_with_text, s->kind = RING_COMMIT; s->body_len = s->template_len = 0)
LIE(end_with_topic, s->kind = RING_END; s->body_len = s->template_len = s->group_len = 0; s->sysflag = 8)
LIE(end_with_body, s->kind = RING_END; s->topic_len = s->template_len = s->group_len = 0; s->sysflag = 8)
LIE(end_without_word, s->kind = RING_END; s->body_len = s->topic_len = s->template_len = s->group_len = 0)
LIE(left_of_nobody, s->kind = RING_LEFT; s->body_len = s->template_len = s->text_len = s->group_len = 0)
LIE(took_of_nobody, s->kind = RING_TOOK; s->body_len = s->template_len = s->text_len = s->group_len = 0)
LIE(took_less_than_nothing, s->kind = RING_TOOK; s->body_len = s->template_len = s->text_len = 0; s->offset = -1)
LIE(took_too_much, s->kind = RING_TOOK; s->body_len = s->template_len = s->text_len = 0; s->commit_offset = INT64_MAX)
LIE(watch_of_send, s->watch = 1)
LIE(far_watch, s->kind = RING_WATCH; s->body_len = s->template_len = s->text_len = 0; s->watch = RING_WATCHES)
LIE(wrong_port, s->born_port = 65536)
LIE(below_port, s->born_port = -1)
LIE(place_ahead, s->data_at += RING_DATA_BYTES)
LIE(place_far_ahead, s->data_at = UINT64_MAX - 3)
LIE(place_at_end, s->data_at = RING_DATA_BYTES - 3)
LIE(odd_name, memcpy(t->client.in->data + s->data_at, "/", 1))
LIE(odd_template, memcpy(t->client.in->data + s->data_at + 1, "\0", 1))
LIE(count_backwards, atomic_store(&t->client.in->submitted, UINT64_MAX))
LIE(count_ahead, atomic_store(&t->client.in->submitted, RING_SLOTS + 1))

static void
every_wrong_field_is_a_lie(void **state)
{
	static lie_fn *const lies[] = {
		no_kind, unknown_kind, far_slot, long_topic, longest_topic, no_topic, long_template, long_group,
		long_text, long_body, body_beyond, longest_body, unknown_flag, items_of_one, batch_of_none,
		batch_of_too_many, pull_with_body, pull_of_nobody, pull_of_no_queue, commit_with_text,
		end_with_topic, end_with_body, end_without_word, left_of_nobody, took_of_nobody,
		took_less_than_nothing, took_too_much, watch_of_send, far_watch, wrong_port,
		below_port, place_ahead, place_far_ahead, place_at_end,
		odd_name, odd_template, count_backwards, count_ahead,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(lies) / sizeof(*lies); i++) {
		struct ring_submission s;
		void *fresh;
		struct rings *t;

		rings_setup(&fresh);
		t = fresh;
		assert_true(make_send(t, "hello", 5, &s));
		ring_client_submit(&t->client, &s);
		lies[i](&t->client.in->submissions[0], t);
		if (ring_server_take(&t->server, &t->req) != MQ_ECORRUPT)
			fail_msg("lie number %zu was believed", i);
		assert_int_equal(t->server.taken, 0);
		rings_teardown(&fresh);
	}
}

static void
bytes_are_never_taken_twice(void **state)
{
	struct rings *t = *state;
	struct ring_submission s;

	assert_true(make_send(t, "hello", 5, &s));
	ring_client_submit(&t->client, &s);
	ring_client_submit(&t->client, &s);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_ECORRUPT);
}

static void
more_than_all_slots_under_way_is_a_lie(void **state)
{
	struct rings *t = *state;
	struct ring_submission s = { .kind = RING_WATCH };

	for (unsigned i = 0; i < RING_SLOTS; i++) {
		ring_client_submit(&t->client, &s);
		assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
	}
	ring_client_submit(&t->client, &s);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_ECORRUPT);
}

static void
a_submission_that_changes_later_changes_nothing(void **state)
{
	struct rings *t = *state;
	struct ring_submission s;

	assert_true(make_send(t, "hello", 5, &s));
	ring_client_submit(&t->client, &s);
	assert_int_equal(ring_server_take(&t->server, &t->req), MQ_OK);
	memset(&t->client.in->submissions[0], 0xff, sizeof(s));
	memset(t->client.in->data, 0xff, 64);
	assert_int_equal(t->req.s.body_len, 5);
	assert_string_equal(t->req.topic, "T");
	assert_string_equal(t->req.text, "TAGS\001a");
}

static void
an_item_never_reaches_beyond_its_batch(void **state)
{
	unsigned char body[64];
	struct ring_item item = { .props_len = 3, .body_len = 4 };
	size_t at = 0, whole = sizeof(item) + 7;

	(void)state;
	memset(body, 0, sizeof(body));
	memcpy(body, &item, sizeof(item));
	assert_true(ring_item_next(body, whole, &at, &item));
	assert_int_equal(at, whole);
	assert_false(ring_item_next(body, whole, &at, &item));
	for (size_t len = 0; len < whole; len++) {
		at = 0;
		assert_false(ring_item_next(body, len, &at, &item));
		assert_int_equal(at, 0);
	}
	item = (struct ring_item){ .props_len = UINT32_MAX, .body_len = 15 };
	memcpy(body, &item, sizeof(item));
	assert_false(ring_item_next(body, sizeof(body), &at, &item));
	item = (struct ring_item){ .props_len = 3, .body_len = UINT32_MAX - 2 };
	memcpy(body, &item, sizeof(item));
	assert_false(ring_item_next(body, sizeof(body), &at, &item));
}

int
main(void)
{
#define RINGS(f) cmocka_unit_test_setup_teardown(f, rings_setup, rings_teardown)
	const struct CMUnitTest tests[] = {
		RINGS(a_message_crosses_and_its_answer_comes_back),
		RINGS(what_is_full_has_room_again_after_release),
		RINGS(an_empty_ring_begins_anew_so_that_little_of_it_is_touched),
		RINGS(bytes_behind_a_gap_have_the_whole_ring_and_no_more),
		RINGS(no_more_than_all_slots_are_under_way),
		RINGS(whoever_sleeps_is_woken),
		RINGS(an_answer_that_is_due_is_lingered_for_and_in_vain_ever_less_often),
		RINGS(the_end_of_a_watched_queue_is_seen),
		cmocka_unit_test(mqremoted_cannot_write_what_the_mount_writes),
		cmocka_unit_test(every_wrong_field_is_a_lie),
		RINGS(bytes_are_never_taken_twice),
		RINGS(more_than_all_slots_under_way_is_a_lie),
		RINGS(a_submission_that_changes_later_changes_nothing),
		cmocka_unit_test(an_item_never_reaches_beyond_its_batch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
