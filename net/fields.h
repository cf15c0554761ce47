/* fields.h - ext fields as bytes: pairs of texts with their lengths.
 *
 *      i16 length, name, i32 length, value         big-endian; UTF-8 without NUL
 *
 * So they stand in a binary header of the remoting protocol, and so they cross the link.
 */
#ifndef MQFS_NET_FIELDS_H
#define MQFS_NET_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/bytes.h"

/* How many bytes the strings of this object are; NULL: none.  SIZE_MAX: a name is too long. */
size_t fields_bytes(json_t *ext);

/* Put them at `at`, which has room for so many; returns where they end. */
char *fields_put(char *at, json_t *ext);

/* The next len bytes are pairs, and nothing else: into *ret, NULL if there are none.  False, and
 * b->err is set: they are not. */
bool fields_take(struct bytes *b, size_t len, json_t **ret);

/* The next len bytes as a text; NULL, and b->err is set: they are none. */
json_t *fields_take_text(struct bytes *b, size_t len);

#endif
