/* node_parts.h - inode numbers and names of a queue's parts, for notices.c, which notifies the kernel of removed ones.
 *
 * Parts are numbered: part `number` begins with message number * QUEUE_PART_MESSAGES.
 */
#ifndef MQFS_FS_NODE_PARTS_H
#define MQFS_FS_NODE_PARTS_H

#include "fs/node.h"
#include "offsets/meta.h"

#define NODE_PART_NAME_SIZE 24

fuse_ino_t node_part_ino(uint32_t topic, uint32_t queue, int64_t number, enum topic_format format);
void node_part_name(int64_t number, char name[NODE_PART_NAME_SIZE]);

#endif
