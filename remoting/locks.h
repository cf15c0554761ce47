/* locks.h - which client of a group consumes which queue, in order: RocketMQ's queue locks.
 *
 * A client has a lock until LOCKS_MS after it renewed it last.  Nothing is on disk: when mqremoted
 * ends, clients lock again.
 */
#ifndef MQFS_REMOTING_LOCKS_H
#define MQFS_REMOTING_LOCKS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define LOCKS_MS 60000
#define LOCKS_MAX 65536			/* at one time */

struct locks;

int locks_open(struct locks **ret);
void locks_close(struct locks *l);		/* accepts NULL */

/* Take or renew a lock.  False: another client has it, or there are LOCKS_MAX. */
bool locks_take(struct locks *l, const char *group, const char *topic, int64_t queue_id, const char *client,
		int64_t now_ms);

/* Release a lock, if that client has it. */
void locks_drop(struct locks *l, const char *group, const char *topic, int64_t queue_id, const char *client);

#endif
