/* segments.h - segments of the commit log that a daemon sends from.
 *
 * Opening a segment costs as much as sending a few records from it, so a few stay open: each for
 * SEGMENTS_KEPT_MS at most, so that retention gets its space back, and only while its name is that
 * of the same file: the mount may have cut the log, and made another segment of that name.
 */
#ifndef MQFS_NET_SEGMENTS_H
#define MQFS_NET_SEGMENTS_H

#include <stdint.h>

#define SEGMENTS_KEPT 4
#define SEGMENTS_KEPT_MS 1000

struct daemon;

/* Starts as zeros. */
struct segments {
	struct segment_fd {
		int64_t base;
		int64_t until_ms;	/* 0: not open */
		int fd;
	} list[SEGMENTS_KEPT];
};

/* The descriptor of the segment that begins at `base`: the list's, valid until the next call. */
int segments_find(struct daemon *d, int64_t base, int *ret_fd);

/* Close what has been open for long enough.  Returns when to call again, 0: no need. */
int64_t segments_tick(struct daemon *d);

#endif
