/* snapshot_priv.h - what the parts of snapshots share.
 *
 *   snapshot.c        the list of snapshots; dropping one; opening its files
 *   snapshot_take.c   taking one
 *   manifest.c        the sums of its files
 */
#ifndef MQFS_STORE_SNAPSHOT_PRIV_H
#define MQFS_STORE_SNAPSHOT_PRIV_H

#include "conf/lock.h"
#include "store/snapshot.h"
#include "store/storedir.h"

#define INFO_NAME "snapshot"
#define INFO_BYTES_MAX 4096
#define LAST ".last"
#define IN_MAKING ".new"

struct snapshots {
	struct storedir *dir;
	int fd;			/* STORE/snapshots; -1: there is none (read-only) */

	struct lock lock;
	struct snapshot **list;	/* the oldest first; with dropped ones */
	size_t n, max;
	int64_t changed_ms;

	/* of the newest snapshot, which may have been dropped since */
	uint32_t last_id;
	int64_t last_ms;
	mq_pos last_mark;
};

int64_t snapshots_now_ms(void);

/* Remove a whole directory below dirfd; MQ_OK also if there is none. */
int snapshots_remove_tree(int dirfd, const char *name);

/* Make room in the list first, so that adding cannot fail. */
int snapshots_make_room(struct snapshots *ss);
void snapshots_add(struct snapshots *ss, struct snapshot *s);
struct snapshot *snapshot_copy(const struct snapshot *s);	/* NULL without memory */

/* Set the lengths of its files, which stat(2) of a mounted snapshot needs. */
int snapshot_measure(struct snapshots *ss, struct snapshot *s);

#endif
