#include "config.h"

#include <stdio.h>
#include <string.h>

#include "conf/bytes.h"
#include "offsets/meta.h"
#include "offsets/unsettled.h"

#define KEY_BYTES_MAX (2 * RECORD_TOPIC_MAX + 7)

struct unsettled
unsettled_begin(const char *name, int32_t queue_id)
{
	struct unsettled w = { .queue_id = queue_id, .reset = UNSETTLED_NONE, .sent = UNSETTLED_NONE };

	snprintf(w.name, sizeof(w.name), "%s", name);
	return w;
}

int
unsettled_cmp(const void *key, const void *item)
{
	const struct unsettled *a = key, *b = item;
	int d = strcmp(a->name, b->name);

	return d ? d : (a->queue_id > b->queue_id) - (a->queue_id < b->queue_id);
}

/* --- what happens to it ------------------------------------------------------------ */

void
unsettled_forward(struct unsettled *w, int64_t to, int64_t applied)
{
	if (to <= w->to)
		return;
	w->to = to;
	if (!unsettled_is_reset(w))
		w->seen = applied;
	w->dirty = true;
}

void
unsettled_reset(struct unsettled *w, int64_t to, int64_t applied)
{
	w->to = w->reset = to;
	w->seen = applied;
	w->dirty = true;
}

/* Record k is a reset: the one that was sent, or one that was not known here. */
static enum merged
merge_reset(struct unsettled *w, int64_t k, int64_t v)
{
	int64_t ours = w->sent != UNSETTLED_NONE ? w->sent : w->reset;

	if (v != ours)
		return MERGED_LOST;
	w->sent = UNSETTLED_NONE;
	if (w->reset == ours)
		w->reset = UNSETTLED_NONE;
	w->seen = k + 1;
	w->dirty = w->again = true;
	w->confirmed = false;
	return w->reset == UNSETTLED_NONE && w->to <= v ? MERGED_SETTLED : MERGED_STAYS;
}

enum merged
unsettled_merge(struct unsettled *w, int64_t k, int64_t v, bool reset)
{
	if (k < (w->sent != UNSETTLED_NONE ? w->sent_seen : w->seen))
		return MERGED_STAYS;	/* the record was known here: it is read again after a restart */
	if (reset)
		return merge_reset(w, k, v);
	return !unsettled_is_reset(w) && v >= w->to ? MERGED_SETTLED : MERGED_STAYS;
}

static void
lower(int64_t *v, int64_t max)
{
	if (*v > max)
		*v = max;
}

void
unsettled_cut(struct unsettled *w, int64_t end, int64_t applied)
{
	lower(&w->to, end);
	lower(&w->reset, end);
	lower(&w->sent, end);
	lower(&w->seen, applied);
	lower(&w->sent_seen, applied);
	w->dirty = true;
}

struct unsettled_step
unsettled_step(struct unsettled *w)
{
	if (w->sent == UNSETTLED_NONE && w->reset != UNSETTLED_NONE) {
		w->sent = w->reset;
		w->sent_seen = w->seen;
		w->dirty = true;
	}
	if (w->sent != UNSETTLED_NONE)
		return (struct unsettled_step){ .to = w->sent, .seen = w->sent_seen, .reset = true };
	return (struct unsettled_step){ .to = w->to, .seen = w->seen };
}

/* --- rows ---------------------------------------------------------------------------- */

static size_t
row_key(const struct unsettled *w, unsigned char key[KEY_BYTES_MAX])
{
	int len = snprintf((char *)key, KEY_BYTES_MAX, "%s/", w->name);

	be32_put(key + len, w->queue_id);
	return (size_t)len + 4;
}

void
unsettled_put(struct rows *r, const struct unsettled *w)
{
	const int64_t numbers[] = { w->to, w->seen, w->reset, w->sent, w->sent_seen };
	unsigned char key[KEY_BYTES_MAX], value[UNSETTLED_ROW_BYTES];
	size_t len = row_key(w, key);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		be64_put(value + 8 * i, numbers[i]);
	rows_put(r, TABLE_UNSETTLED, key, len, value, sizeof(value));
}

void
unsettled_delete(struct rows *r, const struct unsettled *w)
{
	unsigned char key[KEY_BYTES_MAX];
	size_t len = row_key(w, key);

	rows_delete(r, TABLE_UNSETTLED, key, len);
}

/* Two valid names, with a '/' between and behind them. */
static bool
names_valid(const char *names, size_t len)
{
	const char *slash = memchr(names, '/', len);
	size_t group_len = slash ? (size_t)(slash - names) : 0;

	return slash && names[len - 1] == '/' && len > group_len + 2 && record_topic_valid(names, group_len) &&
	       record_topic_valid(slash + 1, len - group_len - 2);
}

bool
unsettled_from_row(const void *key, size_t key_len, const void *value, size_t value_len, struct unsettled *ret_w)
{
	struct bytes v = bytes_over(value, value_len);
	struct unsettled w = { .again = true };
	size_t len = key_len - 4;

	if (key_len < 4 || !names_valid(key, len))
		return false;
	memcpy(w.name, key, len - 1);
	w.queue_id = be32_get((const char *)key + len);
	w.to = bytes_get_i64(&v);
	w.seen = bytes_get_i64(&v);
	w.reset = bytes_get_i64(&v);
	w.sent = bytes_get_i64(&v);
	w.sent_seen = bytes_get_i64(&v);
	if (v.err || v.left || w.queue_id < 0 || w.queue_id >= QUEUES_MAX || w.to < 0 || w.seen < 0 ||
	    w.reset < UNSETTLED_NONE || w.sent < UNSETTLED_NONE || w.sent_seen < 0)
		return false;
	if (w.reset != UNSETTLED_NONE && w.sent == UNSETTLED_NONE) {	/* perhaps since the row was written */
		w.sent = w.reset;
		w.sent_seen = w.seen;
	}
	*ret_w = w;
	return true;
}
