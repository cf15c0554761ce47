/* record_json.h - a record as one line of JSON: what the mount shows and mqdump prints.
 *
 *   body             text, when the body is UTF-8; else
 *   body64           base64 (RFC 4648, padded)
 *   topic            text
 *   queueId, queueOffset, phyOffset
 *   msgId            offset msg id
 *   tags, keys       text; only if the message has them
 *   bornTimestamp, storeTimestamp  ms
 *   properties       {name: text}: all of them, TAGS and KEYS too; of a name
 *                    that is there twice the first; none whose name is not
 *                    UTF-8 or has U+0000
 *   bornHost, storeHost  "address:port", "[address]:port"
 *   flag, sysFlag, reconsumeTimes
 *
 * A property's value that is not UTF-8 has U+FFFD for each bad byte.
 */
#ifndef MQFS_STORE_RECORD_JSON_H
#define MQFS_STORE_RECORD_JSON_H

#include <stddef.h>

#include "store/record.h"

/* Length of the line, its '\n' too. */
size_t record_json_length(const struct record *rec);

/* Make bytes [skip, skip + max) of it at out; returns how many. */
size_t record_json_render(const struct record *rec, size_t skip, void *out, size_t max);

#endif
