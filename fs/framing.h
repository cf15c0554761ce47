/* framing.h - bytes of a file <-> messages, for the four formats of a topic.
 *
 * Splitting (append): feed what a write(2) brought; it yields whole messages.
 * What is left over waits in the splitter, which belongs to the open file.
 *
 *    lines   up to each '\n' (not part of the message); the rest at the end
 *    raw     each write is one message
 *    len32   4 bytes big-endian length, then the body
 *    json    each line is an object; see framing_json_parse()
 *    whole   everything up to the end is one message
 *
 * Rendering (read): the bytes a message takes are known before they are made,
 * so that a file position can be found without making what lies before it.
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

struct splitter {
	enum topic_format format;
	bool whole;
	size_t max_body;	/* maxMessageSize */
	unsigned char *held;	/* an unfinished message (len32: with its 4 bytes) */
	size_t held_len, held_size;
};

void splitter_init(struct splitter *s, enum topic_format format, bool whole, size_t max_body);
void splitter_free(struct splitter *s);

/* A whole message's bytes, in up to two pieces: what was held, and what is new. */
struct piece {
	const unsigned char *a;
	size_t a_len;
	const unsigned char *b;
	size_t b_len;
};

/* The next whole message in buf[*at .. len), advancing *at past it.
 *
 * MQ_OK       *ret is a message (its pieces stay valid until the next call)
 * MQ_EEND     no more whole messages; the rest has been taken over as held
 *             (*at == len)
 * -EMSGSIZE   the message there is over max_body: nothing of it was taken, *at
 *             is where it began in buf; held bytes of the same message are dropped
 * -EINVAL     len32 with a negative length (noted)
 * -ENOMEM
 */
int splitter_next(struct splitter *s, const void *buf, size_t len, size_t *at, struct piece *ret);

/* The message that close makes of what is held: MQ_OK, MQ_EEND if there is
 * none; -EINVAL for a torn len32 (noted).  Then nothing is held. */
int splitter_finish(struct splitter *s, struct piece *ret);

bool splitter_holds(const struct splitter *s);

/* --- rendering ------------------------------------------------------------- */

/* Bytes beside the body that each message takes (lines 1, raw 0, len32 4);
 * -1 for json, whose length depends on the message. */
int framing_per_message(enum topic_format f);

/* Length of rec as f shows it. */
size_t framing_length(enum topic_format f, const struct record *rec);

/* Make bytes [skip, skip + max) of it at out; returns how many. */
size_t framing_render(enum topic_format f, const struct record *rec, size_t skip, void *out, size_t max);

/* --- json -------------------------------------------------------------------- */

/* A message as a json line gives it.  Members: body (text) or body64 (base64),
 * tags, keys (text, space-separated, or an array of texts), flag, bornTimestamp,
 * properties {name: text}.  What the broker sets itself (topic, queueId,
 * queueOffset, phyOffset, msgId, storeTimestamp, storeHost, ...) is accepted and
 * ignored, so that what was read can be written again.  Unknown members: -EINVAL, noted. */
struct json_message {
	unsigned char *body;
	size_t body_len;
	char *props;		/* encoded as in a record */
	size_t props_len;
	int32_t flag;
	int64_t born_ms;	/* 0: now */
};

int framing_json_parse(const struct piece *line, struct json_message *ret_msg);
void json_message_free(struct json_message *msg);

#endif
