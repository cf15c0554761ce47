#include "config.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "offsets/epochs.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Epoch `number`, begun by store `by` ('A' ..) at `start`. */
static struct epoch
epoch(int64_t number, char by, int64_t start)
{
	struct epoch e = { .number = number, .start = MQ_POS(start) };

	memset(e.by, by, sizeof(e.by));
	memset(e.id, by, sizeof(e.id));
	e.id[0] = (unsigned char)number;
	return e;
}

/* --- the table ---------------------------------------------------------------------- */

/* A log as text: "1A@0 2B@800" and where it begins and ends. */
struct side {
	const char *epochs;
	int64_t begin, end;
};

static struct epochs
parse(const char *text, struct epoch *list)
{
	struct epochs e = { .list = list };
	int64_t number, start;
	char by;
	int used;

	while (sscanf(text, " %" SCNd64 "%c@%" SCNd64 "%n", &number, &by, &start, &used) == 3) {
		list[e.n++] = epoch(number, by, start);
		text += used;
	}
	return e;
}

/* `self` is always store S. */
static const struct {
	const char *name;
	struct side ours, theirs;
	enum epochs_verdict verdict;
	int64_t at;
} rows[] = {
	{ "the same log", { "1A@0", 0, 500 }, { "1A@0", 0, 500 }, EPOCHS_FOLLOW, 500 },
	{ "a prefix", { "1A@0", 0, 500 }, { "1A@0", 0, 900 }, EPOCHS_FOLLOW, 500 },
	{ "a prefix, epochs on", { "1A@0", 0, 500 }, { "1A@0 2B@600", 0, 900 }, EPOCHS_FOLLOW, 500 },
	{ "up to the next epoch", { "1A@0", 0, 600 }, { "1A@0 2B@600", 0, 900 }, EPOCHS_FOLLOW, 600 },
	{ "a prefix whose begin is gone there", { "1A@0", 0, 500 }, { "1A@0", 400, 900 }, EPOCHS_FOLLOW, 500 },
	{ "nothing here", { "", 0, 0 }, { "1A@0", 300, 900 }, EPOCHS_EMPTY, 300 },
	{ "nothing here, after a reset", { "1A@0", 300, 300 }, { "1A@0", 400, 900 }, EPOCHS_EMPTY, 400 },
	{ "nothing anywhere", { "", 0, 0 }, { "", 0, 0 }, EPOCHS_EMPTY, 0 },
	{ "too old", { "1A@0", 0, 300 }, { "1A@0 2B@600", 400, 900 }, EPOCHS_TOO_OLD, 400 },

	{ "an old master", { "1S@0", 0, 900 }, { "1S@0 2B@800", 0, 850 }, EPOCHS_DIVERGED, 800 },
	{ "an old slave of it", { "1A@0", 0, 900 }, { "1A@0 2B@800", 0, 1000 }, EPOCHS_DIVERGED, 800 },
	{ "an old master that went on", { "1S@0 2S@850", 0, 900 }, { "1S@0 2B@800", 0, 1000 }, EPOCHS_DIVERGED, 800 },
	{ "an old master, far ahead", { "1S@0 2S@850 3S@870", 0, 900 }, { "1S@0 2B@800", 0, 1000 }, EPOCHS_DIVERGED,
	  800 },
	{ "a demoted one", { "1A@0 2S@700", 0, 900 }, { "1A@0", 0, 1000 }, EPOCHS_DIVERGED, 700 },
	{ "a demoted one, the other short", { "1A@0 2S@700", 0, 900 }, { "1A@0", 0, 600 }, EPOCHS_DIVERGED, 600 },
	{ "a master that lost its end", { "1A@0", 0, 900 }, { "1A@0 2A@850", 0, 2000 }, EPOCHS_DIVERGED, 850 },
	{ "and said nothing of it", { "1A@0", 0, 900 }, { "1A@0", 0, 850 }, EPOCHS_DIVERGED, 850 },
	{ "overruled", { "1A@0 2A@500", 0, 900 }, { "1A@0 2B@400 3B@700", 0, 750 }, EPOCHS_DIVERGED, 400 },
	{ "nothing common is left here", { "1A@0", 500, 900 }, { "1A@0 2B@400", 0, 950 }, EPOCHS_DIVERGED, 500 },
	{ "diverged and too old", { "1A@0", 0, 900 }, { "1A@0 2B@400", 600, 950 }, EPOCHS_DIVERGED, 400 },

	{ "an old master as a master", { "1A@0 2B@800", 0, 900 }, { "1A@0", 0, 1000 }, EPOCHS_STALE_MASTER, -1 },
	{ "it began again", { "1A@0 2B@800", 0, 900 }, { "1A@0 2A@850", 0, 1000 }, EPOCHS_STALE_MASTER, -1 },
	{ "one behind", { "1A@0 2B@400 3B@800", 0, 900 }, { "1A@0 2A@850", 0, 1000 }, EPOCHS_STALE_MASTER, -1 },
	{ "ours is newer than what we know", { "1A@0 2B@400 3S@800", 0, 900 }, { "1A@0", 0, 500 },
	  EPOCHS_STALE_MASTER, -1 },
	{ "two masters at once", { "1A@0 2B@800", 0, 900 }, { "1A@0 2C@800", 0, 950 }, EPOCHS_STALE_MASTER, -1 },

	{ "another broker", { "1A@0", 0, 500 }, { "1B@0", 0, 500 }, EPOCHS_STRANGER, -1 },
	{ "another broker, longer", { "1A@0", 0, 500 }, { "1B@0 2B@600", 0, 900 }, EPOCHS_STRANGER, -1 },
	{ "our own, another one", { "1S@0", 0, 500 }, { "1B@0 2B@600", 0, 900 }, EPOCHS_STRANGER, -1 },

	{ "RocketMQ's, both", { "", 0, 500 }, { "", 0, 900 }, EPOCHS_FOLLOW, 500 },
	{ "RocketMQ's, ours longer", { "", 0, 900 }, { "", 0, 500 }, EPOCHS_STRANGER, -1 },
	{ "RocketMQ's, then theirs", { "", 0, 500 }, { "1A@500", 0, 900 }, EPOCHS_FOLLOW, 500 },
	{ "RocketMQ's, not of theirs", { "", 0, 500 }, { "1A@0", 0, 900 }, EPOCHS_STRANGER, -1 },
	{ "RocketMQ's, who knows", { "", 0, 300 }, { "1A@500", 400, 900 }, EPOCHS_STRANGER, -1 },
	{ "back to RocketMQ", { "1A@100", 0, 500 }, { "", 0, 900 }, EPOCHS_FOLLOW, 500 },

	{ "old ones are forgotten there", { "1A@0 2A@100 3B@200", 0, 500 }, { "1A@0 3B@200 4B@500", 0, 600 },
	  EPOCHS_FOLLOW, 500 },
	{ "where it ended is forgotten", { "1A@0 2A@100", 0, 500 }, { "1A@0 9B@400", 0, 600 }, EPOCHS_DIVERGED, 0 },
};

