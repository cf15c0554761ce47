#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"
#include "conf/bytes.h"
#include "conf/err.h"
#include "conf/scope.h"
#include "store/scan.h"

#define READ_BYTES (1u << 20)
#define READ_LITTLE_BYTES 4096u	/* if READ_BYTES cannot be read, or most bytes are known */
#define SCAN_BYTES (64u << 10)

/* --- bytes --------------------------------------------------------------------------- */

void
scan_free(struct scan *sc)
{
	free(take_ptr(sc->buf));
	sc->size = sc->len = 0;
}

void
scan_forget(struct scan *sc)
{
	sc->len = 0;
}

static int
fill(struct scan *sc, mq_pos pos, size_t len)
{
	int rc = ARRAY_ROOM(sc->buf, sc->size, len);

	sc->base = pos;
	sc->len = 0;
	return rc == MQ_OK ? sc->source->read(sc->arg, pos, sc->buf, len, &sc->len) : rc;
}

/* The bytes from pos on that are in memory. */
static const unsigned char *
held(const struct scan *sc, mq_pos pos, size_t *ret_len)
{
	const struct scan_known *known = sc->known;

	if (known && pos.byte >= known->pos.byte) {
		int64_t at = pos.byte - known->pos.byte;

		*ret_len = at < (int64_t)known->len ? known->len - (size_t)at : 0;
		return known->bytes + (*ret_len ? at : 0);
	}
	if (pos.byte < sc->base.byte || pos.byte - sc->base.byte >= (int64_t)sc->len) {
		*ret_len = 0;
		return NULL;
	}
	*ret_len = sc->len - (size_t)(pos.byte - sc->base.byte);
	return sc->buf + (pos.byte - sc->base.byte);
}

/* Read READ_BYTES at pos, or fewer if these cannot be read, and decode the record there. */
static int
read_head(struct scan *sc, mq_pos pos, struct record *rec)
{
	int rc = fill(sc, pos, sc->known ? READ_LITTLE_BYTES : READ_BYTES);

	if (rc == -EIO)
		rc = fill(sc, pos, READ_LITTLE_BYTES);
	return rc == MQ_OK ? record_decode(sc->buf, sc->len, rec) : rc;
}

/* record_decode() of the record at pos, with as much read as it takes. */
static int
decode(struct scan *sc, mq_pos pos, struct record *rec)
{
	size_t len;
	const unsigned char *at = held(sc, pos, &len);
	int64_t has;
	int rc = len ? record_decode(at, len, rec) : MQ_EEND;

	if (rc != MQ_EEND || (sc->known && pos.byte >= sc->known->pos.byte))
		return rc;
	rec->total = 0;
	has = sc->source->has(sc->arg, pos);
	rc = has > 0 ? read_head(sc, pos, rec) : MQ_EEND;
	/* no memory is allocated for an impossible length */
	if (rc != MQ_EEND || rec->total <= 0 || (size_t)rec->total <= sc->len || rec->total > has)
		return rc;
	rc = fill(sc, pos, (size_t)rec->total);
	return rc == MQ_OK ? record_decode(sc->buf, sc->len, rec) : rc;
}

/* --- one record --------------------------------------------------------------------- */

static int
wrong(struct scan *sc, const char *why)
{
	sc->why = why;
	return MQ_ECORRUPT;
}

/* Why record_decode() has failed at pos. */
static const char *
what_is_wrong(const struct scan *sc, mq_pos pos)
{
	static const unsigned char zeros[8];
	size_t len;
	const unsigned char *at = held(sc, pos, &len);
	int32_t magic;

	if (len < sizeof(zeros))
		return "it is shorter than any record";
	if (memcmp(at, zeros, sizeof(zeros)) == 0)
		return "there are zeros";
	magic = be32_get(at + 4);
	if (magic != RECORD_MAGIC && magic != RECORD_MAGIC_V2 && magic != RECORD_MAGIC_BLANK)
		return "it has no magic number";
	if (be32_get(at) < RECORD_MIN_BYTES)
		return "its length cannot be";
	return "its fields do not fit its length";
}

/* Bytes from pos to the end of its segment. */
static int64_t
left_in_segment(const struct scan *sc, mq_pos pos)
{
	return sc->segment_bytes ? sc->segment_bytes - pos.byte % sc->segment_bytes : INT64_MAX;
}

/* The record has all its fields: are their values valid? */
static int
check_fields(struct scan *sc, mq_pos pos, const struct record *rec)
{
	if (rec->pos.byte != pos.byte)
		return wrong(sc, "it says that it lies elsewhere");
	if (record_crc(rec->body, (size_t)rec->body_len) != rec->body_crc)
		return wrong(sc, "its body does not match its CRC");
	if (!record_topic_valid(rec->topic, (size_t)rec->topic_len))
		return wrong(sc, "its topic cannot be");
	if (rec->props_len > 0 && rec->props[rec->props_len - 1] == '\0')
		return wrong(sc, "its properties end with zeros");
	if (rec->total > left_in_segment(sc, pos) - RECORD_BLANK_BYTES)
		return wrong(sc, "it runs beyond the end of its segment");
	return MQ_OK;
}

