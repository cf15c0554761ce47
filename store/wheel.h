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
#define WHEEL_LOOK_MAX 65536

struct wheel {
	int64_t waiting;	/* messages that are not delivered, among the newest WHEEL_LOOK_MAX of the
				 * queue; the wheel stores a message with a long delay more than once,
				 * and each counts */
	int64_t first_ms;	/* when the first of them is due, or was */
};

/* Count the messages that wait in the store whose directory is store_fd, by reading them.  Without
 * config/timercheck, as on a slave of the broker, messages due before now_ms count as delivered.
 * Errors as store_read()'s. */
int wheel_look(struct store *s, int store_fd, int64_t now_ms, struct wheel *ret);

/* The same, and log what waits, or that the messages cannot be read: *ret_waiting is untouched then. */
void wheel_log(struct store *s, int store_fd, int64_t *ret_waiting);

#endif
