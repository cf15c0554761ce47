/* rates.h - metrics under the names of RocketMQ's exporter: messages and bytes per second.
 *
 *      rocketmq_broker_tps, _qps                          cluster, broker
 *      rocketmq_producer_tps, _producer_message_size      cluster, broker, topic
 *      rocketmq_consumer_tps, _consumer_message_size,     cluster, broker, topic, group
 *      rocketmq_send_back_nums
 *
 * Of the last minute, as remoting/stats.h has it; of each of them no more than metricsTopics lines.
 * There are none unless the broker listens.
 */
#ifndef MQFS_FS_RATES_H
#define MQFS_FS_RATES_H

#include "fs/node.h"

void rates_metrics(struct mount *m, struct text *t);

#endif
