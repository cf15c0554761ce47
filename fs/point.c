#include "config.h"

#include "conf/clock.h"
#include "conf/err.h"
#include "fs/point.h"

int
point_in_queue(struct mount *m, struct queue *q, const struct name_point *p, mq_qoff *ret_at)
{
	struct queue_span span;

	queue_span(q, &span);
	switch (p->kind) {
	case POINT_NONE:
	case POINT_FIRST:
		*ret_at = span.min;
		return MQ_OK;
	case POINT_LAST:
		*ret_at = span.end;
		return MQ_OK;
	case POINT_NUMBER:
		*ret_at = MQ_QOFF(p->value);
		return MQ_OK;
	case POINT_BEFORE_END:
		*ret_at = p->value > span.end.n - span.min.n ? span.min : qoff_add(span.end, -p->value);
		return MQ_OK;
	case POINT_TIME:
		return store_find_time(m->store, q, p->value, ret_at);
	case POINT_AGO:
		return store_find_time(m->store, q, clock_wall_ms() - p->value, ret_at);
	}
	return MQ_ECORRUPT;
}

int
point_resolve(struct mount *m, struct topic *t, int32_t queue_id, const struct name_point *p, mq_qoff *ret_at)
{
	struct queue *q;
	int rc = topic_queue(m->offsets, t, queue_id, &q);

	return rc == MQ_OK ? point_in_queue(m, q, p, ret_at) : rc;
}
