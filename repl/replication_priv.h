/* replication_priv.h - what replication.c, follow.c and the rows of requests.c share. */
#ifndef MQFS_REPL_REPLICATION_PRIV_H
#define MQFS_REPL_REPLICATION_PRIV_H

#include <pthread.h>

#include "conf/lock.h"
#include "net/child.h"
#include "repl/board.h"
#include "repl/commits.h"
#include "repl/follow.h"
#include "repl/hello.h"
#include "repl/peers.h"

enum trouble_with {
	TROUBLE_DAEMON,			/* mqrepld does not run, or cannot listen */
	TROUBLE_LOG,			/* bytes of the master cannot be appended */
	TROUBLE_MASTER,			/* the master is not reached, or must not be followed */
	TROUBLES
};

#define REPLICATION_PIECE (128 << 10)	/* small, so that a piece is checked while it is still in the CPU's cache */

struct replication {
	const struct settings *settings;
	struct store *store;
	struct replication_broker broker;

	struct lock lock;		/* all below */
	pthread_cond_t changed;		/* of anything here */
	bool closing;
	int held;			/* above 0: mqrepld must not be started */
	bool paused;			/* one of these is replication_pause()'s */
	bool ready;			/* mqrepld has sent LINK_READY */
	struct link_config config;
	pid_t pid;
	int64_t starts;
	struct trouble {
		char text[256];		/* "": none */
		char said[256];		/* the text that was logged last, and when */
		int64_t said_ms;
	} troubles[TROUBLES];
	bool rocketmq;			/* slave: our master is a RocketMQ broker; follow.c alone sets it, */
	bool unlogged;			/* and this: the master's topics and offsets are not in its log */
	unsigned char instance[HELLO_ID_BYTES];	/* of this mount; it stays */
	struct hello_via via;		/* the brokers that we follow */
	struct peers peers;

	struct board board;
	struct follow *follow;
	struct commits *commits;

	/* The child thread's. */
	uint64_t ring_at;		/* bytes taken out of the ring */
	unsigned char piece[REPLICATION_PIECE];	/* a copy of bytes of the ring, which mqrepld cannot change */

	struct child *child;
};

/* Set the reason why `with` does not work; "": it works.  Logged when it is new. */
void replication_trouble(struct replication *r, enum trouble_with with, const char *text);

/* All troubles, as one line. */
void replication_troubles(struct replication *r, char *text, size_t size);

/* Send msg to mqrepld; *ret_starts (may be NULL) says which one got it.  -ENOTCONN: it does not run. */
int replication_tell(struct replication *r, struct link_message *msg, int64_t *ret_starts);

/* End mqrepld, so that nothing is appended and nothing served, until replication_release(). */
void replication_hold(struct replication *r);
void replication_release(struct replication *r);

#endif
