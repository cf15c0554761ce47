/* traffic.h - messages between clients and the mount: SEND and PULL, through the rings.
 *
 *      frame ──> asks.h ──> submission ──> (the mount) ──> completion ──> response
 *                 │                                           │         ^
 *                 └─ a pull that was looked ahead: aheads.h ──┼─────────┘
 *      a pull that found nothing, and may wait: polls.h <─────┘
 *
 * mqremoted's one thread.  A request that is under way holds a slot of the rings and nothing
 * else; a connection with too many requests is not read from for a while (traffic_may_ask), and
 * when all slots are taken the answer is SYSTEM_BUSY.  The records that a pull has found go from
 * the commit log's files to the socket: no body is copied here.
 */
#ifndef MQFS_REMOTING_TRAFFIC_H
#define MQFS_REMOTING_TRAFFIC_H

#include "net/server.h"
#include "remoting/ring.h"

struct loop;
struct traffic;

/* Map the rings, before the process is confined and may not; fds are closed, also on failure. */
int traffic_open(struct loop *l, struct ring_fds *fds, struct traffic **ret);

/* Begin; l's loop exists now. */
int traffic_start(struct traffic *t);
void traffic_close(struct traffic *t);	/* accepts NULL */

/* SEND_MESSAGE, _V2 and BATCH, PULL_MESSAGE, END_TRANSACTION that says commit or rollback. */
enum server_served traffic_serve(struct loop *l, struct server_peer *p, struct remoting_frame *f);

/* Are the fields of such a request wanted as a list?  (See server_for.) */
bool traffic_cuts(int code);

/* Store a reply as a message; replies_stored() is called with r.  False: the rings are full. */
struct ask;
struct reply;
bool traffic_reply(struct traffic *t, struct server_peer *p, struct remoting_frame *f, struct ask *a, struct reply *r);

/* Answer `to` as a SEND is answered, whatever the code; c->pos below 0: nothing was stored. */
void traffic_answer_send(struct traffic *t, struct server_peer *p, const struct remoting_frame *to,
			 const struct ring_completion *c);

/* Does that code say that the message is stored? */
bool traffic_is_stored(int code);

/* The mount's values for our answers. */
const struct ring_values *traffic_values(const struct traffic *t);

/* Answer SYSTEM_BUSY, as when the rings are full.  Returns SERVER_DONE. */
enum server_served traffic_refuse_busy(struct server_peer *p, const struct remoting_frame *to);

/* Tell the mount that a group, for which members have pulled, has no members any more. */
void traffic_left(struct traffic *t, const char *group);

/* May one more request of this connection be read now? */
bool traffic_may_ask(const struct traffic *t, const struct server_peer *p);

/* The connection has ended. */
void traffic_gone(struct traffic *t, struct server_peer *p);

/* Send the answers that have come; called before the connections have their turn. */
void traffic_reap(struct traffic *t);

/* Wake the mount for what was submitted in this turn; called after it.  Returns when to call again,
 * 0: no need. */
int64_t traffic_tick(struct traffic *t);

#endif
