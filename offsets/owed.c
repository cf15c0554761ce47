#include "config.h"

#include <stdio.h>
#include <string.h>

#include "conf/bytes.h"
#include "offsets/meta.h"
#include "offsets/owed.h"

#define KEY_BYTES_MAX (2 * RECORD_TOPIC_MAX + 6)

struct owed
owed_begin(const char *group, const char *topic, int32_t queue_id)
{
	struct owed w = { .queue_id = queue_id, .reset = OWED_NONE, .sent = OWED_NONE };

	snprintf(w.group, sizeof(w.group), "%s", group);
	snprintf(w.topic, sizeof(w.topic), "%s", topic);
	return w;
}

int
owed_cmp(const void *key, const void *item)
{
	const struct owed *a = key, *b = item;
	int d = strcmp(a->group, b->group);

	if (d == 0)
		d = strcmp(a->topic, b->topic);
	return d ? d : (a->queue_id > b->queue_id) - (a->queue_id < b->queue_id);
}

/* --- what happens to it ------------------------------------------------------------ */

void
owed_forward(struct owed *w, int64_t to, int64_t applied)
{
	if (to <= w->to)
		return;
	w->to = to;
	if (!owed_is_reset(w))
		w->seen = applied;
	w->dirty = true;
}

void
owed_reset(struct owed *w, int64_t to, int64_t applied)
{
	w->to = w->reset = to;
	w->seen = applied;
	w->dirty = true;
}

/* A reset that nobody knew of here, unless it is the one that was sent. */
static enum owed_left
hear_reset(struct owed *w, int64_t k, int64_t v)
{
	int64_t ours = w->sent != OWED_NONE ? w->sent : w->reset;

	if (v != ours)
		return OWED_LOST;
	w->sent = OWED_NONE;
	if (w->reset == ours)
		w->reset = OWED_NONE;
	w->seen = k + 1;
	w->dirty = w->again = true;
	w->heard = false;
	return w->reset == OWED_NONE && w->to <= v ? OWED_SETTLED : OWED_STAYS;
}

enum owed_left
owed_hear(struct owed *w, int64_t k, int64_t v, bool reset)
{
	if (k < (w->sent != OWED_NONE ? w->sent_seen : w->seen))
		return OWED_STAYS;	/* it was known: read once more, after a restart */
	if (reset)
		return hear_reset(w, k, v);
	return !owed_is_reset(w) && v >= w->to ? OWED_SETTLED : OWED_STAYS;
}

static void
lower(int64_t *v, int64_t max)
{
	if (*v > max)
		*v = max;
}

void
owed_cut(struct owed *w, int64_t end, int64_t applied)
{
	lower(&w->to, end);
	lower(&w->reset, end);
	lower(&w->sent, end);
	lower(&w->seen, applied);
	lower(&w->sent_seen, applied);
	w->dirty = true;
}

struct owed_step
owed_step(struct owed *w)
{
	if (w->sent == OWED_NONE && w->reset != OWED_NONE) {
		w->sent = w->reset;
		w->sent_seen = w->seen;
		w->dirty = true;
	}
	if (w->sent != OWED_NONE)
		return (struct owed_step){ .to = w->sent, .seen = w->sent_seen, .reset = true };
	return (struct owed_step){ .to = w->to, .seen = w->seen };
}

/* --- rows ---------------------------------------------------------------------------- */

static size_t
row_key(const struct owed *w, unsigned char key[KEY_BYTES_MAX + 1])
{
	int len = snprintf((char *)key, KEY_BYTES_MAX - 3, "%s/%s/", w->group, w->topic);

	be32_put(key + len, w->queue_id);
	return (size_t)len + 4;
}

void
owed_put(struct rows *r, const struct owed *w)
{
	const int64_t numbers[] = { w->to, w->seen, w->reset, w->sent, w->sent_seen };
	unsigned char key[KEY_BYTES_MAX + 1], value[OWED_ROW_BYTES];
	size_t len = row_key(w, key);

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		be64_put(value + 8 * i, numbers[i]);
	rows_put(r, TABLE_OWED, key, len, value, sizeof(value));
}

void
owed_delete(struct rows *r, const struct owed *w)
{
	unsigned char key[KEY_BYTES_MAX + 1];
	size_t len = row_key(w, key);

	rows_delete(r, TABLE_OWED, key, len);
}

/* A name up to the next '/'. */
static bool
take_name(const char **at, size_t *left, char *ret_name)
{
	const char *slash = memchr(*at, '/', *left);
	size_t len = slash ? (size_t)(slash - *at) : 0;

	if (!slash || !meta_name_ok(*at, len))
		return false;
	memcpy(ret_name, *at, len);
	ret_name[len] = '\0';
	*at += len + 1;
	*left -= len + 1;
	return true;
}

bool
owed_from_row(const void *key, size_t key_len, const void *value, size_t value_len, struct owed *ret_w)
{
	struct bytes v = bytes_over(value, value_len);
	struct owed w = { .again = true };
	const char *at = key;
	size_t left = key_len;

	if (!take_name(&at, &left, w.group) || !take_name(&at, &left, w.topic) || left != 4)
		return false;
	w.queue_id = be32_get(at);
	w.to = bytes_get_i64(&v);
	w.seen = bytes_get_i64(&v);
	w.reset = bytes_get_i64(&v);
	w.sent = bytes_get_i64(&v);
	w.sent_seen = bytes_get_i64(&v);
	if (v.err || v.left || w.queue_id < 0 || w.queue_id >= QUEUES_MAX || w.to < 0 || w.seen < 0 ||
	    w.reset < OWED_NONE || w.sent < OWED_NONE || w.sent_seen < 0)
		return false;
	if (w.reset != OWED_NONE && w.sent == OWED_NONE) {	/* perhaps since the row was written */
		w.sent = w.reset;
		w.sent_seen = w.seen;
	}
	*ret_w = w;
	return true;
}
