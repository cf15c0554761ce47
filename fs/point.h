/* point.h - the message of a queue that a point of a name (first, -10, a time) means. */
#ifndef MQFS_FS_POINT_H
#define MQFS_FS_POINT_H

#include "fs/mount.h"
#include "fs/name.h"

/* The message of q that p names; POINT_NONE is the first.  A number may lie outside of the queue's span. */
int point_in_queue(struct mount *m, struct queue *q, const struct name_point *p, mq_qoff *ret_at);

/* The same for queue `queue_id` of t. */
int point_resolve(struct mount *m, struct topic *t, int32_t queue_id, const struct name_point *p,
		  mq_qoff *ret_at);

#endif
