/* built_in.h - topics that a RocketMQ broker has from its start.
 *
 *      name                          queues                 perm   there if
 *      SELF_TEST_TOPIC               1                      rw
 *      TBW102                        defaultTopicQueueNums  rwx    autoCreateTopicEnable
 *      BenchmarkTest                 1024                   rw
 *      brokerClusterName's value     16                     rwx    (x without clusterTopicEnable)
 *      brokerName's value            1                      rwx    (x without brokerTopicEnable)
 *      OFFSET_MOVED_EVENT            1                      rw
 *      SCHEDULE_TOPIC_XXXX           18                     rw
 *      RMQ_SYS_TRACE_TOPIC           1                      rw     traceTopicEnable
 *      brokerClusterName_REPLY_TOPIC 1                      rw
 *
 * Name servers and clients are told of them, but such a topic is made (by a record in the log)
 * only when a client sends its first message.  `x`: a client may have a topic made with it as the
 * template.  If a topic of that name exists, its own configuration counts. */
#ifndef MQFS_REMOTING_BUILT_IN_H
#define MQFS_REMOTING_BUILT_IN_H

#include <jansson.h>
#include <stdbool.h>

#include "conf/settings.h"
#include "offsets/meta.h"

/* The topic of that name; false: there is none.  Any thread. */
bool built_in_find(const struct settings *s, const char *name, struct topic_conf *ret);

/* All of them, as in RocketMQ's topicConfigTable; NULL: no memory. */
json_t *built_in_table(const struct settings *s);

#endif
