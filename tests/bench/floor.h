/* floor.h - the fastest a libfuse server can be here, to measure mqfs against.
 *
 * One directory with one file, direct I/O, one worker thread per CPU and each
 * pinned to its own: on one CPU a round trip costs a twentieth of one that
 * crosses CPUs.  What read and write do is the caller's.
 */
#ifndef MQFS_BENCH_FLOOR_H
#define MQFS_BENCH_FLOOR_H

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>

#define FLOOR_FILE "file"
#define FLOOR_INO 2

struct floor {
	off_t size;		/* of the file, as stat shows it */
	void (*read)(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
	void (*write)(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
		      struct fuse_file_info *fi);
};

/* Serve it at argv[1] until it is unmounted.  Returns main()'s status. */
int floor_main(char *program, char *mountpoint, struct floor *f);

#endif
