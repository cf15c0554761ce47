/* shared.h - memory and eventfds that the mount shares with a daemon, beside the link.
 *
 * The mount makes them and passes their descriptors over the link (LINK_RING).  A side
 * that sleeps says so in memory that it writes and the other reads; the other then
 * writes the eventfd.
 */
#ifndef MQFS_NET_SHARED_H
#define MQFS_NET_SHARED_H

#include <stddef.h>

enum shared_writers {
	SHARED_OURS,		/* the daemon can only read it */
	SHARED_THEIRS,		/* we map it to read only */
	SHARED_BOTH,
};

/* A memfd whose size nobody can change any more, mapped for us; `name` is shown in /proc.
 * The caller owns the descriptor, and munmap(2)s the memory.  -errno, noted. */
int shared_make(const char *name, size_t size, enum shared_writers writers, int *ret_fd, void **ret_at);

/* An eventfd as two descriptors, ours and one to be passed on. */
int shared_make_wake(int *ret_ours, int *ret_theirs);

#endif
