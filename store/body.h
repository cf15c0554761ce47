/* body.h - a message's body as its producer has made it.
 *
 * RocketMQ's clients pack bodies over 4096 bytes, and brokers store them so:
 *
 *   SYSFLAG   0x001  the body is packed
 *             0x700  how: 0 and 0x300 zlib, 0x100 LZ4, 0x200 Zstandard
 *
 * mqfs shows, measures and counts unpacked bodies.  One that is damaged, packed in another way,
 * or longer than BODY_UNPACKED_MAX is shown as it is stored.
 *
 * LZ4 and Zstandard are in their frame formats, as RocketMQ's streams write them.
 */
#ifndef MQFS_STORE_BODY_H
#define MQFS_STORE_BODY_H

#include "store/record.h"

#define BODY_UNPACKED_MAX (64 << 20)
#define BODY_RATIO_MAX 32768		/* Zstandard makes a block of 128 KiB of 4 bytes at best */

/* No record of `total` bytes has a longer body. */
static inline int64_t
body_max(int32_t total)
{
	int64_t unpacked = (int64_t)total * BODY_RATIO_MAX;

	if (unpacked > BODY_UNPACKED_MAX)
		unpacked = BODY_UNPACKED_MAX;
	return total > unpacked ? total : unpacked;
}

/* If rec's body is packed, unpack it into *buf (of *size bytes, grown as needed; NULL and 0 at first)
 * and let rec have that body.  -ENOMEM: rec is unchanged. */
int body_unpack(struct record *rec, unsigned char **buf, size_t *size);

/* The length of the unpacked body.  -ENOMEM. */
int body_length(const struct record *rec, int32_t *ret_len);

#endif
