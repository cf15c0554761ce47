/* follow.h - a slave and its master: whose log is it, and where to go on.
 *
 *      ┌──────> ASK  what the master is (hello.h; a RocketMQ one: where its log begins)
 *      │         │
 *      │         ├── our log is the begin of its log ──> FOLLOW, until the connection ends
 *      │         ├── ours ends in what only we have ───> cut that off (it goes to lost+found)
 *      │         ├── ours ends before its log begins ──> begin anew there
 *      │         └── another log, or an old master ────> refuse: nothing is changed
 *      │                                                   │
 *      └── pause, longer when it fails again <─────────────┘  trouble says why
 *
 * Each connection of mqrepld to the master's HA port is preceded by such a decision,
 * and followed by another look at the master: in between it could have become another.
 * One thread, the mount's.
 */
#ifndef MQFS_REPL_FOLLOW_H
#define MQFS_REPL_FOLLOW_H

#include "repl/hello.h"
#include "repl/requests.h"

struct follow;

int follow_open(struct replication *r, struct follow **ret);

/* After replication's `closing` is set and told.  Accepts NULL. */
void follow_close(struct follow *f);

/* Serve REQUEST_HELLO: a row of requests.c. */
int follow_serve_hello(struct replication *r, const struct request *req, struct answer *ret);

#endif
