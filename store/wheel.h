/* wheel.h - messages that wait in RocketMQ 5's timer wheel.
 *
 * A message that RocketMQ 5 is to deliver at a time of its sender's choice is stored in topic
 * rmq_sys_wheel_timer, queue 0.  Its properties say for which queue it is (REAL_TOPIC, REAL_QID)
 * and when it is due (TIMER_OUT_MS, in ms since 1970).  The broker's timer wheel (timerwheel,
 * timerlog/) is a view of that queue; config/timercheck begins with the time, i64 big-endian,
 * up to which messages have been delivered.
 *
 * mqfs has no such wheel and delivers none of these messages.  RocketMQ delivers them once it
 * runs on the store again.
 */
#ifndef MQFS_STORE_WHEEL_H
#define MQFS_STORE_WHEEL_H

#include <stdint.h>

#include "store/store.h"

#define WHEEL_TOPIC "rmq_sys_wheel_timer"

/* Count the messages that wait in the store whose directory is store_fd, by reading them, and log what waits;
 * or that they cannot be read: *ret_waiting is untouched then.  Without config/timercheck, as on a slave of the
 * broker, messages that are due before now count as delivered. */
void wheel_log(struct store *s, int store_fd, int64_t *ret_waiting);

#endif
