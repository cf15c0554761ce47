/* shared.h - memory and eventfds that the mount shares with a daemon, beside the link.
 *
 * The mount makes them and passes their descriptors over the link (LINK_RING).  A side
 * that sleeps says so in memory that it writes and the other reads; the other then
 * writes the eventfd.
 */
#ifndef MQFS_NET_SHARED_H
#define MQFS_NET_SHARED_H

#include <stdbool.h>
#include <stddef.h>

enum shared_writers {
	SHARED_OURS,		/* the daemon can only read it */
	SHARED_THEIRS,		/* we map it to read only */
	SHARED_BOTH,
};

/* A memfd whose size nobody can change any more, mapped for us; `name` is shown in /proc.
 * The caller owns the descriptor, and munmap(2)s the memory.  -errno, noted. */
int shared_make(const char *name, size_t size, enum shared_writers writers, int *ret_fd, void **ret_at);

/* Map what the other side has made and passed on; fd is closed, also on failure.  MQ_ECORRUPT, noted: it
 * has another size.  -errno, noted. */
int shared_map(const char *name, int fd, size_t size, bool writable, void **ret_at);

/* An eventfd as two descriptors, ours and one to be passed on. */
int shared_make_wake(int *ret_ours, int *ret_theirs);

/* Wake the side that waits for the eventfd, and reset it when it has woken us. */
void shared_wake(int fd);
void shared_reset(int fd);

/* Pass n descriptors over the link, and receive them, in the order given.  -1 in `fds` for those that
 * were not received. */
int shared_pass(int link_fd, const int *fds, int n);
int shared_receive(int link_fd, int *fds, int n);

#endif
