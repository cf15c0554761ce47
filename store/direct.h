/* direct.h - a file's bytes as they are on the disk.
 *
 * Reads bypass the page cache (O_DIRECT), which may have bytes that the disk has lost, and
 * do not change what is in it.  Where a file system does not support that, bytes are read
 * through the cache and dropped from it, unless they were there before.
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

/* memory_first: bytes in the page cache are taken from there. */
int direct_open(int dirfd, const char *name, bool memory_first, struct direct **ret);
void direct_close(struct direct *d);	/* accepts NULL */

/* As pread(2), without alignment; short at the file's end, and before bytes that cannot be read. */
ssize_t direct_read(struct direct *d, void *buf, size_t len, int64_t at);

#endif
