/* peer.h - what mqrepld tells the mount about one peer: a change of state at once, progress once
 * a second. */
#ifndef MQFS_REPL_PEER_H
#define MQFS_REPL_PEER_H

#include "net/daemon.h"

struct peer {
	int32_t number;			/* 0: the master */
	char address[80];
	uint64_t turn;			/* master: id of the LINK_FOLLOW that began the connection */
	int64_t first;			/* slave: the position that it reported first */
	int64_t ack, sent;		/* as in struct link_message; set by the owner as they move */

	int32_t state;			/* enum link_peer_state */
	char why[112];			/* the reason for that state, or "" */
	int32_t code;			/* as in struct link_message; set before peer_set() */
	bool news;			/* the mount has not been told state and why yet */
	int64_t told_ms, told_ack, told_sent;
	int quiet;			/* seconds without progress that the mount was told of */
};

/* The peer is in that state now; `why` may be NULL. */
void peer_set(struct daemon *d, struct peer *p, enum link_peer_state state, const char *why);

/* Send the mount what is new.  Returns when to call again, 0: when the peer has moved. */
int64_t peer_tick(struct daemon *d, struct peer *p);

#endif
