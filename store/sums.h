/* sums.h - the sums of sealed segments, which do not change any more.
 *
 *   STORE/sums/N      N as in commitlog/
 *     "<64 hex digits> <bytes> <ms>\n"     SHA-256 of the segment, its length, and when the
 *                                         disk was last found to match it (0: not yet)
 *     "<8 hex digits>\n" ...               CRC-32 of each piece, to find the pieces that differ
 *
 * A sum is made when the segment is sealed (scrub.h), or when a snapshot's MANIFEST needs it.
 * A caller that changes a sealed segment calls sums_forget().
 */
#ifndef MQFS_STORE_SUMS_H
#define MQFS_STORE_SUMS_H

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

/* sum_add() takes the bytes in order, in parts of any length.  Call sum_end() also after a sum_begin()
 * that failed. */
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

/* -ENOENT: there is no valid one. */
int sums_read(int store_fd, mq_pos base, struct sum *ret);

/* Durably, as a whole. */
int sums_write(int store_fd, mq_pos base, const struct sum *sum);

/* Remove the sums outside of [begin, end), and incomplete files that a crash has left. */
void sums_forget(int store_fd, mq_pos begin, mq_pos end);

#endif
