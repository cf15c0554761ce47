/* filter.h - which messages of a queue a reader wants: by tag, by key, by an expression.
 *
 *   tags    "*" every message; "A || B" those whose tag is A or B (RocketMQ's FilterAPI)
 *   keys    "k1 k2" those that have each of them, among KEYS or as UNIQ_KEY
 *   where   those for which the expression is true: sql92.h
 *
 * All that are given must hold.  A message is checked twice: by the tagsCode of its consume queue
 * entry, which costs nothing and may match in error (two tags may have one hash), and by its record.
 *
 * Pure: no I/O, no locks.  A filter never changes: any number of threads may use one.
 */
#ifndef MQFS_STORE_FILTER_H
#define MQFS_STORE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter;

/* NULL and "" ask for nothing. */
struct filter_spec {
	const char *tags;
	const char *keys;
	const char *where;
};

/* MQ_OK: *ret is the caller's; NULL if every message is wanted.
 * -EINVAL, noted: there is no tag in `tags`, or `where` is no expression.  -ENOMEM. */
int filter_make(const struct filter_spec *spec, struct filter **ret);
void filter_free(struct filter *f);		/* accepts NULL */

/* Can a message with that tagsCode be wanted? */
bool filter_may_want(const struct filter *f, int64_t tags_code);

/* Is a message with these properties (encoded as in a record) wanted? */
bool filter_wants(const struct filter *f, const char *props, size_t props_len);

/* A key that each wanted message has; NULL: no key was given. */
const char *filter_key(const struct filter *f);

#endif