static void
each_pair_of_logs_has_its_verdict(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct epoch our_list[8], their_list[8];
		struct epochs ours = parse(rows[i].ours.epochs, our_list);
		struct epochs theirs = parse(rows[i].theirs.epochs, their_list);
		struct epoch self = epoch(1, 'S', 0);
		mq_pos at = MQ_POS(-1);
		enum epochs_verdict verdict;

		assert_true(epochs_ok(&ours) && epochs_ok(&theirs));
		verdict = epochs_compare(&ours, MQ_POS(rows[i].ours.begin), MQ_POS(rows[i].ours.end), &theirs,
					 MQ_POS(rows[i].theirs.begin), MQ_POS(rows[i].theirs.end), self.by, &at);
		if (verdict != rows[i].verdict || at.byte != rows[i].at)
			fail_msg("%s: %s at %" PRId64, rows[i].name, epochs_verdict_name(verdict), at.byte);
	}
}

static void
a_master_that_lost_its_end_is_told_from_one_that_was_overruled(void **state)
{
	static const struct {
		const char *ours, *theirs;
		bool lost;
	} pairs[] = {
		{ "1A@0", "1A@0 2A@850", true },
		{ "1A@0 2B@400", "1A@0 2B@400 3B@850 4B@900", true },
		{ "1A@0", "1A@0 2B@850", false },		/* a slave was promoted */
		{ "1A@0 2S@700", "1A@0 2A@850", false },	/* what is behind was ours alone */
		{ "1A@0", "1A@0", false },
		{ "1A@0", "1A@0 9A@850", false },		/* what came between is forgotten */
		{ "1B@0", "1A@0 2A@850", false },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(pairs); i++) {
		struct epoch our_list[8], their_list[8];
		struct epochs ours = parse(pairs[i].ours, our_list), theirs = parse(pairs[i].theirs, their_list);

		if (epochs_lost_their_end(&ours, &theirs) != pairs[i].lost)
			fail_msg("%s beside %s", pairs[i].ours, pairs[i].theirs);
	}
}

