/* replication_priv.h - what replication.c, follow.c and those who serve requests share. */
#ifndef MQFS_REPL_REPLICATION_PRIV_H
#define MQFS_REPL_REPLICATION_PRIV_H

#include <pthread.h>

#include "conf/lock.h"
#include "net/child.h"
#include "net/exchange.h"
#include "repl/board.h"
#include "repl/commits.h"
#include "repl/follow.h"
#include "repl/hello.h"
#include "repl/peers.h"

enum trouble_with {
	TROUBLE_DAEMON,			/* mqrepld does not run, or cannot listen */
	TROUBLE_LOG,			/* what comes cannot be appended */
	TROUBLE_MASTER,			/* it is not reached, or not to be followed */
	TROUBLES
};

#define REPLICATION_PIECE (128 << 10)	/* is checked while the cache still has what was written */

struct replication {
	const struct settings *settings;
	struct store *store;
	struct replication_broker broker;

	struct lock lock;		/* all below */
	pthread_cond_t changed;		/* of anything here */
	bool closing;
	int held;			/* nobody is to start mqrepld */
	bool paused;			/* held by replication_pause() */
	bool linked;			/* mqrepld runs */
	bool ready;			/* it can be told something: it has */
	struct link_config config;
	pid_t pid;
	int64_t starts;
	int32_t port;
	struct trouble {
		char text[256];		/* "": none */
		char said[256];		/* what of it was logged last, and when */
		int64_t said_ms;
	} troubles[TROUBLES];
	bool rocketmq;			/* slave: our master is one; follow.c alone sets it, */
	bool unlogged;			/* and this: what it has of topics and offsets is not in its log */
	unsigned char instance[HELLO_ID_BYTES];	/* of this mount; it stays */
	struct hello_via via;		/* whom we follow */
	struct peers peers;

	struct board board;
	struct exchange *exchange;
	struct follow *follow;
	struct commits *commits;

	/* The child thread's. */
	uint64_t ring_at;		/* bytes taken out of the ring */
	unsigned char piece[REPLICATION_PIECE];	/* of the ring, out of mqrepld's reach */

	struct child *child;
};

/* Why it does not get on with one of them; "": it does.  Logged when it is news. */
void replication_trouble(struct replication *r, enum trouble_with with, const char *text);

/* All of them, as one line. */
void replication_troubles(struct replication *r, char *text, size_t size);

/* Tell mqrepld; *ret_starts (may be NULL) says which one.  -ENOTCONN: it does not run. */
int replication_tell(struct replication *r, struct link_message *msg, int64_t *ret_starts);

/* No mqrepld runs, so nothing is appended and nothing served, until it is released. */
void replication_hold(struct replication *r);
void replication_release(struct replication *r);

#endif
