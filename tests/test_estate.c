/* What a broker leaves to the next one: names, and writes that it dies in. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/appender.h"
#include "fs/estate.h"
#include "fs/names.h"
#include "fs/open_queue.h"
#include "fs/view.h"
#include "tests/broker_kit.h"

#define DIED 42
#define NEVER -1

/* --- dying on request --------------------------------------------------------------- */

/* Appends of the log until this process dies: before the last of them, or in it,
 * when so many of its messages are stored. */
static int dies_in_append = NEVER;
static size_t dies_after_messages;
static bool dies_before_tail, dies_after_tail;
static bool noted, noted_while_held;	/* a write, and before its queue was anybody's again */

int __real_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);
int __wrap_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret);
void __real_estate_set_tail(struct estate_file *f, const struct estate_tail *tail, const void *held,
			    const struct retry *retry);
void __wrap_estate_set_tail(struct estate_file *f, const struct estate_tail *tail, const void *held,
			    const struct retry *retry);

void __real_topic_append_end(struct queue *q);
void __wrap_topic_append_end(struct queue *q);

void
__wrap_topic_append_end(struct queue *q)
{
	noted_while_held = noted;
	__real_topic_append_end(q);
}

int
__wrap_store_append(struct store *s, struct queue *q, struct batch *b, struct appended *ret)
{
	if (dies_in_append != 0)
		dies_in_append -= dies_in_append > 0;
	else if (dies_after_messages == 0)
		_exit(DIED);
	else if (dies_after_messages < b->n) {
		b->n = dies_after_messages;
		b->len = b->entries[b->n].at;
		__real_store_append(s, q, b, ret);
		_exit(DIED);
	}
	return __real_store_append(s, q, b, ret);
}

void
__wrap_estate_set_tail(struct estate_file *f, const struct estate_tail *tail, const void *held,
		       const struct retry *retry)
{
	if (dies_before_tail)
		_exit(DIED);
	__real_estate_set_tail(f, tail, held, retry);
	noted = true;
	if (dies_after_tail)
		_exit(DIED);
}

/* --- its broker --------------------------------------------------------------------------- */

struct rig {
	struct broker b;
	struct mount m;			/* what appenders and views need of one */
	struct topic *topic;
	struct estate *estate;
	struct estate_file *file;
};

static void
rig_open(struct rig *r)
{
	broker_open(&r->b);
	r->m = (struct mount){ .settings = &r->b.settings, .dir = r->b.sd, .store = r->b.store,
			       .offsets = r->b.offsets, .estate = r->estate, .max_write = 1 << 20 };
	r->topic = topic_find(r->m.offsets, "t");
	if (!r->topic)
		r->topic = broker_topic(&r->b, "t", 2);
}

static int
setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	broker_begin(&r->b, NULL);
	broker_set(&r->b, "mappedFileSizeCommitLog", "8M");
	r->estate = estate_open();
	assert_non_null(r->estate);
	r->file = &r->estate->files[0];
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	broker_end(&r->b);
	estate_close(r->estate);
	free(r);
	return 0;
}

/* --- writes --------------------------------------------------------------------------------- */

static void
appender_open(struct rig *r, bool all, struct appender *a)
{
	appender_init(a, r->topic, all, 0, FORMAT_LINES, false, 4 << 20);
	assert_int_equal(appender_resume(&r->m, a, r->file), MQ_OK);
}

static void
write_as(struct rig *r, struct appender *a, uint64_t unique, const char *text, size_t len)
{
	size_t n = 0;
	mq_pos end;

	a->request = unique;
	assert_int_equal(appender_write(&r->m, a, text, len, RETRY_APPENDED, &n, &end), MQ_OK);
	assert_int_equal(n, len);
}

static void
want_content(struct rig *r, int32_t queue, const char *want)
{
	const struct view_spec spec = { .topic = r->topic, .queue = queue, .format = FORMAT_LINES };
	AUTO_FREE char *got = calloc(1, 8 << 20);
	struct view *v;
	size_t n = 0;

	assert_non_null(got);
	assert_int_equal(view_open(&r->m, &spec, &v), MQ_OK);
	assert_int_equal(view_read(v, 0, got, (8 << 20) - 1, &n), MQ_OK);
	view_close(v);
	assert_int_equal(n, strlen(want));
	assert_string_equal(got, want);
}

/* 40,000 lines: two batches of the log in one write, the first message begun by the
 * write before it, the last one not ended. */
#define LINES 40000

