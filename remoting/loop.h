/* loop.h - the loop of mqremoted: the link, clients, name servers, timers. */
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
	struct watch link;		/* first */
	struct daemon d;
	struct resolve_answer listen;	/* addresses to listen on */
	size_t connections_max;		/* at most CONNECTIONS_MAX */
	struct server *server;
	struct namesrv *namesrv;
	struct clients *clients;
	struct locks *locks;
	struct senders *senders;
	struct calls *calls;
	struct traffic *traffic;
	size_t replies_bytes;		/* bodies of replies that are under way */
	struct link_message told;	/* the LINK_READY that was sent last; kind 0: none yet; and when */
	int64_t told_ms;
	int64_t stood_still_ms;		/* how long the process was stopped so far, in all */
	int rc;
};

/* Run until the link ends (MQ_OK) or an invalid message comes over it (noted). */
int loop_run(struct loop *l);

#endif
