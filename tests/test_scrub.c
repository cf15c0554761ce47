/* Sums of sealed segments, what is wrong with them, and healing: with bytes that are
 * not good, with calls that fail, and over a crash. */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/clock.h"
#include "conf/err.h"
#include "conf/log.h"
#include "store/scrub.h"
#include "store/store_priv.h"
#include "tests/fault.h"
#include "tests/store_kit.h"
#include "tests/tree.h"

#define BASE MQ_POS(KIT_SEGMENT)		/* the segment that is hurt */

static int
spend(void *arg, int64_t bytes)
{
	(void)arg, (void)bytes;
	return MQ_OK;
}

static const struct pace at_once = { .spend = spend };

/* Another machine with the same log, as it was. */
struct source {
	struct kit *k;
	unsigned char *good;		/* the segment at BASE */
	size_t most;			/* bytes of one answer */
	bool pieces;			/* a longer record is answered in pieces */
	int rc;
	int asked, healed;
	_Atomic bool away;		/* not worth asking */
};

static int
fetch(void *arg, mq_pos pos, mq_pos from, void *buf, size_t size, size_t *ret_n)
{
	struct source *src = arg;
	size_t at = (size_t)(from.byte - BASE.byte), n;

	src->asked++;
	if (src->rc != MQ_OK)
		return err_note(src->rc, "nobody is there");
	n = KIT_SEGMENT - at < size ? KIT_SEGMENT - at : size;
	n = n < src->most ? n : src->most;
	*ret_n = pos.byte == from.byte ? heal_whole_records(src->good + at, n, pos, KIT_SEGMENT) : 0;
	if (*ret_n == 0 && src->pieces)
		*ret_n = n;
	memcpy(buf, src->good + at, *ret_n);
	return MQ_OK;
}

static void
note_healed(void *arg, mq_pos base)
{
	struct source *src = arg;

	assert_int_equal(base.byte, BASE.byte);
	src->healed++;
}

static bool
is_ready(void *arg)
{
	const struct source *src = arg;

	return !src->away;
}

static struct healer
healer_of(struct source *src)
{
	return (struct healer){
		.from = "the other", .ready = is_ready, .fetch = fetch, .healed = note_healed, .arg = src,
	};
}

static void
segment_name(char name[64])
{
	kit_segment_of(BASE, name, 64);
}

/* A store of some segments, all on the disk, and what it was. */
static void
begin(struct kit *k, struct source *src, struct sum *sum)
{
	char name[64];
	size_t len;

	log_open("test", LOG_TO_STDERR, LOG_CRIT);
	kit_open(k);
	while (mark_at(store_written(k->s)).byte < 4 * KIT_SEGMENT)
		assert_int_equal(kit_append(k, "orders", 0, 20, 500, "key"), MQ_OK);
	assert_int_equal(store_flush(k->s, mark_at(store_written(k->s))), MQ_OK);
	segment_name(name);
	*src = (struct source){ .k = k, .good = kit_slurp(k, name, &len), .most = KIT_SEGMENT };
	assert_int_equal(len, KIT_SEGMENT);
	assert_int_equal(sealed_sum(k->s, BASE, false, &at_once, sum), MQ_OK);
}

/* The first message that lies wholly in the segment. */
static const struct kit_message *
victim(struct kit *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->model[i].pos.byte > BASE.byte + 1000)
			return &k->model[i];
	fail_msg("no message there");
	return NULL;
}

static void
hurt(struct kit *k, int64_t at, const char *bytes)
{
	char name[64];

	segment_name(name);
	kit_poke(k, name, at % KIT_SEGMENT, bytes, strlen(bytes));
}

static void
zero_from(struct kit *k, int from)
{
	sh("cd '%s/commitlog' && truncate -s %d %020d && truncate -s %d %020d", k->path, from, KIT_SEGMENT,
	       KIT_SEGMENT, KIT_SEGMENT);
}

static bool
is_good(struct kit *k, const struct source *src)
{
	unsigned char *is;
	char name[64];
	size_t len;
	bool same;

	segment_name(name);
	is = kit_slurp(k, name, &len);
	same = len == KIT_SEGMENT && memcmp(is, src->good, len) == 0;
	free(is);
	return same;
}

static void
damage_of(struct kit *k, const struct sum *was, struct damage *ret)
{
	struct sum is;

	assert_int_equal(sealed_sum(k->s, BASE, false, &at_once, &is), MQ_OK);
	assert_int_equal(sealed_damage(k->s, BASE, was, was ? &is : NULL, false, &at_once, ret), MQ_OK);
}