static char *
many_lines(void)
{
	char *text = malloc(LINES * 64), *at = text;

	assert_non_null(text);
	for (int i = 0; i < LINES; i++)
		at += sprintf(at, "%s line %d\n", i ? "another" : " of", i);
	strcpy(at, "no end");
	return text;
}

/* In a process of its own, which dies in the second write or after it. */
static void
die_writing(struct rig *r, bool all, const char *text)
{
	pid_t child = fork();
	struct appender a;
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		int in_append = dies_in_append;
		bool before = dies_before_tail, after = dies_after_tail;

		dies_in_append = NEVER;
		dies_before_tail = dies_after_tail = false;
		rig_open(r);
		appender_open(r, all, &a);
		write_as(r, &a, 10, "begun", 5);
		dies_in_append = in_append;
		dies_before_tail = before;
		dies_after_tail = after;
		write_as(r, &a, 12, text, strlen(text));
		_exit(DIED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == DIED);
	dies_in_append = NEVER;
	dies_before_tail = dies_after_tail = false;
}

/* The next broker gets the same write again, and then goes on. */
static void
go_on_writing(struct rig *r, bool all, const char *text)
{
	AUTO_FREE char *want = NULL;
	struct appender a;

	rig_open(r);
	appender_open(r, all, &a);
	write_as(r, &a, 12, text, strlen(text));
	write_as(r, &a, 14, " but here\n", 10);
	assert_true(asprintf(&want, "begun%s but here\n", text) > 0);
	if (!all)
		want_content(r, 0, want);
	assert_false(splitter_holds(&a.splitter));
	appender_free(&a);
	broker_close(&r->b);
}

static void
a_write_that_was_begun(void **state, int append, size_t messages)
{
	AUTO_FREE char *text = many_lines();

	dies_in_append = append;
	dies_after_messages = messages;
	die_writing(*state, false, text);
	go_on_writing(*state, false, text);
}

static void
nothing_of_it_was_stored(void **state)
{
	a_write_that_was_begun(state, 0, 0);
}

static void
its_first_message_was_stored(void **state)
{
	a_write_that_was_begun(state, 0, 1);
}

static void
some_of_its_messages_were_stored(void **state)
{
	a_write_that_was_begun(state, 0, 1234);
}

static void
its_first_batch_was_stored(void **state)
{
	a_write_that_was_begun(state, 1, 0);
}

static void
some_of_its_second_batch_were_stored(void **state)
{
	a_write_that_was_begun(state, 1, 17);
}

static void
all_of_it_was_stored_but_not_noted(void **state)
{
	AUTO_FREE char *text = many_lines();

	dies_before_tail = true;
	die_writing(*state, false, text);
	go_on_writing(*state, false, text);
}

static void
it_was_done_but_not_answered(void **state)
{
	AUTO_FREE char *text = many_lines();

	dies_after_tail = true;
	die_writing(*state, false, text);
	go_on_writing(*state, false, text);
}

static void
it_goes_on_in_the_queue_where_it_was_begun(void **state)
{
	struct rig *r = *state;
	char want[64];

	dies_in_append = 0;
	dies_after_messages = 1;
	die_writing(r, true, "\nsecond\nthird\n");
	rig_open(r);
	/* the turn of the queues began anew: it must not matter */
	for (uint32_t turn = 0; turn < 2; turn++) {
		struct appender a;

		atomic_store(&r->m.round_robin, turn);
		appender_open(r, true, &a);
		write_as(r, &a, 12, "\nsecond\nthird\n", 14);
		appender_free(&a);
		strcpy(want, "begun\nsecond\nthird\n");
		want_content(r, estate_note(r->file)->queue, want);
	}
	broker_close(&r->b);
}

static void
others_may_append_before_it_goes_on(void **state)
{
	struct rig *r = *state;
	struct appender a, other;

	dies_in_append = 0;
	dies_after_messages = 2;
	die_writing(r, false, "\nsecond\nthird\n");
	rig_open(r);
	appender_open(r, false, &a);
	appender_init(&other, r->topic, false, 0, FORMAT_LINES, false, 1024);
	write_as(r, &other, 0, "x\ny\nz\n", 6);
	write_as(r, &a, 12, "\nsecond\nthird\n", 14);
	want_content(r, 0, "begun\nsecond\nx\ny\nz\nthird\n");
	appender_free(&a);
	appender_free(&other);
	broker_close(&r->b);
}

