/* session.h - the FUSE session: mount, serving (workers.h), unmount.
 *
 *     mount ──> INIT answered (ready is called) ─> workers serve ──> umount or signal
 *                                                   ^                    │
 *     inherit ──> INIT from the estate ─> RESEND ───┘                    │
 *                              unmounted <── workers joined <────────────┘
 */
#ifndef MQFS_FS_SESSION_H
#define MQFS_FS_SESSION_H

#include "fs/mount.h"

struct session_conf {
	const char *mount_options;	/* for libfuse: "fsname=...,ro,..." */
	bool debug;
	void (*ready)(void *arg);	/* called once, by a worker: the mount is usable */
	void *ready_arg;
};

/* Mount m at m->mountpoint, or take over the connection that m->line has from a
 * dead broker.  -errno with a note. */
int session_open(struct mount *m, const struct session_conf *conf);

/* Serve until unmounted, or until one of SIGTERM, SIGINT, SIGHUP arrives
 * (*ret_signal; 0: unmounted).  The calling thread must have them blocked. */
int session_run(struct mount *m, int *ret_signal);

/* The connection, if another broker can take it over; else -1. */
int session_heritable_fd(const struct mount *m);

/* Of the request that this thread serves: its number, the same when it is delivered
 * again; was it delivered before?; the calling process (0: none, or one of another
 * namespace); of a POLL: the kernel's name for the processes that poll. */
uint64_t session_request(void);
bool session_is_resent(void);
pid_t session_caller(void);
uint64_t session_poll_name(void);

/* Unmount if it is still mounted, so that processes with open files get ENOTCONN. */
void session_unmount(struct mount *m);
void session_close(struct mount *m);

/* Let the kernel read fd by itself, for opens of ino that answer FOPEN_PASSTHROUGH
 * with *ret_backing_id.  All opens of one inode at a time share one id, as the kernel
 * demands.  -EOPNOTSUPP: the kernel cannot do it. */
int passthrough_open(struct mount *m, fuse_ino_t ino, int fd, int32_t *ret_backing_id);
void passthrough_close(struct mount *m, int32_t backing_id);

#endif