/* --- what is wrong ------------------------------------------------------------------- */

static void
a_damaged_record_is_one_range(void **state)
{
	struct kit *k = *state;
	const struct kit_message *m;
	struct source src;
	struct damage d;
	struct sum sum;
	char names[64];

	begin(k, &src, &sum);
	damage_of(k, &sum, &d);
	assert_int_equal(d.n, 0);
	m = victim(k);
	hurt(k, m->pos.byte + 100, "x");
	for (int with_sum = 0; with_sum < 2; with_sum++) {
		damage_of(k, with_sum ? &sum : NULL, &d);
		assert_int_equal(d.n, 1);
		assert_int_equal(d.ranges[0].pos.byte, m->pos.byte);
		assert_string_equal(d.ranges[0].why, "its body does not match its CRC");
		assert_int_equal(sealed_messages(k->s, &d.ranges[0], names, sizeof(names)), 1);
	}
	assert_int_equal(kit_read(k, m), -EIO);
	free(src.good);
}

static void
what_no_crc_covers_is_found_by_the_sum(void **state)
{
	struct kit *k = *state;
	const struct kit_message *m;
	struct source src;
	struct damage d;
	struct sum sum;

	begin(k, &src, &sum);
	m = victim(k);
	hurt(k, m->pos.byte + 16, "flag");
	damage_of(k, NULL, &d);
	assert_int_equal(d.n, 0);
	damage_of(k, &sum, &d);
	assert_int_equal(d.n, 1);
	assert_true(d.ranges[0].pos.byte <= m->pos.byte && d.ranges[0].bytes < 3 * 4096);
	assert_true(d.ranges[0].pos.byte + d.ranges[0].bytes > m->pos.byte + 500);
	free(src.good);
}

static void
an_end_of_zeros_is_damage(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct damage d;
	struct sum sum;

	begin(k, &src, &sum);
	zero_from(k, 30000);
	damage_of(k, NULL, &d);
	assert_int_equal(d.n, 1);
	assert_int_equal(d.ranges[0].pos.byte + d.ranges[0].bytes, BASE.byte + KIT_SEGMENT);
	assert_true(d.ranges[0].pos.byte <= BASE.byte + 30000);
	free(src.good);
}

/* --- healing --------------------------------------------------------------------------- */

static void
bad_bytes_become_good_ones_and_are_kept(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	const struct kit_message *m;
	char kept[80], note[90];
	unsigned char *bytes;
	struct damage d;
	struct sum sum;
	size_t len;

	begin(k, &src, &sum);
	m = victim(k);
	hurt(k, m->pos.byte + 100, "bad bytes");
	damage_of(k, &sum, &d);
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_OK);
	assert_true(is_good(k, &src));
	assert_int_equal(src.healed, 1);
	assert_int_equal(kit_read(k, m), MQ_OK);
	snprintf(kept, sizeof(kept), "lost+found/commitlog-%020lld", (long long)m->pos.byte);
	bytes = kit_slurp(k, kept, &len);
	assert_int_equal(len, d.ranges[0].bytes);
	assert_memory_equal(bytes + 100, "bad bytes", 9);
	free(bytes);
	snprintf(note, sizeof(note), "%s.txt", kept);
	assert_true(kit_exists(k, note));
	free(src.good);
}

static void
short_answers_do(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	struct damage d;
	struct sum sum;

	begin(k, &src, &sum);
	zero_from(k, 0);
	src.most = 2000;
	damage_of(k, &sum, &d);
	assert_int_equal(d.n, 1);
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_OK);
	assert_true(src.asked > KIT_SEGMENT / 2000);
	assert_true(is_good(k, &src));
	free(src.good);
}

/* No record fits an answer, nor does the blank at the segment's end. */
static void
long_records_come_in_pieces(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	struct damage d;
	struct sum sum;

	begin(k, &src, &sum);
	zero_from(k, 0);
	src.most = 50;
	damage_of(k, &sum, &d);
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_ECORRUPT);
	src.pieces = true;
	src.good[victim(k)->pos.byte - BASE.byte + 100] ^= 1;
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_ECORRUPT);
	src.good[victim(k)->pos.byte - BASE.byte + 100] ^= 1;
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_OK);
	assert_true(is_good(k, &src));
	free(src.good);
}

