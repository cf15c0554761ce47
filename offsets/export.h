/* export.h - the tables as RocketMQ's config/ *.json, for its tools and its slaves.
 *
 *   topics.json, subscriptionGroup.json, consumerOffset.json, delayOffset.json
 *
 * They have the members that RocketMQ's own have.  As files they are standard JSON, with
 * numbers as keys in quotes, which it reads as well; as bodies of its remoting calls
 * (offsets_export()) they are compact, with such keys bare, as fastjson prints them.
 * MQFS_META is not among the topics: nobody consumes it, and a RocketMQ slave has what it
 * needs of it in its log.  import.c and take.c are the ways back.  Internal to this floor.
 */
#ifndef MQFS_OFFSETS_EXPORT_H
#define MQFS_OFFSETS_EXPORT_H

#include "offsets/tables.h"

/* Write the four files into the directory dirfd, as the last checkpoint has it; not synced. */
int export_config(struct tables *t, int dirfd, int64_t now_ms);

#endif
