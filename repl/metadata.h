/* metadata.h - topics, groups, offsets and delays of a master, as RocketMQ's slaves ask
 * for them: served on a master, asked for on a slave of a RocketMQ one.
 *
 * An mqfs slave has all of it from the log.
 */
#ifndef MQFS_REPL_METADATA_H
#define MQFS_REPL_METADATA_H

#include "repl/requests.h"

/* Serve REQUEST_GET_ALL_...: rows of requests.c. */
int metadata_serve(struct replication *r, const struct request *req, struct answer *ret);

/* Ask our master, a RocketMQ one, for all four, and do here as it says.  What one of them
 * fails at the others are spared.  Returns the first failure (noted). */
int metadata_pull(struct replication *r);

#endif
