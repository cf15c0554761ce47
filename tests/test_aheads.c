/* Pulls that mqremoted answers from what the mount has looked ahead. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "conf/err.h"
#include "net/request.h"
#include "remoting/aheads.h"

#define NOW 5000000			/* us */
#define RIGHTS 7

static struct ask
pull(int64_t offset)
{
	return (struct ask){
		.s = { .kind = RING_PULL, .offset = offset, .max_messages = 32, .queue_id = 3, .topic_len = 1,
		       .group_len = 1, .text_len = 1 },
		.topic = "T", .group = "G", .text = "*",
	};
}

/* What a pull is answered with, and what was looked ahead: answers of 32 messages, each in two pieces. */
struct reply {
	struct ring_completion c;
	struct ring_ahead ahead;
	struct ring_piece pieces[RING_PIECES];
};

static struct reply
answer_to(int64_t offset)
{
	struct reply a = {
		.c = { .kind = RING_PULL, .offset = offset + 32, .min = 1, .max = 1000, .suggest = 2, .n = 2, .looked_ahead = 1 },
		.ahead = { .looked_us = NOW, .version = RIGHTS, .n = 3 },
	};

	for (uint32_t i = 0; i < 3; i++) {
		a.ahead.at[i].next = offset + 32 * (i + 2);
		a.ahead.at[i].pieces = 2;
	}
	for (uint32_t i = 0; i < RING_PIECES; i++)
		a.pieces[i] = (struct ring_piece){ .pos = 1000 * (int64_t)i, .bytes = 100 + i, .messages = 16 };
	return a;
}

struct fixture {
	struct aheads *a;
	struct stream *s;		/* of pull() */
};

/* A pull from 0 has been answered, and what follows it was looked ahead. */
static int
setup(void **state)
{
	static struct fixture x;
	struct reply a = answer_to(0);
	struct ask ask = pull(0);
	uint32_t use;

	assert_int_equal(aheads_open(&x.a), MQ_OK);
	x.s = aheads_stream(x.a, &ask);
	assert_non_null(x.s);
	assert_int_equal(aheads_flags(x.s, &ask, NOW, &use), 0);
	aheads_note(x.s, use, &a.c, &a.ahead, a.pieces, NOW);
	*state = &x;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *x = *state;

	aheads_close(x->a);
	return 0;
}

/* Is the pull answered?  Nothing is given. */
static bool
knows(struct fixture *x, const struct ask *ask, uint64_t version, int64_t now_us)
{
	struct stream *s = aheads_stream(x->a, ask);
	const struct ring_piece *pieces;
	struct ring_completion c;

	return s && aheads_answer(s, ask, version, now_us, &c, &pieces);
}

static void
gives(struct fixture *x, int64_t offset, int64_t now_us)
{
	const struct ask ask = pull(offset);
	const struct ring_piece *pieces;
	struct ring_completion c;

	assert_true(aheads_answer(x->s, &ask, RIGHTS, now_us, &c, &pieces));
	assert_int_equal(c.kind, RING_PULL);
	assert_int_equal(c.code, ANSWER_SUCCESS);
	assert_string_equal(c.remark, "FOUND");
	assert_int_equal(c.offset, offset + 32);
	assert_int_equal(c.min, 1);
	assert_int_equal(c.max, 1000);
	assert_int_equal(c.suggest, 2);
	assert_int_equal(c.n, 2);
	assert_int_equal(pieces[0].pos, 1000 * (offset / 32 * 2));
	assert_int_equal(pieces[1].pos, 1000 * (offset / 32 * 2 + 1));
	aheads_given(x->s, &c, now_us);
}

static void
pulls_that_follow_are_answered_once_each(void **state)
{
	struct fixture *x = *state;
	const struct ask first = pull(32), last = pull(128);

	gives(x, 32, NOW);
	assert_false(knows(x, &first, RIGHTS, NOW));
	gives(x, 64, NOW);
	gives(x, 96, NOW);
	assert_false(knows(x, &last, RIGHTS, NOW));
}

static void
only_the_very_pull_that_was_expected_is_answered(void **state)
{
	struct fixture *x = *state;
	struct ask ask = pull(32);

	ask.s.offset = 33;
	assert_false(knows(x, &ask, RIGHTS, NOW));
	ask = pull(32);
	ask.text = "a";
	assert_false(knows(x, &ask, RIGHTS, NOW));
	ask = pull(32);
	ask.s.flags = RING_FLAG_SQL;
	assert_false(knows(x, &ask, RIGHTS, NOW));
	ask = pull(32);
	assert_false(knows(x, &ask, RIGHTS + 1, NOW));
	assert_false(knows(x, &ask, RIGHTS, NOW + RING_AHEAD_US + 1));
	assert_true(knows(x, &ask, RIGHTS, NOW + RING_AHEAD_US));
	ask.text = "";
	ask.s.text_len = 0;
	assert_true(knows(x, &ask, RIGHTS, NOW));
	ask.s.flags = RING_FLAG_MEMBER;
	assert_false(knows(x, &ask, RIGHTS, NOW));	/* another stream, which takes the place of the first */
	ask.s.flags = 0;
	assert_false(knows(x, &ask, RIGHTS, NOW));
}

