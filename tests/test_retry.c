/* Writes that come again because their wait has failed: their messages are stored once. */
#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "conf/err.h"
#include "conf/scope.h"
#include "fs/appender.h"
#include "fs/estate.h"
#include "fs/view.h"
#include "tests/broker_kit.h"

#define APPENDED RETRY_APPENDED
#define MAX_WRITE (1 << 20)

struct rig {
	struct broker b;
	struct mount m;			/* what appenders and views need of one */
	struct topic *topic;
	struct appender a;
	struct estate *estate;
	uint64_t request;		/* the last one */
	char *want;			/* content of the queue */
	size_t want_len;
};

static int
setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	broker_begin(&r->b, NULL);
	broker_set(&r->b, "mappedFileSizeCommitLog", "8M");
	broker_open(&r->b);
	r->m = (struct mount){ .settings = &r->b.settings, .dir = r->b.sd, .store = r->b.store,
			       .offsets = r->b.offsets, .max_write = MAX_WRITE };
	r->topic = broker_topic(&r->b, "t", 2);
	r->want = calloc(1, 16 << 20);
	assert_non_null(r->want);
	appender_init(&r->a, r->topic, false, 0, FORMAT_LINES, false, 4 << 20);
	*state = r;
	return 0;
}

static int
teardown(void **state)
{
	struct rig *r = *state;

	appender_free(&r->a);
	broker_close(&r->b);
	broker_end(&r->b);
	estate_close(r->estate);
	free(r->want);
	free(r);
	return 0;
}

static void
format_is(struct rig *r, enum topic_format format)
{
	appender_free(&r->a);
	appender_init(&r->a, r->topic, false, 0, format, false, 4 << 20);
}

/* A durable write, which waits; how many bytes it took. */
static size_t
write_at(struct rig *r, const char *bytes, size_t len, int64_t off)
{
	size_t n = 0;
	mq_pos end;

	r->request += 2;
	r->a.request = r->request;
	r->a.waits = true;
	assert_int_equal(appender_write(&r->m, &r->a, bytes, len, off, &n, &end), MQ_OK);
	assert_true(end.byte > 0);
	return n;
}

static size_t
append(struct rig *r, const char *bytes, size_t len)
{
	return write_at(r, bytes, len, APPENDED);
}

/* The whole of a text; and its wait ends, well or not. */
static void
append_text(struct rig *r, const char *text, bool ok)
{
	assert_int_equal(append(r, text, strlen(text)), strlen(text));
	appender_waited(&r->a, r->request, ok);
}

static void
expect(struct rig *r, const char *bytes, size_t len)
{
	memcpy(r->want + r->want_len, bytes, len);
	r->want_len += len;
}

static void
want_content(struct rig *r, const char *want)
{
	const struct view_spec spec = { .topic = r->topic, .format = r->a.splitter.format };
	AUTO_FREE char *got = calloc(1, 16 << 20);
	struct view *v;
	size_t n = 0;

	assert_non_null(got);
	if (want)
		expect(r, want, strlen(want));
	assert_int_equal(view_open(&r->m, &spec, &v), MQ_OK);
	assert_int_equal(view_read(v, 0, got, 16 << 20, &n), MQ_OK);
	view_close(v);
	assert_int_equal(n, r->want_len);
	assert_memory_equal(got, r->want, n);
}

/* --- the rule --------------------------------------------------------------------------- */

static void
a_write_whose_wait_failed_is_known_when_it_comes_again(void **state)
{
	append_text(*state, "one\ntwo\n", false);
	append_text(*state, "one\ntwo\n", false);
	append_text(*state, "one\ntwo\n", true);
	want_content(*state, "one\ntwo\n");
}

static void
the_same_bytes_are_other_messages_when_the_wait_was_ok(void **state)
{
	append_text(*state, "one\n", true);
	append_text(*state, "one\n", false);
	append_text(*state, "one\n", true);
	append_text(*state, "one\n", true);
	want_content(*state, "one\none\none\n");
}

static void
what_a_longer_write_has_besides_is_stored(void **state)
{
	append_text(*state, "one\n", false);
	append_text(*state, "one\ntwo\n", false);
	append_text(*state, "one\ntwo\nthree\n", true);
	want_content(*state, "one\ntwo\nthree\n");
}

static void
a_shorter_write_is_another_one(void **state)
{
	append_text(*state, "one\none\n", false);
	append_text(*state, "one\n", true);
	want_content(*state, "one\none\none\n");
}

static void
what_failed_before_another_write_was_stored_is_forgotten(void **state)
{
	append_text(*state, "one\n", false);
	append_text(*state, "two\n", true);
	append_text(*state, "one\n", true);
	want_content(*state, "one\ntwo\none\n");
}

static void
an_fsync_that_was_ok_confirms_it(void **state)
{
	struct rig *r = *state;

	append_text(r, "one\n", false);
	appender_synced(&r->a, appender_failed(&r->a));
	append_text(r, "one\n", true);
	want_content(r, "one\none\n");
}

static void
an_fsync_does_not_confirm_what_was_written_after_it_began(void **state)
{
	struct rig *r = *state;
	uint64_t before;

	append_text(r, "one\n", false);
	before = appender_failed(&r->a);
	append_text(r, "two\n", false);
	appender_synced(&r->a, before);
	append_text(r, "two\n", true);
	want_content(r, "one\ntwo\n");
}

