/* confine.h - mqrepld gives up what it does not need, before it reads a byte from the network.
 *
 * What is left to it: sockets, the ring, and reading files beneath the commit
 * log's directory.  All in the order below; what a kernel cannot do is noted
 * (err_text) and is the caller's to tell.
 */
#ifndef MQFS_NET_CONFINE_H
#define MQFS_NET_CONFINE_H

/* Descriptors above `last` are closed. */
int confine_fds(int last);

/* Become `user` (empty: nobody) if we are root, and in no group but the one that
 * may read the log, where others may not.  commitlog_fd -1: no group. */
int confine_user(const char *user, int commitlog_fd);

/* No core, no files written, no processes, no new privileges. */
int confine_limits(void);

/* Landlock: of all files, read those beneath commitlog_fd. */
int confine_files(int commitlog_fd);

/* seccomp: the system calls of the loop.  The others get EPERM. */
int confine_calls(void);

#endif
