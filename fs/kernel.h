/* kernel.h - parts of the FUSE protocol for which libfuse 3.14 has no call.
 *
 * Numbers and layouts are the kernel's (linux/fuse.h, protocol 7.40); they are
 * here because the headers of an older system lack them.
 */
#ifndef MQFS_FS_KERNEL_H
#define MQFS_FS_KERNEL_H

#include <stdint.h>
#include <sys/ioctl.h>

/* What open answers beside the handle. */
#ifndef FOPEN_DIRECT_IO
#define FOPEN_DIRECT_IO (1u << 0)	/* no page cache: every read and write comes to the broker */
#define FOPEN_KEEP_CACHE (1u << 1)	/* pages cached before this open are still valid */
#endif
#ifndef FOPEN_NOFLUSH
#define FOPEN_NOFLUSH (1u << 5)		/* close(2) sends no FLUSH */
#endif
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1u << 6)
#endif
#ifndef FOPEN_PASSTHROUGH
#define FOPEN_PASSTHROUGH (1u << 7)	/* the kernel reads the file of backing_id itself */
#endif

struct kernel_open_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

/* The head of every request and of every answer. */
struct kernel_in_header {
	uint32_t len;
	uint32_t opcode;
	uint64_t unique;	/* with KERNEL_RESENT if it was delivered before */
	uint64_t node;
	uint32_t uid, gid, pid;
	uint16_t extensions, padding;
};

struct kernel_out_header {
	uint32_t len;
	int32_t error;
	uint64_t unique;
};

#define KERNEL_RESENT (UINT64_C(1) << 63)

#define KERNEL_OP_WRITE 16
#define KERNEL_OP_RELEASE 18
#define KERNEL_OP_INIT 26
#define KERNEL_OP_POLL 40

struct kernel_poll_in {
	uint64_t fh;
	uint64_t poll;		/* the kernel's name for the processes that poll */
	uint32_t flags, events;
};

/* A notification: a header with unique 0 and one of these as its error. */
#define KERNEL_NOTIFY_POLL 1	/* followed by kernel_poll_in's `poll` */
#define KERNEL_NOTIFY_RESEND 7	/* deliver again all requests that were taken and not answered */

struct kernel_notify_poll {
	struct kernel_out_header head;
	uint64_t poll;
};

/* INIT: what the kernel offers, after the header ... */
struct kernel_init_in {
	uint32_t major, minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint32_t flags2;	/* there if flags has INIT_EXT */
};

/* ... and what the broker takes. */
struct kernel_init_out {
	uint32_t major, minor;
	uint32_t max_readahead;
	uint32_t flags;
	uint16_t max_background, congestion_threshold;
	uint32_t max_write;
	uint32_t time_gran;
	uint16_t max_pages, map_alignment;
	uint32_t flags2;
	uint32_t max_stack_depth;
	uint32_t unused[6];
};

#define KERNEL_INIT_EXT (1u << 30)
#define KERNEL_HANDLE_KILLPRIV_V2 (1u << 28)	/* no GETXATTR before each write */
#define KERNEL_INIT2_PASSTHROUGH (1u << 5)	/* of flags2 */
#define KERNEL_INIT2_HAS_RESEND (1u << 7)

/* A file that the kernel may read itself: id > 0, or -1. */
struct kernel_backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};

#define KERNEL_BACKING_OPEN _IOW(229, 1, struct kernel_backing_map)
#define KERNEL_BACKING_CLOSE _IOW(229, 2, uint32_t)

#endif