static void
a_missing_segment_comes_again(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	struct damage d = { .n = 1, .missing = true };
	struct sum sum;

	begin(k, &src, &sum);
	sh("rm '%s/commitlog/%020d'", k->path, KIT_SEGMENT);
	d.ranges[0] = (struct damage_range){ .pos = BASE, .bytes = KIT_SEGMENT };
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_OK);
	assert_true(is_good(k, &src));
	assert_int_equal(kit_count(k, "lost+found"), 0);
	free(src.good);
}

/* Nothing is written before all of it is known to be good. */
static void
bytes_that_are_not_good_are_refused(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	unsigned char *before, *after;
	const struct kit_message *m;
	struct damage d;
	struct sum sum;
	char name[64];
	size_t len;

	begin(k, &src, &sum);
	m = victim(k);
	hurt(k, m->pos.byte + 100, "bad bytes");
	damage_of(k, &sum, &d);
	segment_name(name);
	before = kit_slurp(k, name, &len);

	src.rc = -ETIMEDOUT;
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), -ETIMEDOUT);
	src.rc = MQ_OK;
	src.good[m->pos.byte - BASE.byte + 100] ^= 1;		/* its CRC tells */
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_ECORRUPT);
	src.good[m->pos.byte - BASE.byte + 100] ^= 1;
	src.good[m->pos.byte - BASE.byte + 16] ^= 1;		/* only the sum tells */
	assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_ECORRUPT);

	after = kit_slurp(k, name, &len);
	assert_memory_equal(before, after, KIT_SEGMENT);
	assert_int_equal(kit_count(k, "lost+found"), 0);
	assert_int_equal(src.healed, 0);
	free(before);
	free(after);
	free(src.good);
}

/* Whichever call fails, and wherever the power goes: beside the range nothing
 * changes, and the next try makes it good. */
static void
a_healing_that_fails_is_made_up_for(void **state)
{
	static const char *const calls[] = { "openat", "pwrite", "fdatasync", "fsync", "renameat", "fallocate" };
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	const struct kit_message *m;
	struct damage d;
	struct sum sum;
	int failures = 0;

	begin(k, &src, &sum);
	m = victim(k);
	for (size_t c = 0; c < sizeof(calls) / sizeof(calls[0]); c++)
		for (int at = 1; at < 40; at++) {
			char bad[16];
			int rc;

			snprintf(bad, sizeof(bad), "bad %zu.%02d", c, at);	/* not kept yet */
			hurt(k, m->pos.byte + 100, bad);
			damage_of(k, &sum, &d);
			fault_set((struct fault){ .call = calls[c], .at = at, .number = EIO });
			rc = heal_segment(k->s, BASE, &d, &sum, &from, &at_once);
			fault_none();
			failures += rc != MQ_OK;
			if (rc == MQ_OK && is_good(k, &src))
				break;
			damage_of(k, &sum, &d);
			if (d.n == 0)		/* only the end of it failed */
				continue;
			assert_int_equal(d.n, 1);
			assert_int_equal(d.ranges[0].pos.byte, m->pos.byte);
			assert_int_equal(heal_segment(k->s, BASE, &d, &sum, &from, &at_once), MQ_OK);
			assert_true(is_good(k, &src));
		}
	assert_true(failures > 8);
	free(src.good);
}

static void
what_is_given_away_is_whole(void **state)
{
	struct kit *k = *state;
	const struct kit_message *m;
	unsigned char buf[KIT_SEGMENT];
	struct source src;
	struct sum sum;
	mq_pos end;
	size_t n;

	begin(k, &src, &sum);
	m = victim(k);
	assert_int_equal(heal_serve(k->s, m->pos, m->pos, buf, sizeof(buf), &n), MQ_OK);
	assert_int_equal(n, KIT_SEGMENT - (m->pos.byte - BASE.byte));	/* up to the segment's end */
	assert_memory_equal(buf, src.good + (m->pos.byte - BASE.byte), n);
	assert_int_equal(heal_serve(k->s, m->pos, m->pos, buf, 60, &n), MQ_OK);		/* a piece */
	assert_int_equal(n, 60);
	assert_int_equal(heal_serve(k->s, m->pos, pos_add(m->pos, 60), buf, sizeof(buf), &n), MQ_OK);
	assert_int_equal(n, m[1].pos.byte - m->pos.byte - 60);
	assert_memory_equal(buf, src.good + (m->pos.byte - BASE.byte + 60), n);
	assert_int_equal(heal_serve(k->s, m->pos, m[1].pos, buf, sizeof(buf), &n), MQ_ECORRUPT);
	assert_int_equal(heal_serve(k->s, pos_add(m->pos, 1), pos_add(m->pos, 1), buf, sizeof(buf), &n), MQ_ECORRUPT);
	end = mark_at(store_written(k->s));
	assert_int_equal(heal_serve(k->s, end, end, buf, sizeof(buf), &n), MQ_EEND);
	hurt(k, m[2].pos.byte + 100, "bad bytes");
	assert_int_equal(heal_serve(k->s, m->pos, m->pos, buf, sizeof(buf), &n), MQ_OK);
	assert_int_equal(n, m[2].pos.byte - m->pos.byte);
	assert_int_equal(heal_serve(k->s, m[2].pos, m[2].pos, buf, sizeof(buf), &n), MQ_ECORRUPT);
	free(src.good);
}

