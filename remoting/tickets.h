/* tickets.h - requests that were judged, and are to be asked now.
 *
 * mqremoted first gives the mount a request as the client has signed it, and gets a ticket.  It
 * then does its own part, which may change the request (JSON becomes fields), and shows the
 * ticket with what it asks.  A ticket is good once, for the same code, and for a short time: as
 * long as no TICKETS others are given.  Its number cannot be guessed.
 */
#ifndef MQFS_REMOTING_TICKETS_H
#define MQFS_REMOTING_TICKETS_H

#include "remoting/judge.h"

#define TICKETS 256

/* Starts as zeros.  One thread. */
struct tickets {
	struct ticket {
		uint64_t number;	/* 0: none */
		int code;
		struct leave leave;
	} list[TICKETS];
	size_t next;
};

void tickets_clear(struct tickets *t);

/* A ticket for that leave, which is taken over. */
int tickets_give(struct tickets *t, int code, struct leave *leave, uint64_t *ret_number);

/* NULL for text: there is none.  False: it is not good. */
bool tickets_take(struct tickets *t, int code, const char *text, struct leave *ret);

#endif
