/* ahead.h - read-ahead: the next bytes for a sequential reader are rendered before it asks for them.
 *
 *        ring of one open file, by file byte modulo its size
 *     ┌──────┬────────────────────┬─────────────────────┬──────────────┐
 *     │ free │ kept   being sent  │ begin   ready   end │ being filled │
 *     └──────┴────────────────────┴─────────────────────┴──────────────┘
 *
 * A reader that has read sequentially a few times gets a ring; one thread fills it,
 * a piece at a time, with the handle's lock (which protects the view).  Reads are
 * answered out of the ring without that lock.  A read at another place ends the ring.
 * Bytes in the ring may be a moment old, never wrong: queues only grow, and the
 * ring ends where the queue ended.
 *
 * The reader's next read may come, to another worker, before the one that has just answered it is back from
 * that: so bytes are handed out (begin) before they are sent, and free (kept) after it.
 */
#ifndef MQFS_FS_AHEAD_H
#define MQFS_FS_AHEAD_H

#include <sys/queue.h>

#include "fs/handle.h"

struct ahead;

/* Make bytes of h from `byte` on, as view_read() does; h's lock is held. */
typedef int ahead_fill(struct handle *h, int64_t byte, void *buf, size_t size, size_t *ret_n);

/* Start the thread that fills rings.  With one CPU read-ahead gains nothing: *ret is NULL
 * then, and all calls accept that. */
int ahead_open(struct mount *m, ahead_fill *fill, struct ahead **ret);
void ahead_close(struct ahead *a);

/* One open file's ring. */
struct ahead_file {
	struct lock lock;
	pthread_cond_t filled;
	unsigned char *ring;	/* NULL: reads are not ahead */
	int64_t kept;		/* bytes before it may be overwritten */
	int64_t begin, end;	/* bytes that are ready */
	bool at_end;		/* the queue had no bytes behind `end` */
	int replying;		/* replies that are being sent out of [kept, begin) */
	size_t wanted;		/* so many bytes does a reader wait for */
	int64_t next;		/* where a sequential reader reads next */
	unsigned in_a_row;
	bool queued;		/* it waits to be filled, or the thread fills it */
	struct handle *h;	/* while it is queued: with a reference */
	STAILQ_ENTRY(ahead_file) job;
};

void ahead_file_init(struct ahead_file *f);
void ahead_file_free(struct ahead *a, struct ahead_file *f);

/* Take `size` bytes from `off` on out of the ring: then the caller calls ahead_reply().  False: the ring has not got all
 * of them, so they are read as usual.  (A part would end a read(2) that the kernel has cut into requests before the
 * file ends, which programs do not expect of a regular file.) */
bool ahead_take(struct ahead *a, struct handle *h, struct ahead_file *f, size_t size, int64_t off);

/* Answer req with the n bytes that were taken at off. */
void ahead_reply(struct ahead *a, struct handle *h, struct ahead_file *f, fuse_req_t req, int64_t off, size_t n);

/* A read of n bytes (of size asked) at off was answered as usual. */
void ahead_note(struct ahead *a, struct handle *h, struct ahead_file *f, int64_t off, size_t size, size_t n);

#endif
