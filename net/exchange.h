/* exchange.h - the mount's side of requests and responses over the link.
 *
 *      exchange_call   ── LINK_REQUEST ──>  (the daemon, which asks its peer)
 *        waits         <── LINK_RESPONSE ─
 *
 *      child thread    <── LINK_REQUEST ──  (a peer, through the daemon)
 *      serve thread    ── serve() ──> LINK_RESPONSE
 *            └─ answers that wait ──> wait thread ── settled() ──> LINK_RESPONSE
 *
 * When the link ends, calls that wait end with -ECONNRESET, and requests that are not
 * served yet are dropped: the peers' connections have ended with the daemon.
 */
#ifndef MQFS_NET_EXCHANGE_H
#define MQFS_NET_EXCHANGE_H

#include "net/request.h"

struct exchange;

struct exchange_for {
	const char *daemon;		/* its name, for messages */
	/* Fill *ret, which is an answer in any case.  A thread of the exchange's serves requests one after
	 * the other: serve() may read the disk and take locks, but not wait for other threads. */
	void (*serve)(void *arg, const struct request *req, struct answer *ret);
	void *arg;
	/* May the answer, which has `after`, go out?  It may become a refusal.  The wait thread asks for one
	 * answer after the other, in the order in which they were served; settled() waits 100 ms at most. */
	bool (*settled)(void *arg, struct answer *a);
};

int exchange_open(const struct exchange_for *what, struct exchange **ret);

/* From now on calls fail with MQ_ECLOSED, also those that wait. */
void exchange_stop(struct exchange *x);		/* accepts NULL */
void exchange_close(struct exchange *x);	/* accepts NULL; no thread calls any more */

/* For the child thread: use this link from now on (link_fd stays the caller's), which is of
 * the next run of the daemon, counted from 1; and use it no longer. */
void exchange_attach(struct exchange *x, int link_fd);
void exchange_detach(struct exchange *x);

/* A LINK_REQUEST or LINK_RESPONSE was received; blob_fd is taken over.  MQ_ECORRUPT,
 * noted: too many requests wait, or no request has that id. */
int exchange_on_message(struct exchange *x, const struct link_message *msg, int blob_fd);

/* Send msg to that run of the daemon.  -ENOTCONN: it has ended, or does not run yet. */
int exchange_tell(struct exchange *x, unsigned run, const struct link_message *msg);

/* Ask, and wait: `ext` (an object of strings, or NULL) and body stay the caller's.  Any
 * thread but the child thread.
 *
 * MQ_OK         *ret is the answer, whatever its code; the caller clears it.
 * -ENOTCONN     the daemon does not run, or has no peer to ask.
 * -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EPROTO, ...   no answer has come (noted).
 * MQ_ECLOSED    exchange_stop() was called. */
int exchange_call(struct exchange *x, int code, const json_t *ext, const void *body, size_t body_len,
		  int timeout_ms, struct answer *ret);

#endif
