/* fields.h - ext fields as bytes: pairs of texts with their lengths.
 *
 *      i16 length, name, i32 length, value         big-endian; UTF-8 without NUL
 *
 * They have this form in a binary header of the remoting protocol, and on the link.
 */
#ifndef MQFS_NET_FIELDS_H
#define MQFS_NET_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/bytes.h"

/* How many bytes the pairs of this object of strings take; NULL has none.  SIZE_MAX: a name is too long. */
size_t fields_bytes(json_t *ext);

/* Write the pairs to `at`, which has room for fields_bytes(); returns where they end. */
char *fields_put(char *at, json_t *ext);

/* Decode the next len bytes, which must be pairs and nothing else, into *ret (NULL: no pairs).
 * False, and b->err is set: they are invalid. */
bool fields_take(struct bytes *b, size_t len, json_t **ret);

/* The next len bytes as a text; NULL, and b->err is set: they are not UTF-8 without NUL. */
json_t *fields_take_text(struct bytes *b, size_t len);

#endif
