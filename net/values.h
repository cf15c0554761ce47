/* values.h - what a JSON text says, as bytes with their lengths.
 *
 * A daemon without rights parses JSON that a peer has sent, and packs what it found; the
 * mount, which writes the store, has lengths and bounds to check and no text to parse.
 *
 *      i8 kind, then         big-endian
 *        0 null, 1 false, 2 true     nothing
 *        3 integer                   i64
 *        4 real                      i64, the bits of a double
 *        5 text                      i32 length, bytes: UTF-8 without NUL
 *        6 list                      i32 number of values, the values
 *        7 table                     i32 number of pairs, the pairs: a name (i32 length, bytes),
 *                                    a value; no name comes twice
 *
 * The outermost value is a table.
 */
#ifndef MQFS_NET_VALUES_H
#define MQFS_NET_VALUES_H

#include <jansson.h>
#include <stddef.h>

#define VALUES_DEPTH_MAX 64

/* Parse a text as RocketMQ writes it (fastjson.h), and pack it: *ret is to be freed.
 * MQ_ECORRUPT, noted: it is not a JSON object, or one that cannot be packed. */
int values_pack(const char *text, size_t len, char **ret, size_t *ret_len);

/* What was packed; *ret is for json_decref().  `room` bounds the memory that it takes, in
 * bytes.  MQ_ECORRUPT, noted: nobody packs such bytes, or they want more room. */
int values_take(const void *packed, size_t len, size_t room, json_t **ret);

#endif
