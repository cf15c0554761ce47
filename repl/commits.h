/* commits.h - commits of a slave on their way to its master, and their arrival there.
 *
 *      slave:   debts_due ──> UPDATE_CONSUMER_OFFSET ──> debts_answer
 *      master:  commit_from_slave, as of any client
 *
 * The request is RocketMQ's (15), with two fields more, which it ignores: `seen`, for
 * commit_from_slave(), and `reset` ("true") of an explicit reset.  RocketMQ sets whatever
 * it is told; so a RocketMQ master is asked first (14) where it stands, and is told
 * only what is further on, or a reset.
 *
 * One thread, the slave's.  It sends while the master is followed; so never to one whose
 * log is not ours.
 */
#ifndef MQFS_REPL_COMMITS_H
#define MQFS_REPL_COMMITS_H

#include "repl/requests.h"

struct commits;

int commits_open(struct replication *r, struct commits **ret);

/* After replication's `closing` is set and told.  Accepts NULL. */
void commits_close(struct commits *c);

/* Serve REQUEST_UPDATE_CONSUMER_OFFSET and REQUEST_QUERY_CONSUMER_OFFSET: rows of requests.c. */
int commits_serve_update(struct replication *r, const struct request *req, struct answer *ret);
int commits_serve_query(struct replication *r, const struct request *req, struct answer *ret);

#endif
