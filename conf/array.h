/* array.h - arrays that grow. */
#ifndef MQFS_CONF_ARRAY_H
#define MQFS_CONF_ARRAY_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conf/err.h"

/* Make room for n items in the array `list`, which has room for `max` (a size_t); NULL and 0 at
 * first.  It grows to at least twice its size, and may move.  -ENOMEM: it is as it was. */
#define ARRAY_ROOM(list, max, n) array_room(&(list), &(max), (n), sizeof(*(list)))

static inline int
array_room(void *list, size_t *max, size_t n, size_t item_bytes)
{
	size_t room = *max ? 2 * *max : 16;
	void *items;

	if (n <= *max)
		return MQ_OK;
	if (room < n)
		room = n;
	memcpy(&items, list, sizeof(items));
	items = reallocarray(items, room, item_bytes);
	if (!items)
		return -ENOMEM;
	memcpy(list, &items, sizeof(items));
	*max = room;
	return MQ_OK;
}

#endif
