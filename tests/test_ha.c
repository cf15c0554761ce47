#include "config.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "conf/err.h"
#include "repl/ha.h"

/* As RocketMQ 4.9.8 sends them. */
static const unsigned char report_1024[] = { 0, 0, 0, 0, 0, 0, 4, 0 };
static const unsigned char header_1024_172[] = { 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0xac };
static const unsigned char heartbeat_1196[] = { 0, 0, 0, 0, 0, 0, 4, 0xac, 0, 0, 0, 0 };
static const unsigned char header_2g[] = { 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0x80, 0 };

static void
what_is_sent_is_what_rocketmq_sends(void **state)
{
	unsigned char buf[HA_HEADER_BYTES];

	(void)state;
	ha_put_report(buf, 1024);
	assert_memory_equal(buf, report_1024, 8);
	ha_put_header(buf, 1024, 172);
	assert_memory_equal(buf, header_1024_172, 12);
	ha_put_header(buf, 1196, 0);
	assert_memory_equal(buf, heartbeat_1196, 12);
	ha_put_header(buf, 2147483648, 32768);
	assert_memory_equal(buf, header_2g, 12);
}

static void
only_the_last_complete_report_counts(void **state)
{
	struct ha_reports r = { .part_len = 0 };
	unsigned char buf[24];
	int64_t pos = -7;

	(void)state;
	ha_put_report(buf, 10);
	ha_put_report(buf + 8, 20);
	ha_put_report(buf + 16, 30);
	assert_int_equal(ha_reports_take(&r, buf, 21, &pos), MQ_OK);
	assert_int_equal(pos, 20);
	assert_int_equal(ha_reports_take(&r, buf + 21, 2, &pos), MQ_EEND);
	assert_int_equal(pos, 20);
	assert_int_equal(ha_reports_take(&r, buf + 23, 1, &pos), MQ_OK);
	assert_int_equal(pos, 30);
	assert_int_equal(ha_reports_take(&r, buf, 0, &pos), MQ_EEND);
}

static void
a_report_that_is_no_position_is_refused(void **state)
{
	static const unsigned char text[] = { 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T' };
	static const unsigned char minus_1[] = { 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 1 };
	struct ha_reports r = { .part_len = 0 };
	int64_t pos = -7;

	(void)state;
	assert_int_equal(ha_reports_take(&r, minus_1, sizeof(minus_1), &pos), MQ_ECORRUPT);
	r.part_len = 0;
	assert_int_equal(ha_reports_take(&r, text, sizeof(text), &pos), MQ_ECORRUPT);
	assert_int_equal(pos, -7);
}

static int
feed(struct ha_frames *f, const unsigned char *bytes, size_t len)
{
	int rc = MQ_EEND;

	for (size_t i = 0; i < len; i++) {
		f->head[f->head_len] = bytes[i];
		rc = ha_frames_head(f, 1);
		assert_true(rc == MQ_EEND || i == len - 1);
	}
	return rc;
}

static void
a_frame_is_understood_byte_by_byte(void **state)
{
	struct ha_frames f = { .head_len = 0 };

	(void)state;
	assert_int_equal(feed(&f, header_1024_172, 12), MQ_OK);
	assert_int_equal(f.pos, 1024);
	assert_int_equal(f.left, 172);
	for (int i = 0; i < 172; i++)
		ha_frames_body(&f, 1);
	assert_int_equal(f.pos, 1196);
	assert_int_equal(f.left, 0);
	assert_int_equal(ha_frames_head_left(&f), HA_HEADER_BYTES);
	assert_int_equal(feed(&f, heartbeat_1196, 12), MQ_OK);
	assert_int_equal(f.pos, 1196);
	assert_int_equal(f.left, 0);
}

static void
a_frame_that_cannot_be_is_refused(void **state)
{
	static const struct {
		int64_t pos;
		int32_t len;
		int rc;
	} rows[] = {
		{ 0, HA_BODY_MAX, MQ_OK },
		{ INT64_MAX, 0, MQ_OK },
		{ 0, HA_BODY_MAX + 1, MQ_ECORRUPT },
		{ 0, INT32_MAX, MQ_ECORRUPT },
		{ 0, -1, MQ_ECORRUPT },
		{ 0, INT32_MIN, MQ_ECORRUPT },
		{ -1, 0, MQ_ECORRUPT },
		{ INT64_MIN, 5, MQ_ECORRUPT },
		{ INT64_MAX, 1, MQ_ECORRUPT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct ha_frames f = { .head_len = 0 };

		ha_put_header(f.head, rows[i].pos, rows[i].len);
		assert_int_equal(ha_frames_head(&f, HA_HEADER_BYTES), rows[i].rc);
		if (rows[i].rc != MQ_OK)
			assert_int_equal(f.left, 0);
	}
}

static void
sending_starts_where_a_slave_is_or_at_the_logs_begin(void **state)
{
	static const int64_t gib = 1 << 30;
	static const struct {
		int64_t wants, begin, written, pos;
		int rc;
	} rows[] = {
		{ 0, 0, 3000000000, 0, MQ_OK },
		{ 0, 0, 0, 0, MQ_OK },
		{ 0, 0, 5, 0, MQ_OK },
		{ 0, 0, gib, 0, MQ_OK },
		{ 0, gib, gib, gib, MQ_OK },
		{ 1, 0, 3000000000, 1, MQ_OK },
		{ 1, 0, 0, 1, MQ_OK },			/* all of a log that is still empty */
		{ 2, 0, 0, -7, -ERANGE },
		{ 1, 0, 1, 1, MQ_OK },
		{ 1, gib, gib + 5, -7, MQ_EGONE },
		{ gib, gib, gib + 5, gib, MQ_OK },
		{ gib + 5, gib, gib + 5, gib + 5, MQ_OK },
		{ gib + 6, gib, gib + 5, -7, -ERANGE },
		{ INT64_MAX, 0, gib, -7, -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int64_t pos = -7;

		assert_int_equal(ha_start(rows[i].wants, rows[i].begin, rows[i].written, &pos), rows[i].rc);
		assert_int_equal(pos, rows[i].pos);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sent_is_what_rocketmq_sends),
		cmocka_unit_test(only_the_last_complete_report_counts),
		cmocka_unit_test(a_report_that_is_no_position_is_refused),
		cmocka_unit_test(a_frame_is_understood_byte_by_byte),
		cmocka_unit_test(a_frame_that_cannot_be_is_refused),
		cmocka_unit_test(sending_starts_where_a_slave_is_or_at_the_logs_begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
