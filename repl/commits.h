/* commits.h - a slave sends the commits of its consumers to its master, which stores them.
 *
 *      slave:   slave_commits_due ──> UPDATE_CONSUMER_OFFSET ──> slave_commits_answer
 *      master:  commit_from_slave, as of any client
 *
 * The request is RocketMQ's (15), with two more fields, which RocketMQ ignores: `seen`,
 * for commit_from_slave(), and `reset` ("true") of an explicit reset.  A RocketMQ broker
 * stores any offset that it receives.  The slave therefore asks a RocketMQ master first
 * (14) for its offset, and sends only an offset that is larger, or a reset.
 *
 * One thread, on the slave.  It sends only while the slave follows its master, so a master
 * that has another log receives no commits.
 */
#ifndef MQFS_REPL_COMMITS_H
#define MQFS_REPL_COMMITS_H

#include "repl/requests.h"

struct commits;

int commits_open(struct replication *r, struct commits **ret);

/* The caller has set replication's `closing` and signalled `changed`.  Accepts NULL. */
void commits_close(struct commits *c);

/* Serve REQUEST_UPDATE_CONSUMER_OFFSET and REQUEST_QUERY_CONSUMER_OFFSET: rows of requests.c. */
int commits_serve_update(struct replication *r, const struct request *req, struct answer *ret);
int commits_serve_query(struct replication *r, const struct request *req, struct answer *ret);

#endif
