#include "config.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "conf/bytes.h"
#include "conf/err.h"
#include "repl/ha.h"

void
ha_put_report(unsigned char at[HA_REPORT_BYTES], int64_t pos)
{
	be64_put(at, pos);
}

void
ha_put_header(unsigned char at[HA_HEADER_BYTES], int64_t pos, int32_t body_len)
{
	be64_put(at, pos);
	be32_put(at + 8, body_len);
}

int
ha_reports_take(struct ha_reports *r, const void *buf, size_t len, int64_t *ret_pos)
{
	const unsigned char *at = buf;
	int64_t last = -1;

	while (len > 0) {
		size_t n = HA_REPORT_BYTES - r->part_len;

		n = n < len ? n : len;
		memcpy(r->part + r->part_len, at, n);
		r->part_len += n;
		at += n;
		len -= n;
		if (r->part_len < HA_REPORT_BYTES)
			break;
		r->part_len = 0;
		last = be64_get(r->part);
		if (last < 0 || last > HA_POS_MAX)
			return err_note(MQ_ECORRUPT, "reports position %" PRId64 ", which no log has", last);
	}
	if (last < 0)
		return MQ_EEND;
	*ret_pos = last;
	return MQ_OK;
}

int
ha_frames_head(struct ha_frames *f, size_t n)
{
	int64_t pos;
	int32_t len;

	MUST(f->left == 0 && n <= ha_frames_head_left(f));
	f->head_len += n;
	if (f->head_len < HA_HEADER_BYTES)
		return MQ_EEND;
	f->head_len = 0;
	pos = be64_get(f->head);
	len = be32_get(f->head + 8);
	if (pos < 0 || len < 0 || len > HA_BODY_MAX || pos > INT64_MAX - len)
		return err_note(MQ_ECORRUPT, "sends a frame of %" PRId32 " bytes for position %" PRId64, len, pos);
	f->pos = pos;
	f->left = len;
	return MQ_OK;
}

void
ha_frames_body(struct ha_frames *f, size_t n)
{
	MUST(n <= (size_t)f->left);
	f->pos += (int64_t)n;
	f->left -= (int32_t)n;
}

int
ha_start(int64_t wants, int64_t begin, int64_t written, int64_t *ret_pos)
{
	int64_t pos = wants == 0 ? begin : wants;

	if (pos < begin)
		return MQ_EGONE;
	if (pos > written && !(written == 0 && pos == 1))
		return -ERANGE;
	*ret_pos = pos;
	return MQ_OK;
}
