/* header.h - the JSON header of a request, as clients write nearly all of them, cut into texts.
 *
 * Simple is: an object of "code", "flag", "opaque" and "version" (integers), "language" and
 * "serializeTypeCurrentRPC" (words), and "extFields" (texts, one or more, at most FIELDS_MAX), without
 * white space; all of it ASCII, escapes included.  Everything else, right or wrong, is jansson's.
 */
#ifndef MQFS_NET_HEADER_H
#define MQFS_NET_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/fields.h"

struct header {
	int32_t code, flag, opaque, version;	/* 0: absent */
	char language[16];			/* "": absent */
	struct fields fields;			/* in the bytes that were cut */
};

/* Cut the header into texts, in their place.  False, and the bytes are unchanged: it is not simple,
 * or wanted() does not want its code cut. */
bool header_cut(char *at, size_t len, bool (*wanted)(int code), struct header *ret);

#endif
