/* commitlog_priv.h - what the parts of the commit log share.
 *
 *   commitlog.c      segments, appending, flushing, reading
 *   commitlog_cut.c  setting and cutting its end
 */
#ifndef MQFS_STORE_COMMITLOG_PRIV_H
#define MQFS_STORE_COMMITLOG_PRIV_H

#include "store/commitlog.h"

#define SEGMENT_NAME_LEN 20
#define SEGMENT_NAME_SIZE (SEGMENT_NAME_LEN + 12)
#define SEGMENT_IN_MAKING "new"	/* a segment until it is whole */
#define SEGMENT_IN_HEALING "heal"	/* one that takes the place of a missing one */

void segment_name(mq_pos base, char name[SEGMENT_NAME_SIZE]);
bool segment_exists(const struct commitlog *log, mq_pos base);

/* Make the file of a segment, or replace it, durably: the first `keep` bytes of from_fd, then zeros.
 * It is called `tmp` until it is whole. */
int segment_make(struct commitlog *log, const char *name, const char *tmp, int from_fd, int64_t keep);

/* Make the segment at `at`, where an empty log begins then, durably.  Needs spare_lock. */
int segment_first(struct commitlog *log, mq_pos at);

int segment_sync(struct commitlog *log, mq_pos base);

/* Refuse all further appends, because of rc.  Returns -EIO, noted. */
int commitlog_fail(struct commitlog *log, int rc);

#endif
