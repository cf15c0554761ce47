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
 * The slave decides so before each connection of mqrepld to the master's HA port, and asks
 * the master again once it is connected, because another broker may have taken the
 * master's address in between.  It repeats the second question until the master answers,
 * and every few seconds while the master is itself a slave.
 * One thread of the mount.
 */
#ifndef MQFS_REPL_FOLLOW_H
#define MQFS_REPL_FOLLOW_H

struct follow;
struct replication;

int follow_open(struct replication *r, struct follow **ret);

/* After replication's `closing` is set and told.  Accepts NULL. */
void follow_close(struct follow *f);

#endif
