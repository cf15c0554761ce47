/* export.h - the tables as RocketMQ's config/ *.json, for its tools.
 *
 *   topics.json, subscriptionGroup.json, consumerOffset.json, delayOffset.json
 *
 * Standard JSON with the members that RocketMQ's own files have; numbers as keys
 * are quoted, which it reads as well.  import.c is the way back.  Internal to
 * this floor.
 */
#ifndef MQFS_OFFSETS_EXPORT_H
#define MQFS_OFFSETS_EXPORT_H

#include "offsets/tables.h"

/* Write the four files into the directory dirfd; not synced. */
int export_config(struct tables *t, int dirfd, int64_t now_ms);

#endif
