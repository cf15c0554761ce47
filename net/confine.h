/* confine.h - a daemon gives up what it does not need, before it reads a byte from the network.
 *
 *      confine_fds ─> confine_user ─> confine_limits ─> confine_files ─> confine_calls
 *
 * A call that fails must end the process: with the rights of who mounted it would talk to
 * strangers.  The one exception is -ENOSYS, of the last two: this kernel or build has no
 * Landlock or seccomp (noted), which is the caller's to tell.
 */
#ifndef MQFS_NET_CONFINE_H
#define MQFS_NET_CONFINE_H

/* What a process goes on to do; may be combined. */
enum confine_role {
	CONFINE_SERVES = 1,		/* it has the link, and reads segments of the log */
	CONFINE_LISTENS = 2,		/* others connect to it */
	CONFINE_DIALS = 4,		/* it connects to others */
	CONFINE_RESOLVES = 8,		/* it looks names up, and nothing else: see resolve.h */
};

/* Descriptors above `last` are closed. */
int confine_fds(int last);

/* Become `user` (empty: nobody) if we are root, and in no group but that of
 * the commit log's directory, which may read the log.  commitlog_fd -1: no group.  No capability
 * is left, whoever we are. */
int confine_user(const char *user, int commitlog_fd);

/* Descriptors that a daemon needs beside those of its connections. */
#define CONFINE_FDS 512

/* No core, no files written, no processes, no new privileges, at most `fds` descriptors (fewer, where
 * the limit is lower already); and SIGKILL when the thread that started us ends, which reaches a
 * process that is stopped, too.  After confine_user(): a change of user would take that back. */
int confine_limits(unsigned fds);

/* Landlock: of all files, read those beneath commitlog_fd; -1: read what the user may read. */
int confine_files(int commitlog_fd);

/* seccomp: the system calls of these roles, with the arguments that they need.  The
 * others get EPERM. */
int confine_calls(unsigned roles);

#endif
