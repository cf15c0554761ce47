/* snapshot_priv.h - what the parts of snapshots share.
 *
 *   snapshot_take.c    taking one
 *   snapshot.c         the list of snapshots; dropping one
 *   manifest.c         the sums of its files
 *   snapshot_files.c   its files
 *
 * Each uses those below it.
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

/* The path of a file below its snapshot. */
void snapshot_file_path(const struct snapshot_file *f, char path[SNAPSHOT_PATH_SIZE]);

/* Make room in the list first, so that adding cannot fail. */
int snapshots_make_room(struct snapshots *ss);
void snapshots_add(struct snapshots *ss, struct snapshot *s);

/* Set the lengths of its files, which stat(2) of a mounted snapshot needs. */
int snapshot_measure(struct snapshots *ss, struct snapshot *s);

#endif
