/* frames_priv.h - what frames.c and frames_clients.c share. */
#ifndef MQFS_REMOTING_FRAMES_PRIV_H
#define MQFS_REMOTING_FRAMES_PRIV_H

#include "remoting/frames.h"

/* A response to `to`; body (taken over) NULL: none.  Both return SERVER_DONE. */
enum server_served frames_respond(struct loop *l, struct server_peer *p, const struct remoting_frame *to, json_t *body);
enum server_served frames_refuse(struct loop *l, struct server_peer *p, const struct remoting_frame *to, int code,
				 const char *remark);

/* The body as an object, of 256 KiB at most; NULL: it is none. */
json_t *frames_body(const struct remoting_frame *f);

/* A text of an object; "" if there is none of that name. */
const char *frames_text(json_t *object, const char *name);

/* A field that only mqremoted may set, of a request that the mount is asked (value NULL: it has
 * none): names that begin with "mqfs." are these. */
void frames_tell(struct remoting_frame *f, const char *name, const char *value);

/* As RocketMQ's LanguageCode has them. */
const char *frames_language(int32_t language);

/* Rows of the table, in frames_clients.c: who is there, */
enum server_served serve_consumer_list(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_connections(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_producers(struct loop *l, struct server_peer *p, struct remoting_frame *f);
/* what a client says of itself, */
enum server_served serve_running_info(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_consumer_status(struct loop *l, struct server_peer *p, struct remoting_frame *f);
/* and what the mount answers, when it knows which clients there are. */
enum server_served serve_check_client(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_with_groups(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_with_topics(struct loop *l, struct server_peer *p, struct remoting_frame *f);
enum server_served serve_reset(struct loop *l, struct server_peer *p, struct remoting_frame *f);

/* See server_for.answered: of a reset the group's clients are told, a message is consumed at once,
 * and entries of a queue come with the subscription of who asks. */
bool clients_answered(struct loop *l, struct server_peer *p, int code, struct remoting_frame *f);

#endif
