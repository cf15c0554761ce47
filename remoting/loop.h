/* loop.h - what mqremoted does in a turn of its loop: the link, clients, name servers, timers. */
#ifndef MQFS_REMOTING_LOOP_H
#define MQFS_REMOTING_LOOP_H

#include "net/daemon.h"
#include "net/resolve.h"
#include "net/server.h"
#include "remoting/calls.h"
#include "remoting/clients.h"
#include "remoting/locks.h"
#include "remoting/namesrv.h"
#include "remoting/senders.h"
#include "remoting/traffic.h"

#define CONNECTIONS_MAX 10000u

struct loop {
	struct daemon d;
	size_t connections_max;		/* at most CONNECTIONS_MAX */
	struct server *server;
	struct namesrv *namesrv;
	struct clients *clients;
	struct locks *locks;
	struct senders *senders;
	struct calls *calls;
	struct traffic *traffic;
	size_t replies_bytes;		/* bodies of replies that are under way */
};

/* Callbacks of struct program.  loop: a struct loop, of which connections_max, namesrv and traffic are set. */
int loop_open(void *loop);
void loop_close(void *loop);
int loop_on_message(void *loop, const struct link_message *msg, int blob_fd);
int64_t loop_tick(void *loop);

#endif