/* What the first heir has found, the second does not count again: others have appended since. */
static void
an_heir_of_the_heir_does_not_count_what_was_appended_since(void **state)
{
	struct rig *r = *state;
	struct appender a, other;

	dies_in_append = 0;
	dies_after_messages = 1;
	die_writing(r, false, "\nsecond\nthird\n");
	rig_open(r);
	appender_open(r, false, &a);		/* it dies before the write comes again */
	appender_init(&other, r->topic, false, 0, FORMAT_LINES, false, 1024);
	write_as(r, &other, 0, "x\ny\nz\n", 6);
	appender_free(&a);
	appender_free(&other);
	broker_close(&r->b);
	rig_open(r);
	appender_open(r, false, &a);
	write_as(r, &a, 12, "\nsecond\nthird\n", 14);
	want_content(r, 0, "begun\nx\ny\nz\nsecond\nthird\n");
	appender_free(&a);
	broker_close(&r->b);
}

/* Others may append to a queue as soon as the write that has it is over: it must be noted by then. */
static void
it_is_noted_as_done_before_others_may_append(void **state)
{
	struct rig *r = *state;
	struct appender a;

	rig_open(r);
	appender_open(r, false, &a);
	noted = false;
	write_as(r, &a, 10, "one\nt", 5);
	assert_true(noted_while_held);
	noted = false;
	assert_int_equal(appender_finish(&r->m, &a, false), MQ_OK);
	assert_true(noted_while_held);
	appender_free(&a);
	broker_close(&r->b);
}

static void
a_line_finished_at_close_is_stored_once(void **state)
{
	struct rig *r = *state;
	pid_t child = fork();
	struct appender a;
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		rig_open(r);
		appender_open(r, false, &a);
		write_as(r, &a, 10, "the end", 7);
		assert_int_equal(appender_finish(&r->m, &a, false), MQ_OK);
		_exit(DIED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == DIED);
	rig_open(r);
	appender_open(r, false, &a);
	assert_int_equal(appender_finish(&r->m, &a, false), MQ_OK);
	want_content(r, 0, "the end\n");
	appender_free(&a);
	broker_close(&r->b);
}

/* --- open files ------------------------------------------------------------------------------ */

static void
mount_open(struct rig *r)
{
	rig_open(r);
	assert_int_equal(handles_open(&r->m, &r->m.handles), MQ_OK);
	assert_int_equal(names_open(r->estate, &r->m.names), MQ_OK);
	assert_int_equal(closing_open(&r->m, &r->m.closing), MQ_OK);
}

static void
mount_close(struct rig *r)
{
	handles_close(&r->m);
	closing_close(r->m.closing);
	names_close(r->m.names);
	broker_close(&r->b);
}

static struct appender *
appender_of(struct handle *h)
{
	return &((struct open_queue *)h->own)->appender;
}

/* Queue 0 of the topic, opened to append, as the kernel knows it. */
static struct handle *
open_for_appending(struct rig *r)
{
	const struct fuse_ctx who = { .pid = 1 };
	struct handle *h;
	struct node n;

	assert_int_equal(node_make(&r->m, NODE_QUEUE, r->topic->id, 0, 0, &n), MQ_OK);
	assert_int_equal(handle_make(&r->m, &n, O_WRONLY | O_APPEND, &who, &h), MQ_OK);
	assert_int_equal(n.class->open(&r->m, &n, h), MQ_OK);
	h->opened = true;
	handle_keep(h);
	atomic_store(&h->kept->opening, 0);
	return h;
}

static void
a_release_is_late_while_a_request_still_holds_the_file(void **state)
{
	struct rig *r = *state;
	struct handle *h;

	mount_open(r);
	h = open_for_appending(r);
	write_as(r, appender_of(h), 10, "closed", 6);
	handle_ref(h);
	handle_release(&r->m, h);
	assert_true(handles_releases_late(r->m.handles));
	want_content(r, 0, "");
	handle_unref(&r->m, h);
	assert_false(handles_releases_late(r->m.handles));
	want_content(r, 0, "closed\n");
	h = open_for_appending(r);
	handle_release(&r->m, h);
	assert_false(handles_releases_late(r->m.handles));
	mount_close(r);
}

/* A broker dies in a write, while a file that was just closed has a line to finish. */
static void
die_writing_beside_a_closed_file(struct rig *r, uint64_t *ret_number)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		struct handle *writes, *closed;

		mount_open(r);
		writes = open_for_appending(r);
		closed = open_for_appending(r);		/* the next broker comes to it first */
		write_as(r, appender_of(closed), 10, "closed", 6);
		assert_int_equal(handle_flush(&r->m, closed), MQ_OK);
		atomic_store(&closed->kept->released, true);
		dies_in_append = 0;
		dies_after_messages = 0;
		write_as(r, appender_of(writes), 12, "written\n", 8);
		_exit(DIED);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == DIED);
	*ret_number = r->estate->files[0].number;
}

