/* queue_files.h - the two rows of files behind a queue: see queue.h for what is in them.
 *
 * Entries are numbered as messages; a file has the same entries in both rows.  A file that a crash
 * has left half made is made again.  Any thread; no entry may be read while it is written.
 */
#ifndef MQFS_STORE_QUEUE_FILES_H
#define MQFS_STORE_QUEUE_FILES_H

#include <stdbool.h>

#include "store/fdcache.h"
#include "store/queue.h"

enum queue_half {
	QUEUE_ENTRIES,		/* consumequeue/ */
	QUEUE_STARTS,		/* byteindex/ */
};

const char *queue_files_dir(enum queue_half half);

/* Do the files hold the last message that the queue's row has?  Only that one is compared: a start must
 * not take longer for a larger store.  The functions below compare before they first open or remove a file
 * of a queue whose files were not compared yet; see queues_restore().  *ret_is_last, if not NULL: are there
 * no entries behind that message? */
bool queue_files_match(struct queue *q, bool *ret_is_last);

/* Is that file there; `whole`: at its full length? */
bool queue_files_there(struct queue *q, enum queue_half half, int64_t file, bool whole);

/* The descriptor of one half's file, for fdcache_put(); made if `make` and it is
 * not there.  -EIO for a missing one. */
int queue_files_get(struct queue *q, enum queue_half half, int64_t file, bool make, struct fdref **ret_ref);

/* Read or write n entries of one half from entry `at` on; they lie in one file.  -EIO: they cannot be
 * read, or must not, as the files are not as the queue's row. */
int queue_files_io(struct queue *q, enum queue_half half, bool write, int64_t at, void *buf, size_t n);

/* Read such entries if they are in memory, and the file is open; else -EAGAIN, and it has not waited. */
int queue_files_read_now(struct queue *q, enum queue_half half, int64_t at, void *buf, size_t n);

/* Remove one half's file, if it is there. */
void queue_files_remove(struct queue *q, enum queue_half half, int64_t file);

#endif
