/* direct.h - a file's bytes as they are on the disk.
 *
 * What the page cache holds of a file says nothing of what the disk still has.  So
 * reads go past it (O_DIRECT): nothing comes into the cache by them, and what others
 * need stays there.  Where a file system cannot do that, bytes come through the
 * cache and are dropped from it, unless they were there before.
 *
 * One thread at a time.
 */
#ifndef MQFS_STORE_DIRECT_H
#define MQFS_STORE_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define DIRECT_BYTES (1 << 20)		/* read from the disk at once */

struct direct;

/* memory_first: what is in the page cache is taken from there. */
int direct_open(int dirfd, const char *name, bool memory_first, struct direct **ret);
void direct_close(struct direct *d);	/* accepts NULL */

/* As pread(2), of any length and from anywhere; short at the file's end, and before
 * bytes that cannot be read. */
ssize_t direct_read(struct direct *d, void *buf, size_t len, int64_t at);

#endif
