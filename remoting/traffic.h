/* traffic.h - messages between clients and the mount: SEND and PULL, through the rings.
 *
 *      frame ──> asks.h ──> submission ──> (the mount) ──> completion ──> response
 *                                                             │
 *      a pull that found nothing, and may wait: polls.h <─────┘
 *
 * mqremoted's one thread.  A request that is under way holds a slot of the rings and nothing
 * else; who asks too much is not heard for a while (traffic_may_ask), and when all slots are
 * taken the answer is SYSTEM_BUSY.  What a pull has found goes from the commit log's files to
 * the socket: no body is copied here.
 */
#ifndef MQFS_REMOTING_TRAFFIC_H
#define MQFS_REMOTING_TRAFFIC_H

#include "net/server.h"
#include "remoting/ring.h"

struct loop;
struct traffic;

/* Maps the rings, which a confined process may not; fds are closed, also on failure. */
int traffic_open(struct loop *l, struct ring_fds *fds, struct traffic **ret);

/* l's loop is there. */
int traffic_start(struct traffic *t);
void traffic_close(struct traffic *t);	/* accepts NULL */

/* SEND_MESSAGE, _V2 and BATCH; PULL_MESSAGE. */
enum server_served traffic_send(struct traffic *t, struct server_peer *p, struct remoting_frame *f);
enum server_served traffic_pull(struct traffic *t, struct server_peer *p, struct remoting_frame *f);

/* END_TRANSACTION that says commit or rollback. */
enum server_served traffic_end(struct traffic *t, struct server_peer *p, struct remoting_frame *f);

/* A reply is a message to be stored; replies_stored() is called with r.  False: the rings are full. */
struct ask;
struct reply;
bool traffic_reply(struct traffic *t, struct server_peer *p, struct remoting_frame *f, struct ask *a, struct reply *r);

/* Answer `to` as a SEND is answered, whatever the code; c->pos below 0: nothing was stored. */
void traffic_answer_send(struct traffic *t, struct server_peer *p, const struct remoting_frame *to,
			 const struct ring_completion *c);

/* Does that code say that the message is stored? */
bool traffic_is_stored(int code);

/* What the mount has us say. */
const struct ring_says *traffic_says(const struct traffic *t);

/* A group of consumers, which has pulled as its members do, has none any more: the mount hears of it. */
void traffic_left(struct traffic *t, const char *group);

/* May it ask one more now? */
bool traffic_may_ask(const struct traffic *t, const struct server_peer *p);

/* The connection has ended. */
void traffic_gone(struct traffic *t, struct server_peer *p);

/* What has come is answered; before the connections have their turn. */
void traffic_hear(struct traffic *t);

/* What was submitted in this turn goes to the mount; after it.  Returns when to call again,
 * 0: no need. */
int64_t traffic_tick(struct traffic *t);

#endif
