/* frames_priv.h - what frames.c and frames_clients.c share. */
#ifndef MQFS_REMOTING_FRAMES_PRIV_H
#define MQFS_REMOTING_FRAMES_PRIV_H

#include "remoting/frames.h"

/* A response to `to`; body (taken over) NULL: none.  Both return SERVER_DONE. */
enum server_served frames_respond(struct loop *l, struct server_peer *p, const struct remoting_frame *to, json_t *body);
enum server_served frames_refuse(struct loop *l, struct server_peer *p, const struct remoting_frame *to, int code,
				 const char *remark);

/* Parse the body, of 256 KiB at most, as a JSON object; NULL: it is not one. */
json_t *frames_body(const struct remoting_frame *f);

/* A text of an object; "" if there is none of that name. */
const char *frames_text(json_t *object, const char *name);

/* Set a field of a request to the mount (value NULL: remove it) that only mqremoted may set: one
 * whose name begins with "mqfs.". */
void frames_tell(struct remoting_frame *f, const char *name, const char *value);

/* The name in RocketMQ's LanguageCode. */
const char *frames_language(int32_t language);

/* Rows of the table, in frames_clients.c: lists of clients, */
enum server_served serve_consumer_list(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_connections(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_producers(struct loop *l, struct server_peer *p, struct remoting_frame *f);
/* requests that are passed on to a client, */
enum server_served serve_running_info(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_consumer_status(struct loop *l, struct server_peer *p, struct remoting_frame *f);
/* and requests to which mqremoted adds its clients before the mount answers. */
enum server_served serve_check_client(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_with_groups(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_with_topics(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_reset(struct loop *l, struct server_peer *p, struct remoting_frame *f);

/* See server_for.answered: a reset is sent to the group's clients, CONSUME_MESSAGE_DIRECTLY to the
 * consumer, and the subscription of the group is added to entries of a queue. */
bool clients_answered(struct loop *l, struct server_peer *p, int code, struct remoting_frame *f);

#endif
