/* serve.h - what mqrepld does in a turn of its loop: the link, connections of slaves, the one to our
 * master, timers. */
#ifndef MQFS_REPL_SERVE_H
#define MQFS_REPL_SERVE_H

#include "net/listener.h"
#include "net/server.h"
#include "repl/board.h"

#define SERVE_SLAVES_MAX LINK_PEERS_MAX

struct serve {
	struct daemon d;
	struct board_seat board;
	struct target {
		struct resolve_answer answer;	/* slave: its addresses, */
		int names_fd;			/* or the resolver that is asked for them (-1: none) */
	} master, remoting;		/* of replication, and of the remoting protocol */

	struct watch marks;		/* an event: the mount has moved a mark that is waited for */
	bool asleep;			/* board_sleep() was called */
	struct slaves {
		struct listener listener;
		const struct board_seat *board;
		struct sender *list[SERVE_SLAVES_MAX];	/* number i + 1, or NULL */
		uint64_t connections;		/* that were accepted so far */
	} slaves;
	struct receiver *receiver;	/* NULL: this broker has no master, as the next */
	struct remoting_client *client;
	struct server *server;
};

/* Callbacks of struct program.  serve: a struct serve, of which board, master and remoting are set. */
int serve_open(void *serve);
void serve_close(void *serve);
int serve_on_message(void *serve, const struct link_message *msg, int blob_fd);
int64_t serve_tick(void *serve);
void serve_woken(void *serve);

#endif
