/* values.h - the values of a JSON text, as bytes with their lengths.
 *
 * A daemon without rights parses JSON that a peer has sent, and packs its values; the mount,
 * which writes the store, checks lengths and bounds and parses no text.
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

/* Unpack; *ret is for json_decref().  `room` is the limit of the memory that it takes, in
 * bytes.  MQ_ECORRUPT, noted: the bytes are invalid, or would take more. */
int values_take(const void *packed, size_t len, size_t room, json_t **ret);

#endif
