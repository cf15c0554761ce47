/* retry.h - a write whose wait has failed, and how its repetition is recognized.
 *
 * A write whose wait for a disk or a slave fails is answered with an error although its
 * messages are stored.  Every producer then writes the same bytes again: the rest that a
 * short count of write(2) leaves when the kernel has cut it into requests, or the buffer that
 * a language's library still holds.  So there is a rule, for each open file:
 *
 *     If the wait of the last write has failed, and a write begins with the same bytes, it is
 *     a repetition: these bytes are not stored again, and the write waits again.
 *
 *     write ──> waits ──> ok: nothing is remembered
 *                 └─────> failed: its bytes are remembered ──> the same bytes: waits again
 *                                                         ├──> others were stored: forgotten
 *                                                         └──> fsync is ok: forgotten
 *
 * A file of commands (groups/G/T/qN.offset, qN.retry, topics/T/ctl) has the rule, too: a command
 * that comes again is not run again.
 *
 * The bytes are remembered as checksums, one for each block, because the kernel cuts by the
 * pages of the caller's memory: the same bytes at another address may come in shorter requests.
 *
 * Plain data, without pointers: it lies in an estate (estate.h), too.
 */
#ifndef MQFS_FS_RETRY_H
#define MQFS_FS_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RETRY_BLOCK_BYTES 4096
#define RETRY_BLOCKS 257		/* the longest request, and one more */
#define RETRY_APPENDED (-1)		/* the offset of an O_APPEND write, which is not compared */

struct retry {
	uint64_t request;	/* the write that has these bytes, or begins with some of them */
	size_t part;		/* how many of them */
	bool failed;		/* a wait for them has failed */
	int64_t off;		/* where in the file, or RETRY_APPENDED */
	int64_t end;		/* position of the log that their wait waits for */
	size_t len;		/* 0: no bytes are remembered */
	uint64_t sums[RETRY_BLOCKS];
};

/* `request` has stored len bytes at buf.  If they do not fit in RETRY_BLOCKS, they are not
 * remembered. */
void retry_begin(struct retry *r, uint64_t request, const void *buf, size_t len, int64_t off, int64_t end);

/* `request` repeats the first `part` bytes of r, and has no others. */
void retry_begin_part(struct retry *r, uint64_t request, size_t part);

/* How many bytes of a write repeat those of r: all of r's, or 0.  `cut`: the kernel may have
 * cut the write behind these bytes; then it may be a whole number of blocks, too. */
size_t retry_match(const struct retry *r, const void *buf, size_t size, int64_t off, bool cut);

/* The wait of `request` is over.  If r is of a later write already, it does not change. */
void retry_end(struct retry *r, uint64_t request, bool ok);

/* Waits end in other threads, which must not block: they leave one word, for the next request to
 * take over.  0: no wait has ended. */
void retry_leave(_Atomic uint64_t *word, uint64_t request, bool ok);
void retry_take_over(struct retry *r, const _Atomic uint64_t *word);	/* accepts r NULL */

/* A later fsync has confirmed `request`, the last write whose wait had failed.  Any thread. */
void retry_confirm(_Atomic uint64_t *word, uint64_t request);

/* The last write, if its wait has failed, else 0.  Accepts NULL. */
uint64_t retry_failed(const struct retry *r);

void retry_forget(struct retry *r);

/* Bytes of r that are in use: a copy needs no more. */
size_t retry_bytes(const struct retry *r);

#endif
