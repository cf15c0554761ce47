/* snapshot.h - the store as it was at a moment, kept under a name.
 *
 *   STORE/snapshots/NAME/
 *     commitlog/N       hard links to the segments.  The log may append to the last one:
 *                       its bytes from the mark on are not the snapshot's, and readers get
 *                       zeros in their place
 *     lmdb/data.mdb     the tables as they were at the mark
 *     config/ *.json    the same, for RocketMQ's tools
 *     abort             makes a RocketMQ broker read the whole log before it looks
 *                       how far delayed messages have come (a copy has no consume queues)
 *     snapshot          lines of "key = value" that describe the snapshot, below
 *     MANIFEST          lines of sha256sum(1) for all of the above, written later (manifest.h)
 *   STORE/snapshots/NAME.new     being taken  ┐ the next mount removes
 *   STORE/snapshots/ID.gone      was dropped  ┘ what a crash has left
 *   STORE/snapshots/.last        id, time and mark of the newest, which may have been dropped
 *                                since: no id is used twice (inode numbers contain it), nor
 *                                a time (in whole seconds: rsync(1) compares it)
 *
 * The file `snapshot`:  name, id, begin and mark (positions in the log; begin is
 * that of the first segment), segment (bytes of each), time (ms since the epoch).
 * A store that has one at its top is a copy of a snapshot: storedir.h.
 *
 * A snapshot gets its name by rename(2) when all of it is on the disk, and loses it by rename(2).
 * Retention takes no segments from a snapshot, since it removes only the log's link.  Names are
 * formed as those of topics.
 *
 * Any thread; one snapshot is taken at a time.  A struct snapshot stays valid until
 * snapshots_close(): a dropped one is only marked as gone.
 */
#ifndef MQFS_STORE_SNAPSHOT_H
#define MQFS_STORE_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/pos.h"
#include "store/record.h"

struct snapshots;
struct store;
struct storedir;

#define SNAPSHOT_FILES 7		/* files that are no segments, see snapshot_files */
#define ABORT_NAME "abort"
#define SNAPSHOT_ID_MAX 0xffffff	/* 24 bits of an inode number */

struct snapshot {
	uint32_t id;
	char name[RECORD_TOPIC_MAX + 1];
	mq_pos begin, mark;
	int64_t segment_bytes;
	int64_t taken_ms;		/* at least a second after that of the snapshot before */
	int64_t file_bytes[SNAPSHOT_FILES];	/* -1: there is no such file */
	size_t manifest_len;		/* known before the manifest is */
	char *manifest;			/* valid when hashed */
	_Atomic bool hashed;
	_Atomic bool unsummed;		/* its manifest could not be made; the next mount tries again */
	_Atomic bool gone;
};

/* The files of a snapshot that are no segments; ends with a NULL name.  `dir` is
 * "" for those at its top.  MANIFEST is none of them. */
struct snapshot_file {
	const char *dir;
	const char *name;
};

extern const struct snapshot_file snapshot_files[SNAPSHOT_FILES + 1];

#define SNAPSHOT_PATH_SIZE 64		/* of a file below a snapshot */

/* Find the snapshots of a store and remove leftovers (unless read-only). */
int snapshots_open(struct storedir *dir, struct snapshots **ret);
void snapshots_close(struct snapshots *ss);	/* accepts NULL */

struct snapshot *snapshot_find(struct snapshots *ss, const char *name);	/* NULL: none, or gone */
struct snapshot *snapshot_by_id(struct snapshots *ss, uint32_t id);	/* also gone ones */

/* The i-th, in the order they were taken; NULL behind the last. */
struct snapshot *snapshot_at(struct snapshots *ss, size_t i);

/* When a snapshot was last taken or dropped; 0: not since the mount. */
int64_t snapshots_changed_ms(struct snapshots *ss);

/* --- taking one -------------------------------------------------------------- */

/* A snapshot that is being taken: its files are made below dir_fd, commitlog_fd ...
 *
 *     begin ──> link, and files by the caller ──> keep
 *                                └──────────────> abandon
 */
struct draft {
	struct snapshot snapshot;
	int dir_fd, commitlog_fd, lmdb_fd, config_fd;	/* -1: not open */
};

/* Make the draft's directories.  -EEXIST; -EINVAL (noted); -EROFS; another -errno (-ENOSPC ...).
 * On failure nothing is left. */
int snapshot_begin(struct snapshots *ss, const char *name, struct draft *ret_d);

/* The path of the draft's directory lmdb/, for LMDB, which opens no descriptor.  -ENOMEM; freed by
 * the caller. */
int snapshot_lmdb_path(const struct snapshots *ss, const struct draft *d, char **ret);

/* Link the log up to `mark`, which must be on the disk already. */
int snapshot_link(struct snapshots *ss, struct draft *d, struct store *s, mq_pos mark);

/* Sync all of the draft and give it its name.  On failure it is abandoned. */
int snapshot_keep(struct snapshots *ss, struct draft *d, struct snapshot **ret);
void snapshot_abandon(struct snapshots *ss, struct draft *d);

/* --- dropping one -------------------------------------------------------------- */

/* Drop a snapshot: its name is gone, durably, when this returns; snapshots_sweep() removes
 * its files.  -ENOENT, -EROFS. */
int snapshot_drop(struct snapshots *ss, const char *name);

/* Remove the files of dropped snapshots, also of those dropped before a crash. */
void snapshots_sweep(struct snapshots *ss);

/* --- its files ------------------------------------------------------------------ */

/* Open a file for reading: path as in "commitlog/00000000000000000000".  -ENOENT. */
int snapshot_open_file(struct snapshots *ss, const struct snapshot *s, const char *path, int *ret_fd);

/* The name below commitlog/ of the segment that begins at `base`. */
void snapshot_segment_path(int64_t base, char path[SNAPSHOT_PATH_SIZE]);

/* How many bytes of the segment at `base` are the snapshot's; behind them come zeros up to
 * segment_bytes.  For a sealed segment this is segment_bytes. */
int64_t snapshot_segment_data(const struct snapshot *s, int64_t base);

#endif
