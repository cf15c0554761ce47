/* confine.h - a daemon gives up what it does not need, before it reads a byte from the network.
 *
 *      confine_fds ─> confine_user ─> confine_limits ─> confine_files ─> confine_calls
 *
 * If a call fails, the caller must end the process: it would else talk to strangers with the
 * rights of the user who mounted.  The one exception is -ENOSYS, of the last two: this kernel
 * or build has no Landlock or seccomp (noted), and the caller logs that.
 */
#ifndef MQFS_NET_CONFINE_H
#define MQFS_NET_CONFINE_H

/* What a process will do; may be combined. */
enum confine_role {
	CONFINE_SERVES = 1,		/* it has the link, and reads segments of the log */
	CONFINE_LISTENS = 2,		/* others connect to it */
	CONFINE_DIALS = 4,		/* it connects to others */
	CONFINE_RESOLVES = 8,		/* it looks names up, and nothing else: see resolve.h */
};

/* Close descriptors above `last`. */
int confine_fds(int last);

/* Become `user` (empty: nobody) if we are root, and in no group but that of
 * the commit log's directory, which may read the log.  commitlog_fd -1: no group.  Give up all
 * capabilities in any case. */
int confine_user(const char *user, int commitlog_fd);

/* Descriptors that a daemon needs beside those of its connections. */
#define CONFINE_FDS 512

/* No core, no files written, no processes, no new privileges, at most `fds` descriptors (fewer, where
 * the limit is lower already); and SIGKILL when the thread that started us ends, which reaches a
 * process that is stopped, too.  After confine_user(): a change of user would take that back. */
int confine_limits(unsigned fds);

/* Landlock: of all files, read those beneath commitlog_fd; -1: read what the user may read. */
int confine_files(int commitlog_fd);

/* seccomp: allow the system calls of these roles, with the arguments that they need.  All
 * others get EPERM. */
int confine_calls(unsigned roles);

#endif
