/* What the log says at a position, of a message of a queue, at a time, and with a key. */
#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <libdeflate.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/clock.h"
#include "conf/err.h"
#include "store/store_priv.h"

int
store_read_raw(struct store *s, mq_pos pos, void *buf, size_t len, size_t *ret_n)
{
	return commitlog_read(&s->log, pos, mark_at(&s->log.written), buf, len, ret_n);
}

bool
store_map_raw(struct store *s, mq_pos pos, size_t len, struct raw_map *ret)
{
	ret->bytes = commitlog_map(&s->log, pos, mark_at(&s->log.written), len, &ret->ref);
	return ret->bytes;
}

void
store_unmap_raw(struct store *s, const struct raw_map *map)
{
	fdcache_put(s->files, map->ref);
}

int
store_crc_raw(struct store *s, mq_pos from, mq_pos to, uint32_t *ret)
{
	unsigned char buf[4096];
	uint32_t crc = 0;
	size_t n = 0;

	for (mq_pos at = from; at.byte < to.byte; at = pos_add(at, (int64_t)n)) {
		int64_t left = to.byte - at.byte;
		int rc = store_read_raw(s, at, buf, left < (int64_t)sizeof(buf) ? (size_t)left : sizeof(buf), &n);

		if (rc != MQ_OK || n == 0)
			return rc != MQ_OK ? rc : MQ_EEND;
		crc = libdeflate_crc32(crc, buf, n);
	}
	*ret = crc;
	return MQ_OK;
}

int
store_read(struct store *s, mq_pos pos, unsigned char **buf, size_t *buf_size, struct record *ret_rec)
{
	size_t want = 4096, n;
	struct record rec;
	int rc;

	for (;;) {
		rc = ARRAY_ROOM(*buf, *buf_size, want);
		if (rc == MQ_OK)
			rc = store_read_raw(s, pos, *buf, want, &n);
		if (rc != MQ_OK)
			return rc;
		rc = record_verify(*buf, n, pos, &rec);
		if (rc != MQ_EEND || rec.total <= (int32_t)want || rec.total > s->log.segment_bytes)
			break;
		want = (size_t)rec.total;
	}
	if (rc != MQ_OK)
		return err_note(-EIO, "no valid record at position %" PRId64 " of the log", pos.byte);
	*ret_rec = rec;
	return MQ_OK;
}

int
store_time_of(struct store *s, struct queue *q, mq_qoff n, int64_t *ret_ms)
{
	unsigned char head[RECORD_MIN_BYTES];
	struct queue_entry e;
	size_t got;
	int rc;

	rc = queue_entries(q, n, &e, 1, &got);
	if (rc != MQ_OK)
		return rc;
	if (e.total == QUEUE_HOLE_SIZE)
		return -EIO;
	rc = store_read_raw(s, e.pos, head, sizeof(head), &got);
	if (rc != MQ_OK)
		return rc;
	if (got < sizeof(head) || be64_get(head + RECORD_PHYSICALOFFSET_AT) != e.pos.byte)
		return -EIO;
	*ret_ms = be64_get(head + record_store_ms_at(head));
	return MQ_OK;
}

int64_t
store_believed_ms(struct store *s)
{
	return wallclock_believed_ms(&s->clock, NULL);
}

/* As store_time_of(); -ERANGE for a message that was stored when the clock was ahead. */
static int
true_time_of(struct store *s, struct queue *q, int64_t n, int64_t *ret_ms)
{
	int rc = store_time_of(s, q, MQ_QOFF(n), ret_ms);

	return rc == MQ_OK && *ret_ms > clock_wall_ms() + WALLCLOCK_STEP_MS ? -ERANGE : rc;
}

/* Message `bad` was stored when the clock was ahead.  Returns the nearest message before it, from
 * `low` on, that was not; `low` - 1: there is none.  Many messages may lie in between. */
static int64_t
before_clock_was_ahead(struct store *s, struct queue *q, int64_t low, int64_t bad)
{
	int64_t good = bad, step = 1, ms;

	do {
		bad = good;
		good = bad - step < low ? low - 1 : bad - step;
		step *= 2;
	} while (good >= low && true_time_of(s, q, good, &ms) == -ERANGE);
	while (bad - good > 1) {
		int64_t mid = good + (bad - good) / 2;

		if (true_time_of(s, q, mid, &ms) == -ERANGE)
			bad = mid;
		else
			good = mid;
	}
	return good;
}

int
store_find_time(struct store *s, struct queue *q, int64_t ms, mq_qoff *ret_qoff)
{
	int64_t low = queue_min(q).n, high = queue_end(q).n;

	while (low < high) {
		int64_t mid = low + (high - low) / 2, at = 0, probe = mid;
		int rc = -EIO;

		/* a message whose record or time is wrong counts as stored with the nearest good one before it */
		while (probe >= low) {
			rc = true_time_of(s, q, probe, &at);
			if (rc == -EIO)
				probe--;
			else if (rc == -ERANGE)
				probe = before_clock_was_ahead(s, q, low, probe);
			else
				break;
		}
		if (rc == -ERANGE)
			rc = -EIO;
		if (rc != MQ_OK && rc != -EIO && rc != MQ_EGONE)
			return rc;
		if (rc == MQ_OK && at >= ms)
			high = probe;
		else
			low = mid + 1;
	}
	*ret_qoff = MQ_QOFF(low);
	return MQ_OK;
}

int
store_find_key(struct store *s, const char *topic, const char *key, int64_t from_ms, int64_t to_ms, mq_pos *ret_pos,
	       size_t max, size_t *ret_n)
{
	return keyindex_find(s->index, topic, key, from_ms, to_ms, ret_pos, max, ret_n);
}
