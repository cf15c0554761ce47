/* scratch.h - a directory of its own for every input of a fuzz target that
 * needs files; in memory where the machine has such a place. */
#ifndef MQFS_TESTS_FUZZ_SCRATCH_H
#define MQFS_TESTS_FUZZ_SCRATCH_H

#define SCRATCH_PATH 128

void scratch_begin(char path[SCRATCH_PATH]);
void scratch_end(const char *path);

/* A new file below path (directories are made), open for reading and writing. */
int scratch_file(const char *path, const char *name);

#endif
