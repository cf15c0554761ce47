/* target.h - what a fuzz target offers: one call that must not crash, whatever
 * the bytes.  Run by clang's -fsanitize=fuzzer, and by replay.c in make check. */
#ifndef MQFS_TESTS_FUZZ_TARGET_H
#define MQFS_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
