/* remoting.h - RocketMQ's remoting protocol: one frame, as bytes.
 *
 *      4 bytes   i32   how many follow, less than 16 MiB
 *      1         u8    dialect of the header: 0 JSON, 1 binary
 *      3         u24   length of the header
 *      n               header
 *      rest            body, opaque
 *
 *      JSON      {"code":30,"extFields":{"queueId":"0"},"flag":0,"language":"JAVA",
 *                 "opaque":7,"remark":"...","serializeTypeCurrentRPC":"JSON","version":409}
 *
 *      binary    i16 code   i8 language   i16 version   i32 opaque   i32 flag
 *                i32 length, remark
 *                i32 bytes, entries of { i16 length, name, i32 length, value }
 *
 * Big-endian.  What is not there is 0 or nothing, members we do not know are
 * passed over, and a value of extFields may also be a number or a switch.  Texts
 * are UTF-8 without NUL.  A response copies opaque, and is in the dialect of
 * its request.
 *
 * Nothing here touches a socket.  What is received takes 4 KiB of memory, and
 * then no more than twice what has come.
 */
#ifndef MQFS_NET_REMOTING_H
#define MQFS_NET_REMOTING_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define REMOTING_HEAD_BYTES 8
#define REMOTING_FRAME_MAX (16 << 20)	/* with those of its length */
#define REMOTING_HEADER_MAX (256 << 10)	/* more is refused, so that no header holds up others; the
					 * longest properties, six bytes a character, are less */
#define REMOTING_VERSION 409		/* of RocketMQ, whose protocol we speak: 4.9.8 */
#define REMOTING_V3_4_9 121		/* older clients say nothing of maxReconsumeTimes that counts */

enum remoting_dialect {
	REMOTING_JSON,
	REMOTING_BINARY,
};

enum remoting_flag {
	REMOTING_RESPONSE = 1,
	REMOTING_ONE_WAY = 2,		/* no response is wanted */
};

enum remoting_language {
	REMOTING_JAVA = 0,
	REMOTING_CPP = 1,
	REMOTING_OTHER = 7,
};

/* Starts as zeros.  ext, remark and memory are the frame's. */
struct remoting_frame {
	enum remoting_dialect dialect;
	int32_t code, opaque;
	int32_t flag;			/* enum remoting_flag */
	int32_t language;		/* enum remoting_language, or another of RocketMQ's */
	int32_t version;
	char *remark;			/* NULL: none */
	json_t *ext;			/* an object of strings; NULL: none */
	const char *body;		/* in `memory` when received, else the caller's, or NULL */
	size_t body_len;
	size_t header_len;		/* when received: how long its header was */
	char *memory;
};

void remoting_frame_clear(struct remoting_frame *f);

/* --- sending ------------------------------------------------------------------------- */

/* The frame: *ret (to be freed).  If `body` is NULL though there is a body_len, it is
 * what goes before a body of that length.  -EMSGSIZE, noted: no frame can hold that much. */
int remoting_encode(const struct remoting_frame *f, char **ret, size_t *ret_len);

/* --- receiving; starts as zeros ------------------------------------------------------- */

struct remoting_reader {
	unsigned char head[REMOTING_HEAD_BYTES];
	size_t head_len;		/* what has come of it */
	size_t size;			/* of header and body, once the head is known */
	char *memory;			/* holds them: `len` have come, it has `room` */
	size_t len, room;
};

void remoting_reader_clear(struct remoting_reader *r);

/* A frame has begun and is not complete. */
static inline int
remoting_reader_is_amid(const struct remoting_reader *r)
{
	return r->head_len > 0;
}

/* Where to put what comes next, and at most how much: never beyond the frame.
 * NULL: there is no memory. */
void *remoting_reader_place(struct remoting_reader *r, size_t *ret_len);

/* So much was put there.  MQ_OK: *ret is the frame, and another one can begin.
 * MQ_EEND: not yet.  MQ_ECORRUPT, noted: no frame can be like that. */
int remoting_reader_take(struct remoting_reader *r, size_t n, struct remoting_frame *ret);

#endif
