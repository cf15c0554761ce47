/* properties.h - a message's properties, put together.
 *
 *   name 0x01 value [ 0x02 name 0x01 value ... ]
 *
 * Names and values are texts, neither of them empty (RocketMQ drops empty ones), without the
 * two separators.  What makes a message has one way to write them: names in the tree, json.
 * record_property() reads them.
 *
 * Pure: no I/O, no locks.
 */
#ifndef MQFS_STORE_PROPERTIES_H
#define MQFS_STORE_PROPERTIES_H

#include <stdbool.h>
#include <stddef.h>

#include "store/record.h"

struct properties {
	char *buf;		/* the caller's, of `size` bytes */
	size_t size;
	size_t len;
	bool full;		/* there was no room for one */
};

/* One more, behind the others: a valid name and value.  False: there is no room. */
bool properties_put(struct properties *p, const char *name, size_t name_len, const char *value, size_t value_len);

/* The same for a name and a value that may be invalid.  MQ_OK, or nothing was added, noted:
 * -EINVAL; -EMSGSIZE: there is no room. */
int properties_add(struct properties *p, const char *name, const char *value, size_t len);

/* Those of `more` whose names p lacks.  -EMSGSIZE: not all of them. */
int properties_add_missing(struct properties *p, const char *more, size_t more_len);

/* Is it one by which RocketMQ's brokers and clients speak to each other, and which its clients
 * let nobody set as a property of his own? */
bool property_is_reserved(const char *name);

/* A value of UNIQ_KEY, the message id that RocketMQ's clients make, in upper-case hex:
 *
 *   4 or 16  address of this host        4  ms since the month began, local time
 *   2        process id                  2  a counter
 *   4        anything, of this process
 *
 * No two calls in one process give the same; any thread.  32 characters, or 56 where `host`
 * is IPv6: *ret_len. */
#define UNIQ_KEY_MAX 56
void uniq_key_make(const struct host *host, char buf[UNIQ_KEY_MAX], size_t *ret_len);

#endif
