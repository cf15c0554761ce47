/* replies.h - a reply (RocketMQ's request-reply) goes to the client that sent the request.
 *
 *      replier ── SEND_REPLY_MESSAGE ──> replies ──> the ring, as any message (storeReplyMessageEnable)
 *                                           └─ PUSH_REPLY_MESSAGE_TO_CLIENT ──> the producer that
 *              <── has the asker got it? ─── <──────────────────────────────── REPLY_TO_CLIENT names
 *
 * A reply that RocketMQ does not accept as a message (its topic or queue does not exist) is not
 * delivered; one that only cannot be stored now is delivered.
 */
#ifndef MQFS_REMOTING_REPLIES_H
#define MQFS_REMOTING_REPLIES_H

#include "net/server.h"
#include "remoting/ring.h"

struct loop;
struct reply;

/* SEND_REPLY_MESSAGE and _V2. */
enum server_served replies_serve(struct loop *l, struct server_peer *p, struct remoting_frame *f);

/* r, which `by` has sent (NULL: that connection has ended), is stored, or c->code says why not.  Takes r. */
void replies_stored(struct server_peer *by, struct reply *r, const struct ring_completion *c);

void reply_free(struct reply *r);	/* accepts NULL */

#endif
