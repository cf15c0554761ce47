/* packed.h - a body as RocketMQ's clients pack long ones: see body.h. */
#ifndef MQFS_TESTS_PACKED_H
#define MQFS_TESTS_PACKED_H

#include <libdeflate.h>
#include <stddef.h>

/* Pack len bytes into buf; how many they are then (0: more than size). */
static inline size_t
packed(const void *bytes, size_t len, void *buf, size_t size)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(5);
	size_t n = libdeflate_zlib_compress(c, bytes, len, buf, size);

	libdeflate_free_compressor(c);
	return n;
}

#endif
