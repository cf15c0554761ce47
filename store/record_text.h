/* record_text.h - a record as one line for people:
 *
 *   1024 +172  2023-11-14T22:13:20.123Z  orders/q2@7  TAGS=A "KEYS=k1 k2"  hello rocket
 *   │    │     │                         │            │                    └ body
 *   │    │     └ store time              └ message    └ properties
 *   │    └ bytes of the record             7 of a queue
 *   └ position in the log
 *
 * Control characters are escaped as in C.  A body that is not UTF-8 is shown as
 * base64:...; one of more than `width` characters is cut and its length told. */
#ifndef MQFS_STORE_RECORD_TEXT_H
#define MQFS_STORE_RECORD_TEXT_H

#include <stdio.h>

#include "store/record.h"

/* width 0: bodies are not cut.  No '\n' behind it. */
void record_print(FILE *out, const struct record *rec, size_t width);

/* Milliseconds since 1970 as RFC 3339 has them; buf of 32 bytes. */
void time_text(int64_t ms, char *buf, size_t size);

#endif
