/* mapped.h - reading mappings of files.
 *
 * A page of a file that cannot be read, or is not there any more, is a SIGBUS for the thread that touches it.
 * Within mapped_try() it is an error, and the thread goes on.  Elsewhere it ends the process, as ever.
 */
#ifndef MQFS_STORE_MAPPED_H
#define MQFS_STORE_MAPPED_H

#include <stddef.h>

/* Take SIGBUS.  Without it mapped_try() guards against nothing. */
void mapped_begin(void);

/* Call body(arg), which may read mappings.  -EIO: a page could not be read, and body was left at that place, as by
 * longjmp(3): so it takes no lock and owns no memory there.  Any thread; not within itself. */
int mapped_try(void (*body)(void *arg), void *arg);

/* Map the first `len` bytes of fd for reading.  NULL: that cannot be done, or must not, as the process has a limit
 * of its address space (RLIMIT_AS), or one of 32 bits. */
const unsigned char *mapped_open(int fd, size_t len);
void mapped_close(const unsigned char *map, size_t len);	/* accepts NULL */

/* Are all of these bytes of a mapping in the page cache, so that reading them does not wait for a disk? */
bool mapped_is_cached(const unsigned char *at, size_t len);

#endif