/* --- a model: logs that are copied, lost and branched at random ------------------------ */

#define STORES 4
#define LOG_MAX 4000

#define SEGMENT 40		/* records do not cross its end: a blank, of zeros, fills it */

/* A log of unique bytes: where two of them agree they have one past. */
struct log {
	uint32_t bytes[LOG_MAX];
	int64_t begin, end;
	struct epoch list[EPOCHS_MAX];
	struct epochs epochs;
	char name;
	bool writes;		/* it began its last epoch, and has followed nobody since */
};

struct model {
	struct log logs[STORES];
	uint32_t next, ids;
	unsigned seed;
	int said[EPOCHS_STRANGER + 1];	/* how often each verdict */
};

static int
random_below(struct model *m, int n)
{
	return (int)((unsigned)rand_r(&m->seed) % (unsigned)n);
}

static bool
log_is_full(const struct log *l)
{
	return l->end >= LOG_MAX - 2 * SEGMENT;
}

/* n records. */
static void
log_append(struct model *m, struct log *l, int n)
{
	while (n-- && !log_is_full(l)) {
		int64_t len = 1 + random_below(m, 9), left = SEGMENT - l->end % SEGMENT;

		for (; len > left && left > 0; left--)
			l->bytes[l->end++] = 0;
		while (len--)
			l->bytes[l->end++] = ++m->next;
	}
}

static void
log_begin_epoch(struct model *m, struct log *l)
{
	struct epoch e = epoch(l->epochs.n ? l->epochs.list[l->epochs.n - 1].number + 1 : 1, l->name, l->end);

	memcpy(e.id, &m->ids, sizeof(m->ids));
	m->ids++;
	l->writes = true;
	if (!log_is_full(l)) {
		assert_true(epochs_add(&l->epochs, &e));
		log_append(m, l, 1);
	}
}

static void
log_cut(struct log *l, int64_t at)
{
	l->end = at;
	epochs_cut(&l->epochs, MQ_POS(at));
}

static enum epochs_verdict
log_compare(const struct log *ours, const struct log *theirs, mq_pos *ret_at)
{
	struct epoch self = epoch(1, ours->name, 0);

	return epochs_compare(&ours->epochs, MQ_POS(ours->begin), MQ_POS(ours->end), &theirs->epochs,
			      MQ_POS(theirs->begin), MQ_POS(theirs->end), self.by, ret_at);
}

/* Bytes from `from` on, and the epochs that begin among them. */
static void
log_copy(struct log *to, const struct log *from, int64_t upto)
{
	for (; to->end < upto; to->end++)
		to->bytes[to->end] = from->bytes[to->end];
	for (size_t i = 0; i < from->epochs.n; i++)
		if (from->list[i].start.byte < upto)
			assert_true(epochs_add(&to->epochs, &from->list[i]));
}

static int64_t
really_common(const struct log *a, const struct log *b)
{
	int64_t at = a->begin > b->begin ? a->begin : b->begin;

	while (at < a->end && at < b->end && a->bytes[at] == b->bytes[at])
		at++;
	return at;
}

