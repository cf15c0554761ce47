/* frames.h - how mqremoted serves a request: it answers requests about connections by itself,
 * and passes requests about the store to the mount.  A code without a row in requests.def is refused
 * here, and is not passed on.
 */
#ifndef MQFS_REMOTING_FRAMES_H
#define MQFS_REMOTING_FRAMES_H

#include "remoting/loop.h"

/* See server_for.  arg: the loop. */
bool frames_have_values(int code);
enum server_served frames_serve(void *arg, struct server_peer *p, struct remoting_frame *f);
enum server_served frames_allowed(void *arg, struct server_peer *p, struct remoting_frame *f, const char *ticket);
void frames_gone(void *arg, struct server_peer *p);

/* See clients_on_emptied().  arg: the loop. */
void frames_emptied(void *arg, const char *group);

/* A reset is sent to the group's clients, CONSUME_MESSAGE_DIRECTLY to the consumer that it names, and
 * the subscription of the group is added to entries of a queue. */
bool frames_answered(void *arg, struct server_peer *p, int code, struct remoting_frame *f);

bool frames_may_ask(void *arg, const struct server_peer *p);

/* A LINK_REQUEST of the mount; blob_fd stays the caller's. */
void frames_mount_asks(struct loop *l, const struct link_message *msg, int blob_fd);

#endif