static bool
fills_segment(const struct scan *sc, mq_pos pos, int32_t total)
{
	return sc->segment_bytes ? total == left_in_segment(sc, pos) : sc->source->fills(sc->arg, pos, total);
}

int
scan_record(struct scan *sc, mq_pos pos, struct record *ret_rec, bool *ret_readable)
{
	int rc = decode(sc, pos, ret_rec);

	if (ret_readable)
		*ret_readable = rc == MQ_OK;
	switch (rc) {
	case MQ_OK:
		return check_fields(sc, pos, ret_rec);
	case MQ_EBLANK:
		return fills_segment(sc, pos, ret_rec->total) ? rc :
			wrong(sc, "it is a blank record that does not end where its segment does");
	case MQ_EEND:
		sc->why = ret_rec->total > 0 ? "it ends before its length says" : what_is_wrong(sc, pos);
		return rc;
	case MQ_ECORRUPT:
		return wrong(sc, what_is_wrong(sc, pos));
	case -EIO:
		return wrong(sc, "it cannot be read");
	default:
		return rc;
	}
}

static bool
is_whole(int rc)
{
	return rc == MQ_OK || rc == MQ_EBLANK;
}

int
scan_step(struct scan *sc, struct record *rec, mq_pos *ret_end)
{
	mq_pos begin = rec->pos, at = begin;
	int rc = MQ_OK;

	while (rc == MQ_OK && record_is_continued(rec)) {
		at = pos_add(at, rec->total);
		rc = scan_record(sc, at, rec, NULL);
	}
	if (rc == MQ_EBLANK)
		rc = MQ_ECORRUPT;
	if (rc == MQ_OK) {
		*ret_end = pos_add(at, rec->total);
		return scan_record(sc, begin, rec, NULL);
	}
	sc->why = "it belongs together with records that are not there";
	return rc;
}

/* --- behind damage ------------------------------------------------------------------ */

static bool
is_none(int rc)
{
	return rc == MQ_EEND || rc == MQ_ECORRUPT || rc == MQ_EBLANK || rc == MQ_EGONE;
}

/* The first whole record that begins among n bytes, which lie at pos. */
static int
search_block(struct scan *sc, mq_pos pos, const unsigned char *block, size_t n, mq_pos *ret_pos)
{
	static const unsigned char magic[] = { 0xda, 0xa3, 0x20 };	/* of V1 and V2 */
	const unsigned char *at = block + 4;
	struct record rec;

	if (n < RECORD_MIN_BYTES)
		return MQ_EEND;
	while ((at = memmem(at, n - (size_t)(at - block), magic, sizeof(magic)))) {
		mq_pos candidate = pos_add(pos, at - 4 - block);
		int rc = scan_record(sc, candidate, &rec, NULL);

		if (rc == MQ_OK)
			*ret_pos = candidate;
		if (!is_none(rc))
			return rc;
		at++;
	}
	return MQ_EEND;
}

static int
search(struct scan *sc, mq_pos pos, mq_pos *ret_pos)
{
	AUTO_FREE unsigned char *block = malloc(SCAN_BYTES);
	int rc = block ? sc->source->forget_zeros(sc->arg, pos) : -ENOMEM;
	mq_pos end;

	if (rc != MQ_OK)
		return rc;
	rc = MQ_EEND;
	while (rc == MQ_EEND && sc->source->next_data(sc->arg, pos, &pos, &end)) {
		size_t n = end.byte - pos.byte < SCAN_BYTES ? (size_t)(end.byte - pos.byte) : SCAN_BYTES, got = 0;

		rc = sc->source->read(sc->arg, pos, block, n, &got);
		if (rc == MQ_OK)
			rc = search_block(sc, pos, block, got, ret_pos);
		else if (rc == -EIO)
			rc = MQ_EEND;		/* skip bytes that cannot be read */
		/* blocks overlap, so that no record's head is cut in two */
		pos = pos_add(pos, got == SCAN_BYTES ? (int64_t)got - RECORD_MIN_BYTES : (int64_t)(got ? got : n));
	}
	return rc;
}

/* The end of the record at `bad` according to its length, if a whole record begins there.  This is
 * tried first, since a damaged body leaves the length valid, and bytes of a body must not be taken for
 * a record. */
static bool
next_by_length(struct scan *sc, mq_pos bad, mq_pos *ret_pos)
{
	unsigned char head[4];
	struct record rec;
	int32_t total;
	size_t n = 0;

	if (sc->source->has(sc->arg, bad) < (int64_t)sizeof(head) ||
	    sc->source->read(sc->arg, bad, head, sizeof(head), &n) != MQ_OK || n < sizeof(head))
		return false;
	total = be32_get(head);
	if (total < RECORD_BLANK_BYTES || total > left_in_segment(sc, bad))
		return false;
	*ret_pos = pos_add(bad, total);
	return is_whole(scan_record(sc, *ret_pos, &rec, NULL));
}

int
scan_next(struct scan *sc, mq_pos bad, mq_pos *ret_pos)
{
	return next_by_length(sc, bad, ret_pos) ? MQ_OK : search(sc, pos_add(bad, 1), ret_pos);
}
