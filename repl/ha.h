/* ha.h - RocketMQ's replication protocol: what goes over the wire.
 *
 *   slave -> master    8 bytes   i64  the slave has the log up to here; its first
 *                                     report is also where the master begins to send
 *   master -> slave   12 bytes   i64  position of the first byte that follows
 *                                i32  how many follow; 0: a heartbeat
 *                     n bytes    of the log as it is
 *
 * Big-endian, no handshake, no version.  The network cuts a stream anywhere: both
 * decoders accept any number of bytes, also one.  They allocate no memory and keep
 * only a part of a report or of a header.
 */
#ifndef MQFS_REPL_HA_H
#define MQFS_REPL_HA_H

#include <stddef.h>
#include <stdint.h>

#define HA_REPORT_BYTES 8
#define HA_HEADER_BYTES 12
#define HA_POS_MAX (INT64_C(1) << 50)	/* no log is that long; bytes of another protocol soon exceed it */
#define HA_BODY_MAX (4 << 20)		/* more than a RocketMQ slave has room for: no master sends it */

void ha_put_report(unsigned char at[HA_REPORT_BYTES], int64_t pos);
void ha_put_header(unsigned char at[HA_HEADER_BYTES], int64_t pos, int32_t body_len);

/* --- the master's decoder of reports; starts as zeros --------------------------- */

struct ha_reports {
	unsigned char part[HA_REPORT_BYTES];
	size_t part_len;
};

/* Take all of buf; only the last complete report in it counts.
 * MQ_OK: *ret_pos is its position.  MQ_EEND: no report is complete.  MQ_ECORRUPT: a report
 * is not a position of a log. */
int ha_reports_take(struct ha_reports *r, const void *buf, size_t len, int64_t *ret_pos);

/* --- the slave's decoder of frames; starts as zeros ------------------------------ */

struct ha_frames {
	unsigned char head[HA_HEADER_BYTES];
	size_t head_len;		/* bytes of the next header that have come */
	int64_t pos;			/* of the next byte of the body */
	int32_t left;			/* of the body; 0: a header is next */
};

/* Bytes of the next header that have not come yet. */
static inline size_t
ha_frames_head_left(const struct ha_frames *f)
{
	return HA_HEADER_BYTES - f->head_len;
}

/* n more bytes were received into f->head + f->head_len.  MQ_OK: a frame begins, see
 * pos and left.  MQ_EEND: the header is not complete.  MQ_ECORRUPT: it is invalid. */
int ha_frames_head(struct ha_frames *f, size_t n);

/* n more bytes of the body were received, at most `left`. */
void ha_frames_body(struct ha_frames *f, size_t n);

/* --- where the master begins to send ---------------------------------------------- */

/* `wants` is the position in a slave's first report; the master's log is [begin, written).
 * A slave that reports 0 has nothing and is sent everything from `begin` on (RocketMQ's
 * masters send their last segment only).  For any other position sending begins there.
 * MQ_OK: send from *ret_pos.  MQ_EGONE: the log begins after that position.  -ERANGE: the
 * log ends before it, so the slave has bytes that this log never had.  Position 1 of an
 * empty log is allowed: an mqfs slave asks for the whole log in this way (receiver.h). */
int ha_start(int64_t wants, int64_t begin, int64_t written, int64_t *ret_pos);

#endif
