/* fastjson.h - JSON as RocketMQ's files have it.
 *
 * fastjson prints map keys that are not strings in their own form, so numbers
 * as keys stand there bare: {"offsetTable":{"T@G":{0:12,1:7}}}.  They are given
 * their quotes here, or lose them, and the rest is left to jansson.  Internal to
 * this floor.
 */
#ifndef MQFS_OFFSETS_FASTJSON_H
#define MQFS_OFFSETS_FASTJSON_H

#include <jansson.h>
#include <stddef.h>

#define FASTJSON_DEPTH_MAX 64

/* An object, for json_decref().  MQ_ECORRUPT, noted; -ENOMEM. */
int fastjson_load(const char *text, size_t len, json_t **ret_object);

/* Compact text (malloc'ed, with a NUL not counted).  An object that has only numbers, for
 * keys as for values, is taken for a map of numbers.  NULL: no memory. */
char *fastjson_print(const json_t *json, size_t *ret_len);

#endif
