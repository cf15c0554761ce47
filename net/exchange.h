/* exchange.h - requests and responses over the link, as the mount has them.
 *
 *      exchange_call   ── LINK_REQUEST ──>  (the daemon, and whom it asks)
 *        waits         <── LINK_RESPONSE ─
 *
 *      link thread     <── LINK_REQUEST ──  (a peer, by way of the daemon)
 *      serve thread    ── serve() ──> LINK_RESPONSE
 *
 * When the link ends, calls that wait end with -ECONNRESET, and what was to be
 * served is forgotten: who asked is gone as well.
 */
#ifndef MQFS_NET_EXCHANGE_H
#define MQFS_NET_EXCHANGE_H

#include "net/request.h"

struct exchange;

struct exchange_for {
	const char *daemon;		/* its name, for messages */
	/* Fill *ret, which is an answer in any case.  Requests are served one after the other in a
	 * thread of the exchange's: serve() may read the disk and take locks, but not wait for others. */
	void (*serve)(void *arg, const struct request *req, struct answer *ret);
	void *arg;
};

int exchange_open(const struct exchange_for *what, struct exchange **ret);

/* From now on calls fail with MQ_ECLOSED, also those that wait. */
void exchange_stop(struct exchange *x);		/* accepts NULL */
void exchange_close(struct exchange *x);	/* accepts NULL; nobody calls any more */

/* The link thread's: a link is there (link_fd stays the caller's), the next run of
 * the daemon, counted from 1 on; and it is no longer used. */
void exchange_attach(struct exchange *x, int link_fd);
void exchange_detach(struct exchange *x);

/* A LINK_REQUEST or LINK_RESPONSE has come; blob_fd is taken over.  MQ_ECORRUPT,
 * noted: the daemon does what it must not. */
int exchange_hear(struct exchange *x, const struct link_message *msg, int blob_fd);

/* Send it to that run.  -ENOTCONN: there is none, or it has ended. */
int exchange_tell(struct exchange *x, unsigned run, const struct link_message *msg);

/* Ask, and wait: `ext` (an object of strings, or NULL) and body stay the caller's.  Any
 * thread but the link thread.
 *
 * MQ_OK         *ret is the answer, whatever its code; the caller clears it.
 * -ENOTCONN     the daemon does not run, or has nobody to ask.
 * -ETIMEDOUT, -ECONNREFUSED, -ECONNRESET, -EPROTO, ...   there is none (noted).
 * MQ_ECLOSED    exchange_stop() was called. */
int exchange_call(struct exchange *x, int code, const json_t *ext, const void *body, size_t body_len,
		  int timeout_ms, struct answer *ret);

#endif
