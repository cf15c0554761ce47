/* storedir.h - a store's directory: its lock, its marks of a clean exit.
 *
 *   lock         held (fcntl, byte 0) as long as a process serves the store;
 *                holds "PID HOST" for whoever finds it busy
 *   abort        exists while mounted: if a mount finds it, the last exit was not clean
 *   checkpoint   RocketMQ's three timestamps, for its own recovery
 *   cut          the log is being cut: see cut.h
 *   flushed      up to where the log is on the disk: see durable.h
 *   commitlog/ consumequeue/ byteindex/ index/ lmdb/ config/ lost+found/
 *                commitlog may be a link to the directory that RocketMQ's storePathCommitLog
 *                names, for programs that only know the store
 *   views.stale  the views lack messages of a part of the log that was bad and has been healed, or the
 *                files of a queue were not as its row: the next mount makes them anew
 *   snapshots/   see snapshot.h
 *   sums/        see sums.h
 *   snapshot     this is a copy of a snapshot, with the identity of its store until a mount
 *                gives it one of its own
 */
#ifndef MQFS_STORE_STOREDIR_H
#define MQFS_STORE_STOREDIR_H

#include <stdbool.h>
#include <stdint.h>

struct storedir {
	int fd;			/* the directory */
	int derived_fd;		/* where views may be written: fd, or for a read-only
				 * mount a private directory that close removes */
	int commitlog_fd;	/* the commit log's directory, wherever it is */
	int lock_fd;
	int elsewhere_fd;	/* locked as long as a commit log outside the store is used; or -1 */
	bool read_only;
	bool was_clean;		/* no `abort` was found */
	bool was_rocketmqs;	/* RocketMQ was the last to write here */
	bool views_stale;	/* `views.stale` was found: they are being made anew */
	bool views_foreign;	/* the views were made by RocketMQ, or by an mqfs that counted bodies otherwise */
	bool is_new;		/* made by this open */
	bool is_copy;		/* of a snapshot, not mounted writable since */
	char *path;
	char *derived_path;	/* NULL unless private */
};

/* Open (and make, unless read_only) the store at path, an absolute one; wait up to wait_ms for
 * another holder of its lock to go away.  `commitlog` is the setting storePathCommitLog ("": not
 * set), an absolute path; that directory is made for a new store.  All errors are noted:
 *
 * -EBUSY    another process (the note has its pid and host, as far as they can be found) uses the store, or another store
 *           the directory `commitlog`
 * -EINVAL   path is a snapshot where it was taken, no store and not empty, or a mount point of
 *           mqfs; or the store has another commit log
 * -ENOENT   `commitlog` is missing, and the store is not new; or a directory is missing that is to
 *           hold one of the two (the note has its path)
 * -errno
 *
 * In a copy of a snapshot the last segment and the tables get inodes of their own, unless
 * read_only: backups are often hard links to one another (rsync --link-dest, cp -al).
 *
 * The group of the commit log's directory may read the log: the daemons of root's mount, which
 * are not root, belong to it (net/confine.h).  Where a copy has brought the directory or its
 * segments with another group or mode, root's writable mount corrects these. */
int storedir_open(const char *path, const char *commitlog, bool read_only, int wait_ms, struct storedir *ret_dir);

/* Create `abort`, so that the next mount notices a crash. */
int storedir_begin(struct storedir *dir);

/* A clean end: removes `abort`, syncs. */
int storedir_end(struct storedir *dir);

/* The store is no copy any more: remove `snapshot`, and MANIFEST, which does not hold any more. */
int storedir_is_own(struct storedir *dir);

/* The next mount is to make the views anew; they are made anew, and on the disk. */
int storedir_views_are_stale(struct storedir *dir);
int storedir_views_are_fresh(struct storedir *dir);

/* RocketMQ's checkpoint file. */
int storedir_write_checkpoint(struct storedir *dir, int64_t physic_ms, int64_t logics_ms, int64_t index_ms);

void storedir_close(struct storedir *dir);

#endif
