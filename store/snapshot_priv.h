/* snapshot_priv.h - what the parts of snapshots share.
 *
 *   snapshot.c        which there are; dropping; their files
 *   snapshot_take.c   taking one
 *   manifest.c        their sums
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
	struct snapshot **list;	/* by age; gone ones too */
	size_t n, max;
	int64_t changed_ms;

	/* of the newest, which may have been dropped since */
	uint32_t last_id;
	int64_t last_ms;
	mq_pos last_mark;
};

int64_t snapshots_now_ms(void);

/* A whole directory below dirfd; one that is not there is fine. */
int snapshots_remove_tree(int dirfd, const char *name);

/* The list: room first, so that adding cannot fail. */
int snapshots_make_room(struct snapshots *ss);
void snapshots_add(struct snapshots *ss, struct snapshot *s);
struct snapshot *snapshot_copy(const struct snapshot *s);	/* NULL without memory */

/* Lengths of its files, which are asked for again and again. */
int snapshot_measure(struct snapshots *ss, struct snapshot *s);

#endif