/* --- the thread ----------------------------------------------------------------------------- */

/* The stats once `is_so` says so; bounded. */
static struct scrub_stats
stats_when(struct kit *k, bool (*is_so)(const struct scrub_stats *s))
{
	struct scrub_stats s;

	for (int i = 0; i < 6000; i++) {
		scrub_stats(k->s, &s);
		if (is_so(&s))
			return s;
		poll(NULL, 0, 10);
	}
	fail_msg("the scrub does not get there");
	return s;
}

static bool
has_passed(const struct scrub_stats *s)
{
	return s->passes > 0 && s->due == 0;
}

static bool
has_found(const struct scrub_stats *s)
{
	return s->bad_ranges > 0;
}

static bool
has_healed(const struct scrub_stats *s)
{
	return s->healed_ranges > 0 && s->bad_ranges == 0;
}

static void
decay_is_found_and_healed(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	const struct kit_message *m;
	struct scrub_stats s;
	struct scrub_bad bad;
	struct sum sum;

	begin(k, &src, &sum);
	assert_int_equal(scrub_now(k->s), -EROFS);
	assert_int_equal(scrub_start(k->s), MQ_OK);
	s = stats_when(k, has_passed);
	assert_int_equal(s.sealed, mark_at(store_flushed(k->s)).byte / KIT_SEGMENT);
	assert_true(s.oldest_ms > 0);
	m = victim(k);
	hurt(k, m->pos.byte + 100, "bad bytes");
	assert_int_equal(scrub_now(k->s), MQ_OK);
	s = stats_when(k, has_found);
	assert_int_equal(s.bad_messages, 1);
	assert_int_equal(scrub_bad(k->s, &bad, 1), 1);
	assert_int_equal(bad.pos.byte, m->pos.byte);
	scrub_set_healer(k->s, &from);
	assert_int_equal(scrub_now(k->s), MQ_OK);
	stats_when(k, has_healed);
	assert_true(is_good(k, &src));
	assert_int_equal(scrub_bad(k->s, &bad, 1), 0);
	assert_int_equal(src.healed, 1);
	scrub_stop(k->s);
	kit_verify(k);
	free(src.good);
}

static void
what_nobody_could_heal_is_healed_as_soon_as_somebody_can(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	struct sum sum;

	begin(k, &src, &sum);
	src.away = true;
	hurt(k, victim(k)->pos.byte + 100, "bad bytes");
	assert_int_equal(scrub_start(k->s), MQ_OK);
	scrub_set_healer(k->s, &from);
	stats_when(k, has_found);
	stats_when(k, has_passed);
	assert_int_equal(src.asked, 0);
	src.away = false;
	stats_when(k, has_healed);
	assert_true(is_good(k, &src));
	scrub_stop(k->s);
	free(src.good);
}

static void
it_reads_no_faster_than_it_may(void **state)
{
	struct kit *k = *state;
	struct scrub_stats s;
	struct source src;
	struct sum sum;
	int64_t began;

	begin(k, &src, &sum);
	k->set.scrubRate = 4 * KIT_SEGMENT;
	began = clock_mono_ms();
	assert_int_equal(scrub_start(k->s), MQ_OK);
	do {
		poll(NULL, 0, 50);
		scrub_stats(k->s, &s);
		assert_true(s.read_bytes <= 4 * KIT_SEGMENT * (clock_mono_ms() - began + 200) / 1000 + KIT_SEGMENT);
	} while (s.read_bytes < 4 * KIT_SEGMENT && clock_mono_ms() - began < 60000);
	assert_true(s.read_bytes >= 4 * KIT_SEGMENT);
	began = clock_mono_ms();
	scrub_stop(k->s);
	assert_true(clock_mono_ms() - began < 20000);
	free(src.good);
}

