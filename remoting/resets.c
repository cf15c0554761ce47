#include "config.h"

#include "remoting/resets.h"

static struct reset *
find(struct resets *r, const struct subscription *sub, int32_t queue_id)
{
	for (size_t i = 0; i < RESETS_MAX; i++)
		if (r->list[i].until_ms > 0 && r->list[i].sub_id == sub->id && r->list[i].queue_id == queue_id)
			return &r->list[i];
	return NULL;
}

void
resets_add(struct resets *r, const struct subscription *sub, int32_t queue_id, mq_qoff to, int64_t now_ms)
{
	struct reset *reset = find(r, sub, queue_id);

	if (!reset)
		reset = &r->list[r->next++ % RESETS_MAX];
	*reset = (struct reset){ sub->id, queue_id, to.n, now_ms + RESETS_MS };
}

bool
resets_take(struct resets *r, const struct subscription *sub, int32_t queue_id, mq_qoff to, int64_t now_ms)
{
	struct reset *reset = find(r, sub, queue_id);

	if (!reset || reset->to != to.n || now_ms >= reset->until_ms)
		return false;
	reset->until_ms = 0;
	return true;
}
