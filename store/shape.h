/* shape.h - the sizes that the view files of an existing store have.
 *
 * RocketMQ refuses a consume queue whose files have another size than it is set to, and
 * misreads such an index.  So sizes are those of the files that are there, as a commit
 * log's segment size is; the settings are for a store without such files.
 */
#ifndef MQFS_STORE_SHAPE_H
#define MQFS_STORE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

/* The bytes of consume queue files in the store (store_fd), which most of the first files have
 * that are found, some of which may be damaged; of byteindex/ there are as many entries to a
 * file.  0: there is none. */
int64_t shape_of_queues(int store_fd);

/* Slots and entries of index files. */
struct index_shape {
	int64_t slots, entries;
};

int64_t index_shape_bytes(const struct index_shape *shape);

/* What a file of that length has: *shape, as it is set, if that fits, else as RocketMQ has
 * the two to each other (four entries to a slot).  False: neither; *shape is as it was. */
bool index_shape_guess(int64_t bytes, struct index_shape *shape);

/* The same of the index files in STORE/index (dirfd).  False also if there is none. */
bool shape_of_index(int dirfd, struct index_shape *shape);

#endif