static void
damage_from_before_the_first_sum_is_found_and_healed(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	struct sum sum;

	begin(k, &src, &sum);
	hurt(k, victim(k)->pos.byte + 100, "bad bytes");
	assert_int_equal(scrub_start(k->s), MQ_OK);
	scrub_set_healer(k->s, &from);
	(void)scrub_now(k->s);
	stats_when(k, has_healed);
	scrub_stop(k->s);
	assert_true(is_good(k, &src));
	assert_int_equal(sums_read(k->sd.fd, BASE, &sum), MQ_OK);
	assert_true(sum.checked_ms > 1000);
	free(src.good);
}

/* Views that were made while it was bad lack what is there again: made anew, they have it. */
static void
what_the_views_did_not_see_comes_with_the_next_mount(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct healer from = healer_of(&src);
	struct sum sum;

	begin(k, &src, &sum);
	hurt(k, victim(k)->pos.byte + 4, "no magic");
	kit_crash(k);
	kit_forget_checkpoint(k);
	kit_open(k);
	assert_int_equal(kit_read(k, victim(k)), -EIO);
	assert_int_equal(scrub_start(k->s), MQ_OK);
	scrub_set_healer(k->s, &from);
	(void)scrub_now(k->s);
	stats_when(k, has_healed);
	scrub_stop(k->s);
	assert_true(kit_exists(k, "views.stale"));
	kit_close(k);
	assert_true(kit_exists(k, "views.stale"));
	kit_open(k);
	kit_verify(k);
	kit_close(k);
	assert_false(kit_exists(k, "views.stale"));
	free(src.good);
}

static void
a_cut_log_has_no_sums_behind_the_cut(void **state)
{
	struct kit *k = *state;
	struct source src;
	struct sum sum;

	begin(k, &src, &sum);
	assert_int_equal(scrub_start(k->s), MQ_OK);
	stats_when(k, has_passed);
	assert_int_equal(sums_read(k->sd.fd, MQ_POS(0), &sum), MQ_OK);
	assert_int_equal(sums_read(k->sd.fd, BASE, &sum), MQ_OK);
	lock_take(&k->s->sealed_lock);
	scrub_log_was_cut(k->s, pos_add(BASE, 100));
	assert_int_equal(sums_read(k->sd.fd, MQ_POS(0), &sum), MQ_OK);
	assert_int_equal(sums_read(k->sd.fd, BASE, &sum), -ENOENT);
	lock_drop(&k->s->sealed_lock);
	scrub_stop(k->s);
	free(src.good);
}

static void
a_sum_that_is_none_is_not_believed(void **state)
{
	struct kit *k = *state;
	static const char *const texts[] = { "", "\n", "abc 65536 1\n", "x", "0 0 0\n" };
	struct source src;
	struct sum sum, read;

	begin(k, &src, &sum);
	sum.checked_ms = 7;
	assert_int_equal(sums_write(k->sd.fd, BASE, &sum), MQ_OK);
	assert_int_equal(sums_read(k->sd.fd, BASE, &read), MQ_OK);
	assert_memory_equal(&sum, &read, sizeof(sum));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		sh("printf '%%s' '%s' > '%s/sums/%020d'", texts[i], k->path, KIT_SEGMENT);
		assert_int_equal(sums_read(k->sd.fd, BASE, &read), -ENOENT);
	}
	assert_int_equal(sums_write(k->sd.fd, BASE, &sum), MQ_OK);
	sh("truncate -s -1 '%s/sums/%020d'", k->path, KIT_SEGMENT);
	assert_int_equal(sums_read(k->sd.fd, BASE, &read), -ENOENT);
	free(src.good);
}

#define ALONE(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ALONE(a_damaged_record_is_one_range),
		ALONE(what_no_crc_covers_is_found_by_the_sum),
		ALONE(an_end_of_zeros_is_damage),
		ALONE(bad_bytes_become_good_ones_and_are_kept),
		ALONE(short_answers_do),
		ALONE(long_records_come_in_pieces),
		ALONE(a_missing_segment_comes_again),
		ALONE(bytes_that_are_not_good_are_refused),
		ALONE(a_healing_that_fails_is_made_up_for),
		ALONE(what_is_given_away_is_whole),
		ALONE(decay_is_found_and_healed),
		ALONE(what_nobody_could_heal_is_healed_as_soon_as_somebody_can),
		ALONE(it_reads_no_faster_than_it_may),
		ALONE(damage_from_before_the_first_sum_is_found_and_healed),
		ALONE(what_the_views_did_not_see_comes_with_the_next_mount),
		ALONE(a_cut_log_has_no_sums_behind_the_cut),
		ALONE(a_sum_that_is_none_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
