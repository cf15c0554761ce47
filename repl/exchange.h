/* exchange.h - requests and responses over the link, as the mount has them.
 *
 *      exchange_call   ── LINK_REQUEST ──>  (mqrepld, our master)
 *        waits         <── LINK_RESPONSE ─
 *
 *      link thread     <── LINK_REQUEST ──  (a peer, mqrepld)
 *      serve thread    ── requests.h ──> LINK_RESPONSE
 *
 * When the link ends, calls that wait end with -ECONNRESET, and what was to be
 * served is forgotten: who asked is gone as well.
 */
#ifndef MQFS_REPL_EXCHANGE_H
#define MQFS_REPL_EXCHANGE_H

#include "repl/requests.h"

struct exchange;

/* `r` is what requests_serve() is given. */
int exchange_open(struct replication *r, struct exchange **ret);

/* From now on calls fail with MQ_ECLOSED, also those that wait. */
void exchange_stop(struct exchange *x);		/* accepts NULL */
void exchange_close(struct exchange *x);	/* accepts NULL; nobody calls any more */

/* The link thread's: a link is there (link_fd stays the caller's), the next run of
 * mqrepld, counted from 1 on; and it is no longer used. */
void exchange_attach(struct exchange *x, int link_fd);
void exchange_detach(struct exchange *x);

/* A LINK_REQUEST or LINK_RESPONSE has come; blob_fd is taken over.  MQ_ECORRUPT,
 * noted: mqrepld does what it must not. */
int exchange_hear(struct exchange *x, const struct link_message *msg, int blob_fd);

/* Send it to that run.  -ENOTCONN: there is none, or it has ended. */
int exchange_tell(struct exchange *x, unsigned run, const struct link_message *msg);

/* See replication_call(). */
int exchange_call(struct exchange *x, int code, const json_t *ext, const void *body, size_t body_len,
		  int timeout_ms, struct answer *ret);

#endif