static void
the_unfinished_rest_of_it_waits_once(void **state)
{
	struct rig *r = *state;

	append_text(r, "one\ntw", false);
	append_text(r, "one\ntw", true);
	append_text(r, "o\n", true);
	want_content(r, "one\ntwo\n");
	append_text(r, "three\nfo", false);
	append_text(r, "three\nfour\n", true);
	want_content(r, "three\nfour\n");
}

static void
what_a_refused_write_leaves_is_still_known(void **state)
{
	struct rig *r = *state;
	size_t n = 0;
	mq_pos end;

	append_text(r, "one\n", false);
	store_refuse(r->m.store, -EROFS);
	r->a.request = 1000;
	assert_int_equal(appender_write(&r->m, &r->a, "other\n", 6, RETRY_APPENDED, &n, &end), -EROFS);
	store_refuse(r->m.store, MQ_OK);
	append_text(r, "one\n", true);
	want_content(r, "one\n");
}

static void
a_raw_message_is_the_same_only_as_a_whole(void **state)
{
	struct rig *r = *state;

	format_is(r, FORMAT_RAW);
	append_text(r, "ab", false);
	append_text(r, "abc", false);
	append_text(r, "abc", true);
	want_content(r, "ababc");
}

static void
a_pwrite_with_an_unfinished_rest_is_known_at_its_offset(void **state)
{
	struct rig *r = *state;

	assert_int_equal(write_at(r, "one\ntw", 6, 0), 6);
	appender_waited(&r->a, r->request, false);
	assert_int_equal(write_at(r, "one\ntwo\n", 8, 0), 8);
	appender_waited(&r->a, r->request, false);
	assert_int_equal(write_at(r, "one\ntwo\n", 8, 8), 8);	/* at the end: once more */
	appender_waited(&r->a, r->request, true);
	want_content(r, "one\ntwo\none\ntwo\n");
}

/* --- writes that the kernel cuts ------------------------------------------------------------ */

static char *
many_lines(size_t len)
{
	char *text = malloc(len + 64);

	assert_non_null(text);
	for (size_t at = 0, i = 0; at < len; i++)
		at += (size_t)sprintf(text + at, "line %zu\n", i);
	return text;
}

/* One write(2) of 3 MiB, by a caller that writes the rest after each short count, from memory
 * that lies otherwise: each request may be shorter by some bytes.  Each wait fails twice. */
static void
the_rest_of_a_write_that_the_kernel_cuts_otherwise_is_stored_once(void **state)
{
	struct rig *r = *state;
	size_t size = 3 << 20, at = 0;
	AUTO_FREE char *text = many_lines(size);

	for (int turn = 0; at < size; turn++) {
		size_t most = MAX_WRITE - (size_t)turn * 997 % 4096, n;

		n = append(r, text + at, size - at < most ? size - at : most);
		appender_waited(&r->a, r->request, turn % 3 == 2);
		if (turn % 3 == 2)
			at += n;
	}
	assert_int_equal(appender_finish(&r->m, &r->a, false), MQ_OK);
	expect(r, text, size);
	expect(r, "\n", text[size - 1] == '\n' ? 0 : 1);
	want_content(r, NULL);
}

/* --- across a crash ---------------------------------------------------------------------------- */

static void
an_heir_knows_it_too(void **state)
{
	struct rig *r = *state;
	struct estate_file *f;

	r->estate = estate_open();
	assert_non_null(r->estate);
	f = &r->estate->files[0];
	assert_int_equal(appender_resume(&r->m, &r->a, f), MQ_OK);
	append_text(r, "one\ntw", false);
	for (int heir = 0; heir < 2; heir++) {
		format_is(r, FORMAT_LINES);
		assert_int_equal(appender_resume(&r->m, &r->a, f), MQ_OK);
		append_text(r, "one\ntw", heir == 1);
	}
	format_is(r, FORMAT_LINES);
	assert_int_equal(appender_resume(&r->m, &r->a, f), MQ_OK);
	append_text(r, "o\none\ntw", true);
	append_text(r, "o\n", true);
	want_content(r, "one\ntwo\none\ntwo\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_write_whose_wait_failed_is_known_when_it_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(the_same_bytes_are_other_messages_when_the_wait_was_ok, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_longer_write_has_besides_is_stored, setup, teardown),
		cmocka_unit_test_setup_teardown(a_shorter_write_is_another_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_failed_before_another_write_was_stored_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(an_fsync_that_was_ok_confirms_it, setup, teardown),
		cmocka_unit_test_setup_teardown(an_fsync_does_not_confirm_what_was_written_after_it_began, setup, teardown),
		cmocka_unit_test_setup_teardown(the_unfinished_rest_of_it_waits_once, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_refused_write_leaves_is_still_known, setup, teardown),
		cmocka_unit_test_setup_teardown(a_raw_message_is_the_same_only_as_a_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(a_pwrite_with_an_unfinished_rest_is_known_at_its_offset, setup, teardown),
		cmocka_unit_test_setup_teardown(the_rest_of_a_write_that_the_kernel_cuts_otherwise_is_stored_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_heir_knows_it_too, setup, teardown),
	};

	return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
