/* rocketmq.h - topics, groups and offsets as RocketMQ's config/ *.json and the bodies of
 * its remoting calls have them; both ways.  Internal to this floor, but for rocketmq_topic_json().
 *
 * Reading takes one member of a table; what is not there has RocketMQ's default.
 * -EINVAL, noted: that cannot be one of ours (its name, so many queues, a value out
 * of range); the others of the table may.
 */
#ifndef MQFS_OFFSETS_ROCKETMQ_H
#define MQFS_OFFSETS_ROCKETMQ_H

#include <jansson.h>
#include <stdbool.h>

#include "offsets/meta.h"
#include "offsets/offsets.h"

/* The four files: their names, and the member that is the table. */
extern const struct rocketmq_file {
	const char *name, *member;
} rocketmq_files[CONFIG_FILES];

/* *ret_conf is what the topic or group is now, or its default, but for what RocketMQ knows of it. */
int rocketmq_topic_read(struct offsets *o, const char *name, const json_t *object, struct topic_conf *ret_conf);
int rocketmq_group_read(struct offsets *o, const char *name, const json_t *object, struct group_conf *ret_conf);

/* "topic@group" and its offsets {"0":12,...} into m's topic, group and offsets. */
int rocketmq_offsets_read(const char *key, const json_t *table, struct meta *m);

/* A member of delayOffset.json's table: a level and an offset? */
bool rocketmq_delay_ok(const char *level, const json_t *at);

/* Is RocketMQ told of it?  Of the one that is our own it is not. */
bool rocketmq_knows_topic(const char *name);

/* NULL: no memory. */
json_t *rocketmq_topic_json(const struct topic_conf *conf);
json_t *rocketmq_group_json(const struct group_conf *conf);

#endif
