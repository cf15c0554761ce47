/* shape.h - the sizes that the view files of an existing store have.
 *
 * RocketMQ refuses a consume queue whose files have another size than its setting, and misreads such
 * an index.  So new files get the size of existing ones, as segments do; the settings count only
 * in a store without such files.
 */
#ifndef MQFS_STORE_SHAPE_H
#define MQFS_STORE_SHAPE_H

#include <stdbool.h>
#include <stdint.h>

/* The bytes of a consume queue file in the store (store_fd): the size that most of the first files have,
 * since some may be damaged.  Files of byteindex/ have as many entries.  0: there is no file. */
int64_t shape_of_queues(int store_fd);

/* Slots and entries of index files. */
struct index_shape {
	int64_t slots, entries;
};

/* The shape of the index files in STORE/index (dirfd): *shape if that fits their length, else RocketMQ's ratio
 * (four entries to a slot).  False: neither fits, or there is none; *shape is unchanged. */
bool shape_of_index(int dirfd, struct index_shape *shape);

#endif
