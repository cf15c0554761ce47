/* metadata.h - topics, groups, offsets and delays of a master, as RocketMQ's slaves ask
 * for them: served on a master, asked for on a slave of a RocketMQ one.
 *
 * An mqfs slave of an mqfs master reads all of it from the log.  If that master is itself a
 * slave of a RocketMQ master, the log does not contain it, and its slave asks, too.
 */
#ifndef MQFS_REPL_METADATA_H
#define MQFS_REPL_METADATA_H

#include "repl/requests.h"

/* Serve REQUEST_GET_ALL_...: rows of requests.c. */
int metadata_serve(struct replication *r, const struct request *req, struct answer *ret);

/* The same for tables of RocketMQ 5.x that mqfs does not have: the position of its timer
 * wheel (7 numbers of 8 bytes: everything that was due by now has been read, the rest is 0),
 * the number of messages that wait in it for each topic, and the groups whose messages are
 * popped (both empty). */
int metadata_serve_timers(struct replication *r, const struct request *req, struct answer *ret);
int metadata_serve_none(struct replication *r, const struct request *req, struct answer *ret);

/* Ask our master for all four tables and apply them here.  A table that fails does not keep
 * the others from being applied.  Returns the first failure (noted). */
int metadata_pull(struct replication *r);

#endif
