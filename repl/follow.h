/* follow.h - a slave decides whether it may follow its master, and from which position.
 *
 *      ┌──────> ASK  the master for its hello (hello.h; a RocketMQ one: where its log begins)
 *      │         │
 *      │         ├── our log is the begin of its log ──> FOLLOW, until the connection ends
 *      │         ├── only our log has our last bytes ──> cut them off (they go to lost+found)
 *      │         ├── ours ends before its log begins ──> begin anew there
 *      │         └── another log, an old master, or a
 *      │             slave that has less than we ──────> refuse: nothing is changed
 *      │                                                   │
 *      └── pause, longer when it fails again <─────────────┘  the trouble tells the reason
 *
 * The slave decides this before each connection of mqrepld to the master's HA port, and asks
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

/* The caller has set replication's `closing` and signalled `changed`.  Accepts NULL. */
void follow_close(struct follow *f);

#endif
