/* fields.h - ext fields as bytes: pairs of texts with their lengths.
 *
 *      i16 length, name, i32 length, value         big-endian; UTF-8 without NUL
 *
 * They have this form in a binary header of the remoting protocol, and on the link.
 *
 * Most fields are looked at as a JSON object.  Those of messages and pulls, of which there are very
 * many, are a list of texts (struct fields), which costs no memory of its own.
 */
#ifndef MQFS_NET_FIELDS_H
#define MQFS_NET_FIELDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "conf/bytes.h"

#define FIELDS_MAX 24

/* Names and values are the caller's, or lie in the bytes that were cut. */
struct fields {
	size_t n;
	struct field {
		const char *name, *value;
	} list[FIELDS_MAX];
};

/* NULL: there is none of that name.  Of several it is the last, as in an object. */
const char *fields_get(const struct fields *f, const char *name);

/* The same fields as an object: the caller's.  NULL: no memory. */
json_t *fields_object(const struct fields *f);

/* As fields_bytes() and fields_put(). */
size_t fields_list_bytes(const struct fields *f);
char *fields_list_put(char *at, const struct fields *f);

/* Cut len bytes of pairs into texts, in their place.  False, and the bytes are unchanged, if they
 * are not all ASCII, or too many fields, or no pairs: fields_take() is for these. */
bool fields_cut(char *at, size_t len, struct fields *ret);

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