static void
a_pull_with_something_to_commit_is_the_mount_s(void **state)
{
	struct fixture *x = *state;
	struct reply a = answer_to(0);
	struct ask ask = pull(32);
	uint32_t use;

	ask.s.flags = RING_FLAG_COMMIT;
	ask.s.commit_offset = 0;
	assert_false(knows(x, &ask, RIGHTS, NOW));
	(void)aheads_flags(x->s, &ask, NOW, &use);	/* the mount has committed 0 */
	aheads_note(x->s, use, &a.c, &a.ahead, a.pieces, NOW);
	assert_true(knows(x, &ask, RIGHTS, NOW));
	ask.s.commit_offset = 32;
	assert_false(knows(x, &ask, RIGHTS, NOW));
}

static void
it_is_looked_ahead_for_who_goes_on_at_once(void **state)
{
	struct fixture *x = *state;
	struct ask on = pull(32), elsewhere = pull(64);
	struct reply a = answer_to(0);
	uint32_t use;

	assert_int_equal(aheads_flags(x->s, &on, NOW + RING_AHEAD_US, &use), RING_FLAG_AHEAD);
	assert_int_equal(aheads_flags(x->s, &on, NOW + RING_AHEAD_US + 1, &use), 0);
	assert_int_equal(aheads_flags(x->s, &elsewhere, NOW, &use), 0);
	a.c.code = ANSWER_PULL_NOT_FOUND;
	aheads_note(x->s, use, &a.c, &a.ahead, a.pieces, NOW);
	assert_int_equal(aheads_flags(x->s, &on, NOW, &use), 0);
	assert_false(knows(x, &on, RIGHTS, NOW));
}

static void
an_answer_for_a_stream_that_had_the_place_before_is_ignored(void **state)
{
	struct fixture *x = *state;
	struct reply a = answer_to(0);
	struct ask ask = pull(32), other = pull(32);
	uint32_t use;

	(void)aheads_flags(x->s, &ask, NOW, &use);
	other.s.max_messages = 16;
	assert_ptr_equal(aheads_stream(x->a, &other), x->s);
	aheads_note(x->s, use, &a.c, &a.ahead, a.pieces, NOW);
	assert_false(knows(x, &other, RIGHTS, NOW));
}

static void
a_group_that_was_left_is_asked_for_anew(void **state)
{
	struct fixture *x = *state;
	const struct ask ask = pull(32);

	aheads_drop(x->a, "H");
	assert_true(knows(x, &ask, RIGHTS, NOW));
	aheads_drop(x->a, "G");
	assert_false(knows(x, &ask, RIGHTS, NOW));
}

static void
what_was_given_is_told_when_it_is_silent_for_a_while_and_keeps_its_place_until_then(void **state)
{
	struct fixture *x = *state;
	struct ask told, other = pull(0);

	other.s.max_messages = 16;
	assert_false(aheads_have_news(x->a));
	assert_false(aheads_took(x->s, &told));
	gives(x, 32, NOW);
	gives(x, 64, NOW + 1);
	assert_true(aheads_have_news(x->a));
	assert_null(aheads_silent(x->a, NOW + 1 + RING_AHEAD_US));
	assert_null(aheads_stream(x->a, &other));
	assert_ptr_equal(aheads_silent(x->a, NOW + 2 + RING_AHEAD_US), x->s);
	assert_true(aheads_took(x->s, &told));
	assert_int_equal(told.s.kind, RING_TOOK);
	assert_string_equal(told.topic, "T");
	assert_string_equal(told.group, "G");
	assert_int_equal(told.s.topic_len, 1);
	assert_int_equal(told.s.group_len, 1);
	assert_int_equal(told.s.max_messages, 2);
	assert_int_equal(told.s.offset, 64);
	assert_int_equal(told.s.commit_offset, 102 + 103 + 104 + 105);
	aheads_told(x->a, x->s);
	assert_false(aheads_took(x->s, &told));
	assert_false(aheads_have_news(x->a));
	assert_null(aheads_silent(x->a, NOW + 2 + RING_AHEAD_US));
	assert_ptr_equal(aheads_stream(x->a, &other), x->s);
}

int
main(void)
{
#define AHEADS(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		AHEADS(pulls_that_follow_are_answered_once_each),
		AHEADS(only_the_very_pull_that_was_expected_is_answered),
		AHEADS(a_pull_with_something_to_commit_is_the_mount_s),
		AHEADS(it_is_looked_ahead_for_who_goes_on_at_once),
		AHEADS(an_answer_for_a_stream_that_had_the_place_before_is_ignored),
		AHEADS(a_group_that_was_left_is_asked_for_anew),
		AHEADS(what_was_given_is_told_when_it_is_silent_for_a_while_and_keeps_its_place_until_then),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
