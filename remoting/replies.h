/* replies.h - a reply to a request goes to the client that asked.
 *
 *      replier ── SEND_REPLY_MESSAGE ──> replies ──> the ring, as any message (storeReplyMessageEnable)
 *                                           └─ PUSH_REPLY_MESSAGE_TO_CLIENT ──> the producer that
 *              <── has the asker got it? ─── <──────────────────────────────── REPLY_TO_CLIENT names
 *
 * What RocketMQ does not take as a message (a topic that is not there, a queue that is none) goes to
 * nobody; what merely cannot be stored now does go to whoever asked.
 */
#ifndef MQFS_REMOTING_REPLIES_H
#define MQFS_REMOTING_REPLIES_H

#include "net/server.h"
#include "remoting/ring.h"

struct loop;
struct reply;

/* SEND_REPLY_MESSAGE and _V2. */
enum server_served replies_serve(struct loop *l, struct server_peer *p, struct remoting_frame *f);

/* r, which `by` has sent (NULL: it has gone), is stored, or the answer says why not.  Takes r. */
void replies_stored(struct loop *l, struct server_peer *by, struct reply *r, const struct ring_completion *c);

void reply_free(struct reply *r);	/* accepts NULL */

#endif