/* Is there a reason to refuse: an epoch of ours, not theirs, by somebody else, that is
 * not older than theirs? */
static bool
must_refuse(const struct log *ours, const struct log *theirs)
{
	int64_t last = theirs->list[theirs->epochs.n - 1].number;

	for (size_t i = 0; i < ours->epochs.n; i++) {
		const struct epoch *e = &ours->list[i];
		bool known = false;

		for (size_t j = 0; j < theirs->epochs.n; j++)
			known = known || memcmp(e->id, theirs->list[j].id, sizeof(e->id)) == 0;
		if (!known && e->by[1] != (unsigned char)ours->name && e->number >= last)
			return true;
	}
	return false;
}

/* What the verdict says is so; then do what it asks for. */
static void
model_follow(struct model *m, struct log *ours, const struct log *theirs)
{
	mq_pos at = MQ_POS(-1);
	enum epochs_verdict verdict = log_compare(ours, theirs, &at);

	m->said[verdict]++;
	ours->writes = false;
	if (verdict == EPOCHS_DIVERGED) {
		int64_t common = really_common(ours, theirs);

		assert_false(must_refuse(ours, theirs));
		assert_true(at.byte < ours->end);
		while (common > at.byte && ours->bytes[common - 1] == 0)
			common--;		/* both may have ended the segment there */
		assert_true(at.byte == common || common <= theirs->begin || common <= ours->begin);
		log_cut(ours, at.byte);
		verdict = log_compare(ours, theirs, &at);
		assert_int_not_equal(verdict, EPOCHS_DIVERGED);
	}
	switch (verdict) {
	case EPOCHS_STALE_MASTER:
		assert_true(must_refuse(ours, theirs));
		return;
	case EPOCHS_STRANGER:		/* only of RocketMQ's bytes nobody knows */
		assert_true(ours->epochs.n == 0 && ours->end < theirs->begin);
		return;
	case EPOCHS_EMPTY:
	case EPOCHS_TOO_OLD:
		assert_int_equal(at.byte, theirs->begin);
		ours->begin = ours->end = theirs->begin;
		ours->epochs.n = 0;
		break;
	case EPOCHS_FOLLOW:
		assert_int_equal(really_common(ours, theirs), ours->end);
		break;
	default:
		fail_msg("%s", epochs_verdict_name(verdict));
	}
	log_copy(ours, theirs, ours->end + random_below(m, (int)(theirs->end - ours->end) + 1));
}

static void
model_step(struct model *m)
{
	struct log *l = &m->logs[random_below(m, STORES)], *other = &m->logs[random_below(m, STORES)];
	int64_t lost;

	switch (random_below(m, 8)) {
	case 0:				/* promoted, or mounted after a crash that lost its end */
		if (!l->epochs.n)
			break;
		lost = random_below(m, 10);
		if (l->end - lost > l->begin && l->end - lost > l->list[0].start.byte)
			log_cut(l, l->end - lost);
		log_begin_epoch(m, l);
		log_append(m, l, 1 + random_below(m, 20));
		break;
	case 1:				/* retention */
		l->begin += random_below(m, (int)(l->end - l->begin) / 4 + 1);
		break;
	case 2:
	case 3:
		if (l->writes)
			log_append(m, l, random_below(m, 20));
		break;
	default:
		if (l != other && other->epochs.n)
			model_follow(m, l, other);
	}
}

static void
what_is_followed_is_a_prefix_whatever_has_happened(void **state)
{
	int said[EPOCHS_STRANGER + 1] = { 0 };

	(void)state;
	for (unsigned seed = 1; seed <= 300; seed++) {
		struct model *m = calloc(1, sizeof(*m));

		assert_non_null(m);
		m->seed = seed;
		for (int i = 0; i < STORES; i++) {
			m->logs[i].name = (char)('A' + i);
			m->logs[i].epochs.list = m->logs[i].list;
		}
		log_append(m, &m->logs[0], random_below(m, 2) * 5);	/* RocketMQ's? */
		log_begin_epoch(m, &m->logs[0]);
		for (int i = 1; i < STORES; i++)
			model_follow(m, &m->logs[i], &m->logs[0]);
		for (int step = 0; step < 400; step++)
			model_step(m);
		for (size_t i = 0; i < COUNT(said); i++)
			said[i] += m->said[i];
		free(m);
	}
	for (size_t i = 0; i < COUNT(said); i++)	/* the model is no idle one */
		assert_true(said[i] >= 20);
}

