/* sums.h - what sealed segments hash to: it never changes as long as they live.
 *
 *   STORE/sums/N      N as in commitlog/
 *     "<64 hex digits> <bytes> <ms>\n"     SHA-256 of the segment, its length, and when
 *                                         it was last found so on the disk (0: not yet)
 *     "<8 hex digits>\n" ...               CRC-32 of each of its pieces, which say where
 *                                         it has changed, should it have
 *
 * Made when a segment is sealed (scrub.h), else when a snapshot's MANIFEST wants it.
 * Whoever changes a sealed segment forgets its sum.
 */
#ifndef MQFS_STORE_SUMS_H
#define MQFS_STORE_SUMS_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/pos.h"

#define SUM_HEX 64
#define SUM_PIECES_MAX 1024

struct sum {
	char hex[SUM_HEX + 1];
	int64_t bytes;
	int64_t checked_ms;
	size_t n;			/* pieces, each of sum_piece_bytes(); the last may be shorter */
	uint32_t pieces[SUM_PIECES_MAX];
};

int64_t sum_piece_bytes(int64_t bytes);

/* --- making one --------------------------------------------------------------- */

/* Bytes in order, cut anywhere.  sum_end() may follow a begin that failed. */
struct summing {
	void *ctx;
	struct sum *sum;
	int64_t at;
};

int sum_begin(struct summing *m, int64_t bytes, struct sum *sum);
int sum_add(struct summing *m, const void *bytes, size_t len);
int sum_ready(struct summing *m);	/* sum->hex is set */
void sum_end(struct summing *m);

/* --- keeping them ----------------------------------------------------------------- */

/* -ENOENT: there is none that can be understood. */
int sums_read(int store_fd, mq_pos base, struct sum *ret);

/* Durably, as a whole. */
int sums_write(int store_fd, mq_pos base, const struct sum *sum);

/* Forget those outside of [begin, end), and what a crash has left half written. */
void sums_forget(int store_fd, mq_pos begin, mq_pos end);

#endif
