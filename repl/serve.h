/* serve.h - the loop of mqrepld: the link, connections of slaves, the one to our master, timers. */
#ifndef MQFS_REPL_SERVE_H
#define MQFS_REPL_SERVE_H

#include "net/daemon.h"
#include "net/resolve.h"
#include "repl/board.h"

#define SERVE_SLAVES_MAX LINK_PEERS_MAX

struct serve {
	struct daemon d;
	struct board_seat board;
	struct resolve_answer listen;	/* addresses to listen on; none: no slaves */
	struct target {
		struct resolve_answer answer;	/* slave: its addresses, */
		int names_fd;			/* or the resolver that is asked for them (-1: none) */
	} master, remoting;		/* of replication, and of the remoting protocol */
};

/* Run until the link ends (MQ_OK) or an invalid message comes over it (noted). */
int serve_run(struct serve *serve);

#endif
