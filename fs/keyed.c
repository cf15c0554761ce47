/* Where the key index says that messages with a key may be. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/err.h"
#include "fs/view_priv.h"

#define KEYED_FIRST 1024
#define KEYED_MAX (1u << 20)	/* a key that more messages have is as good as none */

int
keyed_look_up(struct view *v, const char *topic)
{
	/* what is in the views now can be found in all of them */
	mq_pos end = mark_at(store_dispatched(v->m->store));
	const char *key = filter_key(v->filter);
	mq_pos *list = NULL;
	size_t n = 0, max;
	int rc = MQ_OK;

	if (!v->m->settings->messageIndexEnable)
		return MQ_OK;
	for (max = KEYED_FIRST; max <= KEYED_MAX; max *= 4) {
		mq_pos *grown = realloc(list, max * sizeof(*list));

		rc = grown ? MQ_OK : -ENOMEM;
		list = grown ? grown : list;
		if (rc == MQ_OK)
			rc = store_find_key(v->m->store, topic, key, 0, INT64_MAX, list, max, &n);
		if (rc != MQ_OK || n < max)
			break;
	}
	if (rc == MQ_OK && n < max) {
		qsort(list, n, sizeof(*list), pos_compare);
		v->keyed = list;
		v->n_keyed = n;
		v->keyed_end = end;
		return MQ_OK;
	}
	free(list);
	return rc == -ENOMEM ? rc : MQ_OK;	/* an index that cannot be read is only slower */
}

bool
keyed_may_be(const struct view *v, mq_pos pos, mq_pos *ret_next)
{
	size_t low = 0, high = v->n_keyed;

	if (pos.byte >= v->keyed_end.byte)
		return true;
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v->keyed[mid].byte < pos.byte)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_next = low < v->n_keyed ? v->keyed[low] : v->keyed_end;
	return low < v->n_keyed && v->keyed[low].byte == pos.byte;
}
