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
 * Big-endian.  An absent member is 0 or empty, unknown members are ignored, and a
 * value of extFields may also be a number or a boolean.  Texts are UTF-8 without
 * NUL.  A response copies opaque, and is in the dialect of its request.
 *
 * Nothing here touches a socket.  A frame that is being received takes 4 KiB of
 * memory, and then at most twice the bytes that have come.
 */
#ifndef MQFS_NET_REMOTING_H
#define MQFS_NET_REMOTING_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "net/fields.h"

#define REMOTING_HEAD_BYTES 8
#define REMOTING_FRAME_MAX (16 << 20)	/* with the bytes of its length */
#define REMOTING_HEADER_MAX (256 << 10)	/* a longer one is refused, so that parsing it delays no other
					 * client; the longest properties, six bytes a character, fit */
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

/* Starts as zeros.  ext, remark and memory are the frame's, and so are fields when it was received. */
struct remoting_frame {
	enum remoting_dialect dialect;
	int32_t code, opaque;
	int32_t flag;			/* enum remoting_flag */
	int32_t language;		/* enum remoting_language, or another of RocketMQ's */
	int32_t version;
	char *remark;			/* NULL: none */
	json_t *ext;			/* an object of strings; NULL: none */
	struct fields *fields;		/* in its place, if not NULL; when sent in the order of the alphabet */
	const char *body;		/* in `memory` when received, else the caller's, or NULL */
	size_t body_len;
	size_t header_len;		/* when received: how long its header was */
	char *memory;
};

void remoting_frame_clear(struct remoting_frame *f);

/* A response to `to`, and a request that wants no response: with that code, and nothing else. */
struct remoting_frame remoting_response(const struct remoting_frame *to, int code);
struct remoting_frame remoting_one_way(int code);

/* The name of a language in RocketMQ's LanguageCode; "OTHER" for an unknown one. */
const char *remoting_language(int32_t language);

/* --- sending ------------------------------------------------------------------------- */

/* Encode the frame: *ret (to be freed).  If `body` is NULL and body_len is not 0, *ret is the
 * frame without its body, which the caller sends.  -EMSGSIZE, noted: it is too large for a frame. */
int remoting_encode(const struct remoting_frame *f, char **ret, size_t *ret_len);

/* --- receiving; starts as zeros ------------------------------------------------------- */

struct remoting_reader {
	unsigned char head[REMOTING_HEAD_BYTES];
	size_t head_len;		/* bytes of it that have come */
	size_t size;			/* of header and body, once the head is complete */
	char *memory;			/* header and body: `len` bytes have come, it has `room` */
	size_t len, room;
	bool (*cuts)(int code);		/* the owner's; NULL: never.  Where it says so, a frame has its fields
					 * as `fields`, if fields_cut() or header_cut() can, else as `ext` */
};

void remoting_reader_clear(struct remoting_reader *r);

/* A frame has begun and is not complete. */
static inline int
remoting_reader_is_amid(const struct remoting_reader *r)
{
	return r->head_len > 0;
}

/* Where to put the next bytes, and at most how many: never beyond the frame.
 * NULL: there is no memory. */
void *remoting_reader_place(struct remoting_reader *r, size_t *ret_len);

/* n bytes were put there.  MQ_OK: *ret is the frame, and the next one can begin.
 * MQ_EEND: it is not complete.  MQ_ECORRUPT, noted: it is invalid. */
int remoting_reader_take(struct remoting_reader *r, size_t n, struct remoting_frame *ret);

#endif
