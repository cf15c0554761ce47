/* framing.h - bytes of a file <-> messages, for the four formats of a topic.
 *
 * Splitting (append): the bytes of a write(2) go in, whole messages come out.
 * The splitter, which belongs to the open file, keeps an unfinished message.
 *
 *    lines   up to each '\n' (not part of the message); the rest at the end
 *    raw     each write is one message
 *    len32   4 bytes big-endian length, then the body
 *    json    each line is an object; see framing_json_parse()
 *    whole   everything up to the end is one message
 *
 * Rendering (read): the length of a message is known before it is rendered, so
 * that a file position can be found without rendering the messages before it.
 *
 * No I/O, no locks.
 */
#ifndef MQFS_FS_FRAMING_H
#define MQFS_FS_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "offsets/meta.h"
#include "store/record.h"

/* A line that is too long.
 *
 * Nothing of it becomes a message.  The write that brings it over the limit is
 * refused with -EMSGSIZE, and the held beginning of the line is dropped.  Later
 * writes continue that line, so they are refused too, up to and with the one that
 * brings its '\n'; then the splitter is in step again.  Each refused write is
 * refused whole, so the writer is told of everything that is not stored.
 *
 *                    line too long, its '\n' not there yet
 *       ┌─────────┐ ─────────────────────────────────────▶ ┌────────────┐ no '\n'
 *       │ IN_STEP │                                        │ IN_REFUSED │ ◀────┐
 *       └─────────┘ ◀───────────────────────────────────── └────────────┘ ─────┘
 *         │     ▲         the write that brings it             refused
 *         │     │                (refused)
 *         │     │ any other write (taken)
 *         ▼     │
 *    ┌───────────────┐
 *    │ AFTER_REFUSED │ ◀─┐ the same write again (refused)
 *    └───────────────┘ ──┘
 *     line too long, its '\n' in the same write
 *
 * "The same again": the kernel hands a long write(2) over in parts and reports
 * the failure of a later part as a short write; the program then writes the
 * rest again and must be refused again.  So a write that begins with exactly the
 * bytes that were refused last is refused, however often it comes.
 *
 * A len32 message says its length first: no part of a body that is too long is
 * ever taken, and its writer has to begin again with a length.  A `whole` one
 * that is too long is refused until the file is closed.
 */
enum splitter_step {
	SPLITTER_IN_STEP,
	SPLITTER_IN_REFUSED,
	SPLITTER_AFTER_REFUSED,
};

struct splitter {
	enum topic_format format;
	bool whole;
	enum splitter_step step;
	size_t max_body;	/* maxMessageSize */
	unsigned char *held;	/* an unfinished message (len32: with its 4 bytes) */
	size_t held_len, held_size;
	size_t refused_len;	/* the write that began the last refusal, */
	int32_t refused_crc;	/* by which it is recognized */
};

void splitter_init(struct splitter *s, enum topic_format format, bool whole, size_t max_body);
void splitter_free(struct splitter *s);

/* A whole message's bytes, in up to two pieces: held bytes, and bytes of this write. */
struct piece {
	const unsigned char *a;
	size_t a_len;
	const unsigned char *b;
	size_t b_len;
};

/* The next whole message in buf[*at .. len), advancing *at past it.  A write
 * begins with *at == 0.
 *
 * MQ_OK       *ret is a message (its pieces stay valid until the next call)
 * MQ_EEND     no more whole messages; the rest has been taken over as held
 *             (*at == len)
 * -EMSGSIZE   the message there is over the limit: nothing of it was taken, *at
 *             is where it began in buf (noted).  *at > 0: report a short write
 *             of *at; the rest comes again and is refused then.
 * -EINVAL     len32 with a negative length (noted); *at as above
 * -ENOMEM     *at as above
 *
 * The limit is max_body; of a json line, as much as a body of max_body and the
 * longest properties can take when they are escaped: see framing_json_parse().
 */
int splitter_next(struct splitter *s, const void *buf, size_t len, size_t *at, struct piece *ret);

/* The message that close makes of what is held: MQ_OK, MQ_EEND if there is
 * none; -EINVAL for a torn len32 (noted).  Then nothing is held. */
int splitter_finish(struct splitter *s, struct piece *ret);

bool splitter_holds(const struct splitter *s);

/* Hold exactly these bytes from now on: the beginning of a message, from
 * earlier writes.  -ENOMEM: nothing has changed. */
int splitter_hold(struct splitter *s, const void *bytes, size_t len);

/* --- rendering ------------------------------------------------------------- */

/* Bytes beside the body that each message takes (lines 1, raw 0, len32 4);
 * -1 for json, whose length depends on the message. */
int framing_per_message(enum topic_format f);

/* Length of rec as f shows it. */
size_t framing_length(enum topic_format f, const struct record *rec);

/* Make bytes [skip, skip + max) of it at out; returns how many. */
size_t framing_render(enum topic_format f, const struct record *rec, size_t skip, void *out, size_t max);

/* --- json -------------------------------------------------------------------- */

/* A message as a json line: record_json.h says how it is shown.
 *
 * Written: body (text) or body64 (base64), tags, keys (text, space-separated,
 * or an array of texts), flag, bornTimestamp, properties {name: text}; each may
 * be absent.  tags and keys win over TAGS and KEYS among the properties.  What
 * the broker sets itself (topic, queueId, queueOffset, phyOffset, msgId,
 * storeTimestamp, storeHost, bornHost, sysFlag, reconsumeTimes) is accepted and
 * ignored, so that what was read can be written again.
 */
struct json_message {
	unsigned char *body;
	size_t body_len;
	char *props;		/* encoded as in a record; RECORD_PROPS_MAX bytes of memory */
	size_t props_len;
	int32_t flag;
	int64_t born_ms;	/* 0: now */
};

/* MQ_OK       *ret_msg is the caller's to free; its body may be longer than
 *             maxMessageSize: the caller, which knows the limit, checks that
 * -EINVAL     not JSON, an unknown or repeated member, an invalid value (noted)
 * -EMSGSIZE   properties over RECORD_PROPS_MAX (noted)
 * -ENOMEM
 */
int framing_json_parse(const struct piece *line, struct json_message *ret_msg);
void json_message_free(struct json_message *msg);

/* The longest json line a message with max_body bytes can need. */
size_t framing_json_line_max(size_t max_body);

#endif
