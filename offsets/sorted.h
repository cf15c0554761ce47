/* sorted.h - pointers in order: finding, going on from one, and inserting.
 *
 * Finding is a binary search; inserting moves pointers, which for the tens of
 * thousands of names a mount has costs microseconds.  The order is whatever
 * the compare function of its user says.  Internal to this floor.
 */
#ifndef MQFS_OFFSETS_SORTED_H
#define MQFS_OFFSETS_SORTED_H

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "conf/array.h"

struct sorted {
	void **items;
	size_t n, max;
};

/* Where key is against item: < 0 before, 0 it is this one, > 0 behind. */
typedef int sorted_cmp(const void *key, const void *item);

/* The first place whose item is not before key. */
static inline size_t
sorted_place(const struct sorted *s, const void *key, sorted_cmp *cmp)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (cmp(key, s->items[middle]) > 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline void *
sorted_find(const struct sorted *s, const void *key, sorted_cmp *cmp)
{
	size_t at = sorted_place(s, key, cmp);

	return at < s->n && cmp(key, s->items[at]) == 0 ? s->items[at] : NULL;
}

/* Make sure the next insert cannot fail.  -ENOMEM. */
static inline int
sorted_reserve(struct sorted *s)
{
	return ARRAY_ROOM(s->items, s->max, s->n + 1);
}

/* Insert at the place sorted_place() gave; room has been reserved. */
static inline void
sorted_insert(struct sorted *s, size_t at, void *item)
{
	memmove(&s->items[at + 1], &s->items[at], (s->n - at) * sizeof(*s->items));
	s->items[at] = item;
	s->n++;
}

static inline void
sorted_free(struct sorted *s)
{
	free(s->items);
	*s = (struct sorted){ 0 };
}

#endif