/* --- one history ------------------------------------------------------------------------ */

static void
a_history_only_grows_at_its_end(void **state)
{
	struct epoch list[EPOCHS_MAX], e;
	struct epochs all = { .list = list };

	(void)state;
	e = epoch(1, 'A', 100);
	assert_true(epochs_add(&all, &e));
	e = epoch(3, 'A', 300);
	assert_true(epochs_add(&all, &e));
	assert_true(epochs_add(&all, &e));		/* said again */
	assert_int_equal(all.n, 2);
	e = epoch(2, 'A', 200);
	assert_false(epochs_add(&all, &e));
	e = epoch(3, 'B', 300);
	assert_false(epochs_add(&all, &e));
	e = epoch(4, 'B', 300);
	assert_false(epochs_add(&all, &e));
	assert_int_equal(all.n, 2);
	epochs_cut(&all, MQ_POS(300));
	assert_int_equal(all.n, 1);
	epochs_cut(&all, MQ_POS(100));
	assert_int_equal(all.n, 0);
	e = epoch(0, 'A', 0);
	assert_false(epochs_add(&all, &e));
	e = epoch(1, 'A', -1);
	assert_false(epochs_add(&all, &e));
}

static void
a_long_history_keeps_its_first_and_its_newest(void **state)
{
	static struct epoch list[EPOCHS_MAX];
	struct epochs all = { .list = list };

	(void)state;
	for (int64_t i = 1; i <= EPOCHS_MAX + 100; i++) {
		struct epoch e = epoch(i, 'A', i * 10);

		assert_true(epochs_add(&all, &e));
	}
	assert_true(epochs_ok(&all));
	assert_int_equal(all.n, EPOCHS_MAX);
	assert_int_equal(list[0].number, 1);
	assert_int_equal(list[1].number, 102);
	assert_int_equal(list[EPOCHS_MAX - 1].number, EPOCHS_MAX + 100);
}

static void
what_is_no_history_is_seen(void **state)
{
	static const char *const bad[] = { "0A@0", "1A@-5", "1A@0 1A@10", "2A@0 1A@10", "1A@10 2A@10", "1A@10 2A@5" };

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++) {
		struct epoch list[4];
		struct epochs e = parse(bad[i], list);

		assert_true(e.n > 0);
		assert_false(epochs_ok(&e));
	}
}

static void
an_id_is_32_hex_digits(void **state)
{
	unsigned char id[EPOCH_ID_BYTES], back[EPOCH_ID_BYTES];
	char text[EPOCH_ID_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(id); i++)
		id[i] = (unsigned char)(i * 17);
	epoch_id_print(id, text);
	assert_string_equal(text, "00112233445566778899aabbccddeeff");
	assert_true(epoch_id_parse(text, back));
	assert_memory_equal(id, back, sizeof(id));
	assert_false(epoch_id_parse("00112233445566778899aabbccddeef", back));
	assert_false(epoch_id_parse("00112233445566778899aabbccddeeff0", back));
	assert_false(epoch_id_parse("00112233445566778899aabbccddeefg", back));
	assert_false(epoch_id_parse("00112233445566778899AABBCCDDEEFF", back));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_pair_of_logs_has_its_verdict),
		cmocka_unit_test(a_master_that_lost_its_end_is_told_from_one_that_was_overruled),
		cmocka_unit_test(what_is_followed_is_a_prefix_whatever_has_happened),
		cmocka_unit_test(a_history_only_grows_at_its_end),
		cmocka_unit_test(a_long_history_keeps_its_first_and_its_newest),
		cmocka_unit_test(what_is_no_history_is_seen),
		cmocka_unit_test(an_id_is_32_hex_digits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
