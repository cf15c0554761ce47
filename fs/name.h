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
 * what takes the value); later ones (tag, key, prop.X, delay, at) join as rows.
 *
 * A value ends at the next "," or ":" of the name; TIME holds ":" itself and
 * is taken by its shape.  Nothing is escaped.  No I/O, no locks: pure text.
 */
#ifndef MQFS_FS_NAME_H
#define MQFS_FS_NAME_H

#include <stdbool.h>
#include <stdint.h>

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
	int32_t queue;
	struct name_point from, to;
	bool has_range;		/* "@" was given */
	bool follow;
	bool whole;
	bool has_format;
	enum topic_format format;
	bool read_only;		/* has an option only reading knows (@, follow) */
	bool append_only;	/* has an option only appending knows (whole) */
};

/* Is it plain "qN" without options (N decimal, no leading zero, < QUEUES_MAX)? */
bool name_is_plain(const char *text, int32_t *ret_queue);

/* MQ_OK
 * -EINVAL        with a note that names the part that is wrong and what is known
 * -ENAMETOOLONG  over NAME_BYTES_MAX
 * -ENOENT        the text does not look like a queue name at all
 */
int name_parse(const char *text, struct name *ret_name);

/* One point by itself, for qN.offset: the same words and times.  MQ_OK or
 * -EINVAL, noted. */
int name_parse_point(const char *text, struct name_point *ret_point);

#endif
