/* follow.h - a slave and its master: whose log is it, and where to go on.
 *
 *      ┌──────> ASK  what the master is (hello.h; a RocketMQ one: where its log begins)
 *      │         │
 *      │         ├── our log is the begin of its log ──> FOLLOW, until the connection ends
 *      │         ├── ours ends in what only we have ───> cut that off (it goes to lost+found)
 *      │         ├── ours ends before its log begins ──> begin anew there
 *      │         └── another log, an old master, or a
 *      │             slave that has less than we ──────> refuse: nothing is changed
 *      │                                                   │
 *      └── pause, longer when it fails again <─────────────┘  trouble says why
 *
 * Each connection of mqrepld to the master's HA port is preceded by such a decision,
 * and followed by another look at the master: in between it could have become another.
 * That is repeated until it is answered, and while the master is a slave itself.
 * One thread, the mount's.
 */
#ifndef MQFS_REPL_FOLLOW_H
#define MQFS_REPL_FOLLOW_H

struct follow;
struct replication;

int follow_open(struct replication *r, struct follow **ret);

/* After replication's `closing` is set and told.  Accepts NULL. */
void follow_close(struct follow *f);

#endif
