/* fdcache.h - many files, few descriptors.
 *
 * A cached descriptor is known by its owner (an address) and a number; it is
 * used between get and put, and closed when there are too many and it has not been
 * used for longest, or when it is forgotten.  Any thread; getting and putting one that
 * is open takes no lock.
 *
 * The kernel reports an error of write-back when a descriptor is synced that was open when the error
 * happened; through one that is opened later only while it still has the inode in memory.  So
 * a caller that writes, and syncs later, either keeps the descriptor, or asks whether one was closed
 * in between.
 */
#ifndef MQFS_STORE_FDCACHE_H
#define MQFS_STORE_FDCACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fdcache;
struct fdref;

int fdcache_open(size_t max, struct fdcache **ret);
void fdcache_close(struct fdcache *c);	/* accepts NULL; nothing may be in use */

/* The descriptor if it is open: a reference for fdcache_put(), else NULL. */
struct fdref *fdcache_get(struct fdcache *c, const void *owner, int64_t number);

/* Give fd (which becomes the cache's) that name.  If another thread was faster,
 * theirs is returned and fd closed.  NULL without memory (fd is closed). */
struct fdref *fdcache_add(struct fdcache *c, const void *owner, int64_t number, int fd);

int fdref_fd(const struct fdref *ref);

/* The file's first `len` bytes (the same number at each call), mapped for reading as long as the caller has its
 * reference; see mapped.h.  NULL: that cannot be done. */
const unsigned char *fdref_map(struct fdref *ref, size_t len);
void fdcache_put(struct fdcache *c, struct fdref *ref);	/* accepts NULL */

/* Instead of fdcache_put(): the descriptor stays open until fdcache_let_go() or fdcache_forget().
 * fdcache_let_go() does nothing for one that was not kept. */
void fdcache_keep(struct fdcache *c, struct fdref *ref);
void fdcache_let_go(struct fdcache *c, const void *owner, int64_t number);

/* Call fdref_writes() before a write through the descriptor, and fdref_syncs() before a sync. */
void fdref_writes(struct fdref *ref);
void fdref_syncs(struct fdref *ref);

/* Was a descriptor closed to make room between its fdref_writes() and fdref_syncs(), since the last call? */
bool fdcache_closed_unsynced(struct fdcache *c);

/* The file was removed: close the descriptor when its last user has put it. */
void fdcache_forget(struct fdcache *c, const void *owner, int64_t number);

#endif
