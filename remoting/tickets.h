/* tickets.h - requests that were judged and let in, and are not served yet.
 *
 * mqremoted first passes the mount a request as the client has signed it, and gets a ticket.  It
 * then does its own part, which may change the request (JSON becomes fields), and sends the
 * ticket with the changed request.  A ticket is valid once, for the same code, and until TICKETS
 * others have been given.  Its number cannot be guessed.
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
		struct permit permit;
	} list[TICKETS];
	size_t next;
};

void tickets_clear(struct tickets *t);

/* A ticket for that permit, which is taken over. */
int tickets_give(struct tickets *t, int code, struct permit *permit, uint64_t *ret_number);

/* Use the ticket `text` (NULL: there is none).  False: it is not valid. */
bool tickets_take(struct tickets *t, int code, const char *text, struct permit *ret);

#endif
