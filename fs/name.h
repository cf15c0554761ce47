/* name.h - queue names that carry options: one table-driven grammar.
 *
 *   name    = base [ "@" range ] *( ":" opt *( "," opt ) )
 *   base    = "q" N | "all"                    (any: only in groups, no options)
 *   range   = point | [ point ] ".." [ point ] (at least one of the two)
 *   point   = N | "-" N | "first" | "last" | TIME | "-" DURATION
 *   TIME    = YYYY-MM-DD[Thh:mm[:ss[.mmm]]][Z] (without Z: local time)
 *   DURATION= N ("ms"|"s"|"m"|"h"|"d")         ("-10" is ten messages, "-10s" ten seconds)
 *   opt     = NAME [ "=" value ]
 *
 * Options are rows of one table in name.c (name, for read or append or both,
 * what takes the value).
 *
 * A value ends at the next "," or ":" of the name; TIME holds ":" itself and is taken by its
 * shape, and an expression (where=) goes on while a parenthesis or a quote is open.  In the
 * values of tag, key, where and prop.X, and in X, "%XX" (two hexadecimal digits) is the byte of
 * that number: for "," ":" "%" and "/", which no name can hold.  What that gives must be UTF-8
 * without NUL, U+0001 and U+0002.
 *
 * tag and key are for both uses: a reader gets the messages that have them, and an appended
 * message gets them.  Several keys may be given: a message must have, or gets, each of them.
 *
 *   delay   = "delay=" (DURATION | "level" N)     deliver that much later, or as RocketMQ's level says
 *   at      = "at=" TIME                          deliver then
 *
 * No I/O, no locks: pure text.
 */
#ifndef MQFS_FS_NAME_H
#define MQFS_FS_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "conf/delay.h"
#include "offsets/meta.h"

#define NAME_BYTES_MAX 255

enum name_point_kind {
	POINT_NONE,		/* not given: from the first, to the end */
	POINT_NUMBER,		/* absolute message number */
	POINT_BEFORE_END,	/* n messages before the end */
	POINT_FIRST,
	POINT_LAST,		/* the end */
	POINT_TIME,		/* store time, ms since the epoch */
	POINT_AGO,		/* ms before now */
};

struct name_point {
	enum name_point_kind kind;
	int64_t value;		/* >= 0 */
};

struct name {
	bool all;		/* every queue of the topic */
	bool any;		/* of a group's names: a queue without a consumer; set by group_name_parse() */
	int32_t queue;
	struct name_point from, to;
	bool has_range;		/* "@" was given */
	bool follow;
	bool whole;
	bool has_format;
	enum topic_format format;
	bool read_only;		/* has an option for reading only (@, follow, where) */
	bool append_only;	/* has an option for appending only (whole, prop.X) */
	int delay_level;	/* 1 ..: deliver as that level says */
	int64_t delay_ms;	/* > 0: deliver so much later */
	int64_t deliver_at_ms;	/* > 0: deliver then */
	char tags[NAME_BYTES_MAX + 1];	/* "": none was given; to read: A||B is one of the two */
	char keys[NAME_BYTES_MAX + 1];	/* with a space between two */
	char where[NAME_BYTES_MAX + 1];	/* an expression of sql92.h that can be parsed */
	char props[NAME_BYTES_MAX + 1];	/* the prop.X, encoded as in a record */
};

/* Does a reader of this name get only some of the messages? */
static inline bool
name_filters(const struct name *n)
{
	return n->tags[0] || n->keys[0] || n->where[0];
}

/* Is it plain "qN" without options (N decimal, no leading zero, < QUEUES_MAX)?  Or: does it begin so; *ret_rest
 * is what follows. */
bool name_is_plain(const char *text, int32_t *ret_queue);
bool name_begins_plain(const char *text, int32_t *ret_queue, const char **ret_rest);

/* MQ_OK
 * -EINVAL        with a note that names the wrong part and what is allowed there
 * -ENAMETOOLONG  over NAME_BYTES_MAX
 * -ENOENT        the text does not look like a queue name at all
 */
int name_parse(const char *text, struct name *ret_name);

/* Decode the %XX of a single value into buf, of NAME_BYTES_MAX + 1 bytes.  MQ_OK, -EINVAL
 * (noted), -ENAMETOOLONG. */
int name_unescape(const char *text, char *buf);

/* One point by itself, for qN.offset: the same words and times.  MQ_OK or
 * -EINVAL, noted. */
int name_parse_point(const char *text, struct name_point *ret_point);

#endif
