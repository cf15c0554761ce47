/* export.h - the tables as RocketMQ's config/ *.json, for its tools, its slaves and its brokers.
 *
 *   topics.json, subscriptionGroup.json, consumerOffset.json, delayOffset.json
 *
 * They have the members that RocketMQ's own have.  As files they are standard JSON, with
 * numbers as keys in quotes, which it reads as well; as bodies of its remoting calls
 * (offsets_export()) they are compact, with such keys bare, as fastjson prints them.
 * MQFS_META is not among the topics: nobody consumes it, and a RocketMQ slave has what it
 * needs of it in its log.  import.c and take.c are the ways back.  Internal to this floor.
 *
 * Fields of a topic or group that RocketMQ has written and mqfs does not know (5.x's attributes,
 * with a topic's type among them) stay: they are copied from the files in STORE/config.
 *
 * Those in STORE/config are for a RocketMQ broker that is started on the store.  Files that it
 * writes have no member "mqfs", as ours have: so the next mount knows that RocketMQ was the
 * last to run (import.c).
 */
#ifndef MQFS_OFFSETS_EXPORT_H
#define MQFS_OFFSETS_EXPORT_H

#include "offsets/offsets.h"
#include "offsets/tables.h"

#define EXPORT_MARK "mqfs"

/* What a mount has written into STORE/config. */
struct exported {
	bool once;
	uint32_t sums[CONFIG_FILES];	/* of the tables' texts */
};

/* Write the four files into dirfd, as t, the tables of o or a copy of them, has it.
 *
 * last NULL: into the new directory of a snapshot; not synced.  Else into STORE/config: durably,
 * those that are another than *last says; a crash leaves the old file or the new one.  The one
 * before is kept as .bak, as RocketMQ does.  A delayOffset.json is left alone as long as nothing
 * is known of delays. */
int export_config(const struct offsets *o, struct tables *t, int dirfd, int64_t now_ms, struct exported *last);

#endif
