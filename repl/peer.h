/* peer.h - what mqrepld tells the mount about one peer: a change of state at once, progress once
 * a second. */
#ifndef MQFS_REPL_PEER_H
#define MQFS_REPL_PEER_H

#include "net/daemon.h"

struct peer {
	int32_t number;			/* 0: the master */
	char address[80];
	uint64_t turn;			/* master: of which LINK_FOLLOW this is */
	int64_t first;			/* slave: what it reported first */
	int64_t ack, sent;		/* as in struct link_message; set by the owner as they move */

	int32_t state;			/* enum link_peer_state */
	char why[112];			/* it is in that state, or "" */
	int32_t code;			/* as in struct link_message; set before peer_set() */
	bool news;			/* state and why have not been told yet */
	int64_t told_ms, told_ack, told_sent;
	int quiet;			/* seconds without progress that were told */
};

/* The peer is in that state now; `why` may be NULL. */
void peer_set(struct daemon *d, struct peer *p, enum link_peer_state state, const char *why);

/* Tell what is to be told.  Returns when it wants to be called again, 0: when it has moved. */
int64_t peer_tick(struct daemon *d, struct peer *p);

#endif