static void
a_line_of_a_closed_file_is_not_taken_for_one_of_a_write_that_was_begun(void **state)
{
	struct rig *r = *state;
	uint64_t number = 0;
	struct handle *h;

	rig_open(r);
	broker_close(&r->b);
	die_writing_beside_a_closed_file(r, &number);
	mount_open(r);
	assert_int_equal(handles_inherit(&r->m), MQ_OK);
	h = handle_find(&r->m, number);
	assert_non_null(h);
	assert_int_equal(h->broken, MQ_OK);
	write_as(r, appender_of(h), 12, "written\n", 8);
	want_content(r, 0, "closed\nwritten\n");
	mount_close(r);
}

/* Its close was answered; nobody would hear that it could not be stored. */
static void
a_line_of_a_closed_file_is_stored_before_slaves_are_there(void **state)
{
	struct rig *r = *state;
	uint64_t number = 0;

	rig_open(r);
	broker_close(&r->b);
	die_writing_beside_a_closed_file(r, &number);
	broker_set(&r->b, "brokerRole", "SYNC_MASTER");
	mount_open(r);
	assert_int_equal(handles_inherit(&r->m), MQ_OK);
	want_content(r, 0, "closed\n");
	mount_close(r);
}

static void
a_beginning_that_is_too_long_to_keep_is_reported(void **state)
{
	struct rig *r = *state;
	AUTO_FREE char *text = malloc(ESTATE_TAIL_BYTES + 1);
	struct appender a;

	assert_non_null(text);
	memset(text, 'x', ESTATE_TAIL_BYTES + 1);
	rig_open(r);
	appender_open(r, false, &a);
	write_as(r, &a, 10, text, ESTATE_TAIL_BYTES + 1);
	appender_free(&a);
	appender_init(&a, r->topic, false, 0, FORMAT_LINES, false, 4 << 20);
	assert_int_equal(appender_resume(&r->m, &a, r->file), -EIO);
	appender_free(&a);
	broker_close(&r->b);
}

/* --- names ---------------------------------------------------------------------------------- */

static void
names_are_there_for_the_next_broker(void **state)
{
	struct rig *r = *state;
	struct names *dead, *next;
	uint64_t kept, dropped, again;
	const char *text;
	uint32_t id;

	assert_int_equal(names_open(r->estate, &dead), MQ_OK);
	assert_int_equal(names_intern(dead, 7, 3, "q0@5:follow", &kept), MQ_OK);
	assert_int_equal(names_intern(dead, 7, 3, "q0@6", &dropped), MQ_OK);
	names_drop(dead, dropped, 1);
	names_close(dead);		/* without a word to the estate, as by SIGKILL */

	assert_int_equal(names_open(r->estate, &next), MQ_OK);
	assert_int_equal(names_find(next, kept, &text, &id), MQ_OK);
	assert_string_equal(text, "q0@5:follow");
	assert_int_equal(id, 3);
	assert_int_equal(names_find(next, dropped, &text, &id), -ESTALE);
	assert_int_equal(names_intern(next, 7, 3, "q0@5:follow", &again), MQ_OK);
	assert_true(again == kept);
	names_drop(next, kept, 100);	/* who can tell how often it was held */
	assert_int_equal(names_find(next, kept, &text, &id), MQ_OK);
	names_close(next);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_of_it_was_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(its_first_message_was_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(some_of_its_messages_were_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(its_first_batch_was_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(some_of_its_second_batch_were_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(all_of_it_was_stored_but_not_noted, setup, teardown),
		cmocka_unit_test_setup_teardown(it_was_done_but_not_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(it_goes_on_in_the_queue_where_it_was_begun, setup, teardown),
		cmocka_unit_test_setup_teardown(others_may_append_before_it_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(an_heir_of_the_heir_does_not_count_what_was_appended_since, setup, teardown),
		cmocka_unit_test_setup_teardown(it_is_noted_as_done_before_others_may_append, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_finished_at_close_is_stored_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_line_of_a_closed_file_is_not_taken_for_one_of_a_write_that_was_begun, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_line_of_a_closed_file_is_stored_before_slaves_are_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_release_is_late_while_a_request_still_holds_the_file, setup, teardown),
		cmocka_unit_test_setup_teardown(a_beginning_that_is_too_long_to_keep_is_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(names_are_there_for_the_next_broker, setup, teardown),
	};

	return cmocka_run_group_tests_name("estate", tests, NULL, NULL);
}
